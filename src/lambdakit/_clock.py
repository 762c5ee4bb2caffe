"""Wall time beside monotonic time: the rule of how old a thing is.

An environment is frozen between invocations. While it is suspended the monotonic clock may stand still, so a
monotonic age is too small; a wall clock can be set, so a wall age may be anything. Each is wrong in one direction only
where the other is right: the larger of the two ages is never too small.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

Instant: TypeAlias = "tuple[float, float]"
"""A reading of both clocks: seconds since the epoch, monotonic seconds."""


class Clock:
    """Both clocks of the machine, read together, with what else differs between two runs: waiting and chance."""

    __slots__ = ()

    def now(self) -> Instant:
        """Seconds since the epoch, and monotonic seconds."""
        return time.time(), time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def chance(self) -> float:
        """A number in [0, 1), another at each call and in each environment: for jitter."""
        return int.from_bytes(os.urandom(4), "big") / 2**32  # `random` is 3 ms, and in a snapshot it is not random


def age_s(since: Instant, now: Instant) -> float:
    """The age in seconds at `now` of what happened at `since`: the larger of wall age and monotonic age.

    Infinite if the wall clock ran backwards since: nothing is known then, so whatever it is counts as old.
    """
    wall = now[0] - since[0]
    if wall < 0.0:
        return float("inf")
    monotonic = now[1] - since[1]
    return wall if wall > monotonic else monotonic  # noqa: FURB136 - `max` would cost a sixth of a hit


def least_age_s(since: Instant, now: Instant) -> float:
    """`age_s`, but what monotonic time tells if the wall clock ran backwards: at least so old, perhaps older."""
    return max(now[0] - since[0], now[1] - since[1])
