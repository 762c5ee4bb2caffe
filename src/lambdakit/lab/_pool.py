"""The invocations of one function: let in, run, reported."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from . import _report as lines
from ._environments import Environments
from ._functions import MANAGED, SNAP_START
from ._gate import Gate
from ._log import Log
from ._managed import Managed
from ._on_demand import OnDemand
from ._snap_start import SnapStart
from ._tasks import Tasks

if TYPE_CHECKING:
    from ._environment import Environment
    from ._environments import Settings
    from ._functions import Function
    from ._invocation import Invocation, Outcome
    from ._mode import Mode, Run


class Done(NamedTuple):
    """An invocation that has ended: its outcome, with its part of the log."""

    outcome: Outcome
    log: bytes


class Pool:
    """One deployed function with its environments; all methods are called on the lab's loop."""

    __slots__ = ("_environments", "_gate", "_log", "_mode", "_tasks", "function")

    def __init__(self, function: Function, settings: Settings) -> None:
        self.function = function
        self._tasks = Tasks()
        self._log = Log()
        self._environments = Environments(function, settings, self._tasks)
        self._gate = Gate(lambda: self._mode.limit)
        self._mode: Mode
        if function.init_type == SNAP_START:
            self._mode = SnapStart(self._environments, self._log)
        elif function.init_type == MANAGED:
            self._mode = Managed(self._environments, self._log, on_free=self._gate.admit)
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
    def is_full(self) -> bool:
        """Whether as many invocations run as may."""
        return self._gate.is_full

    async def prepare(self) -> None:
        """Make the environments that are made before the first invocation.

        Raises:
            LambdakitError: a provisioned environment did not come up; the message has the function's own error.
        """
        await self._mode.prepare()

    def submit(self, invocation: Invocation, version: str) -> None:
        """Run an asynchronous invocation: at once, or as soon as another one has ended."""
        self._tasks.spawn(self._queued(invocation, version))

    async def invoke(self, invocation: Invocation, version: str) -> Done:
        """Run a synchronous invocation; the caller has asked `is_full` before."""
        self._gate.enter()
        return await self._admitted(invocation, version)

    def retire(self) -> None:
        """End all environments: those that rest now, the busy ones after their invocation."""
        self._environments.retire()

    async def settle(self) -> None:
        """Wait until the environments that were retired at rest have ended."""
        await self._environments.settle()

    async def close(self) -> None:
        """End everything now."""
        await self._tasks.cancel()
        await self._environments.close()
        await self._tasks.cancel()  # their ends have been noticed

    async def _queued(self, invocation: Invocation, version: str) -> None:
        await self._gate.wait()
        await self._admitted(invocation, version)

    async def _admitted(self, invocation: Invocation, version: str) -> Done:
        try:
            run = await self._mode.run(invocation, version)
        finally:
            self._gate.leave()
        self._report(run, invocation.request_id)
        return Done(run.outcome, bytes(run.log))

    def _report(self, run: Run, request_id: str) -> None:
        outcome, log = run.outcome, run.log
        if outcome.status == "timeout":
            timestamp = (
                time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1_000_000 % 1000:03d}Z"
            )
            log += lines.timeout_line(timestamp, request_id, run.limit_s)
        log += lines.end_line(request_id)
        log += lines.report_line(
            request_id,
            duration_ms=run.duration_ms,
            billed_init_ms=run.init_ms or 0.0,
            memory_mb=self.function.memory_mb,
            max_memory_mb=run.max_memory_mb,
            init_ms=run.init_ms,
            restore_ms=run.restore_ms,
            status=outcome.status,
            error_type=outcome.error_type,
        )
        self._log.add(log)
