"""A server of ours in a process of its own, which ends when we do."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from .processes import ROOT, ProcessFailedError, clean_environ

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_END_S = 10.0
_TIMEOUT_S = 10.0


def control(url: str, what: str, content: Any = None) -> Any:
    """Have a server of ours do or tell something about itself, such as ``counts``; JSON, as what it is told.

    It is posted the `content`; None: it is only asked. An empty answer is None.
    """
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=_TIMEOUT_S)
    try:
        if content is None:
            connection.request("GET", f"/__{what}")
        else:
            connection.request("POST", f"/__{what}", json.dumps(content), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read() or "null")
    finally:
        connection.close()


class Server:
    """A module of this package that prints one line of JSON once it serves, and ends when its standard input does.

    It ends with `close`, with the ``with`` block, and with this process, however that ends.

    Args:
        module: its name within this package.
        arguments: of its command line.
        environ: variables that it needs.
        needs: what to look for if it did not start.

    Attributes:
        told: its line.

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
        self.told: Any = json.loads(line)

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
