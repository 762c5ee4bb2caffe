"""AppConfigData's wire, which moto's server lacks: a server that refuses whatever the service would refuse."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_REQUIRED = {"ApplicationIdentifier", "EnvironmentIdentifier", "ConfigurationProfileIdentifier"}
_OPTIONAL = {"RequiredMinimumPollIntervalInSeconds"}


class RefusedError(Exception):
    """An error of the service."""

    def __init__(self, status: int, code: str, **members: Any) -> None:
        super().__init__(code)
        self.status = status
        self.body = json.dumps({"Message": f"said {code}", **members}).encode()
        self.code = code


def _bad_token(problem: str) -> RefusedError:
    details = {"InvalidParameters": {"ConfigurationToken": {"Problem": problem}}}
    return RefusedError(400, "BadRequestException", Reason="InvalidParameters", Details=details)


class _Session:
    def __init__(self, key: tuple[str, str, str], interval_s: float) -> None:
        self.key = key
        self.interval_s = interval_s
        self.told: Any = None  # what the last poll answered
        self.next_s: float | None = None  # no poll before


class AppConfig:
    """Answers on a free port of the loopback interface.

    A token serves for one successful poll, the next comes with its answer; a poll that comes too early is refused and
    leaves the token good; the body is empty while nothing has changed. `interval_s` and `clock` may be changed at any
    time. `faults`: what is done instead of answering the next requests, each a status with a code, or None for closing
    the connection once the request was executed.
    """

    def __init__(self, *, interval_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.interval_s = interval_s
        self.clock = clock
        self.faults: list[tuple[int, str] | None] = []
        self.requests: list[str] = []  # the operation of each, in order
        self._values: dict[tuple[str, str, str], tuple[bytes, str | None]] = {}
        self._sessions: dict[str, _Session] = {}  # by the token of the next poll
        self._numbers = count(1)
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one write: else Nagle's algorithm costs 40 ms

            def do_GET(self) -> None:
                self._answer(lambda: outer.poll(self.path, self.headers), "GetLatestConfiguration")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(lambda: outer.start(self.path, self.headers, body), "StartConfigurationSession")

            def _answer(self, act: Callable[[], tuple[int, dict[str, str], bytes]], operation: str) -> None:
                outer.requests.append(operation)
                fault = outer.faults.pop(0) if outer.faults else ...
                try:
                    if isinstance(fault, tuple):
                        raise RefusedError(*fault)  # noqa: TRY301 - as the service's own errors
                    with outer._lock:
                        status, headers, body = act()
                except RefusedError as error:
                    status, headers, body = error.status, {"x-amzn-ErrorType": f"{error.code}:http://x/"}, error.body
                if fault is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {"x-amzn-RequestId": "r-1", **headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def put(self, name: str, body: bytes | str, *, label: str | None = None) -> None:
        """Deploy a configuration under ``"application/environment/profile"``."""
        application, environment, profile = name.split("/")
        self._values[application, environment, profile] = (body.encode() if isinstance(body, str) else body, label)

    def start(self, target: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """StartConfigurationSession."""
        _signed(headers)
        if target != "/configurationsessions" or headers["Content-Type"] != "application/json":
            raise RefusedError(404, "UnknownOperationException")
        request = json.loads(body)
        if not _REQUIRED <= set(request) <= _REQUIRED | _OPTIONAL:
            raise RefusedError(400, "BadRequestException", Reason="InvalidParameters")
        interval_s = request.get("RequiredMinimumPollIntervalInSeconds", self.interval_s)
        if "RequiredMinimumPollIntervalInSeconds" in request and not 15 <= interval_s <= 86_400:
            raise RefusedError(400, "BadRequestException", Reason="InvalidParameters")
        key = tuple(request[f"{part}Identifier"] for part in ("Application", "Environment", "ConfigurationProfile"))
        if key not in self._values:
            raise RefusedError(404, "ResourceNotFoundException", ResourceType="Deployment")
        answer = {"InitialConfigurationToken": self._token(_Session(key, interval_s))}
        return 201, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    def poll(self, target: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        """GetLatestConfiguration."""
        _signed(headers)
        url = urlsplit(target)
        query = parse_qs(url.query, keep_blank_values=True)
        if url.path != "/configuration" or set(query) != {"configuration_token"}:
            raise RefusedError(404, "UnknownOperationException")
        [token] = query["configuration_token"]
        session = self._sessions.get(token)
        if session is None:
            raise _bad_token("Corrupted")
        now_s = self.clock()
        if session.next_s is not None and now_s < session.next_s:
            raise _bad_token("PollIntervalNotSatisfied")
        del self._sessions[token]
        value = self._values[session.key]
        body, label = value
        changed = value != session.told
        session.told, session.next_s = value, now_s + session.interval_s
        answered = {
            "Content-Type": "application/octet-stream",
            "Next-Poll-Configuration-Token": self._token(session),
            "Next-Poll-Interval-In-Seconds": str(int(session.interval_s)),
        }
        if changed and label is not None:
            answered["Version-Label"] = label
        return 200, answered, body if changed else b""

    def _token(self, session: _Session) -> str:
        token = f"planted+token/{next(self._numbers)}=="  # characters that a URL has to escape
        self._sessions[token] = session
        return token


def _signed(headers: Any) -> None:
    if "/appconfig/aws4_request" not in headers.get("Authorization", ""):
        raise RefusedError(403, "MissingAuthenticationTokenException")
