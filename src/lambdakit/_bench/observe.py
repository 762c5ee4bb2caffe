"""The watched part of a run, in environments that are not timed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import LambdakitError
from .measure import deploy, trial
from .options import ENTIRE_CORE_MB
from .trace import Seen, merged

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..lab import Lab
    from .caller import Caller
    from .options import Options, Side

WARM = 20  # warm invocations that are watched, at most
IMPORTS = 3  # environments whose imports are timed
STEPS = IMPORTS + 1  # of a side
_PACKAGE = "lambdakit_bench_tracer"

# The function sees its own path and variables, and the sitecustomize that would have run without us does run.
_SITE = """
import os, sys
here = os.path.dirname(os.path.abspath(__file__))
import {package}
{package}.{begin}
sys.path[:] = [entry for entry in sys.path if entry != here]
kept = [entry for entry in os.environ["PYTHONPATH"].split(os.pathsep) if entry != here]
if kept:
    os.environ["PYTHONPATH"] = os.pathsep.join(kept)
else:
    del os.environ["PYTHONPATH"]
this = sys.modules.pop("sitecustomize")
try:
    import sitecustomize
except ImportError as error:
    if error.name != "sitecustomize":
        raise
finally:
    sys.modules.setdefault("sitecustomize", this)  # the import that runs this file looks for it
"""


def observe(
    lab: Lab, caller: Caller, options: Options, side: Side, *, tick: Callable[[str], object], timed: int = IMPORTS
) -> Seen:
    """Watch a function: its calls in one environment, its imports in some others.

    The memory size is one at which it has an entire core: what happens does not depend on it.

    Args:
        lab: where.
        caller: of that lab.
        options: of the run.
        side: the function.
        tick: called after each environment.
        timed: environments whose imports are timed.

    Raises:
        FunctionFailedError: an invocation failed.
        LambdakitError: the interpreter did not load the tracer.
    """
    warm = min(options.warm, WARM)
    with tempfile.TemporaryDirectory(prefix="lambdakit-bench-") as folder:
        calls = _Watched(lab, caller, options, side, Path(folder) / "calls", "watch_calls()")
        events = calls.run(warm)
        tick(f"{side.label}, imports")
        imports = _Watched(lab, caller, options, side, Path(folder) / "imports", f"watch_imports({side.handler!r})")
        runs = []
        for _ in range(timed):
            runs.append([event for event in imports.run(0) if event["kind"] == "import"])
            tick(f"{side.label}, imports")
    return Seen(warm=warm, events=events, imports=merged(runs))


class _Watched:
    """A function deployed with the tracer in its path.

    Args:
        folder: for the tracer and what it sees; made here.
        begin: the call that begins to watch.
    """

    def __init__(self, lab: Lab, caller: Caller, options: Options, side: Side, folder: Path, begin: str) -> None:
        shutil.copytree(
            Path(__file__).with_name("tracer"), folder / _PACKAGE, ignore=shutil.ignore_patterns("__pycache__")
        )
        (folder / "sitecustomize.py").write_text(_SITE.format(package=_PACKAGE, begin=begin), encoding="utf-8")
        path = os.pathsep.join(filter(None, (str(folder), options.environment.get("PYTHONPATH"))))
        memory_mb = max(ENTIRE_CORE_MB, *options.memory_mb)
        self._lab, self._caller, self._event = lab, caller, options.event
        self._file = folder / "events.jsonl"
        self._target = deploy(
            lab, f"watched-{folder.name}", side, options, memory_mb=memory_mb, beside={"PYTHONPATH": path}
        )

    def run(self, warm: int) -> list[dict[str, Any]]:
        """One environment; what was seen in it."""
        self._file.unlink(missing_ok=True)
        trial(self._lab, self._caller, self._target, self._event, warm)
        if not self._file.exists():
            raise LambdakitError(
                "The function's interpreter did not load the tracer; does --env or --python prevent it?"
            )
        return [json.loads(line) for line in self._file.read_text(encoding="utf-8").splitlines()]
