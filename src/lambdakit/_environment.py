"""The two life times: the environment, which owns everything of lambdakit's, and the invocation."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count

from ._clock import Budget, Clock
from ._diagnostics import attribute, log_exceptions, qualified_name, seconds, warn, warn_of
from ._settings import BACKENDS, Settings
from .exceptions import ConfigurationError, LambdakitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, ClassVar, TypeVar

    from ._clock import Instant
    from .backends import Backend

    T = TypeVar("T")

DEADLINE_MARGIN_S = 0.25  # of an invocation, to answer with, once a fetch has failed for lack of time
PRELOAD_S = 5.0  # for everything that is fetched before it is needed: half of what INIT may take
GRACE_S = 1.0  # for tasks that a coroutine handler leaves over: enough for one more request

# Lambda may initialise an environment before anybody asks for it. It does not say so; the first invocation comes later
# than the few milliseconds that lie between INIT and an invocation that has waited for it.
PROACTIVE_S = 10.0

# Lambda's AWS_LAMBDA_INITIALIZATION_TYPE → the kind of the first start. A type that is not here is reported as it is:
# it is not a cold start that a user waited for, as far as anyone can tell.
_FIRST_START = {
    "on-demand": "cold",
    "provisioned-concurrency": "provisioned",
    "snap-start": "restored",
    "lambda-managed-instances": "managed",
}

# The state of the process: the environment that is in use stands last. All else belongs to one of these.
STACK: list[Environment] = []
_lock = threading.Lock()

# The invocation that this context belongs to, or the last one, which runs no more: whoever asks looks whether it does.
# A context variable lives for ever, so it cannot belong to an environment: it is a key, the state is what each context
# holds under it.
CURRENT: ContextVar[Invocation | None] = ContextVar("lambdakit_invocation", default=None)


class HandlerOptions:
    """What `handler` was told of one function, checked. Immutable by convention.

    Attributes:
        recognise: tells the dialect of a ping from event and context; None where every event is the handler's.
        warmup: what is done at a ping; None for the defaults.
        on_ping: the user's hook.
        preload: what is fetched and opened in INIT.
        preload_budget_s: seconds for all of it.
        reseed: whether `random` is seeded anew after a restore.
        loop: the kind of event loop for coroutines.
        grace_s: seconds for tasks that a coroutine leaves over; None lets them be.
        margin_s: seconds of the remaining time that I/O leaves for the handler to answer with.
        observer: who is told of each invocation; None for nobody.
        on_first: called with an environment when its first invocation begins.
    """

    __slots__ = (
        "grace_s",
        "loop",
        "margin_s",
        "observer",
        "on_first",
        "on_ping",
        "preload",
        "preload_budget_s",
        "recognise",
        "reseed",
        "warmup",
    )

    def __init__(
        self,
        *,
        recognise: Callable[[Any, Any], Any] | None = None,
        warmup: Any = None,
        on_ping: Callable[[], object] | None = None,
        preload: list[Any] | tuple[()] = (),
        preload_budget_s: float = PRELOAD_S,
        reseed: bool = True,
        loop: str = "asyncio",
        grace_s: float | None = GRACE_S,
        margin_s: float = DEADLINE_MARGIN_S,
        observer: Any = None,
        on_first: Callable[[Environment], object] | None = None,
    ) -> None:
        self.recognise = recognise
        self.warmup = warmup
        self.on_ping = on_ping
        self.preload = preload
        self.preload_budget_s = preload_budget_s
        self.reseed = reseed
        self.loop = loop
        self.grace_s = grace_s
        self.margin_s = margin_s
        self.observer = observer
        self.on_first = on_first


_DEFAULTS = HandlerOptions()
_IDLE_CHECK_NOW = (0.0, 0.0)
_MAX_DECORATED = 100  # names
_SET_BACK_S = 1.0  # of the wall clock against the other one; less is no more than two readings may differ
# Whose contexts count to the deadline of the invocation: past it, no time is left. Others' count from a default.
_COUNT_TO_DEADLINE = frozenset(("awslambdaric.lambda_context", "lambdakit.testing"))
_new = object.__new__


class Invocation:
    """One call of the handler. The environment makes it, when it begins.

    Attributes:
        number: 1 for the first invocation of this environment; pings are not counted.
        start_kind: ``cold``, ``proactive``, ``provisioned``, ``restored``, ``managed`` or ``warm``; or Lambda's own
            word for an initialisation type that is not known here.
        context: the Lambda context as the runtime passed it; None where the handler was called without one.
        error: the name of the type of what the handler raised, or None.
        started: when it began, by both clocks.
        options: what `handler` was told.
    """

    __slots__ = ("_init_ended", "_outer", "context", "error", "number", "options", "start_kind", "started")

    context: Any
    number: int
    start_kind: str
    started: Instant
    options: HandlerOptions
    error: str | None
    _init_ended: Instant
    _outer: Invocation | None  # which this one has begun in

    @property
    def is_cold_start(self) -> bool:
        """True if a user waited for the INIT of this environment: the start kind is ``cold``."""
        return self.start_kind == "cold"

    @property
    def request_id(self) -> str | None:
        """Lambda's id of this request, or None where the context has none."""
        return text_of(lambda_context(self.context), "aws_request_id")

    @property
    def init_to_invoke_s(self) -> float:
        """Seconds from the end of INIT to the start of this invocation, suspended time included."""
        return between_s(self._init_ended, self.started)

    @property
    def margin_s(self) -> float:
        """Seconds of the remaining time that I/O of lambdakit's leaves for the handler to answer with."""
        return self.options.margin_s

    def remaining_s(self) -> float | None:
        """Seconds until Lambda ends this invocation, never below 0; None where the context does not know.

        Contexts of local runners and mocks often do not: they have no such method, or it raises, tells no number, or
        nothing above 0. Only Lambda's own context and `lambdakit.testing.FakeContext` can say that no time is left.
        """
        context = lambda_context(self.context)
        method = attribute(context, "get_remaining_time_in_millis")
        if not callable(method):
            return None
        try:
            remaining_ms = method()
        except Exception:  # noqa: BLE001 - such as NotImplementedError: whoever asks has nothing to do with it
            return None
        if isinstance(remaining_ms, (int, float)):
            if remaining_ms > 0:
                return remaining_ms / 1000.0
            if not _COUNT_TO_DEADLINE.isdisjoint([base.__module__ for base in type(context).__mro__]):
                return 0.0
        return None

    def left_s(self) -> float | None:
        """Seconds that I/O of lambdakit's may take; below 0 when it must not begin, None for no limit."""
        remaining_s = self.remaining_s()
        return None if remaining_s is None else remaining_s - self.options.margin_s

    def __repr__(self) -> str:
        """Number, start kind and request id."""
        return f"<Invocation {self.number} {self.start_kind} request_id={self.request_id}>"


