"""The statistics of the bench, and its prices."""

from __future__ import annotations

from statistics import fmean, median, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdakit._bench import prices, stats

POSITIVE = st.floats(0.001, 1e6)
GROUPS = st.lists(st.lists(POSITIVE, min_size=1, max_size=4), min_size=stats.MIN_GROUPS, max_size=8)


@given(st.lists(POSITIVE, min_size=1, max_size=12), st.floats(0, 1))
def test_a_share_of_the_values_lies_below_a_percentile(values: list[float], share: float) -> None:
    """Between the extremes, which are its ends."""
    assert min(values) <= stats.percentile(values, share) <= max(values)
    assert (stats.percentile(values, 0.0), stats.percentile(values, 1.0)) == (min(values), max(values))


@given(st.lists(POSITIVE, min_size=2, max_size=12), st.integers(1, 99))
def test_percentiles_are_those_of_the_standard_library(values: list[float], percent: int) -> None:
    """With the extremes as the ends."""
    expected = quantiles(values, n=100, method="inclusive")[percent - 1]
    assert stats.percentile(values, percent / 100) == pytest.approx(expected)


def test_spread() -> None:
    """The interquartile range, in percent of the median; 0 of nothing but zeros."""
    assert stats.interquartile_range([1.0, 2.0, 3.0, 4.0, 5.0]) == 2.0
    assert stats.spread_pct([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(100 * 2 / 3)
    assert stats.spread_pct([0.0, 0.0]) == 0.0


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], -0.1), ([1.0], 1.1)])
def test_no_percentile_is_made_up(values: list[float], share: float) -> None:
    """Of nothing, or beyond the ends."""
    with pytest.raises(ValueError, match="give at least one value, a share from 0 to 1"):
        stats.percentile(values, share)


@given(GROUPS)
def test_an_estimate_lies_in_its_interval(groups: list[list[float]]) -> None:
    """The same values give the same interval, within the extremes."""
    found = stats.estimate(groups, resamples=50)
    everything = [value for group in groups for value in group]
    assert found.value == median(everything)
    assert found.low is not None
    assert found.high is not None
    assert min(everything) <= found.low <= found.value <= found.high <= max(everything)
    assert stats.estimate(groups, resamples=50) == found


def test_groups_are_drawn_and_not_values() -> None:
    """Many values of few environments that differ say less than the same values of many."""
    together = stats.estimate([[1.0] * 20, [2.0] * 20, [3.0] * 20, [4.0] * 20, [5.0] * 20], fmean)
    apart = stats.estimate([[1.0], [2.0], [3.0], [4.0], [5.0]] * 20, fmean)
    assert _width(together) > 2 * _width(apart)


def _width(found: stats.Estimate) -> float:
    assert found.low is not None
    assert found.high is not None
    return found.high - found.low


@given(GROUPS)
def test_a_function_does_not_differ_from_itself(groups: list[list[float]]) -> None:
    """The ratio is 1, and 1 is in the interval."""
    found = stats.estimate_ratio(groups, groups, resamples=50)
    assert found.value == 1.0
    assert stats.verdict(found) == "no difference"


@pytest.mark.parametrize(("factor", "said"), [(0.5, "less"), (1.0, "no difference"), (2.0, "more")])
def test_a_difference_has_a_direction(factor: float, said: str) -> None:
    """It says what the other one takes."""
    control = [[10.0], [10.1], [10.2], [10.3], [10.4], [10.5]]
    treatment = [[value * factor for value in group] for group in control]
    found = stats.estimate_ratio(control, treatment)
    assert found.value == pytest.approx(1 / factor)
    assert stats.verdict(found) == said


def test_one_at_the_end_of_the_interval_is_in_it() -> None:
    """No difference, on either side."""
    ends = [(0.5, 1.0), (1.0, 2.0), (0.5, 0.999), (1.001, 2.0)]
    said = [stats.verdict(stats.Estimate((low + high) / 2, low, high)) for low, high in ends]
    assert said == ["no difference", "no difference", "more", "less"]


@pytest.mark.parametrize(
    ("control", "treatment", "said"),
    [
        ((2.0, 3.0), (0.0, 1.9), "less"),
        ((2.0, 3.0), (0.0, 2.0), "no difference"),
        ((2.0, 3.0), (3.0, 4.0), "no difference"),
        ((0.0, 3.0), (3.1, 4.0), "more"),
    ],
)
def test_intervals_that_meet_are_no_difference(
    control: tuple[float, float], treatment: tuple[float, float], said: str
) -> None:
    """Where a figure is 0, so that there is no ratio."""
    assert stats.verdict_of_intervals(control, treatment) == said


@pytest.mark.parametrize("groups", [[[1.0]], [[1.0], [2.0], [3.0], [4.0]]])
def test_few_environments_give_no_interval(groups: list[list[float]]) -> None:
    """And no verdict; with five there are both."""
    five = [*groups, *[[1.0]] * (5 - len(groups))]
    assert stats.estimate(groups)[1:] == (None, None)
    assert stats.estimate_ratio(groups, five)[1:] == stats.estimate_ratio(five, groups)[1:] == (None, None)
    assert stats.verdict(stats.estimate_ratio(groups, five)) is None
    assert not stats.estimate(groups).is_stable
    assert stats.estimate(five).low is not None


@pytest.mark.parametrize(
    ("control", "treatment"), [([], [[1.0]]), ([[1.0]], []), ([[0.0]], [[1.0]]), ([[1.0]], [[-1.0]])]
)
def test_a_ratio_of_nothing_is_refused(control: list[list[float]], treatment: list[list[float]]) -> None:
    """Rather than shown."""
    with pytest.raises(ValueError, match="values above 0"):
        stats.estimate_ratio(control, treatment)


@pytest.mark.parametrize(
    ("ends", "is_stable"),
    [((90.0, 110.0), True), ((89.9, 110.0), False), ((90.0, 110.1), False), ((None, None), False)],
)
def test_stable_is_within_a_tenth(ends: tuple[float | None, float | None], is_stable: bool) -> None:
    """On either side; of zeros nothing else is expected."""
    assert stats.Estimate(100.0, *ends).is_stable is is_stable
    assert stats.Estimate(0.0, 0.0, 0.0).is_stable


def test_a_million_invocations_cost_time_and_requests() -> None:
    """1 GB for 1 s is a GB-second."""
    assert prices.usd_per_million(1000, 1024) == pytest.approx({"x86_64": 16.8667, "arm64": 13.5334})
    assert prices.usd_per_million(100, 512)["x86_64"] == pytest.approx(16.6667 / 20 + 0.2)
