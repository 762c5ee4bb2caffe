"""Runs in the function's process, from its ``sitecustomize``, and writes down what happens there.

It is copied to where the function finds it, so it knows nothing of lambdakit and stands on what the runtime client has
imported anyway. Each line of ``events.jsonl`` is one thing that happened. No value, no body and no header is written
down: names, hosts and numbers only.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from . import clients, http, sockets
from .finder import RUNTIME_CLIENT, Finder, load_timed, watch, watch_runtime

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

WATCHED: dict[str, Callable[[Any], None]] = {
    RUNTIME_CLIENT: watch_runtime,
    "botocore.client": clients.watch_clients,
    "boto3.session": clients.watch_resources,
    "asyncio.events": clients.watch_loops,
    "psycopg": clients.watch_psycopg,
    "psycopg2": clients.watch_psycopg2,
    "socket": sockets.watch_sockets,
    "ssl": http.watch_tls,
}


def watch_calls() -> None:
    """Watch clients, API calls, requests, connections, handshakes and event loops."""
    sys.meta_path.insert(0, Finder(WATCHED.__contains__, _load))
    for name, how in WATCHED.items():
        if name in sys.modules:
            watch(how, sys.modules[name])


def watch_imports(handler: str) -> None:
    """Time imports, from the handler's module on: what the runtime client imports for itself is not the function's."""
    top = handler.rpartition(".")[0].replace("/", ".").partition(".")[0]
    begun = False

    def wants(name: str) -> bool:
        nonlocal begun
        begun = begun or name == top
        return begun or name == RUNTIME_CLIENT

    sys.meta_path.insert(0, Finder(wants, load_timed))


def _load(inner: Any, found_s: float, module: Any) -> None:  # noqa: ARG001 - as `load_timed` has them
    inner.exec_module(module)
    watch(WATCHED[module.__name__], module)
