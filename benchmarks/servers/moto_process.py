"""The process of moto's server, which counts the calls that reach it."""

from __future__ import annotations

import io
import json
import os
import ssl
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
import trustme
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from ..framework.orders import example
from .server import announce, serve_until_parent_ends
from .upstream import DATABASE, DATABASE_TEXT, DELAY_S, PARAMETERS, SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class CallCounter:
    """How often each operation was called, at all the addresses together."""

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
    """Counts every call by its ``X-Amz-Target``; the command ``calls`` tells the counts."""

    def __init__(self, app: Any, counter: CallCounter) -> None:
        self._app = app
        self._counter = counter

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] == "/__calls":
            body = self._counter.document()
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        target = environ.get("HTTP_X_AMZ_TARGET", environ["PATH_INFO"])
        self._counter.add(target.rpartition(".")[2])
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer


class Steady:
    """Replays the app's recorded answers after a fixed delay: as far away as a service, and as parallel.

    moto computes one answer after the other, in one process: simultaneous calls queue there. The first request
    of a kind is recorded, and counted as such.
    """

    def __init__(self, app: Any, counter: CallCounter, delay_s: float) -> None:
        self._app = app
        self._counter = counter
        self._delay_s = delay_s
        self._recorded: dict[tuple[str, bytes], tuple[str, list[tuple[str, str]], bytes]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        request = environ.get("HTTP_X_AMZ_TARGET", ""), body
        if request not in self._recorded:
            self._counter.add("first of its kind")
            self._recorded[request] = self._record(environ, body)
        status, headers, content = self._recorded[request]
        time.sleep(self._delay_s)
        start_response(status, headers)
        return [content]

    def _record(self, environ: dict[str, Any], body: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
        head: list[Any] = []
        parts = self._app(environ | {"wsgi.input": io.BytesIO(body)}, lambda *arguments: head.extend(arguments))
        return head[0], head[1], b"".join(parts)


class Quiet(MotoRequestHandler):
    """moto's request handler, without its access log."""

    disable_nagle_algorithm = True  # head and body are two writes; the second would wait for the other side's ACK

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: a line per request would be part of what is measured."""


def prepare() -> None:
    """Create everything that the effects ask for: what the example needs, and values of no meaning."""
    session = boto3.Session()
    example().prepare(session)
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
    """Serve until the parent ends."""
    moto, counter, context = DomainDispatcherApplication(create_backend_app), CallCounter(), certificate(sys.argv[1])
    app = Counting(moto, counter)
    url = f"http://127.0.0.1:{serve(app)}"
    secure_url = f"https://localhost:{serve(app, context)}"
    steady_url = f"https://localhost:{serve(Counting(Steady(moto, counter, DELAY_S), counter), context)}"
    os.environ["AWS_ENDPOINT_URL"] = url
    prepare()
    counter.clear()
    announce([url, secure_url, steady_url])
    serve_until_parent_ends()


if __name__ == "__main__":
    main()
