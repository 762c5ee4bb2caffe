"""Credentials are found, kept and renewed as botocore does it; where the rules differ, the test says why."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import logging
import sys
import threading
import time
import traceback
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import dateutil.parser
import pytest
from botocore.credentials import ContainerProvider, EnvProvider
from botocore.utils import ContainerMetadataFetcher
from hypothesis import example, given
from hypothesis import strategies as st

from lambdakit._aws.container import Request, ask, epoch_s, is_loopback
from lambdakit._aws.credentials import CredentialProvider, from_environ
from lambdakit._aws.signing import Credentials
from lambdakit.exceptions import (
    AccessDeniedError,
    DeadlineExceededError,
    FetchError,
    NetworkError,
    ServiceError,
    ThrottledError,
)
from lambdakit.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    Outcome = tuple[str, str, str | None] | None

FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
PLANTED = ["PLANTEDACCESSKEY", "planted/secret/key", "planted-session-token", "planted-authorization"]
KEYS = {"AccessKeyId": PLANTED[0], "SecretAccessKey": PLANTED[1], "Token": PLANTED[2]}
WALL_S = 1_800_000_000.0
ON_LOOPBACK = {FULL: "http://127.0.0.1:1/credentials"}


def iso(wall_s: float) -> str:
    """The time as AWS writes it."""
    return dt.datetime.fromtimestamp(wall_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def answer(lifetime_s: float = 3600.0, **changes: object) -> tuple[int, bytes]:
    """What the endpoint sends: credentials that expire that long after `WALL_S`."""
    return 200, json.dumps({**KEYS, "Expiration": iso(WALL_S + lifetime_s), **changes}).encode()


class Endpoint:
    """A `fetch` that gives scripted answers, the last one for ever; what was asked is in `asked`."""

    def __init__(self, *answers: tuple[int, bytes] | BaseException, clock: ManualClock | None = None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, str], float]] = []
        self.clock = clock

    def __call__(self, url: str, headers: dict[str, str], timeout_s: float) -> tuple[int, bytes]:
        """Answer, or raise."""
        self.asked.append((url, headers, timeout_s))
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(given, BaseException):
            if self.clock is not None:
                self.clock.tick(timeout_s)  # what does not answer takes its time
            raise given
        return given


def provider(environ: dict[str, str], fetch: Any, clock: ManualClock | None = None) -> CredentialProvider:
    """A provider on a clock that sleeping moves."""
    clock = clock or ManualClock(wall_s=WALL_S)
    return CredentialProvider(environ, clock=clock, fetch=fetch)


def ours(environ: dict[str, str], fetch: Any = None, clock: ManualClock | None = None) -> Outcome:
    """What we find: access key, secret key, token; None for a refusal."""
    try:
        found = provider(environ, fetch, clock).get()
    except FetchError:
        return None
    return found.access_key, found.secret_key, found.token


def botocores(load: Callable[[], Any]) -> Outcome:
    """What botocore finds; None for a refusal, or for nothing."""
    try:
        found = load()
        frozen = None if found is None else found.get_frozen_credentials()
    except Exception:  # noqa: BLE001 - botocore raises what its parts raise: KeyError, TypeError, RuntimeError
        return None
    return None if frozen is None else (frozen.access_key, frozen.secret_key, frozen.token)


# ---------------------------------------------------------------------------------------- in the environment variables


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "AWS_ACCESS_KEY_ID": st.sampled_from(["", "AKID", "A K"]),
            "AWS_SECRET_ACCESS_KEY": st.sampled_from(["", "SECRET", "é"]),
            "AWS_SESSION_TOKEN": st.sampled_from(["", "TOKEN"]),
            "AWS_SECURITY_TOKEN": st.sampled_from(["", "LEGACY"]),
            "AWS_CREDENTIAL_EXPIRATION": st.sampled_from(
                [
                    "",
                    "soon",
                    "2001-01-01T00:00:00Z",
                    "2999-01-01T00:00:00Z",
                    "2999-01-01 00:00:00+01:00",
                    "2999-01-01T00:00:00",
                ]
            ),
        },
    )
)
def test_the_variables_are_read_as_botocore_reads_them(environ: dict[str, str]) -> None:
    """On any environment: the same credentials, or both refuse. The legacy token goes first, as it does there."""
    assert botocores(EnvProvider(environ).load) == ours(environ, clock=ManualClock(wall_s=time.time()))


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "é", "\0"])
def test_what_no_header_can_carry_is_refused_at_once(name: str, end: str) -> None:
    """Stricter than botocore, whose HTTP client raises an error that holds the whole value when it sends it."""
    environ = {"AWS_ACCESS_KEY_ID": PLANTED[0], "AWS_SECRET_ACCESS_KEY": PLANTED[1], "AWS_SESSION_TOKEN": PLANTED[2]}
    with pytest.raises(AccessDeniedError, match="a line break or the like"):
        from_environ(environ | {name: environ[name] + end})


def test_variables_without_expiry_are_kept_until_they_change() -> None:
    """One object while they say the same, also when years pass."""
    environ = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"}
    clock = ManualClock(wall_s=WALL_S)
    subject = provider(environ, None, clock)
    first = subject.get()
    clock.tick(1e9)
    assert subject.get() is first
    subject.forget()
    assert subject.get() is not first


CHANGES: list[tuple[dict[str, str], dict[str, str]]] = [
    ({"AWS_ACCESS_KEY_ID": "A"}, {"AWS_ACCESS_KEY_ID": "B"}),
    ({"AWS_SECRET_ACCESS_KEY": "S"}, {"AWS_SECRET_ACCESS_KEY": "T"}),
    ({}, {"AWS_SESSION_TOKEN": "T"}),
    ({"AWS_SESSION_TOKEN": "T"}, {"AWS_SECURITY_TOKEN": "U"}),
    ({"AWS_CREDENTIAL_EXPIRATION": iso(WALL_S + 1000)}, {"AWS_CREDENTIAL_EXPIRATION": iso(WALL_S + 2000)}),
    ({"AWS_ACCESS_KEY_ID": ""}, {"AWS_ACCESS_KEY_ID": "A"}),
    ({"AWS_ACCESS_KEY_ID": "A"}, {"AWS_ACCESS_KEY_ID": ""}),
    ({"AWS_ACCESS_KEY_ID": "", **ON_LOOPBACK}, {"AWS_ACCESS_KEY_ID": "", FULL: "http://127.0.0.1:2/credentials"}),
]


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_variables_that_change_are_read_again(before: dict[str, str], after: dict[str, str]) -> None:
    """At once, whatever was kept, as a session made after the change would have it; and back again."""
    static = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", **ON_LOOPBACK}
    environ: dict[str, str] = {}
    clock = ManualClock(wall_s=WALL_S)
    subject = provider(environ, Endpoint(answer(9000.0)), clock)
    for variables in (before, after, before):
        environ.clear()
        environ.update(static | variables)
        made_now = provider(dict(environ), Endpoint(answer(9000.0)), clock).get()
        found = subject.get()
        assert (found.access_key, found.secret_key, found.token, found.expires_at) == (
            made_now.access_key,
            made_now.secret_key,
            made_now.token,
            made_now.expires_at,
        )


def test_another_endpoint_is_not_answered_for_by_what_the_last_one_gave() -> None:
    """Not even while it fails: its credentials may be another account's."""
    environ = dict(ON_LOOPBACK)
    endpoint = Endpoint(answer(), (400, b""))
    subject = provider(environ, endpoint)
    subject.get()
    environ[FULL] = "http://127.0.0.1:2/credentials"
    with pytest.raises(AccessDeniedError):
        subject.get()
    assert [url for url, _, _ in endpoint.asked][-1] == environ[FULL]


