"""An HTTP server that costs next to nothing, counts its connections, and breaks them on command."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import sys
import tempfile
import threading
from collections import Counter

from ..framework.processes import clean_environ
from .relay import Relay
from .server import Server, announce, control, serve_until_parent_ends

_LIMIT_S = 60.0  # of silence on a connection
_CONTROL = "/__"


class Origin(Server):
    """The parent's end: an origin over HTTP and over TLS, at each of the distances.

    Args:
        round_trips_ms: the distances; 0 has to be among them.
    """

    def __init__(self, round_trips_ms: tuple[int, ...]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lambdakit-benchmarks-")
        super().__init__("servers.origin", self._folder.name, *map(str, round_trips_ms), needs="trustme")

    def url(self, scheme: str, round_trip_ms: int) -> str:
        """The address at that distance."""
        url: str = self.announced[f"{scheme} {round_trip_ms}"]
        return url

    @property
    def environ(self) -> dict[str, str]:
        """The variables of a process in which every client trusts it."""
        roots = f"{self._folder.name}/ca.pem"
        return clean_environ(SSL_CERT_FILE=roots, REQUESTS_CA_BUNDLE=roots)

    def counts(self) -> dict[str, dict[str, int]]:
        """``requests`` and ``connections`` so far, by path."""
        counts: dict[str, dict[str, int]] = control(self.url("http", 0), "counts")
        return counts

    def close(self) -> None:
        """End it."""
        super().close()
        self._folder.cleanup()


class Counting:
    """Answers each request with its path, and counts requests and connections by it.

    The command ``counts`` tells the numbers. ``freeze/fin`` and ``freeze/reset`` do to all other connections what
    happens to them while a function is frozen: they are closed now, or reset when they are used again, as a NAT gateway
    does it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._connections: Counter[str] = Counter()
        self._open: set[socket.socket] = set()
        self._to_reset: set[socket.socket] = set()

    def serve(self, context: ssl.SSLContext | None = None) -> int:
        """Serve on a free port, until the process ends."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._accept, args=(listener, context), daemon=True).start()
        port: int = listener.getsockname()[1]
        return port

    def _accept(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=self._connection, args=(sock, context), daemon=True).start()

    def _connection(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        with contextlib.suppress(OSError):
            sock.settimeout(_LIMIT_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                sock = context.wrap_socket(sock, server_side=True)
            with self._lock:
                self._open.add(sock)
            first = True
            while self._answer(sock, first=first):
                first = False
        with self._lock:
            self._open.discard(sock)
            self._to_reset.discard(sock)
        sock.close()

    def _answer(self, sock: socket.socket, *, first: bool) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                return False
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lower = head.lower()
        _, found, length = lower.partition(b"content-length:")
        expected = int(length.partition(b"\r\n")[0]) if found else 0
        while len(body) < expected:
            body += sock.recv(65536)
        path = head.split(b" ", 2)[1].decode()
        if path.startswith(_CONTROL):
            text = self._control(path, sock)
        elif sock in self._to_reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        else:
            with self._lock:
                self._requests[path] += 1
                self._connections[path] += first
            text = path
        closes = b"\r\nconnection: close" in lower
        header = "Connection: close\r\n" if closes else ""
        sock.sendall(f"HTTP/1.1 200 OK\r\n{header}Content-Length: {len(text)}\r\n\r\n{text}".encode())
        return not closes

    def _control(self, path: str, own: socket.socket) -> str:
        with self._lock:
            if path.endswith("counts"):
                return json.dumps({"requests": self._requests, "connections": self._connections})
            others = self._open - {own}
            if path.endswith("reset"):
                self._to_reset |= others
            else:
                for sock in others:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
        return "null"


def main() -> None:
    """Serve until the parent ends."""
    import trustme

    folder, *round_trips_ms = sys.argv[1:]
    authority = trustme.CA()
    authority.cert_pem.write_to_path(f"{folder}/ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    counting, urls = Counting(), {}
    for scheme, port in (("http", counting.serve()), ("https", counting.serve(context))):
        for distance_ms in round_trips_ms:
            # At 0 there is no relay, so nothing but the client and this server is in the figure.
            reached = Relay(port, float(distance_ms) / 1e3).port if float(distance_ms) else port
            urls[f"{scheme} {distance_ms}"] = f"{scheme}://127.0.0.1:{reached}"
    announce(urls)
    serve_until_parent_ends()


if __name__ == "__main__":
    main()
