"""An invocation within a timed statement: an event, the runtime's own context, a standard output."""

from __future__ import annotations

import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from . import orders

if TYPE_CHECKING:
    from collections.abc import Callable

PING = {"warmer": True, "concurrency": 1}
STATUS = 204  # what the no-op answers
CALL = "handler(event, context)"
_LASTS_S = 3600  # longer than any process of ours


def context() -> Any:
    """The context that the runtime makes for a caller without a client context."""
    from awslambdaric.lambda_context import LambdaContext

    arn = "arn:aws:lambda:us-east-1:123456789012:function:orders"
    deadline_ms = int((time.time() + _LASTS_S) * 1000)
    return LambdaContext("7f1c0cbe-0000-4000-8000-000000000000", None, None, deadline_ms, arn)


def no_op() -> dict[str, Any]:
    """The names of `CALL`: a handler that does nothing, the example's event, a context."""

    def handler(event: Any, context: Any) -> dict[str, int]:  # noqa: ARG001 - the shape of a handler
        return {"statusCode": STATUS}

    return {"event": orders.event(), "context": context(), "handler": handler}


def to_a_file(names: dict[str, Any]) -> dict[str, Any]:
    """The same names, the handler with a standard output of its own; ``written()`` tells its lines and the last one.

    It is flushed at each write, as the runtime client does it.
    """
    from awslambdaric.bootstrap import Unbuffered

    file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - until the process ends
    out = Unbuffered(file)
    handler: Callable[[Any, Any], Any] = names["handler"]

    def call(event: Any, context: Any) -> Any:
        own, sys.stdout = sys.stdout, out  # in each call: the worker writes its answer to its own
        try:
            return handler(event, context)
        finally:
            sys.stdout = own

    def written() -> tuple[int, str]:
        file.seek(0)
        lines = file.readlines()
        return len(lines), lines[-1] if lines else ""

    return names | {"handler": call, "written": written}