def test_variables_go_before_the_container_endpoint() -> None:
    """With both, nothing is asked."""
    endpoint = Endpoint(answer())
    assert ours({"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", **ON_LOOPBACK}, endpoint) == ("A", "S", None)
    assert endpoint.asked == []


def test_variables_with_expiry_are_read_again_five_minutes_before_it() -> None:
    """Whoever sets them has renewed them by then; when they expire unchanged, that is an error."""
    clock = ManualClock(wall_s=WALL_S)
    environ = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "AWS_CREDENTIAL_EXPIRATION": iso(WALL_S + 1000)}
    subject = provider(environ, None, clock)
    first = subject.get()
    clock.tick(699)
    assert subject.get() is first
    clock.tick(1)
    assert subject.get() is not first
    clock.tick(299)
    assert subject.get().access_key == "A"
    clock.tick(1)
    with pytest.raises(AccessDeniedError, match="it has passed"):
        subject.get()


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "AWS_ACCESS_KEY_ID"),
        ({"AWS_SECRET_ACCESS_KEY": "S"}, "AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "A"}, "AWS_SECRET_ACCESS_KEY"),
        (
            {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "AWS_CREDENTIAL_EXPIRATION": "x"},
            "AWS_CREDENTIAL_EXPIRATION",
        ),
    ],
)
def test_what_is_missing_is_named(environ: dict[str, str], name: str) -> None:
    """The error names the variable to set, and that the same attempt will not succeed later."""
    with pytest.raises(AccessDeniedError, match=f"^No AWS credentials from {name}: ") as caught:
        provider(environ, None).get()
    error = caught.value
    assert (error.service, error.operation, error.name) == ("credentials", "GetCredentials", name)
    assert not error.retryable


# ---------------------------------------------------------------------------------------------- the container endpoint


