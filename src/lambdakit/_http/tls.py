"""TLS contexts that are made once, and offer a host the session of the last connection to it."""

from __future__ import annotations

import os
import ssl
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

# As `ssl.create_default_context` has it.
_VERIFY = ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT if sys.version_info >= (3, 13) else 0
_MAX_CONTEXTS = 32  # a function with more pairs of certificates writes them itself
_MAX_SESSIONS = 100  # one for each host; a function that meets more crawls
# Python leaks a copy of a session whenever one is read, 1 to 3 KB.
# So one is read where a handshake was a full one, and of a host that does not resume it, or only sometimes, no more.
_MAX_IN_VAIN, _MAX_READ = 3, 50


class Context(ssl.SSLContext):
    """A client's context that verifies by default, with the last session of each host. Thread-safe.

    Attributes:
        sessions: by host name and port.
        read: how many sessions of a host were read, and how many of these in a row were not resumed since.
        stamps: what the files that it was made of were then.
    """

    sessions: dict[tuple[str, int], ssl.SSLSession]
    read: dict[tuple[str, int], tuple[int, int]]
    stamps: Any

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
        key = _key(sock, sock.server_hostname)
        read, in_vain = self.read.get(key, (0, 0))
        if sock.session_reused:  # so it is still good
            self.read[key] = read, 0
            return
        if in_vain >= _MAX_IN_VAIN or read >= _MAX_READ:
            return
        if len(self.read) >= _MAX_SESSIONS:
            self.read.clear()
            self.sessions.clear()
        self.read[key] = read + 1, in_vain + 1
        session = sock.session
        if session is not None and (session.has_ticket or session.id):  # else a server that resumes none
            self.sessions[key] = session


class Contexts:
    """One context for each way of trusting. Thread-safe."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: dict[tuple[Any, Any], Context] = {}

    def context(self, *, ca: str | None = None, cert: Any = None) -> Context:
        """The context that trusts the certificates in `ca`, made anew when a file has changed: they are renewed.

        Args:
            ca: a file or a directory; None for the machine's own (``SSL_CERT_FILE`` names others).
            cert: the client's own: a file with certificate and key, or a tuple of the two, and of the key's password;
                None for none.

        Raises:
            OSError: a file cannot be read, and could not be before.
        """
        key = (ca, cert)
        context = self._made.get(key)
        stamps = [*map(stamp, _files(ca, cert))]
        if context is None or context.stamps != stamps:
            # Not under a lock: reading certificates takes 15 ms. The first that is made is the one that is kept.
            try:
                new = _new(ca, cert)
            except OSError:
                if context is None:
                    raise
                return context  # the file is being written, or gone: what it was is good until somebody asks again
            new.stamps = stamps
            if len(self._made) >= _MAX_CONTEXTS:
                self._made.clear()
            if context is None:
                return self._made.setdefault(key, new)
            self._made[key] = context = new
        return context

    def forget(self) -> None:
        """No session is resumed any more."""
        for context in [*self._made.values()]:
            context.sessions.clear()
            context.read.clear()

    def __repr__(self) -> str:
        """How many hosts a session is known of."""
        return f"Contexts(sessions={sum(len(context.sessions) for context in self._made.values())})"


def _files(ca: str | None, cert: Any) -> list[str | None]:
    """The files that a context is made of."""
    own = cert[:2] if isinstance(cert, tuple) else (cert,)
    return [os.environ.get("SSL_CERT_FILE") if ca is None else ca, *own]


def stamp(file: str | None) -> object:
    """What is another when the file has changed."""
    try:
        found = os.stat(file) if file else None  # noqa: PTH116 - pathlib is an import
    except OSError:
        found = None
    return found and (found.st_mtime_ns, found.st_size, found.st_ino)


def _new(ca: str | None, cert: Any) -> Context:
    context = Context(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
    context.sessions, context.read = {}, {}
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.verify_flags |= _VERIFY
    if ca is None:
        context.load_default_certs()
    elif os.path.isdir(ca):  # noqa: PTH112 - pathlib is an import
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
