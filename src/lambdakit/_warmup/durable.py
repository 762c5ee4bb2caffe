"""Durable functions: their event holds the payload of an execution, their answer what has become of it.

https://github.com/aws/aws-durable-execution-sdk-python
"""

from __future__ import annotations

import json
import sys
from functools import partial
from types import FunctionType

from .._diagnostics import own_attributes, unwrapped
from .._environment import CURRENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._environment import Environment

_EXECUTION = "aws_durable_execution_sdk_python.execution"


def is_durable(fn: Any) -> bool:
    """Whether `fn` is what the SDK's decorator has made, or wraps it and says so."""
    seen: set[int] = set()
    while id(fn) not in seen:
        seen.add(id(fn))
        fn = unwrapped(fn)
        if type(fn) is FunctionType and fn.__globals__.get("__name__") == _EXECUTION:
            return True
        fn = own_attributes(fn).get("__wrapped__", fn)
    return False


def payload(event: Any) -> Any:
    """What the execution was started with; `event` itself if it is of no execution, None if it does not say."""
    kind = sys.modules[_EXECUTION].DurableExecutionInvocationInput
    if issubclass(type(event), kind):  # as the SDK's test runner gives it
        operations = [one.execution_details for one in event.initial_execution_state.operations]
        found = next((one.input_payload for one in operations if one is not None), None)
    elif type(event) is dict and "DurableExecutionArn" in event and "CheckpointToken" in event:
        operations = [one.get("ExecutionDetails") for one in event["InitialExecutionState"]["Operations"]]
        found = next((one.get("InputPayload") for one in operations if one is not None), None)
    else:
        return event
    return None if found is None else json.loads(found)


def recognising(recognise: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`recognise`, of the payload."""

    def of_execution(event: Any, context: Any) -> Any:
        try:
            given = payload(event)
        except Exception:  # noqa: BLE001 - an event that the SDK is going to complain of
            return None
        return None if given is None else recognise(given, context)

    return of_execution


def answering(answer: Callable[..., Any]) -> Callable[..., dict[str, str]]:
    """`answer` to the payload, as the outcome of an execution that is over."""

    def outcome(env: Environment, context: Any, dialect: str, event: Any, options: Any, **more: Any) -> dict[str, str]:
        result = answer(env, context, dialect, payload(event), options, **more)
        return {"Status": "SUCCEEDED", "Result": json.dumps(result)}

    return outcome


def watched(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn`, an execution that has failed being a failure of the invocation: the SDK raises nothing then."""
    return partial(_run, fn)


def _run(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    outcome = fn(*args, **kwargs)
    invocation = CURRENT.get()
    if invocation is not None and outcome.get("Status") == "FAILED":
        error = outcome.get("Error") or {}  # one that is too large for an answer is not in it
        invocation.error = error.get("ErrorType") or "DurableExecutionError"
    return outcome