class Server:
    """The container endpoint on loopback: answers `status` with `body`; what was asked is in `asked`."""

    def __init__(self) -> None:
        self.status, self.body = answer(lifetime_s=1e9)
        self.asked: list[tuple[str, str | None, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers.get("Authorization"), self.headers.get("Accept")))
                if not outer.status:
                    self.connection.close()
                    return
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server for one test."""
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def over_http(url: str, headers: dict[str, str], timeout_s: float) -> tuple[int, bytes]:
    """A real GET."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout_s)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def boto_container(environ: dict[str, str], session: Any = None) -> ContainerProvider:
    """The provider of botocore with its own fetcher, which does not sleep between attempts."""
    return ContainerProvider(environ, ContainerMetadataFetcher(session, sleep=lambda _: None))


FUTURE = "2999-01-01T00:00:00Z"
BODIES = [
    *({**KEYS, "Expiration": FUTURE}, {**KEYS, "Expiration": FUTURE, "AccountId": "1", "Type": "x"}),
    *({**KEYS, "Expiration": FUTURE, "Token": None}, {**KEYS, "Expiration": "2001-01-01T00:00:00Z"}),
    *({**KEYS, "Expiration": "soon"}, {**KEYS, "Expiration": None}, {**KEYS, "Expiration": "2999-01-01T00:00:00"}),
    *({**KEYS, "Expiration": "2999-01-01T00:00:00.123+02:00"}, KEYS, {}, [], None, "text"),
    *({key: value for key, value in {**KEYS, "Expiration": FUTURE}.items() if key != missing} for missing in KEYS),
]


@pytest.mark.parametrize("body", [*(json.dumps(body) for body in BODIES), "", "{", "<html>", '{"a": 1}x'])
@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 429, 500, 503, 0])
def test_every_answer_ends_as_it_does_for_botocore(body: str, status: int, server: Server) -> None:
    """The same credentials or a refusal, after the same number of requests with the same headers."""
    server.status, server.body = status, b"" if status == 204 else body.encode()
    environ = {FULL: f"{server.url}/v1/credentials?id=1", TOKEN: "Basic x"}
    expected, boto_asked = botocores(boto_container(environ).load), server.asked[:]
    server.asked.clear()
    assert expected == ours(environ, over_http, ManualClock(wall_s=time.time()))
    # One that is expired on arrival is asked for twice by botocore, three times here.
    assert boto_asked[:3] == (server.asked[:2] if "2001" in body and status == 200 else server.asked)


@pytest.mark.parametrize(
    ("token", "file"),
    [
        *(
            (None, None),
            ("", None),
            ("Basic a b=", None),
            ("from the variable", "from the file"),
            (None, "from the file"),
        ),
        *((None, ""), ("a\n", None), ("a\rb", None), (None, "a\n"), (None, "a\r\n"), ("from the variable", "missing")),
    ],
)
def test_the_authorization_is_botocores(token: str | None, file: str | None, server: Server, tmp_path: Path) -> None:
    """The file goes before the variable; neither may have a line break; a file that is not there is an error."""
    environ = {FULL: f"{server.url}/"}
    if token is not None:
        environ[TOKEN] = token
    if file is not None:
        environ[TOKEN_FILE] = str(tmp_path / "token")
        if file != "missing":
            (tmp_path / "token").write_bytes(file.encode())
    expected, boto_asked = botocores(boto_container(environ).load), server.asked[:]
    server.asked.clear()
    assert (expected, boto_asked) == (ours(environ, over_http, ManualClock(wall_s=time.time())), server.asked)


def test_the_file_of_the_token_is_read_at_each_renewal(tmp_path: Path) -> None:
    """It is rotated under a running process."""
    (tmp_path / "token").write_text("one")
    clock, endpoint = ManualClock(wall_s=WALL_S), Endpoint(answer(400), answer())
    subject = provider({**ON_LOOPBACK, TOKEN_FILE: str(tmp_path / "token")}, endpoint, clock)
    subject.get()
    (tmp_path / "token").write_text("two")
    clock.tick(100)
    subject.get()
    assert [headers["Authorization"] for _, headers, _ in endpoint.asked] == ["one", "two"]


@pytest.mark.parametrize("token", ["é", "\x7f", "a\tb"])
def test_a_token_that_no_header_should_carry_is_refused(token: str) -> None:
    """Stricter than botocore: it refuses line breaks only, and leaves the rest to its HTTP client."""
    with pytest.raises(AccessDeniedError, match=f"from {TOKEN}: there is a line break in the token, or another"):
        provider({**ON_LOOPBACK, TOKEN: token}, Endpoint(answer())).get()


