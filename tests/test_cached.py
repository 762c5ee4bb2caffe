"""What a function returns, kept under the laws of values."""

import asyncio
import functools
import gc
import inspect
import io
import itertools
import logging
import socket
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import requests
from botocore.exceptions import ClientError

import lambdakit
from lambdakit import Environment, Settings
from lambdakit.exceptions import ConfigurationError, DeadlineExceededError, ThrottledError
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

PATIENCE_S = 10.0  # how long a test waits for what must happen; it never passes by waiting
SECRET = "planted-secret"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def env(clock: ManualClock) -> Iterator[Environment]:
    env = Environment(clock=clock, backend=MemoryBackend())
    with lambdakit.use_environment(env):
        yield env


class Source:
    """Something slow that is asked through a function; an exception in `answer` is raised."""

    def __init__(self, answer: Any = "value") -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.asked.append((args, kwargs))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def cached(self, *, is_async: bool = False, **options: Any) -> Any:
        """A cached function that asks it; `call` calls either kind."""

        def read(*args: Any, **kwargs: Any) -> Any:
            return self(*args, **kwargs)

        async def read_async(*args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(0)
            return self(*args, **kwargs)

        return lambdakit.cached(**options)(read_async if is_async else read)


def call(fn: Any, *args: Any, **kwargs: Any) -> Any:
    outcome = fn(*args, **kwargs)
    return asyncio.run(outcome) if inspect.iscoroutine(outcome) else outcome


both = pytest.mark.parametrize("is_async", [False, True], ids=["function", "coroutine function"])


# What identifies a result


@both
def test_a_result_is_fetched_once(is_async: bool, env: Environment) -> None:
    """The same object for every reader; None is a result too."""
    for answer in ({"a": 1}, None):
        source = Source(answer)
        read = source.cached(is_async=is_async)
        assert call(read, "x") is call(read, "x") is answer
        assert source.asked == [(("x",), {})]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (((1,), {}), ((1,), {}), True),
        (((1,), {}), ((2,), {}), False),
        (((1,), {}), ((1, 2), {}), False),
        (((), {}), ((None,), {}), False),
        (((1, 2), {}), ((2, 1), {}), False),
        (((), {"a": 1, "b": 2}), ((), {"b": 2, "a": 1}), True),
        (((), {"a": 1}), ((), {"b": 1}), False),
        (((), {"a": 1}), ((), {"a": 2}), False),
        (((1,), {"a": 2}), ((1,), {}), False),
        (((1,), {"a": 2}), (((1,), (("a", 2),)), {}), False),
        (((1,), {"a": 2}), ((1, ("a", 2)), {}), False),
        (((1,), {"a": 2}), ((1, "a", 2), {}), False),
        ((("a",), {}), (("a",), {"a": "a"}), False),
    ],
)
def test_the_arguments_identify_it(one: Any, other: Any, same: bool, env: Environment) -> None:
    """All of them, in the form in which they are given; keywords in any order."""
    source = Source()
    read = source.cached()
    for args, kwargs in (one, other, one, other):
        read(*args, **kwargs)
    assert len(source.asked) == (1 if same else 2)


@both
def test_a_key_of_ones_own(is_async: bool, env: Environment) -> None:
    """What `key` returns for the arguments counts, and nothing else."""
    source = Source()
    read = source.cached(is_async=is_async, key=lambda event, **_: event["id"])
    for event in ({"id": 1, "at": 1}, {"id": 1, "at": 2}, {"id": 2, "at": 1}):
        call(read, event, trace=object())
    assert [args[0]["at"] for args, _ in source.asked] == [1, 1]
    read.invalidate({"id": 1})
    call(read, {"id": 2})
    call(read, {"id": 1})
    assert len(source.asked) == 3


