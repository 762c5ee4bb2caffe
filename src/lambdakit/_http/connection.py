"""urllib3's connections, told how long they may idle, how long each step may take, and where an answer ends."""

from __future__ import annotations

import http.client
import io
import re
import socket
from ssl import SSLSocket

import urllib3.connection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family
from urllib3.util.wait import wait_for_read

from .._clock import in_time
from .policy import READ_S, Life, deadline_error, idle_limit_s
from .tls import Context, nothing_but_tickets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from urllib3.connection import HTTPConnection, HTTPSConnection

    from .._clock import Instant
    from .policy import ConnectionPolicy
else:
    # urllib3's own, also where this is imported while a test's are in their place: see `Pool.ConnectionCls`.
    HTTPConnection, HTTPSConnection = (
        next(one for one in kind.__mro__ if one.__module__ == "urllib3.connection")
        for kind in (urllib3.connection.HTTPConnection, urllib3.connection.HTTPSConnection)
    )

# A NAT gateway forgets a flow that is silent for 350 s; a peer that is gone is noticed within 35 s. Linux has the first
# name, macOS the second; TCP_USER_TIMEOUT, in ms, is Linux's: how long what was sent may stay unacknowledged.
SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (
            ("TCP_KEEPIDLE", 20),
            ("TCP_KEEPALIVE", 20),
            ("TCP_KEEPINTVL", 5),
            ("TCP_KEEPCNT", 3),
            ("TCP_USER_TIMEOUT", 30_000),
        )
        if hasattr(socket, name)
    ),
]


_SWITCHING, _FINAL = 101, 200
_MAX_INTERIM = 100  # answers with a status of 1xx before the one that counts; long work may send one each second
_MAX_LINE, _MAX_LINES = 65_536, 100  # of their heads, as http.client has it for others

# A request line, and lines of headers: RFC 9110, sections 5.5 and 5.6.2.
_HEAD = re.compile(rb"[^\r\n\0]+(?:\n[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\r\n\0]*)*")


class UnaskedBytesError(ConnectionError):
    """Before a request was sent there was something to be read: an answer to nobody, or the end."""


