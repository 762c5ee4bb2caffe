"""What is reported of each invocation, and to whom."""

from __future__ import annotations

import sys

from .._diagnostics import PLAIN, function_name, kind_of_function, warn
from .._environment import environment
from .._process import Peak, previous_process_crashed, process_age_s
from ..exceptions import ConfigurationError
from . import emf
from .record import outcome_of, record_of, start_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, SupportsFloat

    from .._clock import Instant
    from .._environment import Environment, Invocation
    from .record import Record, Series, Totals

    Listener = Callable[[Record], object]


def metric(name: str, value: SupportsFloat, unit: str = "None") -> None:
    """Add a metric of yours to the line that tells CloudWatch of this invocation.

    The line is written at the end of the invocation, also if the handler raises. Several values of a name are all kept:
    CloudWatch has their number, sum, extremes and percentiles. Listeners find them under ``record["metrics"]``. Where
    nobody listens and no metrics are written (see ``@handler(metrics=...)`` and ``LAMBDAKIT_METRICS_NAMESPACE``), the
    arguments are checked and nothing else happens.

    Args:
        name: 1 to 255 printable ASCII characters, none of lambdakit's own metrics. CloudWatch charges for each name by
            the month: no ids, no names of customers.
        value: a finite number: int, float, or what becomes a float, such as a Decimal. True and False are none.
        unit: one of CloudWatch's: ``"Count"``, ``"Milliseconds"``, ``"Bytes"``, ... Default: ``"None"``, CloudWatch's
            own word for a number without a unit. The same for all values of a name in an invocation.

    Raises:
        ConfigurationError: an argument is none of these.
        LambdakitError: no invocation is running here.

    Thread-safe. Since 0.1.
    """
    env = environment()
    invocation = env.invocation()
    name, number, unit = emf.checked_name(name), emf.checked_value(value), emf.checked_unit(unit)
    if (telemetry := env._parts.peek(Telemetry)) is not None:  # else nobody observes
        telemetry.add_metric(invocation, name, number, unit)


class Observer:
    """What one handler wants to have reported of its invocations.

    Args:
        namespace: of its metrics; None for that of the settings.
        listeners: what is called with each record.
    """

    __slots__ = ("listeners", "namespace")

    def __init__(self, namespace: str | None, listeners: tuple[Listener, ...]) -> None:
        self.namespace = namespace
        self.listeners = listeners

    @classmethod
    def checked(cls, metrics: Any, on_invocation: Any) -> Observer:
        """What `handler` was given.

        Raises:
            ConfigurationError: the namespace is none, or a listener cannot be called, or would have to be awaited.
        """
        namespace = None if metrics is None else emf.checked_namespace("metrics", metrics)
        try:
            listeners = (on_invocation,) if callable(on_invocation) else tuple(on_invocation)
        except TypeError:
            listeners = (on_invocation,)
        for listener in listeners:
            if not callable(listener) or kind_of_function(listener) != PLAIN:
                raise ConfigurationError(
                    f"on_invocation={listener!r:.80}: give a function of one argument, the record, or several in a "
                    "list; none that has to be awaited or read"
                )
        return cls(namespace, listeners)


class InvocationSnapshot:
    """What was the case when an invocation began, and what its handler has measured since."""

    __slots__ = ("metrics", "pings", "previous", "totals")

    def __init__(self, *, pings: int, previous: str | None, totals: Totals) -> None:
        self.pings = pings
        self.previous = previous
        self.totals = totals
        self.metrics: dict[str, Series] = {}


