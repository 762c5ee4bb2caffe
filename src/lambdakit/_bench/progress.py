"""The progress of a run, with the time that is left."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

_LINE_INTERVAL_S = 10.0  # where there is no terminal


class Progress:
    """One line that is overwritten, on a terminal; elsewhere a new line at most every 10 s.

    Args:
        total: number of steps.
        stream: where it is written; None: standard error.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self, total: int, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._stream = stream or sys.stderr
        self._clock = clock
        self._done = 0
        self._started_s = self._shown_s = clock()

    def step(self, what: str) -> None:
        """One step is done; `what` is the name of the next."""
        self._done += 1
        now_s = self._clock()
        left_s = (now_s - self._started_s) / self._done * (self._total - self._done)
        text = f"{self._done} of {self._total}, about {left_s:.0f} s left: {what}"
        if self._stream.isatty():
            self._write(f"\r\x1b[2K{text}")
        elif now_s - self._shown_s >= _LINE_INTERVAL_S:
            self._shown_s = now_s
            self._write(f"{text}\n")

    def close(self) -> None:
        """Clear the line of a terminal."""
        if self._stream.isatty():
            self._write("\r\x1b[2K")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
