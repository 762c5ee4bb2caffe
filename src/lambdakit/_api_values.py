"""The public functions for values, one at a time: each finds the environment and asks it."""

from __future__ import annotations

from ._current import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, TypeVar, overload

    T = TypeVar("T")


if TYPE_CHECKING:

    @overload
    def get_secret(
        name: str,
        *,
        field: str | None = None,
        transform: Callable[[Any], T],
        ttl: float | None = None,
        stale_ttl: float | None = None,
        version_id: str | None = None,
        version_stage: str | None = None,
        region: str | None = None,
        force_fetch: bool = False,
    ) -> T: ...
    @overload
    def get_secret(
        name: str,
        *,
        field: str | None = None,
        transform: Literal["binary"],
        ttl: float | None = None,
        stale_ttl: float | None = None,
        version_id: str | None = None,
        version_stage: str | None = None,
        region: str | None = None,
        force_fetch: bool = False,
    ) -> bytes: ...
    @overload
    def get_secret(
        name: str,
        *,
        field: str | None = None,
        transform: Literal["json"] | None = None,
        ttl: float | None = None,
        stale_ttl: float | None = None,
        version_id: str | None = None,
        version_stage: str | None = None,
        region: str | None = None,
        force_fetch: bool = False,
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
        name: the secret's name or ARN.
        field: take this entry of the secret, which has to be a JSON object.
        transform: None: the text as it is stored (bytes for a binary secret). ``"json"``: parsed, a new object for each
            call. ``"binary"``: decoded from base64. A callable: what it returns for the stored value; it runs once per
            stored version, so its result is shared by all callers. With `field`, all of these are applied to the entry,
            and ``"json"`` adds nothing.
        ttl: how old, in seconds, the value may be for this call. Default: 300, or ``LAMBDAKIT_TTL``. 0 fetches always,
            but shares a fetch that is under way. Time in which the environment was frozen counts. Up to a tenth less,
            another share for each stored value, so that environments born together do not fetch together.
        stale_ttl: for how many seconds after the end of the ttl the old value may be served if a fetch fails with
            throttling, a status of 500 or above, a network error, or for lack of time. Default: 3600, or
            ``LAMBDAKIT_STALE_TTL``. 0: never.
        version_id: that version; default: what `version_stage` says.
        version_stage: default: ``AWSCURRENT``.
        region: default: as in `client`.
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
    return environment().memory.values.get_secret(
        name, field, transform, ttl, stale_ttl, version_id, version_stage, region, force_fetch
    )


if TYPE_CHECKING:

    @overload
    def get_parameter(
        name: str,
        *,
        field: str | None = None,
        transform: Callable[[Any], T],
        ttl: float | None = None,
        stale_ttl: float | None = None,
        decrypt: bool = True,
        region: str | None = None,
        force_fetch: bool = False,
    ) -> T: ...
    @overload
    def get_parameter(
        name: str,
        *,
        field: str,
        transform: Literal["json"] | None = None,
        ttl: float | None = None,
        stale_ttl: float | None = None,
        decrypt: bool = True,
        region: str | None = None,
        force_fetch: bool = False,
    ) -> Any: ...
    @overload
    def get_parameter(
        name: str,
        *,
        field: str | None = None,
        transform: Literal["json"],
        ttl: float | None = None,
        stale_ttl: float | None = None,
        decrypt: bool = True,
        region: str | None = None,
        force_fetch: bool = False,
    ) -> Any: ...
    @overload
    def get_parameter(
        name: str,
        *,
        field: str | None = None,
        transform: Literal["binary"],
        ttl: float | None = None,
        stale_ttl: float | None = None,
        decrypt: bool = True,
        region: str | None = None,
        force_fetch: bool = False,
    ) -> bytes: ...
    @overload
    def get_parameter(
        name: str,
        *,
        field: None = None,
        transform: None = None,
        ttl: float | None = None,
        stale_ttl: float | None = None,
        decrypt: bool = True,
        region: str | None = None,
        force_fetch: bool = False,
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
        region: default: as in `client`.
        force_fetch: as in `get_secret`.

    Returns:
        The text (a StringList with its commas), or what the transform makes of it.

    Raises:
        LambdakitError: its kinds are those of `get_secret`.

    Thread-safe, as `get_secret` is. Since 0.1.
    """
    return environment().memory.values.get_parameter(
        name, field, transform, ttl, stale_ttl, decrypt, region, force_fetch
    )


def decrypt_env(name: str, *, context: dict[str, str] | None = None) -> str:
    """The plaintext of an environment variable that is encrypted with KMS, decrypted once per environment.

    Args:
        name: of the variable; it holds the ciphertext in base64, as Lambda's console and ``aws kms encrypt`` write it.
        context: the encryption context. None: ``{"LambdaFunctionName": <this function>}``, as the console's encryption
            helpers have it; ``{}`` for a variable that was encrypted without one.

    Raises:
        ConfigurationError: no such variable, or a wrong argument.
        ValueFormatError: it is not base64, or the plaintext is not UTF-8.
        FetchError: its kinds are those of `get_secret`.

    Thread-safe. Since 0.1.
    """
    return environment().memory.values.decrypt_env(name, context)


def invalidate(name: str) -> None:
    """Forget every value fetched under this name: secret or parameter, every version and region, lists it is in.

    Also a configuration, by ``"application/environment/profile"``, and all items of a table, by its name.

    What is being fetched at this moment reaches those who wait for it, and is not kept.

    Raises:
        ConfigurationError: `name` is empty or not a string.

    Thread-safe. Since 0.1.
    """
    environment().memory.values.invalidate(name)


def clear() -> None:
    """Forget every value, also results of cached functions. Clients and connections stay. Thread-safe. Since 0.1."""
    environment().memory.drop()