class Telemetry:
    """Reports an environment's invocations: records, for metrics, a log line and listeners. Thread-safe.

    Nothing here raises an Exception into an invocation, but for the arguments of `metric`. Invocations that overlap
    count each other's hits and fetches.
    """

    STARTS_FIRST = True  # what is fetched before the handler runs is fetched for its invocation

    __slots__ = (
        "_all_observed",
        "_before",
        "_env",
        "_init",
        "_namespace",
        "_peak",
        "_pings",
        "_previous",
        "_snapshots",
        "_warned",
    )

    def __init__(self, env: Environment) -> None:
        settings = env.settings
        self._env = env
        self._snapshots: dict[Invocation, InvocationSnapshot] = {}
        self._pings = 0  # as of the last record
        self._previous: str | None = None  # what became of the last invocation
        self._before: str | None = ""  # of the process before this one; looked at when this one begins to serve
        self._warned: set[object] = set()  # failures that were logged
        self._init: tuple[Instant, float | None] | None = None
        self._peak = Peak()
        self._all_observed = settings.metrics_namespace is not None or settings.log
        self._namespace: str | None = None
        if settings.metrics_namespace is not None:
            try:
                self._namespace = emf.checked_namespace("LAMBDAKIT_METRICS_NAMESPACE", settings.metrics_namespace)
            except ConfigurationError as error:
                warn("%s; no metrics are written", error)

    @classmethod
    def of(cls, env: Environment) -> Telemetry:
        """That of an environment."""
        return cls(env)

    def on_start(self, invocation: Invocation, now: Instant) -> None:  # noqa: ARG002 - what every hook is given
        """An invocation begins: remember what its record is compared with, if somebody observes it."""
        if not invocation.number or not (self._all_observed or invocation.options.observer is not None):
            return
        if self._before == "":
            self._before = "ended" if previous_process_crashed(self._env.settings) else None
        self._snapshots[invocation] = InvocationSnapshot(
            pings=self._env.pings, previous=self._previous or self._before, totals=self._totals()
        )

    def add_metric(self, invocation: Invocation, name: str, value: float, unit: str) -> None:
        """Keep a metric of the user's until the end of its invocation.

        Raises:
            ConfigurationError: see `lambdakit.metric`.
        """
        snapshot = self._snapshots.get(invocation)
        if snapshot is None:  # a ping, or a child that was forked within the invocation
            return
        known = snapshot.metrics.get(name)
        if known is None:
            known = snapshot.metrics.setdefault(name, {"unit": unit, "values": []})
        if known["unit"] != unit:
            raise ConfigurationError(
                f"unit={unit!r}: {name!r} has {known['unit']!r} in this invocation; give one of them"
            )
        known["values"].append(value)

    def on_end(self, invocation: Invocation) -> None:
        """It is over: write, then call the listeners."""
        snapshot = self._snapshots.pop(invocation, None)
        self._previous = outcome_of(invocation.error, None)  # as far as is known without a record
        if snapshot is None:  # nobody observes it, or not from its start: a child that was forked within it
            return
        try:
            record = self._build_record(invocation, snapshot)
        except Exception as error:  # noqa: BLE001 - the invocation is the user's; a context may be anything
            self._warn_once("telemetry", "the end of an invocation could not be reported: %s", error)
            return
        self._previous = record["outcome"]
        observer = invocation.options.observer
        for listener in () if observer is None else observer.listeners:
            try:
                listener(record.copy())
            except Exception as error:  # noqa: BLE001 - it is not the handler that failed
                self._warn_once(id(listener), f"on_invocation: {function_name(listener)} raised %s", error)

    def _build_record(self, invocation: Invocation, snapshot: InvocationSnapshot) -> Record:
        env, now, observer = self._env, self._env.clock.now(), invocation.options.observer
        record = record_of(
            env,
            invocation,
            ended=now,
            pings=snapshot.pings,
            previous=snapshot.previous,
            init_s=self._init_s(now),
            import_s=getattr(sys.modules["lambdakit"], "_import_s", None),
            peak_memory_mb=self._peak.mb(),
            before=snapshot.totals,
            after=self._totals(),
            metrics=snapshot.metrics,
        )
        lines = ""
        imports = None
        if env.settings.trace_imports:
            from .._import_times import taken  # loaded by who has them timed

            imports = taken()
        if env.settings.log and record["start_kind"] != "warm":
            lines = start_line(record, now[0], imports)
        namespace = self._namespace if observer is None or observer.namespace is None else observer.namespace
        if namespace is not None:
            lines += emf.lines(record, namespace=namespace, wall_s=now[0], pings=snapshot.pings - self._pings)
        self._pings = snapshot.pings
        if lines:
            self._write(lines)
        return record

    def _write(self, lines: str) -> None:
        """One write, so that nothing of another thread's or process's gets into a line."""
        try:
            sys.stdout.write(lines)
            sys.stdout.flush()
        except Exception as error:  # noqa: BLE001 - it may be closed, or None
            self._warn_once("stdout", "metrics could not be written: %s", error)

    def _warn_once(self, what: object, message: str, error: Exception) -> None:
        """Log a failure by its type, once."""
        if what not in self._warned:
            self._warned.add(what)
            warn(message, type(error).__name__)

    def _totals(self) -> Totals:
        """Hits, fetches, values served stale, and the seconds that fetches took, of all caches together."""
        hits, fetches, stale, upstream_s = 0, 0, 0, 0.0
        for _, cache in [*self._env._caches]:
            more = cache.totals()
            hits += more[0]
            fetches += more[1]
            stale += more[2]
            upstream_s += more[3]
        return hits, fetches, stale, upstream_s

    def _init_s(self, now: Instant) -> float | None:
        """Seconds from the start of this process to the end of INIT, to 10 ms; found once for each INIT."""
        init_ended = self._env._init_ended
        if self._init is None or self._init[0] != init_ended:
            self._init = init_ended, self._find_init_s(now, init_ended)
        return self._init[1]

    def _find_init_s(self, now: Instant, init_ended: Instant) -> float | None:
        settings = self._env.settings
        # Elsewhere the process was started for something else; and after a restore INIT was in another life.
        if not settings.in_lambda or settings.init_type == "snap-start":
            return None
        age_s = process_age_s()
        # By the monotonic clock alone: like that of the process's age, it may stand still in a frozen environment.
        return None if age_s is None else max(0.0, age_s - (now[1] - init_ended[1]))

    def __repr__(self) -> str:
        """How many invocations are observed now."""
        return f"<Telemetry invocations={len(self._snapshots)}>"
