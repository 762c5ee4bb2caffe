"""Rounds of trials: the ways in turn, until the interval of each figure is narrow."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from . import stats
from .effect import COUNTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .effect import Row, Series
    from .run import Run

T = TypeVar("T")
FEWEST = 5  # processes; of fewer the extremes do not show how far apart others could be
WARM_UP = -1  # the round that does not count


def steps(run: Run, ways: Sequence[str], *, least: int | None = None) -> int:
    """How many trials `rounds` makes at least."""
    return ((run.size.processes if least is None else least) + 1) * len(ways)


def rounds(
    run: Run,
    ways: Sequence[str],
    trial: Callable[[str, int], T],
    *,
    series: Callable[[dict[str, list[T]]], Mapping[str, Series]],
    rows: Iterable[Row],
    least: int | None = None,
) -> dict[str, list[T]]:
    """Trials of each way, in turn, the order reversed in every other round.

    Before the first round comes a warm-up, which does not count: it writes byte code and fills the file cache. After
    the least number of rounds there are more while a figure of the rows is unstable, up to the limits of the run.

    Args:
        run: how much.
        ways: by name.
        trial: one fresh process or environment of a way, in a round; `WARM_UP` for that which does not count.
        series: what the trials so far say. It must leave them as they are.
        rows: whose figures have to be stable; those without series are left out.
        least: the least number of rounds; None: as many as the size of the run has processes.

    Returns:
        The trials that count, by way.
    """
    least = run.size.processes if least is None else least
    trials: dict[str, list[T]] = {way: [] for way in ways}
    for way in ways:
        trial(way, WARM_UP)
        run.tick()
    extra, watched = _Extra(run), tuple(rows)
    for round_ in range(least * run.size.times_more):
        if round_ >= least:
            if extra.has_settled(watched, series(trials)):
                break
            run.more(len(ways))
        for way in ways if round_ % 2 == 0 else reversed(ways):
            trials[way].append(trial(way, round_))
            run.tick()
    extra.charge()
    return trials


class _Extra:
    """The time for rounds beyond the least number: some for every figure, more for the ratios that are claimed."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._patience_s = min(run.size.patience_s, run.patience_s)
        self._began_s: float | None = None

    def has_settled(self, rows: Iterable[Row], series: Mapping[str, Series]) -> bool:
        """Whether there is no further round."""
        now_s = time.monotonic()
        self._began_s = now_s if self._began_s is None else self._began_s
        passed_s = now_s - self._began_s
        if passed_s >= self._patience_s * self._run.size.claims_more:
            return True
        if passed_s < self._patience_s:
            return all_stable(rows, series)
        return all(
            found_stable(row, series[row.control], series[row.treatment])
            for row in rows
            if row.claims and {row.control, row.treatment} <= {*series}
        )

    def charge(self) -> None:
        """Take the time from the patience of the run, but for what claims had beyond it."""
        if self._began_s is not None:
            self._run.patience_s -= min(self._patience_s, time.monotonic() - self._began_s)


def all_stable(rows: Iterable[Row], series: Mapping[str, Series]) -> bool:
    """Whether both figures of each row, and their ratio, are stable."""
    pairs = [(series[row.control], series[row.treatment]) for row in rows if {row.control, row.treatment} <= {*series}]
    return all(
        stable(control) and stable(treatment) and stable_ratio(control, treatment) for control, treatment in pairs
    )


def stable(side: Series) -> bool:
    """Whether the interval of its median is narrow; never of fewer than `FEWEST` processes."""
    return _enough(side) and side.estimate.is_stable


def stable_ratio(control: Series, treatment: Series) -> bool:
    """Whether the interval of their ratio is narrow; where there is no ratio, whether both sides are stable."""
    if min(*control.values, *treatment.values) <= 0.0:
        return stable(control) and stable(treatment)
    return _enough(control) and _enough(treatment) and stats.ratio_estimate(control.values, treatment.values).is_stable


def found_stable(row: Row, control: Series, treatment: Series) -> bool:
    """Whether what a row has found is stable: its ratio, or the difference of its two sides."""
    if row.as_difference:
        return stable(control) and stable(treatment)
    return stable_ratio(control, treatment)


def _enough(side: Series) -> bool:
    return len(side.values) >= FEWEST or side.unit in COUNTED