@pytest.mark.parametrize(
    ("key", "said"), [(None, "the arguments of"), (lambda _: [SECRET], "what key= returns for")], ids=["args", "key"]
)
@both
def test_what_cannot_be_hashed_is_an_error(is_async: bool, key: Any, said: str, env: Environment) -> None:
    """It names `key=`, and says nothing of the arguments."""
    source = Source()
    read = source.cached(is_async=is_async, key=key)
    for form in (functools.partial(call, read), read.invalidate):
        with pytest.raises(ConfigurationError, match=said) as caught:
            form([SECRET])
        assert "key=" in str(caught.value)
        assert SECRET not in str(caught.value)
        assert caught.value.__suppress_context__
    assert source.asked == []


class Orders:
    """Methods of every kind."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    everything: list[Any]

    @lambdakit.cached
    def method(self, order: int) -> Any:
        self.asked.append(order)
        return order

    @lambdakit.cached(ttl=10)
    async def async_method(self, order: int) -> Any:
        self.asked.append(order)
        return order

    @classmethod
    @lambdakit.cached
    def of_class(cls, order: int) -> Any:
        cls.everything.append(order)
        return order

    @staticmethod
    @lambdakit.cached
    def static(order: int) -> Any:
        Orders.everything.append(order)
        return order


@pytest.mark.parametrize("name", ["method", "async_method"])
def test_methods_keep_results_for_each_instance(name: str, env: Environment) -> None:
    """The instance is an argument."""
    one, other = Orders(), Orders()
    for orders in (one, other, one, other):
        assert call(getattr(orders, name), 1) == 1
    assert (one.asked, other.asked) == ([1], [1])
    getattr(Orders, name).invalidate(one, 1)
    for orders in (one, other):
        call(getattr(orders, name), 1)
    assert (one.asked, other.asked) == ([1, 1], [1])


@pytest.mark.parametrize(("name", "asked"), [("of_class", ["own", "derived"]), ("static", ["own"])])
def test_methods_of_classes(name: str, asked: list[str], env: Environment) -> None:
    """A derived class has class methods of its own; static methods know no class."""

    class Derived(Orders):
        everything: list[Any] = []  # noqa: RUF012 - a list for each class is the point

    Orders.everything = []
    for _ in range(2):
        for cls in (Orders, Derived):
            assert getattr(cls, name)(1) == getattr(cls(), name)(1) == 1
    counted = ["own"] * len(Orders.everything) + ["derived"] * len(Derived.everything)
    assert counted == asked


class Callable_:  # noqa: N801 - `Callable` is taken
    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        return self.asked


class AsyncCallable(Callable_):
    async def __call__(self) -> int:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().__call__()


def nested(fn: Any) -> Any:
    return functools.partial(functools.update_wrapper(functools.partial(fn), fn))  # what has attributes stays nested


@pytest.mark.parametrize("kind", [Callable_, AsyncCallable])
@pytest.mark.parametrize("form", [lambda fn: fn, functools.partial, nested], ids=["object", "partial", "nested"])
def test_partials_and_callable_objects(kind: Any, form: Any, env: Environment) -> None:
    """Whether they are to be awaited is known of them too."""
    read = lambdakit.cached(form(kind()))
    assert [call(read), call(read)] == [1, 1]
    assert list(lambdakit.stats()["keys"]) == [f"cached {__name__}.{kind.__name__}"]


# One fetch for all


def test_threads_share_one_call(env: Environment) -> None:
    """Sixteen at once, one call."""
    begun, through, calls = threading.Event(), threading.Event(), itertools.count(1)

    @lambdakit.cached
    def read(name: str) -> int:
        begun.set()
        assert through.wait(PATIENCE_S)
        return next(calls)

    with ThreadPoolExecutor(16) as pool:
        readers = [pool.submit(read, "x") for _ in range(16)]
        assert begun.wait(PATIENCE_S)
        through.set()
        assert {reader.result(PATIENCE_S) for reader in readers} == {1}


class Slow:
    """A coroutine function that is let through by hand, whose results are numbered."""

    def __init__(self) -> None:
        self.runs = 0
        self.begun = threading.Event()
        self.through = threading.Event()
        self.cached: Any = lambdakit.cached(self.read)

    async def read(self, name: str) -> int:
        self.runs += 1
        run = self.runs
        self.begun.set()
        while not self.through.is_set():  # noqa: ASYNC110 - several loops wait for it
            await asyncio.sleep(0.001)
        return run


def test_tasks_share_one_call(env: Environment) -> None:
    """Sixteen of one loop; another key is another call."""
    slow = Slow()

    async def main() -> list[int]:
        readers = [asyncio.create_task(slow.cached("x")) for _ in range(16)]
        other = asyncio.create_task(slow.cached("y"))
        await asyncio.sleep(0)
        slow.through.set()
        return [*await asyncio.gather(*readers), await other]

    assert asyncio.run(main()) == [1] * 16 + [2]


def test_loops_in_two_threads_share_one_call(env: Environment) -> None:
    """Who waits in one loop is told by the other."""
    slow = Slow()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(asyncio.run, slow.cached("x"))
        assert slow.begun.wait(PATIENCE_S)
        second = pool.submit(asyncio.run, slow.cached("x"))
        slow.through.set()
        assert [first.result(PATIENCE_S), second.result(PATIENCE_S)] == [1, 1]
    assert slow.runs == 1


def test_a_cancelled_leader_takes_nobody_with_it(env: Environment) -> None:
    """One of those who wait does the work instead; nothing of the cancellation is kept."""
    slow = Slow()

    async def main() -> list[Any]:
        leader, *others = [asyncio.create_task(slow.cached("x")) for _ in range(4)]
        await asyncio.sleep(0)
        leader.cancel()
        slow.through.set()
        return await asyncio.gather(leader, *others, return_exceptions=True)

    cancelled, *results = asyncio.run(main())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert results == [2, 2, 2]


def test_a_cancelled_reader_leaves_the_call_alone(env: Environment) -> None:
    """Only the one that waits is gone."""
    slow = Slow()

    async def main() -> list[Any]:
        leader, reader = [asyncio.create_task(slow.cached("x")) for _ in range(2)]
        await asyncio.sleep(0)
        reader.cancel()
        await asyncio.sleep(0)
        slow.through.set()
        return await asyncio.gather(leader, reader, return_exceptions=True)

    result, cancelled = asyncio.run(main())
    assert result == 1
    assert isinstance(cancelled, asyncio.CancelledError)
    assert slow.runs == 1


@both
def test_a_function_that_asks_for_itself(is_async: bool, env: Environment) -> None:
    """With the same arguments it is an error; with others it is recursion."""

    @lambdakit.cached
    def depth(n: int) -> int:
        return 0 if n == 0 else 1 + int(depth(n - 1))

    @lambdakit.cached
    async def async_depth(n: int) -> int:
        return 0 if n == 0 else 1 + int(await async_depth(n - 1))

    @lambdakit.cached
    def circle(n: int) -> int:
        return int(circle(n))

    @lambdakit.cached
    async def async_circle(n: int) -> int:
        return int(await async_circle(n))

    assert call(async_depth if is_async else depth, 20) == 20
    with pytest.raises(ConfigurationError, match="break the circle"):
        call(async_circle if is_async else circle, 1)


# How long it is good


@pytest.mark.parametrize("way", ["tick", "suspend"])
@pytest.mark.parametrize(("options", "ttl"), [({}, 300.0), ({"ttl": 60}, 60.0), ({"ttl": lambda _: 60}, 60.0)])
@both
def test_it_is_fetched_again_after_its_ttl(
    is_async: bool, options: Any, ttl: float, way: str, env: Environment, clock: ManualClock
) -> None:
    """Frozen time counts; default 300 s."""
    source = Source()
    read = source.cached(is_async=is_async, **options)
    call(read)
    getattr(clock, way)(ttl - 0.01)
    call(read)
    assert len(source.asked) == 1
    getattr(clock, way)(0.01)
    source.answer = "newer"
    assert call(read) == "newer"
    assert len(source.asked) == 2


def test_a_token_tells_its_own_time(env: Environment, clock: ManualClock) -> None:
    """Each result by itself."""
    source = Source()
    read = source.cached(ttl=lambda token: token["expires_in"] - 30)
    for expires_in, good_for in ((130, 100), (40, 10), (float("inf"), 1e9)):
        source.answer = {"expires_in": expires_in}
        source.asked.clear()
        read()
        clock.tick(good_for - 0.01)
        read()
        assert len(source.asked) == 1
        clock.tick(0.01)


@pytest.mark.parametrize("lifetime", [0, -1, -0.5, float("-inf")])
@both
def test_what_is_good_for_no_time_is_not_kept(
    is_async: bool, lifetime: float, env: Environment, clock: ManualClock
) -> None:
    """Neither fresh nor stale, and nothing older is served in its place; it is returned."""
    source = Source(100)
    read = source.cached(is_async=is_async, ttl=lambda good_for: good_for)
    assert call(read) == 100
    clock.tick(100)
    source.answer = lifetime
    assert [call(read), call(read)] == [lifetime] * 2
    assert len(source.asked) == 3
    assert lambdakit.stats()["entries"] == 0
    source.answer = ConnectionError()
    with pytest.raises(ConnectionError):
        call(read)


@pytest.mark.parametrize(
    ("told", "given"),
    [(None, "NoneType"), (SECRET, "str"), (float("nan"), "NaN"), (True, "bool"), ([1], "list")],
)
@both
def test_what_is_no_time_is_an_error(is_async: bool, told: Any, given: str, env: Environment) -> None:
    """It names the function, says nothing of the result, and keeps nothing."""
    source = Source(SECRET)
    read = source.cached(is_async=is_async, ttl=lambda _: told)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=f"read.* has to return seconds, a number, not {given}") as caught:
            call(read)
        assert SECRET not in str(caught.value)
    assert len(source.asked) == 2


# When it fails


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def raised(fn: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, it is what the library raises
        fn()
    return caught.value


def sdk_error(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetItem")


TRANSIENT: dict[str, Callable[[], Exception]] = {
    "requests": lambda: raised(lambda: requests.get(f"http://127.0.0.1:{closed_port()}", timeout=1)),
    "httpx": lambda: raised(lambda: httpx.get(f"http://127.0.0.1:{closed_port()}", trust_env=False)),
    "socket": lambda: raised(lambda: socket.create_connection(("127.0.0.1", closed_port()), timeout=1)),
    "SDK, throttled": lambda: sdk_error("ThrottlingException", 400),
    "SDK, 503": lambda: sdk_error("ServiceUnavailable", 503),
    "time-out": TimeoutError,
    "of lambdakit": lambda: ThrottledError("x", service="ssm", operation="GetParameter", name="x"),
}


@pytest.mark.parametrize("kind", TRANSIENT)
@both
def test_what_may_pass_is_served_stale(
    is_async: bool, kind: str, env: Environment, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The old result, with one warning that names the function and no argument; then left in peace for a while."""
    source = Source("old")
    read = source.cached(is_async=is_async, ttl=60)
    call(read, SECRET)
    clock.tick(60)
    source.answer = TRANSIENT[kind]()
    caplog.set_level(logging.WARNING, "lambdakit")
    assert [call(read, SECRET) for _ in range(3)] == ["old"] * 3
    assert len(source.asked) == 2
    (message,) = caplog.messages
    assert message.startswith(f"cached {__name__}.Source.cached.<locals>.read")
    assert SECRET not in message
    source.answer = "new"
    clock.tick(1)
    assert call(read, SECRET) == "new"


