"""A server in a process of its own, which ends when its parent does."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from ..framework.processes import ROOT, ProcessFailedError, clean_environ

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_END_S = 10.0
_TIMEOUT_S = 10.0


def control(url: str, command: str, content: Any = None) -> Any:
    """Send a command such as ``counts`` to a server, and return its answer; both are JSON, and an empty one is None.

    Args:
        url: of the server.
        command: the path without its prefix ``/__``.
        content: is posted; None: a GET.
    """
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=_TIMEOUT_S)
    try:
        if content is None:
            connection.request("GET", f"/__{command}")
        else:
            connection.request("POST", f"/__{command}", json.dumps(content), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read() or "null")
    finally:
        connection.close()


def announce(content: Any) -> None:
    """In the process of the server: tell the parent that it serves, in one line of JSON."""
    print(json.dumps(content), flush=True)


def serve_until_parent_ends() -> NoReturn:
    """In the process of the server: wait until standard input ends, then exit with every connection and thread."""
    sys.stdin.buffer.read()
    os._exit(0)  # a kept connection must not keep the process


class Server:
    """The parent's end of a server: a module that announces its address, and ends when its standard input does.

    It ends with `close`, with the ``with`` block, and with this process, however that ends.

    Args:
        module: its name within this package, such as ``servers.origin``.
        arguments: of its command line.
        environ: variables that it needs.
        needs: the packages that the error message names if it did not start.

    Attributes:
        announced: its first line, from JSON.

    Raises:
        ProcessFailedError: it did not come up.
    """

    def __init__(
        self, module: str, *arguments: str, environ: dict[str, str] | None = None, needs: str = "its packages"
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=clean_environ(**(environ or {})),
            cwd=ROOT,
            start_new_session=True,  # Ctrl-C in the terminal is not for it
        )
        assert self._process.stdout is not None
        try:
            line = self._process.stdout.readline()
        except BaseException:
            self.close()
            raise
        if not line:
            self.close()
            raise ProcessFailedError(f"{module} did not start: is {needs} installed?")
        self.announced: Any = json.loads(line)

    def close(self) -> None:
        """End it, and wait until it has ended."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        finally:
            self._process.kill()
            self._process.wait(_END_S)
            if self._process.stdout is not None:
                self._process.stdout.close()

    def __enter__(self) -> Self:
        """Itself; it runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """`close`."""
        self.close()
