"""The most memory that this process has had."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_READ = 4096  # bytes: more than the file has
_SLACK_KB = 1024  # the two are counted at different moments
_UNIT_KB = 1 / 1024 if sys.platform == "darwin" else 1  # see getrusage(2) of either


class Peak:
    """The peak, INIT's included, as the system counts it for this process alone.

    The figure that is cheap to ask for may be of another process: over exec, Linux keeps the peak of the one that
    started this one. So it counts once it has grown beyond what it was at the first look, unless the figure of this
    process's own memory was as high by then. Until then that one counts. It costs 20 µs and more, so it is asked for
    only if there was a page fault since: memory does not grow without one.

    Args:
        usage: the cheap figure, in kilobytes, and how many page faults there were.
        own_kb: that of the own memory; None where the system does not tell.
    """

    __slots__ = ("_faults", "_inherited_kb", "_mark_kb", "_own_kb", "_usage")

    def __init__(
        self, usage: Callable[[], tuple[float, int]] | None = None, own_kb: Callable[[], int | None] | None = None
    ) -> None:
        self._usage = usage or _usage()
        self._own_kb = own_kb or high_water_kb
        used_kb, self._faults = self._usage()
        self._mark_kb = self._own_kb()
        own = self._mark_kb is None or used_kb <= self._mark_kb + _SLACK_KB
        self._inherited_kb = 0.0 if own else used_kb

    def mb(self) -> float | None:
        """Megabytes of 1024 kilobytes, as Lambda counts them."""
        used_kb, faults = self._usage()
        if used_kb != self._inherited_kb:
            return used_kb / 1024
        if faults != self._faults:
            self._mark_kb = self._own_kb()
            self._faults = faults  # after it: another thread may be in between
        return None if self._mark_kb is None else self._mark_kb / 1024


def _usage() -> Callable[[], tuple[float, int]]:
    from resource import RUSAGE_SELF, getrusage  # 0.2 ms, a module of C

    def usage() -> tuple[float, int]:
        found = getrusage(RUSAGE_SELF)
        return found.ru_maxrss * _UNIT_KB, found.ru_minflt + found.ru_majflt

    return usage


def high_water_kb(status: str = "/proc/self/status") -> int | None:
    """The peak of the resident memory of this process, see proc_pid_status(5); None where there is no such file."""
    try:
        file = os.open(status, os.O_RDONLY)
        try:
            text = os.read(file, _READ)
        finally:
            os.close(file)
        return int(text.partition(b"VmHWM:")[2].split(None, 1)[0])
    except (OSError, ValueError, IndexError):
        return None
