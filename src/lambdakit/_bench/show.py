"""Output of a document: tables drawn by rich where it is installed, else plain text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, TextIO

from . import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_WIDTH = 120  # of a file or a pipe, which have none of their own


def show(content: dict[str, Any], stream: TextIO) -> None:
    """Write the tables, findings and remarks of a document."""
    draw = _rich(stream) or _plain(stream)
    for table in text.tables(content):
        draw(table)
    for function in content["functions"]:
        _write(stream, text.findings(function))
    for remark in text.remarks(content):
        stream.writelines(f"{line}\n" for line in textwrap.wrap(remark, _WIDTH))


def _write(stream: TextIO, lines: Iterable[str]) -> None:
    stream.writelines(f"{line}\n" for line in lines)
    stream.write("\n")


def _rich(stream: TextIO) -> Callable[[text.Table], None] | None:
    """Draws tables with rich; None if it is not installed. It is optional, so the extra does not bring it."""
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ModuleNotFoundError:
        return None
    console = Console(file=stream, width=None if stream.isatty() else _WIDTH, highlight=False)

    def draw(table: text.Table) -> None:
        drawn = Table(title=Text(table.title, style="bold"), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for position, name in enumerate(table.columns):
            drawn.add_column(Text(name), justify="left" if position < table.left else "right", overflow="fold")
        for row in table.rows:
            drawn.add_row(*map(Text, row))  # no markup: an address in brackets is no style
        console.print(drawn)

    return draw


def _plain(stream: TextIO) -> Callable[[text.Table], None]:
    def draw(table: text.Table) -> None:
        rows = [table.columns, *table.rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        _write(stream, [table.title, *(_line(row, widths, table.left) for row in rows)])

    return draw


def _line(row: Iterable[str], widths: list[int], left: int) -> str:
    cells = [
        cell.ljust(width) if position < left else cell.rjust(width)
        for position, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
