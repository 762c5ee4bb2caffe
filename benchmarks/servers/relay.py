"""A relay that adds a distance to the loopback interface."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from queue import SimpleQueue


class Relay:
    """Passes bytes on, each half a round trip late, in both directions; so does an ending.

    The kernel completes a connection to it at once, where the other end of a real one is a round trip away. So what
    the client sends first is held back for that long as well, counted from the connection.

    Args:
        port: of the server, on the loopback interface.
        round_trip_s: how far away it is to be.

    Attributes:
        port: where the relay listens; until the process ends.
    """

    def __init__(self, port: int, round_trip_s: float) -> None:
        self._server = port
        self._round_trip_s = round_trip_s
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            opened_s = time.perf_counter() + self._round_trip_s
            server = socket.create_connection(("127.0.0.1", self._server))
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pass_on(client, server, opened_s)
            self._pass_on(server, client, opened_s)

    def _pass_on(self, source: socket.socket, target: socket.socket, opened_s: float) -> None:
        pieces: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
        threading.Thread(target=_read, args=(source, pieces, self._round_trip_s / 2, opened_s), daemon=True).start()
        threading.Thread(target=_write, args=(target, pieces), daemon=True).start()


def _read(source: socket.socket, pieces: SimpleQueue[tuple[float, bytes]], late_s: float, opened_s: float) -> None:
    piece = b"-"
    while piece:
        try:
            piece = source.recv(65536)
        except OSError:
            piece = b""
        pieces.put((max(time.perf_counter(), opened_s) + late_s, piece))


def _write(target: socket.socket, pieces: SimpleQueue[tuple[float, bytes]]) -> None:
    # An ending closes nothing: the other direction has this socket, too, and the last reference to it does.
    with contextlib.suppress(OSError):
        while True:
            due_s, piece = pieces.get()
            time.sleep(max(0.0, due_s - time.perf_counter()))
            if not piece:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(piece)
