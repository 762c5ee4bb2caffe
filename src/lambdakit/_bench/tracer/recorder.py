"""Events, recorded with the number of the invocation in which they happened: 0 is INIT."""

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

# No pathlib in the tracer: the function may not import it, and would pay for it.
FILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "events.jsonl")  # noqa: PTH100, PTH118, PTH120 - as above
ROOT = os.path.join(os.environ.get("LAMBDA_TASK_ROOT", os.curdir), "")  # noqa: PTH118 - as above
PACKAGE = os.environ.get("_HANDLER", "").rpartition(".")[0].replace("/", ".").partition(".")[0]

ADAPTERS = ("lambdakit._http.requests_session", "lambdakit._http.httpx_clients")

local = threading.local()
_lines: list[str] = []
_is_user_file: dict[str, bool] = {}  # by path
_invocation = 0


def record(kind: str, **details: Any) -> None:
    """Record an event; only the runtime's own process writes to the file, so a forked child's events are lost."""
    _lines.append(json.dumps({"kind": kind, "n": _invocation, **details}))


def end_phase() -> None:
    """INIT or an invocation is over: write its events to the file, before its caller has an answer."""
    global _invocation  # noqa: PLW0603 - one process is one environment
    record("end")
    with open(FILE, "a", encoding="utf-8") as file:  # noqa: PTH123 - as above
        while _lines:
            file.write(f"{_lines.pop(0)}\n")
    _invocation += 1


def user_line() -> str | None:
    """The innermost line of the user's own code on the stack, as ``file:line``; None if there is none."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - `inspect` is not imported for the function
    while frame is not None:
        path = frame.f_code.co_filename
        if path not in _is_user_file:
            _is_user_file[path] = _belongs_to_user(path, str(frame.f_globals.get("__name__")))
        if _is_user_file[path]:
            shown = path[len(ROOT) :] if path.startswith(ROOT) else os.path.basename(path)  # noqa: PTH119 - as above
            return f"{shown}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def opened_by() -> str | None:
    """Which of lambdakit's ways to send a request is on the stack: "request", "an adapter", or None."""
    found: str | None = None
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as above
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module in ADAPTERS:
            return "an adapter"
        if module == "lambdakit.http" or module.startswith("lambdakit._http."):
            found = "request"
        frame = frame.f_back
    return found


def _belongs_to_user(path: str, module: str) -> bool:
    """Whether a file is of the handler's own package, or in the task root and not of an installed package."""
    if PACKAGE and module.partition(".")[0] == PACKAGE:
        return True
    if not path.startswith(ROOT) or f"{os.sep}site-packages{os.sep}" in path:
        return False
    package = path[len(ROOT) :].partition(os.sep)[0].removesuffix(".py").lower()
    installed = [name.lower() for name in os.listdir(ROOT) if name.endswith(".dist-info")]  # noqa: PTH208 - as above
    return not any(name.startswith(f"{package}-") for name in installed)


def wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Replace a function by `around(original, *arguments)`.

    Raises:
        AttributeError: there is no such function.
    """
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    # For lambdakit's backend `auto`, which takes the SDK where others watch it. Itself: who wraps this copies the name.
    vars(wrapper)["sees_every_request"] = wrapper
    setattr(owner, name, wrapper)
