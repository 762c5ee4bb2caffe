"""Secrets and parameters, one at a time: the cache in front of a backend."""

from __future__ import annotations

import json
from contextlib import suppress
from time import monotonic, time
from types import FunctionType
from weakref import ref

from .._backends import Backends
from .._cache import Cache, Entries, Entry
from .._clock import Clock
from .._diagnostics import find_in_type, flag, hide_locals, optional_text, seconds, text
from .._environment import STACK, environment, part
from ..exceptions import ConfigurationError, ValueFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

    from .._clock import Instant
    from .._environment import Environment
    from ..backends import Backend

    T = TypeVar("T")
    Key = tuple[Any, ...]

    class ReadOptions(TypedDict, total=False):
        """What every getter takes by keyword; the defaults stand in the signatures."""

        ttl: float | None
        stale_ttl: float | None
        region: str | None
        force_fetch: bool

    class SecretOptions(ReadOptions, total=False):
        """What `get_secret` takes by keyword beside `field` and `transform`."""

        version_id: str | None
        version_stage: str | None

    class ParameterOptions(ReadOptions, total=False):
        """What `get_parameter` takes by keyword beside `field` and `transform`."""

        decrypt: bool


SECRET, PARAMETER, PATH, VARIABLE = "secret", "parameter", "path", "variable"

_FOREVER = float("inf")  # an environment variable does not change under a running environment
_STARTUP_JITTER_S = 0.05  # forty processes at once are what Parameter Store takes in a second
_SCALARS = (str, int, float, bool, type(None))
_BOM = "\ufeff"  # what some editors begin a file with
_ARN_SUFFIX = len("-") + 6  # what Secrets Manager adds to a name in an ARN
_BY_IDENTITY = vars(object)["__eq__"]  # of whatever equals nothing but itself

if TYPE_CHECKING:

    @overload
    def get_secret(
        name: str, *, field: str | None = None, transform: Callable[[Any], T], **options: Unpack[SecretOptions]
    ) -> T: ...
    @overload
    def get_secret(
        name: str, *, field: str | None = None, transform: Literal["binary"], **options: Unpack[SecretOptions]
    ) -> bytes: ...
    @overload
    def get_secret(
        name: str,
        *,
        field: str | None = None,
        transform: Literal["json", "auto"] | None = None,
        **options: Unpack[SecretOptions],
    ) -> Any: ...


def get_secret(
    name: str,
    *,
    field: str | None = None,
    transform: Any = None,
    ttl: float | None = None,
    stale_ttl: float | None = None,
    version_id: str | None = None,
    version_stage: str | None = None,
    region: str | None = None,
    force_fetch: bool = False,
) -> Any:
    """A secret of AWS Secrets Manager, from memory while it is fresh.

    Args:
        name: the secret's name or ARN; an ARN is asked for in its own region.
        field: take this entry of the secret, which has to be a JSON object.
        transform: None: the text as it is stored (bytes for a binary secret). ``"json"``: parsed, a new object for each
            call. ``"binary"``: decoded from base64, in which line breaks do not count. ``"auto"``: what the end of the
            name says, ``.json`` or ``.binary``; as it is stored otherwise. A callable: what it returns for the stored
            value; it runs once per stored version, so its result is shared by all callers, and counts in
            ``LAMBDAKIT_MAX_BYTES``. A lambda that is made anew at each call is the same callable, unless it holds
            something of the call. With `field`, all of these are applied to the entry, and ``"json"`` adds nothing.
        ttl: how old, in seconds, the value may be for this call. Default: 300, or ``LAMBDAKIT_TTL``. 0 fetches always,
            but shares a fetch that is under way. Time in which the environment was frozen counts. Up to a tenth less,
            another share for each stored value, so that environments born together do not fetch together.
        stale_ttl: for how many seconds after the end of the ttl the old value may be served if a fetch fails with
            throttling, a status of 500 or above, a network error, or for lack of time. Default: 3600, or
            ``LAMBDAKIT_STALE_TTL``. 0: never.
        version_id: that version; default: what `version_stage` says.
        version_stage: default: ``AWSCURRENT``.
        region: default: that of an ARN, else as in `client`. Not another than that of an ARN.
        force_fetch: fetch now, from the service itself, never share a fetch that began before this call, and raise if
            it fails.

    Returns:
        The text, the bytes, or what the transform makes of it.

    Raises:
        ConfigurationError: an argument is wrong.
        NotFoundError, AccessDeniedError, ThrottledError, ServiceError, NetworkError, FetchError: it could not be
            fetched, and there is no stale value to serve; nothing of an error is cached.
        ValueFormatError: it is not JSON, not base64, or has no such field. The message has nothing of the value in it.
        DeadlineExceededError: less than 0.25 s is left of the invocation, or a fetch took too long for it.

    Thread-safe: threads that ask at once share one fetch. Since 0.1.
    """
    if (  # the usual read, written out: what `Cache.fresh` does, which takes twice as long
        region is None
        and version_id is None
        and version_stage is None
        and ttl is None
        and transform is None
        and field is None
        and not force_fetch
    ):
        try:
            entry = STACK[-1]._made[Values].usual_secrets[name]
        except (LookupError, TypeError):  # not there; and what is no name, `read` says
            pass
        else:
            since_s, until_s, until_monotonic_s = entry.window
            if since_s <= time() < until_s and (now_s := monotonic()) < until_monotonic_s:
                entry.hits += 1
                entry.used_s = now_s
                return entry.value
    values = part(Values)
    key = (SECRET, name, values.region if region is None else region_of(name, region), version_id, version_stage)
    return values.read(key, field, transform, ttl, stale_ttl, forced=force_fetch)


