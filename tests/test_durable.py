"""Durable functions: with the real SDK and its test runner, decorated inside and outside of its decorator."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from aws_durable_execution_sdk_python import durable_execution, durable_step
from aws_durable_execution_sdk_python.config import Duration
from aws_durable_execution_sdk_python_testing.runner import DurableFunctionTestRunner

import lambdakit
from lambdakit import Record
from lambdakit._warmup.durable import is_durable
from lambdakit.testing import FakeContext

PING = {"warmer": True}
SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The SDK logs whatever fails, and calls Lambda where no runner takes its place: here nobody listens."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(logging.getLogger("aws_durable_execution_sdk_python"), "disabled", True)
    SEEN.clear()
    yield
    SEEN.clear()


@durable_step
def charge(context: Any) -> int:
    return 3


def flow(event: Any, context: Any) -> int:
    """Is suspended once."""
    invocation = lambdakit.invocation()
    SEEN.append((event, invocation.request_id, context.lambda_context.invoked_function_arn, lambdakit.remaining_s()))
    lambdakit.metric("Flows", 1)
    paid: int = context.step(charge())
    context.wait(Duration.from_seconds(1))
    return paid


def failing(event: Any, context: Any) -> None:
    raise LookupError("planted secret")


def run(handler: Any, payload: Any) -> Any:
    with DurableFunctionTestRunner(handler=handler, poll_interval=0.02) as runner:
        result = runner.run(input=json.dumps(payload), execution_timeout=30)
    runner._scheduler._loop.close()  # it leaves that to the garbage collector
    return result


def decorated(how: str, fn: Any, records: list[Record]) -> Any:
    """A durable handler, whose observer is told of each invocation once, however often it is decorated."""
    kit: Any = lambdakit.handler(on_invocation=records.append)
    plain: Any = lambdakit.handler
    return {
        "inside": lambda: durable_execution(kit(fn)),
        "outside": lambda: kit(durable_execution(fn)),
        "both": lambda: plain(durable_execution(kit(fn))),
        "both, told outside": lambda: kit(durable_execution(plain(fn))),
        "outside of what wraps it": lambda: kit(
            lambdakit.retry_on_rotation(lambdakit.secret("a"), errors=OSError)(durable_execution(fn))
        ),
    }[how]()


WAYS = ["inside", "outside", "both", "both, told outside", "outside of what wraps it"]


@pytest.mark.parametrize("how", WAYS)
def test_an_execution_that_is_suspended(how: str) -> None:
    """Two invocations, neither of them a failure; each knows what Lambda's own context says, and counts its metrics."""
    records: list[Record] = []
    result = run(decorated(how, flow, records), {"order": 1})
    assert result.status.name == "SUCCEEDED"
    assert json.loads(result.result) == 3
    assert [(one["outcome"], one["error"], one["number"]) for one in records] == [("ok", None, 1), ("ok", None, 2)]
    assert [one["metrics"]["Flows"]["values"] for one in records] == [[1.0], [1.0]]
    (event, request_id, arn, remaining_s), _ = SEEN
    assert event == {"order": 1}
    assert request_id == records[0]["request_id"] is not None
    assert arn == records[0]["function_arn"] is not None
    assert remaining_s is not None
    assert records[0]["remaining_s"] is not None
    assert lambdakit.environment()._running == set()


@pytest.mark.parametrize("how", WAYS)
def test_a_ping_starts_nothing(how: str) -> None:
    """It is answered, and the execution that carried it is over."""
    records: list[Record] = []
    result = run(decorated(how, flow, records), PING)
    assert result.status.name == "SUCCEEDED"
    assert json.loads(result.result) == {"ping": "lambda-warmer", "environment": lambdakit.environment().id}
    assert (SEEN, records, lambdakit.environment().pings) == ([], [], 1)


@pytest.mark.parametrize("how", WAYS)
def test_an_execution_that_fails(how: str) -> None:
    """A failure by the name of its error, although the SDK raises nothing."""
    records: list[Record] = []
    assert run(decorated(how, failing, records), {"order": 1}).status.name == "FAILED"
    assert [(one["outcome"], one["error"]) for one in records] == [("failed", "LookupError")]


