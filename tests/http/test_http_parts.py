"""What the environment does with the clients of other libraries: close, renew, and leave alone in a forked child."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from running import invocation

import lambdakit
from faults import OK, FaultServer, answering, serving
from lambdakit import Environment, http
from lambdakit.testing import ManualClock

# Newer Pythons warn of a fork beside a thread.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class Adapter(NamedTuple):
    """`client` makes or finds the environment's; `get` asks with whatever client was found."""

    client: Callable[[], Any]
    get: Callable[[Any, str], bytes]


LOOPS: list[asyncio.AbstractEventLoop] = []


def get_in_loop(client: Any, url: str) -> bytes:
    """In the event loop of the test, which stands still afterwards."""

    async def get() -> bytes:
        content: bytes = (await client.get(url)).content
        return content

    return LOOPS[-1].run_until_complete(get())


ADAPTERS = {
    "pool": Adapter(http.pool, lambda client, url: client.request("GET", url).data),
    "requests": Adapter(http.requests_session, lambda client, url: client.get(url).content),
    "httpx": Adapter(http.httpx_client, lambda client, url: client.get(url).content),
    "httpx async": Adapter(http.httpx_async_client, get_in_loop),
}


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Each in turn."""
    return ADAPTERS[request.param]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def env(clock: ManualClock) -> Iterator[Environment]:  # type: ignore[override]
    """With a clock that is moved, and an event loop."""
    env = Environment(clock=clock)
    LOOPS.append(asyncio.new_event_loop())
    with lambdakit.use_environment(env):
        yield env
    env.close()
    LOOPS.pop().close()


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with serving(answering(OK)) as server:
        yield server


def url_of(server: FaultServer) -> str:
    return f"http://127.0.0.1:{server.port}/"


def test_one_that_was_not_used_is_not_made(env: Environment) -> None:
    """Neither at a close nor around a snapshot, nor by a repr."""
    repr(env)
    env._renew()
    env.close()
    assert env._parts.made == {}


@pytest.mark.parametrize("how", ["close", "_renew", "_become_another"])
def test_connections_are_closed_and_the_client_goes_on(
    how: str, adapter: Adapter, env: Environment, server: FaultServer
) -> None:
    """With the environment, before a snapshot, after a restore: the server sees the end, a later use opens anew."""
    client = adapter.client()
    assert adapter.get(client, url_of(server)) == b"hi"
    getattr(env, how)()
    assert server.ended.acquire(timeout=5)
    assert adapter.client() is client
    assert [adapter.get(client, url_of(server)) for _ in range(2)] == [b"hi", b"hi"]
    assert server.connections == 2


def test_what_is_idle_for_too_long_is_closed_when_an_invocation_begins(
    adapter: Adapter, clock: ManualClock, server: FaultServer
) -> None:
    """And not sooner."""
    client = adapter.client()
    adapter.get(client, url_of(server))
    clock.suspend(20)
    with invocation():
        assert not server.ended.acquire(blocking=False)
    clock.suspend(1)
    with invocation():
        assert server.ended.acquire(timeout=5)
    assert adapter.get(client, url_of(server)) == b"hi"
    assert server.connections == 2


def test_what_was_closed_asks_for_nothing(adapter: Adapter, env: Environment, clock: ManualClock) -> None:
    """An invocation looks for idle connections again only when there can be one that is too old."""
    with serving(answering(OK)) as server:
        adapter.get(adapter.client(), url_of(server))
        clock.suspend(21)
        with invocation():
            assert server.ended.acquire(timeout=5)
        due_s, _ = env._idle_due
        assert due_s == clock.wall_s + env.settings.max_idle_s
        clock.tick(1)
        with invocation():
            assert env._idle_due[0] == due_s


def test_a_forked_child_has_its_own_and_leaves_the_parents_alone(
    adapter: Adapter, env: Environment, server: FaultServer
) -> None:
    """Another client over another connection; one that a module holds goes on; the parent's connection stands."""
    held = adapter.client()
    adapter.get(held, url_of(server))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(20)
            LOOPS.append(asyncio.new_event_loop())  # that of the parent shares its selector with it
            its_own = adapter.client()
            answers = [adapter.get(client, url_of(server)) for client in (its_own, held)]
            env.close()
            code = 0 if answers == [b"hi"] * 2 and its_own is not held else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert server.connections == 3
    assert adapter.client() is held
    assert adapter.get(held, url_of(server)) == b"hi"
    assert server.connections == 3


def test_closing_one_closes_nothing_of_another_environments(adapter: Adapter, server: FaultServer) -> None:
    """Each has its own."""
    client = adapter.client()
    adapter.get(client, url_of(server))
    with lambdakit.use_environment(Environment()) as other:
        another = adapter.client()
        assert another is not client
        adapter.get(another, url_of(server))
        other.close()
        assert server.ended.acquire(timeout=5)
    adapter.get(client, url_of(server))
    assert server.connections == 2
