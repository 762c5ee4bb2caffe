"""The simulation: environments that start, call, are throttled, and retry."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import simpy

from lambdakit._aws import Attempts, RetryQuota
from lambdakit._cache import Failure
from lambdakit.exceptions import LambdakitError

from .limits import DEFAULT, Limits

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from .limits import Quota
    from .strategies import Step, Strategy

    Process = Generator[simpy.Event, None, Any]
    Asking = Generator[simpy.Event, None, bool]

MOST = 250  # simulated environments; of more, each stands for several
LONGEST_S = 1e6  # no simulation goes on for ever
_THROTTLED = LambdakitError("throttled")


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """The costs of real environments, as measured.

    Attributes:
        lead_s: from the start of the process to its first call, of each environment.
        turn_s: from the arrival of a call to that of the next one after it, of many calls.
    """

    lead_s: tuple[float, ...]
    turn_s: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """The conditions of a simulation, whatever the strategy.

    Attributes:
        environments: how many start. A managed instance's processes count, not the instances.
        costs: of each.
        quotas: of the services.
        window_s: within which they start, evenly. Lambda adds up to 1,000 to one function in 10 s; a larger fleet is
            one of several functions, which share the quotas.
        starts_s: when each makes its first call, where that is known; `window_s` and `Costs.lead_s` mean nothing then.
        between_s: from the end of an invocation that failed to the next one in the same environment, on average: any
            time up to twice as long.
        ttl_s: how long values are fresh; None: for good.
        until_s: when the simulation ends; None: when all are warm.
        most: how many are simulated at most; of more, each stands for several.
    """

    environments: int
    costs: Costs
    quotas: tuple[Quota, ...] = DEFAULT
    window_s: float = 10.0
    starts_s: tuple[float, ...] | None = None
    between_s: float = 10.0
    ttl_s: float | None = None
    until_s: float | None = None
    most: int = MOST

    @property
    def weight(self) -> float:
        """How many environments each simulated one stands for."""
        return max(1.0, self.environments / self.most)


@dataclass(kw_only=True, slots=True)
class Outcome:
    """The outcome of a simulation. All counts are those of simulated environments, each of which stands for `weight`.

    Attributes:
        weight: see `Scenario.weight`.
        answered: calls that were answered, by operation.
        throttled: calls that were not, by operation.
        arrived: calls of either kind, by second.
        refused: the latter of them, by second.
        warm_s: how long each took from its start until an invocation could succeed.
        all_warm_s: when the last one was there.
        failed_first: how many had a first invocation that failed.
    """

    weight: float
    answered: Counter[str] = field(default_factory=Counter)
    throttled: Counter[str] = field(default_factory=Counter)
    arrived: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    warm_s: list[float] = field(default_factory=list)
    all_warm_s: float = 0.0
    failed_first: int = 0

    def throttled_share(self, *, since_s: float = 0.0) -> float:
        """The share of calls that were throttled, from that second on; 0 where there were none."""
        arrived = sum(count for second, count in self.arrived.items() if second >= since_s)
        return sum(count for second, count in self.refused.items() if second >= since_s) / max(1, arrived)

    def peak(self, *, since_s: float = 0.0) -> float:
        """The most calls in one second, from that second on."""
        return self.weight * max((count for second, count in self.arrived.items() if second >= since_s), default=0)


def simulate(strategy: Strategy, scenario: Scenario, *, seed: int) -> Outcome:
    """One run; the same arguments give the same outcome."""
    fleet = _Fleet(strategy, scenario, random.Random(seed))  # noqa: S311 - no secret depends on it
    for born_s, first_s in fleet.starts():
        fleet.clock.process(fleet.environment(born_s, first_s))
    fleet.clock.run(until=LONGEST_S if scenario.until_s is None else scenario.until_s)
    return fleet.outcome


class _Fleet:
    """One run while it lasts."""

    def __init__(self, strategy: Strategy, scenario: Scenario, chance: random.Random) -> None:
        self.clock = simpy.Environment()
        self.outcome = Outcome(weight=scenario.weight)
        self._strategy = strategy
        self._scenario = scenario
        self._chance = chance
        self._draw = chance.random if strategy.jitter else lambda: 1.0
        self._limits = Limits(scenario.quotas, weight=scenario.weight)

    def starts(self) -> Sequence[tuple[float, float]]:
        """When each environment is born, and when it makes its first call."""
        scenario, strategy, chance = self._scenario, self._strategy, self._chance
        if scenario.starts_s is not None:
            return [(start_s, start_s) for start_s in scenario.starts_s]
        count, together = (
            round(scenario.environments / scenario.weight),
            max(1, round(strategy.processes / scenario.weight)),
        )
        starts: list[tuple[float, float]] = []
        while len(starts) < count:
            born_s = chance.random() * scenario.window_s
            first_s = born_s + chance.choice(scenario.costs.lead_s)
            starts += [(born_s, first_s + chance.random() * strategy.spread_s) for _ in range(together)]
        return starts[:count]

    def environment(self, born_s: float, first_s: float) -> Process:
        """From its birth until it is warm; its values are looked after from then on."""
        retries = {service: RetryQuota() for service in ("ssm", "secretsmanager")}
        yield self.clock.timeout(first_s)
        failed = yield from (self._preloaded if self._strategy.preload else self._asked)(retries)
        self.outcome.failed_first += failed
        self.outcome.warm_s.append(self.clock.now - born_s)
        self.outcome.all_warm_s = self.clock.now

    def _asked(self, retries: dict[str, RetryQuota]) -> Asking:
        """Invocations until one succeeds, and whether one has failed; each goes on where the last one has ended."""
        failed = False
        for step in self._strategy.steps:
            while not (yield from self._call(step, retries, pause=True)):
                failed = True
            self._keep((step,), retries)
        return failed

    def _preloaded(self, retries: dict[str, RetryQuota]) -> Asking:
        """INIT, then the same; each begins with the batches that have not come, before it asks as its handler does."""
        left = {batch: batch.later for batch in self._strategy.steps}
        yield from self._together(left, retries)
        failed = False
        while left:
            yield from self._together(left, retries)
            failed |= not (yield from self._by_handler(left, retries))
        return failed

    def _together(self, left: dict[Step, tuple[Step, ...]], retries: dict[str, RetryQuota]) -> Process:
        """All batches at once, whatever fails; for a last value lambdakit makes a single call."""
        calls = {
            batch: self.clock.process(self._call(batch if len(later) > 1 else later[0], retries))
            for batch, later in left.items()
        }
        yield simpy.AllOf(self.clock, [*calls.values()])
        for batch, call in calls.items():
            if call.value:
                self._keep(left.pop(batch), retries)

    def _by_handler(self, left: dict[Step, tuple[Step, ...]], retries: dict[str, RetryQuota]) -> Asking:
        """Whether the handler gets what is missing; what it got is kept."""
        for batch in [*left]:
            while left[batch]:
                step, *others = left[batch]
                if not (yield from self._call(step, retries, pause=True)):
                    return False
                self._keep((step,), retries)
                left[batch] = tuple(others)
            del left[batch]
        return True

    def _call(self, step: Step, retries: dict[str, RetryQuota], *, pause: bool = False) -> Asking:
        """Whether it was answered, at the first or a later attempt, each of which is one event.

        If it was not, the invocation has failed; with `pause` the next one begins when this returns.
        """
        attempts = Attempts(retries[step.service], random=self._draw)
        while True:
            answered = self._arrive(step.operation)
            delay_s = None if answered else attempts.failed(code="ThrottlingException", status=400)
            wait_s = delay_s or 0.0
            if answered:
                attempts.succeeded()
            elif delay_s is None and pause:
                wait_s = self._pause_s()
            yield self.clock.timeout(self._chance.choice(self._scenario.costs.turn_s) + wait_s)
            if delay_s is None:
                return answered

    def _arrive(self, operation: str) -> bool:
        """Whether the service answers a call that arrives now."""
        outcome, second = self.outcome, int(self.clock.now)
        outcome.arrived[second] += 1
        if self._limits.take(operation, self.clock.now):
            outcome.answered[operation] += 1
            return True
        outcome.throttled[operation] += 1
        outcome.refused[second] += 1
        return False

    def _keep(self, steps: tuple[Step, ...], retries: dict[str, RetryQuota]) -> None:
        """What came by one call; it is asked for again as the handler does, by these."""
        if self._scenario.ttl_s is not None:
            ttl_s = self._scenario.ttl_s * (1.0 - self._strategy.early * self._chance.random())
            for step in steps:
                self.clock.process(self._refresh(step, retries, ttl_s))

    def _refresh(self, step: Step, retries: dict[str, RetryQuota], ttl_s: float) -> Process:
        """The first invocation after the end of the ttl asks again; until it is answered the old value is served."""
        yield self.clock.timeout(ttl_s + self._pause_s())
        failure: Failure | None = None
        while not (yield from self._call(step, retries, pause=True)):
            now = (self.clock.now, self.clock.now)
            failure = Failure(_THROTTLED, last=failure, now=now, random=self._chance.random())
            while failure.in_backoff((self.clock.now, self.clock.now)):
                yield self.clock.timeout(self._pause_s())
        self._keep((step,), retries)

    def _pause_s(self) -> float:
        """Until the next invocation of an environment."""
        return 2.0 * self._scenario.between_s * self._chance.random()
