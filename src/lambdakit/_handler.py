"""The decorator: the order of the steps of an invocation."""

from __future__ import annotations

import sys
from functools import cache, partial
from types import FunctionType

from ._diagnostics import (
    ASYNC_GENERATOR,
    COROUTINE,
    MISSING,
    find_in_type,
    flag,
    is_awaitable,
    kind_of_function,
    log_exceptions,
    seconds,
    wrap,
)
from ._environment import (
    CURRENT,
    DEADLINE_MARGIN_S,
    GRACE_S,
    PRELOAD_S,
    STACK,
    Environment,
    HandlerOptions,
    environment,
    error_name,
    lambda_context,
)
from ._warmup import recognise
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Any, Literal, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, overload

    from ._environment import Invocation
    from ._telemetry import Observer
    from ._telemetry.record import Record
    from ._values import Declared as Declaration
    from ._warmup.options import Warmup

    P = ParamSpec("P")
    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)

    class _Instance(Protocol[P, R_co]):
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    class _Decorate(Protocol):
        @overload
        def __call__(self, fn: Callable[P, Awaitable[Any]], /) -> Callable[P, Any]: ...
        @overload
        def __call__(self, fn: Callable[P, R], /) -> Callable[P, R]: ...

    Ping = Callable[[Any, Any], object]

    class Options(TypedDict, total=False):
        """What `handler` takes by keyword; the defaults stand in its signature."""

        warmup: bool | Warmup | Ping
        on_ping: Callable[[], object] | None
        preload: Iterable[Declaration | Callable[[], object]]
        preload_budget: float
        reseed: bool
        loop: Literal["asyncio", "uvloop"]
        grace: float | None
        deadline_margin: float
        metrics: str | None
        on_invocation: Callable[[Record], object] | Iterable[Callable[[Record], object]]


# Nothing that can be awaited, and most of what handlers return: to ask these for it would cost more.
_PLAIN_RESULTS = frozenset({dict, str, type(None), list, int, bool, float, bytes})
_ARGUMENTS = 2  # event and context
_INSTANCE = (("self",), ("cls",))  # the first name of a method
_METHOD = "lambdakit: a method"  # a keyword that nobody else can give

if TYPE_CHECKING:

    @overload
    def handler(
        fn: type[_Instance[P, Awaitable[Any]]] | Callable[P, Awaitable[Any]], /, **options: Unpack[Options]
    ) -> Callable[P, Any]: ...
    @overload
    def handler(fn: type[_Instance[P, R]], /, **options: Unpack[Options]) -> Callable[P, R]: ...
    @overload
    def handler(fn: Callable[P, R], /, **options: Unpack[Options]) -> Callable[P, R]: ...
    @overload
    def handler(**options: Unpack[Options]) -> _Decorate: ...


