"""The figures in docs/benchmarks.md, and the document beside it that they are of; the text around them stays."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..processes import ROOT
from . import words
from .page import groups, jobs, when

BEGIN = "<!-- figures of benchmarks.json, written by `python -m benchmarks.report RESULTS.json --docs` -->"
END = "<!-- end of the figures -->"
PAGE = ROOT / "docs" / "benchmarks.md"
DOCUMENT = ROOT / "docs" / "benchmarks.json"
_NUMBERS = re.compile(r"\[\n[-\d.e+,\s]+\]")  # a list of nothing else, which goes into one line


def write_docs(content: dict[str, Any], page: Path = PAGE, document: Path = DOCUMENT) -> None:
    """Put the figures between the markers of the page, and the run beside it.

    Args:
        content: the document of a run.
        page: what the figures are put into.
        document: where the run goes, without its evidence, which nobody reads there.

    Raises:
        ValueError: the page has not both markers, in their order. Nothing is written then.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for the figures: put the lines {BEGIN!r} and {END!r} into it")
    kept = slim(content)
    page.write_text(f"{before}{BEGIN}\n\n{block(kept)}\n{END}{after}", encoding="utf-8")
    written = json.dumps(kept, indent=1, ensure_ascii=False)
    document.write_text(_NUMBERS.sub(lambda found: " ".join(found[0].split()), written) + "\n", encoding="utf-8")


def slim(content: dict[str, Any]) -> dict[str, Any]:
    """The document without what a reader of the docs has no use for: evidence, pyperf's own files, the tenth digit."""
    effects = []
    for effect in content["effects"]:
        kept = {name: value for name, value in effect.items() if name not in {"evidence", "pyperf"}}
        kept |= {"evidence": {}, "not_measured": words.not_measured(effect), "series": _short(effect["series"])}
        kept["checks"] = [{**check, "found": None} for check in effect["checks"]]
        effects.append({**kept, "figures": _short(effect.get("figures", {}))})
    return {**content, "effects": effects}


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_short(one) for one in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def block(content: dict[str, Any]) -> str:
    """What stands between the markers: an overview that links to a section of each effect, and these."""
    parts = [_origin(content), _overview(content)]
    for group, effects in groups(content):
        parts += [f"### {group}" for _ in range(bool(group))]
        parts += [_section(effect) for effect in effects]
    if peers := jobs(content):
        parts += ["### Peers", _peers(peers)]
    return "\n\n".join(parts) + "\n"


def _origin(content: dict[str, Any]) -> str:
    machine, tally = content["machine"], words.tally(content)
    told = [f"A {content['mode']} run", when(content), machine.get("cpu"), f"{machine.get('cores')} cores"]
    told += [f"Python {machine.get('python')}"]
    marks = [f"{tally['held']} of {tally['claims']} claims held"]
    for count, what in (
        (tally["same"], "without a difference"),
        (tally["unstable"], "unstable"),
        (tally["failed"], "not verified"),
        (tally["not_measured"], "not measured"),
    ):
        marks += [f"{count} {what}"] if count else []
    broken = "**Broken on purpose**: each feature was switched off. " if content.get("broken") else ""
    sample = f"**A sample.** {content['sample']} " if content.get("sample") else ""
    return f"{broken}{sample}{', '.join(filter(None, told))}: {', '.join(marks)}."


def _overview(content: dict[str, Any]) -> str:
    lines = ["| effect | what | without | with | ratio | 95 % interval | found |", "|---|---|--:|--:|--:|---|---|"]
    for effect in content["effects"]:
        row = words.leading(effect) or next(iter(effect["rows"]), None)
        link = f"[`{effect['name']}`](#{effect['name']})"
        if row is None:
            lines.append(_line([link, words.not_measured(effect) or "could not be measured", "", "", "", "", ""]))
            continue
        lines.append(_line([link, *_cells(row)]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    """One line of a table; a bar within a cell does not end it."""
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _cells(row: dict[str, Any]) -> list[str]:
    marks = [words.tendency(row)] if words.tendency(row) else []
    marks += ["unstable"] if words.unstable(row) else []
    marks += [f"{words.claim(claim['text'])}: {'held' if claim['held'] else '**not held**'}" for claim in row["claims"]]
    result = words.result(row)
    return [
        row["what"],
        *words.sides(row),
        f"**{result}**" if row["claims"] else result,
        words.interval(row) or "\N{EN DASH}",
        "; ".join(marks),
    ]


def _section(effect: dict[str, Any]) -> str:
    parts = [f"#### {effect['name']}", effect["question"]]
    parts += [f"Claim: {effect['claim']}"] if effect.get("claim") else []
    if effect["error"]:
        parts.append("Could not be measured in this run.")
    if why := words.not_measured(effect):
        parts.append(f"Not measured: {why}.")
    parts += [f"**Not verified**: {what}. Its figures say nothing." for what in words.unverified(effect)]
    if effect["rows"]:
        head = ["| what | without | with | ratio | 95 % interval | found |", "|---|--:|--:|--:|---|---|"]
        parts.append("\n".join([*head, *(_line(_cells(row)) for row in effect["rows"])]))
    passed = sum(check["passed"] for check in effect["checks"])
    parts += [f"{passed} of {len(effect['checks'])} verifications passed."] if effect["checks"] else []
    return "\n\n".join(parts)


def _peers(peers: list[dict[str, Any]]) -> str:
    lines = [
        "| peer | version | measured in | does the same, not measured | does not do this |",
        "|---|---|---|---|---|",
    ]
    for peer in peers:
        rest = "; ".join(f"{_links(names)}{f': {why}' if why else ''}" for why, names in peer["rest"].items())
        columns = [
            peer["name"],
            peer["version"] or "not installed",
            _links(peer["measured"]),
            rest,
            _links(peer["missing"]),
        ]
        lines.append(_line(columns))
    return "\n".join(lines)


def _links(names: list[str]) -> str:
    return ", ".join(f"[`{name}`](#{name})" for name in names)
