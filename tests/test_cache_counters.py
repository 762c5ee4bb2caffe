"""What the cache counts: by key, and in totals that nobody has to add up."""

from __future__ import annotations

import asyncio

import pytest

from lambdakit._cache import Cache, CountersByKey, Entries, Entry, entry_of
from lambdakit._clock import Budget
from lambdakit.exceptions import ThrottledError
from lambdakit.testing import ManualClock

THROTTLED = ThrottledError("slow down", service="s", operation="o", name="n")


def test_counters_begin_with_nothing() -> None:
    """Of a key that was never heard of too."""
    assert CountersByKey()["new"].as_dict() == {"hits": 0, "fetches": 0, "stale": 0, "errors": 0, "waits": 0}


def test_fetches_and_errors_of_what_was_brought() -> None:
    """Each key by itself."""
    counters = CountersByKey()
    counters.count_fetch({"a": Entry("v"), "b": ValueError()})
    counters.count_fetch({"a": ValueError()})
    assert [(counters[key].fetches, counters[key].errors) for key in "ab"] == [(2, 1), (1, 1)]


def test_copies_add_the_hits_of_what_is_kept() -> None:
    """Hits of entries that are gone, and of the one that is there; of keys with an entry only, and of none."""
    counters = CountersByKey()
    counters["gone"].hits = 3
    counters["kept"].hits = 5
    kept, only = Entry("v"), Entry("v")
    kept.hits, only.hits = 7, 2
    counted, rest = counters.copies({"kept": kept, "only": only, "none": None})
    assert {key: one.hits for key, one in counted.items()} == {"gone": 3, "kept": 12, "only": 2, "none": 0}
    assert rest.hits == 0


def test_copies_are_copies() -> None:
    """What is counted afterwards is not in them, nor does adding to them count."""
    counters = CountersByKey(most=1)
    counters["a"].waits = 1
    counted, rest = counters.copies({})
    counted["a"].waits = rest.waits = 99
    counters["a"].stale = 1
    assert (counters["a"].waits, counters.rest.waits, counted["a"].stale) == (1, 0, 0)


def test_keys_are_bounded_and_nothing_is_lost() -> None:
    """At the limit all are counted one by one; past it the first ones together."""
    counters = CountersByKey(most=3)
    for number in range(3):
        counters[number].fetches = 1
        counters[number].hits = 10
        counters[number].stale = 100
        counters[number].errors = 1000
        counters[number].waits = 10_000
    assert counters.rest.fetches == 0
    counters[3].fetches = 1
    counters[4].fetches = 1
    assert [*counters] == [2, 3, 4]
    assert counters.copies({})[1].as_dict() == {
        "hits": 20,
        "fetches": 2,
        "stale": 200,
        "errors": 2000,
        "waits": 20_000,
    }


def test_twice_as_many_keys_as_values_are_counted_by_default() -> None:
    """The values that are kept all have their own."""
    counters = CountersByKey()
    for number in range(2001):
        counters[number].fetches = 1
    assert (len(counters), counters.rest.fetches) == (2000, 1)


def test_counters_keep_totals() -> None:
    """Beside those by key."""
    counters = CountersByKey(most=1)
    entry = Entry("v")
    entry.hits = 7
    counters.count_fetch({"a": entry, "b": ValueError()}, 0.5)
    counters.count_fetch({"a": entry}, 0.25)
    counters.count_fetch({"a": entry})
    counters.count_stale("a")
    counters.on_evict("a", entry)
    counters.on_evict("a", None)
    assert counters.totals(10) == (17, 4, 1, 0.75)
    assert (counters["a"].stale, counters["a"].hits) == (1, 7)


def test_entries_know_their_hits() -> None:
    """Of those that are kept."""
    entries = Entries(max_entries=2, max_bytes=100)
    assert entries.hits() == 0
    for name, hits in (("a", 3), ("b", 4)):
        entry = Entry("v")
        entry.stamp((0.0, 0.0), 1.0)
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


# --- the time that fetches take


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    budget = Budget(clock=clock, invocation=lambda: None)
    return Cache(clock=clock, budget=budget, store=Entries(max_entries=9, max_bytes=1e6))


def fetch(cache: Cache, clock: ManualClock, key: str = "k", *within: str) -> None:
    """A second, and what is fetched within."""

    def work() -> Entry:
        clock.tick(1.0)
        for other in within:
            fetch(cache, clock, other)
        return Entry(key)

    cache.fetch(key, work, ttl_s=60.0, stale_ttl_s=0.0)


def test_time_within_a_fetch_passes_once(cache: Cache, clock: ManualClock) -> None:
    """Of fetches within a fetch only the outermost counts; afterwards there is none."""
    fetch(cache, clock, "outer", "inner", "second")
    assert cache.totals() == (0, 3, 0, 3.0)
    fetch(cache, clock, "later")
    assert cache.totals() == (0, 4, 0, 4.0)


def test_a_fetch_that_is_thrown_away_ends_in_another_context(cache: Cache, clock: ManualClock) -> None:
    """That is no error, and the other context is as it was: the next fetch there is an outermost one."""

    async def work() -> Entry:
        await asyncio.sleep(0)
        raise AssertionError

    async def begin() -> object:
        fetching = cache.fetch_async("k", work, ttl_s=60.0, stale_ttl_s=0.0)
        fetching.send(None)
        return fetching

    fetching = asyncio.run(begin())
    fetching.close()  # type: ignore[attr-defined] # a coroutine
    fetch(cache, clock)
    assert cache.totals() == (0, 1, 0, 1.0)
