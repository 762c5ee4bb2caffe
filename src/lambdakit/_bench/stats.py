"""The statistics of measurements, as pure functions: percentiles, estimates with intervals, verdicts."""

from __future__ import annotations

import random
from fractions import Fraction
from statistics import median, quantiles
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Groups = Sequence[Sequence[float]]
    Statistic = Callable[[Sequence[float]], float]

RESAMPLES = 2_000  # the ends of a 95 % interval then rest on 50 resamples each
CONFIDENCE = 0.95
MIN_GROUPS = 5  # for an interval: of fewer, resamples show too little of what could have been
STABLE = 0.10  # how far from a figure an end of its interval may be, as a share of the figure
LESS, MORE, NO_DIFFERENCE = "less", "more", "no difference"
_SEED = 20_260_101  # the same values give the same interval each time


class Estimate(NamedTuple):
    """A figure with the ends of its 95 % interval; these are None where there are too few groups for one."""

    value: float
    low: float | None
    high: float | None

    @property
    def is_stable(self) -> bool:
        """Whether there is an interval, and neither end is further from the figure than `STABLE` of it."""
        if self.low is None or self.high is None:
            return False
        return max(self.value - self.low, self.high - self.value) <= STABLE * abs(self.value)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, interpolated between neighbours.

    Args:
        values: at least one.
        share: 0 to 1, taken as a fraction with a denominator of at most 1,000.

    Raises:
        ValueError: there are no values, or `share` is not from 0 to 1.
    """
    if not values or not 0.0 <= share <= 1.0:
        raise ValueError(f"percentile of {len(values)} values at {share}: give at least one value, a share from 0 to 1")
    least, most = min(values), max(values)
    cut = Fraction(share).limit_denominator(1_000)
    if cut.denominator == 1 or least == most:
        return most if cut == 1 else least
    found = quantiles(values, n=cut.denominator, method="inclusive")[cut.numerator - 1]
    return min(max(found, least), most)  # rounding may carry it beyond them


def interquartile_range(values: Sequence[float]) -> float:
    """How far apart the ends of the middle half of the values are."""
    return percentile(values, 0.75) - percentile(values, 0.25)


def spread_pct(values: Sequence[float]) -> float:
    """The interquartile range in percent of the median; 0 where the median is 0."""
    middle = median(values)
    return 100.0 * interquartile_range(values) / abs(middle) if middle else 0.0


def estimate(groups: Groups, statistic: Statistic = median, *, resamples: int = RESAMPLES) -> Estimate:
    """A statistic of all values, with its bootstrap interval.

    Each group is one environment, and groups are resampled, with replacement: the values of one group share its memory
    layout, so they are not independent.

    Args:
        groups: the values of each environment.
        statistic: what is estimated; the median by default.
        resamples: how many.

    Raises:
        ValueError: there are no values.
    """
    value = statistic(_pooled(groups))
    if len(groups) < MIN_GROUPS:
        return Estimate(value, None, None)
    return _with_interval(value, [statistic(drawn) for drawn in _resampled(groups, resamples, seed=_SEED)])


def estimate_ratio(
    control: Groups, treatment: Groups, statistic: Statistic = median, *, resamples: int = RESAMPLES
) -> Estimate:
    """The control's statistic divided by the treatment's; the two sides are resampled independently.

    Raises:
        ValueError: a side has no values, or one that is not above 0.
    """
    if not control or not treatment or min(*_pooled(control), *_pooled(treatment)) <= 0.0:
        raise ValueError("a ratio needs values above 0 on both sides")
    value = statistic(_pooled(control)) / statistic(_pooled(treatment))
    if min(len(control), len(treatment)) < MIN_GROUPS:
        return Estimate(value, None, None)
    drawn = _resampled(control, resamples, seed=_SEED), _resampled(treatment, resamples, seed=_SEED + 1)
    return _with_interval(value, [statistic(a) / statistic(b) for a, b in zip(*drawn, strict=True)])


def _with_interval(value: float, resamples: Sequence[float]) -> Estimate:
    """A figure with the percentile interval of its resamples, widened to contain the figure where it does not."""
    tail = (1.0 - CONFIDENCE) / 2.0
    return Estimate(value, min(value, percentile(resamples, tail)), max(value, percentile(resamples, 1.0 - tail)))


def verdict(ratio: Estimate) -> str | None:
    """What a ratio, control over treatment, says of the treatment; None where there is no interval."""
    if ratio.low is None or ratio.high is None:
        return None
    if ratio.low > 1.0:
        return LESS
    return MORE if ratio.high < 1.0 else NO_DIFFERENCE


def verdict_of_intervals(control: tuple[float, float], treatment: tuple[float, float]) -> str:
    """The same from the intervals of both sides, where there is no ratio because a figure is 0."""
    if treatment[1] < control[0]:
        return LESS
    return MORE if treatment[0] > control[1] else NO_DIFFERENCE


def _pooled(groups: Groups) -> list[float]:
    return [value for group in groups for value in group]


def _resampled(groups: Groups, times: int, *, seed: int) -> list[list[float]]:
    draw = random.Random(seed).choices  # noqa: S311 - no secret depends on it
    return [_pooled(draw(groups, k=len(groups))) for _ in range(times)]
