"""What an environment is given, and what comes of it: an invocation, its outcome, the failure of a phase."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass, replace
from typing import NamedTuple

MAX_RESPONSE_BYTES = 6_291_556  # Lambda's own figure: 100 bytes more than six times 1024 * 1024
TOO_LARGE = "Function.ResponseSizeTooLarge"
EXIT_ERROR = "Runtime.ExitError"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """An invocation as it is passed to the runtime."""

    request_id: str
    arn: str
    payload: bytes
    trace_id: str
    client_context: str | None = None
    tenant_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an invocation ended.

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

    @classmethod
    def posted_error(cls, body: bytes, error_type: str) -> Outcome:
        """The error that the runtime itself posted, with its body."""
        return cls(payload=body, function_error=True, status="error", error_type=error_type)

    @classmethod
    def timed_out(cls, request_id: str, timeout_s: float) -> Outcome:
        """The invocation was ended at its time-out."""
        message = f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
        return cls(payload=_error("Sandbox.Timedout", message), function_error=True, status="timeout")

    @classmethod
    def exited(cls, request_id: str, returncode: int) -> Outcome:
        """The runtime's process ended by itself and posted nothing."""
        message = f"RequestId: {request_id} Error: {_exit_reason(returncode)}"
        return cls.posted_error(_error(EXIT_ERROR, message), EXIT_ERROR)

    @classmethod
    def too_large(cls) -> Outcome:
        """The response is larger than Lambda passes on."""
        message = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
        return cls.posted_error(_error(TOO_LARGE, message), TOO_LARGE)

    def reported_as(self, status: str, error_type: str | None = None) -> Outcome:
        """The same answer to the caller, with another status in the REPORT line."""
        return replace(self, status=status, error_type=error_type)


class Failure(NamedTuple):
    """A phase, INIT or restore, that failed.

    Attributes:
        status: "timeout" or "error".
        error_type: for the INIT_REPORT or RESTORE_REPORT line.
        body: what the runtime posted, or None.
        returncode: of the process, if it ended by itself.
    """

    status: str
    error_type: str | None
    body: bytes | None = None
    returncode: int | None = None

    @classmethod
    def timed_out(cls) -> Failure:
        """The phase took longer than it may."""
        return cls("timeout", None)

    @classmethod
    def posted_error(cls, body: bytes, error_type: str) -> Failure:
        """The error that the runtime itself posted."""
        return cls("error", error_type, body=body)

    @classmethod
    def exited(cls, returncode: int) -> Failure:
        """The process ended during the phase."""
        return cls("error", EXIT_ERROR, returncode=returncode)

    def outcome(self, request_id: str, limit_s: float) -> Outcome:
        """The outcome of the invocation that needed the phase, which had `limit_s` seconds."""
        if self.status == "timeout":
            return Outcome.timed_out(request_id, limit_s)
        if self.body is not None:
            return Outcome.posted_error(self.body, self.error_type or "")
        return Outcome.exited(request_id, self.returncode or 0)


def since_ms(start: float) -> float:
    """Milliseconds since a moment of `time.perf_counter`."""
    return (time.perf_counter() - start) * 1000


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
