"""What the cache keeps, and within which bounds."""

from __future__ import annotations

import sys

from ._clock import age_s
from .exceptions import FetchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from typing import Any, Protocol

    from ._clock import Instant

    class Store(Protocol):
        """Entries by key within bounds. `get` needs no lock, everything else the cache's."""

        def get(self, key: Any, /) -> Entry | None: ...
        def put(self, key: Any, entry: Entry) -> list[tuple[Any, Entry]]: ...
        def pop(self, key: Any) -> Entry | None: ...
        def keys(self) -> Iterable[Any]: ...
        def size(self) -> int: ...
        def hits(self) -> int: ...
        def __len__(self) -> int: ...


_MAX_DERIVED = 100  # a transform that is a new lambda at each call is another thing each time
_FIRST_WAIT_S, _MAX_WAIT_S, _JITTER = 1.0, 30.0, 0.25


class Failure:
    """The refreshes of an entry that failed since the last one that did not.

    After it there is no attempt for 1 s, then for twice as long each time, up to a quarter more, and 30 s at most.

    Args:
        error: what the last one ended with.
        last: the failure before, None for the first.
        now: when it ended.
        chance: in [0, 1), for the jitter.
    """

    __slots__ = ("_since", "_wait_s", "count", "warned", "what")

    count: int
    warned: bool

    def __init__(self, error: Exception, *, last: Failure | None, now: Instant, chance: float) -> None:
        code = error.code if isinstance(error, FetchError) else None  # what is not ours may say anything
        self.what = type(error).__name__ if code is None else f"{type(error).__name__} {code}"
        self.warned = last is not None and last.warned
        self.count = 1 if last is None else last.count + 1
        self._since = now
        doubled = 2.0 ** min(self.count - 1, 5)  # past 30 s; a float ends at 2 ** 1023
        self._wait_s = min(_MAX_WAIT_S, _FIRST_WAIT_S * doubled * (1.0 + _JITTER * chance))

    def tell(self) -> bool:
        """Whether nobody has been warned of them yet; from now on somebody has. Call it with the cache's lock held."""
        first, self.warned = not self.warned, True
        return first

    def rests(self, now: Instant) -> bool:
        """Whether it is too early for another attempt."""
        return age_s(self._since, now) < self._wait_s


class Entry:
    """A value as it was fetched, and what readers have made of it.

    Value and version never change: a refresh brings another entry. What is noted about its use does.

    Args:
        value: what was fetched.
        version: what tells it from another value of the same key; None where the source has no versions.
        lifetime_s: seconds for which the value itself says it is good; None where it says nothing.
        memo: what the next fetch of the key needs from this one.
    """

    __slots__ = (
        "derived",
        "failure",
        "hits",
        "lifetime_s",
        "memo",
        "share",
        "size",
        "stored",
        "used",
        "value",
        "version",
    )

    stored: Instant  # when it was asked for: the value is at least as new
    used: Instant

    def __init__(
        self, value: Any, version: str | None = None, *, lifetime_s: float = float("inf"), memo: Any = None
    ) -> None:
        self.value = value
        self.version = version
        self.lifetime_s = lifetime_s
        self.memo = memo
        self.share = 1.0  # of any ttl: how much of it counts
        # What text and bytes take; other objects may take long to tell, and hold more than they tell.
        self.size = sys.getsizeof(value) if isinstance(value, (str, bytes)) else 0
        self.derived: dict[Hashable, Any] = {}
        self.failure: Failure | None = None
        self.hits = 0

    def keep(self, now: Instant, share: float) -> None:
        """It is stored as of `now`, good for that `share` of any reader's ttl."""
        self.stored = self.used = now
        self.share = share

    def rests(self, now: Instant) -> bool:
        """Whether it is too early to try again what has failed."""
        return self.failure is not None and self.failure.rests(now)

    def made(self, key: Hashable) -> tuple[Any] | None:
        """What a reader made of the value, in a tuple, because None is an answer too; None where nothing is kept."""
        try:
            return (self.derived[key],)
        except KeyError:
            return None

    def derive(self, key: Hashable, made: Any) -> None:
        """Keep what a reader made of the value; of many different things, the last few."""
        while len(self.derived) >= _MAX_DERIVED:
            self.derived.pop([*self.derived][0], None)  # noqa: RUF015 - an iterator minds what other threads do meanwhile
        self.derived[key] = made

    def __repr__(self) -> str:
        """The version; the value may be a secret."""
        return f"<Entry version={self.version}>"


def entry_of(outcome: Entry | Exception) -> Entry:
    """What a fetch has brought; an exception is raised."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


class Entries(dict["Any", Entry]):
    """At most so many entries and so many bytes; the one whose last use is longest ago goes first.

    A hit notes its time in the entry and changes nothing here, which is why it needs no lock; the search for the oldest
    is paid by the store that goes past a bound.

    Args:
        max_entries: 0 keeps nothing.
        max_bytes: of the values as Python holds them. A value that is larger by itself is not kept.
    """

    def __init__(self, *, max_entries: int, max_bytes: float) -> None:
        super().__init__()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0

    def put(self, key: Any, entry: Entry) -> list[tuple[Any, Entry]]:
        """Keep it; what had to go for it, an older entry of the same key too."""
        old = self.pop(key)
        gone = [] if old is None else [(key, old)]
        if entry.size > self._max_bytes or not self._max_entries:
            return gone
        while len(self) >= self._max_entries or self._bytes + entry.size > self._max_bytes:
            oldest = min(self, key=lambda key: self[key].used[1])
            gone.append((oldest, self[oldest]))
            self.pop(oldest)
        self[key] = entry
        self._bytes += entry.size
        return gone

    def pop(self, key: Any) -> Entry | None:  # type: ignore[override] # the one form that is needed
        """Give it up."""
        entry = super().pop(key, None)
        if entry is not None:
            self._bytes -= entry.size
        return entry

    def size(self) -> int:
        """Bytes of all values."""
        return self._bytes

    def hits(self) -> int:
        """Of all that are kept."""
        return sum([entry.hits for entry in self.values()])  # a list is a third faster, and this is done a lot
