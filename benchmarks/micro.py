"""Micro-measurements: statements timed in fresh processes, the sides in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .effect import Measured, Series
from .processes import ask, clean_environ

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .run import Run

_FACTORS = {"ns": 1e9, "µs": 1e6, "ms": 1e3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One way to do the work.

    Attributes:
        name: the name of its series.
        prepare: a function of a module, called in the worker; it returns the names that the statement uses.
        statement: what is timed.
        answer: an expression for the evidence, evaluated after the clock has stopped; JSON.
        unit: of its series.
        loops: per sample; None: as many as fill the sample.
        samples: how many; None: as the size of the run says.
    """

    name: str
    prepare: Callable[[], dict[str, Any]]
    statement: str
    answer: str
    unit: str = "µs"
    loops: int | None = None
    samples: int | None = None


def steps(run: Run, sides: Sequence[Side]) -> int:
    """How many processes `measure` starts."""
    return (run.size.processes + 1) * len(sides)


def measure(run: Run, sides: Sequence[Side], *, upstream: bool = False) -> Measured:
    """Time the sides, one process each in turn, the order reversed in every other round.

    Before that, one process of each side that does not count: it writes byte code and fills the file cache.

    Args:
        run: how much.
        sides: what.
        upstream: they talk to moto; what each process asks of it is counted.

    Returns:
        The series of each side, and as evidence of each side one dictionary per process: ``answer``, ``executions``,
        ``loops``, ``calls`` and ``bytecode``.
    """
    trials: dict[str, list[dict[str, Any]]] = {side.name: [] for side in sides}
    for side in sides:
        trial(run, side, upstream=upstream)
    for round_ in range(run.size.processes):
        for side in sides if round_ % 2 == 0 else reversed(sides):
            trials[side.name].append(trial(run, side, upstream=upstream))
    series = {
        side.name: Series(
            unit=side.unit,
            processes=[in_unit(done.pop("samples_s"), side.unit) for done in trials[side.name]],
        )
        for side in sides
    }
    return Measured(series=series, evidence=dict(trials))


def in_unit(samples_s: Sequence[float], unit: str) -> list[float]:
    """Seconds, in another unit."""
    return [sample_s * _FACTORS[unit] for sample_s in samples_s]


def trial(run: Run, side: Side, *, upstream: bool) -> dict[str, Any]:
    """One process of one side: ``samples_s``, and the evidence that `measure` describes."""
    question = {
        "prepare": f"{side.prepare.__module__}:{side.prepare.__qualname__}",
        "statement": side.statement,
        "answer": side.answer,
        "loops": side.loops,
        "samples": side.samples or run.size.samples,
        "sample_s": run.size.sample_s,
    }
    environ = clean_environ(**run.upstream.variables) if upstream else clean_environ()
    before = run.upstream.calls() if upstream else None
    answer: dict[str, Any] = ask(["-m", "benchmarks.worker"], environ=environ, question=question)
    if before is not None:
        answer["calls"] = dict(run.upstream.calls() - before)
    run.tick()
    return answer
