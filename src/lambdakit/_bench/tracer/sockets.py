"""Connections that are opened."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from .http import connected, receive, runtime_api, send
from .notes import note, place, wrap

if TYPE_CHECKING:
    from typing import Any

_PENDING = (BlockingIOError, InterruptedError)  # an asynchronous connect that is under way
_STREAM = 1
_names: dict[str, str] = {}  # host names by their addresses
_count = 0


def watch_sockets(module: Any) -> None:
    """Connections, and what goes over them."""

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
            _names.update((entry[4][0], _text(host)) for entry in found)
        return found

    for name in ("connect", "connect_ex"):
        wrap(module.socket, name, connect)
    for name in ("send", "sendall"):
        wrap(module.socket, name, send)
    for name in ("recv", "recv_into"):
        wrap(module.socket, name, receive)
    wrap(module, "getaddrinfo", getaddrinfo)


def connection(host: Any, port: int | None) -> int:
    """Write down a connection; the answer is its number."""
    global _count  # noqa: PLW0603 - one process is one environment
    _count += 1
    number = _count
    note("connection", id=number, host=_text(host), port=port, place=place())
    return number


def _opened(sock: Any, address: Any) -> None:
    """A connection, unless it is the runtime's own, or a datagram socket's."""
    if sock.type & 0xF != _STREAM:
        return
    host, port = address[:2] if isinstance(address, tuple) else (address, None)
    if f"{host}:{port}" != runtime_api():
        connected[sock.fileno()] = connection(_names.get(host, host), port)


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
