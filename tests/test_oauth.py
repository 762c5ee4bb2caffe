"""Tokens: from a real token server, over real connections."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

import lambdakit
from lambdakit import (
    AccessDeniedError,
    ConfigurationError,
    DeadlineExceededError,
    Environment,
    FetchError,
    NetworkError,
    ServiceError,
    Settings,
    ThrottledError,
)
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

SECRET = "planted-client-secret"


class Issuer:
    """A token server and what it protects."""

    def __init__(self) -> None:
        self.secret = SECRET
        self.expires_in: Any = 3600
        self.answer: tuple[int, Any] | None = None  # instead of a token
        self.asked: list[dict[str, list[str]]] = []
        self.good: set[str] = set()  # tokens that open the resource
        self.opened: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/token":
                    self.reply(*issuer.issue(parse_qs(body.decode())))
                else:
                    self.resource()

            def do_GET(self) -> None:
                self.resource()

            def resource(self) -> None:
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                with issuer.lock:
                    issuer.opened.append((self.command, token))
                self.reply(200 if token in issuer.good else 401, {"token": token})

            def reply(self, status: int, answer: Any) -> None:
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def issue(self, form: dict[str, list[str]]) -> tuple[int, Any]:
        with self.lock:
            self.asked.append(form)
            if self.answer is not None:
                return self.answer
            if form["client_secret"] != [self.secret]:
                return 401, {"error": "invalid_client", "error_description": f"not {form['client_secret']}"}
            token = f"token-{len(self.asked)}"
            self.good.add(token)
            return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    issuer.thread.start()
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()
    issuer.thread.join()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend(secrets={"partner": json.dumps({"client_secret": SECRET})})


@pytest.fixture(autouse=True)
def env(clock: ManualClock, backend: MemoryBackend) -> Iterator[Environment]:
    with lambdakit.use_environment(Environment(settings=Settings(), clock=clock, backend=backend)) as env:
        yield env
    env.close()


def token_of(issuer: Issuer, **options: Any) -> Any:
    return lambdakit.oauth_token(f"{issuer.url}/token", **{"client_id": "shop", "client_secret": SECRET, **options})


def test_a_token_is_asked_for_as_the_rfc_says(issuer: Issuer) -> None:
    """The grant, the client, scope and audience where they are given; nothing before it is needed."""
    token_of(issuer)
    assert issuer.asked == []
    assert str(token_of(issuer, scope="read write", audience="https://api.example")) == "token-1"
    assert issuer.asked == [
        {
            "grant_type": ["client_credentials"],
            "client_id": ["shop"],
            "client_secret": [SECRET],
            "scope": ["read write"],
            "audience": ["https://api.example"],
        }
    ]


@pytest.mark.parametrize(("expires_in", "kept_s"), [(3600, 3570.0), ("600", 570.0), (31, 1.0), (30, 0.0), (5, 0.0)])
def test_it_is_kept_until_shortly_before_it_expires(
    issuer: Issuer, clock: ManualClock, expires_in: Any, kept_s: float
) -> None:
    """Thirty seconds before; time in which the environment was frozen counts."""
    issuer.expires_in = expires_in
    token = token_of(issuer)
    assert str(token) == "token-1"
    if kept_s:
        clock.suspend(kept_s - 0.01)
        assert str(token) == "token-1"
        clock.suspend(0.01)
    assert str(token) == "token-2"


def test_a_server_that_does_not_tell_is_asked_after_a_while(issuer: Issuer, clock: ManualClock) -> None:
    """Five minutes, less the thirty seconds."""
    issuer.answer = 200, {"access_token": "plain"}
    token = token_of(issuer)
    str(token)
    clock.tick(269)
    str(token)
    assert len(issuer.asked) == 1
    clock.tick(1)
    str(token)
    assert len(issuer.asked) == 2


def test_equal_arguments_share_a_token_and_others_do_not(issuer: Issuer) -> None:
    """Every argument that changes the token is in its key."""
    for _ in range(2):
        values = [
            str(token_of(issuer)),
            str(token_of(issuer, client_id="other")),
            str(token_of(issuer, scope="read")),
            str(token_of(issuer, audience="read")),
            str(token_of(issuer, client_secret=lambdakit.secret("partner", field="client_secret"))),
        ]
        assert len(set(values)) == 5
    assert len(issuer.asked) == 5


def test_threads_that_ask_at_once_share_one_fetch(issuer: Issuer) -> None:
    """Sixty-four of them."""
    token, barrier, got = token_of(issuer), threading.Barrier(64), []

    def ask() -> None:
        barrier.wait(20)
        got.append(str(token))

    threads = [threading.Thread(target=ask) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (set(got), len(got), len(issuer.asked)) == ({"token-1"}, 64, 1)


def test_after_a_401_there_is_one_renewal_and_one_retry(issuer: Issuer) -> None:
    """GET and POST: a 401 was not executed. If the next token does not help either, the 401 is the answer."""
    token = token_of(issuer)
    for send in (lambdakit.http.get, lambdakit.http.post):
        issuer.opened.clear()
        old = str(token)
        issuer.good.discard(old)
        response = send(f"{issuer.url}/stock", auth=token, **({"body": b"1"} if send is lambdakit.http.post else {}))
        new = str(token)
        assert (response.status, response.json(), old != new) == (200, {"token": new}, True)
        assert [sent for _, sent in issuer.opened] == [old, new]
    issuer.answer = 200, {"access_token": "useless", "expires_in": 3600}
    issuer.good.clear()
    issuer.opened.clear()
    assert lambdakit.http.get(f"{issuer.url}/stock", auth=token).status == 401
    assert len(issuer.opened) == 2


def test_what_was_renewed_meanwhile_is_not_forgotten(issuer: Issuer) -> None:
    """Two threads got a 401 with the same token; the second finds a new one and keeps it."""
    token = token_of(issuer)
    old, forgotten = str(token), threading.Event()

    def other() -> None:
        str(token)
        forgotten.wait(20)
        token.forget()

    thread = threading.Thread(target=other)
    thread.start()
    token.forget()
    new = str(token)
    forgotten.set()
    thread.join()
    assert (str(token), new == old) == (new, False)
    token_of(issuer).forget()  # an object that gave nothing out yet drops what there is
    assert str(token) != new


def test_a_rotated_client_secret_is_fetched_anew(issuer: Issuer, backend: MemoryBackend, clock: ManualClock) -> None:
    """The server refuses the old one, and takes the new one; refused again, it is an error."""
    token = token_of(issuer, client_secret=lambdakit.secret("partner", field="client_secret"))
    str(token)
    issuer.secret = "new"
    backend.secrets["partner"] = json.dumps({"client_secret": "new"})
    token.forget()
    assert str(token) == "token-3"
    assert len(backend.calls) == 2
    issuer.secret = "unknown to us"
    token.forget()
    clock.tick(11)
    with pytest.raises(AccessDeniedError, match="invalid_client"):
        str(token)
    assert len(issuer.asked) == 4


REFUSALS = [
    ((400, {"error": "invalid_scope"}), AccessDeniedError, "invalid_scope"),
    ((401, b"<html>planted</html>"), AccessDeniedError, None),
    ((403, {"error": "planted: nonsense"}), AccessDeniedError, None),
    ((404, {}), FetchError, None),
    ((307, {}), FetchError, None),
    ((200, b"not json"), ServiceError, None),
    ((200, [1]), ServiceError, None),
    ((200, {"expires_in": 10}), ServiceError, None),
    ((200, {"access_token": ""}), ServiceError, None),
    ((200, {"access_token": "line\nbreak"}), ServiceError, None),
    ((200, {"access_token": "t", "expires_in": "soon"}), ServiceError, None),
    ((200, {"access_token": "t", "expires_in": None}), ServiceError, None),
    ((500, {}), ServiceError, None),
    ((429, {}), ThrottledError, None),
]


@pytest.mark.parametrize(("answer", "kind", "code"), REFUSALS)
def test_an_answer_without_a_token_is_an_error(issuer: Issuer, answer: Any, kind: type[FetchError], code: Any) -> None:
    """Of its kind, with the code of the RFC; nothing else of the answer and nothing of the secret is in it."""
    issuer.answer = answer
    with pytest.raises(kind) as caught:
        str(token_of(issuer))
    assert (type(caught.value), caught.value.code, caught.value.status) == (kind, code, answer[0])
    shown = "".join(traceback.format_exception(caught.value))
    assert "planted" not in shown.replace("planted-client-secret", "") or kind is AccessDeniedError
    assert SECRET not in str(caught.value)
    issuer.answer = None
    assert str(token_of(issuer)).startswith("token-")  # an error is not kept


def test_a_valid_token_is_used_on_if_no_new_one_can_be_had(
    issuer: Issuer, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """In its last half minute, not longer; with a warning that says nothing of it."""
    token = token_of(issuer)
    str(token)
    issuer.answer = 500, {}
    clock.tick(3570)
    assert str(token) == "token-1"
    assert [record.getMessage() for record in caplog.records if record.name == "lambdakit"] == [
        "token of 'shop' could not be refreshed (ServiceError): the value of 3570 s ago is served meanwhile"
    ]
    clock.tick(25)
    with pytest.raises(ServiceError):
        str(token)


def test_no_answer_and_no_time(issuer: Issuer, env: Environment) -> None:
    """Our own exceptions, with urllib3's as the cause."""
    nobody = lambdakit.oauth_token("http://127.0.0.1:1/token", client_id="shop", client_secret=SECRET)
    with pytest.raises(NetworkError, match=r"no answer from 127\.0\.0\.1:1") as caught:
        str(nobody)
    assert type(caught.value.__cause__).__module__.startswith("urllib3")
    handler = lambdakit.handler(lambda event, context: str(token_of(issuer)))
    with pytest.raises(DeadlineExceededError):
        handler({}, FakeContext(remaining_s=0.25))


