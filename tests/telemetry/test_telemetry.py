"""What is told of invocations, and to whom."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from contextvars import copy_context
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import lambdakit
from emf_schema import checked, metrics
from lambdakit import Environment, Record, Settings, _import_times
from lambdakit._telemetry import Telemetry
from lambdakit.exceptions import ConfigurationError, LambdakitError
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend


class Output:
    """Standard output that remembers each write."""

    def __init__(self) -> None:
        self.writes: list[str] = []
        self.flushed = 0

    def write(self, text: str) -> int:
        self.writes.append(text)
        return len(text)

    def flush(self) -> None:
        self.flushed = len(self.writes)

    @property
    def lines(self) -> list[dict[str, Any]]:
        assert self.flushed == len(self.writes)
        return [checked(line) for text in self.writes for line in text.splitlines(keepends=True)]


@pytest.fixture
def output() -> Output:
    return Output()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def records() -> list[Record]:
    return []


@contextmanager
def environment(
    output: Any = None, *, clock: ManualClock | None = None, secrets: dict[str, Any] | None = None, **settings: Any
) -> Iterator[Environment]:
    """An environment whose standard output is `output`."""
    backend = MemoryBackend(secrets=secrets or {})
    env = Environment(clock=clock or ManualClock(), settings=Settings(**{"environ": {}, **settings}), backend=backend)
    with lambdakit.use_environment(env), redirect_stdout(output or Output()):
        yield env


def fail(event: Any, context: Any) -> None:
    raise LookupError("planted secret")


def nothing(event: Any, context: Any) -> None:
    pass


# Metrics


def test_without_a_word_nothing_is_written_or_made(output: Output) -> None:
    """Off is the default."""
    with environment(output) as env:
        lambdakit.handler(nothing)({}, None)
        assert env._parts.peek(Telemetry) is None
    assert output.writes == []


@pytest.mark.parametrize("settings", [{}, {"metrics_namespace": "Other"}])
def test_metrics_of_a_handler(output: Output, settings: dict[str, Any]) -> None:
    """A line in a single write, in the handler's own namespace."""
    with environment(output, **settings):
        assert lambdakit.handler(lambda event, context: event, metrics="Shop")(5, FakeContext()) == 5
    (root,) = output.lines
    assert len(output.writes) == 1
    assert [one["Namespace"] for one in root["_aws"]["CloudWatchMetrics"]] == ["Shop", "Shop"]
    assert (root["FunctionName"], root["StartKind"], root["ColdStart"]) == ("function", "cold", 1)
    assert root["_aws"]["Timestamp"] == 1_800_000_000_000


