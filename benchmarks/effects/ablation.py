"""What each thing that lambdakit does for the example is worth: all of them, but for one at a time, in the lab."""

from __future__ import annotations

import base64
import http.client
import json
from typing import TYPE_CHECKING, Any

from .. import sampling
from ..effect import Check, Effect, Measured, Row, Series, times_less
from ..orders import EACH_CALL, EXAMPLE, MEMORY_MB, TIMEOUT_S, example, report
from ..processes import ROOT

if TYPE_CHECKING:
    from ..run import Run

FUNCTIONS = ROOT / "benchmarks" / "functions"
ALL = "everything"
PRELOAD, CLIENT, DIRECT = "the preload", "a kept client", "values without the SDK"
VALUES, CONNECTIONS = "kept values", "kept connections"
# What is switched off by a variable; the function itself does the others.
VARIABLES = {
    DIRECT: {"LAMBDAKIT_BACKEND": "sdk"},
    VALUES: {"LAMBDAKIT_TTL": "0"},
    CONNECTIONS: {"LAMBDAKIT_MAX_IDLE": "0"},
}
FEATURES = (PRELOAD, CLIENT, DIRECT, VALUES, CONNECTIONS)
WAYS = (ALL, *FEATURES)
WARM_CALLS = {VALUES: EACH_CALL}  # per invocation; of the others one write
CLAIMS = {VALUES: (times_less(1.5),), CLIENT: (times_less(1.5),)}


def way(feature: str) -> str:
    """How it is called where that is missing."""
    return feature if feature == ALL else f"without {feature}"


ROWS = tuple(
    Row(
        what=f"{what} {way(feature)}",
        control=f"{way(feature)}, {figure}",
        treatment=f"{ALL}, {figure}",
        claims=CLAIMS.get(feature, ()) if figure == "warm" else (),
        as_difference=figure == "cold",
        peer="boto3" if feature == CLIENT else None,
    )
    for figure, what in (
        ("cold", "cold start: INIT and first invocation,"),
        ("first", "first invocation alone,"),
        ("warm", "warm,"),
    )
    for feature in FEATURES
)


class Function:
    """The example without one feature, deployed in the lab."""

    def __init__(self, run: Run, feature: str) -> None:
        self._run = run
        self._name = f"ablated-{WAYS.index(feature)}"
        self._event = (EXAMPLE / "event.json").read_bytes()
        run.memory_used.add(MEMORY_MB)
        # A broken run has everything without kept values.
        variables = run.switch(VARIABLES.get(feature, {}), off=VARIABLES[VALUES])
        run.lab.deploy(
            self._name,
            "ablated.handler",
            task_root=FUNCTIONS,
            environment=run.upstream.variables
            | {"AWS_EC2_METADATA_DISABLED": "true", "BENCH_WITHOUT": feature, "PYTHONPATH": str(EXAMPLE)}
            | example().VARIABLES
            | variables,
            memory_mb=MEMORY_MB,
            timeout_s=TIMEOUT_S,
        )

    def _invoke(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._run.lab.url.removeprefix("http://"), timeout=TIMEOUT_S + 10)
        try:
            path = f"/2015-03-31/functions/{self._name}/invocations"
            connection.request("POST", path, self._event, {"X-Amz-Log-Type": "Tail"})
            reply = connection.getresponse()
            answer = json.loads(reply.read())
        finally:
            connection.close()
        return {"answer": answer, **report(base64.b64decode(reply.headers["X-Amz-Log-Result"]).decode())}

    def trial(self, warm: int) -> dict[str, Any]:
        """One environment: INIT, the first invocation, `warm` more; what the server was asked by the latter."""
        self._run.lab.retire(self._name)
        began = self._run.upstream.calls()
        first = self._invoke()
        between = self._run.upstream.calls()
        rest = [self._invoke() for _ in range(warm)]
        calls = self._run.upstream.calls() - between
        self._run.lab.retire(self._name)  # the others have the machine to themselves
        answers = {json.dumps(one["answer"], sort_keys=True) for one in (first, *rest)}
        return {
            "init_ms": first["init_ms"] or 0.0,
            "first_ms": first["duration_ms"] or 0.0,
            "warm_ms": [one["duration_ms"] or 0.0 for one in rest],
            "answers": [json.loads(text) for text in sorted(answers)],
            "first_calls": dict(between - began),
            "calls": dict(calls),
        }


def steps(run: Run) -> int:
    """Each way, once without counting and then in each round."""
    return sampling.steps(run, WAYS, least=run.size.environments)


def measure(run: Run) -> Measured:
    """Environments of each way in turn."""
    functions = {feature: Function(run, feature) for feature in WAYS}

    def trial(feature: str, round_: int) -> dict[str, Any]:
        return functions[feature].trial(run.size.warm if round_ != sampling.FIRST else 1)

    trials = sampling.rounds(run, WAYS, trial, series=_series, rows=ROWS, least=run.size.environments)
    return Measured(
        series=_series(trials),
        evidence={way(feature): [_without_times(done) for done in given] for feature, given in trials.items()},
        figures={
            "distribution": {
                way(feature): {
                    "cold": [done["init_ms"] + done["first_ms"] for done in given],
                    "warm": [ms for done in given for ms in done["warm_ms"]],
                }
                for feature, given in trials.items()
            }
        },
    )


def _without_times(done: dict[str, Any]) -> dict[str, Any]:
    kept = {name: done[name] for name in ("answers", "first_calls", "calls")}
    return kept | {"warm": len(done["warm_ms"])}


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    return {
        f"{way(feature)}, {figure}": Series(unit="ms", processes=processes)
        for feature, given in trials.items()
        for figure, processes in (
            ("cold", [[done["init_ms"] + done["first_ms"]] for done in given]),
            ("first", [[done["first_ms"]] for done in given]),
            ("warm", [done["warm_ms"] for done in given]),
        )
    }


def kept(feature: str) -> str:
    """The check of the calls of warm invocations."""
    return f"{way(feature)}: the warm invocations' calls"


def verify(measured: Measured) -> list[Check]:
    """All gave one answer, and asked the server for what their feature does not spare them."""
    answers = [done["answers"] for given in measured.evidence.values() for done in given]
    created = all(one == answers[0] and one[0].get("statusCode") == http.client.CREATED for one in answers)
    checks = [Check(what="all give one answer: an order that was created", passed=created, found=answers[0])]
    for feature in WAYS:
        trials = measured.evidence[way(feature)]
        each = WARM_CALLS.get(feature, {"PutItem": 1})
        calls = [(done["calls"], {name: count * done["warm"] for name, count in each.items()}) for done in trials]
        checks.append(Check(what=kept(feature), passed=all(a == b for a, b in calls), found=calls))
    return checks


EFFECT = Effect(
    name="ablation",
    question="What is each thing worth that lambdakit does for the example?",
    group="cold",
    claim="Kept values and kept clients each spare a warm invocation a third of its time at least.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=tuple(kept(feature) for feature in WAYS if feature != VALUES),
    long=True,
)
