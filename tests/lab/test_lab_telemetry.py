"""Records, metrics and log lines of real environments: every start kind, and what a process cannot tell of its end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emf_schema import checked, metrics

if TYPE_CHECKING:
    from lab_parts import Invoke, Reply
    from lambdakit.lab import Lab

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

FUNCTIONS = """
import os, sys, time

if "INIT_TYPE" in os.environ:  # as Lambda may call it one day
    os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"] = os.environ["INIT_TYPE"]
if "STREAM" in os.environ:  # Lambda starts the process that follows one that it ended in the same sandbox
    os.environ["AWS_LAMBDA_LOG_STREAM_NAME"] = os.environ["STREAM"]
later_s = 0.0
monotonic = time.monotonic
time.monotonic = lambda: monotonic() + later_s

import lambdakit
import slow_module

told = []

@lambdakit.handler(metrics="Shop", on_invocation=told.append)
def handler(event, context):
    print("working")
    lambdakit.metric("Orders", 2, "Count")
    how = event.get("how")
    if how == "raise":
        raise LookupError("planted secret")
    if how == "partial":
        sys.stdout.write('{"debug": 1}')
        sys.stdout.flush()
        sys.stderr.write("50%|##### |")
        sys.stderr.flush()
    if how == "exit":
        os._exit(3)
    if how == "sleep":
        time.sleep(60)
    if how == "allocate":
        len(bytearray(b"x") * (64 << 20))
    return {"pid": os.getpid(), "before": told[-1:], "kind": lambdakit.invocation().start_kind}

later_s = float(os.environ.get("LATER_S", "0"))
"""

SLOW = """
import time
end = time.perf_counter() + 0.05
while time.perf_counter() < end:
    pass
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("telemetry")
    (root / "telemetry_app.py").write_text(FUNCTIONS, encoding="utf-8")
    (root / "slow_module.py").write_text(SLOW, encoding="utf-8")
    return root


