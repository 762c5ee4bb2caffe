"""How long I/O may take now: what the invocation leaves, and what whoever started the I/O allows."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from contextvars import ContextVar

from .exceptions import DeadlineExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from typing import Any

    from ._clock import Clock

PRELOAD_S = 5.0  # for everything that is fetched before it is needed: half of what INIT may take

# A key, as that of the current invocation; it reaches the threads that are started with a copy of the context.
_UNTIL: ContextVar[float | None] = ContextVar("lambdakit_until", default=None)


class Budget:
    """Seconds that I/O may take, asked anew before each step. Thread-safe.

    Args:
        clock: both clocks.
        invocation: seconds that the invocation leaves, None where nothing limits it.
    """

    __slots__ = ("_clock", "_invocation")

    def __init__(self, *, clock: Clock, invocation: Callable[[], float | None]) -> None:
        self._clock = clock
        self._invocation = invocation

    def __call__(self) -> float | None:
        """Seconds from now, 0 or less where nothing may begin; None for no limit."""
        left_s = self._invocation()
        until = _UNTIL.get()
        if until is None:
            return left_s
        allowed_s = until - self._clock.now()[1]
        return allowed_s if left_s is None else min(left_s, allowed_s)

    def half_s(self) -> float | None:
        """What work may take that there is a substitute for: if it hangs, time to go on with that is left."""
        left_s = self()
        return None if left_s is None else left_s / 2

    async def bound(self, work: Awaitable[Any]) -> Any:
        """What `work` brings, cancelled when the time is up; it stays in the task that it is awaited in."""
        import asyncio  # loaded by whoever runs the loop

        limit = asyncio.timeout(self())
        try:
            async with limit:
                return await work
        except TimeoutError as error:
            if limit.expired():
                raise DeadlineExceededError("this took longer than the invocation has time for it") from error
            raise

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """No more than `seconds` for the whole block, nor more than a block around it allows.

        None and infinity change nothing.
        """
        left_s = self()
        if seconds is None or seconds == float("inf") or (left_s is not None and left_s <= seconds):
            yield
            return
        token = _UNTIL.set(self._clock.now()[1] + seconds)
        try:
            yield
        finally:
            with suppress(ValueError):  # a coroutine that is thrown away ends in another context
                _UNTIL.reset(token)
