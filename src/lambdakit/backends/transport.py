"""Exchanges over a pool of kept-alive connections, each bounded in time."""

from __future__ import annotations

import threading

from .._clock import age_s
from .http1 import MAX_BODY, ConnectionLostError, ExchangeError, read_response

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import TypeAlias

    from .._clock import Clock, Instant
    from .http1 import Response
    from .trust import Trust

Origin: TypeAlias = "tuple[str, str, int]"
"""Scheme (``"https"`` or ``"http"``), host (ASCII; an IPv6 address without brackets), port."""

CONNECT_TIMEOUT_S = 2.0  # a connection within a region takes milliseconds
READ_TIMEOUT_S = 10.0

_PIECE = 64 * 1024  # bytes per receive
# Linux has the first name, macOS the second. NAT and load balancers drop a flow that is silent for 350 s.
_KEEPALIVE_S = (("TCP_KEEPIDLE", 20), ("TCP_KEEPALIVE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


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
            request: as `http1.build_request` makes it.
            connect_timeout_s: seconds for each address of the host to accept a connection, then for the TLS handshake.
            read_timeout_s: seconds from the request's first byte to the response's last. Slow bytes do not extend it.
            deadline: the monotonic instant by which the exchange ends, one way or the other; None for none. Resolving
                a name cannot be interrupted, and is the only step that may outlast it.
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
        kept = self._take(origin)
        if kept is not None:
            try:
                return self._talk(kept, request, read_timeout_s, deadline, max_body)
            except ConnectionLostError:
                if kept.answered or not resend:
                    raise
        fresh = self._open(origin, connect_timeout_s, deadline)
        return self._talk(fresh, request, read_timeout_s, deadline, max_body)

    def connect(
        self, origin: Origin, *, connect_timeout_s: float = CONNECT_TIMEOUT_S, deadline: float | None = None
    ) -> None:
        """Have a connection ready for the next exchange; nothing is sent beyond the TLS handshake.

        Raises:
            ConnectError, TlsError, ConfigurationError: as `exchange` does.
        """
        self._give(self._take(origin) or self._open(origin, connect_timeout_s, deadline))

    def drop_idle(self, now: Instant) -> None:
        """Close the connections that are idle for too long at `now`."""
        dropped: list[_Connection] = []
        with self._lock:
            for origin, stack in self._idle.items():
                dropped += [connection for connection in stack if self._is_old(connection, now)]
                self._idle[origin] = [connection for connection in stack if not self._is_old(connection, now)]
        for connection in dropped:
            connection.sock.close()

    def close(self) -> None:
        """Close all idle connections, now, and those in use after their exchange; a later call opens new ones."""
        with self._lock:
            self._generation += 1
            stacks = [*self._idle.values()]
            self._idle.clear()
        for stack in stacks:
            for connection in stack:
                connection.sock.close()

    def abandon(self) -> None:
        """In a forked child: close this process's descriptors of idle connections. Nothing is locked or sent."""
        for stack in self._idle.values():
            for connection in stack:
                connection.sock.close()

    def _take(self, origin: Origin) -> _Connection | None:
        # The youngest idle connection that is alive.
        now = self._clock.now()
        while True:
            with self._lock:
                stack = self._idle.get(origin)
                connection = stack.pop() if stack else None
            if connection is None or (not self._is_old(connection, now) and connection.is_alive()):
                return connection
            connection.sock.close()

    def _give(self, connection: _Connection) -> None:
        with self._lock:
            stack = self._idle.setdefault(connection.origin, [])
            kept = connection.generation == self._generation and len(stack) < self._max_idle_per_host
            if kept:
                stack.append(connection)
        if not kept:
            connection.sock.close()

    def _is_old(self, connection: _Connection, now: Instant) -> bool:
        return age_s(connection.used_at, now) > self._max_idle_s

    def _talk(
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
            self._give(connection)
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
            if self._trust.widen(host, error):
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
            addresses = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
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
