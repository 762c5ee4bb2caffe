"""The cache: whether a value is fresh, stale or absent for a reader, and what a reader gets when a fetch fails."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from weakref import ref

from ._clock import age_s, least_age_s
from ._diagnostics import warn
from ._single_flight import SingleFlight
from .exceptions import DeadlineExceededError, FetchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping
    from typing import Any, Protocol, TypedDict

    from ._clock import Budget, Clock, Instant

    class Store(Protocol):
        """Entries by key within bounds. `get` needs no lock, everything else the cache's."""

        def get(self, key: Any, /) -> Entry | None: ...
        def put(self, key: Any, entry: Entry) -> list[tuple[Any, Entry]]: ...
        def pop(self, key: Any) -> Entry | None: ...
        def grow(self, key: Any, entry: Entry, size: int) -> list[tuple[Any, Entry]] | None: ...
        def keys(self) -> Iterable[Any]: ...
        def size(self) -> int: ...
        def hits(self) -> int: ...
        def __len__(self) -> int: ...

    class Counts(TypedDict):
        """What `Counters.as_dict` returns."""

        hits: int
        fetches: int
        stale: int
        errors: int
        waits: int


FRESH, STALE, ABSENT = "fresh", "stale", "absent"

_JITTER = 0.1  # the most by which a ttl is shortened, so that environments born together do not refresh together
_FIRST_BACKOFF_S, _MAX_BACKOFF_S, _BACKOFF_JITTER = 1.0, 30.0, 0.25
_MAX_DERIVED = 100  # fields of a value, and results of functions of it
_MAX_COUNTED = 2_000  # keys that are counted one by one: twice the entries that are kept
_NOTHING: dict[Any, Any] = {}  # of each entry until there is something
_CONTAINERS: tuple[type[Any], ...] = (dict, list, tuple, set, frozenset)
_KINDS: tuple[type[Any], ...] = (*_CONTAINERS, str, bytes, bytearray, int, float)
_LATEST = float("inf"), 0  # in the order of `_last_use`: nothing comes behind it

# Whether a fetch surrounds this code: in tasks and in threads that are started with a copy of the context too.
_FETCHING: ContextVar[bool] = ContextVar("lambdakit_fetching", default=False)