if TYPE_CHECKING:

    @overload
    def get_parameter(
        name: str, *, field: str | None = None, transform: Callable[[Any], T], **options: Unpack[ParameterOptions]
    ) -> T: ...
    @overload
    def get_parameter(
        name: str, *, field: str, transform: Literal["json", "auto"] | None = None, **options: Unpack[ParameterOptions]
    ) -> Any: ...
    @overload
    def get_parameter(
        name: str, *, field: str | None = None, transform: Literal["json", "auto"], **options: Unpack[ParameterOptions]
    ) -> Any: ...
    @overload
    def get_parameter(
        name: str, *, field: str | None = None, transform: Literal["binary"], **options: Unpack[ParameterOptions]
    ) -> bytes: ...
    @overload
    def get_parameter(
        name: str, *, field: None = None, transform: None = None, **options: Unpack[ParameterOptions]
    ) -> str: ...


def get_parameter(
    name: str,
    *,
    field: str | None = None,
    transform: Any = None,
    ttl: float | None = None,
    stale_ttl: float | None = None,
    decrypt: bool = True,
    region: str | None = None,
    force_fetch: bool = False,
) -> Any:
    """A parameter of AWS Systems Manager's Parameter Store, from memory while it is fresh.

    Args:
        name: the parameter's name or ARN, with ``:version`` or ``:label`` where one is wanted.
        field: as in `get_secret`.
        transform: as in `get_secret`.
        ttl: as in `get_secret`.
        stale_ttl: as in `get_secret`.
        decrypt: True decrypts a SecureString, and changes nothing for others; False returns it encrypted.
        region: as in `get_secret`.
        force_fetch: as in `get_secret`.

    Returns:
        The text (a StringList with its commas), or what the transform makes of it.

    Raises:
        LambdakitError: its kinds are those of `get_secret`.

    Thread-safe, as `get_secret` is. Since 0.1.
    """
    values = part(Values)
    key = (PARAMETER, name, values.region if region is None else region_of(name, region), decrypt)
    return values.read(key, field, transform, ttl, stale_ttl, forced=force_fetch)


def decrypt_env(name: str, *, context: dict[str, str] | None = None) -> str:
    """The plaintext of an environment variable that is encrypted with KMS, decrypted once per environment.

    Args:
        name: of the variable; it holds the ciphertext in base64, as Lambda's console and ``aws kms encrypt`` write it,
            with line breaks or without.
        context: the encryption context. None: ``{"LambdaFunctionName": <this function>}``, as the console's encryption
            helpers have it; ``{}`` for a variable that was encrypted without one.

    Raises:
        ConfigurationError: no such variable, or a wrong argument.
        ValueFormatError: it is not base64, or the plaintext is not UTF-8.
        FetchError: its kinds are those of `get_secret`.

    Thread-safe. Since 0.1.
    """
    return part(Values).decrypt_env(name, context)


def invalidate(name: str) -> None:
    """Forget every value fetched under this name: secret or parameter, every version and region, lists it is in.

    Also a configuration, by ``"application/environment/profile"``, and all items of a table, by its name.

    What is being fetched at this moment reaches those who wait for it, and is not kept.

    Raises:
        ConfigurationError: `name` is empty or not a string.

    Thread-safe. Since 0.1.
    """
    part(Values).invalidate(name)


