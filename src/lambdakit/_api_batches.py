"""The public functions for many values, configurations and items: each finds the environment and asks it."""

from __future__ import annotations

from ._current import environment
from ._current import environment as _environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Literal

    OnError = Literal["raise", "omit"]


def get_secrets(
    names: Iterable[str],
    *,
    transform: Any = None,
    ttl: float | None = None,
    stale_ttl: float | None = None,
    region: str | None = None,
    on_error: OnError = "raise",
) -> dict[str, Any]:
    """Several secrets by name: those that are not fresh with BatchGetSecretValue, 20 at a time, all chunks at once.

    What it fetches is what `get_secret` finds, and the other way round. Needs the permission
    ``secretsmanager:BatchGetSecretValue`` beside ``GetSecretValue``; where it is missing, which is remembered, secrets
    are fetched one by one.

    Args:
        names: names or ARNs; a name given twice is one.
        transform: for each, as in `get_secret`.
        ttl: as in `get_secret`.
        stale_ttl: as in `get_secret`.
        region: default: as in `client`.
        on_error: what happens if a name is missing, denied, cannot be fetched, or cannot be transformed. ``"raise"``:
            one `BatchError`, which has the other values too. ``"omit"``: the name is left out, with one warning for
            each.

    Returns:
        Name, as it was given, to value. Without names, an empty dict and no call.

    Raises:
        BatchError: see `on_error`.
        ConfigurationError: an argument is wrong.

    Thread-safe. Since 0.1.
    """
    return environment().memory.batches.get_secrets(
        names, transform=transform, ttl=ttl, stale_ttl=stale_ttl, region=region, on_error=on_error
    )


def get_parameters(
    names: Iterable[str],
    *,
    transform: Any = None,
    ttl: float | None = None,
    stale_ttl: float | None = None,
    decrypt: bool = True,
    region: str | None = None,
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
        region: default: as in `client`.
        on_error: as in `get_secrets`.

    Returns:
        Name, as it was given, to value.

    Raises:
        BatchError, ConfigurationError: as `get_secrets`.

    Thread-safe. Since 0.1.
    """
    return environment().memory.batches.get_parameters(
        names, transform=transform, ttl=ttl, stale_ttl=stale_ttl, decrypt=decrypt, region=region, on_error=on_error
    )


def get_parameters_by_path(
    path: str,
    *,
    recursive: bool = True,
    transform: Any = None,
    ttl: float | None = None,
    stale_ttl: float | None = None,
    decrypt: bool = True,
    region: str | None = None,
    on_error: OnError = "raise",
) -> dict[str, Any]:
    """All parameters below a path, every page of GetParametersByPath, which names there are being kept too.

    `get_parameter` finds each of them in memory afterwards, unless the list fills the memory by itself.

    Args:
        path: begins with a slash, such as ``"/shop/prod"``.
        recursive: True: everything below. False: what stands directly below.
        transform: for each, as in `get_secret`.
        ttl: as in `get_secret`, for the list and its values together.
        stale_ttl: as in `get_secret`.
        decrypt: as in `get_parameter`.
        region: default: as in `client`.
        on_error: as in `get_secrets`, for values that cannot be transformed.

    Returns:
        Full name to value, in the order in which the service lists them; empty where there are none.

    Raises:
        BatchError, ConfigurationError: as `get_secrets`.
        FetchError: the list could not be fetched; its kinds are those of `get_secret`.

    Thread-safe. Since 0.1.
    """
    return environment().memory.batches.get_parameters_by_path(
        path,
        recursive=recursive,
        transform=transform,
        ttl=ttl,
        stale_ttl=stale_ttl,
        decrypt=decrypt,
        region=region,
        on_error=on_error,
    )


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
    return _environment().memory.app_configs.get(
        application,
        environment,
        profile,
        field=field,
        transform=transform,
        ttl=ttl,
        stale_ttl=stale_ttl,
        region=region,
        force_fetch=force_fetch,
    )


def get_item(
    table: str,
    key: Mapping[str, Any],
    *,
    field: str | None = None,
    transform: Any = None,
    ttl: float | None = None,
    stale_ttl: float | None = None,
    consistent: bool = False,
    region: str | None = None,
    force_fetch: bool = False,
) -> Any:
    """An item of a DynamoDB table, from memory while it is fresh: configuration that is kept in a table.

    Args:
        table: name or ARN.
        key: attribute to value (text, int, `decimal.Decimal` or bytes): the partition key, and the sort key if the
            table has one.
        field: take this attribute of the item.
        transform: None, or a callable that gets the item, or the attribute; it runs once per fetch, and its result is
            shared by all callers.
        ttl: as in `get_secret`.
        stale_ttl: as in `get_secret`.
        consistent: True for a strongly consistent read.
        region: default: as in `client`.
        force_fetch: as in `get_secret`.

    Returns:
        A dict, a new one for each call; values as boto3's resource has them: numbers are `decimal.Decimal`, sets are
        sets; binary values are bytes.

    Raises:
        NotFoundError: no such item, no such table.
        LambdakitError: its other kinds are those of `get_secret`.

    Thread-safe. Since 0.1.
    """
    return environment().memory.items.get(
        table,
        key,
        field=field,
        transform=transform,
        ttl=ttl,
        stale_ttl=stale_ttl,
        consistent=consistent,
        region=region,
        force_fetch=force_fetch,
    )
