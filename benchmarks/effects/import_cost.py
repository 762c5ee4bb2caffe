"""What an import adds to a process that has the runtime client already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..effect import Check, Effect, Measured, Row, Series, at_most
from ..processes import ROOT, ask, clean_environ

if TYPE_CHECKING:
    from ..run import Run

OURS = "lambdakit"
PEERS = {
    "boto3": "boto3",
    "Powertools parameters": "aws_lambda_powertools.utilities.parameters",
    "aws_secretsmanager_caching": "aws_secretsmanager_caching",
}
MODULES = {OURS: "lambdakit"} | PEERS
SCRIPT = ROOT / "benchmarks" / "cold_import.py"


def steps(run: Run) -> int:
    """One process that does not count, then the others, of each module."""
    return (run.size.processes + 1) * len(MODULES)


def measure(run: Run) -> Measured:
    """Import each module in fresh processes, in turn."""
    trials: dict[str, list[dict[str, Any]]] = {name: [] for name in MODULES}
    for round_ in range(-1, run.size.processes):
        for name in MODULES if round_ % 2 == 0 else reversed(MODULES):
            # -P: our own directory is not in the path, as it is not in that of a deployed package.
            trial = ask(["-P", str(SCRIPT), MODULES[name]], environ=clean_environ())
            run.tick()
            if round_ >= 0:  # the first one wrote byte code and filled the file cache
                trials[name].append(trial)
    series = {name: Series(unit="ms", processes=[[t["wall_ms"]] for t in trials[name]]) for name in MODULES}
    series |= {f"{name}, CPU": Series(unit="ms", processes=[[t["cpu_ms"]] for t in trials[name]]) for name in MODULES}
    series |= {
        f"{name}, modules": Series(unit="modules", processes=[[t["third_party_modules"]] for t in trials[name]])
        for name in MODULES
    }
    return Measured(series=series, evidence=dict(trials))


def verify(measured: Measured) -> list[Check]:
    """Each module was imported, by that process for the first time, from byte code."""
    checks = []
    for name, module in MODULES.items():
        trials = measured.evidence[name]
        imported = [module in trial["modules"] for trial in trials]
        checks.append(
            Check(what=f"{module} was not there before, and is afterwards", passed=all(imported), found=imported)
        )
        cached = [trial["bytecode"] for trial in trials]
        checks.append(Check(what=f"byte code of {module} was there", passed=min(cached) > 0, found=cached))
    return checks


EFFECT = Effect(
    name="import_cost",
    question="What does an import add to a process in which the runtime client is loaded?",
    rows=(
        Row(what="import, against boto3", control="boto3", treatment=OURS, claims=(at_most(3.0, "ms"),)),
        *(Row(what=f"import, against {peer}", control=peer, treatment=OURS) for peer in list(PEERS)[1:]),
        Row(
            what="third-party modules, against boto3",
            control="boto3, modules",
            treatment="lambdakit, modules",
            claims=(at_most(0, "modules"),),
        ),
    ),
    steps=steps,
    measure=measure,
    verify=verify,
)
