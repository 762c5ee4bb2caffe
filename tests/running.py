"""What runs in a test: an invocation, and a clock and a context whose time passes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import lambdakit
from lambdakit.testing import FakeContext, ManualClock


class RunningClock(ManualClock):
    """A clock that runs, and that a test moves on top of that; who sleeps moves it too, and does not wait.

    Attributes:
        slept: the seconds of each wait.
    """

    def __init__(self, *, chance: float = 0.5) -> None:
        super().__init__(chance=chance)
        self.slept: list[float] = []
        self._made_s = time.monotonic()

    def now(self) -> tuple[float, float]:
        run_s = time.monotonic() - self._made_s
        return self.wall_s + run_s, self.monotonic_s + run_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        super().sleep(seconds)


class RunningContext(FakeContext):
    """A context whose time really passes."""

    def __init__(self, *, remaining_s: float) -> None:
        super().__init__(remaining_s=remaining_s)
        self._end_s = time.monotonic() + remaining_s

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._end_s - time.monotonic()) * 1000))


@contextlib.contextmanager
def invocation(context: FakeContext | None = None) -> Iterator[lambdakit.Invocation]:
    """One of the environment in place, for the length of a block: where a test is clearer without a handler.

    Args:
        context: default: with half a minute left.
    """
    env = lambdakit.environment()
    running = env._begin(FakeContext(remaining_s=30.0) if context is None else context)
    try:
        yield running
    finally:
        env._end(running)
