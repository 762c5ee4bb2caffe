"""The simulations of a run, and their figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..framework import stats
from ..framework.effect import Series
from . import limits
from .model import Scenario, simulate
from .strategies import (
    BATCHES,
    EXTENSION,
    MANAGED,
    NO_EARLY,
    NO_JITTER,
    NO_SPREAD,
    PRELOAD,
    PRELOAD_BATCHES,
    SECRETS_SINGLY,
    SINGLE,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .model import Costs, Outcome
    from .strategies import Strategy

FEW, MANY = (10, 1_000), (10, 100, 1_000, 10_000, 100_000)
DRAWN = (SINGLE, BATCHES, PRELOAD, MANAGED)  # at every size
USUAL = 1_000  # as many as Lambda gives one function in 10 s
MOST_OF_LARGE = 100  # of larger fleets: they take long, and the more stand behind one the less it matters
SEEDS_OF_LARGE = 3
UNTHROTTLED = 300  # so many batches in 10 s are within what Parameter Store takes

START, REFRESH, HIGHER = "start", "refresh", "higher throughput"
TTL_S, REFRESHED_S = 300.0, 250.0  # lambdakit's own default; from when on calls are refreshes
_FINE, _WIDER = 40, 1.06  # seconds that a figure tells apart, and by how much its intervals grow after them


@dataclass(frozen=True, slots=True)
class Simulation:
    """A strategy in a scenario; each seed is one run of it."""

    strategy: Strategy
    environments: int
    kind: str = START

    @property
    def name(self) -> str:
        """The name of its series."""
        return f"{self.strategy.name}, {self.kind} of {self.environments:,}"

    def scenario(self, costs: Costs) -> Scenario:
        """Its scenario."""
        scenario = Scenario(environments=self.environments, costs=costs)
        if self.environments > USUAL:
            scenario = replace(scenario, most=MOST_OF_LARGE)
        if self.kind == HIGHER:
            return replace(scenario, quotas=limits.HIGHER)
        if self.kind == REFRESH:
            # Once around. Environments that are asked every second show when values end, not when they are asked for.
            return replace(scenario, ttl_s=TTL_S, until_s=1.5 * TTL_S, between_s=1.0)
        return scenario

    def run(self, costs: Mapping[str, Costs], seed: int) -> Outcome:
        """Simulate it."""
        own = costs[SINGLE.name if self.strategy.steps == SINGLE.steps else BATCHES.name]
        return simulate(self.strategy, self.scenario(own), seed=seed)


def simulations(sizes: Iterable[int]) -> list[Simulation]:
    """All of them for these sizes."""
    found = [Simulation(strategy, size) for size in sizes for strategy in DRAWN]
    found += [Simulation(strategy, USUAL) for strategy in (PRELOAD_BATCHES, NO_SPREAD, NO_JITTER)]
    found += [Simulation(strategy, UNTHROTTLED, REFRESH) for strategy in (NO_EARLY, BATCHES)]
    if max(sizes) > USUAL:
        found.append(
            Simulation(EXTENSION, UNTHROTTLED, REFRESH)
        )  # thirteen values each, for minutes: too much for a quick run
        found += [Simulation(strategy, 10_000, HIGHER) for strategy in (SINGLE, BATCHES, SECRETS_SINGLY)]
    return found


def series(simulation: Simulation, outcomes: Sequence[Outcome]) -> dict[str, Series]:
    """The figures of its outcomes, one value per seed."""

    def each(figure: str, unit: str, values: Iterable[float]) -> dict[str, Series]:
        return {f"{simulation.name}, {figure}": Series(unit=unit, processes=[[value] for value in values])}

    if simulation.kind == REFRESH:
        return each("throttled", "%", (100 * one.throttled_share(since_s=REFRESHED_S) for one in outcomes)) | each(
            "peak", "calls/s", (one.peak(since_s=REFRESHED_S) for one in outcomes)
        )
    return (
        each("throttled", "%", (100 * one.throttled_share() for one in outcomes))
        | each("calls", "calls", (sum(one.arrived.values()) / len(one.warm_s) for one in outcomes))
        | each("failed", "%", (100 * one.failed_first / len(one.warm_s) for one in outcomes))
        | each("p50", "s", (stats.percentile(one.warm_s, 0.5) for one in outcomes))
        | each("p99", "s", (stats.percentile(one.warm_s, 0.99) for one in outcomes))
        | each("all warm", "s", (one.all_warm_s for one in outcomes))
    )


def curve(simulation: Simulation, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Calls over time of its first seed, and what all seeds say of it; intervals are of one second, later wider."""
    first = outcomes[0]
    edges, end_s = [0.0], first.all_warm_s + 1.0
    while edges[-1] < end_s:
        edges.append(edges[-1] + 1.0 if edges[-1] < _FINE else float(round(edges[-1] * _WIDER)))
    calls = [0.0] * len(edges)
    refused = [0.0] * len(edges)
    for counts, given in ((first.arrived, calls), (first.refused, refused)):
        place = 0
        for second in sorted(counts):
            while place + 2 < len(edges) and edges[place + 1] <= second:
                place += 1
            given[place] += first.weight * counts[second] / (edges[place + 1] - edges[place])
    return {
        "strategy": simulation.strategy.name,
        "environments": simulation.environments,
        "t_s": edges,
        "calls_per_s": calls,
        "throttled_per_s": refused,
        "throttled_share": stats.median([one.throttled_share() for one in outcomes]),
        "all_warm_s": stats.median([one.all_warm_s for one in outcomes]),
        "warm_p50_s": stats.median([stats.percentile(one.warm_s, 0.5) for one in outcomes]),
        "warm_p99_s": stats.median([stats.percentile(one.warm_s, 0.99) for one in outcomes]),
        "failed_first_share": stats.median([one.failed_first / len(one.warm_s) for one in outcomes]),
    }
