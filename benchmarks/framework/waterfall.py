"""The phases of a cold start, measured in fresh processes of their own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from . import stats
from .effect import Check
from .processes import ROOT, run_python

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .run import Run

SCRIPT = ROOT / "benchmarks" / "scripts" / "phases.py"
PHASES = ("interpreter", "runtime client", "imports", "clients", "TLS", "first call")
_MOST = 7  # processes of a side; a figure of phases is for the eye

Side = tuple[str, str, str]
"""A folder, a module in it, and an expression in which ``module`` is that module and ``event`` an event."""


def steps(run: Run, sides: Mapping[str, Side]) -> int:
    """How many processes `measure` starts."""
    return (min(run.size.processes, _MOST) + 1) * len(sides)


def measure(
    run: Run,
    sides: Mapping[str, Side],
    *,
    environ: Callable[[str], dict[str, str]],
    event: Any = None,
) -> dict[str, list[dict[str, Any]]]:
    """Fresh processes of each side in turn.

    Args:
        run: how much.
        sides: by name.
        environ: the variables of a side's process.
        event: what its function is given.

    Returns:
        By side, of each process ``phases`` (in ms, by name) and ``answer``.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for round_ in range(-1, min(run.size.processes, _MOST)):
        for name, side in sides.items():
            variables = environ(name) | {"BENCH_STARTED_NS": str(time.monotonic_ns())}
            done = run_python(["-P", str(SCRIPT), *side], environ=variables, question=event)
            run.tick()
            if round_ >= 0:  # the first one wrote byte code and filled the file cache
                found[name].append(done)
    return found


def figure(trials: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The median of each phase, by side, in the order in which they begin."""
    return {
        name: [{"phase": phase, "ms": stats.median([done["phases"][phase] for done in given])} for phase in PHASES]
        for name, given in trials.items()
    }


def verify(trials: Mapping[str, list[dict[str, Any]]], *, is_right: Callable[[Any], bool]) -> list[Check]:
    """Each process gave the right answer, and its phases add up to what it took."""
    answers = [done["answer"] for given in trials.values() for done in given]
    sums = [(sum(done["phases"].values()), done["took_ms"]) for given in trials.values() for done in given]
    return [
        Check(what="phases: every process gave the answer", passed=all(map(is_right, answers)), found=answers[:1]),
        Check(what="phases: they add up", passed=all(abs(a - b) < 0.01 * b + 0.1 for a, b in sums), found=sums),
    ]
