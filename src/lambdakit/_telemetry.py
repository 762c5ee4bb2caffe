"""What is told of each invocation, and to whom."""

from __future__ import annotations

import sys

from . import _metric_terms as terms
from ._log import warn
from ._metrics import lines
from ._peak import Peak
from ._predecessor import was_ended
from ._process import age_s
from ._record import record_of
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._clock import Instant
    from ._environment import Environment
    from ._invocation import Invocation
    from ._record import Record, Series, Totals

    Listener = Callable[[Record], object]

_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE, without the 5 ms of importing inspect


class Watch:
    """What one handler wants to be told of its invocations.

    Args:
        namespace: of its metrics; None for that of the settings.
        listeners: what is called with each record.
    """

    __slots__ = ("listeners", "namespace")

    def __init__(self, namespace: str | None, listeners: tuple[Listener, ...]) -> None:
        self.namespace = namespace
        self.listeners = listeners

    @classmethod
    def of(cls, metrics: Any, on_invocation: Any) -> Watch:
        """What `handler` was given.

        Raises:
            ConfigurationError: the namespace is none, or a listener cannot be called, or would have to be awaited.
        """
        namespace = None if metrics is None else terms.namespace("metrics", metrics)
        try:
            listeners = (on_invocation,) if callable(on_invocation) else tuple(on_invocation)
        except TypeError:
            listeners = (on_invocation,)
        for listener in listeners:
            if not callable(listener) or _is_coroutine_function(listener):
                raise ConfigurationError(
                    f"on_invocation={listener!r:.80}: give a function of one argument, the record, or several in a "
                    "list; none that has to be awaited"
                )
        return cls(namespace, listeners)


def _is_coroutine_function(fn: Any) -> bool:
    code = getattr(getattr(fn, "__func__", fn), "__code__", None) or getattr(type(fn).__call__, "__code__", None)
    return bool(getattr(code, "co_flags", 0) & _CO_COROUTINE)


class Begun:
    """What was the case when an invocation began, and what its handler has measured since."""

    __slots__ = ("metrics", "pings", "previous", "totals")

    def __init__(self, *, pings: int, previous: str | None, totals: Totals) -> None:
        self.pings = pings
        self.previous = previous
        self.totals = totals
        self.metrics: dict[str, Series] = {}


