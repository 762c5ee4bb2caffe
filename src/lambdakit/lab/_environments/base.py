"""What all execution environments have in common: a process, its INIT, its end, its record."""

from __future__ import annotations

import asyncio
import enum
import time
import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._host.process import RuntimeProcess
from . import Failure, since_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._functions import Function
    from .._host.cpu import Share
    from . import Invocation, Outcome
    from .slot import Event


class State(enum.Enum):
    """The states of an environment."""

    INIT = "init"
    SNAPSHOT = "snapshot"
    IDLE = "idle"
    BUSY = "busy"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRecord:
    """One environment, as it was at one moment.

    Attributes:
        pid: the process id of its runtime.
        state: "init", "snapshot" (stopped until it is restored), "idle" (frozen, but for managed instances) or "busy".
        init_type: as in ``AWS_LAMBDA_INITIALIZATION_TYPE``: "on-demand", "provisioned-concurrency", "snap-start" or
            "lambda-managed-instances".
        version: the version of the function that it runs.
        invocations: how many it has had so far, with the one that runs now.
        init_ms: how long INIT took in milliseconds, from the start of the process; None while it runs.
        max_memory_mb: the most memory in the last invocation; None before the first, where the system does not tell,
            and for managed instances.
        workers: the process ids of the workers of a managed instance; empty for all others, and where the system does
            not tell.
        tenant_id: the tenant whose invocations alone it runs; None for invocations without one.
    """

    pid: int | None
    state: str
    init_type: str
    version: str
    invocations: int
    init_ms: float | None
    max_memory_mb: int | None
    workers: tuple[int, ...]
    tenant_id: str | None = None


class Environment(ABC):
    """One process group with its Runtime API; all methods are called on the lab's loop.

    The requests of the runtime client arrive through the methods whose docstrings name them; `connection` is the one
    that a request came on. The lab calls `start`, `wait_initialised`, `invoke` and `end`.

    Args:
        function: the deployed function.
        version: the version of the function.
        init_type: as in ``AWS_LAMBDA_INITIALIZATION_TYPE``.
        share: its CPU share.
        on_end: called once when the process has ended.
    """

    __slots__ = (
        "_init_done",
        "_on_end",
        "_process",
        "_share",
        "_started",
        "function",
        "init_ms",
        "init_type",
        "invocations",
        "marker",
        "max_memory_mb",
        "retired",
        "state",
        "tenant_id",
        "version",
    )

    def __init__(
        self, function: Function, *, version: str, init_type: str, share: Share, on_end: Callable[[Environment], None]
    ) -> None:
        self.function = function
        self.version = version
        self.init_type = init_type
        self.marker = uuid.uuid4().hex  # in a variable of each of its processes
        self.state = State.INIT
        self.invocations = 0
        self.init_ms: float | None = None
        self.max_memory_mb: int | None = None
        self.retired = False
        self.tenant_id: str | None = None  # set once, before it starts
        self._share = share
        self._on_end = on_end
        self._process: RuntimeProcess | None = None
        self._started = time.perf_counter()
        self._init_done: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int | None:
        """The runtime's process id, or None before the start."""
        return self._process.pid if self._process is not None else None

    @property
    def workers(self) -> tuple[int, ...]:
        """The process ids of the runtime's workers, if it has any."""
        return ()

    @property
    def has_exited(self) -> bool:
        """Whether the process has ended, also where the lab has yet to hear of it."""
        return self._process is not None and self._process.has_exited

    @property
    def can_end(self) -> bool:
        """Whether no invocation runs that its end would fail."""
        return self.state in (State.SNAPSHOT, State.IDLE)

    @property
    def record(self) -> EnvironmentRecord:
        """The environment as it is now."""
        return EnvironmentRecord(
            pid=self.pid,
            state=self.state.value,
            init_type=self.init_type,
            version=self.version,
            invocations=self.invocations,
            init_ms=self.init_ms,
            max_memory_mb=self.max_memory_mb,
            workers=self.workers,
            tenant_id=self.tenant_id,
        )

    async def start(self, variables: dict[str, str], *, limited: bool) -> None:
        """Start the process.

        Args:
            variables: all its environment variables.
            limited: True for INIT with the CPU share, as inside an invocation; False for INIT with the full CPU.
        """
        function = self.function
        self._started = time.perf_counter()
        self._process = await RuntimeProcess.start(
            [*function.wrapper, function.python, "-m", "awslambdaric", function.handler],
            cwd=function.task_root,
            environment=variables,
            on_exit=self._process_exited,
        )
        self._share.attach(self._process.pid)
        if limited:
            self._share.limit()
            self._share.resume()

    async def wait_initialised(self, limit_s: float) -> Failure | None:
        """Wait for the end of INIT; None is success. After a failure the caller has to end the environment."""
        done, _ = await asyncio.wait({self._init_done}, timeout=limit_s)
        if self.init_ms is None:
            self.init_ms = since_ms(self._started)
        return self._init_done.result() if done else Failure.timed_out()

    @abstractmethod
    async def invoke(self, invocation: Invocation, limit_s: float) -> tuple[Outcome, float]:
        """Run one invocation until it ends in whatever way; the second value is its duration in milliseconds."""

    async def end(self) -> None:
        """Kill the process, if it has not ended, and wait until it has."""
        self._share.pause()
        if not self._init_done.done():
            self._init_done.set_result(Failure.exited(0))  # it is ended before its process could start
        if self._process is not None:
            await self._process.kill()
        self._share.remove()

    def take_output(self) -> bytes:
        """The output of the function since the last call, at most the last 256 KB of it."""
        return self._process.take_output() if self._process is not None else b""

    @abstractmethod
    async def next_event(self, connection: object) -> Event | None:
        """GET /next: INIT or the invocation is over; wait for the next event. None: the environment has ended."""

    @abstractmethod
    def complete(self, request_id: str, outcome: Outcome, *, connection: object, invocation_id: str | None) -> bool:
        """POST /response or /error. False: that invocation does not run here."""

    def fail_init(self, body: bytes, error_type: str) -> bool:
        """POST /init/error. False: INIT was over already."""
        if self._init_done.done():
            return False
        self._require_process().drain()
        self._init_done.set_result(Failure.posted_error(body, error_type))
        return True

    async def restore_next(self) -> bool:
        """GET /restore/next: the environment is at its snapshot; wait for the restore. False: there is none."""
        return False

    def fail_restore(self, body: bytes, error_type: str) -> bool:  # noqa: ARG002 - used where there are restores
        """POST /restore/error. False: no restore is under way."""
        return False

    def connection_closed(self, connection: object) -> None:  # noqa: B027 - means nothing where there are no workers
        """The runtime, or one of its workers, has closed a connection."""

    @abstractmethod
    def _on_exit(self, returncode: int) -> None:
        """Complete what waits for the process, which has ended."""

    def _complete_init(self) -> None:
        """INIT has succeeded; from now on the CPU is limited to the share."""
        self.init_ms = since_ms(self._started)
        self._share.limit()
        self._init_done.set_result(None)

    def _process_exited(self, returncode: int) -> None:
        self.state = State.ENDED
        self._share.pause()
        if not self._init_done.done():
            self._init_done.set_result(Failure.exited(returncode))
        self._on_exit(returncode)
        self._on_end(self)

    def _require_process(self) -> RuntimeProcess:
        assert self._process is not None, "start comes first"  # noqa: S101 - for the type checkers
        return self._process
