"""Ends what a lab leaves behind, however the lab itself ends.

This file is run by its path, as a process of its own in a session of its own, and reads lines from its standard input.
The lab holds the other end of that pipe, so the pipe ends with the lab, even by SIGKILL. Then the guard kills every
registered process group (SIGKILL reaches stopped processes too), every process in a registered cgroup, and every
process with a registered marker in its environment variables, and removes the cgroup directories, the files and the
folders.

    +group 4711         a process group to kill            -group 4711         it has ended
    +directory /path    a cgroup to empty, then remove     -directory /path    it was removed
    +marker abc         what every process of one environment has in its environment variables (Linux)
    +file /path         a file to remove, if it is there   -file /path         it was removed
    +folder /path       a folder to remove with all that is in it
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

_CLEAN_UP_S = 5.0  # after that long a process that is still there cannot be killed at all
_POLL_S = 1.0  # where the lab's process cannot be watched


class Registry:
    """What has to be ended with the lab."""

    __slots__ = ("directories", "files", "folders", "groups", "markers")

    def __init__(self) -> None:
        self.groups: set[int] = set()
        self.directories: set[str] = set()
        self.files: set[str] = set()
        self.folders: set[str] = set()
        self.markers: set[bytes] = set()

    def update(self, line: str) -> None:
        """Add or remove what one line names."""
        word, _, value = line.partition(" ")
        match word:
            case "+group":
                self.groups.add(int(value))
            case "-group":
                self.groups.discard(int(value))
            case "+directory":
                self.directories.add(value)
            case "-directory":
                self.directories.discard(value)
            case "+marker":
                self.markers.add(value.encode())
            case "+file":
                self.files.add(value)
            case "-file":
                self.files.discard(value)
            case "+folder":
                self.folders.add(value)
            case _:
                raise ValueError(f"{line!r} is not a line that the guard knows")

    def clean_up(self) -> None:
        """Kill until no process is left, then remove the directories."""
        for group in self.groups:
            _kill(-group)
        deadline = time.monotonic() + _CLEAN_UP_S
        while time.monotonic() < deadline:
            left = self._processes()
            for pid in left:
                _kill(pid)
            if not left:
                break
            time.sleep(0.005)
        for directory in self.directories:
            _remove(directory, deadline)
        for file in self.files:
            _unlink(file)
        for folder in self.folders:
            _remove_tree(folder, deadline)

    def _processes(self) -> set[int]:
        """The processes in the cgroups, and those with a marker."""
        found = {pid for directory in self.directories for pid in cgroup_processes(directory)}
        return found | _marked_processes(self.markers) if self.markers else found


def cgroup_processes(directory: str) -> set[int]:
    """The processes in a cgroup; none if there is no such cgroup."""
    try:
        with open(os.path.join(directory, "cgroup.procs"), encoding="ascii") as file:  # noqa: PTH118, PTH123 - pathlib would double this process's start
            return {int(line) for line in file}
    except OSError:
        return set()


def _marked_processes(markers: set[bytes]) -> set[int]:
    """The processes with one of the markers in their environment variables; none where there is no /proc."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - as above
    except OSError:
        return set()
    return {pid for pid in pids if pid != os.getpid() and any(marker in _environ(pid) for marker in markers)}


def _environ(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - as above
            return file.read()
    except OSError:  # it has ended, or it is another user's
        return b""


def _kill(pid: int) -> None:
    try:
        if pid < 0:
            os.killpg(-pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it has ended (macOS says EPERM of a group of zombies)
        pass


def _remove_tree(folder: str, deadline: float) -> None:
    import shutil  # not at the start: it would double this process's

    while os.path.lexists(folder):
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() >= deadline:
            return
        time.sleep(0.005)  # somebody may still have been writing there


def _unlink(file: str) -> None:
    try:
        os.unlink(file)  # noqa: PTH108 - as above
    except OSError:
        return  # it was never there


def _remove(directory: str, deadline: float) -> None:
    while True:
        try:
            os.rmdir(directory)  # noqa: PTH106 - as above
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() >= deadline:
                return
            time.sleep(0.005)  # a killed process leaves its cgroup a moment later
        else:
            return


def main() -> None:
    """Read lines until the lab ends, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # this process ends with the lab, not before
    registry = Registry()
    watched = [0]
    parent = os.getppid()
    try:  # a child forked by the lab's process may hold the pipe open for longer than that process lives
        watched.append(os.pidfd_open(parent))
    except (AttributeError, OSError):
        watched.append(0)
    rest = b""
    while os.getppid() == parent:
        ready = select.select(watched, [], [], _POLL_S if watched[1] == 0 else None)[0]
        if 0 in ready:
            chunk = os.read(0, 65536)
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                registry.update(line.decode())
    registry.clean_up()


if __name__ == "__main__":
    main()
    sys.exit(0)
