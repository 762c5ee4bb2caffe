"""Bodies that are not bytes: sent with their length where that can be known, and exactly as long as it says."""

from __future__ import annotations

from .._diagnostics import find_in_type
from ..exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

_PIECE = 64 * 1024
_END = 2  # `whence` of `seek`


def framed(body: Any, headers: Any, *, chunked: bool) -> tuple[Any, Any]:
    """A body and headers as they are sent.

    Args:
        body: anything but None.
        headers: of the request, in which somebody may have said how long the body is.
        chunked: whether it is to be sent in chunks in any case.

    Where neither the headers nor the body tell a length, urllib3 sends it in chunks, which S3, for one, refuses.
    """
    said = {str(name).lower(): value for name, value in (headers or {}).items()}
    if chunked or "transfer-encoding" in said:
        if "content-length" in said:  # of two that read it differently, one takes a part of it for the next request
            raise ConfigurationError("headers: Content-Length does not go with chunks")
        return body, headers
    length: int | None
    if "content-length" in said:
        text = said["content-length"]
        text = text.decode("latin-1") if isinstance(text, bytes) else str(text)
        if not (text.isdecimal() and text.isascii()):
            raise ConfigurationError("headers: Content-Length is no number of bytes")
        length = int(text)
    else:
        length = _length(body)
        if length is not None:
            headers = {**dict(headers or {}), "Content-Length": str(length)}
    return (body, headers) if length is None else (_exactly(body, length), headers)


def _length(body: Any) -> int | None:
    """Bytes from where it stands to its end; None if nobody knows."""
    if isinstance(body, (str, bytes, bytearray, memoryview)):
        return None  # urllib3 does
    if isinstance(body, (list, tuple)):
        return sum(map(len, body)) if all(isinstance(piece, bytes) for piece in body) else None
    try:
        at = body.tell()
        body.seek(0, _END)
        end = body.tell()
        body.seek(at)
        if body.read(0) != b"":
            return None  # text: its length in bytes is not that of the file
    except (AttributeError, OSError, ValueError, TypeError):
        return _own_length(body)
    if end == at and body.read(1):  # such as those of /proc
        body.seek(at)
        return None
    return int(end - at)


def _own_length(body: Any) -> int | None:
    """What an object says that can be read and has a length; how many items there are is not what is asked."""
    return len(body) if find_in_type(type(body), "read") and find_in_type(type(body), "__len__") else None


def _exactly(body: Any, length: int) -> Iterator[bytes]:
    """The pieces of a body: one that is longer would be taken for the next request, one that is shorter waited for."""
    left = length
    for piece in _pieces(body):
        data = piece.encode() if isinstance(piece, str) else piece
        left -= memoryview(data).nbytes
        if left < 0:
            break
        yield data
    if left:
        raise ConfigurationError(
            f"body: it has {'fewer' if left > 0 else 'more'} bytes than its Content-Length says, {length}"
        )


def _pieces(body: Any) -> Iterable[Any]:
    if isinstance(body, (str, bytes, bytearray, memoryview)):
        return (body,)
    if hasattr(body, "read"):
        return iter(lambda: body.read(_PIECE) or b"", b"")
    try:
        memoryview(body)
    except TypeError:
        pieces: Iterable[Any] = body
        return pieces
    return (body,)
