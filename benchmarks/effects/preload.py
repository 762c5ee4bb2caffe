"""What many values cost that a function needs from the start: 35 parameters and 21 secrets.

A service answers any number of calls at once, and is some milliseconds away; moto computes one answer after the other.
So the answers are moto's own, replayed 5 ms after each request, over TLS, to all sides alike. What moto itself makes
of it stands in a row without a claim.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from ..framework import sampling
from ..framework.effect import LESS, Check, Claim, Effect, Measured, Row, Series, at_most, each_is, times_less
from ..framework.processes import ROOT, clean_environ, run_python
from ..servers.upstream import ACCOUNT, PARAMETERS, SECRETS

if TYPE_CHECKING:
    from ..framework.run import Run

SCRIPT = ROOT / "benchmarks" / "scripts" / "cold_preload.py"
SINGLE, OURS, BOTO3, POWERTOOLS = "single", "preload", "boto3", "Powertools"
ON_MOTO = ", on moto itself"
WAYS = (SINGLE, OURS, BOTO3, POWERTOOLS, SINGLE + ON_MOTO, OURS + ON_MOTO)
# What makes `@handler` preload. Nothing listens there, and nothing calls.
RUNTIME = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9"}

VALUES = [*PARAMETERS.values(), *SECRETS.values()]
BATCHES = {"GetParameters": 4, "BatchGetSecretValue": 1, "GetSecretValue": 1}  # the 21st secret is alone in its batch
CALLS = {
    SINGLE: {"GetParameter": len(PARAMETERS), "GetSecretValue": len(SECRETS)},
    OURS: BATCHES,
    BOTO3: {"GetParameters": 4, "BatchGetSecretValue": 2},
    POWERTOOLS: {"GetParameters": 4, "BatchGetSecretValue": 3},
}
FIGURES = (("wall", "wall_ms"), ("after the runtime client", "after_ms"), ("CPU", "cpu_ms"))


def _row(what: str, figure: str, control: str, *claims: Claim, treatment: str = OURS) -> Row:
    return Row(
        what=what,
        control=f"{control}, {figure}",
        treatment=f"{treatment}, {figure}",
        claims=claims,
        peer=control if control in {BOTO3, POWERTOOLS} else None,
    )


ROWS = (
    _row("preload, against single gets", "wall", SINGLE, times_less(3)),
    _row("preload, against Powertools' batch functions", "wall", POWERTOOLS, LESS),
    _row("preload, against boto3's batch calls", "wall", BOTO3),
    _row("preload without the runtime client's start, against single gets", "after the runtime client", SINGLE),
    _row(
        "preload on moto itself, where calls queue, against single gets",
        "wall",
        SINGLE + ON_MOTO,
        treatment=OURS + ON_MOTO,
    ),
    _row("CPU, against single gets", "CPU", SINGLE),
    _row("CPU, against Powertools' batch functions", "CPU", POWERTOOLS),
    _row("calls, against single gets", "calls", SINGLE, at_most(6, "calls")),
    _row("calls, against Powertools' batch functions", "calls", POWERTOOLS),
)


def steps(run: Run) -> int:
    """Each way, once without counting and then in each round."""
    return sampling.steps(run, WAYS)


def measure(run: Run) -> Measured:
    """Fresh processes of each way in turn."""
    # The process that does not count has moto answer once, too.
    trials = sampling.rounds(run, WAYS, lambda way, _: trial(run, way), series=_series, rows=ROWS)
    return Measured(series=_series(trials), evidence=dict(trials))


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    series = {
        f"{way}, {figure}": Series(unit="ms", processes=[[done[key]] for done in trials[way]])
        for way in WAYS
        for figure, key in FIGURES
    }
    series |= {
        f"{way}, calls": Series(unit="calls", processes=[[float(sum(done["calls"].values()))] for done in given])
        for way, given in trials.items()
    }
    return series


def trial(run: Run, way: str) -> dict[str, Any]:
    """One process of one way, with the calls that the server counted meanwhile."""
    url = run.upstream.secure_url if way.endswith(ON_MOTO) else run.upstream.steady_url
    # A handler that is not under a runtime preloads nothing.
    runtime = run.switch(RUNTIME, off={}) if way.startswith(OURS) else RUNTIME
    environ = clean_environ(**ACCOUNT, **runtime, AWS_ENDPOINT_URL=url, AWS_CA_BUNDLE=str(run.upstream.issuer))
    names = json.dumps([[*PARAMETERS], [*SECRETS]])
    before = run.upstream.calls()
    environ["BENCH_STARTED_NS"] = str(time.monotonic_ns())  # of a clock that all processes share
    done: dict[str, Any] = run_python(["-P", str(SCRIPT), way.removesuffix(ON_MOTO), names], environ=environ)
    return done | {"calls": dict(run.upstream.calls() - before)}


def verify(measured: Measured) -> list[Check]:
    """Every process had every value, from as many calls as its way makes, ours without the SDK."""
    checks = []
    for way in WAYS:
        trials, wanted = measured.evidence[way], CALLS[way.removesuffix(ON_MOTO)]
        calls = [done["calls"] for done in trials]
        checks += [
            Check(what=f"{way}: all values are right", passed=all(done["values"] == VALUES for done in trials)),
            each_is(f"{way}: the server saw its calls", calls, wanted),
        ]
    without = [done["sdk"] for way in (SINGLE, OURS) for done in measured.evidence[way]]
    return [*checks, Check(what="ours did so without the SDK", passed=not any(without), found=without)]


EFFECT = Effect(
    name="preload",
    question="What do 35 parameters and 21 secrets cost, from process start to the first answer?",
    group="cold",
    claim="What a function declares is there in a third of the time of single gets, with a ninth of the calls.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=tuple(f"{way}: the server saw its calls" for way in (OURS, OURS + ON_MOTO)),
    peers={
        "ssm-cache": "does the same, not measured: its groups are of parameters only",
        "lambda-decorators": "does the same, not measured: its batches are of parameters only",
    },
)
