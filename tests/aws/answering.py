"""A server that gives the answers it was told, for what moto cannot be made to say."""

import json
import socket
import threading
from typing import Any, Self


def aws_json(status: int, body: Any, **headers: str) -> bytes:
    """A whole response, after which the connection is closed."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": "r-1", "Connection": "close", **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in head.items()]
    return "\r\n".join([f"HTTP/1.1 {status} X", *lines, f"Content-Length: {len(payload)}", "", ""]).encode() + payload


class Answering:
    """One answer for each connection, the last one again and again. None: close without an answer; `...`: be silent."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._silent: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.received: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def requests(self) -> int:
        """How many have come."""
        return len(self.received)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)
        for connection in self._silent:
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.received.append(_request(connection))
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            if answer is ...:
                self._silent.append(connection)
                continue
            with connection:
                connection.sendall(answer or b"")


def _request(connection: socket.socket) -> bytes:
    """A whole request: a client may send head and body one after the other. What is cut short is taken as it is."""
    connection.settimeout(10)
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        length = next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b"0")
        if end and len(body) >= int(length):
            return received
        piece = connection.recv(65536)
        if not piece:
            return received
        received += piece
