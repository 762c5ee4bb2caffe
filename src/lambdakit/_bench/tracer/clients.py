"""What is made again and again where it could be kept: SDK clients, event loops, sessions of PostgreSQL; API calls."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .notes import local, note, place, wrap
from .sockets import connection

if TYPE_CHECKING:
    from typing import Any

# Of operations that read what changes rarely: the parameter that says what is read.
NAMED = {"GetSecretValue": "SecretId", "GetParameter": "Name", "GetParameters": "Names", "GetParametersByPath": "Path"}


def watch_clients(module: Any) -> None:
    """SDK clients that are created, and the API calls that they make."""

    def create(original: Any, *args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        made = original(*args, **kwargs)
        took_ms = (time.perf_counter() - started) * 1000
        note("client", service=made.meta.service_model.service_name, place=place(), took_ms=round(took_ms, 3))
        return made

    def call(original: Any, *args: Any, **kwargs: Any) -> Any:
        given: Any = (*args, *kwargs.values(), None)
        client, operation, parameters = given[:3]
        service = client.meta.service_model.service_name
        note("call", service=service, operation=operation, name=value_name(operation, parameters), place=place())
        before, local.operation = getattr(local, "operation", None), f"{service}.{operation}"
        try:
            return original(*args, **kwargs)
        finally:
            local.operation = before

    wrap(module.ClientCreator, "create_client", create)
    wrap(module.BaseClient, "_make_api_call", call)


def value_name(operation: str, parameters: Any) -> str | None:
    """The name of the value that a call reads; None for all other calls, and for the next page of the same."""
    if not isinstance(parameters, dict) or parameters.get("NextToken"):
        return None
    name = parameters.get(NAMED.get(operation))
    if isinstance(name, (list, tuple)):
        return ", ".join(sorted(map(str, name)))
    return name if isinstance(name, str) else None


def watch_resources(module: Any) -> None:
    """Resources that are created: nothing but boto3 has them."""

    def create(original: Any, *args: Any, **kwargs: Any) -> Any:
        note("resource", place=place())
        return original(*args, **kwargs)

    wrap(module.Session, "resource", create)


def watch_loops(module: Any) -> None:
    """Event loops that are made."""

    def new_event_loop(original: Any, *args: Any, **kwargs: Any) -> Any:
        note("loop", place=place())
        return original(*args, **kwargs)

    wrap(module, "new_event_loop", new_event_loop)


def watch_psycopg(module: Any) -> None:
    """Sessions of PostgreSQL, whose connections libpq opens without Python's sockets."""

    def init(original: Any, *args: Any, **kwargs: Any) -> Any:
        _, pgconn = (*args, *kwargs.values())[:2]
        connection(pgconn.host, int(pgconn.port or 0))
        return original(*args, **kwargs)

    wrap(module.BaseConnection, "__init__", init)


def watch_psycopg2(module: Any) -> None:
    """The same with its elder."""

    def connect(original: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        connection(made.info.host, made.info.port)
        return made

    wrap(module, "connect", connect)
