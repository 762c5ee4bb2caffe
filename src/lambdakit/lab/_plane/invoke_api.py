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

from ...exceptions import LambdakitError
from .._environments import Invocation
from .._functions import ON_DEMAND
from .._payload import is_foreign, read_payload
from .._report import log_tail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .deployment import Deployment

MAX_SYNC_BYTES = 6_291_456
MAX_EVENT_BYTES = 1_048_576
MAX_CLIENT_CONTEXT_BYTES = 3583
TENANT_PATTERN = r"[a-zA-Z0-9\._:\/=+\-@ ]+"  # Lambda's own, as the next
_MAX_TENANT = 256
_PATH = re.compile(r"/2015-03-31/functions/([^/]+)/invocations/?")

# Lambda's own pattern, as in the service model of botocore.
PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
    r"([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
_REGION, _ACCOUNT, _NAME, _QUALIFIER = 3, 9, 11, 13  # groups of it; the first two end with ":"


class ServiceError(Exception):
    """An error response of Lambda."""

    def __init__(self, status: int, kind: str, message: str, *, extra: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.extra = extra or {}


class FunctionReference(NamedTuple):
    """A function as a caller names it: by name, by partial ARN, by full ARN; None is what the caller left out."""

    name: str
    qualifier: str | None
    region: str | None
    account: str | None


class InvokeRequest(NamedTuple):
    """A request, validated."""

    deployment: Deployment
    version: str
    kind: str
    tail: bool
    invocation: Invocation


class InvokeApi:
    """Serves the functions in `deployments`, which the control plane changes meanwhile."""

    __slots__ = ("_account", "_deployments", "_region")

    def __init__(self, deployments: Mapping[str, Deployment], *, region: str, account: str) -> None:
        self._deployments = deployments
        self._region = region
        self._account = account

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Respond to one HTTP request."""
        request_id = str(uuid.uuid4())
        try:
            return await self._invoke(await self._parse(request, request_id))
        except ServiceError as error:
            return _error_response(error, request_id)
        except (LambdakitError, OSError) as error:  # of the lab itself: no process, no guard
            message = f"{type(error).__name__}: {error}"
            return _error_response(ServiceError(500, "ServiceException", message), request_id)

    async def _invoke(self, request: InvokeRequest) -> web.Response:
        invocation = request.invocation
        headers = {"x-amzn-RequestId": invocation.request_id, "X-Amz-Executed-Version": request.version}
        if request.kind == "DryRun":
            return web.Response(status=204, headers=headers)
        if request.kind == "Event":
            request.deployment.submit(invocation, request.version)
            return web.Response(status=202, headers=headers)
        if request.deployment.is_throttled:
            extra = {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"}
            raise ServiceError(429, "TooManyRequestsException", "Rate Exceeded.", extra=extra)
        outcome, log = await request.deployment.invoke(invocation, request.version)
        headers["X-Amzn-Trace-Id"] = invocation.trace_id
        headers["Content-Type"] = "application/json"
        if outcome.function_error:
            headers["X-Amz-Function-Error"] = "Unhandled"
        if request.tail:
            headers["X-Amz-Log-Result"] = log_tail(log)
        return web.Response(body=outcome.payload, headers=headers)

    async def _parse(self, request: web.BaseRequest, request_id: str) -> InvokeRequest:
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        limit = MAX_EVENT_BYTES if kind == "Event" else MAX_SYNC_BYTES
        payload = await read_payload(request, limit)  # first: a response before the end of the body may get lost
        if is_foreign(request):
            message = "The lab serves programs at 127.0.0.1 and localhost, no other host and no web page"
            raise ServiceError(403, "AccessDeniedException", message)
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            raise ServiceError(404, "UnknownOperationException", f"The lab has no {request.method} {request.path}")
        reference = _reference(match[1], request.query.get("Qualifier"))
        deployment, version, full_arn = self._function(reference)
        _one_of(kind, "InvocationType", ("RequestResponse", "Event", "DryRun"))
        log_type = request.headers.get("X-Amz-Log-Type", "None")
        _one_of(log_type, "LogType", ("None", "Tail"))
        if payload is None:
            raise ServiceError(
                413,
                "RequestTooLargeException",
                f"The payload is too large for the {kind} invocation type (limit {limit} bytes)",
            )
        if request.headers.get("X-Amz-Durable-Execution-Name") is not None:
            message = (
                "DurableExecutionName: the lab has no durable executions, it invokes the function itself; "
                "aws-durable-execution-sdk-python-testing runs them"
            )
            raise ServiceError(400, "InvalidParameterValueException", message)
        context = request.headers.get("X-Amz-Client-Context")
        invocation = Invocation(
            request_id=request_id,
            arn=full_arn,
            payload=_event(payload),
            trace_id=request.headers.get("X-Amzn-Trace-Id") or _trace_id(),
            client_context=_client_context(context) if context and kind != "Event" else None,
            tenant_id=_tenant_id(request.headers.get("X-Amz-Tenant-Id"), deployment),
        )
        return InvokeRequest(deployment, version, kind, tail=log_type == "Tail", invocation=invocation)

    def _function(self, reference: FunctionReference) -> tuple[Deployment, str, str]:
        is_here = reference.region in (None, self._region) and reference.account in (None, self._account)
        region, account = reference.region or self._region, reference.account or self._account
        full_arn = arn(region, account, reference.name, reference.qualifier)
        deployment = self._deployments.get(reference.name) if is_here else None
        version = deployment.function.version_of(reference.qualifier) if deployment is not None else None
        if deployment is None or version is None:
            raise ServiceError(404, "ResourceNotFoundException", f"Function not found: {full_arn}")
        return deployment, version, full_arn


def parse_reference(text: str) -> FunctionReference | None:
    """The parts of a function's name or ARN; None if it is neither."""
    match = re.fullmatch(PATTERN, text)
    if match is None:
        return None
    region, account = (match[group] and match[group][:-1] for group in (_REGION, _ACCOUNT))
    return FunctionReference(match[_NAME], match[_QUALIFIER], region, account)


def arn(region: str, account: str, name: str, qualifier: str | None) -> str:
    """The full ARN of a function, with the qualifier of the request."""
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    unqualified = f"arn:{partition}:lambda:{region}:{account}:function:{name}"
    return f"{unqualified}:{qualifier}" if qualifier else unqualified


def _reference(text: str, qualifier: str | None) -> FunctionReference:
    reference = parse_reference(text)
    if reference is None:
        constraint = f"Member must satisfy regular expression pattern: {PATTERN}"
        problem = f"Value '{text}' at 'functionName' failed to satisfy constraint: {constraint}"
        raise ServiceError(400, "ValidationException", f"1 validation error detected: {problem}")
    if qualifier and reference.qualifier and qualifier != reference.qualifier:
        message = "The derived qualifier from the function name does not match the specified qualifier."
        raise ServiceError(400, "InvalidParameterValueException", message)
    return reference._replace(qualifier=reference.qualifier or qualifier or None)


def _one_of(value: str, argument: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        message = f"{argument} {value!r} is not supported; supported: {', '.join(allowed)}"
        raise ServiceError(400, "InvalidParameterValueException", message)


def _event(payload: bytes) -> bytes:
    """The payload, if it is JSON; no payload is an empty object, as on Lambda."""
    if not payload:
        return b"{}"
    try:
        json.loads(payload.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as cause:
        message = f"Could not parse request body into json: {cause}"
        raise ServiceError(400, "InvalidRequestContentException", message) from cause
    return payload


def _no_constant(word: str) -> None:
    raise ValueError(f"Unrecognized token '{word}'")  # Python's parser takes NaN and Infinity, which are no JSON


def _client_context(header: str) -> str:
    """The client context as one line of ASCII, for the header of the Runtime API."""
    if len(header) > MAX_CLIENT_CONTEXT_BYTES:
        message = f"Client context must be no more than {MAX_CLIENT_CONTEXT_BYTES} bytes."
        raise ServiceError(400, "InvalidRequestContentException", message)
    try:
        context = json.loads(base64.b64decode(header, validate=True))
        line = json.dumps(context)
    except (binascii.Error, ValueError, RecursionError):
        context = line = None
    if not isinstance(context, dict) or line is None:
        message = "Client context must be a valid Base64-encoded JSON object."
        raise ServiceError(400, "InvalidRequestContentException", message)
    return line


def _tenant_id(given: str | None, deployment: Deployment) -> str | None:
    """The tenant that the invocation is for, or None."""
    if given is None:
        return None
    if re.fullmatch(TENANT_PATTERN, given) is None or len(given) > _MAX_TENANT:
        constraint = f"Member must satisfy regular expression pattern: {TENANT_PATTERN} with at most {_MAX_TENANT}"
        problem = f"Value '{given}' at 'tenantId' failed to satisfy constraint: {constraint}"
        raise ServiceError(400, "ValidationException", f"1 validation error detected: {problem}")
    if deployment.function.init_type != ON_DEMAND:
        message = f"TenantId: Lambda isolates no tenants of a function with init_type={deployment.function.init_type!r}"
        raise ServiceError(400, "InvalidParameterValueException", message)
    return given


def _trace_id() -> str:
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"


def _error_response(error: ServiceError, request_id: str) -> web.Response:
    # In the service model the key differs.
    key = "Message" if error.kind in ("ResourceNotFoundException", "ServiceException") else "message"
    fault = "User" if error.status < 500 else "Service"  # noqa: PLR2004 - the first status of a server's error
    body = json.dumps({"Type": fault, key: error.message, **error.extra}).encode()
    headers = {"x-amzn-RequestId": request_id, "x-amzn-ErrorType": error.kind, "Content-Type": "application/json"}
    if error.status == 429:  # noqa: PLR2004 - Too Many Requests
        headers["Retry-After"] = "1"
    return web.Response(status=error.status, body=body, headers=headers)
