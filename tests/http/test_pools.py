"""Idle connections, and what is kept while others stand in the place of urllib3's classes or of sockets."""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st
from urllib3.connection import HTTPConnection

from http_server import KeepingServer, keeping
from lambdakit import Environment
from lambdakit import http as ours
from lambdakit._http.pools import Pools, Stack


@pytest.fixture
def server() -> Iterator[KeepingServer]:
    """It keeps connections, and counts them."""
    with keeping() as server:
        yield server


@given(st.integers(1, 4), st.lists(st.none() | st.just("put")))
def test_a_stack_is_a_queue_of_pythons_without_its_places(size: int, steps: list[str | None]) -> None:
    """Last in, first out; full and empty where `queue.LifoQueue` is, of which None stands for a place."""
    stack, peer = Stack(size), queue.LifoQueue[int](size)
    for number, step in enumerate(steps):
        outcomes: list[Any] = []
        for one in (stack, peer):
            try:
                outcomes.append(one.get(block=False) if step is None else one.put(number, block=False))
            except (queue.Empty, queue.Full) as error:
                outcomes.append(type(error))
        assert outcomes[0] == outcomes[1]
        stack.put(None)
        assert stack.qsize() == peer.qsize()


def test_what_another_thread_has_taken_is_not_refused() -> None:
    """One is put that finds no room, and is taken before it is taken back."""

    class Quick(list[Any]):
        def append(self, item: Any) -> None:
            super().append(item)
            if len(self) > 1:
                threading.Thread(target=self.take).start()
                assert taken.acquire(timeout=20)

        def take(self) -> None:
            self.pop()
            super().append("another's")
            taken.release()

    taken = threading.Semaphore(0)
    stack = Stack(1)
    stack.queue = Quick()
    stack.put("first")
    stack.put("second")
    assert stack.queue == ["first", "another's"]


def test_a_connection_that_another_thread_has_just_taken_is_not_closed(server: KeepingServer) -> None:
    """While those that have expired are."""
    ours.get(server.url)
    pool: Any = ours.pool().connection_from_url(server.url)

    def take(_: Any) -> bool:
        taken.append(pool._get_conn())
        return True

    taken: list[Any] = []
    pool.close_expired(take)
    assert [connection.is_closed for connection in taken] == [False]
    taken[0].close()


def test_a_pool_whose_users_wait_has_a_queue_that_can_be_waited_for(server: KeepingServer, env: Environment) -> None:
    """As urllib3 has it, and what has expired in it gives its place back."""
    pool: Any = ours.pool().connection_from_host("127.0.0.1", server.port, pool_kwargs={"block": True, "maxsize": 1})
    assert isinstance(pool.pool, queue.LifoQueue)
    held = pool.urlopen("GET", "/", preload_content=False)
    with pytest.raises(urllib3.exceptions.EmptyPoolError):
        pool.urlopen("GET", "/", pool_timeout=0.01)
    held.drain_conn()
    held.release_conn()
    for _ in range(2):
        assert pool.urlopen("GET", "/", pool_timeout=20).status == 200
        env._parts[Pools].close()
    assert server.connections == 2


FRONTS: dict[str, Callable[[str], Any]] = {
    "request": lambda url: ours.get(url).status,
    "pool": lambda url: ours.pool().request("GET", url).status,
    "requests_session": lambda url: ours.requests_session().get(url).status_code,
}