def clear() -> None:
    """Forget every value, also results of cached functions. Clients and connections stay. Thread-safe. Since 0.1."""
    env = environment()
    for _, cache in [*env._caches]:
        cache.clear()
    if (values := env._parts.peek(Values)) is not None:
        values.preload_errors.clear()


def warm_imports(env: Environment) -> None:
    """What a first value needs: for INIT, see `_warm_imports`."""
    _ = env._parts[Values]
    env._parts[Backends].warm_imports()


class Declared:
    """Which value, and how it is to be read; immutable by convention.

    Attributes:
        kind: ``secret``, ``parameter`` or ``path``.
        name: of the value.
        options: the keyword arguments of its getter.
    """

    __slots__ = ("kind", "name", "options")

    def __init__(self, kind: str, name: str, options: dict[str, Any]) -> None:
        self.kind = kind
        self.name = name
        self.options = options

    def __repr__(self) -> str:
        """Kind and name."""
        return f"<{self.kind} {self.name!r}>"


class Values:
    """What is kept of values, and how one is fetched. Thread-safe.

    A key is a tuple: the kind, the name, the region, then whatever else changes the answer. Not in it are ttl and
    transform (the reader's) nor the backend (an environment has one, and all backends give the same answer).

    Args:
        env: the owner, with the defaults, the bounds and the clocks.

    Attributes:
        region: the default region.
        ttl_s: the default ttl.
        preload_errors: by key, raised at the first use.
        usual_secrets: those that are asked for by nothing but their name; none where the clocks are not the machine's.
    """

    __slots__ = ("_env", "_startup_jitter_s", "cache", "preload_errors", "region", "settings", "ttl_s", "usual_secrets")

    def __init__(self, env: Environment) -> None:
        settings = env.settings
        self._env = env
        self.settings = settings
        self.region = settings.region
        entries = Entries(
            max_entries=settings.max_entries, max_bytes=settings.max_bytes, short_key=self._name_of_usual_secret
        )
        self.usual_secrets = entries.by_short_key
        self.cache = Cache(clock=env.clock, budget=env._budget, store=entries, describe=describe, ttl_s=settings.ttl_s)
        self.ttl_s = settings.ttl_s
        self.preload_errors: dict[Any, Exception] = {}
        self._startup_jitter_s = _STARTUP_JITTER_S if settings.processes else 0.0

    @classmethod
    def of(cls, env: Environment) -> Values:
        """Those of an environment."""
        values = cls(env)
        env._caches.insert(0, (None, values.cache))
        return values

    @property
    def backend(self) -> Backend:
        """Where values come from, made at the first fetch."""
        return self._env._parts[Backends].backend

    def _name_of_usual_secret(self, key: Key) -> str | None:
        kind, name, region, *rest = key
        plain = kind == SECRET and rest == [None, None] and type(self._env.clock) is Clock
        return name if plain and (region == self.region or arn_region(name) is not None) else None

    def secret_key(self, name: Any, *, version_id: Any = None, version_stage: Any = None, region: Any = None) -> Key:
        """The key of a secret, its arguments checked."""
        region = self.region if region is None else region_of(name, region)
        return _checked_key((SECRET, name, region, version_id, version_stage))

    def parameter_key(self, name: Any, *, decrypt: Any = True, region: Any = None) -> Key:
        """The key of a parameter, its arguments checked."""
        return _checked_key((PARAMETER, name, self.region if region is None else region_of(name, region), decrypt))

    def path_key(self, path: Any, *, recursive: Any = True, decrypt: Any = True, region: Any = None) -> Key:
        """The key of a path, its arguments checked: with or without a slash at the end it is the same."""
        if not text("path", path).startswith("/"):
            raise ConfigurationError(f"path={path!r}: give a path that begins with a slash, such as '/shop/prod'")
        _, _, region, decrypt = self.parameter_key(path, decrypt=decrypt, region=region)
        return (PATH, path.rstrip("/") or "/", region, flag("recursive", recursive), decrypt)

    def key(self, value: Declared | str) -> Key:
        """The key of what was declared, its arguments checked; a name is a secret's."""
        if isinstance(value, str):
            return self.secret_key(value)
        options = value.options
        if value.kind == SECRET:
            names = ("version_id", "version_stage", "region")
            return self.secret_key(value.name, **{name: options[name] for name in names})
        if value.kind == PARAMETER:
            return self.parameter_key(value.name, decrypt=options["decrypt"], region=options["region"])
        names = ("recursive", "decrypt", "region")
        return self.path_key(value.name, **{name: options[name] for name in names})

    def ttl_or_default_s(self, ttl: float | None) -> float:
        """The reader's, or the setting."""
        return self.ttl_s if ttl is None else seconds("ttl", ttl)

    def stale_ttl_or_default_s(self, stale_ttl: float | None) -> float:
        """The reader's, or the setting."""
        return self.settings.stale_ttl_s if stale_ttl is None else seconds("stale_ttl", stale_ttl)

    def get(self, declared: Declared) -> Any:
        """What the getter of a declared secret or parameter returns."""
        options = declared.options
        names = ("field", "transform", "ttl", "stale_ttl")
        return self.read(self.key(declared), *(options[name] for name in names))

    def read(
        self,
        key: Key,
        field: str | None,
        transform: Any,
        ttl: float | None,
        stale_ttl: float | None,
        *,
        forced: bool = False,
    ) -> Any:
        """A secret or a parameter: fresh from memory, else fetched; then transformed.

        Args:
            key: as the getters make it; its parts are checked if it is not found.
            field: as in `get_secret`; so are the others.
            transform: see there.
            ttl: see there.
            stale_ttl: see there.
            forced: fetch in any case, and raise in any case.
        """
        try:
            ttl_s = self.ttl_or_default_s(ttl)
            if transform is not None or field is not None:
                check_transform(transform, field)
            try:
                entry = None if forced else self.cache.fresh(key, ttl_s)
            except TypeError:  # something in the key cannot be hashed: `fetch` says which argument it is
                entry = None
            if entry is None:
                entry = self.fetch(key, ttl_s, stale_ttl, forced=forced)
            if transform is None and field is None:
                return entry.value
            return transformed(self.cache, key, entry, transform, field)
        except BaseException as error:
            hide_locals(error)
            raise

    def fetch(self, key: Key, ttl_s: float, stale_ttl: float | None, *, forced: bool = False) -> Entry:
        """The entry of a secret or a parameter that is not fresh, by a single call for it; its arguments are checked.

        Args:
            key: as the getters make it.
            ttl_s: the reader's.
            stale_ttl: the reader's; None for the default.
            forced: fetch in any case, and raise in any case.
        """
        asked, key, stale_ttl_s = key, _checked_key(key), self.stale_ttl_or_default_s(stale_ttl)
        flag("force_fetch", forced)
        if key != asked and not forced and (entry := self.cache.fresh(key, ttl_s)) is not None:
            return entry
        if self.preload_errors and (error := self.pop_preload_error(key)) is not None and not forced:
            raise error
        return self.cache.fetch(
            key, lambda: self.fetch_one(key, forced=forced), ttl_s=ttl_s, stale_ttl_s=stale_ttl_s, forced=forced
        )

    def pop_preload_error(self, key: Key) -> Exception | None:
        """The error that `preload` has kept of this key, told once; None if a value has come since."""
        error = self.preload_errors.pop(key, None)
        return error if self.cache.latest(key) is None else None

    def source(self, *, forced: bool) -> Backend:
        """Where values come from; what is forced comes from the service itself."""
        return self.backend.origin if forced else self.backend

    def fetch_one(self, key: Key, *, forced: bool = False) -> Entry:
        """Ask the backend for one secret or parameter."""
        backend = self.source(forced=forced)
        kind, name, region, *rest = key
        if kind == SECRET:
            return Entry(*backend.get_secret(name, region=region, version_id=rest[0], version_stage=rest[1]))
        self.startup_jitter()
        return Entry(*backend.get_parameter(name, region=region, decrypt=rest[0]))

    def startup_jitter(self) -> None:
        """Before the first call to Parameter Store: processes that were started together do not call it together."""
        pause_s, self._startup_jitter_s = self._startup_jitter_s, 0.0
        if pause_s:
            clock = self._env.clock
            clock.sleep(pause_s * clock.random())

    def decrypt_env(self, name: str, context: dict[str, str] | None) -> str:
        ciphertext = self.settings.environ.get(text("name", name))
        if not ciphertext:
            raise ConfigurationError(
                f"name={name!r}: no such environment variable, or an empty one; set its ciphertext"
            )
        function_name = self.settings.function_name
        if context is None:
            context = {"LambdaFunctionName": function_name} if function_name else {}
        elif not _is_text_to_text(context):
            raise ConfigurationError("context: give a dict of strings to strings, {} for none, or None for the default")
        key = (VARIABLE, name, self.region, ciphertext, tuple(sorted(context.items())))
        try:
            entry = self.cache.read(key, self._fetch_plaintext, name, ciphertext, context, ttl_s=_FOREVER)
        except BaseException as error:
            hide_locals(error)
            raise
        plaintext: str = entry.value
        return plaintext

    def _fetch_plaintext(self, name: str, ciphertext: str, context: dict[str, str]) -> Entry:
        import binascii  # a C module without imports of its own, unlike base64

        try:
            ciphertext = "".join(ciphertext.split())
            binascii.a2b_base64(ciphertext, strict_mode=True)
            return Entry(self.backend.decrypt(name, ciphertext=ciphertext, context=context).decode())
        except (binascii.Error, UnicodeError):
            error = ValueFormatError(
                f"environment variable {name!r}: it has to be base64 of a ciphertext of KMS, and the plaintext UTF-8"
            )
        raise error

    def invalidate(self, name: str) -> None:
        text("name", name)

        def matches(key: Key) -> bool:
            return key[1] == name or (key[0] == PATH and _is_below(name, key[1]))

        self.cache.invalidate(matches)
        for key in filter(matches, [*self.preload_errors]):
            self.preload_errors.pop(key, None)  # another thread may have raised it meanwhile

    def on_ping(self, now: Instant, within_s: float) -> None:
        """Renew values that would expire within so many seconds."""
        if self.ttl_s and len(self.cache):
            from .renewal import due, refresh  # 0.5 ms, at the first ping that finds values

            if keys := due(self.cache, ttl_s=self.ttl_s, now=now, within_s=within_s):
                refresh(self._env, self.cache, keys)

    def close(self) -> None:
        """Forget every value, and every error that was kept."""
        self.cache.clear()
        self.preload_errors.clear()

    def status(self) -> dict[str, object]:
        """How many values there are."""
        return {"values": len(self.cache)}


