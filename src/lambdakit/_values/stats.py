"""What the caches did, as numbers."""

from __future__ import annotations

from .._cache import Counters
from .._environment import environment
from . import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from .._cache import Counts

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


def stats() -> Stats:
    """What the caches of this environment did, as a dictionary of numbers.

    ``hits`` (answered from memory), ``fetches``, ``stale`` (old values served because a fetch failed), ``errors``
    (fetches that failed), ``waits`` (readers who shared another's fetch), ``entries`` and ``bytes`` (kept now; bytes of
    values, not of cached functions' results), and ``keys``: the first five for each value by kind and name, such as
    ``"secret 'prod/db'"`` (items of DynamoDB by their table), and for each cached function. Names, never values or
    arguments. Counting is always on.

    Thread-safe. Since 0.1.
    """
    total, keys = Counters(), dict[str, Counters]()
    entries = size = 0
    for function, cache in [*environment()._caches]:
        entries += len(cache)
        size += cache.size()
        counted, rest = cache.counts()
        total.add(rest)
        if function is not None:  # all results together: arguments are no names
            keys.setdefault(f"cached {function}", Counters()).add(rest)
        for key, counters in counted.items():
            total.add(counters)
            keys.setdefault(describe(key), Counters()).add(counters)  # versions, stages and regions of a name together
    return {
        **total.as_dict(),
        "entries": entries,
        "bytes": size,
        "keys": {name: keys[name].as_dict() for name in keys},
    }
