"""Waterfalls of a cold start: its phases one after the other, each side on the same scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import palette, words
from ..canvas import Sheet, plain_numbers
from .plot import Plot
from .sides import colours, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ROW, _HEAD = 24, 36  # pixels: of a phase, of the line above a side


def of_effect(effect: dict[str, Any]) -> list[Plot]:
    """Its waterfall, if it has measured one."""
    sides: Mapping[str, Sequence[dict[str, Any]]] = effect.get("figures", {}).get("waterfall") or {}
    sides = {shown(side): phases for side, phases in sides.items() if phases}
    if not sides:
        return []
    described = [
        f"{side} takes {words.amount(total(phases), 'ms')}: "
        + ", ".join(f"{phase['phase']} {words.amount(phase['ms'], 'ms')}" for phase in phases)
        for side, phases in sides.items()
    ]
    return [
        Plot(
            name=f"{effect['name']}-waterfall",
            kind="waterfall",
            effect=effect["name"],
            title="Where a cold start goes",
            text=". ".join(described) + ".",
            note="Each phase begins where the one above it ends; all sides have the same scale. Medians.",
            head=("side", "phase", "ms"),
            rows=[(side, p["phase"], words.number(p["ms"])) for side, phases in sides.items() for p in phases]
            + [(side, "all", words.number(total(phases))) for side, phases in sides.items()],
            draw=lambda width: draw(sides, width),
        )
    ]


def total(phases: Sequence[dict[str, Any]]) -> float:
    """All of them, in milliseconds."""
    return sum(phase["ms"] for phase in phases)


def draw(sides: Mapping[str, Sequence[dict[str, Any]]], width: float) -> Sheet:
    """The sheet: a block for each side."""
    height = sum(_HEAD + _ROW * len(phases) for phases in sides.values())
    gutter = 110 if width < 500 else 150
    sheet = Sheet(width, height + 44)
    axes = sheet.axes(gutter, 4, width - gutter - 12, height)
    longest = max(total(phases) for phases in sides.values())
    axes.set_xlim(0, longest * (1.24 if sheet.narrow else 1.1))
    axes.set_ylim(height, 0)
    axes.set_yticks([])
    axes.locator_params(axis="x", nbins=4 if sheet.narrow else 8)
    plain_numbers(axes.xaxis)
    axes.set_xlabel("ms since the start")
    top = 0.0
    for (side, phases), colour in zip(sides.items(), colours(sides), strict=True):
        sheet.text(8, top + 4 + _HEAD / 2 + 2, side, weight="bold", size=13)
        sheet.text(
            width - 8, top + 4 + _HEAD / 2 + 2, words.amount(total(phases), "ms"), weight="bold", size=13, ha="right"
        )
        top += _HEAD
        began = 0.0
        for phase in phases:
            middle = top + _ROW / 2
            axes.barh(middle, phase["ms"], left=began, height=15, color=colour.light, zorder=2)
            began += phase["ms"]
            axes.text(
                began + longest * 0.01,
                middle,
                words.number(phase["ms"]),
                va="center_baseline",
                color=palette.MUTED.light,
            )
            sheet.text(gutter - 10, middle + 4, phase["phase"], palette.MUTED, ha="right")
            top += _ROW
    return sheet
