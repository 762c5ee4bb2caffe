"""httpx clients that keep no cookie, over connections that are kept as those of urllib3 are."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from weakref import WeakKeyDictionary, WeakSet

from .._clock import age_s, in_time
from .._diagnostics import COROUTINE, hide_locals, kind_of_function
from ..exceptions import ConfigurationError, DeadlineExceededError, MissingDependencyError
from .connection import SOCKET_OPTIONS
from .policy import CONNECT_S, IDEMPOTENT, READ_S, RETRYABLE_STATUSES, deadline_error
from .pools import Pools

try:
    import asyncio

    import httpcore
    import httpx
except ImportError as error:
    raise MissingDependencyError("httpx_client needs httpx, which is not installed: install httpx") from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from typing import Any, Self

    from .._clock import Instant
    from .._environment import Environment
    from .policy import ConnectionPolicy

_OURS = frozenset(("cert", "http1", "http2", "limits", "mounts", "proxy", "transport", "verify"))
_MAX_IDLE = 20  # connections to all hosts together, as httpx has it


class HttpxClients:
    """The client that is kept, and the transport below all clients."""

    def __init__(self, policy: ConnectionPolicy) -> None:
        self.transport: Any = Transport(policy)
        self._client: Any = None

    @classmethod
    def of(cls, env: Environment) -> Self:
        """Those of an environment."""
        return cls(env._parts[Pools].policy)

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

    def close_idle(self, now: Instant) -> float | None:
        """Close idle connections that have expired; seconds until the next one has."""
        self.transport.close_expired()
        wait_s: float | None = self.transport.uses.wait_s(now)
        return wait_s

    def close(self) -> None:
        """Close idle connections now, and those in use after their exchange."""
        self.transport.policy.expire_all()
        self.transport.close_expired()

    def after_fork_in_child(self) -> bool:
        """See the transport's."""
        self.transport.after_fork_in_child()
        return False


class HttpxAsyncClients(HttpxClients):
    """The same, for event loops."""

    def __init__(self, policy: ConnectionPolicy) -> None:
        self.transport = AsyncTransport(policy)
        self._client = None

    def new(self, options: dict[str, Any]) -> Any:
        """A client over these connections."""
        return httpx.AsyncClient(transport=self.transport, **_options(options))


def _hiding_locals(handle: Any) -> Any:
    """`handle_request` of a transport, whose errors show no header."""

    def wrapper(transport: Any, request: httpx.Request) -> httpx.Response:
        try:
            response: httpx.Response = handle(transport, request)
        except BaseException as error:
            hide_locals(error)
            raise
        return response

    async def async_wrapper(transport: Any, request: httpx.Request) -> httpx.Response:
        try:
            response: httpx.Response = await handle(transport, request)
        except BaseException as error:
            hide_locals(error)
            raise
        return response

    return async_wrapper if kind_of_function(handle) == COROUTINE else wrapper


