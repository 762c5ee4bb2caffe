"""How many invocations of a function run at once."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Gate:
    """Counts invocations, and keeps those that can wait until there is room.

    Args:
        limit: how many may run at once just now.
    """

    __slots__ = ("_limit", "_running", "_waiting")

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether as many invocations run as may."""
        return self._running >= self._limit()

    async def wait(self) -> None:
        """Wait until there is room, then count as one that runs."""
        if not self.is_full:
            self._running += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def enter(self) -> None:
        """Count as one that runs; the caller has asked `is_full` before."""
        self._running += 1

    def leave(self) -> None:
        """An invocation has ended."""
        self._running -= 1
        self.admit()

    def admit(self) -> None:
        """Let in those that wait, as far as there is room."""
        while self._waiting and not self.is_full:
            turn = self._waiting.popleft()
            if not turn.done():  # else it was given up
                self._running += 1  # the place is theirs from now on
                turn.set_result(None)
