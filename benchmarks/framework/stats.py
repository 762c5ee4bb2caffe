"""The statistics of the suite's method: figures of processes that took turns, with bootstrap intervals from SciPy.

What a bench of a user's own function needs as well is in `lambdakit._bench.stats`.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from lambdakit._bench.stats import (
    CONFIDENCE,
    LESS,
    MORE,
    NO_DIFFERENCE,
    RESAMPLES,
    STABLE,
    Estimate,
    percentile,
    spread_pct,
    verdict,
    verdict_of_intervals,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "LESS",
    "MORE",
    "NO_DIFFERENCE",
    "STABLE",
    "Estimate",
    "median",
    "median_estimate",
    "percentile",
    "ratio",
    "ratio_estimate",
    "spread_pct",
    "verdict",
    "verdict_of_intervals",
]

_SEED = 20_260_101  # the same values give the same interval, today and tomorrow


def median_estimate(values: Sequence[float]) -> Estimate:
    """The median with its interval, whose ends lie between the extremes.

    Each value is one process, and processes are what is resampled: samples within a process share its memory layout and
    are no independent witnesses. Of five processes or fewer the ends are the extremes.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("an interval needs at least one value")
    return _bootstrap(_median, median(values), values)


def ratio(control: Sequence[float], treatment: Sequence[float]) -> float:
    """What the control costs, divided by what the treatment costs.

    Sides of one length took turns: their n-th values are of one round, and what the machine did meanwhile happened to
    both. Of these it is the median over the rounds of the ratio in each. Else it is the ratio of the medians.

    Raises:
        ValueError: a side has no values, or one that is not above 0.
    """
    rounds = _ratios_by_round(control, treatment)
    return median(rounds) if rounds else median(control) / median(treatment)


def ratio_estimate(control: Sequence[float], treatment: Sequence[float]) -> Estimate:
    """The ratio with its interval: rounds are resampled where the sides took turns, else each side by itself.

    Raises:
        ValueError: a side has no values, or one that is not above 0.
    """
    rounds = _ratios_by_round(control, treatment)
    return median_estimate(rounds) if rounds else _bootstrap(_of_medians, ratio(control, treatment), control, treatment)


def _ratios_by_round(control: Sequence[float], treatment: Sequence[float]) -> list[float] | None:
    """The ratio of each round; None of sides that did not take turns."""
    if not control or not treatment or min(*control, *treatment) <= 0.0:
        raise ValueError("a ratio needs values above 0 on both sides")
    if len(control) != len(treatment):
        return None
    return [one / other for one, other in zip(control, treatment, strict=True)]


def _median(values: Any, axis: int) -> Any:
    import numpy as np

    return np.median(values, axis=axis)


def _of_medians(control: Any, treatment: Any, axis: int) -> Any:
    return _median(control, axis) / _median(treatment, axis)


def _bootstrap(statistic: Callable[..., Any], value: float, *sides: Sequence[float]) -> Estimate:
    """The percentile interval of a statistic; the value itself lies within."""
    if all(min(side) == max(side) for side in sides):
        return Estimate(value, value, value)
    import numpy as np
    from scipy.stats import bootstrap  # imports for a second; no process that is measured needs it

    drawn = bootstrap(
        [[*side] * (2 if len(side) == 1 else 1) for side in sides],  # SciPy takes no single value
        statistic,
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=True,
        rng=_SEED,
    ).bootstrap_distribution
    # NumPy's quantiles: those of SciPy's own interval miss an extreme by a rounding error.
    low, high = np.quantile(drawn, [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0]).tolist()
    return Estimate(value, min(value, low), max(value, high))
