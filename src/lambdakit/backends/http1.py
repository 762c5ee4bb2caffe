"""One strict HTTP/1.1 exchange as bytes, without a socket.

It writes what is well formed or raises, reads what is well formed or raises: a lenient reader is how one response is
taken for two. ``http.client`` does the same job, at the price of importing ``email``.
"""

from __future__ import annotations

from ..exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_BODY = 32 * 1024 * 1024  # five times the largest answer of a synchronous Invoke
_MAX_LINE = 16 * 1024  # three times the largest header there is: X-Amz-Log-Result with its 4 KB in base64
_MAX_HEAD = 64 * 1024  # all headers together, and all trailers
_MAX_HEADERS = 100  # as http.client has it
_MAX_INTERIM = 8  # responses with a status of 1xx before the real one
_MAX_DIGITS = 15  # of a length: more is beyond any limit

# RFC 9110, sections 5.6.2 and 5.5, for bytes.translate: what remains after deleting these is not allowed.
_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TEXT = bytes((0x09, *range(0x20, 0x7F), *range(0x80, 0x100)))
_TARGET = bytes(range(0x21, 0x7F))
_HEX = b"0123456789abcdefABCDEF"

_SWITCHING, _OK, _NO_CONTENT, _NOT_MODIFIED = 101, 200, 204, 304
_FRAMING = ("content-length", "transfer-encoding")


class ExchangeError(OSError):
    """An exchange that has no response. The message never holds a byte of the request or of the response.

    Attributes:
        sent: False if the server cannot have executed the request, True if it may have.
    """

    sent = True


class ProtocolError(ExchangeError):
    """What came back is not a well-formed HTTP/1.1 response, or is larger than allowed."""


class ConnectionLostError(ExchangeError):
    """The connection ended before the response was complete."""


