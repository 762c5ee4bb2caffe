"""What any function returns, kept as values are: one cache for each function and environment."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from itertools import count
from weakref import ref

from ._cache import Cache, Counters, CountersByKey, Entry
from ._clock import age_s
from ._diagnostics import (
    MISSING,
    checked_function,
    close_coroutine,
    find_in_type,
    hide_locals,
    qualified_name,
    seconds,
    wrap,
)
from ._environment import part, warn_of_decorating
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ParamSpec, Protocol, TypeVar, overload

    from cachetools import LRUCache

    from ._clock import Budget, Clock
    from ._environment import Environment
    from ._settings import Settings

    P = ParamSpec("P")
    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)

    class CachedMethod(Protocol[R_co]):
        """One that stands in a class: of a class method, checkers do not know that its first argument is given."""

        def __call__(self, *args: Any, **kwargs: Any) -> R_co: ...
        def invalidate(self, *args: Any, **kwargs: Any) -> None:
            """Forget the result for these arguments, the instance first."""

        def clear(self) -> None:
            """Forget all results."""

    class CachedFunction(Protocol[P, R_co]):
        """A function whose results are kept."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
        @overload
        def __get__(self, instance: None, owner: type, /) -> CachedMethod[R_co]: ...
        @overload
        def __get__(self, instance: Any, owner: type | None = None, /) -> Callable[..., R_co]: ...
        def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
            """Forget the result for these arguments."""

        def clear(self) -> None:
            """Forget all results."""


_ONE_READER = ("__next__", "__anext__", "__await__")  # of generators, coroutines, `map` and their like
_numbers = count()
_NAMED = object()  # between positional arguments and keywords: equal to nothing that a caller can give

if TYPE_CHECKING:

    @overload
    def cached(
        fn: Callable[P, R],
        /,
        *,
        ttl: float | Callable[[Any], float] | None = None,
        stale_ttl: float | None = None,
        max_size: int | None = None,
        key: Callable[..., Any] | None = None,
    ) -> CachedFunction[P, R]: ...
    @overload
    def cached(
        *,
        ttl: float | Callable[[Any], float] | None = None,
        stale_ttl: float | None = None,
        max_size: int | None = None,
        key: Callable[..., Any] | None = None,
    ) -> Callable[[Callable[P, R]], CachedFunction[P, R]]: ...


def cached(
    fn: Any = MISSING,
    /,
    *,
    ttl: Any = None,
    stale_ttl: float | None = None,
    max_size: int | None = None,
    key: Any = None,
) -> Any:
    """Keep what a function returns, as secrets and parameters are kept: ``@cached``, or ``@cached(...)`` with options.

    One fetch for all threads, or tasks, that ask at once; frozen time counts; errors are not kept; a result that is too
    old is served for a while where a call fails for a reason that passes (time-outs, lost connections, throttling, a
    status of 500 or above: of botocore, requests, httpx, urllib3, aiohttp and the standard library).

    Args:
        fn: a function or a coroutine function; in a class, the instance is one of the arguments. Below ``@classmethod``
            or ``@staticmethod``, where there is one.
        ttl: seconds; None: 300, or ``LAMBDAKIT_TTL``. A callable gets what was returned and tells for how many seconds
            that is good, such as ``lambda token: token["expires_in"] - 30``; 0 or less: not kept.
        stale_ttl: as in `get_secret`; None is 0 where `ttl` is a callable: what has expired is of no use.
        max_size: how many results are kept, per function; None: 1,000, or ``LAMBDAKIT_MAX_ENTRIES``. The one whose last
            use is longest ago goes first.
        key: gets the arguments and returns what identifies them, hashable; None: the arguments themselves, as they are
            given: ``f(1)`` and ``f(n=1)`` are two.

    Returns:
        A function of the same signature, with ``invalidate(*args, **kwargs)`` and ``clear()``. All readers get the same
        object: do not change it.

    Raises:
        ConfigurationError: an option is wrong, or `fn` is a class or yields. At a call: the arguments cannot be hashed,
            the function returned something that only one reader can use, such as an iterator, or asks for itself.
        DeadlineExceededError: at a call, less than 0.25 s is left of the invocation, and there is no stale result.

    Decorate functions of a module or a class. One that is made in each invocation has no results to begin with, which
    is told by a warning; they are gone with the function.

    Thread-safe. Results belong to the environment. Since 0.1.
    """

    def decorate(fn: Any) -> Any:
        warn_of_decorating("cached", fn)
        return _wrap(Cached(fn, ttl=ttl, stale_ttl=stale_ttl, max_size=max_size, key=key))

    if fn is MISSING:
        Cached(decorate, ttl=ttl, stale_ttl=stale_ttl, max_size=max_size, key=key)  # an error where it stands
        return decorate
    return decorate(fn)


