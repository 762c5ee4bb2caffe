"""The Runtime API of one environment, as the runtime client speaks it.

The client knows a host and a port and nothing else, so each environment has a listening port of its own: whatever
comes in there, from the runtime process or from its forks, is that environment's. A second header or a path would not
do: the client sends neither.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from aiohttp import web

from ._invocation import MAX_RESPONSE_BYTES
from ._payload import read_payload

if TYPE_CHECKING:
    from ._environment import Environment

_PREFIX = "/2018-06-01/runtime/"
_KEEPALIVE_S = 3600.0  # longer than any invocation: a client that was frozen or slow finds its connection alive


class RuntimeApi:
    """Serves one environment on a free port of 127.0.0.1.

    Snap-start's ``GET restore/next`` and ``POST restore/error`` become two more cases here, and two more methods of
    the environment.
    """

    __slots__ = ("_environment", "_listener", "_server")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._server = web.Server(self._answer, access_log=None, keepalive_timeout=_KEEPALIVE_S)
        self._listener: asyncio.Server | None = None

    async def open(self) -> str:
        """Start to listen; the answer is what goes into ``AWS_LAMBDA_RUNTIME_API``."""
        self._listener = await asyncio.get_running_loop().create_server(self._server, "127.0.0.1", 0)
        host, port = self._listener.sockets[0].getsockname()
        return f"{host}:{port}"

    async def close(self) -> None:
        """Stop listening; the environment has ended, so no request is left."""
        if self._listener is not None:
            self._listener.close()
        await self._server.shutdown(0.02)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        match (request.method, *request.path.removeprefix(_PREFIX).split("/")):
            case ("GET", "invocation", "next"):
                return await self._next()
            case ("POST", "invocation", request_id, "response"):
                return await self._response(request, request_id)
            case ("POST", "invocation", request_id, "error"):
                return await self._error(request, request_id)
            case ("POST", "init", "error"):
                return await self._init_error(request)
            case _:
                return _json(404, "UnknownPath", f"The Runtime API has no {request.method} {request.path}")

    async def _next(self) -> web.StreamResponse:
        environment = self._environment
        invocation = await environment.next_event()
        if invocation is None:
            return _json(410, "EnvironmentEnded", "This environment gets no more invocations")
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(environment.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
            "Content-Type": "application/json",
        }
        if invocation.client_context is not None:
            headers["Lambda-Runtime-Client-Context"] = invocation.client_context
        return web.Response(body=invocation.payload, headers=headers)

    async def _response(self, request: web.BaseRequest, request_id: str) -> web.Response:
        body = await read_payload(request, MAX_RESPONSE_BYTES)
        if not self._environment.respond(request_id, body):
            return _unknown_id()
        if body is None:  # the runtime client ends itself when it reads this
            message = f"Exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
            return _json(413, "RequestEntityTooLarge", message)
        return _accepted()

    async def _error(self, request: web.BaseRequest, request_id: str) -> web.Response:
        body = await read_payload(request, MAX_RESPONSE_BYTES) or b""
        return _accepted() if self._environment.fail(request_id, body, _error_type(request, body)) else _unknown_id()

    async def _init_error(self, request: web.BaseRequest) -> web.Response:
        body = await read_payload(request, MAX_RESPONSE_BYTES) or b""
        self._environment.fail_init(body, _error_type(request, body))
        return _accepted()


def _error_type(request: web.BaseRequest, body: bytes) -> str:
    """The type from its header, else from the body: the runtime client sends it in one or in both."""
    from_header = request.headers.get("Lambda-Runtime-Function-Error-Type")
    if from_header:
        return from_header
    try:
        parsed = json.loads(body)
    except ValueError:
        return "Runtime.Unknown"
    kind = parsed.get("errorType") if isinstance(parsed, dict) else None
    return kind if isinstance(kind, str) and kind else "Runtime.Unknown"


def _accepted() -> web.Response:
    return web.Response(status=202, body=b'{"status":"OK"}', content_type="application/json")


def _unknown_id() -> web.Response:
    return _json(400, "InvalidRequestID", "Invalid request ID")


def _json(status: int, kind: str, message: str) -> web.Response:
    body = json.dumps({"errorType": kind, "errorMessage": message}).encode()
    return web.Response(status=status, body=body, content_type="application/json")
