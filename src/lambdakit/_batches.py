"""Many secrets and parameters with few calls."""

from __future__ import annotations

from functools import partial

from . import _parallel, _transforms
from ._declared import PARAMETER, SECRET
from ._entries import Entry
from ._log import warn
from ._values import called
from .exceptions import AccessDeniedError, BatchError, ConfigurationError, FetchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ._clock import Instant
    from ._values import Values

# What one call takes: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html and
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html
_MOST = {SECRET: 20, PARAMETER: 10}
_WARNED = 1_000  # names
# What denies a call to these credentials; every other denial is of the credentials, which single calls have too.
_PERMISSIONS = frozenset(
    ("AccessDenied", "AccessDeniedException", "KMSAccessDeniedException", "NotAuthorized", "UnauthorizedOperation")
)


class Batches:
    """What `get_secrets`, `get_parameters` and `get_parameters_by_path` do, for one environment. Thread-safe.

    What they fetch is what the single getters find, and the other way round.
    """

    __slots__ = ("_refused", "_values", "_warned")

    def __init__(self, values: Values) -> None:
        self._values = values
        self._refused: set[tuple[Any, ...]] = set()  # kinds and regions whose batch call is not allowed
        self._warned: set[tuple[Any, ...]] = set()

    def get_secrets(
        self,
        names: Iterable[str],
        *,
        transform: Any,
        ttl: float | None,
        stale_ttl: float | None,
        region: str | None,
        on_error: str,
    ) -> dict[str, Any]:
        keys = {name: self._values.secret_key(name, None, None, region) for name in _names(names)}
        return self._get(keys, transform, ttl, stale_ttl, on_error)

    def get_parameters(
        self,
        names: Iterable[str],
        *,
        transform: Any,
        ttl: float | None,
        stale_ttl: float | None,
        decrypt: bool,
        region: str | None,
        on_error: str,
    ) -> dict[str, Any]:
        keys = {name: self._values.parameter_key(name, decrypt, region) for name in _names(names)}
        return self._get(keys, transform, ttl, stale_ttl, on_error)

    def get_parameters_by_path(
        self,
        path: str,
        *,
        recursive: bool,
        transform: Any,
        ttl: float | None,
        stale_ttl: float | None,
        decrypt: bool,
        region: str | None,
        on_error: str,
    ) -> dict[str, Any]:
        _transforms.check(transform, None)
        _checked(on_error)
        key = self._values.path_key(path, recursive, decrypt, region)
        ttl_s = self._values.ttl_s(ttl)
        listed = self.fetch_path(key, ttl_s, self._values.stale_ttl_s(stale_ttl))
        outcomes: dict[str, Any] = {}
        for name, entry in listed.value:
            single = self._values.cache.latest((PARAMETER, name, key[2], decrypt))  # it may have been fetched since
            newer = single is not None and single.stored[1] > listed.stored[1]  # by the clock that nobody sets
            outcomes[name] = single if newer else entry
        keys = {name: (PARAMETER, name, key[2], decrypt) for name in outcomes}
        return self._given(keys, outcomes, transform, on_error)

    def fetch_path(self, key: tuple[Any, ...], ttl_s: float, stale_ttl_s: float) -> Entry:
        """The entry of a path: its value is name and entry of each parameter below it."""
        values, cache = self._values, self._values.cache
        entry = cache.fresh(key, values.clock.now(), ttl_s)
        if entry is None:
            if (error := values.kept_error(key)) is not None:
                raise error
            entry = cache.fetch(key, lambda: self._listed(key), ttl_s=ttl_s, stale_ttl_s=stale_ttl_s)
            self._keep_listed(key, entry)
        return entry

    def _keep_listed(self, key: tuple[Any, ...], listed: Entry) -> None:
        cache, settings = self._values.cache, self._values.settings
        if len(listed.value) >= settings.max_entries or 2 * listed.size > settings.max_bytes:
            return  # they would push out the list itself
        for name, single in listed.value:
            single.keep(listed.stored, listed.share)
            cache.add((PARAMETER, name, key[2], key[4]), single, along=(key, listed))

    def _listed(self, key: tuple[Any, ...]) -> Entry:
        _, path, region, recursive, decrypt = key
        self._values.spread()
        found = self._values.backend().get_parameters_by_path(path, region=region, recursive=recursive, decrypt=decrypt)
        listed = Entry(tuple((name, Entry(*answer)) for name, answer in found.items()), None)
        listed.size += sum(entry.size for _, entry in listed.value)
        return listed

    def fetch_each(
        self, keys: Iterable[tuple[Any, ...]], ttl_s: float, stale_ttl_s: float
    ) -> dict[tuple[Any, ...], Entry | Exception]:
        """An entry for each key, of secrets and of parameters, or the exception that is this key's."""
        values = self._values
        now: Instant = values.clock.now()
        outcomes: dict[tuple[Any, ...], Entry | Exception] = {}
        absent: list[tuple[Any, ...]] = []
        for key in keys:
            outcome = values.cache.fresh(key, now, ttl_s) or values.kept_error(key)
            if outcome is None:
                absent.append(key)
            else:
                outcomes[key] = outcome
        if absent:
            outcomes.update(values.cache.fetch_each(absent, self._fetched, ttl_s=ttl_s, stale_ttl_s=stale_ttl_s))
        return outcomes

    def _get(
        self, keys: dict[str, Any], transform: Any, ttl: float | None, stale_ttl: float | None, on_error: str
    ) -> dict[str, Any]:
        _transforms.check(transform, None)
        _checked(on_error)
        outcomes = self.fetch_each(keys.values(), self._values.ttl_s(ttl), self._values.stale_ttl_s(stale_ttl))
        return self._given(keys, {name: outcomes[key] for name, key in keys.items()}, transform, on_error)

    def _given(
        self, keys: dict[str, Any], outcomes: dict[str, Entry | Exception], transform: Any, on_error: str
    ) -> dict[str, Any]:
        given: dict[str, Any] = {}
        errors: dict[str, Exception] = {}
        for name, outcome in outcomes.items():
            if isinstance(outcome, Exception):
                errors[name] = outcome
                continue
            try:
                given[name] = (
                    outcome.value
                    if transform is None
                    else _transforms.apply(self._values.cache, keys[name], outcome, transform, None)
                )
            except Exception as error:  # noqa: BLE001 - of the user's own transform too: it is this name's
                errors[name] = error
        if errors and on_error == "raise":
            raise BatchError(errors, given)
        for name, failure in errors.items():
            if keys[name] not in self._warned and len(self._warned) < _WARNED:
                self._warned.add(keys[name])
                warn("%s is left out (%s)", called(keys[name]), type(failure).__name__)
        return given

    def _fetched(self, keys: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], Entry | Exception]:
        """Chunks at the same time, each with as many names as one call takes."""
        groups: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
        for key in keys:
            kind, name, region, *rest = key
            # A version or a stage is not among what the batch call can be asked for.
            alone = name if kind == SECRET and rest != [None, None] else None
            groups.setdefault((kind, region, alone, *rest), []).append(key)
        chunks: list[list[tuple[Any, ...]]] = []
        for (kind, region, *_), group in groups.items():
            most = 1 if (kind, region) in self._refused else _MOST[kind]
            chunks += [group[at : at + most] for at in range(0, len(group), most)]
        if any(chunk[0][0] == PARAMETER for chunk in chunks):
            self._values.spread()
        outcomes: dict[tuple[Any, ...], Entry | Exception] = {}
        for chunk, outcome in zip(chunks, _parallel.run([self._call(chunk) for chunk in chunks]), strict=True):
            outcomes.update(dict.fromkeys(chunk, outcome) if isinstance(outcome, Exception) else outcome)
        return outcomes

    def _call(self, chunk: list[tuple[Any, ...]]) -> Callable[[], dict[tuple[Any, ...], Entry | Exception]]:
        return partial(self._chunk if len(chunk) > 1 else self._singles, chunk)

    def _chunk(self, chunk: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], Entry | Exception]:
        kind, _, region, *rest = chunk[0]
        names = [key[1] for key in chunk]
        backend = self._values.backend()
        found: dict[str, Any]
        try:
            if kind == SECRET:
                found = dict(backend.get_secrets(names, region=region))
            else:
                found = dict(backend.get_parameters(names, region=region, decrypt=rest[0]))
        except FetchError as error:
            denied = isinstance(error, AccessDeniedError)
            if error.retryable or (denied and error.code not in _PERMISSIONS):
                raise
            # One name that is denied or malformed spoils the whole call, or the call itself is not allowed.
            singles = self._singles(chunk)
            to_blame = any(isinstance(outcome, AccessDeniedError) for outcome in singles.values())
            if denied and (kind == SECRET or not to_blame):  # of secrets one alone never spoils the call
                self._refused.add((kind, region))
            return singles
        outcomes: dict[tuple[Any, ...], Entry | Exception] = {}
        for key in chunk:
            answer = found.get(key[1])
            if answer is not None:
                outcomes[key] = answer if isinstance(answer, Exception) else Entry(*answer)
        return outcomes | self._singles([key for key in chunk if key not in outcomes])

    def _singles(self, keys: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], Entry | Exception]:
        tasks = [partial(self._values.single, key) for key in keys]
        return dict(zip(keys, _parallel.run(tasks), strict=True))


def _names(names: Any) -> list[Any]:
    if isinstance(names, (str, bytes)):
        raise ConfigurationError(f"names={names[:40]!r}: give a list of names, not one text")
    try:
        return list(dict.fromkeys(names))
    except TypeError:
        raise ConfigurationError(f"names: give a list of strings, not {type(names).__name__}") from None


def _checked(on_error: Any) -> None:
    if on_error not in ("raise", "omit"):
        raise ConfigurationError(f"on_error={on_error!r}: give 'raise' or 'omit'")
