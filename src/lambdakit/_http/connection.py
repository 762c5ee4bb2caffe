"""urllib3's connections, told how long they may idle, how long each step may take, and whether an answer has begun."""

from __future__ import annotations

import http.client
import io
import socket

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family
from urllib3.util.wait import wait_for_read

from .._clock import age_s, in_time
from .policy import READ_S, deadline_error
from .tls import Context, nothing_but_tickets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._clock import Instant
    from .policy import ConnectionPolicy

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


class PooledConnection(HTTPConnection):
    """A connection that is kept. For one thread at a time.

    Attributes:
        policy: what holds for all of them; set by the pool.
        answered: whether a byte of the response to the last request has come.
        ended: whether its end has.
        read_s: seconds of silence that are borne while sending, None for any number.
    """

    policy: ConnectionPolicy
    answered = False
    ended = False
    read_s: float | None = READ_S
    _used_at: Instant = (0.0, 0.0)
    _generation = 0
    _by_budget = False

    def stamp(self) -> None:
        """From now on it is idle."""
        self._used_at = self.policy.clock.now()

    def idle_s(self, now: Instant) -> float:
        """Seconds since it was used, frozen time included."""
        return age_s(self._used_at, now)

    def has_expired(self, now: Instant) -> bool:
        """Whether it may be dead for having been idle, or belongs to what was closed."""
        return self.policy.has_expired(self._used_at, self._generation, now)

    @property
    def is_connected(self) -> bool:
        """Whether it is to be used again; urllib3 asks whenever it takes one from a pool."""
        sock = self.sock
        if sock is None or self.policy.has_expired(self._used_at, self._generation, self.policy.clock.now()):
            return False
        return not wait_for_read(sock, timeout=0.0) or self._is_only_waiting()

    def _is_only_waiting(self) -> bool:
        """Whether what is there to be read is nothing to worry about."""
        return False

    def connect(self) -> None:
        """Open it, TLS too, in the time that there is."""
        self._generation = self.policy.generation
        try:
            super().connect()
        except TimeoutError as error:  # of the handshake
            if self._by_budget:
                raise deadline_error(self.host) from error
            raise

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

    def send(self, data: Any) -> None:
        """Send, bounded as reading is: urllib3 has the connect time-out for it, too short for a large body."""
        if self.sock is None:
            self.connect()
        by_budget = self._bound(self.sock, self.read_s)
        try:
            super().send(data)
        except TimeoutError as error:
            if by_budget:
                raise deadline_error(self.host) from error
            raise

    def response_class(self, sock: Any, *args: Any, **options: Any) -> http.client.HTTPResponse:  # type: ignore[override] # http.client calls it, and nothing else
        """The response that http.client makes, reading through a `_Reader`."""
        return _Response(self, sock, *args, **options)


class PooledTlsConnection(PooledConnection, HTTPSConnection):  # pyright: ignore[reportIncompatibleVariableOverride] # response_class, see above
    """The same over TLS."""

    _remembered: Any = None

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


class _Response(http.client.HTTPResponse):
    def __init__(self, connection: PooledConnection, sock: Any, *args: Any, **options: Any) -> None:
        self._pooled = connection
        connection.ended = False
        super().__init__(_Readable(connection, sock), *args, **options)  # type: ignore[arg-type] # all that it wants

    def begin(self) -> None:
        super().begin()
        if self._pooled.ended:  # http.client takes what has come for the whole head, and the body for empty
            raise http.client.RemoteDisconnected("The connection ended within the head of the response")


class _Readable:
    """What http.client takes for a socket."""

    __slots__ = ("_connection", "_sock")

    def __init__(self, connection: PooledConnection, sock: Any) -> None:
        self._connection = connection
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._connection, self._sock, self._sock.makefile(mode, buffering=0)))


class _Reader(io.RawIOBase):
    """What a response is read from: each step in the time that there is, so that a trickle does not outlast it."""

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

    def readinto(self, buffer: Any) -> int:
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
