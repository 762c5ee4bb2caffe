"""Fresh, stale, absent."""

from typing import Any

import pytest

from lambdakit._cache import ABSENT, FRESH, STALE, Cache
from lambdakit.exceptions import DeadlineExceededError
from lambdakit.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return Cache(clock=clock, max_entries=3)


def fetch(cache: Cache, key: Any, value: Any = "v", *, ttl_s: float = 60.0, forced: bool = False) -> Any:
    return cache.fetch(key, lambda: (value, "1"), ttl_s=ttl_s, remaining=lambda: None, forced=forced).value


def state(cache: Cache, clock: ManualClock, key: Any, ttl_s: float = 60.0) -> str:
    return cache.look(key, clock.now(), ttl_s)[0]


def test_never_loaded_is_absent_also_on_a_machine_just_booted() -> None:
    """Monotonic time near 0 is a time, not "never"."""
    clock = ManualClock(wall_s=0.0, monotonic_s=0.0)
    cache = Cache(clock=clock)
    assert cache.look("k", clock.now(), 300.0) == (ABSENT, None)
    fetch(cache, "k")
    assert state(cache, clock, "k", 300.0) == FRESH


@pytest.mark.parametrize(
    ("passed", "expected"), [(0.0, FRESH), (59.999, FRESH), (60.0, STALE), (60.001, STALE), (1e9, STALE)]
)
def test_fresh_ends_at_the_ttl(cache: Cache, clock: ManualClock, passed: float, expected: str) -> None:
    """Below the ttl fresh, from the ttl on stale."""
    fetch(cache, "k")
    clock.tick(passed)
    assert state(cache, clock, "k") == expected


def test_suspended_time_counts(cache: Cache, clock: ManualClock) -> None:
    """Wall +1 h with monotonic +0: stale."""
    fetch(cache, "k")
    clock.suspend(3600)
    assert state(cache, clock, "k") == STALE


def test_a_wall_clock_that_ran_backwards_makes_it_stale(cache: Cache, clock: ManualClock) -> None:
    """Wall -1 h: nothing is known of the age."""
    fetch(cache, "k")
    clock.set_wall(clock.wall_s - 3600)
    assert state(cache, clock, "k") == STALE


def test_age_is_judged_by_the_reader(cache: Cache, clock: ManualClock) -> None:
    """The same entry is fresh for one and stale for another; a ttl of 0 is never fresh, infinity always."""
    fetch(cache, "k", ttl_s=300.0)
    clock.tick(100)
    assert [state(cache, clock, "k", ttl) for ttl in (0.0, 60.0, 100.0, 101.0, float("inf"))] == [
        STALE,
        STALE,
        STALE,
        FRESH,
        FRESH,
    ]


def test_age_counts_from_the_moment_it_was_asked_for(cache: Cache, clock: ManualClock) -> None:
    """A fetch of 10 s brings a value that may be 10 s old."""

    def slow() -> tuple[str, str]:
        clock.tick(10)
        return "v", "1"

    cache.fetch("k", slow, ttl_s=60.0, remaining=lambda: None)
    clock.tick(50)
    assert state(cache, clock, "k") == STALE


def test_a_fetch_finds_what_another_has_just_stored(cache: Cache) -> None:
    """Between a look and a fetch somebody may have been faster."""
    assert fetch(cache, "k", "first") == "first"
    assert fetch(cache, "k", "second") == "first"
    assert fetch(cache, "k", "third", forced=True) == "third"
    assert fetch(cache, "k", "fourth", ttl_s=0.0) == "fourth"


@pytest.mark.parametrize(("left_s", "begins"), [(None, True), (0.01, True), (0.0, False), (-1.0, False)])
def test_no_fetch_begins_without_time_for_it(cache: Cache, left_s: float | None, begins: bool) -> None:
    """What is left is asked for when it would begin."""
    begun = []

    def work() -> tuple[str, str]:
        begun.append(1)
        return "v", "1"

    if begins:
        assert cache.fetch("k", work, ttl_s=60.0, remaining=lambda: left_s).value == "v"
    else:
        with pytest.raises(DeadlineExceededError, match="to begin a fetch"):
            cache.fetch("k", work, ttl_s=60.0, remaining=lambda: left_s)
    assert bool(begun) is begins