class Recorder:
    """An HTTP session for botocore, which notes the URLs and has an answer to all of them."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    def send(self, request: Any) -> Any:
        """Answer with credentials."""
        self.urls.append(request.url)
        status, content = answer(1e10)
        return type("Response", (), {"status_code": status, "content": content})


HOSTS = [
    *("[0:0:0:0:0:0:0:1]", "[0000::0001]:80", "[::1:1]"),
    *("127.0.0.1", "127.255.255.255:80", "localhost:2773", "LOCALHOST", "[::1]", "[::2]", "10.0.0.1", "128.0.0.1"),
    *("169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "[FD00:EC2::23]:80", "169.254.170.3", "[fd00:ec2::24]"),
    *("127.0.0.256", "127.0.0.01", "127.1", "127.0.0.1.evil.test", "127.0.0.x", "", "evil.test", "localhost.evil.test"),
    *("127.0.0.1@evil.test", "127.0.0.1:80@evil.test", "evil.test:80"),
]


@pytest.mark.parametrize(
    "environ",
    [
        *({FULL: f"http://{host}/c"} for host in HOSTS),
        *({FULL: url} for url in ("https://evil.test/c", "HTTPS://evil.test", "https://10.0.0.1:8443/c?a=b")),
        *({FULL: url} for url in ("", "evil", "//evil/c", "/c", "http:", "http://")),
        *(
            {RELATIVE: uri}
            for uri in ("/v2/credentials/1", "/c?id=1", "", ":80/c", "c", ".evil.test/c", "@evil.test/c")
        ),
        *({RELATIVE: "/c", FULL: "http://evil.test/"}, {RELATIVE: "", FULL: "http://127.0.0.1/"}, {}),
    ],
)
def test_the_hosts_that_are_asked_are_botocores(environ: dict[str, str]) -> None:
    """Any host over https; else a loopback address, localhost and the three of the container services. Same URL."""
    recorder, endpoint = Recorder(), Endpoint(answer(1e10))
    expected = botocores(boto_container(environ, recorder).load)
    found = ours(environ, endpoint, ManualClock(wall_s=time.time()))
    assert (expected, recorder.urls) == (found, [url for url, _, _ in endpoint.asked])


@pytest.mark.parametrize(
    "url",
    [
        *("http://user@127.0.0.1/c", "http://127.0.0.1/a b", "http://127.0.0.1\\@evil.test/", "http://127.0.0.1:x/c"),
        *("ftp://127.0.0.1/", "http://[::1]x/c", "http://127.0.0.1/#c"),
    ],
)
def test_a_url_that_could_be_read_in_two_ways_is_not_asked(url: str) -> None:
    """Stricter than botocore: a token is sent there, so there must be one reading of where that is."""
    endpoint = Endpoint(answer())
    with pytest.raises(AccessDeniedError, match=f"from {FULL}: it is not the URL of an endpoint") as caught:
        provider({FULL: url}, endpoint).get()
    assert isinstance(caught.value.__cause__, ValueError)
    assert endpoint.asked == []


@given(st.lists(st.integers(0, 300), min_size=3, max_size=5).map(lambda rest: ".".join(map(str, [127, *rest]))))
@example("127.0.0.1")
@example("127.0.0.255")
@example("127.0.0.256")
def test_loopback_is_what_ipaddress_says(host: str) -> None:
    """For addresses around the limits."""
    import ipaddress

    try:
        expected = ipaddress.ip_address(host).is_loopback
    except ValueError:
        expected = False
    assert expected == is_loopback(host)


# ------------------------------------------------------------------------------------------------ attempts, and errors


@pytest.mark.parametrize(
    ("failure", "kind", "status", "retryable"),
    [
        (ConnectionRefusedError("no"), NetworkError, None, True),
        (TimeoutError("slow"), NetworkError, None, True),
        ((500, b""), ServiceError, 500, True),
        ((503, b""), ServiceError, 503, True),
        ((429, b""), ThrottledError, 429, True),
        ((499, b""), AccessDeniedError, 499, False),
        ((403, b""), AccessDeniedError, 403, False),
        ((200, b"<html>"), AccessDeniedError, None, False),
    ],
)
def test_three_attempts_with_a_second_between_them(
    failure: Any,
    kind: type,
    status: int | None,
    retryable: bool,
) -> None:
    """Of 2 seconds each; the last failure is the error, of the kind that it is, with its cause."""
    clock, endpoint = ManualClock(wall_s=WALL_S), Endpoint(failure)
    with pytest.raises(kind) as caught:
        provider(ON_LOOPBACK, endpoint, clock).get()
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.retryable, error.name, error.code) == (status, retryable, FULL, None)
    assert error.__cause__ is (failure if isinstance(failure, OSError) else None)
    assert [timeout_s for _, _, timeout_s in endpoint.asked] == [2.0, 2.0, 2.0]
    assert clock.wall_s == WALL_S + 2.0


def test_a_later_attempt_may_succeed() -> None:
    """Two failures, then credentials; nothing of the failures is left."""
    endpoint = Endpoint(OSError("no"), (500, b""), answer())
    subject = provider(ON_LOOPBACK, endpoint)
    assert subject.get() is subject.get()
    assert len(endpoint.asked) == 3


def test_an_error_is_not_kept() -> None:
    """The next call asks again."""
    endpoint = Endpoint((403, b""), (403, b""), (403, b""), answer())
    subject = provider(ON_LOOPBACK, endpoint)
    with pytest.raises(AccessDeniedError):
        subject.get()
    assert subject.get().access_key == PLANTED[0]


@pytest.mark.parametrize(
    ("timeout_s", "timeouts", "error"),
    [
        (0.0, [], DeadlineExceededError),
        (-1.0, [], DeadlineExceededError),
        (0.5, [0.5], DeadlineExceededError),
        (2.0, [2.0], DeadlineExceededError),
        (3.0, [2.0], DeadlineExceededError),  # a second left: the pause would take all of it
        (3.5, [2.0, 0.5], DeadlineExceededError),
        (7.5, [2.0, 2.0, 1.5], NetworkError),
        (8.0, [2.0, 2.0, 2.0], NetworkError),
        (60.0, [2.0, 2.0, 2.0], NetworkError),
        (None, [2.0, 2.0, 2.0], NetworkError),
    ],
)
def test_no_attempt_outlasts_the_callers_time(timeout_s: float | None, timeouts: list[float], error: type) -> None:
    """An attempt gets what is left, a pause is not begun that would take the rest, and the error says which it was."""
    clock = ManualClock(wall_s=WALL_S, monotonic_s=0.0)
    endpoint = Endpoint(TimeoutError("silence"), clock=clock)
    with pytest.raises(error):
        provider(ON_LOOPBACK, endpoint, clock).get(timeout_s=timeout_s)
    assert timeouts == [asked for _, _, asked in endpoint.asked]
    assert sum(timeouts) + max(len(timeouts) - 1, 0) == clock.monotonic_s  # the attempts, a second between them


def test_without_time_the_kept_ones_are_still_served() -> None:
    """No time is needed for what is cached, also when it is due; and a later call with time renews it."""
    clock, endpoint = ManualClock(wall_s=WALL_S), Endpoint(answer(1000), answer(5000))
    subject = provider(ON_LOOPBACK, endpoint, clock)
    first = subject.get()
    clock.tick(800)
    assert subject.get(timeout_s=0.0) is first
    assert subject.get(timeout_s=1.0) is not first


# ------------------------------------------------------------------------------------------------- keeping and renewing


@pytest.mark.parametrize(("passed_s", "requests"), [(0, 1), (699, 1), (700, 2), (701, 2), (1500, 2)])
@pytest.mark.parametrize("frozen", [False, True])
def test_they_are_kept_until_five_minutes_before_expiry(
    passed_s: float,
    requests: int,
    frozen: bool,
) -> None:
    """Also while the environment is frozen and monotonic time stands still."""
    clock, endpoint = ManualClock(wall_s=WALL_S), Endpoint(answer(1000), answer(9000))
    subject = provider(ON_LOOPBACK, endpoint, clock)
    subject.get()
    (clock.suspend if frozen else clock.tick)(passed_s)
    subject.get()
    assert len(endpoint.asked) == requests


def test_a_wall_clock_that_ran_backwards_renews_them() -> None:
    """Nothing is known of their age then; should the endpoint fail, they go on as long as either clock allows."""
    clock, endpoint = ManualClock(wall_s=WALL_S), Endpoint(answer(1000), OSError("no"), answer(9000))
    subject = provider(ON_LOOPBACK, endpoint, clock)
    first = subject.get()
    clock.set_wall(WALL_S - 3600.0)
    assert subject.get() is first
    assert len(endpoint.asked) == 2
    clock.set_wall(WALL_S - 3500.0)
    assert subject.get() is not first


def test_monotonic_time_counts_when_the_wall_clock_was_set_back() -> None:
    """The wall clock says that no time has passed; the other one knows that they have expired."""
    clock, endpoint = ManualClock(wall_s=WALL_S), Endpoint(answer(1000), (500, b""))
    subject = provider(ON_LOOPBACK, endpoint, clock)
    subject.get()
    clock.tick(1000)
    clock.set_wall(WALL_S + 1.0)
    with pytest.raises(ServiceError):
        subject.get()


@pytest.mark.parametrize("failure", [OSError("no"), (403, b""), (500, b""), (200, b"{}"), answer(-1)])
def test_while_they_are_valid_a_failed_renewal_does_not_matter(failure: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One attempt, a warning, the old ones, for ten seconds; then again; from expiry on it is an error."""
    clock, endpoint = ManualClock(wall_s=WALL_S), Endpoint(answer(1000), failure)
    subject = provider(ON_LOOPBACK, endpoint, clock)
    first = subject.get()
    with caplog.at_level(logging.WARNING, "lambdakit"):
        for passed_s, requests in ((700.0, 2), (9.0, 2), (1.0, 3), (289.0, 4)):
            clock.tick(passed_s)
            assert subject.get() is first
            assert len(endpoint.asked) == requests
    assert len(caplog.records) == 3
    assert not [planted for planted in PLANTED if planted in caplog.text]
    clock.tick(1.0)
    with pytest.raises(FetchError):
        subject.get()


