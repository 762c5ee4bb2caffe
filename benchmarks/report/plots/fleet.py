"""Many environments that start at once: calls per second, the share throttled, the time until all are warm."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from .. import palette, words
from ..canvas import Sheet, log_ticks, plain_numbers
from .panels import panels, style
from .plot import Plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..palette import Colour

_TITLE, _ROW, _WORDS, _AXIS = 30, 92, 38, 38  # pixels: of a size, a strategy, its words, the axis


def of_effect(effect: dict[str, Any]) -> list[Plot]:
    """Both figures of a fleet, if there is one."""
    curves: Sequence[dict[str, Any]] = effect.get("figures", {}).get("fleet") or []
    if not curves:
        return []
    rows = [
        (
            f"{curve['environments']:,}",
            curve["strategy"],
            "\N{EN DASH}" if not curve["calls_per_s"] else words.number(max(curve["calls_per_s"])),
            f"{100 * curve['throttled_share']:.1f} %",
            "never" if curve["all_warm_s"] is None else words.amount(curve["all_warm_s"], "s"),
        )
        for curve in sorted(curves, key=lambda curve: curve["environments"])
    ]
    described = "; ".join(
        f"{many} environments, {strategy}: at most {most} calls per second, {share} throttled, all warm after {warm}"
        for many, strategy, most, share, warm in rows
    )
    head = ("environments", "strategy", "most calls per s", "throttled", "all warm after")
    calls = Plot(
        name=f"{effect['name']}-calls",
        kind="fleet",
        effect=effect["name"],
        title="Calls per second while a fleet starts",
        text=f"{described}.",
        note="Simulated with measured costs of an environment. Dark: the calls that were throttled. All strategies at "
        "one size have the same scales.",
        draw=lambda width: draw_calls(curves, width),
    )
    limits = Plot(
        name=f"{effect['name']}-limits",
        kind="fleet",
        effect=effect["name"],
        title="What a fleet's start does to the limits",
        text=f"{described}.",
        note="The share of all calls that was throttled, and how long it took until each environment was warm.",
        head=head,
        rows=rows,
        draw=lambda width: draw_limits(curves, width),
    )
    return [calls, limits]


def _legend(curves: Sequence[dict[str, Any]]) -> list[tuple[str, Colour]]:
    strategies = dict.fromkeys(curve["strategy"] for curve in curves)
    return [(name, palette.MANY[number % len(palette.MANY)]) for number, name in enumerate(strategies)]


def shown_sizes(curves: Sequence[dict[str, Any]]) -> list[int]:
    """Whose calls are drawn: the largest fleet, and the one of those below that most strategies are known of."""
    counts = Counter(curve["environments"] for curve in curves if curve["t_s"])
    largest = max(counts, default=0)
    rest = sorted(((count, size) for size, count in counts.items() if size < largest), reverse=True)
    return sorted([size for _, size in rest[:1]] + [largest] * (largest in counts))


def draw_calls(curves: Sequence[dict[str, Any]], width: float) -> Sheet:
    """The sheet: for each size that is shown a column, for each strategy a line of its own."""
    colour = dict(_legend(curves))
    sizes = shown_sizes(curves)
    of_size = {size: [c for c in curves if c["environments"] == size and c["t_s"]] for size in sizes}
    columns = 1 if width < 500 else max(1, len(sizes))
    heights = [_TITLE + _ROW * len(of_size[size]) + _AXIS for size in sizes]
    sheet = Sheet(width, sum(heights) if columns == 1 else max(heights, default=_TITLE))
    down = 0.0
    for number, size in enumerate(sizes):
        left, across = (0.0, width) if columns == 1 else (number * width / columns, width / columns)
        sheet.text(left + 8, down + 14, f"{size:,} environments", palette.MUTED, size=13)
        most = max(max(curve["calls_per_s"], default=0.0) for curve in of_size[size])
        end_s = max(curve["t_s"][-1] for curve in of_size[size])
        for index, curve in enumerate(of_size[size]):
            top = down + _TITLE + _ROW * index
            last = index == len(of_size[size]) - 1
            sheet.text(left + 8, top + 9, curve["strategy"], weight="bold")
            sheet.text(left + 8, top + 26, _told(curve), palette.MUTED)
            axes = sheet.axes(left + 8, top + _WORDS, across - 24, _ROW - _WORDS - 8)
            _area(axes, curve, colour[curve["strategy"]])
            axes.set_xlim(0, end_s)
            axes.set_ylim(0, most * 1.05 or 1)
            axes.set_yticks([])
            axes.locator_params(axis="x", nbins=6)
            plain_numbers(axes.xaxis)
            axes.tick_params(axis="x", labelbottom=last, length=3.5 if last else 0)
            if last:
                axes.set_xlabel("seconds")
        down += heights[number] if columns == 1 else 0.0
    return sheet


def _told(curve: dict[str, Any]) -> str:
    """What a curve comes to."""
    most = words.number(max(curve["calls_per_s"], default=0.0))
    warm = (
        "never all warm" if curve["all_warm_s"] is None else f"all warm after {words.amount(curve['all_warm_s'], 's')}"
    )
    return f"{most}/s at most, {100 * curve['throttled_share']:.0f} % throttled, {warm}"


def _area(axes: Any, curve: dict[str, Any], colour: Colour) -> None:
    """All calls, and in front of them those that were throttled, if the document tells."""
    style = {"step": "post", "linewidth": 0, "color": colour.light}
    axes.fill_between(curve["t_s"], curve["calls_per_s"], alpha=0.35, **style)
    if curve.get("throttled_per_s"):
        axes.fill_between(curve["t_s"], curve["throttled_per_s"], **style)


def draw_limits(curves: Sequence[dict[str, Any]], width: float) -> Sheet:
    """The sheet: throttled share and time to all-warm by the size of the fleet."""
    legend = _legend(curves)
    sheet, (share, warm) = panels(width, ["throttled, % of calls", "until all are warm, s"], legend)
    for number, (name, colour) in enumerate(legend):
        of_it = sorted((c for c in curves if c["strategy"] == name), key=lambda curve: curve["environments"])
        share.plot(
            [c["environments"] for c in of_it],
            [100 * c["throttled_share"] for c in of_it],
            **style(number, colour, of=len(legend)),
        )
        ended = [c for c in of_it if c["all_warm_s"]]
        warm.plot(
            [c["environments"] for c in ended],
            [c["all_warm_s"] for c in ended],
            **style(number, colour, of=len(legend)),
        )
    for axes in (share, warm):
        axes.set_xscale("log")
        axes.margins(x=0.08)
        log_ticks(axes.xaxis, *axes.get_xlim(), most=5)
        axes.set_xlabel("environments")
    share.set_ylim(-3, 103)
    plain_numbers(share.yaxis)
    warm.set_yscale("log")
    log_ticks(warm.yaxis, *warm.get_ylim(), most=6)
    return sheet
