"""The environment's HTTP connections: urllib3's pools, whose connections are used again only while they are alive."""

from __future__ import annotations

import threading
from functools import partial
from http.client import HTTPException
from queue import Full
from weakref import WeakSet

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.exceptions import HTTPError, LocationValueError
from urllib3.poolmanager import SSL_KEYWORDS

from .._diagnostics import hide_locals
from ..exceptions import ConfigurationError
from .connection import PooledConnection, PooledTlsConnection
from .policy import (
    CONNECT_S,
    MAX_IDLE_PER_HOST,
    READ_S,
    ConnectionPolicy,
    deadline_error,
    is_deadline_error,
)
from .retries import may_resend, retries, rewinder
from .tls import Contexts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from urllib3 import BaseHTTPResponse

    from .._clock import Budget, Clock, Instant
    from .._environment import Environment
    from .._settings import Settings

_MAX_HOSTS = 32


class Pool(HTTPConnectionPool):
    """The connections to one host. Thread-safe."""

    ConnectionCls: Any = PooledConnection  # the protocol of urllib3 is narrower than its classes

    def __init__(self, pools: Pools, *args: Any, **options: Any) -> None:
        self.policy = pools.policy
        super().__init__(*args, **options)
        pools.register(self)

    def _new_conn(self) -> Any:
        connection: Any = super()._new_conn()
        connection.policy = self.policy
        return connection

    def _put_conn(self, conn: Any) -> None:
        # As urllib3 has it, without a warning for what finds no room: threads do not wait for a connection, so it does.
        stack = self.pool
        if conn is not None:
            conn.stamp()
        try:
            if stack is not None:
                stack.put(conn, block=False)
                return
        except Full:
            pass
        if conn is not None:
            conn.close()

    def urlopen(self, method: str, url: str, *args: Any, **options: Any) -> BaseHTTPResponse:
        try:
            return super().urlopen(method, url, *args, **options)
        except HTTPError as error:
            if is_deadline_error(error):
                raise deadline_error(self.host) from error
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

    def close_expired(self, has_expired: Callable[[PooledConnection], bool]) -> None:
        """Close the idle connections that `has_expired` tells."""
        stack: Any = self.pool
        expired: list[PooledConnection] = []
        if stack is not None:
            with stack.mutex:
                expired += [one for one in stack.queue if one is not None and has_expired(one)]
                stack.queue[:] = [None if one in expired else one for one in stack.queue]
        for connection in expired:
            connection.close()

    def idle_s(self, now: Instant) -> list[float]:
        """For how long each open connection has been idle at `now`."""
        stack: Any = self.pool
        idle = [] if stack is None else [*stack.queue]
        return [one.idle_s(now) for one in idle if one is not None and one.sock is not None]

    def after_fork_in_child(self) -> None:
        """A lock that a thread of the parent holds is not released here, so none is taken."""
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


class TlsPool(Pool, HTTPSConnectionPool):
    """The same over TLS."""

    ConnectionCls = PooledTlsConnection

    def __init__(self, pools: Pools, *args: Any, **options: Any) -> None:
        # With options of its own it gets a context of its own: urllib3 writes them into the context.
        if not any(options.get(name) is not None for name in SSL_KEYWORDS):
            options["ssl_context"] = pools.contexts.context()
        super().__init__(pools, *args, **options)


class Manager(PoolManager):
    """urllib3's, which does not look for a host's pool again while request after request goes there: 10 us each."""

    _last: tuple[tuple[str | None, str | None, int | None], Any] | None = None

    def urlopen(self, method: str, url: str, *args: Any, **options: Any) -> BaseHTTPResponse:
        """As urllib3 has it; an error shows no header and no body."""
        try:
            return super().urlopen(method, url, *args, **options)
        except BaseException as error:
            options.clear()  # this frame is shown with the error
            hide_locals(error)
            raise

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
    """Every HTTP connection of an environment that urllib3 makes. Thread-safe.

    Args:
        settings: how long a connection may idle.
        clock: both clocks.
        budget: seconds that I/O may take now.

    Attributes:
        retries: what a request has that asks for nothing else.
        policy: the same, as connections ask for it.
        contexts: of TLS.
    """

    __slots__ = ("__weakref__", "_lock", "_manager", "_pools", "contexts", "policy", "retries")

    def __init__(self, *, settings: Settings, clock: Clock, budget: Budget | Callable[[], float | None]) -> None:
        self.policy = ConnectionPolicy(clock=clock, budget=budget, max_idle_s=settings.max_idle_s)
        self.contexts = Contexts()
        self.retries = retries(self.policy)
        self._lock = threading.Lock()
        self._pools: WeakSet[Pool] = WeakSet()
        self._manager = Manager(
            num_pools=_MAX_HOSTS,
            maxsize=MAX_IDLE_PER_HOST,
            retries=self.retries,
            timeout=Timeout(connect=CONNECT_S, read=READ_S),
        )
        self.install_pools(self._manager)

    @classmethod
    def of(cls, env: Environment) -> Pools:
        """Those of an environment."""
        return cls(settings=env.settings, clock=env.clock, budget=env._budget)

    def manager(self) -> PoolManager:
        """urllib3's, with our pools in it."""
        return self._manager

    def install_pools(self, manager: PoolManager) -> None:
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
        pool.policy.check_time(pool.host)
        connection = pool._get_conn()  # noqa: SLF001 - what its `urlopen` begins and ends with
        try:
            if connection.is_closed:
                connection.timeout = CONNECT_S
                connection.answered = False
                connection.connect()
        except BaseException as error:
            connection.close()
            if is_deadline_error(error):
                raise deadline_error(pool.host) from error
            raise
        finally:
            pool._put_conn(connection)  # noqa: SLF001 - the same

    def _all(self) -> list[Pool]:
        with self._lock:
            return [*self._pools]

    def close_idle(self, now: Instant) -> float | None:
        """Close the connections that have been idle for too long at `now`; seconds until the next one is."""
        idle_s: list[float] = []
        for pool in self._all():
            pool.close_expired(partial(_has_expired, now))
            idle_s += pool.idle_s(now)
        return self.policy.max_idle_s - max(idle_s) if idle_s else None

    def close(self) -> None:
        """Close all connections: idle ones now, those in use after their exchange. A later request opens new ones."""
        self.policy.expire_all()
        self.contexts.forget()
        for pool in self._all():
            pool.close_expired(_any)

    def after_fork_in_child(self) -> bool:
        """Close this process's descriptors. Nothing is locked or sent; what users hold can go on."""
        self._lock = threading.Lock()
        self._manager.pools.lock = threading.RLock()
        for pool in [*self._pools]:
            pool.after_fork_in_child()
        return False

    def __repr__(self) -> str:
        """How many connections are idle, by host."""
        now = self.policy.clock.now()
        idle = sorted((f"{pool.host}:{pool.port}", len(pool.idle_s(now))) for pool in self._all())
        return f"Pools({', '.join(f'{host}: {count}' for host, count in idle if count)})"


def _has_expired(now: Instant, connection: PooledConnection) -> bool:
    return connection.has_expired(now)


def _any(_: PooledConnection) -> bool:
    return True


def _read_s(timeout: Timeout) -> float | None:
    started = timeout.clone()
    started.start_connect()  # its total is from now on
    return started.read_timeout