@pytest.mark.parametrize(
    "error", [ValueError(), KeyError("x"), sdk_error("AccessDeniedException", 400), OSError()], ids=repr
)
@both
def test_what_will_not_pass_is_raised(is_async: bool, error: Exception, env: Environment, clock: ManualClock) -> None:
    """At once and each time, the object itself; the old result is back when it has passed after all."""
    source = Source("old")
    read = source.cached(is_async=is_async, ttl=60)
    call(read)
    clock.tick(60)
    source.answer = error
    for _ in range(2):
        with pytest.raises(type(error)) as caught:
            call(read)
        assert caught.value is error
    assert len(source.asked) == 3


@both
def test_errors_are_not_kept(is_async: bool, env: Environment) -> None:
    """First call fails, whatever with; the next one succeeds."""
    for error in (ConnectionError(), ValueError()):
        source = Source(error)
        read = source.cached(is_async=is_async)
        with pytest.raises(type(error)):
            call(read)
        source.answer = "value"
        assert call(read) == "value"


@pytest.mark.parametrize(
    ("options", "settings", "bound"),
    [({}, {}, 3600.0), ({"stale_ttl": 5}, {}, 5.0), ({}, {"stale_ttl_s": 7.0}, 7.0), ({"stale_ttl": 0}, {}, 0.0)],
)
@both
def test_stale_ends(is_async: bool, options: Any, settings: Any, bound: float, clock: ManualClock) -> None:
    """Counted from the end of the ttl; from the bound on the error is raised. 0: never stale."""
    source = Source("old")
    read = source.cached(is_async=is_async, ttl=60, **options)
    with lambdakit.use_environment(Environment(clock=clock, settings=Settings(**settings), backend=MemoryBackend())):
        call(read)
        source.answer = ConnectionError()
        clock.tick(60 + bound - 0.01)
        assert call(read) == "old"
        clock.tick(0.01)
        with pytest.raises(ConnectionError):
            call(read)


