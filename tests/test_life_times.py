"""What is dropped is freed: functions that were decorated in a handler, with what was kept for them; environments."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from running import invocation

import lambdakit
from lambdakit import Environment
from lambdakit._cache import Entry
from lambdakit._cached import Caches, Recent
from lambdakit.testing import FakeContext, MemoryBackend

URL = "http://127.0.0.1:1"  # nobody listens there
MODULE = """
@lambdakit.cached
def one(): return 1
@lambdakit.singleton
def two(): return 2
"""


class Thing:
    """What a function returns."""

    @staticmethod
    def make() -> Thing:
        return Thing()


@pytest.fixture
def env() -> Iterator[Environment]:  # type: ignore[override]
    """With a little of everything."""
    backend = MemoryBackend(
        secrets={"a": "1", "j": '{"a": 1}'},
        parameters={"/p/x": "1"},
        items={("t", 1): {"id": 1}},
        app_configs={"a/b/c": "x"},
    )
    with lambdakit.use_environment(Environment(backend=backend)) as env:
        yield env


def cached(made: list[weakref.ref[Thing]]) -> Callable[[], Thing]:
    @lambdakit.cached
    def thing() -> Thing:
        return noted(made)

    return thing


def cached_later(made: list[weakref.ref[Thing]]) -> Callable[[], Thing]:
    @lambdakit.cached(ttl=60)
    async def thing() -> Thing:
        return noted(made)

    return lambda: asyncio.run(thing())


def singleton(made: list[weakref.ref[Thing]]) -> Callable[[], Thing]:
    @lambdakit.singleton
    def thing() -> Thing:
        return noted(made)

    return thing


def singleton_later(made: list[weakref.ref[Thing]]) -> Callable[[], Thing]:
    @lambdakit.singleton(check=lambda one: True)
    async def thing() -> Thing:
        return noted(made)

    async def twice() -> Thing:
        assert await thing() is await thing()
        return await thing()

    return lambda: asyncio.run(twice())


def noted(made: list[weakref.ref[Thing]]) -> Thing:
    thing = Thing()
    made.append(weakref.ref(thing))
    return thing


@pytest.mark.parametrize("decorate", [cached, cached_later, singleton, singleton_later])
def test_what_is_decorated_in_a_handler_is_freed_with_it(
    decorate: Any, env: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    """And told of once: nothing is left of it for the next invocation. What it counted stays."""
    made: list[weakref.ref[Thing]] = []

    @lambdakit.handler
    def handler(event: Any, context: Any) -> None:
        assert isinstance(decorate(made)(), Thing)

    for _ in range(3):
        handler({}, FakeContext())
    gc.collect()  # of the loops
    assert [thing() for thing in made] == [None] * 3
    (record,) = caplog.records
    assert f"{decorate.__name__}.<locals>.thing is decorated within an invocation" in record.getMessage()
    if decorate in {cached, cached_later}:
        stats = lambdakit.stats()
        assert (stats["fetches"], stats["entries"], len(env._caches)) == (3, 0, 1)
        assert [*stats["keys"]] == ["cached functions that are gone"]


def test_what_is_decorated_elsewhere_is_nothing_to_tell_of(env: Environment, caplog: pytest.LogCaptureFixture) -> None:
    """Outside an invocation, and in a module that is imported in one."""
    cached([])()
    singleton([])()
    with invocation():
        module: dict[str, Any] = {"lambdakit": lambdakit}
        exec(MODULE, module)  # noqa: S102 - as an import does
        assert (module["one"](), module["two"]()) == (1, 2)
    assert caplog.records == []


def test_what_is_decorated_again_and_again_is_told_of_once(env: Environment, caplog: pytest.LogCaptureFixture) -> None:
    """Also a function of the module; of very many the first hundred."""
    for number in range(4):
        with invocation():
            lambdakit.singleton(Thing.make)()
        assert len(caplog.records) == (1 if number else 0)
    assert "Thing.make is decorated within an invocation" in caplog.text
    caplog.clear()
    with invocation():
        for number in range(200):
            lambdakit.cached(named(f"<locals>.{number}"))
    assert len(caplog.records) == 99


def named(name: str) -> Callable[[], None]:
    def fn() -> None:
        """Nothing."""

    fn.__qualname__ = name
    return fn


def test_a_function_that_calls_itself_is_freed(env: Environment) -> None:
    """With its results: the environment holds none of the circle."""

    def make() -> weakref.ref[Any]:
        @lambdakit.cached
        def fibonacci(n: int) -> int:
            return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

        assert fibonacci(20) == 6765
        return weakref.ref(fibonacci)

    function = make()
    gc.collect()
    assert function() is None
    assert lambdakit.stats()["entries"] == 0


def test_a_singleton_of_a_function_that_is_gone_by_then_is_not_kept(env: Environment) -> None:
    """It is the caller's, who has it; others that are held go on."""
    kept = singleton([])
    first = kept()

    async def build() -> Thing:
        await asyncio.sleep(0)
        return Thing()

    async def main() -> Thing:
        building = lambdakit.singleton(build)()  # the function is gone before it is awaited
        return await building

    thing = weakref.ref(asyncio.run(main()))
    gc.collect()
    assert thing() is None
    assert kept() is first


