"""The statistics of a comparison, as pure functions."""

from __future__ import annotations

import random
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["interquartile_range", "median", "median_interval", "percentile", "ratio", "ratio_interval", "spread_pct"]

RESAMPLES = 2_000  # the ends of a 95 % interval then rest on 50 resamples each
CONFIDENCE = 0.95
NARROW = 0.10  # how far from its figure an end of an interval may lie, as a share of the figure
_SEED = 20_260_101  # the same values give the same interval, today and tomorrow

LESS, MORE, SAME = "less", "more", "no difference"


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


def interquartile_range(values: Sequence[float]) -> float:
    """How far apart the middle half of the values lies."""
    return percentile(values, 0.75) - percentile(values, 0.25)


def spread_pct(values: Sequence[float]) -> float:
    """The interquartile range in percent of the median; 0 where the median is 0."""
    middle = median(values)
    return 100.0 * interquartile_range(values) / abs(middle) if middle else 0.0


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """The ends of the bootstrap interval of the median: it lies within, and both lie between the extremes.

    Each value is one process, and processes are what is drawn again (with replacement): samples within a process share
    its memory layout and are no independent witnesses. Of five processes or fewer the ends are the extremes.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("an interval needs at least one value")
    if min(values) == max(values):
        return values[0], values[0]
    draw = random.Random(_SEED).choices  # noqa: S311 - no secret depends on it
    return _ends([median(draw(values, k=len(values))) for _ in range(RESAMPLES)], median(values))


def ratio(control: Sequence[float], treatment: Sequence[float]) -> float:
    """What the control costs, divided by what the treatment costs.

    Sides of one length were measured in turn: their n-th values are of one round, and what the machine did meanwhile
    happened to both. Of these it is the median over the rounds of the ratio in each. Else it is that of the medians.

    Raises:
        ValueError: a side has no values, or one that is not above 0.
    """
    rounds = _in_turn(control, treatment)
    return median(rounds) if rounds else median(control) / median(treatment)


def ratio_interval(control: Sequence[float], treatment: Sequence[float]) -> tuple[float, float, float]:
    """The ratio with the ends of its bootstrap interval.

    As in `median_interval` processes are drawn again: rounds, where both sides took turns, else the two sides apart.

    Returns:
        The ratio, the lower end and the upper end of its 95 % interval. The ratio lies within.

    Raises:
        ValueError: a side has no values, or one that is not above 0.
    """
    if rounds := _in_turn(control, treatment):
        return median(rounds), *median_interval(rounds)
    draw = random.Random(_SEED).choices  # noqa: S311 - no secret depends on it
    ratios = [
        median(draw(control, k=len(control))) / median(draw(treatment, k=len(treatment))) for _ in range(RESAMPLES)
    ]
    figure = ratio(control, treatment)
    return figure, *_ends(ratios, figure)


def _in_turn(control: Sequence[float], treatment: Sequence[float]) -> list[float] | None:
    """The ratio of each round; None of sides that took no turns."""
    if not control or not treatment or min(*control, *treatment) <= 0.0:
        raise ValueError("a ratio needs values above 0 on both sides")
    if len(control) != len(treatment):
        return None
    return [one / other for one, other in zip(control, treatment, strict=True)]


def narrow(figure: float, low: float, high: float) -> bool:
    """Whether neither end of its interval is further from a figure than `NARROW` of it."""
    return max(figure - low, high - figure) <= NARROW * abs(figure)


def verdict(low: float, high: float) -> str:
    """What the interval of a ratio, control over treatment, says of the treatment."""
    if low > 1.0:
        return LESS
    return MORE if high < 1.0 else SAME


def verdict_of_medians(control: tuple[float, float], treatment: tuple[float, float]) -> str:
    """The same of two intervals, where there is no ratio because a figure is 0."""
    if treatment[1] < control[0]:
        return LESS
    return MORE if treatment[0] > control[1] else SAME


def _ends(drawn: Sequence[float], figure: float) -> tuple[float, float]:
    tail = (1.0 - CONFIDENCE) / 2.0
    return min(figure, percentile(drawn, tail)), max(figure, percentile(drawn, 1.0 - tail))
