"""One invocation: what the caller asked for beside what came of it."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, replace

MAX_RESPONSE_BYTES = 6_291_556  # Lambda's own figure: six times 1024 * 1024, with 100 bytes to spare
TOO_LARGE = "Function.ResponseSizeTooLarge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What the runtime is given."""

    request_id: str
    arn: str
    payload: bytes
    trace_id: str
    client_context: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an invocation.

    Attributes:
        payload: what the caller gets.
        function_error: True if the caller is told of a FunctionError.
        status: "timeout" or "error" for the REPORT line, or None for success.
        error_type: for the REPORT line.
    """

    payload: bytes
    function_error: bool = False
    status: str | None = None
    error_type: str | None = None


def posted_error(body: bytes, error_type: str) -> Outcome:
    """The error that the runtime itself posted, body and all."""
    return Outcome(payload=body, function_error=True, status="error", error_type=error_type)


def timed_out(request_id: str, timeout_s: float) -> Outcome:
    """The invocation was ended at its time-out."""
    message = f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
    return Outcome(payload=_error("Sandbox.Timedout", message), function_error=True, status="timeout")


def exited(request_id: str, returncode: int) -> Outcome:
    """The runtime's process ended by itself and posted nothing."""
    message = f"RequestId: {request_id} Error: {_exit_reason(returncode)}"
    return posted_error(_error("Runtime.ExitError", message), "Runtime.ExitError")


def too_large() -> Outcome:
    """The response is larger than Lambda hands on."""
    message = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
    return posted_error(_error(TOO_LARGE, message), TOO_LARGE)


def with_status(outcome: Outcome, *, status: str, error_type: str | None = None) -> Outcome:
    """The same answer to the caller, with another end in the log."""
    return replace(outcome, status=status, error_type=error_type)


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}, separators=(",", ":")).encode()


def _exit_reason(returncode: int) -> str:
    if returncode == 0:
        return "Runtime exited without providing a reason"
    if returncode > 0:
        return f"Runtime exited with error: exit status {returncode}"
    # Lambda's words, such as "killed"; signal.strsignal has "Killed", or "Killed: 9" on macOS.
    name = (signal.strsignal(-returncode) or f"signal {-returncode}").partition(":")[0].lower()
    return f"Runtime exited with error: signal: {name}"
