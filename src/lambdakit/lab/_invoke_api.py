"""Lambda's Invoke API, as the SDKs speak it."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
import time
import uuid
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from ..exceptions import LambdakitError
from ._invocation import Invocation
from ._names import PATTERN, Reference, arn, parse_reference
from ._payload import read_payload
from ._report import log_result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._pool import Pool

MAX_SYNC_BYTES = 6_291_456
MAX_EVENT_BYTES = 1_048_576
MAX_CLIENT_CONTEXT_BYTES = 3583
_PATH = re.compile(r"/2015-03-31/functions/([^/]+)/invocations/?")


class Refusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """An error that Lambda answers with."""

    def __init__(self, status: int, kind: str, message: str, *, extra: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.extra = extra or {}


class Request(NamedTuple):
    """What a caller asked for, checked."""

    pool: Pool
    version: str
    kind: str
    tail: bool
    invocation: Invocation


class InvokeApi:
    """Answers for the functions in `pools`, which others may change meanwhile."""

    __slots__ = ("_account", "_pools", "_region")

    def __init__(self, pools: Mapping[str, Pool], *, region: str, account: str) -> None:
        self._pools = pools
        self._region = region
        self._account = account

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        request_id = str(uuid.uuid4())
        try:
            return await self._invoke(await self._checked(request, request_id))
        except Refusal as refusal:
            return _refused(refusal, request_id)
        except (LambdakitError, OSError) as error:  # the lab's own trouble: no process, no guard
            return _refused(Refusal(500, "ServiceException", f"{type(error).__name__}: {error}"), request_id)

    async def _invoke(self, asked: Request) -> web.Response:
        invocation = asked.invocation
        headers = {"x-amzn-RequestId": invocation.request_id, "X-Amz-Executed-Version": asked.version}
        if asked.kind == "DryRun":
            return web.Response(status=204, headers=headers)
        if asked.kind == "Event":
            asked.pool.submit(invocation, asked.version)
            return web.Response(status=202, headers=headers)
        if asked.pool.is_full:
            extra = {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"}
            raise Refusal(429, "TooManyRequestsException", "Rate Exceeded.", extra=extra)
        outcome, log = await asked.pool.invoke(invocation, asked.version)
        headers["X-Amzn-Trace-Id"] = invocation.trace_id
        headers["Content-Type"] = "application/json"
        if outcome.function_error:
            headers["X-Amz-Function-Error"] = "Unhandled"
        if asked.tail:
            headers["X-Amz-Log-Result"] = log_result(log)
        return web.Response(body=outcome.payload, headers=headers)

    async def _checked(self, request: web.BaseRequest, request_id: str) -> Request:
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        limit = MAX_EVENT_BYTES if kind == "Event" else MAX_SYNC_BYTES
        payload = await read_payload(request, limit)  # first of all: an answer before the body's end may get lost
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            raise Refusal(404, "UnknownOperationException", f"The lab has no {request.method} {request.path}")
        reference = _reference(match[1], request.query.get("Qualifier"))
        pool, version, full_arn = self._function(reference)
        _one_of(kind, "InvocationType", ("RequestResponse", "Event", "DryRun"))
        log_type = request.headers.get("X-Amz-Log-Type", "None")
        _one_of(log_type, "LogType", ("None", "Tail"))
        if payload is None:
            raise Refusal(
                413,
                "RequestTooLargeException",
                f"The payload is too large for the {kind} invocation type (limit {limit} bytes)",
            )
        context = request.headers.get("X-Amz-Client-Context")
        invocation = Invocation(
            request_id=request_id,
            arn=full_arn,
            payload=_event(payload),
            trace_id=request.headers.get("X-Amzn-Trace-Id") or _trace_id(),
            client_context=_client_context(context) if context and kind != "Event" else None,
        )
        return Request(pool, version, kind, tail=log_type == "Tail", invocation=invocation)

    def _function(self, reference: Reference) -> tuple[Pool, str, str]:
        ours = reference.region in (None, self._region) and reference.account in (None, self._account)
        region, account = reference.region or self._region, reference.account or self._account
        full_arn = arn(region, account, reference.name, reference.qualifier)
        pool = self._pools.get(reference.name) if ours else None
        version = pool.function.version_of(reference.qualifier) if pool is not None else None
        if pool is None or version is None:
            raise Refusal(404, "ResourceNotFoundException", f"Function not found: {full_arn}")
        return pool, version, full_arn


def _reference(text: str, qualifier: str | None) -> Reference:
    reference = parse_reference(text)
    if reference is None:
        constraint = f"Member must satisfy regular expression pattern: {PATTERN}"
        problem = f"Value '{text}' at 'functionName' failed to satisfy constraint: {constraint}"
        raise Refusal(400, "ValidationException", f"1 validation error detected: {problem}")
    if qualifier and reference.qualifier and qualifier != reference.qualifier:
        message = "The derived qualifier from the function name does not match the specified qualifier."
        raise Refusal(400, "InvalidParameterValueException", message)
    return reference._replace(qualifier=reference.qualifier or qualifier or None)


def _one_of(value: str, argument: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        message = f"{argument} {value!r} is not supported; supported: {', '.join(allowed)}"
        raise Refusal(400, "InvalidParameterValueException", message)


def _event(payload: bytes) -> bytes:
    """The payload if it is JSON; nothing at all means an empty object, as on Lambda."""
    if not payload:
        return b"{}"
    try:
        json.loads(payload.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as cause:
        message = f"Could not parse request body into json: {cause}"
        raise Refusal(400, "InvalidRequestContentException", message) from cause
    return payload


def _no_constant(word: str) -> None:
    raise ValueError(f"Unrecognized token '{word}'")  # Python reads NaN and Infinity; JSON has no such words


def _client_context(header: str) -> str:
    """Decoded, on one line of ASCII: that is how it fits into the Runtime API's header."""
    if len(header) > MAX_CLIENT_CONTEXT_BYTES:
        message = f"Client context must be no more than {MAX_CLIENT_CONTEXT_BYTES} bytes."
        raise Refusal(400, "InvalidRequestContentException", message)
    try:
        context = json.loads(base64.b64decode(header, validate=True))
    except (binascii.Error, ValueError, RecursionError) as cause:
        context = cause
    if not isinstance(context, dict):
        message = "Client context must be a valid Base64-encoded JSON object."
        raise Refusal(400, "InvalidRequestContentException", message)
    return json.dumps(context)


def _trace_id() -> str:
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"


def _refused(refusal: Refusal, request_id: str) -> web.Response:
    # As the service model has it.
    key = "Message" if refusal.kind in ("ResourceNotFoundException", "ServiceException") else "message"
    fault = "User" if refusal.status < 500 else "Service"  # noqa: PLR2004 - a server's fault
    body = json.dumps({"Type": fault, key: refusal.message, **refusal.extra}).encode()
    headers = {"x-amzn-RequestId": request_id, "x-amzn-ErrorType": refusal.kind, "Content-Type": "application/json"}
    if refusal.status == 429:  # noqa: PLR2004 - Too Many Requests
        headers["Retry-After"] = "1"
    return web.Response(status=refusal.status, body=body, headers=headers)