def test_after_a_failed_renewal_the_next_may_succeed() -> None:
    """Then nothing of the failure is left: the new ones are renewed in their own time."""
    clock, endpoint = ManualClock(wall_s=WALL_S), Endpoint(answer(1000), OSError("no"), answer(1020), answer(9000))
    subject = provider(ON_LOOPBACK, endpoint, clock)
    subject.get()
    clock.tick(700)
    subject.get()
    clock.tick(10)
    renewed = subject.get()
    assert renewed.expires_at == WALL_S + 1020
    clock.tick(10)
    assert subject.get().expires_at == WALL_S + 9000


def test_forget_drops_them() -> None:
    """After a restore the next call asks for new ones."""
    endpoint = Endpoint(answer())
    subject = provider(ON_LOOPBACK, endpoint)
    subject.get()
    subject.forget()
    assert repr(subject) == "CredentialProvider(None)"
    subject.get()
    assert len(endpoint.asked) == 2


# ------------------------------------------------------------------------------------------------------------- threads


class Gate:
    """A `fetch` that waits at a gate before each answer."""

    def __init__(self, *answers: tuple[int, bytes] | BaseException) -> None:
        self.inner = Endpoint(*answers)
        self.arrived = threading.Semaphore(0)
        self.open = threading.Semaphore(0)

    def __call__(self, url: str, headers: dict[str, str], timeout_s: float) -> tuple[int, bytes]:
        """Say that a request is under way, wait, answer."""
        self.arrived.release()
        assert self.open.acquire(timeout=30)
        return self.inner(url, headers, timeout_s)


