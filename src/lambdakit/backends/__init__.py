"""Where values come from: what every backend does."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Backend(Protocol):
        """Fetches one value at a time, without a cache. Thread-safe.

        Every method returns the value as the service stores it (a secret can be bytes) and the version it has, raises
        a `FetchError` of the kind that fits the service's answer, or a `DeadlineExceededError` where the invocation
        has too little time left; names have been checked.
        """

        @property
        def name(self) -> str:
            """``direct``, ``sdk`` or ``extension``."""
            ...

        def get_secret(
            self, name: str, *, region: str | None, version_id: str | None, version_stage: str | None
        ) -> tuple[str | bytes, str | None]:
            """GetSecretValue."""
            ...

        def get_parameter(self, name: str, *, region: str | None, decrypt: bool) -> tuple[str, str | None]:
            """GetParameter."""
            ...

        def decrypt(self, name: str, *, ciphertext: str, context: dict[str, str]) -> bytes:
            """Decrypt, with KMS: `ciphertext` in base64, `name` for messages."""
            ...

        def close(self) -> None:
            """Close what is open; a later call opens it again."""
            ...
