"""What the cache keeps, and what has to go for it."""

import sys
from collections import OrderedDict
from typing import Any
from weakref import ref

import pytest

from lambdakit import Settings
from lambdakit._cache import Entries, Entry, Failure, Result, size_of
from lambdakit.exceptions import FetchError, ThrottledError

NOW = (1000.0, 10.0)


def put(entries: Entries, key: str, *, at: float, size: int = 0) -> list[Any]:
    entry = Entry(key)
    entry.size = size
    entry.stamp((0.0, at), 1.0)
    return [gone for gone, _ in entries.put(key, entry)]


def after(failures: int, *, random: float = 0.0, error: Exception | None = None) -> Failure:
    failure = None
    for _ in range(failures):
        failure = Failure(error or ConnectionResetError(), last=failure, now=NOW, random=random)
    assert failure is not None
    return failure


def wait_s(failure: Failure) -> float:
    """The first hundredth of a second in which another attempt may be made."""
    return next(
        step / 100 for step in range(10_000) if not failure.in_backoff((NOW[0] + step / 100, NOW[1] + step / 100))
    )


@pytest.mark.parametrize(
    ("failures", "least", "most"),
    [(1, 1.0, 1.25), (2, 2.0, 2.5), (3, 4.0, 5.0), (5, 16.0, 20.0), (6, 30.0, 30.0), (2000, 30.0, 30.0)],
)
def test_the_back_off_doubles_up_to_thirty_seconds(failures: int, least: float, most: float) -> None:
    """Up to a quarter more by chance, never more than 30 s, however many there were."""
    assert wait_s(after(failures)) == least
    assert wait_s(after(failures, random=1.0)) == most


def test_a_back_off_ends_with_frozen_time_and_with_a_clock_that_was_set_back() -> None:
    """What is not known counts as long ago."""
    failure = after(3)
    assert failure.in_backoff(NOW)
    assert not failure.in_backoff((NOW[0] + 4.0, NOW[1]))
    assert not failure.in_backoff((NOW[0] - 1.0, NOW[1]))


def test_one_warning_for_a_run_of_failures() -> None:
    """Who tells first is told so, through all failures of the run; another run begins anew."""
    first = after(1)
    assert [first.set_warned(), first.set_warned()] == [True, False]
    assert not Failure(ConnectionResetError(), last=first, now=NOW, random=0.0).set_warned()
    assert after(1).set_warned()


def test_a_failure_says_the_class_and_the_code_and_nothing_else() -> None:
    """The text of an error that is not ours may hold anything, its attributes too."""

    class CodedError(Exception):
        code = "planted"

    throttled = ThrottledError("planted", service="ssm", operation="GetParameter", name="/x", code="TooMany")
    assert after(1, error=throttled).reason == "ThrottledError TooMany"
    assert after(1, error=FetchError("planted", service="s", operation="o", name="x")).reason == "FetchError"
    assert after(1, error=CodedError("planted")).reason == "CodedError"


def test_an_entry_backs_off_after_a_failure_only() -> None:
    """One that never failed never does."""
    entry = Entry("v")
    assert not entry.in_backoff(NOW)
    entry.failure = after(1)
    assert entry.in_backoff(NOW)
    assert not entry.in_backoff((NOW[0] + 1.0, NOW[1] + 1.0))


def test_the_size_is_that_of_text_and_bytes() -> None:
    """As Python holds them; of anything else it is not known."""
    assert Entry("é" * 100).size == sys.getsizeof("é" * 100)
    assert Entry(b"x" * 100).size == sys.getsizeof(b"x" * 100)
    assert [Entry(other).size for other in (None, 5, [b"x" * 100], {"a": "b"})] == [0, 0, 0, 0]


@pytest.mark.parametrize(("made", "first"), [(99, 0), (100, 0), (101, 1), (250, 150)])
def test_of_results_the_last_hundred_are_kept(made: int, first: int) -> None:
    """By name; what goes says how many bytes it took, when the last of its names goes."""
    entry = Entry("v")
    freed = 0
    for number in range(made):
        freed += entry.make_room()
        entry.keep_result((number,), sized(number))
    assert [result.value for result in entry.results.values()] == [*range(first, made)]
    assert freed == sum(range(first))


def sized(size: int) -> Result:
    """A result of so many bytes."""
    made = Result(size, 0)
    made.size = size
    return made


