"""The error that tells of a function that failed."""

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
_REFUSALS = (b'"statusCode"', b'"batchItemFailures"')  # few answers are parsed
_BAD_STATUS = re.compile(r"[45]\d\d")
_LOG_LINES = 15  # in the message


class FunctionFailedError(LambdakitError):
    """The function raised, exited or timed out, so it cannot be measured; the message has the end of its log."""


def failure(side: Side, reply: Reply, *, memory_mb: int, number: int) -> LambdakitError:
    """The error of an invocation that failed.

    Args:
        side: the function.
        reply: the response.
        memory_mb: its memory size.
        number: of the invocation in its environment, from 1.
    """
    kind, message = _error_of(reply)
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
    if kind == "Runtime.ImportModuleError":
        hint = (
            f" (packages are looked for in {side.task_root} and where --python has installed them; "
            "--env PYTHONPATH=DIR adds a layer's)"
        )
    where = "in INIT" if reply.init_failed else f"in invocation {number} of an environment"
    tail = "\n".join(f"  {line}" for line in reply.log.strip().splitlines()[-_LOG_LINES:])
    return FunctionFailedError(
        f"{side.label} failed {where}, at {memory_mb} MB: {kind}: {message}{hint}\nThe end of its log:\n{tail}"
    )


def refusal(payload: bytes) -> str | None:
    """What an answer tells of a failure that is no error of the function: an HTTP status, items of a batch; or None."""
    if not any(mark in payload for mark in _REFUSALS):
        return None
    try:
        answer: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    status, failed = str(answer.get("statusCode")), answer.get("batchItemFailures")
    if _BAD_STATUS.fullmatch(status):
        return f"statusCode {status}"
    return f"{len(failed)} batchItemFailures" if isinstance(failed, list) and failed else None


def _error_of(reply: Reply) -> tuple[str, str]:
    """Type and message of an error."""
    try:
        body: Any = json.loads(reply.payload)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return "Error", reply.payload.decode(errors="replace")
    return str(body.get("errorType", "Error")), str(body.get("errorMessage", ""))
