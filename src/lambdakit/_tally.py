"""What was done for each value, counted: names and numbers, never values."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypedDict

    from ._entries import Entry

    class Counts(TypedDict):
        """What `Tally.counts` tells."""

        hits: int
        fetches: int
        stale: int
        errors: int
        waits: int


_MOST = 2_000  # keys that are counted one by one: twice the entries that are kept


class Tally:
    """Counts of one key."""

    __slots__ = ("errors", "fetches", "hits", "stale", "waits")

    def __init__(self) -> None:
        self.hits = 0  # of entries that are gone; an entry counts its own
        self.fetches = 0
        self.stale = 0
        self.errors = 0
        self.waits = 0

    def add(self, other: Tally) -> None:
        """Count what `other` counted."""
        self.hits += other.hits
        self.fetches += other.fetches
        self.stale += other.stale
        self.errors += other.errors
        self.waits += other.waits

    def counts(self) -> Counts:
        """As a dictionary."""
        return {
            "hits": self.hits,
            "fetches": self.fetches,
            "stale": self.stale,
            "errors": self.errors,
            "waits": self.waits,
        }


class Tallies(dict["object", Tally]):
    """Tallies by key, at most so many; the others are counted in `rest`. Call it with the cache's lock held.

    Attributes:
        gone: hits of all entries that are gone.
        fetches: of all keys together, so that nobody has to add them up. So are the next two.
        stale: as in `Tally`.
        upstream_s: seconds that fetches took.
    """

    def __init__(self, *, most: int = _MOST) -> None:
        super().__init__()
        self._most = most
        self.rest = Tally()
        self.gone = self.fetches = self.stale = 0
        self.upstream_s = 0.0

    def note(self, brought: Mapping[Any, Entry | Exception], took_s: float = 0.0) -> None:
        """A fetch of all these keys has ended, with a value or an error for each."""
        self.fetches += len(brought)
        self.upstream_s += took_s
        for key, outcome in brought.items():
            tally = self[key]
            tally.fetches += 1
            tally.errors += isinstance(outcome, Exception)

    def bury(self, key: object, entry: Entry | None) -> None:
        """The entry of a key is gone, its hits are not."""
        if entry is not None:
            self[key].hits += entry.hits
            self.gone += entry.hits

    def serve_stale(self, key: object) -> None:
        """An old value was served because a fetch failed."""
        self[key].stale += 1
        self.stale += 1

    def totals(self, kept: int) -> tuple[int, int, int, float]:
        """Hits, with those of the entries that are kept, fetches, stale and seconds, of all keys together."""
        return self.gone + kept, self.fetches, self.stale, self.upstream_s

    def copies(self, entries: Mapping[Any, Entry | None]) -> tuple[dict[Any, Tally], Tally]:
        """By key, with the hits of the entries that are kept, and the rest."""
        counted = {key: Tally() for key in {**self, **entries}}
        for key, tally in counted.items():
            entry = entries.get(key)
            tally.hits = 0 if entry is None else entry.hits
            if key in self:
                tally.add(self[key])
        rest = Tally()
        rest.add(self.rest)
        return counted, rest

    def __missing__(self, key: object) -> Tally:
        if len(self) >= self._most:
            self.rest.add(self.pop(next(iter(self))))
        tally = self[key] = Tally()
        return tally
