"""Where a redirect leads, and what may go there: as requests and httpx have it, and nothing that is another host's."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import urljoin

from urllib3 import HTTPHeaderDict, Retry
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError
from urllib3.util import parse_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from urllib3 import BaseHTTPResponse, HTTPConnectionPool
    from urllib3.util import Url

_MOVED, _FOUND, _SEE_OTHER = 301, 302, 303
_PORTS = {"http": 80, "https": 443}
# What describes a body, or frames it.
_OF_A_BODY = re.compile(r"content-.+|transfer-encoding|digest|last-modified|trailer", re.IGNORECASE)
# What may be a credential, by its name, or is about one host.
_OF_A_HOST = re.compile(r"host|.*(auth|cookie|credential|key|passw|secret|session|signature|token).*", re.IGNORECASE)


class Hop:
    """The request that follows a redirect.

    Attributes:
        method: perhaps another one than before.
        url: absolute.
        options: of urllib3: headers, body, what is left of the retries.
        is_same_host: whether it goes where the request before it went.
    """

    __slots__ = ("is_same_host", "method", "options", "url")

    def __init__(self, method: str, url: str, options: dict[str, Any], *, is_same_host: bool) -> None:
        self.method = method
        self.url = url
        self.options = options
        self.is_same_host = is_same_host


def next_hop(
    response: BaseHTTPResponse,
    method: str,
    url: str,
    options: dict[str, Any],
    *,
    rewind: Callable[[], object] | None,
    pool: HTTPConnectionPool,
) -> Hop | None:
    """The request that `response`, a redirect, asks for; None if the response is the answer.

    301 turns a POST into a GET, 302 and 303 all but a HEAD; 307 and 308 turn nothing. A body is not sent on to another
    host, nor a second time where it can be sent once only; what may be a credential is not sent to another host. The
    same host over TLS is no other one.

    Args:
        response: the redirect.
        method: of the request that it answers.
        url: of that request, absolute.
        options: of that request.
        rewind: brings its body back to where it began; None if there is no way.
        pool: that it was sent over.

    Raises:
        MaxRetryError: one redirect too many.
        ProtocolError: the server sends us to what is no URL of HTTP.
    """
    target = _target(response, url)
    same = _is_same_host(parse_url(url), parse_url(target))
    headers, body = HTTPHeaderDict(options.get("headers") or pool.headers), options.get("body")
    options = {**options, "headers": headers}
    if method != "HEAD" and (response.status in {_FOUND, _SEE_OTHER} or (response.status, method) == (_MOVED, "POST")):
        method, options["body"] = "GET", None
        _drop(headers, _OF_A_BODY)
        options.pop("chunked", None)
    elif body is not None and (rewind is None or not same):
        return None
    if not same:
        _drop(headers, _OF_A_HOST)
    retries = Retry.from_int(options.get("retries", response.retries), redirect=True, default=pool.retries)
    try:
        options["retries"] = retries.increment(method, url, response=response, _pool=pool)
    except MaxRetryError:
        if not retries.raise_on_redirect:
            return None
        response.drain_conn()
        raise
    response.drain_conn()
    if options.get("body") is not None and rewind is not None:
        rewind()
    return Hop(method, target, options, is_same_host=same)


def _target(response: BaseHTTPResponse, url: str) -> str:
    location = str(response.get_redirect_location())
    with suppress(UnicodeError):
        location = location.encode("latin-1").decode()  # as it was sent: http.client takes any byte for latin-1
    try:
        target = urljoin(url, location)
        parsed = parse_url(target)
    except (ValueError, HTTPError):
        target, parsed = "", parse_url("")
    if parsed.scheme not in _PORTS or not parsed.host:
        response.drain_conn()
        raise ProtocolError(f"{parse_url(url).host} redirects to what is no URL of http or https")
    return target


def _is_same_host(one: Url, other: Url) -> bool:
    if one.host != other.host:
        return False
    ports = [url.port or _PORTS[str(url.scheme)] for url in (one, other)]
    schemes = [url.scheme for url in (one, other)]
    return (schemes[0] == schemes[1] and ports[0] == ports[1]) or (schemes == ["http", "https"] and ports == [80, 443])


def _drop(headers: HTTPHeaderDict, names: re.Pattern[str]) -> None:
    for name in [*headers]:
        if names.fullmatch(name):
            del headers[name]
