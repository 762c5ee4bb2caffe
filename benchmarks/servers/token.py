"""A server that issues bearer tokens, and counts them by client."""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from .relay import Relay
from .server import Server, announce, control, serve_until_parent_ends

_EXPIRES_IN_S = 3600


class TokenServer(Server):
    """The parent's end.

    Args:
        round_trip_ms: how far away `url` is.

    Attributes:
        near: the address without a distance.
        url: that at the distance.
    """

    def __init__(self, round_trip_ms: int) -> None:
        super().__init__("servers.token", str(round_trip_ms))
        self.near, self.url = self.announced

    def counts(self) -> Counter[str]:
        """How many tokens each client was issued."""
        return Counter(control(self.near, "counts"))


class Issuer:
    """Tokens by client credentials, each a new one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._issued: Counter[str] = Counter()

    def issue(self, form: bytes) -> dict[str, object]:
        """The answer of a token endpoint."""
        client = parse_qs(form.decode())["client_id"][0]
        with self._lock:
            self._issued[client] += 1
            number = self._issued[client]
        return {"access_token": f"{client}.{number}", "token_type": "Bearer", "expires_in": _EXPIRES_IN_S}

    def counts(self) -> dict[str, int]:
        """How many tokens each client was issued."""
        with self._lock:
            return dict(self._issued)


class Answers(BaseHTTPRequestHandler):
    """Answers a POST with a token, and a GET with the counts."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    issuer = Issuer()

    def do_POST(self) -> None:
        """A token."""
        self._send(self.issuer.issue(self.rfile.read(int(self.headers["Content-Length"]))))

    def do_GET(self) -> None:
        """The counts."""
        self._send(self.issuer.counts())

    def _send(self, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: a line per request would be part of what is measured."""


def main() -> None:
    """Serve until the parent ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    relay = Relay(server.server_port, float(sys.argv[1]) / 1e3)
    announce([f"http://127.0.0.1:{server.server_port}", f"http://127.0.0.1:{relay.port}"])
    serve_until_parent_ends()


if __name__ == "__main__":
    main()