def test_an_error_is_not_cached(cache: Cache, clock: ManualClock) -> None:
    """First fetch fails, service recovers, next call succeeds."""

    def down() -> tuple[str, str]:
        raise RuntimeError("down")

    with pytest.raises(RuntimeError, match="down"):
        cache.fetch("k", down, ttl_s=60.0, remaining=lambda: None)
    assert state(cache, clock, "k") == ABSENT
    assert fetch(cache, "k", "up") == "up"


def test_invalidated_is_absent(cache: Cache, clock: ManualClock) -> None:
    """Only what matches; the rest stays."""
    fetch(cache, "a")
    fetch(cache, "b")
    cache.invalidate(lambda key: key == "a")
    assert (state(cache, clock, "a"), state(cache, clock, "b")) == (ABSENT, FRESH)


def test_what_is_invalidated_during_its_fetch_is_not_kept(cache: Cache, clock: ManualClock) -> None:
    """The value may be from before the reason for the invalidation."""

    def invalidated_meanwhile() -> tuple[str, str]:
        cache.invalidate(lambda key: key == "k")
        return "old", "1"

    assert cache.fetch("k", invalidated_meanwhile, ttl_s=60.0, remaining=lambda: None).value == "old"
    assert state(cache, clock, "k") == ABSENT


@pytest.mark.parametrize(("stored", "kept"), [(2, 2), (3, 3), (4, 3)])
def test_entries_are_bounded(cache: Cache, stored: int, kept: int) -> None:
    """At the limit nothing goes, past it one."""
    for number in range(stored):
        fetch(cache, number)
    assert len(cache) == kept


def test_the_one_stored_longest_ago_goes_first(cache: Cache, clock: ManualClock) -> None:
    """A refresh makes an entry young again."""
    for key in ("a", "b", "c"):
        fetch(cache, key)
    fetch(cache, "a", forced=True)
    fetch(cache, "d")
    assert [state(cache, clock, key) for key in "abcd"] == [FRESH, ABSENT, FRESH, FRESH]


def test_what_is_derived_is_made_once_per_entry(cache: Cache) -> None:
    """The same object for every reader, None included; a new entry derives anew."""
    made = []

    def work() -> None:
        made.append(1)

    entry = cache.fetch("k", lambda: ("v", "1"), ttl_s=60.0, remaining=lambda: None)
    for _ in range(3):
        assert cache.derive(entry, "d", work, remaining=lambda: None) is None
    assert len(made) == 1
    again = cache.fetch("k", lambda: ("v", "2"), ttl_s=60.0, remaining=lambda: None, forced=True)
    cache.derive(again, "d", work, remaining=lambda: None)
    assert len(made) == 2


def test_a_derivation_made_meanwhile_is_used(cache: Cache) -> None:
    """A thread that comes to the flight when it is over takes what it brought."""
    entry = cache.fetch("k", lambda: ("v", "1"), ttl_s=60.0, remaining=lambda: None)

    class Late(dict[Any, Any]):
        """Says once that a key is missing which it has."""

        asked = False

        def __getitem__(self, key: Any) -> Any:
            if not self.asked:
                self.asked = True
                raise KeyError(key)
            return super().__getitem__(key)

    entry.derived = Late(d="made")
    assert cache.derive(entry, "d", lambda: "again", remaining=lambda: None) == "made"


def test_reprs_hide_values(cache: Cache) -> None:
    """A cache in a log line tells how much it holds."""
    entry = cache.fetch("planted-key", lambda: ("planted", "v-1"), ttl_s=60.0, remaining=lambda: None)
    assert (repr(cache), repr(entry)) == ("<Cache entries=1>", "<Entry version=v-1>")
