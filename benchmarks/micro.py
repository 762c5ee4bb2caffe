"""Micro-measurements: statements that pyperf times in fresh processes, the sides in turn."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyperf

from . import sampling
from .effect import Measured, Series
from .processes import ask, clean_environ
from .worker import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from .effect import Row
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
        loops: per sample; None: as many as fill the sample, which the process finds out that does not count.
        broken: in a broken run instead of `prepare`: the same without the feature. None: this is no treatment.
    """

    name: str
    prepare: Callable[[], dict[str, Any]]
    statement: str
    answer: str
    unit: str = "µs"
    loops: int | None = None
    broken: Callable[[], dict[str, Any]] | None = None


def of_run(run: Run, sides: Sequence[Side], *, further: Collection[str]) -> list[Side]:
    """Those that the run measures; see `Run.ways`."""
    names = run.ways([side.name for side in sides], further=further)
    return [side for side in sides if side.name in names]


def steps(run: Run, sides: Sequence[Side]) -> int:
    """How many processes `measure` starts at least."""
    return sampling.steps(run, [side.name for side in sides])


def measure(run: Run, sides: Sequence[Side], rows: Iterable[Row], *, upstream: bool = False) -> Measured:
    """Time the sides, one process each in turn; see `sampling.rounds`. The one that does not count finds the loops.

    Args:
        run: how much.
        sides: what.
        rows: whose figures have to be settled.
        upstream: they talk to moto; what each process asks of it is counted.

    Returns:
        The series of each side, and as evidence of each side one dictionary per process: ``answer``, ``executions``,
        ``loops``, ``calls`` and ``bytecode``.
    """
    by_name = {side.name: side for side in sides}
    loops: dict[str, int] = {}

    def one(name: str, round_: int) -> dict[str, Any]:
        done = trial(run, by_name[name], upstream=upstream, loops=loops.get(name))
        if round_ == sampling.FIRST:
            loops[name] = done["loops"]
        return done

    def series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
        return {
            side.name: Series(unit=side.unit, processes=[in_unit(t["samples_s"], side.unit) for t in trials[side.name]])
            for side in sides
        }

    trials = sampling.rounds(run, [*by_name], one, series=series, rows=rows)
    kept = _without(trials, "samples_s", "pyperf")
    return Measured(series=series(trials), evidence=kept, pyperf=together(trials))


def with_calls(measured: Measured) -> Measured:
    """The same, with the calls at the server as a series of each side."""
    calls = {
        f"{name}, calls": Series(unit="calls", processes=[[float(sum(trial["calls"].values()))] for trial in trials])
        for name, trials in measured.evidence.items()
    }
    return replace(measured, series=measured.series | calls)


def in_unit(samples_s: Sequence[float], unit: str) -> list[float]:
    """Seconds, in another unit."""
    return [sample_s * _FACTORS[unit] for sample_s in samples_s]


def trial(run: Run, side: Side, *, upstream: bool, loops: int | None = None) -> dict[str, Any]:
    """One process of one side: ``samples_s``, and the evidence that `measure` describes.

    Args:
        run: how much.
        side: what.
        upstream: it talks to moto.
        loops: per sample, where the side does not say it; None: find them out, by pyperf's calibration.
    """
    prepare = run.switch(side.prepare, off=side.broken or side.prepare)
    question = {
        "name": side.name,
        "prepare": f"{prepare.__module__}:{prepare.__qualname__}",
        "statement": side.statement,
        "answer": side.answer,
        "loops": side.loops or loops,
        "samples": run.size.samples,
        "sample_s": run.size.sample_s,
    }
    environ = clean_environ(**run.upstream.variables) if upstream else clean_environ()
    before = run.upstream.calls() if upstream else None
    answer: dict[str, Any] = ask(["-m", "benchmarks.worker"], environ=environ, question=question)
    if before is not None:
        answer["calls"] = dict(run.upstream.calls() - before)
    return answer


def together(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The processes of all sides as one suite of pyperf's, in its own format."""
    benchmarks = []
    for given in trials.values():
        first, *others = (pyperf.Benchmark.loads(json.dumps(done["pyperf"])) for done in given)
        for other in others:
            first.add_runs(other)
        benchmarks.append(first)
    return as_json(pyperf.BenchmarkSuite(benchmarks))


def _without(trials: dict[str, list[dict[str, Any]]], *names: str) -> dict[str, Any]:
    return {
        way: [{name: value for name, value in done.items() if name not in names} for done in given]
        for way, given in trials.items()
    }
