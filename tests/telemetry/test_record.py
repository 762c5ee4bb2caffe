"""What is told of one invocation."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import lambdakit
from lambdakit import Environment, Record, Settings
from lambdakit._telemetry import record as record_module
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class SlowBackend(MemoryBackend):
    """A second for each secret."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(secrets={"a": "1", "b": "2"})
        self.clock = clock

    def get_secret(self, name: str, **options: Any) -> Any:
        self.clock.tick(1.0)
        return super().get_secret(name, **options)


@pytest.fixture
def env(clock: ManualClock) -> Iterator[Environment]:
    settings = Settings(environ={}, init_type="on-demand", function_name="from-settings")
    env = Environment(clock=clock, settings=settings, backend=SlowBackend(clock))
    with lambdakit.use_environment(env):
        yield env


def test_a_whole_record(env: Environment, clock: ManualClock) -> None:
    """Every key, of an invocation that fetched, measured and failed."""
    records: list[Record] = []
    clock.tick(8.0)

    @lambdakit.handler(on_invocation=records.append)
    def handler(event: object, context: FakeContext) -> None:
        for _ in range(3):
            lambdakit.get_secret("a")
        clock.tick(0.5)
        context.remaining_s -= 1.5
        lambdakit.metric("Orders", 3, "Count")
        raise KeyError("what it says may be secret")

    clock.tick(1.0)
    lambdakit.get_secret("b")  # not in an invocation
    clock.suspend(60.0)
    with pytest.raises(KeyError):
        handler({}, FakeContext(remaining_s=6.0, function_name="shop"))
    (record,) = records
    measured = ("import_s", "peak_memory_mb", "memory_share")
    known: Any = record
    assert all(known[name] > 0 for name in measured)
    assert record["memory_share"] == (record["peak_memory_mb"] or 0) / 128
    assert {name: value for name, value in record.items() if name not in measured} == {
        "start_kind": "proactive",
        "cold_start": False,
        "init_type": "on-demand",
        "request_id": "00000000-0000-4000-8000-000000000000",
        "function_name": "shop",
        "function_version": "$LATEST",
        "function_arn": "arn:aws:lambda:us-east-1:123456789012:function:shop",
        "memory_limit_mb": 128,
        "number": 1,
        "environment": env.id,
        "environment_age_s": 70.0,
        "pings": 0,
        "previous": None,
        "init_s": None,
        "init_to_invoke_s": 62.0,
        "duration_s": 1.5,
        "remaining_s": 4.5,
        "remaining_share": 0.75,
        "outcome": "failed",
        "error": "KeyError",
        "hits": 2,
        "fetches": 1,
        "stale": 0,
        "upstream_s": 1.0,
        "metrics": {"Orders": {"unit": "Count", "values": [3]}},
    }
    assert set(record) == {*Record_keys()}


def Record_keys() -> list[str]:  # noqa: N802 - of the class of that name, as type checkers see it
    source = Path(record_module.__file__).read_text(encoding="utf-8")
    (keys,) = [
        [line.target.id for line in node.body if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef) and node.name == "Record"
    ]
    return keys


def test_a_context_that_knows_nothing(env: Environment) -> None:
    """None, or what the settings know."""
    records: list[Record] = []
    lambdakit.handler(lambda event, context: None, on_invocation=records.append)({}, None)
    (record,) = records
    unknown = {"request_id", "function_version", "function_arn", "memory_limit_mb", "remaining_s", "remaining_share"}
    unknown |= {"previous", "init_s", "error", "memory_share"}
    assert {name for name, value in record.items() if value is None} == unknown
    assert record["function_name"] == "from-settings"


@pytest.mark.parametrize("remaining_ms", [float("inf"), float("nan"), "soon", None])
def test_a_context_that_says_something_else(env: Environment, remaining_ms: Any) -> None:
    """What is no number of seconds is not known."""

    class Context:
        aws_request_id = 5
        function_name = ""
        memory_limit_in_mb = object()

        def get_remaining_time_in_millis(self) -> Any:
            return remaining_ms

    records: list[Record] = []
    lambdakit.handler(lambda event, context: None, on_invocation=records.append)({}, Context())
    (record,) = records
    assert (record["request_id"], record["function_name"], record["memory_limit_mb"]) == (None, "from-settings", None)
    assert record["remaining_s"] in (None, 0.0)