@both
def test_what_expires_by_itself_is_not_served_past_that(is_async: bool, env: Environment, clock: ManualClock) -> None:
    """Unless the user says for how long."""
    for stale_ttl, expected in ((None, None), (5, "old")):
        source = Source("old")
        read = source.cached(is_async=is_async, ttl=lambda _: 60, stale_ttl=stale_ttl)
        call(read)
        source.answer = ConnectionError()
        clock.tick(60)
        if expected is None:
            with pytest.raises(ConnectionError):
                call(read)
        else:
            assert call(read) == expected


@both
def test_a_failing_refresh_is_tried_less_and_less(is_async: bool, env: Environment, clock: ManualClock) -> None:
    """After 1 s, then twice as long each time up to 30 s."""
    source = Source("old")
    read = source.cached(is_async=is_async, ttl=60)
    call(read)
    clock.tick(60)
    source.answer = ConnectionError()
    for wait_s in (1, 2, 4, 8, 16, 30, 30):
        before = len(source.asked)
        assert call(read) == "old"
        clock.tick(wait_s - 0.01)
        assert call(read) == "old"
        assert len(source.asked) == before + 1
        clock.tick(0.01)


@both
def test_without_time_the_function_is_not_called(is_async: bool, env: Environment, clock: ManualClock) -> None:
    """Within the deadline margin: the stale result, or an error that says so."""
    source = Source("old")
    read = source.cached(is_async=is_async, ttl=60)
    handler = lambdakit.handler(lambda event, context: call(read))
    with pytest.raises(DeadlineExceededError):
        handler({}, FakeContext(remaining_s=0.25))
    handler({}, FakeContext(remaining_s=3.0))
    clock.tick(60)
    assert handler({}, FakeContext(remaining_s=0.25)) == "old"
    assert len(source.asked) == 1