@pytest.mark.parametrize("options", [{}, {"on_invocation": []}, {"on_invocation": nothing}])
def test_metrics_of_a_setting(output: Output, options: dict[str, Any]) -> None:
    """For every handler, whatever else it watches."""
    with environment(output, metrics_namespace="Shop"):
        lambdakit.handler(nothing, **options)({}, None)
    (root,) = output.lines
    assert root["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Shop"


def test_a_malformed_setting_is_told_once_and_off(output: Output, caplog: pytest.LogCaptureFixture) -> None:
    """The variable is named, and the invocation is none the worse."""
    with environment(output, metrics_namespace="AWS/Lambda"):
        handler = lambdakit.handler(lambda event, context: event)
        assert [handler(1, None), handler(2, None)] == [1, 2]
    assert output.writes == []
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("LAMBDAKIT_METRICS_NAMESPACE='AWS/Lambda': give a namespace")
    assert caplog.messages[0].endswith("; no metrics are written")


def test_a_handler_that_raises_is_told_once(output: Output) -> None:
    """With the name of the type, never with what it says; what was raised is raised."""
    with environment(output), pytest.raises(LookupError, match="planted secret"):
        lambdakit.handler(fail, metrics="Shop")({}, None)
    (root,) = output.lines
    assert (root["Failures"], root["lambdakit"]["error"]) == (1, "LookupError")
    assert "planted" not in output.writes[0]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_whatever_ends_a_handler_is_told(output: Output, error: type[BaseException]) -> None:
    """An exit too."""

    def leave(event: Any, context: Any) -> None:
        raise error

    with environment(output), pytest.raises(error):
        lambdakit.handler(leave, metrics="Shop")({}, None)
    (root,) = output.lines
    assert root["lambdakit"]["error"] == error.__name__


def test_coroutine_handlers(output: Output) -> None:
    """On the kept loop, and awaited in a loop of the caller's; they may fail, too."""

    async def work(event: Any, context: Any) -> Any:
        await asyncio.sleep(0)
        lambdakit.metric("Orders", 1)
        if event == "fail":
            raise LookupError
        return event

    async def caller() -> None:
        assert await handler("awaited", None) == "awaited"

    with environment(output) as env:
        handler = lambdakit.handler(work, metrics="Shop")
        assert handler("run", None) == "run"
        asyncio.run(caller())
        with pytest.raises(LookupError):
            handler("fail", None)
        env.close()
    assert [(root["lambdakit"]["error"], root["Orders"]) for root in output.lines] == [
        (None, 1),
        (None, 1),
        ("LookupError", 1),
    ]


def test_a_ping_has_no_line_and_is_in_the_next(output: Output) -> None:
    """The next invocation is warm; a ping is counted once."""
    with environment(output):
        handler = lambdakit.handler(nothing, metrics="Shop")
        for event in ({"warmer": True}, {"warmer": True}, {}, {}, {"warmer": True}, {}):
            handler(event, None)
    assert [root["WarmupPings"] for root in output.lines] == [2, 0, 1]
    assert [root["StartKind"] for root in output.lines] == ["warm"] * 3


@pytest.mark.parametrize("broken", ["closed", "none"])
def test_output_that_takes_nothing_is_told_once(broken: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The handler's answer is its own, and listeners are called all the same."""
    stream: Any = None
    if broken == "closed":
        stream = (tmp_path / "out").open("w", encoding="utf-8")
        stream.close()
    seen: list[Record] = []
    with environment(), redirect_stdout(stream):  # None too
        handler = lambdakit.handler(lambda event, context: event, metrics="Shop", on_invocation=seen.append)
        assert [handler(1, None), handler(2, None)] == [1, 2]
    assert len(seen) == 2
    what = {"closed": "ValueError", "none": "AttributeError"}[broken]
    assert caplog.messages == [f"metrics could not be written: {what}"]


def test_a_context_that_raises_knows_nothing(
    output: Output, caplog: pytest.LogCaptureFixture, records: list[Record]
) -> None:
    """It is a line like any other, without what it does not tell."""

    class Context(FakeContext):
        @property
        def memory_limit_in_mb(self) -> str:
            raise RuntimeError("planted secret")

        @memory_limit_in_mb.setter
        def memory_limit_in_mb(self, _: str) -> None: ...

    with environment(output):
        handler = lambdakit.handler(lambda event, context: event, metrics="Shop", on_invocation=records.append)
        assert [handler(1, Context()), handler(2, Context())] == [1, 2]
    assert [record["memory_limit_mb"] for record in records] == [None, None]
    assert (len(output.writes), caplog.messages) == (2, [])


# The user's own


def test_a_metric(output: Output) -> None:
    """In the line of its invocation and of no other; several values are all there."""

    @lambdakit.handler(metrics="Shop")
    def handler(event: Any, context: Any) -> None:
        for value in event:
            lambdakit.metric("Latency", value, unit="Milliseconds")

    with environment(output):
        for event in ([1.5], [2.5, Decimal("0.5")], []):
            handler(event, None)
    assert [root.get("Latency") for root in output.lines] == [1.5, [2.5, 0.5], None]
    assert metrics(output.lines[0], "FunctionName")["Latency"] == 1.5


def test_more_than_fits_a_line_is_still_one_write(output: Output) -> None:
    """Nothing of another process gets between."""

    @lambdakit.handler(metrics="Shop")
    def handler(event: Any, context: Any) -> None:
        for number in range(250):
            lambdakit.metric(f"m{number}", number)

    with environment(output):
        handler({}, None)
    assert (len(output.writes), len(output.lines)) == (1, 3)


def test_a_metric_has_one_unit_in_an_invocation() -> None:
    """In another it may have another."""

    @lambdakit.handler(metrics="Shop")
    def handler(units: list[str], context: Any) -> None:
        for unit in units:
            lambdakit.metric("Size", 1, unit)

    with environment():
        handler(["Bytes", "Bytes"], None)
        handler(["Count"], None)
        with pytest.raises(ConfigurationError, match="unit='Bytes': 'Size' has 'Count' in this invocation; give one"):
            handler(["Count", "Bytes"], None)


@pytest.mark.parametrize("options", [{}, {"on_invocation": nothing}])
def test_arguments_are_checked_whether_anybody_watches_or_not(options: dict[str, Any]) -> None:
    """So that a test finds the mistake."""

    @lambdakit.handler(**options)
    def handler(event: tuple[Any, ...], context: Any) -> None:
        lambdakit.metric(*event)

    with environment():
        handler(("Orders", 1, "Count"), None)
        for wrong in (("", 1), ("Orders", float("nan")), ("Orders", 1, "Pieces")):
            with pytest.raises(ConfigurationError):
                handler(wrong, None)


def test_outside_an_invocation_a_metric_is_nothing(output: Output, caplog: pytest.LogCaptureFixture) -> None:
    """A helper that counts is called by a unit test, too: no error, nothing made; a line for who looks for it.

    What is wrong with it is told as in an invocation.
    """
    with environment(output) as env, caplog.at_level(logging.DEBUG, logger="lambdakit"):
        lambdakit.metric("Orders", 1)
        assert env._parts.peek(Telemetry) is None
        with pytest.raises(ConfigurationError, match="unit="):
            lambdakit.metric("Orders", 1, "Pieces")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", "metric 'Orders': no invocation is running here")
    ]
    assert output.writes == []


def test_a_metric_where_nobody_watches_is_nothing(records: list[Record]) -> None:
    """Nothing is made for it; nor is one of a ping kept where somebody watches, or of another handler's invocation."""
    with environment() as env:
        lambdakit.handler(lambda event, context: lambdakit.metric("Orders", 1))({}, None)
        assert env._parts.peek(Telemetry) is None
        watched = lambdakit.handler(
            nothing, on_invocation=records.append, on_ping=lambda: lambdakit.metric("Orders", 1)
        )
        watched({}, None)
        watched({"warmer": True}, None)
        lambdakit.handler(lambda event, context: lambdakit.metric("Orders", 1))({}, None)
        watched({}, None)
    assert [record["metrics"] for record in records] == [{}, {}]


def test_metrics_with_dimensions_have_lines_of_their_own(output: Output, records: list[Record]) -> None:
    """One for each combination of values; the same names in another order are the same ones."""

    def measure(event: Any, context: Any) -> None:
        lambdakit.metric("Paid", 1, "Count")
        lambdakit.metric("Paid", 2, "Count", dimensions={"Provider": "stripe", "Country": "fr"})
        lambdakit.metric("Paid", 3, "Count", dimensions={"Country": "fr", "Provider": "stripe"})
        lambdakit.metric("Latency", 5, "Milliseconds", dimensions={"Country": "fr", "Provider": "stripe"}, resolution=1)
        lambdakit.metric("Paid", 4, "Count", dimensions={"Provider": "adyen"})
        lambdakit.metric("Provider", 6, "Count", dimensions={})

    with environment(output):
        lambdakit.handler(measure, metrics="Shop", on_invocation=records.append)({}, FakeContext())
    assert len(output.writes) == 1
    first, stripe, adyen = output.lines
    assert (first["Paid"], first["Provider"]) == (1, 6)
    assert metrics(stripe, "FunctionName", "Country", "Provider") == {"Paid": [2, 3], "Latency": 5}
    assert metrics(adyen, "FunctionName", "Provider") == {"Paid": 4}
    assert (stripe["Country"], stripe["Provider"], adyen["Provider"]) == ("fr", "stripe", "adyen")
    assert {root["lambdakit"]["request_id"] for root in (first, stripe, adyen)} == {FakeContext().aws_request_id}
    assert "Duration" not in stripe
    own = {"Country": "fr", "Provider": "stripe"}
    assert records[0]["metrics"] == {
        "Paid": {"unit": "Count", "values": [1]},
        "Paid,Country=fr,Provider=stripe": {"unit": "Count", "values": [2, 3], "name": "Paid", "dimensions": own},
        "Latency,Country=fr,Provider=stripe": {
            "unit": "Milliseconds",
            "values": [5],
            "resolution": 1,
            "name": "Latency",
            "dimensions": own,
        },
        "Paid,Provider=adyen": {
            "unit": "Count",
            "values": [4],
            "name": "Paid",
            "dimensions": {"Provider": "adyen"},
        },
        "Provider": {"unit": "Count", "values": [6]},
    }


def test_a_metric_of_high_resolution(output: Output) -> None:
    """CloudWatch keeps it to the second; one resolution for a name in an invocation."""

    def measure(event: Any, context: Any) -> None:
        lambdakit.metric("Latency", 1, resolution=1)
        lambdakit.metric("Orders", 1, resolution=60)
        with pytest.raises(ConfigurationError, match=r"^resolution=60: 'Latency' has another one"):
            lambdakit.metric("Latency", 1)

    with environment(output):
        lambdakit.handler(measure, metrics="Shop")({}, None)
    (root,) = output.lines
    listed = {one["Name"]: one for one in root["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert listed["Latency"] == {"Name": "Latency", "Unit": "None", "StorageResolution": 1}
    assert listed["Orders"] == {"Name": "Orders", "Unit": "None"}


@pytest.mark.parametrize(
    ("level", "told"),
    [("", "INFO"), ("DEBUG", "INFO"), ("INFO", "INFO"), ("WARN", "WARN"), ("ERROR", "ERROR"), ("fatal", "FATAL")],
)
def test_lines_have_the_level_that_lambda_keeps(output: Output, level: str, told: str) -> None:
    """What is below the application log level is dropped, and what has no level counts as INFO."""

    def measure(event: Any, context: Any) -> None:
        lambdakit.metric("Paid", 4, dimensions={"Provider": "adyen"})

    with environment(output, environ={"AWS_LAMBDA_LOG_LEVEL": level}):
        lambdakit.handler(measure, metrics="Shop")({}, None)
    assert [root["level"] for root in output.lines] == [told, told]


@pytest.mark.parametrize(("in_lambda", "begin"), [(True, "\n{"), (False, '{"')])
def test_under_lambda_lines_begin_a_line(output: Output, in_lambda: bool, begin: str) -> None:
    """Whatever was printed before: nobody can tell how it has ended. Elsewhere nobody reads metrics off the output."""
    with environment(output, in_lambda=in_lambda):
        lambdakit.handler(nothing, metrics="Shop")({}, None)
    (text,) = output.writes
    assert text.startswith(begin)
    checked(text.lstrip("\n"))


# Decorated handlers that call others


def nested(outer: Any, inner: Any, fn: Any = nothing) -> Any:
    """A router: one decorated handler that calls another one with what it got."""
    inner_one = lambdakit.handler(**inner)(fn)

    @lambdakit.handler(**outer)
    def router(event: Any, context: Any) -> Any:
        return inner_one(event, context)

    return router


@pytest.mark.parametrize(
    ("settings", "outer", "inner", "namespaces"),
    [
        ({}, {}, {"metrics": "Shop"}, ["Shop"]),
        ({}, {"metrics": "Shop"}, {}, ["Shop"]),
        ({}, {"metrics": "Shop"}, {"metrics": "Shop"}, ["Shop"]),
        ({}, {"metrics": "Router"}, {"metrics": "Shop"}, ["Router", "Shop"]),
        ({}, {"on_invocation": nothing}, {"metrics": "Shop"}, ["Shop"]),
        ({}, {"metrics": "Router"}, {"on_invocation": [nothing]}, ["Router"]),
        ({"metrics_namespace": "All"}, {}, {"metrics": "Shop"}, ["All", "Shop"]),
        ({"metrics_namespace": "All"}, {}, {}, ["All"]),
        ({}, {}, {}, []),
    ],
)
def test_metrics_of_a_handler_that_another_one_calls(
    output: Output, settings: dict[str, Any], outer: Any, inner: Any, namespaces: list[str]
) -> None:
    """One invocation, a line in the namespace of each; nothing that was measured is lost."""
    with environment(output, **settings):
        router = nested(outer, inner, lambda event, context: lambdakit.metric("Orders", 2))
        router({}, FakeContext())
        router({}, FakeContext())
        assert lambdakit.environment().invocations == 2
    found = [(root["_aws"]["CloudWatchMetrics"][0]["Namespace"], root["Orders"]) for root in output.lines]
    assert found == [(namespace, 2) for namespace in namespaces] * 2


def test_listeners_of_a_handler_that_another_one_calls() -> None:
    """Each once for the invocation, however often it is called; the failure is that of the whole."""
    told: list[Any] = []

    @lambdakit.handler(on_invocation=lambda record: told.append(("inner", record["outcome"], record["metrics"])))
    def inner(event: Any, context: Any) -> None:
        lambdakit.metric("Orders", 1)

    @lambdakit.handler(on_invocation=lambda record: told.append(("outer", record["outcome"], record["metrics"])))
    def outer(event: Any, context: Any) -> None:
        inner(event, context)
        inner(event, context)
        raise LookupError

    with environment(), pytest.raises(LookupError):
        outer({}, FakeContext())
    orders = {"Orders": {"unit": "None", "values": [1, 1]}}
    assert told == [("outer", "failed", orders), ("inner", "failed", orders)]


def test_metrics_of_threads(records: list[Record]) -> None:
    """They belong to the invocation that started them."""

    @lambdakit.handler(on_invocation=records.append)
    def handler(event: Any, context: Any) -> None:
        threads = [threading.Thread(target=lambdakit.metric, args=("Orders", number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with environment():
        handler({}, None)
    assert sorted(records[0]["metrics"]["Orders"]["values"]) == [*range(8)]


def finished(*targets: Any) -> None:
    """Each in a thread of its own, one after the other."""
    for target in targets:
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()


def test_a_thread_that_outlives_its_invocation_counts_to_none(records: list[Record]) -> None:
    """Whether it has a copy of its context or not; one that the running invocation has started counts to that."""
    go, threads = threading.Event(), []

    def late() -> None:
        assert go.wait(10)
        lambdakit.metric("Late", 1)

    @lambdakit.handler(on_invocation=records.append)
    def handler(event: Any, context: Any) -> None:
        if event == "start":
            threads.extend(threading.Thread(target=fn) for fn in (late, partial(copy_context().run, late)))
            for thread in threads:
                thread.start()
        else:
            go.set()
            for thread in threads:
                thread.join()
            finished(lambda: lambdakit.metric("Mine", 1), partial(copy_context().run, lambdakit.metric, "Mine", 2))

    with environment():
        handler("start", None)
        handler("work", None)
    assert [record["metrics"] for record in records] == [{}, {"Mine": {"unit": "None", "values": [1, 2]}}]


def test_a_pool_that_is_kept_counts_to_the_invocation_that_runs(records: list[Record]) -> None:
    """Its threads are older than the invocation, and work for it."""
    with ThreadPoolExecutor(1) as pool:

        @lambdakit.handler(on_invocation=records.append)
        def handler(event: Any, context: Any) -> None:
            pool.submit(lambdakit.metric, "Orders", event).result(10)

        with environment():
            handler(1, None)
            handler(2, None)
    assert [record["metrics"]["Orders"]["values"] for record in records] == [[1], [2]]


def test_a_metric_of_a_thread_where_nobody_watches_this_invocation(records: list[Record]) -> None:
    """It is nobody's."""
    with environment():
        lambdakit.handler(nothing, on_invocation=records.append)({}, None)
        lambdakit.handler(lambda event, context: finished(lambda: lambdakit.metric("Orders", 1)))({}, None)
        lambdakit.handler(nothing, on_invocation=records.append)({}, None)
    assert [record["metrics"] for record in records] == [{}, {}]


# Listeners


def test_listeners_are_called_in_order_after_the_metrics(output: Output) -> None:
    """Within the invocation still, each with a record of its own."""
    calls: list[Any] = []

    def first(record: Record) -> None:
        calls.append(("first", len(output.writes), lambdakit.invocation().number))
        record.clear()  # type: ignore[attr-defined] # as a careless one may

    def second(record: Record) -> None:
        calls.append(("second", record["outcome"]))

    with environment(output):
        lambdakit.handler(nothing, metrics="Shop", on_invocation=[first, second])({}, None)
    assert calls == [("first", 1, 1), ("second", "ok")]


class Careless:
    def __call__(self, record: Record) -> None:
        raise LookupError("planted secret")


def test_a_listener_that_raises_is_told_once(caplog: pytest.LogCaptureFixture, records: list[Record]) -> None:
    """By its name and the type; the others are called, the handler answers, or raises what it raised."""

    def broken(record: Record) -> None:
        raise ValueError("planted secret")

    listeners = [broken, Careless(), records.append]
    with environment():
        handler = lambdakit.handler(lambda event, context: event, on_invocation=listeners)
        assert [handler(1, None), handler(2, None)] == [1, 2]
        with pytest.raises(LookupError, match="planted"):
            lambdakit.handler(fail, on_invocation=listeners)({}, None)
    assert len(records) == 3
    name = "test_a_listener_that_raises_is_told_once.<locals>.broken"
    assert caplog.messages == [f"on_invocation: {name} raised ValueError", "on_invocation: Careless raised LookupError"]


def test_what_ends_a_process_passes_a_listener() -> None:
    """And the invocation is over."""

    def leave(record: Record) -> None:
        raise SystemExit(3)

    with environment() as env:
        with pytest.raises(SystemExit):
            lambdakit.handler(nothing, on_invocation=leave)({}, None)
        with pytest.raises(LambdakitError, match="no invocation is running here"):
            env.invocation()


async def awaited(record: Record) -> None: ...


class Awaited:
    async def __call__(self, record: Record) -> None: ...

    async def method(self, record: Record) -> None: ...


@pytest.mark.parametrize("given", [5, None, True, "log", [5], [nothing, None], awaited, Awaited(), Awaited().method])
def test_what_cannot_listen_is_refused(given: Any) -> None:
    """Where it stands: nobody would await a coroutine."""
    with pytest.raises(ConfigurationError, match=r"^on_invocation=.*: give a function of one argument"):
        lambdakit.handler(nothing, on_invocation=given)


@pytest.mark.parametrize("given", [print, Careless(), Careless, [nothing], (nothing,), iter([nothing])])
def test_what_can_listen(given: Any) -> None:
    """Anything that can be called, or several."""
    lambdakit.handler(nothing, on_invocation=given)


@pytest.mark.parametrize("given", ["", "AWS/Lambda", 5, True])
def test_a_namespace_that_is_none_is_refused(given: Any) -> None:
    """Where it stands."""
    with pytest.raises(ConfigurationError, match=r"^metrics=.*: give a namespace of CloudWatch"):
        lambdakit.handler(nothing, metrics=given)


# What came before


def test_what_became_of_the_one_before(records: list[Record]) -> None:
    """Returned, raised, or had no time left; None for the first."""
    with environment():
        watch = {"on_invocation": records.append}
        lambdakit.handler(nothing, **watch)({}, FakeContext())
        with pytest.raises(LookupError):
            lambdakit.handler(fail, **watch)({}, FakeContext())
        lambdakit.handler(nothing, **watch)({}, FakeContext(remaining_s=0.0))
        lambdakit.handler(nothing)({}, FakeContext())  # whom nobody watches
        lambdakit.handler(nothing, **watch)({}, FakeContext())
    assert [record["previous"] for record in records] == [None, "ok", "failed", "ok"]
    assert [record["outcome"] for record in records] == ["ok", "failed", "timed out", "ok"]


class Size(int):
    """A number that cannot be written."""

    def __str__(self) -> str:
        raise RuntimeError("planted secret")


def test_one_that_could_not_be_reported_is_told_once_and_came_before_all_the_same(
    output: Output, caplog: pytest.LogCaptureFixture, records: list[Record]
) -> None:
    """No line then, the answer is the handler's, and what is said of it later is what its handler did."""
    context = FakeContext()
    context.memory_limit_in_mb = Size(128)  # type: ignore[assignment] # a test may make a context of anything
    with environment(output):
        watch: dict[str, Any] = {"on_invocation": records.append, "metrics": "Shop"}
        lambdakit.handler(nothing, **watch)({}, FakeContext())
        for _ in range(2):
            with pytest.raises(LookupError):
                lambdakit.handler(fail, **watch)({}, context)
        lambdakit.handler(nothing, **watch)({}, FakeContext())
    assert [record["previous"] for record in records] == [None, "failed"]
    assert len(output.writes) == 2
    assert caplog.messages == ["the end of an invocation could not be reported: RuntimeError"]


def test_an_invocation_that_nobody_watches_comes_before_too(records: list[Record], tmp_path: Path) -> None:
    """Also if it was the first: this process has served then, whatever became of the one before it."""
    environ = {"AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[1]0123", "TMPDIR": str(tmp_path)}
    with environment(environ=environ, in_lambda=True):
        lambdakit.handler(nothing, on_invocation=records.append)({}, None)
    (mark,) = tmp_path.iterdir()
    mark.write_text("0", encoding="ascii")
    with environment(environ=environ, in_lambda=True):
        watched, other = lambdakit.handler(nothing, on_invocation=records.append), lambdakit.handler(nothing)
        other({}, None)
        watched({}, None)
    assert [record["previous"] for record in records] == [None, "ok"]


def test_the_first_knows_whether_a_process_was_ended(records: list[Record], tmp_path: Path) -> None:
    """Which has left its mark where this one was started; see the tests of that."""
    environ = {"AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[1]0123", "TMPDIR": str(tmp_path)}
    with environment(environ=environ, in_lambda=True):
        lambdakit.handler(nothing, on_invocation=records.append)({}, None)
    (mark,) = tmp_path.iterdir()
    mark.write_text("0", encoding="ascii")
    with environment(environ=environ, in_lambda=True):
        for _ in range(2):
            lambdakit.handler(nothing, on_invocation=records.append)({}, None)
    assert [record["previous"] for record in records] == [None, "ended", "ok"]


# INIT


def test_the_duration_of_init(records: list[Record], clock: ManualClock) -> None:
    """From the start of the process to the end of INIT, by the clock that may stand still; the same in each record."""
    with environment(clock=clock, in_lambda=True):
        handler = lambdakit.handler(nothing, on_invocation=records.append)
        clock.suspend(3600)
        handler({}, None)
        clock.tick(5)
        handler({}, None)
        first, second = [record["init_s"] or 0.0 for record in records]
        assert first == second > 0.0
        handler = lambdakit.handler(handler)  # with the outermost INIT ends
        clock.tick(1e9)  # more than the process is old
        handler({}, None)
    assert records[2]["init_s"] == 0.0


@pytest.mark.parametrize("settings", [{}, {"in_lambda": True, "init_type": "snap-start"}])
def test_where_init_has_no_duration(records: list[Record], settings: dict[str, Any]) -> None:
    """In a process that is not Lambda's, and before the snapshot was taken."""
    with environment(**settings):
        lambdakit.handler(nothing, on_invocation=records.append)({}, None)
    assert records[0]["init_s"] is None


def test_what_an_invocation_waits_for_before_its_handler_is_its_own(records: list[Record], clock: ManualClock) -> None:
    """Declared values that INIT could not fetch: they are fetched for the first invocation, and counted as its."""
    with environment(clock=clock, secrets={"a": "1", "b": "2"}, in_lambda=True, init_type="snap-start"):
        lambdakit.handler(nothing, preload=[lambdakit.secret("a"), lambdakit.secret("b")])
        handler = lambdakit.handler(lambda event, context: lambdakit.get_secret("a"), on_invocation=records.append)
        assert handler({}, None) == "1"
    assert [(record["fetches"], record["hits"]) for record in records] == [(2, 1)]


# The log


def test_the_log_has_a_line_for_a_start(output: Output) -> None:
    """And none for what is warm; written together with the metrics."""
    with environment(output, log=True):
        handler = lambdakit.handler(nothing, metrics="Shop")
        handler({}, None)
        handler({}, None)
    first, second = output.writes
    log, line = first.splitlines(keepends=True)
    assert json.loads(log)["message"] == "lambdakit: cold start"
    assert "imports" not in json.loads(log)
    assert checked(line)["StartKind"] == "cold"
    assert checked(second)["StartKind"] == "warm"


def test_the_log_without_metrics(output: Output) -> None:
    """The line alone, also if the handler raises."""
    with environment(output, log=True):
        with pytest.raises(LookupError):
            lambdakit.handler(fail)({}, None)
        lambdakit.handler(nothing)({}, None)
    assert [json.loads(text)["error"] for text in output.writes] == ["LookupError"]


def test_imports_that_were_timed_are_in_the_line(output: Output) -> None:
    """And nothing is timed from the end of the first invocation on, whether there is a line or not."""
    for log in (True, False):
        _import_times.install()
        with environment(output, log=log, trace_imports=True):
            handler = lambdakit.handler(nothing)
            if not log:
                handler({"warmer": True}, None)
                handler = lambdakit.handler(nothing, on_invocation=[])
            handler({}, None)
            handler({}, None)
        assert _import_times.taken() is None
    (text,) = output.writes
    assert json.loads(text)["imports"]["seen"] == "after lambdakit"


# Forks, and the end


def test_a_child_that_was_forked_within_an_invocation_tells_nothing(output: Output, records: list[Record]) -> None:
    """It is the parent's to tell; the child's own invocations are its own, also those within it."""
    with environment(output) as env:

        @lambdakit.handler(metrics="Shop", on_invocation=records.append)
        def handler(event: list[str], context: Any) -> None:
            env._after_fork_in_child()
            for one in event:
                own(one, context)

        own = lambdakit.handler(lambda event, context: event, on_invocation=records.append)
        handler([], None)
        assert (output.writes, records) == ([], [])
        handler(["work"], None)
        own("work", None)
    assert output.writes == []
    assert [record["number"] for record in records] == [1, 2]


def test_its_repr_and_its_end(records: list[Record]) -> None:
    """How many are watched; there is nothing to close."""
    with environment() as env:
        seen: list[str] = []

        @lambdakit.handler(on_invocation=records.append)
        def handler(event: Any, context: Any) -> None:
            seen.append(repr(env._parts[Telemetry]))
            env.close()

        handler({}, None)
        assert [*seen, repr(env._parts[Telemetry])] == ["<Telemetry invocations=1>", "<Telemetry invocations=0>"]
    assert len(records) == 1


def test_nothing_of_it_is_secret(output: Output, caplog: pytest.LogCaptureFixture) -> None:
    """Neither values nor arguments nor what was raised."""

    @lambdakit.handler(metrics="Shop")
    def handler(event: Any, context: Any) -> None:
        raise LookupError(lambdakit.get_secret("db"))

    secrets = {"db": "planted"}
    with environment(output, secrets=secrets, log=True), pytest.raises(LookupError), caplog.at_level(logging.DEBUG):
        handler("planted", None)
    assert len(output.writes) == 1
    assert "planted" not in output.writes[0] + caplog.text


@pytest.mark.parametrize("in_lambda", [True, False])
@pytest.mark.parametrize(
    ("settings", "options"),
    [({"log": True}, {}), ({"metrics_namespace": "Shop"}, {}), ({}, {"metrics": "Shop"}), ({}, {"on_invocation": []})],
)
def test_its_imports_belong_to_init(settings: dict[str, Any], options: dict[str, Any], in_lambda: bool) -> None:
    """Where settings or handler ask for it, the first invocation does not wait for the modules behind it."""
    env = Environment(settings=Settings(in_lambda=in_lambda, **settings), backend=MemoryBackend())
    with lambdakit.use_environment(env):
        lambdakit.handler(lambda event, context: None, **options)
    assert (env._parts.peek(Telemetry) is not None) is in_lambda
