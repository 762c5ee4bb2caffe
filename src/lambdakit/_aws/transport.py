"""Exchanges over a pool of kept-alive connections, each bounded in time: connections, TLS trust, strict HTTP/1.1.

A request is written well formed or refused, a response is read well formed or refused: a lenient reader is how one
response is taken for two. ``http.client`` does the same job, at the price of importing ``email``.

Certificates are always verified together with the host name. Parsing the machine's 140 certificates takes 15 ms,
Amazon's own five 0.7. So these are tried first, unless the environment names a bundle, and the full store only for a
host whose issuer they do not know.
"""

from __future__ import annotations

import os
import threading

from .._clock import age_s, in_time
from ..exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from .._clock import Clock, Instant

Origin: TypeAlias = "tuple[str, str, int]"
"""Scheme (``"https"`` or ``"http"``), host (ASCII; an IPv6 address without brackets), port."""

CONNECT_TIMEOUT_S = 2.0  # a connection within a region takes milliseconds
READ_TIMEOUT_S = 10.0

_PIECE = 64 * 1024  # bytes per receive
# Linux has the first name, macOS the second. NAT and load balancers drop a flow that is silent for 350 s.
_KEEPALIVE_S = (("TCP_KEEPIDLE", 20), ("TCP_KEEPALIVE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))

AMAZON_ROOTS = os.path.join(os.path.dirname(__file__), "amazon_roots.pem")  # noqa: PTH118, PTH120 - pathlib is an import
_BUNDLES, _FILE, _DIR = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"), "SSL_CERT_FILE", "SSL_CERT_DIR"

# X509_V_ERR_...: the chain ends, or begins, at a certificate that no store here issued. Whatever else is wrong with a
# certificate (expired, another host's) is wrong with every store.
_UNKNOWN_ISSUER = frozenset(
    (
        2,  # UNABLE_TO_GET_ISSUER_CERT
        18,  # DEPTH_ZERO_SELF_SIGNED_CERT
        19,  # SELF_SIGNED_CERT_IN_CHAIN
        20,  # UNABLE_TO_GET_ISSUER_CERT_LOCALLY
        21,  # UNABLE_TO_VERIFY_LEAF_SIGNATURE
    )
)

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


class ConnectError(ExchangeError):
    """No connection could be made, or not in time: nothing was sent."""

    sent = False


class TlsError(ExchangeError):
    """The TLS handshake failed, such as on a certificate that is not trusted: nothing was sent."""

    sent = False


class ReadTimeoutError(ExchangeError, TimeoutError):
    """The response was not complete in time."""


class Transport:
    """Connections to any number of hosts. Thread-safe; nothing of it runs between two calls.

    Args:
        clock: tells how long a connection has been idle, and when a deadline has passed.
        trust: the certificates to trust.
        max_idle_s: seconds of idleness, by the larger of wall and monotonic age, after which a connection is closed and
            not used: it may have died while the environment was frozen.
        max_idle_per_host: how many connections per host are kept while idle, as botocore has it. More threads than
            that open connections of their own, which are closed after use: nobody waits for a connection.
    """

    __slots__ = ("_clock", "_generation", "_idle", "_lock", "_max_idle_per_host", "_max_idle_s", "_trust")

    def __init__(self, *, clock: Clock, trust: Trust, max_idle_s: float = 20.0, max_idle_per_host: int = 10) -> None:
        self._clock = clock
        self._trust = trust
        self._max_idle_s = max_idle_s
        self._max_idle_per_host = max_idle_per_host
        self._lock = threading.Lock()
        self._generation = 0
        self._idle: dict[Origin, list[_Connection]] = {}

    def __repr__(self) -> str:
        """How many connections are idle, by host."""
        with self._lock:
            idle = ", ".join(f"{host}:{port}: {len(stack)}" for (_, host, port), stack in self._idle.items() if stack)
        return f"Transport({idle})"

    def exchange(
        self,
        origin: Origin,
        request: bytes,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        deadline: float | None = None,
        resend: bool = False,
        max_body: int = MAX_BODY,
    ) -> Response:
        """Send a request and return its response, whatever its status; redirects are not followed.

        Args:
            origin: where to send it.
            request: as `build_request` makes it.
            connect_timeout_s: seconds for each address of the host to accept a connection, then for the TLS handshake.
            read_timeout_s: seconds from the request's first byte to the response's last. Slow bytes do not extend it.
            deadline: the monotonic instant by which the exchange ends, one way or the other; None for none. Resolving
                a name cannot be interrupted, and is the only step that may outlast it; see `in_time`.
            resend: True if the request may be executed twice. It is then sent once more, over a new connection, if a
                kept-alive one was lost before a byte of the response came; never after a time-out.
            max_body: the most bytes of body to accept.

        Raises:
            ExchangeError: if no complete response came: `ConnectError`, `TlsError`, `ReadTimeoutError`,
                `ConnectionLostError`, `ProtocolError`. Its ``sent`` tells whether the server may have executed it.
            ConfigurationError: if a bundle of certificates that the environment names cannot be read.
        """
        if deadline is not None and deadline <= self._clock.now()[1]:
            raise ConnectError(f"No time is left for a request to {origin[1]}")
        pooled = self._acquire(origin)
        if pooled is not None:
            try:
                return self._exchange_on(pooled, request, read_timeout_s, deadline, max_body)
            except ConnectionLostError:
                if pooled.answered or not resend:
                    raise
        new = self._open(origin, connect_timeout_s, deadline)
        return self._exchange_on(new, request, read_timeout_s, deadline, max_body)

    def warm_imports(self, tls_host: str | None) -> None:
        """Import in INIT what a first exchange needs; with TLS, make the context for this host."""
        __import__("socket")
        if tls_host is not None:
            self._trust.context(tls_host)

    def connect(
        self, origin: Origin, *, connect_timeout_s: float = CONNECT_TIMEOUT_S, deadline: float | None = None
    ) -> None:
        """Have a connection ready for the next exchange; nothing is sent beyond the TLS handshake.

        Raises:
            ConnectError, TlsError, ConfigurationError: as `exchange` does.
        """
        self._release(self._acquire(origin) or self._open(origin, connect_timeout_s, deadline))

    def close_idle(self, now: Instant) -> float | None:
        """Close the connections that are idle for too long at `now`; seconds until the next one is, None for none."""
        expired: list[_Connection] = []
        idle_s: list[float] = []
        with self._lock:
            for origin, stack in self._idle.items():
                expired += [connection for connection in stack if self._has_expired(connection, now)]
                self._idle[origin] = [connection for connection in stack if not self._has_expired(connection, now)]
                idle_s += [age_s(connection.used_at, now) for connection in self._idle[origin]]
        for connection in expired:
            connection.sock.close()
        return self._max_idle_s - max(idle_s) if idle_s else None

    def close(self) -> None:
        """Close all idle connections, now, and those in use after their exchange; a later call opens new ones."""
        with self._lock:
            self._generation += 1
            stacks = [*self._idle.values()]
            self._idle.clear()
        for stack in stacks:
            for connection in stack:
                connection.sock.close()

    def after_fork_in_child(self) -> None:
        """Close this process's descriptors of idle connections. Nothing is locked or sent."""
        for stack in self._idle.values():
            for connection in stack:
                connection.sock.close()

    def _acquire(self, origin: Origin) -> _Connection | None:
        # The youngest idle connection that is alive.
        now = self._clock.now()
        while True:
            with self._lock:
                stack = self._idle.get(origin)
                connection = stack.pop() if stack else None
            if connection is None or (not self._has_expired(connection, now) and connection.is_alive()):
                return connection
            connection.sock.close()

    def _release(self, connection: _Connection) -> None:
        with self._lock:
            stack = self._idle.setdefault(connection.origin, [])
            pooled = connection.generation == self._generation and len(stack) < self._max_idle_per_host
            if pooled:
                stack.append(connection)
        if not pooled:
            connection.sock.close()

    def _has_expired(self, connection: _Connection, now: Instant) -> bool:
        return age_s(connection.used_at, now) > self._max_idle_s

    def _exchange_on(
        self, connection: _Connection, request: bytes, timeout_s: float, deadline: float | None, max_body: int
    ) -> Response:
        sock = connection.sock
        until = self._until(timeout_s, deadline)
        connection.answered = keep = False

        def receive() -> bytes:
            sock.settimeout(self._left_s(until))
            data = sock.recv(_PIECE)
            connection.answered = connection.answered or bool(data)
            return data

        try:
            unsent = memoryview(request)
            while unsent:  # not sendall: over TLS its time-out begins anew with every record
                sock.settimeout(self._left_s(until))
                unsent = unsent[sock.send(unsent) :]
            response, keep = read_response(receive, head=request.startswith(b"HEAD "), max_body=max_body)
        except ExchangeError:
            raise
        except TimeoutError as error:
            raise ReadTimeoutError(f"{connection.origin[1]} did not complete its response in time") from error
        except OSError as error:
            raise ConnectionLostError(f"The connection to {connection.origin[1]} was lost") from error
        finally:
            if not keep:
                sock.close()
        if keep:
            connection.used_at = self._clock.now()
            self._release(connection)
        return response

    def _open(self, origin: Origin, timeout_s: float, deadline: float | None) -> _Connection:
        scheme, host, port = origin
        generation = self._generation
        context = self._trust.context(host) if scheme == "https" else None
        sock = self._tcp(host, port, timeout_s, deadline)
        if context is None:
            return _Connection(origin, sock, BlockingIOError, self._clock.now(), generation)
        import ssl  # 2 to 4 ms after socket; not paid for the endpoint of credentials, which is http

        try:
            sock.settimeout(self._left_s(self._until(timeout_s, deadline)))
            # The name as bytes: as str it goes through the codec idna, 0.8 ms. An end without TLS's own is an error:
            # whoever is in between could cut a response short.
            secured = context.wrap_socket(sock, server_hostname=host.encode("ascii"), suppress_ragged_eofs=False)
        except ssl.SSLCertVerificationError as error:
            if self._trust.fall_back_to_system_store(host, error):
                return self._open(origin, timeout_s, deadline)
            raise TlsError(f"The certificate of {host} is not accepted: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise TlsError(f"The TLS handshake with {host} failed: {error.reason}") from error
        except OSError as error:
            raise ConnectError(f"The TLS handshake with {host} was not completed") from error
        finally:
            sock.close()  # without effect once the handshake has begun: the connection is the other object's then
        return _Connection(origin, secured, ssl.SSLWantReadError, self._clock.now(), generation)

    def _tcp(self, host: str, port: int, timeout_s: float, deadline: float | None) -> socket.socket:
        import socket  # 2 to 3 ms; not paid where nothing is fetched

        try:
            # The name as bytes: as str it goes through the codec idna, 0.8 ms.
            encoded = host.encode("ascii")
            addresses = in_time(lambda: socket.getaddrinfo(encoded, port, type=socket.SOCK_STREAM), clock=self._clock)
        except OSError as error:
            raise ConnectError(f"The name {host} cannot be resolved") from error
        failure: OSError | None = None
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self._left_s(self._until(timeout_s, deadline)))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for name, value in _KEEPALIVE_S:
                    if hasattr(socket, name):
                        sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            except OSError as error:
                sock.close()
                failure = error
            else:
                return sock
        raise ConnectError(f"No connection to {host}:{port} could be made") from failure

    def _until(self, timeout_s: float, deadline: float | None) -> float:
        until = self._clock.now()[1] + timeout_s
        return until if deadline is None else min(until, deadline)

    def _left_s(self, until: float) -> float:
        left_s = until - self._clock.now()[1]
        if left_s <= 0:
            raise TimeoutError
        return left_s


class _Connection:
    """A connected socket, with what the pool has to know of it."""

    __slots__ = ("_nothing", "answered", "generation", "origin", "sock", "used_at")

    def __init__(
        self, origin: Origin, sock: socket.socket, nothing: type[OSError], used_at: Instant, generation: int
    ) -> None:
        self.origin = origin
        self.sock = sock
        self._nothing = nothing  # what a receive raises if there is nothing to be received now
        self.used_at = used_at
        self.generation = generation
        self.answered = False

    def is_alive(self) -> bool:
        """False if it has ended, or if bytes have come that nobody asked for."""
        try:
            self.sock.settimeout(0)
            self.sock.recv(1)  # reads what TLS sends for itself too, such as session tickets
        except self._nothing:
            return True
        except OSError:
            return False
        return False


class Trust:
    """The TLS contexts of an environment, built when first needed. Thread-safe.

    Args:
        environ: read when the first context is built; the default is this process's. ``AWS_CA_BUNDLE`` wins, then
            ``REQUESTS_CA_BUNDLE``, as botocore has it, then ``SSL_CERT_FILE`` with ``SSL_CERT_DIR``; an empty one
            counts as not set.
        roots: the file tried first where none of these is set. For tests: there is no setting for it.
    """

    __slots__ = ("_by_system_store", "_environ", "_first", "_full", "_is_named", "_lock", "_roots")

    def __init__(self, *, environ: Mapping[str, str] | None = None, roots: str = AMAZON_ROOTS) -> None:
        self._environ = os.environ if environ is None else environ
        self._roots = roots
        self._lock = threading.Lock()
        self._first: ssl.SSLContext | None = None
        self._full: ssl.SSLContext | None = None
        self._is_named = False  # the first context is of a bundle that the environment names: there is no second
        self._by_system_store: set[str] = set()

    def __repr__(self) -> str:
        """The hosts that the full store is used for."""
        return f"Trust(named={self._is_named}, full={sorted(self._by_system_store)})"

    def context(self, host: str) -> ssl.SSLContext:
        """The context to connect to `host` with.

        Raises:
            ConfigurationError: if a bundle that the environment names cannot be read.
        """
        with self._lock:
            if host in self._by_system_store:
                if self._full is None:
                    self._full = _full()
                return self._full
            if self._first is None:
                named = _named(self._environ)
                self._is_named = named is not None
                self._first = named or _from_file(self._roots) or _full()
            return self._first

    def fall_back_to_system_store(self, host: str, error: ssl.SSLCertVerificationError) -> bool:
        """Whether connecting again to `host` is worth it, with the machine's full store, after this `error`.

        True at most once for a host; the full store is used for it from then on.
        """
        with self._lock:
            if self._is_named or host in self._by_system_store or error.verify_code not in _UNKNOWN_ISSUER:
                return False
            self._by_system_store.add(host)
            return True


def _named(environ: Mapping[str, str]) -> ssl.SSLContext | None:
    for variable in _BUNDLES:
        if bundle := environ.get(variable):
            if os.path.isdir(bundle):  # noqa: PTH112 - pathlib is an import
                return _load(variable, bundle, cafile=None, capath=bundle)
            return _load(variable, bundle, cafile=bundle)
    file, directories = environ.get(_FILE) or None, environ.get(_DIR) or None
    if directories is not None and not any(os.path.isdir(path) for path in directories.split(os.pathsep)):  # noqa: PTH112 - pathlib is an import
        raise _unreadable(_DIR, directories)  # OpenSSL would not say so
    if file is None and directories is None:
        return None
    return _load(_FILE, file, cafile=file, capath=directories)


def _load(variable: str, named: str | None, *, cafile: str | None, capath: str | None = None) -> ssl.SSLContext:
    import ssl  # 4 ms after socket, and loaded by whoever speaks TLS

    try:
        context = ssl.create_default_context(cafile=cafile, capath=capath)
    except OSError as error:  # ssl.SSLError too: the file holds no certificate
        raise _unreadable(variable, named) from error
    return _strict(context)


def _from_file(roots: str) -> ssl.SSLContext | None:
    import ssl  # 4 ms after socket, and loaded by whoever speaks TLS

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
    try:
        context.load_verify_locations(roots)
    except OSError:
        return None  # whoever made the package left the file out: slower, not broken
    return _strict(context)


def _full() -> ssl.SSLContext:
    import ssl  # loaded: a handshake has failed

    return _strict(ssl.create_default_context())  # 15 ms


def _strict(context: ssl.SSLContext) -> ssl.SSLContext:
    import ssl  # loaded: there is a context

    context.minimum_version = ssl.TLSVersion.TLSv1_2  # Python's default, whatever this machine's OpenSSL is told
    return context


def _unreadable(variable: str, named: str | None) -> ConfigurationError:
    return ConfigurationError(
        f"{variable} names {named!r}, which cannot be read as certificates. Correct it, or unset it"
    )


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
