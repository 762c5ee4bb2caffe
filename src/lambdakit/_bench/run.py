"""One run: the functions are warmed up, measured in turn, and traced; its document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..lab import Lab
from .caller import Caller
from .document import document
from .measure import Target, deploy, measure, trial
from .observe import STEPS, observe, temporary_folder
from .progress import Progress

if TYPE_CHECKING:
    from typing import TextIO

    from .options import Options

_MARGIN_S = 60.0  # beyond the lab's own limits, for a busy machine


def run(options: Options, *, progress: TextIO | None = None) -> dict[str, Any]:
    """Measure functions. However the run ends, its processes end with it.

    Args:
        options: what and how much.
        progress: where its progress is written; None: standard error.

    Raises:
        ConfigurationError: there is no such function.
        FunctionFailedError: a function failed, so there is nothing to measure.
        MissingDependencyError: the extra ``lambdakit[lab]`` is not installed.
    """
    sizes, sides = options.memory_mb, options.sides
    shown = Progress(len(sides) * (1 + len(sizes) * options.cold + STEPS), stream=progress)
    with (
        temporary_folder() as folder,
        Lab() as lab,
        Caller(lab.url, timeout_s=options.timeout_s + _MARGIN_S) as caller,
    ):
        targets = [
            deploy(lab, f"function-{number}-{size}", side, options, memory_mb=size)
            for size in sizes
            for number, side in enumerate(sides, 1)
        ]
        try:
            answers = []
            for target in _largest(targets):  # not measured: it writes byte code and fills the file cache
                answers.append(trial(lab, caller, target, options.event, 1).first.payload)
                shown.step(target.side.label)
            measured = measure(lab, caller, options, targets, tick=shown.step)
            traces = {
                side.label: observe(lab, caller, options, side, folder=folder / str(number), tick=shown.step)
                for number, side in enumerate(sides, 1)
            }
        finally:
            shown.close()
        equal = answers[0] == answers[1] if len(answers) > 1 else None
        return document(
            options,
            measured.trials,
            traces,
            cpu_method=lab.cpu_method,
            answers_equal=equal,
            failures=measured.failures,
        )


def _largest(targets: list[Target]) -> list[Target]:
    """The targets with the most memory: the fastest to show a mistake."""
    most = max(target.memory_mb for target in targets)
    return [target for target in targets if target.memory_mb == most]