def handler(
    fn: Any = MISSING,
    /,
    *,
    warmup: Any = True,
    on_ping: Any = None,
    preload: Any = (),
    preload_budget: float = PRELOAD_S,
    reseed: bool = True,
    loop: Any = "asyncio",
    grace: float | None = GRACE_S,
    deadline_margin: float = DEADLINE_MARGIN_S,
    metrics: Any = None,
    on_invocation: Any = (),
) -> Any:
    """Make a function the handler of a Lambda function: ``@handler``, or ``@handler(...)`` with options.

    Pings are answered before any code of the handler runs. Every other event is an invocation, which
    `lambdakit.invocation` tells about. What the handler returns is returned, what it raises is raised, unchanged.

    A coroutine function, or whatever else returns something that can be awaited, runs on an event loop that stays open
    as long as the environment: clients of asyncio and their connections can be kept. Where a loop is already running,
    as in a test that is a coroutine, the call returns a coroutine instead, which runs the invocation there.

    Args:
        fn: a function, a method, or any callable that takes an event and a context, such as a Mangum object. A class is
            made into one instance, without arguments, when it is decorated; its ``__call__`` is the handler. Apply this
            decorator as the outermost, so that pings reach no other.
        warmup: True: the pings that `lambdakit` knows are recognised (lambda-warmer, serverless-plugin-warmup, Thundra,
            Zappa). False: every event reaches the handler. A `Warmup`: which pings, and whether they are passed on to
            more environments. A callable: it gets event and context instead of the built-in recognition, and whatever
            it returns that is true makes the event a ping; if it raises, it is none.
        on_ping: a function without arguments that is called at each ping. If it raises, that is logged.
        preload: what is fetched and opened in INIT, at once and together: declarations (`secret`, `parameter`,
            `parameters`) and functions without arguments, such as ``lambda: lambdakit.client("dynamodb")``. Under a
            Lambda runtime only, when the handler is decorated: importing a handler in a test does nothing, see
            `Environment.preload`. With the extension as backend, and under SnapStart, values wait for the first
            invocation. What fails is logged and never raised here: an error that will not pass by itself is raised at
            the first use of the value, anything else is tried again there, or together if it was throttled.
        preload_budget: seconds for all of `preload`, 0 for none of it. What INIT's limit of 10 s leaves is kept too.
        reseed: seed `random` anew after a SnapStart restore: all environments of a snapshot have its state.
        loop: for coroutines: ``"asyncio"``, or ``"uvloop"`` if that is installed.
        grace: for coroutines: seconds that tasks may still take that the handler has started and not awaited, within
            the remaining time; then they are cancelled, with a warning. 0 cancels them at once. None lets them be: they
            stop with the environment and go on in the next invocation, as a connection pool's own tasks have to.
        deadline_margin: seconds of the remaining time that lambdakit's own I/O leaves for the handler to answer with.
        metrics: a namespace of CloudWatch: one line with the metrics of each invocation is written to standard output,
            also if the handler raises. Default: ``LAMBDAKIT_METRICS_NAMESPACE``; none, if that is not set either.
        on_invocation: a function, or several, called with the `Record` of each invocation at its end. If one raises,
            that is logged.

    Returns:
        A callable of the same signature. A ping is answered with ``{"ping": dialect, "environment": id}``.

    Raises:
        ConfigurationError: `fn` cannot be called or is an async generator, or an option is none of the above.
        MissingDependencyError: uvloop is not installed.

    Since 0.1.
    """
    recognise_ping: Callable[[Any, Any], Any] | None = recognise
    options_of_pings: Warmup | None = None
    if warmup is not True or on_ping is not None:
        from ._warmup.options import checked_pings  # 0.3 ms; not paid by who gives neither

        recognise_ping, options_of_pings = checked_pings(warmup, on_ping)
    options = HandlerOptions(
        recognise=recognise_ping,
        warmup=options_of_pings,
        on_ping=on_ping,
        preload=_checked_items(preload) if preload != () else [],
        preload_budget_s=seconds("preload_budget", preload_budget),
        reseed=flag("reseed", reseed),
        loop=_checked_loop(loop),
        grace_s=grace if grace is None else seconds("grace", grace),
        margin_s=seconds("deadline_margin", deadline_margin),
        observer=_checked_observer(metrics, on_invocation),
        on_first=_observe_where_asked,
    )
    return partial(_decorate, options=options) if fn is MISSING else _decorate(fn, options=options)


def _checked_observer(metrics: Any, on_invocation: Any) -> Observer | None:
    if metrics is None and on_invocation == ():
        return None
    from ._telemetry import Observer  # 0.5 ms; not paid where nobody observes

    return Observer.checked(metrics, on_invocation)


def _checked_loop(loop: Any) -> str:
    if loop == "asyncio":
        return "asyncio"
    from ._event_loop import loop_kind  # 0.3 ms; not paid by who has no coroutines

    return loop_kind(loop)


def _checked_items(preload: Any) -> list[Any]:
    from ._values.preload import checked_items  # 3 ms with all that fetching needs; not paid where nothing is declared

    return checked_items(preload)


def _decorate(given: Any = MISSING, /, *more: Any, options: HandlerOptions) -> Any:
    """The wrapper: `_wrap`, and for a static method or a class method one of the same kind.

    Args:
        given: a function or what can be called like one.
        more: nothing. The runtime has called this with event and context if there is something.
        options: what `handler` was told.
    """
    if more or given is MISSING:
        raise ConfigurationError(
            "lambdakit.handler(...) was given options and no function, and is no handler yet: write it as a decorator, "
            "or handler = lambdakit.handler(function, ...)"
        )
    if issubclass(type(given), (staticmethod, classmethod)):  # a decorator above it; in its class it stays what it is
        return type(given)(_wrap(given.__func__, options))
    return _wrap(given, options)


