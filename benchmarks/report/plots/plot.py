"""What a figure is: a name, a drawing for any width, and the same numbers in words and as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import svg
from ..canvas import styled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..canvas import Sheet

WIDE, NARROW = 880.0, 335.0  # pixels: beside a margin on a desktop, on a telephone


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """One figure.

    Attributes:
        name: of its file, and the beginning of its ids.
        kind: where it belongs on the page.
        effect: whose it is; None: of the whole run.
        title: in a few words.
        text: what it shows, for readers who do not see it.
        note: how to read it.
        head, rows: its numbers as a table; none where the page has them beside it.
        draw: makes the sheet, for a width in pixels.
    """

    name: str
    kind: str
    title: str
    text: str
    note: str
    effect: str | None = None
    draw: Callable[[float], Sheet] = field(repr=False)
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()

    def svg(self, width: float, *, alone: bool = False) -> str:
        """The drawing as SVG text."""
        name = self.name if alone else f"{self.name}-{width:.0f}"
        with styled():
            return svg.text_of(self.draw(width).figure, name=name, title=self.title, description=self.text, alone=alone)
