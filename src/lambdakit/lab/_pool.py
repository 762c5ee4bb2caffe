"""The environments of one function: which one takes an invocation, what becomes of it afterwards."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from ..exceptions import LambdakitError
from . import _invocation as outcomes
from . import _report as lines
from ._environment import Environment, InitFailure, State
from ._runtime_api import RuntimeApi
from ._start import start

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ._cpu import Cpu
    from ._functions import Function
    from ._invocation import Invocation, Outcome

ON_DEMAND = "on-demand"
PROVISIONED = "provisioned-concurrency"
_PROVISIONED_INIT_S = 130.0  # Lambda: this or the function's time-out, whichever is more
_LOG_BYTES = 1_048_576  # kept of a function's log


class Settings(NamedTuple):
    """What all functions of one lab share."""

    region: str
    init_timeout_s: float
    cpu: Cpu
    tell: Callable[[str], None]


class Done(NamedTuple):
    """An invocation that has ended: its outcome, with its part of the log."""

    outcome: Outcome
    log: bytes


class Pool:
    """The environments of one deployed function; all methods are called on the lab's loop."""

    __slots__ = ("_apis", "_idle", "_log", "_running", "_settings", "_tasks", "_waiting", "function")

    def __init__(self, function: Function, settings: Settings) -> None:
        self.function = function
        self._settings = settings
        self._apis: dict[Environment, RuntimeApi] = {}
        self._idle: list[Environment] = []  # the last one was used last
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[object]] = set()
        self._log = bytearray()

    @property
    def environments(self) -> list[Environment]:
        """All environments that have not ended, the oldest first."""
        return [environment for environment in self._apis if environment.state is not State.ENDED]

    @property
    def log(self) -> bytes:
        """The end of what was logged so far."""
        return bytes(self._log)

    @property
    def is_full(self) -> bool:
        """Whether as many invocations run as may."""
        return self._running >= self.function.max_concurrency

    async def provision(self) -> None:
        """Make the function's provisioned environments, side by side.

        Raises:
            LambdakitError: one of them did not come up; the message has the function's own error.
        """
        version = self.function.version_of(self.function.qualifiers[-1]) or ""
        limit_s = max(_PROVISIONED_INIT_S, self.function.timeout_s)
        made = [self._create(version, PROVISIONED) for _ in range(self.function.provisioned)]
        for environment in await asyncio.gather(*made):
            failure = await environment.initialised(limit_s)
            self._add_log(environment.take_output())
            if failure is not None:
                await self._end(environment)
                detail = failure.body.decode(errors="replace") if failure.body else failure.error_type or failure.status
                raise LambdakitError(f"{self.function.name!r}: INIT of a provisioned environment failed: {detail}")
            self._release(environment)

    def submit(self, invocation: Invocation, version: str) -> None:
        """Run an asynchronous invocation: at once, or as soon as another one has ended."""
        self._spawn(self._queued(invocation, version))

    async def invoke(self, invocation: Invocation, version: str) -> Done:
        """Run a synchronous invocation; the caller has asked `is_full` before."""
        self._running += 1
        try:
            return await self._invoke(invocation, version)
        finally:
            self._running -= 1
            while self._waiting and not self.is_full:
                self._running += 1  # the slot is theirs from now on
                self._waiting.popleft().set_result(None)

    def retire(self) -> None:
        """End all environments: the idle ones now, the busy ones after their invocation."""
        for environment in self.environments:
            environment.retired = True
            if environment in self._idle:
                self._idle.remove(environment)
                self._spawn(self._end(environment))

    async def settle(self) -> None:
        """Wait until the environments that were retired while idle have ended."""
        await asyncio.gather(*(self._end(e) for e in self.environments if e.retired and e.state is State.IDLE))

    async def close(self) -> None:
        """End everything now."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._end(environment) for environment in list(self._apis)))

    async def _queued(self, invocation: Invocation, version: str) -> None:
        if self.is_full:
            slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(slot)
            await slot
            self._running -= 1
        await self.invoke(invocation, version)

    async def _invoke(self, invocation: Invocation, version: str) -> Done:
        log = bytearray()
        environment, init_ms = self._take(version), None
        if environment is None:
            environment = await self._create(version, ON_DEMAND)
            failure = await environment.initialised(self._settings.init_timeout_s)
            init_ms = environment.init_ms
            log += environment.take_output()
            if failure is not None:
                return await self._failed_init(environment, failure, invocation, log)
        log += lines.start_line(invocation.request_id, version)
        outcome, duration_ms = await environment.invoke(invocation, self.function.timeout_s)
        return await self._finished(environment, invocation, outcome, duration_ms, init_ms=init_ms, log=log)

    async def _failed_init(
        self, environment: Environment, failure: InitFailure, invocation: Invocation, log: bytearray
    ) -> Done:
        """An INIT that ended badly is the invocation's end, too; one that took too long is done again inside it."""
        init_ms = environment.init_ms or 0.0
        log += lines.init_report_line(
            init_ms=init_ms, phase="init", status=failure.status, error_type=failure.error_type
        )
        log += lines.start_line(invocation.request_id, environment.version)
        await self._end(environment)
        started = time.perf_counter()
        if failure.status != "timeout":
            outcome = _of_failed_init(failure, invocation)
            return await self._finished(environment, invocation, outcome, _since_ms(started), init_ms=init_ms, log=log)
        timeout_s = self.function.timeout_s
        again = await self._create(environment.version, ON_DEMAND, limited=True)
        second = await again.initialised(timeout_s - _since_ms(started) / 1000)
        log += again.take_output()
        if second is None:
            outcome, _ = await again.invoke(invocation, max(0.0, timeout_s - _since_ms(started) / 1000))
        else:
            log += lines.init_report_line(
                init_ms=again.init_ms or 0.0, phase="invoke", status=second.status, error_type=second.error_type
            )
            again.retired = True
            outcome = _of_failed_init(second, invocation, timeout_s=timeout_s)
        return await self._finished(again, invocation, outcome, _since_ms(started), init_ms=None, log=log)

    async def _finished(
        self,
        environment: Environment,
        invocation: Invocation,
        outcome: Outcome,
        duration_ms: float,
        *,
        init_ms: float | None,
        log: bytearray,
    ) -> Done:
        log += environment.take_output()
        if outcome.status == "timeout":
            timestamp = (
                time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1_000_000 % 1000:03d}Z"
            )
            log += lines.timeout_line(timestamp, invocation.request_id, self.function.timeout_s)
        log += lines.end_line(invocation.request_id)
        log += lines.report_line(
            invocation.request_id,
            duration_ms=duration_ms,
            billed_init_ms=init_ms or 0.0,
            memory_mb=self.function.memory_mb,
            max_memory_mb=environment.max_memory_mb,
            init_ms=init_ms,
            status=outcome.status,
            error_type=outcome.error_type,
        )
        self._add_log(log)
        if environment.retired or environment.state is State.ENDED or outcome.error_type == outcomes.TOO_LARGE:
            await self._end(environment)
        else:
            self._release(environment)
        return Done(outcome, bytes(log))

    def _take(self, version: str) -> Environment | None:
        for environment in reversed(self._idle):
            if environment.version == version:
                self._idle.remove(environment)
                return environment
        return None

    def _release(self, environment: Environment) -> None:
        if environment.state is State.ENDED:
            return
        environment.rest()
        self._idle.append(environment)

    async def _create(self, version: str, init_type: str, *, limited: bool = False) -> Environment:
        settings = self._settings
        environment = Environment(
            self.function,
            version=version,
            init_type=init_type,
            share=settings.cpu.share(self.function.cores),
            on_end=self._ended,
        )
        api = self._apis[environment] = RuntimeApi(environment)
        try:
            await start(environment, api, region=settings.region, tell=settings.tell, limited=limited)
        except BaseException:
            await self._end(environment)
            raise
        return environment

    def _ended(self, environment: Environment) -> None:
        """The process has ended by itself or was killed: nothing of it stays."""
        if environment in self._idle:
            self._idle.remove(environment)
        self._settings.tell(f"-group {environment.pid}")
        self._spawn(self._end(environment))

    async def _end(self, environment: Environment) -> None:
        await environment.end()
        api = self._apis.pop(environment, None)
        if api is not None:
            await api.close()

    def _add_log(self, part: bytes | bytearray) -> None:
        self._log += part
        del self._log[:-_LOG_BYTES]

    def _spawn(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _of_failed_init(failure: InitFailure, invocation: Invocation, *, timeout_s: float = 0.0) -> Outcome:
    if failure.status == "timeout":
        return outcomes.timed_out(invocation.request_id, timeout_s)
    if failure.body is not None:
        return outcomes.posted_error(failure.body, failure.error_type or "")
    return outcomes.exited(invocation.request_id, failure.returncode or 0)


def _since_ms(start: float) -> float:
    return (time.perf_counter() - start) * 1000
