"""Bearer tokens by client credentials, kept until shortly before they expire: RFC 6749, section 4.4."""

from __future__ import annotations

import json
import os
import threading

from ._aws import base64
from ._aws.signing import load_hashes
from ._cache import Cache, Entries, Entry
from ._diagnostics import close_coroutine, hide_locals, text
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
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Literal

    from urllib3 import BaseHTTPResponse

    from ._environment import Environment

    AuthMethod = Literal["client_secret_basic", "client_secret_post", "private_key_jwt"]

_EARLY_S = 30.0  # before it expires: what a request under way may take, and what clocks differ by
_EARLY = 0.1  # of its life, where that is less: one of a minute is good for most of it
_STALE_IF_ERROR_S = 25.0  # of these, in which the old one may be used if no new one can be had
_UNSAID_S = 300.0  # where the server does not tell; RFC 6749 recommends that it does
_MAX_TOKENS, _MAX_BYTES = 1_000, 1_000_000
_THROTTLED, _SERVER_FAULT = 429, 500
_GRANTED = frozenset((200, 201))  # RFC 6749 knows the first one only; with an error in it both are refusals
_REFUSED = frozenset((400, 401, 403))
_THROTTLED_CODES = frozenset(("slow_down", "too_many_requests", "rate_limit_exceeded"))
_FAULT_CODES = frozenset(("server_error", "temporarily_unavailable"))

