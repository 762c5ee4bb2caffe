"""What the system tells of this process: its age, its peak of memory, whether the one before it crashed."""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._settings import Settings

_STAT_BYTES, _STATUS_BYTES = 4096, 4096  # more than the files have
_SLACK_KB = 1024  # the two figures are counted at different moments
_UNIT_KB = 1 / 1024 if sys.platform == "darwin" else 1  # see getrusage(2) of either
_ID_BYTES = 32  # a process id has seven digits


def process_age_s(stat: str = "/proc/self/stat") -> float | None:
    """Seconds since this process was started, suspended time included; None where the system does not tell.

    Args:
        stat: the file that Linux keeps it in, see proc_pid_stat(5).
    """
    try:
        # The second field is the name of the program, in brackets, with anything in it.
        fields = _read(stat, _STAT_BYTES).rpartition(b")")[2].split()
        started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_s)
    except (OSError, ValueError, IndexError, AttributeError):
        return None


class Peak:
    """The most memory that this process has had, INIT included, as the system counts it for this process alone.

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
        return int(_read(status, _STATUS_BYTES).partition(b"VmHWM:")[2].split(None, 1)[0])
    except (OSError, ValueError, IndexError):
        return None


def previous_process_crashed(settings: Settings) -> bool:
    """Whether Lambda ended the process that served before this one: a time-out, a crash, or its memory.

    From now on this process is the last that served.

    When Lambda ends a process it starts the next one in the same sandbox: with the same log stream, and with what was
    in ``/tmp``. There each process leaves its id when it serves for the first time. Nothing is left where nothing could
    be told from it: under SnapStart, whose environments have no log stream; on Managed Instances, where processes
    share one; and where this is no Lambda runtime. A file that cannot be read or written tells nothing, and is not
    worth a word.
    """
    stream = settings.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
    if not stream or not settings.in_lambda or settings.processes or settings.init_type == "snap-start":
        return False
    import binascii  # a C module without imports of its own, unlike hashlib

    name = f"lambdakit-{binascii.crc32(stream.encode(errors='replace')):08x}"
    path = os.path.join(settings.environ.get("TMPDIR") or "/tmp", name)  # noqa: PTH118, S108 - pathlib is an import; Lambda's
    last = _read_id(path)
    if last in (b"%d" % os.getpid(), b"%d" % os.getppid()):  # itself, or what it was forked from
        return False
    _write(path, b"%d" % os.getpid())
    return last is not None


def _read_id(path: str) -> bytes | None:
    try:
        return _read(path, _ID_BYTES)
    except OSError:
        return None


def _read(path: str, most: int) -> bytes:
    """The beginning of a file, without the codec that a text file would import."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, most)
    finally:
        os.close(file)


def _write(path: str, data: bytes) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(file, data)
        finally:
            os.close(file)
    except OSError:
        pass
