"""How a side is shown: its name, and its colour, which for ours is the same in every figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import palette

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..palette import Colour

MARKERS = ("o", "s", "^", "D", "v", "P")  # so that colour alone tells nothing
DASHES = ("-", "--", "-.", ":")


_NAMES = {"naive": "as often written first", "fast": "with lambdakit"}  # the two versions of the example


def shown(side: str) -> str:
    """Its name for readers who do not know the example."""
    return _NAMES.get(side, side)


def ours(side: str) -> bool:
    """Whether a side is the one with lambdakit, by its name."""
    return shown(side).startswith(("lambdakit", "with lambdakit"))


def colours(sides: Iterable[str]) -> list[Colour]:
    """One for each side, in order."""
    others = [one for one in palette.MANY if one is not palette.OURS]
    found, count = [], 0
    for side in sides:
        found.append(palette.OURS if ours(side) else others[count % len(others)])
        count += not ours(side)
    return found
