"""The Parameters and Secrets extension's wire, in front of real services: a server that follows it to the letter."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.exceptions import ClientError

_KEYS = {
    "/secretsmanager/get": {"secretId", "versionId", "versionStage"},
    "/systemsmanager/parameters/get": {"name", "version", "label", "withDecryption"},
}


class Extension:
    """Answers on a free port. `ready=False`: as in INIT; `fault`: what to do instead of answering."""

    def __init__(self, session: boto3.session.Session, *, token: str, ready: bool = True) -> None:
        self.session = session
        self.token = token
        self.ready = ready
        self.fault: Any = None
        self.asked = 0
        self.answered = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked += 1
                if outer.fault is not None and outer.fault(self):
                    return
                status, body = outer.answer(self.path, self.headers)
                payload = body.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def answer(self, target: str, headers: Any) -> tuple[int, str]:
        """Status and body: the rules of the wire, in the order in which they are checked."""
        if headers.get("X-Aws-Parameters-Secrets-Token") != self.token:
            return 403, "bad token"
        if not self.ready:
            return 400, "not ready to serve traffic, please wait"
        url = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        if set(query) - _KEYS.get(url.path, set()) or headers.get("X-Forwarded-For"):
            return 400, "unknown query key"
        try:
            document = self.secret(query) if url.path == "/secretsmanager/get" else self.parameter(query)
        except ClientError as error:
            self.answered += 1
            said = error.response["Error"]
            return 400, f"failed to get: operation error: {said['Code']}: {said['Message']}"
        self.answered += 1
        return 200, json.dumps(document, default=str)

    def secret(self, query: dict[str, str]) -> dict[str, Any]:
        """GetSecretValue's JSON, binary in base64."""
        import base64

        names = {"secretId": "SecretId", "versionId": "VersionId", "versionStage": "VersionStage"}
        answer = self.session.client("secretsmanager").get_secret_value(**{names[key]: query[key] for key in query})
        if "SecretBinary" in answer:
            answer["SecretBinary"] = base64.b64encode(answer["SecretBinary"]).decode()
        return dict(answer)

    def parameter(self, query: dict[str, str]) -> dict[str, Any]:
        """GetParameter's JSON; of version and label the first wins."""
        selector = query.get("version") or query.get("label")
        name = f"{query['name']}:{selector}" if selector else query["name"]
        decrypt = query.get("withDecryption") == "true"
        return dict(self.session.client("ssm").get_parameter(Name=name, WithDecryption=decrypt))