def test_a_result_goes_with_the_last_of_its_names() -> None:
    """A name that ends with a weak reference goes with what that refers to."""

    class Reader:
        """Somebody."""

    entry, one, other = Entry("v"), Reader(), Reader()
    entry.keep_result((("field", ref(one)), "shared"), sized(5))
    entry.keep_result((("field", ref(other)),), sized(7))
    assert entry.make_room() == 0
    del one, other
    assert entry.make_room() == 7
    assert [*entry.results] == ["shared"]


def test_what_grows_pushes_out_others() -> None:
    """The one whose last use is longest ago first, never itself, and nothing where there is no room for it alone."""
    entries = Entries(max_entries=9, max_bytes=100)
    for number, key in enumerate("abc"):
        put(entries, key, at=number, size=20)
    a = entries["a"]
    assert entries.grow("a", a, 40) == []
    assert (entries.size(), a.size) == (100, 60)
    assert [key for key, _ in entries.grow("a", a, 10) or ()] == ["b"]
    assert (entries.size(), [*entries]) == (90, ["a", "c"])
    assert entries.grow("a", a, 31) is None
    assert (entries.size(), a.size) == (90, 70)
    assert entries.grow("a", a, -70) == []
    assert put(entries, "d", at=9, size=90) == ["a", "c"]  # passed over then, it is the oldest now
    assert entries.size() == 90


def test_who_leaves_the_store_leaves_its_results_behind() -> None:
    """An entry may live on in a list, where nobody would count them."""
    entries = Entries(max_entries=9, max_bytes=100)
    put(entries, "a", at=1, size=20)
    entry = entries["a"]
    entry.keep_result(("d",), sized(5))
    entry.fields = {"f": 1}
    entries.pop("a")
    assert (entry.fields, entry.results) == ({}, {})


SHARED = "s" * 100
SIZES: list[tuple[Any, int]] = [
    (None, object.__sizeof__(None)),
    ("é" * 10, sys.getsizeof("é" * 10)),
    ([1, 2], [].__sizeof__() + 16 + 2 * (1).__sizeof__()),
    ([SHARED, SHARED], [None, None].__sizeof__() + SHARED.__sizeof__()),
    ({"a": b"b"}, {"a": 1}.__sizeof__() + "a".__sizeof__() + b"b".__sizeof__()),
    ({1.5}, {1.5}.__sizeof__() + (1.5).__sizeof__()),
    (OrderedDict(a="b"), dict.__sizeof__({"a": 1}) + "a".__sizeof__() + "b".__sizeof__()),
]


@pytest.mark.parametrize(("value", "expected"), SIZES)
def test_the_size_of_what_was_made(value: Any, expected: int) -> None:
    """That of all there is in it, once; a few bytes more or less as Python lays it out."""
    assert size_of(value, 10_000) == pytest.approx(expected, abs=100)


def test_the_size_of_what_nobody_can_measure() -> None:
    """Nothing of it is called; it counts as what it was made of, alone and among others."""

    class Theirs:
        """Breaks whoever looks at it."""

        def __sizeof__(self) -> int:
            raise AssertionError

        def __getattribute__(self, name: str) -> Any:
            raise AssertionError

    circle: list[Any] = [Theirs()]
    circle.append(circle)
    assert (size_of(Theirs(), 10_000), size_of(circle, 10_000), size_of(circle) < 500) == (10_000, 10_000, True)


def test_the_one_whose_last_use_is_longest_ago_goes_first() -> None:
    """A use makes it young; of those used at the same moment the one stored first goes."""
    entries = Entries(max_entries=3, max_bytes=0)
    for at, key in enumerate("abc"):
        put(entries, key, at=at)
    entries["a"].used_s = 5.0
    assert put(entries, "d", at=6) == ["b"]
    for key in "acd":
        entries[key].used_s = 7.0
    assert put(entries, "e", at=8) == ["a"]  # it was stored first
    assert [*entries] == ["c", "d", "e"]


class Watched(Entry):
    """Counts how often somebody looks when it was used."""

    __slots__ = ("looks",)

    @property
    def used_s(self) -> float:  # type: ignore[override]
        self.looks += 1
        return float(Entry.used_s.__get__(self))

    @used_s.setter
    def used_s(self, used_s: float) -> None:
        self.looks = getattr(self, "looks", 0)
        Entry.used_s.__set__(self, used_s)


def watched(at: float, size: int) -> Watched:
    entry = Watched("v")
    entry.size = size
    entry.stamp((0.0, at), 1.0)
    return entry