class Cache:
    """Entries by key.

    Thread-safe. `fresh` and `look` take no lock: an entry is complete before it is stored, and its value never changes.
    Nothing is fetched here: who reads says how.

    Args:
        clock: both clocks, and what jitter is drawn from.
        budget: seconds that a fetch may take now.
        store: where entries are kept, and within which bounds.
        describe: what a key is called in messages.
        ttl_s: what most readers have; see `Entry.window`.
    """

    __slots__ = (
        "_budget",
        "_clock",
        "_counters",
        "_derivations",
        "_describe",
        "_fetches",
        "_get",
        "_lock",
        "_store",
        "_told_of_size",
        "_ttl_s",
    )

    def __init__(
        self,
        *,
        clock: Clock,
        budget: Budget,
        store: Store,
        describe: Callable[[Any], str] = str,
        ttl_s: float = 0.0,
    ) -> None:
        self._clock = clock
        self._ttl_s = ttl_s
        self._budget = budget
        self._describe = describe
        self._lock = threading.Lock()
        self._fetches = SingleFlight(self._lock)
        self._derivations = SingleFlight(self._lock)
        self._store = store
        self._get = store.get
        self._counters = CountersByKey()
        self._told_of_size = False

    def fresh(self, key: Any, ttl_s: float | None) -> Entry | None:
        """The entry of `key`, counted as a hit, if it is fresh for a reader with this ttl; None: the value's own."""
        wall_s, monotonic_s = self._clock.now()
        entry = self._get(key)
        if entry is None:
            return None
        # `age_s`, written out: the call would be a tenth of a hit.
        stored_wall_s, stored_monotonic_s = entry.stored
        fresh_s = (entry.lifetime_s if ttl_s is None else ttl_s) * entry.ttl_factor
        if not 0.0 <= wall_s - stored_wall_s < fresh_s or monotonic_s - stored_monotonic_s >= fresh_s:
            return None
        entry.hits += 1
        entry.used_s = monotonic_s
        return entry

    def look(self, key: Any, now: Instant, ttl_s: float | None, stale_ttl_s: float) -> tuple[str, Entry | None]:
        """The state of `key` for a reader with this ttl and stale ttl, and its entry unless it is absent.

        A wall clock that ran backwards makes a value stale, for as long as monotonic time allows.
        """
        entry = self._store.get(key)
        if entry is None:
            return ABSENT, None
        fresh_s = (entry.lifetime_s if ttl_s is None else ttl_s) * entry.ttl_factor
        if age_s(entry.stored, now) < fresh_s:
            return FRESH, entry
        stale = stale_ttl_s > 0.0 and least_age_s(entry.stored, now) < fresh_s + stale_ttl_s
        return (STALE, entry) if stale else (ABSENT, None)

    def latest(self, key: Any) -> Entry | None:
        """The entry of `key`, however old."""
        return self._store.get(key)

    def entries(self) -> list[tuple[Any, Entry]]:
        """All of them, however old, with their keys."""
        with self._lock:
            pairs = [(key, self._store.get(key)) for key in self._store.keys()]  # noqa: SIM118 - a store is no mapping
        return [(key, entry) for key, entry in pairs if entry is not None]

    def read(
        self,
        key: Any,
        fetch: Callable[..., Entry],
        *arguments: Any,
        ttl_s: float | None,
        stale_ttl_s: float = 0.0,
        forced: bool = False,
    ) -> Entry:
        """The entry of `key`: from memory while it is fresh, else what ``fetch(*arguments)`` returns; see `fetch`."""
        entry = None if forced else self.fresh(key, ttl_s)
        if entry is None:
            entry = self.fetch(key, lambda: fetch(*arguments), ttl_s=ttl_s, stale_ttl_s=stale_ttl_s, forced=forced)
        return entry

    def fetch(
        self, key: Any, work: Callable[[], Entry], *, ttl_s: float | None, stale_ttl_s: float, forced: bool = False
    ) -> Entry:
        """`fetch_each` for one key, whose exception is raised."""
        return entry_of(
            self.fetch_each((key,), lambda _: {key: work()}, ttl_s=ttl_s, stale_ttl_s=stale_ttl_s, forced=forced)[key]
        )

    def fetch_each(
        self,
        keys: Iterable[Any],
        work: Callable[[list[Any]], dict[Any, Entry | Exception]],
        *,
        ttl_s: float | None,
        stale_ttl_s: float,
        forced: bool = False,
    ) -> dict[Any, Entry | Exception]:
        """Run `work` in a single flight for each key, and store what it fetched.

        What fails with an error that may pass (throttling, a server's fault, the network, time) is served stale where
        that is allowed, with one warning for each run of failures, and is not fetched again for a while: 1 s, then
        twice as long each time up to 30 s. Nothing is stored of an error otherwise.

        Args:
            keys: without duplicates.
            work: an entry, or an exception, for each of the keys that it is given; `SingleFlight.run_each` says when.
            ttl_s: the reader's; None for the value's own.
            stale_ttl_s: seconds after the end of the ttl in which a value may be served on an error.
            forced: fetch in any case, and raise in any case.
        """
        outcomes: dict[Any, Entry | Exception] = {}
        wanted: list[Any] = []
        all_stale = True
        for key in keys:
            stale, backing_off = (None, False) if forced else self._stale_entry(key, ttl_s, stale_ttl_s)
            if stale is not None and backing_off:
                outcomes[key] = self._serve_stale(key, stale)
            else:
                all_stale = all_stale and stale is not None
                wanted.append(key)
        # Where there is something to serve instead, a fetch that hangs leaves time to go on with it.
        with self._budget.within(self._budget.half_s() if all_stale else None):
            fetched = self._fetches.run_each(
                wanted,
                lambda keys: self._run(keys, work),
                lookup=lambda key: self._fetched_meanwhile(key, ttl_s, stale_ttl_s),
                store=self._put,
                remaining=self._budget,
                forced=forced,
                joined=self._count_wait,
            )
        for key, outcome in fetched.items():
            failed = isinstance(outcome, Exception) and not forced
            outcomes[key] = self._fallback(key, outcome, ttl_s, stale_ttl_s) if failed else outcome
        return outcomes

    async def fetch_async(
        self, key: Any, work: Callable[[], Awaitable[Entry]], *, ttl_s: float | None, stale_ttl_s: float
    ) -> Entry:
        """`fetch` with work that is awaited; of tasks and threads that ask at once one does it."""
        stale, backing_off = self._stale_entry(key, ttl_s, stale_ttl_s)
        if stale is not None and backing_off:
            return self._serve_stale(key, stale)

        async def run() -> Entry:
            started = self._start_fetch()
            with _fetching() as outermost:
                try:
                    fetched: Entry | Exception = await self._budget.bound(work())
                except Exception as error:  # noqa: BLE001 - raised below, and to those who asked
                    fetched = error
            self._note({key: fetched}, started, timed=outermost)
            return entry_of(fetched)

        with self._budget.within(None if stale is None else self._budget.half_s()):
            outcome = await self._fetches.run_async(
                key,
                run,
                lookup=lambda key: self._fetched_meanwhile(key, ttl_s, stale_ttl_s),
                store=self._put,
                remaining=self._budget,
                joined=self._count_wait,
            )
        return entry_of(self._fallback(key, outcome, ttl_s, stale_ttl_s) if isinstance(outcome, Exception) else outcome)

    def _stale_entry(self, key: Any, ttl_s: float | None, stale_ttl_s: float) -> tuple[Entry | None, bool]:
        """What can be served if a fetch fails, and whether it is too early to try one."""
        now = self._clock.now()
        state, entry = self.look(key, now, ttl_s, stale_ttl_s)
        return entry, entry is not None and state == STALE and entry.in_backoff(now)

    def _fetched_meanwhile(self, key: Any, ttl_s: float | None, stale_ttl_s: float) -> Entry | Exception | None:
        """What another fetch has brought between a look and now: a value, or a reason not to try again yet."""
        entry = self.fresh(key, ttl_s)
        if entry is None and self._stale_entry(key, ttl_s, stale_ttl_s)[1]:
            return DeadlineExceededError("a refresh has just failed: it is too early for another")
        return entry

    def _start_fetch(self) -> Instant:
        left_s = self._budget()
        if left_s is not None and left_s <= 0.0:
            raise DeadlineExceededError("the invocation has too little time left to begin a fetch")
        return self._clock.now()

    def _run(
        self, keys: list[Any], work: Callable[[list[Any]], dict[Any, Entry | Exception]]
    ) -> dict[Any, Entry | Exception]:
        started = self._start_fetch()
        fetched: dict[Any, Entry | Exception]
        with _fetching() as outermost:
            try:
                fetched = work(keys)
            except Exception as error:  # noqa: BLE001 - it is the outcome, and is raised to those who asked
                fetched = dict.fromkeys(keys, error)
        self._note(fetched, started, timed=outermost)
        return fetched

    def _note(self, fetched: Mapping[Any, Entry | Exception], started: Instant, *, timed: bool) -> None:
        """Count a fetch that has ended, stamp what it brought, and remember what failed."""
        random = self._clock.random()  # the same for all: what was fetched together is refreshed together
        took_s = self._clock.now()[1] - started[1] if timed else 0.0
        with self._lock:
            self._counters.count_fetch(fetched, took_s)
        for key, outcome in fetched.items():
            if isinstance(outcome, Exception):
                self._note_failure(key, outcome, random)
            else:
                outcome.stamp(started, 1.0 - _JITTER * random, self._ttl_s)

    def _note_failure(self, key: Any, error: Exception, random: float) -> None:
        """Remember that a refresh failed, where there is something that it was to refresh."""
        from ._errors import is_transient  # 0.5 ms, only on the way to an error

        entry = self._store.get(key)
        if entry is not None and is_transient(error):
            entry.failure = Failure(error, last=entry.failure, now=self._clock.now(), random=random)

    def _fallback(self, key: Any, error: Exception, ttl_s: float | None, stale_ttl_s: float) -> Entry | Exception:
        """What a reader gets instead of an error, or the error."""
        from ._errors import is_transient

        state, entry = self.look(key, self._clock.now(), ttl_s, stale_ttl_s)
        if entry is None or not is_transient(error):
            return error
        return entry if state == FRESH else self._serve_stale(key, entry)  # fresh: another thread has fetched it

    def _serve_stale(self, key: Any, entry: Entry) -> Entry:
        now = self._clock.now()
        failure = entry.failure  # without one the fetch did not fail: this reader had no time for it
        with self._lock:
            self._counters.count_stale(key)
            entry.used_s = now[1]
            first = failure is not None and failure.set_warned()
        if first and failure is not None:
            message = "%s could not be refreshed (%s): the value of %.0f s ago is served meanwhile"
            warn(message, self._describe(key), failure.reason, least_age_s(entry.stored, now))
        return entry

    def derive(
        self,
        key: Any,
        entry: Entry,
        names: tuple[Hashable, ...],
        work: Callable[[], Any],
        *,
        within: tuple[Any, Entry] | None = None,
    ) -> Any:
        """What `work` makes of `entry`, made once for the entry's life and the same object for every reader.

        It counts among the bytes of the store, as `size_of` tells them. What has no room there is made each time.

        Args:
            key: of the entry.
            entry: may be stored or not; nothing is kept of one that is not.
            names: what identifies the result, each by itself. A weak reference at the end of a name is to whom the
                result is for: it goes when that is gone.
            work: called without a lock, by one thread of those that ask for the last of the names.
            within: key and entry of a list that the entry is part of.
        """
        made = entry.result(names)
        if made is None:
            made = self._derivations.run(
                (entry, names[-1]),
                lambda: Result(work(), entry.size_of_value),
                lookup=lambda _: entry.result(names),
                store=lambda _, made: self._keep_result(key, entry, names, made, within),
                remaining=self._budget,
            )
        return made.value

    def keep_field(
        self, key: Any, entry: Entry, field: str, value: Any, *, within: tuple[Any, Entry] | None = None
    ) -> None:
        """Keep a part of a value, which counts as what `derive` makes."""
        with self._lock:
            if len(entry.fields) < _MAX_DERIVED and self._count(key, entry, sys.getsizeof(value), within):
                entry.fields = {**entry.fields, field: value}

    def _keep_result(
        self, key: Any, entry: Entry, names: tuple[Hashable, ...], made: Result, within: tuple[Any, Entry] | None
    ) -> None:
        self._count(key, entry, -entry.make_room(), within)
        if self._count(key, entry, made.size, within):
            entry.keep_result(names, made)

    def _count(self, key: Any, entry: Entry, size: int, within: tuple[Any, Entry] | None) -> bool:
        """Whether there is room for so many bytes more of an entry, which are counted then, as of the lock's holder."""
        owners = ((key, entry),) if within is None else ((key, entry), within)
        owner = next((owner for owner in owners if self._store.get(owner[0]) is owner[1]), None)
        if owner is None:
            return False
        evicted = self._store.grow(*owner, size)
        for gone, old in evicted or ():
            self._counters.on_evict(gone, old)
        if evicted is None and not self._told_of_size:
            self._told_of_size = True
            message = "what is made of %s has no room in LAMBDAKIT_MAX_BYTES: it is made at each call"
            warn(message, self._describe(owner[0]))
        return evicted is not None

    def add(self, key: Any, entry: Entry, *, along: tuple[Any, Entry]) -> None:
        """Store an entry that came along with that of another key, if that one is stored and nothing newer is there."""
        with self._lock:
            known = self._store.get(key)
            newer = known is None or known.stored[1] < entry.stored[1]  # by the clock that nobody sets
            if newer and self._store.get(along[0]) is along[1]:
                self._put(key, entry)

    def store(self, key: Any, entry: Entry) -> None:
        """Keep what was not fetched: somebody has written it, just now."""
        entry.stamp(self._clock.now(), 1.0 - _JITTER * self._clock.random(), self._ttl_s)
        with self._lock:
            self._put(key, entry)

    def invalidate(self, matches: Callable[[Any], bool]) -> None:
        """Forget every entry whose key `matches`, and do not store what is being fetched for such a key."""
        with self._lock:
            for key in [key for key in self._store.keys() if matches(key)]:  # noqa: SIM118 - a store is no mapping
                self._counters.on_evict(key, self._store.pop(key))
            self._fetches.invalidate(matches)

    def clear(self) -> None:
        """Forget every entry."""
        self.invalidate(lambda _: True)

    def _put(self, key: Any, entry: Entry) -> None:
        for evicted, old in self._store.put(key, entry):
            self._counters.on_evict(evicted, old)

    def _count_wait(self, key: Any) -> None:
        self._counters[key].waits += 1

    def counts(self) -> tuple[dict[Any, Counters], Counters]:
        """What was done: for each key, and together for keys of long ago."""
        with self._lock:
            return self._counters.copies({key: self._store.get(key) for key in self._store.keys()})  # noqa: SIM118

    def totals(self) -> tuple[int, int, int, float]:
        """Hits, fetches, values served stale, and the seconds that fetches took, of all keys together."""
        with self._lock:
            return self._counters.totals(self._store.hits())

    def size(self) -> int:
        """Bytes of all values."""
        return self._store.size()

    def __len__(self) -> int:
        """How many entries are kept, fresh or stale."""
        return len(self._store)

    def __bool__(self) -> bool:
        """True also while there are none: who asks for the cache must not make a second one."""
        return True

    def __repr__(self) -> str:
        """The number of entries; keys and values stay private."""
        return f"<Cache entries={len(self._store)}>"


