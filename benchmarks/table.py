"""What a run shows: a progress bar while it lasts, a table at its end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDE = 150  # of a file or a pipe, which have no width of their own


def progress() -> Progress:
    """A bar on standard error, drawn only where that is a terminal, by no thread of its own: none may disturb."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        disable=not sys.stderr.isatty(),
        transient=True,
    )


def show(content: dict[str, Any]) -> None:
    """Print the table of a run's document on standard output."""
    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    table = Table(title=f"lambdakit benchmarks, {content['mode']}", title_justify="left", pad_edge=False)
    table.add_column("effect", no_wrap=True)
    table.add_column("what", overflow="fold")
    for name in ("without", "with", "ratio", "95 % interval", "spread"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("claim")
    for effect in content["effects"]:
        rows = effect["rows"]
        for position, row in enumerate(rows):
            table.add_row(effect["name"] if position == 0 else "", *cells(row), end_section=position == len(rows) - 1)
        if effect["error"] is not None:
            table.add_row(effect["name"], "could not be measured", end_section=True)
    console.print(table)
    machine = content["machine"]
    console.print(
        f"{machine['cpu'] or 'unknown processor'}, {machine['cores']} cores, Python {machine['python']}, "
        f"lab's CPU share by {machine['lab_cpu_method'] or 'nothing (not used)'}. "
        "Medians over fresh processes; spread: interquartile range in % of the median, without / with.",
        style="dim",
    )


def cells(row: dict[str, Any]) -> Sequence[str]:
    """One row in words: what, without, with, ratio, interval, spread, claim."""
    if row["as_difference"]:
        ratio, interval = f"{row['difference']:+.3g} {row['unit']}", ""
    elif row["ratio"] is None:
        ratio, interval = "", ""
    else:
        ratio, interval = f"{number(row['ratio'])}x", f"{number(row['ratio_low'])} to {number(row['ratio_high'])}"
    return (
        row["what"],
        f"{number(row['without'])} {row['unit']}",
        f"{number(row['with'])} {row['unit']}",
        ratio,
        interval,
        f"{row['spread_without_pct']:.0f} / {row['spread_with_pct']:.0f}",
        "; ".join(f"{claim['text']}: {'held' if claim['held'] else 'NOT HELD'}" for claim in row["claims"]),
    )


def number(value: float) -> str:
    """Three figures, and no exponent."""
    if value == 0.0 or abs(value) >= 100.0:
        return f"{value:,.0f}"
    return f"{value:.3g}"
