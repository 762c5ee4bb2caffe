"""What a backend is: the protocol of what ``Environment(backend=...)`` takes, for backends of your own.

lambdakit itself imports this module for types only. Since 0.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .exceptions import FetchError

__all__ = ["Backend", "Configuration", "Parameter", "Secret"]

Secret: TypeAlias = "tuple[str | bytes, str | None]"  # noqa: S105 - a type
"""A secret as the service stores it, and its version; None where it has none."""

Parameter: TypeAlias = "tuple[str, str | None]"
"""A parameter as the service stores it, and its version."""

Configuration: TypeAlias = "tuple[bytes, str | None, str, float]"
"""A poll of AppConfig: the body (empty if it has not changed since the last poll of this session), its version label,
the token of the next poll, and the seconds until then."""


class Backend(Protocol):
    """Fetches values, without a cache. Thread-safe.

    Every method returns a value as the service stores it (a secret can be bytes) and the version it has, raises a
    `FetchError` of the kind that fits the service's answer, or a `DeadlineExceededError` where the invocation has too
    little time left. Names have been checked.

    A batch returns a dict by the names as they were asked for. What the service says of one name alone, such as that it
    does not exist, is the `FetchError` in its place; a name of which it says nothing is not in the dict.

    A method that is never called may be missing. Where a batch call is missing, single ones are made instead.

    Three methods are optional, and left out of this protocol: ``close_idle(now)``, called when an invocation begins,
    with a reading of both clocks (seconds since the epoch, monotonic seconds), to close connections that were idle for
    too long; ``after_fork_in_child()``, called in a forked child, which must not use its parent's connections;
    ``close()``, after which a later call opens again what was open. What they raise is logged.

    Two more are for `lambdakit.set_secret` and `lambdakit.set_parameter`, which are an error without them:
    ``put_secret(name, value, *, region, version_stages)`` returns the new version, None where there are none;
    ``put_parameter(name, value, *, region, parameter_type, overwrite, kms_key_id)`` its number.
    """

    @property
    def name(self) -> str:
        """What ``repr(environment())`` shows; of lambdakit's own ``direct``, ``sdk`` or ``extension``."""
        ...

    @property
    def origin(self) -> Backend:
        """This backend, or the one behind it if this one answers from a cache of its own: for forced fetches."""
        ...

    def get_secret(self, name: str, *, region: str | None, version_id: str | None, version_stage: str | None) -> Secret:
        """GetSecretValue."""
        ...

    def get_secrets(self, names: Sequence[str], *, region: str | None) -> dict[str, Secret | FetchError]:
        """BatchGetSecretValue, all pages: 1 to 20 names, ARNs, or ARNs without the six characters at their end."""
        ...

    def get_parameter(self, name: str, *, region: str | None, decrypt: bool) -> Parameter:
        """GetParameter."""
        ...

    def get_parameters(
        self, names: Sequence[str], *, region: str | None, decrypt: bool
    ) -> dict[str, Parameter | FetchError]:
        """GetParameters: 1 to 10 names or ARNs, each with ``:version`` or ``:label`` or without."""
        ...

    def get_parameters_by_path(
        self, path: str, *, region: str | None, recursive: bool, decrypt: bool
    ) -> dict[str, Parameter]:
        """GetParametersByPath, all pages: by full name, in the order in which they came."""
        ...

    def start_configuration_session(
        self, application: str, environment: str, profile: str, *, region: str | None
    ) -> str:
        """StartConfigurationSession of AppConfig: the token of the first poll."""
        ...

    def get_latest_configuration(self, token: str, *, name: str, region: str | None) -> Configuration:
        """GetLatestConfiguration of AppConfig: one poll.

        A token serves for one poll. The service refuses one that was used, is too old or comes too early with
        `FetchError` of the code ``BadRequestException``: a new session helps, or waiting.

        Args:
            token: from the poll before, or from the start of the session. It is never told to anyone.
            name: what the configuration is called in messages.
            region: where the session was started.
        """
        ...

    def get_item(self, table: str, key: dict[str, Any], *, region: str | None, consistent: bool) -> str:
        """GetItem of DynamoDB.

        Args:
            table: the name of the table, or its ARN.
            key: in DynamoDB's JSON, such as ``{"id": {"S": "x"}}``; bytes are in base64.
            region: where the table is.
            consistent: whether to see every write that was acknowledged before.

        Returns:
            The item, as the text of DynamoDB's JSON.

        Raises:
            NotFoundError: no item has this key, or no table this name.
        """
        ...

    def decrypt(self, name: str, *, ciphertext: str, context: dict[str, str]) -> bytes:
        """Decrypt, with KMS: `ciphertext` in base64, `name` for messages."""
        ...
