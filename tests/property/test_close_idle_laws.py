"""What `close_idle` closes, and what it answers, of everything that keeps connections: against a model, over real ones.

An invocation compares three numbers, and asks only when something can have been idle for too long. That is right as
long as each answer is: not later than the next connection expires, and never for what is closed already.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from running import invocation

import lambdakit
from faults import FaultServer, Peer, answering, serving
from lambdakit import Environment, http
from lambdakit._aws import Aws, Operation
from lambdakit._aws.transport import Transport, Trust, build_request
from lambdakit._backends.extension import ExtensionBackend
from lambdakit._clients import Clients
from lambdakit._http.httpx_clients import HttpxAsyncClients, HttpxClients
from lambdakit._http.pools import Pools
from lambdakit.testing import ManualClock

MAX_IDLE_S = 20.0
HOSTS = 3
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"SecretString": "1"}'  # which everyone here takes
FOREVER_S = 1_000_000.0

CloseIdle = Callable[[tuple[float, float]], float | None]


class Keeping(NamedTuple):
    """Something that keeps connections: how one is used, how idle ones are closed.

    `replaces`: whether a use that comes too late is over a new connection; else that is left to `close_idle`.
    `sweeps`: whether a use closes what is too old of other hosts as well.
    """

    use: Callable[[FaultServer], object]
    close_idle: CloseIdle
    replaces: bool = True
    sweeps: bool = False


@contextlib.contextmanager
def transport(env: Environment) -> Iterator[Keeping]:
    """The one below the two that follow."""
    kept = Transport(clock=env.clock, trust=Trust(environ={}), max_idle_s=MAX_IDLE_S)
    request = build_request("GET", "/", {"Host": "h"})
    yield Keeping(lambda server: kept.exchange(server.origin(), request), kept.close_idle)
    kept.close()


@contextlib.contextmanager
def aws(env: Environment) -> Iterator[Keeping]:
    """Those of calls without the SDK."""
    with pytest.MonkeyPatch.context() as patch:

        def use(server: FaultServer) -> None:
            patch.setenv("AWS_ENDPOINT_URL", url_of(server))
            env._parts[Aws].call(Operation("kms", "X", {}), {}, name="x", region=None)

        yield Keeping(use, env._parts[Aws].close_idle)


@contextlib.contextmanager
def extension(env: Environment) -> Iterator[Keeping]:
    """Those to AWS's extension on this machine."""
    backend = env._parts[ExtensionBackend]
    with pytest.MonkeyPatch.context() as patch, invocation():

        def use(server: FaultServer) -> None:
            patch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(server.port))
            assert backend.get_secret("x", region=None, version_id=None, version_stage=None) == ("1", None)

        yield Keeping(use, backend.close_idle)


@contextlib.contextmanager
def pools(env: Environment) -> Iterator[Keeping]:
    """Those of `lambdakit.http`."""
    yield Keeping(lambda server: http.get(url_of(server)), env._parts[Pools].close_idle)


@contextlib.contextmanager
def session(env: Environment) -> Iterator[Keeping]:
    """Through requests: the same."""
    yield Keeping(lambda server: http.requests_session().get(url_of(server)), env._parts[Pools].close_idle)


@contextlib.contextmanager
def httpx_client(env: Environment) -> Iterator[Keeping]:
    """Those of httpx."""
    yield Keeping(
        lambda server: http.httpx_client().get(url_of(server)), env._parts[HttpxClients].close_idle, sweeps=True
    )


@contextlib.contextmanager
def httpx_async_client(env: Environment) -> Iterator[Keeping]:
    """Those of httpx in an event loop, which stands still between two uses."""
    loop = asyncio.new_event_loop()

    def use(server: FaultServer) -> object:
        return loop.run_until_complete(http.httpx_async_client().get(url_of(server)))

    yield Keeping(use, env._parts[HttpxAsyncClients].close_idle, sweeps=True)
    env.close()
    loop.close()


@contextlib.contextmanager
def clients(env: Environment) -> Iterator[Keeping]:
    """Those of SDK clients: one for each host."""

    def use(server: FaultServer) -> object:
        return lambdakit.client("sqs", endpoint_url=url_of(server)).list_queues()

    yield Keeping(use, env._parts[Clients].close_idle, replaces=False)


KINDS = {
    make.__name__: make
    for make in (transport, aws, extension, pools, session, httpx_client, httpx_async_client, clients)
}


def url_of(server: FaultServer) -> str:
    return f"http://127.0.0.1:{server.port}/"


