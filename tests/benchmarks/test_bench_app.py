"""The command of the benchmarks: what it is asked for, what it writes, what it refuses, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks.effects import EFFECTS, handler_overhead
from benchmarks.framework import app, options, peers, results, table
from benchmarks.framework.effect import Check, Effect, Measured, Row, Series, times_less
from benchmarks.framework.processes import ROOT, ProcessFailedError
from benchmarks.framework.run import NotMeasuredError, Run, Size
from proc import descendants

from verifying import left

TINY = Size(processes=2, samples=2, sample_s=0.001, environments=1, warm=2)
ROWS = (
    Row(what="less", control="boto3", treatment="ours", claims=(times_less(20),), peer="boto3"),
    Row(what="the same", control="same", treatment="ours"),
    Row(what="calls", control="calls", treatment="none"),
    Row(what="added", control="same", treatment="wild", as_difference=True),
    Row(what="only with every peer", control="Powertools", treatment="ours", peer="Powertools"),
)
SERIES = {
    "boto3": Series(unit="ms", processes=[[30.0, 30.0]] * 5),
    "ours": Series(unit="ms", processes=[[2.0]] * 5),
    "same": Series(unit="ms", processes=[[1.9], [2.0], [2.0], [2.0], [2.1]]),
    "wild": Series(unit="ms", processes=[[1.0], [2.0], [3.0], [4.0], [5.0]]),
    "calls": Series(unit="calls", processes=[[5.0]]),
    "none": Series(unit="calls", processes=[[0.0]]),
}


def effect(name: str = "made-up", **changed: Any) -> Effect:
    """One that measures nothing."""

    def measure(run: Run) -> Measured:
        run.tick()
        more = {f"Powertools{way}": SERIES["boto3"] for way in run.ways(["", "2"], further=["", "2"])}
        return Measured(series=SERIES | more, evidence={"broken": run.broken, "memory": run.memory})

    def verify(measured: Measured) -> list[Check]:
        return [Check(what="the work was done", passed=not measured.evidence["broken"], found=1)]

    made = Effect(
        name=name,
        question="What?",
        group="cold",
        claim="It is less.",
        rows=ROWS,
        steps=lambda _: 1,
        measure=measure,
        verify=verify,
        breaks=("the work was done",),
        peers={"ssm-cache": "does the same, not measured: it cannot be installed"},
    )
    return replace(made, **changed)


def run(tmp_path: Path, *arguments: str, effects: dict[str, Effect] | None = None) -> tuple[int, dict[str, Any]]:
    """The exit code and the document."""
    target = tmp_path / "deep" / "run.json"
    code = app.main(
        [*arguments, "--no-html", "--json", str(target)], effects=effects or {"made-up": effect()}, size=TINY
    )
    return code, json.loads(target.read_text())


def test_an_unknown_effect_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With code 2 and the names that there are."""
    with pytest.raises(SystemExit) as ended:
        app.main(["secret_cashe"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "'secret_cashe'" in said
    assert all(name in said for name in EFFECTS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--memory", "64"], "128 to 10240"),
        (["--memory", "128,much"], "no memory sizes"),
        (["--quick", "--full"], "not allowed with"),
        (["--compare", "nowhere.json"], "nowhere.json"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is measured."""
    with pytest.raises(SystemExit) as ended:
        options.parse(arguments, EFFECTS)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_full_run_has_every_peer_and_memory_sizes(tmp_path: Path) -> None:
    """A quick one has what it is asked for; the page is beside the JSON unless it is told where."""
    full, quick = options.parse(["--full"], EFFECTS), options.parse(["--json", str(tmp_path / "a.json")], EFFECTS)
    assert (full.peers, full.memory, full.effects) == (True, (128, 512, 1769), [*EFFECTS])
    assert (quick.peers, quick.memory, quick.html) == (False, (), tmp_path / "a.html")
    asked = options.parse(["cold_start", "--memory", "512,128,512", "--peers", "import_cost", "--html", "b"], EFFECTS)
    assert (asked.peers, asked.memory, asked.html) == (True, (512, 128), Path("b"))
    assert asked.effects == ["import_cost", "cold_start"]
    assert options.parse(["--no-html"], EFFECTS).html is None


def test_a_quick_run_leaves_out_what_is_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so; an effect that is named is measured all the same."""
    effects = {"brief": effect("brief"), "endless": effect("endless", long=True)}
    for arguments, expected in (
        (["--quick"], ["brief"]),
        (["endless"], ["endless"]),
        (["--full"], ["brief", "endless"]),
    ):
        _, document = run(tmp_path, *arguments, effects=effects)
        assert [one["name"] for one in document["effects"]] == expected
        said = "left out, name them to have them: endless"
        assert (said in capsys.readouterr().out) is (arguments == ["--quick"])


def test_a_run_writes_every_sample_and_the_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON that docs/benchmarks.md describes, and one table; for once all of it is measured."""
    effects = {"handler_overhead": handler_overhead.EFFECT}
    code, document = run(tmp_path, effects=effects)
    assert code == 0
    assert (document["schema"], document["mode"], document["target"], document["broken"]) == (
        2,
        "quick",
        "local",
        False,
    )
    assert {"machine", "started", "took_s", "calibration", "peers"} <= document.keys()
    assert {"python", "cores", "packages", "lab_cpu_method"} <= document["machine"].keys()
    (one,) = document["effects"]
    assert (one["name"], one["group"], one["claim"]) == ("handler_overhead", "warm", handler_overhead.EFFECT.claim)
    assert all(check["passed"] for check in one["checks"])
    assert all(len(series["processes"]) == TINY.processes for series in one["series"].values())
    timed = [series for series in one["series"].values() if series["unit"] == "µs"]
    assert all(len(samples) == TINY.samples for series in timed for samples in series["processes"])
    row = one["rows"][0]
    assert row["without"] == one["series"][row["control"]]["median"]
    assert row["interval_with"][0] <= row["with"] <= row["interval_with"][1]
    assert not row["stable"]  # two processes tell nothing
    benchmarks = one["pyperf"]["benchmarks"]
    assert [len(benchmark["runs"]) for benchmark in benchmarks] == [TINY.processes] * 5
    assert "hostname" not in json.dumps(one["pyperf"])
    told = capsys.readouterr()
    assert "handler_overhead" in told.out
    assert re.search(r"^handler_overhead: \d+ s, 1 of \d$", told.err, re.MULTILINE)


def test_a_row_says_what_was_found(tmp_path: Path) -> None:
    """Less, no difference, and that of which there is no ratio; wide intervals are unstable; no row without figures."""
    _, document = run(tmp_path)
    rows = {row["what"]: row for row in document["effects"][0]["rows"]}
    assert {what: (row["verdict"], row["stable"]) for what, row in rows.items()} == {
        "less": ("less", True),
        "the same": ("no difference", True),
        "calls": ("less", True),
        "added": ("no difference", False),
    }
    assert (rows["less"]["ratio"], rows["less"]["ratio_low"], rows["less"]["peer"]) == (15.0, 15.0, "boto3")
    assert rows["less"]["claims"] == [{"text": ">= 20x less", "held": False}]
    assert (rows["calls"]["ratio"], rows["calls"]["difference"]) == (None, -5.0)


def test_the_table_says_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In words: no ratio where there is no difference, unstable where it is, what did not hold."""
    _, document = run(tmp_path)
    cells = {row["what"]: list(table.cells(row)) for row in document["effects"][0]["rows"]}
    assert cells["less"][1:] == ["30 ms", "2 ms", "15x", "15 to 15", "0 / 0", ">= 20x less: NOT HELD"]
    assert cells["the same"][3] == "no difference"
    assert cells["calls"][3:5] == ["", ""]
    assert cells["added"][1:5] + cells["added"][6:] == ["2 ms", "~3 ms", "+1 ms", "", "unstable"]
    told = document | {"calibration": [{"memory_mb": 128, "wanted": 0.0724, "measured": 0.0731}]}
    assert "128 MB 0.073 (wanted 0.072)" in table.notes(told)[-1]
    assert "made-up" in capsys.readouterr().out
    table.show(document, width=80)
    narrow = capsys.readouterr().out
    assert "NOT HELD" in " ".join(narrow.split())
    assert "interval │" not in narrow
    assert max(map(len, narrow.splitlines())) <= 80


def test_each_peer_has_its_version_and_its_jobs(tmp_path: Path) -> None:
    """Measured, left out of this run, not measured for a reason, or it does not do this."""
    _, document = run(tmp_path)
    told = {peer["name"]: peer for peer in document["peers"]}
    assert [*told] == [*peers.PEERS]
    assert told["boto3"]["version"] == document["machine"]["packages"]["boto3"]
    assert {name: told[name]["jobs"]["made-up"] for name in ("boto3", "Powertools", "ssm-cache", "httpx")} == {
        "boto3": "measured",
        "Powertools": peers.LEFT_OUT,
        "ssm-cache": "does the same, not measured: it cannot be installed",
        "httpx": "does not do this",
    }
    _, document = run(tmp_path, "--peers")
    assert {peer["name"]: peer["jobs"]["made-up"] for peer in document["peers"]}["Powertools"] == "measured"
    assert "only with every peer" in [row["what"] for row in document["effects"][0]["rows"]]


def test_every_row_names_a_peer_that_there_is() -> None:
    """Or none; and no row of an effect is called like another."""
    for one in EFFECTS.values():
        assert {row.peer for row in one.rows} <= {None, *peers.PEERS}
        assert {*one.peers} <= {*peers.PEERS}
        assert len({row.what for row in one.rows}) == len(one.rows)
        assert one.breaks


RATIO_OR_COUNT = re.compile(r">= [\d.]+x less|<= [\d.]+x|<= \d+ (calls|modules|requests)|less")
TIME = re.compile(r"\b(nano|micro|milli)?seconds?\b|\d ?(ns|µs|ms|s)\b")


def test_every_claim_means_something_on_any_machine() -> None:
    """It is a ratio to a peer or to a floor of the same run, or a count; no sentence names a time."""
    for one in EFFECTS.values():
        claims = [claim.text for row in one.rows for claim in row.claims]
        assert claims
        assert [text for text in claims if not RATIO_OR_COUNT.fullmatch(text)] == []
        assert not TIME.search(one.claim)


def test_work_that_was_not_done_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Code 1, naming the effect and what could not be verified; the figures are written all the same."""
    code, document = run(tmp_path, "--broken")
    told = capsys.readouterr()
    assert code == 1
    assert "made-up: not verified: the work was done (found: 1)" in told.err
    assert "BROKEN ON PURPOSE" in told.out
    assert document["broken"]
    assert document["effects"][0]["rows"]


def test_an_effect_that_cannot_be_measured_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named, with the reason; the other effects are measured."""

    def failing(_: Any) -> Any:
        raise ProcessFailedError("the process ended with 3")

    code, document = run(tmp_path, effects={"first": effect("first", measure=failing), "second": effect("second")})
    assert code == 1
    assert "first: could not be measured: the process ended with 3" in capsys.readouterr().err
    assert [bool(one["rows"]) for one in document["effects"]] == [False, True]
    assert document["effects"][0]["error"] == "the process ended with 3"


def test_what_cannot_be_measured_here_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No failure, and no figure."""

    def nothing(_: Run) -> Measured:
        raise NotMeasuredError("no PostgreSQL for this Python")

    code, document = run(tmp_path, effects={"database": effect("database", measure=nothing)})
    assert code == 0
    assert "not measured: no PostgreSQL" in capsys.readouterr().out
    (one,) = document["effects"]
    assert (one["rows"], one["error"], one["not_measured"]) == ([], None, "no PostgreSQL for this Python")


def test_a_page_and_what_has_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both from the document; the page is beside the JSON, and the command says where."""
    run(tmp_path)
    old, new = tmp_path / "deep" / "run.json", tmp_path / "new.json"
    effects = {"made-up": effect()}
    assert app.main(["--json", str(new), "--compare", str(old)], effects=effects, size=TINY) == 0
    said = capsys.readouterr().out
    assert f"The page: {tmp_path / 'new.html'}" in said
    assert "made-up" in (tmp_path / "new.html").read_text()
    assert said.rindex("within 15 %") < said.rindex("Measured: ")


def test_a_run_ends_with_its_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Five lines, and the page's path last; what did not hold and what was not verified is named."""
    effects = {"made-up": effect(), "failing": effect("failing", verify=lambda _: [Check(what="it was", passed=False)])}
    assert app.main(["--json", str(tmp_path / "run.json")], effects=effects, size=TINY) == 1
    *_, measured, verified, claims, figures, document, page = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"Measured: 2 of 2 effects in \d+ s, a quick run", measured)
    assert verified == "Verified: 1 of 2 effects; not: failing"
    not_held = "made-up (less: >= 20x less), failing (less: >= 20x less)"
    assert claims == f"Claims: 0 of 2 held; not held: {not_held}"
    assert figures == "Figures: 8, 2 of them unstable, 4 without a difference"
    assert document == f"All figures: {tmp_path / 'run.json'}"
    assert page == f"The page: {tmp_path / 'run.html'}"


def test_a_document_of_another_schema_is_not_read(tmp_path: Path) -> None:
    """It would be misunderstood."""
    other = tmp_path / "other.json"
    for content in ({"schema": 1}, []):
        other.write_text(json.dumps(content))
        with pytest.raises(ValueError, match="this suite reads 2"):
            results.read(other)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="finds the processes in /proc, which Linux has")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_stops_everything_that_was_started(number: int, code: int, tmp_path: Path) -> None:
    """moto's server, the lab and what runs in it; the exit code is the shell's for that signal."""
    arguments = [sys.executable, "-m", "benchmarks", "cold_start", "--quick", "--json", str(tmp_path / "run.json")]
    with subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        started: set[int] = set()
        deadline = time.monotonic() + 60
        while len(started) < 3 and time.monotonic() < deadline:  # the server, the lab's guard, a function
            assert process.poll() is None
            started |= descendants(process.pid)
            time.sleep(0.02)
        assert len(started) >= 3
        os.kill(process.pid, number)
        assert process.wait(30) == code
    assert left(started, ("benchmarks", "lambda"), limit_s=10) == []