@pytest.fixture
def function(lab: Lab, code: Path, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Deploy the function above, with a temporary folder of its own."""
    names: list[str] = []

    def function(*, environment: dict[str, str] | None = None, **options: Any) -> str:
        name = f"telemetry-{len(names)}"
        variables = {"TMPDIR": str(tmp_path), **(environment or {})}
        options = {"timeout_s": 20, **options}
        lab.deploy(name, "telemetry_app.handler", task_root=code, environment=variables, **options)
        names.append(name)
        return name

    yield function
    for name in names:
        lab.remove(name)


def told(reply: Reply) -> dict[str, Any]:
    """What the one line of metrics in a log says."""
    (line,) = [line for line in reply.log.splitlines(keepends=True) if '"_aws"' in line]
    return checked(line)


KINDS = [
    ({}, {}, "cold"),
    ({}, {"LATER_S": "3600"}, "proactive"),
    ({"provisioned": 1}, {}, "provisioned"),
    ({"init_type": "snap-start"}, {}, "restored"),
    ({"init_type": "lambda-managed-instances", "max_concurrency": 1}, {}, "managed"),
    ({}, {"INIT_TYPE": "something-of-2030"}, "something-of-2030"),
]


@pytest.mark.parametrize(("options", "environment", "kind"), KINDS, ids=[kind for *_, kind in KINDS])
def test_every_start_kind(
    function: Callable[..., str], invoke: Invoke, options: dict[str, Any], environment: dict[str, str], kind: str
) -> None:
    """The first invocation is of that kind, in what it knows itself, in its metrics and in its record; then warm."""
    name = function(environment=environment, **options)
    first, second = invoke(name, {}), invoke(name, {})
    assert [first.value["kind"], second.value["kind"]] == [kind, "warm"]
    roots = [told(first), told(second)]
    assert [root["StartKind"] for root in roots] == [kind, "warm"]
    assert [root["ColdStart"] for root in roots] == [int(kind == "cold"), 0]
    assert [root["FunctionName"] for root in roots] == [name, name]
    (record,) = second.value["before"]
    assert (record["start_kind"], record["cold_start"], record["number"]) == (kind, kind == "cold", 1)
    assert record["environment"] == roots[1]["lambdakit"]["environment"]


@pytest.mark.soak  # waits for longer than ten seconds
def test_an_environment_that_waited_for_its_first_invocation(function: Callable[..., str], invoke: Invoke) -> None:
    """INIT was really done eleven seconds before, on demand as far as the function knows: nobody waited for it."""
    name = function(environment={"INIT_TYPE": "on-demand"}, provisioned=1)
    time.sleep(11)
    assert invoke(name, {}).value["kind"] == "proactive"


@pytest.mark.parametrize(("how", "failures"), [(None, 0), ("raise", 1)])
def test_a_line_once_whatever_the_handler_does(
    function: Callable[..., str], invoke: Invoke, how: str | None, failures: int
) -> None:
    """After what it printed, before END; with the user's metrics; the error is the handler's own."""
    reply = invoke(function(), {"how": how})
    assert reply.error == ("Unhandled" if failures else None)
    root = told(reply)
    assert (root["Failures"], root["Orders"]) == (failures, 2)
    assert root["lambdakit"]["error"] == ("LookupError" if failures else None)
    kinds = [line.split(" ")[0].split('"')[0] for line in reply.log.splitlines()]
    assert kinds.index("START") < kinds.index("working") < kinds.index("{") < kinds.index("END")


def test_a_line_begins_a_line(function: Callable[..., str], invoke: Invoke) -> None:
    """Also after what has no end of line, on either stream; and at the level that the function keeps."""
    name = function(environment={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"})
    (line,) = [line for line in invoke(name, {"how": "partial"}).log.splitlines(keepends=True) if '"_aws"' in line]
    assert checked(line)["level"] == "WARN"


@linux
def test_its_figures_are_those_of_the_report(function: Callable[..., str], invoke: Invoke) -> None:
    """INIT's duration, the invocation's, and the peak of memory, which an array of 64 MB has raised."""
    name = function(memory_mb=1024)
    first = invoke(name, {})
    small, large = told(first), told(invoke(name, {"how": "allocate"}))
    report_ms = first.report.init_ms or 0.0
    assert 50 <= small["InitDuration"] <= report_ms + 20  # the kernel counts in steps of 10 ms
    assert "InitDuration" not in large
    reported_mb = first.report.max_memory_mb or 0.0
    assert abs(small["PeakMemory"] - reported_mb) < 8
    assert 50 <= large["PeakMemory"] - small["PeakMemory"] <= 80
    assert large["MemoryShare"] == pytest.approx(large["PeakMemory"] / 10.24, abs=0.01)
    assert small["Duration"] <= first.report.duration_ms
    assert 19_000 <= small["RemainingAtEnd"] <= 20_000
    assert 95 <= small["RemainingShare"] <= 100
    assert metrics(small, "FunctionName", "StartKind").keys() == {"Duration", "InitDuration"}


@pytest.mark.parametrize("how", ["sleep", "exit"])
def test_a_process_that_was_ended_is_told_by_the_next(
    function: Callable[..., str], invoke: Invoke, tmp_path: Path, how: str
) -> None:
    """For its time or by itself: it has no line; the one that follows it in its sandbox says so, once."""
    name = function(environment={"STREAM": "2026/01/01/[$LATEST]sandbox"}, timeout_s=1.0)
    assert told(invoke(name, {}))["lambdakit"]["previous"] is None
    ended = invoke(name, {"how": how})
    assert ended.error == "Unhandled"
    assert '"_aws"' not in ended.log
    after = [told(invoke(name, {})) for _ in range(2)]
    assert [root["lambdakit"]["previous"] for root in after] == ["ended", "ok"]
    assert [root["StartKind"] for root in after] == ["cold", "warm"]
    assert len([*tmp_path.iterdir()]) == 1


def test_another_sandbox_knows_nothing_of_it(function: Callable[..., str], invoke: Invoke, lab: Lab) -> None:
    """An environment that Lambda ended in peace leaves nobody behind."""
    name = function()
    invoke(name, {})
    lab.retire(name)
    assert told(invoke(name, {}))["lambdakit"]["previous"] is None


def test_the_log_says_what_a_start_is_made_of(function: Callable[..., str], invoke: Invoke) -> None:
    """One line, at the start alone, with the module that took so long; the hook is gone afterwards."""
    environment = {"LAMBDAKIT_LOG": "1", "LAMBDAKIT_TRACE_IMPORTS": "1"}
    name = function(environment=environment)
    first, second = invoke(name, {}), invoke(name, {})
    (log,) = [json.loads(line) for line in first.log.splitlines() if "lambdakit: cold start" in line]
    assert log["number"] == 1
    assert log["init_s"] >= log["import_s"] > 0
    assert log["metrics"] == {"Orders": {"unit": "Count", "values": [2]}}
    slowest = {one["module"]: one["own_ms"] for one in log["imports"]["slowest"]}
    assert slowest["slow_module"] >= 50
    assert log["imports"]["packages"]["lambdakit"] > 0
    assert "lambdakit: " not in second.log
    assert told(first)["StartKind"] == "cold"
    assert told(second)["StartKind"] == "warm"
