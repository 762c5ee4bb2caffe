"""Requests to AWS without the SDK: one call of an operation, signed, sent, and retried as botocore does.

The retries are those of botocore's mode ``standard``, as of botocore 1.44. What a caller may not expect of it: the base
of the back-off is 1 s after throttling but 50 ms after anything else (25 with DynamoDB), ``x-amz-retry-after``
(milliseconds) raises it by 5 s at most, a quota stops retries while most requests fail. Two of its rules have no place
here. A status of 429 is no throttling if its code is an error that the operation models: no operation that is called
here has such an error, beside those of the list. DynamoDB's ``x-amz-crc32`` is not compared: TLS leaves it nothing to
find.
"""

from __future__ import annotations

import json
import threading

from .._diagnostics import warn
from ..exceptions import ConfigurationError, DeadlineExceededError, NetworkError, ServiceError
from .credentials import CredentialProvider
from .endpoints import endpoint, split_url
from .signing import Signer, load_hashes, query_string, quote
from .transport import READ_TIMEOUT_S, ExchangeError, Transport, Trust, build_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias, TypeVar

    from .._clock import Clock, Instant
    from .._environment import Environment
    from .._settings import Settings
    from .endpoints import Endpoint
    from .transport import Response

    T = TypeVar("T")
    # The path, percent-encoded; the query, not encoded; the headers beside those of every request; the body.
    Written: TypeAlias = tuple[str, list[tuple[str, str]], dict[str, str], bytes]

MAX_ATTEMPTS = 3
RETRY_AFTER = "x-amz-retry-after"
BASE_S = 0.05
BASES_S = {"dynamodb": 0.025}  # of services that have another

_THROTTLED_BASE_S, _MAX_S, _MAX_ADDED_S = 1.0, 20.0, 5.0
_QUOTA, _THROTTLED_COST, _COST, _REFUND = 500, 5, 14, 1
_REDIRECT = 300  # and above: no success
_TRACE_SAFE = b"-=;:+&[]{}\"',"  # botocore.handlers.add_recursion_detection_header


