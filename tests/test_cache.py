"""Fresh, stale, absent."""

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lambdakit._cache import ABSENT, FRESH, STALE, Cache, Entries, Entry, Result
from lambdakit._clock import Budget
from lambdakit.exceptions import (
    AccessDeniedError,
    DeadlineExceededError,
    FetchError,
    NetworkError,
    NotFoundError,
    ServiceError,
    ThrottledError,
)
from lambdakit.testing import ManualClock

PATIENCE_S = 10.0  # how long a test waits for what must happen; it never passes by waiting


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def new_cache(clock: ManualClock, *, max_entries: int = 1000, left_s: float | None = None) -> Cache:
    return Cache(
        clock=clock,
        budget=Budget(clock=clock, invocation=lambda: left_s),
        store=Entries(max_entries=max_entries, max_bytes=1e6),
    )


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return new_cache(clock, max_entries=3)


def fetch(cache: Cache, key: Any, value: Any = "v", *, ttl_s: float = 60.0, forced: bool = False) -> Any:
    return cache.fetch(key, lambda: Entry(value, "1"), ttl_s=ttl_s, stale_ttl_s=0.0, forced=forced).value


def state(cache: Cache, clock: ManualClock, key: Any, ttl_s: float = 60.0) -> str:
    return cache.look(key, clock.now(), ttl_s, float("inf"))[0]


def test_never_loaded_is_absent_also_on_a_machine_just_booted() -> None:
    """Monotonic time near 0 is a time, not "never"."""
    clock = ManualClock(wall_s=0.0, monotonic_s=0.0)
    cache = new_cache(clock)
    assert cache.look("k", clock.now(), 300.0, 0.0) == (ABSENT, None)
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

    def slow() -> Entry:
        clock.tick(10)
        return Entry("v", "1")

    cache.fetch("k", slow, ttl_s=60.0, stale_ttl_s=0.0)
    clock.tick(50)
    assert state(cache, clock, "k") == STALE


def test_a_fetch_finds_what_another_has_just_stored(cache: Cache) -> None:
    """Between a look and a fetch somebody may have been faster."""
    assert fetch(cache, "k", "first") == "first"
    assert fetch(cache, "k", "second") == "first"
    assert fetch(cache, "k", "third", forced=True) == "third"
    assert fetch(cache, "k", "fourth", ttl_s=0.0) == "fourth"


@pytest.mark.parametrize(("left_s", "begins"), [(None, True), (0.01, True), (0.0, False), (-1.0, False)])
def test_no_fetch_begins_without_time_for_it(clock: ManualClock, left_s: float | None, begins: bool) -> None:
    """What is left is asked for when it would begin."""
    cache = new_cache(clock, left_s=left_s)
    begun = []

    def work() -> Entry:
        begun.append(1)
        return Entry("v", "1")

    if begins:
        assert cache.fetch("k", work, ttl_s=60.0, stale_ttl_s=0.0).value == "v"
    else:
        with pytest.raises(DeadlineExceededError, match="to begin a fetch"):
            cache.fetch("k", work, ttl_s=60.0, stale_ttl_s=0.0)
    assert bool(begun) is begins


def test_read_looks_first_and_fetches_then(cache: Cache, clock: ManualClock) -> None:
    """Fresh for its reader: from memory, a hit. Else what the fetch of these arguments returns. None: its own ttl."""
    asked: list[Any] = []

    def work(*arguments: Any) -> Entry:
        asked.append(arguments)
        return Entry(f"v{len(asked)}", lifetime_s=5.0)

    def read(*arguments: Any, **options: Any) -> Any:
        return cache.read("k", work, *arguments, **options).value

    assert [read("a", 1, ttl_s=60.0), read("b", 2, ttl_s=60.0)] == ["v1", "v1"]
    clock.tick(4.9)
    assert read("c", ttl_s=None) == "v1"
    clock.tick(0.1)
    assert [read(ttl_s=60.0), read(ttl_s=None), read(ttl_s=0.0)] == ["v1", "v2", "v3"]
    assert read("now", ttl_s=60.0, forced=True) == "v4"
    assert asked == [("a", 1), (), (), ("now",)]
    assert cache.counts()[0]["k"].as_dict() == {"hits": 3, "fetches": 4, "stale": 0, "errors": 0, "waits": 0}