def warm_imports(env: Environment) -> None:  # noqa: ARG001 - what every feature is given
    """What a first call needs: for INIT, see `_warm_imports`."""
    __import__("cachetools")


class Cached:
    """What `@cached` was told about one function; the function's results are an environment's.

    Args:
        fn: a function or a coroutine function.
        ttl: seconds, None for the setting, or a callable that gets what was returned and tells its seconds.
        stale_ttl: seconds, None for the setting, or for 0 if each result has its own ttl.
        max_size: how many results are kept, None for the setting.
        key: gets the arguments and returns what identifies them; None: the arguments themselves.
    """

    __slots__ = ("__weakref__", "_key", "_stale_ttl", "_ttl", "fn", "is_async", "max_size", "name", "number")

    def __init__(self, fn: Any, *, ttl: Any, stale_ttl: Any, max_size: Any, key: Any) -> None:
        self.is_async = checked_function("cached", fn)
        if not (ttl is None or callable(ttl)):
            seconds("ttl", ttl)
        if stale_ttl is not None:
            seconds("stale_ttl", stale_ttl)
        if not (max_size is None or (type(max_size) is int and max_size > 0)):
            raise ConfigurationError(f"max_size={max_size!r}: give a whole number > 0, or None for the default")
        if not (key is None or callable(key)):
            raise ConfigurationError(f"key={key!r}: give a function of the arguments, or None for the arguments")
        self.fn: Any = fn
        self.number = next(_numbers)
        self.max_size = max_size
        self.name = qualified_name(fn)
        self._ttl = ttl
        self._stale_ttl = stale_ttl
        self._key = key

    def new_cache(self, *, clock: Clock, budget: Budget, settings: Settings) -> Results:
        """An empty cache for its results."""
        return Results(
            clock=clock,
            budget=budget,
            recent=Recent(self.max_size or settings.max_entries),
            describe=partial(_describe, self.name),
        )

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What identifies a call."""
        if self._key is not None:
            made = self._key(*args, **kwargs)
        else:
            made = (*args, _NAMED, *sorted(kwargs.items())) if kwargs else args
        try:
            hash(made)
        except TypeError:
            what = "the arguments of" if self._key is None else "what key= returns for"
            raise ConfigurationError(
                f"cached: {what} {self.name} cannot be hashed; give key=, a function of the arguments that returns a "
                "string, or a tuple of strings and numbers"
            ) from None
        return made

    def ttls_s(self, settings: Settings) -> tuple[float | None, float]:
        """For `Cache.read`: the ttl, None if each result has its own, and the stale ttl."""
        ttl_s, stale_ttl_s = self._ttl, self._stale_ttl
        if ttl_s is None:
            ttl_s = settings.ttl_s
        elif callable(ttl_s):
            # Past its own expiry a result is of no use.
            return None, 0.0 if stale_ttl_s is None else stale_ttl_s
        return ttl_s, settings.stale_ttl_s if stale_ttl_s is None else stale_ttl_s

    def entry(self, result: Any) -> Entry:
        """A result, with how long it is good for."""
        kind = type(result)
        # Python's own alone: files are read again, and clients may be awaited as often as one likes.
        if kind.__module__ == "builtins" and any(find_in_type(kind, name) for name in _ONE_READER):
            close_coroutine(result)
            raise ConfigurationError(
                f"cached: {self.name} returned a {kind.__name__}, which only its first reader could use; let it return "
                "a list, or decorate the coroutine function itself"
            )
        if not callable(self._ttl):
            return Entry(result)
        lifetime_s = self._ttl(result)
        if isinstance(lifetime_s, bool) or not isinstance(lifetime_s, (int, float)) or lifetime_s != lifetime_s:  # noqa: PLR0124 - NaN
            given = "NaN" if isinstance(lifetime_s, float) else type(lifetime_s).__name__  # what it is may be secret
            raise ConfigurationError(f"ttl: the function of {self.name} has to return seconds, a number, not {given}")
        return Entry(result, lifetime_s=lifetime_s)


def _describe(name: str, _: Any) -> str:
    return f"cached {name}"  # arguments may be secrets


class _Together(CountersByKey):
    def __missing__(self, key: object) -> Counters:
        return self.rest


class Results(Cache):
    """The cache of one function, which counts all results together.

    A count for each would keep arguments alive that are long gone, and a look at it would be a use of each.
    """

    __slots__ = ("_recent",)

    def __init__(self, *, clock: Clock, budget: Budget, recent: Recent, describe: Callable[[Any], str]) -> None:
        super().__init__(clock=clock, budget=budget, store=recent, describe=describe)
        self._recent = recent
        self._counters = _Together()

    def fresh(self, key: Any, ttl_s: float | None) -> Entry | None:
        """As that of any cache, but hits are counted in one number: there may be very many entries to add up."""
        now = self._clock.now()
        entry = self._recent.get(key)
        fresh_s = 0.0 if entry is None else (entry.lifetime_s if ttl_s is None else ttl_s) * entry.ttl_factor
        if entry is None or age_s(entry.stored, now) >= fresh_s:
            return None
        self._recent.hit_count += 1
        entry.used_s = now[1]
        return entry

    def take_over(self, other: Results) -> None:
        """Count what another one has counted, whose function is gone."""
        self._counters.rest.add(other._counters.rest)
        self._counters.fetches += other._counters.fetches
        self._counters.stale += other._counters.stale
        self._counters.upstream_s += other._counters.upstream_s
        self._recent.hit_count += other._recent.hit_count

    def counts(self) -> tuple[dict[Any, Counters], Counters]:
        """Nothing for each key, everything together."""
        with self._lock:
            together = Counters()
            together.add(self._counters.rest)
            together.hits += self._recent.hits()
        return {}, together


class Recent:
    """At most `max_size` entries, kept by cachetools: the one whose last use is longest ago goes first.

    What is good for no time at all is not kept, nor what was there before it. Each use changes the order, so each takes
    a lock. That is 0.3 µs more than a hit on a secret costs, and the only way to bound a cache of any size without a
    search.
    """

    __slots__ = ("_entries", "_lock", "hit_count")

    def __init__(self, max_size: int) -> None:
        from cachetools import LRUCache  # 2 ms, paid by the first call of a cached function

        self._entries: LRUCache[Any, Entry] = LRUCache(max_size)
        self._lock = threading.Lock()
        self.hit_count = 0  # of entries that are gone too

    def get(self, key: Any, /) -> Entry | None:
        """The entry of `key`, which is the youngest now."""
        with self._lock:
            entry: Entry | None = self._entries.get(key)
            return entry

    def put(self, key: Any, entry: Entry) -> list[tuple[Any, Entry]]:
        """Keep it; what was evicted for it, an older entry of the same key too."""
        with self._lock:
            old = self._entries.pop(key, None)
            evicted = [] if old is None else [(key, old)]
            if entry.lifetime_s <= 0.0 or not self._entries.maxsize:
                return evicted
            if len(self._entries) >= self._entries.maxsize:
                evicted.append(self._entries.popitem())
            self._entries[key] = entry
        return evicted

    def pop(self, key: Any) -> Entry | None:
        """Give it up."""
        with self._lock:
            entry: Entry | None = self._entries.pop(key, None)
            return entry

    def grow(self, key: Any, entry: Entry, size: int) -> list[tuple[Any, Entry]]:  # noqa: ARG002 - of each store
        """Nothing is made of results, and their bytes are not known."""
        return []

    def keys(self) -> list[Any]:
        """All keys."""
        with self._lock:
            return list(self._entries)

    def hits(self) -> int:
        """Of all that were ever kept."""
        return self.hit_count

    def size(self) -> int:
        """Bytes: not known of results of any kind."""
        return 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._entries)


class Caches:
    """The caches of an environment's functions. Thread-safe."""

    __slots__ = ("_caches", "_env", "_functions", "_gone", "_lock", "settings")

    def __init__(self, env: Environment) -> None:
        self._env = env
        self.settings = env.settings
        self._lock = threading.Lock()
        self._caches: dict[int, Results] = {}  # by the function's number: a cache lives as long as its function
        self._functions: dict[int, tuple[ref[Cached], Any, Results]] = {}
        self._gone: Results | None = None

    @classmethod
    def of(cls, env: Environment) -> Caches:
        """Those of an environment."""
        return cls(env)

    def cache(self, cached: Cached) -> Cache:
        """The cache of one function's results."""
        cache = self._caches.get(cached.number)
        if cache is None:  # of threads that come here at once the first one's is everybody's
            env = self._env
            new = cached.new_cache(clock=env.clock, budget=env._budget, settings=self.settings)
            with self._lock:
                cache = self._caches.setdefault(cached.number, new)
                if cache is new:
                    env._caches.append(named := (cached.name, new))
                    gone = partial(self.forget, cached.number)
                    self._functions[cached.number] = ref(cached, gone), named, new
        return cache

    def forget(self, number: int, _: Any = None) -> None:
        """A function is gone, and with it its results; what they counted stays.

        No lock is taken, since this may happen within any line of code.
        """
        _, named, cache = self._functions.pop(number)
        self._caches.pop(number, None)
        with suppress(ValueError):
            self._env._caches.remove(named)
        if self._gone is None:
            self._gone = Results(clock=self._env.clock, budget=self._env._budget, recent=Recent(1), describe=str)
            self._env._caches.append(("functions that are gone", self._gone))
        self._gone.take_over(cache)

    def close(self) -> None:
        """Forget every result."""
        for cache in [*self._caches.values()]:
            cache.clear()


