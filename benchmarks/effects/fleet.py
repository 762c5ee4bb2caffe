"""Many environments that start within seconds: a simulation, validated by real fleets.

The control are 13 single gets in each environment, of 10 parameters and 3 secrets; the treatment are 2 batches.
"""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

from ..fleet import limits, validation
from ..fleet.limited import LimitedServer
from ..fleet.model import Costs, Outcome, Scenario, simulate
from ..fleet.real import RealFleet
from ..fleet.rows import ROWS
from ..fleet.simulations import (
    DRAWN,
    FEW,
    HIGHER,
    MANY,
    SEEDS_OF_LARGE,
    START,
    USUAL,
    Simulation,
    curve,
    series,
    simulations,
)
from ..fleet.strategies import BATCHES, PRELOAD, PRELOAD_BATCHES, SINGLE
from ..framework import sampling
from ..framework.effect import Check, Effect, Measured, Series

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..fleet.strategies import Strategy
    from ..framework.run import Run

LARGE_RUN = 10  # environments of the example that a full run measures, and no quick one
WARM_UPS = 1
ONE_FOR_MANY = 0.05  # how far apart the throttled shares may be
EACH_CALL_COUNTS = f"10 real environments, {BATCHES.name}: the calls that were answered are those of the simulation"


def is_large(run: Run) -> bool:
    """Whether it is a full run."""
    return run.size.environments >= LARGE_RUN


def fleets(run: Run) -> list[tuple[Strategy, int]]:
    """The real fleets of a run."""
    if is_large(run):
        ways_to_ask = (SINGLE, BATCHES, PRELOAD, PRELOAD_BATCHES)
        return [(strategy, count) for count in (10, 50) for strategy in ways_to_ask]
    return [(SINGLE, 10), (BATCHES, 10)]


def simulated(run: Run) -> tuple[list[Simulation], list[Simulation]]:
    """The simulations with as many seeds as other effects have processes, and the large ones, which have few."""
    found = simulations(MANY if is_large(run) else FEW)
    small = [simulation for simulation in found if simulation.environments <= USUAL]
    return small, [simulation for simulation in found if simulation not in small]


def steps(run: Run) -> int:
    """Real environments for their costs, real fleets, simulations."""
    small, large = ([simulation.name for simulation in found] for found in simulated(run))
    return (
        2 * (_rounds(run) + WARM_UPS)
        + len(fleets(run))
        + sampling.steps(run, small)
        + sampling.steps(run, large, least=SEEDS_OF_LARGE)
    )


def _rounds(run: Run) -> int:
    return min(run.size.processes, 5 if is_large(run) else 3)  # each is an environment of the lab


def measure(run: Run) -> Measured:
    """First real environments, alone and together, then the simulation with what they cost."""
    with LimitedServer(run.upstream.url) as server:
        fleet = RealFleet(run.lab, server)
        costs, evidence = _costs(run, fleet)
        cases = _cases(run, fleet)
    small, large = simulated(run)
    outcomes = _outcomes(run, small, costs) | _outcomes(run, large, costs, least=SEEDS_OF_LARGE)
    exact = simulate(BATCHES, Scenario(environments=USUAL, costs=costs[BATCHES.name], most=USUAL), seed=0)
    return Measured(
        series=_series([*small, *large], outcomes),
        evidence={
            "costs": evidence,
            "fleets": cases,
            "simulated": {
                simulation.name: [_summary(simulation, outcome) for outcome in outcomes[simulation.name]]
                for simulation in (*small, *large)
            },
            "each by itself": _summary(Simulation(BATCHES, USUAL), exact),
        },
        figures={
            "fleet": [
                curve(simulation, outcomes[simulation.name])
                for simulation in (*small, *large)
                if simulation.kind == START and simulation.strategy in DRAWN
            ]
        },
    )


