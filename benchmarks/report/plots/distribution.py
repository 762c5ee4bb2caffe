"""Latency distributions as dots, one for each hundredth of the invocations."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from ...framework import stats
from .. import palette, words
from ..canvas import Sheet, log_ticks
from .plot import Plot
from .sides import colours, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_DOTS = 100
_DOT = 5.0  # pixels
_HEAD, _STACK = 26, 74  # pixels: of the line above the dots of a side, of the dots at most
_TITLE, _AXIS = 30, 40
_SHOWN = {"cold": "Cold starts", "warm": "Warm invocations"}


def of_effect(effect: dict[str, Any]) -> list[Plot]:
    """Its distributions, if it has measured some."""
    sides: Mapping[str, Mapping[str, Sequence[float]]] = effect.get("figures", {}).get("distribution") or {}
    panels = {
        kind: {shown(side): sorted(kinds[kind]) for side, kinds in sides.items() if kinds.get(kind)} for kind in _SHOWN
    }
    panels = {kind: samples for kind, samples in panels.items() if samples}
    if not panels:
        return []
    rows = [
        (
            side,
            kind,
            str(len(values)),
            *(words.number(stats.percentile(values, share)) for share in (0.0, 0.5, 0.95, 0.99, 1.0)),
        )
        for kind, samples in panels.items()
        for side, values in samples.items()
    ]
    described = "; ".join(f"{row[0]}, {row[1]}: median {row[4]} ms, p95 {row[5]} ms, p99 {row[6]} ms" for row in rows)
    return [
        Plot(
            name=f"{effect['name']}-distribution",
            kind="distribution",
            effect=effect["name"],
            title="How long invocations take, cold and warm",
            text=f"{described}.",
            note=f"A dot is one invocation; where there are more than {_DOTS}, it is one hundredth of them. "
            "The line is the median. The scales are logarithmic.",
            head=("side", "kind", "invocations", "least, ms", "median", "p95", "p99", "most"),
            rows=rows,
            draw=lambda width: draw(panels, width),
        )
    ]


def dots(values: Sequence[float]) -> list[float]:
    """The values themselves, or as many of their quantiles as there are dots."""
    if len(values) <= _DOTS:
        return sorted(values)
    return [stats.percentile(values, (number + 0.5) / _DOTS) for number in range(_DOTS)]


def draw(panels: Mapping[str, Mapping[str, Sequence[float]]], width: float) -> Sheet:
    """The sheet: for each kind a panel, for each side a line of dots."""
    names = list(dict.fromkeys(side for samples in panels.values() for side in samples))
    colour = dict(zip(names, colours(names), strict=True))
    scales = {kind: _Scale(samples.values(), width - 24) for kind, samples in panels.items()}
    heights = {kind: (_HEAD + scales[kind].height) * len(samples) for kind, samples in panels.items()}
    sheet = Sheet(width, sum(_TITLE + height + _AXIS for height in heights.values()))
    top = 0.0
    for kind, samples in panels.items():
        scale, height = scales[kind], heights[kind]
        sheet.text(8, top + 14, _SHOWN[kind], palette.MUTED, size=13)
        top += _TITLE
        axes = sheet.axes(12, top, width - 24, height)
        axes.set_xscale("log")
        axes.set_xlim(scale.low, scale.high)
        axes.set_ylim(height, 0)
        axes.set_yticks([])
        log_ticks(axes.xaxis, scale.low, scale.high, most=5 if sheet.narrow else 10)
        axes.set_xlabel("ms")
        for index, (side, values) in enumerate(samples.items()):
            ground = (_HEAD + scale.height) * (index + 1) - 4
            heading = top + ground - scale.height - 8
            sheet.text(8, heading, side, weight="bold")
            middle, p95 = (stats.percentile(values, share) for share in (0.5, 0.95))
            described = f"median {words.number(middle)} · p95 {words.amount(p95, 'ms')}"
            sheet.text(width - 8, heading, described, palette.MUTED, ha="right")
            axes.axhline(ground, color=palette.LINE.light, linewidth=1)
            axes.vlines(middle, ground - scale.height + 8, ground, color=palette.INK.light, linewidth=1.4, zorder=3)
            across, up = scale.places(values)
            style = {"linestyle": "", "marker": "o", "markersize": _DOT, "markeredgewidth": 0}
            axes.plot(across, [ground - y for y in up], color=colour[side].light, zorder=2, **style)
        top += height + _AXIS
    return sheet


class _Scale:
    """One logarithmic scale for all sides of a panel, in columns as wide as a dot."""

    def __init__(self, sides: Iterable[Sequence[float]], width: float) -> None:
        sides = list(sides)
        self.low, self.high = min(map(min, sides)) * 0.93, max(map(max, sides)) * 1.07
        self._columns = max(1, int(width / (_DOT + 1)))
        highest = max(max(Counter(map(self._column, dots(values))).values()) for values in sides)
        self._step = min(_DOT + 0.6, (_STACK - 16) / highest)  # dots of a high stack lie on each other
        self.height = max(28.0, highest * self._step + 16)

    def _column(self, value: float) -> int:
        return int(math.log(value / self.low) / math.log(self.high / self.low) * self._columns)

    def places(self, values: Sequence[float]) -> tuple[list[float], list[float]]:
        """Where the dots of one side are: on the scale, and above its ground."""
        seen: Counter[int] = Counter()
        across, up = [], []
        for column in map(self._column, dots(values)):
            across.append(self.low * (self.high / self.low) ** ((column + 0.5) / self._columns))
            up.append(_DOT / 2 + seen[column] * self._step)
            seen[column] += 1
        return across, up