class PooledConnection(Life, HTTPConnection):
    """A connection that is kept. For one thread at a time.

    Attributes:
        policy: what holds for all of them; set by the pool.
        begun: whether a byte of the last request was sent.
        answered: whether a byte of the response to it has come.
        ended: whether its end has.
        spoiled: whether no other request may be sent over it: one was not sent in whole, or more has come than its
            answer.
        read_s: seconds of silence that are borne while sending, None for any number.
    """

    policy: ConnectionPolicy
    begun = False
    answered = False
    ended = False
    spoiled = False
    read_s: float | None = READ_S
    _sockets: Any = None
    _by_budget = False
    _response: _Response | None = None

    def stamp(self) -> None:
        """From now on it is idle; it is closed if the last exchange is not over."""
        response, self._response = self._response, None
        if self.sock is not None and (self.spoiled or not (response is None or response.is_over())):
            self.close()
        self.used_at = self.policy.clock.now()

    def left_s(self, now: Instant) -> float:
        """Seconds for which it may be used if it stays idle; below 0 if it has expired."""
        return self.policy.left_s(self, now)

    @property
    def is_connected(self) -> bool:
        """Whether it is to be used again; urllib3 asks whenever it takes one from a pool.

        `send` looks whether it has ended, and its pool opens another one then; by a proxy that has to be known now.
        """
        if self.sock is None or self.policy.has_expired(self, self.policy.clock.now()):
            return False
        if self._sockets is not socket.socket:  # gevent, or a test, has replaced them since, or is over
            return False
        return self.proxy is None or self.is_quiet()

    def is_quiet(self) -> bool:
        """Whether there is nothing to be read, neither an answer to nobody nor the end."""
        sock: Any = self.sock
        return not wait_for_read(sock, timeout=0.0) or self._is_only_waiting()

    def _is_only_waiting(self) -> bool:
        """Whether what is there to be read is nothing to worry about."""
        return False

    def has_pending(self) -> bool:
        """Whether something was taken from the socket and not read yet."""
        return False

    def connect(self) -> None:
        """Open it, TLS too, in the time that there is."""
        self._sockets = socket.socket
        self.generation = self.policy.generation
        self.opened_at = self.policy.clock.now()
        self.begun = self.spoiled = False
        self.idle_limit_s = None
        try:
            super().connect()
        except TimeoutError as error:  # of the handshake
            if self._by_budget:
                raise deadline_error(self.host) from error
            raise
        self.begun, self._response = False, None  # a proxy was asked, and has answered

    def _new_conn(self) -> socket.socket:
        # As urllib3 has it, but for the budget, which is of all addresses of the host together.
        self.policy.check_time(self.host)  # nothing bounds the resolution of a name, so it does not begin
        try:
            # As bytes: a str goes through the codec idna, 0.8 ms at the first. urllib3 has encoded what is not ASCII.
            host = self._dns_host.strip("[]").encode("ascii")
            found = in_time(
                lambda: socket.getaddrinfo(host, self.port, allowed_gai_family(), socket.SOCK_STREAM),
                clock=self.policy.clock,
            )
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        failure: OSError | None = None
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            try:
                for option in SOCKET_OPTIONS:
                    sock.setsockopt(*option)
                if self.source_address:
                    sock.bind(self.source_address)
                self._by_budget = self._bound(sock, self.timeout)
                sock.connect(address)
                self._by_budget = self._bound(sock, self.timeout)  # for the handshake
            except OSError as error:
                sock.close()
                if self._by_budget and isinstance(error, TimeoutError):
                    raise deadline_error(self.host) from error
                failure = error
            else:
                return sock
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(self, f"No connection to {self.host} in {self.timeout} s") from failure
        raise NewConnectionError(self, f"No connection to {self.host}: {failure}") from failure

    def _bound(self, sock: Any, asked_s: float | None) -> bool:
        timeout_s, by_budget = self.policy.clamp_timeout(asked_s, self._dns_host)
        sock.settimeout(timeout_s)
        return by_budget

    def putrequest(self, *args: Any, **options: Any) -> None:
        """Begin a request."""
        self.begun = self.answered = False
        super().putrequest(*args, **options)

    def putheader(self, header: Any, *values: Any) -> None:
        """Add a header; one that is refused is not quoted, as http.client does: it may be a secret."""
        try:
            super().putheader(header, *values)
        except ValueError:
            raise ValueError("A header has a name or a value that HTTP does not allow") from None

    def _send_output(self, *args: Any, **options: Any) -> None:
        # http.client lets a value go on in a next line, which a server or a proxy may take for another header.
        lines: list[bytes] = self._buffer  # type: ignore[attr-defined] # http.client's: the first line, and each header
        head = b"\n".join(lines)
        if not _HEAD.fullmatch(head) or head.count(b"\n") >= len(lines):
            lines.clear()
            raise ValueError("A header has a name or a value that HTTP does not allow")
        super()._send_output(*args, **options)  # type: ignore[misc] # the same

    def send(self, data: Any) -> None:
        """Send, bounded as reading is: urllib3 has the connect time-out for it, too short for a large body."""
        if self.sock is None:
            self.connect()
        if not self.begun:
            # What is there already would be taken for the answer.
            if self.spoiled or not self.is_quiet():
                raise UnaskedBytesError("The server has sent something, or gone, before it was asked")
            self.begun = True
        by_budget = self._bound(self.sock, self.read_s)
        try:
            super().send(data)
        except OSError as error:
            self.spoiled = True
            if by_budget and isinstance(error, TimeoutError):
                raise deadline_error(self.host) from error
            raise

    def response_class(self, sock: Any, *args: Any, **options: Any) -> http.client.HTTPResponse:  # type: ignore[override] # http.client calls it, and nothing else
        """The response that http.client makes, reading through a `_Reader`."""
        self._response = response = _Response(self, sock, *args, **options)
        return response


