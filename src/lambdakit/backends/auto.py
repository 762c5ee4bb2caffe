"""The backend `auto`: direct where it equals botocore, the SDK everywhere else, decided for each fetch."""

from __future__ import annotations

from .choice import against_direct, against_direct_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .._clock import Instant
    from ..exceptions import FetchError
    from . import Backend, Configuration, Parameter, Secret
    from .direct import DirectBackend


class AutoBackend:
    """Delegates each fetch. Thread-safe.

    The decision is made anew each time, in microseconds: after a restore the credentials stand in other variables.
    """

    __slots__ = ("_direct", "_environ", "_make_sdk", "_sdk")

    def __init__(self, *, direct: DirectBackend, sdk: Callable[[], Backend], environ: Mapping[str, str]) -> None:
        self._direct = direct
        self._make_sdk = sdk
        self._sdk: Backend | None = None
        self._environ = environ

    @property
    def name(self) -> str:
        """What a fetch in the default region would take now, and why it is not direct where it is not."""
        reason = against_direct(self._environ)
        if reason is None and not self._direct.knows("secretsmanager", None):
            reason = "no region or endpoint that direct knows"
        return "direct" if reason is None else f"sdk ({reason})"

    @property
    def origin(self) -> AutoBackend:
        """Itself: neither backend has a cache."""
        return self

    def get_secret(self, name: str, *, region: str | None, version_id: str | None, version_stage: str | None) -> Secret:
        """GetSecretValue."""
        backend = self._for("secretsmanager", region)
        return backend.get_secret(name, region=region, version_id=version_id, version_stage=version_stage)

    def get_secrets(self, names: Sequence[str], *, region: str | None) -> dict[str, Secret | FetchError]:
        """BatchGetSecretValue."""
        return self._for("secretsmanager", region).get_secrets(names, region=region)

    def get_parameter(self, name: str, *, region: str | None, decrypt: bool) -> Parameter:
        """GetParameter."""
        return self._for("ssm", region).get_parameter(name, region=region, decrypt=decrypt)

    def get_parameters(
        self, names: Sequence[str], *, region: str | None, decrypt: bool
    ) -> dict[str, Parameter | FetchError]:
        """GetParameters."""
        return self._for("ssm", region).get_parameters(names, region=region, decrypt=decrypt)

    def get_parameters_by_path(
        self, path: str, *, region: str | None, recursive: bool, decrypt: bool
    ) -> dict[str, Parameter]:
        """GetParametersByPath."""
        backend = self._for("ssm", region)
        return backend.get_parameters_by_path(path, region=region, recursive=recursive, decrypt=decrypt)

    def start_configuration_session(
        self, application: str, environment: str, profile: str, *, region: str | None
    ) -> str:
        """StartConfigurationSession."""
        backend = self._for("appconfigdata", region)
        return backend.start_configuration_session(application, environment, profile, region=region)

    def get_latest_configuration(self, token: str, *, name: str, region: str | None) -> Configuration:
        """GetLatestConfiguration: the service's own token, so the other backend may have begun the session."""
        return self._for("appconfigdata", region).get_latest_configuration(token, name=name, region=region)

    def get_item(self, table: str, key: dict[str, Any], *, region: str | None, consistent: bool) -> str:
        """GetItem."""
        direct = against_direct_table(self._environ, table) is None
        backend = self._for("dynamodb", region) if direct else self._by_sdk()
        return backend.get_item(table, key, region=region, consistent=consistent)

    def decrypt(self, name: str, *, ciphertext: str, context: dict[str, str]) -> bytes:
        """Decrypt, with KMS."""
        return self._for("kms", None).decrypt(name, ciphertext=ciphertext, context=context)

    def close(self) -> None:
        """Close the connections of direct; those of the SDK's clients belong to the environment."""
        self._direct.close()

    def drop_idle(self, now: Instant) -> None:
        """At the start of an invocation, see `Transport.drop_idle`."""
        self._direct.drop_idle(now)

    def abandon(self) -> None:
        """In a forked child, see `Transport.abandon`."""
        self._direct.abandon()

    def _for(self, service: str, region: str | None) -> Backend:
        direct = against_direct(self._environ) is None and self._direct.knows(service, region)
        return self._direct if direct else self._by_sdk()

    def _by_sdk(self) -> Backend:
        if self._sdk is None:
            self._sdk = self._make_sdk()  # two of them, made by two threads, would share the clients
        return self._sdk