@pytest.mark.parametrize(
    ("error", "remaining_s", "expected"),
    [
        (None, None, "ok"),
        (None, 0.001, "ok"),
        (KeyError, None, "failed"),
        (KeyError, 1.0, "failed"),
        (None, 0.0, "timed out"),
        (KeyError, 0.0, "timed out"),
    ],
)
def test_outcomes(env: Environment, error: type[Exception] | None, remaining_s: float | None, expected: str) -> None:
    """Who has no time left has timed out: Lambda has told so by then."""
    records: list[Record] = []

    @lambdakit.handler(on_invocation=records.append)
    def handler(event: object, context: object) -> None:
        if error is not None:
            raise error

    with nullcontext() if error is None else pytest.raises(error):
        handler({}, None if remaining_s is None else FakeContext(remaining_s=remaining_s))
    assert [record["outcome"] for record in records] == [expected]


class Sized:
    def __init__(self, memory_limit_in_mb: object) -> None:
        self.memory_limit_in_mb = memory_limit_in_mb


@pytest.mark.parametrize(
    ("context", "variable", "expected"),
    [
        (Sized("128"), None, 128),
        (Sized(1769), "128", 1769),
        (Sized("lots"), "512", 512),
        (Sized(None), "512", 512),
        (None, "10240", 10240),
        (None, "", None),
        (None, None, None),
        (Sized("0"), None, None),
        (Sized(-1), None, None),
        (Sized(1.5), None, None),
        (Sized("9" * 9), None, 999_999_999),
        (Sized("9" * 10), None, None),
    ],
)
def test_the_memory_size(context: object, variable: str | None, expected: int | None) -> None:
    """The context's, a string under the runtime; then the variable's; whole megabytes above 0."""
    environ = {} if variable is None else {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": variable}
    records: list[Record] = []
    with lambdakit.use_environment(Environment(settings=Settings(environ=environ))):
        lambdakit.handler(lambda event, context: None, on_invocation=records.append)({}, context)
    assert [record["memory_limit_mb"] for record in records] == [expected]


def test_counts_are_of_this_invocation_alone(env: Environment, clock: ManualClock) -> None:
    """Not of those before it, nor of what happened between them."""
    records: list[Record] = []

    @lambdakit.handler(on_invocation=records.append)
    def handler(names: list[str], context: object) -> None:
        for name in names:
            lambdakit.get_secret(name)

    handler(["a", "a", "b"], None)
    lambdakit.get_secret("a")
    clock.tick(400)
    handler([], None)
    handler(["a", "a"], None)
    assert [(record["hits"], record["fetches"]) for record in records] == [(1, 2), (0, 0), (1, 1)]
    assert [record["upstream_s"] for record in records] == [2.0, 0.0, 1.0]
    assert [record["number"] for record in records] == [1, 2, 3]
    assert [record["start_kind"] for record in records] == ["cold", "warm", "warm"]


def test_it_is_a_dictionary() -> None:
    """For who annotates a listener and looks at the annotation."""
    assert lambdakit.Record is dict


# The line of a start


@pytest.mark.parametrize(
    ("wall_s", "timestamp"),
    [
        (1_800_000_000.0, "2027-01-15T08:00:00.000Z"),
        (1_800_000_000.0629, "2027-01-15T08:00:00.062Z"),
        (1_800_000_000.9999, "2027-01-15T08:00:00.999Z"),
        (0.0, "1970-01-01T00:00:00.000Z"),
    ],
)
def test_a_line(wall_s: float, timestamp: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What logs are searched by, the whole record, the time in UTC to the millisecond below; one line of ASCII."""
    records: list[Record] = []
    clock = ManualClock(wall_s=wall_s, monotonic_s=0.0)

    foreign = type("GrößeError", (Exception,), {})

    @lambdakit.handler(on_invocation=records.append)
    def handler(event: object, context: object) -> None:
        clock.monotonic_s += 0.1234564
        lambdakit.metric("Orders", 2.5)
        raise foreign

    settings = Settings(environ={}, init_type="on-demand", log=True)
    with lambdakit.use_environment(Environment(clock=clock, settings=settings)), pytest.raises(foreign):
        handler({}, None)
    (record,) = records
    text = capsys.readouterr().out
    assert json.loads(text) == {
        "timestamp": timestamp,
        "level": "INFO",
        "message": "lambdakit: cold start",
        **{name: round(value, 6) if isinstance(value, float) else value for name, value in record.items()},
        "error": "GrößeError",
        "duration_s": 0.123456,
    }
    assert re.fullmatch(r"[ -~]+\n", text)


def test_imports_are_added(env: Environment) -> None:
    """As they were told."""
    records: list[Record] = []
    lambdakit.handler(lambda event, context: None, on_invocation=records.append)({}, None)
    line = record_module.start_line(records[0], 0.0, {"slowest": [1]})
    assert json.loads(line)["imports"] == {"slowest": [1]}
