"""Answers that are not one, bodies that can be read once, and redirects, through each front: the tables of the docs."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import h11
import httpx
import pytest
import requests
import urllib3
from running import RunningClock
from tools import exchanges
from tools.exchanges import (
    ANSWERS,
    BODIES,
    EMPTY,
    ERROR,
    FRONTS,
    GET,
    HEADERS,
    HTTP,
    HTTPX,
    HTTPX_ASYNC,
    KEPT,
    NOT_SENT,
    OAUTH,
    ONCE,
    OTHERS,
    OWN,
    PATCHED_HTTPX,
    PATCHED_REQUESTS,
    PLAIN_HTTPX,
    PLAIN_REQUESTS,
    POOL,
    REDIRECTS,
    RETURNED,
    SENT,
    SESSION,
    WHOLE,
)

import lambdakit
from faults import Peer, serving
from http_server import KeepingServer, keeping, response
from lambdakit import http

SENDERS = tuple(front for front in FRONTS if front != OAUTH)  # which sends what it likes
FAILURES = (
    urllib3.exceptions.HTTPError,
    requests.RequestException,
    httpx.HTTPError,
    httpx.StreamError,
    h11.LocalProtocolError,  # httpx lets it through
    lambdakit.LambdakitError,
)

REFUSED = (urllib3.exceptions.ProtocolError, requests.RequestException, httpx.HTTPError)

Ask = Callable[..., tuple[int, bytes]]


async def _asynchronous(body: Any) -> AsyncIterator[bytes]:
    for piece in body:
        yield piece


def of_urllib3(send: Callable[..., Any]) -> Ask:
    """Its functions, and ours."""

    def ask(method: str, url: str, body: Any, headers: Any) -> tuple[int, bytes]:
        got = send(method, url, body=body, headers=headers)
        return got.status, got.data

    return ask


def of_requests(session: Any) -> Ask:
    """A session, or the module."""

    def ask(method: str, url: str, body: Any, headers: Any) -> tuple[int, bytes]:
        got = session.request(method, url, data=body, headers=headers)
        return got.status_code, got.content

    return ask


def of_httpx(client: Any) -> Ask:
    """A client, or the module."""

    def ask(method: str, url: str, body: Any, headers: Any) -> tuple[int, bytes]:
        options: Any = {} if body is None else {"content": body}
        got = client.request(method, url, headers=headers, follow_redirects=True, **options)
        return got.status_code, got.content

    return ask


def of_httpx_async(client: Any, runner: asyncio.Runner) -> Ask:
    """A client, in a loop."""

    def ask(method: str, url: str, body: Any, headers: Any) -> tuple[int, bytes]:
        options: Any = {} if body is None else {"content": body if type(body) is bytes else _asynchronous(body)}
        got = runner.run(client.request(method, url, headers=headers, follow_redirects=True, **options))
        return got.status_code, got.content

    return ask


def of_oauth(_: str, url: str, *__: Any) -> tuple[int, bytes]:
    """The token."""
    token = lambdakit.oauth_token(url, client_id="c", client_secret="s")
    return 200, json.dumps({"access_token": str(token)}).encode()


@pytest.fixture
def env() -> Iterator[lambdakit.Environment]:  # type: ignore[override]
    """Without pauses."""
    env = lambdakit.Environment(clock=RunningClock(chance=0.0))
    with lambdakit.use_environment(env):
        yield env
    env.close()


@contextlib.contextmanager
def asking(front: str) -> Iterator[Ask]:
    """What sends a request, follows redirects, and returns status and body."""
    with contextlib.ExitStack() as stack:
        if front in {PATCHED_REQUESTS, PATCHED_HTTPX}:
            lambdakit.patch("requests", "httpx")
            stack.callback(lambdakit.unpatch)
        makers: dict[str, Callable[[], Ask]] = {
            HTTP: lambda: of_urllib3(http.request),
            POOL: lambda: of_urllib3(http.pool().request),
            OAUTH: lambda: of_oauth,
            SESSION: lambda: of_requests(http.requests_session()),
            PATCHED_REQUESTS: lambda: of_requests(requests),
            PLAIN_REQUESTS: lambda: of_requests(stack.enter_context(requests.Session())),
            HTTPX: lambda: of_httpx(http.httpx_client()),
            PATCHED_HTTPX: lambda: of_httpx(httpx),
            PLAIN_HTTPX: lambda: of_httpx(stack.enter_context(httpx.Client())),
            HTTPX_ASYNC: lambda: of_httpx_async(http.httpx_async_client(), stack.enter_context(asyncio.Runner())),
        }
        yield makers[front]()


# -- answers


def _path(head: bytes) -> str:
    return head.split()[1].decode()


def _answer(path: str) -> bytes:
    return response(body=json.dumps({"access_token": f"for-{path}"}).encode(), Content_Type="application/json")


EVIL = response(body=b'{"access_token": "EVIL"}')


def _first(kind: str, peer: Peer, answer: bytes) -> None:
    if kind == "103":
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        time.sleep(0.05)  # so that it comes alone
        peer.send(answer)
    elif kind == "102":
        peer.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + answer)
    elif kind == "two":
        peer.send(answer + EVIL)
    elif kind == "two later":
        peer.send(answer)
        time.sleep(0.05)  # so that it is not there yet when the first is read
        peer.send(EVIL)
    else:
        peer.send(answer[:-5])
        peer.finish()


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("kind", ANSWERS)
def test_each_request_gets_its_own_answer(kind: str, front: str) -> None:
    """As the table has it; what is not complete is an error, never somebody else's."""
    seen, sent = threading.Event(), threading.Event()

    def behave(peer: Peer) -> None:
        while (head := peer.request()) is not None:
            path = _path(head)
            if path == "/a" and not seen.is_set():
                seen.set()
                _first(kind, peer, _answer(path))
                sent.set()
            else:
                peer.send(_answer(path))

    with serving(behave) as server, asking(front) as ask:

        def token(path: str) -> str:
            try:
                _, body = ask("POST" if front == OAUTH else "GET", f"http://127.0.0.1:{server.port}{path}", None, None)
                return str(json.loads(body)["access_token"])
            except (*FAILURES, ValueError) as error:
                return type(error).__name__

        answers = [token("/a")]
        assert sent.wait(20)
        time.sleep(0.05)  # what comes a moment later is there
        answers += [token("/b"), token("/c")]
    if front in {HTTP, POOL, SESSION, OAUTH}:
        lambdakit.environment().close()
    first = "for-/a" if kind != "cut" else answers[0]
    assert "EVIL" not in answers[0]
    outcome = OWN if answers == [first, "for-/b", "for-/c"] else OTHERS
    assert outcome == exchanges.law(ANSWERS[kind], front), answers