def test_read_serves_stale_where_it_may(cache: Cache, clock: ManualClock) -> None:
    """As `fetch`; by default never, and a forced one neither."""

    def down() -> Entry:
        raise ConnectionResetError

    cache.read("k", lambda: Entry("old"), ttl_s=60.0)
    clock.tick(60)
    for options in ({}, {"stale_ttl_s": 60.0, "forced": True}):
        with pytest.raises(ConnectionResetError):
            cache.read("k", down, ttl_s=60.0, **options)
    assert cache.read("k", down, ttl_s=60.0, stale_ttl_s=60.0).value == "old"


def test_an_error_is_not_cached(cache: Cache, clock: ManualClock) -> None:
    """First fetch fails, service recovers, next call succeeds."""

    def down() -> Entry:
        raise RuntimeError("down")

    with pytest.raises(RuntimeError, match="down"):
        cache.fetch("k", down, ttl_s=60.0, stale_ttl_s=0.0)
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

    def invalidated_meanwhile() -> Entry:
        cache.invalidate(lambda key: key == "k")
        return Entry("old", "1")

    assert cache.fetch("k", invalidated_meanwhile, ttl_s=60.0, stale_ttl_s=0.0).value == "old"
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

    entry = cache.fetch("k", lambda: Entry("v", "1"), ttl_s=60.0, stale_ttl_s=0.0)
    for _ in range(3):
        assert cache.derive("k", entry, ("d",), work) is None
    assert len(made) == 1
    again = cache.fetch("k", lambda: Entry("v", "2"), ttl_s=60.0, stale_ttl_s=0.0, forced=True)
    cache.derive("k", again, ("d",), work)
    assert len(made) == 2


def test_a_derivation_made_meanwhile_is_used(cache: Cache) -> None:
    """A thread that comes to the call when it is over takes what it brought."""

    class Late(Entry):
        """Says once that there is no result, which has just come."""

        __slots__ = ("asked",)
        asked: bool

        def result(self, names: tuple[Any, ...]) -> Any:
            late, self.asked = hasattr(self, "asked"), True
            return super().result(names) if late else None

    late = cache.fetch("late", lambda: Late("v", "1"), ttl_s=60.0, stale_ttl_s=0.0)
    late.results = {"d": Result("made", 0)}
    assert cache.derive("late", late, ("d",), lambda: "again") == "made"


def test_reprs_hide_values(cache: Cache) -> None:
    """A cache in a log line tells how much it holds."""
    entry = cache.fetch("planted-key", lambda: Entry("planted", "v-1"), ttl_s=60.0, stale_ttl_s=0.0)
    assert (repr(cache), repr(entry)) == ("<Cache entries=1>", "<Entry version=v-1>")


# --- stale on error


def error_of(kind: type[Exception]) -> Exception:
    return kind("x", service="s", operation="o", name="n") if issubclass(kind, FetchError) else kind("x")


def fail(cache: Cache, key: Any, error: Exception, *, stale_ttl_s: float = 60.0, forced: bool = False) -> Any:
    """What a reader with a ttl of 60 s gets from a fetch that fails."""

    def down() -> Entry:
        raise error

    return cache.fetch(key, down, ttl_s=60.0, stale_ttl_s=stale_ttl_s, forced=forced).value


@pytest.mark.parametrize(
    "kind", [ThrottledError, ServiceError, NetworkError, DeadlineExceededError, TimeoutError, ConnectionResetError]
)
@pytest.mark.parametrize(("passed", "stale_ttl_s", "served"), [(119.9, 60.0, True), (120.0, 60.0, False)])
def test_what_may_pass_is_bridged_by_the_stale_value(
    kind: type[Exception], passed: float, stale_ttl_s: float, served: bool
) -> None:
    """Until the stale ttl has passed after the end of the ttl."""
    clock = ManualClock()
    cache = new_cache(clock)
    fetch(cache, "k", "old")
    clock.tick(passed)
    if served:
        assert fail(cache, "k", error_of(kind), stale_ttl_s=stale_ttl_s) == "old"
    else:
        with pytest.raises(kind):
            fail(cache, "k", error_of(kind), stale_ttl_s=stale_ttl_s)


