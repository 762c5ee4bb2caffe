"""Signature Version 4: the headers that authenticate a request, equal to botocore's."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

_MAX_KEYS = 16  # four services in four regions; on a new day, or with new credentials, the old keys are worth nothing

# Not signed: whoever carries the request may change them. botocore.auth.SIGNED_HEADERS_BLACKLIST
_UNSIGNED = frozenset(
    {
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)
_REPLACED = frozenset({"authorization", "date", "x-amz-date", "x-amz-security-token"})

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"  # RFC 3986, section 2.3


class Credentials:
    """What a request is signed with. Immutable by convention, so one object may serve any number of threads.

    Attributes:
        access_key: the id of the key; not a secret, but kept out of the repr all the same.
        secret_key: the key.
        token: the session token, or None for credentials that have none.
        expires_at: seconds since the epoch, or None if they are not known to expire.
    """

    __slots__ = ("access_key", "expires_at", "secret_key", "token")

    def __init__(
        self, access_key: str, secret_key: str, *, token: str | None = None, expires_at: float | None = None
    ) -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self.token = token
        self.expires_at = expires_at

    def __repr__(self) -> str:
        """Whether there is a token, when they expire, and nothing that could be used."""
        return f"Credentials(has_token={bool(self.token)}, expires_at={self.expires_at})"


class Signer:
    """Signs requests, keeping the keys it derives.

    Safe for use by several threads without a lock: at worst two of them derive the same key at the same time.
    """

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str, str, str], bytes] = {}

    def __repr__(self) -> str:
        """How many derived keys are kept."""
        return f"Signer(keys={len(self._keys)})"

    def forget(self) -> None:
        """Drop the derived keys: none of them is carried into a snapshot."""
        self._keys = {}

    def sign(
        self,
        credentials: Credentials,
        *,
        method: str,
        host: str,
        path: str,
        query: Iterable[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes,
        region: str,
        service: str,
        now_s: float,
    ) -> dict[str, str]:
        """All headers to send: those given, ``Host``, ``X-Amz-Date``, ``X-Amz-Security-Token``, ``Authorization``.

        Args:
            credentials: whose name the request is made in.
            method: the HTTP method.
            host: the value of the ``Host`` header: with the port where it is not the scheme's default. A ``Host``
                among `headers` goes before it.
            path: the path as it is sent, percent-encoded, without the query; an empty one is ``/``.
            query: the decoded pairs of the query, in any order; send them as `query_string` writes them.
            headers: what else is sent. ``Authorization``, ``Date``, ``X-Amz-Date`` and ``X-Amz-Security-Token`` among
                them are replaced; those that a proxy may change are sent unsigned, as botocore does.
            body: the whole body; empty for none.
            region: the region of the endpoint.
            service: the signing name of the service, such as ``"secretsmanager"``.
            now_s: seconds since the epoch. AWS accepts a request for five minutes from then.
        """
        sha256, hmac = load_hashes()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
        date = stamp[:8]

        sent = {name: value for name, value in headers.items() if name.lower() not in _REPLACED}
        if not any(name.lower() == "host" for name in sent):
            sent["Host"] = host
        sent["X-Amz-Date"] = stamp
        if credentials.token:
            sent["X-Amz-Security-Token"] = credentials.token

        signed = _canonical_headers(sent)
        names = ";".join(signed)
        digest = signed.get("x-amz-content-sha256") or sha256(body).hexdigest()
        lines = "\n".join([f"{name}:{value}" for name, value in signed.items()])
        request = f"{method.upper()}\n{_canonical_path(path)}\n{_canonical_query(query)}\n{lines}\n\n{names}\n{digest}"
        scope = f"{date}/{region}/{service}/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(_utf8(request)).hexdigest()}"

        signature = hmac(self._key(credentials.secret_key, date, region, service), _utf8(to_sign), "sha256").hex()
        credential = f"{credentials.access_key}/{scope}"
        sent["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        )
        return sent

    def _key(self, secret: str, date: str, region: str, service: str) -> bytes:
        inputs = (secret, date, region, service)
        key = self._keys.get(inputs)
        if key is None:
            key, (_, hmac) = _utf8(f"AWS4{secret}"), load_hashes()
            for part in (date, region, service, "aws4_request"):
                key = hmac(key, _utf8(part), "sha256")
            if len(self._keys) >= _MAX_KEYS:
                self._keys = {}
            self._keys[inputs] = key
        return key


def load_hashes() -> tuple[Callable[[bytes], Any], Callable[[bytes, bytes, str], bytes]]:
    """SHA-256 and HMAC of OpenSSL, from the module that hashlib takes them from: its other algorithms take 1 ms."""
    try:
        from _hashlib import hmac_digest, openssl_sha256  # not paid where no request is made
    except ImportError:  # this Python has no OpenSSL
        from hashlib import sha256
        from hmac import digest

        return sha256, digest
    return openssl_sha256, hmac_digest


def quote(text: str | bytes, *, safe: bytes = b"") -> str:
    """`text` percent-encoded as UTF-8, with letters, digits, ``-._~`` and the ASCII bytes of `safe` left as they are.

    Equal to ``urllib.parse.quote``, whose import would cost 2 ms. Total: also a lone surrogate, which no valid name
    contains, is encoded, for the service to refuse.
    """
    data = _utf8(text) if isinstance(text, str) else text
    keep = _UNRESERVED + safe
    if not data.translate(None, keep):
        return data.decode("ascii")
    return "".join([chr(byte) if byte in keep else f"%{byte:02X}" for byte in data])


def query_string(query: Iterable[tuple[str, str]]) -> str:
    """The pairs as they stand in a URL after the question mark, in the order given."""
    return "&".join([f"{quote(key)}={quote(value)}" for key, value in query])


def _canonical_query(query: Iterable[tuple[str, str]]) -> str:
    # By encoded key, then by encoded value: not the order of the joined text, in which "=" would count.
    return "&".join([f"{key}={value}" for key, value in sorted((quote(key), quote(value)) for key, value in query)])


def _canonical_path(path: str) -> str:
    # Dot segments and empty segments removed, then encoded once more: what every service but S3 expects.
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    end = "/" if kept and path.endswith("/") else ""
    return quote(f"/{'/'.join(kept)}{end}", safe=b"/")


def _canonical_headers(headers: Mapping[str, str]) -> dict[str, str]:
    # Sorted by lower-case name; values trimmed, with single spaces inside; names that differ only by case joined.
    canonical: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower not in _UNSIGNED:
            trimmed = " ".join(value.split())
            canonical[lower] = f"{canonical[lower]},{trimmed}" if lower in canonical else trimmed
    return dict(sorted(canonical.items()))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
