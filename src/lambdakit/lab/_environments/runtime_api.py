"""The Runtime API of one environment, as the runtime client speaks it.

The client knows a host and a port and nothing else, so each environment has a listening port of its own: every request
there, from the runtime process or from its forks, is that environment's.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from aiohttp import web

from .._payload import is_foreign, read_payload
from .._variables import CREDENTIALS_PATH
from . import MAX_RESPONSE_BYTES, Outcome
from .base import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .base import Environment

_PREFIX = "/2018-06-01/runtime/"
_INVOCATION_ID = "Lambda-Runtime-Invocation-Id"
_ROUNDS = 3  # of the loop, until the server knows a connection that has just been accepted
_CREDENTIALS_LIFETIME_S = 6 * 3600
_KEEPALIVE_S = 3600.0  # longer than any invocation: the connection of a frozen client stays open


class RuntimeApi:
    """Serves one environment on a free port of 127.0.0.1, with the container endpoint for its credentials."""

    __slots__ = ("_environment", "_listener", "_server")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._server = _Server(self._handle, environment.connection_closed)
        self._listener: asyncio.Server | None = None

    async def open(self) -> str:
        """Start to listen.

        Returns:
            Host and port, for ``AWS_LAMBDA_RUNTIME_API``.
        """
        self._listener = await asyncio.get_running_loop().create_server(self._server, "127.0.0.1", 0)
        host, port = self._listener.sockets[0].getsockname()
        return f"{host}:{port}"

    async def close(self) -> None:
        """Stop listening; the environment has ended, so no request is pending."""
        if self._listener is not None:
            self._listener.close()
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        await self._server.shutdown(0.02)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if is_foreign(request):
            return _json(403, "ForeignRequest", "The Runtime API is for the runtime, not for web pages")
        if request.path == CREDENTIALS_PATH:
            return _credentials(self._environment, request.headers.get("Authorization"))
        response: Awaitable[web.StreamResponse]
        match (request.method, *request.path.removeprefix(_PREFIX).split("/")):
            case ("GET", "invocation", "next"):
                response = self._next(request)
            case ("POST", "invocation", request_id, "response"):
                response = self._response(request, request_id)
            case ("POST", "invocation", request_id, "error"):
                response = self._error(request, request_id)
            case ("POST", "init", "error"):
                response = self._phase_error(request, self._environment.fail_init)
            case ("GET", "restore", "next"):
                response = self._restore_next()
            case ("POST", "restore", "error"):
                response = self._phase_error(request, self._environment.fail_restore)
            case _:
                return _json(404, "UnknownPath", f"The Runtime API has no {request.method} {request.path}")
        try:
            return await response
        except ConnectionResetError:  # the process was killed while it sent this
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
        if invocation.tenant_id is not None:
            headers["Lambda-Runtime-Aws-Tenant-Id"] = invocation.tenant_id
        if event.invocation_id is not None:
            headers[_INVOCATION_ID] = event.invocation_id
        return web.Response(body=invocation.payload, headers=headers)

    async def _response(self, request: web.BaseRequest, request_id: str) -> web.Response:
        body = await read_payload(request, MAX_RESPONSE_BYTES)
        outcome = Outcome.too_large() if body is None else Outcome(payload=body)
        if not self._complete(request, request_id, outcome):
            return _unknown_id()
        if body is None:  # the runtime client exits when it reads this, unless it has workers
            message = f"Exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
            return _json(413, "RequestEntityTooLarge", message)
        return _accepted()

    async def _error(self, request: web.BaseRequest, request_id: str) -> web.Response:
        body = await read_payload(request, MAX_RESPONSE_BYTES) or b""
        outcome = Outcome.posted_error(body, _error_type(request, body))
        return _accepted() if self._complete(request, request_id, outcome) else _unknown_id()

    def _complete(self, request: web.BaseRequest, request_id: str, outcome: Outcome) -> bool:
        return self._environment.complete(
            request_id,
            outcome,
            connection=request.protocol,
            invocation_id=request.headers.get(_INVOCATION_ID),
        )

    async def _phase_error(self, request: web.BaseRequest, fail: Callable[[bytes, str], bool]) -> web.Response:
        body = await read_payload(request, MAX_RESPONSE_BYTES) or b""
        if fail(body, _error_type(request, body)):
            return _accepted()
        return _json(403, "InvalidStateTransition", "That phase is over")  # as a worker expects if it is not the first

    async def _restore_next(self) -> web.Response:
        if await self._environment.restore_next():
            return web.Response()
        return _json(403, "InvalidStateTransition", "There is nothing to restore")


class _Server(web.Server):
    """aiohttp's server, with a callback for closed connections."""

    def __init__(
        self,
        handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        on_close: Callable[[object], None],
    ) -> None:
        super().__init__(handle, access_log=None, keepalive_timeout=_KEEPALIVE_S)
        self._on_close = on_close

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._on_close(handler)


def _credentials(environment: Environment, token: str | None) -> web.Response:
    """The container endpoint: made-up credentials, others after a restore than at the snapshot."""
    if token != environment.marker:
        return web.Response(status=403)
    part = "INIT" if environment.state in (State.INIT, State.SNAPSHOT) else "LAB0"
    body = {
        "AccessKeyId": f"ASIALOCAL{part}0000000",
        "SecretAccessKey": f"made-up-{part}",
        "Token": f"made-up-{part}",
        "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + _CREDENTIALS_LIFETIME_S)),
    }
    return web.Response(body=json.dumps(body).encode(), content_type="application/json")


def _error_type(request: web.BaseRequest, body: bytes) -> str:
    """The type from the header, else from the body: the runtime client sends it in one of them or in both."""
    from_header = request.headers.get("Lambda-Runtime-Function-Error-Type")
    if from_header:
        return from_header
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
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
