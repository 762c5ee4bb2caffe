"""The figures in README.md and in pages of docs/, as a run has found them: `python -m benchmarks.docs_tables`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .report import words
from .table import number

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "benchmarks.json"  # what docs/benchmarks.md shows, too
CLAIMS = "<!-- begin: benchmarks -->"  # what is claimed, of all effects
END = "<!-- end -->"
# Of `keep_alive`: what its series are named after, behind the way and a comma.
PLACES = {
    "plain, 0 ms away": "plain",
    "TLS, 0 ms away": "TLS",
    "plain, 5 ms away": "plain, 5 ms away",
    "TLS, 5 ms away": "TLS, 5 ms away",
}


def written(page: str, content: dict[str, Any]) -> str:
    """A page with its blocks of figures as a results document has them.

    Blocks of effects that the document does not have, or could not measure, stay as they are.

    Raises:
        ValueError: a block has no end.
    """
    for effect in content["effects"]:
        if effect["name"] in TABLES and effect["series"]:
            table = f"{TABLES[effect['name']](effect)}\n\n{_origin(content, effect)}"
            page = _put(page, f"<!-- begin: benchmarks {effect['name']} -->", table)
    return _put(page, CLAIMS, claims(content)) if CLAIMS in page else page


def _put(page: str, begin: str, block: str) -> str:
    if begin not in page:
        return page
    before, _, rest = page.partition(begin)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"after {begin} there is no {END}")
    return f"{before}{begin}\n{block}\n{END}{after}"


def claims(content: dict[str, Any]) -> str:
    """What is claimed of each effect, as the project's README says it: with a figure, and a link to all of them."""
    lines = ["| what is claimed | what was measured | claims held |", "|---|---|--:|"]
    for effect in content["effects"]:
        if effect["error"] or words.unverified(effect):
            continue
        rows = [row for row in effect["rows"] if row["claims"]]
        if not rows:
            continue
        largest = max(rows, key=lambda row: abs(row["difference"]))
        row = max(filter(words.has_ratio, rows), key=lambda row: row["ratio_low"], default=largest)
        told = [claim["held"] for one in rows for claim in one["claims"]]
        lines.append(
            f"| [{effect['claim']}](docs/benchmarks.md#{effect['name']}) "
            f"| {row['what']}: {words.result(row)}{', unstable' if words.unstable(row) else ''} "
            f"| {sum(told)} of {len(told)} |"
        )
    return "\n".join(lines)


def keep_alive(effect: dict[str, Any]) -> str:
    """What a request costs, by way and place; then what is claimed of that."""
    series = effect["series"]
    places = [place for place in PLACES if any(name.endswith(f", {place}") for name in series)]
    ways = [name.removesuffix(f", {places[0]}") for name in series if name.endswith(f", {places[0]}")]
    ways.sort(key=lambda way: series[f"{way}, {places[0]}"]["median"])
    lines = [f"| | {' | '.join(PLACES[place] for place in places)} |", f"|---{'|---:' * len(places)}|"]
    for way in ways:
        cells = [_figure(series.get(f"{way}, {place}")) for place in places]
        lines.append(f"| {_name(way)} | {' | '.join(cells)} |")
    return "\n".join(lines + _claims_of(effect))


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {"keep_alive": keep_alive}


def _figure(one: dict[str, Any] | None) -> str:
    return "" if one is None else f"{number(one['median'])} {one['unit']}"


def _name(way: str) -> str:
    """Code where it is nothing else."""
    return f"`{way}`" if way.replace(".", "").replace("_", "").isalnum() else way


def _claims_of(effect: dict[str, Any]) -> list[str]:
    told = [
        f"- {row['what']}: {claim['text']}, {'held' if claim['held'] else '**not held**'}"
        for row in effect["rows"]
        for claim in row["claims"]
    ]
    return ["", "What is claimed of `lambdakit.http.get`:", "", *told] if told else []


def _origin(content: dict[str, Any], effect: dict[str, Any]) -> str:
    machine = content["machine"]
    processes = max(len(one["processes"]) for one in effect["series"].values())
    sample = f"**A sample.** {content['sample']} " if content.get("sample") else ""
    return (
        f"{sample}Medians over {processes} processes: {machine['cpu'] or 'unknown processor'}, "
        f"{machine['cores']} cores, {machine['python_implementation']} {machine['python']}, "
        f"urllib3 {machine['packages']['urllib3']}, the {content['mode']} set."
    )


def main(arguments: list[str], root: Path = ROOT) -> None:
    """Rewrite the pages that have a block; the only argument is a results document other than `DOCUMENT`."""
    content = json.loads((Path(arguments[0]) if arguments else DOCUMENT).read_text("utf-8"))
    for path in [*root.glob("README.md"), *sorted((root / "docs").glob("*.md"))]:
        page = path.read_text("utf-8")
        new = written(page, content)
        if new != page:
            path.write_text(new, "utf-8")
            print(path.relative_to(root))


if __name__ == "__main__":
    main(sys.argv[1:])
