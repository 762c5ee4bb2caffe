"""The log of a function: the lines that Lambda writes to it, and how a REPORT line is read."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._environments import Failure

TAIL_BYTES = 4096  # of the log, in the response to LogType=Tail
_KEPT_BYTES = 1_048_576  # of a function's log

# The fields of a REPORT line in the order in which they are written: the attribute of `Report`, the label, the format.
_REPORT = "REPORT RequestId: "
_FIELDS = (
    ("duration_ms", "Duration", "{:.2f} ms"),
    ("billed_ms", "Billed Duration", "{:.0f} ms"),
    ("memory_size_mb", "Memory Size", "{:.0f} MB"),
    ("max_memory_mb", "Max Memory Used", "{:.0f} MB"),
    ("init_ms", "Init Duration", "{:.2f} ms"),
    ("restore_ms", "Restore Duration", "{:.2f} ms"),
    ("billed_restore_ms", "Billed Restore Duration", "{:.0f} ms"),
    ("status", "Status", "{}"),
    ("error_type", "Error Type", "{}"),
)
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?) (?:ms|MB)")
# `aws logs tail` and the SAM CLI put the stream and an ISO time before each line, separated by spaces.
_PREFIX = re.compile(r"(\S+ )?\d{4}-\d{2}-\d{2}T[\d:.]+(Z|[+-][\d:]+)? (\S+ )?")


class Log:
    """The end of what was logged."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = bytearray()

    def add(self, part: bytes | bytearray) -> None:
        """Append to the log."""
        self._kept += part
        del self._kept[:-_KEPT_BYTES]

    def __bytes__(self) -> bytes:
        return bytes(self._kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A REPORT line: the figures of one invocation. None is what was not measured or did not happen.

    Attributes:
        request_id: the invocation's.
        duration_ms: from the moment the runtime got the event until it asked for the next one.
        billed_ms: what is billed, with INIT and with the billed part of a restore.
        memory_size_mb: the memory size of the function.
        max_memory_mb: the most memory that the environment had at once.
        init_ms: from the start of the process until it first asked for an event.
        restore_ms: from the end of the snapshot until the runtime first asked for an event.
        billed_restore_ms: the billed part of the restore.
        status: "timeout" or "error"; None for success.
        error_type: the type of the error.
    """

    request_id: str
    duration_ms: float
    billed_ms: float | None = None
    memory_size_mb: float | None = None
    max_memory_mb: float | None = None
    init_ms: float | None = None
    restore_ms: float | None = None
    billed_restore_ms: float | None = None
    status: str | None = None
    error_type: str | None = None

    @classmethod
    def billed(
        cls,
        request_id: str,
        *,
        duration_ms: float,
        memory_size_mb: float,
        max_memory_mb: float | None = None,
        init_ms: float | None = None,
        restore_ms: float | None = None,
        status: str | None = None,
        error_type: str | None = None,
    ) -> Report:
        """A report with what is billed: INIT with the duration, the restore apart, both rounded up to milliseconds.

        From what the line shows, which has hundredths: 2.00 ms are not billed as 3.
        """
        duration_ms = round(duration_ms, 2)
        init_ms = None if init_ms is None else round(init_ms, 2)
        restore_ms = None if restore_ms is None else round(restore_ms, 2)
        billed_restore_ms = None if restore_ms is None else math.ceil(restore_ms)
        return cls(
            request_id=request_id,
            duration_ms=duration_ms,
            billed_ms=math.ceil(duration_ms + (init_ms or 0.0)) + (billed_restore_ms or 0),
            memory_size_mb=memory_size_mb,
            max_memory_mb=max_memory_mb,
            init_ms=init_ms,
            restore_ms=restore_ms,
            billed_restore_ms=billed_restore_ms,
            status=status,
            error_type=error_type,
        )


def report_line(report: Report) -> bytes:
    """The figures of an invocation, without those that are None."""
    values = ((label, form, getattr(report, name)) for name, label, form in _FIELDS)
    return _line(
        f"{_REPORT}{report.request_id}",
        *(f"{label}: {form.format(value)}" for label, form, value in values if value is not None),
    )


def parse_report(log: str) -> Report | None:
    """Read the last REPORT line of a log, or of a part of one; None if there is none.

    It reads what Lambda and the lab write, with or without the stream and the time that `aws logs tail` puts before
    each line. The order of the fields does not matter. A line of the function's own with the word REPORT is skipped.
    """
    for line in reversed(log.splitlines()):
        prefix, found, rest = line.partition(_REPORT)
        if found and (not prefix or _PREFIX.fullmatch(prefix)):
            request_id, *parts = rest.split("\t")
            texts = dict(part.split(": ", 1) for part in parts if ": " in part)
            values = {name: _value(texts[label], form) for name, label, form in _FIELDS if label in texts}
            if values.get("duration_ms") is not None:
                return Report(request_id=request_id, **values)
    return None


def _value(text: str, form: str) -> Any:
    """A field's text, or its number where it has a unit; None if it has no number."""
    if form == "{}":
        return text
    match = _QUANTITY.fullmatch(text)
    return None if match is None else float(match[1])


def init_report_line(*, init_ms: float, phase: str, failure: Failure | None) -> bytes:
    """The figures of an INIT that failed, or that no REPORT line has.

    Args:
        init_ms: how long it ran.
        phase: "init", or "invoke" if INIT was repeated inside an invocation.
        failure: what went wrong, or None for success.
    """
    return _line(f"INIT_REPORT Init Duration: {init_ms:.2f} ms", f"Phase: {phase}", *_status(failure))


def restore_report_line(*, restore_ms: float | None, failure: Failure | None) -> bytes:
    """The figures of a restore; `restore_ms` is None for a snapshot that was lost before it could be restored."""
    return _line(f"RESTORE_REPORT Restore Duration: {restore_ms or 0.0:.2f} ms", *_status(failure))


def _status(failure: Failure | None) -> list[str]:
    if failure is None:
        return []
    return [f"Status: {failure.status}", *([f"Error Type: {failure.error_type}"] if failure.error_type else [])]


def _line(*parts: str) -> bytes:
    return ("\t".join(parts) + "\t\n").encode()


def start_line(request_id: str, version: str) -> bytes:
    """The beginning of an invocation."""
    return f"START RequestId: {request_id} Version: {version}\n".encode()


def timeout_line(timestamp: str, request_id: str, timeout_s: float) -> bytes:
    """An invocation was ended at its time-out."""
    return f"{timestamp} {request_id} Task timed out after {timeout_s:.2f} seconds\n\n".encode()


def end_line(request_id: str) -> bytes:
    """The end of an invocation."""
    return f"END RequestId: {request_id}\n".encode()


def log_tail(log: bytes) -> str:
    """The end of a log as the header ``X-Amz-Log-Result`` carries it."""
    return base64.b64encode(log[-TAIL_BYTES:]).decode("ascii")
