"""Where an answer ends, when a connection is too old, and whose event loop it belongs to."""

from __future__ import annotations

import asyncio
import gc
import io
import select
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Any

import httpcore
import httpx
import pytest
import urllib3
from proc import resident_kb, sockets
from running import RunningClock, invocation

import lambdakit
from faults import OK, Peer, answering, serving
from http_server import Keys, keeping, keys, response
from lambdakit import Environment, http
from lambdakit._event_loop import life_of
from lambdakit._http.httpx_clients import AsyncBackend, Backend, Losses, NothingSentError, Uses, _Kept, _use_of
from lambdakit._http.policy import Life, idle_limit_s
from lambdakit._http.pools import Pools
from lambdakit.testing import FakeContext


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def clock() -> RunningClock:
    return RunningClock()


@pytest.fixture
def env(clock: RunningClock) -> Iterator[Environment]:  # type: ignore[override]
    """With a clock that can be moved."""
    env = Environment(clock=clock)
    with lambdakit.use_environment(env):
        yield env
    env.close()


def pools() -> Pools:
    return lambdakit.environment()._parts[Pools]


def url_of(server: Any) -> str:
    return f"http://127.0.0.1:{server.port}/"


FRONTS: dict[str, Callable[[str], bytes]] = {
    "http": lambda url: http.get(url).data,
    "requests": lambda url: http.requests_session().get(url).content,
    "httpx": lambda url: http.httpx_client().get(url).content,
}


# -- where an answer ends


INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
MALFORMED = {
    "without end": INTERIM * 200 + OK,
    "many headers": b"HTTP/1.1 103 Early Hints\r\n" + b"A: b\r\n" * 200 + b"\r\n" + OK,
    "a long header": b"HTTP/1.1 103 Early Hints\r\nA: " + b"b" * 70_000 + b"\r\n\r\n" + OK,
    "only": INTERIM,
    "cut": INTERIM[:30],
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_interim_answers_are_bounded(kind: str) -> None:
    """Too many, too large, or no answer after them: an error, and the next request has another connection."""

    def behave(peer: Peer) -> None:
        if peer.request() is not None:
            peer.send(MALFORMED[kind] if peer.number == 1 else OK)
            peer.finish()

    with serving(behave) as server:
        with pytest.raises((urllib3.exceptions.ProtocolError, HTTPException)):
            http.get(url_of(server))
        assert http.get(url_of(server)).data == b"hi"


def test_a_hundred_interim_answers_are_borne() -> None:
    """Long work may send one each second."""
    with serving(answering(INTERIM * 100 + OK)) as server:
        assert [http.get(url_of(server)).data for _ in range(2)] == [b"hi"] * 2
        assert server.connections == 1


def test_a_switch_of_protocols_is_returned_and_ends_the_connection() -> None:
    """Nobody knows what is spoken then."""
    with serving(answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")) as server:
        assert [http.get(url_of(server)).status for _ in range(2)] == [101, 101]
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):  # as httpx has it
                http.httpx_client().get(url_of(server))
        asked = {"Connection": "Upgrade", "Upgrade": "x"}
        assert http.httpx_client().get(url_of(server), headers=asked).status_code == 101

        async def main() -> int:
            return (await http.httpx_async_client().get(url_of(server), headers=asked)).status_code

        assert asyncio.run(main()) == 101


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    "answer",
    [
        OK + OK,
        response(204, b"") + b"x",
        OK + b"\r\n",
        b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nHTTP",
    ],
)
def test_what_stands_behind_an_answer_ends_the_connection(
    answer: bytes, front: str, tls: bool, certs: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever form it came, of whichever length."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(certs.root))
    with serving(answering(answer), certs.valid if tls else None) as server:
        url = f"{server.scheme}://127.0.0.1:{server.port}/"
        assert len({FRONTS[front](url) for _ in range(3)}) == 1
        assert server.connections == 3


def test_a_record_of_tls_that_was_not_read_to_its_end(certs: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is not seen on the socket: what stands behind a body that fills what is read at once."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certs.root))
    for size in range(8_192 - 43, 8_192 - 37):  # the head has 40 bytes, and 8 KB are read at once
        with serving(answering(response(body=b"x" * size) + b"EVIL" * 500), certs.valid) as server:
            url = f"https://127.0.0.1:{server.port}/"
            assert [len(http.get(url, max_bytes=100_000).data) for _ in range(2)] == [size] * 2
            assert server.connections == 2


def test_a_head_without_a_body_needs_no_reading() -> None:
    """An answer of no length is over; one that was not read to its end ends the connection."""
    with keeping(answer=lambda head, body: response(body=b"" if b"/empty" in head else b"long")) as server:
        for path, connections in (("/empty", 1), ("/empty", 1), ("/long", 1), ("/empty", 2)):
            got = http.pool().request("GET", f"{server.url}{path}", preload_content=False)
            got.release_conn()
            assert server.connections == connections
        got.close()


def test_an_early_answer_to_half_a_request_ends_the_connection() -> None:
    """The rest of the request was never sent."""

    def behave(peer: Peer) -> None:
        if peer.number > 1:
            answering(OK)(peer)
            return
        peer.sock.recv(1000)
        peer.send(response(413))
        peer.sock.shutdown(socket.SHUT_RD)
        told.wait(20)

    told = threading.Event()
    with serving(behave) as server:

        def pieces() -> Iterator[bytes]:
            while not told.is_set():
                yield b"x" * 100_000

        with pytest.raises((urllib3.exceptions.ProtocolError, urllib3.exceptions.ReadTimeoutError)):
            http.put(url_of(server), body=pieces(), timeout=0.5)
        told.set()
        assert http.get(url_of(server)).data == b"hi"
        assert server.connections == 2


# -- before a request


def _speaking(peer: Peer) -> None:
    """Send an answer that nobody asked for, and those that are asked for."""
    if peer.number == 1:
        peer.send(OK)
    answering(response(body=b"own"))(peer)


def _wait(sock: Any) -> None:
    assert select.select([sock], [], [], 20)[0]


@pytest.mark.parametrize("tls", [False, True])
def test_what_was_sent_before_it_was_asked_for_is_no_answer(
    tls: bool, certs: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that stood ready is replaced; a new one is an error."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certs.root))
    for is_ready in (True, False):
        with serving(_speaking, certs.valid if tls else None) as server:
            url = f"{server.scheme}://127.0.0.1:{server.port}/"
            pool: Any = http.pool().connection_from_url(url)
            if is_ready:
                http.origin(url)()
                (connection,) = [one for one in pool.pool.queue if one]
                _wait(connection.sock)
                time.sleep(0.05)  # the tickets come first
                assert http.get(url).data == b"own"
            else:
                connection = pool._get_conn()
                connection.connect()
                _wait(connection.sock)
                time.sleep(0.05)
                with pytest.raises(ConnectionError, match="before it was asked"):
                    connection.request("GET", "/")
                connection.close()
            lambdakit.environment().close()


def test_an_origin_that_has_died_is_opened_anew() -> None:
    """By whoever asks for it again."""
    with keeping() as server:
        http.origin(server.url)()
        assert http.get(server.url).data == b"hi"
        server.hurt("fin")
        http.origin(server.url)()
        assert http.get(server.url).data == b"hi"
        assert (server.connections, len(server.requests)) == (2, 2)


def test_what_is_left_of_a_connection_says_whether_it_has_expired(clock: RunningClock) -> None:
    """Of one that was closed with all others nothing is, however young it is."""
    policy = pools().policy
    life = Life()
    life.opened_at = life.used_at = clock.now()
    assert policy.left_s(life, life.used_at) == 20.0
    assert not policy.has_expired(life, life.used_at)
    policy.expire_all()
    assert policy.left_s(life, life.used_at) < 0.0
    assert policy.has_expired(life, life.used_at)


def test_a_kept_connection_that_speaks_between_two_looks() -> None:
    """Nothing was sent over it, so whatever the method is another connection takes the request."""
    with serving(answering(OK)) as server:
        http.get(url_of(server))
        pool: Any = http.pool().connection_from_url(url_of(server))
        (connection,) = [one for one in pool.pool.queue if one]
        connection.spoiled = True  # as it would be seen when the request is sent
        assert http.post(url_of(server)).data == b"hi"
        assert server.connections == 2


@pytest.mark.parametrize("tls", [False, True])
def test_httpx_is_not_answered_before_it_asks(tls: bool, certs: Keys) -> None:
    """The same there: on a new connection an error, on one that was used before another one takes the request."""
    context = ssl.create_default_context(cafile=certs.root)
    with serving(_speaking, certs.valid if tls else None) as server:
        uses = Uses(pools().policy)
        stream: Any = Backend(uses, lambda given: given).connect_tcp("127.0.0.1", server.port)
        if tls:
            stream = stream.start_tls(context, "127.0.0.1")
        _wait(stream.get_extra_info("socket"))
        time.sleep(0.05)
        with pytest.raises(httpcore.RemoteProtocolError, match="before it was asked"):
            stream.write(b"GET / HTTP/1.1\r\n")
        stream.use._busy, stream.use._answered = False, True
        if not tls:
            with pytest.raises(NothingSentError):
                stream.write(b"GET / HTTP/1.1\r\n")
        stream.close()
        with pytest.raises(NothingSentError, match="was closed before"):
            stream.write(b"x")


def test_an_async_httpx_is_not_answered_before_it_asks() -> None:
    """Neither."""

    async def main() -> None:
        with serving(_speaking) as server:
            uses = Uses(pools().policy)
            stream: Any = await AsyncBackend(uses, lambda given: given).connect_tcp("127.0.0.1", server.port)
            await asyncio.sleep(0.05)
            with pytest.raises(httpcore.RemoteProtocolError, match="before it was asked"):
                await stream.write(b"x")
            await stream.aclose()

    asyncio.run(main())


def test_a_connection_whose_parser_is_not_known_is_used_once() -> None:
    """As with a version of httpcore that has another inside: slower, and never wrong."""
    with serving(answering(OK)) as server:
        client = http.httpx_client()
        transport: Any = client._transport
        pool = transport._pool

        class Hidden:
            connections = ()

        with client.stream("GET", url_of(server)) as got:
            use = got.extensions["network_stream"].use
            use.parser = None
            assert _use_of(got, Hidden()) is use
            got.read()
        assert client.get(url_of(server)).text == "hi"
        assert server.connections == 2
        assert pool is transport._pool


# -- age


KEEP_ALIVE = {
    None: None,
    "": None,
    "max=5": None,
    "timeout=5": 4.0,
    "timeout=5, max=100": 4.0,
    "max=100, Timeout = 30": 29.0,
    'timeout="7"': 6.0,
    "timeout=1": 0.5,
    "timeout=0": 0.0,
    "timeout=x": None,
    "notimeout=5": None,
    "timeout=-5": None,
}


@pytest.mark.parametrize("header", KEEP_ALIVE)
def test_what_a_server_says_of_idleness(header: str | None) -> None:
    """A second less, or half, of whole seconds."""
    assert idle_limit_s(header) == KEEP_ALIVE[header]


@pytest.mark.parametrize("front", FRONTS)
def test_the_servers_keep_alive_is_obeyed(front: str, clock: RunningClock) -> None:
    """It is not used for longer than that; without a word, and where it says more, the setting counts."""
    said = [response(Keep_Alive="timeout=5")]
    with keeping(answer=lambda head, body: said[0]) as server:
        get = FRONTS[front]
        for idle_s, connections in ((3.0, 1), (3.0, 1), (5.0, 2)):
            get(server.url)
            clock.suspend(idle_s)
            get(server.url)
            assert server.connections == connections
        for more in (OK, response(Keep_Alive="timeout=100")):
            said[0] = more
            get(server.url)
            before = server.connections
            clock.suspend(19.0)
            get(server.url)
            assert server.connections == before
            clock.suspend(21.0)
            get(server.url)
            assert server.connections == before + 1


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("variable", "age_s"), [(None, 120), ("30", 30)])
def test_a_connection_has_a_greatest_age(
    front: str, variable: str | None, age_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is used, so that a name that moved is followed: two minutes, or LAMBDAKIT_MAX_AGE."""
    if variable is not None:
        monkeypatch.setenv("LAMBDAKIT_MAX_AGE", variable)
    clock = RunningClock()
    with lambdakit.use_environment(Environment(clock=clock)) as env, keeping() as server:
        for _ in range(0, age_s, 10):
            FRONTS[front](server.url)
            assert server.connections == 1
            clock.suspend(10.0)
        clock.suspend(1.0)
        FRONTS[front](server.url)
        assert server.connections == 2
        env.close()


def test_what_is_too_old_is_closed_when_an_invocation_begins(clock: RunningClock) -> None:
    """As what was idle for too long."""
    with serving(answering(OK)) as server:
        for _ in range(13):
            with invocation():
                http.get(url_of(server))
                http.httpx_client().get(url_of(server))
            clock.suspend(9.5)
        with invocation():
            assert all(server.ended.acquire(timeout=5) for _ in range(2))


# -- event loops


async def _get(url: str) -> str:
    return (await http.httpx_async_client().get(url)).text


def test_a_loop_that_ends_closes_its_connections() -> None:
    """By `asyncio.run`, with what stood idle in it; a sync handler may do so in each invocation."""

    @lambdakit.handler
    def handler(event: object, context: object) -> str:
        return asyncio.run(_get(url_of(server)))

    with serving(answering(OK)) as server:
        for _ in range(8):
            assert handler({}, FakeContext()) == "hi"
            assert server.ended.acquire(timeout=5)
            assert sockets(server.port) == set()


# What asyncio says of a loop whose user has not ended it in order.
UNCLOSED = pytest.mark.filterwarnings("ignore::ResourceWarning")


@UNCLOSED
def test_a_loop_that_is_closed_without_more() -> None:
    """Its descriptors are closed by the next one, or when an invocation begins."""
    with serving(answering(OK)) as server:
        for _ in range(5):
            loop = asyncio.new_event_loop()
            assert loop.run_until_complete(_get(url_of(server))) == "hi"
            loop.close()
        assert len(sockets(server.port)) == 1
        env = lambdakit.environment()
        env._close_idle(env.clock.now())
        assert sockets(server.port) == set()
        del loop
        gc.collect()


@UNCLOSED
def test_a_loop_that_is_forgotten_is_freed() -> None:
    """With what belongs to it, although it was never closed: nothing that is kept holds it."""
    with serving(answering(OK)) as server:
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(_get(url_of(server))) == "hi"
        gone = weakref.ref(loop)
        del loop
        gc.collect()
        assert gone() is None
        assert sockets(server.port) == set()
        lambdakit.environment()._after_fork_in_child()


@UNCLOSED
def test_a_loop_of_uvloop() -> None:
    """Ends as others do; closed without more, it closes its descriptors itself."""
    uvloop = pytest.importorskip("uvloop")
    with serving(answering(OK)) as server:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(_get(url_of(server))) == "hi"
        assert server.ended.acquire(timeout=5)
        loop = uvloop.new_event_loop()
        assert loop.run_until_complete(_get(url_of(server))) == "hi"
        loop.close()
        assert asyncio.run(_get(url_of(server))) == "hi"
        del loop
        gc.collect()
        assert sockets(server.port) == set()


def test_async_handlers_of_several_threads() -> None:
    """Each runs its own loop, and none another's; no connection is left by those that end."""

    @lambdakit.handler
    async def handler(event: object, context: object) -> str:
        return await _get(url_of(server))

    failures: list[object] = []

    def work() -> None:
        for _ in range(30):
            try:
                assert handler({}, FakeContext()) == "hi"
            except Exception as error:  # noqa: BLE001 - shown below
                failures.append(error)

    with serving(answering(OK)) as server, lambdakit.use_environment(Environment()) as env:
        env.settings.max_idle_s = 0.0  # each invocation looks for idle ones
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert len(sockets(server.port)) <= 1
        env.close()
        assert sockets(server.port) == set()


def test_only_its_own_thread_runs_a_loop() -> None:
    """What expired in another thread's loop stays until that loop runs, or its thread is over."""
    with serving(answering(OK)) as server, asyncio.Runner() as runner:
        env = lambdakit.environment()
        asked, go = threading.Event(), threading.Event()

        def own() -> None:
            runner.run(_get(url_of(server)))
            asked.set()
            go.wait(20)

        thread = threading.Thread(target=own)
        thread.start()
        assert asked.wait(20)
        env.close()
        assert len(sockets(server.port)) == 1
        go.set()
        thread.join(20)
        env.close()
        assert sockets(server.port) == set()


def test_within_a_loop_nothing_of_another_is_closed() -> None:
    """No other can run in this thread meanwhile."""
    with serving(answering(OK)) as server, asyncio.Runner() as runner:
        runner.run(_get(url_of(server)))

        async def close() -> None:
            lambdakit.environment().close()

        asyncio.run(close())
        assert len(sockets(server.port)) == 1
        lambdakit.environment().close()
        assert sockets(server.port) == set()


def test_a_kept_loop_is_taken_for_closing_only_while_nobody_has_it(env: Environment, clock: RunningClock) -> None:
    """Between two invocations of a coroutine handler its idle connections are closed; within one they are its own."""

    @lambdakit.handler
    async def handler(event: object, context: object) -> str:
        return await _get(url_of(server))

    with serving(answering(OK)) as server:
        assert handler({}, FakeContext()) == "hi"
        clock.suspend(21.0)
        with invocation():
            assert server.ended.acquire(timeout=5)
        assert handler({}, FakeContext()) == "hi"
        assert server.connections == 2


def test_a_loop_whose_end_fails_ends() -> None:
    """Whatever a connection raises when it is closed."""

    class Broken:
        connections = ()

        async def aclose(self) -> None:
            raise OSError

    async def main() -> None:
        life_of(asyncio.get_running_loop())
        await _get(url_of(server))
        life = life_of(asyncio.get_running_loop())
        life.owned[Broken] = _Kept(Broken())  # type: ignore[arg-type] # what it asks for

    with serving(answering(OK)) as server:
        asyncio.run(main())
        assert server.ended.acquire(timeout=5)


def test_what_a_thread_closes_is_not_what_another_sends_over(clock: RunningClock) -> None:
    """Idle connections expire while eight threads take them: each POST is sent once, and answered."""
    env = Environment()
    env.settings.max_idle_s = 0.0005
    failures: list[object] = []
    with lambdakit.use_environment(env), keeping(answer=lambda head, body: response(body=body)) as server:
        client = http.httpx_client()
        env._parts[Pools].policy.max_idle_s = 0.0005

        def work(number: int) -> None:
            for n in range(25):
                text = f"{number}-{n}"
                try:
                    with invocation():
                        got = client.post(server.url, content=text).text
                        assert got == text
                        assert http.post(server.url, body=text).data.decode() == text
                except Exception as error:  # noqa: BLE001 - shown below
                    failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert len(server.requests) == 2 * 8 * 25
        env.close()


def test_a_connection_that_is_closed_as_it_is_taken() -> None:
    """Nothing was sent over it: another one takes the request, whatever its method; but not for ever."""
    with serving(answering(OK)) as server:
        client = http.httpx_client()
        use = client.get(url_of(server)).extensions["network_stream"].use
        left = [False]
        use.is_over = lambda _: left.pop() if left else True
        use.is_open = False
        assert client.post(url_of(server)).status_code == 200
        assert server.connections == 2
    lost = httpx.ReadError("lost")
    lost.__cause__ = NothingSentError()
    losses = Losses(httpx.Request("POST", "http://partner.invalid"))
    assert [losses.allow(lost) for _ in range(12)] == [True] * 10 + [False] * 2


def test_a_loop_that_has_ended_what_was_in_it() -> None:
    """And was not closed: there is nothing to close in it."""
    with serving(answering(OK)) as server:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(_get(url_of(server)))
        loop.run_until_complete(loop.shutdown_asyncgens())
        assert sockets(server.port) == set()
        lambdakit.environment().close()
        loop.close()


def test_a_stream_of_ones_own_is_sent_once() -> None:
    """One that tells nothing of itself, with slots, too; a request that is sent twice has it consumed."""

    class Pieces(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"x"

    class Slotted:
        __slots__ = ()

        def __iter__(self) -> Iterator[bytes]:
            yield b"x"

    with keeping() as server:
        client = http.httpx_client()
        request = client.build_request("PUT", server.url, content=iter([b"x"]))
        client.send(request)
        with pytest.raises(httpx.StreamConsumed):
            client.send(request)
        client.put(server.url, content=Slotted())
        headers = {"Host": "127.0.0.1", "Transfer-Encoding": "chunked"}
        request = httpx.Request("PUT", server.url, headers=headers, stream=Pieces())
        client.send(request)
        with pytest.raises(httpx.StreamConsumed):
            client.send(request)
        client.post(server.url, files={"a": b"x"})
        client.put(server.url, content=io.BytesIO())
        assert b"content-length: 0" in server.requests[-1][0].lower()
        assert len(server.requests) == 5


@UNCLOSED
@pytest.mark.soak
@pytest.mark.timeout(900)
def test_twenty_thousand_loops_that_end() -> None:
    """Neither open files nor memory grow: by `asyncio.run`, and by a close without more."""

    def one(number: int) -> None:
        if number % 2:
            asyncio.run(_get(url_of(server)))
            return
        loop = asyncio.new_event_loop()
        loop.run_until_complete(_get(url_of(server)))
        loop.close()

    with serving(answering(OK)) as server:
        for number in range(21_000):
            one(number)
            if number % 500 == 0:
                assert len(sockets(server.port)) <= 2
                server.forget()
            if number == 1_000:
                before_kb = resident_kb()
        assert resident_kb() - before_kb < 10_000
