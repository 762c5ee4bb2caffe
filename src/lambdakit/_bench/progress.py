"""How far a run is, and how long it will take, on standard error."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

_LINE_S = 10.0  # between two lines where there is no terminal: a log is not a screen


class Progress:
    """One line that is written over, on a terminal; elsewhere a line now and then.

    Args:
        total: how many steps there are.
        stream: where it is shown; None: standard error.
        clock: seconds that only go up.
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
        """One step is done; `what` is the next one's name."""
        self._done += 1
        now_s = self._clock()
        left_s = (now_s - self._started_s) / self._done * (self._total - self._done)
        text = f"{self._done} of {self._total}, about {left_s:.0f} s left: {what}"
        if self._stream.isatty():
            self._write(f"\r\x1b[2K{text}")
        elif now_s - self._shown_s >= _LINE_S:
            self._shown_s = now_s
            self._write(f"{text}\n")

    def close(self) -> None:
        """Leave nothing on the screen."""
        if self._stream.isatty():
            self._write("\r\x1b[2K")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
