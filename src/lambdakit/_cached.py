"""What any function returns, kept as values are: one cache for each function and environment."""

from __future__ import annotations

from functools import partial, update_wrapper

from ._cache import Cache
from ._check import seconds
from ._clock import age_s
from ._entries import Entry
from ._tally import Tallies, Tally
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cachetools import LRUCache

    from ._budget import Budget
    from ._clock import Clock, Instant
    from ._settings import Settings

_CO_GENERATOR, _CO_COROUTINE, _CO_ASYNC_GENERATOR = 0x20, 0x80, 0x200  # inspect's, without the 5 ms of its import
_ONE_READER = ("__next__", "__anext__", "__await__")  # of generators, coroutines, `map` and their like
_NAMED = object()  # between positional arguments and keywords: equal to nothing that a caller can give


def is_coroutine_function(decorator: str, fn: Any) -> bool:
    """Whether `fn` has to be awaited, if it is a function of the kind that a decorator can call more than once."""
    if isinstance(fn, (classmethod, staticmethod)):
        raise ConfigurationError(f"{decorator}: write it below @{type(fn).__name__}, next to the function")
    if isinstance(fn, type):
        raise ConfigurationError(
            f"{decorator}: give a function, not the class {fn.__name__}; one that makes it will do"
        )
    if not callable(fn):
        raise ConfigurationError(f"{decorator}: give a function, not {type(fn).__name__}; options go by keyword")
    inner = _inner(fn)
    code = getattr(inner, "__code__", None) or getattr(type(inner).__call__, "__code__", None)
    flags = getattr(code, "co_flags", 0)
    if flags & (_CO_GENERATOR | _CO_ASYNC_GENERATOR):
        raise ConfigurationError(f"{decorator}: {_name(fn)} yields, and is run by who reads it; let it return a list")
    return bool(flags & _CO_COROUTINE)


def _inner(fn: Any) -> Any:
    while isinstance(fn, partial):
        fn = fn.func
    return fn


def _name(fn: Any) -> str:
    inner = _inner(fn)
    return f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', type(inner).__name__)}"


