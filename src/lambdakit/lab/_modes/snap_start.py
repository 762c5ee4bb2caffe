"""SnapStart: environments are restored from a snapshot, which is a process that was stopped after INIT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._environments.base import State
from .._environments.single import SingleEnvironment
from .._functions import SNAP_START
from .._report import restore_report_line
from . import Mode, failed_run

if TYPE_CHECKING:
    from .._environments import Failure, Invocation
    from .._environments.pool import EnvironmentPool
    from .._report import Log
    from . import Run


class SnapStart(Mode):
    """The mode of a function with ``init_type="snap-start"``.

    A process can be restored once. The first one is at its snapshot when the function is deployed; a further one is
    initialised when an invocation needs it. The invocation waits for that INIT, which is not billed.
    """

    __slots__ = ("_snapshots",)

    def __init__(self, environments: EnvironmentPool, log: Log) -> None:
        super().__init__(environments, log)
        self._snapshots: list[SingleEnvironment] = []

    async def prepare(self) -> None:
        """Bring one process to its snapshot; a failure is logged, and the first caller gets it."""
        environment, failure, log = await self._initialise(self._function.published)
        self._log.add(log)
        if failure is None:
            self._snapshots.append(environment)

    async def run(self, invocation: Invocation, version: str) -> Run:
        """Run one invocation, in an idle environment or in one that is restored."""
        log = bytearray()
        environment, restore_ms = self._environments.acquire(version), None
        if environment is None:
            environment = self._take_snapshot(version)
            if environment is None:
                environment, failure, init_log = await self._initialise(version)
                if failure is not None:
                    return failed_run(failure, invocation, version, init_log, self._published_init_s)
                self._log.add(init_log)  # it is not part of the invocation's log
            limit_s = self._environments.settings.restore_timeout_s
            failure = await environment.restore(limit_s)
            restore_ms = environment.restore_ms
            log += environment.take_output()
            log += restore_report_line(restore_ms=restore_ms, failure=failure)
            if failure is not None:
                await self._environments.end(environment)
                return failed_run(failure, invocation, version, log, limit_s, restore_ms=restore_ms)
        return await self._invoke(environment, invocation, log, restore_ms=restore_ms)

    def _take_snapshot(self, version: str) -> SingleEnvironment | None:
        for environment in self._snapshots:
            if environment.version == version:
                self._snapshots.remove(environment)
                is_usable = (
                    environment.state is State.SNAPSHOT and not environment.retired and not environment.has_exited
                )
                return environment if is_usable else None
        return None

    async def _initialise(self, version: str) -> tuple[SingleEnvironment, Failure | None, bytearray]:
        environment = await self._environments.create(SingleEnvironment, version, SNAP_START)
        failure, log = await self._report_init(environment)
        if failure is not None:
            await self._environments.end(environment)
        return environment, failure, log
