from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdakit.lab._environments import Failure
from lambdakit.lab._report import Report, init_report_line, log_tail, parse_report, report_line, restore_report_line

LOGS = Path(__file__).parents[1] / "fixtures" / "logs"

REPORTS: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"duration_ms": 2.304, "max_memory_mb": 36},
        ["Duration: 2.30 ms", "Billed Duration: 3 ms", "Memory Size: 128 MB", "Max Memory Used: 36 MB"],
    ),
    (
        {"duration_ms": 2.0, "max_memory_mb": 36, "init_ms": 100.5},
        [
            "Duration: 2.00 ms",
            "Billed Duration: 103 ms",
            "Memory Size: 128 MB",
            "Max Memory Used: 36 MB",
            "Init Duration: 100.50 ms",
        ],
    ),
    (
        {"duration_ms": 2.1, "max_memory_mb": 36, "restore_ms": 10.25},
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
        {"duration_ms": 3000.0, "status": "timeout"},
        ["Duration: 3000.00 ms", "Billed Duration: 3000 ms", "Memory Size: 128 MB", "Status: timeout"],
    ),
    (
        {"duration_ms": 1.0, "status": "error", "error_type": "KeyError"},
        ["Duration: 1.00 ms", "Billed Duration: 1 ms", "Memory Size: 128 MB", "Status: error", "Error Type: KeyError"],
    ),
]


@pytest.mark.parametrize(("measured", "parts"), REPORTS)
def test_a_report_has_what_was_measured_and_nothing_else(measured: dict[str, Any], parts: list[str]) -> None:
    """In Lambda's words and order; the bill is rounded up to whole milliseconds."""
    report = Report.billed("r", memory_size_mb=128, **measured)
    assert report_line(report).decode() == "\t".join(["REPORT RequestId: r", *parts, "\n"])


def test_what_the_line_shows_is_billed() -> None:
    """Rounded up once, from its hundredths: whoever adds the line up comes to the same."""
    report = Report.billed("r", duration_ms=2.004, init_ms=None, restore_ms=23.0004, memory_size_mb=128)
    assert (report.duration_ms, report.restore_ms) == (2.0, 23.0)
    assert (report.billed_ms, report.billed_restore_ms) == (25, 23)


MILLISECONDS = st.integers(0, 90_000_000).map(lambda hundredths: hundredths / 100)


@given(
    duration_ms=MILLISECONDS,
    init_ms=st.none() | MILLISECONDS,
    restore_ms=st.none() | MILLISECONDS,
    max_memory_mb=st.none() | st.integers(1, 10_240),
    status=st.sampled_from([None, "timeout", "error"]),
    error_type=st.sampled_from([None, "KeyError", "Runtime.ExitError"]),
    noise=st.text(),
)
def test_a_report_is_read_as_it_was_written(noise: str, **measured: Any) -> None:
    """Whatever else is in the log."""
    report = Report.billed("8a2e", memory_size_mb=512, **measured)
    assert parse_report(f"{noise}\n{report_line(report).decode()}{noise}") == report


def _report(request_id: str, duration_ms: float, billed_ms: float, memory_size_mb: float, **rest: Any) -> Report:
    fields = {"duration_ms": duration_ms, "billed_ms": billed_ms, "memory_size_mb": memory_size_mb, **rest}
    return Report(request_id=request_id, **fields)


LAMBDAS = {
    report.request_id: report
    for report in (
        _report("36b3216f-daee-b975-729f-ae923d5a4fd1", 1233.96, 1698, 256, max_memory_mb=123, init_ms=463.51),
        _report("2aabfe22-8f21-9e9c-b0eb-53f16947ccf2", 101.51, 102, 512, max_memory_mb=33),
        _report(
            "5ec84d8d-bc74-2547-70f5-8904dba41ecc",
            127.10,
            154,
            2048,
            max_memory_mb=212,
            restore_ms=325.93,
            billed_restore_ms=26,
        ),
        _report(
            "ff9243a8-f506-b409-28b5-b7a767c76fb0",
            306.34,
            610,
            3009,
            max_memory_mb=155,
            restore_ms=511.25,
            billed_restore_ms=303,
        ),
        _report("08f86beb-b273-7f6a-6f0f-b23c6f5da2ce", 3000.0, 3000, 128, max_memory_mb=128, status="timeout"),
        _report(
            "c255404e-4fb4-4003-4d66-08697a8d41be",
            2412.07,
            2413,
            128,
            max_memory_mb=128,
            status="error",
            error_type="Runtime.OutOfMemory",
        ),
        _report(
            "d440e504-54f3-1af3-1768-13e02ea68ef7",
            16.30,
            17,
            128,
            max_memory_mb=41,
            status="error",
            error_type="Runtime.ExitError",
        ),
        _report("86e4d3ce-a27d-2693-4b48-4e73cf575dca", 45.0, 45, 1024, max_memory_mb=210),
    )
}


@pytest.mark.parametrize("log", ["text.log", "tail.log"])
def test_the_lines_of_lambda_are_read(log: str) -> None:
    """As the console shows them, and behind the stream and the time of `aws logs tail`; no other line is a report."""
    lines = (LOGS / log).read_text(encoding="utf-8").splitlines()
    found = [report for line in lines if (report := parse_report(line)) is not None]
    assert found == [LAMBDAS[report.request_id] for report in found]
    assert len(found) == sum(any(request_id in line for request_id in LAMBDAS) for line in lines) > 5
    assert parse_report("\n".join(lines)) == found[-1]


FIELDS = ["Duration: 2.00 ms", "Billed Duration: 154 ms", "Memory Size: 128 MB", "XRAY TraceId: 1-66", "Sampled: true"]


@given(st.permutations(FIELDS))
def test_the_order_of_fields_does_not_matter(fields: list[str]) -> None:
    """Lambda does not promise one; those of X-Ray may stand on the same line."""
    line = "\t".join(["REPORT RequestId: r", *fields])
    assert parse_report(line) == Report(request_id="r", duration_ms=2.0, billed_ms=154.0, memory_size_mb=128.0)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "REPORT of sales\tDuration: 1.00 ms",
        "REPORT RequestId: r",
        "REPORT RequestId: r\tDuration: long\tBilled Duration: 1 ms",
        "a function prints REPORT RequestId: r\tDuration: 1.00 ms",
        "INIT_REPORT Init Duration: 1.00 ms\tPhase: init",
        "RESTORE_REPORT Restore Duration: 1.00 ms",
    ],
)
def test_what_is_no_report_is_not_read(line: str) -> None:
    """Functions print the word, too; the report before them is found all the same."""
    assert parse_report(line) is None
    assert parse_report(f"REPORT RequestId: r\tDuration: 1.00 ms\n{line}") == Report(request_id="r", duration_ms=1.0)


def test_an_init_report_names_its_phase() -> None:
    """The error's type only where there is one."""
    timeout = init_report_line(init_ms=9999.874, phase="init", failure=Failure.timed_out())
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
    assert restore_report_line(restore_ms=None, failure=Failure.timed_out()).startswith(
        b"RESTORE_REPORT Restore Duration: 0.00 ms\t"
    )


@pytest.mark.parametrize("size", [0, 4095, 4096, 4097])
def test_the_tail_is_the_last_four_kilobytes(size: int) -> None:
    """Cut at the front."""
    log = bytes(number % 251 for number in range(size))
    assert base64.b64decode(log_tail(log)) == log[max(0, size - 4096) :]
