"""The cache: what a value's state is for a reader, and what a reader gets when a fetch fails."""

from __future__ import annotations

import threading

from ._clock import age_s, least_age_s
from ._entries import Failure, entry_of
from ._flights import Flights
from ._log import warn
from ._tally import Tallies
from ._upstream import fetching
from .exceptions import DeadlineExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from typing import Any

    from ._budget import Budget
    from ._clock import Clock, Instant
    from ._entries import Entry, Store
    from ._tally import Tally

FRESH, STALE, ABSENT = "fresh", "stale", "absent"

_EARLY = 0.1  # the most by which a ttl is shortened, so that environments born together do not refresh together


class Cache:
    """Entries by key.

    Thread-safe. `fresh` and `look` take no lock: an entry is complete before it is kept, and its value never changes.
    Nothing is fetched here: `fetch` is told how.

    Args:
        clock: both clocks, and chance.
        budget: seconds that a fetch may take now.
        name: how a key is called in messages.
        store: where entries are kept, and within which bounds.
    """

    __slots__ = ("_budget", "_clock", "_derivations", "_flights", "_lock", "_name", "_store", "_tallies")

    def __init__(self, *, clock: Clock, budget: Budget, store: Store, name: Callable[[Any], str] = str) -> None:
        self._clock = clock
        self._budget = budget
        self._name = name
        self._lock = threading.Lock()
        self._flights = Flights(self._lock)
        self._derivations = Flights(self._lock)
        self._store = store
        self._tallies = Tallies()

    def fresh(self, key: Any, now: Instant, ttl_s: float | None) -> Entry | None:
        """The entry of `key`, counted as a hit, if it is fresh for a reader with this ttl; None: the value's own."""
        entry = self._store.get(key)
        if entry is None or age_s(entry.stored, now) >= (entry.lifetime_s if ttl_s is None else ttl_s) * entry.share:
            return None
        entry.hits += 1
        entry.used = now
        return entry

    def look(self, key: Any, now: Instant, ttl_s: float | None, stale_ttl_s: float) -> tuple[str, Entry | None]:
        """The state of `key` for a reader with this ttl and stale ttl, and its entry unless it is absent.

        A wall clock that ran backwards makes a value stale, for as long as monotonic time allows.
        """
        entry = self._store.get(key)
        if entry is None:
            return ABSENT, None
        fresh_s = (entry.lifetime_s if ttl_s is None else ttl_s) * entry.share
        if age_s(entry.stored, now) < fresh_s:
            return FRESH, entry
        stale = stale_ttl_s > 0.0 and least_age_s(entry.stored, now) < fresh_s + stale_ttl_s
        return (STALE, entry) if stale else (ABSENT, None)

    def latest(self, key: Any) -> Entry | None:
        """The entry of `key`, however old."""
        return self._store.get(key)

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
        """Run `work` in a single flight for each key, and keep what it brought.

        What fails with an error that may pass (throttling, a server's fault, the network, time) is served stale where
        that is allowed, with one warning for each run of failures, and is left in peace for a while: 1 s, then twice as
        long each time up to 30 s. Nothing is kept of an error otherwise.

        Args:
            keys: without duplicates.
            work: an entry, or an exception, for each of the keys that it is given; `Flights.run_each` says when.
            ttl_s: the reader's; None for the value's own.
            stale_ttl_s: seconds after the end of the ttl in which a value may be served on an error.
            forced: fetch in any case, and raise in any case.
        """
        outcomes: dict[Any, Entry | Exception] = {}
        wanted: list[Any] = []
        hurried = True
        for key in keys:
            entry, resting = (None, None) if forced else self._at_hand(key, ttl_s, stale_ttl_s)
            if resting is None:
                hurried = hurried and entry is not None
                wanted.append(key)
            else:
                outcomes[key] = resting
        with self._budget.within(self._budget.half_s() if hurried else None):
            landed = self._flights.run_each(
                wanted,
                lambda keys: self._fetched(keys, work),
                settled=lambda key: self._settled(key, ttl_s, stale_ttl_s),
                settle=self._keep,
                remaining=self._budget,
                forced=forced,
                joined=self._joined,
            )
        for key, outcome in landed.items():
            failed = isinstance(outcome, Exception) and not forced
            outcomes[key] = self._spare(key, outcome, ttl_s, stale_ttl_s) if failed else outcome
        return outcomes

    async def fetch_async(
        self, key: Any, work: Callable[[], Awaitable[Entry]], *, ttl_s: float | None, stale_ttl_s: float
    ) -> Entry:
        """`fetch` with work that is awaited; of tasks and threads that ask at once one does it."""
        entry, resting = self._at_hand(key, ttl_s, stale_ttl_s)
        if resting is not None:
            return resting

        async def fetched() -> Entry:
            started = self._begun()
            with fetching() as counts:
                try:
                    brought: Entry | Exception = await self._budget.bound(work())
                except Exception as error:  # noqa: BLE001 - raised below, and to those who asked
                    brought = error
            self._noted({key: brought}, started, counts=counts)
            return entry_of(brought)

        with self._budget.within(None if entry is None else self._budget.half_s()):
            outcome = await self._flights.run_async(
                key,
                fetched,
                settled=lambda key: self._settled(key, ttl_s, stale_ttl_s),
                settle=self._keep,
                remaining=self._budget,
                joined=self._joined,
            )
        return entry_of(self._spare(key, outcome, ttl_s, stale_ttl_s) if isinstance(outcome, Exception) else outcome)

    def _at_hand(self, key: Any, ttl_s: float | None, stale_ttl_s: float) -> tuple[Entry | None, Entry | None]:
        """What could be served if a fetch failed, and the same if there is to be no fetch now."""
        now = self._clock.now()
        state, entry = self.look(key, now, ttl_s, stale_ttl_s)
        rests = entry is not None and state == STALE and entry.rests(now)
        return entry, self._served(key, entry) if entry is not None and rests else None

    def _settled(self, key: Any, ttl_s: float | None, stale_ttl_s: float) -> Entry | Exception | None:
        """What another flight has brought between a look and now: a value, or a reason not to try again yet."""
        now = self._clock.now()
        entry = self.fresh(key, now, ttl_s)
        if entry is None and (stale := self.look(key, now, ttl_s, stale_ttl_s)[1]) is not None and stale.rests(now):
            return DeadlineExceededError("a refresh has just failed: it is too early for another")
        return entry

    def _begun(self) -> Instant:
        left_s = self._budget()
        if left_s is not None and left_s <= 0.0:
            raise DeadlineExceededError("the invocation has too little time left to begin a fetch")
        return self._clock.now()

    def _fetched(
        self, keys: list[Any], work: Callable[[list[Any]], dict[Any, Entry | Exception]]
    ) -> dict[Any, Entry | Exception]:
        started = self._begun()
        brought: dict[Any, Entry | Exception]
        with fetching() as counts:
            try:
                brought = work(keys)
            except Exception as error:  # noqa: BLE001 - it is the outcome, and is raised to those who asked
                brought = dict.fromkeys(keys, error)
        self._noted(brought, started, counts=counts)
        return brought

    def _noted(self, brought: Mapping[Any, Entry | Exception], started: Instant, *, counts: bool) -> None:
        chance = self._clock.chance()  # the same for all: what was fetched together is refreshed together
        took_s = self._clock.now()[1] - started[1] if counts else 0.0
        with self._lock:
            self._tallies.note(brought, took_s)
        for key, outcome in brought.items():
            if isinstance(outcome, Exception):
                self._note(key, outcome, chance)
            else:
                outcome.keep(started, 1.0 - _EARLY * chance)

    def _note(self, key: Any, error: Exception, chance: float) -> None:
        """Remember that a refresh failed, where there is something that it was to refresh."""
        from ._transient import is_transient  # 0.3 ms, only on the way to an error

        entry = self._store.get(key)
        if entry is not None and is_transient(error):
            entry.failure = Failure(error, last=entry.failure, now=self._clock.now(), chance=chance)

    def _spare(self, key: Any, error: Exception, ttl_s: float | None, stale_ttl_s: float) -> Entry | Exception:
        """What a reader gets instead of an error, or the error."""
        from ._transient import is_transient

        state, entry = self.look(key, self._clock.now(), ttl_s, stale_ttl_s)
        if entry is None or not is_transient(error):
            return error
        return entry if state == FRESH else self._served(key, entry)  # fresh: another thread has been luckier

    def _served(self, key: Any, entry: Entry) -> Entry:
        now = self._clock.now()
        failure = entry.failure  # without one the fetch did not fail: this reader had no time for it
        with self._lock:
            self._tallies.serve_stale(key)
            entry.used = now
            first = failure is not None and failure.tell()
        if first and failure is not None:
            said = "%s could not be refreshed (%s): the value of %.0f s ago is served meanwhile"
            warn(said, self._name(key), failure.what, least_age_s(entry.stored, now))
        return entry

    def derive(self, entry: Entry, key: Any, work: Callable[[], Any]) -> Any:
        """What `work` makes of `entry`, made once for the entry's life and the same object for every reader."""
        try:
            return entry.derived[key]
        except KeyError:
            box: tuple[Any] = self._derivations.run(
                (entry, key),
                lambda: (work(),),  # boxed, because None is an answer too
                settled=lambda _: entry.made(key),
                settle=lambda _, box: entry.derive(key, box[0]),
                remaining=self._budget,
            )
            return box[0]

    def add(self, key: Any, entry: Entry, *, along: tuple[Any, Entry]) -> None:
        """Keep an entry that came along with that of another key, if that one is kept and nothing newer is there."""
        with self._lock:
            kept = self._store.get(key)
            newer = kept is None or kept.stored[1] < entry.stored[1]  # by the clock that nobody sets
            if newer and self._store.get(along[0]) is along[1]:
                self._keep(key, entry)

    def invalidate(self, matches: Callable[[Any], bool]) -> None:
        """Forget every entry whose key `matches`, and do not keep what is being fetched for such a key."""
        with self._lock:
            for key in [key for key in self._store.keys() if matches(key)]:  # noqa: SIM118 - a store is no mapping
                self._tallies.bury(key, self._store.pop(key))
            self._flights.outdate(matches)

    def _keep(self, key: Any, entry: Entry) -> None:
        for gone, old in self._store.put(key, entry):
            self._tallies.bury(gone, old)

    def _joined(self, key: Any) -> None:
        self._tallies[key].waits += 1

    def counts(self) -> tuple[dict[Any, Tally], Tally]:
        """What was done: for each key, and together for keys of long ago."""
        with self._lock:
            return self._tallies.copies({key: self._store.get(key) for key in self._store.keys()})  # noqa: SIM118

    def totals(self) -> tuple[int, int, int, float]:
        """Hits, fetches, values served stale, and the seconds that fetches took, of all keys together."""
        with self._lock:
            return self._tallies.totals(self._store.hits())

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