def describe(key: Key) -> str:
    """What a value is called in messages: kind and name."""
    return f"{key[0]} {key[1]!r}"


def _checked_key(key: Key) -> Key:
    """`key`, if it was made of what the getters take."""
    kind, name, region, *rest = key
    text("name", name)
    optional_text("region", region)
    if kind == SECRET:
        optional_text("version_id", rest[0])
        optional_text("version_stage", rest[1])
    else:
        flag("decrypt", rest[0])
    known = arn_region(name)
    return key if known in (None, region) else (kind, name, known, *rest)


def arn_region(name: str) -> str | None:
    """The region that an ARN names; None for a name, and for an ARN without one."""
    parts = name.split(":", 4) if name.startswith("arn:") else ()
    return parts[3] or None if len(parts) > 4 else None  # noqa: PLR2004 - arn:aws:ssm:eu-west-1:...


def region_of(name: Any, region: Any) -> Any:
    """The region that was given, if `name` is no ARN of another one."""
    known = arn_region(name) if isinstance(name, str) else None
    if known in (None, region):
        return region
    raise ConfigurationError(f"region={region!r}: the ARN {name!r} is of {known}; leave out region=")


def _is_below(name: str, path: str) -> bool:
    return path == "/" or name.startswith(f"{path}/")


def _is_text_to_text(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(part, str) for pair in value.items() for part in pair)


