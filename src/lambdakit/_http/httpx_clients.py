"""httpx clients that keep no cookie, over connections that are kept as those of urllib3 are."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import threading
from contextlib import contextmanager, suppress
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from weakref import WeakSet, ref

from .._clock import in_time
from .._diagnostics import COROUTINE, hide_locals, kind_of_function
from .._event_loop import life_of, life_of_running, run_if_standing
from ..exceptions import ConfigurationError, DeadlineExceededError, MissingDependencyError
from .connection import SOCKET_OPTIONS
from .policy import CONNECT_S, IDEMPOTENT, READ_S, RETRYABLE_STATUSES, Life, deadline_error, idle_limit_s
from .pools import Pools
from .tls import nothing_but_tickets, stamp

try:
    import asyncio

    import httpcore
    import httpx
except ImportError as error:
    raise MissingDependencyError("httpx_client needs httpx, which is not installed: install httpx") from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any, Self

    from .._clock import Instant
    from .._environment import Environment
    from .policy import ConnectionPolicy

_OURS = frozenset(("http1", "http2", "limits", "mounts", "proxy", "transport"))
_MAX_IDLE = 20  # connections to all hosts together, as httpx has it
_PORTS = {"http": 80, "https": 443}
_MOST_RACES = 10  # in which what closes idle connections was faster than a request
_MAX_TRANSPORTS = 32  # a function with more pairs of certificates writes them itself


def warm_imports(env: Environment) -> None:  # noqa: ARG001 - what every feature is given
    """What a first request needs beside httpx: for INIT, see `_warm_imports`."""
    __import__("encodings.idna")  # 1 ms: names of hosts go through it


class HttpxClients:
    """The client that is kept, and the transports below all clients."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._transports: dict[Any, Any] = {}  # by what they trust, and whether they use proxies
        self.transport: Any = self._transport(True, None, trust_env=True)
        self._client: Any = None

    @classmethod
    def of(cls, env: Environment) -> Self:
        """Those of an environment."""
        return cls(env._parts[Pools])

    def client(self, options: dict[str, Any]) -> Any:
        """The kept client, or another one where there are `options`."""
        if options:
            return self.new(options)
        if self._client is None or self._client.is_closed:
            self._client = self.new(options)
        return self._client

    def new(self, options: dict[str, Any]) -> Any:
        """A client over these connections."""
        return httpx.Client(**self._options(options))

    def _transport(self, verify: Any, cert: Any, *, trust_env: bool) -> Any:
        key = (verify, cert, trust_env)
        transport = self._transports.get(key)
        if transport is None:
            if len(self._transports) >= _MAX_TRANSPORTS:
                self._transports = {(True, None, True): self.transport}  # connections of others end with their idleness
            contexts = _contexts(self._pools, verify, cert)
            proxy = self._pools.proxy if trust_env else _no_proxy
            transport = self._transports.setdefault(key, self._new_transport(self._pools.policy, contexts, proxy))
        return transport

    def _new_transport(self, *args: Any) -> Any:
        return Transport(*args)

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        """What httpx is given: what is about connections has been taken out."""
        taken = sorted(_OURS.intersection(given))
        if taken:
            raise ConfigurationError(
                f"httpx_client: {', '.join(taken)} belong to the connections, which are the environment's. "
                "Make a client of httpx's own for them"
            )
        given = {**given}
        verify, cert = _verify(given.pop("verify", True)), _cert(given.pop("cert", None))
        jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))  # takes none from responses
        for cookie in httpx.Cookies(given.get("cookies")).jar:
            jar.set_cookie(cookie)
        return {
            "timeout": httpx.Timeout(READ_S, connect=CONNECT_S),
            **given,
            "cookies": jar,
            "transport": self._transport(verify, cert, trust_env=given.get("trust_env", True) is not False),
        }

    def close_idle(self, now: Instant) -> float | None:
        """Close idle connections that have expired; seconds until the next one has."""
        waits_s = []
        for transport in [*self._transports.values()]:
            transport.close_expired()
            waits_s.append(transport.uses.wait_s(now))
        return min((wait_s for wait_s in waits_s if wait_s is not None), default=None)

    def close(self) -> None:
        """Close idle connections now, and those in use after their exchange."""
        self._pools.policy.expire_all()
        for transport in [*self._transports.values()]:
            transport.close_expired()

    def after_fork_in_child(self) -> bool:
        """See the transports'."""
        for transport in [*self._transports.values()]:
            transport.after_fork_in_child()
        return False


