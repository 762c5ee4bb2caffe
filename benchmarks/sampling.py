"""How many processes are enough: the ways in turn, until each figure is as narrow as it has to be."""

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
FEWEST = 5  # processes whose extremes say how far apart others could be
FIRST = -1  # the round that does not count


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

    Before the first round comes one that does not count: it writes byte code and fills the file cache. After the last
    one that has to be, there are more for as long as a figure of the rows is not settled, up to the limits of the run.

    Args:
        run: how much.
        ways: by name.
        trial: one fresh process or environment of a way, in a round; `FIRST` for that which does not count.
        series: what the trials so far say. It must leave them as they are.
        rows: whose figures have to be settled; those whose series are not there are not looked at.
        least: rounds that have to be; None: as many as the size of the run has processes.

    Returns:
        The trials that count, by way.
    """
    least = run.size.processes if least is None else least
    trials: dict[str, list[T]] = {way: [] for way in ways}
    for way in ways:
        trial(way, FIRST)
        run.tick()
    began_s, watched = 0.0, tuple(rows)
    patience_s = min(run.size.patience_s, run.patience_s)
    for round_ in range(least * run.size.times_more):
        if round_ == least:
            began_s = time.monotonic()
        if round_ >= least:
            if time.monotonic() - began_s >= patience_s or settled(watched, series(trials)):
                break
            run.more(len(ways))
        for way in ways if round_ % 2 == 0 else reversed(ways):
            trials[way].append(trial(way, round_))
            run.tick()
    if began_s:
        run.patience_s -= min(patience_s, time.monotonic() - began_s)
    return trials


def settled(rows: Iterable[Row], series: Mapping[str, Series]) -> bool:
    """Whether each figure of each row has an interval that is narrow enough to be shown as it is."""
    pairs = [(series[row.control], series[row.treatment]) for row in rows if {row.control, row.treatment} <= {*series}]
    return all(
        stable(control) and stable(treatment) and stable_ratio(control, treatment) for control, treatment in pairs
    )


def stable(side: Series) -> bool:
    """Whether its median is narrow. Of too few processes nobody knows."""
    return _enough(side) and stats.narrow(side.median, *side.interval)


def stable_ratio(control: Series, treatment: Series) -> bool:
    """Whether their ratio is narrow; where there is none, whether both are."""
    if min(*control.values, *treatment.values) <= 0.0:
        return stable(control) and stable(treatment)
    return (
        _enough(control)
        and _enough(treatment)
        and stats.narrow(*stats.ratio_interval(control.values, treatment.values))
    )


def _enough(side: Series) -> bool:
    return len(side.values) >= FEWEST or side.unit in COUNTED
