"""Many secrets and parameters with few calls."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from .. import _parallel
from .._cache import Entry
from .._diagnostics import find_in_type, flag, hide_locals, warn
from .._environment import part
from ..exceptions import AccessDeniedError, BatchError, ConfigurationError, FetchError
from . import PARAMETER, SECRET, Values, check_transform, describe, transformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Literal

    from .._environment import Environment
    from . import Key

    OnError = Literal["raise", "omit", "return"]

# What one call takes: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html and
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html
_MAX_NAMES = {SECRET: 20, PARAMETER: 10}
_MAX_WARNED = 1_000  # names
# What denies a call to these credentials; every other denial is of the credentials, which single calls have too.
_PERMISSIONS = frozenset(
    ("AccessDenied", "AccessDeniedException", "KMSAccessDeniedException", "NotAuthorized", "UnauthorizedOperation")
)


def get_secrets(
    names: Iterable[str],
    *,
    transform: Any = None,
    ttl: float | None = None,
    stale_ttl: float | None = None,
    region: str | None = None,
    force_fetch: bool = False,
    on_error: OnError = "raise",
) -> dict[str, Any]:
    """Several secrets by name: those that are not fresh with BatchGetSecretValue, 20 at a time, all chunks at once.

    What it fetches is what `get_secret` finds, and the other way round. Needs the permission
    ``secretsmanager:BatchGetSecretValue`` beside ``GetSecretValue``; where it is missing, or the server has no such
    call, which is remembered, secrets are fetched one by one.

    Args:
        names: names or ARNs; a name given twice is one. ARNs may be of several regions.
        transform: for each, as in `get_secret`.
        ttl: as in `get_secret`.
        stale_ttl: as in `get_secret`.
        region: as in `get_secret`.
        force_fetch: as in `get_secret`, for all names.
        on_error: what happens if a name is missing, denied, cannot be fetched, or cannot be transformed. ``"raise"``:
            one `BatchError`, which has the other values too. ``"omit"``: the name is left out, with one warning for
            each. ``"return"``: the exception stands in the place of the value, and nothing is raised.

    Returns:
        Name, as it was given, to value. Without names, an empty dict and no call.

    Raises:
        BatchError: see `on_error`.
        ConfigurationError: an argument is wrong.

    Thread-safe. Since 0.1.
    """
    batches = part(Batches)
    keys = {name: batches.values.secret_key(name, region=region) for name in _names(names)}
    return batches.get(keys, transform=transform, ttl=ttl, stale_ttl=stale_ttl, forced=force_fetch, on_error=on_error)


def get_parameters(
    names: Iterable[str],
    *,
    transform: Any = None,
    ttl: float | None = None,
    stale_ttl: float | None = None,
    decrypt: bool = True,
    region: str | None = None,
    force_fetch: bool = False,
    on_error: OnError = "raise",
) -> dict[str, Any]:
    """Several parameters by name: those that are not fresh with GetParameters, 10 at a time, all chunks at once.

    What it fetches is what `get_parameter` finds, and the other way round. SecureStrings are in the same calls.

    Args:
        names: names or ARNs, with ``:version`` or ``:label`` where one is wanted.
        transform: for each, as in `get_secret`.
        ttl: as in `get_secret`.
        stale_ttl: as in `get_secret`.
        decrypt: as in `get_parameter`.
        region: as in `get_secret`.
        force_fetch: as in `get_secrets`.
        on_error: as in `get_secrets`.

    Returns:
        Name, as it was given, to value.

    Raises:
        BatchError, ConfigurationError: as `get_secrets`.

    Thread-safe. Since 0.1.
    """
    batches = part(Batches)
    keys = {name: batches.values.parameter_key(name, decrypt=decrypt, region=region) for name in _names(names)}
    return batches.get(keys, transform=transform, ttl=ttl, stale_ttl=stale_ttl, forced=force_fetch, on_error=on_error)


def get_parameters_by_path(
    path: str,
    *,
    recursive: bool = True,
    transform: Any = None,
    ttl: float | None = None,
    stale_ttl: float | None = None,
    decrypt: bool = True,
    region: str | None = None,
    force_fetch: bool = False,
    on_error: OnError = "raise",
) -> dict[str, Any]:
    """All parameters below a path, every page of GetParametersByPath, which names there are being kept too.

    `get_parameter` finds each of them in memory afterwards, unless the list fills the memory by itself. Where one
    parameter may not be decrypted, which spoils the whole call, they are fetched by name, and `on_error` is about it.

    Args:
        path: begins with a slash, such as ``"/shop/prod"``.
        recursive: True: everything below. False: what stands directly below.
        transform: for each, as in `get_secret`.
        ttl: as in `get_secret`, for the list and its values together.
        stale_ttl: as in `get_secret`.
        decrypt: as in `get_parameter`.
        region: default: as in `client`.
        force_fetch: as in `get_secrets`, for the list and its values.
        on_error: as in `get_secrets`, for values that cannot be decrypted or transformed.

    Returns:
        Full name to value, in the order in which the service lists them; empty where there are none.

    Raises:
        BatchError, ConfigurationError: as `get_secrets`.
        FetchError: the list could not be fetched; its kinds are those of `get_secret`.

    Thread-safe. Since 0.1.
    """
    batches = part(Batches)
    key = batches.values.path_key(path, recursive=recursive, decrypt=decrypt, region=region)
    return batches.get_path(
        key, transform=transform, ttl=ttl, stale_ttl=stale_ttl, forced=force_fetch, on_error=on_error
    )


class Batches:
    """What `get_secrets`, `get_parameters` and `get_parameters_by_path` do, for one environment. Thread-safe.

    What they fetch is what the single getters find, and the other way round.
    """

    __slots__ = ("_refused", "_warned", "values")

    def __init__(self, values: Values) -> None:
        self.values = values
        self._refused: set[Key] = set()  # kinds and regions whose batch call is not allowed, or not there
        self._warned: set[Key] = set()

    @classmethod
    def of(cls, env: Environment) -> Batches:
        """Those of an environment."""
        return cls(env._parts[Values])

    def get(
        self,
        keys: dict[str, Key],
        *,
        transform: Any,
        ttl: float | None,
        stale_ttl: float | None,
        forced: bool,
        on_error: str,
    ) -> dict[str, Any]:
        """What the getter of each name returns."""
        _check(transform, on_error, forced)
        values = self.values
        ttl_s, stale_ttl_s = values.ttl_or_default_s(ttl), values.stale_ttl_or_default_s(stale_ttl)
        try:
            outcomes = self.fetch_each(keys.values(), ttl_s, stale_ttl_s, forced=forced)
            return self._results(keys, {name: outcomes[key] for name, key in keys.items()}, transform, on_error)
        except BaseException as error:
            hide_locals(error)
            raise

    def get_path(
        self,
        key: Key,
        *,
        transform: Any,
        ttl: float | None,
        stale_ttl: float | None,
        forced: bool,
        on_error: str,
    ) -> dict[str, Any]:
        """All parameters below a path, by name."""
        _check(transform, on_error, forced)
        times = self.values.ttl_or_default_s(ttl), self.values.stale_ttl_or_default_s(stale_ttl)
        try:
            listed = self.fetch_path(key, *times, forced=forced)
            by_name = self.fetch_by_name(key, listed, *times, forced=forced)
            return self._results_of_path(key, listed, by_name, transform, on_error)
        except BaseException as error:
            hide_locals(error)
            raise

    def _results_of_path(
        self, key: Key, listed: Entry, by_name: dict[Key, Entry | Exception], transform: Any, on_error: str
    ) -> dict[str, Any]:
        values, (_, _, region, _, decrypt) = self.values, key
        keys = {name: (PARAMETER, name, region, decrypt) for name, _ in listed.value}
        outcomes: dict[str, Any] = {}
        for name, entry in listed.value:
            single = values.cache.latest(keys[name])  # it may have been fetched since
            newer = single is not None and single.stored[1] > listed.stored[1]  # by the clock that nobody sets
            outcomes[name] = by_name[keys[name]] if entry is None else single if newer else entry
        return self._results(keys, outcomes, transform, on_error, within=(key, listed))

    def fetch_path(self, key: Key, ttl_s: float, stale_ttl_s: float, *, forced: bool = False) -> Entry:
        """The entry of a path: its value is name and entry of each parameter below it.

        None in place of the entries where one of them spoils the call: see `fetch_by_name`.
        """
        values, cache = self.values, self.values.cache
        entry = None if forced else cache.fresh(key, ttl_s)
        if entry is None:
            if (error := values.pop_preload_error(key)) is not None and not forced:
                raise error
            entry = cache.fetch(
                key, lambda: self._list(key, forced=forced), ttl_s=ttl_s, stale_ttl_s=stale_ttl_s, forced=forced
            )
            self._store_each(key, entry)
        return entry

    def fetch_by_name(
        self, key: Key, listed: Entry, ttl_s: float, stale_ttl_s: float, *, forced: bool = False
    ) -> dict[Key, Entry | Exception]:
        """What `fetch_path` could not bring, by the keys of the parameters."""
        absent = [(PARAMETER, name, key[2], key[4]) for name, entry in listed.value if entry is None]
        return self.fetch_each(absent, ttl_s, stale_ttl_s, forced=forced)

    def _store_each(self, key: Key, listed: Entry) -> None:
        cache, settings = self.values.cache, self.values.settings
        if len(listed.value) >= settings.max_entries or 2 * listed.size > settings.max_bytes:
            return  # they would push out the list itself
        for name, single in listed.value:
            if single is not None:
                single.stamp(listed.stored, listed.ttl_factor, settings.ttl_s)
                cache.add((PARAMETER, name, key[2], key[4]), single, along=(key, listed))

    def _list(self, key: Key, *, forced: bool) -> Entry:
        _, path, region, recursive, decrypt = key
        self.values.startup_jitter()
        backend = self.values.source(forced=forced)
        names: Iterable[str] | None = None
        try:
            found = backend.get_parameters_by_path(path, region=region, recursive=recursive, decrypt=decrypt)
        except FetchError as error:
            if decrypt and _is_of_one_key(error):
                with suppress(FetchError):  # the path itself is denied: the first error says so
                    names = backend.get_parameters_by_path(path, region=region, recursive=recursive, decrypt=False)
            if names is None:
                raise
            return Entry(tuple((name, None) for name in names))
        listed = Entry(tuple((name, Entry(*answer)) for name, answer in found.items()))
        listed.size += sum(entry.size for _, entry in listed.value)
        return listed

    def fetch_each(
        self, keys: Iterable[Key], ttl_s: float, stale_ttl_s: float, *, forced: bool = False
    ) -> dict[Key, Entry | Exception]:
        """An entry for each key, of secrets and of parameters, or the exception that is this key's."""
        values = self.values
        outcomes: dict[Key, Entry | Exception] = {}
        absent: list[Key] = []
        for key in keys:
            fresh = None if forced else values.cache.fresh(key, ttl_s)
            outcome = fresh or values.pop_preload_error(key)
            if outcome is None or forced:
                absent.append(key)
            else:
                outcomes[key] = outcome
        if absent:
            work = partial(self._fetch, forced=forced)
            outcomes.update(values.cache.fetch_each(absent, work, ttl_s=ttl_s, stale_ttl_s=stale_ttl_s, forced=forced))
        return outcomes

    def _results(
        self,
        keys: dict[str, Key],
        outcomes: dict[str, Entry | Exception],
        transform: Any,
        on_error: str,
        *,
        within: tuple[Key, Entry] | None = None,
    ) -> dict[str, Any]:
        results: dict[str, Any] = {}
        errors: dict[str, Exception] = {}
        for name, outcome in outcomes.items():
            if isinstance(outcome, Exception):
                errors[name] = outcome
                continue
            try:
                results[name] = (
                    outcome.value
                    if transform is None
                    else transformed(self.values.cache, keys[name], outcome, transform, None, within)
                )
            except Exception as error:  # noqa: BLE001 - of the user's own transform too: it is this name's
                errors[name] = error
        if errors and on_error == "raise":
            raise BatchError(errors, results)
        if on_error == "return":
            return {name: results[name] if name in results else errors[name] for name in outcomes}
        for name, failure in errors.items():
            if keys[name] not in self._warned and len(self._warned) < _MAX_WARNED:
                self._warned.add(keys[name])
                warn("%s is left out (%s)", describe(keys[name]), type(failure).__name__)
        return results

    def _fetch(self, keys: list[Key], *, forced: bool) -> dict[Key, Entry | Exception]:
        """Chunks at the same time, each with as many names as one call takes."""
        groups: dict[Key, list[Key]] = {}
        for key in keys:
            kind, name, region, *rest = key
            # A version or a stage is not among what the batch call can be asked for.
            alone = name if kind == SECRET and rest != [None, None] else None
            groups.setdefault((kind, region, alone, *rest), []).append(key)
        chunks: list[list[Key]] = []
        for (kind, region, *_), group in groups.items():
            most = 1 if (kind, region) in self._refused else _MAX_NAMES[kind]
            chunks += [group[at : at + most] for at in range(0, len(group), most)]
        if any(chunk[0][0] == PARAMETER for chunk in chunks):
            self.values.startup_jitter()
        outcomes: dict[Key, Entry | Exception] = {}
        tasks = [partial(self._chunk if len(chunk) > 1 else self._singles, chunk, forced=forced) for chunk in chunks]
        for chunk, outcome in zip(chunks, _parallel.run(tasks), strict=True):
            outcomes.update(dict.fromkeys(chunk, outcome) if isinstance(outcome, Exception) else outcome)
        return outcomes

    def _chunk(self, chunk: list[Key], *, forced: bool) -> dict[Key, Entry | Exception]:
        kind, _, region, *rest = chunk[0]
        names = [key[1] for key in chunk]
        backend = self.values.source(forced=forced)
        options = {} if kind == SECRET else {"decrypt": rest[0]}
        found: Any
        try:
            # A user's backend need not have it: it is not there, or what it has inherited of the protocol.
            batch = getattr(backend, "get_secrets" if kind == SECRET else "get_parameters", None)
            found = None if batch is None else batch(names, region=region, **options)
        except FetchError as error:
            from .._errors import is_not_implemented  # 0.5 ms, only on the way to an error

            if is_not_implemented(error):
                self._refused.add((kind, region))
                return self._singles(chunk, forced=forced)
            denied = isinstance(error, AccessDeniedError)
            if error.retryable or (denied and error.code not in _PERMISSIONS):
                raise
            # One name that is denied or malformed spoils the whole call, or the call itself is not allowed.
            singles = self._singles(chunk, forced=forced)
            one_is_denied = any(isinstance(outcome, AccessDeniedError) for outcome in singles.values())
            if denied and (kind == SECRET or not one_is_denied):  # of secrets one alone never spoils the call
                self._refused.add((kind, region))
            return singles
        if found is None:
            self._refused.add((kind, region))
            return self._singles(chunk, forced=forced)
        outcomes: dict[Key, Entry | Exception] = {}
        for key in chunk:
            answer = found.get(key[1])
            if answer is not None:
                outcomes[key] = answer if isinstance(answer, Exception) else Entry(*answer)
        return outcomes | self._singles([key for key in chunk if key not in outcomes], forced=forced)

    def _singles(self, keys: list[Key], *, forced: bool) -> dict[Key, Entry | Exception]:
        tasks = [partial(self.values.fetch_one, key, forced=forced) for key in keys]
        return dict(zip(keys, _parallel.run(tasks), strict=True))


def _names(names: Any) -> list[Any]:
    if isinstance(names, (str, bytes)):
        raise ConfigurationError(f"names={names[:40]!r}: give a list of names, not one text")
    if find_in_type(type(names), "keys") is not None:  # its values would be options to other libraries, and lost here
        raise ConfigurationError(
            "names: give a list of names, not a dictionary; options go by keyword, for all of them"
        )
    try:
        return list(dict.fromkeys(names))
    except TypeError:
        raise ConfigurationError(f"names: give a list of strings, not {type(names).__name__}") from None


def _check(transform: Any, on_error: Any, forced: Any) -> None:
    check_transform(transform, None)
    flag("force_fetch", forced)
    if on_error not in ("raise", "omit", "return"):
        raise ConfigurationError(f"on_error={on_error!r}: give 'raise', 'omit' or 'return'")


def _is_of_one_key(error: FetchError) -> bool:
    """Whether a path may be listed, and what spoils the call is the key of one parameter."""
    return str(error.code).startswith(("KMS", "InvalidKeyId")) or (
        isinstance(error, AccessDeniedError) and error.code in _PERMISSIONS
    )