class Response:
    """A complete response.

    Attributes:
        status: 200 to 599.
        headers: by name in lower case; the values of a header that came more than once are joined by ``", "``.
        body: decoded from chunks, not from any content coding; empty if there was none.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        """The status and how much there is; what there is may be a secret."""
        return f"Response({self.status}, {len(self.headers)} headers, {len(self.body)} bytes)"


def build_request(method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """The bytes of a request.

    Args:
        method: such as ``"POST"``.
        target: path and query, percent-encoded.
        headers: all of them, ``Host`` included. ``Content-Length`` is added, and must not be among them.
        body: the whole body.

    Raises:
        ConfigurationError: if a part is not what HTTP allows there, such as a line break in a header's value. The
            message names the header at most.
    """
    try:
        start = f"{method} {target}".encode("ascii")
    except UnicodeEncodeError:
        start = b""
    verb, _, rest = start.partition(b" ")
    if not verb or verb.translate(None, _TOKEN) or not rest or rest.translate(None, _TARGET):
        raise ConfigurationError("The method or the target of a request holds a character that HTTP does not allow")
    lines = [start + b" HTTP/1.1"]
    names = [name.lower() for name in headers]
    if names.count("host") != 1 or any(name in names for name in _FRAMING):
        raise ConfigurationError("A request needs one Host header, and no Content-Length or Transfer-Encoding")
    for name, value in headers.items():
        lines.append(_header(name, value))
    if body or verb not in {b"GET", b"HEAD"}:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join((*lines, b"", body))


def read_response(
    receive: Callable[[], bytes], *, head: bool = False, max_body: int = MAX_BODY
) -> tuple[Response, bool]:
    """Read one response, and say whether the connection can carry another exchange.

    Args:
        receive: returns the next bytes, as many as there are; none for the end. What it raises passes through.
        head: True if the request was a HEAD, whose response has no body whatever it says.
        max_body: the most bytes of body to accept.

    Raises:
        ProtocolError: if the response is not well formed, or too large.
        ConnectionLostError: if it ends too early.
    """
    source = _Source(receive)
    for _ in range(_MAX_INTERIM + 1):
        version, status = _status(source.line())
        headers = _headers(source)
        if status >= _OK:
            break
        if status == _SWITCHING:
            raise ProtocolError("The server switches to a protocol that was not asked for")
    else:
        raise ProtocolError("The server sends interim responses without end")
    chunked, length = _framing(headers)
    if chunked and version == b"1.0":
        raise ProtocolError("The response has chunks in HTTP/1.0")
    keep = version == b"1.1" and not _closes(headers)
    if head or status in {_NO_CONTENT, _NOT_MODIFIED}:
        body = b""
    elif chunked:
        body = _chunks(source, max_body)
    elif length is not None:
        body = source.take(_bounded(length, max_body))
    else:
        keep = False
        body = source.rest(max_body)
    return Response(status, headers, body), keep and not source.pending


class _Source:
    """Bytes as they come: a line, so many, or all that are left."""

    __slots__ = ("_receive", "pending")

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self.pending = bytearray()

    def line(self) -> bytes:
        """The next line without its CR LF."""
        start = 0
        while (end := self.pending.find(b"\n", start)) < 0:
            start = len(self.pending)
            if start > _MAX_LINE:
                break
            self._more()
        if end < 0 or end > _MAX_LINE:
            raise ProtocolError(f"The response has a line of more than {_MAX_LINE} bytes")
        line = bytes(self.pending[: end + 1])
        del self.pending[: end + 1]
        if line[-2:] != b"\r\n":
            raise ProtocolError("The response has a line that does not end in CR LF")
        return line[:-2]

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        while len(self.pending) < count:
            self._more()
        taken = bytes(self.pending[:count])
        del self.pending[:count]
        return taken

    def rest(self, limit: int) -> bytes:
        """All bytes up to the end of the connection."""
        while data := self._receive():
            self.pending += data
            _bounded(len(self.pending), limit)
        return self.take(_bounded(len(self.pending), limit))

    def _more(self) -> None:
        data = self._receive()
        if not data:
            raise ConnectionLostError("The connection ended before the response was complete")
        self.pending += data


def _header(name: str, value: str) -> bytes:
    raw = name.encode("utf-8", "replace")
    if not raw or raw.translate(None, _TOKEN):
        raise ConfigurationError("The name of a header of a request holds a character that HTTP does not allow")
    try:
        text = value.encode("latin-1")
    except UnicodeEncodeError:
        text = b"\n"  # refused below, and not chained: that exception holds the value
    if text.translate(None, _TEXT):
        raise ConfigurationError(f"The value of the header {name} holds a character that HTTP does not allow")
    return raw + b": " + text


def _status(line: bytes) -> tuple[bytes, int]:
    version, status, space = line[5:8], line[9:12], line[12:13]
    if line[:5] != b"HTTP/" or version not in {b"1.1", b"1.0"} or line[8:9] != b" " or line[13:].translate(None, _TEXT):
        raise ProtocolError("The response does not begin with a status line of HTTP/1.1")
    if len(status) != 3 or not status.isdigit() or not b"1" <= status[:1] <= b"5" or space not in {b"", b" "}:  # noqa: PLR2004 - RFC 9112, section 4
        raise ProtocolError("The response has a status that is not a number from 100 to 599")
    return version, int(status)


def _headers(source: _Source) -> dict[str, str]:
    headers: dict[str, str] = {}
    size = 0
    for _ in range(_MAX_HEADERS + 1):
        line = source.line()
        if not line:
            return headers
        size += len(line)
        if size > _MAX_HEAD:
            raise ProtocolError(f"The response has headers of more than {_MAX_HEAD} bytes")
        raw, colon, text = line.partition(b":")
        if not colon or not raw or raw.translate(None, _TOKEN) or text.translate(None, _TEXT):
            raise ProtocolError("The response has a malformed header")
        name, value = raw.decode("ascii").lower(), text.strip(b" \t").decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    raise ProtocolError(f"The response has more than {_MAX_HEADERS} headers")


def _framing(headers: dict[str, str]) -> tuple[bool, int | None]:
    # RFC 9112, section 6.3, with every "ought to handle as an error" taken as one.
    lengths = headers.get("content-length")
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if lengths is not None or coding.lower() != "chunked":
            raise ProtocolError("The response has a transfer coding other than chunked, or a length beside it")
        return True, None
    if lengths is None:
        return False, None
    first, *others = (length.strip(" \t") for length in lengths.split(","))
    if not (first.isascii() and first.isdigit() and len(first) <= _MAX_DIGITS) or any(one != first for one in others):
        raise ProtocolError("The response has no single valid Content-Length")
    return False, int(first)


def _closes(headers: dict[str, str]) -> bool:
    options = headers.get("connection", "").lower().split(",")
    return any(option.strip(" \t") == "close" for option in options)


def _chunks(source: _Source, limit: int) -> bytes:
    body = bytearray()
    while True:
        digits, _, extension = source.line().partition(b";")
        digits = digits.rstrip(b" \t")
        if not digits or digits.translate(None, _HEX) or len(digits) > _MAX_DIGITS or extension.translate(None, _TEXT):
            raise ProtocolError("The response has a chunk without a valid size")
        size = int(digits, 16)
        if not size:
            _headers(source)  # the trailers: read, and of no use here
            return bytes(body)
        _bounded(len(body) + size, limit)
        body += source.take(size)
        if source.take(2) != b"\r\n":
            raise ProtocolError("The response has a chunk that is longer than its size")


def _bounded(size: int, limit: int) -> int:
    if size > limit:
        raise ProtocolError(f"The response has a body of more than {limit} bytes")
    return size
