"""Objects that answer to every name: mocks, proxies, dictionaries whose attributes are their keys.

What lambdakit does with them is told by their type, wherever a user can give one.
"""

from __future__ import annotations

import threading
from collections import UserDict
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, Mock, create_autospec
from xmlrpc.client import ServerProxy
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

import pytest
import wrapt

import lambdakit
from lambdakit import ConfigurationError, Environment
from lambdakit.testing import FakeContext, MemoryBackend


class Attributes(dict[str, Any]):
    """None for what is not there."""

    __getattr__ = dict.get


class Strict(dict[str, Any]):
    """`KeyError` for what is not there, where Python expects `AttributeError`."""

    __getattr__ = dict.__getitem__


class Wrapped(UserDict[str, Any]):
    def __getattr__(self, name: str) -> Any:
        return None


class Remote:
    """Whatever it is asked for is a call, which is noted."""

    def __init__(self) -> None:
        vars(self)["calls"] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.calls.append(name)


class Silent:
    """Nothing may be looked up on it but its class."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return object.__getattribute__(self, name)
        raise LookupError(name)


OBJECTS: dict[str, Callable[[], Any]] = {
    "attributes": lambda: Attributes(ok=1),
    "strict attributes": lambda: Strict(ok=1),
    "wrapped dictionary": lambda: Wrapped(ok=1),
    "remote": Remote,
    "silent": Silent,
    "Mock": Mock,
    "MagicMock": MagicMock,
    "proxy of wrapt's": lambda: wrapt.ObjectProxy({}),
}


def callable_one(kind: type) -> Callable[[Any], Any]:
    """Makes an object of a kind that can be called, and does what the given function does."""

    def make(fn: Any) -> Any:
        return type(f"Callable{kind.__name__}", (kind,), {"__call__": lambda self, *args: fn(*args)})()

    return make


CALLABLES: dict[str, Callable[[Any], Any]] = {
    "attributes": callable_one(Attributes),
    "strict attributes": callable_one(Strict),
    "wrapped dictionary": callable_one(Wrapped),
    "remote": callable_one(Remote),
    "silent": callable_one(Silent),
    "Mock": lambda fn: Mock(side_effect=fn),
    "MagicMock": lambda fn: MagicMock(side_effect=fn),
    "Mock of a function": lambda fn: Mock(fn, side_effect=fn),
    "MagicMock of a function": lambda fn: MagicMock(fn, side_effect=fn),
    "autospec of a function": lambda fn: create_autospec(fn, side_effect=fn),
    "wrapper of wrapt's": lambda fn: wrapt.FunctionWrapper(
        fn, lambda wrapped, _, args, kwargs: wrapped(*args, **kwargs)
    ),
}


@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
def test_a_handler_returns_it(make: Callable[[], Any]) -> None:
    """As it is; nothing waits for it."""
    value = make()
    assert lambdakit.handler(lambda event, context: value)({}, FakeContext()) is value


@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
def test_a_function_that_is_cached_returns_it(make: Callable[[], Any]) -> None:
    """And keeps it."""
    value = make()
    fn = lambdakit.cached(lambda: value)
    assert fn() is fn() is value


@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
def test_a_singleton_is_one(make: Callable[[], Any], env: Environment) -> None:
    """It is kept, and let go at the end: nothing of it is called."""
    value = make()
    single = lambdakit.singleton(lambda: value)
    assert lambdakit.handler(lambda event, context: single())({}, FakeContext()) is value
    env.close()
    assert type(value) is not Remote or value.calls == []
    assert not isinstance(value, Mock) or value.mock_calls == []


@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
def test_it_is_a_context_that_knows_nothing(make: Callable[[], Any]) -> None:
    """A test gives whatever it has: no limit, no id, and no ping."""
    context = make()
    fn = lambdakit.handler(
        lambda event, context: (lambdakit.invocation().request_id, lambdakit.remaining_s()), on_invocation=[]
    )
    assert fn({"order": 1}, context) == (None, None)
    assert fn({"warmer": True}, context)["ping"] == "lambda-warmer"


def orders(event: Any, context: Any) -> int:
    return 5


@pytest.mark.parametrize("make", CALLABLES.values(), ids=CALLABLES)
def test_it_is_a_handler(make: Callable[[Any], Any]) -> None:
    """It is called with event and context, and pings do not reach it."""
    decorated = lambdakit.handler(make(orders))
    assert type(decorated.__name__) is str
    assert decorated({"order": 1}, FakeContext()) == 5
    assert decorated({"warmer": True}, FakeContext())["ping"] == "lambda-warmer"


def nothing() -> None: ...


@pytest.mark.parametrize("make", CALLABLES.values(), ids=CALLABLES)
def test_it_is_a_hook(make: Callable[[Any], Any], caplog: pytest.LogCaptureFixture) -> None:
    """Of every kind: called once where it is to be, without a warning; one that raises is logged, and no more."""
    calls: list[str] = []

    def hook() -> None:
        calls.append("hook")

    def listener(record: Any) -> None:
        calls.append("listener")

    def never(event: Any, context: Any) -> bool:
        calls.append("predicate")
        return False

    options: Any = {"on_ping": make(hook), "on_invocation": make(listener)}
    fn = lambdakit.handler(orders, **options)
    assert fn({"order": 1}, FakeContext()) == 5
    assert fn({"warmer": True}, FakeContext())["ping"] == "lambda-warmer"
    assert calls == ["listener", "hook"]
    assert lambdakit.handler(orders, warmup=make(never))({"order": 1}, FakeContext()) == 5
    assert calls == ["listener", "hook", "predicate"]
    lambdakit.on_restore(make(hook))
    assert caplog.messages == []

    def fail(*_: Any) -> None:
        raise LookupError

    options = {"on_ping": make(fail), "on_invocation": make(fail), "warmup": make(fail)}
    assert lambdakit.handler(orders, **options)({"order": 1}, FakeContext()) == 5
    assert [message.rpartition(" raised ")[2].partition(";")[0] for message in caplog.messages] == ["LookupError"] * 2


@pytest.mark.parametrize("make", CALLABLES.values(), ids=CALLABLES)
def test_it_is_preloaded(make: Callable[[Any], Any], env: Environment) -> None:
    """As a function: it is no handler, although it answers to the name that handlers are known by."""
    calls: list[str] = []
    one = make(lambda: calls.append("preloaded"))
    lambdakit.handler(orders, preload=[one])
    env.preload(one)
    assert calls == ["preloaded"]


@pytest.mark.parametrize("make", CALLABLES.values(), ids=CALLABLES)
def test_a_handler_behind_it_declares_what_it_declares(make: Callable[[Any], Any]) -> None:
    """Only what holds the declarations itself, as `functools.wraps` leaves them, stands for a handler."""
    backend = MemoryBackend(secrets={"a": "1"})
    fn = lambdakit.handler(orders, preload=[lambdakit.secret("a")])
    wrapped = make(nothing)
    if type(wrapped) is wrapt.FunctionWrapper:
        Environment(backend=backend).preload(make(fn))
        assert backend.calls == [("secret", "a")]
    else:
        Environment(backend=backend).preload(wrapped)
        assert backend.calls == []


@pytest.mark.parametrize("make", CALLABLES.values(), ids=CALLABLES)
def test_it_is_decorated(make: Callable[[Any], Any], env: Environment) -> None:
    """By every decorator."""
    assert lambdakit.cached(make(lambda: 5))() == 5
    assert lambdakit.singleton(make(lambda: 5))() == 5
    assert lambdakit.retry_on_rotation(lambdakit.secret("a"), errors=LookupError)(make(lambda: 5))() == 5


# What a singleton is closed by


class Connection:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_a_method_of_its_class_closes_it(env: Environment) -> None:
    """Through the proxy of an instrumentation, too."""
    connections = [Connection() for _ in range(3)]
    made = iter(
        [connections[0], wrapt.ObjectProxy(connections[1]), wrapt.ObjectProxy(wrapt.ObjectProxy(connections[2]))]
    )
    singles = [lambdakit.singleton(lambda: next(made)) for _ in connections]
    for single in singles:
        single()
    env.close()
    assert [connection.closed for connection in connections] == [1, 1, 1]


def test_an_attribute_of_that_name_does_not(env: Environment) -> None:
    """It may be anything: a flag, a procedure elsewhere."""
    calls: list[str] = []
    lambdakit.singleton(lambda: SimpleNamespace(close=lambda: calls.append("closed")))()
    env.close()
    assert calls == []


@pytest.fixture
def remote() -> Iterator[tuple[str, list[str]]]:
    """A server of procedures on loopback: its address, and the methods that were called."""
    called: list[str] = []

    class Silently(SimpleXMLRPCRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - its name there

    def dispatch(method: str, params: Any) -> bool:
        called.append(method)
        return True

    with SimpleXMLRPCServer(("127.0.0.1", 0), requestHandler=Silently) as server:
        server._dispatch = dispatch  # type: ignore[method-assign,assignment]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        host, port = server.server_address[:2]
        yield f"http://{host!s}:{port}", called
        server.shutdown()
        thread.join()


def test_no_procedure_of_a_server_is_called(remote: tuple[str, list[str]], env: Environment) -> None:
    """Neither `close` nor anything else, but for what the user calls."""
    url, called = remote
    proxy = lambdakit.singleton(lambda: ServerProxy(url))
    assert lambdakit.handler(lambda event, context: proxy().order(5))({}, FakeContext()) is True
    assert lambdakit.handler(lambda event, context: proxy() is not None)({}, FakeContext()) is True
    lambdakit.handler(orders, preload=[ServerProxy(url)], on_ping=ServerProxy(url).ping)
    with pytest.raises(ConfigurationError, match="give an SDK client"):
        lambdakit.prime(ServerProxy(url))
    env.close()
    assert called == ["order"]
