"""The command: it measures effects, writes the document and the page, and shows the summary."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .. import aws
from ..effects import EFFECTS
from . import machine, memory, options, results, table
from .processes import ProcessFailedError
from .run import FULL, QUICK, NotMeasuredError, Run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from .effect import Effect
    from .run import Size


def main(
    arguments: Sequence[str] | None = None, *, effects: Mapping[str, Effect] = EFFECTS, size: Size | None = None
) -> int:
    """Run the suite.

    Args:
        arguments: of the command line; None: this process's own.
        effects: those to choose from, by name.
        size: how much is measured; None: what the arguments say.

    Returns:
        0, or 1 if it could not be verified that the work was done, or 2 if there is no such target, or it could not be
        left as it was. A claim that does not hold is shown, and is no failure: a figure is a finding.

    Raises:
        SystemExit: the arguments are wrong (with code 2), or ask for help.
    """
    command = options.parse(arguments, effects)
    try:
        with _on_target(command, effects) as effects_there:
            return _run(command, effects_there, size)
    except aws.TargetError as error:
        print(f"python -m benchmarks: {error}", file=sys.stderr)
        return 2


@contextmanager
def _on_target(command: argparse.Namespace, effects: Mapping[str, Effect]) -> Iterator[Mapping[str, Effect]]:
    """The effects as they are measured on the target."""
    if command.stack is None:
        yield effects
        return
    with aws.Stack(command.stack) as stack:
        yield aws.on(stack, effects)


def _run(command: argparse.Namespace, effects: Mapping[str, Effect], size: Size | None) -> int:
    """Measure, write, show; the exit code."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    began_s = time.monotonic()
    described = machine.describe()
    outcomes, calibration, cpu_method = _measure(command, effects, size or (FULL if command.full else QUICK))
    content = results.document(
        outcomes,
        mode="full" if command.full else "quick",
        target=command.target,
        machine=described | {"lab_cpu_method": cpu_method},
        started=started,
        took_s=time.monotonic() - began_s,
        calibration=calibration,
        broken=command.broken,
    )
    results.write(command.json, content)
    table.show(content)
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    for failure in failures:
        print(failure, file=sys.stderr, flush=True)
    _report(command, content)
    return 1 if failures else 0


def _measure(
    command: argparse.Namespace, effects: Mapping[str, Effect], size: Size
) -> tuple[list[results.Outcome], list[dict[str, Any]], str | None]:
    """Each effect; then the CPU shares that the lab gave, and its method."""
    chosen = [effects[name] for name in command.effects]
    with table.progress() as bar:
        task = bar.add_task("benchmarks", total=None)

        def tick() -> None:
            bar.advance(task)
            bar.refresh()

        def more(steps: int) -> None:
            bar.update(task, total=(bar.tasks[0].total or 0.0) + steps)

        with Run(size, tick=tick, more=more, peers=command.peers, memory=command.memory, broken=command.broken) as run:
            bar.update(task, total=sum(effect.steps(run) for effect in chosen))
            outcomes = []
            for number, effect in enumerate(chosen, 1):
                bar.update(task, description=effect.name, refresh=True)
                outcomes.append(_outcome(effect, run))
                if bar.disable:  # no terminal, as in CI: a long run says all the same how far it is
                    line = f"{effect.name}: {outcomes[-1].took_s:.0f} s, {number} of {len(chosen)}"
                    print(line, file=sys.stderr, flush=True)
            return outcomes, memory.calibration(run), run.cpu_method


def _outcome(effect: Effect, run: Run) -> results.Outcome:
    """Measure, then verify; an effect that cannot be measured does not stop the others."""
    started = time.monotonic()
    try:
        measured = effect.measure(run)
    except ProcessFailedError as error:
        return results.Outcome(effect=effect, measured=None, error=str(error), took_s=time.monotonic() - started)
    except NotMeasuredError as error:
        return results.Outcome(effect=effect, measured=None, not_measured=str(error))
    took_s = time.monotonic() - started
    return results.Outcome(effect=effect, measured=measured, checks=effect.verify(measured), took_s=took_s)


def _report(command: argparse.Namespace, content: dict[str, Any]) -> None:
    """What has changed since another run; then the summary, the page's path last."""
    if command.html is not None or command.old is not None:
        from .. import report  # it brings matplotlib: nothing that is measured may share its memory

        if command.old is not None:
            print(report.compare_text(command.old, content))
        if command.html is not None:
            report.write_html(content, command.html)
    for line in table.summary(content, left_out=command.left_out):
        print(line)
    print(f"All figures: {command.json}")
    if command.html is not None:
        print(f"The page: {command.html}")