def test_what_a_function_had_may_be_gone_before_it(env: Environment) -> None:
    """Such as in a forked child, whose environment begins anew."""
    function = cached([])
    function()
    (number,) = env._parts[Caches]._caches
    env._caches.clear()
    env._parts[Caches].forget(number)
    assert [len(cache) for _, cache in env._caches] == [0]


def test_of_the_results_of_functions_no_bytes_are_known() -> None:
    """So nothing has to go for what grows."""
    recent, entry = Recent(1), Entry("x")
    recent.put("k", entry)
    assert (recent.grow("k", entry, 10**9), recent.size(), len(recent)) == ([], 0, 1)


def test_an_environment_that_is_gone_first_minds_no_function(env: Environment) -> None:
    """A function outlives environments, and goes later."""
    functions = [cached([]), singleton([])]
    with lambdakit.use_environment(Environment()) as other:
        for function in functions:
            function()
        gone = weakref.ref(other)
    del other
    gc.collect()
    assert gone() is None
    del function, functions


@lambdakit.cached
def one(number: int) -> int:
    return number


@lambdakit.singleton
def thing() -> Thing:
    return Thing()


@lambdakit.singleton
async def async_thing() -> Thing:
    return Thing()


async def use_of_loop(event: Any, context: Any) -> None:
    assert await async_thing()


def handled(event: Any = None, fn: Any = lambda event, context: None, **options: Any) -> Callable[[], object]:
    handler = lambdakit.handler(**options)(fn)
    return lambda: handler(event or {}, FakeContext())


def trying(call: Callable[[], object]) -> Callable[[], None]:
    def attempt() -> None:
        with suppress(Exception):
            call()

    return attempt


async def get_later() -> None:
    with suppress(Exception):
        await lambdakit.http.httpx_async_client().get(URL)


USES: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "a secret": lambda: lambdakit.get_secret("a"),
    "a field": lambda: lambdakit.get_secret("j", field="a"),
    "a transform": lambda: lambdakit.get_secret("j", transform=json.loads),
    "a batch": lambda: lambdakit.get_secrets(["a", "j"]),
    "a path": lambda: lambdakit.get_parameters_by_path("/p"),
    "a configuration": lambda: lambdakit.get_app_config("a", "b", "c"),
    "an item": lambda: lambdakit.get_item("t", {"id": 1}),
    "an error": trying(lambda: lambdakit.get_secret("gone")),
    "a rotation": lambdakit.retry_on_rotation("a", errors=OSError)(lambda: 1),
    "stats": lambdakit.stats,
    "a cached function": lambda: one(1),
    "a singleton": thing,
    "a singleton of a loop": lambda: asyncio.run(async_thing()),
    "a preload": lambda: lambdakit.environment().preload(lambdakit.secret("a"), thing),
    "an invocation": handled(),
    "an invocation with metrics": handled(metrics="Shop"),
    "an invocation in a loop": handled(fn=use_of_loop),
    "a ping": handled({"warmer": True}),
    "a client": lambda: lambdakit.client("sqs"),
    "a client that has sent": trying(lambda: lambdakit.client("sqs", endpoint_url=URL).list_queues()),
    "a resource": lambda: lambdakit.resource("dynamodb"),
    "a request": trying(lambda: lambdakit.http.get(URL)),
    "a session of requests": trying(lambda: lambdakit.http.requests_session().get(URL)),
    "a client of httpx": trying(lambda: lambdakit.http.httpx_client().get(URL)),
    "an async client of httpx": lambda: asyncio.run(get_later()),
    "a token": trying(lambda: str(lambdakit.oauth_token(URL, client_id="i", client_secret="s"))),
}


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # asyncio's, of a loop that nobody closes
def test_an_environment_that_is_dropped_is_collected(env: Environment) -> None:
    """Whatever it was used for, with everything that it owns; nothing of the process holds it."""
    dropped = {}
    for name, use in USES.items():
        with lambdakit.use_environment(Environment(backend=env._backend)) as used, suppress(lambdakit.LambdakitError):
            dropped[name] = weakref.ref(used)
            use()
    del used
    gc.collect()
    assert [name for name, environment in dropped.items() if environment() is not None] == []