# How much is kept


@pytest.mark.parametrize(("used", "asked_again"), [(2, 0), (3, 0), (4, 4)])
def test_so_many_results_are_kept(used: int, asked_again: int, env: Environment) -> None:
    """With max_size=3: two and three stay, of four in turn none does."""
    source = Source()
    read = source.cached(max_size=3)
    for _ in range(2):
        for number in range(used):
            read(number)
    assert len(source.asked) == used + asked_again
    assert lambdakit.stats()["entries"] == min(used, 3)


@pytest.mark.parametrize("watched", [False, True])
def test_the_one_whose_last_use_is_longest_ago_goes_first(watched: bool, env: Environment) -> None:
    """A hit is a use; a look at the numbers is none."""
    source = Source()
    read = source.cached(max_size=3)
    for name in ("a", "b", "c", "a"):
        read(name)
    if watched:
        lambdakit.stats()
    read("d")
    source.asked.clear()
    for name in ("a", "c", "d", "b"):
        read(name)
    assert source.asked == [(("b",), {})]


@pytest.mark.parametrize(("settings", "kept"), [({}, 1000), ({"max_entries": 2}, 2), ({"max_entries": 0}, 0)])
def test_by_default_as_many_as_values(settings: Any, kept: int, clock: ManualClock) -> None:
    """Of each function; a setting of 0 keeps nothing."""
    one, other = Source().cached(), Source().cached()
    with lambdakit.use_environment(Environment(clock=clock, settings=Settings(**settings), backend=MemoryBackend())):
        for number in range(kept + 1):
            assert (one(number), other(number)) == ("value", "value")
        assert lambdakit.stats()["entries"] == 2 * kept