def _costs(run: Run, fleet: RealFleet) -> tuple[dict[str, Costs], dict[str, Any]]:
    """The costs of environments that are alone and not throttled."""
    costs, evidence = {}, {}
    for strategy in (SINGLE, BATCHES):
        trials = []
        for round_ in range(-WARM_UPS, _rounds(run)):  # byte code is written, moto answers once
            trial = fleet.run(strategy, 1, quotas=())
            trials += [trial] if round_ >= 0 else []
            run.tick()
        leads_s = [lead_s for trial in trials for lead_s in trial.leads_s]
        turns_s = [turn_s for trial in trials for turn_s in trial.turns_s]
        costs[strategy.name] = Costs(lead_s=tuple(leads_s), turn_s=tuple(turns_s))
        cpu_ms = [spent_ms for trial in trials for spent_ms in trial.cpu_ms]
        evidence[strategy.name] = {"lead_s": leads_s, "turn_s": turns_s, "cpu_ms": cpu_ms}
    return costs, evidence


def _cases(run: Run, fleet: RealFleet) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = []
    turns_s: dict[int, list[float]] = {}
    for strategy, count in fleets(run):
        measured = run.switch(strategy, off=SINGLE) if strategy is BATCHES else strategy
        fleet_run = fleet.run(measured, count, quotas=validation.quotas_of(strategy))
        cases.append(validation.case(strategy, fleet_run, turns_s=turns_s[count] if strategy.preload else None))
        if strategy is BATCHES:  # preload makes the same calls
            turns_s[count] = fleet_run.turns_s
        run.tick()
    return cases


def _outcomes(
    run: Run, chosen: list[Simulation], costs: Mapping[str, Costs], *, least: int | None = None
) -> dict[str, list[Outcome]]:
    by_name = {simulation.name: simulation for simulation in chosen}

    def one(name: str, round_: int) -> Outcome:
        if round_ == sampling.WARM_UP:
            return Outcome(weight=1.0)  # nothing here is slower the first time
        return by_name[name].run(costs, seed=round_)

    return sampling.rounds(run, [*by_name], one, series=lambda trials: _series(chosen, trials), rows=ROWS, least=least)


def _series(chosen: list[Simulation], outcomes: Mapping[str, list[Outcome]]) -> dict[str, Series]:
    return {name: one for simulation in chosen for name, one in series(simulation, outcomes[simulation.name]).items()}


def _summary(simulation: Simulation, outcome: Outcome) -> dict[str, Any]:
    return {
        "kind": simulation.kind,
        "environments": simulation.environments,
        "warm": round(outcome.weight * len(outcome.warm_s)),
        "weight": outcome.weight,
        "answered": dict(outcome.answered),
        "throttled": dict(outcome.throttled),
        "throttled_share": outcome.throttled_share(),
        "until_s": max(outcome.arrived, default=0) + 1.0,
    }


def verify(measured: Measured) -> list[Check]:
    """The simulation says what real fleets did; it loses no environment, and no service answers beyond its limit."""
    checks = [check for case in measured.evidence["fleets"] for check in validation.checks(case)]
    given = measured.evidence["simulated"]
    lost = [name for name, outcomes in given.items() if any(o["warm"] != o["environments"] for o in outcomes)]
    beyond = [name for name, outcomes in given.items() if not all(map(_is_within, outcomes))]
    shares = [
        measured.evidence["each by itself"]["throttled_share"],
        fmean(outcome["throttled_share"] for outcome in given[Simulation(BATCHES, USUAL).name]),
    ]
    return [
        *checks,
        Check(what="every simulated environment gets warm", passed=not lost, found=lost),
        Check(what="no service answers beyond its limit", passed=not beyond, found=beyond),
        Check(
            what="one simulated environment stands for several as well as for itself",
            passed=abs(shares[0] - shares[1]) <= ONE_FOR_MANY,
            found=shares,
        ),
    ]


def _is_within(outcome: dict[str, Any]) -> bool:
    """Whether each quota had tokens for what was answered: those of the beginning, and those that came since."""
    quotas, until_s = limits.HIGHER if outcome["kind"] == HIGHER else limits.DEFAULT, outcome["until_s"]
    return all(
        outcome["weight"] * sum(outcome["answered"].get(operation, 0) for operation in quota.operations)
        <= max(quota.capacity, outcome["weight"]) + quota.rate * until_s
        for quota in quotas
    )


EFFECT = Effect(
    name="fleet",
    question="What happens to the services' limits when many environments start within seconds?",
    group="fleet",
    claim="A thousand environments that fetch in batches are warm in a fifth of the time, with a tenth of the calls.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(EACH_CALL_COUNTS,),
)
