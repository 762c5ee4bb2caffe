"""What it means that a function failed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ..exceptions import ConfigurationError, LambdakitError

if TYPE_CHECKING:
    from .caller import Reply
    from .options import Side

_MISSING = re.compile(r"No module named '([^']+)'")
_TIMED_OUT = "Task timed out"
_SHOWN_LINES = 15  # of the log


class FunctionFailedError(LambdakitError):
    """The function raised, ended or took too long, so there is nothing to measure; the message has its log's end."""


def failure(side: Side, reply: Reply, *, memory_mb: int, number: int) -> LambdakitError:
    """The error that an invocation which failed is.

    Args:
        side: the function.
        reply: the answer.
        memory_mb: its memory size.
        number: which invocation of its environment it was, from 1.
    """
    kind, message = _said(reply)
    module, _, name = side.handler.rpartition(".")
    if kind == "Runtime.ImportModuleError" and (missing := _MISSING.search(message)) is not None:
        path = module.replace("/", ".")
        if f"{path}.".startswith(f"{missing[1]}."):
            return ConfigurationError(
                f"{side.handler} is not allowed: there is no module {path} in {side.task_root}; "
                "give module.function, and --task-root if the code is elsewhere"
            )
    if kind == "Runtime.HandlerNotFound":
        return ConfigurationError(f"{side.handler} is not allowed: module {module} has no {name}; give one that it has")
    hint = "; --timeout allows for more" if _TIMED_OUT in message else ""
    where = "in INIT" if reply.init_failed else f"in invocation {number} of an environment"
    tail = "\n".join(f"  {line}" for line in reply.log.strip().splitlines()[-_SHOWN_LINES:])
    return FunctionFailedError(
        f"{side.label} failed {where}, at {memory_mb} MB: {kind}: {message}{hint}\nThe end of its log:\n{tail}"
    )


def _said(reply: Reply) -> tuple[str, str]:
    """Type and message of an error."""
    try:
        body: Any = json.loads(reply.payload)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return "Error", reply.payload.decode(errors="replace")
    return str(body.get("errorType", "Error")), str(body.get("errorMessage", ""))
