"""lambdakit.http: what it sends, returns, bounds, repeats and refuses; and the clients of other libraries over it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from email.utils import formatdate
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import urllib3
from running import RunningClock, RunningContext, invocation
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, ReadTimeoutError

import lambdakit
from faults import OK, FaultServer, Peer, answering, serving
from http_server import Keys, keeping, keys, response
from lambdakit import ConfigurationError, DeadlineExceededError, Environment, ValueFormatError, http
from lambdakit._event_loop import life_of
from lambdakit._http.pools import Pools
from lambdakit._http.tls import Contexts
from lambdakit.testing import FakeContext

SECRET = "s3cr3t/planted"


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def trusted(certs: Keys, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """Every adapter trusts the root."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(certs.root))
    return certs


@pytest.fixture
def clock() -> RunningClock:
    return RunningClock()


@pytest.fixture
def env(clock: RunningClock) -> Iterator[Environment]:  # type: ignore[override]
    """With a clock that can be moved, and that notes what is slept."""
    env = Environment(clock=clock)
    with lambdakit.use_environment(env):
        yield env
    env.close()


def url_of(server: FaultServer) -> str:
    return f"{server.scheme}://127.0.0.1:{server.port}/"


def pools() -> Any:
    return lambdakit.environment()._parts[Pools]


def raw(*responses: bytes) -> Callable[[Peer], None]:
    """Answer with each in turn, the last one again and again, whatever is asked over whichever connection."""
    left = list(responses)

    def behave(peer: Peer) -> None:
        while peer.request() is not None:
            peer.send(left.pop(0) if len(left) > 1 else left[0])

    return behave


# -- what is sent and what comes back


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head"])
def test_each_method_is_sent_and_answered(method: str) -> None:
    """By its name; the response is urllib3's, read completely."""
    with serving(answering(OK)) as server:
        got = getattr(http, method)(f"{url_of(server)}a?b=c", headers={"X-Mark": "m"})
    assert (got.status, got.headers["content-length"], got.data) == (200, "2", b"" if method == "head" else b"hi")
    assert isinstance(got, urllib3.BaseHTTPResponse)
    head = server.requests[0].decode()
    assert head.startswith(f"{method.upper()} /a?b=c HTTP/1.1\r\n")
    assert "X-Mark: m\r\n" in head


def test_a_body_is_sent_in_each_form() -> None:
    """Bytes, text, JSON, a form, a file, pieces; a GET has its fields in the query."""
    with keeping() as server:
        url = f"{server.url}/x"
        http.post(url, body=b"\x00bytes")
        http.post(url, body="text")
        http.post(url, json={"a": ["é", 1]})
        http.post(url, json=[], headers={"content-type": "application/x"})
        http.post(url, fields={"a": "b"})
        http.post(url, body=BytesIO(b"file"))
        http.post(url, body=iter([b"pie", b"ces"]))
        http.get(url, fields={"a": "b c"})
        http.get(f"{url}?q", fields={"a": "b"})
        assert server.connections == 1
    bodies = [body for _, body in server.requests]
    assert bodies[:4] == [b"\x00bytes", b"text", '{"a":["é",1]}'.encode(), b"[]"]
    assert b'name="a"\r\n\r\nb\r\n' in bodies[4]
    assert bodies[5:7] == [b"file", b"3\r\npie\r\n3\r\nces\r\n0\r\n\r\n"]
    heads = [head.decode() for head, _ in server.requests]
    assert "Content-Type: application/json" in heads[2]
    assert "content-type: application/x" in heads[3]
    assert "application/json" not in heads[3]
    assert [head.splitlines()[0] for head in heads[7:]] == ["GET /x?a=b+c HTTP/1.1", "GET /x?q&a=b HTTP/1.1"]


BODIES = {
    "gzip": (response(body=gzip.compress(b"x" * 100_000), Content_Encoding="gzip"), b"x" * 100_000),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n4\r\n you\r\n0\r\n\r\n", b"hi you"),
    "big": (response(body=b"b" * 5_000_000), b"b" * 5_000_000),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "empty": (response(body=b""), b""),
}


@pytest.mark.parametrize("max_bytes", [None, 5_000_000])
@pytest.mark.parametrize("kind", BODIES)
def test_a_body_is_read_whatever_its_form(kind: str, max_bytes: int | None) -> None:
    """And the connection is kept."""
    answer, body = BODIES[kind]
    with serving(answering(answer)) as server:
        assert [http.get(url_of(server), max_bytes=max_bytes).data for _ in range(2)] == [body] * 2
        assert server.connections == 1


def test_json_of_a_bounded_body() -> None:
    """It is there as for any other response."""
    with serving(answering(response(body=b'{"a": 1}'))) as server:
        assert http.get(url_of(server), max_bytes=8).json() == {"a": 1}


@pytest.mark.parametrize("kind", ["big", "gzip", "chunked"])
def test_a_body_that_is_too_large_is_an_error(kind: str) -> None:
    """One byte more than allowed is one, that names the host; the decoded size counts."""
    answer, body = BODIES[kind]
    with serving(answering(answer)) as server:
        with pytest.raises(ValueFormatError, match=r"127\.0\.0\.1 has more than max_bytes"):
            http.get(url_of(server), max_bytes=len(body) - 1)
        assert http.get(url_of(server), max_bytes=len(body)).data == body


def test_the_rest_of_a_body_that_is_too_large_is_not_read() -> None:
    """The connection is closed instead."""
    with serving(answering(BODIES["big"][0])) as server:
        with pytest.raises(ValueFormatError):
            http.get(url_of(server), max_bytes=0)
        assert server.ended.acquire(timeout=5)
        assert repr(pools()) == "Pools()"


def test_any_status_is_returned() -> None:
    """Errors of a server are answers."""
    with serving(raw(*[response(status) for status in (404, 500, 403)])) as server:
        assert [http.get(url_of(server)).status for _ in range(3)] == [404, 500, 403]


def test_no_cookie_is_kept() -> None:
    """On no adapter does one call's cookie reach the next; one that is given is sent."""
    with keeping(answer=lambda head, body: response(Set_Cookie="session=1")) as server:

        async def twice() -> None:
            client = http.httpx_async_client()
            await client.get(server.url)
            await client.get(server.url)
            await _close_all()

        for _ in range(2):
            http.get(server.url)
            http.requests_session().get(server.url)
            http.httpx_client().get(server.url)
        assert b"cookie" not in b"".join(head.lower() for head, _ in server.requests)
        asyncio.run(twice())
        assert b"cookie" not in b"".join(head.lower() for head, _ in server.requests)
        http.requests_session().get(server.url, cookies={"mine": "1"})
        http.httpx_client(cookies={"mine": "2"}).get(server.url)
        assert [head.lower().partition(b"cookie: ")[2].split(b"\r\n")[0] for head, _ in server.requests[-2:]] == [
            b"mine=1",
            b"mine=2",
        ]


# -- redirects and authorization


