"""The command: which effects, how much, where the figures go, what the exit code says."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import machine, results, table
from .effect import Measured
from .effects import EFFECTS, LONG
from .processes import ROOT, ProcessFailedError
from .run import FULL, QUICK, NotMeasuredError, Run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .effect import Effect
    from .run import Size

LATEST = ROOT / "benchmarks" / "results" / "latest.json"


def main(
    arguments: Sequence[str] | None = None, *, effects: Mapping[str, Effect] = EFFECTS, size: Size | None = None
) -> int:
    """Run the suite.

    Args:
        arguments: of the command line; None: this process's own.
        effects: those that can be asked for, by name.
        size: how much is measured; None: what the arguments say.

    Returns:
        0, or 1 if it could not be verified that the work was done. A claim that does not hold is shown, and is no
        failure: a figure is a finding.

    Raises:
        SystemExit: the arguments are wrong (with code 2), or ask for help.
    """
    parser = _parser(effects)
    options = parser.parse_args(arguments)
    unknown = [name for name in options.effects if name not in effects]
    if unknown:
        parser.error(f"unknown effect {', '.join(map(repr, unknown))}; there are: {', '.join(effects)}")
    left_out = [name for name in effects if name in LONG and options.quick and not options.effects]
    wanted = options.effects or [name for name in effects if name not in left_out]
    chosen = [effects[name] for name in effects if name in wanted]
    described = machine.describe()
    with table.progress() as bar:
        task = bar.add_task("benchmarks")

        def tick() -> None:
            bar.advance(task)
            bar.refresh()

        with Run(size or (QUICK if options.quick else FULL), tick=tick) as run:
            bar.update(task, total=sum(effect.steps(run) for effect in chosen))
            outcomes = []
            for effect in chosen:
                bar.update(task, description=effect.name, refresh=True)
                outcomes.append(_outcome(effect, run))
            described["lab_cpu_method"] = run.cpu_method
    content = results.document(outcomes, mode="quick" if options.quick else "full", machine=described)
    results.write(options.json, content)
    table.show(content)
    for outcome in outcomes:
        if outcome.measured and "not measured" in outcome.measured.evidence:
            print(f"{outcome.effect.name}: not measured: {outcome.measured.evidence['not measured']}")
    if left_out:
        print(f"Left out of a quick run, name them to have them: {', '.join(left_out)}")
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def _parser(effects: Mapping[str, Effect]) -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:18} {effect.question}" for name, effect in effects.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what lambdakit is worth, cold and warm, on servers that start and stop by themselves.",
        epilog=f"effects:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("effects", nargs="*", metavar="EFFECT", help="default: all; with --quick, all that are quick")
    parser.add_argument("--quick", action="store_true", help="fewer processes; ends within 90 s on two cores")
    parser.add_argument(
        "--json",
        type=Path,
        default=LATEST,
        metavar="FILE",
        help="where all figures go (benchmarks/results/latest.json)",
    )
    return parser


def _outcome(effect: Effect, run: Run) -> results.Outcome:
    """Measure, then verify; an effect that cannot be measured does not keep the others from it."""
    started = time.perf_counter()
    try:
        measured = effect.measure(run)
    except ProcessFailedError as error:
        return results.Outcome(effect=effect, measured=None, error=str(error), took_s=time.perf_counter() - started)
    except NotMeasuredError as error:
        nothing = Measured(series={}, evidence={"not measured": str(error)})
        return results.Outcome(effect=replace(effect, rows=()), measured=nothing)
    checks = effect.verify(measured)
    # A smaller run leaves out some of what a larger one measures.
    rows = tuple(row for row in effect.rows if {row.control, row.treatment} <= measured.series.keys())
    took_s = time.perf_counter() - started
    return results.Outcome(effect=replace(effect, rows=rows), measured=measured, checks=checks, took_s=took_s)
