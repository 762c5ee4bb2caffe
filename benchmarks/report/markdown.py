"""A run in Markdown: the blocks that `tools.pages` puts into the README and into pages of docs/."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ..framework.table import number
from . import words
from .page import groups, jobs, when

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBERS = re.compile(r"\[\n[-\d.e+,\s]+\]")  # a list of nothing else, which goes into one line
# Of `keep_alive`: how its places are shown; a series is named after the way, a comma, and the place.
_PLACES = {
    "plain, 0 ms away": "plain",
    "TLS, 0 ms away": "TLS",
    "plain, 5 ms away": "plain, 5 ms away",
    "TLS, 5 ms away": "TLS, 5 ms away",
}


def document(content: dict[str, Any]) -> str:
    """The text of the published document: what `slim` keeps, lists of numbers in one line each."""
    written = json.dumps(slim(content), indent=1, ensure_ascii=False)
    return _NUMBERS.sub(lambda found: " ".join(found[0].split()), written) + "\n"


def slim(content: dict[str, Any]) -> dict[str, Any]:
    """The document without evidence, pyperf's own files, and more than five digits of a sample."""
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


def figures(content: dict[str, Any]) -> str:
    """All figures: an overview that links to a section of each effect, and these."""
    parts = [_origin(content), _overview(content)]
    for group, effects in groups(content):
        parts += [f"### {group}" for _ in range(bool(group))]
        parts += [_section(effect) for effect in effects]
    if peers := jobs(content):
        parts += ["### Peers", _peers(peers)]
    return "\n\n".join(parts)


def _origin(content: dict[str, Any]) -> str:
    machine, counts = content["machine"], words.counts(content)
    origin = [f"A {content['mode']} run", when(content), machine.get("cpu"), f"{machine.get('cores')} cores"]
    origin += [f"Python {machine.get('python')}"]
    marks = [f"{counts['held']} of {counts['claims']} claims held"]
    for count, what in (
        (counts["same"], "without a difference"),
        (counts["unstable"], "unstable"),
        (counts["failed"], "not verified"),
        (counts["not_measured"], "not measured"),
    ):
        marks += [f"{count} {what}"] if count else []
    broken = "**Broken on purpose**: each feature was switched off. " if content.get("broken") else ""
    sample = f"**A sample.** {content['sample']} " if content.get("sample") else ""
    return f"{broken}{sample}{', '.join(filter(None, origin))}: {', '.join(marks)}."


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


def claims(content: dict[str, Any]) -> str:
    """What the README claims: of each effect only what was verified, held, and is stable.

    It is the claim of the effect where that is so of all its claimed rows, else that of its clearest row.
    """
    lines = ["| what is claimed | what was measured | 95 % interval |", "|---|---|---|"]
    for effect in content["effects"]:
        rows = [row for row in effect["rows"] if row["claims"]]
        sure = [row for row in rows if words.held(row) and not words.unstable(row)]
        if effect["error"] or words.unverified(effect) or not sure:
            continue
        largest = max(sure, key=lambda row: abs(row["difference"]))
        row = max(filter(words.has_ratio, sure), key=lambda row: row["ratio_low"], default=largest)
        claim = effect["claim"] if len(sure) == len(rows) else claim_of(effect, row)
        link = f"[{claim}](docs/benchmarks.md#{effect['name']})"
        figure = f"{row['what']}: {words.result(row)}"
        lines.append(_line([link, figure, words.interval(row) or "\N{EN DASH}"]))
    return "\n".join(lines)


def claim_of(effect: dict[str, Any], row: dict[str, Any]) -> str:
    """What is claimed of one row."""
    claimed = " and ".join(words.claim(claim["text"]) for claim in row["claims"])
    return f"`{effect['name']}`, {row['what']}: {claimed}"


def _keep_alive(effect: dict[str, Any]) -> str:
    """What a request costs, by way and place; then what is claimed of that."""
    series = effect["series"]
    places = [place for place in _PLACES if any(name.endswith(f", {place}") for name in series)]
    ways = [name.removesuffix(f", {places[0]}") for name in series if name.endswith(f", {places[0]}")]
    ways.sort(key=lambda way: series[f"{way}, {places[0]}"]["median"])
    lines = [f"| | {' | '.join(_PLACES[place] for place in places)} |", f"|---{'|---:' * len(places)}|"]
    for way in ways:
        cells = [_figure(series.get(f"{way}, {place}")) for place in places]
        lines.append(f"| {_name(way)} | {' | '.join(cells)} |")
    return "\n".join(lines + _claims_of(effect))


_TABLES: dict[str, Callable[[dict[str, Any]], str]] = {"keep_alive": _keep_alive}


def _figure(one: dict[str, Any] | None) -> str:
    return "" if one is None else f"{number(one['median'])} {one['unit']}"


def _name(way: str) -> str:
    """A way as code, if its name is an expression."""
    return f"`{way}`" if way.replace(".", "").replace("_", "").isalnum() else way


def _claims_of(effect: dict[str, Any]) -> list[str]:
    lines = [
        f"- {row['what']}: {words.claim(claim['text'])}, {'held' if claim['held'] else '**not held**'}"
        for row in effect["rows"]
        for claim in row["claims"]
    ]
    return ["", "What is claimed of `lambdakit.http.get`:", "", *lines] if lines else []


def _measured_on(content: dict[str, Any], effect: dict[str, Any]) -> str:
    machine = content["machine"]
    processes = max(len(one["processes"]) for one in effect["series"].values())
    sample = f"**A sample.** {content['sample']} " if content.get("sample") else ""
    return (
        f"{sample}Medians over {processes} processes: {machine['cpu'] or 'unknown processor'}, "
        f"{machine['cores']} cores, {machine['python_implementation']} {machine['python']}, "
        f"urllib3 {machine['packages']['urllib3']}, the {content['mode']} set."
    )


def tables() -> tuple[str, ...]:
    """The effects that have a table of their own in a page."""
    return tuple(_TABLES)


def table(content: dict[str, Any], name: str) -> str | None:
    """The table of an effect; None if the document does not have the effect, or no figures of it."""
    effect = next((effect for effect in content["effects"] if effect["name"] == name), None)
    if effect is None or not effect["series"]:
        return None
    return f"{_TABLES[name](effect)}\n\n{_measured_on(content, effect)}"