def check_transform(transform: Any, field: Any) -> None:
    """Refuse a transform or a field that could not be applied to any value."""
    if not (transform is None or callable(transform) or transform in ("json", "binary", "auto")):
        raise ConfigurationError(f"transform={transform!r}: give 'json', 'binary', 'auto', a callable or None")
    if field is not None and not isinstance(field, str):
        raise ConfigurationError(f"field={field!r}: give the name of one entry of the JSON object, a string, or None")


def transformed(
    cache: Cache,
    key: Key,
    entry: Entry,
    transform: Any,
    field: str | None,
    within: tuple[Key, Entry] | None = None,
) -> Any:
    """The value of `entry` for one reader.

    Parsed JSON is a new object for each reader, so that one cannot change what the other sees. Scalars cannot be
    changed, so they are kept parsed. A callable's result is made once per stored version and shared.

    Args:
        cache: where callables run in a single flight.
        key: of the entry.
        entry: the stored value.
        transform: as `check_transform` allows it.
        field: take this entry of the JSON object first, or None for the whole value.
        within: key and entry of a list that the entry is part of.

    Raises:
        ValueFormatError: the value is not what the transform expects.
    """
    if callable(transform):
        return derived(
            cache, key, entry, field, transform, lambda: transform(_field(cache, key, entry, field, within)), within
        )
    if transform == "auto":
        transform = _transform_by_name(key[1])
    if field is None:
        if transform is None:
            return entry.value
        return _json(key, entry.value) if transform == "json" else _binary(key, entry.value)
    value = _field(cache, key, entry, field, within)
    return _binary(key, value, f"field {field!r} of ") if transform == "binary" else value


