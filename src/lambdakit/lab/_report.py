"""The lines that Lambda writes to a function's log."""

from __future__ import annotations

import base64
import math

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
        status: "timeout" or "error", or None for success.
        error_type: the type of the error, where there is one.
    """
    parts = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {duration_ms:.2f} ms",
        f"Billed Duration: {math.ceil(duration_ms + billed_init_ms)} ms",
        f"Memory Size: {memory_mb} MB",
    ]
    if max_memory_mb is not None:
        parts.append(f"Max Memory Used: {max_memory_mb} MB")
    if init_ms is not None:
        parts.append(f"Init Duration: {init_ms:.2f} ms")
    return _joined(parts, status, error_type)


def init_report_line(*, init_ms: float, phase: str, status: str, error_type: str | None) -> bytes:
    """Sums up an INIT that failed.

    Args:
        init_ms: how long it ran.
        phase: "init", or "invoke" if INIT was done again inside an invocation.
        status: "timeout" or "error".
        error_type: the type of the error, where there is one.
    """
    return _joined([f"INIT_REPORT Init Duration: {init_ms:.2f} ms", f"Phase: {phase}"], status, error_type)


def _joined(parts: list[str], status: str | None, error_type: str | None) -> bytes:
    if status is not None:
        parts.append(f"Status: {status}")
    if error_type is not None:
        parts.append(f"Error Type: {error_type}")
    return ("\t".join(parts) + "\t\n").encode()


def log_result(log: bytes) -> str:
    """The end of a log as the header ``X-Amz-Log-Result`` carries it."""
    return base64.b64encode(log[-TAIL_BYTES:]).decode("ascii")
