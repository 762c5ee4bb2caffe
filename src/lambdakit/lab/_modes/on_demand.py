"""On demand: an environment is created when an invocation finds none idle; some may be provisioned."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ...exceptions import LambdakitError
from .._environments import since_ms
from .._environments.single import SingleEnvironment
from .._functions import ON_DEMAND, PROVISIONED
from .._report import init_report_line, start_line
from . import Mode, Run

if TYPE_CHECKING:
    from .._environments import Failure, Invocation


class OnDemand(Mode):
    """The default mode."""

    __slots__ = ()

    async def prepare(self) -> None:
        """Create the provisioned environments, concurrently.

        Raises:
            LambdakitError: one of them could not be initialised; the message has the function's error.
        """
        function = self._function
        create = self._environments.create
        creations = [create(SingleEnvironment, function.published, PROVISIONED) for _ in range(function.provisioned)]
        for environment in await asyncio.gather(*creations):
            failure = await environment.wait_initialised(self._published_init_s)
            self._log.add(environment.take_output())
            if failure is not None:
                await self._environments.end(environment)
                detail = failure.body.decode(errors="replace") if failure.body else failure.error_type or failure.status
                raise LambdakitError(f"{function.name!r}: INIT of a provisioned environment failed: {detail}")
            self._environments.add_idle(environment)

    async def run(self, invocation: Invocation, version: str) -> Run:
        """Run one invocation, in an idle environment or in a new one."""
        log = bytearray()
        environment, init_ms = self._environments.acquire(version, invocation.tenant_id), None
        if environment is None:
            create, tenant_id = self._environments.create, invocation.tenant_id
            environment = await create(SingleEnvironment, version, ON_DEMAND, tenant_id=tenant_id)
            failure = await environment.wait_initialised(self._environments.settings.init_timeout_s)
            init_ms = environment.init_ms
            log += environment.take_output()
            if failure is not None:
                return await self._failed_init(environment, failure, invocation, log)
        return await self._invoke(environment, invocation, log, init_ms=init_ms)

    async def _failed_init(
        self, environment: SingleEnvironment, failure: Failure, invocation: Invocation, log: bytearray
    ) -> Run:
        """A failed INIT ends the invocation, too; one that took too long is repeated inside the invocation."""
        init_ms = environment.init_ms or 0.0
        log += init_report_line(init_ms=init_ms, phase="init", failure=failure)
        log += start_line(invocation.request_id, environment.version)
        await self._environments.end(environment)
        timeout_s = self._function.timeout_s
        started = time.perf_counter()
        if failure.status != "timeout":
            outcome = failure.outcome(invocation.request_id, timeout_s)
            return Run(outcome, since_ms(started), log, timeout_s, init_ms=init_ms)
        create, tenant_id = self._environments.create, invocation.tenant_id
        again = await create(SingleEnvironment, environment.version, ON_DEMAND, tenant_id=tenant_id, limited=True)
        second = await again.wait_initialised(timeout_s - since_ms(started) / 1000)
        log += again.take_output()
        if second is None:
            outcome, _ = await again.invoke(invocation, max(0.0, timeout_s - since_ms(started) / 1000))
        else:
            log += init_report_line(init_ms=again.init_ms or 0.0, phase="invoke", failure=second)
            again.retired = True
            outcome = second.outcome(invocation.request_id, timeout_s)
        duration_ms = since_ms(started)
        log += again.take_output()
        await self._environments.release(again, outcome)
        return Run(outcome, duration_ms, log, timeout_s, again.max_memory_mb)