class HttpxAsyncClients(HttpxClients):
    """The same, for event loops."""

    def new(self, options: dict[str, Any]) -> Any:
        """A client over these connections."""
        return httpx.AsyncClient(**self._options(options))

    def _new_transport(self, *args: Any) -> Any:
        return AsyncTransport(*args)


def _verify(given: Any) -> Any:
    """Whom to trust: True, a context, or a path."""
    if given is True or isinstance(given, ssl.SSLContext):
        return given
    if isinstance(given, (str, os.PathLike)):
        return os.fspath(given)
    raise ConfigurationError(
        f"verify: give a file or a directory of certificates, or an ssl.SSLContext, not {given!r:.80}. "
        "Who trusts everyone needs a client of httpx's own"
    )


def _cert(given: Any) -> Any:
    """The client's certificate: a file, or a tuple of certificate, key and password."""
    if given is None:
        return None
    if isinstance(given, (tuple, list)):
        return (*map(os.fspath, given[:2]), *given[2:])
    return os.fspath(given)


def _contexts(pools: Pools, verify: Any, cert: Any) -> Callable[[], ssl.SSLContext]:
    """What gives the context for the next handshake: files are renewed."""
    if isinstance(verify, ssl.SSLContext):
        if cert is not None:
            raise ConfigurationError("verify, cert: a context has its own certificate; load it there")
        return lambda: verify
    if verify is True and cert is None:
        return Default().context
    import certifi  # httpx needs it

    def context() -> ssl.SSLContext:
        ca = (os.environ.get("SSL_CERT_FILE") or certifi.where()) if verify is True else verify
        made = pools.contexts.context(ca=ca, cert=cert)
        made.set_alpn_protocols(["http/1.1"])  # httpcore's, which has another one in hand
        return made

    try:
        context()
    except (OSError, TypeError, ValueError) as error:
        raise ConfigurationError(f"verify or cert: what is named cannot be read as certificates ({error})") from None
    return context


class Default:
    """httpx's own trust, made anew when the file that SSL_CERT_FILE names has changed."""

    def __init__(self) -> None:
        self._stamp: object = stamp(os.environ.get("SSL_CERT_FILE"))
        self._context = httpx.create_ssl_context()  # 20 ms, once

    def context(self) -> ssl.SSLContext:
        """It."""
        now = stamp(os.environ.get("SSL_CERT_FILE"))
        if now != self._stamp:
            with suppress(OSError):  # it is being written, or gone
                self._context = httpx.create_ssl_context()
                self._stamp = now
        return self._context


def _no_proxy(_: str) -> None:
    """None for any URL."""


class _Routes:
    """What both transports have: whom they trust, and a transport of the same kind for each proxy.

    Args:
        policy: of all connections.
        contexts: gives the context for the next handshake.
        proxy: gives the proxy for a URL, or None.
        uses: of the transport that this one belongs to; None for one of its own.
        by: the proxy that all of it goes through.
    """

    def __init__(
        self,
        policy: ConnectionPolicy,
        contexts: Callable[[], ssl.SSLContext],
        proxy: Callable[[str], str | None] = _no_proxy,
        uses: Uses | None = None,
        by: str | None = None,
    ) -> None:
        self.policy = policy
        self.uses = Uses(policy) if uses is None else uses
        self._contexts = contexts
        self._first_context = contexts()
        self._context = partial(_current, self._first_context, contexts)
        self._proxy = proxy
        self._by = by
        self._routes: dict[str, Any] = {}

    def _route(self, request: httpx.Request) -> Any:
        """The transport of the proxy for this request; this one if there is none."""
        proxy = self._proxy(str(request.url))
        if proxy is None:
            return self
        route = self._routes.get(proxy)
        if route is None:
            new = type(self)(self.policy, self._contexts, uses=self.uses, by=proxy)
            route = self._routes.setdefault(proxy, new)
        return route

    def _address(self, request: httpx.Request) -> tuple[str, int]:
        """What is connected to for a request: its host, or the proxy."""
        url = request.url if self._by is None else httpx.URL(self._by)
        return url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme]

    def _pool_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "ssl_context": self._first_context,
            "max_connections": None,  # nobody waits for one
            "max_keepalive_connections": _MAX_IDLE,
            "keepalive_expiry": None,  # the streams tell, by both clocks
            "socket_options": SOCKET_OPTIONS,
        }
        if self._by is None:
            return options
        from .proxies import checked

        checked(self._by)
        proxy = httpx.Proxy(self._by)
        url = httpcore.URL(
            scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=proxy.url.raw_path
        )
        return {**options, "proxy_url": url, "proxy_auth": proxy.raw_auth}


