"""What /proc tells: the processes that a process has started, the sockets of this one, and its memory."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def descendants(pid: int) -> set[int]:
    """Children, their children, and so on."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("PPid:"))
        except (OSError, StopIteration):
            continue
        if parent == pid:
            child = int(status.parent.name)
            found |= {child} | descendants(child)
    return found


def sockets(port: int) -> set[str]:
    """The sockets of this process that are connected to the port."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        try:
            target = str(path.readlink())
            if target.startswith("socket:"):
                with socket.socket(fileno=os.dup(int(path.name))) as connection:
                    found |= {target} if connection.getpeername()[1:2] == (port,) else set()
        except OSError:  # the descriptor of the listing itself, or a socket that listens
            continue
    return found


def resident_kb() -> int:
    """The memory of this process that is there."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
