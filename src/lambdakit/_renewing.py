"""What is renewed while no user waits: values that are about to expire, and what was built once."""

from __future__ import annotations

from functools import partial

from . import _parallel
from ._clock import age_s
from ._declared import PARAMETER, PATH, SECRET
from ._factory import KEEP
from ._log import warn
from ._running import in_loop
from ._values import called

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from ._budget import Budget
    from ._clock import Instant
    from ._memory import Memory
    from ._singletons import Singletons

    Key: TypeAlias = "tuple[Any, ...]"

_CONFIGURATION = "configuration"  # of AppConfig
_KINDS = frozenset((SECRET, PARAMETER, PATH, _CONFIGURATION))
_YOUNG = 0.1  # of its ttl; the share by which that differs from value to value
_MOST = 100  # values: five calls to Secrets Manager, or ten to Parameter Store


def due(memory: Memory, *, ttl_s: float, now: Instant, within_s: float) -> list[Key]:
    """The keys of values that will be past `ttl_s` within so many seconds; if there are many, of those used last.

    What was fetched just now is not among them: to fetch it again would keep it hardly longer.

    Secrets, parameters, paths and configurations: items and results of functions may be anybody's, and are fetched when
    they are asked for.
    """
    cache = memory.cache
    found: list[tuple[float, Key]] = []
    for key in [*cache._store.keys()]:  # noqa: SLF001 - of this package
        entry = cache.latest(key) if key[0] in _KINDS else None
        if entry is not None:
            old_s = age_s(entry.stored, now)
            if old_s >= ttl_s * _YOUNG and old_s + within_s >= ttl_s * entry.share:
                found.append((entry.used[1], key))
    if len(found) > _MOST:
        found.sort(key=_used, reverse=True)
    return [key for _, key in found[:_MOST]]


def _used(found: tuple[float, Key]) -> float:
    return found[0]


def refresh(memory: Memory, keys: list[Key]) -> None:
    """Fetch these anew, together. What fails is logged, and what is in memory stays.

    Nothing is fresh to a ttl of 0. To a stale ttl of 0 a failure is an error, where a reader might get the old value.
    """
    alone: dict[Key, Callable[[], Any]] = {}
    together: dict[Key, Any] = {}
    for key in keys:
        if key[0] == PATH:
            alone[key] = partial(memory.batches.fetch_path, key, 0.0, 0.0)
        elif key[0] == _CONFIGURATION:
            alone[key] = partial(_poll, memory, key)
        else:
            together[key] = memory.cache.latest(key)
    outcomes: dict[Key, Any] = dict(zip(alone, _parallel.run([*alone.values()]), strict=True))
    # A path brings the parameters below it.
    still = [key for key, entry in together.items() if memory.cache.latest(key) is entry]
    outcomes.update(memory.batches.fetch_each(still, 0.0, 0.0))
    failed = [key for key, outcome in outcomes.items() if isinstance(outcome, Exception)]
    if failed:
        what, why = called(failed[0]), type(outcomes[failed[0]]).__name__
        said = "ping: %d of %d values could not be renewed, such as %s (%s); those in memory stay"
        warn(said, len(failed), len(outcomes), what, why)


def _poll(memory: Memory, key: Key) -> None:
    options: dict[str, Any] = {"field": None, "transform": None, "ttl": 0.0, "stale_ttl": 0.0, "force_fetch": False}
    memory.app_configs.get(*key[3], region=key[2], **options)


def recheck(singletons: Singletons, budget: Budget, now: Instant) -> None:
    """Do now what the first use in an invocation would do: check an instance, or build a new one. Failures are logged.

    What would be kept as it is, is left alone: it has to go on counting as idle.
    """
    for held in singletons.held():
        factory = held.factory
        left_s = budget()
        if left_s is not None and left_s <= 0.0:
            return
        if not held.versions and singletons.due(held, now) == KEEP:
            continue
        try:
            if held.loop is None:
                singletons.get(factory)
            elif not held.loop.is_closed() and not in_loop():
                held.loop.run_until_complete(budget.bound(singletons.get_async(factory)))
        except Exception as error:  # noqa: BLE001 - a user's factory raises whatever it likes
            warn("ping: %s could not be built anew (%s)", factory.name, type(error).__name__)
