"""AWS's services over TLS, as far as the guard asks them; counts calls and connections."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trustme

IN_LAMBDA = "AWS_LAMBDA_RUNTIME_API"  # what makes `@handler` preload
_KEPT = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "VIRTUAL_ENV")


class Server:
    """On a free port of the loopback interface, until it is closed.

    Attributes:
        calls: how often each operation was asked for.
        connections: how many were opened.
        environ: the variables of a process that asks it, and nothing else.
    """

    def __init__(self, folder: Path) -> None:
        server, self.calls, self.connections = self, Counter[str](), 0
        self._lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                with server._lock:
                    server.connections += 1

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(self.headers["X-Amz-Target"].rpartition(".")[2], body)

            def do_GET(self) -> None:
                self._answer("GET", {})

            def _answer(self, operation: str, asked: dict[str, Any]) -> None:
                with server._lock:
                    server.calls[operation] += 1
                content = json.dumps(answer(operation, asked)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "root.pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.environ = {name: os.environ[name] for name in _KEPT if name in os.environ} | {
            "AWS_ENDPOINT_URL": f"https://localhost:{self._server.server_port}",
            "AWS_CA_BUNDLE": str(folder / "root.pem"),
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "made-up",
            "AWS_CONFIG_FILE": str(folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
            "AWS_EC2_METADATA_DISABLED": "true",
            IN_LAMBDA: "127.0.0.1:9",  # nothing is there
            "SSL_CERT_FILE": str(folder / "root.pem"),
        }

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def answer(operation: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Of a service to one call."""
    text = json.dumps({"of": "the guard"})

    def secret(name: str) -> dict[str, Any]:
        arn = f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{name}-AbCdEf"
        return {"Name": name, "ARN": arn, "SecretString": text, "VersionId": "1" * 32, "VersionStages": ["AWSCURRENT"]}

    def parameter(name: str) -> dict[str, Any]:
        return {"Name": name, "Type": "String", "Value": text, "Version": 1}

    match operation:
        case "GetSecretValue":
            return secret(asked["SecretId"])
        case "BatchGetSecretValue":
            return {"SecretValues": [*map(secret, asked["SecretIdList"])], "Errors": []}
        case "GetParameter":
            return {"Parameter": parameter(asked["Name"])}
        case "GetParameters":
            return {"Parameters": [*map(parameter, asked["Names"])], "InvalidParameters": []}
    return {}


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """The server, for the length of the block."""
    server = Server(folder)
    try:
        yield server
    finally:
        server.close()