def test_nothing_of_a_result_that_had_to_go_stays(env: Environment) -> None:
    """Neither the result nor the arguments: counting them keeps no object alive."""

    class Image:
        """Large."""

    @lambdakit.cached(max_size=1)
    def thumbnail(image: Image) -> Image:
        return Image()

    arguments, results = [], []
    for _ in range(10):
        image = Image()
        arguments.append(weakref.ref(image))
        results.append(weakref.ref(thumbnail(image)))
        lambdakit.stats()
    thumbnail(None)
    del image
    gc.collect()
    assert [reference() for reference in arguments + results] == [None] * 20


# Forgetting


@both
def test_invalidate_forgets_one_call_and_clear_all(is_async: bool, env: Environment) -> None:
    """Of this function only; `lambdakit.clear` means every function."""
    source, other = Source(), Source()
    read, untouched = source.cached(is_async=is_async), other.cached()

    def again() -> list[Any]:
        source.asked.clear()
        for name in ("x", "y"):
            call(read, name, at=1)
        untouched("x", at=1)
        return [args[0] for args, _ in source.asked]

    assert again() == ["x", "y"]
    assert again() == []
    read.invalidate("x", at=1)
    assert again() == ["x"]
    read.invalidate("x", at=2)
    read.invalidate("x")
    read.invalidate("z", at=1)
    assert again() == []
    read.clear()
    assert again() == ["x", "y"]
    assert len(other.asked) == 1
    lambdakit.clear()
    assert again() == ["x", "y"]
    assert len(other.asked) == 2


def test_what_is_forgotten_while_it_is_fetched_is_not_kept(env: Environment) -> None:
    """Who waited for it gets it; the next one asks anew."""
    slow = Slow()

    async def main() -> list[int]:
        waiting = asyncio.create_task(slow.cached("x"))
        await asyncio.sleep(0)
        slow.cached.invalidate("x")
        slow.through.set()
        return [await waiting, await slow.cached("x")]

    assert asyncio.run(main()) == [1, 2]


def test_results_belong_to_the_environment(env: Environment) -> None:
    """Another environment has none of them, and what is forgotten there stays here."""
    source = Source()
    read = source.cached()
    read()
    with lambdakit.use_environment(Environment(clock=ManualClock(), backend=MemoryBackend())):
        read()
        read()
        read.clear()
    read()
    assert len(source.asked) == 2


# What is no function to keep results of


def yields() -> Iterator[int]:
    yield 1


async def yields_async() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("fn", "said"),
    [
        (5, "give a function, not int; options go by keyword"),
        (SECRET, "give a function, not str"),
        (Source, "give a function, not the class Source; one that makes it will do"),
        (yields, r"yields yields, .*let it return a list"),
        (yields_async, r"yields_async yields"),
        (functools.partial(yields), r"yields yields"),
        (classmethod(yields), "write it below @classmethod"),
        (staticmethod(yields), "write it below @staticmethod"),
    ],
)
def test_what_cannot_be_kept_is_refused_where_it_stands(fn: Any, said: str) -> None:
    """At the decoration, with what to do instead."""
    with pytest.raises(ConfigurationError, match=f"^cached: .*{said}"):
        lambdakit.cached(fn)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (yields, "generator"),
        (yields_async, "async_generator"),
        (lambda: map(str, [1]), "map"),
        (lambda: iter([1]), "list_iterator"),
        (Slow.read, "coroutine"),
    ],
)
@both
def test_what_only_one_reader_can_use_is_refused(is_async: bool, make: Any, kind: str, env: Environment) -> None:
    """When it is returned; a coroutine is closed, so that Python has nothing to warn of."""
    arguments = (None, SECRET) if make is Slow.read else ()

    def fn() -> Any:
        return make(*arguments)

    async def async_fn() -> Any:
        return make(*arguments)

    with pytest.raises(ConfigurationError, match=f"n returned a {kind}, which only its first reader could use"):
        call(lambdakit.cached(async_fn if is_async else fn))
    gc.collect()


