"""Managed instances: one environment with as many workers as invocations may run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._environments.base import State
from .._environments.workers import ManagedEnvironment
from .._functions import MANAGED
from .._report import start_line
from . import Mode, Run, failed_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._environments import Failure, Invocation
    from .._environments.pool import EnvironmentPool
    from .._report import Log


class Managed(Mode):
    """The mode of a function with ``init_type="lambda-managed-instances"``.

    Each version has one environment, created when the function is deployed or when an invocation finds none.

    Args:
        environments: of the function.
        log: of the function.
        on_free: called when a worker has become free.
    """

    __slots__ = ("_by_version", "_on_free")

    def __init__(self, environments: EnvironmentPool, log: Log, *, on_free: Callable[[], None]) -> None:
        super().__init__(environments, log)
        self._on_free = on_free
        self._by_version: dict[str, ManagedEnvironment] = {}

    @property
    def limit(self) -> int:
        """How many invocations may run at once at the moment: one for each available worker."""
        unavailable = sum(e.unavailable for e in self._by_version.values() if _is_usable(e))
        return self._function.max_concurrency - unavailable

    async def prepare(self) -> None:
        """Create the environment; a failure is logged, and the first caller gets it."""
        environment, failure, log = await self._initialised(self._function.published)
        self._log.add(log)
        if failure is not None:
            await self._environments.end(environment)

    async def run(self, invocation: Invocation, version: str) -> Run:
        """Run one invocation in a worker."""
        environment, failure, init_log = await self._initialised(version)
        if failure is not None:
            await self._environments.end(environment)
            return failed_run(failure, invocation, version, init_log, self._published_init_s)
        self._log.add(init_log)  # it is not part of the invocation's log
        log = bytearray(start_line(invocation.request_id, version))
        outcome, duration_ms = await environment.invoke(invocation, self._function.timeout_s)
        log += environment.take_output()
        if environment.retired and environment.can_end:
            await self._environments.end(environment)
        return Run(outcome, duration_ms, log, self._function.timeout_s)

    async def _initialised(self, version: str) -> tuple[ManagedEnvironment, Failure | None, bytearray]:
        """The environment of a version after its INIT, and the log of that; later callers wait for the same INIT."""
        environment = self._by_version.get(version)
        if environment is not None and _is_usable(environment):
            return environment, await environment.wait_initialised(self._published_init_s), bytearray()
        environment = self._by_version[version] = self._environments.add(ManagedEnvironment, version, MANAGED)
        environment.on_free(self._on_free)
        await self._environments.start(environment)
        return environment, *await self._report_init(environment)


def _is_usable(environment: ManagedEnvironment) -> bool:
    return environment.state is not State.ENDED and not environment.retired
