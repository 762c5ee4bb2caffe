"""The record of an invocation as CloudWatch reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf_schema import checked, metrics
from lambdakit._telemetry.emf import RESERVED, lines

if TYPE_CHECKING:
    from lambdakit import Record

RECORD: Record = {
    "start_kind": "cold",
    "cold_start": True,
    "init_type": "on-demand",
    "request_id": "00000000-0000-4000-8000-000000000000",
    "function_name": "shop",
    "function_version": "7",
    "function_arn": "arn:aws:lambda:eu-west-1:123456789012:function:shop:live",
    "memory_limit_mb": 128,
    "number": 1,
    "environment": "0123abcd",
    "environment_age_s": 0.5,
    "pings": 2,
    "previous": "ended",
    "init_s": 0.25,
    "import_s": 0.01,
    "init_to_invoke_s": 0.125,
    "duration_s": 0.75,
    "remaining_s": 2.25,
    "remaining_share": 0.75,
    "outcome": "failed",
    "error": "KeyError",
    "peak_memory_mb": 64.0,
    "memory_share": 0.5,
    "hits": 3,
    "fetches": 2,
    "stale": 1,
    "upstream_s": 0.5,
    "metrics": {},
}


def told(record: Record, *, pings: int = 0) -> list[dict[str, Any]]:
    """The lines of a record, each checked against the format."""
    text = lines(record, namespace="Shop", wall_s=1_800_000_000.0625, pings=pings)
    return [checked(line) for line in text.splitlines(keepends=True)]


def changed(**changes: Any) -> Record:
    record: Any = {**RECORD, **changes}
    return record


def series(unit: str, *values: float) -> dict[str, Any]:
    return {"unit": unit, "values": list(values)}


def test_a_line() -> None:
    """Every metric, with its unit; the dimensions; when; and by what the invocation is found."""
    (root,) = told(RECORD, pings=2)
    expected = {
        "ColdStart": 1,
        "Failures": 1,
        "CacheHits": 3,
        "CacheFetches": 2,
        "CacheStale": 1,
        "WarmupPings": 2,
        "Duration": 750.0,
        "RemainingAtEnd": 2250.0,
        "RemainingShare": 75.0,
        "PeakMemory": 64.0,
        "MemoryShare": 50.0,
        "UpstreamMs": 500.0,
        "InitDuration": 250.0,
    }
    assert metrics(root, "FunctionName") == expected
    assert metrics(root, "FunctionName", "StartKind") == {"Duration": 750.0, "InitDuration": 250.0}
    assert (root["FunctionName"], root["StartKind"]) == ("shop", "cold")
    assert root["_aws"]["Timestamp"] == 1_800_000_000_062
    assert {one["Namespace"] for one in root["_aws"]["CloudWatchMetrics"]} == {"Shop"}
    units = {one["Name"]: one["Unit"] for one in root["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert {name for name, unit in units.items() if unit == "Milliseconds"} == {
        "Duration",
        "InitDuration",
        "RemainingAtEnd",
        "UpstreamMs",
    }
    assert {name for name, unit in units.items() if unit == "Percent"} == {"MemoryShare", "RemainingShare"}
    assert units["PeakMemory"] == "Megabytes"
    assert root["lambdakit"] == {
        "request_id": "00000000-0000-4000-8000-000000000000",
        "environment": "0123abcd",
        "number": 1,
        "function_version": "7",
        "previous": "ended",
        "error": "KeyError",
    }
    assert root.keys() == RESERVED


@pytest.mark.parametrize(
    ("key", "metric"),
    [
        ("remaining_s", "RemainingAtEnd"),
        ("remaining_share", "RemainingShare"),
        ("peak_memory_mb", "PeakMemory"),
        ("memory_share", "MemoryShare"),
        ("init_s", "InitDuration"),
    ],
)
def test_what_is_not_known_is_left_out(key: str, metric: str) -> None:
    """Its metric is neither defined nor there."""
    (root,) = told(changed(**{key: None}))
    assert metric not in metrics(root, "FunctionName")
    assert metric not in root


def test_only_starts_have_a_duration_of_init() -> None:
    """Or its average would be that of all invocations."""
    (root,) = told(changed(start_kind="warm", cold_start=False))
    assert "InitDuration" not in root
    assert metrics(root, "FunctionName", "StartKind") == {"Duration": 750.0}
    (root,) = told(changed(start_kind="proactive", cold_start=False))
    assert (root["InitDuration"], root["ColdStart"], root["StartKind"]) == (250.0, 0, "proactive")


@pytest.mark.parametrize(("outcome", "failures"), [("ok", 0), ("failed", 1), ("timed out", 1)])
def test_failures(outcome: str, failures: int) -> None:
    """What did not end well is one."""
    (root,) = told(changed(outcome=outcome))
    assert root["Failures"] == failures


def test_a_function_without_a_name() -> None:
    """A dimension has a value, always."""
    (root,) = told(changed(function_name=None))
    assert root["FunctionName"] == "unknown"


def test_metrics_of_the_user() -> None:
    """In the same line: one value as a number, several as an array, by function only."""
    (root,) = told(changed(metrics={"Orders": series("Count", 3), "Latency": series("Milliseconds", 1.5, 2.5)}))
    theirs = {"Orders": 3, "Latency": [1.5, 2.5]}
    assert {name: metrics(root, "FunctionName")[name] for name in theirs} == theirs
    assert not theirs.keys() & metrics(root, "FunctionName", "StartKind").keys()


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (86, [86]), (87, [87]), (88, [87, 1]), (187, [87, 100]), (188, [87, 100, 1])]
)
def test_a_hundred_metrics_a_line(count: int, sizes: list[int]) -> None:
    """Lambdakit's own thirteen are in the first line and nowhere else; so is what tells of them."""
    theirs = {f"m{number}": series("None", number) for number in range(count)}
    roots = told(changed(metrics=theirs))
    assert [len([name for name in root if name in theirs]) for root in roots] == sizes
    assert [len(metrics(root, "FunctionName")) for root in roots] == [13 + sizes[0], *sizes[1:]]
    assert [len(metrics(root, "FunctionName", "StartKind")) for root in roots] == [2, *(0 for _ in sizes[1:])]
    assert all(root["lambdakit"] == roots[0]["lambdakit"] for root in roots)
    assert {name: root[name] for root in roots for name in root if name in theirs} == {
        f"m{number}": number for number in range(count)
    }


