"""The backend `auto`: direct where it equals botocore, the SDK everywhere else, decided for each fetch."""

from __future__ import annotations

from .choice import against_direct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from . import Backend
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

    def get_secret(
        self, name: str, *, region: str | None, version_id: str | None, version_stage: str | None
    ) -> tuple[str | bytes, str | None]:
        """GetSecretValue."""
        backend = self._for("secretsmanager", region)
        return backend.get_secret(name, region=region, version_id=version_id, version_stage=version_stage)

    def get_parameter(self, name: str, *, region: str | None, decrypt: bool) -> tuple[str, str | None]:
        """GetParameter."""
        return self._for("ssm", region).get_parameter(name, region=region, decrypt=decrypt)

    def decrypt(self, name: str, *, ciphertext: str, context: dict[str, str]) -> bytes:
        """Decrypt, with KMS."""
        return self._for("kms", None).decrypt(name, ciphertext=ciphertext, context=context)

    def close(self) -> None:
        """Close the connections of direct; those of the SDK's clients belong to the environment."""
        self._direct.close()

    def _for(self, service: str, region: str | None) -> Backend:
        direct = against_direct(self._environ) is None and self._direct.knows(service, region)
        if direct:
            return self._direct
        if self._sdk is None:
            self._sdk = self._make_sdk()  # two of them, made by two threads, would share the clients
        return self._sdk
