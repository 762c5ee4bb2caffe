"""The lines that Lambda writes to a function's log."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._failure import Failure

TAIL_BYTES = 4096  # of the log, in the answer to LogType=Tail


def start_line(request_id: str, version: str) -> bytes:
    """Begins an invocation."""
    return f"START RequestId: {request_id} Version: {version}\n".encode()


def timeout_line(timestamp: str, request_id: str, timeout_s: float) -> bytes:
    """Says that an invocation was ended at its time-out."""
    return f"{timestamp} {request_id} Task timed out after {timeout_s:.2f} seconds\n\n".encode()


def end_line(request_id: str) -> bytes:
    """Ends an invocation."""
    return f"END RequestId: {request_id}\n".encode()


def report_line(
    request_id: str,
    *,
    duration_ms: float,
    billed_init_ms: float,
    memory_mb: int,
    max_memory_mb: int | None,
    init_ms: float | None,
    restore_ms: float | None,
    status: str | None,
    error_type: str | None,
) -> bytes:
    """Sums up an invocation. What is None was not measured or did not happen, so it is left out.

    Args:
        request_id: the invocation's id.
        duration_ms: from the moment the runtime got the event until it asked for the next one.
        billed_init_ms: the part of INIT that is billed with this invocation; 0 where it is not.
        memory_mb: the memory size of the function.
        max_memory_mb: the most memory that the runtime process had at once.
        init_ms: from the start of the process until it first asked for an event.
        restore_ms: from the end of the snapshot until the runtime first asked for an event; billed, in whole
            milliseconds of its own.
        status: "timeout" or "error", or None for success.
        error_type: the type of the error, where there is one.
    """
    billed_restore_ms = math.ceil(restore_ms or 0.0)
    parts = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {duration_ms:.2f} ms",
        f"Billed Duration: {math.ceil(duration_ms + billed_init_ms) + billed_restore_ms} ms",
        f"Memory Size: {memory_mb} MB",
    ]
    if max_memory_mb is not None:
        parts.append(f"Max Memory Used: {max_memory_mb} MB")
    if init_ms is not None:
        parts.append(f"Init Duration: {init_ms:.2f} ms")
    if restore_ms is not None:
        parts += [f"Restore Duration: {restore_ms:.2f} ms", f"Billed Restore Duration: {billed_restore_ms} ms"]
    return _joined(parts, status, error_type)


def init_report_line(*, init_ms: float, phase: str, failure: Failure | None) -> bytes:
    """Sums up an INIT that failed, or that no invocation reports.

    Args:
        init_ms: how long it ran.
        phase: "init", or "invoke" if INIT was done again inside an invocation.
        failure: what went wrong, or None for success.
    """
    return _phase([f"INIT_REPORT Init Duration: {init_ms:.2f} ms", f"Phase: {phase}"], failure)


def restore_report_line(*, restore_ms: float | None, failure: Failure | None) -> bytes:
    """Sums up a restore; None for a snapshot that was lost before it could be restored."""
    return _phase([f"RESTORE_REPORT Restore Duration: {restore_ms or 0.0:.2f} ms"], failure)


def _phase(parts: list[str], failure: Failure | None) -> bytes:
    return _joined(parts, failure.status if failure else None, failure.error_type if failure else None)


def _joined(parts: list[str], status: str | None, error_type: str | None) -> bytes:
    if status is not None:
        parts.append(f"Status: {status}")
    if error_type is not None:
        parts.append(f"Error Type: {error_type}")
    return ("\t".join(parts) + "\t\n").encode()


def log_result(log: bytes) -> str:
    """The end of a log as the header ``X-Amz-Log-Result`` carries it."""
    return base64.b64encode(log[-TAIL_BYTES:]).decode("ascii")
