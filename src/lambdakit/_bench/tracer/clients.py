"""SDK clients and their API calls, event loops, sessions of PostgreSQL."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .recorder import local, record, user_line, wrap
from .sockets import record_connection

if TYPE_CHECKING:
    from typing import Any

# Of operations that read values: the parameter with the value's name.
NAMED = {"GetSecretValue": "SecretId", "GetParameter": "Name", "GetParameters": "Names", "GetParametersByPath": "Path"}


def instrument_clients(module: Any) -> None:
    """Record SDK clients that are created, and their API calls."""

    def create(original: Any, *args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        created = original(*args, **kwargs)
        took_ms = (time.perf_counter() - started) * 1000
        record("client", service=created.meta.service_model.service_name, place=user_line(), took_ms=round(took_ms, 3))
        return created

    def call(original: Any, *args: Any, **kwargs: Any) -> Any:
        given: Any = (*args, *kwargs.values(), None)
        client, operation, parameters = given[:3]
        service = client.meta.service_model.service_name
        record("call", service=service, operation=operation, name=value_name(operation, parameters), place=user_line())
        outer, local.operation = getattr(local, "operation", None), f"{service}.{operation}"
        try:
            return original(*args, **kwargs)
        finally:
            local.operation = outer

    wrap(module.ClientCreator, "create_client", create)
    wrap(module.BaseClient, "_make_api_call", call)


def value_name(operation: str, parameters: Any) -> str | None:
    """The name of the value that a call reads; None for other calls, and for a further page of the same."""
    if not isinstance(parameters, dict) or parameters.get("NextToken"):
        return None
    name = parameters.get(NAMED.get(operation))
    if isinstance(name, (list, tuple)):
        return ", ".join(sorted(map(str, name)))
    return name if isinstance(name, str) else None


def instrument_resources(module: Any) -> None:
    """Record resources that are created; only boto3 has them."""

    def create(original: Any, *args: Any, **kwargs: Any) -> Any:
        record("resource", place=user_line())
        return original(*args, **kwargs)

    wrap(module.Session, "resource", create)


def instrument_loops(module: Any) -> None:
    """Record event loops that are created."""

    def new_event_loop(original: Any, *args: Any, **kwargs: Any) -> Any:
        record("loop", place=user_line())
        return original(*args, **kwargs)

    wrap(module, "new_event_loop", new_event_loop)


def instrument_psycopg(module: Any) -> None:
    """Record connections of psycopg, which libpq opens without Python's sockets."""

    def init(original: Any, *args: Any, **kwargs: Any) -> Any:
        _, pgconn = (*args, *kwargs.values())[:2]
        record_connection(pgconn.host, int(pgconn.port or 0))
        return original(*args, **kwargs)

    wrap(module.BaseConnection, "__init__", init)


def instrument_psycopg2(module: Any) -> None:
    """Record connections of psycopg2, which libpq opens, too."""

    def connect(original: Any, *args: Any, **kwargs: Any) -> Any:
        created = original(*args, **kwargs)
        record_connection(created.info.host, created.info.port)
        return created

    wrap(module, "connect", connect)
