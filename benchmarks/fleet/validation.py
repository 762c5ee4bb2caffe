"""Validation of the simulation: given the conditions of a real fleet, it has to predict what that fleet did."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

from ..framework.effect import Check
from .model import Costs, Scenario, simulate
from .real import BETWEEN_S, QUOTAS, SCARCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .limits import Quota
    from .real import FleetRun
    from .strategies import Strategy

SEEDS = 20
SHARE = 0.15  # how far apart the throttled shares may be
TIME, TIME_S = 0.25, 1.5  # and the times until all are warm: that part of it, and that long
CALLS = 0.25  # and the calls that were answered, where chance decides how many are needed: that part of them


def predict(
    strategy: Strategy,
    fleet_run: FleetRun,
    *,
    turns_s: Sequence[float] | None = None,
    quotas: Sequence[Quota] = QUOTAS,
) -> dict[str, Any]:
    """The prediction of the simulation for that fleet: each figure as its mean, minimum and maximum over the seeds.

    Args:
        strategy: how it asked.
        fleet_run: what it met with.
        turns_s: of another fleet of that size, where this one's are not to be told: calls at once follow nothing.
        quotas: of the server.
    """
    scenario = Scenario(
        environments=len(fleet_run.starts_s),
        costs=Costs(lead_s=(0.0,), turn_s=tuple(turns_s or fleet_run.turns_s)),
        quotas=tuple(quotas),
        starts_s=tuple(fleet_run.starts_s),
        between_s=BETWEEN_S,
    )
    outcomes = [simulate(strategy, scenario, seed=seed) for seed in range(SEEDS)]
    return {
        "answered": [dict(outcome.answered) for outcome in outcomes],
        "throttled_share": _range([outcome.throttled_share() for outcome in outcomes]),
        "all_warm_s": _range([outcome.all_warm_s for outcome in outcomes]),
        "failed_first": _range([outcome.failed_first / len(outcome.warm_s) for outcome in outcomes]),
    }


def _range(values: list[float]) -> list[float]:
    return [fmean(values), min(values), max(values)]


def quotas_of(strategy: Strategy) -> tuple[Quota, ...]:
    """The quotas that a real fleet of this strategy meets."""
    return SCARCE if strategy.preload else QUOTAS


def case(strategy: Strategy, fleet_run: FleetRun, *, turns_s: Sequence[float] | None = None) -> dict[str, Any]:
    """A fleet beside what is predicted of it, as evidence."""
    return {
        "strategy": strategy.name,
        "real": fleet_run.document() | {"throttled_share": fleet_run.throttled_share},
        "predicted": predict(strategy, fleet_run, turns_s=turns_s, quotas=quotas_of(strategy)),
        "needed": needed(strategy, len(fleet_run.starts_s)),
    }


def needed(strategy: Strategy, environments: int) -> dict[str, int] | None:
    """The calls that have to be answered; None where it depends on what is throttled."""
    if strategy.preload and not strategy.invocations_batch:
        return None
    operations = [step.operation for step in strategy.steps]
    return {operation: operations.count(operation) * environments for operation in operations}


def checks(case: dict[str, Any]) -> list[Check]:
    """The checks of prediction against fleet."""
    real, predicted, needed = case["real"], case["predicted"], case["needed"]
    count = len(real["starts_s"])
    where = f"{count} real environments, {case['strategy']}"
    answered = [*predicted["answered"], real["answered"]]
    mean, *_ = predicted["throttled_share"]
    _, soonest_s, latest_s = predicted["all_warm_s"]
    warm_s = max(real["warm_s"])
    *simulated, found = (sum(calls.values()) for calls in answered)
    if needed is None:
        counted = Check(
            what=f"{where}: as many calls are answered as the simulation says",
            passed=min(simulated) * (1 - CALLS) <= found <= max(simulated) * (1 + CALLS),
            found=[found, min(simulated), max(simulated)],
        )
    else:
        counted = Check(
            what=f"{where}: the calls that were answered are those of the simulation",
            passed=all(calls == needed for calls in answered),
            found=real["answered"],
        )
    return [
        Check(what=f"{where}: all have the right values", passed=real["right"] == count, found=real["right"]),
        counted,
        Check(
            what=f"{where}: throttled share within {SHARE} of the simulation's",
            passed=abs(real["throttled_share"] - mean) <= SHARE,
            found=[real["throttled_share"], mean],
        ),
        Check(
            what=f"{where}: all warm when the simulation says",
            passed=soonest_s * (1 - TIME) - TIME_S <= warm_s <= latest_s * (1 + TIME) + TIME_S,
            found=[warm_s, soonest_s, latest_s],
        ),
    ]