def lambda_context(context: Any) -> Any:
    """The Lambda context: `context` itself, or what the context of a durable function holds."""
    durable: Any = sys.modules.get("aws_durable_execution_sdk_python.context")
    is_durable = durable is not None and issubclass(type(context), durable.DurableContext)
    return context.lambda_context if is_durable else context


def text_of(context: Any, name: str) -> str | None:
    """A text of a Lambda context; None where it has none of this name. Those of mocks may answer anything, or raise."""
    try:
        value = getattr(context, name, None)
    except Exception:  # noqa: BLE001 - whoever asks has nothing to do with it
        return None
    return value if isinstance(value, str) and value else None


def error_name(error: BaseException) -> str | None:
    """The name of the type of what a handler has raised; None if a durable function is suspended by it, and goes on."""
    durable: Any = sys.modules.get("aws_durable_execution_sdk_python.exceptions")
    return None if durable is not None and isinstance(error, durable.SuspendExecution) else type(error).__name__


def start_kind(init_type: str | None, pings: int, init_to_invoke_s: float) -> str:
    """How the environment of a first invocation came to be; those after it are ``warm``.

    Args:
        init_type: Lambda's own word, or None outside Lambda, where a first call counts as ``cold``.
        pings: how many pings the environment has answered before. After one, no user waits for a start.
        init_to_invoke_s: seconds from the end of INIT to the invocation.
    """
    if pings:
        return "warm"
    if init_type is None:
        return "cold"
    if init_type == "on-demand" and init_to_invoke_s > PROACTIVE_S:
        return "proactive"
    return _FIRST_START.get(init_type, init_type)


