"""What the tests of verifications share: what failed, changed evidence, processes that have to end."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.framework.effect import Check, Measured


def not_verified(checks: Iterable[Check]) -> list[str]:
    """The names of the checks that failed."""
    return [check.what for check in checks if not check.passed]


def changed(measured: Measured, way: str, **evidence: Any) -> Measured:
    """The same, but for some of the evidence of one way."""
    trials = [trial | evidence for trial in measured.evidence[way]]
    return replace(measured, evidence=measured.evidence | {way: trials})


def left(pids: Iterable[int], programs: Sequence[str], *, limit_s: float) -> list[int]:
    """Of these processes those that still run one of the programs, when all have ended or the limit is over."""
    pids, until_s = [*pids], time.monotonic() + limit_s
    while (found := [pid for pid in pids if _runs(pid, programs)]) and time.monotonic() < until_s:
        time.sleep(0.02)
    return found


def _runs(pid: int, programs: Sequence[str]) -> bool:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except OSError:
        return False
    return any(program in line for program in programs)
