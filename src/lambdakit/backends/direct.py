"""The backend `direct`: one signed request for each answer, without the SDK."""

from __future__ import annotations

import time

from ..exceptions import ConfigurationError, DeadlineExceededError, NetworkError
from .answers import Answer, document
from .credentials import CredentialProvider
from .endpoints import endpoint, split_url
from .http1 import ExchangeError, build_request
from .operations import Operations
from .retries import BASE_S, BASES_S, MAX_ATTEMPTS, RETRY_AFTER, Retries
from .signing import Signer, query_string, quote
from .transport import Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .._clock import Clock, Instant
    from .._settings import Settings
    from .endpoints import Endpoint
    from .http1 import Response
    from .trust import Trust
    from .wire import Operation, Written

_REDIRECT = 300  # and above: no success
_TRACE_SAFE = b"-=;:+&[]{}\"',"  # botocore.handlers.add_recursion_detection_header


class DirectBackend(Operations):
    """Fetches over connections of its own. Thread-safe; nothing of it runs between two calls.

    Args:
        settings: the default region, and the variables with credentials, endpoints and certificates.
        clock: both clocks.
        budget: seconds that a call may take now, None for no limit.
        trust: the certificates to trust; default: as the variables say, else Amazon's own roots first.
        sleep: how to wait between attempts.
    """

    __slots__ = (
        "_budget",
        "_clock",
        "_credentials",
        "_environ",
        "_region",
        "_retries",
        "_signer",
        "_sleep",
        "_transport",
    )

    name = "direct"

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        budget: Callable[[], float | None],
        trust: Trust | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        from .trust import Trust

        self._environ = settings.environ
        self._region = settings.region
        self._clock = clock
        self._budget = budget
        self._sleep = sleep
        self._signer = Signer()
        self._transport = Transport(
            clock=clock, trust=trust or Trust(environ=self._environ), max_idle_s=settings.max_idle_s
        )
        self._credentials = CredentialProvider(self._environ, clock=clock, fetch=self._get, sleep=sleep)
        self._retries: dict[tuple[str, str], Retries] = {}

    @property
    def origin(self) -> DirectBackend:
        """Itself."""
        return self

    def knows(self, service: str, region: str | None) -> bool:
        """Whether this backend can tell the endpoint of `service` in `region`, or in the default region."""
        return endpoint(service, region or self._region, self._environ) is not None

    def close(self) -> None:
        """Close the connections, forget credentials and derived keys; a later call finds all of them again."""
        self._transport.close()
        self._credentials.forget()
        self._signer.forget()

    def drop_idle(self, now: Instant) -> None:
        """At the start of an invocation, see `Transport.drop_idle`."""
        self._transport.drop_idle(now)

    def abandon(self) -> None:
        """In a forked child, see `Transport.abandon`."""
        self._transport.abandon()

    def _call(self, operation: Operation, name: str, region: str | None, request: dict[str, Any]) -> Answer:
        service, region = operation.service, region or self._region
        where = endpoint(service, region, self._environ)
        if where is None:
            raise ConfigurationError(
                f"region={region!r}: the direct backend knows no endpoint of {service} there; "
                "give a region of AWS, set AWS_REGION, or leave the choice of the backend to lambdakit"
            )
        about: dict[str, Any] = {"service": service, "operation": operation.name, "name": name, "region": region}
        written = operation.write(request)
        retries = Retries(max_attempts=MAX_ATTEMPTS if operation.repeatable else 1, base_s=BASES_S.get(service, BASE_S))
        attempts = self._retries.setdefault((service, where.region), retries).begin()
        while True:
            try:
                response = self._send(where, operation, written)
            except ExchangeError as error:
                left_s = self._budget()
                delay_s = attempts.failed(left_s=left_s)
                if delay_s is None:
                    raise _no_answer(error, about, left_s) from error
            else:
                if response.status < _REDIRECT:
                    attempts.succeeded()
                    request_id = response.headers.get("x-amzn-requestid")
                    return Answer(
                        operation.members(response), about | {"status": response.status, "request_id": request_id}
                    )
                said = document(response.body)
                code = _code(said, response)
                retry_after = response.headers.get(RETRY_AFTER)
                delay_s = attempts.failed(
                    code=code, status=response.status, retry_after=retry_after, left_s=self._budget()
                )
                if delay_s is None:
                    raise _refusal(code, {} if operation.hidden else said, response, about)
            self._sleep(delay_s)

    def _send(self, where: Endpoint, operation: Operation, written: Written) -> Response:
        left_s = self._budget()
        if left_s is not None and left_s <= 0.0:
            what = f"{operation.service} {operation.name}"
            raise DeadlineExceededError(f"{what}: the invocation has too little time left for a request")
        credentials = self._credentials.get(timeout_s=left_s)
        wall_s, monotonic_s = self._clock.now()
        path, query, headers, body = written
        path = where.target(path)
        headers = self._signer.sign(
            credentials,
            method=operation.method,
            host=where.authority,
            path=path,
            query=query,
            headers={"User-Agent": "lambdakit", **headers, **_trace(operation, self._environ)},
            body=body,
            region=where.region,
            service=operation.signed_as,
            now_s=wall_s,
        )
        target = f"{path}?{query_string(query)}" if query else path
        return self._transport.exchange(
            (where.scheme, where.host, where.port),
            build_request(operation.method, target, headers, body),
            deadline=None if left_s is None else monotonic_s + left_s,
            read_timeout_s=operation.timeout_s,
            # A configuration's token serves once: if the request that was lost has used it up, the service refuses the
            # second, and a new session tells the value; if it has not, nothing is lost. botocore sends it again, too.
            resend=operation.repeatable,
        )

    def _get(self, url: str, headers: dict[str, str], timeout_s: float) -> tuple[int, bytes]:
        scheme, host, port, target = split_url(url)
        _, monotonic_s = self._clock.now()
        request = build_request("GET", target or "/", {"Host": f"{host}:{port}", **headers})
        response = self._transport.exchange(
            (scheme, host, port), request, deadline=monotonic_s + timeout_s, resend=True
        )
        return response.status, response.body


