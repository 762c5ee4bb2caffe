"""The place in an environment where one invocation at a time runs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from . import _invocation as outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._invocation import Invocation, Outcome


class Event(NamedTuple):
    """An invocation as the runtime is given it; its deadline is in milliseconds since the epoch."""

    invocation: Invocation
    deadline_ms: int
    invocation_id: str | None = None


class Slot:
    """What the runtime asked for, what it was given, what came of it.

    Args:
        timeout_s: the function's time-out, for the words of an error.
        on_finish: called when an invocation has its outcome.
        on_expiry: called after that, if the outcome is a time-out.
    """

    __slots__ = (
        "_done",
        "_next",
        "_on_expiry",
        "_on_finish",
        "_outcome",
        "_returncode",
        "_started",
        "_timeout_s",
        "event",
    )

    def __init__(self, timeout_s: float, *, on_finish: Callable[[], None], on_expiry: Callable[[], None]) -> None:
        self._timeout_s = timeout_s
        self._on_finish = on_finish
        self._on_expiry = on_expiry
        self.event: Event | None = None  # the last one
        self._next: asyncio.Future[Event | None] | None = None
        self._outcome: Outcome | None = None
        self._done: asyncio.Future[tuple[Outcome, float]] | None = None
        self._started = 0.0
        self._returncode = 0

    @property
    def is_waiting(self) -> bool:
        """Whether the runtime waits for an event here."""
        return self._next is not None and not self._next.done()

    @property
    def is_overdue(self) -> bool:
        """Whether the caller has an answer, but the runtime is still busy with it."""
        return self._done is not None and self._done.done() and not self.is_waiting

    def has(self, request_id: str) -> bool:
        """Whether that is the invocation here."""
        return self.event is not None and self.event.invocation.request_id == request_id

    def ask(self) -> asyncio.Future[Event | None]:
        """GET /next: what ran here is over. The answer is the next event, or None if there will be none."""
        self._next = asyncio.get_running_loop().create_future()
        if self._outcome is not None:
            self._finish(self._outcome)
        return self._next

    async def run(self, invocation: Invocation, limit_s: float, invocation_id: str | None) -> tuple[Outcome, float]:
        """Run one invocation to its end, whatever that is, and say how many milliseconds it took."""
        loop = asyncio.get_running_loop()
        self.event = Event(invocation, int((time.time() + limit_s) * 1000), invocation_id)
        self._outcome = None
        self._done = loop.create_future()
        expiry = loop.call_later(limit_s, self._expire)
        self._started = time.perf_counter()
        if self._next is not None and not self._next.done():
            self._next.set_result(self.event)
        else:  # it has ended since it became idle
            self._finish(outcomes.exited(invocation.request_id, self._returncode))
        try:
            return await self._done
        finally:
            expiry.cancel()

    def conclude(self, request_id: str, outcome: Outcome) -> bool:
        """POST /response or /error. False: that is not the invocation here, or it has its outcome already."""
        if not self.has(request_id) or self._outcome is not None:
            return False
        self._outcome = outcome
        return True

    def exit(self, returncode: int) -> None:
        """The runtime's process has ended; the answer that was already given stands."""
        self._returncode = returncode
        if self._next is not None and not self._next.done():
            self._next.set_result(None)
        if self.event is None:
            return
        exited = outcomes.exited(self.event.invocation.request_id, returncode)
        if self._outcome is not None:
            kind = self._outcome.error_type or exited.error_type
            exited = outcomes.with_status(self._outcome, status="error", error_type=kind)
        self._finish(exited)

    def _finish(self, outcome: Outcome) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result((outcome, (time.perf_counter() - self._started) * 1000))
            self._on_finish()

    def _expire(self) -> None:
        """The time-out; the answer that was already given stands here, too."""
        if self.event is None or self._done is None or self._done.done():
            return
        if self._outcome is not None:
            expired = outcomes.with_status(self._outcome, status="timeout")
        else:
            expired = outcomes.timed_out(self.event.invocation.request_id, self._timeout_s)
        self._finish(expired)
        self._on_expiry()
