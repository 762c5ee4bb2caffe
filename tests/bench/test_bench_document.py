"""The document of a run, and the tables and remarks that it is shown as."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import pytest

from bench_parts import Recorded, imported
from lambdakit._bench import document, prices, text
from lambdakit._bench.caller import Reply
from lambdakit._bench.measure import Target, Trial
from lambdakit._bench.options import checked
from lambdakit._bench.progress import Progress
from lambdakit._bench.show import show
from lambdakit.lab._report import Report
from lambdakit.testing import ManualClock


def _reply(duration_ms: float, *, init_ms: float | None = None, memory_mb: float | None = 40.0) -> Reply:
    report = Report(
        request_id="r",
        duration_ms=duration_ms,
        billed_ms=float(round(duration_ms + (init_ms or 0.0))),
        init_ms=init_ms,
        max_memory_mb=memory_mb,
    )
    return Reply(payload=b"1", failed=False, log="", report=report)


def _content(
    *,
    cold: int = 6,
    each: int = 4,
    against: bool = True,
    memory_mb: float | None = 40.0,
    recorded: Recorded | None = None,
) -> dict[str, Any]:
    """A document of made-up figures: the other function takes half, and both start alike."""
    other = {"against": "b.handler"} if against else {}
    options = checked("a.handler", cold=str(cold), warm=str(cold * each), memory="512", **other)
    trace = (recorded or Recorded()).trace
    trials = {
        Target(side.label, side, 512): [
            Trial(
                first=_reply(50.0 + number, init_ms=100.0 + number, memory_mb=memory_mb),
                warm=[_reply((10.0 + number / 10) / half, memory_mb=memory_mb) for _ in range(each)],
            )
            for number in range(cold)
        ]
        for side, half in zip(options.sides, (1, 2), strict=False)
    }
    return document.document(
        options, trials, {side.label: trace for side in options.sides}, cpu_method="duty-cycle", answers_equal=None
    )


def test_a_document_is_json_and_says_who_takes_what() -> None:
    """Ratios with their verdicts; costs with INIT in the cold ones."""
    content = json.loads(json.dumps(_content()))
    rows = {row["what"]: row for row in content["rows"]}
    assert rows["INIT"]["verdict"] == "no difference"
    assert (rows["warm p50"]["verdict"], rows["warm p50"]["ratio"]) == ("less", pytest.approx(2.0))
    assert rows["warm p50"]["stable"]
    assert rows["cold start: INIT and first invocation"]["without"] == 155.0
    first, second = content["figures"]["memory"]
    assert (first["billed_cold_ms"], first["billed_ms"], second["billed_ms"]) == (155.0, 10.0, 5.0)
    assert first["usd_per_million_cold"] == pytest.approx(prices.usd_per_million(155.0, 512))
    assert first["usd_per_million"] == pytest.approx(prices.usd_per_million(10.0, 512))


@pytest.mark.parametrize(("each", "shown"), [(3, []), (4, ["p95"]), (19, ["p95"]), (20, ["p95", "p99"])])
def test_a_percentile_takes_enough_invocations(each: int, shown: list[str]) -> None:
    """p95 20 of them, p99 100."""
    whats = [row["what"] for row in _content(cold=5, each=each)["rows"]]
    assert [what.split()[1] for what in whats if what.startswith("warm p9")] == shown


def test_memory_is_left_out_where_the_system_does_not_tell() -> None:
    """Rather than shown as nothing."""
    assert "memory used" in [row["what"] for row in _content()["rows"]]
    assert "memory used" not in [row["what"] for row in _content(memory_mb=None)["rows"]]


def _shown(content: dict[str, Any]) -> str:
    stream = io.StringIO()
    show(content, stream)
    return stream.getvalue()


def test_a_table_shows_figures_and_how_sure_they_are() -> None:
    """Alone with its interval, beside another with the ratio's."""
    alone = _content(against=False)
    (table, *_) = text.tables(alone)
    assert table.columns == ["median", "a.handler", "interval"]
    assert table.rows[0][:2] == ["INIT", "102 ms"]
    (table, *_) = text.tables(_content())
    assert table.rows[3][:3] == ["warm p50", "10.2 ms", "5.12 ms"]
    assert table.rows[3][3].startswith("2x (1.9")
    assert table.rows[3][4] == "less"
    assert "~" not in str(table.rows)


def test_what_cannot_be_relied_on_is_marked() -> None:
    """A wide interval with a sign, and what the sign means; no interval with what to do."""
    content = _content(against=False)
    assert "~" not in _shown(content)
    content["rows"][0] |= {"interval_without": [50.0, 150.0], "stable": False}
    assert "~102 ms" in _shown(content)
    assert "~ unstable: its interval is wider than ±10 %" in _shown(content)
    assert "Give --cold 5 or more" in _shown(_content(cold=4))