class Entry:
    """A value as it was fetched, and what readers have made of it.

    Value and version never change: a refresh brings another entry. What is noted about its use does.

    Args:
        value: what was fetched.
        version: what tells it from another value of the same key; None where the source has no versions.
        lifetime_s: seconds for which the value itself says it is good; infinite where it says nothing.
        fetch_state: what the next fetch of the key needs from this one.
    """

    __slots__ = (
        "failure",
        "fetch_state",
        "fields",
        "hits",
        "lifetime_s",
        "number",
        "results",
        "size",
        "size_of_value",
        "stored",
        "ttl_factor",
        "used_s",
        "value",
        "version",
        "window",
    )

    window: tuple[float, float, float]  # when it is fresh for most readers: wall time from and until, monotonic until
    stored: Instant  # when it was asked for: the value is at least as new
    used_s: float  # when it was last read, in monotonic seconds
    number: int  # in the order of storing

    def __init__(
        self, value: Any, version: str | None = None, *, lifetime_s: float = float("inf"), fetch_state: Any = None
    ) -> None:
        self.value = value
        self.version = version
        self.lifetime_s = lifetime_s
        self.fetch_state = fetch_state
        self.ttl_factor = 1.0  # how much of any reader's ttl counts
        # What text and bytes take; other objects may take long to tell, and hold more than they tell.
        self.size = self.size_of_value = sys.getsizeof(value) if isinstance(value, (str, bytes)) else 0
        self.fields: Mapping[str, Any] = _NOTHING  # parts of it that cannot be changed
        self.results: Mapping[Hashable, Result] = _NOTHING  # what functions have made of it
        self.failure: Failure | None = None
        self.hits = 0

    def stamp(self, now: Instant, ttl_factor: float, ttl_s: float = 0.0) -> None:
        """It is stored as of `now`, and fresh for that part of any reader's ttl; `ttl_s` is what most readers have."""
        wall_s, monotonic_s = self.stored = now
        self.used_s = monotonic_s
        self.ttl_factor = ttl_factor
        self.window = wall_s, wall_s + ttl_s * ttl_factor, monotonic_s + ttl_s * ttl_factor

    def in_backoff(self, now: Instant) -> bool:
        """Whether it is too early to try again what has failed."""
        return self.failure is not None and self.failure.in_backoff(now)

    def result(self, names: tuple[Hashable, ...]) -> Result | None:
        """What has been made of the value, by the first of these names that is known."""
        return next((made for name in names if (made := self.results.get(name)) is not None), None)

    def keep_result(self, names: tuple[Hashable, ...], made: Result) -> None:
        """Keep what was made of the value, whose bytes are counted already."""
        made.names = len(names)
        self.results = {**self.results, **dict.fromkeys(names, made)}

    def make_room(self) -> int:
        """Give up what was made for who is gone, and of too many the first; the bytes that this frees."""
        freed, kept = 0, {**self.results}
        for name, made in self.results.items():
            whose = name[-1] if isinstance(name, tuple) and name else None
            if len(kept) >= _MAX_DERIVED or (isinstance(whose, ref) and whose() is None):
                del kept[name]
                made.names -= 1
                freed += 0 if made.names else made.size
        self.results = kept
        return freed

    def __repr__(self) -> str:
        """The version; the value may be a secret."""
        return f"<Entry version={self.version}>"


