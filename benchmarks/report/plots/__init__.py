"""All figures that a document has data for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import distribution, fleet, memory, ratios, waterfall
from .plot import NARROW, WIDE, Plot

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NARROW", "WIDE", "Plot", "plots"]

_OF_EFFECTS = (ratios, waterfall, distribution, memory, fleet)


def plots(content: dict[str, Any]) -> Iterator[Plot]:
    """The overview first, then those of each effect; what a document lacks has none."""
    yield from ratios.overview(content)
    for effect in content["effects"]:
        for module in _OF_EFFECTS:
            yield from module.of_effect(effect)