def test_what_can_be_used_again_is_kept(env: Environment) -> None:
    """Although it is an iterator, such as a file, or may be awaited, such as some clients."""

    class Client:
        def __await__(self) -> Iterator[Any]:
            return iter(())

    for result in (io.BytesIO(b"template"), Client(), [1], range(3), Source()):
        assert Source(result).cached()() is result


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": -1},
        {"ttl": "60"},
        {"ttl": True},
        {"ttl": float("nan")},
        {"stale_ttl": -1},
        {"stale_ttl": lambda _: 1},
        {"max_size": 0},
        {"max_size": -1},
        {"max_size": 1.5},
        {"max_size": True},
        {"key": "id"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_wrong_options_are_errors_where_they_stand(options: Any) -> None:
    """Before there is a function; the message names the option."""
    with pytest.raises(ConfigurationError, match=f"^{next(iter(options))}="):
        lambdakit.cached(**options)


@both
def test_a_cached_function_looks_like_what_it_was(is_async: bool, env: Environment) -> None:
    """Name, docstring, signature, attributes, and whether it is to be awaited."""

    def read(first: int, *, second: str = "") -> str:
        """Read."""
        return second

    async def read_async(first: int, *, second: str = "") -> str:
        """Read."""
        return second

    fn: Any = read_async if is_async else read
    fn.owner = "shop"
    decorated = lambdakit.cached(ttl=5)(fn)
    assert (decorated.__name__, decorated.__doc__, decorated.__wrapped__) == (fn.__name__, "Read.", fn)
    assert inspect.signature(decorated) == inspect.signature(fn)
    assert inspect.iscoroutinefunction(decorated) == is_async
    assert decorated.owner == "shop"
    assert call(decorated, 1, second="x") == "x"


class Meeting(Settings):
    """Threads that look how many results are to be kept, as they do for a new cache, wait for each other there."""

    barrier = threading.Barrier(8)

    @property
    def max_entries(self) -> int:  # type: ignore[override]
        self.barrier.wait(PATIENCE_S)
        return 10

    @max_entries.setter
    def max_entries(self, _: int) -> None: ...


def test_threads_that_come_first_find_one_cache() -> None:
    """Each of eight is about to make it: what one has stored, the others find, and the function is counted once."""
    calls = itertools.count(1)
    read = lambdakit.cached(lambda: next(calls))
    with (
        lambdakit.use_environment(Environment(settings=Meeting(), backend=MemoryBackend())),
        ThreadPoolExecutor(8) as pool,
    ):
        assert [*pool.map(lambda _: read(), range(8), timeout=PATIENCE_S)] == [1] * 8
        stats = lambdakit.stats()
    assert (len(stats["keys"]), stats["fetches"]) == (1, 1)


def test_results_end_with_the_environment(env: Environment) -> None:
    """It can be used again afterwards, and starts empty."""
    source = Source()
    read, other = source.cached(), source.cached()
    for number in (1, 2):
        assert [read(), other(), read(), other()] == ["value"] * 4
        assert len(source.asked) == 2 * number
        env.close()
        assert lambdakit.stats()["entries"] == 0


def test_decorating_touches_nothing() -> None:
    """No environment is made, no cache: the first call does it."""
    with lambdakit.use_environment(Environment(backend=MemoryBackend())) as env:
        before = repr(env)
        lambdakit.cached(print)
        assert (repr(env), [*env._parts.made]) == (before, [])
