"""The effect `fleet`: its limits, its simulation, the real fleets that it is checked against."""

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import boto3
import pytest
from benchmarks.effects import fleet
from benchmarks.fleet import limits, strategies, validation
from benchmarks.fleet.limited import LimitedServer
from benchmarks.fleet.limits import Bucket, Limits, Quota
from benchmarks.fleet.model import Costs, Outcome, Scenario, simulate
from benchmarks.fleet.real import NAMES, FleetRun, RealFleet
from benchmarks.fleet.rows import ROWS
from benchmarks.fleet.simulations import FEW, HIGHER, MANY, REFRESH, Simulation, curve, series, simulations
from benchmarks.fleet.strategies import (
    BATCHES,
    EXTENSION,
    MANAGED,
    NO_EARLY,
    NO_SPREAD,
    PRELOAD,
    PRELOAD_BATCHES,
    SINGLE,
    Step,
)
from benchmarks.framework.effect import Measured
from benchmarks.framework.run import FULL, QUICK, Run
from benchmarks.servers.upstream import PARAMETERS, SECRETS
from hypothesis import given
from hypothesis import strategies as st

from lambdakit import _cache, _values
from lambdakit._aws import MAX_ATTEMPTS
from lambdakit.lab import Lab

COSTS = Costs(lead_s=(0.1, 0.2), turn_s=(0.01, 0.02))
NEVER = 1e-9  # calls per second; a bucket has one token at the start all the same


def scenario(environments: int = 1, **more: Any) -> Scenario:
    return Scenario(environments=environments, costs=COSTS, **more)


def closed(*operations: str) -> tuple[Quota, ...]:
    """A limit that answers one call, and no more."""
    return (Quota(rate=NEVER, burst=1.0, operations=operations),)


@pytest.mark.parametrize(("now_s", "answered"), [(0.0, 0), (0.24, 0), (0.25, 1), (0.5, 2), (1.0, 3), (60.0, 3)])
def test_a_bucket_fills_at_its_rate_up_to_its_size(now_s: float, answered: int) -> None:
    """It is full at its first call, whenever that comes."""
    bucket = Bucket(rate=4.0, capacity=3.0)
    assert [bucket.take(1e9) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(1e9 + now_s) for _ in range(4)].count(True) == answered


@given(st.lists(st.floats(0.0, 0.5), max_size=50), st.floats(0.5, 50.0), st.floats(1.0, 20.0))
def test_no_bucket_answers_more_than_it_had(gaps_s: list[float], rate: float, capacity: float) -> None:
    """Its size, and what has come since."""
    bucket, now_s, answered = Bucket(rate=rate, capacity=capacity), 0.0, 0
    for gap_s in gaps_s:
        now_s += gap_s
        answered += bucket.take(now_s)
        assert answered <= capacity + rate * now_s + 1e-6


def test_operations_share_a_quota_where_the_service_says_so() -> None:
    """GetParameter and GetParameters by default; an operation without a quota is always answered."""
    shared = Limits((Quota(rate=NEVER, burst=2.0, operations=("GetParameter", "GetParameters")),))
    asked = ("GetParameter", "GetParameters", "GetParameter", "GetParameters", "GetSecretValue")
    assert [shared.take(operation, 0.0) for operation in asked] == [True, True, False, False, True]
    assert limits.DEFAULT[0] == Quota(rate=40.0, operations=("GetParameter", "GetParameters"))
    assert limits.DEFAULT[0].capacity == 40.0


def test_a_call_that_stands_for_many_takes_as_many_tokens() -> None:
    """Where a bucket has less room than one such call takes, it has room for one."""
    quotas = (Quota(rate=NEVER, burst=40.0, operations=("GetParameter",)),)
    taken = {weight: [Limits(quotas, weight=weight)] for weight in (1.0, 10.0, 1000.0)}
    found = {weight: sum(one.take("GetParameter", 0.0) for _ in range(50)) for weight, (one,) in taken.items()}
    assert found == {1.0: 40, 10.0: 4, 1000.0: 1}


def test_each_strategy_brings_all_values() -> None:
    """By single calls, or by batches which stand for the same single calls."""
    singles = Counter(SINGLE.steps)
    assert singles == {Step("GetParameter"): strategies.PARAMETERS, Step("GetSecretValue"): strategies.SECRETS}
    for strategy in (BATCHES, PRELOAD, MANAGED, strategies.SECRETS_SINGLY):
        assert Counter(single for step in strategy.steps for single in step.later or (step,)) == singles


