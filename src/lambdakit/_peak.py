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
    process's own memory, which costs 20 µs, was as high by then.

    Args:
        usage_kb: the cheap figure.
        own_kb: that of the own memory; None where the system does not tell.
    """

    __slots__ = ("_inherited_kb", "_own_kb", "_usage_kb")

    def __init__(
        self, usage_kb: Callable[[], float] | None = None, own_kb: Callable[[], int | None] | None = None
    ) -> None:
        self._usage_kb = usage_kb or _usage_kb()
        self._own_kb = own_kb or high_water_kb
        used_kb, real_kb = self._usage_kb(), self._own_kb()
        self._inherited_kb = used_kb if real_kb is not None and used_kb > real_kb + _SLACK_KB else 0.0

    def mb(self) -> float | None:
        """Megabytes of 1024 kilobytes, as Lambda counts them."""
        used_kb: float | None = self._usage_kb()
        if used_kb == self._inherited_kb:
            used_kb = self._own_kb()
        return None if used_kb is None else used_kb / 1024


def _usage_kb() -> Callable[[], float]:
    from resource import RUSAGE_SELF, getrusage  # 0.2 ms, a module of C

    return lambda: getrusage(RUSAGE_SELF).ru_maxrss * _UNIT_KB


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