class Cached:
    """What `@cached` was told about one function; the function's results are an environment's.

    Args:
        fn: a function or a coroutine function.
        ttl: seconds, None for the setting, or a callable that gets what was returned and tells its seconds.
        stale_ttl: seconds, None for the setting, or for 0 if each result has its own ttl.
        max_size: how many results are kept, None for the setting.
        key: gets the arguments and returns what identifies them; None: the arguments themselves.
    """

    __slots__ = ("_key", "_stale_ttl", "_ttl", "fn", "is_async", "max_size", "name")

    def __init__(self, fn: Any, *, ttl: Any, stale_ttl: Any, max_size: Any, key: Any) -> None:
        self.is_async = is_coroutine_function("cached", fn)
        if not (ttl is None or callable(ttl)):
            seconds("ttl", ttl)
        if stale_ttl is not None:
            seconds("stale_ttl", stale_ttl)
        if not (max_size is None or (type(max_size) is int and max_size > 0)):
            raise ConfigurationError(f"max_size={max_size!r}: give a whole number > 0, or None for the default")
        if not (key is None or callable(key)):
            raise ConfigurationError(f"key={key!r}: give a function of the arguments, or None for the arguments")
        self.fn: Any = fn
        self.max_size = max_size
        self.name = _name(fn)
        self._ttl = ttl
        self._stale_ttl = stale_ttl
        self._key = key

    def cache(self, *, clock: Clock, budget: Budget, settings: Settings) -> Cache:
        """An empty cache for its results."""
        return Results(
            clock=clock,
            budget=budget,
            recent=Recent(self.max_size or settings.max_entries),
            name=lambda _: f"cached {self.name}",  # arguments may be secrets
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

    def ttl_s(self, settings: Settings) -> float | None:
        """For `Cache.fresh`: None if each result has its own."""
        ttl = self._ttl
        return settings.ttl_s if ttl is None else None if callable(ttl) else ttl

    def stale_ttl_s(self, settings: Settings) -> float:
        """For `Cache.fetch`."""
        if self._stale_ttl is None:
            return 0.0 if callable(self._ttl) else settings.stale_ttl_s  # past its own expiry it is of no use
        stale_ttl_s: float = self._stale_ttl
        return stale_ttl_s

    def entry(self, result: Any) -> Entry:
        """A result, with how long it is good for."""
        kind = type(result)
        # Python's own alone: files are read again, and clients may be awaited as often as one likes.
        if kind.__module__ == "builtins" and any(hasattr(kind, name) for name in _ONE_READER):
            if hasattr(result, "cr_code"):
                result.close()  # or Python would say that nobody has awaited it
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


class _Together(Tallies):
    def __missing__(self, key: object) -> Tally:
        return self.rest


class Results(Cache):
    """The cache of one function, which counts all results together.

    A count for each would keep arguments alive that are long gone, and a look at it would be a use of each.
    """

    __slots__ = ("_recent",)

    def __init__(self, *, clock: Clock, budget: Budget, recent: Recent, name: Callable[[Any], str]) -> None:
        super().__init__(clock=clock, budget=budget, store=recent, name=name)
        self._recent = recent
        self._tallies = _Together()

    def fresh(self, key: Any, now: Instant, ttl_s: float | None) -> Entry | None:
        """As that of any cache, but hits are counted in one number: there may be very many entries to add up."""
        recent = self._recent
        entry = recent.get(key)
        if entry is None or age_s(entry.stored, now) >= (entry.lifetime_s if ttl_s is None else ttl_s) * entry.share:
            return None
        recent.counted += 1
        entry.used = now
        return entry

    def counts(self) -> tuple[dict[Any, Tally], Tally]:
        """Nothing for each key, everything together."""
        with self._lock:
            together = Tally()
            together.add(self._tallies.rest)
            together.hits += self._recent.hits()
        return {}, together


class Recent:
    """At most `max_size` entries, kept by cachetools: the one whose last use is longest ago goes first.

    What is good for no time at all is not kept, nor what was there before it. Each use changes the order, so each takes
    a lock. That is 0.3 µs more than a hit on a secret costs, and the only way to bound a cache of any size without a
    search.
    """

    __slots__ = ("_entries", "_lock", "counted")

    def __init__(self, max_size: int) -> None:
        import threading

        from cachetools import LRUCache  # 2 ms, paid by the first call of a cached function

        self._entries: LRUCache[Any, Entry] = LRUCache(max_size)
        self._lock = threading.Lock()
        self.counted = 0  # hits, of entries that are gone too

    def get(self, key: Any, /) -> Entry | None:
        """The entry of `key`, which is the youngest now."""
        with self._lock:
            entry: Entry | None = self._entries.get(key)
            return entry

    def put(self, key: Any, entry: Entry) -> list[tuple[Any, Entry]]:
        """Keep it; what had to go for it, an older entry of the same key too."""
        with self._lock:
            old = self._entries.pop(key, None)
            gone = [] if old is None else [(key, old)]
            if entry.lifetime_s <= 0.0 or not self._entries.maxsize:
                return gone
            if len(self._entries) >= self._entries.maxsize:
                gone.append(self._entries.popitem())
            self._entries[key] = entry
        return gone

    def pop(self, key: Any) -> Entry | None:
        """Give it up."""
        with self._lock:
            entry: Entry | None = self._entries.pop(key, None)
            return entry

    def keys(self) -> list[Any]:
        """All keys."""
        with self._lock:
            return list(self._entries)

    def hits(self) -> int:
        """Of all that were ever kept."""
        return self.counted

    def size(self) -> int:
        """Bytes: not known of results of any kind."""
        return 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._entries)


def bind(made: Cached, environment: Callable[[], Any]) -> Any:
    """The function that looks first and calls only then; `environment` finds the environment at each call."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        env = environment()
        cache: Cache = env.memory.cache_of(made)
        key, ttl_s = made.key(args, kwargs), made.ttl_s(env.settings)
        entry = cache.fresh(key, env.clock.now(), ttl_s)
        if entry is None:
            entry = cache.fetch(
                key,
                lambda: made.entry(made.fn(*args, **kwargs)),
                ttl_s=ttl_s,
                stale_ttl_s=made.stale_ttl_s(env.settings),
            )
        return entry.value

    async def async_wrapper(*args: Any, **kwargs: Any) -> Any:
        env = environment()
        cache: Cache = env.memory.cache_of(made)
        key, ttl_s = made.key(args, kwargs), made.ttl_s(env.settings)
        entry = cache.fresh(key, env.clock.now(), ttl_s)
        if entry is None:

            async def work() -> Entry:
                return made.entry(await made.fn(*args, **kwargs))

            entry = await cache.fetch_async(key, work, ttl_s=ttl_s, stale_ttl_s=made.stale_ttl_s(env.settings))
        return entry.value

    def cache() -> Cache:
        kept: Cache = environment().memory.cache_of(made)
        return kept

    def invalidate(*args: Any, **kwargs: Any) -> None:
        wanted = made.key(args, kwargs)
        cache().invalidate(lambda key: key == wanted)

    chosen: Any = update_wrapper(async_wrapper if made.is_async else wrapper, made.fn)
    chosen.invalidate = invalidate
    chosen.clear = lambda: cache().invalidate(lambda _: True)
    return chosen