# https://openid.net/specs/openid-connect-core-1_0.html#ClientAuthentication
_BASIC, _POST, _ASSERTION = "client_secret_basic", "client_secret_post", "private_key_jwt"
_METHODS = (_BASIC, _POST)
_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_OWN_FIELDS = frozenset(
    ("grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "scope", "audience")
)
_SALT = os.urandom(16)  # a short secret could be guessed by its digest


def oauth_token(
    token_url: str,
    *,
    client_id: str,
    client_secret: str | Declared | None = None,
    scope: str | None = None,
    audience: str | None = None,
    resource: str | Sequence[str] | None = None,
    extra: Mapping[str, str] | None = None,
    auth_method: AuthMethod | None = None,
    client_assertion: Callable[[], str] | None = None,
) -> Token:
    """A bearer token by client credentials (RFC 6749), kept until 30 s, or a tenth of its life, before its own expiry.

    ``lambdakit.http.get(url, auth=token)`` sends it, and after a 401 obtains another and sends the request once more.
    Elsewhere ``str(token)`` is its value; call ``token.forget()`` after a 401.

    Args:
        token_url: where tokens are issued.
        client_id: of this client.
        client_secret: of this client, or `lambdakit.secret` that holds it, with ``field=`` where it is one of a JSON
            secret. If the server refuses it, it is fetched anew, and tried again if it was rotated.
        scope: what the token is for, names with spaces between; default: what the server says.
        audience: for whom the token is; an extension of some servers.
        resource: where the token is to be used, one URI or several (RFC 8707).
        extra: other fields that the server wants, such as ``{"organization": "org_1"}``.
        auth_method: how the client tells who it is, by OpenID Connect's names. Default: ``"client_secret_basic"``, HTTP
            Basic, which every server has to support (RFC 6749, section 2.3.1). ``"client_secret_post"``: in the form.
            With `client_assertion` it is ``"private_key_jwt"``.
        client_assertion: instead of `client_secret`: called for each token, returns a JWT that is signed with the
            client's key (RFC 7523). What it raises passes unchanged.

    Returns:
        A `Token`. Nothing is fetched here. Equal arguments share one token.

    Raises:
        ConfigurationError: an argument is wrong, or both or neither of `client_secret` and `client_assertion` are
            given.

    Threads that ask at once share one fetch, which is retried and bounded by the remaining time; if it fails, a token
    that has not expired is used on. Thread-safe. Since 0.1.
    """
    try:
        request = TokenRequest(
            token_url,
            client_id=client_id,
            client_secret=client_secret,
            auth_method=auth_method,
            client_assertion=client_assertion,
            scope=scope,
            audience=audience,
            resource=resource,
            extra=extra,
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

    __slots__ = ("assertion", "client_id", "fields", "in_form", "key", "secret", "url")

    def __init__(
        self,
        url: Any,
        *,
        client_id: Any,
        client_secret: Any,
        auth_method: Any,
        client_assertion: Any,
        scope: Any,
        audience: Any,
        resource: Any,
        extra: Any,
    ) -> None:
        if not (isinstance(url, str) and url.startswith(("https://", "http://"))):
            raise ConfigurationError("token_url: give a URL such as 'https://login.example/oauth2/token'")
        if (client_secret is None) == (client_assertion is None):
            raise ConfigurationError("client_secret, client_assertion: give one of them")
        if isinstance(client_secret, Declared):
            if client_secret.kind == PATH:
                raise ConfigurationError(
                    f"client_secret: {client_secret!r} is many values; give lambdakit.secret(name)"
                )
        elif client_secret is not None and (not isinstance(client_secret, str) or not client_secret):
            raise ConfigurationError(
                f"client_secret: give a non-empty string or lambdakit.secret(name), not {type(client_secret).__name__}"
            )
        if client_assertion is not None and (not callable(client_assertion) or isinstance(client_assertion, Declared)):
            raise ConfigurationError(
                "client_assertion: give a function that returns a JWT: one serves for minutes only"
            )
        known = _METHODS if client_assertion is None else (_ASSERTION,)
        if auth_method is not None and auth_method not in known:
            raise ConfigurationError(f"auth_method={auth_method!r}: give {' or '.join(map(repr, known))}, or None")
        self.url = url
        self.client_id = text("client_id", client_id)
        self.secret: str | Declared | None = client_secret
        self.assertion: Callable[[], Any] | None = client_assertion
        self.in_form = auth_method == _POST
        self.fields = _fields(scope, audience, resource, extra)
        declared: Any = None
        if isinstance(client_secret, Declared):
            declared = (client_secret.kind, client_secret.name, tuple(sorted(client_secret.options.items(), key=str)))
        elif client_secret is not None:  # keys are kept, compared, and shown
            declared = load_hashes()[1](_SALT, client_secret.encode("utf-8", "surrogatepass"), "sha256")
        self.key = (url, client_id, self.fields, self.in_form, client_assertion, declared)

    @property
    def host(self) -> str:
        """Of the URL; the rest of it may hold anything."""
        return self.url.partition("://")[2].partition("/")[0].rpartition("@")[2]


def _fields(scope: Any, audience: Any, resource: Any, extra: Any) -> tuple[tuple[str, str], ...]:
    """The fields of the form beside those that tell who the client is."""
    fields: list[tuple[str, str]] = []
    for name, value in (("scope", scope), ("audience", audience)):
        if value is not None:
            fields.append((name, text(name, value)))
    resources = resource if isinstance(resource, (list, tuple)) else () if resource is None else (resource,)
    fields += [("resource", text("resource", one)) for one in resources]
    if not (extra is None or isinstance(extra, dict)):
        raise ConfigurationError(f"extra: give a dictionary of strings, not {type(extra).__name__}")
    for name, value in (extra or {}).items():
        if name in _OWN_FIELDS or name in dict(fields):
            raise ConfigurationError(f"extra: {name!r} has an argument of its own")
        fields.append((text("extra", name), text("extra", value)))
    return tuple(fields)


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
        entry = self._cache.fresh(request.key, None)
        if entry is None:
            last = self._cache.latest(request.key)
            stale_ttl_s = 0.0 if last is None else last.fetch_state * _STALE_IF_ERROR_S / _EARLY_S
            entry = self._cache.fetch(request.key, lambda: self._fetch(request), ttl_s=None, stale_ttl_s=stale_ttl_s)
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
        if secret is None or isinstance(secret, str):
            return self._request_token(request, secret)
        # A client secret that was rotated is fetched anew, once.
        values = parts[Values]
        for attempt in attempts(parts[Rotations], [values.key(secret)], (AccessDeniedError,)):
            with attempt:
                return self._request_token(request, values.get(secret))
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _request_token(self, request: TokenRequest, secret: Any) -> Entry:
        from urllib.parse import quote_plus, urlencode  # loaded with urllib3

        from urllib3.exceptions import HTTPError  # 60 ms, once for all requests

        from ._http.pools import Pools
        from ._http.request import send

        form = [("grant_type", "client_credentials"), *request.fields]
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if request.assertion is not None:
            form += [("client_id", request.client_id), ("client_assertion_type", _JWT_BEARER)]
            form.append(("client_assertion", _assertion(request)))
        elif request.in_form:
            form += [("client_id", request.client_id), ("client_secret", _secret_text(request, secret))]
        else:
            pair = f"{quote_plus(request.client_id)}:{quote_plus(_secret_text(request, secret))}"
            headers["Authorization"] = f"Basic {base64(pair.encode())}"
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


def _secret_text(request: TokenRequest, secret: Any) -> str:
    """The client secret; where a JSON secret has digits for it, these."""
    given = str(secret) if isinstance(secret, int) and not isinstance(secret, bool) else secret
    if isinstance(given, str) and given:
        return given
    raise ConfigurationError(
        f"client_secret of {request.client_id!r}: {request.secret!r} is {type(secret).__name__} there, or empty; "
        "it has to be text: with field= one of a JSON secret"
    )


def _assertion(request: TokenRequest) -> str:
    given: Any = request.assertion() if request.assertion is not None else None
    if isinstance(given, bytes):  # older libraries return it so
        given = given.decode("ascii", "replace")
    close_coroutine(given)
    if isinstance(given, str) and given:
        return given
    raise ConfigurationError(
        f"client_assertion of {request.client_id!r}: it returned {type(given).__name__}, not the text of a JWT"
    )


def _entry(response: BaseHTTPResponse, request: TokenRequest) -> Entry:
    try:
        answer = json.loads(response.data)
    except (ValueError, RecursionError):
        answer = None
    answer = answer if isinstance(answer, dict) else {}
    value = answer.get("access_token")
    if response.status not in _GRANTED or (answer.get("error") and not value):
        raise _refusal(response, answer, request)
    lasts_s = _lasts_s(answer.get("expires_in"))
    good = isinstance(value, str) and value.isascii() and value.isprintable() and bool(value)
    if not good or lasts_s is None:
        raise ServiceError(
            f"token of {request.client_id!r}: what {request.host} answered is no token. Check token_url.",
            status=response.status,
            **_error_context(request),
        )
    early_s = min(_EARLY_S, lasts_s * _EARLY)
    return Entry(value, lifetime_s=lasts_s - early_s, fetch_state=early_s)


def _lasts_s(expires_in: Any) -> float | None:
    """For how many seconds a token is good; None if what the server says is no time."""
    if expires_in is None or (isinstance(expires_in, str) and not expires_in.strip()):
        return _UNSAID_S
    if isinstance(expires_in, bool) or not isinstance(expires_in, (int, float, str)):
        return None
    try:
        seconds = float(expires_in)  # some servers send it as a string
    except (OverflowError, ValueError):
        return None
    return max(0.0, seconds) if abs(seconds) < float("inf") else None  # NaN is not


def _refusal(response: BaseHTTPResponse, answer: dict[str, Any], request: TokenRequest) -> FetchError:
    code = answer.get("error")
    # RFC 6749, section 5.2; anything else may quote the request.
    code = code if isinstance(code, str) and code.isascii() and code.replace("_", "").isalnum() else None
    kind: type[FetchError] = FetchError
    if response.status == _THROTTLED or code in _THROTTLED_CODES:
        kind = ThrottledError
    elif response.status >= _SERVER_FAULT or code in _FAULT_CODES:
        kind = ServiceError
    elif response.status in _REFUSED or response.status in _GRANTED:
        kind = AccessDeniedError
    return kind(
        f"token of {request.client_id!r}: {request.host} answered {response.status} {code or 'without an error code'}. "
        "Check client_id, client_secret, scope and audience.",
        code=code,
        status=response.status,
        **_error_context(request),
    )


def _error_context(request: TokenRequest) -> dict[str, Any]:
    return {"service": "oauth", "operation": "token", "name": request.client_id}
