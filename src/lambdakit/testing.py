"""What tests of handlers need; the pytest fixture `lambdakit_environment` comes with it."""

from __future__ import annotations

from ._clock import Clock
from .backends.memory import MemoryBackend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._clock import Instant

__all__ = ["FakeContext", "ManualClock", "MemoryBackend"]


class ManualClock(Clock):
    """Both clocks, standing still until they are moved.

    Args:
        wall_s: seconds since the epoch; the default is an arbitrary moment, the same in every run.
        monotonic_s: seconds of the monotonic clock; the default is that of a machine just booted.
        chance: what every jitter is drawn from, in [0, 1); the default, 0, is none: a ttl ends to the second.

    ``Environment(clock=ManualClock())`` takes it. Not thread-safe while it is moved. Since 0.1.
    """

    __slots__ = ("luck", "monotonic_s", "wall_s")

    def __init__(self, *, wall_s: float = 1_800_000_000.0, monotonic_s: float = 1.0, chance: float = 0.0) -> None:
        self.wall_s = wall_s
        self.monotonic_s = monotonic_s
        self.luck = chance

    def now(self) -> Instant:
        """Both readings."""
        return self.wall_s, self.monotonic_s

    def sleep(self, seconds: float) -> None:
        """Nobody waits; both clocks move."""
        self.tick(seconds)

    def chance(self) -> float:
        """The same each time; the attribute `luck` changes it."""
        return self.luck

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