def test_eviction_does_not_search() -> None:
    """A value of half the size pushes 500 out of a full cache: each was looked at once, and again when its turn came.

    Looks are counted, not time: a search for each of them would take 375,000.
    """
    bounds = Settings()
    entries = Entries(max_entries=bounds.max_entries, max_bytes=bounds.max_bytes)
    size = bounds.max_bytes // bounds.max_entries
    kept = [watched(float(number), size) for number in range(bounds.max_entries)]
    for number, entry in enumerate(kept):
        entries.put(number, entry)
        entry.looks = 0
    assert [key for key, _ in entries.put("large", watched(5000.0, bounds.max_bytes // 2))] == [*range(500)]
    assert [max(entry.looks for entry in part) for part in (kept[:500], kept[500:])] == [2, 1]


def test_a_use_between_evictions_is_paid_for_once() -> None:
    """In a full cache that is read and stored into in turn, a store looks at a few entries, however many there are."""
    entries = Entries(max_entries=1000, max_bytes=0)
    everything = [watched(float(number), 0) for number in range(4000)]
    for number, entry in enumerate(everything):
        entries.put(number, entry)
        if number >= 1000:
            entries[[*entries][number * 7919 % 1000]].used_s = number + 0.5
    assert len(entries) == 1000
    assert sum(entry.looks for entry in everything) <= 6 * len(everything)


def test_what_is_sorted_is_bounded() -> None:
    """Values that come late, of which each replaces the one before, leave nothing behind."""
    entries = Entries(max_entries=3, max_bytes=0)
    for at, key in enumerate("abcd"):
        put(entries, key, at=at)
    for _ in range(100):
        put(entries, "late", at=1.5)
        entries.pop("late")
    assert len(entries._by_use) <= 4
    assert [put(entries, key, at=at) for key, at in (("late", 1.5), ("e", 5.0), ("f", 6.0))] == [[], ["late"], ["c"]]


def test_what_is_gone_by_itself_is_no_longer_in_the_order() -> None:
    """Invalidated, or replaced by a newer one of the same key: it is not the one to go."""
    entries = Entries(max_entries=4, max_bytes=0)
    for at, key in enumerate("abcde"):
        put(entries, key, at=at)
    entries.pop("b")
    put(entries, "c", at=5.0)
    assert [put(entries, key, at=6.0) for key in "fgh"] == [[], ["d"], ["e"]]
    assert [*entries] == ["c", "f", "g", "h"]


def test_an_entry_that_is_replaced_makes_room() -> None:
    """It is told as gone, and nothing else has to go."""
    entries = Entries(max_entries=2, max_bytes=100)
    put(entries, "a", at=0, size=60)
    put(entries, "b", at=1, size=40)
    assert put(entries, "a", at=2, size=60) == ["a"]
    assert (sorted(entries), entries.size()) == (["a", "b"], 100)


@pytest.mark.parametrize(("size", "gone"), [(40, []), (41, ["a"]), (70, ["a"]), (71, ["a", "b"]), (100, ["a", "b"])])
def test_as_many_go_as_must_for_their_bytes(size: int, gone: list[str]) -> None:
    """At the bound nothing, past it the oldest, and the next."""
    entries = Entries(max_entries=10, max_bytes=100)
    put(entries, "a", at=0, size=30)
    put(entries, "b", at=1, size=30)
    assert put(entries, "c", at=2, size=size) == gone


def test_what_is_too_large_is_not_kept_and_takes_its_old_value_along() -> None:
    """The old value is not the value any more; others stay."""
    entries = Entries(max_entries=10, max_bytes=100)
    put(entries, "a", at=0, size=50)
    put(entries, "b", at=0, size=50)
    assert put(entries, "a", at=1, size=101) == ["a"]
    assert ([*entries], entries.size()) == (["b"], 50)


def test_no_entries_at_all() -> None:
    """A bound of 0 keeps nothing."""
    entries = Entries(max_entries=0, max_bytes=100)
    assert put(entries, "a", at=0, size=1) == []
    assert (len(entries), entries.size()) == (0, 0)


def test_what_is_given_up_is_returned_and_its_bytes_are_free() -> None:
    """And what is not there is None."""
    entries = Entries(max_entries=2, max_bytes=100)
    put(entries, "a", at=0, size=60)
    entry = entries["a"]
    assert (entries.pop("a"), entries.pop("a"), entries.size()) == (entry, None, 0)


def test_the_repr_of_an_entry_hides_its_value() -> None:
    """The version tells enough."""
    assert repr(Entry("planted", "v-1", fetch_state="planted")) == "<Entry version=v-1>"
