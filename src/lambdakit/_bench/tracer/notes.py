"""What was seen, written down with the number of the invocation in which it was: 0 is INIT."""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

# No pathlib here, and in the other modules of the tracer: the function may not import it, and would pay for it.
FILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "events.jsonl")  # noqa: PTH100, PTH118, PTH120
ROOT = os.path.join(os.environ.get("LAMBDA_TASK_ROOT", os.curdir), "")  # noqa: PTH118
PACKAGE = os.environ.get("_HANDLER", "").rpartition(".")[0].replace("/", ".").partition(".")[0]

local = threading.local()
_lines: list[str] = []
_users: dict[str, bool] = {}  # which files are the user's own
_invocation = 0


def note(kind: str, **details: Any) -> None:
    """Write something down; what a forked child notes ends with it, for only the runtime's process hands over."""
    _lines.append(json.dumps({"kind": kind, "n": _invocation, **details}))


def end_phase() -> None:
    """INIT or an invocation is over: hand over what was written down. Its caller has no answer yet."""
    global _invocation  # noqa: PLW0603 - one process is one environment
    note("end")
    with open(FILE, "a", encoding="utf-8") as file:  # noqa: PTH123
        while _lines:
            file.write(f"{_lines.pop(0)}\n")
    _invocation += 1


def place() -> str | None:
    """Where in the user's own code this comes from, as ``file:line``; None if that is nowhere on the stack."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - `inspect` is not imported for the function
    while frame is not None:
        name = frame.f_code.co_filename
        if name not in _users:
            _users[name] = _is_users(name, str(frame.f_globals.get("__name__")))
        if _users[name]:
            shown = name[len(ROOT) :] if name.startswith(ROOT) else os.path.basename(name)  # noqa: PTH119
            return f"{shown}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def _is_users(path: str, module: str) -> bool:
    """Whether a file is the user's: of the handler's own package, or in the task root and not an installed package."""
    if PACKAGE and module.partition(".")[0] == PACKAGE:
        return True
    if not path.startswith(ROOT) or f"{os.sep}site-packages{os.sep}" in path:
        return False
    package = path[len(ROOT) :].partition(os.sep)[0].removesuffix(".py").lower()
    installed = [name.lower() for name in os.listdir(ROOT) if name.endswith(".dist-info")]  # noqa: PTH208
    return not any(name.startswith(f"{package}-") for name in installed)


def wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Put `around(original, *arguments)` in the place of a function.

    Raises:
        AttributeError: there is no such function.
    """
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    setattr(owner, name, wrapper)