def envelope(payload: str | None) -> dict[str, Any]:
    """What Lambda sends."""
    execution: dict[str, Any] = {"Id": "e", "Type": "EXECUTION", "Status": "STARTED"}
    if payload is not None:
        execution["ExecutionDetails"] = {"InputPayload": payload}
    step = {"Id": "s", "Type": "STEP", "Status": "STARTED"}
    return {
        "DurableExecutionArn": "arn:aws:lambda:us-east-1:123456789012:function:f:1/durable-execution/n/e",
        "CheckpointToken": "token",
        "InitialExecutionState": {"Operations": [step, execution], "NextMarker": ""},
    }


def test_the_event_as_lambda_sends_it() -> None:
    """A dictionary; the answer is one of an execution that has succeeded. A predicate is given the payload."""
    handler = lambdakit.handler(durable_execution(flow))
    answer = handler(envelope('{"warmer": true}'), FakeContext())
    assert answer["Status"] == "SUCCEEDED"
    assert json.loads(answer["Result"])["ping"] == "lambda-warmer"
    given: list[Any] = []

    def mine(event: Any, context: Any) -> bool:
        given.append(event)
        return True

    handler = lambdakit.handler(durable_execution(flow), warmup=mine)
    assert json.loads(handler(envelope('{"order": 1}'), FakeContext())["Result"])["ping"] == "mine"
    assert given == [{"order": 1}]


@pytest.mark.parametrize(
    "event",
    [envelope(None), envelope("{"), envelope(None) | {"InitialExecutionState": None}, {"order": 1}, None, []],
    ids=["no payload", "no JSON", "no state", "of no execution", "None", "list"],
)
def test_other_events_are_the_sdks(event: Any) -> None:
    """Whatever it makes of them: nothing is a ping, and what it raises is raised, and a failure."""
    records: list[Record] = []
    handler = lambdakit.handler(durable_execution(flow), on_invocation=records.append, warmup=lambdakit.Warmup())
    with pytest.raises(Exception) as raised:  # noqa: PT011 - the SDK's, or the endpoint's that there is none of
        handler(event, FakeContext())
    assert [one["error"] for one in records] == [type(raised.value).__name__]


def test_a_direct_ping() -> None:
    """Without an execution around it, from who invokes the function as any other."""
    handler = lambdakit.handler(durable_execution(flow))
    assert json.loads(handler(PING, FakeContext())["Result"])["ping"] == "lambda-warmer"
    with pytest.raises(Exception, match="payload"):
        lambdakit.handler(durable_execution(flow), warmup=False)(PING, FakeContext())


def test_which_functions_are_durable() -> None:
    """Those that the SDK has decorated, and those around them that say so."""
    fn = durable_execution(flow)
    circular: Any = lambda event, context: None  # noqa: E731 - it refers to itself
    circular.__wrapped__ = circular
    assert [is_durable(one) for one in (fn, lambdakit.handler(fn))] == [True, True]
    assert [is_durable(one) for one in (flow, lambdakit.handler(flow), circular, FakeContext(), print)] == [False] * 5


def test_where_the_sdk_is_not_loaded_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in functions, nor in contexts or errors."""
    for name in [name for name in sys.modules if name.startswith("aws_durable_execution_sdk_python")]:
        monkeypatch.delitem(sys.modules, name)
    handler = lambdakit.handler(lambda event, context: lambdakit.invocation().request_id)
    assert handler({}, FakeContext(aws_request_id="id")) == "id"
    with pytest.raises(LookupError):
        lambdakit.handler(failing)({}, FakeContext())


def test_a_failure_that_is_too_large_for_an_answer() -> None:
    """It has no error then, and is a failure all the same."""
    records: list[Record] = []

    def too_large(event: Any, context: Any) -> dict[str, str]:
        return {"Status": "FAILED"}

    def around(event: Any, context: Any) -> dict[str, str]:
        return too_large(event, context)

    around.__wrapped__ = durable_execution(flow)  # type: ignore[attr-defined]
    lambdakit.handler(around, on_invocation=records.append)({"order": 1}, FakeContext())
    assert [(one["outcome"], one["error"]) for one in records] == [("failed", "DurableExecutionError")]
