"""Which error of a service becomes which exception, the same on every backend."""

from __future__ import annotations

from ..exceptions import AccessDeniedError, FetchError, NotFoundError, ServiceError, ThrottledError
from .retries import is_throttling

_NOT_FOUND = frozenset(("ParameterNotFound", "ParameterVersionNotFound", "ResourceNotFoundException"))
_DENIED = frozenset(
    (
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "KMSAccessDeniedException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    )
)
# Where the status does not tell: within the answer to a batch, and in what the extension passes on.
_FAILED = frozenset(
    (
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceError",
        "KMSInternalException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    )
)
# Their messages quote the request as it was signed, session token included.
UNSPEAKABLE = frozenset(("InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature"))

_TODO = {
    NotFoundError: "Check the name, the region and the version.",
    AccessDeniedError: "Check the function's role and its credentials.",
    ThrottledError: "Ask for less at a time, or raise the quota.",
    ServiceError: "Try again later.",
    FetchError: "Check the request.",
}
_KMS_THROTTLED = "KMSThrottlingException"  # named in other services' models; not retried by botocore
_SERVER_FAULT = 500


def kind_of(code: str | None, status: int | None) -> type[FetchError]:
    """The exception for an answer with this error code and this HTTP status."""
    if code in _NOT_FOUND:
        return NotFoundError
    if code == _KMS_THROTTLED or is_throttling(code, status):
        return ThrottledError
    if code in _DENIED:
        return AccessDeniedError
    if code in _FAILED or (status is not None and status >= _SERVER_FAULT):
        return ServiceError
    return FetchError


def service_error(
    *,
    service: str,
    operation: str,
    name: str,
    region: str | None,
    code: str | None,
    status: int | None,
    message: str,
    request_id: str | None,
) -> FetchError:
    """The exception for an error that a service answered with."""
    kind = kind_of(code, status)
    said = "" if not message or code in UNSPEAKABLE else f": {message}"
    return kind(
        f"{service} {operation} of {name!r} in {region}: {code or 'an error without a code'} "
        f"(status {status}){said}. {_TODO[kind]}",
        service=service,
        operation=operation,
        name=name,
        region=region,
        code=code,
        status=status,
        request_id=request_id,
    )