def test_redirects_are_followed_unless_told_otherwise() -> None:
    """Ten at most."""
    with serving(raw(response(302, Location="/next"), OK)) as server:
        assert http.get(url_of(server)).data == b"hi"
        assert server.requests[1].startswith(b"GET /next ")
    with serving(answering(response(302, Location="/again"))) as server:
        assert http.get(url_of(server), redirect=False).status == 302
        with pytest.raises(MaxRetryError, match="too many redirects"):
            http.get(url_of(server))
        assert len(server.requests) == 1 + 11


def test_authorization_is_not_sent_to_another_host() -> None:
    """A redirect there loses it; on the same host it stays."""
    with keeping() as other, keeping(answer=lambda head, body: response(302, Location=f"{other.url}/x")) as server:
        assert http.get(server.url, auth=("user", SECRET)).status == 200
        assert b"authorization: basic " in server.requests[0][0].lower()
        assert b"authorization" not in other.requests[0][0].lower()


def test_basic_authorization() -> None:
    """As RFC 7617 has it, UTF-8 included; a 401 is returned."""
    with serving(answering(response(401))) as server:
        assert http.get(url_of(server), auth=("Aladdin", "open sesame")).status == 401
        assert http.get(url_of(server), auth=("test", "123£")).status == 401
        sent = [re.search(rb"(?i)authorization: (.*)\r\n", request) for request in server.requests]
    assert [match[1] for match in sent if match] == [b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", b"Basic dGVzdDoxMjPCow=="]


class Token:
    """What the OAuth helper gives."""

    def __init__(self, number: int = 1) -> None:
        self.number = number

    def __str__(self) -> str:
        return f"token-{self.number}"

    def forget(self) -> None:
        self.number += 1


@pytest.mark.parametrize("body", [b"abc", BytesIO(b"abc")], ids=["bytes", "file"])
def test_a_refused_token_is_renewed_once(body: Any) -> None:
    """After a 401 the request is sent once more with another token, a POST too, its whole body with it."""
    good = {b"Bearer token-2"}

    def answer(head: bytes, body: bytes) -> bytes:
        return response(200 if any(token in head for token in good) else 401)

    with keeping(answer=answer) as server:
        token = Token()
        assert http.post(server.url, body=body, auth=token).status == 200
        assert len(server.requests) == 2
        assert len({body for _, body in server.requests}) == 1
        assert http.post(server.url, auth=token).status == 200
        good.clear()
        assert http.post(server.url, auth=token).status == 401
        assert len(server.requests) == 5


def test_a_body_that_cannot_be_sent_again_is_not() -> None:
    """The 401 is returned."""
    token = Token()
    with keeping(answer=lambda head, body: response(401)) as server:
        assert http.post(server.url, body=iter([b"abc"]), auth=token).status == 401
        assert (len(server.requests), token.number) == (1, 1)


# -- retries of statuses


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_passing_status_is_asked_again(status: int, clock: RunningClock) -> None:
    """Three attempts with pauses that grow; what the last one says is returned."""
    with serving(answering(response(status))) as server:
        assert http.get(url_of(server)).status == status
        assert len(server.requests) == 3
        assert clock.slept == [pytest.approx(0.1), pytest.approx(0.2)]  # half of 0.2 and 0.4: the clock's chance is 0.5
        assert http.post(url_of(server)).status == status
        assert http.get(url_of(server), retry=False).status == status
        assert len(server.requests) == 5
        assert http.post(url_of(server), retry="unsafe").status == status
        assert len(server.requests) == 8


def test_a_status_that_does_not_pass_is_not_asked_again() -> None:
    """500 and 413 neither, the latter also with a Retry-After."""
    with serving(raw(response(500), response(413, Retry_After="0"))) as server:
        assert [http.get(url_of(server)).status for _ in range(2)] == [500, 413]
        assert len(server.requests) == 2


def _in(clock: RunningClock, seconds: float) -> str:
    return formatdate(clock.now()[0] + seconds, usegmt=True)


@pytest.mark.parametrize("adapter", ["http", "requests", "httpx", "httpx async"])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(form: str, adapter: str, clock: RunningClock) -> None:
    """As a number of seconds and as a date: not before, and little later; on all adapters."""
    asked_s = 0.0 if adapter == "httpx async" else 7.0  # that one really sleeps
    began_s = clock.now()[0]
    after = f"{asked_s:.0f}" if form == "seconds" else _in(clock, asked_s)
    with serving(raw(response(503, Retry_After=after), OK)) as server:
        assert _adapters()[adapter](url_of(server)) == b"hi"
        assert len(server.requests) == 2
    if adapter != "httpx async":
        (slept_s,) = clock.slept
        assert slept_s < asked_s + 0.2
        assert clock.now()[0] >= began_s + asked_s - 1.0  # a date has whole seconds


@pytest.mark.parametrize("after", ["31", "9" * 4000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_long_wait_is_left_to_the_caller(after: str, clock: RunningClock) -> None:
    """The response is returned as it is, unread bodies included."""
    with serving(answering(response(503, Retry_After=after))) as server:
        assert (http.get(url_of(server)).data, http.get(url_of(server), max_bytes=2).data) == (b"hi", b"hi")
        assert (len(server.requests), clock.slept) == (2, [])


@pytest.mark.parametrize("after", ["soon", "-1", "", "Fri, 01 Jan 99999 00:00:00 GMT", "\xb2"])
def test_a_retry_after_that_says_nothing(after: str, clock: RunningClock) -> None:
    """Counts as none."""
    refusal = response(503).replace(b"Content", f"Retry-After: {after}\r\nContent".encode("latin-1"))
    with serving(raw(refusal, OK)) as server:
        assert http.get(url_of(server)).status == 200
    assert clock.slept == [pytest.approx(0.1)]


def test_without_time_for_a_pause_the_response_is_returned(clock: RunningClock) -> None:
    """In an invocation with less time left than the pause takes."""
    with serving(answering(response(503, Retry_After="5"))) as server:
        with invocation(FakeContext(remaining_s=5.0)):
            assert http.get(url_of(server)).status == 503
            assert http.httpx_client().get(url_of(server)).status_code == 503
        assert (len(server.requests), clock.slept) == (2, [])


def test_nobody_waits_before_a_redirect(clock: RunningClock) -> None:
    """Whatever its Retry-After says, also with urllib3's own way of following it."""
    with serving(raw(response(302, Location="/x", Retry_After="20"), OK)) as server:
        assert http.get(url_of(server)).data == b"hi"
    began_s = time.monotonic()
    with serving(raw(response(302, Location="/x", Retry_After="20"), OK)) as server:
        assert http.pool().connection_from_url(url_of(server)).request("GET", "/").data == b"hi"
    assert clock.slept == []
    assert time.monotonic() - began_s < 10.0


# -- time


def _adapters() -> dict[str, Callable[[str], bytes]]:
    def asynchronous(url: str) -> bytes:
        async def get() -> bytes:
            try:
                return (await http.httpx_async_client().get(url)).content
            finally:
                await _close_all()

        return asyncio.run(get())

    return {
        "http": lambda url: http.get(url).data,
        "bounded": lambda url: http.get(url, max_bytes=1_000_000).data,
        "pool": lambda url: http.pool().request("GET", url).data,
        "requests": lambda url: http.requests_session().get(url).content,
        "httpx": lambda url: http.httpx_client().get(url).content,
        "httpx async": asynchronous,
    }


async def _close_all() -> None:
    """What an event loop that is about to end leaves open otherwise."""
    for connection in http.httpx_async_client()._transport._pool.connections:
        await connection.aclose()


ADAPTERS = ["http", "bounded", "pool", "requests", "httpx", "httpx async"]


def _silent(peer: Peer) -> None:
    peer.request()
    peer.silence()


def _trickles_head(peer: Peer) -> None:
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        peer.send(b"x")
        time.sleep(0.02)


def _trickles_body(peer: Peer) -> None:
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        peer.send(b"x")
        time.sleep(0.02)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("behave", [_silent, _trickles_head, _trickles_body])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_request_ends_with_the_time_of_the_invocation(adapter: str, behave: Any, scheme: str, trusted: Keys) -> None:
    """Silence, a trickle of head or body: DeadlineExceededError, 0.25 s before Lambda would end it, with its cause."""
    with serving(behave, trusted.valid if scheme == "https" else None) as server:
        get = _adapters()[adapter]
        for warm in (http.requests_session, http.httpx_client, http.httpx_async_client):
            warm()  # imported
        with invocation(RunningContext(remaining_s=0.75)):
            began_s = time.monotonic()
            with pytest.raises(
                DeadlineExceededError, match=r"127\.0\.0\.1: the invocation leaves too little time"
            ) as caught:
                get(url_of(server))
            assert time.monotonic() - began_s < 2.0  # and not the 10 s of a silence
    assert "httpx" in adapter or caught.value.__cause__ is not None  # httpcore takes causes away


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_without_time_nothing_is_sent(adapter: str) -> None:
    """DeadlineExceededError, and the server has heard of nothing."""
    with serving(answering(OK)) as server:
        with invocation(FakeContext(remaining_s=0.25)):
            with pytest.raises(DeadlineExceededError):
                _adapters()[adapter](url_of(server))
            with pytest.raises(DeadlineExceededError):
                _adapters()[adapter]("http://nowhere.invalid")  # no name is resolved either
            for url in (url_of(server), "http://nowhere.invalid"):
                with pytest.raises(DeadlineExceededError):
                    http.origin(url)()
        assert server.connections == 0


@pytest.mark.parametrize("adapter", ADAPTERS[:-1])
def test_without_time_nothing_is_sent_over_a_kept_connection(adapter: str) -> None:
    """Neither; and with time again there is an answer."""
    with serving(answering(OK)) as server:
        get = _adapters()[adapter]
        get(url_of(server))
        with (
            invocation(FakeContext(remaining_s=0.25)),
            pytest.raises(DeadlineExceededError),
        ):
            get(url_of(server))
        assert len(server.requests) == 1
        get(url_of(server))
        assert len(server.requests) == 2


def test_a_budget_of_whoever_asked_counts_too(env: Environment) -> None:
    """As within `preload`: no invocation is needed for a bound."""
    with (
        serving(_silent) as server,
        env._budget.within(0.2),
        pytest.raises(DeadlineExceededError),
    ):
        http.get(url_of(server))


def _full(backlog: socket.socket) -> list[socket.socket]:
    """Connections that nobody accepts, until the next one is not answered any more."""
    made = []
    for _ in range(10):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(backlog.getsockname())
        made.append(sock)
    return made


@pytest.fixture
def unreachable() -> Iterator[str]:
    """A port that does not answer a connect."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = _full(listener)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        for sock in waiting:
            sock.close()


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_connecting_ends_with_the_time_of_the_invocation(adapter: str, env: Environment, unreachable: str) -> None:
    """Where nobody answers."""
    with invocation(RunningContext(remaining_s=0.5)):
        if adapter == "http":
            with env._budget.within(0.1), pytest.raises(DeadlineExceededError):
                http.origin(unreachable)()
        with pytest.raises(DeadlineExceededError):
            _adapters()[adapter](unreachable)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_handshake_ends_with_the_time_of_the_invocation(adapter: str, trusted: Keys) -> None:
    """Where TLS is not answered."""
    with (
        serving(Peer.silence) as server,
        invocation(RunningContext(remaining_s=0.5)),
        pytest.raises(DeadlineExceededError),
    ):
        _adapters()[adapter](url_of(server).replace("http:", "https:"))


def test_time_outs_of_ones_own(unreachable: str, trusted: Keys) -> None:
    """To connect, for the handshake, for a silence: urllib3's errors, after that time and not ten seconds later."""
    began_s = time.monotonic()
    with pytest.raises(MaxRetryError, match=r"in 0\.1 s"):
        http.get(unreachable, timeout=(0.1, 5))
    with serving(Peer.silence) as server, pytest.raises(ReadTimeoutError):
        http.get(url_of(server).replace("http:", "https:"), timeout=(0.1, 5))
    with serving(_silent) as server:
        with pytest.raises(ReadTimeoutError):
            http.get(url_of(server), timeout=(None, 0.1))
        with pytest.raises(ReadTimeoutError):
            http.get(url_of(server), timeout=0.1)
        with pytest.raises(ReadTimeoutError):
            http.pool().request("GET", url_of(server), timeout=urllib3.Timeout(total=0.1))
        with pytest.raises(ReadTimeoutError):
            http.get(url_of(server), timeout=(None, 0.1), max_bytes=10)
        with pytest.raises(requests.ReadTimeout):
            http.requests_session().get(url_of(server), timeout=0.1)
        with pytest.raises(httpx.ReadTimeout):
            http.httpx_client().get(url_of(server), timeout=0.1)
        assert len(server.requests) == 6  # nothing is sent again after a time-out
    with serving(_trickles_body) as server, pytest.raises(ReadTimeoutError):
        http.get(url_of(server), timeout=0.01, max_bytes=10)
    assert time.monotonic() - began_s < 5.0


def test_the_defaults_are_two_and_ten_seconds(unreachable: str) -> None:
    """To connect, and for a silence; of urllib3, requests and httpx alike."""
    default = http.pool().connection_pool_kw["timeout"]
    assert (default.connect_timeout, default.read_timeout) == (2.0, 10.0)
    timeout = http.httpx_client().timeout
    assert (timeout.connect, timeout.read, timeout.write, timeout.pool) == (2.0, 10.0, 10.0, 10.0)
    began_s = time.monotonic()
    with pytest.raises(requests.ConnectTimeout):
        http.requests_session().get(unreachable)
    assert 1.9 < time.monotonic() - began_s < 8.0


def _deaf(peer: Peer) -> None:
    peer.sock.recv(1)
    time.sleep(1.0)


def test_sending_is_bounded() -> None:
    """A server that does not read what it is sent: by the time-out, and by the invocation."""
    body = b"x" * 20_000_000
    with serving(_deaf) as server:
        with pytest.raises(ProtocolError, match="timed out"):
            http.put(url_of(server), body=body, timeout=(2.0, 0.2))
        with (
            invocation(RunningContext(remaining_s=0.5)),
            pytest.raises(DeadlineExceededError),
        ):
            http.put(url_of(server), body=body)
        assert server.requests == []


def test_what_could_not_be_sent_in_time_is_not_sent_again() -> None:
    """Over a kept connection neither."""
    told = threading.Event()

    def behave(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        told.wait(20)  # and reads nothing

    with serving(behave) as server:
        http.get(url_of(server))
        with pytest.raises(ProtocolError, match="timed out"):
            http.put(url_of(server), body=b"x" * 20_000_000, timeout=(2.0, 0.2))
        told.set()
        assert server.connections == 1


def test_sending_has_more_time_than_connecting() -> None:
    """A large body over a slow connection is not cut off after the two seconds that a connect may take."""

    def slow(peer: Peer) -> None:
        time.sleep(0.4)
        peer.request()
        peer.send(OK)

    with serving(slow) as server:
        assert http.put(url_of(server), body=b"x" * 8_000_000, timeout=(0.1, 10.0)).status == 200


# -- connections


def test_socket_options() -> None:
    """Small packets at once; a peer that is gone is noticed."""
    with serving(answering(OK)) as server:
        http.get(url_of(server))
        (connection,) = [one for one in http.pool().connection_from_url(url_of(server)).pool.queue if one]
        sock = connection.sock

        def option(name: str) -> int:
            return sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))

        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert option("TCP_NODELAY")
        wanted = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
        there = {name: value for name, value in wanted.items() if hasattr(socket, name)}
        assert {name: option(name) for name in there} == there


@pytest.mark.parametrize("adapter", ["http", "requests", "httpx"])
@pytest.mark.parametrize("gap", ["awake", "frozen", "set back"])
def test_an_idle_connection_is_not_used_again(gap: str, adapter: str, clock: RunningClock) -> None:
    """After more than 20 s by either clock, or if the wall clock ran backwards; after less it is."""
    with serving(answering(OK)) as server:
        get = _adapters()[adapter]
        get(url_of(server))
        for _ in range(2):
            clock.tick(19.0)
            get(url_of(server))
        assert server.connections == 1
        {"awake": clock.tick, "frozen": clock.suspend, "set back": lambda s: clock.set_wall(0.0)}[gap](21.0)
        get(url_of(server))
        assert server.connections == 2


def test_what_is_idle_for_too_long_is_closed_when_an_invocation_begins(clock: RunningClock) -> None:
    """And nothing else; through urllib3's pools and httpx's."""
    with serving(answering(OK)) as server:
        adapters = [_adapters()[name] for name in ("http", "httpx")]
        for get in adapters:
            get(url_of(server))
        with invocation():
            for get in adapters:
                get(url_of(server))
        assert server.connections == 2
        assert repr(pools()) == f"Pools(127.0.0.1:{server.port}: 1)"
        clock.suspend(21.0)
        with invocation():
            assert all(server.ended.acquire(timeout=5) for _ in range(2))
            assert repr(pools()) == "Pools()"


@pytest.mark.parametrize("adapter", ADAPTERS[:-1])
def test_close_closes_and_a_later_use_opens_anew(adapter: str) -> None:
    """Everything users hold goes on."""
    with serving(answering(OK)) as server:
        get = _adapters()[adapter]
        get(url_of(server))
        lambdakit.environment().close()
        assert server.ended.acquire(timeout=5)
        assert [get(url_of(server)) for _ in range(2)] == [b"hi", b"hi"]
        assert server.connections == 2  # which is kept in its turn


def test_a_connection_in_use_at_a_close_is_closed_after_its_exchange() -> None:
    """It belongs to what was closed, whichever adapter it is."""
    reached, go = threading.Semaphore(0), threading.Event()

    def slow(head: bytes, body: bytes) -> bytes:
        reached.release()
        assert go.wait(10)
        return OK

    with keeping(answer=slow) as server:
        threads = [threading.Thread(target=_adapters()[name], args=(server.url,)) for name in ("http", "httpx")]
        env = lambdakit.environment()
        for thread in threads:
            thread.start()
        assert all(reached.acquire(timeout=10) for _ in threads)
        assert env is lambdakit.environment()
        lambdakit.environment().close()
        go.set()
        for thread in threads:
            thread.join(10)
        http.get(server.url)
        http.httpx_client().get(server.url)
        assert server.connections == 4


def test_sixty_four_threads_on_one_pool() -> None:
    """Right answers to all, nobody waits for a connection, no warning, and no more than ten stay open."""
    barrier = threading.Barrier(64)
    failures: list[object] = []

    def answer(head: bytes, body: bytes) -> bytes:
        time.sleep(0.005)
        return response(body=head.split()[1])

    def ask(number: int) -> None:
        barrier.wait(20)
        for round_ in range(5):
            path = f"/{number}/{round_}"
            try:
                got = http.get(f"{server.url}{path}").data.decode()
            except Exception as error:  # noqa: BLE001 - shown below
                failures.append(error)
            else:
                if got != path:
                    failures.append(got)

    with keeping(answer=answer) as server:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert failures == []
        assert len(server.requests) == 320
        assert repr(pools()) == f"Pools(127.0.0.1:{server.port}: 10)"


@pytest.mark.parametrize("answers", [True, False])
def test_a_full_pool_is_no_news(answers: bool, caplog: pytest.LogCaptureFixture) -> None:
    """urllib3 would log a warning for each connection that is not kept, and for each request that failed."""
    together = threading.Barrier(64)

    def answer(head: bytes, body: bytes) -> bytes | None:
        together.wait(20)
        return OK if answers else None

    def ask() -> None:
        with contextlib.suppress(ProtocolError):
            http.get(server.url)

    with keeping(answer=answer) as server:
        threads = [threading.Thread(target=ask) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(server.requests) == 64
        assert repr(pools()) == (f"Pools(127.0.0.1:{server.port}: 10)" if answers else "Pools()")
    assert caplog.records == []


def test_the_session_of_a_host_is_resumed(trusted: Keys, clock: RunningClock) -> None:
    """The second connection needs no certificates; after a close there is nothing left to resume."""
    resumed: list[bool] = []

    def behave(peer: Peer) -> None:
        assert isinstance(peer.sock, ssl.SSLSocket)
        resumed.append(bool(peer.sock.session_reused))
        answering(OK)(peer)

    with serving(behave, trusted.valid) as server:
        for _ in range(3):
            http.get(url_of(server))
            http.get(url_of(server))
            assert repr(pools().contexts) == "Contexts(sessions=1)"
            clock.suspend(21.0)
        lambdakit.environment().close()
        assert repr(pools().contexts) == "Contexts(sessions=0)"
        http.get(url_of(server))
    assert resumed == [False, True, True, False]


@pytest.mark.parametrize("options", [{"cert_reqs": "CERT_NONE", "assert_hostname": False}, {"ca_certs": "/nowhere"}])
def test_trust_of_ones_own_is_nobody_elses(options: dict[str, Any], certs: Keys) -> None:
    """Who trusts everyone over the pool, or somebody else, changes nothing for the others: they still verify."""
    with serving(answering(OK), certs.unknown) as server:
        with pytest.raises(MaxRetryError, match="CERTIFICATE_VERIFY_FAILED"):
            http.get(url_of(server))
        pool = http.pool().connection_from_url(url_of(server), pool_kwargs=options)
        if "ca_certs" not in options:
            with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
                assert pool.request("GET", "/").status == 200
        else:
            with pytest.raises(MaxRetryError):
                pool.request("GET", "/")
        for get in (_adapters()[adapter] for adapter in ("http", "requests", "httpx", "httpx async")):
            with pytest.raises((MaxRetryError, requests.exceptions.SSLError, httpx.ConnectError)):
                get(url_of(server))


def test_trust_of_a_requests_session(certs: Keys, tmp_path: Path) -> None:
    """verify= and cert= work as requests has them: a file, a directory, nobody; a certificate of the client's."""
    session = http.requests_session()
    with serving(answering(OK), certs.valid) as server:
        url = url_of(server)
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url)
        assert session.get(url, verify=str(certs.root)).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url, verify=str(tmp_path))  # a directory without certificates
        with pytest.raises(OSError, match="invalid path"):
            session.get(url, verify=str(tmp_path / "none"))
        with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            assert session.get(url, verify=False).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url)
        assert {pool.ca_certs for pool in pools()._pools} == {None}  # they are not read for each connection
        session.get(url, verify=str(certs.root), cert=(str(certs.client), str(certs.client)))
        assert session.get(url, verify=str(certs.root), cert=str(certs.client)).status_code == 200


