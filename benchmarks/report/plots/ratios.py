"""Bars of ratios with their intervals: how many times less a thing costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import palette, words
from ..canvas import Sheet, log_ticks, wrapped
from .plot import Plot

if TYPE_CHECKING:
    from collections.abc import Sequence

_LINE, _GAP = 16, 14  # pixels: of a line of text, around a bar
_GUTTER, _RESULT = 350, 170  # of the labels and of the results on a wide sheet


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One bar: what is written beside it, and the row that it shows."""

    label: str
    what: str
    row: dict[str, Any]


def overview(content: dict[str, Any]) -> list[Plot]:
    """One bar for each effect; nothing without a ratio to show."""
    pairs = [(effect, words.leading(effect)) for effect in content["effects"]]
    bars = [Bar(label=effect["name"], what=row["what"], row=row) for effect, row in pairs if row]
    if not bars:
        return []
    return [_plot("ratios", "overview", "How many times less each effect costs", bars)]


def of_effect(effect: dict[str, Any]) -> list[Plot]:
    """A bar for each of its rows, if there are several."""
    bars = [Bar(label="", what=row["what"], row=row) for row in effect["rows"] if words.has_ratio(row)]
    if len(bars) < 2:
        return []
    return [_plot(f"effect-{effect['name']}", f"effect:{effect['name']}", f"{effect['name']}: all ratios", bars)]


def _plot(name: str, kind: str, title: str, bars: Sequence[Bar]) -> Plot:
    rows = [bar.row for bar in bars]
    described = [f"{bar.label} {bar.what}: {marked(bar.row)}, 95 % interval {words.interval(bar.row)}" for bar in bars]
    return Plot(
        name=name,
        kind=kind,
        title=title,
        text="Without, divided by with lambdakit. " + "; ".join(text.strip() for text in described) + ".",
        note="What it costs without, divided by what it costs with lambdakit: to the right of 1 it costs less. "
        "The line through the end of a bar is the 95 % interval. The scale is logarithmic."
        + (" Grey: no difference." if any(words.verdict(row) == words.NO_DIFFERENCE for row in rows) else "")
        + (" Hatched: unstable, or a claim that did not hold." if any(map(_is_doubtful, rows)) else ""),
        draw=lambda width: draw(bars, width),
    )


def marked(row: dict[str, Any]) -> str:
    """Its ratio, with its marks."""
    marks = [] if words.held(row) else ["claim not held"]
    marks += ["unstable"] if words.unstable(row) else []
    return ", ".join(filter(None, [words.times(row["ratio"]), words.tendency(row), *marks]))


def _is_doubtful(row: dict[str, Any]) -> bool:
    return words.unstable(row) or not words.held(row)


def draw(bars: Sequence[Bar], width: float) -> Sheet:
    """The sheet: beside each bar its label and result, above it on a narrow one."""
    narrow = width < 500
    room = width - 78 if narrow else _GUTTER - 16
    lines = [([bar.label] if bar.label else []) + wrapped(bar.what, room) for bar in bars]
    # The result takes two lines, also where the label has one.
    heights = [max(2, len(text)) * _LINE + _GAP + (22 if narrow else 0) for text in lines]
    top, bottom = 6, 34
    sheet = Sheet(width, top + sum(heights) + bottom)
    left, across = (16, width - 44) if narrow else (_GUTTER, width - _GUTTER - _RESULT - 12)
    axes = sheet.axes(left, top, across, sum(heights))
    lows = [bar.row["ratio_low"] for bar in bars]
    highs = [bar.row["ratio_high"] for bar in bars]
    axes.set_xscale("log")
    axes.set_xlim(min(0.8, *lows) * 0.92, max(2.0, *highs) * 1.1)
    axes.set_ylim(sum(heights), 0)
    axes.set_yticks([])
    axes.grid(visible=not narrow)  # its lines would run through the labels there
    if not narrow:
        axes.axvline(1.0, color=palette.MUTED.light, linewidth=1.2, zorder=3)
    log_ticks(axes.xaxis, *axes.get_xlim(), most=5 if narrow else 8, after="\N{MULTIPLICATION SIGN}")
    at = 0.0
    for number, (bar, text, height) in enumerate(zip(bars, lines, heights, strict=True)):
        if number % 2:
            sheet.band(top + at, height)
        middle = at + height - 18 if narrow else at + height / 2
        _bar(axes, bar.row, middle)
        if narrow:
            axes.vlines(axes.get_xticks(), middle - 11, middle + 11, color=palette.LINE.light, linewidth=0.8, zorder=1)
            axes.vlines(1.0, middle - 11, middle + 11, color=palette.MUTED.light, linewidth=1.2, zorder=3)
        start = top + at + _GAP / 2 + _LINE / 2 if narrow else top + middle - (len(text) - 1) * _LINE / 2
        for index, line in enumerate(text):
            bold = index == 0 and bar.label
            colour = palette.INK if bold or not bar.label else palette.MUTED
            style = {"weight": "bold"} if bold else {}
            sheet.text(8, start + index * _LINE, line, colour, **style)
        _result(sheet, bar.row, start if narrow else top + middle - _LINE / 2)
        at += height
    return sheet


def _bar(axes: Any, row: dict[str, Any], at: float) -> None:
    """From 1 to the ratio; hatched if it has to be taken with care, grey where there is no difference."""
    ratio, verdict = row["ratio"], words.verdict(row)
    colour = {words.LESS: palette.OURS, words.MORE: palette.WITHOUT}.get(verdict or "", palette.GREY).light
    doubtful = _is_doubtful(row)
    axes.barh(
        at,
        abs(ratio - 1.0),
        left=min(1.0, ratio),
        height=14,
        facecolor=palette.GROUND.light if doubtful else colour,
        edgecolor=colour,
        hatch="////" if doubtful else None,
        linewidth=1.2,
        zorder=2,
    )
    axes.errorbar(
        ratio,
        at,
        xerr=[[ratio - row["ratio_low"]], [row["ratio_high"] - ratio]],
        fmt="none",
        ecolor=palette.INK.light,
        elinewidth=1.4,
        capsize=4,
        capthick=1.4,
        zorder=4,
    )


def _result(sheet: Sheet, row: dict[str, Any], top: float) -> None:
    """The ratio in bold, and its marks, at the right edge."""
    right = sheet.width - 8
    broken = [claim["text"] for claim in row["claims"] if not claim["held"]]
    if broken:
        described = "claim not held" if sheet.narrow else f"not held: {words.claim(broken[0])}"
    else:
        described = "unstable" if words.unstable(row) else words.tendency(row)
    sheet.text(right, top, words.times(row["ratio"]), weight="bold", ha="right", size=13)
    sheet.text(right, top + _LINE, described, palette.MUTED, ha="right", size=12)
