"""Tokens: from a real token server, over real connections."""

from __future__ import annotations

import base64
import json
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus

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
        self.asked: list[dict[str, list[str]]] = []  # forms
        self.basic: list[tuple[str, ...] | None] = []  # of each, client and secret if they came by HTTP Basic
        self.good: set[str] = set()  # tokens that open the resource
        self.opened: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/token":
                    self.reply(*issuer.issue(parse_qs(body.decode()), self.headers.get("Authorization", "")))
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
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def issue(self, form: dict[str, list[str]], authorization: str) -> tuple[int, Any]:
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":") if authorization else None
        with self.lock:
            self.asked.append(form)
            self.basic.append(None if pair is None else tuple(map(unquote_plus, pair)))
            if self.answer is not None:
                return self.answer
            secret = pair[1] if pair else form.get("client_secret", form.get("client_assertion", [""]))[0]
            if unquote_plus(secret) != self.secret:
                return 401, {"error": "invalid_client", "error_description": f"not {secret}"}
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
        {"grant_type": ["client_credentials"], "scope": ["read write"], "audience": ["https://api.example"]}
    ]
    assert issuer.basic == [("shop", SECRET)]


def test_how_a_client_tells_who_it_is(issuer: Issuer) -> None:
    """By HTTP Basic, with both parts encoded as in a form; in the form; by an assertion: by one of them, never two."""
    odd = {"client_id": "shop: ü+/", "client_secret": "p:a s%s&ü"}
    issuer.secret = odd["client_secret"]
    str(token_of(issuer, **odd))
    str(token_of(issuer, **odd, auth_method="client_secret_basic"))
    str(token_of(issuer, **odd, auth_method="client_secret_post"))
    assertions = iter([issuer.secret, issuer.secret.encode("ascii", "ignore")])
    token = token_of(issuer, client_id="c", client_secret=None, client_assertion=lambda: next(assertions))
    str(token)
    common = {"grant_type": ["client_credentials"]}
    given = ("shop: ü+/", "p:a s%s&ü")
    assert issuer.basic == [given, None, None]  # the first two are one
    assert issuer.asked == [
        common,
        common | {"client_id": [given[0]], "client_secret": [given[1]]},
        common
        | {
            "client_id": ["c"],
            "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
            "client_assertion": [given[1]],
        },
    ]
    issuer.secret = "p:a s%s&"
    token.forget()
    str(token)
    assert issuer.asked[-1]["client_assertion"] == ["p:a s%s&"]  # another for each token; older libraries return bytes


def test_other_fields(issuer: Issuer) -> None:
    """One resource or several, and whatever the server wants; each of them is in the key."""
    str(token_of(issuer, resource="https://a"))
    str(token_of(issuer, resource=["https://a", "https://b"]))
    str(token_of(issuer, extra={"organization": "org_1"}))
    str(token_of(issuer, extra={"organization": "org_2"}))
    assert [{**form, "grant_type": ""} for form in issuer.asked] == [
        {"grant_type": "", "resource": ["https://a"]},
        {"grant_type": "", "resource": ["https://a", "https://b"]},
        {"grant_type": "", "organization": ["org_1"]},
        {"grant_type": "", "organization": ["org_2"]},
    ]


def test_what_the_client_makes_of_its_assertion(issuer: Issuer) -> None:
    """Its own exception passes unchanged; what is no text is a ConfigurationError, a coroutine among it."""

    async def coroutine() -> str:
        return "jwt"

    def raising() -> str:
        raise ZeroDivisionError

    for made, said in ((lambda: None, "NoneType"), (lambda: "", "str"), (coroutine, "coroutine")):
        with pytest.raises(ConfigurationError, match=f"it returned {said}"):
            str(token_of(issuer, client_secret=None, client_assertion=made))
    with pytest.raises(ZeroDivisionError):
        str(token_of(issuer, client_secret=None, client_assertion=raising))
    assert issuer.asked == []


