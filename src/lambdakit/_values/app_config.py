"""Configurations of AWS AppConfig: polled with the token of the last poll, which says nothing if nothing changed."""

from __future__ import annotations

from .._cache import Entry
from .._diagnostics import flag, hide_locals, optional_text, text
from .._environment import part
from ..exceptions import FetchError
from . import Values, check_transform, transformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._environment import Environment
    from . import Key

CONFIGURATION = "configuration"

_TOKEN_REFUSED = "BadRequestException"  # noqa: S105 - a code: the token was used or has expired, it lives for a day
_LEAST_TTL_FACTOR = 0.9  # what jitter leaves of a ttl at least: an interval of the service must not be undercut
_MARGIN_S = 1.0  # the service counts it from its answer, this side from its question


def get_app_config(
    application: str,
    environment: str,
    profile: str,
    *,
    field: str | None = None,
    transform: Any = None,
    ttl: float | None = None,
    stale_ttl: float | None = None,
    region: str | None = None,
    force_fetch: bool = False,
) -> Any:
    """A configuration of AWS AppConfig, from memory while it is fresh.

    A session is kept: a poll that finds nothing changed keeps the value, and costs a call without content. The service
    says how often it may be polled (60 s by default); a shorter `ttl` waits for that.

    Args:
        application: id or name.
        environment: id or name.
        profile: id or name of the configuration profile.
        field: as in `get_secret`.
        transform: as in `get_secret`.
        ttl: as in `get_secret`.
        stale_ttl: as in `get_secret`.
        region: default: as in `client`.
        force_fetch: begin a new session now; otherwise as in `get_secret`.

    Returns:
        The text (bytes if it is not UTF-8), or what the transform makes of it.

    Raises:
        LambdakitError: its kinds are those of `get_secret`.

    Thread-safe. Since 0.1.
    """
    configurations = part(Configurations)
    path = (text("application", application), text("environment", environment), text("profile", profile))
    key = configurations.key(path, region)
    check_transform(transform, field)
    try:
        entry = configurations.read(key, ttl, stale_ttl, forced=flag("force_fetch", force_fetch))
        plain = transform is None and field is None
        return entry.value if plain else transformed(configurations.values.cache, key, entry, transform, field)
    except BaseException as error:
        hide_locals(error)
        raise


class Configurations:
    """The configurations of an environment, which are values as others. Thread-safe."""

    __slots__ = ("values",)

    def __init__(self, values: Values) -> None:
        self.values = values

    @classmethod
    def of(cls, env: Environment) -> Configurations:
        """Those of an environment."""
        return cls(env._parts[Values])

    def key(self, path: tuple[str, str, str], region: str | None) -> Key:
        """The key of a configuration."""
        return (CONFIGURATION, "/".join(path), optional_text("region", region) or self.values.region, path)

    def read(self, key: Key, ttl: float | None, stale_ttl: float | None, *, forced: bool = False) -> Entry:
        """The entry of a configuration."""
        values, cache = self.values, self.values.cache
        ttl_s = values.ttl_or_default_s(ttl)
        last = cache.latest(key)
        if last is not None:  # the service refuses to be polled more often
            ttl_s = max(ttl_s, (last.fetch_state[1] + _MARGIN_S) / _LEAST_TTL_FACTOR)
        stale_ttl_s = values.stale_ttl_or_default_s(stale_ttl)
        return cache.read(key, self._poll, key, forced, ttl_s=ttl_s, stale_ttl_s=stale_ttl_s, forced=forced)

    def _poll(self, key: Key, forced: bool) -> Entry:  # noqa: FBT001 - `Cache.read` passes positions
        _, name, region, path = key
        backend = self.values.backend
        last = None if forced else self.values.cache.latest(key)
        answer = None
        if last is not None:
            try:
                answer = backend.get_latest_configuration(last.fetch_state[0], name=name, region=region)
            except FetchError as error:
                if error.code != _TOKEN_REFUSED:
                    raise
        if answer is None:
            last = None
            token = backend.start_configuration_session(*path, region=region)
            answer = backend.get_latest_configuration(token, name=name, region=region)
        body, label, token, interval_s = answer
        if last is not None and not body:
            same = Entry(last.value, last.version, fetch_state=(token, interval_s))
            same.fields, same.results, same.size = last.fields, last.results, last.size
            return same
        try:
            return Entry(body.decode(), label, fetch_state=(token, interval_s))
        except UnicodeDecodeError:
            return Entry(body, label, fetch_state=(token, interval_s))