class Caller(threading.Thread):
    """A thread that gets credentials; `outcome` has them, or the error."""

    def __init__(self, subject: CredentialProvider, timeout_s: float | None = None) -> None:
        super().__init__(daemon=True)
        self.outcome: Credentials | BaseException | None = None
        self._subject, self._timeout_s = subject, timeout_s
        self.start()

    def run(self) -> None:
        """Get them."""
        try:
            self.outcome = self._subject.get(timeout_s=self._timeout_s)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.outcome = error

    def result(self) -> Credentials | BaseException | None:
        """Wait for the end of the thread."""
        self.join(30)
        assert not self.is_alive()
        return self.outcome


def test_many_threads_make_one_request() -> None:
    """All of them get the same object."""
    gate = Gate(answer())
    subject = provider(ON_LOOPBACK, gate)
    callers = [Caller(subject) for _ in range(16)]
    assert gate.arrived.acquire(timeout=30)
    gate.open.release(16)
    assert len({id(caller.result()) for caller in callers}) == 1
    assert len(gate.inner.asked) == 1


def test_who_waits_for_another_thread_waits_no_longer_than_there_is_time() -> None:
    """The request goes on for the one who made it."""
    gate = Gate(answer())
    subject = provider(ON_LOOPBACK, gate)
    leader = Caller(subject)
    assert gate.arrived.acquire(timeout=30)
    with pytest.raises(DeadlineExceededError):
        subject.get(timeout_s=0.0)
    gate.open.release()
    assert isinstance(leader.result(), Credentials)


def test_a_leader_without_time_decides_nothing_for_the_others() -> None:
    """Who has more time asks again; who had too little gets the error."""
    gate = Gate(OSError("no"), answer())
    subject = provider(ON_LOOPBACK, gate)
    hurried = Caller(subject, timeout_s=0.5)
    assert gate.arrived.acquire(timeout=30)
    patient = Caller(subject, timeout_s=60.0)
    gate.open.release(2)
    assert isinstance(hurried.result(), DeadlineExceededError)
    assert isinstance(patient.result(), Credentials)


def test_nobody_waits_while_the_old_ones_are_valid() -> None:
    """One thread renews them, the others go on with what is there."""
    clock, gate = ManualClock(wall_s=WALL_S), Gate(answer(1000), answer(9000))
    gate.open.release()
    subject = provider(ON_LOOPBACK, gate, clock)
    first = subject.get()
    clock.tick(800)
    assert gate.arrived.acquire(timeout=30)
    leader = Caller(subject)
    assert gate.arrived.acquire(timeout=30)
    assert subject.get() is first
    gate.open.release()
    assert leader.result() is subject.get()
    assert subject.get() is not first