def _trace(operation: Operation, environ: Mapping[str, str]) -> dict[str, str]:
    """What Lambda knows a chain of functions by that invoke each other, to break one that has no end."""
    trace = environ.get("_X_AMZN_TRACE_ID") if operation.service == "lambda" else None
    if not trace or "AWS_LAMBDA_FUNCTION_NAME" not in environ:
        return {}
    return {"X-Amzn-Trace-Id": quote(trace, safe=_TRACE_SAFE)}


def _no_answer(error: ExchangeError, about: dict[str, Any], left_s: float | None) -> Exception:
    what = f"{about['service']} {about['operation']} of {about['name']!r} in {about['region']}"
    if left_s is not None and left_s <= 0.0:
        return DeadlineExceededError(f"{what}: no answer came while the invocation had time for it")
    return NetworkError(
        f"{what}: no answer came. {error}. Check the network, the endpoint and, in a VPC, the route to it.", **about
    )


def _code(answer: dict[str, Any], response: Response) -> str | None:
    # The body names it, or a header does: with a namespace before, or a URL behind.
    said = answer.get("__type") or answer.get("code")
    said = said if isinstance(said, str) else response.headers.get("x-amzn-errortype", "")
    return said.rpartition("#")[2].partition(":")[0] or None


def _refusal(code: str | None, answer: dict[str, Any], response: Response, about: dict[str, Any]) -> Exception:
    from .errors import service_error  # only on the way to an error

    message = answer.get("message") or answer.get("Message")
    return service_error(
        **about,
        code=code,
        status=response.status,
        message=message if isinstance(message, str) else "",
        request_id=response.headers.get("x-amzn-requestid"),
    )