def _wrap(given: Any, options: HandlerOptions) -> Any:  # noqa: C901 - the steps in their order
    fn = _callable(given)
    kind = kind_of_function(fn)
    if kind == ASYNC_GENERATOR:
        raise ConfigurationError("handler: an async generator cannot be a handler, nothing reads it; return a list")
    is_async = kind == COROUTINE
    if is_async:
        __import__("asyncio")  # 50 ms, which it needs anyway: better in INIT than in the first invocation
    in_class = _stands_in_class(fn)
    recognise_ping, declared = options.recognise, fn
    durable = _durable(fn)
    if durable is not None:
        fn = durable.watched(fn)
        recognise_ping = None if recognise_ping is None else durable.recognising(recognise_ping)
    reply = _answer_ping if durable is None else durable.answering(_answer_ping)
    begin = _begin_of(options)

    def wrapper(event: Any = MISSING, context: Any = MISSING, /, *more: Any, **named: Any) -> Any:
        call = None
        if more or named or context is MISSING:  # not as the runtime calls it
            args = [arg for arg in (event, context) if arg is not MISSING]
            is_method = named.pop(_METHOD, False)
            call = partial(fn, *args, *more, **named)
            event, context = _event_and_context(call.args, named, in_class=in_class, is_method=is_method)
        env = STACK[-1] if STACK else environment()
        if env._running and (outer := _surrounding(env, context)):  # a handler that calls another is one invocation
            if options.observer is not None:
                _observe_too(env, outer, options.observer)
            result = fn(event, context) if call is None else call()
            return result if type(result) in _PLAIN_RESULTS else _nested(env, result, options)
        if recognise_ping is not None and (dialect := recognise_ping(event, context)):
            return reply(env, context, dialect, event, options, is_async=is_async)
        invocation, ends_here = begin(env, context, options), True
        try:
            result = fn(event, context) if call is None else call()
            if type(result) in _PLAIN_RESULTS or not is_awaitable(result):
                return result
            from ._event_loop import EventLoop, finish_later, in_loop  # 0.5 ms, at the first coroutine

            if not in_loop():
                return env._parts[EventLoop].run(result, options)
            ends_here = False
            return finish_later(env, invocation, result)
        except BaseException as error:
            invocation.error = error_name(error)  # not the error itself: its traceback holds this frame
            raise
        finally:
            if ends_here:
                env._end(invocation)

    # By the name that everybody gives it: a static method has no instance before the event.
    decorated = _with_instance(wrapper) if in_class and declared.__code__.co_varnames[:1] in _INSTANCE else wrapper
    wrap(decorated, given)
    decorated.__lambdakit_preload__ = options.preload  # type: ignore[attr-defined] # for `Environment.preload`
    _declare(environment(), declared, options)
    return decorated


def _with_instance(wrapper: Callable[..., Any]) -> Callable[..., Any]:
    """`wrapper` as a method: an instance and an event are no event and context, as which the runtime gives two."""

    def method(*args: Any, **named: Any) -> Any:
        return wrapper(*args, **named, **{_METHOD: True})

    return method


def _declare(env: Environment, fn: Any, options: HandlerOptions) -> None:
    """What a handler wants done in INIT. Done here under a Lambda runtime: INIT ends with the outermost handler."""
    if not options.reseed:
        from ._snap_start import Restore  # 0.3 ms; not paid where nobody says it

        env._parts[Restore].reseed = False
    if options.preload:
        from ._values.preload import Preload  # loaded with the declarations

        env._parts[Preload].declare(options.preload, options.preload_budget_s)
    if env.settings.in_lambda:
        from ._warm_imports import warm_imports  # 0.3 ms; not paid elsewhere

        if options.observer is not None:
            _observe(env)
        _observe_where_asked(env)
        warm_imports(env, fn)
    env._end_init()


def _observe_where_asked(env: Environment) -> None:
    """Make what reports invocations, where the settings want all of them reported."""
    if env.settings.metrics_namespace is not None or env.settings.log:
        _observe(env)


