"""A server's plain port, over TLS: each connection is passed on byte for byte."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trustme

_PIECE = 64 * 1024


@contextmanager
def in_front(url: str, authority: trustme.CA) -> Iterator[str]:
    """The URL of the same server over TLS, with a certificate of `authority` for the loopback address."""
    host, _, port = url.partition("://")[2].partition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, context, (host, int(port))), daemon=True).start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        listener.close()


def _accept(listener: socket.socket, context: ssl.SSLContext, behind: tuple[str, int]) -> None:
    with suppress(OSError):  # it was closed
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=_pass_on, args=(sock, context, behind), daemon=True).start()


def _pass_on(sock: socket.socket, context: ssl.SSLContext, behind: tuple[str, int]) -> None:
    sock.settimeout(30)
    with (
        suppress(OSError),
        context.wrap_socket(sock, server_side=True) as front,
        socket.create_connection(behind) as back,
    ):
        answers = threading.Thread(target=_pump, args=(back, front), daemon=True)
        answers.start()
        _pump(front, back)
        answers.join(30)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_PIECE):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
