"""A server on loopback that does what it is told, fault by fault, and counts what it was sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import trustme

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
PATIENCE_S = 20.0  # no part of a test waits for longer, whatever is broken

Behaviour = Callable[["Peer"], object]


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: FaultServer, sock: socket.socket, number: int) -> None:
        self.server = server
        self.sock = sock
        self.number = number  # of the connection, from 1

    def request(self) -> bytes | None:
        """The next whole request, counted; None if the client ended the connection."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.sock.recv(65536)
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        _, mark, rest = head.partition(b"Content-Length: ")
        length = int(rest.partition(b"\r\n")[0]) if mark else 0
        while len(body) < length:
            body += self.sock.recv(65536)
        with self.server.lock:
            self.server.requests.append(data[: len(head) + 4] + body)
        return head

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)

    def reset(self) -> None:
        """End the connection with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def finish(self) -> None:
        """End the connection with a FIN, over TLS after its own ending."""
        if isinstance(self.sock, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):  # the server may have been stopped
                self.sock.settimeout(0.0)
                self.sock.unwrap()
        self.sock.close()

    def silence(self) -> None:
        """Send nothing until the client ends the connection."""
        while self.sock.recv(65536):
            pass


class FaultServer:
    """Listens on a free port of the loopback interface; one thread per connection.

    Args:
        behave: what to do with each connection.
        context: the server's side of TLS; None for plain TCP.
        address: family and host to listen on.
    """

    def __init__(
        self,
        behave: Behaviour,
        context: ssl.SSLContext | None = None,
        address: tuple[int, str] = (socket.AF_INET, "127.0.0.1"),
    ) -> None:
        self.lock = threading.Lock()
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = threading.Semaphore(0)  # released whenever a connection is done with
        self._behave = behave
        self._context = context
        self._listener = socket.create_server((address[1], 0), family=address[0], backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._peers: list[socket.socket] = []
        self._stopped = False
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    @property
    def scheme(self) -> str:
        """``https`` if it speaks TLS."""
        return "http" if self._context is None else "https"

    def origin(self, host: str = "127.0.0.1") -> tuple[str, str, int]:
        """Where it is reached."""
        return self.scheme, host, self.port

    def forget(self) -> None:
        """Keep nothing of the connections that have ended: for tests that open very many."""
        with self.lock:
            self.requests.clear()
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._peers = [sock for sock in self._peers if sock.fileno() >= 0]

    def stop(self) -> None:
        """End everything, and wait until it has."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(PATIENCE_S)
        with self.lock:
            self._stopped = True
            peers = [*self._peers]
        for sock in peers:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(PATIENCE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock, self.connections))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):
            if self._context is not None:  # the handshake is ended by `stop` as well
                sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            with self.lock:
                self._peers.append(sock)
                stopped = self._stopped
            if not stopped:
                if isinstance(sock, ssl.SSLSocket):
                    sock.do_handshake()
                self._behave(Peer(self, sock, number))
        sock.close()
        self.ended.release()


@contextlib.contextmanager
def serving(
    behave: Behaviour, context: ssl.SSLContext | None = None, address: tuple[int, str] = (socket.AF_INET, "127.0.0.1")
) -> Iterator[FaultServer]:
    """A server for the length of a block."""
    server = FaultServer(behave, context, address)
    try:
        yield server
    finally:
        server.stop()


def answering(response: bytes) -> Behaviour:
    """Answer every request with these bytes."""

    def behave(peer: Peer) -> None:
        while peer.request() is not None:
            peer.send(response)

    return behave


class Certificates(NamedTuple):
    """What a test of TLS needs: an authority that clients can be told to trust, and servers of several kinds."""

    root: Path
    valid: ssl.SSLContext
    wrong_host: ssl.SSLContext
    expired: ssl.SSLContext
    unknown: ssl.SSLContext
    self_signed: ssl.SSLContext
    unknown_root: Path


def certificates(directory: Path) -> Certificates:
    """New ones, with their roots written to `directory`."""
    authority, other = trustme.CA(), trustme.CA()
    root, unknown_root = directory / "root.pem", directory / "unknown.pem"
    authority.cert_pem.write_to_path(str(root))
    other.cert_pem.write_to_path(str(unknown_root))
    yesterday = datetime.now(UTC) - timedelta(days=1)
    return Certificates(
        root=root,
        valid=_server(authority.issue_cert("127.0.0.1", "::1", "localhost")),
        wrong_host=_server(authority.issue_cert("other.example")),
        expired=_server(
            authority.issue_cert("127.0.0.1", not_before=yesterday - timedelta(days=9), not_after=yesterday)
        ),
        unknown=_server(other.issue_cert("127.0.0.1")),
        self_signed=_itself(other, directory),
        unknown_root=unknown_root,
    )


def _server(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def _itself(authority: trustme.CA, directory: Path) -> ssl.SSLContext:
    chain = directory / "itself.pem"
    authority.private_key_pem.write_to_path(str(chain))
    authority.cert_pem.write_to_path(str(chain), append=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context