def test_remarks_are_made_where_they_are_due() -> None:
    """On cores that are not there, on answers that differ, on what was not traced."""
    content = _content()
    said = "\n".join(text.remarks(content))
    assert not any(words in said for words in ("no more cores", "different answers", "Not traced"))
    content["machine"]["cores"] = 2
    content["options"]["memory_mb"] = [3538, 3539]
    content["answers_equal"] = False
    content["functions"][0]["unseen"] = ["ssl"]
    said = "\n".join(text.remarks(content))
    assert "Above 3538 MB this machine has no more cores: 3539 MB may be faster" in said
    assert "different answers" in said
    assert "Not traced, since these modules are not as the tracer expects: ssl." in said


def test_findings_are_numbered_with_their_line_and_their_page() -> None:
    """Or it is said that there are none."""
    recorded = Recorded()
    for n in (2, 3):
        recorded.call(n, "GetSecretValue", "prod/db")
    (lines, _) = (list(text.findings(function)) for function in _content(recorded=recorded)["functions"])
    assert lines[0] == "What lambdakit would change in a.handler, from a trace of 1 cold and 4 warm invocations:"
    assert lines[1].startswith(" 1. The same secret, 'prod/db', is fetched 2 times in 4 warm invocations")
    assert lines[2:] == [
        "      lambdakit.get_secret('prod/db')",
        "      https://github.com/lambdakit/lambdakit/blob/main/docs/values.md",
    ]
    assert list(text.findings(_content()["functions"][0])) == [
        "a.handler: no findings in 1 cold and 4 warm invocations."
    ]


def test_what_a_function_does_is_shown_by_phase() -> None:
    """The warm invocations as a rate; imports by package."""
    recorded = Recorded()
    recorded.client(0, "sqs")
    for n in (1, 2, 3, 4, 5):
        recorded.request(n, "GET there", aws=False)
        recorded.connect(n, port=None)
    recorded.add("handshake", 1)
    recorded.imports = [imported("lazy", total=5.0, n=1), imported("app", total=4.0)]
    calls, imports = list(text.tables(_content(against=False, recorded=recorded)))[-2:]
    assert calls.rows == [
        ["client: sqs", "1", "0", "0"],
        ["request: GET there", "0", "1", "1"],
        ["connection: there", "0", "1", "1"],
        ["TLS handshakes", "0", "1", "0"],
        ["event loops", "0", "0", "0"],
    ]
    assert imports.rows == [["lazy", "5.0 ms", "1.0 ms", "1", "invocation 1"], ["app", "4.0 ms", "1.0 ms", "1", "INIT"]]


PLAIN = """
import importlib.abc, json, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "rich":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from lambdakit._bench.show import show
show(json.load(sys.stdin), sys.stdout)
"""


def test_without_rich_the_same_is_shown_in_plain_text() -> None:
    """Every cell of every table, in columns."""
    content = _content()
    command = [sys.executable, "-c", PLAIN]
    done = subprocess.run(command, input=json.dumps(content), capture_output=True, text=True, check=True, timeout=60)
    drawn = _shown(content)
    for table in text.tables(content):
        for cell in (table.title, *(cell for row in table.rows for cell in row)):
            assert cell in done.stdout
            assert cell in drawn
    assert "warm p50                              " in done.stdout
    assert "─" in drawn
    assert "─" not in done.stdout


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_written_over_on_a_terminal_and_now_and_then_elsewhere() -> None:
    """With an estimate from the steps so far."""
    clock = ManualClock()
    screen, log = Screen(), io.StringIO()
    shown = [Progress(4, stream=stream, clock=lambda: clock.monotonic_s) for stream in (screen, log)]
    for passed_s in (5.0, 5.0, 2.0):
        clock.tick(passed_s)
        for progress in shown:
            progress.step("a.handler")
    for progress in shown:
        progress.close()
    steps = [f"{done} of 4, about {left} s left: a.handler" for done, left in ((1, 15), (2, 10), (3, 4))]
    assert screen.getvalue() == "".join(f"\r\x1b[2K{step}" for step in [*steps, ""])
    assert log.getvalue() == f"{steps[1]}\n"


@pytest.mark.parametrize(("value", "shown"), [(0.0, "0"), (0.01234, "0.0123"), (99.94, "99.9"), (12345.6, "12,346")])
def test_a_number_has_three_figures(value: float, shown: str) -> None:
    """And no exponent."""
    assert text.number(value) == shown