def _current(first: Any, contexts: Callable[[], Any], given: Any) -> Any:
    """The context for a handshake: of the pool's, which it was made with, the one that stands in its place now."""
    return contexts() if given is first else given


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


class Transport(_Routes, httpx.HTTPTransport):
    """Thread-safe."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pool = self._new_pool()

    def _new_pool(self) -> httpcore.ConnectionPool:
        pool = httpcore.ConnectionPool if self._by is None else httpcore.HTTPProxy
        return pool(network_backend=Backend(self.uses, self._context), **self._pool_options())

    @_hiding_locals
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, again where that is right."""
        self.policy.check_time(request.url.host)
        route = self._route(request)
        _take_stream(request)
        attempt = 1
        while True:
            response: httpx.Response = route.exchange(request)
            pause_s = _pause_s(self.policy, attempt, request, response)
            if pause_s is None:
                return response
            response.close()
            self.policy.clock.sleep(pause_s)
            attempt += 1

    def exchange(self, request: httpx.Request) -> httpx.Response:
        """One attempt, over a new connection if a kept one was lost."""
        losses = Losses(request)
        while True:
            try:
                response = super().handle_request(request)
            except httpx.ReadError as error:
                if not losses.allow(error):
                    raise
                self.uses.close_idle(self._address(request))  # so that the next connection is a new one
            else:
                break
        use = _use_of(response, self._pool)
        if use is not None:
            response.stream = _Checked(response.stream, use)
        return response

    def close_expired(self) -> None:
        """Close the idle connections that have expired."""
        self.uses.close_expired()

    def after_fork_in_child(self) -> None:
        """Close this process's descriptors. Nothing is locked or sent."""
        self.uses = Uses(self.policy)  # with a lock that no thread of the parent holds
        pools = [self._pool, *(route._pool for route in self._routes.values())]  # noqa: SLF001 - of this class
        self._pool, self._routes = self._new_pool(), {}
        for pool in pools:
            for connection in pool.connections:
                connection.close()

    def __enter__(self) -> Self:
        """A client is used in a ``with``."""
        return self

    def __exit__(self, *_: object) -> None:
        """The connections are the environment's."""

    def close(self) -> None:
        """A client was closed. The connections are the environment's."""


class AsyncTransport(_Routes, httpx.AsyncHTTPTransport):
    """A pool for each event loop: a connection belongs to the loop that it was opened in, and dies with it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._loops: dict[int, ref[Any]] = {}

    @property
    def _pool(self) -> httpcore.AsyncConnectionPool:  # type: ignore[override] # what httpx sets and we compute
        loop = asyncio.get_running_loop()
        owned = life_of_running(loop).owned
        kept = owned.get(self)
        if kept is None:
            pool = httpcore.AsyncConnectionPool if self._by is None else httpcore.AsyncHTTPProxy
            backend = AsyncBackend(self.uses, self._context)
            kept = owned[self] = _Kept(pool(network_backend=backend, **self._pool_options()))
            self._forget_closed()
            self._loops[id(loop)] = ref(loop)
        return kept.pool

    def _forget_closed(self) -> None:
        for number, loop in [*self._loops.items()]:
            if (there := loop()) is None or there.is_closed():
                self._loops.pop(number, None)
                if there is not None:
                    life_of(there).discard()

    @_hiding_locals
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, again where that is right."""
        self.policy.check_time(request.url.host)
        route = self._route(request)
        _take_stream(request)
        attempt = 1
        while True:
            response: httpx.Response = await route.exchange(request)
            pause_s = _pause_s(self.policy, attempt, request, response)
            if pause_s is None:
                return response
            await response.aclose()
            await asyncio.sleep(pause_s)
            attempt += 1

    async def exchange(self, request: httpx.Request) -> httpx.Response:
        """One attempt, over a new connection if a kept one was lost."""
        losses = Losses(request)
        while True:
            try:
                response = await super().handle_async_request(request)
            except httpx.ReadError as error:
                if not losses.allow(error):
                    raise
                for connection in self._pool.connections:
                    if connection.is_idle() and connection.can_handle_request(_origin(request)):
                        await connection.aclose()
            else:
                break
        use = _use_of(response, self._pool)
        if use is not None:
            response.stream = _AsyncChecked(response.stream, use)
        return response

    def close_expired(self) -> None:
        """Close what has expired in this thread's loops that stand still. One that runs drops it when it sends next."""
        for route in (self, *self._routes.values()):
            route.close_expired_of_loops()

    def close_expired_of_loops(self) -> None:
        """The same, without those of proxies."""
        self._forget_closed()
        for loop in [*self._loops.values()]:
            there = loop()
            kept = None if there is None else life_of(there).owned.get(self)
            if there is not None and kept is not None:
                run_if_standing(there, kept.close_expired)

    def after_fork_in_child(self) -> None:
        """Forget the parent's loops and connections."""
        self.uses = Uses(self.policy)
        for route in (self, *self._routes.values()):
            for loop in [*route._loops.values()]:  # noqa: SLF001 - of this class
                there = loop()
                if there is not None:
                    life_of(there).owned.pop(route, None)
            route._loops = {}  # noqa: SLF001 - the same
        self._routes = {}

    async def __aenter__(self) -> Self:
        """A client is used in an ``async with``."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """The connections are the environment's."""

    async def aclose(self) -> None:
        """A client was closed. The connections are the environment's."""


