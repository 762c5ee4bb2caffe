"""Single flight: 64 threads that ask at once for a secret that is not in memory yet.

The peers' clients are made before the clock starts. What lambdakit needs it opens at the first use, in its figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..framework import sampling
from ..framework.effect import Check, Claim, Effect, Measured, Row, Series, at_most, each_is, rows_against
from ..framework.processes import ROOT, clean_environ, run_python
from ..servers.upstream import ACCOUNT

if TYPE_CHECKING:
    from ..framework.run import Run

SCRIPT = ROOT / "benchmarks" / "scripts" / "crowd.py"
OURS = "lambdakit"
PEERS = ("boto3", "Powertools", "aws_secretsmanager_caching")
FURTHER = ("aws_secretsmanager_caching",)  # left out where only the peers are measured that most have
WAYS = (OURS, *PEERS)
BROKEN = "boto3"  # each of its threads asks for itself
THREADS = 64
TEXT = '{"user": "app", "port": 5432}'
ONE_CALL = f"{OURS}: one call for all threads"


def _rows(figure: str, *claims: Claim) -> tuple[Row, ...]:
    return rows_against(
        {peer: peer for peer in PEERS},
        f"{figure} for {THREADS} threads",
        treatment=OURS,
        figure=figure,
        claims=dict.fromkeys(PEERS, claims),
    )


ROWS = _rows("calls", at_most(1, "calls")) + _rows("wall")


def steps(run: Run) -> int:
    """Each way, once without counting and then in each round."""
    return sampling.steps(run, run.ways(WAYS, further=FURTHER))


def measure(run: Run) -> Measured:
    """Fresh processes of each way in turn; each answer takes the server some milliseconds, any number at once."""
    environ = clean_environ(**ACCOUNT, AWS_ENDPOINT_URL=run.upstream.steady_url, AWS_CA_BUNDLE=str(run.upstream.issuer))

    def trial(way: str, _: int) -> dict[str, Any]:
        before = run.upstream.calls()
        measured_way = run.switch(way, off=BROKEN) if way == OURS else way
        done: dict[str, Any] = run_python(["-P", str(SCRIPT), measured_way, str(THREADS)], environ=environ)
        return done | {"calls": dict(run.upstream.calls() - before)}

    trials = sampling.rounds(run, run.ways(WAYS, further=FURTHER), trial, series=_series, rows=ROWS)
    return Measured(series=_series(trials), evidence=dict(trials))


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    calls = {
        f"{way}, calls": Series(unit="calls", processes=[[float(sum(done["calls"].values()))] for done in given])
        for way, given in trials.items()
    }
    wall = {
        f"{way}, wall": Series(unit="ms", processes=[[done["wall_ms"]] for done in given])
        for way, given in trials.items()
    }
    return calls | wall


def verify(measured: Measured) -> list[Check]:
    """Every thread got the secret; most of ours were waiting when the answer came, and the server saw one call."""
    checks = []
    for way, trials in measured.evidence.items():
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
        Check(what=f"{OURS}: the threads were waiting at once", passed=min(crowds) > THREADS // 2, found=crowds),
        each_is(ONE_CALL, ours, {"GetSecretValue": 1}),
    ]


EFFECT = Effect(
    name="single_flight",
    question="What do 64 threads cost that ask for one secret at once?",
    group="cold",
    claim=f"{THREADS} threads that ask for one secret at once cost one call.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(ONE_CALL,),
)
