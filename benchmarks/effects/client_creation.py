"""What a first SDK client costs, from nothing: a fresh process, import included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..framework import sampling
from ..framework.effect import Check, Effect, Measured, Row, Series, at_most_times, each_is
from ..framework.processes import ROOT, clean_environ, run_python

if TYPE_CHECKING:
    from ..framework.run import Run

SCRIPT = ROOT / "benchmarks" / "scripts" / "cold_client.py"
SESSION, DEFAULT, OURS = "boto3, a new session", "boto3.client", "lambdakit.client"
WAYS = (SESSION, DEFAULT, OURS)
TABLES = ["orders"]
LIMITS = [2.0, 10.0, 3]  # seconds to connect and to read, attempts; boto3's own are a minute each
FIGURES = (("wall", "wall_ms", "ms"), ("CPU", "cpu_ms", "ms"), ("RSS", "rss_mb", "MB"))
BOUNDED = f"{OURS}: its time-outs are a function's"
ROWS = tuple(
    Row(
        what=f"{what}, against {way}",
        control=f"{way}, {figure}",
        treatment=f"{OURS}, {figure}",
        claims=(at_most_times(1.05),) if way == DEFAULT and figure != "wall" else (),
        peer="boto3",
    )
    for figure, what in (("wall", "time"), ("CPU", "CPU"), ("RSS", "memory added"))
    for way in (DEFAULT, SESSION)
)


def steps(run: Run) -> int:
    """Each way, once without counting and then in each round."""
    return sampling.steps(run, WAYS)


def measure(run: Run) -> Measured:
    """Fresh processes of each way in turn."""
    environ = clean_environ(**run.upstream.variables)

    def trial(way: str, _: int) -> dict[str, Any]:
        before = run.upstream.calls()
        measured_way = run.switch(way, off=DEFAULT) if way == OURS else way
        done: dict[str, Any] = run_python(["-P", str(SCRIPT), measured_way], environ=environ)
        return done | {"calls": dict(run.upstream.calls() - before)}

    trials = sampling.rounds(run, WAYS, trial, series=_series, rows=ROWS)
    return Measured(series=_series(trials), evidence=dict(trials))


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    return {
        f"{way}, {figure}": Series(unit=unit, processes=[[done[key]] for done in given])
        for way, given in trials.items()
        for figure, key, unit in FIGURES
    }


def verify(measured: Measured) -> list[Check]:
    """Every client works, with one call that the server counted; ours gives up sooner than a function ends."""
    checks = []
    for way, trials in measured.evidence.items():
        tables = [done["tables"] for done in trials]
        calls = [done["calls"] for done in trials]
        checks += [
            each_is(f"{way}: the client works", tables, TABLES),
            each_is(f"{way}: one call at the server", calls, {"ListTables": 1}),
        ]
    limits = [done["limits"] for done in measured.evidence[OURS]]
    return [*checks, each_is(BOUNDED, limits, LIMITS)]


EFFECT = Effect(
    name="client_creation",
    question="What does a first SDK client cost, from nothing?",
    group="cold",
    claim="A client with time-outs that suit a function takes no more CPU and memory than boto3.client does.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(BOUNDED,),
    long=True,
)