class Result:
    """What a function has made of a value.

    Args:
        value: what it returned.
        least: bytes that are counted at least, if there is anything in it that nobody can measure.

    Attributes:
        size: bytes that are counted for it.
        names: under how many it is kept.
    """

    __slots__ = ("names", "size", "value")

    def __init__(self, value: Any, least: int) -> None:
        self.value = value
        self.size = size_of(value, least)
        self.names = 0


def size_of(value: Any, least: int = 0) -> int:
    """Bytes of a value as Python holds it: text, bytes, numbers, and containers of these.

    Objects of other classes count for themselves only, since what they refer to may be half of the process; where there
    is one, `least` is counted at least.
    """
    size, seen, todo, others = 0, set[int](), [value], False
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        # Of users' classes nothing is called.
        kind: Any = next((kind for kind in _KINDS if issubclass(type(one), kind)), object)
        size += kind.__sizeof__(one)
        if issubclass(kind, _CONTAINERS):
            todo += kind.__iter__(one)
            todo += dict.values(one) if kind is dict else ()
        others = others or (kind is object and type(one).__module__ != "builtins")
    return max(size, least) if others else size


def entry_of(outcome: Entry | Exception) -> Entry:
    """What a fetch has brought; an exception is raised."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


class Failure:
    """The refreshes of an entry that failed since the last one that did not.

    After it there is no attempt for 1 s, then for twice as long each time, up to a quarter more, and 30 s at most.

    Args:
        error: what the last one ended with.
        last: the failure before, None for the first.
        now: when it ended.
        random: in [0, 1), for the jitter.
    """

    __slots__ = ("_backoff_s", "_since", "count", "reason", "warned")

    count: int
    warned: bool

    def __init__(self, error: Exception, *, last: Failure | None, now: Instant, random: float) -> None:
        code = error.code if isinstance(error, FetchError) else None  # what is not ours may say anything
        self.reason = type(error).__name__ if code is None else f"{type(error).__name__} {code}"
        self.warned = last is not None and last.warned
        self.count = 1 if last is None else last.count + 1
        self._since = now
        doubled = 2.0 ** min(self.count - 1, 5)  # past 30 s; a float ends at 2 ** 1023
        self._backoff_s = min(_MAX_BACKOFF_S, _FIRST_BACKOFF_S * doubled * (1.0 + _BACKOFF_JITTER * random))

    def set_warned(self) -> bool:
        """Whether nobody has been warned of them yet; from now on somebody has. Call it with the cache's lock held."""
        first, self.warned = not self.warned, True
        return first

    def in_backoff(self, now: Instant) -> bool:
        """Whether it is too early for another attempt."""
        return age_s(self._since, now) < self._backoff_s


