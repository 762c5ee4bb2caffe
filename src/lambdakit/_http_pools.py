"""The environment's HTTP connections: urllib3's pools, whose connections are used again only while they are alive."""

from __future__ import annotations

import threading
from functools import partial
from http.client import HTTPException
from weakref import WeakSet

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.exceptions import HTTPError, LocationValueError
from urllib3.poolmanager import SSL_KEYWORDS

from . import _http_call
from ._http_connection import Kept, KeptTls
from ._http_retries import may_resend, retries, rewinder
from ._http_terms import CONNECT_S, MAX_IDLE_PER_HOST, READ_S, Terms, is_late, late
from ._http_tls import Contexts
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from urllib3 import BaseHTTPResponse

    from ._budget import Budget
    from ._clock import Clock, Instant
    from ._settings import Settings

_MAX_HOSTS = 32


class Pool(HTTPConnectionPool):
    """The connections to one host. Thread-safe."""

    ConnectionCls: Any = Kept  # the protocol of urllib3 is narrower than its classes

    def __init__(self, pools: Pools, *args: Any, **options: Any) -> None:
        self.terms = pools.terms
        super().__init__(*args, **options)
        pools.register(self)

    def _new_conn(self) -> Any:
        connection: Any = super()._new_conn()
        connection.terms = self.terms
        return connection

    def _put_conn(self, conn: Any) -> None:
        stack = self.pool
        if conn is not None:
            conn.stamp()
            if stack is not None and len(stack.queue) >= stack.maxsize:
                conn.close()  # here: urllib3 would log a warning for each
                return
        super()._put_conn(conn)

    def urlopen(self, method: str, url: str, *args: Any, **options: Any) -> BaseHTTPResponse:
        try:
            return super().urlopen(method, url, *args, **options)
        except HTTPError as error:
            if is_late(error):
                raise late(self.host) from error
            raise

    def _make_request(self, conn: Any, method: str, url: str, *args: Any, **options: Any) -> BaseHTTPResponse:
        timeout: Timeout = options["timeout"]
        conn.read_s = timeout.read_timeout if timeout.total is None else _read_s(timeout)
        conn.answered = False
        kept = not conn.is_closed and self.proxy is None and may_resend(options["retries"], method)
        rewind = rewinder(options.get("body")) if kept else None
        try:
            return super()._make_request(conn, method, url, *args, **options)
        except (OSError, HTTPException) as error:
            if rewind is None or conn.answered or isinstance(error, TimeoutError):
                raise
        # The connection had died; nothing of an answer has come. The same object connects anew.
        conn.close()
        rewind()
        return super()._make_request(conn, method, url, *args, **options)

    def sweep(self, is_over: Callable[[Kept], bool]) -> None:
        """Close the idle connections that `is_over` tells."""
        stack: Any = self.pool
        over: list[Kept] = []
        if stack is not None:
            with stack.mutex:
                over += [connection for connection in stack.queue if connection is not None and is_over(connection)]
                stack.queue[:] = [None if connection in over else connection for connection in stack.queue]
        for connection in over:
            connection.close()

    def abandon(self) -> None:
        """In a forked child: a lock that a thread of the parent holds is not released here, so none is taken."""
        stack: Any = self.pool
        if stack is None:
            return
        connections = [connection for connection in stack.queue if connection is not None]
        # The same object: urllib3's finalizer has it.
        stack.__init__(stack.maxsize)
        for _ in range(stack.maxsize):
            stack.put(None)
        for connection in connections:
            connection.close()  # closes a descriptor, and sends nothing

    def idle(self) -> int:
        """How many connections are open and idle."""
        stack: Any = self.pool
        return 0 if stack is None else sum(1 for one in [*stack.queue] if one is not None and one.sock is not None)


class TlsPool(Pool, HTTPSConnectionPool):
    """The same over TLS."""

    ConnectionCls = KeptTls

    def __init__(self, pools: Pools, *args: Any, **options: Any) -> None:
        # With options of its own it gets a context of its own: urllib3 writes them into the context.
        if not any(options.get(name) is not None for name in SSL_KEYWORDS):
            options["ssl_context"] = pools.contexts.context()
        super().__init__(pools, *args, **options)


class Manager(PoolManager):
    """urllib3's, which does not look for a host's pool again while request after request goes there: 10 us each."""

    _last: tuple[tuple[str | None, str | None, int | None], Any] | None = None

    def connection_from_host(
        self, host: str | None, port: int | None = None, scheme: str | None = "http", pool_kwargs: Any = None
    ) -> Any:
        last = self._last  # once: other threads replace it
        if last is not None and not pool_kwargs and last[0] == (scheme, host, port):
            return last[1]  # what urllib3 has used last, too: it stays the one that it would drop last
        pool = super().connection_from_host(host, port, scheme, pool_kwargs)
        if not pool_kwargs:
            self._last = (scheme, host, port), pool
        return pool

    def clear(self) -> None:
        """Forget all pools."""
        super().clear()
        self._last = None