def test_what_was_forgotten_during_a_request_is_not_kept() -> None:
    """Its answer belongs to the time before."""
    gate = Gate(answer(1000), answer(9000))
    subject = provider(ON_LOOPBACK, gate)
    leader = Caller(subject)
    assert gate.arrived.acquire(timeout=30)
    subject.forget()
    gate.open.release(2)
    leader.result()
    assert subject.get().expires_at == WALL_S + 9000


# -------------------------------------------------------------------------------------------------- times, and secrets


@given(
    st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2999, 1, 1)),  # noqa: DTZ001 - the zone comes below
    st.sampled_from(["Z", "+00:00", "-00:00", "+05:30", "-0800", "+14", "+23:59"]),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
    st.sampled_from("T "),
)
@example(dt.datetime(2000, 2, 29, 23, 59, 59), "Z", "seconds", "T")  # noqa: DTZ001 - the same
@example(dt.datetime(2100, 2, 28, 23, 59, 59), "Z", "seconds", "T")  # noqa: DTZ001 - the same
def test_times_are_read_as_dateutil_reads_them(at: dt.datetime, zone: str, timespec: str, separator: str) -> None:
    """To the second: what botocore reads from any ISO 8601 time."""
    text = at.isoformat(separator, timespec) + zone
    assert dateutil.parser.parse(text).replace(microsecond=0).timestamp() == epoch_s(text)