class Telemetry:
    """What an environment's invocations are told by: records, for metrics, a log line and listeners. Thread-safe.

    Nothing here raises an Exception into an invocation, but for the arguments of `metric`. Invocations that overlap
    count each other's hits and fetches.

    Args:
        environment: the owner.
    """

    __slots__ = ("_before", "_began", "_env", "_init", "_line", "_namespace", "_peak", "_pings", "_told")

    def __init__(self, environment: Environment) -> None:
        self._env = environment
        self._began: dict[Invocation, Begun] = {}
        self._pings = 0  # as of the last record
        self._told: set[object] = set()  # failures that were logged
        self._init: tuple[Instant, float | None] | None = None
        self._before: str | None = ""  # the process before this one; it is asked for when this one begins to serve
        self._peak = Peak()
        self._line: Callable[..., str] | None = None
        if environment.settings.log:
            from ._start_log import line  # 0.2 ms

            self._line = line
        self._namespace: str | None = None
        if environment.settings.metrics_namespace is not None:
            try:
                self._namespace = terms.namespace("LAMBDAKIT_METRICS_NAMESPACE", environment.settings.metrics_namespace)
            except ConfigurationError as error:
                warn("%s; no metrics are written", error)

    def began(self, invocation: Invocation) -> None:
        """An invocation has begun that somebody watches."""
        env = self._env
        if self._before == "":
            self._before = "ended" if was_ended(env.settings) else None
        self._began[invocation] = Begun(pings=env.pings, previous=env.previous or self._before, totals=self._totals())

    def metric(self, invocation: Invocation, name: Any, value: Any, unit: Any) -> None:
        """Keep a metric of the user's until the end of its invocation.

        Raises:
            ConfigurationError: see `lambdakit.metric`.
        """
        begun = self._began.get(invocation)
        if begun is None:  # a ping, or a child that was forked within the invocation
            return
        known = begun.metrics.get(name)
        if known is None:
            known = begun.metrics.setdefault(name, {"unit": unit, "values": []})
        if known["unit"] != unit:
            raise ConfigurationError(
                f"unit={unit!r}: {name!r} has {known['unit']!r} in this invocation; give one of them"
            )
        known["values"].append(value)

    def ended(self, invocation: Invocation) -> None:
        """It is over: write, then call the listeners."""
        begun = self._began.pop(invocation, None)
        if begun is None:  # it was not watched from the start: a child that was forked within it
            return
        try:
            record = self._told_of(invocation, begun)
        except Exception as error:  # noqa: BLE001 - the invocation is the user's; a context may be anything
            self._tell("telemetry", "the end of an invocation could not be told: %s", error)
            return
        for listener in () if invocation.watch is None else invocation.watch.listeners:
            try:
                listener(record.copy())
            except Exception as error:  # noqa: BLE001 - it is not the handler that failed
                name = getattr(listener, "__qualname__", type(listener).__name__)
                self._tell(id(listener), f"on_invocation: {name} raised %s", error)

    def _told_of(self, invocation: Invocation, begun: Begun) -> Record:
        env, now = self._env, self._env.clock.now()
        record = record_of(
            env,
            invocation,
            ended=now,
            pings=begun.pings,
            previous=begun.previous,
            init_s=self._init_s(now),
            import_s=getattr(sys.modules["lambdakit"], "_import_s", None),
            peak_memory_mb=self._peak.mb(),
            before=begun.totals,
            after=self._totals(),
            metrics=begun.metrics,
        )
        env.previous = record["outcome"]
        imports = None
        if env.settings.trace_imports:
            from ._import_times import taken  # loaded by who has them timed

            imports = taken()
        text = ""
        if self._line is not None and record["start_kind"] != "warm":
            text = self._line(record, now[0], imports)
        watch = invocation.watch
        namespace = self._namespace if watch is None or watch.namespace is None else watch.namespace
        if namespace is not None:
            text += lines(record, namespace=namespace, wall_s=now[0], pings=begun.pings - self._pings)
        self._pings = begun.pings
        if text:
            self._write(text)
        return record

    def _write(self, text: str) -> None:
        """One write, so that nothing of another thread's or process's gets into a line."""
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except Exception as error:  # noqa: BLE001 - it may be closed, or None
            self._tell("stdout", "metrics could not be written: %s", error)

    def _tell(self, what: object, message: str, error: Exception) -> None:
        """Log a failure by its type, once."""
        if what not in self._told:
            self._told.add(what)
            warn(message, type(error).__name__)

    def _totals(self) -> Totals:
        memory = self._env.made("memory")
        totals: Totals = (0, 0, 0, 0.0) if memory is None else memory.totals()
        return totals

    def _init_s(self, now: Instant) -> float | None:
        """Seconds from the start of this process to the end of INIT, to 10 ms; found once for each INIT."""
        env = self._env
        if self._init is None or self._init[0] != env.init_ended:
            self._init = env.init_ended, self._found_init_s(now)
        return self._init[1]

    def _found_init_s(self, now: Instant) -> float | None:
        settings = self._env.settings
        # Elsewhere the process was started for something else; and after a restore INIT was in another life.
        if not settings.in_lambda or settings.init_type == "snap-start":
            return None
        process_s = age_s()
        # By the monotonic clock alone: like that of the process's age, it may stand still in a frozen environment.
        return None if process_s is None else max(0.0, process_s - (now[1] - self._env.init_ended[1]))

    def drop_idle(self, now: Instant) -> None:
        """Nothing is connected."""

    def close(self) -> None:
        """Nothing is open."""

    def abandon(self) -> None:
        """In a forked child: nothing was begun here."""
        self._began.clear()

    def __repr__(self) -> str:
        """How many invocations are watched now."""
        return f"<Telemetry invocations={len(self._began)}>"
