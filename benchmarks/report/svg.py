"""A drawing of matplotlib's as SVG that fits into a page: named, without style attributes, ids its own."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from . import palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_USUAL = {("text-anchor", "start"), ("stroke-linejoin", "miter")}  # the defaults
_LONG = re.compile(r"-?\d+\.\d{2,}")
ET.register_namespace("", _SVG)


def text_of(figure: Figure, *, name: str, title: str, description: str, alone: bool = False) -> str:
    """The figure as one ``<svg>`` element.

    Args:
        figure: what was drawn, at 72 dots per inch: a point is a pixel.
        name: begins every id, so that several drawings can stand in one page.
        title: what readers hear who do not see it.
        description: the same, its numbers.
        alone: for a file of its own: with a ground and with its dark colours.
    """
    written = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(written, format="svg", metadata=nothing, transparent=True)
    root = ET.fromstring(written.getvalue())  # noqa: S314 - matplotlib wrote it
    _simplify(root)
    _rename_ids(root, name)
    width, height = root.get("viewBox", "0 0 0 0").split()[2:]
    root.attrib = {
        "width": f"{float(width):g}",
        "viewBox": f"0 0 {float(width):g} {float(height):g}",
        "role": "img",
        "font-family": _FONTS,
    }
    root.set("aria-labelledby", f"{name}-title {name}-text")
    if alone:
        ground = {"width": "100%", "height": "100%", "rx": "8", "fill": palette.GROUND.light}
        root.insert(0, _element("style", palette.dark_rules()))
        root.insert(1, _element("rect", **ground))
    root.insert(0, _element("desc", description, id=f"{name}-text"))
    root.insert(0, _element("title", title, id=f"{name}-title"))
    return ET.tostring(root, encoding="unicode")


def _element(kind: str, text: str | None = None, **attributes: str) -> ET.Element:
    element = ET.Element(f"{{{_SVG}}}{kind}", attributes)
    element.text = text
    return element


def _simplify(root: ET.Element) -> None:
    """Attributes instead of styles, no metadata, no empty groups, a tenth of a pixel at most."""
    for parent in [*root.iter()]:
        for child in [*parent]:
            if child.tag in {f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"}:
                parent.remove(child)
        for declaration in parent.attrib.pop("style", "").split(";"):
            name, _, value = (part.strip() for part in declaration.partition(":"))
            if name not in {"", "font-family"} and (name, value) not in _USUAL:  # the root names the fonts
                parent.set(name, value)
        for name in {"d", "x", "y", "width", "height", "transform"} & parent.attrib.keys():
            text = " ".join(parent.attrib[name].split())
            parent.set(name, _LONG.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), text))
        if parent.get("transform", "").startswith("rotate(-0 "):
            del parent.attrib["transform"]
        parent.text, parent.tail = ((text or "").strip() or None for text in (parent.text, parent.tail))
    _flatten(root)


def _flatten(parent: ET.Element) -> None:
    """Groups that say nothing give way to what is in them."""
    kept: list[ET.Element] = []
    for child in parent:
        _flatten(child)
        bare = child.tag in {f"{{{_SVG}}}g", f"{{{_SVG}}}defs"} and not child.attrib.keys() - {"id"}
        kept += [*child] if bare and (child.tag.endswith("g") or not len(child)) else [child]
    parent[:] = kept


def _rename_ids(root: ET.Element, name: str) -> None:
    """Only what is referred to keeps an id, which begins with the drawing's name."""
    written = ET.tostring(root, encoding="unicode")
    used = {
        found[1]: f"{name}-{number}" for number, found in enumerate(re.finditer(r'(?:url\(#|href="#)([\w-]+)', written))
    }
    for element in root.iter():
        identity = element.attrib.pop("id", None)
        if identity in used:
            element.set("id", used[identity])
        for attribute, value in [*element.attrib.items()]:
            if value.startswith("url(#"):
                element.set(attribute, f"url(#{used[value[5:-1]]})")
            elif attribute == _LINK:
                del element.attrib[attribute]
                element.set("href", f"#{used[value[1:]]}")