class Pools:
    """Every HTTP connection of an environment, whichever front it is used through. Thread-safe.

    Args:
        settings: how long a connection may idle.
        clock: both clocks.
        budget: seconds that I/O may take now.

    Attributes:
        retries: what a request has that asks for nothing else.
        terms: the same, as connections ask for it.
        contexts: of TLS.
    """

    __slots__ = ("__weakref__", "_fronts", "_lock", "_manager", "_pools", "contexts", "retries", "terms")

    def __init__(self, *, settings: Settings, clock: Clock, budget: Budget | Callable[[], float | None]) -> None:
        self.terms = Terms(clock=clock, budget=budget, max_idle_s=settings.max_idle_s)
        self.contexts = Contexts()
        self.retries = retries(self.terms)
        self._lock = threading.Lock()
        self._pools: WeakSet[Pool] = WeakSet()
        self._fronts: dict[Any, Any] = {}
        self._manager = Manager(
            num_pools=_MAX_HOSTS,
            maxsize=MAX_IDLE_PER_HOST,
            retries=self.retries,
            timeout=Timeout(connect=CONNECT_S, read=READ_S),
        )
        self.adopt(self._manager)

    call = _http_call.call

    def manager(self) -> PoolManager:
        """urllib3's, with our pools in it."""
        return self._manager

    def adopt(self, manager: PoolManager) -> None:
        """Have `manager` make pools of ours."""
        manager.pool_classes_by_scheme = {"http": partial(Pool, self), "https": partial(TlsPool, self)}  # type: ignore[dict-item] # they are called only

    def register(self, pool: Pool) -> None:
        """A pool was made."""
        with self._lock:
            self._pools.add(pool)

    def open(self, url: str) -> None:
        """Have a connection to the host of `url` ready; nothing is sent beyond the TLS handshake.

        Raises:
            ConfigurationError: `url` is none.
            urllib3.exceptions.HTTPError: there is none to be had.
            DeadlineExceededError: not in the time that there is.
        """
        try:
            pool: Any = self._manager.connection_from_url(url)
        except LocationValueError:
            raise ConfigurationError(
                "origin: give a URL such as 'https://partner.example', with a number as the port"
            ) from None
        pool.terms.check(pool.host)
        connection = pool._get_conn()  # noqa: SLF001 - what its `urlopen` begins and ends with
        try:
            if connection.is_closed:
                connection.timeout = CONNECT_S
                connection.answered = False
                connection.connect()
        except BaseException as error:
            connection.close()
            if is_late(error):
                raise late(pool.host) from error
            raise
        finally:
            pool._put_conn(connection)  # noqa: SLF001 - the same

    def front(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` made, or the one that is kept under this `name`: `Front`s of other libraries."""
        with self._lock:
            front = self._fronts.get(name)
        if front is None:
            made = make()  # not under the lock: it imports
            with self._lock:
                front = self._fronts.setdefault(name, made)
        return front

    def _all(self) -> list[Any]:
        with self._lock:
            return [*self._pools, *self._fronts.values()]

    def drop_idle(self, now: Instant) -> None:
        """Close the connections that have been idle for too long at `now`."""
        for one in self._all():
            one.sweep(partial(_is_over, now))

    def close(self) -> None:
        """Close all connections: idle ones now, those in use after their exchange. A later request opens new ones."""
        self.terms.generation += 1
        self.contexts.forget()
        for one in self._all():
            one.sweep(_any)

    def abandon(self) -> None:
        """In a forked child: close this process's descriptors. Nothing is locked or sent; what users hold can go on."""
        self._lock = threading.Lock()
        self._manager.pools.lock = threading.RLock()
        for one in [*self._pools, *self._fronts.values()]:
            one.abandon()

    def __repr__(self) -> str:
        """How many connections are idle, by host."""
        with self._lock:
            idle = sorted((f"{pool.host}:{pool.port}", pool.idle()) for pool in self._pools)
        return f"Pools({', '.join(f'{host}: {count}' for host, count in idle if count)})"


def _is_over(now: Instant, connection: Kept) -> bool:
    return connection.is_over(now)


def _any(_: Kept) -> bool:
    return True


def _read_s(timeout: Timeout) -> float | None:
    started = timeout.clone()
    started.start_connect()  # its total is from now on
    return started.read_timeout
