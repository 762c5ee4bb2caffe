"""What an environment keeps of values, and who reads and fetches them; what is not needed is not imported."""

from __future__ import annotations

import threading

from ._cache import Cache
from ._declared import PARAMETER, SECRET
from ._entries import Entries
from ._values import Values, called

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    from ._app_config import AppConfigs
    from ._batches import Batches
    from ._budget import Budget
    from ._cached import Cached
    from ._clock import Clock
    from ._declared import Declared
    from ._items import Items
    from ._preload import Preload
    from ._rotation import Rotations
    from ._settings import Settings
    from .backends import Backend

    T = TypeVar("T")


class Memory:
    """Secrets, parameters, configurations, items, and the results of cached functions. Thread-safe.

    Attributes:
        cache: what is kept of values.
        values: the single getters.
    """

    __slots__ = ("_budget", "_caches", "_clock", "_lock", "_parts", "_settings", "cache", "values")

    def __init__(self, *, settings: Settings, clock: Clock, budget: Budget, backend: Callable[[], Backend]) -> None:
        self._settings = settings
        self._clock = clock
        self._budget = budget
        self._lock = threading.RLock()  # a part is made of others
        self._parts: dict[str, Any] = {}
        self._caches: dict[Cached, Cache] = {}
        store = Entries(max_entries=settings.max_entries, max_bytes=settings.max_bytes)
        self.cache = Cache(clock=clock, budget=budget, store=store, name=called)
        self.values = Values(cache=self.cache, backend=backend, clock=clock, settings=settings)

    @property
    def batches(self) -> Batches:
        """Many values with few calls."""

        def make() -> Batches:
            from ._batches import Batches  # 0.3 ms

            return Batches(self.values)

        return self._part("batches", make)

    @property
    def app_configs(self) -> AppConfigs:
        """Configurations of AppConfig."""

        def make() -> AppConfigs:
            from ._app_config import AppConfigs  # 0.2 ms

            return AppConfigs(self.values)

        return self._part("app_configs", make)

    @property
    def items(self) -> Items:
        """Items of DynamoDB."""

        def make() -> Items:
            from ._items import Items  # 0.2 ms

            return Items(self.values)

        return self._part("items", make)

    @property
    def rotations(self) -> Rotations:
        """Which version a value has now."""

        def make() -> Rotations:
            from ._rotation import Rotations  # 0.2 ms

            return Rotations(values=self.values, budget=self._budget)

        return self._part("rotations", make)

    @property
    def preload(self) -> Preload:
        """What is fetched in INIT."""

        def make() -> Preload:
            from ._preload import Preload  # 0.3 ms

            return Preload(values=self.values, batches=self.batches, budget=self._budget)

        return self._part("preload", make)

    def cache_of(self, made: Cached) -> Cache:
        """The cache of one function's results."""
        cache = self._caches.get(made)
        if cache is None:  # of threads that come here at once the first one's is everybody's
            new = made.cache(clock=self._clock, budget=self._budget, settings=self._settings)
            with self._lock:  # `caches` reads them one by one
                cache = self._caches.setdefault(made, new)
        return cache

    def keys(self, values: Iterable[str | Declared]) -> list[tuple[Any, ...]]:
        """The key of each: a name is a secret's."""
        return [
            self.values.secret_key(value, None, None, None) if isinstance(value, str) else self.values.key(value)
            for value in values
        ]

    def get(self, declared: Declared) -> Any:
        """What the getter of a declared value returns."""
        options = declared.options
        if declared.kind == SECRET:
            return self.values.get_secret(declared.name, force_fetch=False, **options)
        if declared.kind == PARAMETER:
            return self.values.get_parameter(declared.name, force_fetch=False, **options)
        options = {name: value for name, value in options.items() if name != "field"}
        return self.batches.get_parameters_by_path(declared.name, on_error="raise", **options)

    def drop(self) -> None:
        """Forget every value, every result, and every error that was kept."""
        with self._lock:
            caches = [self.cache, *self._caches.values()]
        for cache in caches:
            cache.invalidate(lambda _: True)
        self.values.kept.clear()

    def close(self) -> None:
        """See `drop`."""
        self.drop()

    def abandon(self) -> None:
        """In a forked child: nothing is open."""

    def caches(self) -> list[tuple[str | None, Cache]]:
        """Every cache: that of values first, without a name; then each function's, with the function's."""
        with self._lock:
            return [(None, self.cache), *((made.name, cache) for made, cache in self._caches.items())]

    def totals(self) -> tuple[int, int, int, float]:
        """Hits, fetches, values served stale, and the seconds that fetches took, of all caches together."""
        with self._lock:
            functions = [*self._caches.values()]
        hits, fetches, stale, upstream_s = self.cache.totals()
        for cache in functions:
            more = cache.totals()
            hits += more[0]
            fetches += more[1]
            stale += more[2]
            upstream_s += more[3]
        return hits, fetches, stale, upstream_s

    def _part(self, name: str, make: Callable[[], T]) -> T:
        if name not in self._parts:
            with self._lock:
                known = self._parts.get(name)  # another thread may have been faster
                self._parts[name] = make() if known is None else known
        part: T = self._parts[name]
        return part
