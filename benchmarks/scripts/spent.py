"""What a call adds to a process: wall time, CPU time, memory."""

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # what is measured may have to import it
    from collections.abc import Callable
    from typing import Any


def spent(call: "Callable[[], Any]") -> "tuple[Any, dict[str, float]]":
    """What a function returns, and ``wall_ms``, ``cpu_ms``, ``rss_mb``."""
    memory_kb = _rss_kb()
    cpu_ns, wall_ns = time.process_time_ns(), time.perf_counter_ns()
    value = call()
    wall_ns, cpu_ns = time.perf_counter_ns() - wall_ns, time.process_time_ns() - cpu_ns
    return value, {"wall_ms": wall_ns / 1e6, "cpu_ms": cpu_ns / 1e6, "rss_mb": (_rss_kb() - memory_kb) / 1024}


def _rss_kb() -> int:
    """The memory of this process that is in RAM now."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - pathlib would be an import of its own
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
