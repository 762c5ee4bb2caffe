"""Write the table of DNS suffixes in endpoints.py from botocore's partitions.json; with --check, only compare."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import botocore

SOURCE = Path(botocore.__file__).parent / "data" / "partitions.json"
TARGET = Path(__file__).parents[1] / "src" / "lambdakit" / "_aws" / "endpoints.py"
BEGIN, END = "# begin: written by tools/regions.py\n", "# end\n"
# What every partition's pattern looks like: prefixes, then a word, then a number.
PATTERN = re.compile(r"\^(?P<head>[a-z|()\\-]+?)\\-\\w\+\\-\\d\+\$")


def prefixes(pattern: str) -> list[str]:
    r"""What stands before word and number: ``us`` and ``eu`` in the pattern ``^(us|eu)\-\w+\-\d+$``."""
    match = PATTERN.fullmatch(pattern)
    if match is None:
        message = f"a pattern of another shape than every one so far: {pattern}"
        raise SystemExit(message)
    before, bracket, rest = match["head"].replace("\\", "").partition("(")
    choices, _, after = rest.partition(")")
    return [f"{before}{choice}{after}" for choice in choices.split("|")] if bracket else [before]


def table() -> str:
    """The table as Python, between its two marks."""
    rows: dict[str, str] = {}
    for partition in json.loads(SOURCE.read_text())["partitions"]:
        for prefix in prefixes(partition["regionRegex"]):
            if prefix in rows:
                message = f"two partitions claim {prefix}"
                raise SystemExit(message)
            rows[prefix] = partition["outputs"]["dnsSuffix"]
    lines = [f'    "{prefix}": "{suffix}",\n' for prefix, suffix in rows.items()]
    return f"{BEGIN}_SUFFIXES = {{\n{''.join(lines)}}}\n{END}"


def main(arguments: list[str]) -> int:
    """Write the table, or compare it: 1 if it is not what botocore says."""
    text = TARGET.read_text()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        sys.stderr.write(f"{TARGET}: the marks are missing\n")
        return 1
    written = head + table() + tail
    if arguments == ["--check"]:
        return int(written != text)
    TARGET.write_text(written)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