class Operation:
    """An operation whose request and answer are JSON documents: what botocore's ``service-2.json`` says of it.

    Attributes:
        service: the prefix of the service's endpoints, and botocore's name of it.
        name: the operation.
        method: the HTTP method.
        path: where it is sent to.
        signed_as: the service's name in a signature.
        headers: what identifies it, and its media type.
        stream: the member of the answer that is its body as it stands; None if the body is a document of all members.
        redact: True if what identifies the thing asked for is a secret itself: errors must not quote it.
        repeatable: False if a request that was lost may have done something that a second one would do again.
        timeout_s: how long an answer may take.
    """

    __slots__ = (
        "headers",
        "method",
        "name",
        "path",
        "redact",
        "repeatable",
        "service",
        "signed_as",
        "stream",
        "timeout_s",
    )

    def __init__(
        self,
        service: str,
        name: str,
        headers: Mapping[str, str],
        *,
        method: str = "POST",
        path: str = "/",
        signed_as: str | None = None,
        stream: str | None = None,
        redact: bool = False,
        repeatable: bool = True,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self.service = service
        self.name = name
        self.headers = headers
        self.method = method
        self.path = path
        self.signed_as = signed_as or service
        self.stream = stream
        self.redact = redact
        self.repeatable = repeatable
        self.timeout_s = timeout_s

    def __repr__(self) -> str:
        """Service and name."""
        return f"<Operation {self.service} {self.name}>"

    def write(self, request: dict[str, Any]) -> Written:
        """A request as it is sent."""
        return self.path, [], {**self.headers}, json.dumps(request, default=base64).encode()

    def read(self, response: Response) -> dict[str, Any] | None:
        """The members of a successful response; None if it is not a document of members."""
        return _object(response.body)


class RestOperation(Operation):
    """An operation whose members stand in path, query, headers and body, each where the model puts it.

    Args:
        service: as an `Operation`'s.
        name: the same.
        stream: the same.
        labels: members of the request that stand in the path, where it has their names in braces.
        query: members of the request that stand in the query, by their names there.
        request_headers: members of the request that are headers, by their names.
        body: the member of the request that is its body; None for an empty one.
        response_headers: headers of the answer that are members, by their names there, in lower case.
        options: of an `Operation`.
    """

    __slots__ = ("_body", "_labels", "_query", "_request_headers", "_response_headers")

    def __init__(
        self,
        service: str,
        name: str,
        *,
        stream: str,
        labels: tuple[str, ...] = (),
        query: Mapping[str, str] | None = None,
        request_headers: Mapping[str, str] | None = None,
        body: str | None = None,
        response_headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(service, name, {}, stream=stream, **options)
        self._labels = labels
        self._query = query or {}
        self._request_headers = request_headers or {}
        self._body = body
        self._response_headers = response_headers or {}

    def write(self, request: dict[str, Any]) -> Written:
        """A request as it is sent; members that are not given are not there."""
        path = self.path.format(**{member: quote(request[member]) for member in self._labels})
        query = [(name, request[member]) for member, name in self._query.items() if member in request]
        headers = {name: request[member] for member, name in self._request_headers.items() if member in request}
        return path, query, headers, b"" if self._body is None else request[self._body]

    def read(self, response: Response) -> dict[str, Any]:
        """The members of a successful response, and its status as ``StatusCode``."""
        named = self._response_headers.items()
        members = {member: response.headers[name] for member, name in named if name in response.headers}
        return {"StatusCode": response.status, str(self.stream): response.body, **members}


class Answer:
    """A successful answer. Immutable by convention.

    Attributes:
        members: its members, by the names that the API gives them. Bytes are bytes, or text in base64.
        error_context: what an error about it tells: service, operation, name, region, status and request id.
    """

    __slots__ = ("error_context", "members")

    def __init__(self, members: dict[str, Any], error_context: dict[str, Any]) -> None:
        self.members = members
        self.error_context = error_context

    def __repr__(self) -> str:
        """What was asked; the members may be secrets."""
        return f"<Answer {self.error_context['operation']} of {self.error_context['name']!r}>"

    def read(self, reader: Callable[[dict[str, Any]], T]) -> T:
        """What `reader` makes of the members.

        Raises:
            ServiceError: it is not an answer of this service.
        """
        try:
            return reader(self.members)
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError):
            # The answer may hold the value in a form that is not understood: nothing of it goes into the error.
            failure = self.malformed_response()
        raise failure

    def malformed_response(self) -> ServiceError:
        """The error of an answer that is not what this service answers."""
        context = self.error_context
        return ServiceError(
            f"{context['service']} {context['operation']} of {context['name']!r}: the answer is not one of "
            "this service's. Is there a proxy, or a wrong endpoint?",
            **context,
        )


class Aws:
    """Calls of operations, over connections of an environment's own. Thread-safe; nothing runs between two calls.

    Args:
        settings: the default region, and the variables with credentials, endpoints and certificates.
        clock: both clocks; waits between attempts.
        budget: seconds that a call may take now, None for no limit.
        trust: the certificates to trust; default: as the variables say, else Amazon's own roots first.
    """

    __slots__ = (
        "_budget",
        "_clock",
        "_credentials",
        "_environ",
        "_quotas",
        "_region",
        "_signer",
        "_skew_s",
        "_transport",
    )

    def __init__(
        self, *, settings: Settings, clock: Clock, budget: Callable[[], float | None], trust: Trust | None = None
    ) -> None:
        self._environ = settings.environ
        self._region = settings.region
        self._clock = clock
        self._budget = budget
        self._signer = Signer()
        self._transport = Transport(
            clock=clock, trust=trust or Trust(environ=self._environ), max_idle_s=settings.max_idle_s
        )
        self._credentials = CredentialProvider(self._environ, clock=clock, fetch=self._get)
        self._quotas: dict[tuple[str, str], RetryQuota] = {}
        self._skew_s = 0.0  # by which this machine's clock is late, as far as a service has said so

    @classmethod
    def of(cls, env: Environment) -> Aws:
        """Those of an environment."""
        return cls(settings=env.settings, clock=env.clock, budget=env._budget)

    def knows(self, service: str, region: str | None) -> bool:
        """Whether the endpoint of `service` in `region`, or in the default region, can be told without the SDK."""
        return endpoint(service, region or self._region, self._environ) is not None

    def warm_imports(self, service: str) -> None:
        """Import in INIT what a first call of `service` needs, and read the certificates that it trusts."""
        load_hashes()
        if "AWS_ACCESS_KEY_ID" not in self._environ:
            __import__(f"{__name__}.container")
        where = endpoint(service, self._region, self._environ)
        self._transport.warm_imports(None if where is None or where.scheme != "https" else where.host)

    def call(self, operation: Operation, request: dict[str, Any], *, name: str, region: str | None) -> Answer:
        """Call `operation`.

        Args:
            operation: what to call.
            request: its members, by the names that the API gives them.
            name: what it is asked of, for errors; never a value.
            region: None for the default region.

        Raises:
            ConfigurationError: the endpoint is not known here.
            FetchError: of the kind that the service's answer is; a `NetworkError` if none came.
            DeadlineExceededError: the invocation has no time for it, or no more.
        """
        service, region = operation.service, region or self._region
        where = endpoint(service, region, self._environ)
        if where is None:
            raise ConfigurationError(
                f"region={region!r}: the direct backend knows no endpoint of {service} there; "
                "give a region of AWS, set AWS_REGION, or leave the choice of the backend to lambdakit"
            )
        context: dict[str, Any] = {"service": service, "operation": operation.name, "name": name, "region": region}
        written = operation.write(request)
        attempts = self._attempts(operation, where.region)
        corrected = False
        while True:
            try:
                response = self._send(where, operation, written)
            except ExchangeError as error:
                left_s = self._budget()
                delay_s = attempts.failed(left_s=left_s)
                if delay_s is None:
                    raise _no_answer(error, context, left_s) from error
            else:
                if response.status < _REDIRECT:
                    attempts.succeeded()
                    context |= {"status": response.status, "request_id": response.headers.get("x-amzn-requestid")}
                    members = operation.read(response)
                    if members is None:
                        raise Answer({}, context).malformed_response()
                    return Answer(members, context)
                body = document(response.body)
                code = _code(body, response)
                if not corrected and self._correct_clock(code, response):
                    corrected = True  # nothing was done: the signature was refused
                    continue
                retry_after = response.headers.get(RETRY_AFTER)
                delay_s = attempts.failed(
                    code=code, status=response.status, retry_after=retry_after, left_s=self._budget()
                )
                if delay_s is None:
                    raise _refusal(code, {} if operation.redact else body, response, context)
            self._clock.sleep(delay_s)

    def _correct_clock(self, code: str | None, response: Response) -> bool:
        """Whether the service refused the time of a signature, and its answer says what time it is.

        A container that slept on a laptop is minutes late for a while. botocore fails then; other SDKs of AWS do this.
        """
        from .._errors import clock_skew_s  # 0.5 ms, only on the way to an error

        skew_s = clock_skew_s(code, response.headers.get("date"), self._clock.now()[0] + self._skew_s)
        if skew_s is None:
            return False
        self._skew_s = skew_s = skew_s + self._skew_s
        message = "the clock of this machine is %.0f s %s: requests are signed with the service's time"
        warn(message, abs(skew_s), "late" if skew_s > 0 else "early")
        return True

    def _attempts(self, operation: Operation, region: str) -> Attempts:
        service = operation.service
        quota = self._quotas.setdefault((service, region), RetryQuota())
        return Attempts(
            quota,
            random=self._clock.random,
            max_attempts=MAX_ATTEMPTS if operation.repeatable else 1,
            base_s=BASES_S.get(service, BASE_S),
        )

    def _send(self, where: Endpoint, operation: Operation, written: Written) -> Response:
        left_s = self._budget()
        if left_s is not None and left_s <= 0.0:
            what = f"{operation.service} {operation.name}"
            raise DeadlineExceededError(f"{what}: the invocation has too little time left for a request")
        deadline = None if left_s is None else self._clock.now()[1] + left_s  # before credentials take their time
        credentials = self._credentials.get(timeout_s=left_s)
        wall_s, _ = self._clock.now()
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
            now_s=wall_s + self._skew_s,
        )
        target = f"{path}?{query_string(query)}" if query else path
        return self._transport.exchange(
            (where.scheme, where.host, where.port),
            build_request(operation.method, target, headers, body),
            deadline=deadline,
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

    def close(self) -> None:
        """Close the connections, forget credentials and derived keys; a later call finds all of them again."""
        self._transport.close()
        self._credentials.forget()
        self._signer.forget()
        self._skew_s = 0.0

    def close_idle(self, now: Instant) -> float | None:
        """See `Transport.close_idle`."""
        return self._transport.close_idle(now)

    def after_fork_in_child(self) -> bool:
        """See `Transport.after_fork_in_child`; the child makes its own."""
        self._transport.after_fork_in_child()
        return False


class RetryQuota:
    """The retry quota of one service in one region, as a botocore client has one. Thread-safe."""

    __slots__ = ("_available", "_lock")

    def __init__(self) -> None:
        self._available = _QUOTA
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """What is left of it."""
        return f"RetryQuota({self._available})"

    def acquire(self, cost: int) -> bool:
        """Take `cost`, unless there is less left."""
        with self._lock:
            if cost > self._available:
                return False
            self._available -= cost
            return True

    def release(self, amount: int) -> None:
        """Give `amount` back; the quota never grows beyond its beginning."""
        with self._lock:
            self._available = min(self._available + amount, _QUOTA)


class Attempts:
    """One request, however often it is sent. For one thread.

    Args:
        quota: of the service.
        random: an even draw from 0 to 1, for each back-off.
        max_attempts: how often the request is sent at most; 1 for no retries.
        base_s: the base of the back-off after anything but throttling.
    """

    __slots__ = ("_acquired", "_base_s", "_max_attempts", "_quota", "_random", "number")

    def __init__(
        self,
        quota: RetryQuota,
        *,
        random: Callable[[], float],
        max_attempts: int = MAX_ATTEMPTS,
        base_s: float = BASE_S,
    ) -> None:
        self._quota = quota
        self._random = random
        self._max_attempts = max_attempts
        self._base_s = base_s
        self._acquired = _REFUND
        self.number = 1

    def __repr__(self) -> str:
        """Which attempt it is."""
        return f"Attempts(number={self.number})"

    def succeeded(self) -> None:
        """A status of 2xx came: the quota gets back what the last retry took, or 1 if there was none."""
        self._quota.release(self._acquired)

    def failed(
        self,
        *,
        code: str | None = None,
        status: int | None = None,
        retry_after: str | None = None,
        left_s: float | None = None,
    ) -> float | None:
        """Seconds to wait before the request is sent again, or None if it is not to be.

        Args:
            code: the error code of the answer, or None if it has none or no answer came.
            status: the HTTP status of the answer, or None if no answer came.
            retry_after: the header `RETRY_AFTER` of the answer, or None.
            left_s: seconds until the deadline, or None for no deadline. A wait that would last until then is not begun.
        """
        from .._errors import is_retryable, is_throttling  # 0.5 ms, only on the way to an error

        if self.number >= self._max_attempts or not is_retryable(code, status):
            return None
        throttled = is_throttling(code, status)
        delay_s = backoff_s(
            self.number, throttled=throttled, random=self._random(), retry_after=retry_after, base_s=self._base_s
        )
        if left_s is not None and delay_s >= left_s:
            return None
        cost = _THROTTLED_COST if throttled else _COST
        if not self._quota.acquire(cost):
            return None
        self._acquired = cost
        self.number += 1
        return delay_s


def backoff_s(
    attempt: int, *, throttled: bool, random: float, retry_after: str | None = None, base_s: float = BASE_S
) -> float:
    """Seconds to wait after attempt number `attempt` (from 1), with a `random` number drawn evenly from 0 to 1."""
    delay_s = random * min((_THROTTLED_BASE_S if throttled else base_s) * float(1 << (attempt - 1)), _MAX_S)
    try:
        asked_s = int(retry_after or "") / 1000.0
    except (ValueError, OverflowError):  # absent, or not a number of milliseconds
        return delay_s
    return max(delay_s, min(asked_s, delay_s + _MAX_ADDED_S))


def document(body: bytes) -> dict[str, Any]:
    """The JSON object that `body` is; an empty one if it is none."""
    return _object(body) or {}


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def base64(value: bytes) -> str:
    """Bytes as JSON has them."""
    import binascii  # a C module without imports of its own, unlike base64

    return binascii.b2a_base64(value, newline=False).decode()


def _trace(operation: Operation, environ: Mapping[str, str]) -> dict[str, str]:
    """What Lambda knows a chain of functions by that invoke each other, to break one that has no end."""
    trace = environ.get("_X_AMZN_TRACE_ID") if operation.service == "lambda" else None
    if not trace or "AWS_LAMBDA_FUNCTION_NAME" not in environ:
        return {}
    return {"X-Amzn-Trace-Id": quote(trace, safe=_TRACE_SAFE)}


def _no_answer(error: ExchangeError, context: dict[str, Any], left_s: float | None) -> Exception:
    what = f"{context['service']} {context['operation']} of {context['name']!r} in {context['region']}"
    if left_s is not None and left_s <= 0.0:
        return DeadlineExceededError(f"{what}: no answer came while the invocation had time for it")
    return NetworkError(
        f"{what}: no answer came. {error}. Check the network, the endpoint and, in a VPC, the route to it.", **context
    )


def _code(answer: dict[str, Any], response: Response) -> str | None:
    # The body names it, or a header does: with a namespace before, or a URL behind.
    code = answer.get("__type") or answer.get("code")
    code = code if isinstance(code, str) else response.headers.get("x-amzn-errortype", "")
    return code.rpartition("#")[2].partition(":")[0] or None


def _refusal(code: str | None, answer: dict[str, Any], response: Response, context: dict[str, Any]) -> Exception:
    from .._errors import service_error  # only on the way to an error

    message = answer.get("message") or answer.get("Message")
    return service_error(
        **context,
        code=code,
        status=response.status,
        message=message if isinstance(message, str) else "",
        request_id=response.headers.get("x-amzn-requestid"),
    )
