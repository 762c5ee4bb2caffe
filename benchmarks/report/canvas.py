"""A sheet to draw on in pixels, from the top left, in the style of the page."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullFormatter

from ..framework.table import number
from . import palette

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes

    from .palette import Colour

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: it is read aloud, found and set in the page's own face
    "svg.hashsalt": "lambdakit",  # the same figures give the same file
    "text.parse_math": False,
    "font.size": 12,
    "axes.edgecolor": palette.LINE.light,
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": palette.MUTED.light,
    "axes.labelsize": 12,
    "axes.unicode_minus": True,
    "grid.color": palette.LINE.light,
    "grid.linewidth": 0.8,
    "text.color": palette.INK.light,
    "hatch.linewidth": 1.2,
    "legend.frameon": False,
    "legend.fontsize": 12,
    "xtick.color": palette.LINE.light,
    "xtick.labelcolor": palette.MUTED.light,
    "xtick.labelsize": 12,
    "xtick.minor.size": 0,
    "ytick.color": palette.LINE.light,
    "ytick.labelcolor": palette.MUTED.light,
    "ytick.labelsize": 12,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


def styled() -> AbstractContextManager[None]:
    """Within it, figures are drawn and saved in the style of the page, whatever this machine has set."""
    return mpl.rc_context({**mpl.rcParamsDefault, **_STYLE, "backend": "svg"})


class Sheet:
    """A figure of so many pixels.

    Args:
        width, height: in pixels.

    Attributes:
        narrow: whether it is for a phone.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.narrow = width < 500
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes whose frame has this place."""
        bottom = self.height - top - height
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))

    def text(self, left: float, top: float, text: str, colour: Colour = palette.INK, **style: Any) -> None:
        """One line whose middle is at `top`."""
        style = {"va": "center_baseline", **style}
        self.figure.text(left / self.width, 1 - top / self.height, text, color=colour.light, **style)

    def band(self, top: float, height: float) -> None:
        """A light ground across the sheet, to lead the eye along a row."""
        place = (0, 1 - (top + height) / self.height)
        shape = {"transform": self.figure.transFigure, "color": palette.PANEL.light, "linewidth": 0, "zorder": -2}
        self.figure.add_artist(Rectangle(place, 1, height / self.height, **shape))


def wrapped(text: str, width: float, size: float = 12) -> list[str]:
    """`text` in lines that fit into so many pixels in every face: a letter is taken to be 0.56 of its size wide."""
    return textwrap.wrap(text, max(8, int(width / (0.56 * size)))) or [""]


def plain_numbers(axis: Any, *, after: str = "") -> None:
    """Ticks as one writes numbers, none between the decades."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{number(value)}{after}"))
    axis.set_minor_formatter(NullFormatter())


def log_ticks(axis: Any, low: float, high: float, *, most: int, after: str = "") -> None:
    """Round numbers on a logarithmic axis: the finest steps that give no more than so many ticks."""
    steps = (
        (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9),
        (1, 1.5, 2, 3, 4, 5, 7),
        (1, 2, 5),
        (1, 3),
        (1,),
    )
    for each in steps:
        ticks = [tick for power in range(-6, 9) for one in each if low <= (tick := one * 10.0**power) <= high]
        if len(ticks) <= most:
            break
    else:
        ticks = ticks[:: -(-len(ticks) // most)]
    axis.set_ticks(ticks)
    axis.set_ticks([], minor=True)
    plain_numbers(axis, after=after)
