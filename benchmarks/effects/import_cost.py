"""What an import adds to a process that has the runtime client already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..framework import pagecache, sampling
from ..framework.effect import Check, Effect, Measured, Series, at_most, rows_against, times_less
from ..framework.processes import ROOT, clean_environ, run_python

if TYPE_CHECKING:
    from ..framework.run import Run

OURS = "lambdakit"
OURS_HTTP = "lambdakit.http"
MODULES = {
    OURS: "lambdakit",
    "boto3": "boto3",
    "Powertools parameters": "aws_lambda_powertools.utilities.parameters",
    "aws_secretsmanager_caching": "aws_secretsmanager_caching",
    "ssm-cache": "ssm_cache",
    "lambda-cache": "lambda_cache",
    "lambda-decorators": "lambda_decorators",
    "lambda-warmer-py": "lambdawarmer",
    OURS_HTTP: "lambdakit.http",
    "urllib3": "urllib3",
    "requests": "requests",
    "httpx": "httpx",
}
HTTP = ("urllib3", "requests", "httpx")  # what they do is in a module of its own here
PEERS = {name: name for name in MODULES if name not in {OURS, OURS_HTTP}} | {"Powertools parameters": "Powertools"}
SCRIPT = ROOT / "benchmarks" / "scripts" / "cold_import.py"


FURTHER = tuple([*MODULES][3:])  # left out where only the peers are measured that most have
COLD = ", cold page cache"
FROM_DISK = tuple([*MODULES][:4])  # of the others that says nothing new
LIGHT = "lambdakit brings no third-party module"
_OTHERS = {name: peer for name, peer in PEERS.items() if name not in HTTP}
ROWS = (
    *rows_against(_OTHERS, "import", treatment=OURS, claims={"boto3": (times_less(60),)}),
    *rows_against({name: name for name in HTTP}, "import", treatment=OURS_HTTP),
    *rows_against(
        {"boto3": "boto3"},
        "third-party modules",
        treatment=OURS,
        figure="modules",
        claims={"boto3": (at_most(0, "modules"),)},
    ),
)
COLD_ROWS = rows_against(
    {name: peer for name, peer in PEERS.items() if name in FROM_DISK},
    f"import{COLD}",
    treatment=OURS,
    figure=COLD.removeprefix(", "),
)


def steps(run: Run) -> int:
    """One process that does not count, then the others, of each module; the same again without the page cache."""
    cold = sampling.steps(run, FROM_DISK) if run.size.page_cache else 0
    return sampling.steps(run, run.ways(MODULES, further=FURTHER)) + cold


def measure(run: Run) -> Measured:
    """Import each module in fresh processes, in turn; then once more, each time from the disk."""
    ways = run.ways(MODULES, further=FURTHER)

    def trial(name: str, _: int) -> dict[str, Any]:
        # -P: our own directory is not in the path, as it is not in that of a deployed package.
        also = run.switch((), off=("boto3",)) if name == OURS else ()
        done: dict[str, Any] = run_python(["-P", str(SCRIPT), MODULES[name], *also], environ=clean_environ())
        return done

    trials = sampling.rounds(run, ways, trial, series=_series, rows=ROWS)
    measured = Measured(series=_series(trials), evidence=dict(trials))
    if not run.size.page_cache:
        return measured
    return pagecache.add_cold(
        measured,
        lambda evicted: sampling.rounds(run, FROM_DISK, evicted(trial), series=_cold_series, rows=COLD_ROWS),
        series=_cold_series,
        rows=COLD_ROWS,
    )


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    figures = (("", "ms", "wall_ms"), (", CPU", "ms", "cpu_ms"), (", modules", "modules", "third_party_modules"))
    return {
        name + figure: Series(unit=unit, processes=[[done[key]] for done in given])
        for name, given in trials.items()
        for figure, unit, key in figures
    }


def _cold_series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    return {
        name + COLD: Series(unit="ms", processes=[[done["wall_ms"]] for done in given])
        for name, given in trials.items()
    }


def verify(measured: Measured) -> list[Check]:
    """Each module was imported, by that process for the first time, from byte code."""
    checks = pagecache.verify(measured)
    for name, module in MODULES.items():
        if name not in measured.evidence:
            continue
        trials = measured.evidence[name]
        imported = [trial["new"][0] for trial in trials]
        checks.append(
            Check(what=f"{module} was not there before, and is afterwards", passed=all(imported), found=imported)
        )
        cached = [trial["bytecode"] for trial in trials]
        checks.append(Check(what=f"byte code of {module} was there", passed=min(cached) > 0, found=cached))
    brought = [trial["third_party"] for trial in measured.evidence[OURS]]
    return [*checks, Check(what=LIGHT, passed=not any(brought), found=brought)]


EFFECT = Effect(
    name="import_cost",
    question="What does an import add to a process in which the runtime client is loaded?",
    group="cold",
    claim="`import lambdakit` takes a sixtieth of what `import boto3` takes, and brings no third-party module.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(LIGHT,),
)
