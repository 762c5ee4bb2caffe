"""HTTP requests over connections that the environment keeps alive, each bounded by what the invocation leaves."""

from __future__ import annotations

import sys

from ._diagnostics import hide_locals
from ._environment import environment, part
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from typing import Any, Literal, TypedDict, Unpack

    import httpx
    import requests
    from urllib3 import BaseHTTPResponse, PoolManager

    from ._environment import Environment

    class Options(TypedDict, total=False):
        """The keyword arguments of `request`."""

        body: Any
        json: Any
        fields: Any
        headers: Mapping[str, str] | None
        auth: Any
        timeout: float | tuple[float | None, float | None] | None
        retry: bool | Literal["unsafe"]
        max_bytes: int | None
        redirect: bool
        ca: str | PathLike[str] | None
        cert: str | PathLike[str] | tuple[str | PathLike[str], ...] | None


__all__ = [
    "delete",
    "get",
    "head",
    "httpx_async_client",
    "httpx_client",
    "origin",
    "patch",
    "pool",
    "post",
    "put",
    "request",
    "requests_session",
]


def warm_imports(env: Environment) -> None:
    """What a first request needs, with the certificates that it trusts: for INIT, see `_warm_imports`."""
    from ._http.pools import Pools

    __import__("lambdakit._http.request")
    env._parts[Pools].contexts.context()


def request(method: str, url: str, **options: Unpack[Options]) -> BaseHTTPResponse:
    """Send a request over a kept connection, and return urllib3's response: ``.status .headers .data .json()``.

    Any status is returned, none is raised. The body has been read. No cookie is kept or sent.

    Args:
        method: such as ``"GET"``.
        url: absolute; without user and password, see `auth`.
        options: by keyword, all optional:

            ``body`` (bytes, a str, a file, an iterable of bytes) or ``json`` (anything that `json.dumps` takes) or
            ``fields`` (a dictionary or a list of pairs: the query of a GET, HEAD, DELETE or OPTIONS, a multipart form
            otherwise; a list is one field for each of its items, None is left out). A file that can be sought is sent
            with its length, an iterable in chunks unless ``headers`` have a ``Content-Length``, which it has to match.

            ``headers``: a dictionary. ``Accept-Encoding: gzip`` is added, and what is compressed is decoded.

            ``auth``: a tuple of user and password, or an OAuth token: an object whose ``str()`` is the bearer value,
            with a method ``forget()``. After a 401 the latter is called and the request sent once more, with the token
            renewed, whatever its method is: it was not executed.

            ``timeout``: seconds to connect, and seconds of silence to bear; or a tuple of the two. Default: 2 and 10.
            In an invocation no step takes longer than the invocation has, less 0.25 s; the whole body included.

            ``retry``: True, the default: once over a new connection, if a kept one was lost before a byte of the
            response came, never after a time-out; and up to two times after a status of 429, 502, 503 or 504, with
            full jitter, and not before ``Retry-After``. If there is no time for that, or it is more than 30 s, the
            response is returned as it is. Only of GET, HEAD, OPTIONS, PUT, DELETE and TRACE: ``"unsafe"`` for all.
            False: never. A body that can be read once, such as a generator or a pipe, is sent once: the response that
            there was is returned.

            ``max_bytes``: of the decoded body; None, the default, for any number.

            ``redirect``: whether redirects are followed, at most 10; default True. 301 turns a POST into a GET, 302 and
            303 all but a HEAD. Headers that may hold credentials and ``cert`` do not go to another host; a body
            neither: the 307 or 308 is returned.

            ``ca``: a file or a directory of certificates to trust instead of the machine's. ``cert``: the client's
            certificate: a file with its key, or a tuple of the two, and of the key's password. Files that have changed
            are read again for the next connection.

    Raises:
        ConfigurationError: an argument is wrong; the message tells which one.
        DeadlineExceededError: the invocation has no time for it, or no more.
        ValueFormatError: the body is larger than ``max_bytes``.
        urllib3.exceptions.HTTPError: no response came. As urllib3 raises it: ``MaxRetryError`` if there is no
            connection, ``ReadTimeoutError`` after silence, ``ProtocolError`` if the connection was lost, or a redirect
            leads to what is no URL of http or https.

    Proxies are those of the environment: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``, and ``NO_PROXY``. Resolving a
    host name is not bounded. Thread-safe. Since 0.1.
    """
    return _send(method, url, options)


def _send(method: str, url: str, options: Options) -> BaseHTTPResponse:
    from ._http.pools import Pools  # 60 ms with urllib3, at the first request; in INIT, see `warm_imports`
    from ._http.request import send

    try:
        return send(part(Pools), method, url, **options)
    except BaseException as error:
        options.clear()  # type: ignore[attr-defined] # of the caller's frame too, which is shown with the error
        hide_locals(error)
        raise


def get(url: str, **options: Unpack[Options]) -> BaseHTTPResponse:
    """`request` with GET. Since 0.1."""
    return _send("GET", url, options)