class _Kept:
    """The connections of an event loop."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self.pool = pool

    async def close_expired(self) -> None:
        """Close the idle ones that have expired."""
        for connection in self.pool.connections:
            if connection.is_idle() and connection.has_expired():
                with suppress(httpcore.NetworkError):
                    await connection.aclose()

    async def end(self) -> None:
        """The loop ends: close all of them."""
        with suppress(Exception):
            await self.pool.aclose()

    def discard(self) -> None:
        """The loop is closed already: nothing can be awaited in it, but descriptors can be closed."""
        for connection in self.pool.connections:
            h11 = _inner(connection)
            stream = getattr(h11, "_network_stream", None)
            raw = stream and getattr(stream.get_extra_info("socket"), "_sock", None)
            if isinstance(raw, socket.socket):
                raw.close()


class _Checked(httpx.SyncByteStream):
    """The body of a response, at whose end there has to be nothing else."""

    def __init__(self, inner: Any, use: Use) -> None:
        self._inner = inner
        self._use = use

    def __iter__(self) -> Iterator[bytes]:
        yield from self._inner

    def close(self) -> None:
        self._use.answered_in_whole()
        self._inner.close()


class _AsyncChecked(httpx.AsyncByteStream):
    """The same, of an event loop."""

    def __init__(self, inner: Any, use: Use) -> None:
        self._inner = inner
        self._use = use

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            yield piece

    async def aclose(self) -> None:
        self._use.answered_in_whole()
        await self._inner.aclose()


def _use_of(response: httpx.Response, pool: Any) -> Use | None:
    """The use of the connection that a response comes over; None if it is no connection of HTTP any more."""
    stream = response.extensions.get("network_stream")
    if not isinstance(stream, (Stream, AsyncStream)):
        return None
    use = stream.use
    use.idle_limit_s = idle_limit_s(response.headers.get("keep-alive"))
    if use.parser is None:
        for connection in pool.connections:
            inner = _inner(connection)
            if inner is not None and inner._network_stream is stream:  # noqa: SLF001 - no other way leads to what was read
                use.parser = inner._h11_state  # noqa: SLF001 - the same
    return use


def _inner(connection: Any) -> Any:
    """The connection of HTTP/1.1, within those that httpcore has around it; None if there is none yet."""
    while connection is not None and not hasattr(connection, "_h11_state"):
        connection = getattr(connection, "_connection", None)
    return connection


def _take_stream(request: httpx.Request) -> None:
    """Refuse a body that was sent before, and can be sent once only: httpx would send an empty one.

    And have a pipe sent in pieces: httpx takes it for an empty file, and says so to the server.

    Raises:
        httpx.StreamConsumed: as httpx has it for generators.
    """
    stream: Any = request.stream
    if isinstance(stream, httpx.ByteStream) or type(stream).__module__ == "httpx._multipart":  # which goes back
        return
    if getattr(stream, "_lambdakit_sent", False):
        raise httpx.StreamConsumed
    with suppress(AttributeError):  # one of the caller's own, with slots
        stream._lambdakit_sent = True  # noqa: SLF001 - ours
    if request.headers.get("content-length") == "0" and _is_pipe(getattr(stream, "_stream", None)):
        del request.headers["content-length"]
        request.headers["transfer-encoding"] = "chunked"


def _is_pipe(file: Any) -> bool:
    """Whether a file has a size that is not how much can be read of it."""
    try:
        return not stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (AttributeError, OSError, ValueError):
        return False


class Losses:
    """How often kept connections were lost under one attempt."""

    def __init__(self, request: httpx.Request) -> None:
        self._may_be_resent = _can_be_resent(request)
        self._races_left = _MOST_RACES

    def allow(self, error: httpx.ReadError) -> bool:
        """Whether the request may be sent once more after this."""
        cause = error.__cause__
        if isinstance(cause, NothingSentError):
            self._races_left -= 1
            return self._races_left >= 0
        allowed = self._may_be_resent and isinstance(cause, StaleConnectionError)
        self._may_be_resent = False
        return allowed


def _can_be_resent(request: httpx.Request) -> bool:
    return request.method in IDEMPOTENT and isinstance(request.stream, httpx.ByteStream)


def _pause_s(policy: ConnectionPolicy, attempt: int, request: httpx.Request, response: httpx.Response) -> float | None:
    if response.status_code not in RETRYABLE_STATUSES or not _can_be_resent(request):
        return None
    return policy.pause_s(attempt, response.headers.get("Retry-After"))


def _origin(request: httpx.Request) -> httpcore.Origin:
    url = request.url
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path).origin


class StaleConnectionError(httpcore.ReadError):
    """A connection that was used before ended before a byte of the response came."""


class NothingSentError(StaleConnectionError):
    """The same before anything was sent: another connection may take the request, whatever it is."""


class Use(Life):
    """What is known of the use of one connection.

    Attributes:
        is_open: False once it was closed here: httpcore keeps it until its next request.
        parser: h11's state of the connection, which has what was read and not asked for; None before it is known.
    """

    def __init__(self, policy: ConnectionPolicy, host: str, port: int) -> None:
        self.policy = policy
        self.host = host
        self.address = host, port
        self.is_open = False
        self.parser: Any = None
        self.opened_at = self.used_at = policy.clock.now()
        self.generation = policy.generation
        self._sockets = socket.socket
        self.stream: Any = None  # a weak reference to what can be closed from another thread
        self._lock = threading.Lock()
        self._busy = False  # between the first byte of a request and the end of its answer
        self._spoiled = False  # more has come than an answer
        self._pooled = False  # there was an exchange before this one
        self._answered = False  # a byte of the response has come

    def has_expired(self) -> bool:
        """Whether it may be dead for having been idle, has had its time, or belongs to what was closed or to others."""
        if self._sockets is not socket.socket:  # gevent, or a test, has replaced them since, or is over
            return True
        return self._spoiled or not self.is_open or self.policy.has_expired(self, self.policy.clock.now())

    def is_over(self, is_readable: Callable[[], bool]) -> bool:
        """Whether it is not to be used again: then it is not, whoever has just been given it.

        One that a request is on its way over is not: another thread may have looked at it before.
        """
        with self._lock:
            over = not self._busy and (self.has_expired() or is_readable())
            self.is_open = self.is_open and not over
        return over

    def wrote(self) -> bool:
        """Something is sent. True if an exchange begins with it.

        Raises:
            NothingSentError: it was closed meanwhile.
        """
        with self._lock:
            if not self.is_open:
                raise NothingSentError("The connection was closed before the request was sent.")
            begins, self._busy = not self._busy, True
        if begins and self._answered:
            self._pooled, self._answered = True, False
        return begins

    def unasked(self) -> None:
        """There is something to be read, and nothing was asked for.

        Raises:
            NothingSentError: of a connection that was used before.
            httpcore.RemoteProtocolError: of a new one.
        """
        kind: type[Exception] = NothingSentError if self._pooled else httpcore.RemoteProtocolError
        raise kind("The server has sent something, or gone, before it was asked.")

    def answered_in_whole(self) -> None:
        """Nobody reads the answer any more; what was read behind it is an answer to nobody."""
        # Where the parser was not found, nobody knows.
        self._spoiled = self._spoiled or self.parser is None or bool(self.parser.trailing_data[0])
        self._busy = False

    def again(self) -> Self:
        """What was exchanged so far was with a proxy; what comes is with the server, over TLS."""
        self.parser = None
        self._busy = self._answered = False
        return self

    def close_if_idle(self) -> None:
        """Close it, unless a request is on its way."""
        with self._lock:
            stream = None if self._busy or self.stream is None else self.stream()
            self.is_open = self.is_open and stream is None
        if stream is not None:
            stream.close()

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

    def begin(self, host: str, port: int) -> Use:
        """A connection is opened."""
        use = Use(self.policy, host, port)
        with self._lock:
            self._all.add(use)
        return use

    def wait_s(self, now: Instant) -> float | None:
        """Seconds until one of them has been idle for too long; None if none is open."""
        left_s = [self.policy.left_s(use, now) for use in self._there() if use.is_open]
        # Below 0 for one in use, or in an event loop that runs: neither is closed now.
        return max(0.0, min(left_s)) if left_s else None

    def close_expired(self) -> None:
        """Close the idle ones that have expired; not for those of event loops."""
        for use in self._there():
            if use.has_expired():
                use.close_if_idle()

    def close_idle(self, address: tuple[str, int]) -> None:
        """Close the idle ones to a host and port; not for those of event loops."""
        for use in self._there():
            if use.address == address:
                use.close_if_idle()

    def _there(self) -> list[Use]:
        with self._lock:
            return [*self._all]


class Stream(httpcore.NetworkStream):
    """A connection."""

    def __init__(self, inner: httpcore.NetworkStream, use: Use, context: Callable[[Any], Any]) -> None:
        self._inner = inner
        self._context = context
        self.use = use
        use.stream = ref(self)
        use.is_open = True

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with self.use.bounded(timeout) as timeout_s:
            return self.use.read(self._inner.read(max_bytes, timeout=timeout_s))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self.use.wrote() and self._inner.get_extra_info("is_readable"):
            sock = self._inner.get_extra_info("socket")
            if not (isinstance(sock, ssl.SSLSocket) and nothing_but_tickets(sock)):
                self.use.unasked()
        with self.use.bounded(timeout) as timeout_s:
            self._inner.write(buffer, timeout=timeout_s)

    def close(self) -> None:
        self.use.is_open = False
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            with self.use.bounded(timeout) as timeout_s:
                inner = self._inner.start_tls(self._context(ssl_context), server_hostname, timeout_s)
                return Stream(inner, self.use.again(), self._context)
        except BaseException:
            self.close()  # httpcore has not kept it yet
            raise

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks for; it does not use an idle connection that is readable: that is one that has ended."""
        get = self._inner.get_extra_info
        return self.use.is_over(lambda: bool(get(info))) if info == "is_readable" else get(info)


