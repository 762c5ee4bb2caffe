"""How a memory size becomes a CPU share: by a cgroup where one can be written, else by a duty cycle."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ...exceptions import ConfigurationError
from .guard import cgroup_processes

if TYPE_CHECKING:
    from collections.abc import Callable

PERIOD_US = 20_000  # as on Lambda: at 128 MB, 1.45 ms in every 20
METHODS = ("cgroup-v1", "cgroup-v2", "duty-cycle")
_CGROUPS = Path("/sys/fs/cgroup")
_PERIOD_S = PERIOD_US / 1_000_000
_SHORTEST_SLEEP_S = 0.0003  # a shorter one costs more CPU than it gives accuracy


class Share:
    """The CPU share of one environment. This one is all cores: it limits nothing."""

    __slots__ = ()

    def attach(self, pid: int) -> None:
        """Add the environment's process, still with the full CPU."""

    def limit(self) -> None:
        """Switch from the full CPU to the share."""

    def resume(self) -> None:
        """The environment was thawed."""

    def pause(self) -> None:
        """The environment is about to be frozen; this share sends it no signal from now on."""

    def remove(self) -> None:
        """The environment's process has ended, or is about to be killed."""


class CgroupShare(Share):
    """A cgroup for one environment; the kernel counts. v1 and v2 differ in the names of files and in their format."""

    __slots__ = ("_cores", "_directory", "_notify", "_v2")

    def __init__(self, directory: Path, cores: float, *, v2: bool, notify: Callable[[str], None]) -> None:
        self._directory = directory
        self._cores = cores
        self._v2 = v2
        self._notify = notify
        notify(f"+directory {directory}")  # before it exists, so that it is never unknown
        directory.mkdir()
        self._set_quota(None)

    def attach(self, pid: int) -> None:
        """Add the environment's process, still with the full CPU."""
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            _write(self._directory / "cgroup.procs", str(pid))

    def limit(self) -> None:
        """Switch from the full CPU to the share."""
        self._set_quota(max(1000, round(self._cores * PERIOD_US)))  # the kernel takes no quota below 1 ms

    def remove(self) -> None:
        """Kill its processes, then remove the directory; if it is not empty at once, the guard removes it."""
        for pid in cgroup_processes(str(self._directory)):  # children that left the process group, too
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._directory.rmdir()
            self._notify(f"-directory {self._directory}")

    def _set_quota(self, quota_us: int | None) -> None:
        if self._v2:
            _write(self._directory / "cpu.max", f"{'max' if quota_us is None else quota_us} {PERIOD_US}")
        else:
            _write(self._directory / "cpu.cfs_period_us", str(PERIOD_US))
            _write(self._directory / "cpu.cfs_quota_us", str(-1 if quota_us is None else quota_us))


class DutyCycleShare(Share):
    """A share without a cgroup: the process group is stopped once it has used its budget, until the next is due.

    On Linux the CPU time of the runtime process counts, as in a cgroup: a function that waits is not stopped. Elsewhere
    all time in which it is not stopped counts. Children of the process are stopped with it, but their CPU time is not
    counted.
    """

    __slots__ = ("_cycle", "_limited", "_running_since_s", "_stopped", "_used_before_s", "cores", "pid", "wake_s")

    def __init__(self, cycle: DutyCycle, cores: float) -> None:
        self._cycle = cycle
        self.cores = cores
        self.pid = 0
        self.wake_s = 0.0
        self._stopped = False
        self._used_before_s = 0.0
        self._running_since_s = 0.0
        self._limited = False

    def attach(self, pid: int) -> None:
        """Add the environment's process, still with the full CPU."""
        self.pid = pid

    def limit(self) -> None:
        """Switch from the full CPU to the share."""
        self._limited = True

    def resume(self) -> None:
        """The environment was thawed."""
        if self._limited:
            self._cycle.add(self)

    def pause(self) -> None:
        """The environment is about to be frozen; this share sends it no signal from now on."""
        self._cycle.discard(self)

    remove = pause

    def begin_period(self, now: float) -> None:
        """Begin a period, in which the process may use its budget."""
        self._stopped = False
        self._running_since_s = now
        self._used_before_s = cpu_s(self.pid, now)
        self.wake_s = now + self.cores * _PERIOD_S

    def step(self, now: float) -> None:
        """Decide at `wake_s` whether the process runs or is stopped.

        Raises:
            OSError: the process has ended.
        """
        if self._stopped:
            os.killpg(self.pid, signal.SIGCONT)
            self.begin_period(now)
            return
        used_s = cpu_s(self.pid, now) - self._used_before_s
        left_s = self.cores * _PERIOD_S - used_s
        if left_s <= _SHORTEST_SLEEP_S / 2:
            os.killpg(self.pid, signal.SIGSTOP)
            self._stopped = True
            self.wake_s = max(self._running_since_s + used_s / self.cores, now + _SHORTEST_SLEEP_S)
        elif now - self._running_since_s >= _PERIOD_S:
            self.begin_period(now)  # what is left of the budget is not carried over
        else:
            self.wake_s = now + max(left_s, _SHORTEST_SLEEP_S)


