"""The traced part of a run, in environments that are not timed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import LambdakitError
from ..lab._functions import MB_PER_CORE
from ..lab._host.guard_client import GuardClient
from .measure import deploy, trial
from .trace import Trace, median_imports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..lab import Lab
    from .caller import Caller
    from .options import Options, Side

WARM = 20  # warm invocations that are traced, at most
IMPORTS = 3  # environments whose imports are timed
STEPS = IMPORTS + 1  # environments of a function
_PACKAGE = "lambdakit_bench_tracer"

# The function sees its own path and variables, and a sitecustomize of its own runs as it would without the tracer.
_SITE = """
import os, sys

here = os.path.dirname(os.path.abspath(__file__))
import {package}
{package}.{begin}
sys.path[:] = [entry for entry in sys.path if entry != here]
others = [entry for entry in os.environ["PYTHONPATH"].split(os.pathsep) if entry != here]
if others:
    os.environ["PYTHONPATH"] = os.pathsep.join(others)
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
    lab: Lab, caller: Caller, options: Options, side: Side, *, folder: Path, tick: Callable[[str], object]
) -> Trace:
    """Trace a function: its calls in one environment, its imports in some others.

    Its memory size gives it at least one core: what it does does not depend on that.

    Args:
        lab: where it is deployed.
        caller: of that lab.
        options: of the run.
        side: the function.
        folder: for the tracer and what it records; created here.
        tick: called after each environment, with the name of what is next.

    Raises:
        FunctionFailedError: an invocation failed.
        LambdakitError: the interpreter did not load the tracer.
    """
    warm = min(options.warm, WARM)
    calls = _TracedFunction(lab, caller, options, side, folder / "calls", "trace_calls()")
    events = calls.run(warm)
    tick(f"{side.label}, imports")
    imports = _TracedFunction(lab, caller, options, side, folder / "imports", f"trace_imports({side.handler!r})")
    runs = []
    for _ in range(IMPORTS):
        runs.append([event for event in imports.run(0) if event["kind"] == "import"])
        tick(f"{side.label}, imports")
    return Trace(warm=warm, events=events, imports=median_imports(runs))


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that a guard removes, whatever ends this process and whenever.

    The environments that write there have to end first: byte code would bring it back.
    """
    folder = Path(tempfile.gettempdir()) / f"lambdakit-bench-{uuid.uuid4().hex[:12]}"
    guard = GuardClient()
    try:
        guard.notify(f"+folder {folder}")  # before it exists, so that it is never unknown
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        guard.close()


class _TracedFunction:
    """A function deployed with the tracer in its path.

    Args:
        lab: where it is deployed.
        caller: of that lab.
        options: of the run.
        side: the function.
        folder: of the tracer and its events; created here.
        begin: the call that begins to trace.
    """

    def __init__(self, lab: Lab, caller: Caller, options: Options, side: Side, folder: Path, begin: str) -> None:
        shutil.copytree(
            Path(__file__).with_name("tracer"), folder / _PACKAGE, ignore=shutil.ignore_patterns("__pycache__")
        )
        (folder / "sitecustomize.py").write_text(_SITE.format(package=_PACKAGE, begin=begin), encoding="utf-8")
        path = os.pathsep.join(filter(None, (str(folder), options.environment.get("PYTHONPATH"))))
        memory_mb = max(MB_PER_CORE, *options.memory_mb)
        self._lab, self._caller, self._event = lab, caller, options.event
        self._file = folder / "events.jsonl"
        self._target = deploy(
            lab, f"traced-{folder.name}", side, options, memory_mb=memory_mb, variables={"PYTHONPATH": path}
        )

    def run(self, warm: int) -> list[dict[str, Any]]:
        """Run one environment.

        Returns:
            Its events.
        """
        self._file.unlink(missing_ok=True)
        trial(self._lab, self._caller, self._target, self._event, warm)
        if not self._file.exists():
            raise LambdakitError(
                "The function's interpreter did not load the tracer; does --env or --python prevent it?"
            )
        return [json.loads(line) for line in self._file.read_text(encoding="utf-8").splitlines()]
