"""The process of an HTTP server that costs next to nothing, counts its connections, and hurts them when told."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import struct
import sys
import threading
from collections import Counter

import trustme

from .relay import Relay

_LIMIT_S = 60.0  # of silence on a connection
CONTROL = "/__"


class Origin:
    """Answers each request with the path it asks for; counts requests, and connections, by that path.

    ``/__counts`` tells the numbers. ``/__freeze/fin`` and ``/__freeze/reset`` are what a function meets that was frozen
    for a while: all other connections are ended now, or reset when they are used again, as a NAT gateway does it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._connections: Counter[str] = Counter()
        self._open: set[socket.socket] = set()
        self._doomed: set[socket.socket] = set()

    def serve(self, context: ssl.SSLContext | None = None) -> int:
        """On a free port, until the process ends."""
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
            self._doomed.discard(sock)
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
        wanted = int(length.partition(b"\r\n")[0]) if found else 0
        while len(body) < wanted:
            body += sock.recv(65536)
        path = head.split(b" ", 2)[1].decode()
        if path.startswith(CONTROL):
            text = self._control(path, sock)
        elif sock in self._doomed:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        else:
            with self._lock:
                self._requests[path] += 1
                self._connections[path] += first
            text = path
        ends = b"\r\nconnection: close" in lower
        ending = "Connection: close\r\n" if ends else ""
        sock.sendall(f"HTTP/1.1 200 OK\r\n{ending}Content-Length: {len(text)}\r\n\r\n{text}".encode())
        return not ends

    def _control(self, path: str, own: socket.socket) -> str:
        with self._lock:
            if path.endswith("counts"):
                return json.dumps({"requests": self._requests, "connections": self._connections})
            others = self._open - {own}
            if path.endswith("reset"):
                self._doomed |= others
            else:
                for sock in others:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
        return "null"


def main() -> None:
    """Serve until standard input ends; see `Server`."""
    folder, *round_trips_ms = sys.argv[1:]
    authority = trustme.CA()
    authority.cert_pem.write_to_path(f"{folder}/ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    origin, urls = Origin(), {}
    for scheme, port in (("http", origin.serve()), ("https", origin.serve(context))):
        for given in round_trips_ms:
            # At 0 there is no relay, so nothing but the client and this server is in the figure.
            reached = Relay(port, float(given) / 1e3).port if float(given) else port
            urls[f"{scheme} {given}"] = f"{scheme}://127.0.0.1:{reached}"
    print(json.dumps(urls), flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # a kept connection must not keep the process


if __name__ == "__main__":
    main()
