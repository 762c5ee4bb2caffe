"""Panels of curves: beside each other where there is room, else below each other, with one legend above."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import palette
from ..canvas import Sheet
from .sides import DASHES, MARKERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from ..palette import Colour

_HEIGHT, _TITLE, _AXIS, _LEFT = 190, 34, 48, 54  # pixels
_LEGEND = 22  # of each of its lines


def panels(width: float, titles: Sequence[str], legend: Sequence[tuple[str, Colour]]) -> tuple[Sheet, list[Axes]]:
    """A sheet with so many axes, and the legend drawn; the n-th curve has the n-th colour, marker and dash."""
    narrow = width < 500
    columns = 1 if narrow else len(titles)
    each = width / columns
    places, left, line = [], 8.0, 0
    for name, _ in legend:
        needed = 34 + 7.2 * len(name) + 14
        if left > 8 and left + needed > width:
            left, line = 8.0, line + 1
        places.append((left, 14 + line * _LEGEND))
        left += needed
    above = (line + 1) * _LEGEND + 10
    sheet = Sheet(width, above + (_TITLE + _HEIGHT + _AXIS) * -(-len(titles) // columns))
    _legend(sheet, legend, places)
    found = []
    for number, title in enumerate(titles):
        across, down = number % columns * each, above + number // columns * (_TITLE + _HEIGHT + _AXIS)
        sheet.text(across + 8, down + 12, title, weight="bold")
        found.append(sheet.axes(across + _LEFT, down + _TITLE, each - _LEFT - 16, _HEIGHT))
    return sheet, found


def style(number: int, colour: Colour, *, of: int) -> dict[str, object]:
    """How the n-th curve of several is drawn: one beneath another shows at its sides."""
    return {
        "color": colour.light,
        "linewidth": 1.8 + 0.5 * (of - 1 - number),
        "linestyle": DASHES[number % len(DASHES)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 6,
    }


def _legend(sheet: Sheet, legend: Sequence[tuple[str, Colour]], places: Sequence[tuple[float, float]]) -> None:
    """A piece of each curve, and its name."""
    axes = sheet.axes(0, 0, sheet.width, sheet.height)
    axes.set_axis_off()
    axes.set_xlim(0, sheet.width)
    axes.set_ylim(sheet.height, 0)
    for number, ((name, colour), (left, top)) in enumerate(zip(legend, places, strict=True)):
        axes.plot([left, left + 13, left + 26], [top] * 3, markevery=[1], **style(number, colour, of=len(legend)))
        sheet.text(left + 34, top, name, palette.INK)
