"""Bearer tokens by client credentials, kept until shortly before they expire: RFC 6749, section 4.4."""

from __future__ import annotations

import json
import os
import threading

from ._aws.signing import load_hashes
from ._cache import Cache, Entries, Entry
from ._diagnostics import hide_locals, optional_text, text
from ._environment import part
from ._values import PATH, Declared, Values
from ._values.rotation import Rotations, attempts
from .exceptions import (
    AccessDeniedError,
    ConfigurationError,
    FetchError,
    NetworkError,
    ServiceError,
    ThrottledError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from urllib3 import BaseHTTPResponse

    from ._environment import Environment

_EARLY_S = 30.0  # before it expires: what a request under way may take, and what clocks differ by
_STALE_IF_ERROR_S = 25.0  # of these, in which the old one may be used if no new one can be had
_UNSAID_S = 300.0  # where the server does not tell; RFC 6749 recommends that it does
_MAX_TOKENS, _MAX_BYTES = 1_000, 1_000_000
_OK, _THROTTLED, _SERVER_FAULT = 200, 429, 500
_REFUSED = frozenset((400, 401, 403))
_SALT = os.urandom(16)  # a short secret could be guessed by its digest


def oauth_token(
    token_url: str,
    *,
    client_id: str,
    client_secret: str | Declared,
    scope: str | None = None,
    audience: str | None = None,
) -> Token:
    """A bearer token by client credentials (RFC 6749), kept until 30 s before its own expiry.

    ``lambdakit.http.get(url, auth=token)`` sends it, and after a 401 obtains another and sends the request once more.
    Elsewhere ``str(token)`` is its value; call ``token.forget()`` after a 401.

    Args:
        token_url: where tokens are issued.
        client_id: of this client.
        client_secret: of this client, or `lambdakit.secret` that holds it, with ``field=`` where it is one of a JSON
            secret. If the server refuses it, it is fetched anew, and tried again if it was rotated.
        scope: what the token is for, names with spaces between; default: what the server says.
        audience: for whom the token is; an extension of some servers.

    Returns:
        A `Token`. Nothing is fetched here. Equal arguments share one token.

    Raises:
        ConfigurationError: an argument is wrong.

    Threads that ask at once share one fetch, which is retried and bounded by the remaining time; if it fails, a token
    that has not expired is used on. Thread-safe. Since 0.1.
    """
    try:
        request = TokenRequest(
            token_url, client_id=client_id, client_secret=client_secret, scope=scope, audience=audience
        )
    except BaseException as error:
        client_secret = ""  # this frame is shown with the error
        hide_locals(error)
        raise
    return Token(request)


def warm_imports(env: Environment) -> None:
    """What a first token needs: for INIT, see `_warm_imports`."""
    from . import http

    http.warm_imports(env)


class TokenRequest:
    """Which token: everything that changes it."""

    __slots__ = ("audience", "client_id", "key", "scope", "secret", "url")

    def __init__(self, url: Any, *, client_id: Any, client_secret: Any, scope: Any, audience: Any) -> None:
        if not (isinstance(url, str) and url.startswith(("https://", "http://"))):
            raise ConfigurationError("token_url: give a URL such as 'https://login.example/oauth2/token'")
        if isinstance(client_secret, Declared):
            if client_secret.kind == PATH:
                raise ConfigurationError(
                    f"client_secret: {client_secret!r} is many values; give lambdakit.secret(name)"
                )
        elif not isinstance(client_secret, str) or not client_secret:
            raise ConfigurationError(
                f"client_secret: give a non-empty string or lambdakit.secret(name), not {type(client_secret).__name__}"
            )
        self.url = url
        self.client_id = text("client_id", client_id)
        self.secret: str | Declared = client_secret
        self.scope = optional_text("scope", scope)
        self.audience = optional_text("audience", audience)
        known: Any
        if isinstance(client_secret, Declared):
            known = (client_secret.kind, client_secret.name, tuple(sorted(client_secret.options.items(), key=str)))
        else:  # keys are kept, compared, and shown
            known = load_hashes()[1](_SALT, client_secret.encode("utf-8", "surrogatepass"), "sha256")
        self.key = (url, client_id, scope, audience, known)

    @property
    def host(self) -> str:
        """Of the URL; the rest of it may hold anything."""
        return self.url.partition("://")[2].partition("/")[0].rpartition("@")[2]


class Token:
    """A bearer token: ``str(token)`` is its value, obtained when it is asked for.

    Made by `lambdakit.oauth_token`. Thread-safe. Since 0.1.
    """

    __slots__ = ("_given", "_request")

    def __init__(self, request: TokenRequest) -> None:
        self._request = request
        self._given = threading.local()

    def __str__(self) -> str:
        """What goes behind ``Bearer``: from memory, or fetched.

        Raises:
            AccessDeniedError: the server refuses the client.
            ThrottledError, ServiceError, NetworkError, FetchError: no token could be had.
            DeadlineExceededError: the invocation has too little time left.
        """
        try:
            value = part(Tokens).get(self._request)
        except BaseException as error:
            hide_locals(error)
            raise
        self._given.value = value
        return value

    def forget(self) -> None:
        """Not to use this value again, such as after a 401; one that was obtained meanwhile stays."""
        part(Tokens).forget(self._request, getattr(self._given, "value", None))

    def __repr__(self) -> str:
        """Whose it is; never its value."""
        return f"<Token of {self._request.client_id!r} at {self._request.host}>"


class Tokens:
    """The tokens of an environment. Thread-safe: those who ask at once share one fetch."""

    __slots__ = ("_cache", "_env")

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._cache = Cache(
            clock=env.clock,
            budget=env._budget,
            store=Entries(max_entries=_MAX_TOKENS, max_bytes=_MAX_BYTES),
            describe=lambda key: f"token of {key[1]!r}",
        )

    @classmethod
    def of(cls, env: Environment) -> Tokens:
        """Those of an environment."""
        return cls(env)

    def get(self, request: TokenRequest) -> str:
        """The value of a token that is good for a while."""
        entry = self._cache.read(request.key, self._fetch, request, ttl_s=None, stale_ttl_s=_STALE_IF_ERROR_S)
        value: str = entry.value
        return value

    def forget(self, request: TokenRequest, value: str | None) -> None:
        """Drop a token, if it still is the one of that value; None: in any case."""
        entry = self._cache.latest(request.key)
        if entry is not None and value in {None, entry.value}:
            self._cache.invalidate(lambda key: key == request.key)

    def close(self) -> None:
        """Forget all of them."""
        self._cache.clear()

    def _fetch(self, request: TokenRequest) -> Entry:
        parts, secret = self._env._parts, request.secret
        if isinstance(secret, str):
            return self._request_token(request, secret)
        # A client secret that was rotated is fetched anew, once.
        values = parts[Values]
        for attempt in attempts(parts[Rotations], [values.key(secret)], (AccessDeniedError,)):
            with attempt:
                return self._request_token(request, values.get(secret))
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _request_token(self, request: TokenRequest, secret: str) -> Entry:
        from urllib.parse import urlencode  # loaded with urllib3

        from urllib3.exceptions import HTTPError  # 60 ms, once for all requests

        from ._http.pools import Pools
        from ._http.request import send

        form = {"grant_type": "client_credentials", "client_id": request.client_id, "client_secret": secret}
        form |= {} if request.scope is None else {"scope": request.scope}
        form |= {} if request.audience is None else {"audience": request.audience}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        try:
            response = send(
                self._env._parts[Pools],
                "POST",
                request.url,
                body=urlencode(form).encode(),
                headers=headers,
                retry="unsafe",  # a token too many does no harm
                redirect=False,  # a secret is not sent on
                max_bytes=_MAX_BYTES,
            )
        except HTTPError as error:
            failure: FetchError = NetworkError(
                f"token of {request.client_id!r}: no answer from {request.host} ({type(error).__name__}). "
                "Check the network and token_url.",
                **_error_context(request),
            )
            raise failure from error
        return _entry(response, request)


def _entry(response: BaseHTTPResponse, request: TokenRequest) -> Entry:
    try:
        answer = json.loads(response.data)
    except (ValueError, RecursionError):
        answer = None
    answer = answer if isinstance(answer, dict) else {}
    value, lasts_s = answer.get("access_token"), answer.get("expires_in", _UNSAID_S)
    if response.status != _OK:
        raise _refusal(response, answer, request)
    try:
        lifetime_s = float(lasts_s) - _EARLY_S  # some servers send it as a string
    except (TypeError, ValueError):
        lifetime_s = float("nan")
    good = isinstance(value, str) and value.isascii() and value.isprintable() and bool(value)
    if not good or lifetime_s != lifetime_s:  # noqa: PLR0124 - NaN
        raise ServiceError(
            f"token of {request.client_id!r}: what {request.host} answered is no token. Check token_url.",
            status=response.status,
            **_error_context(request),
        )
    return Entry(value, lifetime_s=max(0.0, lifetime_s))


def _refusal(response: BaseHTTPResponse, answer: dict[str, Any], request: TokenRequest) -> FetchError:
    code = answer.get("error")
    # RFC 6749, section 5.2; anything else may quote the request.
    code = code if isinstance(code, str) and code.isascii() and code.replace("_", "").isalnum() else None
    kind: type[FetchError] = FetchError
    if response.status in _REFUSED:
        kind = AccessDeniedError
    elif response.status == _THROTTLED:
        kind = ThrottledError
    elif response.status >= _SERVER_FAULT:
        kind = ServiceError
    return kind(
        f"token of {request.client_id!r}: {request.host} answered {response.status} {code or 'without an error code'}. "
        "Check client_id, client_secret, scope and audience.",
        code=code,
        status=response.status,
        **_error_context(request),
    )


def _error_context(request: TokenRequest) -> dict[str, Any]:
    return {"service": "oauth", "operation": "token", "name": request.client_id}
