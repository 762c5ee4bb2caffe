"""HTTP requests, seen as they are sent, whatever library sends them; and answers that end their connection."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .notes import local, note, place, wrap

if TYPE_CHECKING:
    from typing import Any

_METHODS = (b"GET ", b"POST ", b"PUT ", b"DELETE ", b"HEAD ", b"PATCH ", b"OPTIONS ")
_TARGETS = {"AmazonSSM": "ssm", "TrentService": "kms", "DynamoDB_20120810": "dynamodb"}
_GRANT = b"grant_type=client_credentials"
_LOOKED_AT = 8192  # bytes of what is sent or received at once

connected: dict[int, int] = {}  # the connection of each file descriptor


def runtime_api() -> str:
    """Host and port of the Runtime API, which is not the function's."""
    return os.environ.get("AWS_LAMBDA_RUNTIME_API", "")


def watch_tls(module: Any) -> None:
    """Handshakes that succeed, and what goes through TLS."""

    def handshake(original: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        note("handshake")
        return result

    for owner, sending in ((module.SSLSocket, "send"), (module.SSLObject, "write")):
        wrap(owner, "do_handshake", handshake)
        wrap(owner, sending, send)
        wrap(owner, "read", receive)


def send(original: Any, *args: Any, **kwargs: Any) -> Any:
    """What is sent, seen before it is."""
    sock, data = (*args, *kwargs.values(), None)[:2]
    begin = _begin(data)
    if begin.startswith(_METHODS):
        _request(sock, begin)
    if _GRANT in begin:
        note("token", place=place())
    return original(*args, **kwargs)


def receive(original: Any, *args: Any, **kwargs: Any) -> Any:
    """What is received: only whether an answer says that the server will close the connection."""
    result = original(*args, **kwargs)
    number = connected.get(_fileno(args[0]))
    if number is not None:
        buffers = [value for value in (*args, *kwargs.values()) if isinstance(value, (bytearray, memoryview))]
        begin = _begin(buffers[0])[:result] if buffers else _begin(result)
        if begin.startswith(b"HTTP/1.") and _is_last(begin.partition(b"\r\n\r\n")[0].lower()):
            note("closing", connection=number)
    return result


def _begin(data: Any) -> bytes:
    """The first bytes; none of what cannot be looked at."""
    try:
        return bytes(memoryview(data).cast("B")[:_LOOKED_AT])
    except TypeError:
        return b""


def _is_last(head: bytes) -> bool:
    """Whether no other answer comes over the connection."""
    if b"\r\nconnection: close" in head:
        return True
    return head.startswith(b"http/1.0") and b"\r\nconnection: keep-alive" not in head


def _request(sock: Any, begin: bytes) -> None:
    """Write down a request."""
    first, *rest = begin.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
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
    number = connected.get(_fileno(sock))
    note("request", what=what or f"{first.split(' ')[0]} {host}", host=host, aws=signed, connection=number)


def _fileno(sock: Any) -> int:
    """Its descriptor; -1 for what has none, as an SSLObject."""
    fileno = getattr(sock, "fileno", None)
    return fileno() if fileno is not None else -1