def post(url: str, **options: Unpack[Options]) -> BaseHTTPResponse:
    """`request` with POST. Since 0.1."""
    return _send("POST", url, options)


def put(url: str, **options: Unpack[Options]) -> BaseHTTPResponse:
    """`request` with PUT. Since 0.1."""
    return _send("PUT", url, options)


def patch(url: str, **options: Unpack[Options]) -> BaseHTTPResponse:
    """`request` with PATCH. Since 0.1."""
    return _send("PATCH", url, options)


def delete(url: str, **options: Unpack[Options]) -> BaseHTTPResponse:
    """`request` with DELETE. Since 0.1."""
    return _send("DELETE", url, options)


def head(url: str, **options: Unpack[Options]) -> BaseHTTPResponse:
    """`request` with HEAD. Since 0.1."""
    return _send("HEAD", url, options)


def pool() -> PoolManager:
    """The environment's ``urllib3.PoolManager``: time-outs, retries and connections as `request` has them.

    For what is written for urllib3, and for bodies that are read piece by piece (``preload_content=False``; if the
    invocation's time ends within one, urllib3's ``ReadTimeoutError`` has a `DeadlineExceededError` as its cause).
    Options of urllib3 given with a request, such as ``retries=``, replace ours.

    It stays the same object until the environment ends. Thread-safe. Since 0.1.
    """
    from ._http.pools import Pools

    return part(Pools).manager()


def requests_session() -> requests.Session:
    """The environment's ``requests.Session``: connections, time-outs and retries as `request` has them, no cookies.

    It trusts what requests trusts. `DeadlineExceededError` where the invocation ends a request, else the errors of
    requests. Do not change its headers or ``auth`` from invocation to invocation: it is everyone's.

    Raises:
        MissingDependencyError: requests (2.32.2 or newer) is not installed.

    The same object each time. Since 0.1.
    """
    from ._http.requests_session import RequestsSession  # 60 ms on top of urllib3: requests

    return part(RequestsSession).session


def httpx_client(**options: Any) -> httpx.Client:
    """An ``httpx.Client`` over connections that the environment keeps, with the behaviour of `request`, no cookies.

    Args:
        options: those of ``httpx.Client``, but for those of connections: ``transport``, ``http1``, ``http2``,
            ``limits``, ``proxy``, ``mounts``. Without any it is the same client each time; with some it is a new one,
            over the same connections. ``verify`` (a path or a context, not False) and ``cert`` have connections of
            their own; files that have changed are read again for the next one.

    Raises:
        ConfigurationError: an option of the connections, or certificates that cannot be read.
        MissingDependencyError: httpx is not installed.

    `DeadlineExceededError` where the invocation ends a request, else the errors of httpx. Thread-safe. Since 0.1.
    """
    from ._http.httpx_clients import HttpxClients  # 90 ms: httpx

    client: httpx.Client = part(HttpxClients).client(options)
    return client


def httpx_async_client(**options: Any) -> httpx.AsyncClient:
    """As `httpx_client`, an ``httpx.AsyncClient``: one for all event loops, each of which has connections of its own.

    They are closed with their loop. For asyncio. Since 0.1.
    """
    from ._http.httpx_clients import HttpxAsyncClients  # as above

    client: httpx.AsyncClient = part(HttpxAsyncClients).client(options)
    return client


class _Origin:
    """Opens a connection, when it is called."""

    def __init__(self, url: str, shown: str) -> None:
        self._url = url
        self.__qualname__ = self._shown = f"lambdakit.http.origin({shown!r})"  # what `preload` calls it in messages

    def __call__(self) -> None:
        from ._http.pools import Pools

        requests_session = sys.modules.get("lambdakit._http.requests_session")  # not imported for who has no session
        session = requests_session and environment()._parts.peek(requests_session.RequestsSession)
        try:
            try:
                part(Pools).open(self._url)
            finally:  # which trusts others, perhaps
                if session is not None:
                    session.open(self._url)
        except BaseException as error:
            hide_locals(error)
            raise

    def __repr__(self) -> str:
        return self._shown


def origin(url: str) -> _Origin:
    """Have a connection to a host ready: ``@handler(preload=[lambdakit.http.origin("https://partner.example")])``.

    Returns:
        A function without arguments, which opens a connection, TLS included, for the first request of `request` and
        `pool`; and, over TLS, another one for that of `requests_session`, which trusts other certificates, if the
        session was made by then, as a module makes it that keeps it. httpx opens its own. Nothing is sent beyond the
        handshake. A connection that stands ready is kept.

    Raises:
        ConfigurationError: not an absolute URL of http or https. When it is called: as `request`.

    Since 0.1.
    """
    given: Any = url
    scheme, _, rest = given.partition("://") if isinstance(given, str) else ("", "", "")
    host = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    if scheme.lower() not in {"http", "https"} or not host or "@" in given:
        raise ConfigurationError("origin: give a URL such as 'https://partner.example', without user and password")
    return _Origin(f"{scheme}://{host}", f"{scheme}://{host}")
