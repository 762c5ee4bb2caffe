"""Runs in the function's process, from its ``sitecustomize``, and records what happens there.

It is copied to where the function's interpreter finds it, so it imports nothing of lambdakit, and of the standard
library only what the runtime client has imported anyway. Each line of ``events.jsonl`` is one event. No value, no body
and no header is recorded: names, hosts and numbers only.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def trace_calls() -> None:
    """Record clients, API calls, requests, connections, handshakes and event loops."""
    from . import clients, http, sockets
    from .finder import RUNTIME_CLIENT, Finder, instrument, instrument_runtime

    instrumented: dict[str, Callable[[Any], None]] = {
        RUNTIME_CLIENT: instrument_runtime,
        "botocore.client": clients.instrument_clients,
        "boto3.session": clients.instrument_resources,
        "asyncio.events": clients.instrument_loops,
        "psycopg": clients.instrument_psycopg,
        "psycopg2": clients.instrument_psycopg2,
        "socket": sockets.instrument_sockets,
        "ssl": http.instrument_tls,
    }

    def load(loader: Any, _found_s: float, module: Any) -> None:
        loader.exec_module(module)
        instrument(instrumented[module.__name__], module)

    sys.meta_path.insert(0, Finder(instrumented.__contains__, load))
    for name, how in instrumented.items():
        if name in sys.modules:
            instrument(how, sys.modules[name])


def trace_imports(handler: str) -> None:
    """Time imports, from the handler's module on: what the runtime client imports for itself is not the function's."""
    from .finder import RUNTIME_CLIENT, Finder, load_timed

    top = handler.rpartition(".")[0].replace("/", ".").partition(".")[0]
    begun = False

    def wants(name: str) -> bool:
        nonlocal begun
        begun = begun or name == top
        return begun or name == RUNTIME_CLIENT

    sys.meta_path.insert(0, Finder(wants, load_timed))