@pytest.mark.parametrize("stored", [json.dumps({"client_secret": {"a": 1}}), json.dumps({"client_secret": ""})])
def test_a_client_secret_that_is_no_text(issuer: Issuer, backend: MemoryBackend, stored: str) -> None:
    """An error that names it, and says nothing of it; digits are taken as they stand there."""
    declared = lambdakit.secret("partner", field="client_secret")
    backend.secrets["partner"] = stored
    with pytest.raises(ConfigurationError, match=r"<secret 'partner'> is (dict|str) there, or empty"):
        str(token_of(issuer, client_secret=declared))
    backend.secrets["partner"] = json.dumps({"client_secret": 1234})
    lambdakit.clear()
    issuer.secret = "1234"
    assert str(token_of(issuer, client_secret=declared)) == "token-1"


@pytest.mark.parametrize(
    ("expires_in", "kept_s"),
    [
        *((3600, 3570.0), ("600", 570.0), (300, 270.0), (60, 54.0), (20, 18.0), ("5", 4.5), (0, 0.0), (-1, 0.0)),
        *((None, 270.0), ("", 270.0), (" ", 270.0), (" 600.0 ", 570.0)),
    ],
)
def test_it_is_kept_until_shortly_before_it_expires(
    issuer: Issuer, clock: ManualClock, expires_in: Any, kept_s: float
) -> None:
    """Thirty seconds before, of short ones a tenth of their life; time in which the environment was frozen counts."""
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
    issuer.answer = 201, {"access_token": "plain", "error": None}
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
    ((200, {"access_token": "t", "expires_in": [1]}), ServiceError, None),
    ((200, {"access_token": "t", "expires_in": True}), ServiceError, None),
    ((200, {"access_token": "t", "expires_in": "nan"}), ServiceError, None),
    ((200, b'{"access_token": "t", "expires_in": Infinity}'), ServiceError, None),
    ((200, {"access_token": "t", "expires_in": 10**400}), ServiceError, None),
    ((201, {"expires_in": 10}), ServiceError, None),
    ((202, {"access_token": "t"}), FetchError, None),
    ((200, {"error": "invalid_client"}), AccessDeniedError, "invalid_client"),
    ((200, {"error": "planted: nonsense", "access_token": None}), AccessDeniedError, None),
    ((200, {"error": "temporarily_unavailable"}), ServiceError, "temporarily_unavailable"),
    ((400, {"error": "slow_down"}), ThrottledError, "slow_down"),
    ((400, {"error": "server_error"}), ServiceError, "server_error"),
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


def test_a_short_token_is_not_used_past_its_end(issuer: Issuer, clock: ManualClock) -> None:
    """Of one that lasts a minute the last six seconds, less one."""
    issuer.expires_in = 60
    token = token_of(issuer)
    str(token)
    issuer.answer = 500, {}
    clock.tick(58.9)
    assert str(token) == "token-1"
    clock.tick(0.1)
    clock.tick(60)  # past the back-off
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
        ({"resource": ["https://a", 5]}, "resource: give a non-empty string, not int"),
        ({"extra": [("a", "b")]}, "extra: give a dictionary of strings, not list"),
        ({"extra": {"a": 5}}, "extra: give a non-empty string, not int"),
        ({"extra": {"client_secret": "x"}}, "extra: 'client_secret' has an argument of its own"),
        ({"resource": "https://a", "extra": {"resource": "x"}}, "extra: 'resource' has an argument of its own"),
        ({"client_secret": None}, "client_secret, client_assertion: give one of them"),
        ({"client_assertion": lambda: "x"}, "client_secret, client_assertion: give one of them"),
        ({"client_secret": None, "client_assertion": "x"}, "client_assertion: give a function that returns a JWT"),
        ({"auth_method": "none"}, "auth_method='none': give 'client_secret_basic' or 'client_secret_post'"),
        ({"auth_method": "private_key_jwt"}, "auth_method='private_key_jwt'"),
    ],
)
def test_a_wrong_argument_is_an_error_where_it_stands(options: dict[str, Any], said: str) -> None:
    """Before anything is fetched."""
    given = {"token_url": "https://login.example", "client_id": "shop", "client_secret": SECRET, **options}
    with pytest.raises(ConfigurationError, match=said):
        lambdakit.oauth_token(given.pop("token_url"), **given)