@pytest.mark.parametrize(
    "text",
    [
        *("20260131T120000Z", "20260131T120000+0100", "2026-01-31T12:00:00,5Z", "2026-01-31t12:00:00z"),
        *("2026-01-31 12:00:00 UTC", "Sat, 31 Jan 2026 12:00:00 GMT", "Jan 31 2026 12:00:00 +02:00"),
    ],
)
def test_spellings_that_botocore_reads_are_read(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its parser, where it is installed; elsewhere they are no time."""
    assert epoch_s(text) == dateutil.parser.parse(text).replace(microsecond=0).timestamp()
    monkeypatch.setitem(sys.modules, "dateutil.parser", None)
    assert epoch_s(text) is None


def test_an_expired_first_answer_is_asked_for_again() -> None:
    """A proxy that was frozen answers from its memory at first; the third one that is expired is the error."""
    clock, endpoint = ManualClock(wall_s=WALL_S), Endpoint(answer(-1), answer(0), answer())
    assert provider(ON_LOOPBACK, endpoint, clock).get().access_key == PLANTED[0]
    assert (len(endpoint.asked), clock.wall_s) == (3, WALL_S + 2.0)
    endpoint = Endpoint(answer(-1))
    with pytest.raises(AccessDeniedError, match="its endpoint sent credentials that have expired"):
        provider(ON_LOOPBACK, endpoint).get()
    assert len(endpoint.asked) == 3
    endpoint = Endpoint(answer(-1), answer())
    with pytest.raises(AccessDeniedError, match="expired"):
        provider(ON_LOOPBACK, endpoint).get(timeout_s=1.0)  # the pause would take all of it
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize("host", ["::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::ffff:7f01:203"])
def test_loopback_has_many_spellings(host: str) -> None:
    """An IPv4 address within an IPv6 one among them, which Python counts as one from 3.13 on."""
    assert is_loopback(host)
    assert not is_loopback(host.replace("1", "2").replace("7f", "0a"))


def test_a_byte_order_mark_before_the_answer(server: Server) -> None:
    """Some local servers write it."""
    body = json.dumps({**KEYS, "Expiration": FUTURE}).encode("utf-8-sig")
    assert provider(ON_LOOPBACK, Endpoint((200, body))).get().access_key == KEYS["AccessKeyId"]


@given(
    st.text("0123456789-:T.Z+ ", max_size=26)
    | st.from_regex(r"2\d{3}-[01]\d-[0-3]\dT[0-2]\d:[0-6]\d:[0-6]\d.{0,7}", fullmatch=True)
)
@example("2026-02-29T00:00:00Z")
@example("2026-00-01T00:00:00Z")
@example("2026-01-01T24:00:00Z")
@example("2026-01-01T00:00:60Z")
@example("2026-01-01T00:00:00.Z")
@example("2026-01-01T00:00:00+24:00")
@example("2026-01-01T00:00:00+1:00")
@example("2026-01-01T00:00:00+123")
@example("2026-01-01T00:00:00 01:00")
@example("2026-01-01T00:00:00\u0661Z")
@example("2026-01-01T00:00:0\u0661Z")
@example("2026-01-01T00:00:0\u00b2Z")
@example("2026/01/01T00:00:00Z")
@example("2000-01-10T00:00:00B")
@example("")
def test_no_time_is_made_up(text: str) -> None:
    """Any other text is None, or what dateutil reads in it."""
    found = epoch_s(text)
    assert (
        found is None
        or dateutil.parser.parse(text, tzinfos=lambda _, offset_s: offset_s).replace(microsecond=0).timestamp() == found
    )


def everything(error: BaseException) -> str:
    """All that can be printed of an error: it, its causes, its context, their traceback and their attributes."""
    texts = [*traceback.format_exception(error)]
    chain: BaseException | None = error
    while chain is not None:
        texts += [str(chain), repr(chain), repr(chain.args), repr(vars(chain))]
        chain = chain.__cause__ or chain.__context__
    return "\n".join(texts)


VARIABLES = {"AWS_ACCESS_KEY_ID": PLANTED[0], "AWS_SECRET_ACCESS_KEY": PLANTED[1], "AWS_SESSION_TOKEN": PLANTED[2]}
WHOLE = json.dumps({**KEYS, "Expiration": FUTURE}).encode()


@pytest.mark.parametrize(
    ("environ", "given"),
    [
        ({"AWS_ACCESS_KEY_ID": PLANTED[0]}, None),
        ({"AWS_SECRET_ACCESS_KEY": PLANTED[1], "AWS_SESSION_TOKEN": PLANTED[2]}, None),
        ({**VARIABLES, "AWS_SESSION_TOKEN": f"{PLANTED[2]}\n"}, None),
        ({**VARIABLES, "AWS_CREDENTIAL_EXPIRATION": PLANTED[1]}, None),
        ({**VARIABLES, "AWS_CREDENTIAL_EXPIRATION": "2001-01-01T00:00:00Z"}, None),
        ({**ON_LOOPBACK, TOKEN: f"{PLANTED[3]}\n"}, None),
        ({FULL: f"http://{PLANTED[3]}:x@127.0.0.1/"}, None),
        ({FULL: f"http://127.0.0.1:{PLANTED[3]}/"}, None),
        ({RELATIVE: f"@evil.test/{PLANTED[3]}"}, None),
        ({FULL: f"http://evil.test/{PLANTED[3]}"}, None),
        ({FULL: f"http://127.0.0.1/{PLANTED[3]}", TOKEN: PLANTED[3]}, ConnectionResetError("lost")),
        ({**ON_LOOPBACK, TOKEN: PLANTED[3]}, (403, WHOLE)),
        ({**ON_LOOPBACK, TOKEN: PLANTED[3]}, (500, WHOLE)),
        ({**ON_LOOPBACK, TOKEN: PLANTED[3]}, (200, WHOLE[:-1])),
        ({**ON_LOOPBACK, TOKEN: PLANTED[3]}, (200, b"\xff" + WHOLE)),
        ({**ON_LOOPBACK, TOKEN: PLANTED[3]}, (200, b"[" + WHOLE + b"]")),
        ({**ON_LOOPBACK, TOKEN: PLANTED[3]}, answer(Expiration=PLANTED[1])),
        ({**ON_LOOPBACK, TOKEN: PLANTED[3]}, answer(AccessKeyId=f"{PLANTED[0]}\n")),
        ({**ON_LOOPBACK, TOKEN: PLANTED[3]}, answer(Token=f"{PLANTED[2]}\u20ac")),
        ({**ON_LOOPBACK, TOKEN: PLANTED[3]}, answer(Token=[PLANTED[2]])),
        ({**ON_LOOPBACK, TOKEN: PLANTED[3]}, answer(-1)),
    ],
)
def test_no_error_holds_a_secret(environ: dict[str, str], given: Any) -> None:
    """Whatever is wrong: not in the message, the causes, the traceback, or any attribute."""
    with pytest.raises(FetchError) as caught:
        provider(environ, Endpoint(given)).get()
    told = everything(caught.value)
    assert not [planted for planted in PLANTED if planted in told]


def test_no_error_without_time_holds_a_secret() -> None:
    """The same for the error that ends a request early."""
    clock = ManualClock(wall_s=WALL_S)
    subject = provider({**ON_LOOPBACK, TOKEN: PLANTED[3]}, Endpoint(TimeoutError(), clock=clock), clock)
    with pytest.raises(DeadlineExceededError) as caught:
        subject.get(timeout_s=0.5)
    assert isinstance(caught.value.__cause__, NetworkError)
    assert PLANTED[3] not in everything(caught.value)


def test_no_repr_holds_a_secret() -> None:
    """Of the provider with what it keeps, and of a request, whose URL and headers may be as good as a key."""
    subject = provider({**ON_LOOPBACK, TOKEN: PLANTED[3]}, Endpoint(answer()))
    subject.get()
    assert repr(subject) == f"CredentialProvider(Credentials(has_token=True, expires_at={WALL_S + 3600.0}))"
    where = Request(FULL, f"http://127.0.0.1/{PLANTED[3]}", {"Authorization": PLANTED[3]})
    assert repr(where) == f"Request({FULL})"
    assert ask(where, Endpoint((200, b"1")), 1.0) == 1
