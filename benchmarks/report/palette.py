"""The colours of the page and its figures, light and dark: Okabe and Ito's, which colour-blind readers tell apart."""

from __future__ import annotations

from typing import NamedTuple


class Colour(NamedTuple):
    """One colour: its CSS variable, and what it is on a light and on a dark ground."""

    name: str
    light: str
    dark: str


GROUND = Colour("ground", "#ffffff", "#14181d")
PANEL = Colour("panel", "#f5f7f9", "#1d232a")
LINE = Colour("line", "#d5dbe1", "#38414b")
INK = Colour("ink", "#16202b", "#e9edf1")
MUTED = Colour("muted", "#55616d", "#a3afba")
BLUE = Colour("blue", "#0072b2", "#56b4e9")
VERMILLION = Colour("vermillion", "#b84a00", "#ff8a3d")
GREEN = Colour("green", "#00795a", "#2fc79c")
PURPLE = Colour("purple", "#a8527f", "#e39cc4")
ORANGE = Colour("orange", "#a66f00", "#f2b53a")
GREY = Colour("grey", "#7d8894", "#8b97a3")

ALL = (GROUND, PANEL, LINE, INK, MUTED, BLUE, VERMILLION, GREEN, PURPLE, ORANGE, GREY)
OURS, WITHOUT = BLUE, VERMILLION
MANY = (VERMILLION, BLUE, GREEN, PURPLE, ORANGE, GREY)


def variables() -> str:
    """The variables of the page's style, and the rules that make a drawing's colours follow them.

    A drawing carries its light colours as attributes, which every viewer understands and any style rule outranks.
    """
    light, dark = (" ".join(f"--{one.name}: {getattr(one, tone)};" for one in ALL) for tone in ("light", "dark"))
    return "\n".join(
        [
            f":root {{ {light} }}",
            f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}",
            *(
                f'[{attribute}="{one.light}"] {{ {attribute}: var(--{one.name}); }}'
                for one in ALL
                for attribute in ("fill", "stroke")
            ),
        ]
    )


def dark_rules() -> str:
    """The same for a drawing in a file of its own, which lies on whatever its reader has chosen."""
    rules = " ".join(
        f'[{attribute}="{one.light}"] {{ {attribute}: {one.dark}; }}' for one in ALL for attribute in ("fill", "stroke")
    )
    return f"@media screen and (prefers-color-scheme: dark) {{ {rules} }}"
