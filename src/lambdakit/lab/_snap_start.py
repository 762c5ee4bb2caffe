"""Environments that are restored from a snapshot: a process that was initialised before, and stopped there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _report as lines
from ._environment import State
from ._functions import SNAP_START
from ._mode import PUBLISHED_INIT_S, Mode, Run
from ._single import SingleEnvironment

if TYPE_CHECKING:
    from ._environments import Environments
    from ._failure import Failure
    from ._invocation import Invocation
    from ._log import Log


class SnapStart(Mode):
    """The mode of a function with ``init_type="snap-start"``.

    One process gives one restore. The first is at its snapshot when the function is deployed; any further one is
    initialised when an invocation needs it, which waits for that without paying.
    """

    __slots__ = ("_environments", "_function", "_log", "_snapshots")

    def __init__(self, environments: Environments, log: Log) -> None:
        self._environments = environments
        self._function = environments.function
        self._log = log
        self._snapshots: list[SingleEnvironment] = []

    @property
    def limit(self) -> int:
        """How many invocations may run at once."""
        return self._function.max_concurrency

    async def prepare(self) -> None:
        """Bring one process to its snapshot; if that fails, the log says so, and the first caller is told."""
        environment, failure, log = await self._initialise(self._function.published)
        self._log.add(log)
        if failure is None:
            self._snapshots.append(environment)

    async def run(self, invocation: Invocation, version: str) -> Run:
        """Run one invocation, in an idle environment or in one that is restored."""
        log = bytearray()
        environment, restore_ms = self._environments.take(version), None
        if environment is None:
            environment = self._snapshot(version)
            if environment is None:
                environment, failure, init_log = await self._initialise(version)
                if failure is not None:
                    return _failed(failure, invocation, version, init_log, self._init_limit_s)
                self._log.add(init_log)  # it is none of the invocation's
            limit_s = self._environments.settings.restore_timeout_s
            failure = await environment.restore(limit_s)
            restore_ms = environment.restore_ms
            log += environment.take_output()
            log += lines.restore_report_line(restore_ms=restore_ms, failure=failure)
            if failure is not None:
                await self._environments.end(environment)
                return _failed(failure, invocation, version, log, limit_s, restore_ms=restore_ms)
        log += lines.start_line(invocation.request_id, version)
        outcome, duration_ms = await environment.invoke(invocation, self._function.timeout_s)
        log += environment.take_output()
        await self._environments.put_back(environment, outcome)
        peak_mb = environment.max_memory_mb
        return Run(outcome, duration_ms, log, self._function.timeout_s, peak_mb, restore_ms=restore_ms)

    @property
    def _init_limit_s(self) -> float:
        return max(PUBLISHED_INIT_S, self._function.timeout_s)

    def _snapshot(self, version: str) -> SingleEnvironment | None:
        for environment in self._snapshots:
            if environment.version == version:
                self._snapshots.remove(environment)
                return environment if environment.state is State.SNAPSHOT and not environment.retired else None
        return None

    async def _initialise(self, version: str) -> tuple[SingleEnvironment, Failure | None, bytearray]:
        environment = await self._environments.create(SingleEnvironment, version, SNAP_START)
        failure = await environment.initialised(self._init_limit_s)
        log = bytearray(environment.take_output())
        log += lines.init_report_line(init_ms=environment.init_ms or 0.0, phase="init", failure=failure)
        if failure is not None:
            await self._environments.end(environment)
        return environment, failure, log


def _failed(
    failure: Failure,
    invocation: Invocation,
    version: str,
    log: bytearray,
    limit_s: float,
    *,
    restore_ms: float | None = None,
) -> Run:
    log += lines.start_line(invocation.request_id, version)
    return Run(failure.outcome(invocation.request_id, limit_s), 0.0, log, limit_s, restore_ms=restore_ms)
