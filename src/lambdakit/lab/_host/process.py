"""One process group: start, signals, end, output, memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEPT_BYTES = 262_144  # of the output, until it is taken
_DRAIN_BYTES = 1_048_576  # at once: a thread that prints for ever must not block the loop


class RuntimeProcess:
    """A process in a session of its own, whose output goes to one pipe that is always drained.

    Args:
        process: the process.
        output: the reading end of the pipe, not blocking.
        on_exit: called once with the return code (negative for a signal), after the output was drained.
    """

    __slots__ = ("_kept", "_on_exit", "_output", "_process", "_watcher", "pid")

    def __init__(self, process: asyncio.subprocess.Process, output: int, on_exit: Callable[[int], None]) -> None:
        self._process = process
        self.pid = process.pid
        self._output = output
        self._kept = bytearray()
        self._on_exit = on_exit
        asyncio.get_running_loop().add_reader(output, self.drain)
        self._watcher = asyncio.create_task(self._watch())

    @classmethod
    async def start(
        cls, command: list[str], *, cwd: Path, environment: Mapping[str, str], on_exit: Callable[[int], None]
    ) -> RuntimeProcess:
        """Start a process.

        Raises:
            OSError: the system cannot.
        """
        output, writing = os.pipe()
        try:
            os.set_blocking(output, False)
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=cwd,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(writing)
        return cls(process, output, on_exit)

    @property
    def has_exited(self) -> bool:
        """Whether it has ended, also if nobody has been told yet."""
        if not hasattr(os, "waitid"):  # macOS, before Python 3.13
            return self._watcher.done()
        try:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return True
            # Nobody can wait for it while threads of it are still ending; that it was killed shows before.
            return sys.platform == "linux" and b") Z " in Path(f"/proc/{self.pid}/stat").read_bytes()
        except (ChildProcessError, FileNotFoundError):  # it was waited for
            return True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; nothing happens if it has ended."""
        if self._watcher.done():
            return  # the number may be another group's by now
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says EPERM of a group of zombies
            os.killpg(self.pid, number)

    def drain(self) -> None:
        """Read the output so far, and keep the end of it."""
        if self._output < 0:
            return
        read = 0
        while read < _DRAIN_BYTES:
            try:
                chunk = os.read(self._output, 65536)
            except BlockingIOError:
                return
            if not chunk:
                self._close_output()
                return
            read += len(chunk)
            self._kept += chunk
            del self._kept[:-KEPT_BYTES]

    def take_output(self) -> bytes:
        """The output since the last call, at most the last `KEPT_BYTES` of it."""
        self.drain()
        output = bytes(self._kept)
        self._kept.clear()
        return output

    def peak_memory_mb(self) -> int | None:
        """The most memory (resident set) since `reset_peak_memory`; None where /proc is missing."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        except OSError:
            return None
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024)
        return None  # a process that has ended has no memory

    def reset_peak_memory(self) -> None:
        """Reset the peak to what the process has now."""
        with contextlib.suppress(OSError):  # no /proc, or it has ended
            fd = os.open(f"/proc/{self.pid}/clear_refs", os.O_WRONLY)
            try:
                os.write(fd, b"5")
            finally:
                os.close(fd)

    async def kill(self) -> None:
        """End the group, and wait for the process."""
        self.signal(signal.SIGKILL)
        await asyncio.shield(self._watcher)

    async def _watch(self) -> None:
        returncode = await self._process.wait()
        self.signal(signal.SIGKILL)  # its children do not outlive it
        self.drain()
        self._close_output()
        self._on_exit(returncode)

    def _close_output(self) -> None:
        if self._output >= 0:
            asyncio.get_running_loop().remove_reader(self._output)
            os.close(self._output)
            self._output = -1
