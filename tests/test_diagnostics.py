"""How users are told what is wrong: which kind of function was given, checks of arguments, warnings."""

from __future__ import annotations

import asyncio
import functools
import re
import socket
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType, MethodType
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock
from xmlrpc.client import ServerProxy

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lambdakit
from lambdakit import ConfigurationError, Environment
from lambdakit._diagnostics import (
    ASYNC_GENERATOR,
    COROUTINE,
    GENERATOR,
    PLAIN,
    close_coroutine,
    find_in_type,
    is_awaitable,
    kind_of_function,
    log_exceptions,
)

# Which kind of function


def plain(*_: Any) -> None: ...


async def coroutine(*_: Any) -> None: ...


def generator(*_: Any) -> Iterator[None]:
    yield


async def async_generator(*_: Any) -> AsyncIterator[None]:
    yield


@types.coroutine
def generator_based(*_: Any) -> Generator[None, None, None]:
    yield


FUNCTIONS = [plain, coroutine, generator, async_generator, generator_based, lambda *_: None]


class Partial(partial[Any]):
    """As libraries derive their own."""


def held(member: Any) -> Any:
    """An instance of a class with `member` in it."""
    return type("Holder", (), {"member": member})()


def callable_by(member: Any) -> Any:
    """An object whose class derives its ``__call__``."""
    return type("Derived", (type("Callable", (), {"__call__": member}),), {})()


WRAPPINGS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda fn: fn,
    "partial": lambda fn: partial(fn, 1),
    "partial of a partial": lambda fn: Partial(partial(fn, 1), 2),
    "bound method": lambda fn: held(fn).member,
    "class method": lambda fn: held(classmethod(fn)).member,
    "static method": lambda fn: held(staticmethod(fn)).member,
    "static method as it stands in its class": staticmethod,
    "partial of a bound method": lambda fn: partial(held(fn).member),
    "bound partial": lambda fn: MethodType(partial(fn), object()),
    "static method of a partial": lambda fn: staticmethod(partial(fn)),
    "callable object": callable_by,
    "object that is callable by a static method": lambda fn: callable_by(staticmethod(fn)),
    "object that is callable by a class method": lambda fn: callable_by(classmethod(fn)),
    "object that is callable by a partial": lambda fn: callable_by(partial(fn)),
    "partial of a callable object": lambda fn: partial(callable_by(fn)),
    "bound callable object": lambda fn: MethodType(callable_by(fn), object()),
}


def kind_of_result(result: Any) -> str:
    """What a call has returned."""
    if type(result) is GeneratorType and result.gi_code is generator_based.__code__:
        return COROUTINE
    kinds: dict[type, str] = {
        CoroutineType: COROUTINE,
        GeneratorType: GENERATOR,
        AsyncGeneratorType: ASYNC_GENERATOR,
    }
    return kinds.get(type(result), PLAIN)


@pytest.mark.filterwarnings("ignore:functools.partial will be:FutureWarning")  # of 3.13, about a partial as a method
@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
@pytest.mark.parametrize("fn", FUNCTIONS, ids=lambda fn: fn.__name__)
def test_the_kind_of_a_function_is_what_a_call_returns(fn: Any, wrap: Callable[[Any], Any]) -> None:
    """However it is wrapped."""
    wrapped = wrap(fn)
    result = wrapped()
    close_coroutine(result)
    assert kind_of_function(wrapped) == kind_of_result(result)


class Anything:
    """It answers to every name, as proxies and records of databases do."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("called")


class AnythingElse:
    """As before, but that it cannot be called."""

    def __getattr__(self, name: str) -> Any:
        return coroutine


class Watched:
    """Nothing may be looked up on it, not even ``__class__``."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(name)


class Permissive(type):
    """A metaclass whose classes answer to every name."""

    def __getattr__(cls, name: str) -> Any:
        return coroutine


class OfPermissive(metaclass=Permissive):
    pass


class Lying(type):
    """A metaclass that answers even where there is an answer."""

    def __getattribute__(cls, name: str) -> Any:
        return coroutine


class OfLying(metaclass=Lying):
    pass


class CallableByItself:
    """Python asks the class, so this cannot be called, nor awaited."""

    def __init__(self) -> None:
        self.__call__ = self.__await__ = coroutine


