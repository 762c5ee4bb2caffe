"""The page on Powertools, OpenTelemetry and X-Ray: its code is run as it stands there, with the real packages."""

import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.instrumentation.aws_lambda import AwsLambdaInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import cloud_attributes, faas_attributes
from opentelemetry.semconv._incubating.metrics import faas_metrics
from opentelemetry.semconv.attributes import error_attributes

import lambdakit
from lambdakit.testing import FakeContext
from observing import Observed, metrics_of, observed

PAGE = Path(__file__).resolve().parents[2] / "docs" / "observability.md"
PING = {"warmer": True}
ALIASED = "arn:aws:lambda:eu-west-1:123456789012:function:orders:live"


def _blocks() -> dict[str, str]:
    """The code of each section of the page, at the line where it stands."""
    text = PAGE.read_text(encoding="utf-8")
    found = {}
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        above = text[: match.start(1)]
        (*_, section) = re.findall(r"^## (.+)$", above, re.MULTILINE)
        assert section not in found
        found[section] = "\n" * above.count("\n") + match[1]
    return found


BLOCKS = _blocks()
IN_THE_LAB = {
    "Powertools: Metrics": "powertools_metrics",
    "Powertools: Logger": "powertools_logger",
    "Powertools: Tracer": "powertools_tracer",
    "X-Ray": "x_ray",
    "In which order": "order",
}
IN_THIS_PROCESS = {"OpenTelemetry: spans", "OpenTelemetry: metrics"}


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """The page's handlers, each a function of a lab."""
    with observed(tmp_path_factory.mktemp("page")) as functions:
        for section, name in IN_THE_LAB.items():
            functions.deploy(name, BLOCKS[section])
        yield functions


@pytest.fixture(scope="module")
def spans() -> Iterator[InMemorySpanExporter]:
    """What the process's tracer provider exports."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)  # once in a process
    yield exporter
    provider.shutdown()


@pytest.fixture(scope="module")
def reader() -> Iterator[InMemoryMetricReader]:
    """What the process's meter provider measures."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    metrics.set_meter_provider(provider)  # once in a process
    yield reader
    provider.shutdown()


def _module(section: str) -> Any:
    """A module with the code of a section."""
    module = types.ModuleType("page")
    exec(compile(BLOCKS[section], PAGE, "exec"), vars(module))  # noqa: S102 - the page is ours
    return module


def _context() -> FakeContext:
    context = FakeContext(function_name="orders", aws_request_id="request-1")
    context.invoked_function_arn = ALIASED
    context.function_version = "7"
    return context


def test_every_block_of_the_page_is_run() -> None:
    """What is on the page is in the tests below, and the other way round."""
    assert set(BLOCKS) == IN_THE_LAB.keys() | IN_THIS_PROCESS


def test_powertools_metrics(functions: Observed) -> None:
    """One line for each invocation, with the handler's own metrics and ours; none for a ping."""
    cold, failed, pinged, warm = (
        functions.invoke("powertools_metrics", event) for event in ({"orders": [1, 2]}, {}, PING, {"orders": []})
    )
    assert (cold.value, failed.error, pinged.value["ping"]) == ({"accepted": 2}, "KeyError", "lambda-warmer")
    key = ("Shop", ("StartKind", "service"))
    seen = [
        {name: values for line in reply.lines for name, values in metrics_of(line)[key].items()}
        for reply in (cold, failed, warm)
    ]
    durations = [each.pop("Duration") for each in seen]
    assert seen == [
        {"ColdStart": [1], "Failures": [0], "Orders": [2]},
        {"ColdStart": [0], "Failures": [1]},
        {"ColdStart": [0], "Failures": [0], "Orders": [0]},
    ]
    assert all(0 < value < 30_000 for (value,) in durations)
    assert [[line["StartKind"] for line in reply.lines] for reply in (cold, failed, warm)] == [
        ["cold"],
        ["warm"],
        ["warm"],
    ]
    assert cold.lines[0]["request_id"] != warm.lines[0]["request_id"]
    assert pinged.lines == []


def test_powertools_logger(functions: Observed) -> None:
    """The handler's lines have the true start kind, and a line at the end has the record."""
    pinged, (received, ended) = (functions.invoke("powertools_logger", event).lines for event in (PING, {}))
    assert pinged == []
    # Powertools by itself would say that this was a cold start.
    assert (received["message"], received["start_kind"], received["cold_start"]) == ("order received", "warm", False)
    assert (ended["message"], ended["invocation"]["start_kind"]) == ("invocation ended", "warm")
    assert ended["invocation"]["request_id"] == ended["function_request_id"]
    assert ended["invocation"]["pings"] == 1


def test_powertools_tracer(functions: Observed) -> None:
    """The record has a subsegment beside the handler's."""
    reply = functions.invoke("powertools_tracer", {})
    assert reply.value == {"accepted": 1}
    segments = functions.subsegments(reply.trace_id, 2)
    assert set(segments) == {"## handler", "## lambdakit"}
    ours = segments["## lambdakit"]
    assert ours["annotations"] == {"StartKind": "cold", "Outcome": "ok"}
    assert ours["metadata"]["lambdakit"]["record"]["function_name"] == "powertools_tracer"
    assert ours["parent_id"] == segments["## handler"]["parent_id"]


def test_x_ray(functions: Observed) -> None:
    """A subsegment with annotations to search for, and with the record."""
    reply = functions.invoke("x_ray", {})
    (ours,) = functions.subsegments(reply.trace_id, 1).values()
    assert (ours["name"], ours["annotations"]) == ("lambdakit", {"start_kind": "cold", "outcome": "ok"})
    assert ours["metadata"]["lambdakit"]["record"]["outcome"] == "ok"


