"""One environment with as many workers as invocations may run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _report as lines
from ._environment import State
from ._functions import MANAGED
from ._mode import PUBLISHED_INIT_S, Mode, Run
from ._workers import ManagedEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._environments import Environments
    from ._failure import Failure
    from ._invocation import Invocation
    from ._log import Log


class Managed(Mode):
    """The mode of a function with ``init_type="lambda-managed-instances"``.

    Each version has one environment, made when the function is deployed or when an invocation finds none.

    Args:
        environments: where it is made.
        log: the function's.
        on_free: to be called when a worker has become free.
    """

    __slots__ = ("_current", "_environments", "_function", "_log", "_on_free")

    def __init__(self, environments: Environments, log: Log, *, on_free: Callable[[], None]) -> None:
        self._environments = environments
        self._function = environments.function
        self._log = log
        self._on_free = on_free
        self._current: dict[str, ManagedEnvironment] = {}

    @property
    def limit(self) -> int:
        """How many invocations may run at once: one for each worker that can take one."""
        withdrawn = sum(e.withdrawn for e in self._current.values() if _is_usable(e))
        return self._function.max_concurrency - withdrawn

    async def prepare(self) -> None:
        """Bring the environment up; if that fails, the log says so, and the first caller is told."""
        environment, failure, log = await self._environment(self._function.published)
        self._log.add(log)
        if failure is not None:
            await self._environments.end(environment)

    async def run(self, invocation: Invocation, version: str) -> Run:
        """Run one invocation in a worker."""
        environment, failure, init_log = await self._environment(version)
        start = lines.start_line(invocation.request_id, version)
        if failure is not None:
            await self._environments.end(environment)
            outcome = failure.outcome(invocation.request_id, self._init_limit_s)
            return Run(outcome, 0.0, init_log + start, self._init_limit_s)
        self._log.add(init_log)  # it is none of the invocation's
        log = bytearray(start)
        outcome, duration_ms = await environment.invoke(invocation, self._function.timeout_s)
        log += environment.take_output()
        if environment.retired and environment.is_resting:
            await self._environments.end(environment)
        return Run(outcome, duration_ms, log, self._function.timeout_s)

    @property
    def _init_limit_s(self) -> float:
        return max(PUBLISHED_INIT_S, self._function.timeout_s)

    async def _environment(self, version: str) -> tuple[ManagedEnvironment, Failure | None, bytearray]:
        """The one of a version, after its INIT, with the log of that; later callers wait for the same one."""
        environment = self._current.get(version)
        if environment is not None and _is_usable(environment):
            return environment, await environment.initialised(self._init_limit_s), bytearray()
        environment = self._current[version] = self._environments.add(ManagedEnvironment, version, MANAGED)
        environment.on_free(self._on_free)
        await self._environments.start(environment)
        failure = await environment.initialised(self._init_limit_s)
        log = bytearray(environment.take_output())
        log += lines.init_report_line(init_ms=environment.init_ms or 0.0, phase="init", failure=failure)
        return environment, failure, log


def _is_usable(environment: ManagedEnvironment) -> bool:
    return environment.state is not State.ENDED and not environment.retired
