"""The statistics of the benchmarks: figures, their intervals, and how many processes are enough."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from benchmarks.framework import sampling, stats
from benchmarks.framework.effect import LESS, Claim, Row, Series, at_most, at_most_times, times_less
from benchmarks.framework.run import Run, Size
from hypothesis import given, settings
from hypothesis import strategies as st

# Each draws thousands of samples for each example.
FEWER = settings(max_examples=settings().max_examples // 4)
VALUES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=12)
TINY = Size(processes=2, samples=2, sample_s=0.001, environments=1, warm=2)
ROW = Row(what="one", control="a", treatment="b")


@given(VALUES, st.floats(0, 1))
def test_a_percentile_lies_between_the_extremes(values: list[float], share: float) -> None:
    """And the ends are the extremes themselves."""
    assert min(values) <= stats.percentile(values, share) <= max(values)
    assert (stats.percentile(values, 0.0), stats.percentile(values, 1.0)) == (min(values), max(values))


@FEWER
@given(VALUES)
def test_the_interval_of_equal_samples_contains_one(values: list[float]) -> None:
    """No difference is found where there is none."""
    ratio, low, high = stats.ratio_estimate(values, values)
    assert low <= 1.0 <= high
    assert ratio == 1.0


@FEWER
@given(VALUES, VALUES)
def test_the_ratio_lies_in_its_interval(control: list[float], treatment: list[float]) -> None:
    """The same values give the same interval."""
    ratio, low, high = stats.ratio_estimate(control, treatment)
    assert low <= ratio <= high
    assert stats.ratio_estimate(control, treatment) == (ratio, low, high)


@FEWER
@given(VALUES)
def test_a_slow_minute_hits_both_sides(values: list[float]) -> None:
    """What was measured in turn has one ratio in each round, whatever the machine did."""
    assert stats.ratio_estimate(values, [value / 2.0 for value in values]) == (2.0, 2.0, 2.0)


def test_sides_that_took_no_turns_are_compared_by_their_medians() -> None:
    """Their n-th values have nothing to do with each other."""
    assert stats.ratio([1.0, 2.0, 4.0], [1.0, 4.0]) == 2.0 / 2.5
    _, low, high = stats.ratio_estimate([1.0, 2.0, 4.0], [0.5, 1.0, 2.0, 0.5, 1.0, 2.0])
    assert low < 2.0 < high


@pytest.mark.parametrize(("control", "treatment"), [([], [1.0]), ([1.0], []), ([0.0], [1.0]), ([1.0], [-1.0])])
def test_a_ratio_of_nothing_is_refused(control: list[float], treatment: list[float]) -> None:
    """Rather than shown."""
    with pytest.raises(ValueError, match="values above 0"):
        stats.ratio_estimate(control, treatment)


def test_spread() -> None:
    """The interquartile range, in percent of the median; 0 of nothing but zeros."""
    assert stats.spread_pct([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(100 * 2 / 3)
    assert stats.spread_pct([0.0, 0.0]) == 0.0


@FEWER
@given(VALUES)
def test_the_median_lies_in_its_interval(values: list[float]) -> None:
    """Which lies between the extremes, and is the same each time."""
    value, low, high = stats.median_estimate(values)
    assert min(values) <= low <= value == stats.median(values) <= high <= max(values)
    assert stats.median_estimate(values) == (value, low, high)


@FEWER
@given(st.lists(st.floats(0.001, 1e6), min_size=2, max_size=5))
def test_of_five_processes_the_interval_is_all_there_is(values: list[float]) -> None:
    """Too few to leave any out: one extreme is the median of more than a fortieth of the draws."""
    assert stats.median_estimate(values)[1:] == (min(values), max(values))


@FEWER
@given(VALUES, st.integers(-8, 8))
def test_the_unit_does_not_matter(values: list[float], power: int) -> None:
    """An interval in ms is that in s, a thousand times; here times a power of two, which rounds nothing."""
    factor = 2.0**power
    once = stats.median_estimate(values)
    assert stats.median_estimate([value * factor for value in values]) == tuple(figure * factor for figure in once)


@FEWER
@given(VALUES)
def test_more_of_the_same_makes_an_interval_no_wider(values: list[float]) -> None:
    """Nine times as many processes, of which each ninth is alike."""
    _, few_low, few_high = stats.median_estimate(values)
    _, low, high = stats.median_estimate(values * 9)
    assert few_low <= low <= high <= few_high


def test_the_interval_of_many_is_that_of_the_theory() -> None:
    """Of 1 to 101 the order statistics of a 95 % interval of the median are the 41st and the 61st, or a neighbour."""
    _, low, high = stats.median_estimate([float(number) for number in range(1, 102)])
    assert 39 <= low <= 43
    assert 59 <= high <= 63


def test_an_interval_of_nothing_is_refused() -> None:
    """Rather than made up."""
    with pytest.raises(ValueError, match="at least one value"):
        stats.median_estimate([])


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(1.1, 2.0, "less"), (1.0, 2.0, "no difference"), (0.9, 1.0, "no difference"), (0.5, 0.9, "more")],
)
def test_no_difference_is_where_the_interval_contains_one(low: float, high: float, said: str) -> None:
    """Its ends included; a control that costs more than the treatment makes it less."""
    assert stats.verdict(stats.Estimate((low + high) / 2, low, high)) == said


@pytest.mark.parametrize(
    ("control", "treatment", "said"),
    [
        ((50, 50), (0, 0), "less"),
        ((0, 1), (1, 2), "no difference"),
        ((0, 0), (0, 0), "no difference"),
        ((0, 0), (1, 2), "more"),
    ],
)
def test_where_there_is_no_ratio_the_intervals_say_it(control: Any, treatment: Any, said: str) -> None:
    """A figure of 0 has none."""
    assert stats.verdict_of_intervals(control, treatment) == said


@pytest.mark.parametrize(("low", "high", "is_narrow"), [(9.0, 11.0, True), (8.9, 10.0, False), (10.0, 11.1, False)])
def test_a_tenth_is_narrow(low: float, high: float, is_narrow: bool) -> None:
    """On each side of the figure; at the limit it is."""
    assert stats.Estimate(10.0, low, high).is_stable is is_narrow
    assert stats.Estimate(0.0, 0.0, 0.0).is_stable


def series(*values: float, unit: str = "ms") -> Series:
    return Series(unit=unit, processes=[[value] for value in values])


def test_few_processes_are_never_stable() -> None:
    """Four alike say nothing of a fifth; what is counted says it once for all."""
    alike = (10.0,) * 5
    assert sampling.stable(series(*alike))
    assert not sampling.stable(series(*alike[:4]))
    assert sampling.stable(series(1, unit="calls"))
    assert sampling.stable_ratio(series(*alike), series(*alike))
    assert not sampling.stable_ratio(series(*alike), series(*alike[:4]))
    assert not sampling.stable_ratio(series(*alike[:4]), series(*alike[:4]))
    assert sampling.stable_ratio(series(1, unit="calls"), series(6, unit="calls"))


def test_a_ratio_has_to_be_narrow_too() -> None:
    """Two medians of which each is just within a tenth, and errs in another direction."""
    one, other = series(9.1, 9.1, 10.0, 10.9, 10.9), series(10.9, 10.9, 10.0, 9.1, 9.1)
    assert sampling.stable(one)
    assert sampling.stable(other)
    assert sampling.stable_ratio(one, one)
    assert not sampling.stable_ratio(one, other)
    assert sampling.stable_ratio(series(*[5.0] * 5), series(*[0.0] * 5))  # there is none here
    both = {"a": one, "b": other}
    assert sampling.all_stable([replace(ROW, treatment="a")], both)
    assert not sampling.all_stable([ROW], both)


def test_a_machine_of_two_speeds_has_a_ratio_all_the_same() -> None:
    """Its times are not to be relied on; what they are of each other is. So more processes are asked for."""
    slow, fast = series(1, 2, 1, 2, 1, 2), series(2, 4, 2, 4, 2, 4)
    assert sampling.stable_ratio(slow, fast)
    assert not sampling.stable(slow)
    assert not sampling.all_stable([ROW], {"a": slow, "b": fast})


def test_what_is_measured_is_claimed_as_a_ratio() -> None:
    """A limit in units of time would be false on another machine."""
    for unit in ("ns", "µs", "ms", "s", "MB"):
        with pytest.raises(ValueError, match="claim a ratio"):
            at_most(2, unit)


def test_claims_can_be_disproved() -> None:
    """At the limit a claim holds, past it it does not."""
    assert [at_most(2, "calls").holds(series(9), series(value)) for value in (2, 3)] == [True, False]
    assert [times_less(3).holds(series(value), series(1)) for value in (3.0, 2.9)] == [True, False]
    assert [at_most_times(1.1).holds(series(10), series(value)) for value in (11, 11.1)] == [True, False]
    assert [LESS.holds(series(value), series(1)) for value in (1.1, 1.0)] == [True, False]


class Sampled:
    """Rounds of two ways, of which one gives the values that it is told, the last one again and again."""

    def __init__(self, size: Size, *values: float) -> None:
        self.order: list[tuple[str, int]] = []
        self.ticks, self.more = 0, 0
        values_of_b = iter([values[0], *values])

        def trial(way: str, round_: int) -> float:
            self.order.append((way, round_))
            return 10.0 if way == "a" else next(values_of_b, values[-1])

        def tick() -> None:
            self.ticks += 1

        def more(steps: int) -> None:
            self.more += steps

        with Run(size, tick=tick, more=more) as run:
            self.steps = sampling.steps(run, ("a", "b"))
            self.trials = sampling.rounds(
                run, ("a", "b"), trial, series=_series, rows=(ROW, replace(ROW, control="none"))
            )


def _series(trials: dict[str, list[float]]) -> dict[str, Series]:
    return {way: series(*given) for way, given in trials.items()}


def test_the_ways_take_turns() -> None:
    """One of each that does not count, then the order is reversed in every other round."""
    sampled = Sampled(TINY, 5.0)
    assert sampled.order == [("a", -1), ("b", -1), ("a", 0), ("b", 0), ("b", 1), ("a", 1)]
    assert {way: len(given) for way, given in sampled.trials.items()} == {"a": 2, "b": 2}
    assert (sampled.ticks, sampled.more) == (sampled.steps, 0)


PATIENT = replace(TINY, processes=5, times_more=4, patience_s=1e9)


def test_what_is_settled_is_measured_no_further() -> None:
    """As many processes as there have to be."""
    assert len(Sampled(PATIENT, 5.0).trials["b"]) == 5


def test_what_is_not_settled_is_measured_until_it_is() -> None:
    """The last ones bring the interval of the median within a tenth; the bar is told how many more there are."""
    sampled = Sampled(PATIENT, 5.0, 9.0, 5.0)
    count = len(sampled.trials["b"])
    assert 5 < count < 20
    assert sampling.all_stable([ROW], _series(sampled.trials))
    assert not sampling.all_stable([ROW], _series({way: given[:-1] for way, given in sampled.trials.items()}))
    assert sampled.more == 2 * (count - 5)
    assert sampled.ticks == sampled.steps + sampled.more


def test_patience_ends() -> None:
    """In number and in time; the figures are as unstable as they are."""
    wild = [float(1 + number % 2 * 9) for number in range(50)]
    assert len(Sampled(PATIENT, *wild).trials["b"]) == 20
    assert len(Sampled(replace(PATIENT, patience_s=0.0), *wild).trials["b"]) == 5
    assert len(Sampled(replace(PATIENT, patience_in_all_s=0.0), *wild).trials["b"]) == 5


@pytest.mark.parametrize(("claims", "count"), [((LESS,), 20), ((), 6)])
def test_a_ratio_that_is_claimed_has_more_patience(claims: tuple[Claim, ...], count: int) -> None:
    """Than a figure that is only shown: here as long as it takes, where the other has one more round."""
    wild = [float(1 + number % 2 * 9) for number in range(50)]
    values = iter([0.0, *wild])
    size = replace(PATIENT, patience_s=1e-9, claims_more=10**12)
    with Run(size) as run:
        trials = sampling.rounds(
            run,
            ("a", "b"),
            lambda way, _: 10.0 if way == "a" else next(values),
            series=_series,
            rows=(replace(ROW, claims=claims),),
        )
    assert len(trials["b"]) == count


def test_patience_is_one_for_the_whole_run() -> None:
    """What one effect has used is not there for the next; what is settled at once uses next to none."""

    def trial(way: str, round_: int) -> float:
        time.sleep(0.01 if way == "b" else 0.0)
        return 10.0 if way == "a" else float(1 + round_ % 2 * 9)

    with Run(replace(PATIENT, times_more=2, patience_s=60.0, patience_in_all_s=100.0)) as run:
        sampling.rounds(run, ("a", "b"), trial, series=_series, rows=(ROW,))
        assert 90.0 < run.patience_s <= 100.0 - 5 * 0.01
        left_s = run.patience_s
        sampling.rounds(run, ("a", "b"), lambda *_: 1.0, series=_series, rows=(ROW,))
        assert left_s - 1.0 < run.patience_s <= left_s
