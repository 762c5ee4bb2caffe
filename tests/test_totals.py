"""What all caches did, in numbers that nobody has to add up by key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import lambdakit
from lambdakit import Environment, Settings
from lambdakit._entries import Entries, Entry, entry_of
from lambdakit._tally import Tallies
from lambdakit._upstream import fetching
from lambdakit.exceptions import NotFoundError, ThrottledError
from lambdakit.testing import ManualClock, MemoryBackend

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
def env(clock: ManualClock) -> Iterator[Environment]:
    backend = SlowBackend(clock, secrets={"a": "1", "b": "2"}, parameters={"/p": "3"})
    env = Environment(clock=clock, backend=backend, settings=Settings(max_entries=2))
    with lambdakit.use_environment(env):
        yield env


def test_an_environment_that_did_nothing(env: Environment) -> None:
    """Zeros."""
    assert env.memory.totals() == (0, 0, 0, 0.0)


def test_totals_are_those_of_stats(env: Environment, clock: ManualClock) -> None:
    """Of values and cached functions, kept, evicted, invalidated or served stale."""
    down: list[type[Exception]] = []

    @lambdakit.cached(ttl=60)
    def double(number: int) -> int:
        clock.tick(0.5)
        for error in down:
            raise error
        return 2 * number

    for name in ("a", "b", "a", "a", "b"):
        lambdakit.get_secret(name)
    lambdakit.get_parameter("/p")  # evicts one
    for number in (1, 2, 1, 1):
        double(number)
    lambdakit.invalidate("b")
    with pytest.raises(NotFoundError):
        lambdakit.get_secret("missing")
    env.backend().parameters["/p"] = THROTTLED  # type: ignore[attr-defined] # a MemoryBackend
    clock.tick(400)
    lambdakit.get_parameter("/p")
    lambdakit.get_parameter("/p")
    down.append(TimeoutError)
    assert double(1) == 2
    stats = lambdakit.stats()
    assert env.memory.totals()[:3] == (stats["hits"], stats["fetches"], stats["stale"]) == (5, 8, 3)
    assert env.memory.totals()[3] == pytest.approx(3 * 1.0 + 3 * 0.5)
    lambdakit.clear()
    assert env.memory.totals()[:3] == (5, 8, 3)


def test_time_that_a_fetch_waits_for_another_passes_once(env: Environment, clock: ManualClock) -> None:
    """A cached function that reads a secret took that second, and its own half."""

    @lambdakit.cached
    def connect() -> str:
        clock.tick(0.5)
        return str(lambdakit.get_secret("a"))

    connect()
    assert env.memory.totals() == (0, 2, 0, 1.5)
    lambdakit.get_secret("b")
    assert env.memory.totals() == (0, 3, 0, 2.5)


def test_coroutines_count_as_functions_do(env: Environment, clock: ManualClock) -> None:
    """Their time, also where they raise; that of a fetch within them once."""

    @lambdakit.cached
    async def connect(name: str) -> str:
        clock.tick(0.25)
        return str(lambdakit.get_secret(name))

    assert asyncio.run(connect("a")) == "1"
    with pytest.raises(NotFoundError):
        asyncio.run(connect("missing"))
    assert env.memory.totals() == (0, 4, 0, 2.5)


def test_fetches_within_fetches() -> None:
    """Only the outermost counts; afterwards there is none."""
    with fetching() as outer:
        with fetching() as inner:
            pass
        with fetching() as second:
            pass
    with fetching() as later:
        pass
    assert (outer, inner, second, later) == (True, False, False, True)


def test_a_fetch_that_is_thrown_away_ends_in_another_context() -> None:
    """That is no error, and the other context is as it was."""

    async def fetch() -> None:
        with fetching():
            await asyncio.sleep(0)

    async def begin() -> object:
        work = fetch()
        work.send(None)
        return work

    work = asyncio.run(begin())
    work.close()  # type: ignore[attr-defined] # a coroutine
    with fetching() as outermost:
        assert outermost


def test_tallies_keep_totals() -> None:
    """Beside those by key."""
    tallies = Tallies(most=1)
    entry = Entry("v")
    entry.hits = 7
    tallies.note({"a": entry, "b": ValueError()}, 0.5)
    tallies.note({"a": entry}, 0.25)
    tallies.note({"a": entry})
    tallies.serve_stale("a")
    tallies.bury("a", entry)
    tallies.bury("a", None)
    assert tallies.totals(10) == (17, 4, 1, 0.75)
    assert (tallies["a"].stale, tallies["a"].hits) == (1, 7)


def test_entries_know_their_hits() -> None:
    """Of those that are kept."""
    entries = Entries(max_entries=2, max_bytes=100)
    assert entries.hits() == 0
    for name, hits in (("a", 3), ("b", 4)):
        entry = Entry("v")
        entry.keep((0.0, 0.0), 1.0)
        entry.hits = hits
        entries.put(name, entry)
    assert entries.hits() == 7
    entries.pop("a")
    assert entries.hits() == 4


def test_an_outcome_that_is_an_exception_is_raised() -> None:
    """As it is; an entry is returned."""
    entry = Entry("v")
    assert entry_of(entry) is entry
    with pytest.raises(ThrottledError) as caught:
        entry_of(THROTTLED)
    assert caught.value is THROTTLED
