"""What is reported of each invocation, and to whom."""

from __future__ import annotations

import sys
import threading

from .._diagnostics import PLAIN, function_name, kind_of_function, warn
from .._environment import CURRENT, environment
from .._process import Peak, previous_process_crashed, process_age_s
from ..exceptions import ConfigurationError
from . import emf
from .record import outcome_of, record_of, start_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, SupportsFloat

    from .._clock import Instant
    from .._environment import Environment, Invocation
    from .record import Record, Series, Totals

    Listener = Callable[[Record], object]


def metric(
    name: str,
    value: SupportsFloat,
    unit: str = "None",
    *,
    resolution: int = emf.MINUTE,
    dimensions: Mapping[str, str] | None = None,
) -> None:
    """Add a metric of yours to the line that tells CloudWatch of this invocation.

    The line is written at the end of the invocation, also if the handler raises. Several values of a name are all kept:
    CloudWatch has their number, sum, extremes and percentiles. Listeners find them under ``record["metrics"]``. Where
    nobody listens and no metrics are written (see ``@handler(metrics=...)`` and ``LAMBDAKIT_METRICS_NAMESPACE``), the
    arguments are checked and nothing else happens. Outside an invocation neither, but for a line at the level DEBUG.

    Args:
        name: 1 to 255 printable ASCII characters, none of lambdakit's own metrics. CloudWatch charges for each name by
            the month: no ids, no names of customers.
        value: a finite number: int, float, or what becomes a float, such as a Decimal. True and False are none.
        unit: one of CloudWatch's: ``"Count"``, ``"Milliseconds"``, ``"Bytes"``, ... Default: ``"None"``, CloudWatch's
            own word for a number without a unit. The same for all values of a name in an invocation.
        resolution: seconds: 60, the default, or 1 for a metric of high resolution. The same for all values of a name.
        dimensions: names to values, up to 29, beside the function's name, which each metric has: ``{"Route": "/pay"}``.
            Each combination of values is a metric by itself, and is paid for. None: no more.

    Raises:
        ConfigurationError: an argument is none of these.

    A thread that outlives the invocation it was started in counts to none. A worker of `concurrent.futures` counts to
    the invocation that is running: it may have been kept for that. Thread-safe. Since 0.1.
    """
    name, number, unit = emf.checked_name(name), emf.checked_value(value), emf.checked_unit(unit)
    resolution, own = emf.checked_resolution(resolution), emf.checked_dimensions(dimensions, name)
    env = environment()
    telemetry = env._parts.peek(Telemetry)
    if (invocation := env._current()) is None or (telemetry is not None and not telemetry.counts(invocation)):
        import logging  # loaded by the runtime client; 5 ms elsewhere

        logging.getLogger("lambdakit").debug("metric %r: no invocation is running here", name)
    elif telemetry is not None:  # else nobody observes
        telemetry.add_metric(invocation, name, number, unit, resolution=resolution, dimensions=own)


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
    """What was the case when an invocation began, and what its handler has measured since.

    Attributes:
        observers: of its handler, and of handlers that this one has called.
        threads: those that there were already, but for this one.
    """

    __slots__ = ("metrics", "observers", "pings", "previous", "threads", "totals")

    def __init__(
        self, *, pings: int, previous: str | None, totals: Totals, observer: Observer | None, threads: list[Any]
    ) -> None:
        self.pings = pings
        self.previous = previous
        self.totals = totals
        self.observers = [] if observer is None else [observer]
        self.threads = threads
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
        "_level",
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
        self._level = emf.level_of(settings.environ)
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
        observer = invocation.options.observer
        if invocation.number and (self._all_observed or observer is not None):
            self._remember(invocation, observer)

    def _remember(self, invocation: Invocation, observer: Observer | None) -> None:
        if self._before == "":
            self._before = "ended" if previous_process_crashed(self._env.settings) else None
        mine = threading.current_thread()
        threads = [thread for thread in threading.enumerate() if thread is not mine]
        self._snapshots[invocation] = InvocationSnapshot(
            pings=self._env.pings,
            previous=self._previous or self._before,
            totals=self._totals(),
            observer=observer,
            threads=threads,
        )

    def observe(self, invocation: Invocation, observer: Observer) -> None:
        """A decorated handler is called by another one, within its invocation: whoever observes it is told too."""
        snapshot = self._snapshots.get(invocation)
        if snapshot is None:
            self._remember(invocation, observer)
        elif observer not in snapshot.observers:
            snapshot.observers.append(observer)

    def counts(self, invocation: Invocation) -> bool:
        """Whether what this thread measures is of `invocation`: it runs in it, or was started in it."""
        mine = CURRENT.get()
        one = mine
        while one is not None:
            if one is invocation:
                return True
            one = one._outer
        thread = threading.current_thread()
        pools = sys.modules.get("concurrent.futures.thread")
        if thread in getattr(pools, "_threads_queues", ()):  # kept for whoever has work
            return True
        snapshot = self._snapshots.get(invocation)
        return mine is None and (snapshot is None or thread not in snapshot.threads)

    def add_metric(
        self,
        invocation: Invocation,
        name: str,
        value: float,
        unit: str,
        *,
        resolution: int,
        dimensions: dict[str, str],
    ) -> None:
        """Keep a metric of the user's until the end of its invocation.

        Raises:
            ConfigurationError: see `lambdakit.metric`.
        """
        snapshot = self._snapshots.get(invocation)
        if snapshot is None:  # a ping, or a child that was forked within the invocation
            return
        key = ",".join([name, *map("=".join, dimensions.items())]) if dimensions else name
        known = snapshot.metrics.get(key)
        if known is None:
            new: Series = {"unit": unit, "values": []}
            if resolution != emf.MINUTE:
                new["resolution"] = resolution
            if dimensions:
                new["name"], new["dimensions"] = name, dimensions
            known = snapshot.metrics.setdefault(key, new)
        if known["unit"] != unit:
            raise ConfigurationError(
                f"unit={unit!r}: {name!r} has {known['unit']!r} in this invocation; give one of them"
            )
        if known.get("resolution", emf.MINUTE) != resolution:
            raise ConfigurationError(
                f"resolution={resolution}: {name!r} has another one in this invocation; give one of them"
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
        for listener in [listener for observer in snapshot.observers for listener in observer.listeners]:
            try:
                listener(record.copy())
            except Exception as error:  # noqa: BLE001 - it is not the handler that failed
                self._warn_once(id(listener), f"on_invocation: {function_name(listener)} raised %s", error)

    def _build_record(self, invocation: Invocation, snapshot: InvocationSnapshot) -> Record:
        env, now = self._env, self._env.clock.now()
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
        for namespace in self._namespaces(invocation, snapshot):
            lines += emf.lines(
                record, namespace=namespace, wall_s=now[0], pings=snapshot.pings - self._pings, level=self._level
            )
        self._pings = snapshot.pings
        if lines:
            self._write(lines)
        return record

    def _namespaces(self, invocation: Invocation, snapshot: InvocationSnapshot) -> list[str]:
        """That of the handler, or of the settings, and those of handlers that it has called."""
        observer = invocation.options.observer
        own = self._namespace if observer is None or observer.namespace is None else observer.namespace
        named = [] if own is None else [own]
        for other in snapshot.observers:
            if other.namespace is not None and other.namespace not in named:
                named.append(other.namespace)
        return named

    def _write(self, lines: str) -> None:
        """One write, so that nothing of another thread's or process's gets into a line.

        To Lambda standard output and standard error are one stream, and a line of metrics is one that begins with them.
        What was written last may have had no end of line, which nobody can tell here: so there is one before it.
        """
        try:
            sys.stdout.write(f"\n{lines}" if self._env.settings.in_lambda else lines)
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
