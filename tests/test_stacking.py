"""Beside other decorators: Powertools' three and Mangum, lambdakit outermost and innermost, in a real runtime."""

from collections.abc import Iterator
from typing import Any

import pytest

from observing import Observed, Reply, metrics_of, observed

PING = {"warmer": True}

# One process for all of them: each is called as the runtime would call it, by a function that is none of ours.
CODE = """
import asyncio

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from mangum import Mangum

import lambdakit

asyncio.set_event_loop(asyncio.new_event_loop())  # Mangum asks for the current one
logger, metrics = Logger(service="orders"), Metrics(namespace="Theirs", service="orders")
tracer = Tracer(service="orders", auto_patch=False)
reached = 0


def work(event, context):
    global reached
    reached += 1
    metrics.add_metric("Orders", MetricUnit.Count, 1)
    logger.info("order received")
    if "fail" in event:
        raise LookupError(event["fail"])
    return {"event": event, "request_id": context.aws_request_id}


async def app(scope, receive, send):
    global reached
    reached += 1
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


mangum = Mangum(app, lifespan="off")
ours = lambdakit.handler(metrics="Ours")


def web(event, context):
    return mangum(event, context)


def all_of_theirs(fn):
    return logger.inject_lambda_context(tracer.capture_lambda_handler(metrics.log_metrics(fn)))


THEIRS = {
    "logger": logger.inject_lambda_context,
    "metrics": metrics.log_metrics,
    "tracer": tracer.capture_lambda_handler,
    "all": all_of_theirs,
}
STACKS = {
    **{f"ours, {name}": ours(theirs(work)) for name, theirs in THEIRS.items()},
    **{f"{name}, ours": theirs(ours(work)) for name, theirs in THEIRS.items()},
    "ours, mangum": ours(mangum),
    "ours, all, mangum": ours(all_of_theirs(web)),
    "all, ours, mangum": all_of_theirs(ours(mangum)),
}


def handler(event, context):
    if "stack" not in event:
        return reached
    try:
        return STACKS[event["stack"]](event["event"], context)
    finally:
        metrics.clear_metrics()  # of a stack that does not write them
"""
REQUEST = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/orders",
    "rawQueryString": "",
    "headers": {},
    "requestContext": {"http": {"method": "GET", "path": "/orders", "sourceIp": "1.2.3.4"}},
    "isBase64Encoded": False,
}
FUNCTIONS = [
    f"{one}, {other}"
    for name in ("logger", "metrics", "tracer", "all")
    for one, other in (("ours", name), (name, "ours"))
]
ADAPTERS = ["ours, mangum", "ours, all, mangum", "all, ours, mangum"]


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """A function with every stack in it."""
    with observed(tmp_path_factory.mktemp("stack")) as functions:
        functions.deploy("stacks", CODE)
        yield functions


@pytest.fixture
def call(functions: Observed) -> Any:
    """Call one of the stacks with an event."""

    def call(stack: str, event: Any) -> Reply:
        return functions.invoke("stacks", {"stack": stack, "event": event})

    return call


@pytest.fixture
def reached(functions: Observed) -> Any:
    """How often the innermost function was called so far."""
    return lambda: functions.invoke("stacks", {}).value


def _written(reply: Reply) -> dict[str, dict[str, list[float]]]:
    """Metrics by namespace, each of which has one line of its own."""
    found: dict[str, dict[str, list[float]]] = {}
    for line in reply.lines:
        metrics = metrics_of(line)
        namespaces = {namespace for namespace, _ in metrics}
        assert len(namespaces) < 2
        for namespace in namespaces:
            assert namespace not in found
            found[namespace] = {name: values for each in metrics.values() for name, values in each.items()}
    return found


@pytest.mark.parametrize("stack", FUNCTIONS)
def test_results_pass(stack: str, call: Any) -> None:
    """Unchanged, and everybody's lines are written, each by itself."""
    reply = call(stack, {"order": 1})
    assert (reply.error, reply.value["event"]) == (None, {"order": 1})
    written = _written(reply)
    assert (written["Ours"]["Failures"], written["Ours"]["Duration"][0] > 0) == ([0], True)
    if "metrics" in stack or "all" in stack:
        assert written["Theirs"] == {"Orders": [1]}
    (logged,) = [line for line in reply.lines if line.get("message") == "order received"]
    if "logger" in stack or "all" in stack:
        assert logged["function_request_id"] == reply.value["request_id"]


@pytest.mark.parametrize("stack", FUNCTIONS)
def test_exceptions_pass(stack: str, call: Any) -> None:
    """Unchanged, and everybody's lines are written, each by itself."""
    reply = call(stack, {"fail": "nothing there"})
    assert (reply.error, reply.value["errorMessage"]) == ("LookupError", "nothing there")
    written = _written(reply)
    assert written["Ours"]["Failures"] == [1]
    if "metrics" in stack or "all" in stack:
        assert written["Theirs"] == {"Orders": [1]}


@pytest.mark.parametrize("stack", [*FUNCTIONS, *ADAPTERS])
def test_a_ping_reaches_nobody_inside(stack: str, call: Any, reached: Any) -> None:
    """It is answered, and writes no metrics; outermost, the others do not see it either."""
    before = reached()
    reply = call(stack, PING)
    assert (reply.error, reply.value["ping"], reached()) == (None, "lambda-warmer", before)
    assert _written(reply) == {}
    if stack.startswith("ours"):
        assert reply.lines == []


@pytest.mark.parametrize("stack", ADAPTERS)
def test_mangum_answers_requests(stack: str, call: Any, reached: Any) -> None:
    """As it does alone, and everybody's lines are written."""
    before = reached()
    reply = call(stack, REQUEST)
    assert (reply.value["statusCode"], reply.value["body"], reached()) == (200, "/orders", before + 1)
    assert _written(reply)["Ours"]["Failures"] == [0]


@pytest.mark.parametrize(("stack", "of_pings"), [("ours, tracer", 0), ("tracer, ours", 1)])
def test_what_is_traced(stack: str, of_pings: int, call: Any, functions: Observed) -> None:
    """The handler, by Powertools; a ping only where Powertools is outermost."""
    ping, reply = call(stack, PING), call(stack, {"order": 2})
    assert set(functions.subsegments(reply.trace_id, 1)) == {"## work"}
    assert functions.traces.count(ping.trace_id) == of_pings
