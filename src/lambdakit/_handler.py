"""The decorator: the order of the steps of an invocation."""

from __future__ import annotations

from functools import partial, update_wrapper

from . import _current
from ._budget import PRELOAD_S
from ._check import flag, seconds
from ._environment import DEADLINE_MARGIN_S
from ._invocation import CURRENT
from ._warmup import recognise
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Any, Literal, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, overload

    from ._declared import Declared as Declaration
    from ._environment import Environment
    from ._record import Record
    from ._telemetry import Watch
    from ._warmup_options import Warmup

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


_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE, without the 5 ms of importing inspect
_CO_ASYNC_GENERATOR = 0x200  # inspect.CO_ASYNC_GENERATOR
_GRACE_S = 1.0  # for tasks that a handler has left over: enough for one more request
# Nothing that can be awaited, and most of what handlers return: to ask these for an attribute would cost more.
_PLAIN = frozenset({dict, str, type(None), list, int, bool, float, bytes})

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
    fn: Any = None,
    /,
    *,
    warmup: Any = True,
    on_ping: Any = None,
    preload: Any = (),
    preload_budget: float = PRELOAD_S,
    reseed: bool = True,
    loop: Any = "asyncio",
    grace: float | None = _GRACE_S,
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
    ping: Callable[[Any, Any], Any] | None = recognise
    about: dict[str, Any] = {"warmup": None, "on_ping": None}
    if warmup is not True or on_ping is not None:
        from ._handler_options import pings  # 0.1 ms; not paid by who gives neither

        ping, about = pings(warmup, on_ping)
    options = {
        "preload": _items(preload) if preload != () else [],
        "budget_s": seconds("preload_budget", preload_budget),
        "reseed": flag("reseed", reseed),
    }
    decorate = partial(
        _decorate,
        ping=ping,
        about=about,
        options=options,
        on={"kind": _kind(loop), "grace_s": grace if grace is None else seconds("grace", grace)},
        margin_s=seconds("deadline_margin", deadline_margin),
        watch=_watch(metrics, on_invocation),
    )
    return decorate if fn is None else decorate(fn)


def _watch(metrics: Any, on_invocation: Any) -> Watch | None:
    if metrics is None and on_invocation == ():
        return None
    from ._telemetry import Watch  # 0.5 ms; not paid where nobody watches

    return Watch.of(metrics, on_invocation)


def _kind(loop: Any) -> str:
    if loop == "asyncio":
        return "asyncio"
    from ._loop import loop_kind  # 0.3 ms; not paid by who has no coroutines

    return loop_kind(loop)


def _items(preload: Any) -> list[Any]:
    from ._preload import checked  # 0.5 ms; not paid where nothing is declared

    return checked(preload)


def _decorate(
    given: Any,
    /,
    *,
    ping: Callable[[Any, Any], Any] | None,
    about: dict[str, Any],
    options: dict[str, Any],
    on: dict[str, Any],
    margin_s: float,
    watch: Watch | None,
) -> Any:
    """The wrapper.

    Args:
        given: a function or what can be called like one.
        ping: recognises pings.
        about: what to do about one, see `Environment.ping`.
        options: for INIT, see `Environment.declare`.
        on: what coroutines run on, see `Loop.run`.
        margin_s: see `Environment.begin`.
        watch: see there.
    """
    fn = _callable(given)
    is_async = _is_async(fn)
    if is_async:
        __import__("asyncio")  # 50 ms, which it needs anyway: better in INIT than in the first invocation
    # A function that stands in a class body is called with the instance first. Its qualified name tells, so that a
    # handler with a third parameter of its own is not taken for a method.
    scope = getattr(fn, "__qualname__", "").rpartition(".")[0]
    in_class = bool(scope) and not scope.endswith("<locals>") and not hasattr(fn, "__self__")

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != 2:  # noqa: PLR2004 - event and context, as the runtime calls it
            event, context = _event_and_context(args, kwargs, in_class=in_class)
        else:
            event, context = args
        env = _current.environment()
        running = CURRENT.get()
        if running is not None and running.context is context and context is not None:
            result = fn(*args, **kwargs)  # a decorated handler that calls another is one invocation
            return result if result.__class__ in _PLAIN else _nested(env, result, on)
        if ping is not None and (dialect := ping(event, context)):
            answer = env.ping(context, dialect=dialect, event=event, **about)
            return _answered(answer) if is_async else answer
        invocation, ends_here = env.begin(context, margin_s, watch), True
        try:
            result = fn(*args, **kwargs)
            if result.__class__ in _PLAIN or not hasattr(result, "__await__"):
                return result
            from ._running import in_loop, rest  # 0.2 ms at the first coroutine

            if not in_loop():
                return env.loop.run(result, **on)
            ends_here = False
            return rest(env, invocation, result)
        except BaseException as error:
            invocation.error = type(error).__name__  # not the error itself: its traceback holds this frame
            raise
        finally:
            if ends_here:
                env.end(invocation)

    update_wrapper(wrapper, given)
    wrapper.__lambdakit_preload__ = options["preload"]  # type: ignore[attr-defined] # for `Environment.preload`
    _current.environment().declare(**options)
    return wrapper


def _nested(env: Environment, result: Any, on: dict[str, Any]) -> Any:
    from ._running import in_loop

    return env.loop.run(result, **on) if hasattr(result, "__await__") and not in_loop() else result


def _answered(answer: Any) -> Any:
    from ._running import answered, in_loop

    return answered(answer) if in_loop() else answer


def _callable(given: Any) -> Any:
    if isinstance(given, type):
        return _instance(given)
    if not callable(given):
        raise ConfigurationError(f"handler: give a function or another callable, not {type(given).__name__}")
    return given


def _instance(cls: type) -> Any:
    if not any("__call__" in vars(base) for base in cls.__mro__):
        raise ConfigurationError(f"handler: instances of {cls.__name__} cannot be called; give the class a __call__")
    return cls()


def _event_and_context(args: tuple[Any, ...], kwargs: dict[str, Any], *, in_class: bool) -> tuple[Any, Any]:
    """Event and context of a call that is not the runtime's: a method's, a test's with keywords, or without context."""
    given = [*args, *(kwargs[name] for name in ("event", "context") if name in kwargs)]
    if in_class and len(given) > 2:  # noqa: PLR2004 - more than event and context: the instance or the class
        del given[0]
    given += [None, None]
    return given[0], given[1]


def _is_async(fn: Any) -> bool:
    """Whether a call is known to return a coroutine. Where it is not, the result tells."""
    while isinstance(fn, partial):
        fn = fn.func
    flags = _flags(fn) | _flags(_call_of(fn))
    if flags & _CO_ASYNC_GENERATOR:
        raise ConfigurationError("handler: an async generator cannot be a handler, nothing reads it; return a list")
    return bool(flags & _CO_COROUTINE)


def _call_of(fn: Any) -> Any:
    return next((vars(base)["__call__"] for base in type(fn).__mro__ if "__call__" in vars(base)), None)


def _flags(fn: Any) -> int:
    code = getattr(getattr(fn, "__func__", fn), "__code__", None)
    return getattr(code, "co_flags", 0)
