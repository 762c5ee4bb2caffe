"""TLS contexts that are made once, and offer a host the session of the last connection to it."""

from __future__ import annotations

import ssl
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

# As `ssl.create_default_context` has it.
_VERIFY = ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT if sys.version_info >= (3, 13) else 0
_MAX_SESSIONS = 100  # one for each host; a function that meets more crawls


class Context(ssl.SSLContext):
    """A client's context that verifies by default, with the last session of each host. Thread-safe.

    Attributes:
        sessions: by host name and port.
    """

    sessions: dict[tuple[str, int], ssl.SSLSession]

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        """As the base class does, resuming a session if there is one: a round trip less, or no certificates."""
        host = options.get("server_hostname")
        key = _key(sock, host)
        if isinstance(host, str) and host.isascii():
            options["server_hostname"] = host.encode("ascii")  # a str goes through the codec idna, 0.8 ms at the first
        options.setdefault("session", self.sessions.get(key))
        try:
            return super().wrap_socket(sock, *args, **options)
        except OSError:
            self.sessions.pop(key, None)  # whatever it was, the next handshake is a full one
            raise

    def remember(self, sock: ssl.SSLSocket) -> None:
        """Keep the session of a connection that a response has come over: TLS 1.3 has none before."""
        session = sock.session
        if session is None or not (session.has_ticket or session.id):
            return  # a server that resumes none
        if len(self.sessions) >= _MAX_SESSIONS:
            self.sessions.clear()
        self.sessions[_key(sock, sock.server_hostname)] = session


class Contexts:
    """One context for each way of trusting. Thread-safe."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: dict[tuple[Any, Any], Context] = {}

    def context(self, *, ca: str | None = None, directory: bool = False, cert: Any = None) -> Context:
        """The context that trusts the certificates in `ca`.

        Args:
            ca: a file, or a directory if `directory`; None for the machine's own (``SSL_CERT_FILE`` names others).
            directory: whether `ca` is a directory.
            cert: the client's own: a file with certificate and key, or a tuple of the two; None for none.
        """
        key = (ca, cert)
        context = self._made.get(key)
        if context is None:
            # Not under a lock: reading certificates takes 15 ms. The first that is made is the one that is kept.
            context = self._made.setdefault(key, _new(ca, directory=directory, cert=cert))
        return context

    def forget(self) -> None:
        """No session is resumed any more."""
        for context in [*self._made.values()]:
            context.sessions.clear()

    def __repr__(self) -> str:
        """How many hosts a session is known of."""
        return f"Contexts(sessions={sum(len(context.sessions) for context in self._made.values())})"


def _new(ca: str | None, *, directory: bool, cert: Any) -> Context:
    context = Context(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
    context.sessions = {}
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.verify_flags |= _VERIFY
    if ca is None:
        context.load_default_certs()
    elif directory:
        context.load_verify_locations(capath=ca)
    else:
        context.load_verify_locations(cafile=ca)
    if cert is not None:
        context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    return context


def _key(sock: socket.socket, host: Any) -> tuple[str, int]:
    return str(host), sock.getpeername()[1]


def nothing_but_tickets(sock: Any) -> bool:
    """Whether what can be read of an idle connection is TLS's own: session tickets, which are read."""
    timeout_s = sock.gettimeout()
    sock.settimeout(0.0)
    try:
        sock.recv(1)  # takes what is TLS's own, and has nothing to return then
    except ssl.SSLWantReadError:
        return True
    except OSError:
        pass
    finally:
        sock.settimeout(timeout_s)
    return False  # an end, an error, or an answer to no question