def between_s(earlier: Instant, later: Instant) -> float:
    """Seconds between two readings of the clocks, suspended time included."""
    return max(later[0] - earlier[0], later[1] - earlier[1])


class Parts:
    """What an environment owns, by class, each made at its first use. Thread-safe.

    A part is made by ``Values.of(environment)``, which every such class has; its explicit constructor is for tests.
    Parts may have these hooks, looked up once:

    - ``on_start(invocation, now)`` and ``on_end(invocation)``: an invocation begins, and has ended. A ping begins as an
      invocation with the number 0, and does not end.
    - ``on_ping(now, within_s)``: a ping is answered; renew what would expire within so many seconds.
    - ``close_idle(now) -> float | None``: close what has been idle for too long at `now`. The answer: seconds until the
      next has been; None if nothing is idle.
    - ``close()``: give up everything; what is used again opens again.
    - ``renew()``: around a snapshot: no value is kept, nothing stays connected. Default: ``close()``.
    - ``after_fork_in_child() -> bool``: in a forked child, without any lock of the parent's: True if the part lives on.
    - ``status() -> dict``: what ``repr(environment())`` says of it: names and numbers, never a value.

    A class with ``STARTS_FIRST = True`` is told before all others that an invocation begins: what they do then is part
    of it. One with ``CLOSES_LAST = True`` is closed after all others.

    Attributes:
        made: those that were needed so far.
    """

    __slots__ = ("_environment", "_lock", "close_idle", "made", "on_end", "on_ping", "on_start")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._lock = threading.RLock()  # a part is made of others
        self.made: dict[type[Any], Any] = {}
        self.on_start: tuple[Callable[[Invocation, Instant], object], ...] = ()
        self.on_end: tuple[Callable[[Invocation], object], ...] = ()
        self.on_ping: tuple[Callable[[Instant, float], object], ...] = ()
        self.close_idle: tuple[Callable[[Instant], float | None], ...] = ()

    def __getitem__(self, kind: type[T]) -> T:
        """A part, made now if it was not needed so far."""
        part: Any = self.made.get(kind)
        if part is None:
            with self._lock:
                part = self.made.get(kind)  # by now another thread may have been faster
                if part is None:
                    part = kind.of(self._environment)  # type: ignore[attr-defined] # see the class
                    self.put(kind, part)
        made: T = part
        return made

    def peek(self, kind: type[T]) -> T | None:
        """A part if it was made; None if it was not needed so far."""
        return self.made.get(kind)

    def put(self, kind: type[T], part: T) -> None:
        """Own a part that exists."""
        self.made[kind] = part
        for hook in ("on_start", "on_end", "on_ping", "close_idle"):
            if hasattr(kind, hook):
                setattr(self, hook, (*getattr(self, hook), getattr(part, hook)))
        if getattr(kind, "STARTS_FIRST", False):
            self.on_start = (self.on_start[-1], *self.on_start[:-1])
        if hasattr(kind, "close_idle"):
            self._environment._idle_due = _IDLE_CHECK_NOW  # the part itself knows when it has to be asked next

    def in_closing_order(self) -> list[Any]:
        """The last made first; at the end what others need for closing."""
        with self._lock:
            parts = [*self.made.values()]
        parts.reverse()
        parts.sort(key=lambda part: getattr(type(part), "CLOSES_LAST", False))  # which keeps the order of the others
        return parts


