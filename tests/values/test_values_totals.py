"""What all caches did in an invocation, in numbers that nobody has to add up by key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

import lambdakit
from lambdakit import Environment, Settings
from lambdakit.exceptions import NotFoundError, ThrottledError
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

THROTTLED = ThrottledError("slow down", service="s", operation="o", name="n")


class SlowBackend(MemoryBackend):
    """A second for each call."""

    def __init__(self, clock: ManualClock, **values: object) -> None:
        super().__init__(**values)  # type: ignore[arg-type] # a test's own
        self.clock = clock

    def get_secret(self, name: str, **options: object) -> tuple[str | bytes, str | None]:  # type: ignore[override]
        self.clock.tick(1.0)
        return super().get_secret(name, **options)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def backend(clock: ManualClock) -> SlowBackend:
    return SlowBackend(clock, secrets={"a": "1", "b": "2"}, parameters={"/p": "3"})


@pytest.fixture(autouse=True)
def env(clock: ManualClock, backend: SlowBackend) -> Iterator[Environment]:
    env = Environment(clock=clock, backend=backend, settings=Settings(max_entries=2))
    with lambdakit.use_environment(env):
        yield env


def totals(work: Callable[[], object]) -> tuple[int, int, int, float]:
    """What the record of an invocation that does this says of it."""
    records: list[lambdakit.Record] = []
    lambdakit.handler(lambda event, context: work(), on_invocation=records.append)({}, FakeContext())
    (record,) = records
    return record["hits"], record["fetches"], record["stale"], record["upstream_s"]


def test_an_invocation_that_did_nothing() -> None:
    """Zeros, whatever was done before."""
    lambdakit.get_secret("a")
    assert totals(lambda: None) == (0, 0, 0, 0.0)


def test_totals_are_those_of_stats(clock: ManualClock, backend: SlowBackend) -> None:
    """Of values and cached functions, kept, evicted, invalidated or served stale."""
    down: list[type[Exception]] = []

    @lambdakit.cached(ttl=60)
    def double(number: int) -> int:
        clock.tick(0.5)
        for error in down:
            raise error
        return 2 * number

    def work() -> None:
        for name in ("a", "b", "a", "a", "b"):
            lambdakit.get_secret(name)
        lambdakit.get_parameter("/p")  # evicts one
        for number in (1, 2, 1, 1):
            double(number)
        lambdakit.invalidate("b")
        with pytest.raises(NotFoundError):
            lambdakit.get_secret("missing")
        backend.parameters["/p"] = THROTTLED
        clock.tick(400)
        lambdakit.get_parameter("/p")
        lambdakit.get_parameter("/p")
        down.append(TimeoutError)
        assert double(1) == 2

    counted = totals(work)
    stats = lambdakit.stats()
    assert counted[:3] == (stats["hits"], stats["fetches"], stats["stale"]) == (5, 8, 3)
    assert counted[3] == pytest.approx(3 * 1.0 + 3 * 0.5)
    assert totals(lambdakit.clear) == (0, 0, 0, 0.0)


def test_time_that_a_fetch_waits_for_another_passes_once(clock: ManualClock) -> None:
    """A cached function that reads a secret took that second, and its own half."""

    @lambdakit.cached
    def connect() -> str:
        clock.tick(0.5)
        return str(lambdakit.get_secret("a"))

    assert totals(connect) == (0, 2, 0, 1.5)
    assert totals(lambda: lambdakit.get_secret("b")) == (0, 1, 0, 1.0)


def test_coroutines_count_as_functions_do(clock: ManualClock) -> None:
    """Their time, also where they raise; that of a fetch within them once."""

    @lambdakit.cached
    async def connect(name: str) -> str:
        clock.tick(0.25)
        return str(lambdakit.get_secret(name))

    def work() -> None:
        assert asyncio.run(connect("a")) == "1"
        with pytest.raises(NotFoundError):
            asyncio.run(connect("missing"))

    assert totals(work) == (0, 4, 0, 2.5)
