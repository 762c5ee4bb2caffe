"""What a lab tells about one environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRecord:
    """One environment, as it was when it was asked for.

    Attributes:
        pid: the process id of its runtime.
        state: "init", "snapshot" (stopped until it is restored), "idle" (frozen, but for managed instances) or "busy".
        init_type: Lambda's word for how it came to be: "on-demand", "provisioned-concurrency", "snap-start" or
            "lambda-managed-instances".
        version: the version of the function that it runs.
        invocations: how many it was given so far, with the one that runs now.
        init_ms: how long INIT took in milliseconds, from the start of the process; None while it runs.
        max_memory_mb: the most memory in the last invocation; None before the first, where the system does not tell,
            and for managed instances.
        workers: the process ids of the workers of a managed instance; empty for all others, and where the system does
            not tell.
    """

    pid: int | None
    state: str
    init_type: str
    version: str
    invocations: int
    init_ms: float | None
    max_memory_mb: int | None
    workers: tuple[int, ...]


def record_of(environment: Environment) -> EnvironmentRecord:
    """An environment as it is now."""
    return EnvironmentRecord(
        pid=environment.pid,
        state=environment.state.value,
        init_type=environment.init_type,
        version=environment.version,
        invocations=environment.invocations,
        init_ms=environment.init_ms,
        max_memory_mb=environment.max_memory_mb,
        workers=environment.workers,
    )
