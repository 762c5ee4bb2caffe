"""httpx clients that keep no cookie, over connections that are kept as those of urllib3 are."""

from __future__ import annotations

from contextlib import suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from weakref import WeakKeyDictionary

from ._http_connection import SOCKET_OPTIONS
from ._http_terms import CONNECT_S, IDEMPOTENT, PASSING, READ_S
from .exceptions import ConfigurationError, MissingDependencyError

try:
    import asyncio

    import httpcore
    import httpx

    from ._http_streams import AsyncBackend, Backend, Lost
except ImportError as error:
    raise MissingDependencyError("httpx_client needs httpx, which is not installed: install httpx") from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from ._http_pools import Pools
    from ._http_terms import Terms

_OURS = frozenset(("cert", "http1", "http2", "limits", "mounts", "proxy", "transport", "verify"))
_MAX_IDLE = 20  # connections to all hosts together, as httpx has it


class Front:
    """The client that is kept, and the transport below all clients."""

    def __init__(self, pools: Pools) -> None:
        self.transport = Transport(pools.terms)
        self._client: Any = None

    def client(self, options: dict[str, Any]) -> Any:
        """The kept client, or another one where there are `options`."""
        if options:
            return self.new(options)
        if self._client is None or self._client.is_closed:
            self._client = self.new(options)
        return self._client

    def new(self, options: dict[str, Any]) -> Any:
        """A client over these connections."""
        return httpx.Client(transport=self.transport, **_options(options))

    def sweep(self, _: Any) -> None:
        """Close idle connections: those that have expired, as the terms tell."""
        self.transport.sweep()

    def abandon(self) -> None:
        """In a forked child."""
        self.transport.abandon()


class AsyncFront(Front):
    """The same, for event loops."""

    def __init__(self, pools: Pools) -> None:
        self.transport: Any = AsyncTransport(pools.terms)
        self._client: Any = None

    def new(self, options: dict[str, Any]) -> Any:
        """A client over these connections."""
        return httpx.AsyncClient(transport=self.transport, **_options(options))


class Transport(httpx.HTTPTransport):
    """Thread-safe."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._context = httpx.create_ssl_context()  # 20 ms, once
        self._pool = self._new_pool()

    def _new_pool(self) -> httpcore.ConnectionPool:
        return httpcore.ConnectionPool(network_backend=Backend(self._terms), **_limits(self._context))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, again where that is right."""
        self._terms.check(request.url.host)
        attempt = 1
        while True:
            try:
                response = super().handle_request(request)
            except httpx.ReadError as error:
                if not _may_resend(request, error):
                    raise
                self._close_idle(request)
                response = super().handle_request(request)
            pause_s = _pause_s(self._terms, attempt, request, response)
            if pause_s is None:
                return response
            response.close()
            self._terms.clock.sleep(pause_s)
            attempt += 1

    def _close_idle(self, request: httpx.Request) -> None:
        """So that the next connection to this host is a new one."""
        for connection in self._pool.connections:
            if connection.is_idle() and connection.can_handle_request(_origin(request)):
                connection.close()

    def sweep(self) -> None:
        """Close the idle connections that have expired. One that a thread has just taken is replaced by httpcore."""
        for connection in self._pool.connections:
            if connection.is_idle() and connection.has_expired():
                connection.close()

    def abandon(self) -> None:
        """In a forked child: close this process's descriptors. Nothing is locked or sent."""
        pool, self._pool = self._pool, self._new_pool()
        for connection in pool.connections:
            connection.close()

    def __enter__(self) -> Self:
        """A client is used in a ``with``."""
        return self

    def __exit__(self, *_: object) -> None:
        """The connections are the environment's."""

    def close(self) -> None:
        """A client was closed. The connections are the environment's."""


class AsyncTransport(httpx.AsyncHTTPTransport):
    """A pool for each event loop: a connection belongs to the loop that it was opened in."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._context = httpx.create_ssl_context()  # 20 ms, once
        self._pools: WeakKeyDictionary[Any, httpcore.AsyncConnectionPool] = WeakKeyDictionary()

    @property
    def _pool(self) -> httpcore.AsyncConnectionPool:  # type: ignore[override] # what httpx sets and we compute
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            pool = httpcore.AsyncConnectionPool(network_backend=AsyncBackend(self._terms), **_limits(self._context))
            self._pools[loop] = pool
        return pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, again where that is right."""
        self._terms.check(request.url.host)
        attempt = 1
        while True:
            try:
                response = await super().handle_async_request(request)
            except httpx.ReadError as error:
                if not _may_resend(request, error):
                    raise
                for connection in self._pool.connections:
                    if connection.is_idle() and connection.can_handle_request(_origin(request)):
                        await connection.aclose()
                response = await super().handle_async_request(request)
            pause_s = _pause_s(self._terms, attempt, request, response)
            if pause_s is None:
                return response
            await response.aclose()
            await asyncio.sleep(pause_s)
            attempt += 1

    def sweep(self) -> None:
        """Close what has expired in loops that stand still. A loop that runs drops it when it sends next."""
        for loop, pool in [*self._pools.items()]:
            if not loop.is_closed() and not loop.is_running():
                closing = _close_expired(pool)
                try:
                    loop.run_until_complete(closing)
                except RuntimeError:  # another loop runs in this thread
                    closing.close()

    def abandon(self) -> None:
        """In a forked child: the parent's loops and connections are forgotten."""
        self._pools = WeakKeyDictionary()

    async def __aenter__(self) -> Self:
        """A client is used in an ``async with``."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """The connections are the environment's."""

    async def aclose(self) -> None:
        """A client was closed. The connections are the environment's."""


async def _close_expired(pool: httpcore.AsyncConnectionPool) -> None:
    for connection in pool.connections:
        if connection.is_idle() and connection.has_expired():
            with suppress(httpcore.NetworkError):
                await connection.aclose()


def _limits(context: Any) -> dict[str, Any]:
    return {
        "ssl_context": context,
        "max_connections": None,  # nobody waits for one
        "max_keepalive_connections": _MAX_IDLE,
        "keepalive_expiry": None,  # the streams tell, by both clocks
        "socket_options": SOCKET_OPTIONS,
    }


def _may_resend(request: httpx.Request, error: httpx.ReadError) -> bool:
    return isinstance(error.__cause__, Lost) and _is_repeatable(request)


def _is_repeatable(request: httpx.Request) -> bool:
    return request.method in IDEMPOTENT and isinstance(request.stream, httpx.ByteStream)


def _pause_s(terms: Terms, attempt: int, request: httpx.Request, response: httpx.Response) -> float | None:
    if response.status_code not in PASSING or not _is_repeatable(request):
        return None
    return terms.pause_s(attempt, response.headers.get("Retry-After"))


def _origin(request: httpx.Request) -> httpcore.Origin:
    url = request.url
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path).origin


def _options(given: dict[str, Any]) -> dict[str, Any]:
    taken = sorted(_OURS.intersection(given))
    if taken:
        raise ConfigurationError(
            f"httpx_client: {', '.join(taken)} belong to the connections, which are the environment's. "
            "Make a client of httpx's own for them"
        )
    jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))  # takes none from responses
    for cookie in httpx.Cookies(given.get("cookies")).jar:
        jar.set_cookie(cookie)
    timeout = httpx.Timeout(READ_S, connect=CONNECT_S)
    return {"timeout": timeout, **given, "cookies": jar}
