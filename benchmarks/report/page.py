"""The page: one HTML file that needs nothing else, on a telephone, on a desktop and on paper."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from . import palette, words

_HERE = Path(__file__).parent
_KINDS = ("waterfall", "distribution", "memory", "fleet")
_GROUPS = {"cold": "Cold", "warm": "Warm", "failure": "When something fails", "fleet": "Many environments"}
_MACHINE = {  # in this order, under these names; what a document lacks is left out
    "cpu": "Processor",
    "cores": "Cores",
    "memory_mb": "Memory, MB",
    "system": "System",
    "kernel": "Kernel",
    "architecture": "Architecture",
    "python": "Python",
    "lab_cpu_method": "The lab shares the CPU by",
    "load_average": "Load before the run",
}


def write_html(content: dict[str, Any], path: Path) -> None:
    """Write the page of a run.

    Args:
        content: the document, of schema 1 or 2. What it lacks is left out.
        path: of the file; its folder is made. A reader never sees half of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(html(content), encoding="utf-8")
    part.replace(path)


def write_figures(content: dict[str, Any], folder: Path) -> list[Path]:
    """Write each figure as an SVG of its own.

    Args:
        content: as for `write_html`.
        folder: is made. A figure of an earlier run that this one has no data for is removed.

    Returns:
        The files.
    """
    from .plots import WIDE, plots  # matplotlib: loaded only to draw

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for plot in plots(content):
        written.append(folder / f"{plot.name}.svg")
        written[-1].write_text(plot.svg(WIDE, alone=True) + "\n", encoding="utf-8")
    for old in set(folder.glob("*.svg")).difference(written):
        old.unlink()
    return written


def html(content: dict[str, Any]) -> str:
    """The page as text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup, escape

    from .plots import NARROW, WIDE, plots  # matplotlib: loaded only to draw

    drawn: dict[str, list[dict[str, Any]]] = {}
    for plot in plots(content):
        # Two drawings of each, of which a style rule shows one: text in them is never scaled down.
        both = {name: Markup(plot.svg(width)) for name, width in (("wide", WIDE), ("narrow", NARROW))}  # noqa: S704 - ours
        drawn.setdefault(plot.kind, []).append({"plot": plot, **both})
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.globals["words"] = words
    # What stands in backticks is code, here as in the docs; all else is text.
    environment.filters["code"] = lambda text: Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped
    style = palette.variables() + "\n" + (_HERE / "page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        content=content,
        style=Markup(style),  # noqa: S704 - ours
        groups=groups(content),
        headlines=words.headlines(content),
        counts=words.counts(content),
        drawn=drawn,
        kinds=[kind for kind in _KINDS if kind in drawn],
        when=when(content),
        machine={
            shown: _said(content["machine"][key]) for key, shown in _MACHINE.items() if content["machine"].get(key)
        },
        packages={name: version for name, version in content["machine"].get("packages", {}).items() if version},
        jobs=jobs(content),
    )


def groups(content: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The effects by group, in the order of the groups; all in one where the document has no groups."""
    found: dict[str, list[dict[str, Any]]] = {}
    for effect in content["effects"]:
        found.setdefault(effect.get("group") or "", []).append(effect)
    order = [*_GROUPS, *(name for name in found if name not in _GROUPS)]
    return [(_GROUPS.get(name, name), found[name]) for name in order if name in found]


def jobs(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The peers, and for each in which effects it is measured, and why not in the others."""
    found = []
    for peer in content.get("peers") or []:
        measured = [name for name, job in peer["jobs"].items() if job == "measured"]
        missing = [name for name, job in peer["jobs"].items() if job == "does not do this"]
        rest: dict[str, list[str]] = {}
        for name, job in peer["jobs"].items():
            if name not in {*measured, *missing}:
                rest.setdefault(job.removeprefix("does the same, not measured").lstrip(":, "), []).append(name)
        found.append({**peer, "measured": measured, "missing": missing, "rest": rest})
    return found


def when(content: dict[str, Any]) -> str | None:
    """The day of the run."""
    began = content.get("started") or content["machine"].get("date")
    return datetime.fromisoformat(began).strftime("%d %B %Y").lstrip("0") if isinstance(began, str) else None


def _said(value: Any) -> str:
    """A value of the machine's description."""
    if isinstance(value, list):
        return ", ".join(words.number(one) for one in value)
    return f"{value:,}" if isinstance(value, int) else str(value)
