"""A proxy before moto's server that has the limits of the real services, which moto lacks, and the faults it is told.

    with FaultProxy(moto_url) as proxy:
        boto3.client("ssm", endpoint_url=proxy.url)

Wording: limits as the services answer them (``1 validation error detected: ...``), denials as IAM does. What no public
text tells is marked "a guess" below; no test of the library may rest on it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
import threading
import time
import zlib
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

# Answers of a service, and what happens to those who get no answer of one.
REFUSALS = (
    "throttling",  # 400 ThrottlingException
    "throttled_429",  # 429 TooManyRequestsException
    "kms_throttled",  # 400 KMSThrottlingException, the code that other services give for a key of theirs: a guess
    "server_error",  # 500, with the service's own code
    "unavailable",  # 503 ServiceUnavailableException
    "access_denied",  # 400 AccessDeniedException
    "not_found",  # 400, with the service's own code
    "expired_token",  # 400 ExpiredTokenException
    "invalid_request",  # 400 ValidationException
    "invalid_signature",  # 400 InvalidSignatureException, which quotes the request with its session token
    "signature_expired",  # 400 InvalidSignatureException, which speaks of the clock
)
BREAKS = (
    "bad_gateway",  # 502 with HTML
    "not_json",  # 200 with HTML
    "empty",  # 200 without a body
    "refused",  # nobody listens
    "reset",  # RST once the request is read
    "closed",  # FIN once the request is read
    "partial",  # FIN in the middle of the body
    "garbage",  # not HTTP
    "silent",  # never a byte
    "slow",  # the true answer, after some seconds
)
KINDS = REFUSALS + BREAKS

_UPSTREAM_S = 20.0  # moto answers in milliseconds; no test hangs on it for longer
_HTML = b"<html><body><h1>Not what you asked for</h1></body></html>"


class Call(NamedTuple):
    """One request: its operation (the method for what is not AWS JSON), names, arrival, and the status answered."""

    operation: str
    names: tuple[str, ...]
    at_s: float  # monotonic
    status: int | None  # None: no status was sent


class Answer(NamedTuple):
    status: int
    document: dict[str, Any] | None = None
    raw: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        return self.raw if self.document is None else json.dumps(self.document).encode()


class _Service(NamedTuple):
    prefix: str  # of IAM actions
    server_error: str
    not_found: str
    bad_token: str = "ValidationException"
    message: str = "message"  # the key of the text in an error


_SERVICES = {
    "secretsmanager": _Service(
        "secretsmanager",
        "InternalServiceError",
        "ResourceNotFoundException",
        "InvalidNextTokenException",
        "Message",
    ),
    "AmazonSSM": _Service("ssm", "InternalServerError", "ParameterNotFound", "InvalidNextToken"),
    "TrentService": _Service("kms", "KMSInternalException", "NotFoundException"),
    "DynamoDB_20120810": _Service("dynamodb", "InternalServerError", "ResourceNotFoundException"),
}
_LISTS = {"GetParameters": ("Names", 10), "BatchGetSecretValue": ("SecretIdList", 20)}
_MAX_RESULTS = {"GetParametersByPath": 10, "BatchGetSecretValue": 20}
_NAMES = ("SecretId", "Name", "Path", "TableName", "KeyId")


class Request:
    """What was asked, as far as it can be told."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.at_s = time.monotonic()
        self.method, self.path, self.headers, self.body = method, path, headers, body
        target, _, operation = headers.get("x-amz-target", "").partition(".")
        self.service = _SERVICES.get(target)
        self.operation = operation if self.service else method
        parsed = json.loads(body) if self.service else {}
        self.asked: dict[str, Any] = parsed if isinstance(parsed, dict) else {}
        listed = self.asked.get(_LISTS.get(self.operation, ("",))[0])
        self.names: tuple[str, ...] = tuple(
            listed if listed is not None else [self.asked[key] for key in _NAMES if key in self.asked][:1]
        )

    def error(self, status: int, code: str, message: str) -> Answer:
        """An error as this service words one."""
        return Answer(status, {"__type": code, self.service.message if self.service else "message": message})

    def invalid(self, value: object, where: str, constraint: str) -> Answer:
        """A request that breaks a rule of the API's model."""
        text = f"1 validation error detected: Value '{value}' at '{where}' failed to satisfy constraint: {constraint}"
        return self.error(400, "ValidationException", text)

    def token(self, offset: int) -> str:
        """What continues this request, and no other, at `offset`."""
        same = [offset, {key: value for key, value in self.asked.items() if key not in {"NextToken", "MaxResults"}}]
        return f"{zlib.crc32(json.dumps(same, sort_keys=True).encode()):08x}-{offset}"

    def offset(self) -> int:
        """Where it continues; negative if its token is for another request, or is none of ours."""
        given = self.asked.get("NextToken")
        if given is None:
            return 0
        digits = str(given).rpartition("-")[2]
        return int(digits) if digits.isdigit() and given == self.token(int(digits)) else -1


