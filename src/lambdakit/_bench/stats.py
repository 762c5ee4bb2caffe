"""The statistics of a bench, as pure functions: estimates with bootstrap intervals over environments."""

from __future__ import annotations

import random
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Groups = Sequence[Sequence[float]]
    Statistic = Callable[[Sequence[float]], float]

RESAMPLES = 2_000  # the ends of a 95 % interval then rest on 50 resamples each
CONFIDENCE = 0.95
FEWEST = 5  # groups, for an interval: of fewer, resamples show too little of what could have been
STABLE = 0.10  # how far the ends of an interval may be from its middle, as a share of the value
_SEED = 20_260_101  # the same values give the same interval, today and tomorrow


class Estimate(NamedTuple):
    """A figure with the ends of its 95 % interval; these are None where there are too few groups for one."""

    value: float
    low: float | None
    high: float | None

    @property
    def is_stable(self) -> bool:
        """Whether the interval is at most ±10 % wide."""
        return self.low is not None and self.high is not None and self.high - self.low <= 2 * STABLE * abs(self.value)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie, interpolated between neighbours.

    Raises:
        ValueError: there are no values, or `share` is not from 0 to 1.
    """
    if not values or not 0.0 <= share <= 1.0:
        raise ValueError(f"percentile of {len(values)} values at {share}: give at least one value, a share from 0 to 1")
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    low, high = ordered[below], ordered[above]
    # In this form the result never leaves the interval, whatever the rounding.
    return min(high, low + (high - low) * (position - below))


def estimate(groups: Groups, statistic: Statistic = median, *, resamples: int = RESAMPLES) -> Estimate:
    """A statistic of all values.

    Each group is one environment, and groups are what is drawn again, with replacement: the values within one share
    its memory layout and are no independent witnesses.

    Args:
        groups: the values of each environment.
        statistic: what is estimated; the median by default.
        resamples: how often they are drawn.

    Raises:
        ValueError: there are no values.
    """
    value = statistic(_pooled(groups))
    if len(groups) < FEWEST:
        return Estimate(value, None, None)
    return _interval(value, [statistic(drawn) for drawn in _resampled(groups, resamples, seed=_SEED)])


def ratio(control: Groups, treatment: Groups, statistic: Statistic = median, *, resamples: int = RESAMPLES) -> Estimate:
    """How many times the control's statistic is the treatment's; the two sides are drawn again apart.

    Raises:
        ValueError: a side has no values, or one that is not above 0.
    """
    if not control or not treatment or min(*_pooled(control), *_pooled(treatment)) <= 0.0:
        raise ValueError("a ratio needs values above 0 on both sides")
    value = statistic(_pooled(control)) / statistic(_pooled(treatment))
    if min(len(control), len(treatment)) < FEWEST:
        return Estimate(value, None, None)
    drawn = _resampled(control, resamples, seed=_SEED), _resampled(treatment, resamples, seed=_SEED + 1)
    return _interval(value, [statistic(a) / statistic(b) for a, b in zip(*drawn, strict=True)])


def verdict(found: Estimate) -> str | None:
    """What a ratio says of the treatment: "less", "more", or "no difference"; None where there is no interval."""
    if found.low is None or found.high is None:
        return None
    if found.low <= 1.0 <= found.high:
        return "no difference"
    return "less" if found.value > 1.0 else "more"


def _pooled(groups: Groups) -> list[float]:
    return [value for group in groups for value in group]


def _resampled(groups: Groups, times: int, *, seed: int) -> list[list[float]]:
    draw = random.Random(seed).choices  # noqa: S311 - no secret depends on it
    return [_pooled(draw(groups, k=len(groups))) for _ in range(times)]


def _interval(value: float, resamples: Sequence[float]) -> Estimate:
    tail = (1.0 - CONFIDENCE) / 2.0
    return Estimate(value, min(value, percentile(resamples, tail)), max(value, percentile(resamples, 1.0 - tail)))
