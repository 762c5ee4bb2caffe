"""Which certificates are trusted, always verified together with the host name.

Parsing the machine's 140 certificates takes 15 ms, Amazon's own five 0.7. So these are tried first, unless the
environment names a bundle, and the full store only for a host whose issuer they do not know.
"""

from __future__ import annotations

import os
import threading

from ..exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

AMAZON_ROOTS = os.path.join(os.path.dirname(__file__), "amazon_roots.pem")  # noqa: PTH118, PTH120 - pathlib is an import
_BUNDLE, _FILE, _DIR = "AWS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"

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


class Trust:
    """The TLS contexts of an environment, built when first needed. Thread-safe.

    Args:
        environ: read when the first context is built; the default is this process's. ``AWS_CA_BUNDLE`` (a file) wins,
            then ``SSL_CERT_FILE`` with ``SSL_CERT_DIR``; an empty one counts as not set.
        roots: the file tried first where none of these is set. For tests: there is no setting for it.
    """

    __slots__ = ("_environ", "_first", "_full", "_lock", "_named", "_roots", "_wide")

    def __init__(self, *, environ: Mapping[str, str] | None = None, roots: str = AMAZON_ROOTS) -> None:
        self._environ = os.environ if environ is None else environ
        self._roots = roots
        self._lock = threading.Lock()
        self._first: ssl.SSLContext | None = None
        self._full: ssl.SSLContext | None = None
        self._named = False  # the first context is of a bundle that the environment names: there is no second
        self._wide: set[str] = set()

    def __repr__(self) -> str:
        """The hosts that the full store is used for."""
        return f"Trust(named={self._named}, full={sorted(self._wide)})"

    def context(self, host: str) -> ssl.SSLContext:
        """The context to connect to `host` with.

        Raises:
            ConfigurationError: if a bundle that the environment names cannot be read.
        """
        with self._lock:
            if host in self._wide:
                if self._full is None:
                    self._full = _full()
                return self._full
            if self._first is None:
                named = _named(self._environ)
                self._named = named is not None
                self._first = named or _from_file(self._roots) or _full()
            return self._first

    def widen(self, host: str, error: ssl.SSLCertVerificationError) -> bool:
        """Whether connecting again to `host` is worth it, with the machine's full store, after this `error`.

        True at most once for a host; the full store is used for it from then on.
        """
        with self._lock:
            if self._named or host in self._wide or error.verify_code not in _UNKNOWN_ISSUER:
                return False
            self._wide.add(host)
            return True


def _named(environ: Mapping[str, str]) -> ssl.SSLContext | None:
    bundle = environ.get(_BUNDLE)
    if bundle:
        return _load(_BUNDLE, bundle, cafile=bundle)
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
