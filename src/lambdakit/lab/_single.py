"""An environment that runs one invocation at a time, and is frozen whenever none runs."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

from . import _failure
from ._environment import Environment, State, since_ms
from ._slot import Slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._cpu import Share
    from ._failure import Failure
    from ._functions import Function
    from ._invocation import Invocation, Outcome
    from ._slot import Event


class SingleEnvironment(Environment):
    """On demand, provisioned, or restored from the snapshot that it stopped at when it was initialised."""

    __slots__ = ("_going_on", "_restored", "_slot", "restore_ms")

    def __init__(
        self, function: Function, *, version: str, init_type: str, share: Share, on_end: Callable[[Environment], None]
    ) -> None:
        super().__init__(function, version=version, init_type=init_type, share=share, on_end=on_end)
        self._slot = Slot(function.timeout_s, on_finish=self._measure, on_expiry=self._expired)
        self._going_on: asyncio.Future[bool] | None = None  # what GET /restore/next waits for
        self._restored: asyncio.Future[Failure | None] | None = None  # what `restore` waits for
        self.restore_ms: float | None = None

    async def restore(self, limit_s: float) -> Failure | None:
        """Go on from the snapshot, and wait until the runtime asks for an event; None is success."""
        assert self._going_on is not None, "INIT comes first"  # noqa: S101 - for the type checkers
        self.state = State.BUSY
        self._restored = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        self._thaw()
        if self._going_on.done():  # it has ended at its snapshot
            return _failure.exited(0)
        self._going_on.set_result(True)
        done, _ = await asyncio.wait({self._restored}, timeout=limit_s)
        self.restore_ms = since_ms(started)
        return self._restored.result() if done else _failure.TIMEOUT

    async def invoke(self, invocation: Invocation, limit_s: float) -> tuple[Outcome, float]:
        """Run one invocation to its end, whatever that is, and say how many milliseconds it took."""
        self.state = State.BUSY
        self.invocations += 1
        if self.invocations > 1:
            self._require_process().reset_peak_memory()  # the first one's peak includes INIT, which ran for it
        self._thaw()
        return await self._slot.run(invocation, limit_s, None)

    def rest(self) -> None:
        """Freeze: nothing in the environment runs until the next invocation."""
        self.state = State.IDLE
        self._freeze()

    async def next_event(self, connection: object) -> Event | None:  # noqa: ARG002 - there is one runtime only
        """GET /next: INIT, the restore or the invocation is over; wait for the next event. None: there will be none."""
        self._require_process().drain()
        event = self._slot.ask()
        if not self._ready.done():
            self._init_over()
        elif self._restored is not None and not self._restored.done():
            self._restored.set_result(None)
        return await event

    def conclude(self, request_id: str, outcome: Outcome, *, connection: object, invocation_id: str | None) -> bool:  # noqa: ARG002 - there is one runtime only
        """POST /response or /error. False: that is not the current invocation."""
        return self._slot.conclude(request_id, outcome)

    async def restored(self) -> bool:
        """GET /restore/next: this is the snapshot; wait until it is restored. False: it never will be."""
        if self._ready.done():
            return False
        self._require_process().drain()
        self._going_on = asyncio.get_running_loop().create_future()
        self._init_over()
        self.state = State.SNAPSHOT
        self._freeze()
        return await self._going_on

    def fail_restore(self, body: bytes, error_type: str) -> bool:
        """POST /restore/error. False: no restore is under way."""
        if self._restored is None or self._restored.done():
            return False
        self._require_process().drain()
        self._restored.set_result(_failure.Failure("error", error_type, body=body))
        return True

    def _freeze(self) -> None:
        self._share.pause()
        self._require_process().signal(signal.SIGSTOP)

    def _thaw(self) -> None:
        self._require_process().signal(signal.SIGCONT)
        self._share.resume()

    def _measure(self) -> None:
        self.max_memory_mb = self._require_process().peak_memory_mb()

    def _expired(self) -> None:
        self.retired = True
        self._require_process().signal(signal.SIGKILL)

    def _stopped(self, returncode: int) -> None:
        if self._going_on is not None and not self._going_on.done():
            self._going_on.set_result(False)
        if self._restored is not None and not self._restored.done():
            self._restored.set_result(_failure.exited(returncode))
        self._slot.exit(returncode)
