from __future__ import annotations

import base64
from typing import Any

import pytest

from lambdakit.lab._failure import TIMEOUT, Failure
from lambdakit.lab._names import Reference, parse_reference
from lambdakit.lab._report import init_report_line, log_result, report_line, restore_report_line

MEASURED = {"memory_mb": 128, "max_memory_mb": 36}
REPORTS: list[tuple[dict[str, Any], list[str]]] = [
    (
        {**MEASURED, "duration_ms": 2.304},
        ["Duration: 2.30 ms", "Billed Duration: 3 ms", "Memory Size: 128 MB", "Max Memory Used: 36 MB"],
    ),
    (
        {**MEASURED, "duration_ms": 2.0, "billed_init_ms": 100.5, "init_ms": 100.5},
        [
            "Duration: 2.00 ms",
            "Billed Duration: 103 ms",
            "Memory Size: 128 MB",
            "Max Memory Used: 36 MB",
            "Init Duration: 100.50 ms",
        ],
    ),
    (
        {**MEASURED, "duration_ms": 2.1, "restore_ms": 10.25},
        [
            "Duration: 2.10 ms",
            "Billed Duration: 14 ms",
            "Memory Size: 128 MB",
            "Max Memory Used: 36 MB",
            "Restore Duration: 10.25 ms",
            "Billed Restore Duration: 11 ms",
        ],
    ),
    (
        {"duration_ms": 3000.0, "memory_mb": 128, "status": "timeout"},
        ["Duration: 3000.00 ms", "Billed Duration: 3000 ms", "Memory Size: 128 MB", "Status: timeout"],
    ),
    (
        {"duration_ms": 1.0, "memory_mb": 128, "status": "error", "error_type": "KeyError"},
        ["Duration: 1.00 ms", "Billed Duration: 1 ms", "Memory Size: 128 MB", "Status: error", "Error Type: KeyError"],
    ),
]


@pytest.mark.parametrize(("measured", "parts"), REPORTS)
def test_a_report_has_what_was_measured_and_nothing_else(measured: dict[str, Any], parts: list[str]) -> None:
    """In Lambda's words and order; the bill is rounded up to whole milliseconds."""
    nothing: dict[str, Any] = {"billed_init_ms": 0.0, "max_memory_mb": None, "init_ms": None}
    nothing |= {"restore_ms": None, "status": None, "error_type": None}
    assert report_line("r", **nothing | measured).decode() == "\t".join(["REPORT RequestId: r", *parts, "\n"])


def test_an_init_report_names_its_phase() -> None:
    """The error's type only where there is one."""
    timeout = init_report_line(init_ms=9999.874, phase="init", failure=TIMEOUT)
    error = init_report_line(init_ms=1.0, phase="invoke", failure=Failure("error", "KeyError"))
    assert (
        init_report_line(init_ms=2.0, phase="init", failure=None)
        == b"INIT_REPORT Init Duration: 2.00 ms\tPhase: init\t\n"
    )
    assert timeout == b"INIT_REPORT Init Duration: 9999.87 ms\tPhase: init\tStatus: timeout\t\n"
    assert error == b"INIT_REPORT Init Duration: 1.00 ms\tPhase: invoke\tStatus: error\tError Type: KeyError\t\n"


def test_a_restore_report_says_how_it_ended() -> None:
    """Nothing beside the time if it ended well."""
    error = restore_report_line(restore_ms=1.5, failure=Failure("error", "Runtime.AfterRestoreError"))
    assert restore_report_line(restore_ms=1.5, failure=None) == b"RESTORE_REPORT Restore Duration: 1.50 ms\t\n"
    assert error.split(b"\t")[1:3] == [b"Status: error", b"Error Type: Runtime.AfterRestoreError"]
    assert restore_report_line(restore_ms=None, failure=TIMEOUT).startswith(
        b"RESTORE_REPORT Restore Duration: 0.00 ms\t"
    )


@pytest.mark.parametrize("size", [0, 4095, 4096, 4097])
def test_the_tail_is_the_last_four_kilobytes(size: int) -> None:
    """Cut at the front."""
    log = bytes(number % 251 for number in range(size))
    assert base64.b64decode(log_result(log)) == log[max(0, size - 4096) :]


@pytest.mark.parametrize("text", ["", "a b", "a:b:c", "arn:aws:s3:::bucket", "a/b", "a:"])
def test_what_is_not_a_name_of_a_function_has_no_parts(text: str) -> None:
    """Lambda's own pattern decides."""
    assert parse_reference(text) is None


def test_a_name_has_the_parts_that_were_written() -> None:
    """What was left open is None."""
    full = "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f:$LATEST"
    assert parse_reference("f") == Reference("f", None, None, None)
    assert parse_reference(full) == Reference("f", "$LATEST", "us-gov-west-1", "123456789012")
