"""What the caches did, as numbers."""

from __future__ import annotations

from ._tally import Tally
from ._values import called

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from ._memory import Memory
    from ._tally import Counts

    class Stats(TypedDict):
        """What `lambdakit.stats` returns."""

        hits: int
        fetches: int
        stale: int
        errors: int
        waits: int
        entries: int
        bytes: int
        keys: dict[str, Counts]


def stats(memory: Memory) -> Stats:
    """Counts of all caches together, and for each value or function by its name."""
    total, keys = Tally(), dict[str, Tally]()
    entries = size = 0
    for function, cache in memory.caches():
        entries += len(cache)
        size += cache.size()
        counted, rest = cache.counts()
        total.add(rest)
        if function is not None:  # all results together: arguments are no names
            keys.setdefault(f"cached {function}", Tally()).add(rest)
        for key, tally in counted.items():
            total.add(tally)
            keys.setdefault(called(key), Tally()).add(tally)  # versions, stages and regions of a name together
    return {**total.counts(), "entries": entries, "bytes": size, "keys": {name: keys[name].counts() for name in keys}}
