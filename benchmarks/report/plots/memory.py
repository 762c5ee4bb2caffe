"""Memory sizes: how long it takes, and what it costs, as power tuning draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import words
from ..canvas import log_ticks
from .panels import panels, style
from .plot import Plot
from .sides import colours
from .sides import shown as named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..canvas import Sheet


def _usd(kind: str) -> Callable[[dict[str, Any]], float | None]:
    return lambda point: (point.get("usd_per_million") or {}).get(kind)


# What there may be to show: a panel each.
_PANELS: Mapping[str, Callable[[dict[str, Any]], float | None]] = {
    "cold start, ms": lambda point: point.get("cold_ms"),
    "warm, ms": lambda point: point.get("warm_ms"),
    "USD per million, x86": _usd("x86_64"),
    "USD per million, arm64": _usd("arm64"),
}
_TABLE_ONLY = "USD per million, arm64"  # the same curve, a fifth lower


def of_effect(effect: dict[str, Any]) -> list[Plot]:
    """Its curves, if it has been measured at several sizes."""
    measured: Sequence[dict[str, Any]] = effect.get("figures", {}).get("memory") or []
    points = [{**point, "side": named(point["side"])} for point in measured]
    shown = {title: read for title, read in _PANELS.items() if any(read(point) is not None for point in points)}
    if len({point["memory_mb"] for point in points}) < 2 or not shown:
        return []
    rows = [
        (f"{point['memory_mb']} MB", point["side"], *(_cell(read(point)) for read in shown.values()))
        for point in sorted(points, key=lambda point: point["memory_mb"])
    ]
    titles = list(shown)
    described = "; ".join(
        f"{row[0]}, {row[1]}: " + ", ".join(f"{title} {cell}" for title, cell in zip(titles, row[2:], strict=True))
        for row in rows
    )
    return [
        Plot(
            name=f"{effect['name']}-memory",
            kind="memory",
            effect=effect["name"],
            title="Time and cost by memory size",
            text=f"{described}.",
            note="A function gets its share of the CPU by its memory size. Costs are those of a million warm "
            "invocations, requests included; on arm64 they are in the table. All scales are logarithmic.",
            head=("memory", "side", *titles),
            rows=rows,
            draw=lambda width: draw(points, {title: shown[title] for title in titles if title != _TABLE_ONLY}, width),
        )
    ]


def _cell(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else words.number(value)


def draw(
    points: Sequence[dict[str, Any]], shown: Mapping[str, Callable[[dict[str, Any]], float | None]], width: float
) -> Sheet:
    """The sheet: a panel for each thing that is shown, a curve for each side."""
    sides = list(dict.fromkeys(point["side"] for point in points))
    legend = list(zip(sides, colours(sides), strict=True))
    sizes = sorted({point["memory_mb"] for point in points})
    sheet, found = panels(width, list(shown), legend)
    for axes, read in zip(found, shown.values(), strict=True):
        for number, (side, colour) in enumerate(legend):
            curve = sorted(
                (point["memory_mb"], value) for point in points if point["side"] == side and (value := read(point))
            )
            if curve:
                axes.plot(*zip(*curve, strict=True), **style(number, colour, of=len(legend)))
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(sizes[0] * 0.8, sizes[-1] * 1.25)
        low, high = axes.get_ylim()
        axes.set_ylim(low * 0.9, high * 1.1)
        log_ticks(axes.yaxis, low * 0.9, high * 1.1, most=5)
        few = sizes if len(sizes) <= 4 else [sizes[0], sizes[len(sizes) // 2], sizes[-1]]
        axes.set_xticks(few, [f"{size:,}" for size in few])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("MB")
    return sheet
