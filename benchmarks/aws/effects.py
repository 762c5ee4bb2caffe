"""The effects on a target: the same rows and claims, measured and verified with what a target shows."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lambdakit._bench.prices import MB_PER_GB, USD_PER_GB_SECOND, USD_PER_MILLION_REQUESTS

from ..effects import cold_start
from ..effects.cold_start import KEPT
from ..framework import memory, orders, sampling
from ..framework.effect import Check, Measured
from ..framework.orders import FAST, VERSIONS
from ..framework.run import NotMeasuredError
from .stack import TargetError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..framework.effect import Effect, Series
    from ..framework.run import Run
    from .stack import Stack
    from .target import Reply, Target

NAMESPACE = "lambdakit-benchmarks"  # of the metric lines that say whether values were kept
VALUES = 2  # that the example fetches: the secret, the flags
NOT_SHOWN = "calls"  # nobody counts them but the services
_TRIES = 10  # an update is in force soon, not at once


def on(stack: Stack, effects: Mapping[str, Effect]) -> dict[str, Effect]:
    """The same effects; those that need the lab are not measured."""
    return {name: _example(stack, one) if name == "cold_start" else _nowhere(one) for name, one in effects.items()}


def _nowhere(effect: Effect) -> Effect:
    def measure(_: Run) -> Measured:
        raise NotMeasuredError("needs the local lab")

    return replace(effect, measure=measure, steps=lambda _: 0)


def _example(stack: Stack, effect: Effect) -> Effect:
    return replace(effect, steps=steps, measure=partial(measure, stack), verify=verify)


class Function:
    """One version of the example on a target, at one memory size; None for the one it was deployed with."""

    def __init__(self, run: Run, target: Target, version: str, memory_mb: int | None = None) -> None:
        self.name = target.functions[version]
        self._target = target
        self._memory_mb = memory_mb
        # Values that are never fresh are fetched at each call.
        self._variables = run.switch({}, off={"LAMBDAKIT_TTL": "0"})

    def trial(self, warm: int, *, metrics: bool = False) -> dict[str, Any]:
        """One environment: INIT, the first invocation, `warm` more; with or without lambdakit's lines of metrics."""
        more = {"LAMBDAKIT_METRICS_NAMESPACE": NAMESPACE} if metrics else {}
        self._target.renew(self.name, memory_mb=self._memory_mb, variables=self._variables | more)
        first = self._invoke(cold=True)
        rest = [self._invoke(cold=False) for _ in range(warm)]
        # Nobody counts the calls here.
        return {"first": asdict(first), "warm": [asdict(one) for one in rest], "first_calls": {}, "warm_calls": {}}

    def _invoke(self, *, cold: bool) -> Reply:
        """One invocation of that kind. Of the other kind there may be some while an update comes into force.

        Raises:
            TargetError: the function failed, or there was none of that kind.
        """
        for _ in range(_TRIES):
            reply = self._target.invoke(self.name)
            if reply.error is not None:
                raise TargetError(f"{self.name} failed: {_failure(reply.answer)}. See its log in CloudWatch")
            if (reply.init_ms is not None) is cold:
                return reply
        kind = "came upon a new environment" if cold else "came upon one that was there"
        raise TargetError(f"None of {_TRIES} invocations of {self.name} {kind}; is somebody else invoking it?")


def _failure(answer: Any) -> str:
    if not isinstance(answer, dict):
        return str(answer)
    return f"{answer.get('errorType')}: {answer.get('errorMessage')}"


def metric_lines(log: str) -> list[dict[str, Any]]:
    """lambdakit's lines of metrics in a log."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith('{"_aws"')]
    return [line for line in lines if "CacheFetches" in line]


def steps(run: Run) -> int:
    """Each version once without counting and then in each round; the memory sizes."""
    return sampling.steps(run, VERSIONS, least=run.size.environments) + memory.steps(run, VERSIONS)


def measure(stack: Stack, run: Run) -> Measured:
    """Environments of both versions in turn; in those that do not count, lambdakit tells what it fetched."""
    functions = {version: Function(run, stack, version) for version in VERSIONS}
    with_metrics: dict[str, dict[str, Any]] = {}

    def trial(version: str, round_: int) -> dict[str, Any]:
        if round_ != sampling.WARM_UP:
            return functions[version].trial(run.size.warm)
        with_metrics[version] = functions[version].trial(1, metrics=True)
        return with_metrics[version]

    trials = sampling.rounds(run, VERSIONS, trial, series=_series, rows=cold_start.ROWS, least=run.size.environments)
    sizes = memory.measure(run, {version: partial(Function, run, stack, version) for version in VERSIONS})
    return Measured(
        series=_series(trials) | memory.series(sizes),
        rows=memory.rows(sizes),
        evidence={version: _evidence(trials[version]) for version in VERSIONS}
        | {
            "target": stack.described,
            "fetches": [
                line["CacheFetches"] for one in _replies(with_metrics[FAST]) for line in metric_lines(one["log"])
            ],
            "memory": {name: _evidence(given) for name, given in sizes.items()},
            "price": _price(stack, trials, sizes),
        },
        figures={
            "distribution": {version: orders.distribution(trials[version]) for version in VERSIONS},
            "memory": memory.figure(sizes),
        },
    )


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    found: dict[str, Series] = {}
    for version, given in trials.items():
        found |= orders.series(version, given)
    return {name: one for name, one in found.items() if not name.endswith(f", {NOT_SHOWN}")}


def _evidence(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if "calls" not in name} for one in orders.evidence(trials)]


def _replies(trial: dict[str, Any]) -> list[dict[str, Any]]:
    return [trial["first"], *trial["warm"]]


def _price(
    stack: Stack, trials: Mapping[str, list[dict[str, Any]]], sizes: Mapping[str, list[dict[str, Any]]]
) -> dict[str, float]:
    """What Lambda charges for the invocations that count."""
    invocations, usd = 0, 0.0
    for way, given in {**trials, **sizes}.items():
        version, _, size = way.partition(", ")
        described = stack.described[version]
        memory_mb = int(size.removesuffix(" MB") or described["memory_mb"])
        replies = [reply for trial in given for reply in _replies(trial)]
        gb_s = sum(reply["billed_ms"] or 0.0 for reply in replies) / 1000 * memory_mb / MB_PER_GB
        usd += gb_s * USD_PER_GB_SECOND[described["architecture"]]
        invocations += len(replies)
    return {"invocations": invocations, "usd": usd + invocations * USD_PER_MILLION_REQUESTS / 1_000_000}


def verify(measured: Measured) -> list[Check]:
    """Both gave one and the same answer, each environment began cold once, and lambdakit kept its values."""
    given = [trial for version in VERSIONS for trial in measured.evidence[version]]
    given += [trial for trials in measured.evidence["memory"].values() for trial in trials]
    answers = [trial["answers"] for trial in given]
    created = orders.all_created(answers)
    cold = [(trial["first_init_ms"], trial["inits"]) for trial in given]
    fetches = measured.evidence["fetches"]
    return [
        Check(what="both versions give one answer: an order that was created", passed=created, found=answers[0]),
        Check(what="one INIT per environment", passed=all(i and not n for i, n in cold), found=cold),
        Check(what="a Duration in each REPORT", passed=all(trial["reported"] for trial in given)),
        Check(what=KEPT, passed=fetches == [VALUES, 0], found=fetches),
    ]
