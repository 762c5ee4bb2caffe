"""The process of moto's server, which counts the calls that reach it."""

from __future__ import annotations

import importlib.util
import json
import os
import ssl
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import trustme
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PREPARE = Path(__file__).resolve().parents[1] / "examples" / "orders" / "prepare.py"


class Counting:
    """Every call by its ``X-Amz-Target``; ``/__calls`` tells how many there were."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] == "/__calls":
            body = json.dumps(self.calls).encode()
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        target = environ.get("HTTP_X_AMZ_TARGET", environ["PATH_INFO"])
        with self._lock:
            self.calls[target.rpartition(".")[2]] += 1
        answer: Iterable[bytes] = self.app(environ, start_response)
        return answer


class Quiet(MotoRequestHandler):
    """moto's request handler, without its access log."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: a line per request would be part of what is measured."""


def prepare() -> None:
    """Everything that the effects ask for: the example's own, and a secret and a table of no meaning."""
    spec = importlib.util.spec_from_file_location("orders_prepare", PREPARE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    session = boto3.Session()
    module.prepare(session)
    session.client("ssm").put_parameter(Name="/bench/parameter", Value="on", Type="String")
    session.client("secretsmanager").create_secret(Name="bench/secret", SecretString='{"user": "app", "port": 5432}')


def serve(app: Any, context: ssl.SSLContext | None = None) -> int:
    """Serve on a free port, in a thread that ends with the process."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet, ssl_context=context)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def certificate(folder: str) -> ssl.SSLContext:
    """A certificate for localhost; that of its issuer is written to ``ca.pem``."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(f"{folder}/ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def main() -> None:
    """Serve until standard input ends: it is a pipe that our parent holds, so it ends when the parent does."""
    app = Counting(DomainDispatcherApplication(create_backend_app))
    url = f"http://127.0.0.1:{serve(app)}"
    secure_url = f"https://localhost:{serve(app, certificate(sys.argv[1]))}"
    os.environ["AWS_ENDPOINT_URL"] = url
    prepare()
    app.calls.clear()
    print(url, secure_url, flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # a kept connection must not keep the process


if __name__ == "__main__":
    main()
