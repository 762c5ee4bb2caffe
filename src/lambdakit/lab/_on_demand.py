"""Environments that are made when an invocation finds none idle; some may be provisioned."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ..exceptions import LambdakitError
from . import _report as lines
from ._environment import since_ms
from ._functions import ON_DEMAND, PROVISIONED
from ._mode import PUBLISHED_INIT_S, Mode, Run
from ._single import SingleEnvironment

if TYPE_CHECKING:
    from ._environments import Environments
    from ._failure import Failure
    from ._invocation import Invocation
    from ._log import Log


class OnDemand(Mode):
    """The mode of a function that says nothing else."""

    __slots__ = ("_environments", "_function", "_log")

    def __init__(self, environments: Environments, log: Log) -> None:
        self._environments = environments
        self._function = environments.function
        self._log = log

    @property
    def limit(self) -> int:
        """How many invocations may run at once."""
        return self._function.max_concurrency

    async def prepare(self) -> None:
        """Make the function's provisioned environments, side by side.

        Raises:
            LambdakitError: one of them did not come up; the message has the function's own error.
        """
        function = self._function
        limit_s = max(PUBLISHED_INIT_S, function.timeout_s)
        create = self._environments.create
        made = [create(SingleEnvironment, function.published, PROVISIONED) for _ in range(function.provisioned)]
        for environment in await asyncio.gather(*made):
            failure = await environment.initialised(limit_s)
            self._log.add(environment.take_output())
            if failure is not None:
                await self._environments.end(environment)
                detail = failure.body.decode(errors="replace") if failure.body else failure.error_type or failure.status
                raise LambdakitError(f"{function.name!r}: INIT of a provisioned environment failed: {detail}")
            self._environments.keep(environment)

    async def run(self, invocation: Invocation, version: str) -> Run:
        """Run one invocation, in an idle environment or in a new one."""
        log = bytearray()
        environment, init_ms = self._environments.take(version), None
        if environment is None:
            environment = await self._environments.create(SingleEnvironment, version, ON_DEMAND)
            failure = await environment.initialised(self._environments.settings.init_timeout_s)
            init_ms = environment.init_ms
            log += environment.take_output()
            if failure is not None:
                return await self._failed_init(environment, failure, invocation, log)
        log += lines.start_line(invocation.request_id, version)
        outcome, duration_ms = await environment.invoke(invocation, self._function.timeout_s)
        log += environment.take_output()
        await self._environments.put_back(environment, outcome)
        return Run(outcome, duration_ms, log, self._function.timeout_s, environment.max_memory_mb, init_ms=init_ms)

    async def _failed_init(
        self, environment: SingleEnvironment, failure: Failure, invocation: Invocation, log: bytearray
    ) -> Run:
        """An INIT that ended badly is the invocation's end, too; one that took too long is done again inside it."""
        init_ms = environment.init_ms or 0.0
        log += lines.init_report_line(init_ms=init_ms, phase="init", failure=failure)
        log += lines.start_line(invocation.request_id, environment.version)
        await self._environments.end(environment)
        timeout_s = self._function.timeout_s
        started = time.perf_counter()
        if failure.status != "timeout":
            outcome = failure.outcome(invocation.request_id, timeout_s)
            return Run(outcome, since_ms(started), log, timeout_s, init_ms=init_ms)
        again = await self._environments.create(SingleEnvironment, environment.version, ON_DEMAND, limited=True)
        second = await again.initialised(timeout_s - since_ms(started) / 1000)
        log += again.take_output()
        if second is None:
            outcome, _ = await again.invoke(invocation, max(0.0, timeout_s - since_ms(started) / 1000))
        else:
            log += lines.init_report_line(init_ms=again.init_ms or 0.0, phase="invoke", failure=second)
            again.retired = True
            outcome = second.outcome(invocation.request_id, timeout_s)
        duration_ms = since_ms(started)
        log += again.take_output()
        await self._environments.put_back(again, outcome)
        return Run(outcome, duration_ms, log, timeout_s, again.max_memory_mb)
