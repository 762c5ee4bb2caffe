"""A slot of an environment: it runs one invocation at a time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from . import Outcome, since_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from . import Invocation


class Event(NamedTuple):
    """The response to GET /next; the deadline is in milliseconds since the epoch."""

    invocation: Invocation
    deadline_ms: int
    invocation_id: str | None = None


class Slot:
    """The event that the runtime waits for or works on, and its outcome.

    Args:
        timeout_s: the function's time-out, for its error message.
        on_finish: called when an invocation has its outcome.
        on_timeout: called after that, if the outcome is a time-out.
    """

    __slots__ = (
        "_done",
        "_next",
        "_on_finish",
        "_on_timeout",
        "_outcome",
        "_returncode",
        "_started",
        "_timeout_s",
        "event",
    )

    def __init__(self, timeout_s: float, *, on_finish: Callable[[], None], on_timeout: Callable[[], None]) -> None:
        self._timeout_s = timeout_s
        self._on_finish = on_finish
        self._on_timeout = on_timeout
        self.event: Event | None = None  # the latest
        self._next: asyncio.Future[Event | None] | None = None
        self._outcome: Outcome | None = None
        self._done: asyncio.Future[tuple[Outcome, float]] | None = None
        self._started = 0.0
        self._returncode = 0

    @property
    def is_waiting(self) -> bool:
        """Whether the runtime waits for an event."""
        return self._next is not None and not self._next.done()

    @property
    def is_past_timeout(self) -> bool:
        """Whether the invocation has timed out, and the runtime still works on it."""
        return self._done is not None and self._done.done() and not self.is_waiting

    def is_running(self, request_id: str) -> bool:
        """Whether that is the invocation of the slot."""
        return self.event is not None and self.event.invocation.request_id == request_id

    def next_event(self) -> asyncio.Future[Event | None]:
        """GET /next: the invocation is over; the result is the next event, or None if the environment has ended."""
        self._next = asyncio.get_running_loop().create_future()
        if self._outcome is not None:
            self._finish(self._outcome)
        return self._next

    async def run(self, invocation: Invocation, limit_s: float, invocation_id: str | None) -> tuple[Outcome, float]:
        """Run one invocation until it ends in whatever way; the second value is its duration in milliseconds."""
        loop = asyncio.get_running_loop()
        self.event = Event(invocation, int((time.time() + limit_s) * 1000), invocation_id)
        self._outcome = None
        self._done = loop.create_future()
        timer = loop.call_later(limit_s, self._time_out)
        self._started = time.perf_counter()
        if self._next is not None and not self._next.done():
            self._next.set_result(self.event)
        else:  # the process has ended since it became idle
            self._finish(Outcome.exited(invocation.request_id, self._returncode))
        try:
            return await self._done
        finally:
            timer.cancel()

    def complete(self, request_id: str, outcome: Outcome) -> bool:
        """POST /response or /error. False: that is not the invocation of the slot, or it has its outcome already."""
        if not self.is_running(request_id) or self._outcome is not None:
            return False
        self._outcome = outcome
        return True

    def process_exited(self, returncode: int) -> None:
        """The runtime's process has ended; a response that was already posted stands."""
        self._returncode = returncode
        if self._next is not None and not self._next.done():
            self._next.set_result(None)
        if self.event is None:
            return
        exited = Outcome.exited(self.event.invocation.request_id, returncode)
        if self._outcome is not None:
            kind = self._outcome.error_type or exited.error_type
            exited = self._outcome.reported_as("error", kind)
        self._finish(exited)

    def _finish(self, outcome: Outcome) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result((outcome, since_ms(self._started)))
            self._on_finish()

    def _time_out(self) -> None:
        """The invocation has timed out; a response that was already posted stands here, too."""
        if self.event is None or self._done is None or self._done.done():
            return
        if self._outcome is not None:
            outcome = self._outcome.reported_as("timeout")
        else:
            outcome = Outcome.timed_out(self.event.invocation.request_id, self._timeout_s)
        self._finish(outcome)
        self._on_timeout()