@pytest.mark.parametrize("kind", [AccessDeniedError, NotFoundError, FetchError, ValueError, KeyError])
def test_what_does_not_pass_by_itself_is_raised_at_once(
    cache: Cache, clock: ManualClock, kind: type[Exception]
) -> None:
    """Although there is a stale value; and the next reader asks again."""
    fetch(cache, "k", "old")
    clock.tick(60)
    for _ in range(2):
        with pytest.raises(kind):
            fail(cache, "k", error_of(kind))
    assert fetch(cache, "k", "new") == "new"


@pytest.mark.parametrize("back_s", [0.0, 1.0, 3600.0])
def test_a_stale_ttl_of_zero_serves_nothing_stale(cache: Cache, clock: ManualClock, back_s: float) -> None:
    """Also where the wall clock was set back, so that nobody knows how old the value is."""
    fetch(cache, "k", "old")
    clock.tick(0.0 if back_s else 60.0)
    clock.set_wall(clock.wall_s - back_s)
    with pytest.raises(ConnectionResetError):
        fail(cache, "k", ConnectionResetError(), stale_ttl_s=0.0)
    assert fail(cache, "k", ConnectionResetError(), stale_ttl_s=1.0) == "old"


def test_a_wall_clock_set_back_leaves_stale_values_as_long_as_monotonic_time_allows(
    cache: Cache, clock: ManualClock
) -> None:
    """It is at least as old as that."""
    fetch(cache, "k", "old")
    clock.set_wall(clock.wall_s - 7200)
    clock.tick(119)
    assert fail(cache, "k", ConnectionResetError()) == "old"
    clock.tick(1)
    with pytest.raises(ConnectionResetError):
        fail(cache, "k", ConnectionResetError())


