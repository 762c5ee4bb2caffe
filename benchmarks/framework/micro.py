"""Micro-measurements: statements that pyperf times in fresh processes, the sides in turn."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyperf

from . import sampling
from .effect import Measured, Series
from .processes import clean_environ, name_of, run_python
from .worker import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from .effect import Row
    from .run import Run

_FACTORS = {"ns": 1e9, "µs": 1e6, "ms": 1e3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One way to do the work.

    Attributes:
        name: the name of its series.
        prepare: a function of a module, called in the worker; it returns the names that the statement uses.
        arguments: of `prepare`, and of `broken`; JSON.
        statement: what is timed.
        answer: an expression for the evidence, evaluated after the clock has stopped; JSON.
        unit: of its series.
        loops: per sample; None: as many as fill the sample, which the process finds out that does not count.
        broken: in a broken run instead of `prepare`: the same without the feature. None: this is no treatment.
    """

    name: str
    prepare: Callable[..., dict[str, Any]]
    statement: str
    answer: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    unit: str = "µs"
    loops: int | None = None
    broken: Callable[..., dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Sides that are timed against each other, one process each in turn.

    Attributes:
        sides: all of them.
        rows: whose figures have to be stable.
        further: names of sides that only a run with all peers measures.
        upstream: they talk to moto; what each process asks of it is counted, and is a series as well.
        environ: further variables of the processes.
    """

    sides: Sequence[Side]
    rows: Sequence[Row]
    further: Collection[str] = ()
    upstream: bool = False
    environ: Callable[[Run], Mapping[str, str]] | None = None

    def of_run(self, run: Run) -> list[Side]:
        """Those that a run measures."""
        names = run.ways([side.name for side in self.sides], further=self.further)
        return [side for side in self.sides if side.name in names]

    def steps(self, run: Run) -> int:
        """How many processes `measure` starts at least."""
        return sampling.steps(run, [side.name for side in self.of_run(run)])

    def measure(self, run: Run) -> Measured:
        """Time the sides; see `sampling.rounds`. The process that does not count finds the loops.

        Returns:
            The series of each side, and as evidence of each side one dictionary per process: ``answer``,
            ``executions``, ``loops``, ``calls`` and ``bytecode``.
        """
        sides = {side.name: side for side in self.of_run(run)}
        loops: dict[str, int] = {}
        environ = self.environ(run) if self.environ else {}

        def one(name: str, round_: int) -> dict[str, Any]:
            done = trial(run, sides[name], upstream=self.upstream, loops=loops.get(name), environ=environ)
            if round_ == sampling.WARM_UP:
                loops[name] = done["loops"]
            return done

        def series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
            found = {
                name: Series(unit=side.unit, processes=[in_unit(done["samples_s"], side.unit) for done in trials[name]])
                for name, side in sides.items()
            }
            return found | (calls(trials) if self.upstream else {})

        trials = sampling.rounds(run, [*sides], one, series=series, rows=self.rows)
        evidence = {
            name: [{key: value for key, value in done.items() if key not in {"samples_s", "pyperf"}} for done in given]
            for name, given in trials.items()
        }
        return Measured(series=series(trials), evidence=evidence, pyperf=_suite(trials))


def calls(trials: Mapping[str, list[dict[str, Any]]]) -> dict[str, Series]:
    """The calls at the server as a series of each way: one value per process."""
    return {
        f"{name}, calls": Series(unit="calls", processes=[[float(sum(done["calls"].values()))] for done in given])
        for name, given in trials.items()
    }


def in_unit(samples_s: Sequence[float], unit: str) -> list[float]:
    """Seconds, in another unit."""
    return [sample_s * _FACTORS[unit] for sample_s in samples_s]


def trial(
    run: Run,
    side: Side,
    *,
    upstream: bool,
    loops: int | None = None,
    environ: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """One process of one side: ``samples_s``, and the evidence that `Comparison.measure` describes.

    Args:
        run: how much.
        side: what.
        upstream: it talks to moto.
        loops: per sample, where the side does not say it; None: find them out, by pyperf's calibration.
        environ: further variables of the process.
    """
    prepare = run.switch(side.prepare, off=side.broken or side.prepare)
    question = {
        "name": side.name,
        "prepare": name_of(prepare),
        "arguments": dict(side.arguments),
        "statement": side.statement,
        "answer": side.answer,
        "loops": side.loops or loops,
        "samples": run.size.samples,
        "sample_s": run.size.sample_s,
    }
    variables = clean_environ(**(run.upstream.variables if upstream else {}), **(environ or {}))
    before = run.upstream.calls() if upstream else None
    answer: dict[str, Any] = run_python(["-m", "benchmarks.framework.worker"], environ=variables, question=question)
    if before is not None:
        answer["calls"] = dict(run.upstream.calls() - before)
    return answer


def _suite(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The processes of all sides as one suite of pyperf's, in its own format."""
    benchmarks = []
    for given in trials.values():
        first, *others = (pyperf.Benchmark.loads(json.dumps(done["pyperf"])) for done in given)
        for other in others:
            first.add_runs(other)
        benchmarks.append(first)
    return as_json(pyperf.BenchmarkSuite(benchmarks))
