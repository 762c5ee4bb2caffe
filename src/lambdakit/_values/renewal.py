"""Values that are renewed before they expire, while no user waits: at a ping."""

from __future__ import annotations

from functools import partial

from .. import _parallel
from .._clock import age_s
from .._diagnostics import warn
from . import PARAMETER, PATH, SECRET, describe
from .app_config import CONFIGURATION, Configurations
from .batches import Batches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._cache import Cache
    from .._clock import Instant
    from .._environment import Environment
    from . import Key

# Items of DynamoDB and results of functions may be anybody's, and are fetched when they are asked for.
_KINDS = frozenset((SECRET, PARAMETER, PATH, CONFIGURATION))
_YOUNG = 0.1  # of its ttl; the share by which that differs from value to value
_MAX_VALUES = 100  # five calls to Secrets Manager, or ten to Parameter Store


def due(cache: Cache, *, ttl_s: float, now: Instant, within_s: float) -> list[Key]:
    """The keys of values that will be past `ttl_s` within so many seconds; if there are many, of those used last.

    What was fetched just now is not among them: to fetch it again would keep it hardly longer.
    """
    found: list[tuple[float, Key]] = []
    for key, entry in cache.entries():
        if entry.stored[1] > now[1]:  # fetched since this ping began, such as what INIT has left over
            continue
        old_s = age_s(entry.stored, now)
        if key[0] in _KINDS and old_s >= ttl_s * _YOUNG and old_s + within_s >= ttl_s * entry.ttl_factor:
            found.append((entry.used_s, key))
    if len(found) > _MAX_VALUES:
        found.sort(key=_last_use, reverse=True)
    return [key for _, key in found[:_MAX_VALUES]]


def _last_use(found: tuple[float, Key]) -> float:
    return found[0]


def refresh(env: Environment, cache: Cache, keys: list[Key]) -> None:
    """Fetch these anew, together. What fails is logged, and what is in memory stays.

    Nothing is fresh to a ttl of 0. To a stale ttl of 0 a failure is an error, where a reader might get the old value.
    """
    batches, configurations = env._parts[Batches], env._parts[Configurations]
    alone: dict[Key, Callable[[], Any]] = {}
    together: dict[Key, Any] = {}
    for key in keys:
        if key[0] == PATH:
            alone[key] = partial(batches.fetch_path, key, 0.0, 0.0)
        elif key[0] == CONFIGURATION:
            alone[key] = partial(configurations.read, key, 0.0, 0.0)
        else:
            together[key] = cache.latest(key)
    outcomes: dict[Key, Any] = dict(zip(alone, _parallel.run([*alone.values()]), strict=True))
    # A path brings the parameters below it.
    still = [key for key, entry in together.items() if cache.latest(key) is entry]
    outcomes.update(batches.fetch_each(still, 0.0, 0.0))
    failed = [key for key, outcome in outcomes.items() if isinstance(outcome, Exception)]
    if failed:
        example, reason = describe(failed[0]), type(outcomes[failed[0]]).__name__
        message = "ping: %d of %d values could not be renewed, such as %s (%s); those in memory stay"
        warn(message, len(failed), len(outcomes), example, reason)
