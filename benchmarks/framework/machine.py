"""The machine of a run."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import peers

PACKAGES = (
    "lambdakit",
    "awslambdaric",
    "botocore",
    "cachetools",
    "wrapt",
    "psycopg",
    "pgserver",
    "aiohttp",
    "moto",
    "werkzeug",
    "pyperf",
    "simpy",
    *peers.PEERS.values(),
)


def describe() -> dict[str, Any]:
    """Processor, memory, system, Python, the version of every package involved; None for what this system hides."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_mb": _memory_mb(),
        "system": platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "python_implementation": platform.python_implementation(),
        "python_compiler": platform.python_compiler(),
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "load_average": list(os.getloadavg()),
        "packages": {name: peers.version(name) for name in PACKAGES},
    }


def _cpu() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or None


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    except (ValueError, OSError):
        return None