@pytest.fixture
def proxy() -> Iterator[ServerProxy]:
    """Every method of it is a request to a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield ServerProxy(f"http://127.0.0.1:{sock.getsockname()[1]}/")


ANSWERS_TO_ALL: dict[str, Callable[[], Any]] = {
    "Mock": Mock,
    "MagicMock": MagicMock,
    "MagicMock of a coroutine function": lambda: MagicMock(spec=coroutine),
    "MagicMock of a future": lambda: MagicMock(spec=asyncio.Future),
    "AsyncMock": AsyncMock,
    "proxy": Anything,
    "method of a proxy": lambda: Anything().method,
    "object with functions for attributes": AnythingElse,
    "object that must not be looked at": Watched,
    "class of a permissive metaclass": lambda: OfPermissive,
    "object of such a class": OfPermissive,
    "class of a lying metaclass": lambda: OfLying,
    "object of that one": lambda: type.__call__(OfLying),
    "object that has it by itself": CallableByItself,
    "function in C": lambda: len,
    "method in C": lambda: [].append,
    "coroutine function behind a cache in C": lambda: functools.cache(coroutine),
    "partial of a function in C": lambda: partial(len),
    "class": lambda: int,
    "None": lambda: None,
    "number": lambda: 5,
}


@pytest.mark.parametrize("make", ANSWERS_TO_ALL.values(), ids=ANSWERS_TO_ALL)
def test_what_answers_to_every_name_is_none_of_these(make: Callable[[], Any]) -> None:
    """The type is asked: a mock is no coroutine function and cannot be awaited. Nothing is called, nothing closed."""
    one = make()
    assert kind_of_function(one) == PLAIN
    assert is_awaitable(one) is False
    assert close_coroutine(one) is False


def test_nothing_is_asked_of_a_proxy_over_the_network(proxy: ServerProxy) -> None:
    """Neither of it nor of what stands for its methods: each call would fail here."""
    for one in (proxy, proxy.method, proxy.system.method):
        assert kind_of_function(one) == PLAIN
        assert is_awaitable(one) is False
        assert close_coroutine(one) is False
        assert lambdakit.handler(lambda event, context, one=one: one)({}, None) is one
    with pytest.raises(ConnectionRefusedError):
        proxy.method()


class CanBeAwaited:
    def __await__(self) -> Generator[None, None, str]:
        yield from asyncio.sleep(0).__await__()
        return "done"


class Derived(CanBeAwaited):
    pass


class OfPermissiveThatCanBeAwaited(CanBeAwaited, metaclass=Permissive):
    pass


class OfLyingThatCanBeAwaited(CanBeAwaited, metaclass=Lying):
    pass


@pytest.mark.parametrize(
    "make",
    [
        coroutine,
        generator_based,
        CanBeAwaited,
        Derived,
        OfPermissiveThatCanBeAwaited,
        lambda: type.__call__(OfLyingThatCanBeAwaited),
        lambda: asyncio.get_running_loop().create_future(),
        lambda: asyncio.ensure_future(coroutine()),
    ],
)
def test_what_can_be_awaited(make: Callable[[], Any]) -> None:
    """Coroutines, those of `types.coroutine`, and whatever has a class that says so; Python agrees."""

    async def both() -> bool:
        value = make()
        found = is_awaitable(value)
        waiting = asyncio.ensure_future(_awaited(value))
        await asyncio.sleep(0)
        waiting.cancel()
        return found

    assert asyncio.run(both())


async def _awaited(value: Awaitable[Any]) -> None:
    await value


@pytest.mark.parametrize("value", [generator(), async_generator(), iter([]), {}, "text", b"", coroutine, plain])
def test_what_cannot_be_awaited(value: Any) -> None:
    """A generator looks like a coroutine of old, and is none; Python agrees."""
    assert is_awaitable(value) is False
    with pytest.raises(TypeError, match=r"can't be (used in 'await' expression|awaited)"):
        _awaited(value).send(None)


def test_a_coroutine_is_closed() -> None:
    """So that Python does not say that nobody has awaited it. Nothing else is: it may be used on."""
    work = coroutine()
    assert close_coroutine(work) is True
    assert work.cr_frame is None
    kept = generator()
    assert close_coroutine(kept) is False
    assert next(kept) is None
    old = generator_based()
    assert close_coroutine(old) is False
    assert old.send(None) is None


def test_a_name_is_found_in_the_class_that_has_it() -> None:
    """The nearest one; not in the instance; None where no class has it."""

    class Base:
        one, two = "base's", "base's"

    class Nearer(Base):
        one = "nearer"

    assert [find_in_type(Nearer, name) for name in ("one", "two", "three")] == ["nearer", "base's", None]
    assert find_in_type(OfLying, "missing") is None


# What nobody would await or read


OTHER_KINDS = {"coroutine": coroutine, "generator": generator, "async generator": async_generator}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_functions_that_nobody_would_await_or_read_are_refused(kind: str, wrap: Callable[[Any], Any]) -> None:
    """Where they stand, with what they are: a hook that does nothing would be noticed by nobody."""
    fn = wrap(OTHER_KINDS[kind])
    nobody = re.escape(f"a {kind} function is awaited or read by nobody")
    with pytest.raises(ConfigurationError, match=f"^on_ping: {nobody}"):
        lambdakit.handler(on_ping=fn)
    with pytest.raises(ConfigurationError, match=f"^warmup: {nobody}"):
        lambdakit.handler(warmup=fn)
    with pytest.raises(ConfigurationError, match=r"^on_invocation=.*: give a function of one argument"):
        lambdakit.handler(on_invocation=fn)
    with pytest.raises(ConfigurationError, match=r"^on_invocation=.*: give a function of one argument"):
        lambdakit.handler(on_invocation=[plain, fn])
    with pytest.raises(ConfigurationError, match=r"^preload: "):
        lambdakit.handler(preload=[fn])
    with pytest.raises(ConfigurationError, match=f"^on_restore: {nobody}"):
        lambdakit.on_restore(fn)


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
@pytest.mark.parametrize("fn", [plain, Mock(), MagicMock(return_value=None), len], ids=["plain", "Mock", "Magic", "C"])
def test_what_may_return_anything_is_taken(fn: Any, wrap: Callable[[Any], Any], env: Environment) -> None:
    """A mock answers to every name, and is a function like any other; what is not known is given the chance."""
    wrapped = wrap(fn)
    lambdakit.on_restore(wrapped)
    lambdakit.handler(plain, on_ping=wrapped, on_invocation=[wrapped], preload=[wrapped], warmup=wrapped)


# Checks of arguments


@given(st.floats(min_value=0) | st.integers(min_value=0))
def test_seconds(value: float) -> None:
    """0 and more; infinity is a number of seconds."""
    lambdakit.handler(preload_budget=value, deadline_margin=value, grace=value)


@given(
    st.floats(max_value=0, exclude_max=True)
    | st.integers(max_value=-1)
    | st.sampled_from([float("nan"), True, False, "5", b"5", None, [], 1j, Mock()])
)
def test_other_seconds_are_refused(value: Any) -> None:
    """Negative, none at all, and what only counts as a number; the message names the argument and what was given."""
    with pytest.raises(ConfigurationError, match=r"^deadline_margin=.*: give a number of seconds >= 0$"):
        lambdakit.handler(deadline_margin=value)


@pytest.mark.parametrize("value", [0, 1, None, "yes", [], Mock()])
def test_flags(value: Any) -> None:
    """True or False, nothing that counts as one."""
    with pytest.raises(ConfigurationError, match=r"^reseed=.*: give True or False$"):
        lambdakit.handler(reseed=value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "name='': give a non-empty string"),
        (" \t", r"name=' \t': give a non-empty string"),
        (5, "name: give a non-empty string, not int"),
        (None, "name: give a non-empty string, not NoneType"),
        (b"x", "name: give a non-empty string, not bytes"),
        ("x" * 2049, f"name: give at most 2048 printable characters, not {'x' * 40!r}..."),
        ("a\nb", r"name: give at most 2048 printable characters, not 'a\nb'..."),
    ],
)
def test_texts(value: Any, message: str) -> None:
    """Something in it, no more than AWS takes, nothing that is not printable; long ones are shown in part."""
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}$"):
        lambdakit.secret(value)
    assert lambdakit.secret("x" * 2048).name == "x" * 2048


@pytest.mark.parametrize("value", ["", 5, b"x", False])
def test_texts_that_may_be_left_out(value: Any) -> None:
    """None leaves it out, and nothing else does."""
    with pytest.raises(ConfigurationError, match=r"^region.*: give a non-empty string"):
        lambdakit.secret("x", region=value)
    assert lambdakit.secret("x", region=None)


def test_what_was_meant() -> None:
    """The closest known words are named, up to three; nothing where none is close."""
    with pytest.raises(ConfigurationError, match=r"Did you mean 'thundra'\?$"):
        lambdakit.Warmup(dialects=["tundra"])
    with pytest.raises(ConfigurationError, match=r"none of [-a-z, ]+\.$"):
        lambdakit.Warmup(dialects=["other"])


class Named:
    def method(self) -> None: ...

    def __call__(self) -> None: ...


@pytest.mark.parametrize("decorator", [lambdakit.cached, lambdakit.singleton], ids=lambda fn: fn.__name__)
@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (classmethod(plain), "write it below @classmethod, next to the function"),
        (staticmethod(plain), "write it below @staticmethod, next to the function"),
        (Named, "give a function, not the class Named; one that makes it will do"),
        (5, "give a function, not int; options go by keyword"),
        (generator, f"{__name__}.generator yields, and is run by who reads it; let it return a list"),
        (partial(async_generator), f"{__name__}.async_generator yields, and is run by who reads it"),
        (callable_by(generator), f"{__name__}.Derived yields, and is run by who reads it"),
    ],
)
def test_what_cannot_be_decorated(decorator: Any, fn: Any, message: str) -> None:
    """With its name and what to do about it."""
    with pytest.raises(ConfigurationError, match=f"^{decorator.__name__}: {re.escape(message)}"):
        decorator(fn)


# Warnings


def test_an_exception_is_logged_by_its_type(caplog: pytest.LogCaptureFixture) -> None:
    """Its message may hold anything; one of lambdakit's own is told."""

    def fail(error: BaseException) -> None:
        raise error

    log_exceptions("step", fail, LookupError("planted"))
    log_exceptions("step", fail, ConfigurationError("x: give a number"))
    log_exceptions("step", plain, "planted")
    assert caplog.messages == ["step: LookupError was raised", "step: x: give a number"]
    assert {record.name for record in caplog.records} == {"lambdakit"}
    with pytest.raises(KeyboardInterrupt):
        log_exceptions("step", fail, KeyboardInterrupt())