class Entries(dict["Any", Entry]):
    """At most so many entries and so many bytes; the one whose last use is longest ago goes first.

    A hit notes its time in the entry and changes nothing here, which is why it needs no lock. Who stores past a bound
    takes the next of the keys in the order of their last use, as of when they were sorted: one that was used since is
    passed over, and they are sorted anew when none is left. So an eviction searches nothing, and each hit is paid for
    once. Of those used at the same moment the one stored first goes first.

    Args:
        max_entries: 0 keeps nothing.
        max_bytes: of the values as Python holds them. A value that is larger by itself is not kept.
        short_key: of a key that most readers have, what is looked up in half the time: a text; None of any other.

    Attributes:
        by_short_key: the entries of those keys.
    """

    def __init__(
        self, *, max_entries: int, max_bytes: float, short_key: Callable[[Any], str | None] = lambda _: None
    ) -> None:
        super().__init__()
        self.by_short_key: dict[str, Entry] = {}
        self._short_key = short_key
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._stored = 0  # how many were
        self._by_use: list[tuple[float, int, Any]] = []  # see `_last_use`; the oldest at the end
        self._newest = _LATEST  # of those that were sorted

    def put(self, key: Any, entry: Entry) -> list[tuple[Any, Entry]]:
        """Keep it; what was evicted for it, an older entry of the same key too."""
        old = self.pop(key)
        evicted = [] if old is None else [(key, old)]
        if entry.size > self._max_bytes or not self._max_entries:
            return evicted
        while len(self) >= self._max_entries or self._bytes + entry.size > self._max_bytes:
            oldest = self._least_recently_used()
            evicted.append((oldest, self[oldest]))
            self.pop(oldest)
        self._stored += 1
        entry.number = self._stored
        self[key] = entry
        if (short_key := self._short_key(key)) is not None:
            self.by_short_key[short_key] = entry
        self._bytes += entry.size
        self._insert(_last_use(key, entry))  # it may have been asked for before others were used
        return evicted

    def _least_recently_used(self) -> Any:
        while True:
            while self._by_use:
                noted = self._by_use.pop()
                entry = self.get(noted[2])
                if entry is not None:
                    last_use = _last_use(noted[2], entry)
                    if last_use == noted:
                        return noted[2]
                    self._insert(last_use)
            self._by_use = sorted([_last_use(key, entry) for key, entry in self.items()])
            self._newest = self._by_use[0][:2]

    def _insert(self, last_use: tuple[float, int, Any]) -> None:
        """Give an entry its place among those that were sorted, if it was not used after all of them."""
        if last_use[:2] < self._newest:
            return
        if len(self._by_use) > len(self):  # some are gone by now: they are sorted anew
            self._by_use.clear()
            self._newest = _LATEST
            return
        from bisect import insort  # 0.7 ms; hardly ever needed

        insort(self._by_use, last_use)

    def pop(self, key: Any) -> Entry | None:  # type: ignore[override] # the one form that is needed
        """Give it up."""
        entry = super().pop(key, None)
        if entry is not None:
            self._bytes -= entry.size
            entry.fields = entry.results = _NOTHING  # it may live on in a list, where nobody counts them
            self.by_short_key.pop(self._short_key(key), None)  # type: ignore[arg-type] # None is not in it
        return entry

    def grow(self, key: Any, entry: Entry, size: int) -> list[tuple[Any, Entry]] | None:
        """Count bytes more, or fewer, of an entry that is kept: what was evicted for it; None: there is no room."""
        if entry.size + size > self._max_bytes:
            return None
        evicted: list[tuple[Any, Entry]] = []
        passed_over = False
        while self._bytes + size > self._max_bytes:
            oldest = self._least_recently_used()
            if oldest == key:
                passed_over = True
                continue
            evicted.append((oldest, self[oldest]))
            self.pop(oldest)
        entry.size += size
        self._bytes += size
        if passed_over:
            self._insert(_last_use(key, entry))
        return evicted

    def size(self) -> int:
        """Bytes of all values, and of what was made of them."""
        return self._bytes

    def hits(self) -> int:
        """Of all that are kept."""
        return sum([entry.hits for entry in self.values()])  # a list is a third faster, and this is done a lot


