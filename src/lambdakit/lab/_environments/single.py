"""An environment that runs one invocation at a time, and is frozen while none runs."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

from . import Failure, since_ms
from .base import Environment, State
from .slot import Slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._functions import Function
    from .._host.cpu import Share
    from . import Invocation, Outcome
    from .slot import Event


class SingleEnvironment(Environment):
    """On demand, provisioned, or restored from a snapshot: its process is stopped there after INIT."""

    __slots__ = ("_restore_begun", "_restore_done", "_slot", "restore_ms")

    def __init__(
        self, function: Function, *, version: str, init_type: str, share: Share, on_end: Callable[[Environment], None]
    ) -> None:
        super().__init__(function, version=version, init_type=init_type, share=share, on_end=on_end)
        self._slot = Slot(function.timeout_s, on_finish=self._measure_memory, on_timeout=self._on_timeout)
        self._restore_begun: asyncio.Future[bool] | None = None  # GET /restore/next waits for it
        self._restore_done: asyncio.Future[Failure | None] | None = None  # `restore` waits for it
        self.restore_ms: float | None = None

    async def restore(self, limit_s: float) -> Failure | None:
        """Continue from the snapshot, and wait until the runtime asks for an event; None is success."""
        assert self._restore_begun is not None, "INIT comes first"  # noqa: S101 - for the type checkers
        self.state = State.BUSY
        self._restore_done = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        self._thaw()
        if self._restore_begun.done():  # the process has ended at its snapshot
            return Failure.exited(0)
        self._restore_begun.set_result(True)
        done, _ = await asyncio.wait({self._restore_done}, timeout=limit_s)
        self.restore_ms = since_ms(started)
        return self._restore_done.result() if done else Failure.timed_out()

    async def invoke(self, invocation: Invocation, limit_s: float) -> tuple[Outcome, float]:
        """Run one invocation until it ends in whatever way; the second value is its duration in milliseconds."""
        self.state = State.BUSY
        self.invocations += 1
        if self.invocations > 1:
            self._require_process().reset_peak_memory()  # the peak of the first one includes INIT
        self._thaw()
        return await self._slot.run(invocation, limit_s, None)

    def freeze(self, state: State) -> None:
        """Stop all processes until the next invocation or the restore."""
        self.state = state
        self._share.pause()
        self._require_process().signal(signal.SIGSTOP)

    async def next_event(self, connection: object) -> Event | None:  # noqa: ARG002 - there is one runtime only
        """GET /next: INIT, the restore or the invocation is over; wait for the next event. None: it has ended."""
        self._require_process().drain()
        event = self._slot.next_event()
        if not self._init_done.done():
            self._complete_init()
        elif self._restore_done is not None and not self._restore_done.done():
            self._restore_done.set_result(None)
        return await event

    def complete(self, request_id: str, outcome: Outcome, *, connection: object, invocation_id: str | None) -> bool:  # noqa: ARG002 - there is one runtime only
        """POST /response or /error. False: that is not the current invocation, or it has its outcome already."""
        return self._slot.complete(request_id, outcome)

    async def restore_next(self) -> bool:
        """GET /restore/next: the environment is at its snapshot; wait for the restore. False: there is none."""
        if self._init_done.done():
            return False
        self._require_process().drain()
        self._restore_begun = asyncio.get_running_loop().create_future()
        self._complete_init()
        self.freeze(State.SNAPSHOT)
        return await self._restore_begun

    def fail_restore(self, body: bytes, error_type: str) -> bool:
        """POST /restore/error. False: no restore is under way."""
        if self._restore_done is None or self._restore_done.done():
            return False
        self._require_process().drain()
        self._restore_done.set_result(Failure.posted_error(body, error_type))
        return True

    def _thaw(self) -> None:
        self._require_process().signal(signal.SIGCONT)
        self._share.resume()

    def _measure_memory(self) -> None:
        self.max_memory_mb = self._require_process().peak_memory_mb()

    def _on_timeout(self) -> None:
        self.retired = True
        self._require_process().signal(signal.SIGKILL)

    def _on_exit(self, returncode: int) -> None:
        if self._restore_begun is not None and not self._restore_begun.done():
            self._restore_begun.set_result(False)
        if self._restore_done is not None and not self._restore_done.done():
            self._restore_done.set_result(Failure.exited(returncode))
        self._slot.process_exited(returncode)