class DutyCycle:
    """One thread that stops and continues the environments of a lab; safe to use from any thread."""

    __slots__ = ("_changed", "_closed", "_shares", "_thread")

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shares: set[DutyCycleShare] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="lambdakit-lab-duty-cycle", daemon=True)
        self._thread.start()

    def add(self, share: DutyCycleShare) -> None:
        """Limit a running process from now on."""
        with self._changed, contextlib.suppress(OSError):  # it has ended already
            share.begin_period(time.monotonic())
            self._shares.add(share)
            self._changed.notify()

    def discard(self, share: DutyCycleShare) -> None:
        """Send no more signals to that process."""
        with self._changed:
            self._shares.discard(share)

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for share in [share for share in self._shares if share.wake_s <= now]:
                    try:
                        share.step(now)
                    except OSError:
                        self._shares.discard(share)  # the process has ended
                wake_s = min((share.wake_s for share in self._shares), default=None)
                self._changed.wait(None if wake_s is None else max(0.0, wake_s - time.monotonic()))


class Cpu:
    """Makes the shares of a lab's environments, by the best method that this machine allows.

    Args:
        method: one of `METHODS`, or "auto" for the first of them that works here.
        prefix: of the names of cgroup directories.
        notify: tells the guard what to remove.
        root: where the cgroups are mounted.

    Raises:
        ConfigurationError: the method is unknown, or does not work here.
    """

    __slots__ = ("_base", "_cycle", "_notify", "_number", "_prefix", "method")

    def __init__(self, method: str, *, prefix: str, notify: Callable[[str], None], root: Path = _CGROUPS) -> None:
        if method not in ("auto", *METHODS):
            raise ConfigurationError(
                f"cpu_method={method!r} is not allowed; allowed: 'auto', {', '.join(map(repr, METHODS))}"
            )
        self._prefix = prefix
        self._notify = notify
        self._number = 0
        self._cycle: DutyCycle | None = None
        self._base = root
        for candidate in METHODS if method == "auto" else (method,):
            for base in _bases(candidate, root):
                if _works(base / f"{prefix}-probe", v2=candidate == "cgroup-v2"):
                    self.method, self._base = candidate, base
                    return
        if method not in ("auto", "duty-cycle"):
            raise ConfigurationError(
                f"cpu_method={method!r} does not work here: no such cgroup can be written; use 'auto'"
            )
        self.method = "duty-cycle"

    def share(self, cores: float) -> Share:
        """The share of one environment, in cores."""
        if cores >= (os.cpu_count() or 1):
            return Share()
        if self.method == "duty-cycle":
            if cores >= 1.0:
                return Share()  # stopping and continuing cannot tell one core from several
            self._cycle = self._cycle or DutyCycle()
            return DutyCycleShare(self._cycle, cores)
        self._number += 1
        directory = self._base / f"{self._prefix}-{self._number}"
        return CgroupShare(directory, cores, v2=self.method == "cgroup-v2", notify=self._notify)

    def close(self) -> None:
        """End the thread of the duty cycle, if there is one."""
        if self._cycle is not None:
            self._cycle.close()


def cpu_s(pid: int, now: float) -> float:
    """The CPU time of a process so far in seconds, or `now` where the system does not tell.

    Raises:
        OSError: there is no such process.
    """
    if sys.platform != "linux":
        return now
    return time.clock_gettime((~pid << 3) | 2)  # the clock id of a process, as clock_getcpuclockid(3) makes it


def _bases(method: str, root: Path) -> list[Path]:
    """Where cgroups of a kind may be made: below this process's own, then at the top."""
    if sys.platform != "linux" or method == "duty-cycle":
        return []
    top, controller = (root / "cpu", "cpu") if method == "cgroup-v1" else (root, "")
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    own = [top / path.strip("/") for _, c, path in (line.split(":", 2) for line in lines) if controller in c.split(",")]
    return [base for base in dict.fromkeys([*own, top]) if base.is_dir()]


def _works(probe: Path, *, v2: bool) -> bool:
    """Whether a cgroup can be made, limited and removed here."""
    base = probe.parent
    try:
        if v2:
            if "cpu" not in (base / "cgroup.controllers").read_text(encoding="ascii").split():
                return False
            if "cpu" not in (base / "cgroup.subtree_control").read_text(encoding="ascii").split():
                _write(base / "cgroup.subtree_control", "+cpu")
        elif not (base / "cpu.cfs_quota_us").exists():
            return False
        CgroupShare(probe, 1.0, v2=v2, notify=lambda _line: None).limit()
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.rmdir()
    return True


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="ascii")
