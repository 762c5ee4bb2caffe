"""What a crowd costs: 64 threads that ask for one secret at once which is not in memory yet.

The peers' clients are made before the clock starts. What lambdakit needs it opens at the first use, in its figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..effect import Check, Effect, Measured, Row, Series, at_most
from ..processes import ROOT, ask, clean_environ
from ..upstream import ACCOUNT

if TYPE_CHECKING:
    from ..run import Run

SCRIPT = ROOT / "benchmarks" / "crowd.py"
OURS = "lambdakit"
PEERS = ("boto3", "Powertools", "aws_secretsmanager_caching")
WAYS = (OURS, *PEERS)
THREADS = 64
TEXT = '{"user": "app", "port": 5432}'


def steps(run: Run) -> int:
    """Each way, once without counting and then in each round."""
    return (run.size.processes + 1) * len(WAYS)


def measure(run: Run) -> Measured:
    """Fresh processes of each way in turn; each answer takes the server some milliseconds, any number at once."""
    environ = clean_environ(**ACCOUNT, AWS_ENDPOINT_URL=run.upstream.steady_url, AWS_CA_BUNDLE=str(run.upstream.issuer))
    trials: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for round_ in range(-1, run.size.processes):
        for way in WAYS if round_ % 2 == 0 else reversed(WAYS):
            before = run.upstream.calls()
            trial: dict[str, Any] = ask(["-P", str(SCRIPT), way, str(THREADS)], environ=environ)
            trial["calls"] = dict(run.upstream.calls() - before)
            run.tick()
            if round_ >= 0:  # the first one wrote byte code, filled the file cache, and had moto answer once
                trials[way].append(trial)
    calls = {
        f"{way}, calls": Series(
            unit="calls", processes=[[float(sum(trial["calls"].values()))] for trial in trials[way]]
        )
        for way in WAYS
    }
    wall = {f"{way}, wall": Series(unit="ms", processes=[[trial["wall_ms"]] for trial in trials[way]]) for way in WAYS}
    return Measured(series=calls | wall, evidence=dict(trials))


def verify(measured: Measured) -> list[Check]:
    """Every thread got the secret; most of ours asked before there was an answer, and the server saw one call."""
    checks = []
    for way in WAYS:
        trials = measured.evidence[way]
        wrong = [value for trial in trials for value in trial["values"] if value != TEXT]
        sizes = [len(trial["values"]) for trial in trials]
        calls = [trial["calls"] for trial in trials]
        checks += [
            Check(what=f"{way}: every thread got the secret", passed=not wrong and {*sizes} == {THREADS}, found=wrong),
            Check(
                what=f"{way}: the server saw a call", passed=all(c.get("GetSecretValue") for c in calls), found=calls
            ),
        ]
    crowds = [trial["at_once"] for trial in measured.evidence[OURS]]
    ours = [trial["calls"] for trial in measured.evidence[OURS]]
    return [
        *checks,
        Check(what=f"{OURS}: the threads asked at once", passed=min(crowds) > THREADS // 2, found=crowds),
        Check(
            what=f"{OURS}: one call for all threads",
            passed=all(calls == {"GetSecretValue": 1} for calls in ours),
            found=ours,
        ),
    ]


def _row(peer: str, figure: str, **more: Any) -> Row:
    return Row(
        what=f"{figure} for {THREADS} threads, against {peer}",
        control=f"{peer}, {figure}",
        treatment=f"{OURS}, {figure}",
        **more,
    )


EFFECT = Effect(
    name="single_flight",
    question="What do 64 threads cost that ask for one secret at once?",
    rows=(
        *(_row(peer, "calls", claims=(at_most(1, "calls"),)) for peer in PEERS),
        *(_row(peer, "wall") for peer in PEERS),
    ),
    steps=steps,
    measure=measure,
    verify=verify,
)