def _last_use(key: Any, entry: Entry) -> tuple[float, int, Any]:
    """Ordered by last use, then by when it was stored, the last one first; keys are never compared."""
    return -entry.used_s, -entry.number, key


class Counters:
    """Counts of one key: names and numbers, never values."""

    __slots__ = ("errors", "fetches", "hits", "stale", "waits")

    def __init__(self) -> None:
        self.hits = 0  # of entries that are gone; an entry counts its own
        self.fetches = 0
        self.stale = 0
        self.errors = 0
        self.waits = 0

    def add(self, other: Counters) -> None:
        """Count what `other` counted."""
        self.hits += other.hits
        self.fetches += other.fetches
        self.stale += other.stale
        self.errors += other.errors
        self.waits += other.waits

    def as_dict(self) -> Counts:
        """By name."""
        return {
            "hits": self.hits,
            "fetches": self.fetches,
            "stale": self.stale,
            "errors": self.errors,
            "waits": self.waits,
        }


class CountersByKey(dict["object", Counters]):
    """Counters by key, at most so many; the others are counted in `rest`. Call it with the cache's lock held.

    Attributes:
        evicted: hits of all entries that are gone.
        fetches: of all keys together, so that nobody has to add them up. So are the next two.
        stale: as in `Counters`.
        upstream_s: seconds that fetches took.
    """

    def __init__(self, *, most: int = _MAX_COUNTED) -> None:
        super().__init__()
        self._most = most
        self.rest = Counters()
        self.evicted = self.fetches = self.stale = 0
        self.upstream_s = 0.0

    def count_fetch(self, fetched: Mapping[Any, Entry | Exception], took_s: float = 0.0) -> None:
        """A fetch of all these keys has ended, with a value or an error for each."""
        self.fetches += len(fetched)
        self.upstream_s += took_s
        for key, outcome in fetched.items():
            counters = self[key]
            counters.fetches += 1
            counters.errors += isinstance(outcome, Exception)

    def on_evict(self, key: object, entry: Entry | None) -> None:
        """The entry of a key is gone, its hits are not."""
        if entry is not None:
            self[key].hits += entry.hits
            self.evicted += entry.hits

    def count_stale(self, key: object) -> None:
        """An old value is served because a fetch failed."""
        self[key].stale += 1
        self.stale += 1

    def totals(self, kept: int) -> tuple[int, int, int, float]:
        """Hits, with those of the entries that are kept, fetches, stale and seconds, of all keys together."""
        return self.evicted + kept, self.fetches, self.stale, self.upstream_s

    def copies(self, entries: Mapping[Any, Entry | None]) -> tuple[dict[Any, Counters], Counters]:
        """By key, with the hits of the entries that are kept, and the rest."""
        counted = {key: Counters() for key in {**self, **entries}}
        for key, counters in counted.items():
            entry = entries.get(key)
            counters.hits = 0 if entry is None else entry.hits
            if key in self:
                counters.add(self[key])
        rest = Counters()
        rest.add(self.rest)
        return counted, rest

    def __missing__(self, key: object) -> Counters:
        if len(self) >= self._most:
            self.rest.add(self.pop(next(iter(self))))
        counters = self[key] = Counters()
        return counters


@contextmanager
def _fetching() -> Iterator[bool]:
    """A fetch, for the length of the block; whether no other one surrounds it: time that passes twice counts once."""
    outermost = not _FETCHING.get()
    token = _FETCHING.set(True)
    try:
        yield outermost
    finally:
        with suppress(ValueError):  # a coroutine that is thrown away ends in another context
            _FETCHING.reset(token)
