"""Bearer tokens by client credentials, kept until shortly before they expire: RFC 6749, section 4.4."""

from __future__ import annotations

import json
import threading

from ._cache import Cache
from ._check import optional_text, text
from ._declared import PATH, Declared
from ._entries import Entries, Entry
from ._rotation import attempts
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
    from collections.abc import Callable
    from typing import Any

    from urllib3 import BaseHTTPResponse

    from ._budget import Budget
    from ._clock import Clock
    from ._http_pools import Pools
    from ._memory import Memory

_EARLY_S = 30.0  # before it expires: what a request under way may take, and what clocks differ by
_SPARE_S = 25.0  # of these, in which the old one may be used if no new one can be had
_UNSAID_S = 300.0  # where the server does not tell; RFC 6749 recommends that it does
_MAX_TOKENS, _MAX_BYTES = 1_000, 1_000_000
_OK, _THROTTLED, _SERVER_FAULT = 200, 429, 500
_REFUSED = frozenset((400, 401, 403))


class Wanted:
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
        declared = client_secret
        if isinstance(client_secret, Declared):
            declared = (client_secret.kind, client_secret.name, tuple(sorted(client_secret.options.items(), key=str)))
        self.key = (url, client_id, scope, audience, declared)

    @property
    def host(self) -> str:
        """Of the URL; the rest of it may hold anything."""
        return self.url.partition("://")[2].partition("/")[0].rpartition("@")[2]


class Token:
    """A bearer token: ``str(token)`` is its value, obtained when it is asked for.

    Made by `lambdakit.oauth_token`. Thread-safe. Since 0.1.
    """

    __slots__ = ("_given", "_tokens", "_wanted")

    def __init__(self, tokens: Callable[[], Tokens], wanted: Wanted) -> None:
        self._tokens = tokens
        self._wanted = wanted
        self._given = threading.local()

    def __str__(self) -> str:
        """What goes behind ``Bearer``: from memory, or fetched.

        Raises:
            AccessDeniedError: the server refuses the client.
            ThrottledError, ServiceError, NetworkError, FetchError: no token could be had.
            DeadlineExceededError: the invocation has too little time left.
        """
        value: str = self._tokens().get(self._wanted)
        self._given.value = value
        return value

    def forget(self) -> None:
        """Not to use this value again, such as after a 401; one that was obtained meanwhile stays."""
        self._tokens().forget(self._wanted, getattr(self._given, "value", None))

    def __repr__(self) -> str:
        """Whose it is; never its value."""
        return f"<Token of {self._wanted.client_id!r} at {self._wanted.host}>"


class Tokens:
    """The tokens of an environment. Thread-safe: those who ask at once share one fetch.

    Args:
        clock: both clocks.
        budget: seconds that a fetch may take now.
        memory: where client secrets come from.
        pools: over what they are fetched.
    """

    __slots__ = ("_budget", "_cache", "_clock", "_memory", "_pools")

    def __init__(self, *, clock: Clock, budget: Budget, memory: Memory, pools: Callable[[], Pools]) -> None:
        self._memory = memory
        self._pools = pools
        self._clock = clock
        self._budget = budget
        self._cache = self._new_cache()

    def _new_cache(self) -> Cache:
        return Cache(
            clock=self._clock,
            budget=self._budget,
            store=Entries(max_entries=_MAX_TOKENS, max_bytes=_MAX_BYTES),
            name=lambda key: f"token of {key[1]!r}",
        )

    def get(self, wanted: Wanted) -> str:
        """The value of a token that is good for a while."""
        entry = self._cache.fresh(wanted.key, self._clock.now(), None)
        if entry is None:
            entry = self._cache.fetch(wanted.key, lambda: self._fetched(wanted), ttl_s=None, stale_ttl_s=_SPARE_S)
        value: str = entry.value
        return value

    def forget(self, wanted: Wanted, value: str | None) -> None:
        """Drop a token, if it still is the one of that value; None: in any case."""
        entry = self._cache.latest(wanted.key)
        if entry is not None and value in {None, entry.value}:
            self._cache.invalidate(lambda key: key == wanted.key)

    def close(self) -> None:
        """Forget all of them."""
        self._cache.invalidate(lambda _: True)

    def abandon(self) -> None:
        """In a forked child: start empty, with locks of its own."""
        self._cache = self._new_cache()

    def _fetched(self, wanted: Wanted) -> Entry:
        keys = self._memory.keys([wanted.secret]) if isinstance(wanted.secret, Declared) else []
        # A client secret that was rotated is fetched anew, once.
        for attempt in attempts(self._memory.rotations, keys, (AccessDeniedError,)):
            with attempt:
                return self._asked(wanted)
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _asked(self, wanted: Wanted) -> Entry:
        from urllib.parse import urlencode  # loaded with urllib3

        from urllib3.exceptions import HTTPError  # 60 ms, once for all requests

        secret = self._memory.get(wanted.secret) if isinstance(wanted.secret, Declared) else wanted.secret
        form = {"grant_type": "client_credentials", "client_id": wanted.client_id, "client_secret": secret}
        form |= {} if wanted.scope is None else {"scope": wanted.scope}
        form |= {} if wanted.audience is None else {"audience": wanted.audience}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        try:
            response = self._pools().call(
                "POST",
                wanted.url,
                body=urlencode(form).encode(),
                headers=headers,
                retry="unsafe",  # a token too many does no harm
                redirect=False,  # a secret is not sent on
                max_bytes=_MAX_BYTES,
            )
        except HTTPError as error:
            failure: FetchError = NetworkError(
                f"token of {wanted.client_id!r}: no answer from {wanted.host} ({type(error).__name__}). "
                "Check the network and token_url.",
                **_about(wanted),
            )
            raise failure from error
        return _entry(response, wanted)


def _entry(response: BaseHTTPResponse, wanted: Wanted) -> Entry:
    try:
        answer = json.loads(response.data)
    except (ValueError, RecursionError):
        answer = None
    answer = answer if isinstance(answer, dict) else {}
    value, lasts_s = answer.get("access_token"), answer.get("expires_in", _UNSAID_S)
    if response.status != _OK:
        raise _refusal(response, answer, wanted)
    try:
        lifetime_s = float(lasts_s) - _EARLY_S  # some servers send it as a string
    except (TypeError, ValueError):
        lifetime_s = float("nan")
    good = isinstance(value, str) and value.isascii() and value.isprintable() and bool(value)
    if not good or lifetime_s != lifetime_s:  # noqa: PLR0124 - NaN
        raise ServiceError(
            f"token of {wanted.client_id!r}: what {wanted.host} answered is no token. Check token_url.",
            status=response.status,
            **_about(wanted),
        )
    return Entry(value, lifetime_s=max(0.0, lifetime_s))


def _refusal(response: BaseHTTPResponse, answer: dict[str, Any], wanted: Wanted) -> FetchError:
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
        f"token of {wanted.client_id!r}: {wanted.host} answered {response.status} {code or 'without an error code'}. "
        "Check client_id, client_secret, scope and audience.",
        code=code,
        status=response.status,
        **_about(wanted),
    )


def _about(wanted: Wanted) -> dict[str, Any]:
    return {"service": "oauth", "operation": "token", "name": wanted.client_id}
