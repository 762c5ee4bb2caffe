"""The process of a server that issues bearer tokens, and counts them by client."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from .relay import Relay

LASTS_S = 3600


class Issuer:
    """Tokens by client credentials, each another one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._issued: Counter[str] = Counter()

    def issue(self, form: bytes) -> dict[str, object]:
        """One more."""
        client = parse_qs(form.decode())["client_id"][0]
        with self._lock:
            self._issued[client] += 1
            number = self._issued[client]
        return {"access_token": f"{client}.{number}", "token_type": "Bearer", "expires_in": LASTS_S}

    def counts(self) -> dict[str, int]:
        """By client."""
        with self._lock:
            return dict(self._issued)


class Answers(BaseHTTPRequestHandler):
    """POST is answered with a token, GET with the counts."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    issuer = Issuer()

    def do_POST(self) -> None:
        """A token."""
        self._say(self.issuer.issue(self.rfile.read(int(self.headers["Content-Length"]))))

    def do_GET(self) -> None:
        """How many there were."""
        self._say(self.issuer.counts())

    def _say(self, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: a line per request would be part of what is measured."""


def main() -> None:
    """Serve until standard input ends; see `Server`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    relay = Relay(server.server_port, float(sys.argv[1]) / 1e3)
    print(json.dumps([f"http://127.0.0.1:{server.server_port}", f"http://127.0.0.1:{relay.port}"]), flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # a kept connection must not keep the process


if __name__ == "__main__":
    main()
