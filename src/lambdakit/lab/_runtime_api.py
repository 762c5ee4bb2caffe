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

from . import _credentials as credentials
from . import _invocation as outcomes
from ._payload import read_payload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._environment import Environment

_PREFIX = "/2018-06-01/runtime/"
_INVOCATION_ID = "Lambda-Runtime-Invocation-Id"
_ROUNDS = 3  # of the loop, until a connection that has just been accepted is one that the server knows
_KEEPALIVE_S = 3600.0  # longer than any invocation: a client that was frozen or slow finds its connection alive


class RuntimeApi:
    """Serves one environment on a free port of 127.0.0.1, with the container endpoint for its credentials."""

    __slots__ = ("_environment", "_listener", "_server")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._server = _Server(self._answer, environment.disconnected)
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
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        await self._server.shutdown(0.02)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == credentials.PATH:
            return credentials.answer(self._environment, request.headers.get("Authorization"))
        answer: Awaitable[web.StreamResponse]
        match (request.method, *request.path.removeprefix(_PREFIX).split("/")):
            case ("GET", "invocation", "next"):
                answer = self._next(request)
            case ("POST", "invocation", request_id, "response"):
                answer = self._response(request, request_id)
            case ("POST", "invocation", request_id, "error"):
                answer = self._error(request, request_id)
            case ("POST", "init", "error"):
                answer = self._phase_error(request, self._environment.fail_init)
            case ("GET", "restore", "next"):
                answer = self._restore_next()
            case ("POST", "restore", "error"):
                answer = self._phase_error(request, self._environment.fail_restore)
            case _:
                return _json(404, "UnknownPath", f"The Runtime API has no {request.method} {request.path}")
        try:
            return await answer
        except ConnectionResetError:  # it was killed while it sent this: nobody waits for the answer
            return web.Response(status=400)

    async def _next(self, request: web.BaseRequest) -> web.StreamResponse:
        event = await self._environment.next_event(request.protocol)
        if event is None:
            return _json(410, "EnvironmentEnded", "This environment gets no more invocations")
        invocation = event.invocation
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(event.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
            "Content-Type": "application/json",
        }
        if invocation.client_context is not None:
            headers["Lambda-Runtime-Client-Context"] = invocation.client_context
        if event.invocation_id is not None:
            headers[_INVOCATION_ID] = event.invocation_id
        return web.Response(body=invocation.payload, headers=headers)

    async def _response(self, request: web.BaseRequest, request_id: str) -> web.Response:
        body = await read_payload(request, outcomes.MAX_RESPONSE_BYTES)
        outcome = outcomes.too_large() if body is None else outcomes.Outcome(payload=body)
        if not self._conclude(request, request_id, outcome):
            return _unknown_id()
        if body is None:  # the runtime client ends itself when it reads this, unless it has workers
            message = f"Exceeded maximum allowed payload size ({outcomes.MAX_RESPONSE_BYTES} bytes)."
            return _json(413, "RequestEntityTooLarge", message)
        return _accepted()

    async def _error(self, request: web.BaseRequest, request_id: str) -> web.Response:
        body = await read_payload(request, outcomes.MAX_RESPONSE_BYTES) or b""
        outcome = outcomes.posted_error(body, _error_type(request, body))
        return _accepted() if self._conclude(request, request_id, outcome) else _unknown_id()

    def _conclude(self, request: web.BaseRequest, request_id: str, outcome: outcomes.Outcome) -> bool:
        return self._environment.conclude(
            request_id,
            outcome,
            connection=request.protocol,
            invocation_id=request.headers.get(_INVOCATION_ID),
        )

    async def _phase_error(self, request: web.BaseRequest, fail: Callable[[bytes, str], bool]) -> web.Response:
        body = await read_payload(request, outcomes.MAX_RESPONSE_BYTES) or b""
        if fail(body, _error_type(request, body)):
            return _accepted()
        return _json(403, "InvalidStateTransition", "That phase is over")  # a worker expects this if it was not first

    async def _restore_next(self) -> web.Response:
        if await self._environment.restored():
            return web.Response()
        return _json(403, "InvalidStateTransition", "There is nothing to restore")


class _Server(web.Server):
    """aiohttp's server, which tells of connections that were closed."""

    def __init__(
        self,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        disconnected: Callable[[object], None],
    ) -> None:
        super().__init__(answer, access_log=None, keepalive_timeout=_KEEPALIVE_S)
        self._disconnected = disconnected

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._disconnected(handler)


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
