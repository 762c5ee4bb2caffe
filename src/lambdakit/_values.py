"""Secrets and parameters, one at a time: the cache in front of a backend."""

from __future__ import annotations

from . import _transforms
from ._check import flag, optional_text, seconds, text
from ._declared import PARAMETER, PATH, SECRET
from ._entries import Entry
from .exceptions import ConfigurationError, ValueFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._cache import Cache
    from ._clock import Clock
    from ._declared import Declared
    from ._settings import Settings
    from .backends import Backend

# A key is a tuple: the kind, the name, the region, then whatever else changes the answer. Not in it are ttl and
# transform (the reader's) nor the backend (an environment has one, and all backends give the same answer).
_VARIABLE = "variable"
_FOR_GOOD = float("inf")  # an environment variable does not change under a running environment
_SPREAD_S = 0.05  # forty processes at once are what Parameter Store takes in a second


class Values:
    """What `get_secret` and `get_parameter` do, for one environment. Thread-safe.

    Args:
        cache: of the environment.
        backend: where values come from, made at the first fetch.
        clock: both clocks.
        settings: the defaults.

    Attributes:
        kept: errors of `preload` by key, raised at the first use.
    """

    __slots__ = ("_spread_s", "backend", "cache", "clock", "kept", "settings")

    def __init__(self, *, cache: Cache, backend: Callable[[], Backend], clock: Clock, settings: Settings) -> None:
        self.cache = cache
        self.backend = backend
        self.clock = clock
        self.settings = settings
        self.kept: dict[Any, Exception] = {}
        self._spread_s = _SPREAD_S if settings.processes else 0.0

    # The two getters differ in what identifies a value; they look alike otherwise because a call more, or a closure
    # made on a hit, would cost a fifth of it.

    def get_secret(
        self,
        name: str,
        field: str | None,
        transform: Any,
        ttl: float | None,
        stale_ttl: float | None,
        version_id: str | None,
        version_stage: str | None,
        region: str | None,
        force_fetch: bool,  # noqa: FBT001 - not public; the public function takes it by keyword
    ) -> Any:
        key = (SECRET, name, region or self.settings.region, version_id, version_stage)
        ttl_s = self.settings.ttl_s if ttl is None else seconds("ttl", ttl)
        if transform is not None or field is not None:
            _transforms.check(transform, field)
        try:
            entry = None if force_fetch else self.cache.fresh(key, self.clock.now(), ttl_s)
        except TypeError:  # something in the key cannot be hashed: `secret_key` says which argument it is
            entry = None
        if entry is None:
            entry = self.fetch(
                self.secret_key(name, version_id, version_stage, region),
                ttl_s,
                self.stale_ttl_s(stale_ttl),
                forced=flag("force_fetch", force_fetch),
            )
        if transform is None and field is None:
            return entry.value
        return _transforms.apply(self.cache, key, entry, transform, field)

    def get_parameter(
        self,
        name: str,
        field: str | None,
        transform: Any,
        ttl: float | None,
        stale_ttl: float | None,
        decrypt: bool,  # noqa: FBT001 - as above
        region: str | None,
        force_fetch: bool,  # noqa: FBT001 - as above
    ) -> Any:
        key = (PARAMETER, name, region or self.settings.region, decrypt)
        ttl_s = self.settings.ttl_s if ttl is None else seconds("ttl", ttl)
        if transform is not None or field is not None:
            _transforms.check(transform, field)
        try:
            entry = None if force_fetch else self.cache.fresh(key, self.clock.now(), ttl_s)
        except TypeError:
            entry = None
        if entry is None:
            entry = self.fetch(
                self.parameter_key(name, decrypt, region),
                ttl_s,
                self.stale_ttl_s(stale_ttl),
                forced=flag("force_fetch", force_fetch),
            )
        if transform is None and field is None:
            return entry.value
        return _transforms.apply(self.cache, key, entry, transform, field)

    def secret_key(self, name: Any, version_id: Any, version_stage: Any, region: Any) -> tuple[Any, ...]:
        """The key of a secret, its arguments checked."""
        return (
            SECRET,
            text("name", name),
            optional_text("region", region) or self.settings.region,
            optional_text("version_id", version_id),
            optional_text("version_stage", version_stage),
        )

    def parameter_key(self, name: Any, decrypt: Any, region: Any) -> tuple[Any, ...]:
        """The key of a parameter, its arguments checked."""
        return (
            PARAMETER,
            text("name", name),
            optional_text("region", region) or self.settings.region,
            flag("decrypt", decrypt),
        )

    def path_key(self, path: Any, recursive: Any, decrypt: Any, region: Any) -> tuple[Any, ...]:
        """The key of a path, its arguments checked: with or without a slash at the end it is the same."""
        if not text("path", path).startswith("/"):
            raise ConfigurationError(f"path={path!r}: give a path that begins with a slash, such as '/shop/prod'")
        _, _, region, decrypt = self.parameter_key(path, decrypt, region)
        return (PATH, path.rstrip("/") or "/", region, flag("recursive", recursive), decrypt)

    def key(self, declared: Declared) -> tuple[Any, ...]:
        """The key of what was declared, its arguments checked."""
        options, name, region = declared.options, declared.name, declared.options["region"]
        if declared.kind == SECRET:
            return self.secret_key(name, options["version_id"], options["version_stage"], region)
        if declared.kind == PARAMETER:
            return self.parameter_key(name, options["decrypt"], region)
        return self.path_key(name, options["recursive"], options["decrypt"], region)

    def ttl_s(self, ttl: float | None) -> float:
        """The reader's, or the setting."""
        return self.settings.ttl_s if ttl is None else seconds("ttl", ttl)

    def stale_ttl_s(self, stale_ttl: float | None) -> float:
        """The reader's, or the setting."""
        return self.settings.stale_ttl_s if stale_ttl is None else seconds("stale_ttl", stale_ttl)

    def fetch(self, key: tuple[Any, ...], ttl_s: float, stale_ttl_s: float, *, forced: bool = False) -> Entry:
        """The entry of a secret or a parameter that is not fresh, by a single call for it."""
        if self.kept and (error := self.kept_error(key)) is not None and not forced:
            raise error
        return self.cache.fetch(
            key, lambda: self.single(key, forced=forced), ttl_s=ttl_s, stale_ttl_s=stale_ttl_s, forced=forced
        )

    def kept_error(self, key: tuple[Any, ...]) -> Exception | None:
        """The error that `preload` has kept of this key, told once; None if a value has come since."""
        error = self.kept.pop(key, None)
        return error if self.cache.latest(key) is None else None

    def single(self, key: tuple[Any, ...], *, forced: bool = False) -> Entry:
        """Ask the backend for one secret or parameter; what is forced comes from the service itself."""
        backend = self.backend().origin if forced else self.backend()
        kind, name, region, *rest = key
        if kind == SECRET:
            return Entry(*backend.get_secret(name, region=region, version_id=rest[0], version_stage=rest[1]))
        self.spread()
        return Entry(*backend.get_parameter(name, region=region, decrypt=rest[0]))

    def spread(self) -> None:
        """Before the first call to Parameter Store: processes that were started together do not call it together."""
        pause_s, self._spread_s = self._spread_s, 0.0
        if pause_s:
            self.clock.sleep(pause_s * self.clock.chance())

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
        key = (_VARIABLE, name, self.settings.region, ciphertext, tuple(sorted(context.items())))
        entry = self.cache.fresh(key, self.clock.now(), _FOR_GOOD) or self.cache.fetch(
            key, lambda: Entry(self._decrypted(name, ciphertext, context), None), ttl_s=_FOR_GOOD, stale_ttl_s=0.0
        )
        plain: str = entry.value
        return plain

    def _decrypted(self, name: str, ciphertext: str, context: dict[str, str]) -> str:
        import binascii  # a C module without imports of its own, unlike base64

        try:
            binascii.a2b_base64(ciphertext, strict_mode=True)
            return self.backend().decrypt(name, ciphertext=ciphertext, context=context).decode()
        except (binascii.Error, UnicodeError):
            error = ValueFormatError(
                f"environment variable {name!r}: it has to be base64 of a ciphertext of KMS, and the plaintext UTF-8"
            )
        raise error

    def invalidate(self, name: str) -> None:
        text("name", name)

        def matches(key: tuple[Any, ...]) -> bool:
            return key[1] == name or (key[0] == PATH and _is_below(name, key[1]))

        self.cache.invalidate(matches)
        for key in filter(matches, [*self.kept]):
            self.kept.pop(key, None)  # another thread may have raised it meanwhile


def called(key: tuple[Any, ...]) -> str:
    """How a value is called in messages: kind and name."""
    return f"{key[0]} {key[1]!r}"


def _is_below(name: str, path: str) -> bool:
    return path == "/" or name.startswith(f"{path}/")


def _is_text_to_text(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(part, str) for pair in value.items() for part in pair)