def test_tokens_end_with_the_environment(issuer: Issuer, env: Environment) -> None:
    """Also before a snapshot, and in a forked child."""
    token = token_of(issuer)
    for number, end in enumerate((env._renew, env._become_another, env.close, env._after_fork_in_child), 1):
        assert str(token) == f"token-{number}"
        end()
    assert str(token) == "token-5"


def test_the_repr_hides_the_value(issuer: Issuer) -> None:
    """And the secret, and what else the URL has."""
    token = token_of(issuer)
    value = str(token)
    host = issuer.url.removeprefix("http://")
    assert repr(token) == f"<Token of 'shop' at {host}>"
    shown = repr(token) + repr(lambdakit.environment()) + json.dumps(lambdakit.stats())
    assert value not in shown
    assert SECRET not in shown
    odd = lambdakit.oauth_token("https://user:planted@login.example/x", client_id="shop", client_secret=SECRET)
    assert repr(odd) == "<Token of 'shop' at login.example>"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"token_url": "login.example"}, "token_url: give a URL"),
        ({"token_url": None}, "token_url: give a URL"),
        ({"client_id": ""}, "client_id=''"),
        ({"client_secret": ""}, "client_secret: give a non-empty string or lambdakit.secret"),
        ({"client_secret": b"x"}, "not bytes"),
        ({"client_secret": lambdakit.parameters("/x")}, "is many values"),
        ({"scope": ""}, "scope=''"),
        ({"audience": 5}, "audience: give a non-empty string, not int"),
    ],
)
def test_a_wrong_argument_is_an_error_where_it_stands(options: dict[str, Any], said: str) -> None:
    """Before anything is fetched."""
    given = {"token_url": "https://login.example", "client_id": "shop", "client_secret": SECRET, **options}
    with pytest.raises(ConfigurationError, match=said):
        lambdakit.oauth_token(given.pop("token_url"), **given)
