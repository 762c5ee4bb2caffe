"""What each thing that lambdakit does for the example is worth: all of them, but for one at a time, in the lab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..framework import orders, sampling
from ..framework.deployed import Deployed
from ..framework.effect import Check, Effect, Measured, Row, Series, pairs_equal, times_less
from ..framework.orders import EACH_CALL, EXAMPLE, MEMORY_MB

if TYPE_CHECKING:
    from ..framework.run import Run

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
    """The name of a side without a feature."""
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
        run.memory_used.add(MEMORY_MB)
        # A broken run has everything without kept values.
        variables = run.switch(VARIABLES.get(feature, {}), off=VARIABLES[VALUES])
        self._deployed = Deployed(
            run.lab,
            f"ablated-{WAYS.index(feature)}",
            "ablated.handler",
            environment=run.upstream.variables
            | {"BENCH_WITHOUT": feature, "PYTHONPATH": str(EXAMPLE)}
            | orders.example().VARIABLES
            | variables,
            memory_mb=MEMORY_MB,
        )

    def trial(self, warm: int) -> dict[str, Any]:
        """One environment; see `Deployed.trial`."""
        return self._deployed.trial(warm, event=orders.event(), calls=self._run.upstream.calls)


def steps(run: Run) -> int:
    """Each way, once without counting and then in each round."""
    return sampling.steps(run, WAYS, least=run.size.environments)


def measure(run: Run) -> Measured:
    """Environments of each way in turn."""
    functions = {feature: Function(run, feature) for feature in WAYS}

    def trial(feature: str, round_: int) -> dict[str, Any]:
        return functions[feature].trial(run.size.warm if round_ != sampling.WARM_UP else 1)

    trials = sampling.rounds(run, WAYS, trial, series=_series, rows=ROWS, least=run.size.environments)
    return Measured(
        series=_series(trials),
        evidence={way(feature): orders.evidence(given) for feature, given in trials.items()},
        figures={"distribution": {way(feature): orders.distribution(given) for feature, given in trials.items()}},
    )


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    return {
        name: series for feature, given in trials.items() for name, series in orders.series(way(feature), given).items()
    }


def kept(feature: str) -> str:
    """The check of the calls of warm invocations."""
    return f"{way(feature)}: the warm invocations' calls"


def verify(measured: Measured) -> list[Check]:
    """All gave one answer, and made the calls that the missing feature would have saved."""
    answers = [done["answers"] for given in measured.evidence.values() for done in given]
    created = orders.all_created(answers)
    checks = [Check(what="all give one answer: an order that was created", passed=created, found=answers[0])]
    for feature in WAYS:
        trials = measured.evidence[way(feature)]
        each = WARM_CALLS.get(feature, {"PutItem": 1})
        calls = [(done["warm_calls"], orders.times(each, done["invocations"] - 1)) for done in trials]
        checks.append(pairs_equal(kept(feature), calls))
    return checks


EFFECT = Effect(
    name="ablation",
    question="What is each thing worth that lambdakit does for the example?",
    group="cold",
    claim="Cached values and kept clients each save a warm invocation a third of its time at least.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=tuple(kept(feature) for feature in WAYS if feature != VALUES),
    long=True,
)
