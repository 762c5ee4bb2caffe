"""The output of a run: a progress bar while it lasts, a table and a summary at its end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from . import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDE = 160  # of a file or a pipe, which have no width of their own
_NARROW = 130  # of a terminal: fewer columns below
_COLUMNS = ("what", "without", "with", "ratio", "95 % interval", "spread", "claim")


def progress() -> Progress:
    """A bar on standard error, if that is a terminal; no thread of its own, which could disturb a measurement."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left about"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        disable=not sys.stderr.isatty(),
        transient=True,
    )


def show(content: dict[str, Any], *, width: int | None = None) -> None:
    """Print the table of a run's document on standard output, in so many columns; None: as many as there are."""
    console = Console(width=width or (None if sys.stdout.isatty() else _WIDE), highlight=False)
    title = f"lambdakit benchmarks, {content['mode']}" + (", BROKEN ON PURPOSE" if content["broken"] else "")
    table = Table(title=title, title_justify="left", pad_edge=False)
    wide = console.width >= _NARROW
    # Where there is no room, how sure a figure is goes first; the JSON and the page have it.
    shown = range(len(_COLUMNS)) if wide else (0, 1, 2, 3, 6)
    if wide:
        table.add_column("effect", no_wrap=True)
    for position in shown:
        words = _COLUMNS[position] in {"what", "claim"}
        table.add_column(_COLUMNS[position], justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for effect in content["effects"]:
        lines = [[row[position] for position in shown] for row in map(cells, effect["rows"])]
        lines += [["could not be measured"]] if effect["error"] is not None else []
        lines += [[f"not measured: {effect['not_measured']}"]] if effect["not_measured"] is not None else []
        if not wide:
            table.add_row(f"[bold]{effect['name']}")
        for at, line in enumerate(lines):
            name = [effect["name"] if at == 0 else ""] if wide else []
            table.add_row(*name, *line, end_section=at == len(lines) - 1)
    console.print(table)
    for line in notes(content):
        console.print(line, style="dim")


def summary(content: dict[str, Any], *, left_out: Sequence[str] = ()) -> list[str]:
    """The summary of a run in four lines: what was measured, verified, claimed and found.

    Args:
        content: the document of the run.
        left_out: effects that a quick run does not have.
    """
    effects = content["effects"]
    measured = [effect for effect in effects if effect["rows"]]
    rows = [(effect["name"], row) for effect in effects for row in effect["rows"]]
    claims = [(name, row["what"], claim) for name, row in rows for claim in row["claims"]]
    not_held = [f"{name} ({what}: {claim['text']})" for name, what, claim in claims if not claim["held"]]
    failed = [effect["name"] for effect in effects if effect["error"] or not all(c["passed"] for c in effect["checks"])]
    unstable = sum(not row["stable"] for _, row in rows)
    same = sum(row["verdict"] == stats.NO_DIFFERENCE for _, row in rows)
    took = f"{_duration(content['took_s'])}, a {content['mode']} run"
    missing = f"; left out, name them to have them: {', '.join(left_out)}" if left_out else ""
    return [
        f"Measured: {len(measured)} of {len(effects)} effects in {took}{missing}",
        f"Verified: {len(effects) - len(failed)} of {len(effects)} effects" + _listed("not", failed),
        f"Claims: {len(claims) - len(not_held)} of {len(claims)} held" + _listed("not held", not_held),
        f"Figures: {len(rows)}, {unstable} of them unstable, {same} without a difference",
    ]


def _listed(what: str, names: Sequence[str]) -> str:
    return f"; {what}: {', '.join(names)}" if names else ""


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def notes(content: dict[str, Any]) -> list[str]:
    """The notes below the table, a line each."""
    machine = content["machine"]
    where = f"{machine['cpu'] or 'unknown processor'}, {machine['cores']} cores, Python {machine['python']}"
    how = (
        "Medians over fresh processes; spread: interquartile range in % of the median, without / with. "
        f"Unstable, of a single figure ~: its interval is wider than ±{stats.STABLE:.0%}, "
        "after as many processes as the run allows."
    )
    lines = [f"{where}; {content['took_s']:.0f} s.", how]
    shares = ", ".join(
        f"{one['memory_mb']} MB {one['measured']:.3f} (wanted {one['wanted']:.3f})" for one in content["calibration"]
    )
    if shares:
        lines.append(f"The lab's share of a core, by {machine['lab_cpu_method']}: {shares}.")
    return lines


def cells(row: dict[str, Any]) -> Sequence[str]:
    """One row in words: what, without, with, ratio, interval, spread, claim."""
    ratio, interval = "", ""
    if row["as_difference"]:
        ratio = f"{row['difference']:+.3g} {row['unit']}"
    elif row["verdict"] == stats.NO_DIFFERENCE:
        ratio = stats.NO_DIFFERENCE
    elif row["ratio"] is not None:
        ratio = f"{number(row['ratio'])}x"
    if row["ratio"] is not None and not row["as_difference"]:
        interval = f"{number(row['ratio_low'])} to {number(row['ratio_high'])}"
    claims = [f"{claim['text']}: {'held' if claim['held'] else 'NOT HELD'}" for claim in row["claims"]]
    return (
        row["what"],
        f"{mark(row, 'stable_without')}{number(row['without'])} {row['unit']}",
        f"{mark(row, 'stable_with')}{number(row['with'])} {row['unit']}",
        ratio,
        interval,
        f"{row['spread_without_pct']:.0f} / {row['spread_with_pct']:.0f}",
        "; ".join([*claims, *([] if row["stable"] else ["unstable"])]),
    )


def mark(row: dict[str, Any], key: str) -> str:
    """The mark of a figure that is not stable, as the document says under that key."""
    return "~" if row.get(key) is False else ""


def number(value: float) -> str:
    """Three figures, and no exponent."""
    if value == 0.0 or abs(value) >= 100.0:
        return f"{value:,.0f}"
    return f"{value:.3g}"