class Environment:
    """Everything of lambdakit's that lives as long as Lambda's execution environment.

    A process has one, made at first use, a forked child an empty one. Tests make their own, see `use_environment`.

    Args:
        settings: default: read from this process's environment variables.
        clock: default: the machine's clocks. `lambdakit.testing.ManualClock` is one that tests move by hand.
        backend: where values are fetched from: ``"direct"`` (lambdakit's own signed requests), ``"sdk"`` (botocore),
            ``"extension"`` (AWS's local cache, with ``auto`` behind it), ``"auto"`` (direct where it equals botocore,
            else the SDK), or an object such as `lambdakit.testing.MemoryBackend`; see `lambdakit.backends.Backend`.
            Default: ``LAMBDAKIT_BACKEND``, then ``auto``.

    Attributes:
        id: eight characters that tell this environment from others in logs; another one after a restore.
        settings: what was read from the environment variables.
        clock: both clocks.
        invocations: how many invocations have begun.
        pings: how many pings were answered.
    """

    __slots__ = (
        "__weakref__",
        "_backend",
        "_born",
        "_budget",
        "_caches",
        "_clocks_apart_s",
        "_decorated",
        "_idle_due",
        "_init_ended",
        "_made",
        "_numbers",
        "_parts",
        "_ping_numbers",
        "_running",
        "clock",
        "id",
        "invocations",
        "pings",
        "settings",
    )

    # What runs `preload`. The module of the decorator sets it: the environment knows no feature.
    _run_preload: ClassVar[Callable[[Environment, tuple[Any, ...], float], None]]

    def __init__(
        self, *, settings: Settings | None = None, clock: Clock | None = None, backend: Backend | str | None = None
    ) -> None:
        self.settings = Settings.from_environ() if settings is None else settings
        self.clock = Clock() if clock is None else clock
        self._backend: Backend | str = self.settings.backend if backend is None else backend
        if isinstance(self._backend, str) and self._backend not in BACKENDS:
            raise ConfigurationError(
                f"backend={self._backend!r}: give one of {', '.join(BACKENDS)}, or an object that is one"
            )
        if isinstance(self._backend, type):
            raise ConfigurationError(f"backend: give an object, not the class {self._backend.__name__}")
        self._start()
        for problem in self.settings.problems:
            warn("%s", problem)

    def _start(self) -> None:
        """Everything that a forked child must not share with its parent."""
        self.id = os.urandom(4).hex()
        self.invocations = 0
        self.pings = 0
        self._numbers = count(1)
        self._ping_numbers = count(1)
        self._running: set[Invocation] = set()
        self._born = self._init_ended = self.clock.now()
        self._idle_due = self._next_idle_check(self._born, None)
        self._clocks_apart_s = self._born[0] - self._born[1]
        self._budget = Budget(clock=self.clock, invocation=self._left_s)
        self._caches: list[tuple[str | None, Any]] = []  # each with the function whose results it keeps; None: values
        self._decorated: dict[str, bool] = {}  # functions, in invocations: whether a warning has told of it
        self._parts = Parts(self)
        self._made = self._parts.made

    def preload(self, *items: Any, budget: float = PRELOAD_S) -> None:
        """Fetch and open now what handlers have declared, as it happens in INIT under a Lambda runtime.

        Args:
            items: what to preload instead: declarations such as `lambdakit.secret`, functions without arguments, or
                handlers, which stand for what they declare: tests have other environments than their imports had.
            budget: seconds for all of it together; INIT's own limit is kept too, where this process is in INIT.

        Nothing is raised but a `ConfigurationError` for an item that is none of these; what fails is logged. Since 0.1.
        """
        Environment._run_preload(self, items, seconds("budget", budget))

    def invocation(self) -> Invocation:
        """The invocation that this code runs in.

        Raises:
            LambdakitError: there is none.
        """
        invocation = self._current()
        if invocation is None:
            raise LambdakitError(
                "no invocation is running here: call this from a handler decorated with @lambdakit.handler, "
                "not at import and not after the handler has returned"
            )
        return invocation

    def close(self) -> None:
        """Drop values and close connections. The environment can be used again afterwards; it starts empty."""
        for part in self._parts.in_closing_order():
            if hasattr(type(part), "close"):
                part.close()

    # What follows is lambdakit's own, for features; the linter knows these names.

    def _end_init(self) -> None:
        """INIT ends with the outermost handler, as far as anyone can tell."""
        self._init_ended = self.clock.now()

    def _begin(self, context: Any, options: HandlerOptions = _DEFAULTS, *, is_ping: bool = False) -> Invocation:
        """An invocation begins; pair it with `_end`. A ping is one with the number 0; pair it with `_leave`."""
        now = wall_s, monotonic_s = self.clock.now()
        invocation: Invocation = _new(Invocation)  # its fields are set here: a call of `__init__` costs 0.1 µs
        if is_ping:
            self.pings = next(self._ping_numbers)
            invocation.number = 0
            invocation.start_kind = "ping"
        else:
            self.invocations = invocation.number = number = next(self._numbers)
            invocation.start_kind = "warm" if number > 1 else self._first_start_kind(now, options)
        invocation.context = context
        invocation.started = now
        invocation.options = options
        invocation.error = None
        invocation._init_ended = self._init_ended
        running = self._running
        invocation._outer = outer if running and (outer := CURRENT.get()) in running else None
        running.add(invocation)
        CURRENT.set(invocation)
        due_wall_s, due_monotonic_s = self._idle_due
        apart_s = wall_s - monotonic_s
        try:
            if wall_s >= due_wall_s or monotonic_s >= due_monotonic_s or apart_s < self._clocks_apart_s - _SET_BACK_S:
                self._close_idle(now)
            self._clocks_apart_s = apart_s
            for hook in self._parts.on_start:
                try:
                    hook(invocation, now)
                except Exception as error:  # noqa: BLE001 - the handler runs all the same; free where none is
                    warn_of("an invocation begins", error)
        except BaseException:  # such as KeyboardInterrupt: the handler does not run, and nobody is going to end it
            running.discard(invocation)
            raise
        return invocation

    def _first_start_kind(self, now: Instant, options: HandlerOptions) -> str:
        if options.on_first is not None:
            log_exceptions("a first invocation begins", options.on_first, self)
        return start_kind(self.settings.init_type, self.pings, between_s(self._init_ended, now))

    def _end(self, invocation: Invocation) -> None:
        """The invocation is over, whether it returned or raised."""
        try:
            for hook in self._parts.on_end:
                try:
                    hook(invocation)
                except Exception as error:  # noqa: BLE001 - what the handler did is told; as above
                    warn_of("an invocation has ended", error)
        finally:  # who asks for it from now on finds that it is not running any more
            self._running.discard(invocation)  # it is not there in a child that was forked within it

    def _leave(self, invocation: Invocation) -> None:
        """A ping is over."""
        self._running.discard(invocation)

    def _close_idle(self, now: Instant) -> None:
        """Close connections that may have died while the environment was frozen."""
        waits_s: list[float] = []

        def close(hook: Callable[[Instant], float | None]) -> None:
            if (wait_s := hook(now)) is not None:
                waits_s.append(wait_s)

        for hook in self._parts.close_idle:
            log_exceptions("idle connections could not be closed", close, hook)
        self._idle_due = self._next_idle_check(now, min(waits_s, default=None))

    def _next_idle_check(self, now: Instant, wait_s: float | None) -> Instant:
        """The instant of the next check, unless the wall clock is set back: then nobody knows how old anything is.

        What is not idle now will be used first, and idle for too long no sooner than the setting says from now on. So
        between two checks an invocation compares a few numbers, whatever the environment owns.
        """
        max_idle_s = self.settings.max_idle_s
        wait_s = max_idle_s if wait_s is None else min(max(0.0, wait_s), max_idle_s)
        return now[0] + wait_s, now[1] + wait_s

    def _current(self) -> Invocation | None:
        """The invocation that this code runs in, or None outside one.

        A thread that the handler started has no context of its own; it belongs to the invocation that is running, if
        there is only one.
        """
        running = self._running
        if not running:
            return None
        invocation = CURRENT.get()
        while invocation is not None:
            if invocation in running:
                return invocation
            invocation = invocation._outer
        several = [*running.copy()]  # one step: other threads begin and end invocations meanwhile
        return several[0] if len(several) == 1 else None

    def _left_s(self) -> float | None:
        invocation = self._current()
        return None if invocation is None else invocation.left_s()

    def _renew(self) -> None:
        """Around a snapshot: no value is kept, nothing stays connected. SDK clients stay the objects that they are."""
        for part in self._parts.in_closing_order():
            kind = type(part)
            if hasattr(kind, "renew"):
                part.renew()
            elif hasattr(kind, "close"):
                part.close()

    def _become_another(self) -> None:
        """After a restore: other environments of the same snapshot have the same memory."""
        self.id = os.urandom(4).hex()
        self._end_init()
        self._renew()  # hooks that ran before ours may have fetched

    def _after_fork_in_child(self) -> None:
        """Start empty. No lock and no connection of the parent's is touched."""
        parts = [*self._made.items()]
        self._start()
        for kind, part in parts:
            if hasattr(kind, "after_fork_in_child") and part.after_fork_in_child():
                self._parts.put(kind, part)

    def __repr__(self) -> str:
        """What it holds, by number: never a value. Nothing is made for it."""
        told: dict[str, object] = {"backend": self._backend if isinstance(self._backend, str) else self._backend.name}
        for one in [*self._made.values()]:
            if hasattr(type(one), "status"):
                told |= one.status()
        state = " ".join(f"{name}={value}" for name, value in told.items())
        return f"<Environment {self.id} invocations={self.invocations} pings={self.pings} {state}>"


