"""The guard's process, and the lab's end of the pipe to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ...exceptions import LambdakitError

if TYPE_CHECKING:
    from typing import IO

_CLEAN_UP_S = 15.0  # longer than the guard itself takes


class GuardClient:
    """Starts the guard; what is registered with it ends with this process, however this process ends."""

    __slots__ = ("_pipe", "_process")

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own file, our own interpreter
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))],
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

    def notify(self, line: str) -> None:
        """Send one line; the module `guard` describes them.

        Raises:
            LambdakitError: the guard has ended, so what the line registers could be left behind. Not raised for a
                line that removes something.
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
        """Let the guard clean up, and wait until it has."""
        self._pipe.close()
        try:
            self._process.wait(_CLEAN_UP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