@pytest.mark.parametrize("front", FRONTS)
def test_nothing_is_kept_of_connections_that_are_not_ours(
    front: str, server: KeepingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a class that stands in the place of urllib3's: none of before is used within, and none of within after."""
    made: list[Any] = []

    class Theirs(HTTPConnection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    ask = FRONTS[front]
    assert ask(server.url) == 200
    with monkeypatch.context() as patch:
        patch.setattr(urllib3.HTTPConnectionPool, "ConnectionCls", Theirs)
        assert [ask(server.url), ask(server.url)] == [200, 200]
    assert [ask(server.url), ask(server.url)] == [200, 200]
    assert [connection.sock for connection in made] == [None, None]
    assert server.connections == 4


def test_an_origin_is_not_opened_where_connections_are_not_ours(
    server: KeepingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tape that is played has no connection to open."""

    class Tape(HTTPConnection):
        def connect(self) -> None:
            raise AssertionError

    monkeypatch.setattr(urllib3.HTTPConnectionPool, "ConnectionCls", Tape)
    ours.origin(server.url)()


@pytest.mark.parametrize("front", [*FRONTS, "httpx_client"])
def test_a_connection_over_sockets_that_were_replaced_is_not_used(
    front: str, server: KeepingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By gevent, or for a test; nor one of those when they are Python's again."""
    ask = FRONTS.get(front, lambda url: ours.httpx_client().get(url).status_code)
    replaced = type("socket", (socket.socket,), {"__module__": "fakes"})
    assert [ask(server.url), ask(server.url)] == [200, 200]
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", replaced)
        assert [ask(server.url), ask(server.url)] == [200, 200]
    assert [ask(server.url), ask(server.url)] == [200, 200]
    assert server.connections == 3


def test_ours_are_made_of_urllib3s_own_wherever_they_are_imported() -> None:
    """Also within a test that has put others in their places."""
    code = """
import urllib3.connection
plain, tls = urllib3.connection.HTTPConnection, urllib3.connection.HTTPSConnection
for name in ("HTTPConnection", "HTTPSConnection"):
    kind = getattr(urllib3.connection, name)
    setattr(urllib3.connection, name, type("Tape", (kind,), {"__module__": "tapes"}))
from lambdakit._http.connection import PooledConnection, PooledTlsConnection
for kind in (PooledConnection, PooledTlsConnection):
    assert all(one.__module__ != "tapes" for one in kind.__mro__), kind.__mro__
assert issubclass(PooledConnection, plain) and issubclass(PooledTlsConnection, tls)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.soak
@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_every_front_works_over_green_sockets(library: str) -> None:
    """Invocation after invocation, whatever was kept; and what is kept can be closed."""
    pytest.importorskip(library)
    subprocess.run([sys.executable, "-W", "ignore", "-c", GREEN, library], check=True, timeout=120)


GREEN = """
import sys
if sys.argv[1] == "gevent":
    from gevent import monkey
    monkey.patch_all()
else:
    import eventlet
    eventlet.monkey_patch()
import json, os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        parameter = {"Name": "/p", "Value": "v", "Version": 1, "Type": "String"}
        answer = {"access_token": "v", "expires_in": 3600, "SecretString": "v", "Parameter": parameter}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *_): pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
for name in [*os.environ]:
    if name.startswith("AWS_"):
        del os.environ[name]
os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": url}
os.environ["AWS_DEFAULT_REGION"] = "eu-west-1"
import lambdakit
from lambdakit import http
from lambdakit.testing import FakeContext

tokens = iter(range(100))
connect = lambdakit.singleton(lambda: object())
twice = lambdakit.cached(ttl=0)(lambda x: 2 * x)

def threads():
    answers = []
    started = [threading.Thread(target=lambda: answers.append(http.get(url).status)) for _ in range(8)]
    for one in started: one.start()
    for one in started: one.join()
    return answers == [200] * 8

fronts = [
    lambda: http.get(url).status == 200,
    lambda: http.post(url, json={}).status == 200,
    lambda: http.pool().request("GET", url).status == 200,
    lambda: http.requests_session().get(url).status_code == 200,
    lambda: http.httpx_client().get(url).status_code == 200,
    lambda: str(lambdakit.oauth_token(url, client_id=str(next(tokens)), client_secret="s")) == "v",
    lambda: lambdakit.get_secret("s", ttl=0) == "v",
    lambda: lambdakit.get_parameter("/p", ttl=0) == "v",
    lambda: lambdakit.client("ssm").get_parameter(Name="/p")["Parameter"]["Value"] == "v",
    lambda: twice(2) == 4,
    lambda: connect() is not None,
    threads,
]
for front in fronts:
    env = lambdakit.Environment()
    with lambdakit.use_environment(env):
        handler = lambdakit.handler(lambda event, context: front())
        for _ in range(3):
            assert handler({}, FakeContext())
            env._idle_due = (0.0, 0.0)
        env.close()
"""
