"""How a memory size becomes a CPU share."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..exceptions import ConfigurationError
from ._duty_cycle import DutyCycle, DutyCycleShare
from ._guard import members

if TYPE_CHECKING:
    from collections.abc import Callable

PERIOD_US = 20_000  # as on Lambda: at 128 MB, 1.45 ms in every 20
METHODS = ("cgroup-v1", "cgroup-v2", "duty-cycle")
_CGROUPS = Path("/sys/fs/cgroup")


class Share(Protocol):
    """The CPU share of one environment."""

    def attach(self, pid: int) -> None:
        """Take in the environment's process, with the full CPU."""

    def limit(self) -> None:
        """Switch from the full CPU to the share."""

    def resume(self) -> None:
        """The environment was thawed."""

    def pause(self) -> None:
        """The environment is about to be frozen; no signal of this share's comes after."""

    def remove(self) -> None:
        """The environment's process has ended, or is about to be killed."""


class FullCpu:
    """No limit at all: the share is all the cores that there are."""

    __slots__ = ()

    def attach(self, pid: int) -> None:
        """Nothing to do."""

    def limit(self) -> None:
        """Nothing to do."""

    def resume(self) -> None:
        """Nothing to do."""

    def pause(self) -> None:
        """Nothing to do."""

    def remove(self) -> None:
        """Nothing to do."""


class CgroupShare:
    """One cgroup directory for one environment; v1 and v2 differ in the name of the file and in its words."""

    __slots__ = ("_cores", "_directory", "_tell", "_v2")

    def __init__(self, directory: Path, cores: float, *, v2: bool, tell: Callable[[str], None]) -> None:
        self._directory = directory
        self._cores = cores
        self._v2 = v2
        self._tell = tell
        tell(f"+directory {directory}")  # before it exists, so that there is no moment at which nobody knows
        directory.mkdir()
        self._write(None)

    def attach(self, pid: int) -> None:
        """Take in the environment's process, with the full CPU."""
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            _write(self._directory / "cgroup.procs", str(pid))

    def limit(self) -> None:
        """Switch from the full CPU to the share."""
        self._write(max(1000, round(self._cores * PERIOD_US)))  # the kernel takes no quota below 1 ms

    def resume(self) -> None:
        """Nothing to do: the kernel counts."""

    def pause(self) -> None:
        """Nothing to do: the kernel counts."""

    def remove(self) -> None:
        """Kill whatever is still in it, then remove the directory; if it takes a moment to empty, the guard does it."""
        for pid in members(str(self._directory)):  # children that left the process group, too
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._directory.rmdir()
            self._tell(f"-directory {self._directory}")

    def _write(self, quota_us: int | None) -> None:
        if self._v2:
            _write(self._directory / "cpu.max", f"{'max' if quota_us is None else quota_us} {PERIOD_US}")
        else:
            _write(self._directory / "cpu.cfs_period_us", str(PERIOD_US))
            _write(self._directory / "cpu.cfs_quota_us", str(-1 if quota_us is None else quota_us))


class Cpu:
    """Makes the shares of one lab's environments, by the best method that this machine allows.

    Args:
        method: one of `METHODS`, or "auto" for the first of them that works here.
        prefix: begins the name of every cgroup directory.
        tell: tells the guard what to clean up.
        root: where the cgroups are mounted.

    Raises:
        ConfigurationError: the method is unknown, or does not work here.
    """

    __slots__ = ("_base", "_cycle", "_number", "_prefix", "_tell", "method")

    def __init__(self, method: str, *, prefix: str, tell: Callable[[str], None], root: Path = _CGROUPS) -> None:
        if method not in ("auto", *METHODS):
            raise ConfigurationError(
                f"cpu_method={method!r} is not allowed; allowed: 'auto', {', '.join(map(repr, METHODS))}"
            )
        self._prefix = prefix
        self._tell = tell
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
            return FullCpu()
        if self.method == "duty-cycle":
            if cores >= 1.0:
                return FullCpu()  # stopping and continuing cannot tell one core from several
            self._cycle = self._cycle or DutyCycle()
            return DutyCycleShare(self._cycle, cores)
        self._number += 1
        directory = self._base / f"{self._prefix}-{self._number}"
        return CgroupShare(directory, cores, v2=self.method == "cgroup-v2", tell=self._tell)

    def close(self) -> None:
        """End the thread of the duty cycle, if there is one."""
        if self._cycle is not None:
            self._cycle.close()


def _bases(method: str, root: Path) -> list[Path]:
    """Where cgroups of a kind may be made: below this process's own, then at the top."""
    if sys.platform != "linux" or method == "duty-cycle":
        return []
    if method == "cgroup-v1":
        top, line = root / "cpu", "cpu"
    else:
        top, line = root, ""
    own = [top / path.strip("/") for controllers, path in _own() if line in controllers.split(",")]
    return [base for base in dict.fromkeys([*own, top]) if base.is_dir()]


def _own() -> list[tuple[str, str]]:
    """Controllers and path of each cgroup that this process is in."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [(controllers, path) for _, controllers, path in (line.split(":", 2) for line in lines)]


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
        CgroupShare(probe, 1.0, v2=v2, tell=lambda _line: None).limit()
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.rmdir()
    return True


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="ascii")