def test_a_server_that_resumes_nothing(certs: Keys, trusted: Keys) -> None:
    """Is not remembered."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs.client)
    context.num_tickets = 0
    with serving(answering(OK), context) as server:
        http.get(url_of(server))
    assert repr(pools().contexts) == "Contexts(sessions=0)"


def test_a_session_that_leads_to_a_failure_is_forgotten(trusted: Keys, clock: RunningClock) -> None:
    """The next handshake is a full one."""
    with keeping(trusted.valid) as server:
        http.get(server.url)
        server.hurt("certificate", trusted.unknown)
        assert repr(pools().contexts) == "Contexts(sessions=1)"
        with pytest.raises(MaxRetryError, match="CERTIFICATE_VERIFY_FAILED"):
            http.get(server.url)
        assert repr(pools().contexts) == "Contexts(sessions=0)"


def test_many_hosts_do_not_fill_the_memory_with_sessions(trusted: Keys) -> None:
    """A hundred are remembered at most."""
    context = pools().contexts.context()
    context.sessions.update({("host", port): None for port in range(100)})
    context.read.update({("host", port): (1, 0) for port in range(100)})
    with serving(answering(OK), trusted.valid) as server:
        http.get(url_of(server))
    assert repr(pools().contexts) == "Contexts(sessions=1)"
    assert len(context.read) == 1


@pytest.mark.parametrize(
    ("host", "sent"), [("host.example", "host.example"), ("münchen.example", "xn--mnchen-3ya.example")]
)
def test_the_name_of_a_host_is_sent_as_certificates_have_it(host: str, sent: str) -> None:
    """In any script; only what needs it goes through the codec."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.create_connection(listener.getsockname())  # nobody answers, so there is no handshake
        with Contexts().context().wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False) as tls:
            assert tls.server_hostname == sent