def _wrap(cached: Cached) -> Any:
    """The function that looks first and calls only then; it finds the environment at each call."""

    def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        return cached.entry(cached.fn(*args, **kwargs))

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        caches = part(Caches)
        ttl_s, stale_ttl_s = cached.ttls_s(caches.settings)
        try:
            cache, key = caches.cache(cached), cached.key(args, kwargs)
            return cache.read(key, call, args, kwargs, ttl_s=ttl_s, stale_ttl_s=stale_ttl_s).value
        except BaseException as error:
            args, kwargs, key = (), {}, None  # they may be secrets, and this frame is shown with the error
            hide_locals(error, libraries=False)
            raise

    async def async_wrapper(*args: Any, **kwargs: Any) -> Any:
        caches = part(Caches)
        ttl_s, stale_ttl_s = cached.ttls_s(caches.settings)
        try:
            cache, key = caches.cache(cached), cached.key(args, kwargs)
            entry = cache.fresh(key, ttl_s)
            if entry is None:

                async def work() -> Entry:
                    return cached.entry(await cached.fn(*args, **kwargs))

                entry = await cache.fetch_async(key, work, ttl_s=ttl_s, stale_ttl_s=stale_ttl_s)
        except BaseException as error:
            args, kwargs, key = (), {}, None  # as above
            hide_locals(error, libraries=False)
            raise
        return entry.value

    def invalidate(*args: Any, **kwargs: Any) -> None:
        wanted = cached.key(args, kwargs)
        part(Caches).cache(cached).invalidate(lambda key: key == wanted)

    chosen: Any = wrap(async_wrapper if cached.is_async else wrapper, cached.fn)
    chosen.invalidate = invalidate
    chosen.clear = lambda: part(Caches).cache(cached).clear()
    return chosen
