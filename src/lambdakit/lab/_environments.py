"""The environments of one function: made, kept for the next invocation, ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from . import _invocation as outcomes
from ._environment import Environment, State
from ._runtime_api import RuntimeApi
from ._single import SingleEnvironment
from ._start import start

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._cpu import Cpu
    from ._functions import Function
    from ._invocation import Outcome
    from ._tasks import Tasks

_E = TypeVar("_E", bound=Environment)


class Settings(NamedTuple):
    """What all functions of one lab share."""

    region: str
    init_timeout_s: float
    restore_timeout_s: float
    cpu: Cpu
    tell: Callable[[str], None]


class Environments:
    """All environments of one deployed function; all methods are called on the lab's loop.

    Args:
        function: the function.
        settings: the lab's.
        tasks: where work goes that nobody waits for.
    """

    __slots__ = ("_apis", "_idle", "_tasks", "function", "settings")

    def __init__(self, function: Function, settings: Settings, tasks: Tasks) -> None:
        self.function = function
        self.settings = settings
        self._tasks = tasks
        self._apis: dict[Environment, RuntimeApi] = {}
        self._idle: list[SingleEnvironment] = []  # the last one was used last

    @property
    def alive(self) -> list[Environment]:
        """All that have not ended, the oldest first."""
        return [environment for environment in self._apis if environment.state is not State.ENDED]

    async def create(self, kind: type[_E], version: str, init_type: str, *, limited: bool = False) -> _E:
        """Start a new one; its INIT has begun when this returns.

        Raises:
            LambdakitError: the guard has ended.
            OSError: the system cannot start the process.
        """
        environment = self.add(kind, version, init_type)
        await self.start(environment, limited=limited)
        return environment

    def add(self, kind: type[_E], version: str, init_type: str) -> _E:
        """A new one that is to be started next; others may wait for its INIT from now on."""
        environment = kind(
            self.function,
            version=version,
            init_type=init_type,
            share=self.settings.cpu.share(self.function.cores),
            on_end=self._ended,
        )
        self._apis[environment] = RuntimeApi(environment)
        return environment

    async def start(self, environment: Environment, *, limited: bool = False) -> None:
        """Start the process of one that was added; one that cannot be started is ended.

        Raises:
            LambdakitError: the guard has ended.
            OSError: the system cannot start the process.
        """
        settings = self.settings
        try:
            await start(
                environment, self._apis[environment], region=settings.region, tell=settings.tell, limited=limited
            )
        except BaseException:
            await self.end(environment)
            raise

    def take(self, version: str) -> SingleEnvironment | None:
        """The idle one that was used last, or None."""
        for environment in reversed(self._idle):
            if environment.version == version:
                self._idle.remove(environment)
                return environment
        return None

    def keep(self, environment: SingleEnvironment) -> None:
        """Freeze one that is ready for an invocation."""
        if environment.state is not State.ENDED:
            environment.rest()
            self._idle.append(environment)

    async def put_back(self, environment: SingleEnvironment, outcome: Outcome) -> None:
        """Keep one after an invocation, or end it where that must be."""
        if environment.retired or environment.state is State.ENDED or outcome.error_type == outcomes.TOO_LARGE:
            await self.end(environment)
        else:
            self.keep(environment)

    async def end(self, environment: Environment) -> None:
        """Kill one, if it has not ended, and close its Runtime API."""
        await environment.end()
        api = self._apis.get(environment)
        if api is not None:
            await api.close()
            self._apis.pop(environment, None)  # now, so that whoever else ends it waits for this, too

    def retire(self) -> None:
        """End all: those that rest now, the busy ones after their invocation."""
        for environment in self.alive:
            environment.retired = True
            if environment.is_resting:
                self._forget(environment)
                self._tasks.spawn(self.end(environment))

    async def settle(self) -> None:
        """Wait until those that were retired at rest have ended."""
        await asyncio.gather(*(self.end(e) for e in self.alive if e.retired and e.is_resting))

    async def close(self) -> None:
        """End all now."""
        await asyncio.gather(*(self.end(environment) for environment in list(self._apis)))

    def _forget(self, environment: Environment) -> None:
        if isinstance(environment, SingleEnvironment) and environment in self._idle:
            self._idle.remove(environment)

    def _ended(self, environment: Environment) -> None:
        """The process has ended by itself or was killed: nothing of it stays."""
        self._forget(environment)
        self.settings.tell(f"-group {environment.pid}")
        self._tasks.spawn(self.end(environment))
