"""One fresh process of a function's cold start, timed by phase; no moment counts in two phases."""

from __future__ import annotations

import builtins
import functools
import json
import os
import sys
import time
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:  # what the function itself has to import must not be there
    from collections.abc import Callable, Iterator
    from typing import Any

PHASES = ("interpreter", "runtime client", "imports", "clients", "TLS", "first call")
WATCHED = {
    "boto3.session": ("Session", ("__init__", "client"), "clients"),
    "botocore.session": ("Session", ("__init__", "create_client"), "clients"),
    "ssl": ("SSLContext", ("load_verify_locations", "load_default_certs", "wrap_socket"), "TLS"),
}


class Watch:
    """Time by phase: that of a phase within another counts in the inner one only."""

    def __init__(self) -> None:
        self.spent_ns = dict.fromkeys(PHASES, 0)
        self.within = ["interpreter"]
        self._since_ns = int(os.environ["BENCH_STARTED_NS"])

    def turn(self) -> None:
        """What has passed belongs to the innermost phase."""
        now_ns = time.monotonic_ns()
        self.spent_ns[self.within[-1]] += now_ns - self._since_ns
        self._since_ns = now_ns

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """For the length of the block."""
        self.turn()
        self.within.append(name)
        try:
            yield
        finally:
            self.turn()
            self.within.pop()


watch = Watch()
hooked: set[str] = set()
real_import = builtins.__import__


def timed_import(*given: Any, **named: Any) -> Any:
    """An import is one phase with all that it imports in turn; a module that is there already costs next to nothing."""
    if watch.within[-1] == "imports":
        found = real_import(*given, **named)
    else:
        with watch.phase("imports"):
            found = real_import(*given, **named)
    if given[0].startswith(("ssl", "boto")):
        hook()
    return found


def hook() -> None:
    """Watch what has come with the imports."""
    for module, (kind, names, phase) in WATCHED.items():
        owner = getattr(sys.modules.get(module), kind, None)  # None also while the module is not complete
        if owner is not None and module not in hooked:
            hooked.add(module)
            for name in names:
                watched(owner, name, phase)


def watched(owner: Any, name: str, phase: str) -> None:
    """Have a method count in a phase."""
    method: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(method)
    def timed(*given: Any, **named: Any) -> Any:
        with watch.phase(phase):
            return method(*given, **named)

    setattr(owner, name, timed)


def main() -> None:
    """Take the start of a function apart."""
    folder, module_name, call = sys.argv[1:]
    event = json.load(sys.stdin)
    watch.turn()
    with watch.phase("runtime client"):
        import awslambdaric.bootstrap  # noqa: F401 - what Lambda's own process has loaded before the handler's module
    sys.path.insert(0, folder)
    builtins.__import__ = timed_import
    with watch.phase("first call"):
        module = __import__(module_name)
        answer = eval(call, {"module": module, "event": event})  # noqa: S307 - our own effect's text
    took_ns = time.monotonic_ns() - int(os.environ["BENCH_STARTED_NS"])
    phases = {name: spent_ns / 1e6 for name, spent_ns in watch.spent_ns.items()}
    print(json.dumps({"phases": phases, "took_ms": took_ns / 1e6, "answer": answer}))


if __name__ == "__main__":
    main()
