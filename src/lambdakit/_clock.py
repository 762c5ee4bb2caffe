"""How old a thing is, and how much time is left.

An environment is frozen between invocations. While it is suspended the monotonic clock may stand still, so a
monotonic age is too small; a wall clock can be set, so a wall age may be anything. Each is wrong in one direction only
where the other is right: the larger of the two ages is never too small.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from time import monotonic, sleep, time

from .exceptions import DeadlineExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from typing import Any, TypeAlias, TypeVar

    T = TypeVar("T")

Instant: TypeAlias = "tuple[float, float]"
"""A reading of both clocks: seconds since the epoch, monotonic seconds."""

# When the I/O of this context has to be over, in monotonic seconds. It reaches the threads that are started with a copy
# of the context.
_UNTIL: ContextVar[float | None] = ContextVar("lambdakit_until", default=None)


class Clock:
    """Both clocks of the machine, read together, with what else differs between two runs: waiting and chance."""

    __slots__ = ()

    def now(self) -> Instant:
        """Seconds since the epoch, and monotonic seconds."""
        return time(), monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        sleep(seconds)

    def random(self) -> float:
        """A number in [0, 1), another at each call and in each environment: for jitter."""
        # The module of this name is 3 ms, and in a snapshot it is not random. As many bits as a float holds: never 1.0.
        return (int.from_bytes(os.urandom(7), "big") >> 3) / 2**53


def age_s(since: Instant, now: Instant) -> float:
    """The age in seconds at `now` of what happened at `since`: the larger of wall age and monotonic age.

    Infinite if the wall clock ran backwards since: nothing is known then, so whatever it is counts as old.
    """
    wall = now[0] - since[0]
    if wall < 0.0:
        return float("inf")
    monotonic = now[1] - since[1]
    return wall if wall > monotonic else monotonic  # noqa: FURB136 - `max` costs three times as much


def least_age_s(since: Instant, now: Instant) -> float:
    """`age_s`, but what monotonic time tells if the wall clock ran backwards: at least so old, perhaps older."""
    return max(now[0] - since[0], now[1] - since[1])


def in_time(work: Callable[[], T], *, clock: Clock) -> T:
    """What `work` returns, for work that nothing can interrupt: resolving the name of a host.

    Within `Budget.within`, which means that there is something to do instead, a thread does it, and is left alone if it
    takes longer: it ends by itself, when the resolver gives up. Elsewhere it is done here.

    Raises:
        DeadlineExceededError: it takes longer.
    """
    until = _UNTIL.get()
    if until is None:
        return work()
    import threading  # loaded with whatever has a connection to make

    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)

    thread = threading.Thread(target=run, name="lambdakit", daemon=True)
    thread.start()
    thread.join(max(0.0, until - clock.now()[1]))
    if failures:
        raise failures[0]
    if not results:
        raise DeadlineExceededError("the name of a host could not be resolved while there was time for it")
    return results[0]


class Budget:
    """Seconds that I/O may take now: what the invocation leaves, and what whoever began the I/O allows. Thread-safe.

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
