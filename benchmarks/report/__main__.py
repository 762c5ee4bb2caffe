"""The program: ``python -m benchmarks.report RESULTS.json``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import compare_text, write_figures, write_html


def main(arguments: list[str] | None = None) -> None:
    """Write what the options name; without one, the page beside the document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="Show what a run has found.")
    parser.add_argument("results", type=Path, help="the JSON of a run")
    parser.add_argument("--html", type=Path, metavar="FILE", help="the page (default: beside the results)")
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="each figure as SVG")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="print what has changed since another run")
    options = parser.parse_args(arguments)
    try:
        content = json.loads(options.results.read_text(encoding="utf-8"))
        old = json.loads(options.compare.read_text(encoding="utf-8")) if options.compare else None
    except (OSError, ValueError) as error:
        parser.error(f"no results of a run: {error}")
    if options.figures:
        print("\n".join(map(str, write_figures(content, options.figures))))
    if old is not None:
        print(compare_text(old, content), end="")
    if options.html or not (options.figures or options.compare):
        page = options.html or options.results.with_suffix(".html")
        write_html(content, page)
        print(page)


if __name__ == "__main__":
    main()
