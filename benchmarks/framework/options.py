"""The command line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from . import memory, results
from .processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .effect import Effect

LATEST = ROOT / "benchmarks" / "results" / "latest.json"
_MEMORY_MB = range(128, 10_241)  # what Lambda takes


def parse(arguments: Sequence[str] | None, effects: Mapping[str, Effect]) -> argparse.Namespace:
    """Parse the command line: ``effects`` in the order of the table, and the options.

    Raises:
        SystemExit: the arguments are wrong (with code 2), or ask for help.
    """
    parser = _parser(effects)
    # Effects may stand on both sides of options: `secret_cold --full preload`.
    options = parser.parse_intermixed_args(arguments)
    unknown = [name for name in options.effects if name not in effects]
    if unknown:
        parser.error(f"unknown effect {', '.join(map(repr, unknown))}; there are: {', '.join(effects)}")
    if (options.target == "aws") is (options.stack is None):
        parser.error("--target aws and --stack NAME go together; the stack is that of benchmarks/aws/README.md")
    options.left_out = [name for name, one in effects.items() if one.long and not options.full and not options.effects]
    wanted = options.effects or [name for name in effects if name not in options.left_out]
    options.effects = [name for name in effects if name in wanted]
    options.peers = options.peers or options.full
    options.memory = options.memory or (memory.SIZES if options.full else ())
    options.html = None if options.no_html else options.html or options.json.with_suffix(".html")
    options.old = None
    if options.compare is not None:
        try:
            options.old = results.read(options.compare)
        except (OSError, ValueError) as error:
            parser.error(f"--compare: {error}")
    return options


def _parser(effects: Mapping[str, Effect]) -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:18} {effect.question}" for name, effect in effects.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what lambdakit is worth, cold and warm, on servers that start and stop by themselves.",
        epilog=f"effects:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("effects", nargs="*", metavar="EFFECT", help="default: all that are quick; with --full, all")
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quick", action="store_true", help="few processes, about three minutes (the default)")
    how_much.add_argument(
        "--full", action="store_true", help="many processes, every peer, three memory sizes: about 40 minutes"
    )
    add("--peers", action="store_true", help="every peer; else those that a claim is about (--full has them)")
    add(
        "--memory",
        type=_sizes,
        metavar="MB[,MB...]",
        help=f"measure the example at these sizes, too; --full: {','.join(map(str, memory.SIZES))}",
    )
    add("--target", choices=("local", "aws"), default="local", help="where functions run: the lab, or a stack on AWS")
    add("--stack", metavar="NAME", help="with --target aws: the stack's name; see benchmarks/aws/README.md")
    add("--json", type=Path, default=LATEST, metavar="FILE", help="all figures (benchmarks/results/latest.json)")
    add("--html", type=Path, metavar="FILE", help="the page; default: beside the JSON")
    add("--no-html", action="store_true", help="no page")
    add("--compare", type=Path, metavar="OLD.json", help="show what has changed since that run")
    add("--broken", action="store_true", help="switch each feature off, to see that its verification fails")
    return parser


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(dict.fromkeys(int(size) for size in text.split(",")))
    except ValueError:
        sizes = ()
    if not sizes or any(size not in _MEMORY_MB for size in sizes):
        raise argparse.ArgumentTypeError(
            f"{text!r} are no memory sizes; give MB from {_MEMORY_MB[0]} to {_MEMORY_MB[-1]}, as in 128,512"
        )
    return sizes
