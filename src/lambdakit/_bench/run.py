"""One run: the functions tried, measured in turn, watched; the document of what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..lab import Lab
from .caller import Caller
from .document import document
from .measure import Target, deploy, measure, trial
from .observe import STEPS, observe
from .progress import Progress

if TYPE_CHECKING:
    from typing import TextIO

    from .options import Options

_PATIENCE_S = 60.0  # beyond the lab's own limits, for a busy machine


def run(options: Options, *, progress: TextIO | None = None) -> dict[str, Any]:
    """Measure functions; whatever ends the run, no process of it is left.

    Args:
        options: what and how much.
        progress: where it is shown how far it is; None: standard error.

    Raises:
        ConfigurationError: there is no such function.
        FunctionFailedError: a function failed, so there is nothing to measure.
        MissingDependencyError: the extra ``lambdakit[lab]`` is not installed.
    """
    sizes, sides = options.memory_mb, options.sides
    shown = Progress(len(sides) * (1 + len(sizes) * options.cold + STEPS), stream=progress)
    with Lab() as lab, Caller(lab.url, limit_s=options.timeout_s + _PATIENCE_S) as caller:
        targets = [
            deploy(lab, f"function-{number}-{size}", side, options, memory_mb=size, beside={})
            for size in sizes
            for number, side in enumerate(sides, 1)
        ]
        try:
            answers = []
            for target in _largest(targets):  # not counted: byte code is written, the file cache filled
                answers.append(trial(lab, caller, target, options.event, 1).first.payload)
                shown.step(target.side.label)
            trials = measure(lab, caller, options, targets, tick=shown.step)
            seen = {side.label: observe(lab, caller, options, side, tick=shown.step) for side in sides}
        finally:
            shown.close()
        equal = answers[0] == answers[1] if len(answers) > 1 else None
        return document(options, trials, seen, cpu_method=lab.cpu_method, answers_equal=equal)


def _largest(targets: list[Target]) -> list[Target]:
    """The targets with the most memory, which are the fastest: a mistake shows soon."""
    most = max(target.memory_mb for target in targets)
    return [target for target in targets if target.memory_mb == most]
