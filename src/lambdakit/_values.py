"""Secrets and parameters: the cache in front of a backend."""

from __future__ import annotations

from . import _transforms
from ._cache import FRESH
from ._check import flag, optional_text, seconds, text
from .exceptions import ConfigurationError, ValueFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._cache import Cache, Entry
    from ._clock import Clock
    from ._settings import Settings
    from .backends import Backend

# A key is a tuple: the kind, the name, the region, then whatever else changes the answer. Not in it are ttl and
# transform (the reader's) nor the backend (an environment has one, and all backends give the same answer).
_SECRET, _PARAMETER, _VARIABLE = "secret", "parameter", "variable"
_FOR_GOOD = float("inf")  # an environment variable does not change under a running environment


class Values:
    """What `get_secret` and `get_parameter` do, for one environment. Thread-safe."""

    __slots__ = ("_backend", "_cache", "_clock", "_environ", "_function_name", "_region", "_remaining", "_ttl_s")

    def __init__(
        self,
        *,
        cache: Cache,
        backend: Callable[[], Backend],
        clock: Clock,
        settings: Settings,
        remaining: Callable[[], float | None],
    ) -> None:
        self._cache = cache
        self._backend = backend
        self._clock = clock
        self._environ = settings.environ
        self._function_name = settings.function_name
        self._region = settings.region
        self._ttl_s = settings.ttl_s
        self._remaining = remaining

    # The two getters differ in what identifies a value; they look alike otherwise because a call more, or a closure
    # made on a hit, would cost a fifth of it.

    def get_secret(
        self,
        name: str,
        field: str | None,
        transform: Any,
        ttl: float | None,
        version_id: str | None,
        version_stage: str | None,
        region: str | None,
        force_fetch: bool,  # noqa: FBT001 - not public; the public function takes it by keyword
    ) -> Any:
        key = (_SECRET, name, region or self._region, version_id, version_stage)
        ttl_s = self._ttl_s if ttl is None else seconds("ttl", ttl)
        if transform is not None or field is not None:
            _transforms.check(transform, field)
        try:
            state, entry = self._cache.look(key, self._clock.now(), ttl_s)
        except TypeError:  # something in the key cannot be hashed: `_fetch_secret` says which argument it is
            state, entry = "", None
        if state != FRESH or entry is None or force_fetch:
            entry = self._fetch_secret(key, ttl_s, force_fetch)
        if transform is None and field is None:
            return entry.value
        return _transforms.apply(self._cache, key, entry, transform, field, self._remaining)

    def get_parameter(
        self,
        name: str,
        field: str | None,
        transform: Any,
        ttl: float | None,
        decrypt: bool,  # noqa: FBT001 - as above
        region: str | None,
        force_fetch: bool,  # noqa: FBT001 - as above
    ) -> Any:
        key = (_PARAMETER, name, region or self._region, decrypt)
        ttl_s = self._ttl_s if ttl is None else seconds("ttl", ttl)
        if transform is not None or field is not None:
            _transforms.check(transform, field)
        try:
            state, entry = self._cache.look(key, self._clock.now(), ttl_s)
        except TypeError:
            state, entry = "", None
        if state != FRESH or entry is None or force_fetch:
            entry = self._fetch_parameter(key, ttl_s, force_fetch)
        if transform is None and field is None:
            return entry.value
        return _transforms.apply(self._cache, key, entry, transform, field, self._remaining)

    def decrypt_env(self, name: str, context: dict[str, str] | None) -> str:
        ciphertext = self._environ.get(text("name", name))
        if not ciphertext:
            raise ConfigurationError(
                f"name={name!r}: no such environment variable, or an empty one; set its ciphertext"
            )
        if context is None:
            context = {"LambdaFunctionName": self._function_name} if self._function_name else {}
        elif not _is_text_to_text(context):
            raise ConfigurationError("context: give a dict of strings to strings, {} for none, or None for the default")
        key = (_VARIABLE, name, self._region, ciphertext, tuple(sorted(context.items())))
        state, entry = self._cache.look(key, self._clock.now(), _FOR_GOOD)
        if state != FRESH or entry is None:
            entry = self._cache.fetch(
                key,
                lambda: (self._decrypted(name, ciphertext, context), None),
                ttl_s=_FOR_GOOD,
                remaining=self._remaining,
            )
        plain: str = entry.value
        return plain

    def _decrypted(self, name: str, ciphertext: str, context: dict[str, str]) -> str:
        import binascii  # a C module without imports of its own, unlike base64

        try:
            binascii.a2b_base64(ciphertext, strict_mode=True)
            return self._backend().decrypt(name, ciphertext=ciphertext, context=context).decode()
        except (binascii.Error, UnicodeError):
            error = ValueFormatError(
                f"environment variable {name!r}: it has to be base64 of a ciphertext of KMS, and the plaintext UTF-8"
            )
        raise error

    def invalidate(self, name: str) -> None:
        text("name", name)
        self._cache.invalidate(lambda key: key[1] == name)

    def clear(self) -> None:
        self._cache.invalidate(lambda _: True)

    def _fetch_secret(self, key: tuple[Any, ...], ttl_s: float, force_fetch: Any) -> Entry:
        _, name, region, version_id, version_stage = key
        text("name", name)
        optional_text("version_id", version_id)
        optional_text("version_stage", version_stage)
        optional_text("region", region)
        return self._cache.fetch(
            key,
            lambda: self._backend().get_secret(name, region=region, version_id=version_id, version_stage=version_stage),
            ttl_s=ttl_s,
            remaining=self._remaining,
            forced=flag("force_fetch", force_fetch),
        )

    def _fetch_parameter(self, key: tuple[Any, ...], ttl_s: float, force_fetch: Any) -> Entry:
        _, name, region, decrypt = key
        text("name", name)
        flag("decrypt", decrypt)
        optional_text("region", region)
        return self._cache.fetch(
            key,
            lambda: self._backend().get_parameter(name, region=region, decrypt=decrypt),
            ttl_s=ttl_s,
            remaining=self._remaining,
            forced=flag("force_fetch", force_fetch),
        )


def _is_text_to_text(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(part, str) for pair in value.items() for part in pair)
