"""Configurations of AWS AppConfig: polled with the token of the last poll, which says nothing if nothing changed."""

from __future__ import annotations

from . import _transforms
from ._check import flag, optional_text, text
from ._entries import Entry
from .exceptions import FetchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._values import Values

_KIND = "configuration"
_REFUSED = "BadRequestException"  # of a token that was used or has expired: it lives for a day
_SHARE = 0.9  # the least that jitter leaves of a ttl: an interval of the service must not be undercut
_MARGIN_S = 1.0  # the service counts it from its answer, this side from its question


class AppConfigs:
    """What `get_app_config` does, for one environment. Thread-safe."""

    __slots__ = ("_values",)

    def __init__(self, values: Values) -> None:
        self._values = values

    def get(
        self,
        application: str,
        environment: str,
        profile: str,
        *,
        field: str | None,
        transform: Any,
        ttl: float | None,
        stale_ttl: float | None,
        region: str | None,
        force_fetch: bool,
    ) -> Any:
        cache, values = self._values.cache, self._values
        path = (text("application", application), text("environment", environment), text("profile", profile))
        key = (_KIND, "/".join(path), optional_text("region", region) or values.settings.region, path)
        _transforms.check(transform, field)
        ttl_s, forced = values.ttl_s(ttl), flag("force_fetch", force_fetch)
        last = cache.latest(key)
        if last is not None:
            ttl_s = max(ttl_s, (last.memo[1] + _MARGIN_S) / _SHARE)  # the service refuses to be polled more often
        entry = None if forced else cache.fresh(key, values.clock.now(), ttl_s)
        if entry is None:
            entry = cache.fetch(
                key,
                lambda: self._polled(key, forced=forced),
                ttl_s=ttl_s,
                stale_ttl_s=values.stale_ttl_s(stale_ttl),
                forced=forced,
            )
        if transform is None and field is None:
            return entry.value
        return _transforms.apply(cache, key, entry, transform, field)

    def _polled(self, key: tuple[Any, ...], *, forced: bool) -> Entry:
        _, name, region, path = key
        backend = self._values.backend()
        last = None if forced else self._values.cache.latest(key)
        answer = None
        if last is not None:
            try:
                answer = backend.get_latest_configuration(last.memo[0], name=name, region=region)
            except FetchError as error:
                if error.code != _REFUSED:
                    raise
        if answer is None:
            last = None
            token = backend.start_configuration_session(*path, region=region)
            answer = backend.get_latest_configuration(token, name=name, region=region)
        body, label, token, interval_s = answer
        if last is not None and not body:
            same = Entry(last.value, last.version, memo=(token, interval_s))
            same.derived = last.derived
            return same
        try:
            return Entry(body.decode(), label, memo=(token, interval_s))
        except UnicodeDecodeError:
            return Entry(body, label, memo=(token, interval_s))
