"""The cache: what a value's state is at a reader's ttl."""

from __future__ import annotations

import threading

from ._clock import age_s
from ._flights import Flights
from .exceptions import DeadlineExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any

    from ._clock import Clock, Instant

FRESH, STALE, ABSENT = "fresh", "stale", "absent"

_MAX_ENTRIES = 1_000  # as the AWS extension's cache; a function that needs more names is reading a database


class Entry:
    """A value as it was fetched, and what readers have made of it."""

    __slots__ = ("derived", "stored", "value", "version")

    def __init__(self, value: Any, version: str | None, stored: Instant) -> None:
        self.value = value
        self.version = version
        self.stored = stored
        self.derived: dict[Hashable, Any] = {}

    def __repr__(self) -> str:
        """The version; the value may be a secret."""
        return f"<Entry version={self.version}>"


class Cache:
    """Entries by key.

    Thread-safe. `look` takes no lock: an entry is complete before it is in the dictionary, and it is replaced, never
    changed. Nothing is fetched here: `fetch` is told how.
    """

    __slots__ = ("_clock", "_derivations", "_entries", "_flights", "_lock", "_max_entries")

    def __init__(self, *, clock: Clock, max_entries: int = _MAX_ENTRIES) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._flights = Flights(self._lock)
        self._derivations = Flights(self._lock)
        self._entries: dict[Hashable, Entry] = {}
        self._max_entries = max_entries

    def look(self, key: Hashable, now: Instant, ttl_s: float) -> tuple[str, Entry | None]:
        """The state of `key` for a reader who takes values up to `ttl_s` old, and its entry unless it is absent."""
        entry = self._entries.get(key)
        if entry is None:
            return ABSENT, None
        return (FRESH if age_s(entry.stored, now) < ttl_s else STALE), entry

    def fetch(
        self,
        key: Hashable,
        work: Callable[[], tuple[Any, str | None]],
        *,
        ttl_s: float,
        remaining: Callable[[], float | None],
        forced: bool = False,
    ) -> Entry:
        """Run `work`, which returns value and version, in a single flight, and keep what it brought.

        An exception of `work` is raised to everyone who waits for it; nothing is kept of it.

        Raises:
            DeadlineExceededError: there is no time left to begin, or to wait for another's fetch.
        """

        def fetched() -> Entry:
            left_s = remaining()
            if left_s is not None and left_s <= 0.0:
                raise DeadlineExceededError("the invocation has too little time left to begin a fetch")
            started = self._clock.now()  # the value is at least as new as the moment it was asked for
            value, version = work()
            return Entry(value, version, started)

        def settled() -> Entry | None:
            # Somebody may have stored it between this reader's look and now; `now` has to be newer than that.
            state, entry = self.look(key, self._clock.now(), ttl_s)
            return entry if state == FRESH else None

        entry: Entry = self._flights.run(
            key,
            fetched,
            settled=settled,
            settle=lambda entry: self._store(key, entry),
            remaining=remaining,
            forced=forced,
        )
        return entry

    def derive(
        self, entry: Entry, key: Hashable, work: Callable[[], Any], *, remaining: Callable[[], float | None]
    ) -> Any:
        """What `work` makes of `entry`, made once for the entry's life and the same object for every reader."""
        try:
            return entry.derived[key]
        except KeyError:
            box: tuple[Any] = self._derivations.run(
                (entry, key),
                lambda: (work(),),  # boxed, because None is an answer too
                settled=lambda: (entry.derived[key],) if key in entry.derived else None,
                settle=lambda box: entry.derived.__setitem__(key, box[0]),
                remaining=remaining,
            )
            return box[0]

    def invalidate(self, matches: Callable[[Any], bool]) -> None:
        """Forget every entry whose key `matches`, and do not keep what is being fetched for such a key."""
        with self._lock:
            for key in [key for key in self._entries if matches(key)]:
                del self._entries[key]
            self._flights.outdate(matches)

    def _store(self, key: Hashable, entry: Entry) -> None:
        self._entries.pop(key, None)  # to the young end of the order
        self._entries[key] = entry
        if len(self._entries) > self._max_entries:
            del self._entries[next(iter(self._entries))]

    def __len__(self) -> int:
        """How many entries are kept, fresh or stale."""
        return len(self._entries)

    def __repr__(self) -> str:
        """The number of entries; keys and values stay private."""
        return f"<Cache entries={len(self._entries)}>"