def test_what_the_code_of_a_handler_asks_for_by_batches() -> None:
    """All of it, or what no preload brought."""
    assert [s.name for s in (SINGLE, BATCHES, PRELOAD, PRELOAD_BATCHES) if s.invocations_batch] == [
        BATCHES.name,
        PRELOAD_BATCHES.name,
    ]


def test_the_simulation_has_the_numbers_of_the_library() -> None:
    """By how much a ttl is shortened, and over how long first calls are spread."""
    assert (strategies.EARLY, strategies.SPREAD_S) == (_cache._JITTER, _values._STARTUP_JITTER_S)


def test_a_seed_decides_everything() -> None:
    """The same one gives the same outcome, another one another."""
    first, again, other = (simulate(BATCHES, scenario(200, window_s=1.0), seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("strategy", [SINGLE, BATCHES, PRELOAD, MANAGED, EXTENSION], ids=lambda strategy: strategy.name)
def test_nothing_is_throttled_without_limits(strategy: strategies.Strategy) -> None:
    """Each environment makes each of its calls once, one after the other."""
    outcome = simulate(strategy, scenario(20, quotas=()), seed=1)
    assert outcome.answered == Counter(step.operation for step in strategy.steps for _ in range(20))
    assert (outcome.throttled, outcome.throttled_share(), outcome.failed_first) == ({}, 0.0, 0)
    after_another = 1 if strategy.preload else len(strategy.steps)
    least_s = min(COSTS.lead_s) + after_another * min(COSTS.turn_s)
    most_s = max(COSTS.lead_s) + len(strategy.steps) * max(COSTS.turn_s) + strategy.spread_s
    assert all(least_s - 1e-9 <= warm_s <= most_s + 1e-9 for warm_s in outcome.warm_s)
    assert outcome.all_warm_s <= 10.0 + most_s


def test_a_limit_that_is_reached_decides_when_all_are_warm() -> None:
    """Calls divided by rate: not sooner, and not much later."""
    outcome = simulate(BATCHES, scenario(400, quotas=limits.DEFAULT, most=400, between_s=1.0, window_s=1.0), seed=3)
    bound_s = (400 - 40.0) / 40.0
    assert len(outcome.warm_s) == 400
    assert bound_s <= outcome.all_warm_s <= 2.5 * bound_s
    assert sum(outcome.arrived.values()) == outcome.answered.total() + outcome.throttled.total()
    assert sum(outcome.refused.values()) == outcome.throttled.total() > 0


def test_an_invocation_asks_as_often_as_the_client_does() -> None:
    """Three times, and then fails; what it had is kept, so the next one goes on where it has ended."""
    quotas = (Quota(rate=0.01, burst=1.0, operations=("GetParameter",)),)
    outcome = simulate(SINGLE, scenario(quotas=quotas, starts_s=(0.0,), between_s=5.0, until_s=90.0), seed=1)
    assert outcome.answered == {"GetParameter": 1}
    assert outcome.throttled["GetParameter"] >= 2 * MAX_ATTEMPTS
    at_most_s = 1.0 + 2.0 + MAX_ATTEMPTS * max(COSTS.turn_s)  # two waits of a throttled client, at their longest
    assert sum(count for second, count in outcome.refused.items() if second <= at_most_s) >= MAX_ATTEMPTS
    whole = simulate(SINGLE, scenario(quotas=quotas, starts_s=(0.0,), between_s=5.0), seed=1)
    assert whole.answered == {"GetParameter": 10, "GetSecretValue": 3}
    assert whole.failed_first == len(whole.warm_s) == 1


def test_a_client_whose_quota_of_retries_is_used_up_asks_once() -> None:
    """As the real one does: 500 tokens, 5 for each retry after throttling."""
    outcome = simulate(
        SINGLE, scenario(quotas=closed("GetParameter"), starts_s=(0.0,), between_s=1.0, until_s=2000.0), seed=1
    )
    calls = [count for second, count in outcome.refused.items() if second > 1000]
    retries, invocations = 100, 1000
    assert 0.8 * invocations <= sum(calls) <= 1.2 * invocations
    assert outcome.throttled["GetParameter"] < 2000 + retries


def test_a_retry_that_is_answered_costs_no_quota() -> None:
    """As with the real client: a hundred and fifty calls, each answered at its second attempt, in one invocation."""
    strategy = replace(strategies.NO_JITTER, steps=(Step("GetParameter"),) * 150)
    quotas = (Quota(rate=1.05, burst=1.0, operations=("GetParameter",)),)
    outcome = simulate(strategy, scenario(quotas=quotas, starts_s=(0.0,), between_s=1e5), seed=1)
    assert (outcome.answered, outcome.throttled) == ({"GetParameter": 150}, {"GetParameter": 149})
    assert (outcome.failed_first, outcome.all_warm_s < 200) == (0, True)


def test_one_failed_invocation_is_a_failed_first_one() -> None:
    """Throttled at 10, 11 and 13 s; there is a token again at 16 s, which the next invocation gets."""
    quotas = (Quota(rate=1 / 16, burst=1.0, operations=("GetParameters",)),)
    outcome = simulate(strategies.NO_JITTER, scenario(2, quotas=quotas, starts_s=(0.0, 10.0)), seed=1)
    assert [outcome.refused[second] for second in (10, 11, 13)] == [1, 1, 1]
    assert (outcome.failed_first, outcome.answered["GetParameters"]) == (1, 2)


STEADY = replace(PRELOAD, jitter=False)  # attempts at once, after 1 s and after 2 s more


def test_what_preload_could_not_get_an_invocation_asks_for_together_first() -> None:
    """Throttled in INIT at 10, 11 and 13 s and then at 13 and 14; there is a token again at 16 s, and no single get."""
    quotas = (Quota(rate=1 / 16, burst=1.0, operations=("GetParameters",)),)
    outcome = simulate(STEADY, scenario(2, quotas=quotas, starts_s=(0.0, 10.0)), seed=1)
    assert outcome.answered == {"GetParameters": 2, "BatchGetSecretValue": 2}
    assert outcome.refused == {10: 1, 11: 1, 13: 2, 14: 1}
    assert (outcome.failed_first, len(outcome.warm_s), int(outcome.all_warm_s)) == (0, 2, 16)


def test_what_no_batch_brought_the_handler_gets_singly() -> None:
    """Without a failed invocation if that is answered: nothing is asked for after it."""
    outcome = simulate(PRELOAD, scenario(2, quotas=closed("GetParameters"), starts_s=(0.0, 100.0)), seed=1)
    assert outcome.answered == {"GetParameters": 1, "BatchGetSecretValue": 2, "GetParameter": 10}
    assert outcome.throttled == {"GetParameters": 2 * MAX_ATTEMPTS}
    assert (outcome.failed_first, len(outcome.warm_s)) == (0, 2)


def test_what_the_handler_got_singly_is_asked_for_again_like_the_rest() -> None:
    """Values of both services; those of the first environment came in batches, of the second one by one."""
    quotas = (*closed("GetParameters"), *closed("BatchGetSecretValue"))
    late = scenario(2, quotas=quotas, starts_s=(0.0, 10.0), ttl_s=100.0, between_s=0.01)
    for until_s, times in ((50.0, 1), (150.0, 3)):
        outcome = simulate(STEADY, replace(late, until_s=until_s), seed=1)
        singles = {"GetParameter": times * strategies.PARAMETERS, "GetSecretValue": times * strategies.SECRETS}
        assert outcome.answered == {"GetParameters": 1, "BatchGetSecretValue": 1} | singles
        assert outcome.failed_first == 0


def test_every_invocation_begins_with_the_batches_again() -> None:
    """If the handler's single get was throttled too, the next one succeeds without it."""
    quotas = (Quota(rate=1 / 40, burst=1.0, operations=("GetParameter", "GetParameters")),)
    outcome = simulate(STEADY, scenario(2, quotas=quotas, starts_s=(0.0, 10.0), between_s=1e4), seed=1)
    assert outcome.answered == {"GetParameters": 2, "BatchGetSecretValue": 2}
    assert outcome.throttled == {"GetParameters": 2 * MAX_ATTEMPTS, "GetParameter": MAX_ATTEMPTS}
    assert (outcome.failed_first, outcome.all_warm_s > 40.0) == (1, True)


def test_what_the_handler_got_is_kept() -> None:
    """And the last value that is missing is no batch: the second invocation makes one single call."""
    quotas = (*closed("GetParameters"), Quota(rate=1 / 40, burst=9.0, operations=("GetParameter",)))
    outcome = simulate(STEADY, scenario(2, quotas=quotas, starts_s=(0.0, 10.0), between_s=1e4), seed=1)
    assert outcome.answered == {"GetParameters": 1, "BatchGetSecretValue": 2, "GetParameter": 10}
    assert outcome.throttled == {"GetParameters": 2 * MAX_ATTEMPTS, "GetParameter": MAX_ATTEMPTS}
    assert (outcome.failed_first, len(outcome.warm_s)) == (1, 2)


def test_a_handler_that_reads_in_batches_never_asks_singly() -> None:
    """After INIT and the beginning of the invocation it asks with one more call for each service."""
    quotas = (Quota(rate=1 / 40, burst=1.0, operations=("GetParameters",)),)
    strategy = replace(PRELOAD_BATCHES, jitter=False)
    outcome = simulate(strategy, scenario(2, quotas=quotas, starts_s=(0.0, 10.0), between_s=1e4), seed=1)
    assert outcome.answered == {"GetParameters": 2, "BatchGetSecretValue": 2}
    assert outcome.throttled == {"GetParameters": 3 * MAX_ATTEMPTS}
    assert outcome.failed_first == 1


def test_waits_are_drawn_where_retries_have_jitter() -> None:
    """Without it each is as long as the back-off: 1 s, then 2."""
    quotas = (Quota(rate=0.001, burst=1.0, operations=("GetParameters",)),)
    late = scenario(2, quotas=quotas, starts_s=(0.0, 10.0), until_s=14.0, between_s=1e6)
    assert simulate(strategies.NO_JITTER, late, seed=1).refused == {10: 1, 11: 1, 13: 1}
    assert len({str(simulate(BATCHES, late, seed=seed).refused) for seed in range(20)}) > 1


def test_processes_of_a_managed_instance_start_together() -> None:
    """And make their first calls within 50 ms of each other, where lambdakit spreads them."""
    for strategy, most_s in ((NO_SPREAD, 0.0), (MANAGED, strategies.SPREAD_S)):
        costs = Costs(lead_s=(0.0,), turn_s=(0.0,))
        outcome = simulate(strategy, Scenario(environments=32, costs=costs, quotas=(), window_s=100.0), seed=1)
        waits_s = sorted(outcome.warm_s)
        assert 0.0 <= waits_s[0] <= waits_s[-1] <= most_s + 1e-9
        assert waits_s[-1] >= 0.8 * most_s
        assert len(outcome.arrived) <= 4  # two moments


@pytest.mark.parametrize(
    ("strategy", "calls"),
    [(BATCHES, 2), (NO_EARLY, 2), (PRELOAD, 13), (PRELOAD_BATCHES, 2)],
    ids=lambda given: getattr(given, "name", None),
)
def test_a_value_is_asked_for_again_after_its_ttl(strategy: strategies.Strategy, calls: int) -> None:
    """A tenth earlier at most, where it has jitter, so that what began together does not end together.

    The handler asks, as it does: a preload is for the start.
    """
    outcome = simulate(
        strategy, scenario(100, quotas=(), window_s=1.0, ttl_s=100.0, until_s=250.0, between_s=0.01), seed=1
    )
    for number in (1, 2):
        again = [second for second in outcome.arrived if abs(second - 100 * number) < 50]
        assert sum(outcome.arrived[second] for second in again) == 100 * calls
        width_s = number * 100.0 * strategy.early
        assert 99 * number - width_s <= min(again) <= max(again) <= 102 * number
        assert len(again) > width_s / 2


def test_what_came_together_is_asked_for_again_together() -> None:
    """One share of the ttl for each batch: within a second the ten parameters, and within one the three secrets."""
    for seed in range(5):
        one = scenario(quotas=(), starts_s=(0.0,), ttl_s=100.0, until_s=150.0, between_s=0.01)
        moments = sorted(second for second in simulate(PRELOAD, one, seed=seed).arrived.elements() if second > 50)
        assert sum(later - earlier > 1 for earlier, later in pairwise(moments)) <= 1


def test_a_refresh_that_was_throttled_is_left_in_peace() -> None:
    """For as long as the cache does: 1 s, twice as long each time, 30 s at most; nobody has to wait for it."""
    quotas = closed("GetParameters")
    outcome = simulate(
        NO_EARLY,
        scenario(quotas=quotas, starts_s=(0.0,), ttl_s=100.0, until_s=700.0, between_s=0.01),
        seed=1,
    )
    assert (len(outcome.warm_s), outcome.failed_first) == (1, 0)
    refused = sorted(outcome.refused.elements())
    assert refused[0] >= 100
    tries = sum(later - earlier > 4 for earlier, later in pairwise(refused))
    assert 600 / 45 <= tries <= 600 / 25  # a rest of 30 to 37.5 s, and up to 3 s of attempts


@pytest.mark.parametrize("strategy", [BATCHES, pytest.param(SINGLE, marks=pytest.mark.soak)], ids=["batches", "single"])
def test_one_environment_can_stand_for_several(strategy: strategies.Strategy) -> None:
    """A thousand by themselves, and a quarter of them that stand for four each, meet with the same."""
    each, four = (simulate(strategy, scenario(1000, most=most), seed=1) for most in (1000, 250))
    assert (each.weight, four.weight, len(four.warm_s)) == (1.0, 4.0, 250)
    assert each.throttled_share() == pytest.approx(four.throttled_share(), abs=0.04)
    assert sum(each.warm_s) / 1000 == pytest.approx(sum(four.warm_s) / 250, rel=0.1)


@pytest.mark.parametrize("strategy", [BATCHES, pytest.param(SINGLE, marks=pytest.mark.soak)], ids=["batches", "single"])
def test_a_hundred_thousand_environments_take_a_bounded_number_of_steps(strategy: strategies.Strategy) -> None:
    """However long the fleet takes; and the limit decides how long that is."""
    simulation = Simulation(strategy, 100_000)
    outcome = simulation.run({BATCHES.name: COSTS, SINGLE.name: COSTS}, 1)
    assert sum(outcome.arrived.values()) < 400_000
    assert outcome.weight * len(outcome.warm_s) == 100_000
    calls = sum(outcome.answered[operation] for operation in limits.DEFAULT[0].operations) * outcome.weight
    assert calls == 100_000 * sum(step.service == "ssm" for step in strategy.steps)
    assert outcome.all_warm_s == pytest.approx(calls / 40.0, rel=0.1)


def test_shares_and_peaks_count_from_a_second_on() -> None:
    """And a peak counts all that the simulated ones stand for; where nothing happened both are 0."""
    outcome = Outcome(weight=10.0, arrived=Counter({1: 5, 2: 3, 9: 2}), refused=Counter({1: 4, 9: 1}))
    assert (outcome.throttled_share(), outcome.peak()) == (0.5, 50.0)
    assert (outcome.throttled_share(since_s=2), outcome.peak(since_s=2)) == (0.2, 30.0)
    assert (outcome.throttled_share(since_s=10), outcome.peak(since_s=10)) == (0.0, 0.0)


def test_a_curve_loses_no_call() -> None:
    """Over intervals that become wider, so that hours have few points and the first seconds many."""
    simulation = Simulation(BATCHES, 10_000)
    outcome = simulate(BATCHES, simulation.scenario(COSTS), seed=1)
    drawn = curve(simulation, [outcome])
    times = [*drawn["t_s"], 0.0]
    widths = [later - earlier for earlier, later in pairwise(times)][:-1]
    assert min(widths) == 1.0
    assert drawn["calls_per_s"][-1] == 0.0
    for name, counts in (("calls_per_s", outcome.arrived), ("throttled_per_s", outcome.refused)):
        total = sum(rate * width for rate, width in zip(drawn[name], widths, strict=False))
        assert total == pytest.approx(outcome.weight * counts.total())
    assert len(times) < 150
    assert drawn["calls_per_s"][:30] == [outcome.weight * outcome.arrived[second] for second in range(30)]
    assert drawn["throttled_share"] == outcome.throttled_share()


def test_every_row_has_its_figures() -> None:
    """A quick run has those of two sizes, a full run all."""
    for sizes, count in ((FEW, 13), (MANY, len(ROWS))):
        names: set[str] = set()
        for simulation in simulations(sizes):
            names |= {*series(simulation, [simulate(simulation.strategy, scenario(1, quotas=()), seed=1)])}
        assert len([row for row in ROWS if {row.control, row.treatment} <= names]) == count
    assert (fleet.is_large(Run(QUICK)), fleet.is_large(Run(FULL))) == (False, True)


def test_scenes_differ_by_what_is_shown() -> None:
    """Higher limits, or values that end; large fleets are simulated by fewer."""
    start, higher, refresh = (Simulation(BATCHES, 300, kind).scenario(COSTS) for kind in ("start", HIGHER, REFRESH))
    assert replace(higher, quotas=limits.DEFAULT) == start
    assert higher.quotas == limits.HIGHER
    assert (start.ttl_s, refresh.ttl_s) == (None, 300.0)
    assert Simulation(BATCHES, 1_000).scenario(COSTS).weight == 4.0
    assert Simulation(BATCHES, 10_000).scenario(COSTS).weight == 100.0


GATHERING = FleetRun(
    right=2,
    starts_s=[0.0, 0.1],
    warm_s=[0.03, 0.14],
    leads_s=[0.1, 0.1],
    turns_s=[0.01, 0.02],
    answered={"GetParameters": 2, "BatchGetSecretValue": 2},
    failed=[0, 0],
    cpu_ms=[1.0, 1.0],
)


@pytest.mark.parametrize(
    ("wrong", "failing"),
    [
        ({}, []),
        ({"right": 1}, ["right values"]),
        ({"answered": {"GetParameters": 3, "BatchGetSecretValue": 2}}, ["calls that were answered"]),
        ({"throttled": {"GetParameters": 1}}, ["throttled share"]),
        ({"warm_s": [0.03, 5.0]}, ["all warm"]),
    ],
    ids=["nothing", "values", "calls", "throttling", "time"],
)
def test_a_fleet_that_did_something_else_is_noticed(wrong: dict[str, Any], failing: list[str]) -> None:
    """Each figure by itself."""
    checks = validation.checks(validation.case(BATCHES, replace(GATHERING, **wrong)))
    assert [check.what for check in checks if not check.passed] == [
        check.what for check in checks if any(part in check.what for part in failing)
    ]
    assert len([check for check in checks if not check.passed]) == len(failing)


def test_calls_are_counted_where_they_can_be_told() -> None:
    """Not where it depends on what is throttled: whether a preload leaves single gets."""
    needed = {strategy.name: validation.needed(strategy, 7) for strategy in (SINGLE, BATCHES, PRELOAD, PRELOAD_BATCHES)}
    assert needed == {
        SINGLE.name: {"GetParameter": 70, "GetSecretValue": 21},
        BATCHES.name: {"GetParameters": 7, "BatchGetSecretValue": 7},
        PRELOAD.name: None,
        PRELOAD_BATCHES.name: {"GetParameters": 7, "BatchGetSecretValue": 7},
    }


@pytest.mark.parametrize(("parameters", "passed"), [(0, False), (1, True), (2, True), (3, True), (4, False)])
def test_where_chance_decides_the_calls_are_about_as_many(parameters: int, passed: bool) -> None:
    """A quarter fewer or more of those of two environments, which are four; a handler that gets singly makes many."""
    answered = {"GetParameters": parameters, "BatchGetSecretValue": 2}
    checks = validation.checks(validation.case(PRELOAD, replace(GATHERING, answered=answered), turns_s=[0.01]))
    assert [check.passed for check in checks if "calls" in check.what] == [passed]
    assert len(checks) == 4


def test_a_preload_is_looked_at_where_its_second_batches_are_throttled_too() -> None:
    """Elsewhere nothing tells whether there are any."""
    starts_s = tuple(0.01 * number for number in range(50))
    fifty = Scenario(
        environments=50, costs=COSTS, quotas=validation.quotas_of(PRELOAD), starts_s=starts_s, between_s=1.0
    )
    outcome = simulate(PRELOAD, fifty, seed=1)
    assert outcome.throttled["GetParameters"] > 50 * MAX_ATTEMPTS
    assert outcome.answered["GetParameter"] > 0
    assert validation.quotas_of(BATCHES) == validation.quotas_of(SINGLE) != validation.quotas_of(PRELOAD)


def evidence(**wrong: Any) -> dict[str, Any]:
    summary = {"kind": "start", "environments": 1000, "warm": 1000, "weight": 4.0, "throttled_share": 0.5}
    summary |= {"answered": {"GetParameters": 250}, "until_s": 60.0} | wrong
    return {
        "fleets": [],
        "simulated": {Simulation(BATCHES, 1_000).name: [summary]},
        "each by itself": {"throttled_share": 0.52},
    }


@pytest.mark.parametrize(
    ("wrong", "failing"),
    [
        ({}, []),
        ({"warm": 999}, ["every simulated environment gets warm"]),
        ({"until_s": 2.0, "kind": HIGHER}, []),
        ({"until_s": 20.0}, ["no service answers beyond its limit"]),
        ({"throttled_share": 0.4}, ["one simulated environment stands for several as well as for itself"]),
    ],
)
def test_a_simulation_that_cannot_be_is_noticed(wrong: dict[str, Any], failing: list[str]) -> None:
    """By what it counts."""
    checks = fleet.verify(Measured(series={}, evidence=evidence(**wrong)))
    assert [check.what for check in checks if not check.passed] == failing


@pytest.fixture(scope="module")
def server(moto_url: str) -> Iterator[LimitedServer]:
    """One server with limits for all tests; each begins anew."""
    with LimitedServer(moto_url) as server:
        yield server


def test_the_server_answers_within_its_limits(server: LimitedServer, aws: boto3.session.Session) -> None:
    """With what moto said, and beyond them as Parameter Store does; it knows whose each call is."""
    aws.client("ssm").put_parameter(Name="/fleet/one", Value="1", Type="String")
    server.begin(closed("GetParameter"))
    answers = []
    for member in ("MEMBER7", "MEMBER8"):
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
        headers = {
            "X-Amz-Target": "AmazonSSM.GetParameter",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={member}/20260101/eu-west-1/ssm/aws4_request",
        }
        connection.request("POST", "/", body=b'{"Name": "/fleet/one"}', headers=headers)
        answer = connection.getresponse()
        answers.append((answer.status, json.loads(answer.read())))
        connection.close()
    calls = server.calls()
    server.begin(())
    assert server.calls() == []
    assert [answers[0][0], answers[0][1]["Parameter"]["Value"]] == [200, "1"]
    assert answers[1] == (400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
    assert [(call.member, call.operation, call.answered) for call in calls] == [
        ("MEMBER7", "GetParameter", True),
        ("MEMBER8", "GetParameter", False),
    ]
    assert 0.0 <= calls[1].arrived_s - calls[0].arrived_s < 60.0


def test_a_real_fleet_does_what_is_predicted_of_it(server: LimitedServer, aws: boto3.session.Session) -> None:
    """Three environments of the lab, throttled; and one that fetches in another way is noticed."""
    ssm, secrets = (aws.client(name, region_name="us-east-1") for name in ("ssm", "secretsmanager"))
    for name in NAMES["parameters"]:
        ssm.put_parameter(Name=name, Value=PARAMETERS[name], Type="String")
    for name in NAMES["secrets"]:
        secrets.create_secret(Name=name, SecretString=SECRETS[name])
    quotas = (Quota(rate=20.0, burst=1.0, operations=("GetParameter", "GetParameters")),)
    with Lab() as lab:
        real = RealFleet(lab, server)
        fleet_run = real.run(BATCHES, 3, quotas=quotas)
        broken = real.run(SINGLE, 3, quotas=())
    assert sum(fleet_run.throttled.values()) > 0
    case = validation.case(BATCHES, fleet_run) | {"predicted": validation.predict(BATCHES, fleet_run, quotas=quotas)}
    assert [check for check in validation.checks(case) if not check.passed] == []
    assert validation.checks(validation.case(BATCHES, broken))[1].passed is False


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("broken", [False, True])
def test_the_effect_is_verified_and_notices_what_is_broken(broken: bool) -> None:
    """Ten and fifty real environments, all simulations."""
    with Run(FULL, broken=broken) as run:
        measured = fleet.measure(run)
    failed = [check.what for check in fleet.verify(measured) if not check.passed]
    assert set(fleet.EFFECT.breaks) <= {*failed} if broken else failed == []