def _transform_by_name(name: str) -> str | None:
    """What ``"auto"`` stands for: the end of the name tells, without a version, a label, an ARN's six characters."""
    parts = name.rpartition("/")[2].split(":")
    ends = [*parts, *(part[:-_ARN_SUFFIX] for part in parts)] if name.startswith("arn:") else parts[:1]
    return next((kind for kind in ("json", "binary") if any(end.endswith(f".{kind}") for end in ends)), None)


def derived(
    cache: Cache,
    key: Key,
    entry: Entry,
    field: str | None,
    transform: Any,
    work: Callable[[], Any],
    within: tuple[Key, Entry] | None = None,
) -> Any:
    """What a callable has made of an entry, or `work` makes of it now.

    It is kept for as long as the callable lives. A lambda that is made anew at each call is the same one each time, if
    it holds nothing of the call.
    """
    kind, known = type(transform), transform
    if kind is FunctionType:
        known = ref(transform)
    elif find_in_type(kind, "__eq__") is _BY_IDENTITY:
        with suppress(TypeError):  # it lets nobody see whether it lives
            known = ref(transform)
    made = entry.results.get((field, known))
    if made is not None:
        return made.value
    names: tuple[Any, ...] = ((field, known),)
    if kind is FunctionType and not (transform.__closure__ or transform.__defaults__ or transform.__kwdefaults__):
        names = (*names, (field, _Code(transform)))
    return cache.derive(key, entry, names, work, within=within)


class _Code:
    """What a function without a state of its own does; equal to that of another that does the same."""

    __slots__ = ("_code", "_scope")

    def __init__(self, fn: FunctionType) -> None:
        self._code = fn.__code__
        self._scope = fn.__globals__

    def __eq__(self, other: object) -> bool:
        return type(other) is _Code and self._code is other._code and self._scope is other._scope

    def __hash__(self) -> int:
        return id(self._code)


def _field(cache: Cache, key: Key, entry: Entry, field: str | None, within: tuple[Key, Entry] | None) -> Any:
    if field is None:
        return entry.value
    try:
        return entry.fields[field]
    except KeyError:
        pass
    document = _json(key, entry.value)
    if not isinstance(document, dict):
        raise ValueFormatError(f"field={field!r}: {describe(key)} is JSON, but not an object with entries")
    try:
        value = document[field]
    except KeyError:
        # The names of entries may tell something, the error may be logged: neither names nor values are in it.
        raise ValueFormatError(
            f"field={field!r}: {describe(key)} has no such entry (it has {len(document)} others)"
        ) from None
    if isinstance(value, _SCALARS):
        cache.keep_field(key, entry, field, value, within=within)
    return value


def _json(key: Key, value: Any) -> Any:
    try:
        return json.loads(value.removeprefix(_BOM) if isinstance(value, str) else value)
    except (ValueError, TypeError, RecursionError):
        # The cause would carry the text in its `doc`, and so would its traceback: it is cut off.
        error = ValueFormatError(f"{describe(key)} is not JSON; leave out transform= and field= to get it as it is")
    raise error


def _binary(key: Key, value: Any, part: str = "") -> bytes:
    if isinstance(value, bytes):
        return value
    import binascii  # a C module without imports of its own, unlike base64

    try:
        # As its command writes it: with a line break at the end, and after each 76 characters.
        return binascii.a2b_base64("".join(value.split()), strict_mode=True)
    except (ValueError, TypeError, AttributeError):
        error = ValueFormatError(f"{part}{describe(key)} is not base64; leave out transform= to get it as it is")
    raise error
