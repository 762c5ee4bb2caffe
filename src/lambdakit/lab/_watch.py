"""The lab's end of the pipe to its guard."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..exceptions import LambdakitError

if TYPE_CHECKING:
    from typing import IO

_END_S = 15.0  # longer than the guard's own sweep can take


class Watch:
    """One guard process; what is registered here is ended when this process ends, however it ends."""

    __slots__ = ("_pipe", "_process")

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own file, our own interpreter
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("_guard.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",  # no directory is held
            start_new_session=True,  # Ctrl-C in the terminal is not for it
        )
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101 - for the type checkers
        self._pipe: IO[bytes] = pipe

    @property
    def pid(self) -> int:
        """The guard's process id."""
        return self._process.pid

    def tell(self, line: str) -> None:
        """Send one line; the guard's module says which there are.

        Raises:
            LambdakitError: the guard has ended, so what the line adds could stay for ever. Not raised for
                a line that takes something away.
        """
        try:
            os.write(self._pipe.fileno(), f"{line}\n".encode())  # one write below PIPE_BUF: lines never mix
        except OSError as cause:
            if line.startswith("-"):
                return
            raise LambdakitError(
                "The lab's guard process has ended, so processes could be left behind; close the lab and make a new one"
            ) from cause

    def close(self) -> None:
        """Let the guard sweep, and wait until it has."""
        self._pipe.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
