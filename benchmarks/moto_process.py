"""The process of moto's server, which counts the calls that reach it."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import ssl
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import trustme
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from .upstream import DATABASE, DATABASE_TEXT, DELAY_S, PARAMETERS, SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PREPARE = Path(__file__).resolve().parents[1] / "examples" / "orders" / "prepare.py"


class Tally:
    """How often each operation was asked for, at all the addresses together."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, what: str) -> None:
        """One more."""
        with self._lock:
            self._calls[what] += 1

    def clear(self) -> None:
        """Begin anew."""
        with self._lock:
            self._calls.clear()

    def document(self) -> bytes:
        """As JSON."""
        with self._lock:
            return json.dumps(self._calls).encode()


class Counting:
    """Every call by its ``X-Amz-Target``; ``/__calls`` tells how many there were."""

    def __init__(self, app: Any, tally: Tally) -> None:
        self.app = app
        self.tally = tally

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] == "/__calls":
            body = self.tally.document()
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        target = environ.get("HTTP_X_AMZ_TARGET", environ["PATH_INFO"])
        self.tally.add(target.rpartition(".")[2])
        answer: Iterable[bytes] = self.app(environ, start_response)
        return answer


class Steady:
    """What the app has answered to a request before, after a fixed delay: as far away as a service, and as parallel.

    moto computes one answer after the other, in one process: what is asked for at once queues there. A first request is
    the app's own affair, and is counted as one.
    """

    def __init__(self, app: Any, tally: Tally, delay_s: float) -> None:
        self._app = app
        self._tally = tally
        self._delay_s = delay_s
        self._answers: dict[tuple[str, bytes], tuple[str, list[tuple[str, str]], bytes]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        request = environ.get("HTTP_X_AMZ_TARGET", ""), body
        if request not in self._answers:
            self._tally.add("first of its kind")
            self._answers[request] = self._asked(environ, body)
        status, headers, content = self._answers[request]
        time.sleep(self._delay_s)
        start_response(status, headers)
        return [content]

    def _asked(self, environ: dict[str, Any], body: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
        began: list[Any] = []
        parts = self._app(environ | {"wsgi.input": io.BytesIO(body)}, lambda *given: began.extend(given))
        return began[0], began[1], b"".join(parts)


class Quiet(MotoRequestHandler):
    """moto's request handler, without its access log."""

    disable_nagle_algorithm = True  # head and body are two writes; the second would wait for the other side's ACK

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: a line per request would be part of what is measured."""


def prepare() -> None:
    """Everything that the effects ask for: the example's own, and values of no meaning."""
    spec = importlib.util.spec_from_file_location("orders_prepare", PREPARE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    session = boto3.Session()
    module.prepare(session)
    ssm, secrets = session.client("ssm"), session.client("secretsmanager")
    ssm.put_parameter(Name="/bench/parameter", Value="on", Type="String")
    secrets.create_secret(Name="bench/secret", SecretString='{"user": "app", "port": 5432}')
    secrets.create_secret(Name=DATABASE, SecretString=DATABASE_TEXT)
    for number, (name, value) in enumerate(PARAMETERS.items()):
        ssm.put_parameter(Name=name, Value=value, Type="String" if number % 5 else "SecureString")
    for name, value in SECRETS.items():
        secrets.create_secret(Name=name, SecretString=value)


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
    """Serve until standard input ends; see `Server`."""
    moto, tally, context = DomainDispatcherApplication(create_backend_app), Tally(), certificate(sys.argv[1])
    app = Counting(moto, tally)
    url = f"http://127.0.0.1:{serve(app)}"
    secure_url = f"https://localhost:{serve(app, context)}"
    steady_url = f"https://localhost:{serve(Counting(Steady(moto, tally, DELAY_S), tally), context)}"
    os.environ["AWS_ENDPOINT_URL"] = url
    prepare()
    tally.clear()
    print(json.dumps([url, secure_url, steady_url]), flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # a kept connection must not keep the process


if __name__ == "__main__":
    main()
