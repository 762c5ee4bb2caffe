"""The modes of a function: how its invocations get environments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from .._report import init_report_line, start_line

if TYPE_CHECKING:
    from .._environments import Failure, Invocation, Outcome
    from .._environments.base import Environment
    from .._environments.pool import EnvironmentPool
    from .._environments.single import SingleEnvironment
    from .._report import Log

_PUBLISHED_INIT_S = 130.0  # Lambda's limit where no caller waits for INIT, unless the function's time-out is longer


class Run(NamedTuple):
    """An invocation that has ended, without its REPORT line.

    Attributes:
        outcome: how it ended.
        duration_ms: how long it took, without INIT and restore.
        log: what was logged so far.
        limit_s: the time limit, for the log line of a time-out.
        max_memory_mb: the most memory of its environment, where that could be measured.
        init_ms: how long INIT took, if it is reported and billed with the invocation.
        restore_ms: how long the restore took, if there was one.
    """

    outcome: Outcome
    duration_ms: float
    log: bytearray
    limit_s: float
    max_memory_mb: int | None = None
    init_ms: float | None = None
    restore_ms: float | None = None


class Mode(ABC):
    """How invocations get environments.

    Args:
        environments: of the function.
        log: of the function.
    """

    __slots__ = ("_environments", "_function", "_log")

    def __init__(self, environments: EnvironmentPool, log: Log) -> None:
        self._environments = environments
        self._function = environments.function
        self._log = log

    @property
    def limit(self) -> int:
        """How many invocations may run at once at the moment."""
        return self._function.max_concurrency

    @abstractmethod
    async def prepare(self) -> None:
        """Create the environments that are created at deployment.

        Raises:
            LambdakitError: the function cannot be deployed.
        """

    @abstractmethod
    async def run(self, invocation: Invocation, version: str) -> Run:
        """Run one invocation."""

    @property
    def _published_init_s(self) -> float:
        """The time limit of an INIT that no caller waits for."""
        return max(_PUBLISHED_INIT_S, self._function.timeout_s)

    async def _report_init(self, environment: Environment) -> tuple[Failure | None, bytearray]:
        """Wait for an INIT that is reported by itself; the second value is its part of the log."""
        failure = await environment.wait_initialised(self._published_init_s)
        log = bytearray(environment.take_output())
        log += init_report_line(init_ms=environment.init_ms or 0.0, phase="init", failure=failure)
        return failure, log

    async def _invoke(
        self,
        environment: SingleEnvironment,
        invocation: Invocation,
        log: bytearray,
        *,
        init_ms: float | None = None,
        restore_ms: float | None = None,
    ) -> Run:
        """Run an invocation in an environment that was acquired, created or restored for it, and release that."""
        timeout_s = self._function.timeout_s
        log += start_line(invocation.request_id, environment.version)
        outcome, duration_ms = await environment.invoke(invocation, timeout_s)
        log += environment.take_output()
        await self._environments.release(environment, outcome)
        return Run(outcome, duration_ms, log, timeout_s, environment.max_memory_mb, init_ms, restore_ms)


def failed_run(
    failure: Failure,
    invocation: Invocation,
    version: str,
    log: bytearray,
    limit_s: float,
    *,
    restore_ms: float | None = None,
) -> Run:
    """An invocation that ends with the failure of a phase, which had `limit_s` seconds."""
    log += start_line(invocation.request_id, version)
    return Run(failure.outcome(invocation.request_id, limit_s), 0.0, log, limit_s, restore_ms=restore_ms)