def test_a_forced_fetch_raises_and_leaves_the_value_to_others(
    cache: Cache, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is fresh for them, and later stale; the failure is told to the first who needs the stale value."""
    fetch(cache, "k", "old")
    with pytest.raises(ConnectionResetError):
        fail(cache, "k", ConnectionResetError(), forced=True)
    assert fetch(cache, "k", "unwanted") == "old"
    clock.tick(60)
    with pytest.raises(ConnectionResetError):
        fail(cache, "k", ConnectionResetError(), forced=True)
    assert caplog.messages == []
    for _ in range(2):
        assert cache.fetch("k", pytest.fail, ttl_s=60.0, stale_ttl_s=60.0).value == "old"  # it backs off
    assert caplog.messages == [
        "k could not be refreshed (ConnectionResetError): the value of 60 s ago is served meanwhile"
    ]


def test_one_warning_for_a_key_and_a_run_of_failures(
    cache: Cache, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Another key has its own, and so has a run after a success; nothing of an error's text is in it."""
    for key in ("a", "b"):
        fetch(cache, key, "old")
    clock.tick(60)
    for _ in range(3):
        for key in ("a", "b"):
            fail(cache, key, ConnectionResetError("planted"))
        clock.tick(5)
    assert [message.partition(" ")[0] for message in caplog.messages] == ["a", "b"]
    fetch(cache, "a", "new")
    clock.tick(60)
    fail(cache, "a", ConnectionResetError("planted"))
    assert [message.partition(" ")[0] for message in caplog.messages] == ["a", "b", "a"]
    assert "planted" not in caplog.text


def test_who_may_have_nothing_stale_is_not_kept_waiting(cache: Cache, clock: ManualClock) -> None:
    """The pause after a failure is for those whom the stale value serves; errors are never kept for others."""
    fetch(cache, "k", "old")
    clock.tick(60)
    assert fail(cache, "k", ConnectionResetError()) == "old"
    with pytest.raises(ThrottledError):
        fail(cache, "k", error_of(ThrottledError), stale_ttl_s=0.0)
    assert cache.fetch("k", lambda: Entry("new"), ttl_s=60.0, stale_ttl_s=0.0).value == "new"


def test_a_failure_after_thousands_is_one_like_the_others(cache: Cache, clock: ManualClock) -> None:
    """Of an outage that lasts, with readers that get nothing stale."""
    fetch(cache, "k", "old")
    clock.tick(60)
    for _ in range(2000):
        with pytest.raises(ConnectionResetError):
            fail(cache, "k", ConnectionResetError(), stale_ttl_s=0.0)
    assert fetch(cache, "k", "new") == "new"


# --- time


def budgets_of(left_s: float | None, *, stale: dict[str, bool], forced: bool = False) -> list[float | None]:
    """What the fetch of these keys may take, of which some have a stale value at hand."""
    clock = ManualClock()
    budget = Budget(clock=clock, invocation=lambda: left_s)
    cache = Cache(clock=clock, budget=budget, store=Entries(max_entries=9, max_bytes=1e6))
    seen: list[float | None] = []
    for key, is_stale in stale.items():
        if is_stale:
            fetch(cache, key)
    clock.tick(60)

    def work(keys: list[Any]) -> dict[Any, Any]:
        seen.append(budget())
        return {key: Entry("v") for key in keys}

    cache.fetch_each(stale, work, ttl_s=60.0, stale_ttl_s=60.0, forced=forced)
    return seen


@pytest.mark.parametrize(("left_s", "half_s"), [(8.0, 4.0), (None, None)])
def test_a_refresh_takes_at_most_half_of_the_time(left_s: float | None, half_s: float | None) -> None:
    """If it hangs, time is left to work with the stale value; what has none may take all, forced ones too."""
    assert budgets_of(left_s, stale={"a": True, "b": True}) == [half_s]
    assert budgets_of(left_s, stale={"a": True, "b": False}) == [left_s]
    assert budgets_of(left_s, stale={"a": False}) == [left_s]
    assert budgets_of(left_s, stale={"a": True}, forced=True) == [left_s]


@pytest.mark.parametrize("left_s", [0.0, -1.0])
def test_without_time_the_stale_value_is_served_and_nothing_has_failed(
    clock: ManualClock, left_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    """No fetch, no error, no warning, no pause: the next invocation has time again."""
    left: list[float | None] = [None]
    cache = Cache(
        clock=clock,
        budget=Budget(clock=clock, invocation=lambda: left[0]),
        store=Entries(max_entries=9, max_bytes=1e6),
    )
    fetch(cache, "k", "old")
    clock.tick(60)
    left[0] = left_s
    assert cache.fetch("k", pytest.fail, ttl_s=60.0, stale_ttl_s=60.0).value == "old"
    left[0] = None
    assert caplog.messages == []
    assert cache.counts()[0]["k"].as_dict() == {"hits": 0, "fetches": 1, "stale": 1, "errors": 0, "waits": 0}
    assert fetch(cache, "k", "new") == "new"


def test_a_waiter_without_time_gets_the_stale_value() -> None:
    """And who leads has the new one; a waiter who may have nothing stale gets an error."""
    left = threading.local()
    clock = ManualClock()
    cache = Cache(
        clock=clock,
        budget=Budget(clock=clock, invocation=lambda: getattr(left, "s", None)),
        store=Entries(max_entries=9, max_bytes=1e6),
    )
    fetch(cache, "k", "old")
    clock.tick(60)
    begun, through = threading.Event(), threading.Event()

    def slow() -> Entry:
        begun.set()
        assert through.wait(PATIENCE_S)
        return Entry("new")

    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(cache.fetch, "k", slow, ttl_s=60.0, stale_ttl_s=60.0)
        assert begun.wait(PATIENCE_S)
        left.s = 0.01
        assert cache.fetch("k", pytest.fail, ttl_s=60.0, stale_ttl_s=60.0).value == "old"
        with pytest.raises(DeadlineExceededError, match="to wait for a fetch"):
            cache.fetch("k", pytest.fail, ttl_s=60.0, stale_ttl_s=0.0)
        through.set()
        assert leader.result(PATIENCE_S).value == "new"


def between_look_and_call(meanwhile: Callable[[Cache], object]) -> tuple[Cache, Callable[..., Any]]:
    """A cache with a stale value, and a reader of it during whose next step something else happens."""
    clock = ManualClock()
    steps: list[Callable[[], object]] = []

    def left_s() -> None:
        if steps:
            steps.pop()()

    cache = Cache(
        clock=clock, budget=Budget(clock=clock, invocation=left_s), store=Entries(max_entries=9, max_bytes=1e6)
    )
    fetch(cache, "k", "old")
    clock.tick(60)

    def read(*, stale_ttl_s: float = 60.0) -> Any:
        steps.append(lambda: meanwhile(cache))
        return cache.fetch("k", pytest.fail, ttl_s=60.0, stale_ttl_s=stale_ttl_s).value

    return cache, read


def test_what_another_has_stored_between_a_look_and_a_fetch_is_taken() -> None:
    """It counts as a hit: it is fresh."""
    cache, read = between_look_and_call(lambda cache: fetch(cache, "k", "new"))
    assert read() == "new"
    assert cache.counts()[0]["k"].as_dict() == {"hits": 1, "fetches": 2, "stale": 0, "errors": 0, "waits": 0}


def test_what_has_failed_between_a_look_and_a_fetch_is_not_tried_again() -> None:
    """The pause after a failure holds for those too who were on their way."""
    cache, read = between_look_and_call(lambda cache: fail(cache, "k", ConnectionResetError()))
    assert read() == "old"
    assert cache.counts()[0]["k"].as_dict() == {"hits": 0, "fetches": 2, "stale": 2, "errors": 1, "waits": 0}


def test_who_fails_while_another_succeeds_gets_the_value_of_the_other(cache: Cache, clock: ManualClock) -> None:
    """It is fresh, and not served as a stale one."""
    listed = cache.fetch("list", lambda: Entry("list"), ttl_s=60.0, stale_ttl_s=0.0)
    fetch(cache, "k", "old")
    clock.tick(60)

    def overtaken() -> Entry:
        single = Entry("new")
        single.stamp(clock.now(), 1.0)
        cache.add("k", single, along=("list", listed))
        raise ConnectionResetError

    assert cache.fetch("k", overtaken, ttl_s=60.0, stale_ttl_s=60.0).value == "new"
    assert cache.counts()[0]["k"].stale == 0


# --- several at once


def test_an_interrupted_batch_frees_its_keys(cache: Cache) -> None:
    """Ctrl-C passes, and nothing is kept or counted of it."""

    def interrupted(keys: list[Any]) -> dict[Any, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.fetch_each("ab", interrupted, ttl_s=60.0, stale_ttl_s=60.0)
    assert (len(cache), cache.counts()[0]) == (0, {})
    assert fetch(cache, "a") == "v"


def test_of_a_batch_what_is_invalidated_meanwhile_is_not_kept(cache: Cache, clock: ManualClock) -> None:
    """The others are; who asked gets all."""

    def work(keys: list[Any]) -> dict[Any, Any]:
        cache.invalidate(lambda key: key == "a")
        return {key: Entry(key) for key in keys}

    outcomes = cache.fetch_each("ab", work, ttl_s=60.0, stale_ttl_s=60.0)
    assert {key: outcome.value for key, outcome in outcomes.items() if isinstance(outcome, Entry)} == {
        "a": "a",
        "b": "b",
    }
    assert (state(cache, clock, "a"), state(cache, clock, "b")) == (ABSENT, FRESH)


def test_in_a_batch_each_key_fares_by_itself(cache: Cache, clock: ManualClock) -> None:
    """New, stale after a failure, in back-off, and failed without an entry."""
    for key in ("stale", "in back-off"):
        fetch(cache, key, "old")
    clock.tick(60)
    fail(cache, "in back-off", ConnectionResetError())
    denied = error_of(AccessDeniedError)
    asked: list[list[Any]] = []

    def work(keys: list[Any]) -> dict[Any, Any]:
        asked.append(keys)
        return {"stale": ConnectionResetError(), "denied": denied, "new": Entry("new")}

    outcomes = cache.fetch_each(["new", "denied", "in back-off", "stale"], work, ttl_s=60.0, stale_ttl_s=60.0)
    assert asked == [["new", "denied", "stale"]]
    assert {key: outcome.value if isinstance(outcome, Entry) else outcome for key, outcome in outcomes.items()} == {
        "new": "new",
        "denied": denied,
        "in back-off": "old",
        "stale": "old",
    }


# --- what comes along


def test_what_comes_along_with_a_list_is_kept_like_what_was_asked_for(cache: Cache, clock: ManualClock) -> None:
    """Unless the list is gone by now, or something as new is there: by the clock that nobody sets."""
    listed = cache.fetch("list", lambda: Entry("list"), ttl_s=60.0, stale_ttl_s=0.0)

    def offer(value: str) -> str:
        single = Entry(value)
        single.stamp(clock.now(), 1.0)
        cache.add("k", single, along=("list", listed))
        kept = cache.latest("k")
        return "nothing" if kept is None else str(kept.value)

    assert offer("first") == "first"
    assert offer("of the same moment") == "first"
    clock.tick(1)
    clock.set_wall(clock.wall_s - 3600)
    assert offer("newer") == "newer"
    cache.invalidate(lambda key: True)
    assert offer("after the list") == "nothing"


def test_an_entry_that_is_offered_again_keeps_its_count(cache: Cache, clock: ManualClock) -> None:
    """A list that is served stale offers what it has offered before."""
    listed = cache.fetch("list", lambda: Entry("list"), ttl_s=60.0, stale_ttl_s=0.0)
    single = Entry("v")
    single.stamp(clock.now(), 1.0)
    for _ in range(3):
        cache.add("k", single, along=("list", listed))
        assert cache.fresh("k", 60.0) is single
    assert cache.counts()[0]["k"].hits == 3


# --- tasks


def fetch_async(cache: Cache, work: Any, *, stale_ttl_s: float = 60.0) -> Any:
    return asyncio.run(cache.fetch_async("k", work, ttl_s=60.0, stale_ttl_s=stale_ttl_s)).value


def awaited(outcome: Any) -> Callable[[], Any]:
    async def work() -> Entry:
        if isinstance(outcome, Exception):
            raise outcome
        return Entry(outcome)

    return work


def test_tasks_have_the_same_laws(cache: Cache, clock: ManualClock) -> None:
    """Kept, stale on what may pass, in peace for a while, raised otherwise, counted."""
    assert fetch_async(cache, awaited("old")) == "old"
    assert fetch_async(cache, awaited("unwanted")) == "old"  # stored meanwhile
    clock.tick(60)
    assert fetch_async(cache, awaited(ConnectionResetError())) == "old"
    assert fetch_async(cache, pytest.fail) == "old"  # it backs off
    with pytest.raises(ConnectionResetError):
        fetch_async(cache, awaited(ConnectionResetError()), stale_ttl_s=0.0)
    clock.tick(2)
    with pytest.raises(ValueError, match="mine"):
        fetch_async(cache, awaited(ValueError("mine")))
    assert fetch_async(cache, awaited("new")) == "new"
    assert cache.counts()[0]["k"].as_dict() == {"hits": 1, "fetches": 5, "stale": 2, "errors": 3, "waits": 0}


def test_a_task_has_the_invocations_time_and_half_of_it_for_a_refresh() -> None:
    """What hangs is ended, and is a failure; what has no time does not begin."""
    clock = ManualClock()
    left: list[float | None] = [8.0]
    budget = Budget(clock=clock, invocation=lambda: left[0])
    cache = Cache(clock=clock, budget=budget, store=Entries(max_entries=9, max_bytes=1e6))
    seen: list[float | None] = []

    async def look() -> Entry:
        seen.append(budget())
        return Entry("v")

    async def hang() -> Entry:
        await asyncio.Event().wait()
        raise AssertionError

    fetch_async(cache, look)
    clock.tick(60)
    fetch_async(cache, look)
    assert seen == [8.0, 4.0]
    clock.tick(60)
    left[0] = 0.02
    assert fetch_async(cache, hang) == "v"
    with pytest.raises(DeadlineExceededError, match="longer than the invocation"):
        fetch_async(cache, hang, stale_ttl_s=0.0)
    assert cache.counts()[0]["k"].errors == 2
    clock.tick(10)
    left[0] = 0.0
    assert fetch_async(cache, pytest.fail) == "v"
    with pytest.raises(DeadlineExceededError, match="to begin a fetch"):
        fetch_async(cache, pytest.fail, stale_ttl_s=0.0)
    assert cache.counts()[0]["k"].errors == 2


def test_a_cancelled_task_is_no_error_and_counts_for_nothing(cache: Cache) -> None:
    """The cancellation passes, the next one fetches."""

    async def test() -> None:
        task = asyncio.create_task(cache.fetch_async("k", asyncio.Event().wait, ttl_s=60.0, stale_ttl_s=60.0))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(test())
    assert cache.counts()[0] == {}
    assert fetch_async(cache, awaited("v")) == "v"


def test_tasks_that_wait_are_counted(cache: Cache) -> None:
    """Three ask, one fetches, two wait."""

    async def test() -> None:
        through = asyncio.Event()

        async def work() -> Entry:
            await through.wait()
            return Entry("v")

        tasks = [asyncio.create_task(cache.fetch_async("k", work, ttl_s=60.0, stale_ttl_s=0.0)) for _ in range(3)]
        await asyncio.sleep(0)
        through.set()
        assert [entry.value for entry in await asyncio.gather(*tasks)] == ["v"] * 3

    asyncio.run(test())
    assert cache.counts()[0]["k"].as_dict() == {"hits": 0, "fetches": 1, "stale": 0, "errors": 0, "waits": 2}


# --- jitter and numbers


@pytest.mark.parametrize("random", [0.0, 0.5, 0.999])
def test_a_ttl_is_shortened_by_up_to_a_tenth_when_a_value_is_stored(random: float) -> None:
    """For every reader alike, whatever his ttl, and whatever is drawn later."""
    clock = ManualClock(chance=random)
    cache = new_cache(clock)
    fetch(cache, "k")
    clock.random_value = 0.123
    share = 1.0 - random / 10
    clock.tick(10.0 * share - 0.001)
    assert [state(cache, clock, "k", ttl) for ttl in (9.0, 10.0, 20.0)] == [STALE, FRESH, FRESH]
    clock.tick(0.002)
    assert [state(cache, clock, "k", ttl) for ttl in (10.0, 20.0)] == [STALE, FRESH]


def test_a_value_may_say_how_long_it_is_good(clock: ManualClock) -> None:
    """For readers who leave it to the value; jitter holds there too."""
    clock.random_value = 0.5
    cache = new_cache(clock)
    cache.fetch("k", lambda: Entry("v", lifetime_s=100.0), ttl_s=None, stale_ttl_s=0.0)
    clock.tick(94.9)
    assert cache.fresh("k", None) is not None
    assert cache.look("k", clock.now(), None, 0.0)[0] == FRESH
    clock.tick(0.2)
    assert cache.fresh("k", None) is None
    assert cache.look("k", clock.now(), None, 1.0)[0] == STALE


def test_hits_of_entries_that_are_gone_are_not_lost(cache: Cache, clock: ManualClock) -> None:
    """Replaced, invalidated, pushed out: each hit counts once."""
    for forget in (
        lambda: fetch(cache, "k", forced=True),
        lambda: cache.invalidate(lambda key: key == "k"),
        lambda: [fetch(cache, key) for key in "abc"],
    ):
        fetch(cache, "k")
        clock.tick(1)
        assert cache.fresh("k", 60.0) is not None
        clock.tick(1)
        forget()
    assert cache.counts()[0]["k"].hits == 4  # the fetch after the forced one found it


def test_its_entries_are_all_that_it_keeps(cache: Cache, clock: ManualClock) -> None:
    """However old; a look at them is no use of one."""
    for key in "abc":
        fetch(cache, key, f"value of {key}")
        clock.tick(1e6)
    assert [(key, entry.value) for key, entry in cache.entries()] == [(key, f"value of {key}") for key in "abc"]
    fetch(cache, "d")
    assert [key for key, _ in cache.entries()] == ["b", "c", "d"]


def test_its_size_is_that_of_its_values(cache: Cache) -> None:
    """In bytes, as Python holds them."""
    fetch(cache, "a", "x" * 100)
    fetch(cache, "b", b"y" * 100)
    assert cache.size() == sys.getsizeof("x" * 100) + sys.getsizeof(b"y" * 100)


def test_an_empty_cache_is_a_cache(cache: Cache) -> None:
    """Who asks whether there is one is told so: a second one would fetch a second time."""
    assert len(cache) == 0
    assert cache


def test_the_same_thing_is_derived_of_two_entries_at_once(cache: Cache) -> None:
    """Neither waits for the other, nor gets what is the other's."""
    one, other = fetched(cache, "one"), fetched(cache, "other")
    assert (
        cache.derive("one", one, ("d",), lambda: f"of one, {cache.derive('other', other, ('d',), lambda: 'of other')}")
        == "of one, of other"
    )
    assert [result(one, "d"), result(other, "d"), result(one, "e")] == ["of one, of other", "of other", None]


def result(entry: Entry, name: str) -> Any:
    """What is kept of it by this name."""
    made = entry.result((name,))
    return None if made is None else made.value


def fetched(cache: Cache, key: Any) -> Entry:
    return cache.fetch(key, lambda: Entry("v"), ttl_s=60.0, stale_ttl_s=0.0)
