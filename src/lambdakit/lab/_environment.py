"""What all execution environments have in common: a process, its INIT, its end."""

from __future__ import annotations

import asyncio
import enum
import time
import uuid
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from . import _failure
from ._process import RuntimeProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._cpu import Share
    from ._failure import Failure
    from ._functions import Function
    from ._invocation import Invocation, Outcome
    from ._slot import Event


class State(enum.Enum):
    """Where an environment is in its life."""

    INIT = "init"
    SNAPSHOT = "snapshot"
    IDLE = "idle"
    BUSY = "busy"
    ENDED = "ended"


class Environment(ABC):
    """One process group with its Runtime API; all methods are called on the lab's loop.

    What the runtime client asks for arrives through the methods named after its requests, which take the connection
    that it came on. What the lab wants goes through `start`, `initialised`, `invoke` and `end`.

    Args:
        function: what runs in it.
        version: the function's version.
        init_type: Lambda's word for how it comes to be.
        share: its CPU share.
        on_end: called once when the process has ended.
    """

    __slots__ = (
        "_on_end",
        "_process",
        "_ready",
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
        "version",
    )

    def __init__(
        self, function: Function, *, version: str, init_type: str, share: Share, on_end: Callable[[Environment], None]
    ) -> None:
        self.function = function
        self.version = version
        self.init_type = init_type
        self.marker = uuid.uuid4().hex  # tells its processes from all others
        self.state = State.INIT
        self.invocations = 0
        self.init_ms: float | None = None
        self.max_memory_mb: int | None = None
        self.retired = False
        self._share = share
        self._on_end = on_end
        self._process: RuntimeProcess | None = None
        self._started = time.perf_counter()
        self._ready: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int | None:
        """The runtime's process id, or None before the start."""
        return self._process.pid if self._process is not None else None

    @property
    def workers(self) -> tuple[int, ...]:
        """The process ids of the runtime's workers, if it has any."""
        return ()

    @property
    def is_resting(self) -> bool:
        """Whether it can be ended without any caller noticing."""
        return self.state in (State.SNAPSHOT, State.IDLE)

    async def start(self, variables: dict[str, str], *, limited: bool) -> None:
        """Start the process.

        Args:
            variables: all its environment variables.
            limited: True to give INIT the share only, as inside an invocation; False for the full CPU.
        """
        function = self.function
        self._started = time.perf_counter()
        self._process = await RuntimeProcess.start(
            [function.python, "-m", "awslambdaric", function.handler],
            cwd=function.task_root,
            environment=variables,
            on_exit=self._exited,
        )
        self._share.attach(self._process.pid)
        if limited:
            self._share.limit()
            self._share.resume()

    async def initialised(self, limit_s: float) -> Failure | None:
        """Wait for the end of INIT; None is success. A failed one leaves the environment to be ended."""
        ready, _ = await asyncio.wait({self._ready}, timeout=limit_s)
        if self.init_ms is None:
            self.init_ms = since_ms(self._started)
        return self._ready.result() if ready else _failure.TIMEOUT

    @abstractmethod
    async def invoke(self, invocation: Invocation, limit_s: float) -> tuple[Outcome, float]:
        """Run one invocation to its end, whatever that is, and say how many milliseconds it took."""

    async def end(self) -> None:
        """Kill the process, if it has not ended, and wait until it has."""
        self._share.pause()
        if not self._ready.done():
            self._ready.set_result(_failure.exited(0))  # it was ended before it could start
        if self._process is not None:
            await self._process.kill()
        self._share.remove()

    def take_output(self) -> bytes:
        """What the function printed since the last look, at most the last 256 KB of it."""
        return self._process.take_output() if self._process is not None else b""

    @abstractmethod
    async def next_event(self, connection: object) -> Event | None:
        """GET /next: INIT or the invocation is over; wait for the next event. None: there will be none."""

    @abstractmethod
    def conclude(self, request_id: str, outcome: Outcome, *, connection: object, invocation_id: str | None) -> bool:
        """POST /response or /error. False: that is not an invocation that runs here."""

    def fail_init(self, body: bytes, error_type: str) -> bool:
        """POST /init/error. False: INIT was over already."""
        if self._ready.done():
            return False
        self._require_process().drain()
        self._ready.set_result(_failure.Failure("error", error_type, body=body))
        return True

    async def restored(self) -> bool:
        """GET /restore/next: this is the snapshot; wait until it is restored. False: it never will be."""
        return False

    def fail_restore(self, body: bytes, error_type: str) -> bool:  # noqa: ARG002 - of those that are restored
        """POST /restore/error. False: no restore is under way."""
        return False

    def disconnected(self, connection: object) -> None:  # noqa: B027 - says nothing where there are no workers
        """The runtime, or one of its workers, has closed a connection."""

    @abstractmethod
    def _stopped(self, returncode: int) -> None:
        """The process has ended."""

    def _init_over(self) -> None:
        """INIT has succeeded; from now on there is the CPU share and no more."""
        self.init_ms = since_ms(self._started)
        self._share.limit()
        self._ready.set_result(None)

    def _exited(self, returncode: int) -> None:
        self.state = State.ENDED
        self._share.pause()
        if not self._ready.done():
            self._ready.set_result(_failure.exited(returncode))
        self._stopped(returncode)
        self._on_end(self)

    def _require_process(self) -> RuntimeProcess:
        assert self._process is not None, "start comes first"  # noqa: S101 - for the type checkers
        return self._process


def since_ms(start: float) -> float:
    """Milliseconds since a moment of `time.perf_counter`."""
    return (time.perf_counter() - start) * 1000
