"""A backend of a user's own: with and without what a backend may have, and one whose methods fail."""

import inspect
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from reprs import told

import lambdakit
from lambdakit import Environment
from lambdakit._backends.direct import AutoBackend, DirectBackend
from lambdakit._backends.extension import ExtensionBackend
from lambdakit._backends.sdk import SdkBackend
from lambdakit.backends import Backend
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

# Newer Pythons warn of a fork beside a thread.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
OPTIONAL = ("close_idle", "after_fork_in_child", "close")


class Bare(MemoryBackend):
    """Nothing that a backend need not have."""

    name = "mine"


class Whole(Bare):
    """All of it, with what was asked of it."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.asked: list[tuple[Any, ...]] = []

    def close_idle(self, now: tuple[float, float]) -> None:
        self.asked.append(("close_idle", now))

    def after_fork_in_child(self) -> None:
        self.asked.append(("after_fork_in_child",))

    def close(self) -> None:
        self.asked.append(("close",))


class Failing(Bare):
    """All of it, and all of it fails."""

    def close_idle(self, now: tuple[float, float]) -> None:
        raise ValueError("planted")

    def after_fork_in_child(self) -> None:
        raise ValueError("planted")

    def close(self) -> None:
        raise lambdakit.ServiceError("the server is gone", service="s", operation="o", name="n")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make(clock: ManualClock) -> Iterator[Callable[[Any], Environment]]:
    """Puts an environment with a backend in place."""
    made: list[Any] = []

    def make(backend: Any) -> Environment:
        env = Environment(backend=backend, clock=clock)
        made.append(lambdakit.use_environment(env))
        made[-1].__enter__()
        return env

    yield make
    for context in reversed(made):
        context.__exit__(None, None, None)


@lambdakit.handler
def handler(event: dict[str, Any], context: object) -> Any:
    return lambdakit.get_secret("x", ttl=0)


def parameters(kind: type, method: str) -> list[tuple[str, Any, Any]]:
    """Name, kind and default of each parameter."""
    return [(one.name, one.kind, one.default) for one in inspect.signature(getattr(kind, method)).parameters.values()]


@pytest.mark.parametrize("kind", [DirectBackend, AutoBackend, SdkBackend, ExtensionBackend, MemoryBackend])
def test_the_protocol_is_what_every_backend_has(kind: type) -> None:
    """It can be imported; a user's backend is called as ours are, by name and with every argument."""
    public = [name for name in vars(Backend) if not name.startswith("_")]
    methods = [name for name in public if callable(getattr(Backend, name))]
    assert {*public} - {*methods} == {"name", "origin"}
    assert [name for name in public if not hasattr(kind, name)] == []
    assert {name: parameters(kind, name) for name in methods} == {name: parameters(Backend, name) for name in methods}


def test_what_is_optional_may_be_left_out(
    make: Callable[[Any], Environment], clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Invocations, a snapshot, a fork and a close are nothing to it."""
    env = make(Bare(secrets={"x": "1"}))
    for _ in range(2):
        assert handler({}, FakeContext()) == "1"
        clock.suspend(60)
    env._renew()
    env._after_fork_in_child()
    assert handler({}, FakeContext()) == "1"
    env.close()
    assert (told(env, "backend"), caplog.records) == ("mine", [])


def test_idle_connections_are_its_own_affair_at_each_invocation(
    make: Callable[[Any], Environment], clock: ManualClock
) -> None:
    """With both readings of the clock, once it was used: it says nothing of when it wants to be asked again."""
    backend = Whole(secrets={"x": "1"})
    make(backend)
    handler({}, FakeContext())
    assert backend.asked == []  # nothing was fetched before that invocation
    clock.suspend(21)
    at = []
    for _ in range(3):
        at.append(clock.now())
        handler({}, FakeContext())
        clock.tick(1)
    assert backend.asked == [("close_idle", now) for now in at]


def test_pings_are_invocations_to_it(make: Callable[[Any], Environment], clock: ManualClock) -> None:
    """A connection may have died before one as well."""
    backend = Whole(secrets={"x": "1"})
    make(backend)
    handler({}, FakeContext())
    clock.suspend(21)
    now = clock.now()
    handler({"warmer": True}, FakeContext())
    assert ("close_idle", now) in backend.asked


def test_it_is_closed_with_the_environment_and_before_a_snapshot(make: Callable[[Any], Environment]) -> None:
    """And can be used again afterwards; one that was not used is not closed."""
    backend = Whole(secrets={"x": "1"})
    env = make(backend)
    env.close()
    assert backend.asked == []
    for close in (env.close, env._renew):
        backend.asked.clear()
        assert handler({}, FakeContext()) == "1"
        close()
        assert backend.asked[-1] == ("close",)
        assert backend.asked.count(("close",)) == 1


def test_a_forked_child_tells_it(make: Callable[[Any], Environment]) -> None:
    """Once, in the child; there it is used again, in the parent it goes on."""
    backend = Whole(secrets={"x": "1"})
    make(backend)
    handler({}, FakeContext())
    child = os.fork()
    if child == 0:
        code = 1
        try:
            is_told = backend.asked == [("after_fork_in_child",)]
            code = 0 if is_told and handler({}, FakeContext()) == "1" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert backend.asked == []
    assert handler({}, FakeContext()) == "1"


def test_one_that_fails_is_logged_and_the_invocation_runs(
    make: Callable[[Any], Environment], clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A message of lambdakit's own is told; of another exception only the type, the message may hold anything."""
    env = make(Failing(secrets={"x": "1"}))
    handler({}, FakeContext())
    clock.suspend(21)
    with caplog.at_level(logging.WARNING, logger="lambdakit"):
        assert handler({}, FakeContext()) == "1"
        env._after_fork_in_child()
        assert handler({}, FakeContext()) == "1"
        env.close()
    assert [record.getMessage() for record in caplog.records] == [
        "close_idle of Failing: ValueError was raised",
        "after_fork_in_child of Failing: ValueError was raised",
        "close of Failing: the server is gone",
    ]


class Permissive(Bare):
    """Answers to every name, as a mock does: the type is asked what it has."""

    def __getattr__(self, name: str) -> Any:
        if name in OPTIONAL:
            pytest.fail(f"{name} was asked for")
        raise AttributeError(name)


def test_the_type_is_asked_what_it_has(make: Callable[[Any], Environment], clock: ManualClock) -> None:
    """A backend that answers to every name has not got everything for that."""
    env = make(Permissive(secrets={"x": "1"}))
    handler({}, FakeContext())
    clock.suspend(21)
    handler({}, FakeContext())
    env._renew()
    env._after_fork_in_child()
    env.close()
