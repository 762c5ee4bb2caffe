"""One deployed function: its invocations are admitted, run and reported."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from .._environments.pool import EnvironmentPool
from .._functions import MANAGED, SNAP_START
from .._modes.managed import Managed
from .._modes.on_demand import OnDemand
from .._modes.snap_start import SnapStart
from .._report import Log, Report, end_line, report_line, timeout_line
from .._tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._environments import Invocation, Outcome
    from .._environments.base import Environment
    from .._environments.pool import Settings
    from .._functions import Function
    from .._modes import Mode, Run


class ConcurrencyLimit:
    """Limits how many invocations run at once; those that can wait are queued.

    Args:
        limit: how many may run at once at the moment.
    """

    __slots__ = ("_limit", "_running", "_waiters")

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._running = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def is_reached(self) -> bool:
        """Whether as many invocations run as may."""
        return self._running >= self._limit()

    async def acquire(self) -> None:
        """Wait for a place, and take it."""
        if not self.is_reached:
            self._running += 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def acquire_nowait(self) -> None:
        """Take a place; the caller has checked `is_reached`."""
        self._running += 1

    def release(self) -> None:
        """Give a place back."""
        self._running -= 1
        self.wake()

    def wake(self) -> None:
        """Give free places to those that wait; also called when the limit has risen."""
        while self._waiters and not self.is_reached:
            waiter = self._waiters.popleft()
            if not waiter.done():  # else it was cancelled
                self._running += 1  # the place is taken from now on
                waiter.set_result(None)


class Completed(NamedTuple):
    """An invocation that has ended, with its part of the log."""

    outcome: Outcome
    log: bytes


class Deployment:
    """One deployed function with its environments; all methods are called on the lab's loop."""

    __slots__ = ("_environments", "_limit", "_log", "_mode", "_tasks", "function")

    def __init__(self, function: Function, settings: Settings) -> None:
        self.function = function
        self._tasks = Tasks()
        self._log = Log()
        self._environments = EnvironmentPool(function, settings, self._tasks)
        self._limit = ConcurrencyLimit(lambda: self._mode.limit)
        self._mode: Mode
        if function.init_type == SNAP_START:
            self._mode = SnapStart(self._environments, self._log)
        elif function.init_type == MANAGED:
            self._mode = Managed(self._environments, self._log, on_free=self._limit.wake)
        else:
            self._mode = OnDemand(self._environments, self._log)

    @property
    def environments(self) -> list[Environment]:
        """All environments that have not ended, the oldest first."""
        return self._environments.alive

    @property
    def log(self) -> bytes:
        """The end of what was logged so far."""
        return bytes(self._log)

    @property
    def is_throttled(self) -> bool:
        """Whether as many invocations run as may."""
        return self._limit.is_reached

    async def prepare(self) -> None:
        """Create the environments that are created before the first invocation.

        Raises:
            LambdakitError: a provisioned environment could not be initialised; the message has the function's error.
        """
        await self._mode.prepare()

    def submit(self, invocation: Invocation, version: str) -> None:
        """Run an asynchronous invocation, at once or when another one has ended."""
        self._tasks.spawn(self._run_queued(invocation, version))

    async def invoke(self, invocation: Invocation, version: str) -> Completed:
        """Run a synchronous invocation; the caller has checked `is_throttled`."""
        self._limit.acquire_nowait()
        return await self._run(invocation, version)

    def retire(self) -> None:
        """End all environments: the idle ones now, the busy ones after their invocation."""
        self._environments.retire()

    async def wait_retired(self) -> None:
        """Wait until the idle environments that were retired have ended."""
        await self._environments.wait_retired()

    async def close(self) -> None:
        """End everything now."""
        await self._tasks.cancel()
        await self._environments.close()
        await self._tasks.cancel()  # those that the end of the environments has spawned

    async def _run_queued(self, invocation: Invocation, version: str) -> None:
        await self._limit.acquire()
        await self._run(invocation, version)

    async def _run(self, invocation: Invocation, version: str) -> Completed:
        try:
            run = await self._mode.run(invocation, version)
        finally:
            self._limit.release()
        self._report(run, invocation.request_id)
        return Completed(run.outcome, bytes(run.log))

    def _report(self, run: Run, request_id: str) -> None:
        outcome, log = run.outcome, run.log
        if outcome.status == "timeout":
            milliseconds = time.time_ns() // 1_000_000 % 1000
            timestamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}.{milliseconds:03d}Z"
            log += timeout_line(timestamp, request_id, run.limit_s)
        log += end_line(request_id)
        report = Report.billed(
            request_id,
            duration_ms=run.duration_ms,
            memory_size_mb=self.function.memory_mb,
            max_memory_mb=run.max_memory_mb,
            init_ms=run.init_ms,
            restore_ms=run.restore_ms,
            status=outcome.status,
            error_type=outcome.error_type,
        )
        log += report_line(report)
        self._log.add(log)