def _observe(env: Environment) -> None:
    from ._telemetry import Telemetry  # 1 ms; in INIT, under a Lambda runtime

    _ = env._parts[Telemetry]


def _begin_of(options: HandlerOptions) -> Callable[[Environment, Any, HandlerOptions], Invocation]:
    if options.observer is None:
        return Environment._begin
    from ._telemetry import Telemetry  # loaded with the observer

    def begin(env: Environment, context: Any, options: HandlerOptions) -> Invocation:
        if Telemetry not in env._made:  # made before the invocation begins
            log_exceptions("telemetry", env._parts.__getitem__, Telemetry)
        return env._begin(context, options)

    return begin


def _preload(env: Environment, items: tuple[Any, ...], budget_s: float) -> None:
    from ._values.preload import Preload  # 3 ms with all that fetching needs

    env._parts[Preload].run(items, budget_s)


Environment._run_preload = _preload  # noqa: SLF001 - what stands above the environment tells it how


def _surrounding(env: Environment, context: Any) -> Invocation | None:
    """The invocation with the same context that this code runs in; None if it begins one of its own."""
    if context is None:
        return None
    inner = lambda_context(context)
    # The SDK of durable functions runs what it decorates in a thread without any context.
    outer = CURRENT.get() if inner is context else env._current()
    return outer if outer is not None and outer.context is inner and outer in env._running else None


def _observe_too(env: Environment, outer: Invocation, observer: Observer) -> None:
    from ._telemetry import Telemetry  # loaded with the observer

    log_exceptions("telemetry", env._parts[Telemetry].observe, outer, observer)


def _durable(fn: Any) -> Any:
    """What knows of durable functions, if `fn` is one."""
    if "aws_durable_execution_sdk_python.execution" not in sys.modules:
        return None
    from ._warmup import durable  # 1 ms; not paid by who has none

    return durable if durable.is_durable(fn) else None


def _nested(env: Environment, result: Any, options: HandlerOptions) -> Any:
    if not is_awaitable(result):
        return result
    from ._event_loop import EventLoop, in_loop  # 0.5 ms, at the first coroutine

    return result if in_loop() else env._parts[EventLoop].run(result, options)


@cache  # an import statement would be a tenth of a ping
def _answer() -> Callable[..., dict[str, str]]:
    from ._warmup.warmer import answer  # 1 ms, at the first ping

    return answer


def _answer_ping(
    env: Environment, context: Any, dialect: str, event: Any, options: HandlerOptions, *, is_async: bool
) -> Any:
    answered = _answer()(env, context, dialect=dialect, event=event, options=options)
    if not is_async:
        return answered
    from ._event_loop import as_coroutine, in_loop  # 0.5 ms, at the first coroutine

    return as_coroutine(answered) if in_loop() else answered


def _callable(given: Any) -> Any:
    if isinstance(given, type):
        return _instance(given)
    if not callable(given):
        hint = " Has what makes the handler forgotten to return it?" if given is None else ""
        raise ConfigurationError(
            f"lambdakit.handler: give a function or another callable, not {type(given).__name__}.{hint}"
        )
    return given


def _instance(cls: type) -> Any:
    if find_in_type(cls, "__call__") is None:
        raise ConfigurationError(f"handler: instances of {cls.__name__} cannot be called; give the class a __call__")
    return cls()


def _stands_in_class(fn: Any) -> bool:
    """Whether the instance may be given first: to a function that stands in a class body.

    Its qualified name tells, so that a handler with a third parameter of its own is not taken for a method.
    """
    scope = fn.__qualname__.rpartition(".")[0] if type(fn) is FunctionType else ""
    return bool(scope) and not scope.endswith("<locals>")


def _event_and_context(
    args: tuple[Any, ...], kwargs: dict[str, Any], *, in_class: bool, is_method: bool
) -> tuple[Any, Any]:
    """Event and context of a call that is not the runtime's: a method's, a test's with keywords, or without context."""
    given = [*args, *(kwargs[name] for name in ("event", "context") if name in kwargs)]
    if is_method or (in_class and len(given) > _ARGUMENTS):  # the instance or the class
        del given[:1]
    given += [None, None]
    return given[0], given[1]