class PooledTlsConnection(PooledConnection, HTTPSConnection):  # pyright: ignore[reportIncompatibleVariableOverride] # response_class, see above
    """The same over TLS.

    Attributes:
        context_now: the context for the next handshake; None for that which urllib3 was given.
    """

    context_now: Callable[[], Any] | None = None
    _remembered: Any = None

    def connect(self) -> None:
        """As the base class does, with the certificates that there are now: files are renewed."""
        if self.context_now is not None:
            self.ssl_context = self.context_now()
        super().connect()

    def stamp(self) -> None:
        """From now on it is idle, and its session can be resumed."""
        super().stamp()
        sock: Any = self.sock
        if self.answered and sock is not self._remembered and isinstance(getattr(sock, "context", None), Context):
            self._remembered = sock
            sock.context.remember(sock)

    def _is_only_waiting(self) -> bool:
        """A server of TLS 1.3 sends session tickets after the handshake, which nobody has read before a response."""
        return nothing_but_tickets(self.sock)

    def has_pending(self) -> bool:
        """Whether a record was decrypted and not read to its end."""
        sock: Any = self.sock
        return isinstance(sock, SSLSocket) and sock.pending() > 0


class _Response(http.client.HTTPResponse):
    def __init__(self, connection: PooledConnection, sock: Any, *args: Any, **options: Any) -> None:
        self._pooled = connection
        connection.ended = False
        self._reader = _Reader(connection, sock, sock.makefile("rb", buffering=0))
        super().__init__(self, *args, **options)  # type: ignore[arg-type] # all that it wants of a socket is `makefile`

    def makefile(self, _: str) -> io.BufferedReader:
        """What http.client reads."""
        return io.BufferedReader(self._reader)

    def _read_status(self) -> tuple[str, int, str]:
        """The status that counts: http.client knows of 100 only, and takes any other interim answer for the last."""
        for _ in range(_MAX_INTERIM + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc] # typeshed does not show it
            if status >= _FINAL or status == _SWITCHING:
                return version, status, reason
            for _ in range(_MAX_LINES):
                line = self.fp.readline(_MAX_LINE + 1)
                if len(line) > _MAX_LINE:
                    raise http.client.LineTooLong("header line")
                if line in {b"\r\n", b"\n", b""}:
                    break
            else:
                raise http.client.HTTPException(f"An interim response has more than {_MAX_LINES} headers")
        raise http.client.HTTPException("The server sends interim responses without end")

    def begin(self) -> None:
        """Read the head."""
        super().begin()
        if self._pooled.ended:  # http.client takes what has come for the whole head, and the body for empty
            raise http.client.RemoteDisconnected("The connection ended within the head of the response")
        self._pooled.idle_limit_s = idle_limit_s(self.headers.get("keep-alive"))

    def _close_conn(self) -> None:
        self._look_behind()
        super()._close_conn()  # type: ignore[misc] # as above

    def _look_behind(self) -> None:
        """More than the answer was read: the rest is an answer to nobody, which nobody is to get."""
        self._reader.is_over = True  # nothing more is read of the socket
        if self.fp.peek(1) or self._pooled.has_pending():
            self._pooled.spoiled = True

    def is_over(self) -> bool:
        """Whether it was read to its end, and there was nothing behind."""
        if not self.isclosed():
            if self.chunked or self.length != 0:
                return False
            self._close_conn()  # it has no body, and nobody has asked for it
        return not self._pooled.spoiled


class _Reader(io.RawIOBase):
    """What a response is read from: each step in the time that there is, so that a trickle does not outlast it.

    Attributes:
        is_over: nothing more is to be read.
    """

    is_over = False

    def __init__(self, connection: PooledConnection, sock: Any, raw: Any) -> None:
        self._connection = connection
        self._policy = connection.policy
        self._asked_s: float | None = connection.timeout
        self._host = connection.host
        self._sock = sock
        self._raw = raw  # it counts as a user of the socket, until it is closed

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        descriptor: int = self._raw.fileno()
        return descriptor

    def readinto(self, buffer: Any) -> int | None:  # None: there is nothing now
        if self.is_over:
            return None
        connection = self._connection
        timeout_s, by_budget = self._policy.clamp_timeout(self._asked_s, self._host)
        if by_budget:
            self._sock.settimeout(timeout_s)  # else urllib3 has done it
        try:
            count: int = self._sock.recv_into(buffer)
        except TimeoutError as error:
            if by_budget:
                raise deadline_error(self._host) from error
            raise
        if count:
            connection.answered = True
        else:
            connection.ended = True
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