def environment() -> Environment:
    """The environment of this process, made at the first call.

    Thread-safe. Since 0.1.
    """
    return STACK[-1] if STACK else _first()


def part(kind: type[T]) -> T:
    """A part of the environment of this process."""
    try:
        found: T = STACK[-1]._made[kind]
    except (IndexError, KeyError):
        return environment()._parts[kind]
    return found


def warn_of_decorating(decorator: str, fn: Any) -> None:
    """Warn once of a function that is decorated anew in each invocation: nothing is kept of it for the next one.

    One that is made in an invocation is told of at once; any other the second time: a module may be imported in one.
    """
    env = STACK[-1] if STACK else None
    if env is None or env._current() is None or len(env._decorated) >= _MAX_DECORATED:
        return
    name = qualified_name(fn)
    told = env._decorated.get(name)
    if told is None and "<locals>" not in name:
        env._decorated[name] = False
    elif not told:
        env._decorated[name] = True
        warn(
            "%s: %s is decorated within an invocation, and what is kept of it goes with it. "
            "Decorate it once, at the level of the module",
            decorator,
            name,
        )


def _first() -> Environment:
    with _lock:
        if not STACK:  # another thread may have been faster
            STACK.append(Environment())
        return STACK[-1]


@contextmanager
def use_environment(env: Environment) -> Iterator[Environment]:
    """Put `env` in the place of the process's environment for the length of a ``with`` block.

    It nests, and restores what was there before, also when the block raises. `env` is not closed. For the whole
    process, not for a thread: a test replaces what handlers in all its threads use. Since 0.1.

    Raises:
        ConfigurationError: `env` is no `Environment`.
    """
    if not issubclass(type(env), Environment):
        raise ConfigurationError(f"use_environment: give an Environment, not {type(env).__name__}")
    at = len(STACK)
    STACK.append(env)
    try:
        yield env
    finally:
        del STACK[at:]


