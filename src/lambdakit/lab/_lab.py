"""A local Lambda: a control plane in a thread of its own, driven from any other thread."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import re
import sys
import threading
import uuid
import warnings
import weakref
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ..exceptions import LambdakitError, MissingDependencyError
from ._functions import LATEST, checked_function, is_match, is_number, require
from ._host.cpu import Cpu
from ._host.guard_client import GuardClient

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from types import TracebackType

    from ._environments.base import EnvironmentRecord
    from ._environments.pool import Settings
    from ._plane.control_plane import ControlPlane

_T = TypeVar("_T")
_REGION = re.compile(r"(eusc-)?[a-z]{2}(-gov|-iso[a-z]?)?-[a-z]+-\d")
_ACCOUNT = re.compile(r"\d{12}")


class Lab:
    """A local Lambda on a free port of 127.0.0.1; give `url` to an SDK's client as its endpoint.

    Each environment is a process of the real runtime client. Whatever ends the lab (`close`, an exception, Ctrl-C,
    SIGTERM, SIGKILL), its processes and cgroups end with it. Safe to use from several threads.

    Args:
        region: the region that functions believe they are in; part of their ARNs.
        account: the account number in their ARNs.
        init_timeout_s: how long an on-demand INIT may take before it is repeated inside the invocation, as on Lambda.
        restore_timeout_s: how long a restore may take, as on Lambda.
        cpu_method: how a memory size becomes a CPU share: "cgroup-v1", "cgroup-v2", "duty-cycle" (the process is
            stopped for part of every 20 ms), or "auto" for the first of them that works on this machine.

    Raises:
        ConfigurationError: an argument is not allowed, or `cpu_method` does not work here.
        MissingDependencyError: the extra ``lambdakit[lab]`` is not installed.
    """

    def __init__(
        self,
        *,
        region: str = "us-east-1",
        account: str = "123456789012",
        init_timeout_s: float = 10.0,
        restore_timeout_s: float = 10.0,
        cpu_method: str = "auto",
    ) -> None:
        self._closed = True  # until everything is up
        _check(region, account, init_timeout_s=init_timeout_s, restore_timeout_s=restore_timeout_s)
        plane_class, settings_class = _load()
        self._lock = threading.Lock()
        self._guard = GuardClient()
        try:
            prefix = f"lambdakit-lab-{uuid.uuid4().hex[:12]}"
            self._cpu = Cpu(cpu_method, prefix=prefix, notify=self._guard.notify)
        except BaseException:
            self._guard.close()
            raise
        limits_s = float(init_timeout_s), float(restore_timeout_s)
        settings = settings_class(region, *limits_s, self._cpu, self._guard.notify)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_run, args=(self._loop,), name="lambdakit-lab", daemon=True)
        self._thread.start()
        self._closed = False

        async def start() -> tuple[ControlPlane, str]:
            plane = plane_class(settings, account=account)
            return plane, await plane.open()

        self._plane, self._url = self._call(start())
        _open.add(self)

    @property
    def url(self) -> str:
        """The endpoint URL of the Invoke API."""
        return self._url

    @property
    def cpu_method(self) -> str:
        """How a memory size becomes a CPU share here: "cgroup-v1", "cgroup-v2" or "duty-cycle"."""
        return self._cpu.method

    def deploy(
        self,
        name: str,
        handler: str,
        *,
        task_root: str | os.PathLike[str],
        environment: Mapping[str, str] | None = None,
        memory_mb: int = 1769,
        timeout_s: float = 3.0,
        init_type: str = "on-demand",
        provisioned: int = 0,
        max_concurrency: int | None = None,
        python: str | os.PathLike[str] = sys.executable,
        qualifiers: Sequence[str] = (LATEST,),
    ) -> None:
        """Add a function, or replace the one of that name: its next invocation is cold.

        Args:
            name: the function's name.
            handler: ``module.function``, found in `task_root`.
            task_root: the directory with the code; the working directory of the environments.
            environment: its environment variables; nothing of this process's own is passed on but ``PATH``.
            memory_mb: 128 to 10240. Buys a CPU share, 1769 for each core; the memory itself is not limited.
            timeout_s: seconds until an invocation is ended; at most 900.
            init_type: how its environments are created. "on-demand": when an invocation finds none idle. "snap-start":
                restored from a snapshot, the first of which is taken now. "lambda-managed-instances": one environment
                with a worker process for each of `max_concurrency`, created now. What is created now runs the version
                of the last of `qualifiers`; if its INIT fails, `logs` has it, and the next invocation begins with
                another INIT.
            provisioned: how many environments to initialise now; the call returns when they are ready. They run the
                version of the last of `qualifiers`. For "on-demand" only.
            max_concurrency: how many invocations may run at once; one more is throttled. None for 100, or for 16 with
                "lambda-managed-instances".
            python: the interpreter, in whose installation `awslambdaric` is.
            qualifiers: versions (numbers) and aliases that callers may name. All run the same code, each version in
                environments of its own; an alias names the highest version listed. ``$LATEST`` is always there.

        Raises:
            ConfigurationError: an argument is not allowed; the message names it.
            LambdakitError: a provisioned environment could not be initialised, or the lab is closed.
        """
        function = checked_function(
            name,
            handler,
            task_root=task_root,
            environment=environment,
            memory_mb=memory_mb,
            timeout_s=timeout_s,
            init_type=init_type,
            provisioned=provisioned,
            max_concurrency=max_concurrency,
            python=python,
            qualifiers=qualifiers,
        )
        self._call(self._plane.deploy(function))

    def environments(self, name: str) -> list[EnvironmentRecord]:
        """The environments of a function that have not ended, the oldest first.

        Raises:
            LambdakitError: there is no such function, or the lab is closed.
        """
        return self._read(lambda: [environment.record for environment in self._plane.deployment(name).environments])

    def logs(self, name: str) -> str:
        """What a function and Lambda logged so far, with INIT and asynchronous invocations; at most the last 1 MB.

        Raises:
            LambdakitError: there is no such function, or the lab is closed.
        """
        return self._read(lambda: self._plane.deployment(name).log.decode(errors="replace"))

    def retire(self, name: str) -> None:
        """End a function's environments, the busy ones after their invocation: the next invocation is cold.

        Raises:
            LambdakitError: there is no such function, or the lab is closed.
        """
        self._call(self._plane.retire(name))

    def remove(self, name: str) -> None:
        """Remove a function; invocations that run are finished.

        Raises:
            LambdakitError: there is no such function, or the lab is closed.
        """
        self._call(self._plane.remove(name))

    def close(self) -> None:
        """End everything now, also what is in flight; a second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        try:
            asyncio.run_coroutine_threadsafe(self._plane.close(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._cpu.close()
            self._guard.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)
            with contextlib.suppress(Exception):
                self.close()

    def __repr__(self) -> str:
        if self._closed:
            return "<Lab closed>"
        return f"<Lab {self._url} cpu_method={self.cpu_method!r}>"

    def _read(self, query: Callable[[], _T]) -> _T:
        """Call a function on the loop, and wait for its result."""

        async def result() -> _T:
            return query()

        return self._call(result())

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the loop, and wait for its result."""
        if self._closed:
            work.close()
            raise LambdakitError("This lab is closed; make a new one")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


_open: weakref.WeakSet[Lab] = weakref.WeakSet()


@atexit.register
def _close_open() -> None:
    """While threads still run: later, in `__del__` of a module's variable, nobody would answer."""
    for lab in [*_open]:
        lab.__del__()


def _in_child() -> None:
    """A forked child has no thread of the lab's: the lab stays its parent's."""
    for lab in [*_open]:
        lab._closed = True  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_in_child)


def _load() -> tuple[type[ControlPlane], type[Settings]]:
    """The part of the lab that needs the extra.

    Raises:
        MissingDependencyError: the extra is not installed.
    """
    try:
        import_module("awslambdaric")  # it runs in other processes; here it only has to be installed
        from ._environments.pool import Settings
        from ._plane.control_plane import ControlPlane
    except ModuleNotFoundError as cause:
        if cause.name not in ("aiohttp", "awslambdaric"):
            raise
        raise MissingDependencyError(
            f"The lab needs {cause.name}, which is not installed; install lambdakit[lab]", name=cause.name
        ) from cause
    return ControlPlane, Settings


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _check(region: str, account: str, **limits_s: float) -> None:
    require(is_match(_REGION, region), "region", region, "the name of a region, such as 'us-east-1'")
    require(is_match(_ACCOUNT, account), "account", account, "a string of 12 digits")
    for name, limit_s in limits_s.items():
        require(is_number(limit_s) and limit_s > 0, name, limit_s, "seconds, above 0")
