"""A server on loopback whose kept connections suffer what it is told, between two requests."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import trustme

from faults import OK, PATIENCE_S

KINDS = ("fin", "rst", "closed", "silent", "restart", "certificate")
Answer = Callable[[bytes, bytes], bytes | None]
"""What to answer to a head and a body; None for nothing and the end of the connection."""


class Keys(NamedTuple):
    """The root that clients are told to trust, two certificates of a server that it issued, and one of another root.

    `client` is a file with a certificate and its key.
    """

    root: Path
    client: Path
    valid: ssl.SSLContext
    other: ssl.SSLContext
    unknown: ssl.SSLContext


def keys(directory: Path) -> Keys:
    """New ones, with the root written to `directory`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "root.pem"))
    client = directory / "client.pem"
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(client))
    issued.cert_chain_pems[0].write_to_path(str(client), append=True)
    return Keys(directory / "root.pem", client, *(_context(issuer) for issuer in (authority, authority, trustme.CA())))


def _context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "::1", "localhost").configure_cert(context)
    return context


class _Connection:
    """One connection, and the thread that serves it."""

    def __init__(self, server: KeepingServer, sock: socket.socket, number: int) -> None:
        self._server = server
        self._sock = sock
        self._number = number
        self._told, self._tell = socket.socketpair()
        self._doom = ""
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def hurt(self, kind: str) -> None:
        """Have it suffer that, and wait until it has."""
        self.done.clear()
        with contextlib.suppress(OSError):  # it has ended
            self._tell.sendall(kind.ljust(16).encode())
            assert self.done.wait(PATIENCE_S)

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            if self._server.context is not None:
                self._sock.settimeout(PATIENCE_S)
                self._sock = self._server.context.wrap_socket(self._sock, server_side=True)
            self._sock.settimeout(PATIENCE_S)
            while self._step():
                pass
        self._sock.close()
        self._told.close()
        self._tell.close()
        self.done.set()

    def _step(self) -> bool:
        waiting = [self._told] if self._doom == "silent" else [self._told, self._sock]
        if self._doom == "silent" or not (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()):
            ready, _, _ = select.select(waiting, [], [], PATIENCE_S if self._doom else self._server.idle_s)
            if self._told in ready:
                return self._suffer(self._told.recv(16).decode().strip())
            if not ready:
                return not self._doom and self._suffer(self._server.idle_kind)
        return self._exchange()

    def _suffer(self, kind: str) -> bool:
        if kind in {"closed", "silent"}:
            self._doom = kind
            self.done.set()
            return True
        if kind == "rst":
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif isinstance(self._sock, ssl.SSLSocket):
            with contextlib.suppress(OSError):
                self._sock.settimeout(0.0)
                self._sock.unwrap()
        return False

    def _exchange(self) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self._sock.recv(65536)
            if not piece:
                return False
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lowered = head.lower()
        _, mark, rest = lowered.partition(b"content-length: ")
        length = int(rest.partition(b"\r\n")[0]) if mark else 0
        chunked = b"transfer-encoding: chunked" in lowered
        while len(body) < length or (chunked and not body.endswith(b"0\r\n\r\n")):
            piece = self._sock.recv(65536)
            if not piece:
                return False
            body += piece
        with self._server.lock:
            self._server.requests.append((head, body))
            self._server.numbers.append(self._number)
        if self._doom == "closed":
            return False
        answer = self._server.answer(head, body)
        if answer is None:
            return False
        self._sock.sendall(answer)
        return b"connection: close" not in answer.lower()


class KeepingServer:
    """Answers over connections that are kept.

    Args:
        context: the server's side of TLS; None for plain TCP.
        answer: see `Answer`.
        idle_s: seconds of idleness after which a connection suffers `idle_kind`.
        idle_kind: one of `KINDS`, but for the last two, which are about the whole server.

    Attributes:
        requests: heads and bodies, as they came.
        numbers: of the connection that each of them came over, from 1.
        connections: how many were accepted.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        answer: Answer = lambda head, body: OK,
        *,
        idle_s: float = PATIENCE_S,
        idle_kind: str = "fin",
    ) -> None:
        self.context = context
        self.answer = answer
        self.idle_s = idle_s
        self.idle_kind = idle_kind
        self.lock = threading.Lock()
        self.requests: list[tuple[bytes, bytes]] = []
        self.numbers: list[int] = []
        self.connections = 0
        self._open: list[_Connection] = []
        self._listen(0)

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"{'http' if self.context is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def has_given_up(self) -> bool:
        """Whether every connection has suffered what it had to."""
        with self.lock:
            return all(connection.done.is_set() for connection in self._open)

    def _listen(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, args=(self._listener,))
        self._acceptor.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                self._open.append(_Connection(self, sock, self.connections))

    def hurt(self, kind: str, context: ssl.SSLContext | None = None) -> None:
        """Every connection that stands suffers this fault; `context` is the next certificate."""
        with self.lock:
            standing = self._open
            if kind not in {"closed", "silent"}:
                self._open = []
        if kind == "restart":
            self._stop_listening()
        for connection in standing:
            connection.hurt(kind)
        if kind == "restart":
            self._listen(self.port)
        if kind == "certificate":
            self.context = context
        if kind not in {"closed", "silent"}:
            for connection in standing:
                connection.thread.join(PATIENCE_S)

    def _stop_listening(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(PATIENCE_S)

    def stop(self) -> None:
        """End everything, and wait until it has."""
        self._stop_listening()
        self.hurt("rst")


@contextlib.contextmanager
def keeping(
    context: ssl.SSLContext | None = None, answer: Answer = lambda head, body: OK, **options: Any
) -> Iterator[KeepingServer]:
    """A server for the length of a block."""
    server = KeepingServer(context, answer, **options)
    try:
        yield server
    finally:
        server.stop()


def response(status: int = 200, body: bytes = b"hi", **headers: str) -> bytes:
    """A whole response."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} X", *lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
