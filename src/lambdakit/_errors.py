"""Which error is which: the codes of AWS and their exceptions, and whether another try may help."""

from __future__ import annotations

import errno

from .exceptions import (
    AccessDeniedError,
    BatchError,
    FetchError,
    NotFoundError,
    ServiceError,
    ThrottledError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What botocore's mode `standard` retries, as of botocore 1.44.
THROTTLED_CODES = frozenset(
    (
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    )
)
THROTTLED_STATUS = 429
TRANSIENT_CODES = frozenset(("PriorRequestNotComplete", "RequestTimeout", "RequestTimeoutException"))
TRANSIENT_STATUSES = frozenset((500, 502, 503, 504))

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
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
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
REDACTED_CODES = frozenset(("InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature"))

# The time of a signature was refused: these say so, those may stand for it.
_CLOCK = frozenset(("RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"))
_CLOCK_PERHAPS = frozenset(("InvalidSignatureException", "SignatureDoesNotMatch"))
_CLOCK_MESSAGES = ("Signature expired", "Signature not yet current")
_CLOCK_TODO = "The clock of this machine is wrong: set it."
_MAX_SKEW_S = 240.0  # services allow five minutes; as AWS's SDKs for other languages have it

_TODO = {
    NotFoundError: "Check the name, the region and the version.",
    AccessDeniedError: "Check the function's role and its credentials.",
    ThrottledError: "Ask for less at a time, or raise the quota.",
    ServiceError: "Try again later.",
    FetchError: "Check the request.",
}
_UNKNOWN_OPERATION = frozenset(
    ("InvalidAction", "NotImplemented", "NotImplementedException", "UnknownOperation", "UnknownOperationException")
)
_NOT_IMPLEMENTED, _NO_PLACE = 501, (404, 405)
_KMS_THROTTLED = "KMSThrottlingException"  # named in other services' models; not retried by botocore
_SERVER_FAULT = 500


# Classes by name, because importing a library to ask about its errors would cost more than the call that failed. What
# is derived from a class is judged as the class is.
_TRANSIENT = frozenset(
    (
        "aiohttp.client_exceptions.ClientConnectionError",
        "aiohttp.client_exceptions.ClientPayloadError",
        "asyncio.exceptions.IncompleteReadError",
        "botocore.exceptions.ConnectionError",
        "botocore.exceptions.HTTPClientError",
        "botocore.exceptions.IncompleteReadError",
        "builtins.ConnectionError",
        "builtins.TimeoutError",  # asyncio's and concurrent.futures' are the same class
        "http.client.BadStatusLine",
        "http.client.IncompleteRead",
        "httpx.TransportError",
        "psycopg.errors.AdminShutdown",
        "psycopg.errors.CannotConnectNow",
        "psycopg.errors.ConnectionTimeout",
        "psycopg.errors.CrashShutdown",  # other failures to connect look like a wrong password
        "redis.exceptions.ConnectionError",
        "redis.exceptions.TimeoutError",
        "requests.exceptions.ChunkedEncodingError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "socket.gaierror",
        "socket.herror",
        "ssl.SSLError",
        "urllib3.exceptions.ProtocolError",
        "urllib3.exceptions.ProxyError",
        "urllib3.exceptions.TimeoutError",
    )
)
# Derived from one of those, and yet no matter of time.
_PERMANENT = frozenset(
    (
        "aiohttp.client_exceptions.ServerFingerprintMismatch",
        "httpx.LocalProtocolError",
        "httpx.UnsupportedProtocol",
        "redis.exceptions.AuthenticationError",
        "redis.exceptions.AuthorizationError",
        "redis.exceptions.ExternalAuthProviderError",
        "ssl.SSLCertVerificationError",
    )
)
# What wraps another error, and the attribute where that stands: it decides, if it is there.
_WRAPPERS = {
    "botocore.exceptions.ConnectionError": "kwargs",
    "botocore.exceptions.HTTPClientError": "kwargs",
    "requests.exceptions.RetryError": "args",
    "requests.exceptions.SSLError": "args",
    "urllib.error.URLError": "reason",
    "urllib3.exceptions.MaxRetryError": "reason",
    "urllib3.exceptions.SSLError": "args",
}
_CLIENT_ERROR = "botocore.exceptions.ClientError"
_RETRIES_SPENT = "urllib3.exceptions.ResponseError"  # "too many 503 error responses"
_BAD_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"  # OpenSSL's word; httpx and redis keep it in the message only

# Where there is no class of its own for it. Linux and macOS have all of them.
_NETWORK = frozenset(
    (
        errno.EADDRNOTAVAIL,  # no local port is free
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENOTCONN,
    )
)
_TOO_MANY, _SERVER_FAULTS = 429, range(500, 600)


def is_throttling(code: str | None, status: int | None) -> bool:
    """Whether an answer with this error code and this HTTP status asks for fewer requests."""
    return code in THROTTLED_CODES or status == THROTTLED_STATUS


def is_retryable(code: str | None, status: int | None) -> bool:
    """Whether the same request may succeed later; with neither a code nor a status no answer came, so it may."""
    no_answer = code is None and status is None
    return no_answer or code in TRANSIENT_CODES or status in TRANSIENT_STATUSES or is_throttling(code, status)


def is_not_implemented(error: FetchError) -> bool:
    """Whether the server has no such operation, which its other operations may do without: one that is not AWS's."""
    code = None if str(error.code).isdecimal() else error.code  # botocore tells the status where there is no code
    return (
        error.status == _NOT_IMPLEMENTED or code in _UNKNOWN_OPERATION or (code is None and error.status in _NO_PLACE)
    )


def error_class(code: str | None, status: int | None) -> type[FetchError]:
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
    kind = error_class(code, status)
    said = "" if not message or code in REDACTED_CODES else f": {message.rstrip('.')}"
    clock = code in _CLOCK or (code in _CLOCK_PERHAPS and message.startswith(_CLOCK_MESSAGES))
    error = kind(
        f"{service} {operation} of {name!r} in {region}: {code or 'an error without a code'} "
        f"(status {status}){said}. {_CLOCK_TODO if clock else _TODO[kind]}",
        service=service,
        operation=operation,
        name=name,
        region=region,
        code=code,
        status=status,
        request_id=request_id,
    )
    if clock:
        error.retryable = True  # clocks are set by themselves, some time after whatever made them wrong
    return error


def clock_skew_s(code: str | None, date: str | None, now_s: float) -> float | None:
    """By how many seconds the time of a signature was late, if that may be why it was refused; None if not.

    Args:
        code: of the error.
        date: the header of that name of the answer.
        now_s: the time that was signed, in seconds since the epoch.
    """
    if date is None or (code not in _CLOCK and code not in _CLOCK_PERHAPS):
        return None
    from email.utils import mktime_tz, parsedate_tz  # 10 ms, and rare

    parsed = parsedate_tz(date)
    if parsed is None:
        return None
    try:
        skew_s = mktime_tz(parsed) - now_s
    except (OverflowError, ValueError):
        return None
    return skew_s if abs(skew_s) >= _MAX_SKEW_S else None


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later: throttling, a server's fault, the network, a time-out.

    Everything that is not known to be one of these is not, a certificate that cannot be verified among it. What the
    error was raised from plays no part: who raised another error on purpose has judged already. Never raises.
    """
    try:
        return _judge(error)
    except Exception:  # noqa: BLE001 - attributes and messages of foreign classes can raise whatever they like
        return False


def _judge(error: BaseException) -> bool:
    if isinstance(error, (BatchError, FetchError)):
        return error.retryable
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    wrapped = _wrapped(error, names)
    if wrapped is not None:
        return is_transient(wrapped)
    if names & _TRANSIENT:
        return not names & _PERMANENT and _BAD_CERTIFICATE not in str(error)
    if _CLIENT_ERROR in names:
        return _is_transient_answer(getattr(error, "response", {}))
    status = _status_in_words(str(error)) if _RETRIES_SPENT in names else _status(error)
    if status is not None:
        return status == _TOO_MANY or status in _SERVER_FAULTS
    return isinstance(error, OSError) and error.errno in _NETWORK


def _wrapped(error: BaseException, names: set[str]) -> BaseException | None:
    for name in names & _WRAPPERS.keys():
        held = getattr(error, _WRAPPERS[name])
        if isinstance(held, tuple):  # arguments
            held = next(iter(held), None)
        elif isinstance(held, dict):  # what the SDK makes its messages of
            held = held.get("error")
        if isinstance(held, BaseException):
            return held
    return None


def _is_transient_answer(response: dict[str, dict[str, object]]) -> bool:
    """By the code and the status of an AWS service's answer, as the SDK gives it."""
    code: Any = response.get("Error", {}).get("Code")
    status: Any = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return error_class(code, status).retryable or (code is not None and is_retryable(code, status))


def _status(error: BaseException) -> int | None:
    """The HTTP status of the failed answer: requests and httpx keep it in the response, aiohttp and urllib do not."""
    for holder in (getattr(error, "response", None), error):
        for name in ("status_code", "status"):
            status = getattr(holder, name, None)
            if isinstance(status, int):
                return status
    return None


def _status_in_words(message: str) -> int | None:
    return next((int(word) for word in message.split() if word.isdigit()), None)