# -- bodies


def _body(kind: str, stack: contextlib.ExitStack, path: Path) -> Any:
    if kind == "generator":
        return (piece for piece in (b"PAYLOAD-", b"DATA"))
    if kind == "bytes":
        return b"PAYLOAD-DATA"
    if kind == "file":
        path.write_bytes(b"PAYLOAD-DATA")
        return stack.enter_context(path.open("rb"))
    reading, writing = os.pipe()
    os.write(writing, b"PAYLOAD-DATA")
    os.close(writing)
    return stack.enter_context(os.fdopen(reading, "rb"))


def _plain(body: bytes) -> bytes:
    """What was sent, without chunks."""
    return b"".join(body.replace(b"0\r\n\r\n", b"").split(b"\r\n")[1::2]) if body.endswith(b"0\r\n\r\n") else body


@pytest.mark.parametrize("front", SENDERS)
@pytest.mark.parametrize(("kind", "status"), BODIES)
def test_a_body_is_sent_in_whole_or_not_again(kind: str, status: int, front: str, tmp_path: Path) -> None:
    """As the table has it: what was read is gone, and the answer that there was is returned."""
    if front == HTTPX_ASYNC and kind in {"file", "pipe"}:
        pytest.skip("httpx takes no file there")

    def answer(head: bytes, body: bytes) -> bytes:
        return response(200 if len(server.requests) > 1 else status, Location="/end", Retry_After="0")

    with keeping(answer=answer) as server, asking(front) as ask, contextlib.ExitStack() as stack:
        try:
            got, _ = ask("PUT", f"{server.url}/start", _body(kind, stack, tmp_path / "file"), None)
        except FAILURES:
            got = 0
        sent = [_plain(body) for _, body in server.requests]
    if got == 0:
        outcome = ERROR
        assert front == PLAIN_HTTPX or b"" not in sent
    elif len(sent) == 1:
        outcome = ONCE
        assert got == status
    else:
        outcome = {(b"PAYLOAD-DATA",) * 2: WHOLE, (b"PAYLOAD-DATA", b""): EMPTY}[tuple(sent)]
        assert got == 200
    assert outcome == exchanges.law(BODIES[kind, status], front)