def invocation() -> Invocation:
    """The invocation that this code runs in: its number, start kind, request id and remaining time.

    Raises:
        LambdakitError: no invocation is running here, such as at import or after the handler has returned.

    Right in threads that the handler starts too, as long as one invocation runs at a time. Since 0.1.
    """
    return environment().invocation()


def is_cold_start() -> bool:
    """True if a user waited for the INIT of this environment: the start kind of this invocation is ``cold``.

    False for warm invocations, provisioned concurrency, and the first invocation after a ping; False outside an
    invocation. Never raises. Since 0.1.
    """
    running = environment()._current()
    return running is not None and running.is_cold_start


def remaining_s() -> float | None:
    """Seconds until Lambda ends this invocation, never below 0.

    None outside an invocation, and where the context does not know, as in a test that passes None. Since 0.1.
    """
    running = environment()._current()
    return None if running is None else running.remaining_s()


def _forget_imports_of_others() -> None:
    """Have modules imported anew that other threads of the parent were importing at the fork.

    No such thread is here to end its import, so whoever needs the module would wait for ever for its lock. Where this
    interpreter's import system does not show who holds which, nothing is done.
    """
    locks: dict[str, Any] = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})
    me = threading.get_ident()
    for name, lock in [*locks.items()]:
        owner = getattr(lock(), "owner", me)
        if owner != me:
            del locks[name]  # or a thread was just taking it, or giving it back
            if owner is not None and getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False):
                for each in [each for each in sys.modules if f"{each}.".startswith(f"{name}.")]:
                    del sys.modules[each]  # a part that is whole would not be an attribute of the new package


def _in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()
    _forget_imports_of_others()
    for env in dict.fromkeys(STACK):
        env._after_fork_in_child()


os.register_at_fork(after_in_child=_in_child)