class Model:
    """When each host's connection was last used, and how many were ended."""

    def __init__(self, kept: Keeping, clock: ManualClock, servers: list[FaultServer]) -> None:
        self.kept, self.clock, self.servers = kept, clock, servers
        self.used_at: dict[int, tuple[float, float]] = {}
        self.connections = [0] * len(servers)

    def age_s(self, host: int) -> float:
        """By the larger of both clocks; for ever if the wall clock ran backwards."""
        wall_s, monotonic_s = (now - then for now, then in zip(self.clock.now(), self.used_at[host], strict=True))
        return float("inf") if wall_s < 0 else max(wall_s, monotonic_s)

    def use(self, host: int) -> None:
        """Over the connection that is kept, if it is not too old."""
        late = self.expired() if self.kept.sweeps else [one for one in self.expired() if one == host]
        if host not in self.used_at or (host in late and self.kept.replaces):
            self.connections[host] += 1
        self.kept.use(self.servers[host])
        assert [server.connections for server in self.servers] == self.connections
        if self.kept.replaces:
            self.ended(late)
        self.used_at[host] = self.clock.now()

    def expired(self) -> list[int]:
        """The hosts whose connections are too old."""
        return [host for host in self.used_at if self.age_s(host) > MAX_IDLE_S]

    def ended(self, hosts: list[int]) -> None:
        """The servers see the end."""
        for host in hosts:
            assert self.servers[host].ended.acquire(timeout=5)
            del self.used_at[host]

    def check(self) -> float | None:
        """What is too old is closed, and nothing else; the answer is when the next one will be."""
        answer = self.kept.close_idle(self.clock.now())
        self.ended(self.expired())
        ages_s = [self.age_s(host) for host in self.used_at]
        assert answer == (MAX_IDLE_S - max(ages_s) if ages_s else None)
        return answer

    def end(self) -> None:
        """Everything is closed, and each end was counted."""
        self.clock.tick(FOREVER_S)
        assert self.check() is None
        assert not any(server.ended.acquire(blocking=False) for server in self.servers)


SECONDS = st.integers(0, 30).map(float)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.integers(0, HOSTS - 1)),
        st.tuples(st.sampled_from(["tick", "suspend", "back"]), SECONDS),
        st.just(("check", 0)),
    ),
    max_size=12,
)


@contextlib.contextmanager
def model_of(kind: str) -> Iterator[Model]:
    """One in an environment of its own, with a server for each host."""
    clock = ManualClock()
    with (
        contextlib.ExitStack() as stack,
        lambdakit.use_environment(Environment(clock=clock)) as env,
        KINDS[kind](env) as kept,
    ):
        yield Model(kept, clock, [stack.enter_context(serving(answering(ANSWER))) for _ in range(HOSTS)])
        env.close()


@pytest.mark.parametrize("kind", KINDS)
def test_close_idle_closes_what_is_too_old_and_tells_when_the_next_is(kind: str) -> None:
    """After any course of uses, pauses, suspensions and corrections of the wall clock."""

    @settings(max_examples=max(25, settings().max_examples // 20))  # each is some connections
    @given(STEPS)
    @example([("use", 0), ("tick", 20.0), ("check", 0), ("tick", 1.0), ("check", 0), ("check", 0)])
    @example([("use", 0), ("suspend", 15.0), ("use", 1), ("suspend", 6.0), ("check", 0), ("use", 0)])
    @example([("use", 0), ("use", 1), ("back", 1.0), ("check", 0), ("use", 1), ("check", 0)])
    def law(steps: list[tuple[str, Any]]) -> None:
        with model_of(kind) as model:
            clock = model.clock
            for step, argument in steps:
                if step == "use":
                    model.use(argument)
                elif step == "check":
                    model.check()
                elif step == "back":
                    clock.set_wall(clock.wall_s - argument)
                else:
                    getattr(clock, step)(argument)
            wait_s = model.check()
            if wait_s is not None:  # not sooner than it says, and at once after that
                clock.tick(wait_s)
                before = len(model.used_at)
                assert model.check() == 0.0
                clock.tick(0.001)
                model.check()
                assert len(model.used_at) < before
            model.end()

    law()


@pytest.mark.parametrize("kind", ["transport", "pools", "httpx_client"])
def test_several_connections_to_one_host_age_apart(kind: str) -> None:
    """The older one is what the answer is about; it is closed, the younger is kept."""
    clock, together = ManualClock(), threading.Barrier(2)

    def behave(peer: Peer) -> None:
        while peer.request() is not None:
            if len(peer.server.requests) <= 2:
                together.wait(5)
            peer.send(ANSWER)

    with (
        serving(behave) as server,
        lambdakit.use_environment(Environment(clock=clock)) as env,
        KINDS[kind](env) as kept,
    ):
        threads = [threading.Thread(target=kept.use, args=(server,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert kept.close_idle(clock.now()) == MAX_IDLE_S
        clock.tick(15)
        kept.use(server)
        assert (server.connections, kept.close_idle(clock.now())) == (2, 5.0)
        clock.tick(6)
        assert kept.close_idle(clock.now()) == 14.0
        assert server.ended.acquire(timeout=5)
        kept.use(server)
        assert server.connections == 2
        env.close()