class Transport(httpx.HTTPTransport):
    """Thread-safe."""

    def __init__(self, policy: ConnectionPolicy) -> None:
        self.policy = policy
        self.uses = Uses(policy)
        self._context = httpx.create_ssl_context()  # 20 ms, once
        self._pool = self._new_pool()

    def _new_pool(self) -> httpcore.ConnectionPool:
        return httpcore.ConnectionPool(network_backend=Backend(self.uses), **_limits(self._context))

    @_hiding_locals
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, again where that is right."""
        self.policy.check_time(request.url.host)
        attempt = 1
        while True:
            try:
                response = super().handle_request(request)
            except httpx.ReadError as error:
                if not _may_resend(request, error):
                    raise
                self._close_idle(request)
                response = super().handle_request(request)
            pause_s = _pause_s(self.policy, attempt, request, response)
            if pause_s is None:
                return response
            response.close()
            self.policy.clock.sleep(pause_s)
            attempt += 1

    def _close_idle(self, request: httpx.Request) -> None:
        """So that the next connection to this host is a new one."""
        for connection in self._pool.connections:
            if connection.is_idle() and connection.can_handle_request(_origin(request)):
                connection.close()

    def close_expired(self) -> None:
        """Close the idle connections that have expired. One that a thread has just taken is replaced by httpcore."""
        for connection in self._pool.connections:
            if connection.is_idle() and connection.has_expired():
                connection.close()

    def after_fork_in_child(self) -> None:
        """Close this process's descriptors. Nothing is locked or sent."""
        self.uses = Uses(self.policy)  # with a lock that no thread of the parent holds
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

    def __init__(self, policy: ConnectionPolicy) -> None:
        self.policy = policy
        self.uses = Uses(policy)
        self._context = httpx.create_ssl_context()  # 20 ms, once
        self._pools: WeakKeyDictionary[Any, httpcore.AsyncConnectionPool] = WeakKeyDictionary()

    @property
    def _pool(self) -> httpcore.AsyncConnectionPool:  # type: ignore[override] # what httpx sets and we compute
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            pool = httpcore.AsyncConnectionPool(network_backend=AsyncBackend(self.uses), **_limits(self._context))
            self._pools[loop] = pool
        return pool

    @_hiding_locals
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, again where that is right."""
        self.policy.check_time(request.url.host)
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
            pause_s = _pause_s(self.policy, attempt, request, response)
            if pause_s is None:
                return response
            await response.aclose()
            await asyncio.sleep(pause_s)
            attempt += 1

    def close_expired(self) -> None:
        """Close what has expired in loops that stand still. A loop that runs drops it when it sends next."""
        for loop, pool in [*self._pools.items()]:
            if not loop.is_closed() and not loop.is_running():
                closing = _close_expired(pool)
                try:
                    loop.run_until_complete(closing)
                except RuntimeError:  # another loop runs in this thread
                    closing.close()

    def after_fork_in_child(self) -> None:
        """Forget the parent's loops and connections."""
        self.uses = Uses(self.policy)
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
    return isinstance(error.__cause__, StaleConnectionError) and _can_be_resent(request)


def _can_be_resent(request: httpx.Request) -> bool:
    return request.method in IDEMPOTENT and isinstance(request.stream, httpx.ByteStream)


def _pause_s(policy: ConnectionPolicy, attempt: int, request: httpx.Request, response: httpx.Response) -> float | None:
    if response.status_code not in RETRYABLE_STATUSES or not _can_be_resent(request):
        return None
    return policy.pause_s(attempt, response.headers.get("Retry-After"))


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


class StaleConnectionError(httpcore.ReadError):
    """A connection that was used before ended before a byte of the response came."""


class Use:
    """What is known of the use of one connection."""

    def __init__(self, policy: ConnectionPolicy, host: str) -> None:
        self.policy = policy
        self.host = host
        self.is_open = False  # httpcore keeps a connection that was closed here until its next request
        self.used_at = policy.clock.now()
        self._generation = policy.generation
        self._pooled = False  # there was an exchange before this one
        self._answered = False  # a byte of the response has come

    def has_expired(self) -> bool:
        """Whether it may be dead for having been idle, or belongs to what was closed."""
        return self.policy.has_expired(self.used_at, self._generation, self.policy.clock.now())

    def wrote(self) -> None:
        """Something is sent: a new exchange begins, if an answer has come since the last."""
        if self._answered:
            self._pooled, self._answered = True, False

    def read(self, data: bytes) -> bytes:
        """Something, or the end, was read."""
        if data:
            self._answered = True
            self.used_at = self.policy.clock.now()
        elif self._pooled and not self._answered:
            raise StaleConnectionError("The server ended a kept connection without a response.")
        return data

    @contextmanager
    def bounded(self, asked_s: float | None) -> Iterator[float | None]:
        """The time-out for one step."""
        timeout_s, by_budget = self.policy.clamp_timeout(asked_s, self.host)
        try:
            yield timeout_s
        except httpcore.TimeoutException as error:
            if by_budget:
                raise deadline_error(self.host) from error
            raise
        except httpcore.ReadError as error:
            if self._pooled and not self._answered:
                raise StaleConnectionError(str(error)) from error
            raise