@pytest.mark.parametrize(("count", "sizes"), [(100, [100]), (101, [100, 1]), (200, [100, 100]), (201, [100, 100, 1])])
def test_a_hundred_values_a_metric(count: int, sizes: list[int]) -> None:
    """The others in further lines, in their order; another metric stays in the first."""
    roots = told(changed(metrics={"Latency": series("Seconds", *range(count)), "Orders": series("Count", 1)}))
    values = [root["Latency"] if isinstance(root["Latency"], list) else [root["Latency"]] for root in roots]
    assert [len(some) for some in values] == sizes
    assert [one for some in values for one in some] == [*range(count)]
    assert ["Orders" in root for root in roots] == [True, *(False for _ in sizes[1:])]


def test_lines_that_are_full_are_passed_over() -> None:
    """A metric of many values finds the lines that have room, whatever came before it."""
    theirs = {f"m{number}": series("None", 0) for number in range(150)}  # 87 and 63
    roots = told(changed(metrics={**theirs, "Latency": series("Seconds", *range(250))}))
    assert [len(root["Latency"]) if "Latency" in root else 0 for root in roots] == [0, 100, 100, 50]


texts = st.text(min_size=1, max_size=50)
maybe_text = st.none() | texts
positive = st.floats(0, 1e12)
maybe_positive = st.none() | positive
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255).filter(
    lambda name: name not in RESERVED
)
numbers = st.floats(-(2.0**360), 2.0**360) | st.integers(-(2**360), 2**360)
records = st.fixed_dictionaries(
    {
        "start_kind": st.sampled_from(["cold", "warm", "restored"]) | texts,
        "cold_start": st.booleans(),
        "request_id": maybe_text,
        "function_name": maybe_text,
        "function_version": maybe_text,
        "number": st.integers(1),
        "environment": texts,
        "previous": maybe_text,
        "init_s": maybe_positive,
        "duration_s": positive,
        "remaining_s": maybe_positive,
        "remaining_share": st.none() | st.floats(0, 1),
        "outcome": st.sampled_from(["ok", "failed", "timed out"]),
        "error": maybe_text,
        "peak_memory_mb": maybe_positive,
        "memory_share": st.none() | st.floats(0, 100),
        "hits": st.integers(0),
        "fetches": st.integers(0),
        "stale": st.integers(0),
        "upstream_s": positive,
        "metrics": st.dictionaries(
            names,
            st.fixed_dictionaries(
                {"unit": st.sampled_from(["Count", "None", "Bytes/Second"]), "values": st.lists(numbers, min_size=1)},
                optional={"resolution": st.just(1)},
            ),
        ),
    }
)


@given(records)
def test_whatever_happened_the_lines_are_what_cloudwatch_takes(drawn: dict[str, Any]) -> None:
    """Any text, any number; and no value of the user's is lost or changed."""
    roots = told(changed(**drawn))
    for name, one in drawn["metrics"].items():
        found = [root[name] for root in roots if name in root]
        assert [value for some in found for value in (some if isinstance(some, list) else [some])] == one["values"]
    assert roots[0]["StartKind"] == drawn["start_kind"]
    assert roots[0]["lambdakit"]["error"] == drawn["error"]
