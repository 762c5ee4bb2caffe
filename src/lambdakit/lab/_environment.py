"""The life of one execution environment: init, idle, busy, ended."""

from __future__ import annotations

import asyncio
import enum
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

from . import _invocation as outcomes
from ._process import RuntimeProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._cpu import Share
    from ._functions import Function
    from ._invocation import Invocation, Outcome


class State(enum.Enum):
    """Where an environment is in its life."""

    INIT = "init"
    IDLE = "idle"
    BUSY = "busy"
    ENDED = "ended"


class InitFailure(NamedTuple):
    """An INIT that did not end with the first GET /next.

    `body` is what the runtime posted, or None; `returncode` is set if the process ended by itself.
    """

    status: str
    error_type: str | None
    body: bytes | None = None
    returncode: int | None = None


class Environment:
    """One process with its Runtime API; all methods are called on the lab's loop.

    What the runtime client asks for arrives through `next_event`, `respond`, `fail` and `fail_init`; what the lab wants
    goes through `start`, `initialised`, `invoke`, `rest` and `end`.

    Args:
        function: what runs in it.
        version: the function's version.
        init_type: Lambda's word for how it comes to be.
        share: its CPU share.
        on_end: called once when the process has ended.
    """

    __slots__ = (
        "_current",
        "_done",
        "_duration_ms",
        "_invocation_started",
        "_next",
        "_on_end",
        "_outcome",
        "_process",
        "_ready",
        "_returncode",
        "_share",
        "_started",
        "deadline_ms",
        "function",
        "init_ms",
        "init_type",
        "invocations",
        "max_memory_mb",
        "retired",
        "state",
        "version",
    )

    def __init__(
        self, function: Function, *, version: str, init_type: str, share: Share, on_end: Callable[[Environment], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.function = function
        self.version = version
        self.init_type = init_type
        self.state = State.INIT
        self.invocations = 0
        self.init_ms: float | None = None
        self.max_memory_mb: int | None = None
        self.retired = False
        self._share = share
        self._on_end = on_end
        self._process: RuntimeProcess | None = None
        self._started = 0.0
        self._ready: asyncio.Future[InitFailure | None] = loop.create_future()
        self._next: asyncio.Future[Invocation | None] | None = None
        self._current: Invocation | None = None
        self._outcome: Outcome | None = None
        self._done: asyncio.Future[Outcome] | None = None
        self._invocation_started = 0.0
        self._returncode = 0
        self._duration_ms = 0.0
        self.deadline_ms = 0  # since the epoch, of the current invocation

    @property
    def pid(self) -> int | None:
        """The runtime's process id, or None before the start."""
        return self._process.pid if self._process is not None else None

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

    async def initialised(self, limit_s: float) -> InitFailure | None:
        """Wait for the end of INIT; None is success. A failed one leaves the environment to be ended."""
        ready, _ = await asyncio.wait({self._ready}, timeout=limit_s)
        if self.init_ms is None:
            self.init_ms = self._since_ms(self._started)
        return self._ready.result() if ready else InitFailure("timeout", None)

    async def invoke(self, invocation: Invocation, limit_s: float) -> tuple[Outcome, float]:
        """Run one invocation to its end, whatever that is, and say how many milliseconds it took."""
        loop = asyncio.get_running_loop()
        process = self._require_process()
        self.state = State.BUSY
        self.invocations += 1
        if self.invocations > 1:
            process.reset_peak_memory()  # the first invocation's peak includes INIT, which ran for it
        self._current, self._outcome = invocation, None
        self._done = loop.create_future()
        expiry = loop.call_later(limit_s, self._expire)
        process.signal(signal.SIGCONT)
        self._share.resume()
        self.deadline_ms = int((time.time() + limit_s) * 1000)
        self._invocation_started = time.perf_counter()
        if self._next is not None and not self._next.done():
            self._next.set_result(invocation)
        else:  # it has ended since it became idle
            self._finish(outcomes.exited(invocation.request_id, self._returncode))
        try:
            outcome = await self._done
        finally:
            expiry.cancel()
            self._current = None
        return outcome, self._duration_ms

    def rest(self) -> None:
        """Freeze: nothing in the environment runs until the next invocation."""
        self.state = State.IDLE
        self._share.pause()
        self._require_process().signal(signal.SIGSTOP)

    async def end(self) -> None:
        """Kill the process, if it has not ended, and wait until it has."""
        self._share.pause()
        if self._process is not None:
            await self._process.kill()
        self._share.remove()

    def take_output(self) -> bytes:
        """What the function printed since the last look, at most the last 256 KB of it."""
        return self._process.take_output() if self._process is not None else b""

    async def next_event(self) -> Invocation | None:
        """GET /next: INIT or the invocation is over; wait for the next event. None: there will be none."""
        self._require_process().drain()
        loop = asyncio.get_running_loop()
        self._next = loop.create_future()
        if not self._ready.done():
            self.init_ms = self._since_ms(self._started)
            self._share.limit()
            self._ready.set_result(None)
        elif self._outcome is not None:
            self._finish(self._outcome)
        return await self._next

    def respond(self, request_id: str, body: bytes | None) -> bool:
        """POST /response; a body of None was larger than allowed. False: that is not the current invocation."""
        if body is None:
            return self._conclude(request_id, outcomes.too_large())
        return self._conclude(request_id, outcomes.Outcome(payload=body))

    def fail(self, request_id: str, body: bytes, error_type: str) -> bool:
        """POST /error. False: that is not the current invocation."""
        return self._conclude(request_id, outcomes.posted_error(body, error_type))

    def fail_init(self, body: bytes, error_type: str) -> None:
        """POST /init/error."""
        if not self._ready.done():
            self._require_process().drain()
            self._ready.set_result(InitFailure("error", error_type, body=body))

    def _conclude(self, request_id: str, outcome: Outcome) -> bool:
        if self._current is None or self._current.request_id != request_id or self._outcome is not None:
            return False
        self._outcome = outcome
        return True

    def _finish(self, outcome: Outcome) -> None:
        if self._done is not None and not self._done.done():
            self._duration_ms = self._since_ms(self._invocation_started)
            self.max_memory_mb = self._require_process().peak_memory_mb()
            self._done.set_result(outcome)

    def _expire(self) -> None:
        """The time-out: the answer that was already given stands, the environment does not."""
        if self._current is None or self._done is None or self._done.done():
            return
        expired = outcomes.timed_out(self._current.request_id, self.function.timeout_s)
        if self._outcome is not None:
            expired = outcomes.with_status(self._outcome, status="timeout")
        self.retired = True
        self._finish(expired)
        self._require_process().signal(signal.SIGKILL)

    def _exited(self, returncode: int) -> None:
        self.state = State.ENDED
        self._returncode = returncode
        self._share.pause()
        if not self._ready.done():
            self._ready.set_result(InitFailure("error", "Runtime.ExitError", returncode=returncode))
        if self._next is not None and not self._next.done():
            self._next.set_result(None)
        if self._current is not None:
            exited = outcomes.exited(self._current.request_id, returncode)
            if self._outcome is not None:
                status, kind = "error", self._outcome.error_type or exited.error_type
                exited = outcomes.with_status(self._outcome, status=status, error_type=kind)
            self._finish(exited)
        self._on_end(self)

    def _require_process(self) -> RuntimeProcess:
        assert self._process is not None, "start comes first"  # noqa: S101 - for the type checkers
        return self._process

    @staticmethod
    def _since_ms(start: float) -> float:
        return (time.perf_counter() - start) * 1000
