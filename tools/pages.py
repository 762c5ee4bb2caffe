"""Write the generated blocks of README.md and docs/: ``python -m tools.pages``; with --check, only compare.

A block stands between the lines ``<!-- begin: NAME -->`` and ``<!-- end -->``; everything else is written by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.framework import results
from benchmarks.report import markdown, write_figures

from . import connections, deadlines, exchanges, failures, frames, interception

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Content = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
END = "<!-- end -->"
_BEGIN = re.compile(r"<!-- begin: ([\w ]+) -->\n")

# By name, what stands in a block; of None it stays as it is.
BLOCKS: dict[str, Callable[[Content], str | None]] = {
    "failures": lambda _: failures.table(),
    "connections": lambda _: connections.table(),
    "interception": lambda _: interception.table(),
    "exchanges": lambda _: exchanges.table(),
    "deadlines": lambda _: deadlines.table(),
    "frames": lambda _: frames.table(),
    "benchmarks": markdown.claims,
    "benchmarks figures": markdown.figures,
    **{f"benchmarks {name}": lambda content, name=name: markdown.table(content, name) for name in markdown.tables()},
}


def document(root: Path = ROOT) -> Path:
    """The published run."""
    return root / "docs" / "benchmarks.json"


def pages(root: Path = ROOT) -> list[Path]:
    """The files that may have blocks."""
    return [*root.glob("README.md"), *sorted((root / "docs").glob("*.md"))]


def begin(name: str) -> str:
    """The line at which a block begins."""
    return f"<!-- begin: {name} -->"


def written(page: str, content: Content) -> str:
    """A page with its blocks as they should be.

    Raises:
        ValueError: a block has no end, or nobody writes one of that name.
    """
    parts, position = [], 0
    while found := _BEGIN.search(page, position):
        name = found[1]
        if name not in BLOCKS:
            raise ValueError(f"nobody writes the block {name!r}; there are: {', '.join(BLOCKS)}")
        end = page.find(END, found.end())
        if end < 0:
            raise ValueError(f"after {begin(name)} there is no {END}")
        block = BLOCKS[name](content)
        parts += [page[position : found.end()], page[found.end() : end] if block is None else f"{block}\n"]
        position = end
    return "".join([*parts, page[position:]])


def publish(run: Path, root: Path = ROOT) -> None:
    """Make a run the one that the docs show: its document, without what nobody reads there, and its figures.

    Raises:
        ValueError: it is no document of a run, or one of another schema.
        OSError: it cannot be read.
    """
    content = results.read(run)
    document(root).write_text(markdown.document(content), "utf-8")
    write_figures(content, root / "benchmarks" / "figures")


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write the pages that change, and name them; the exit code is 1 if --check found one."""
    parser = argparse.ArgumentParser(prog="python -m tools.pages", description=__doc__)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="only name the pages that would change")
    how.add_argument("--publish", type=Path, metavar="RESULTS.json", help="first make this run the published one")
    options = parser.parse_args(arguments)
    if options.publish is not None:
        try:
            publish(options.publish, root)
        except (OSError, ValueError) as error:
            parser.error(f"--publish: {error}")
    content = json.loads(document(root).read_text("utf-8"))
    changed = {
        path: new
        for path in pages(root)
        if (new := written(path.read_text("utf-8"), content)) != path.read_text("utf-8")
    }
    for path, new in changed.items():
        if not options.check:
            path.write_text(new, "utf-8")
        print(path.relative_to(root))
    return 1 if options.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