class Backend(httpcore.SyncBackend):
    """Connects."""

    def __init__(self, uses: Uses, context: Callable[[Any], Any]) -> None:
        self._uses = uses
        self._context = context

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        """The address that answers first, in the time that there is for all of them."""
        use = self._uses.begin(host, port)
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
                    return Stream(inner, use, self._context)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")


class AsyncStream(httpcore.AsyncNetworkStream):
    """A connection of an event loop."""

    def __init__(
        self, inner: httpcore.AsyncNetworkStream, use: Use, context: Callable[[Any], Any], *, is_tls: bool = False
    ) -> None:
        self._inner = inner
        self._context = context
        self._is_tls = is_tls
        self.use = use
        use.is_open = True

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's
        with self.use.bounded(timeout) as timeout_s:
            return self.use.read(await self._inner.read(max_bytes, timeout=timeout_s))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's
        # Over TLS it may be session tickets, and nobody can look.
        if self.use.wrote() and not self._is_tls and self._inner.get_extra_info("is_readable"):
            self.use.unasked()
        with self.use.bounded(timeout) as timeout_s:
            await self._inner.write(buffer, timeout=timeout_s)

    async def aclose(self) -> None:
        self.use.is_open = False
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's
    ) -> httpcore.AsyncNetworkStream:
        try:
            with self.use.bounded(timeout) as timeout_s:
                inner = await self._inner.start_tls(self._context(ssl_context), server_hostname, timeout_s)
                return AsyncStream(inner, self.use.again(), self._context, is_tls=True)
        except BaseException:
            await self.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        """As `Stream` has it."""
        get = self._inner.get_extra_info
        return self.use.is_over(lambda: bool(get(info))) if info == "is_readable" else get(info)


class AsyncBackend(httpcore.AsyncNetworkBackend):
    """Connects, in an event loop."""

    def __init__(self, uses: Uses, context: Callable[[Any], Any]) -> None:
        self._uses = uses
        self._context = context
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
        use = self._uses.begin(host, port)
        with use.bounded(timeout) as timeout_s:
            return AsyncStream(
                await self._inner.connect_tcp(host, port, timeout_s, local_address, socket_options), use, self._context
            )