class Uses:
    """Of all connections of a transport that are there."""

    def __init__(self, policy: ConnectionPolicy) -> None:
        self.policy = policy
        self._all: WeakSet[Use] = WeakSet()
        self._lock = threading.Lock()

    def begin(self, host: str) -> Use:
        """A connection is opened."""
        use = Use(self.policy, host)
        with self._lock:
            self._all.add(use)
        return use

    def wait_s(self, now: Instant) -> float | None:
        """Seconds until one of them has been idle for too long; None if none is open."""
        with self._lock:
            ages_s = [age_s(use.used_at, now) for use in self._all if use.is_open]
        # Below 0 for one in use, or in an event loop that runs: neither is closed now.
        return max(0.0, self.policy.max_idle_s - max(ages_s)) if ages_s else None


class Stream(httpcore.NetworkStream):
    """A connection."""

    def __init__(self, inner: httpcore.NetworkStream, use: Use) -> None:
        self._inner = inner
        self._use = use
        use.is_open = True

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with self._use.bounded(timeout) as timeout_s:
            return self._use.read(self._inner.read(max_bytes, timeout=timeout_s))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._use.wrote()
        with self._use.bounded(timeout) as timeout_s:
            self._inner.write(buffer, timeout=timeout_s)

    def close(self) -> None:
        self._use.is_open = False
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            with self._use.bounded(timeout) as timeout_s:
                return Stream(self._inner.start_tls(ssl_context, server_hostname, timeout_s), self._use)
        except BaseException:
            self.close()  # httpcore has not kept it yet
            raise

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks for; it does not use an idle connection that is readable: that is one that has ended."""
        return (info == "is_readable" and self._use.has_expired()) or self._inner.get_extra_info(info)


class Backend(httpcore.SyncBackend):
    """Connects."""

    def __init__(self, uses: Uses) -> None:
        self._uses = uses

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        """The address that answers first, in the time that there is for all of them."""
        use = self._uses.begin(host)
        try:
            found = in_time(
                lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), clock=self._uses.policy.clock
            )
        except DeadlineExceededError:
            raise deadline_error(host) from None
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        failure: Exception | None = None
        for *_, address in found:
            try:
                with use.bounded(timeout) as timeout_s:
                    inner = super().connect_tcp(str(address[0]), port, timeout_s, local_address, socket_options)
                    return Stream(inner, use)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")


class AsyncStream(httpcore.AsyncNetworkStream):
    """A connection of an event loop."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, use: Use) -> None:
        self._inner = inner
        self._use = use
        use.is_open = True

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's
        with self._use.bounded(timeout) as timeout_s:
            return self._use.read(await self._inner.read(max_bytes, timeout=timeout_s))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's
        self._use.wrote()
        with self._use.bounded(timeout) as timeout_s:
            await self._inner.write(buffer, timeout=timeout_s)

    async def aclose(self) -> None:
        self._use.is_open = False
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's
    ) -> httpcore.AsyncNetworkStream:
        try:
            with self._use.bounded(timeout) as timeout_s:
                return AsyncStream(await self._inner.start_tls(ssl_context, server_hostname, timeout_s), self._use)
        except BaseException:
            await self.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        """As `Stream` has it."""
        return (info == "is_readable" and self._use.has_expired()) or self._inner.get_extra_info(info)


class AsyncBackend(httpcore.AsyncNetworkBackend):
    """Connects, in an event loop."""

    def __init__(self, uses: Uses) -> None:
        self._uses = uses
        self._inner: Any = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        """As `Backend` has it: anyio tries the addresses by itself."""
        use = self._uses.begin(host)
        with use.bounded(timeout) as timeout_s:
            return AsyncStream(await self._inner.connect_tcp(host, port, timeout_s, local_address, socket_options), use)
