"""HTTP requests as they are sent, whatever library sends them; responses that end their connection."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .recorder import local, record, user_line, wrap

if TYPE_CHECKING:
    from typing import Any

_METHODS = (b"GET ", b"POST ", b"PUT ", b"DELETE ", b"HEAD ", b"PATCH ", b"OPTIONS ")
_TARGETS = {"AmazonSSM": "ssm", "TrentService": "kms", "DynamoDB_20120810": "dynamodb"}
_GRANT = b"grant_type=client_credentials"
_INSPECTED_BYTES = 8192  # of what is sent or received at once

connections: dict[int, int] = {}  # their numbers, by file descriptor


def runtime_api() -> str:
    """Host and port of the Runtime API, whose connection is not the function's."""
    return os.environ.get("AWS_LAMBDA_RUNTIME_API", "")


def instrument_tls(module: Any) -> None:
    """Record handshakes that succeed, and requests and responses over TLS."""

    def handshake(original: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        record("handshake")
        return result

    for owner, sending in ((module.SSLSocket, "send"), (module.SSLObject, "write")):
        wrap(owner, "do_handshake", handshake)
        wrap(owner, sending, send)
        wrap(owner, "read", receive)


def send(original: Any, *args: Any, **kwargs: Any) -> Any:
    """Record the request that is about to be sent."""
    sock, data = (*args, *kwargs.values(), None)[:2]
    head = _head_of(data)
    if head.startswith(_METHODS):
        _record_request(sock, head)
    if _GRANT in head:
        record("token", place=user_line())
    return original(*args, **kwargs)


def receive(original: Any, *args: Any, **kwargs: Any) -> Any:
    """Record that a response ends its connection."""
    result = original(*args, **kwargs)
    number = connections.get(_fileno(args[0]))
    if number is not None:
        buffers = [value for value in (*args, *kwargs.values()) if isinstance(value, (bytearray, memoryview))]
        head = _head_of(buffers[0])[:result] if buffers else _head_of(result)
        if head.startswith(b"HTTP/1.") and _closes_connection(head.partition(b"\r\n\r\n")[0].lower()):
            record("closing", connection=number)
    return result


def _head_of(data: Any) -> bytes:
    """The first bytes; none of what is no buffer."""
    try:
        return bytes(memoryview(data).cast("B")[:_INSPECTED_BYTES])
    except TypeError:
        return b""


def _closes_connection(head: bytes) -> bool:
    """Whether the server closes the connection after this response."""
    if b"\r\nconnection: close" in head:
        return True
    return head.startswith(b"http/1.0") and b"\r\nconnection: keep-alive" not in head


def _record_request(sock: Any, head: bytes) -> None:
    """Record a request, unless it goes to the Runtime API."""
    first, *rest = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    if not first.endswith(("HTTP/1.1", "HTTP/1.0")):
        return
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    host = fields.get("host", "")
    if host == runtime_api():
        return
    prefix, _, operation = fields.get("x-amz-target", "").rpartition(".")
    signed = bool(operation) or fields.get("authorization", "").startswith("AWS4-HMAC-SHA256")
    what = getattr(local, "operation", None) if signed else None
    if what is None and operation:
        what = f"{_TARGETS.get(prefix, prefix)}.{operation}"
    number = connections.get(_fileno(sock))
    record("request", what=what or f"{first.split(' ')[0]} {host}", host=host, aws=signed, connection=number)


def _fileno(sock: Any) -> int:
    """Its file descriptor; -1 for what has none, such as an SSLObject."""
    fileno = getattr(sock, "fileno", None)
    return fileno() if fileno is not None else -1
