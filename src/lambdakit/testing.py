"""What tests of handlers need; the pytest fixture `lambdakit_environment` comes with it."""

from __future__ import annotations

from ._clock import Clock
from .exceptions import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeVar

    from ._clock import Instant

    T = TypeVar("T")

__all__ = ["FakeContext", "ManualClock", "MemoryBackend"]


class ManualClock(Clock):
    """Both clocks, standing still until they are moved.

    Args:
        wall_s: seconds since the epoch; the default is an arbitrary moment, the same in every run.
        monotonic_s: seconds of the monotonic clock; the default is that of a machine just booted.

    ``Environment(clock=ManualClock())`` takes it. Not thread-safe while it is moved. Since 0.1.
    """

    __slots__ = ("monotonic_s", "wall_s")

    def __init__(self, *, wall_s: float = 1_800_000_000.0, monotonic_s: float = 1.0) -> None:
        self.wall_s = wall_s
        self.monotonic_s = monotonic_s

    def now(self) -> Instant:
        """Both readings."""
        return self.wall_s, self.monotonic_s

    def tick(self, seconds: float) -> None:
        """Time passes in a running environment: both clocks move."""
        self.wall_s += seconds
        self.monotonic_s += seconds

    def suspend(self, seconds: float) -> None:
        """Time passes in a frozen environment: the wall clock moves, the monotonic clock stands still."""
        self.wall_s += seconds

    def set_wall(self, wall_s: float) -> None:
        """Somebody sets the wall clock, backwards too; the monotonic clock does not notice."""
        self.wall_s = wall_s

    def __repr__(self) -> str:
        """Both readings."""
        return f"ManualClock(wall_s={self.wall_s!r}, monotonic_s={self.monotonic_s!r})"


class FakeContext:
    """A Lambda context with the attributes that the runtime's own has.

    Args:
        remaining_s: what `get_remaining_time_in_millis` tells, in seconds; change the attribute to let time pass.
        aws_request_id: the request id.
        function_name: the function's name.
        client_context: None, or an object with a ``custom`` dictionary.

    Since 0.1.
    """

    def __init__(
        self,
        *,
        remaining_s: float = 3.0,
        aws_request_id: str = "00000000-0000-4000-8000-000000000000",
        function_name: str = "function",
        client_context: object = None,
    ) -> None:
        self.remaining_s = remaining_s
        self.aws_request_id = aws_request_id
        self.function_name = function_name
        self.function_version = "$LATEST"
        self.invoked_function_arn = f"arn:aws:lambda:us-east-1:123456789012:function:{function_name}"
        self.memory_limit_in_mb = "128"
        self.log_group_name = f"/aws/lambda/{function_name}"
        self.log_stream_name = "2026/01/01/[$LATEST]00000000000000000000000000000000"
        self.identity = None
        self.client_context = client_context
        self.tenant_id = None
        self.w3c: dict[str, str] = {}

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would end the invocation."""
        return max(0, int(self.remaining_s * 1000))


class MemoryBackend:
    """A backend that answers from dictionaries: secrets and parameters for a test, without a server.

    Args:
        secrets: name to text or bytes.
        parameters: name to text.
        ciphertexts: what an environment variable holds, to its plaintext, for `lambdakit.decrypt_env`.

    The dictionaries are copied into the attributes `secrets` and `parameters`, which a test may change: a changed value
    has a new version. A value that is an exception is raised. `calls` lists each fetch as (kind, name).
    ``Environment(backend=MemoryBackend(secrets={"prod/db": "..."}))`` takes it. Versions, stages, regions and
    decryption are not told apart. Since 0.1.
    """

    name = "memory"

    def __init__(
        self,
        *,
        secrets: Mapping[str, str | bytes | Exception] | None = None,
        parameters: Mapping[str, str | Exception] | None = None,
        ciphertexts: Mapping[str, str | Exception] | None = None,
    ) -> None:
        self.secrets = dict(secrets or {})
        self.parameters = dict(parameters or {})
        self.ciphertexts = dict(ciphertexts or {})
        self.calls: list[tuple[str, str]] = []
        self._versions: dict[tuple[str, str], list[object]] = {}

    def get_secret(
        self,
        name: str,
        *,
        region: str | None,
        version_id: str | None,  # noqa: ARG002 - the interface of every backend
        version_stage: str | None,  # noqa: ARG002 - the same
    ) -> tuple[str | bytes, str | None]:
        """The secret of this name."""
        return self._answer("secret", name, region, self.secrets)

    def get_parameter(
        self,
        name: str,
        *,
        region: str | None,
        decrypt: bool,  # noqa: ARG002 - the interface of every backend
    ) -> tuple[str, str | None]:
        """The parameter of this name."""
        return self._answer("parameter", name, region, self.parameters)

    def decrypt(
        self,
        name: str,  # noqa: ARG002 - the interface of every backend
        *,
        ciphertext: str,
        context: dict[str, str],  # noqa: ARG002 - the same
    ) -> bytes:
        """The plaintext of this ciphertext."""
        return self._answer("ciphertext", ciphertext, None, self.ciphertexts)[0].encode()

    def close(self) -> None:
        """Nothing is open."""

    def _answer(self, kind: str, name: str, region: str | None, values: Mapping[str, T | Exception]) -> tuple[T, str]:
        self.calls.append((kind, name))
        if name not in values:
            raise NotFoundError(
                f"{kind} {name!r} is not in this MemoryBackend",
                service="memory",
                operation="get",
                name=name,
                region=region,
            )
        value = values[name]
        if isinstance(value, Exception):
            raise value
        versions = self._versions.setdefault((kind, name), [])
        if not versions or versions[-1] != value:
            versions.append(value)
        return value, str(len(versions))

    def __repr__(self) -> str:
        """How much it holds; the values may be real ones."""
        return f"<MemoryBackend secrets={len(self.secrets)} parameters={len(self.parameters)} calls={len(self.calls)}>"