def test_the_order_on_the_page(functions: Observed) -> None:
    """Two lines of metrics and one of the log, of three writers, each complete; a ping leaves none."""
    reply = functions.invoke("order", {})
    assert reply.value == {"accepted": 1}
    found = [metrics_of(line) for line in reply.lines]
    assert sorted(len(metrics) for metrics in found) == [0, 1, 2]
    assert {name for metrics in found for values in metrics.values() for name in values} >= {"Orders", "ColdStart"}
    assert functions.invoke("order", PING).lines == []


def _exported(exporter: InMemorySpanExporter) -> Any:
    (span,) = exporter.get_finished_spans()
    exporter.clear()
    return span


def test_open_telemetry_spans_in_the_instrumentation(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The span of OpenTelemetry's own instrumentation gets the attributes; the one of a ping does not."""
    module = _module("OpenTelemetry: spans")
    monkeypatch.setitem(sys.modules, "page", module)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders")
    monkeypatch.setenv("_HANDLER", "page.handler")
    instrumentor = AwsLambdaInstrumentor()
    instrumentor.instrument()
    try:
        assert module.handler({}, _context()) == {"accepted": 1}
        span = _exported(spans)
        assert module.handler(PING, _context())["ping"] == "lambda-warmer"
        of_ping = _exported(spans)
    finally:
        instrumentor.uninstrument()
    assert span.name == "orders"
    seen = dict(span.attributes)
    assert seen.pop("lambdakit.peak_memory_mb") > 1
    assert seen == {
        "cloud.account.id": "123456789012",
        "cloud.resource_id": "arn:aws:lambda:eu-west-1:123456789012:function:orders:7",
        "faas.coldstart": True,
        "faas.invocation_id": "request-1",
        "faas.max_memory": 128 * 1024 * 1024,
        "lambdakit.stale": 0,
        "lambdakit.start_kind": "cold",
    }
    assert "faas.coldstart" not in of_ping.attributes


def test_open_telemetry_spans_of_one_s_own(spans: InMemorySpanExporter) -> None:
    """Whatever opens the span; a function that is not called by an alias has no version in its name."""
    module = _module("OpenTelemetry: spans")
    with trace.get_tracer("test").start_as_current_span("mine"):
        module.handler({}, FakeContext(function_name="orders"))
    span = _exported(spans)
    assert span.attributes["cloud.resource_id"] == "arn:aws:lambda:us-east-1:123456789012:function:orders"
    assert "error.type" not in span.attributes
    module.handler({}, FakeContext())  # without a span there is nothing to tell
    assert spans.get_finished_spans() == ()


def test_open_telemetry_spans_of_failures(spans: InMemorySpanExporter) -> None:
    """Have the type of the error."""

    @lambdakit.handler(on_invocation=_module("OpenTelemetry: spans").to_span)
    def handler(event: Any, context: Any) -> None:
        raise LookupError

    with pytest.raises(LookupError), trace.get_tracer("test").start_as_current_span("mine"):
        handler({}, _context())
    assert _exported(spans).attributes["error.type"] == "LookupError"


def test_open_telemetry_names_are_those_of_the_conventions() -> None:
    """Every attribute without our prefix is one that the conventions have."""
    known = {
        value
        for module in (cloud_attributes, faas_attributes, error_attributes)
        for name, value in vars(module).items()
        if name.isupper()
    }
    used = set(re.findall(r'^ {8}"([a-z_.]+)":', BLOCKS["OpenTelemetry: spans"], re.MULTILINE))
    assert {name for name in used if not name.startswith("lambdakit.")} <= known
    assert len(used) == 9


def _measured(reader: InMemoryMetricReader) -> dict[str, Any]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_open_telemetry_metrics(reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted and measured once an invocation, with names, units and kinds of the conventions."""
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")  # so that there is an INIT
    with lambdakit.use_environment(lambdakit.Environment()):
        handler = _module("OpenTelemetry: metrics").handler
        assert handler({"orders": 2}, _context()) == {"accepted": 2}
        handler({"orders": 2}, _context())
        with pytest.raises(KeyError):
            handler({}, _context())
        handler(PING, _context())
    measured = _measured(reader)
    counts = {
        (name, point.attributes["lambdakit.start_kind"]): getattr(point, "value", getattr(point, "count", None))
        for name, metric in measured.items()
        for point in metric.data.data_points
    }
    assert counts == {
        ("faas.coldstarts", "cold"): 1,
        ("faas.init_duration", "cold"): 1,
        ("faas.invocations", "cold"): 1,
        ("faas.invocations", "warm"): 1,
        ("faas.errors", "warm"): 1,
        ("faas.invoke_duration", "cold"): 1,
        ("faas.invoke_duration", "warm"): 2,
        ("faas.mem_usage", "cold"): 1,
        ("faas.mem_usage", "warm"): 2,
    }
    theirs = InMemoryMetricReader()
    meter = MeterProvider([theirs]).get_meter("conventions")
    for name in measured:
        instrument = getattr(faas_metrics, f"create_{name.replace('.', '_')}")(meter)
        (instrument.add if hasattr(instrument, "add") else instrument.record)(1)
    assert {name: (metric.unit, type(metric.data)) for name, metric in measured.items()} == {
        name: (metric.unit, type(metric.data)) for name, metric in _measured(theirs).items()
    }