def test_tls_1_2(trusted: Keys, certs: Keys) -> None:
    """Is spoken too; nothing older is."""
    for version, accepted in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certs.client)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = context.maximum_version = version
        with serving(answering(OK), context) as server:
            if accepted:
                assert [http.get(url_of(server)).status for _ in range(2)] == [200, 200]
                assert server.connections == 1
            else:
                with pytest.raises(MaxRetryError):
                    http.get(url_of(server))


# -- what is sent again


@pytest.mark.parametrize("body", [b"abc", "abc", bytearray(b"abc"), BytesIO(b"abc"), iter([b"abc"])])
def test_the_whole_body_is_sent_again(body: Any) -> None:
    """Where the server ended a kept connection as the request came; a body that is gone is not sent again."""
    with keeping() as server:
        http.get(server.url)
        server.hurt("closed")
        if hasattr(body, "__next__") and not hasattr(body, "read"):
            with pytest.raises(ProtocolError):
                http.put(server.url, body=body)
            assert len(server.requests) == 2
        else:
            assert http.put(server.url, body=body).status == 200
            assert [b"abc" in body for _, body in server.requests] == [False, True, True]


def test_what_may_be_sent_again_is_the_callers_choice() -> None:
    """A POST with retry="unsafe", nothing with retry=False; urllib3's own retries are heeded."""
    with keeping() as server:

        def sent(method: str, **options: Any) -> int:
            http.get(server.url)
            server.hurt("closed")
            before = len(server.requests)
            with contextlib.suppress(ProtocolError):
                (http.pool().request if "retries" in options else http.request)(method, server.url, **options)
            return len(server.requests) - before

        assert [sent(method) for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE")] == [2] * 6
        assert [sent(method) for method in ("POST", "PATCH")] == [1, 1]
        assert sent("POST", retry="unsafe") == 2
        assert sent("GET", retry=False) == 1
        assert sent("GET", retries=False) == 1
        assert sent("POST", retries=urllib3.Retry(0, read=False, allowed_methods=["POST"])) == 2


def test_retry_false_holds_after_a_redirect() -> None:
    """Which is a request like any other."""

    def behave(peer: Peer) -> None:
        peer.request()
        peer.send(response(302, Location="/next"))
        peer.request()

    with serving(behave) as server:
        with pytest.raises(ProtocolError):
            http.get(url_of(server), retry=False)
        assert (len(server.requests), server.connections) == (2, 1)


def test_a_form_is_sent_again_with_a_new_token() -> None:
    """Its fields are encoded anew."""
    with keeping(answer=lambda head, body: response(200 if b"token-2" in head else 401)) as server:
        assert http.post(server.url, fields={"a": "b"}, auth=Token()).status == 200
        assert all(b'name="a"\r\n\r\nb\r\n' in body for _, body in server.requests)


def test_a_new_connection_is_not_given_a_second_chance() -> None:
    """Nothing says that it was not the request that ended it."""
    with serving(Peer.request) as server:
        for get in (_adapters()[adapter] for adapter in ADAPTERS):
            with pytest.raises((ProtocolError, requests.ConnectionError, httpx.HTTPError)):
                get(url_of(server))
        assert len(server.requests) == len(ADAPTERS)


@pytest.mark.parametrize("adapter", ADAPTERS[:-1])
def test_an_answer_that_has_begun_is_not_asked_for_again(adapter: str) -> None:
    """A kept connection that ends within the head, or within the body: an error."""

    def behave(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Le" if peer.server.connections < 2 else OK[:-1])

    with serving(behave) as server:
        get = _adapters()[adapter]
        get(url_of(server))
        with pytest.raises((ProtocolError, requests.RequestException, httpx.HTTPError)):
            get(url_of(server))
        assert len(server.requests) == 2
        get(url_of(server))
        with pytest.raises((ProtocolError, requests.RequestException, httpx.HTTPError)):
            get(url_of(server))
        assert len(server.requests) == 4


def test_a_second_loss_is_an_error() -> None:
    """Once, not for ever; however many kept connections had died, the second attempt is over a new one."""
    with keeping() as server:
        for get in (_adapters()[adapter] for adapter in ("http", "httpx")):
            get(server.url)
            server.hurt("closed")
            server.answer = lambda head, body: None
            before = len(server.requests)
            with pytest.raises((ProtocolError, httpx.HTTPError)):
                get(server.url)
            assert len(server.requests) - before == 2
            server.answer = lambda head, body: OK


@pytest.mark.parametrize("adapter", ["http", "httpx"])
def test_the_second_attempt_is_over_a_new_connection(adapter: str) -> None:
    """Also where several are kept, all of them dead."""
    barrier = threading.Barrier(3)

    def answer(head: bytes, body: bytes) -> bytes:
        if b"together" in head:
            barrier.wait(10)
        return OK

    with keeping(answer=answer) as server:
        get = _adapters()[adapter]
        threads = [threading.Thread(target=get, args=(f"{server.url}/together",)) for _ in range(3)]
        env = lambdakit.environment()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert (server.connections, env is lambdakit.environment()) == (3, True)
        server.hurt("closed")
        assert get(server.url) == b"hi"
        assert len(server.requests) == 3 + 2


def test_a_reset_in_place_of_a_first_answer_is_an_error() -> None:
    """On a new connection it is not taken for a kept one that had died."""

    def behave(peer: Peer) -> None:
        peer.request()
        peer.reset()

    with serving(behave) as server:
        for get in (_adapters()[adapter] for adapter in ADAPTERS):
            with pytest.raises((ProtocolError, requests.ConnectionError, httpx.ReadError)):
                get(url_of(server))
        assert len(server.requests) == len(ADAPTERS)


def test_only_connections_to_the_same_host_are_given_up() -> None:
    """Those to others are kept."""
    with keeping() as server, keeping() as other:

        async def lose() -> None:
            client = http.httpx_async_client()
            for url in (server.url, other.url):
                await client.get(url)
            await asyncio.to_thread(server.hurt, "closed")
            for url in (server.url, other.url):
                await client.get(url)
            lambdakit.environment().close()
            await _close_all()

        client = http.httpx_client()
        for url in (server.url, other.url):
            client.get(url)
        server.hurt("closed")
        for url in (server.url, other.url):
            client.get(url)
        assert (server.connections, other.connections) == (2, 1)
        asyncio.run(lose())
        assert (server.connections, other.connections) == (4, 2)


# -- urllib3's own ways


def test_a_body_that_is_read_piece_by_piece() -> None:
    """Over the pool, for what is written for urllib3; the connection comes back when the body has ended."""
    with serving(answering(BODIES["big"][0])) as server:
        got = http.pool().request("GET", url_of(server), preload_content=False)
        assert os.fstat(got.fileno())
        assert sum(map(len, got.stream(1000))) == 5_000_000
        assert http.get(url_of(server)).status == 200
        assert server.connections == 1


def test_time_that_ends_within_such_a_body() -> None:
    """urllib3's error, whose cause tells."""
    with (
        serving(_trickles_body) as server,
        invocation(RunningContext(remaining_s=0.6)),
    ):
        got = http.pool().request("GET", url_of(server), preload_content=False)
        with pytest.raises(ReadTimeoutError) as caught:
            got.read()
    assert isinstance(caught.value.__cause__, DeadlineExceededError)


def test_a_source_address() -> None:
    """As urllib3 has it."""
    seen: list[str] = []

    def behave(peer: Peer) -> None:
        seen.append(peer.sock.getpeername()[0])
        answering(OK)(peer)

    with serving(behave) as server:
        pool = http.pool().connection_from_url(url_of(server), pool_kwargs={"source_address": ("127.0.0.2", 0)})
        pool.request("GET", "/")
    assert seen == ["127.0.0.2"]


def test_a_pool_that_its_user_closed() -> None:
    """Is nobody's trouble."""
    with serving(answering(OK)) as server:
        http.get(url_of(server))
        pool = http.pool().connection_from_url(url_of(server))
        pool.close()
        assert repr(pools()) == "Pools()"
        env = lambdakit.environment()
        env._close_idle(env.clock.now())
        env._after_fork_in_child()


def test_a_connection_that_comes_back_to_a_closed_pool() -> None:
    """Is closed."""
    with serving(answering(OK)) as server:
        got = http.pool().request("GET", url_of(server), preload_content=False)
        http.pool().connection_from_url(url_of(server)).close()
        assert got.read() == b"hi"
        got.release_conn()
        assert server.ended.acquire(timeout=5)


def test_the_pool_of_a_host() -> None:
    """The same for the same host, another for another, for options of one's own, and after they were all forgotten."""
    manager = http.pool()
    pool = manager.connection_from_host("one.example", 80)
    for host, port, scheme, options in (
        ("two.example", 80, "http", None),
        ("one.example", 81, "http", None),
        ("one.example", 80, "https", None),
        ("one.example", 80, "http", {"maxsize": 1}),
    ):
        other = manager.connection_from_host(host, port, scheme, options)
        assert (other.host, other.port, other.scheme) == (host, port, scheme)
        assert other is not pool
        assert manager.connection_from_host("one.example", 80) is pool
    manager.clear()
    assert manager.connection_from_host("one.example", 80) is not pool


def test_reprs_tell_the_state() -> None:
    """And no more."""
    assert repr(pools().policy) == "ConnectionPolicy(max_idle_s=20, generation=0)"


# -- origins


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_origin_opens_the_connection_of_the_first_request(scheme: str, trusted: Keys) -> None:
    """TLS tickets that nobody has read included; nothing is sent; a connection that stands is kept."""
    with serving(answering(OK), trusted.valid if scheme == "https" else None) as server:
        origin = http.origin(f"{url_of(server)}path?query")
        origin()
        origin()
        time.sleep(0.05)  # for the tickets to arrive
        assert repr(pools()) == f"Pools(127.0.0.1:{server.port}: 1)"
        assert server.requests == []
        assert http.get(url_of(server)).data == b"hi"
        assert server.connections == 1
        assert repr(origin) == origin.__qualname__ == f"lambdakit.http.origin('{scheme}://127.0.0.1:{server.port}')"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("made", [False, True], ids=["made later", "made before"])
def test_an_origin_opens_that_of_the_session_if_there_is_one(
    made: bool, scheme: str, trusted: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each connection is the one of the first request: what both trust alone is shared, which is nothing over TLS."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted.root))
    with keeping(trusted.valid if scheme == "https" else None) as server:
        if made:
            http.requests_session()
        for _ in range(2):
            http.origin(server.url)()
        opened = repr(pools())
        assert opened.count("127.0.0.1") == (2 if made and scheme == "https" else 1)
        assert http.get(server.url).status == http.requests_session().get(server.url).status_code == 200
        assert made is False or repr(pools()) == opened
        assert (server.connections, len(server.requests)) == (2 if scheme == "https" else 1, 2)


def test_an_origin_opens_nothing_of_a_session_by_a_proxy_or_by_an_adapter_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What requests would do there is not ours to begin; what `http.get` will use is opened, through the proxy too."""
    with keeping() as server, keeping() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        session = http.requests_session()
        http.origin(server.url)()
        monkeypatch.delenv("http_proxy")
        session.mount(server.url, requests.adapters.HTTPAdapter())
        http.origin(server.url)()
        assert http.get(server.url).status == 200
        assert (server.connections, proxy.connections) == (1, 1)


def test_an_origin_that_died_before_its_first_use(trusted: Keys) -> None:
    """Is replaced, whether its end is seen before the request or only after it."""
    for kind in ("fin", "rst", "closed"):
        with keeping(trusted.valid) as server:
            http.origin(server.url)()
            http.pool()
            server.hurt(kind)
            assert http.get(server.url).data == b"hi"
            assert server.connections == 2


def test_an_origin_that_cannot_be_reached(certs: Keys) -> None:
    """Raises as a request does, and leaves nothing behind."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NewConnectionError, match="refused"):
        http.origin(f"http://127.0.0.1:{port}")()
    with pytest.raises(urllib3.exceptions.NameResolutionError):
        http.origin("http://nowhere.invalid")()
    with pytest.raises(httpx.ConnectError):
        http.httpx_client().get("http://nowhere.invalid")
    assert repr(pools()) == "Pools()"


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_each_address_of_a_host_is_tried(adapter: str) -> None:
    """The second where the first refuses; an error where all do."""
    with serving(answering(OK)) as server:
        url = f"http://localhost:{server.port}/"
        assert _adapters()[adapter](url) == b"hi"
    lambdakit.environment().close()
    with pytest.raises((MaxRetryError, requests.ConnectionError, httpx.ConnectError)):
        _adapters()[adapter](url)


def test_preload_takes_an_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is opened in INIT."""
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "provisioned-concurrency")  # however old this process is
    with lambdakit.use_environment(Environment()) as env, serving(answering(OK)) as server:

        @lambdakit.handler(preload=[http.origin(url_of(server))])
        def handler(event: object, context: object) -> int:
            return http.get(url_of(server)).status

        assert repr(pools()) == f"Pools(127.0.0.1:{server.port}: 1)"
        assert handler({}, FakeContext()) == 200
        assert server.connections == 1
        env.close()


# -- clients of others


def test_clients_are_the_environments() -> None:
    """The same each time; closing one, or leaving its `with`, leaves the connections to the others."""
    with serving(answering(OK)) as server:
        url = url_of(server)
        session = http.requests_session()
        assert http.requests_session() is session
        with session:
            session.get(url)
        assert session.get(url).text == http.get(url).data.decode() == "hi"
        assert server.connections == 1
        client = http.httpx_client()
        assert http.httpx_client() is client
        with client:
            client.get(url)
        assert http.httpx_client() is not client
        with http.httpx_client(base_url=url) as other:
            assert other is not client
            assert other.get("/x").text == "hi"
        http.httpx_client().close()
        assert http.httpx_client().get(url).text == "hi"
        assert server.connections == 2


def test_an_async_client_serves_several_loops(env: Environment) -> None:
    """One client; each loop has connections of its own, which its requests share."""
    with serving(answering(OK)) as server:
        client = http.httpx_async_client()

        async def twice() -> bool:
            async with http.httpx_async_client(base_url=url_of(server)) as other:
                await other.get("/")
            for _ in range(2):
                await http.httpx_async_client().get(url_of(server))
            return http.httpx_async_client() is client

        loops = [asyncio.new_event_loop() for _ in range(2)]
        assert all(loop.run_until_complete(twice()) for loop in loops)
        assert server.connections == 2
        env._close_idle(env.clock.now())
        assert loops[0].run_until_complete(twice())
        assert server.connections == 2
        env.close()
        assert all(server.ended.acquire(timeout=5) for _ in loops)
        assert loops[0].run_until_complete(twice())
        assert server.connections == 3

        async def close_within() -> None:
            env.close()  # a loop runs: nothing can be awaited
            await client.get(url_of(server))

        loops[1].run_until_complete(close_within())
        assert server.connections == 4
        env.close()
        for loop in loops:
            loop.close()
        env.close()


def test_an_async_connection_that_died_is_replaced() -> None:
    """As the table of faults has it; all that had been kept for this host."""
    with keeping() as server:

        async def several() -> None:
            client = http.httpx_async_client()
            await asyncio.gather(*(client.get(server.url) for _ in range(3)))
            await asyncio.to_thread(server.hurt, "closed")
            assert (await client.get(server.url)).text == "hi"
            assert len(server.requests) == 3 + 2
            server.answer = lambda head, body: None
            with pytest.raises(httpx.HTTPError):
                await client.post(server.url)
            await _close_all()

        asyncio.run(several())


def test_what_httpx_cannot_send_again() -> None:
    """A body that is produced piece by piece: neither after a loss nor after a status."""
    with keeping() as server:
        client = http.httpx_client()
        client.get(server.url)
        server.hurt("closed")
        with pytest.raises(httpx.ReadError):
            client.put(server.url, content=iter([b"a"]))
        server.answer = lambda head, body: response(503)
        assert client.put(server.url, content=iter([b"a"])).status_code == 503
        assert client.post(server.url).status_code == 503
        assert len(server.requests) == 4
        assert client.get(server.url).status_code == 503
        assert len(server.requests) == 7


def test_options_of_httpx_that_would_be_ignored() -> None:
    """Are refused, by name."""
    for make in (http.httpx_client, http.httpx_async_client):
        with pytest.raises(ConfigurationError, match="http2, limits belong to the connections"):
            make(http2=True, limits=None)


def test_a_proxy_of_a_requests_session(clock: RunningClock) -> None:
    """Is used as requests uses it, over kept connections; what is lost there is not sent again by itself."""
    with keeping() as proxy:
        session, proxies = http.requests_session(), {"http": proxy.url}
        assert session.get("http://partner.invalid/x", proxies=proxies).text == "hi"
        assert proxy.requests[0][0].startswith(b"GET http://partner.invalid/x ")
        session.get("http://partner.invalid/x", proxies=proxies)
        assert proxy.connections == 1
        clock.suspend(21.0)
        session.get("http://partner.invalid/x", proxies=proxies)
        assert proxy.connections == 2
        proxy.hurt("closed")
        with pytest.raises(requests.ConnectionError):
            session.get("http://partner.invalid/x", proxies=proxies)


# -- wrong inputs


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"method": "GE T"}, "method='GE T'"),
    ({"method": ""}, "method=''"),
    ({"method": None}, "method=None"),
    ({"method": "GÉT"}, "method="),
    *(({"url": url}, "url: give an absolute one") for url in (
        None, "", "x", "/path", "ftp://host/", "//host", "http://", "http:///x", "http://[::1", "http://host:port/",
        f"https://user:{SECRET}@host/", "https://user:s3cr3t@127.0.0.1/", "http://host:99999/",
    )),
    ({"body": b"", "json": 1}, "body, json, fields"),
    ({"fields": {}, "json": 1}, "body, json, fields"),
    ({"json": {1, 2}}, "json: set cannot be written"),
    ({"json": float("nan")}, "json: float cannot be written"),
    ({"headers": SECRET}, "headers: give a dictionary, not str"),
    ({"headers": {"X": f"{SECRET}\n"}}, "the value of 'X' has a line break"),
    ({"headers": {"X": f"{SECRET}\r\nY: z".encode()}}, "the value of 'X' has a line break"),
    ({"headers": {"X": f"{SECRET}→"}}, "the value of 'X' has characters"),
    ({"headers": {"A": "fine", "B": b"fine", "X": object()}}, "the value of 'X' is object"),
    ({"headers": {"X Y\n": SECRET}}, "is no name of a header"),
    ({"headers": {1: SECRET}}, "is no name of a header"),
    ({"headers": {"authorization": SECRET}, "auth": ("a", "b")}, "auth, headers"),
    ({"auth": SECRET}, "auth: give a tuple"),
    ({"auth": ("a", SECRET, "c")}, "auth: give a tuple"),
    ({"auth": ("a:b", SECRET)}, "auth: give a tuple"),
    ({"auth": ("a", None)}, "auth: give a tuple"),
    *(({"timeout": timeout}, "timeout=") for timeout in (
        0, -1, True, "1", float("nan"), float("inf"), (1,), (1, 2, 3), (1, 0), [1, 2],
    )),
    ({"retry": 3}, "retry=3"),
    ({"retry": "safe"}, "retry='safe'"),
    ({"retry": None}, "retry=None"),
    ({"max_bytes": -1}, "max_bytes=-1"),
    ({"max_bytes": True}, "max_bytes=True"),
    ({"max_bytes": 1.5}, "max_bytes=1.5"),
    ({"redirect": 1}, "redirect=1"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], message: str) -> None:
    """ConfigurationError that says which and what is allowed, without a secret; nothing is sent."""
    with serving(answering(OK)) as server:
        arguments = {"method": "POST", "url": url_of(server)} | wrong
        with pytest.raises(ConfigurationError, match=re.escape(message)) as caught:
            http.request(**arguments)
        assert server.requests == []
    shown = [*traceback.format_exception(caught.value), repr(caught.value)]
    assert SECRET[:6] not in "".join(shown)


def test_a_mistake_of_the_callers_own_code_passes() -> None:
    """An error in what produces a body is neither hidden nor explained away."""

    def pieces() -> Iterator[bytes]:
        yield b"a"
        raise ValueError("mine")

    with serving(answering(OK)) as server, pytest.raises(ValueError, match="mine"):
        http.post(url_of(server), body=pieces())


def test_an_origin_with_a_wrong_port_is_an_error_at_its_call() -> None:
    """ConfigurationError."""
    with pytest.raises(ConfigurationError, match="a number as the port"):
        http.origin("http://host:port")()


@pytest.mark.parametrize("url", [None, "", "host", "ftp://host", "https://", "https:///x", f"https://u:{SECRET}@host"])
def test_a_wrong_origin_is_an_error_where_it_stands(url: Any) -> None:
    """ConfigurationError, without a secret."""
    with pytest.raises(ConfigurationError, match="origin: give a URL") as caught:
        http.origin(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("package", "adapter"),
    [("requests", "requests_session"), ("httpx", "httpx_client"), ("httpx", "httpx_async_client")],
)
def test_a_adapter_that_is_not_installed(package: str, adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """MissingDependencyError that names the package."""
    monkeypatch.setitem(sys.modules, package, None)
    for name in ("requests_session", "httpx_clients"):
        monkeypatch.delitem(sys.modules, f"lambdakit._http.{name}", raising=False)
    with pytest.raises(lambdakit.MissingDependencyError, match=f"needs {package}, which is not installed"):
        getattr(http, adapter)()


def test_nothing_is_imported_before_it_is_used() -> None:
    """Neither urllib3 nor an adapter; each brings its own only."""
    code = (
        "import sys, json\nfrom lambdakit import http\nimport lambdakit\n"
        "names = {'urllib3', 'requests', 'httpx', 'http.client', 'ssl', 'asyncio'}\n"
        "def there(): return sorted(names & set(sys.modules))\n"
        "seen = [there()]\nhttp.origin('https://host')\nseen.append(there())\nhttp.pool()\nseen.append(there())\n"
        "http.requests_session()\nseen.append(there())\nprint(json.dumps(seen))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    nothing, origin, pool, session = json.loads(done.stdout)
    assert (nothing, origin) == ([], [])
    assert pool == ["http.client", "ssl", "urllib3"]
    assert session == ["http.client", "requests", "ssl", "urllib3"]


# -- forks


def test_after_a_fork_everything_that_is_held_goes_on(trusted: Keys) -> None:
    """Descriptors are closed, without a word to the server that only TLS would understand."""
    with serving(answering(OK), trusted.valid) as server:
        for name in ("http", "requests", "httpx"):
            assert _adapters()[name](url_of(server)) == b"hi"
        loop, client = asyncio.new_event_loop(), http.httpx_async_client()
        loop.run_until_complete(client.get(url_of(server)))
        kept = life_of(loop).owned
        theirs = [one.pool for one in kept.values()]  # what the parent has
        lambdakit.environment()._after_fork_in_child()
        assert all(server.ended.acquire(timeout=5) for _ in range(3))
        for name in ("http", "requests", "httpx"):
            assert _adapters()[name](url_of(server)) == b"hi"
        loop.run_until_complete(client.get(url_of(server)))
        assert server.connections == 8
        for pool in (*theirs, *(one.pool for one in kept.values())):
            for connection in pool.connections:
                loop.run_until_complete(connection.aclose())
        loop.close()


def test_a_forked_child_shares_no_connection(trusted: Keys) -> None:
    """It opens its own, through what a module holds too, whatever lock the parent held; the parent's go on."""
    with serving(answering(OK)) as plain, serving(answering(OK), trusted.valid) as secure:
        urls = [url_of(plain), url_of(secure)]
        held, session, client = http.pool(), http.requests_session(), http.httpx_client()

        def ask() -> list[int]:
            return [
                answer
                for url in urls
                for answer in (
                    held.request("GET", url).status,
                    session.get(url).status_code,
                    client.get(url).status_code,
                )
            ]

        assert ask() == [200] * 6
        connections = plain.connections + secure.connections
        everything = pools()
        locked, forked = threading.Event(), threading.Event()

        def hold() -> None:
            httpcore_lock = client._transport._pool._optional_thread_lock
            with everything._lock, held.pools.lock, httpcore_lock:
                locked.set()
                forked.wait(20)

        holder = threading.Thread(target=hold)
        holder.start()
        assert locked.wait(20)
        with warnings.catch_warnings(action="ignore"):  # newer Pythons warn of a fork beside a thread
            child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.alarm(20)  # no lock is waited for
                everything.close_idle(everything.policy.clock.now())
                code = 0 if ask() == [200] * 6 else 2
            finally:
                os._exit(code)
        forked.set()
        holder.join(20)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert plain.connections + secure.connections == 2 * connections
        assert ask() == [200] * 6
        assert plain.connections + secure.connections == 2 * connections
