"""Connections that are opened."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from .http import connections, receive, runtime_api, send
from .recorder import opened_by, record, user_line, wrap

if TYPE_CHECKING:
    from typing import Any

_PENDING = (BlockingIOError, InterruptedError)  # a connect without blocking has begun
_STREAM = 1
_hosts: dict[str, str] = {}  # names, by their addresses
_count = 0


def instrument_sockets(module: Any) -> None:
    """Record connections, and requests and responses over them."""

    def connect(original: Any, *args: Any) -> Any:
        try:
            result = original(*args)
        except _PENDING:
            _opened(*args)
            raise
        if result in (None, 0, errno.EINPROGRESS):  # the numbers are those of connect_ex
            _opened(*args)
        return result

    def getaddrinfo(original: Any, *args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        host = args[0] if args else kwargs.get("host")
        if host:
            _hosts.update((entry[4][0], _text(host)) for entry in found)
        return found

    for name in ("connect", "connect_ex"):
        wrap(module.socket, name, connect)
    for name in ("send", "sendall"):
        wrap(module.socket, name, send)
    for name in ("recv", "recv_into"):
        wrap(module.socket, name, receive)
    wrap(module, "getaddrinfo", getaddrinfo)


def record_connection(host: Any, port: int | None) -> int:
    """Record a connection.

    Returns:
        Its number.
    """
    global _count  # noqa: PLW0603 - one process is one environment
    _count += 1
    number = _count
    record("connection", id=number, host=_text(host), port=port, place=user_line(), by=opened_by())
    return number


def _opened(sock: Any, address: Any) -> None:
    """Record a connection, unless it is the runtime's own, or a datagram socket's."""
    if sock.type & 0xF != _STREAM:
        return
    host, port = address[:2] if isinstance(address, tuple) else (address, None)
    if f"{host}:{port}" != runtime_api():
        connections[sock.fileno()] = record_connection(_hosts.get(host, host), port)


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