class _Fault:
    def __init__(self, kind: str, times: int | None, operation: str | None, name: str | None, seconds: float) -> None:
        self.kind, self.left, self.operation, self.name, self.seconds = kind, times, operation, name, seconds

    def hits(self, request: Request) -> bool:
        """Whether this request is for it; counts those that are."""
        if self.left == 0 or self.operation not in {None, request.operation}:
            return False
        if self.name is not None and self.name not in request.names:
            return False
        self.left = None if self.left is None else self.left - 1
        return True


class FaultProxy:
    """Listens on a free port of the loopback interface for the length of a `with` block.

    Attributes:
        url: where it is reached.
        calls: every request that was read, in order.
        connections: how many were accepted.
        page_size: at most so many values on a page of GetParametersByPath and BatchGetSecretValue; None for the
            service's own limit.
        empty_pages: True begins every listing with an empty page that has a NextToken, as a service may do.
    """

    def __init__(self, upstream: str) -> None:
        self.calls: list[Call] = []
        self.connections = 0
        self.page_size: int | None = None
        self.empty_pages = False
        self._upstream = upstream.removeprefix("http://")
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []
        self._denied: list[tuple[str, str | None]] = []
        self._ended = threading.Event()
        # Keeps the port while the listener is closed: bound, and not listening, so that connecting is refused.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._holder.bind(("127.0.0.1", 0))
        self._port: int = self._holder.getsockname()[1]
        self._server: _Server | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._refuse()
        self._holder.close()

    def fault(
        self,
        kind: str,
        *,
        times: int | None = None,
        operation: str | None = None,
        name: str | None = None,
        seconds: float = 1.0,
    ) -> None:
        """Let requests end in a fault, the oldest matching one first.

        Args:
            kind: one of `KINDS`. ``refused`` ends all connections, and takes no other argument.
            times: for so many requests, or None until `heal`.
            operation: only this one, such as ``"GetSecretValue"``.
            name: only requests for this name, alone or among others.
            seconds: how late the answer of ``slow`` is.
        """
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r}: one of {', '.join(KINDS)}")
        if kind == "refused":
            if (times, operation, name) != (None, None, None):
                raise ValueError("refused: nobody reads a request, so none can be told from others")
            self._refuse()
            return
        with self._lock:
            self._faults.append(_Fault(kind, times, operation, name, seconds))

    def heal(self) -> None:
        """End every fault. Denials stay."""
        with self._lock:
            self._faults.clear()
        self._listen()

    def deny(self, *, action: str, name: str | None = None) -> None:
        """Deny what IAM would: an action such as ``"ssm:GetParameter*"``, on a name (wildcards as well) or on all."""
        with self._lock:
            self._denied.append((action, name))

    def allow(self) -> None:
        """End every denial."""
        with self._lock:
            self._denied.clear()

    def asked(self, operation: str) -> list[tuple[str, ...]]:
        """The names of each call of one operation, in order."""
        return [call.names for call in self.calls if call.operation == operation]

    # How a request is answered.

    def serve(self, handler: _Handler, request: Request) -> None:
        """Answer one request, or break off as a fault demands."""
        with self._lock:
            fault = next((fault for fault in self._faults if fault.hits(request)), None)
        kind = fault.kind if fault is not None else None
        if kind in {"reset", "closed", "garbage", "silent"}:
            self._record(request, None)
            handler.break_off(str(kind))
            return
        if fault is not None and kind == "slow":
            self._ended.wait(fault.seconds)
        answer = _FAULTY[kind] if kind in _FAULTY else _refused(str(kind), request) or self._answer(request)
        self._record(request, answer.status)
        handler.send(answer, partial=kind == "partial")

    def _record(self, request: Request, status: int | None) -> None:
        # Before the answer goes out: whoever has it finds it here.
        self.calls.append(Call(request.operation, request.names, request.at_s, status))

    def _answer(self, request: Request) -> Answer:
        refused = _against_model(request) or self._against_policy(request)
        if refused is not None:
            return refused
        if request.operation == "GetParameters":
            return self._parameters(request)
        if request.operation == "GetParametersByPath":
            return self._by_path(request)
        if request.operation == "BatchGetSecretValue" and request.names:
            return self._batch(request)
        return self._forward(request, request.body)

    def _parameters(self, request: Request) -> Answer:
        # One by one where a version or a label is asked for: moto does not tell whose answer is whose, SSM does.
        parts: list[tuple[str, list[str]]] = [("", [])]
        for name in request.names:
            base, colon, _ = name.partition(":")
            if colon and base != "arn":
                parts.append((name[len(base) :], [name]))
            else:
                parts[0][1].append(name)
        found: list[dict[str, Any]] = []
        invalid: list[str] = []
        for selector, names in parts:
            if names:
                answer = self._forward(request, {**request.asked, "Names": names})
                if answer.document is None or answer.status != http.client.OK:
                    return answer
                more = {"Selector": selector} if selector else {}
                found += [{**parameter, **more} for parameter in answer.document["Parameters"]]
                invalid += answer.document["InvalidParameters"]
        found.sort(key=lambda parameter: parameter["Name"])  # "listed in alphabetical order"
        return Answer(200, {"Parameters": found, "InvalidParameters": invalid})

    def _by_path(self, request: Request) -> Answer:
        offset = request.offset()
        if offset == 0 and self.empty_pages and "NextToken" not in request.asked:
            return Answer(200, {"Parameters": [], "NextToken": request.token(0)})
        size = min(request.asked.get("MaxResults") or 10, self.page_size or 10)
        answer = self._forward(request, {**request.asked, "MaxResults": size, "NextToken": str(offset)})
        if answer.document is None or answer.status != http.client.OK:
            return answer
        page = {"Parameters": answer.document["Parameters"]}
        if answer.document.get("NextToken"):
            page["NextToken"] = request.token(offset + len(page["Parameters"]))
        return Answer(200, page)

    def _batch(self, request: Request) -> Answer:
        offset = request.offset()
        if offset == 0 and self.empty_pages and "NextToken" not in request.asked:
            return Answer(200, {"SecretValues": [], "Errors": [], "NextToken": request.token(0)})
        end = offset + (self.page_size or 20)
        names = request.names[offset:end]
        denied = {name for name in names if self._is_denied("secretsmanager:GetSecretValue", name)}
        page: dict[str, Any] = {"SecretValues": [], "Errors": []}
        allowed = [name for name in names if name not in denied]
        if allowed:
            answer = self._forward(request, {"SecretIdList": allowed})
            if answer.document is None or answer.status != http.client.OK:
                return answer
            page = {key: answer.document[key] for key in page}
        page["Errors"] += [
            {
                "SecretId": name,
                "ErrorCode": "AccessDeniedException",
                "Message": _denial("secretsmanager:GetSecretValue", name),
            }
            for name in names
            if name in denied
        ]
        if end < len(request.names):
            page["NextToken"] = request.token(end)
        return Answer(200, page)

    def _against_policy(self, request: Request) -> Answer | None:
        if request.service is None:
            return None
        action = f"{request.service.prefix}:{request.operation}"
        # The batch itself is allowed or denied on all resources; each of its secrets is a GetSecretValue.
        names = ("*",) if request.operation == "BatchGetSecretValue" else request.names or ("*",)
        for name in names:
            if self._is_denied(action, name):
                return request.error(400, "AccessDeniedException", _denial(action, name))
        return None

    def _is_denied(self, action: str, name: str) -> bool:
        if not name.startswith("arn:"):
            name = name.partition(":")[0]  # a version or a label is no part of the resource
        with self._lock:
            return any(
                fnmatchcase(action, actions) and (names is None or fnmatchcase(name, names))
                for actions, names in self._denied
            )

    def _forward(self, request: Request, body: bytes | dict[str, Any]) -> Answer:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        dropped = {"connection", "content-length", "expect", "transfer-encoding"}
        headers = {name: value for name, value in request.headers.items() if name not in dropped}
        upstream = http.client.HTTPConnection(self._upstream, timeout=_UPSTREAM_S)
        with contextlib.closing(upstream):
            upstream.request(request.method, request.path, payload, {**headers, "connection": "close"})
            response = upstream.getresponse()
            raw = response.read()
        kept = tuple((name, value) for name, value in response.getheaders() if name.lower() not in {*dropped, "date"})
        if request.service is None:
            return Answer(response.status, None, raw, kept)
        # moto says 404 to what is missing, these services say 400.
        status = 400 if response.status == http.client.NOT_FOUND else response.status
        document = json.loads(raw) if raw and not isinstance(body, bytes) else None
        return Answer(status, document, raw, kept)

    # Listening and not listening.

    def _listen(self) -> None:
        if self._server is None and not self._ended.is_set():
            self._server = _Server(("127.0.0.1", self._port), self)

    def _refuse(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.stop()


def _against_model(request: Request) -> Answer | None:
    """The limits in the services' models, which their servers hold to."""
    return _against_ranges(request) or _against_rules(request)


def _against_ranges(request: Request) -> Answer | None:
    key, most = _LISTS.get(request.operation, ("", 0))
    where = key[:1].lower() + key[1:]
    listed = f"[{', '.join(request.names)}]"
    if key in request.asked:
        if len(request.names) > most:
            return request.invalid(listed, where, f"Member must have length less than or equal to {most}")
        if not request.names:
            return request.invalid(listed, where, "Member must have length greater than or equal to 1")
    results, most = request.asked.get("MaxResults"), _MAX_RESULTS.get(request.operation)
    if results is not None and most is not None:
        if results > most:
            return request.invalid(results, "maxResults", f"Member must have value less than or equal to {most}")
        if results < 1:
            return request.invalid(results, "maxResults", "Member must have value greater than or equal to 1")
    return None


def _against_rules(request: Request) -> Answer | None:
    if request.operation == "GetParameters" and len(set(request.names)) < len(request.names):
        # Rule and words are a guess.
        return request.error(400, "ValidationException", "Duplicate parameter names in request.")
    if request.operation == "BatchGetSecretValue" and not ({"SecretIdList", "Filters"} & {*request.asked}):
        text = "Either 'SecretIdList' or 'Filters' must be provided, but not both."
        return request.error(400, "InvalidParameterException", text)
    if request.operation == "BatchGetSecretValue" and "MaxResults" in request.asked and "Filters" not in request.asked:
        text = "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided."
        return request.error(400, "InvalidParameterException", text)
    if request.service is not None and request.operation in _MAX_RESULTS and request.offset() < 0:
        return request.error(400, request.service.bad_token, "The NextToken is not valid.")
    return None


def _denial(action: str, name: str) -> str:
    return (
        "User: arn:aws:sts::123456789012:assumed-role/role/function is not authorized to perform: "
        f"{action} on resource: {name} because no identity-based policy allows the {action} action"
    )


_FAULTY: dict[str | None, Answer] = {
    "bad_gateway": Answer(502, None, _HTML, (("Content-Type", "text/html"),)),
    "not_json": Answer(200, None, _HTML, (("Content-Type", "text/html"),)),
    "empty": Answer(200),
}


def _refused(kind: str, request: Request) -> Answer | None:
    """The error that a service answers with under this fault; None where the fault is no error of a service."""
    service = request.service or _SERVICES["secretsmanager"]
    token = request.headers.get("x-amz-security-token", "")
    answers = {
        "throttling": (400, "ThrottlingException", "Rate exceeded"),
        "throttled_429": (429, "TooManyRequestsException", "Rate exceeded"),
        "kms_throttled": (400, "KMSThrottlingException", "The rate of requests to KMS is exceeded"),
        "server_error": (500, service.server_error, "An error occurred on the server side."),
        "unavailable": (503, "ServiceUnavailableException", "The service is unavailable."),
        "access_denied": (400, "AccessDeniedException", _denial(f"{service.prefix}:{request.operation}", "*")),
        "not_found": (400, service.not_found, "What was asked for cannot be found."),
        "invalid_request": (400, "ValidationException", "The request is not valid."),
        "expired_token": (400, "ExpiredTokenException", "The security token included in the request is expired"),
        "signature_expired": (
            400,
            "InvalidSignatureException",
            "Signature expired: 20260101T000000Z is now earlier than 20260101T000300Z (20260101T000800Z - 5 min.)",
        ),
        "invalid_signature": (
            400,
            "InvalidSignatureException",
            (
                "The request signature we calculated does not match the signature you provided. "
                f"The Canonical String for this request should have been 'POST\n/\n\nx-amz-security-token:{token}\n'"
            ),
        ),
    }
    return request.error(*answers[kind]) if kind in answers else None


class _Server(ThreadingHTTPServer):
    """Listening from its making to `stop`, which ends every connection."""

    allow_reuse_port = True
    daemon_threads = False  # so that closing waits for them
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], proxy: FaultProxy) -> None:
        self.proxy = proxy
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, _Handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        self.proxy.connections += 1  # one thread accepts
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.socket.close()
        with self._guard:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self.server_close()  # waits for the threads of the connections


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client went away
            super().handle()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.proxy.serve(self, Request(self.command, self.path, headers, body))

    def do_GET(self) -> None:
        self.do_POST()

    def send(self, answer: Answer, *, partial: bool) -> None:
        """In one piece, so that no part waits for an acknowledgement of another."""
        body = answer.body
        kept = {name.lower(): value for name, value in answer.headers}
        head = {"content-type": "application/x-amz-json-1.1", "x-amzn-requestid": f"proxy-{id(answer):x}", **kept}
        head["content-length"] = str(len(body))
        lines = [f"{name}: {value}" for name, value in head.items()]
        if partial:
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write("\r\n".join([f"HTTP/1.1 {answer.status} X", *lines, "", ""]).encode("latin-1") + body)

    def break_off(self, kind: str) -> None:
        """End the connection, without an answer that is HTTP."""
        self.close_connection = True
        if kind == "garbage":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        elif kind == "silent":
            while self.connection.recv(65536):
                pass
        elif kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()  # before the server shuts it down, which would send a FIN first

    def log_message(self, *_: Any) -> None:
        """Silent."""
