"""How old this process is."""

from __future__ import annotations

import os
import time


def age_s(stat: str = "/proc/self/stat") -> float | None:
    """Seconds since this process was started, suspended time included; None where the system does not tell.

    Args:
        stat: the file that Linux keeps it in, see proc_pid_stat(5).
    """
    try:
        with open(stat, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - pathlib is an import
            # The second field is the name of the program, in brackets, with anything in it.
            fields = file.read().rpartition(")")[2].split()
        started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_s)
    except (OSError, ValueError, IndexError, AttributeError):
        return None