# -- redirects


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _redirecting(status: int, where: str, stack: contextlib.ExitStack) -> tuple[KeepingServer, KeepingServer]:
    """The server that redirects, and the one that it leads to."""
    other = stack.enter_context(keeping())
    target = {
        "same host": "/end",
        "another host": f"http://localhost:{other.port}/end",
        "another scheme": "ftp://127.0.0.1/end",
    }[where]
    server: KeepingServer = stack.enter_context(
        keeping(answer=lambda head, body: response(status if b"/start" in head else 200, Location=target))
    )
    return server, other


@pytest.mark.parametrize("front", SENDERS)
@pytest.mark.parametrize(("status", "where"), REDIRECTS)
def test_what_follows_a_redirect(status: int, where: str, front: str) -> None:
    """As the table has it."""
    for one in (status, 308) if status == 307 else (status,):
        with contextlib.ExitStack() as stack, asking(front) as ask:
            server, other = _redirecting(one, where, stack)
            try:
                got, _ = ask("POST", f"{server.url}/start", b"card=4111", {"Content-Type": "application/x-card"})
            except REFUSED:  # no error of the caller's
                got = 0
            followed = [*server.requests[1:], *other.requests]
        if not followed:
            outcome = RETURNED if got == one else ERROR
        else:
            assert got == 200
            ((head, body),) = followed
            outcome = {(b"GET", b""): GET, (b"POST", b"card=4111"): KEPT}[head.split()[0], body]
            if outcome == GET and "httpx" not in front:  # which sends on what the body was
                assert not {"content-type", "content-length", "transfer-encoding"} & _headers(head).keys()
        assert outcome == exchanges.law(REDIRECTS[status, where], front)


@pytest.mark.parametrize("front", SENDERS)
@pytest.mark.parametrize("name", HEADERS)
def test_what_is_sent_on_to_another_host(name: str, front: str) -> None:
    """As the table has it."""
    with contextlib.ExitStack() as stack, asking(front) as ask:
        server, other = _redirecting(302, "another host", stack)
        assert ask("GET", f"{server.url}/start", None, {name: "planted"})[0] == 200
        ((head, _),) = other.requests
    outcome = SENT if "planted" in _headers(head).values() else NOT_SENT
    assert outcome == exchanges.law(HEADERS[name], front)


def test_a_file_of_ones_own_position_is_sent_again_from_there() -> None:
    """Not from its beginning."""
    body = io.BytesIO(b"not this: this")
    body.seek(10)
    with keeping(answer=lambda head, body: response(503 if len(server.requests) < 3 else 200)) as server:
        assert http.put(server.url, body=body).status == 200
        assert [body for _, body in server.requests] == [b"this"] * 3
