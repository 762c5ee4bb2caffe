"""The environments of one function: created, kept for the next invocation, ended."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from .._variables import leftover, variables
from . import TOO_LARGE
from .base import Environment, State
from .runtime_api import RuntimeApi
from .single import SingleEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._functions import Function
    from .._host.cpu import Cpu
    from .._tasks import Tasks
    from . import Outcome

_E = TypeVar("_E", bound=Environment)


class Settings(NamedTuple):
    """What all functions of one lab share."""

    region: str
    init_timeout_s: float
    restore_timeout_s: float
    cpu: Cpu
    notify_guard: Callable[[str], None]


class EnvironmentPool:
    """All environments of one deployed function; all methods are called on the lab's loop.

    Args:
        function: the function.
        settings: the lab's.
        tasks: runs work that nobody waits for.
    """

    __slots__ = ("_apis", "_files", "_idle", "_tasks", "function", "settings")

    def __init__(self, function: Function, settings: Settings, tasks: Tasks) -> None:
        self.function = function
        self.settings = settings
        self._tasks = tasks
        self._apis: dict[Environment, RuntimeApi] = {}
        self._files: dict[Environment, str] = {}  # what each may leave in /tmp
        self._idle: list[SingleEnvironment] = []  # the last one was used last

    @property
    def alive(self) -> list[Environment]:
        """All that have not ended, the oldest first."""
        return [environment for environment in self._apis if environment.state is not State.ENDED]

    async def create(
        self, kind: type[_E], version: str, init_type: str, *, tenant_id: str | None = None, limited: bool = False
    ) -> _E:
        """Start a new environment; its INIT has begun when this returns.

        Raises:
            LambdakitError: the guard has ended.
            OSError: the system cannot start the process.
        """
        environment = self.add(kind, version, init_type)
        environment.tenant_id = tenant_id
        await self.start(environment, limited=limited)
        return environment

    def add(self, kind: type[_E], version: str, init_type: str) -> _E:
        """Add an environment that is started next; others may wait for its INIT from now on."""
        environment = kind(
            self.function,
            version=version,
            init_type=init_type,
            share=self.settings.cpu.share(self.function.cores),
            on_end=self._on_end,
        )
        self._apis[environment] = RuntimeApi(environment)
        return environment

    async def start(self, environment: Environment, *, limited: bool = False) -> None:
        """Start the process of an environment that was added; if that fails, the environment is ended.

        Raises:
            LambdakitError: the guard has ended.
            OSError: the system cannot start the process.
        """
        try:
            await self._start(environment, limited=limited)
        except BaseException:
            await self.end(environment)
            raise

    def acquire(self, version: str, tenant_id: str | None = None) -> SingleEnvironment | None:
        """Take the idle environment of that version and tenant that was used last; None if there is none."""
        for environment in reversed(self._idle):
            # One whose process was killed leaves as soon as the loop hears of that.
            if (environment.version, environment.tenant_id) == (version, tenant_id) and not environment.has_exited:
                self._idle.remove(environment)
                return environment
        return None

    def add_idle(self, environment: SingleEnvironment) -> None:
        """Freeze an environment that is ready for an invocation, and keep it."""
        if environment.state is not State.ENDED:
            environment.freeze(State.IDLE)
            self._idle.append(environment)

    async def release(self, environment: SingleEnvironment, outcome: Outcome) -> None:
        """Keep an environment after an invocation, or end it where it cannot be used again."""
        if environment.retired or environment.state is State.ENDED or outcome.error_type == TOO_LARGE:
            await self.end(environment)
        else:
            self.add_idle(environment)

    async def end(self, environment: Environment) -> None:
        """Kill an environment, if it has not ended, and close its Runtime API."""
        await environment.end()
        api = self._apis.get(environment)
        if api is not None:
            await api.close()
            self._apis.pop(environment, None)  # not before, so that whoever else ends it waits for this, too
        self._remove_file(environment)

    def retire(self) -> None:
        """End all environments: the idle ones now, the busy ones after their invocation."""
        for environment in self.alive:
            environment.retired = True
            if environment.can_end:
                self._remove_idle(environment)
                self._tasks.spawn(self.end(environment))

    async def wait_retired(self) -> None:
        """Wait until the idle environments that were retired have ended."""
        await asyncio.gather(*(self.end(e) for e in self.alive if e.retired and e.can_end))

    async def close(self) -> None:
        """End all environments now."""
        await asyncio.gather(*(self.end(environment) for environment in list(self._apis)))

    async def _start(self, environment: Environment, *, limited: bool) -> None:
        """Start the process; the guard is told of everything before it could be left behind."""
        notify = self.settings.notify_guard
        notify(f"+marker {environment.marker}")  # it is in a variable of every process to come
        values = variables(
            environment.function,
            version=environment.version,
            init_type=environment.init_type,
            runtime_api=await self._apis[environment].open(),
            region=self.settings.region,
            marker=environment.marker,
        )
        if file := leftover(values):
            notify(f"+file {file}")
            self._files[environment] = file
        await environment.start(values, limited=limited)
        notify(f"+group {environment.pid}")

    def _remove_file(self, environment: Environment) -> None:
        """Remove what an environment that has ended may have left in ``/tmp``."""
        if file := self._files.pop(environment, None):
            with contextlib.suppress(OSError):  # most leave none
                Path(file).unlink()
            self.settings.notify_guard(f"-file {file}")

    def _remove_idle(self, environment: Environment) -> None:
        if isinstance(environment, SingleEnvironment) and environment in self._idle:
            self._idle.remove(environment)

    def _on_end(self, environment: Environment) -> None:
        """Clean up after a process that has exited or was killed."""
        self._remove_idle(environment)
        self.settings.notify_guard(f"-group {environment.pid}")
        self._tasks.spawn(self.end(environment))
