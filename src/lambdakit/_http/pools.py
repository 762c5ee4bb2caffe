"""The environment's HTTP connections: urllib3's pools, whose connections are used again only while they are alive."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from queue import Empty, Full
from urllib.parse import urljoin
from weakref import WeakSet

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager, Retry, Timeout
from urllib3.exceptions import HTTPError, LocationValueError, UnrewindableBodyError
from urllib3.poolmanager import SSL_KEYWORDS
from urllib3.util import parse_url

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
from .retries import has_length, is_spent, may_resend, once, retries, rewinder
from .tls import Contexts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from urllib3 import BaseHTTPResponse

    from .._clock import Budget, Clock, Instant
    from .._environment import Environment
    from .._settings import Settings

    Trust: TypeAlias = dict[str, Any]
    """Arguments of `Contexts.context`, hashable ones."""

_MAX_HOSTS = 32
_MAX_MANAGERS = 32  # a function with more pairs of certificates writes them itself
_PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


class Stack:
    """Idle connections, the last that came first. Thread-safe without a lock: each step is one of a list.

    What urllib3 takes from `queue` has a lock, which a forked child would have to replace, and whose name is another
    once gevent or eventlet has replaced `queue`.
    """

    def __init__(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.queue: list[Any] = []

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ARG002, FBT001, FBT002 - as `queue` has it
        """The last one; `Empty` if there is none."""
        try:
            return self.queue.pop()
        except IndexError:
            raise Empty from None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002, FBT001, FBT002 - the same
        """Keep one; `Full` if there are enough. None stands for one that may be opened, which nobody waits for here."""
        if item is None:
            return
        self.queue.append(item)
        if len(self.queue) > self.maxsize:
            with suppress(ValueError):  # another thread has taken it
                self.queue.remove(item)
                raise Full

    def qsize(self) -> int:
        """How many there are."""
        return len(self.queue)


class Pool(HTTPConnectionPool):
    """The connections to one host. Thread-safe."""

    QueueCls: Any = Stack  # the protocol of urllib3 is narrower than its classes; so it is below
    _kind: Any = PooledConnection
    _urllib3s: Any = HTTPConnectionPool

    def __init__(
        self, pools: Pools, trust: Trust, *args: Any, kind: Any = None, urllib3s: Any = None, **options: Any
    ) -> None:
        self.policy = pools.policy
        self.trust = trust
        if kind is not None:
            self._kind, self._urllib3s = kind, urllib3s  # with those through a SOCKS proxy in the place of plain ones
        if options.get("block"):
            self.QueueCls = HTTPConnectionPool.QueueCls  # one that can be waited for
        super().__init__(*args, **options)
        pools.register(self)

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override] # noqa: N802 - urllib3's name, which it only reads
        """The kind of connection that is opened: ours, unless a test has put another in the place of urllib3's."""
        theirs = self._urllib3s.ConnectionCls
        return self._kind if theirs in self._kind.__mro__ else theirs

    def _new_conn(self) -> Any:
        connection: Any = super()._new_conn()
        if _is_ours(connection):
            connection.policy = self.policy
        return connection

    def _get_conn(self, timeout: float | None = None) -> Any:
        if self.ConnectionCls is not self._kind:
            self.close_expired(_any)  # what was kept before a test began would pass it by
        return super()._get_conn(timeout)

    def _put_conn(self, conn: Any) -> None:
        # As urllib3 has it, without a warning for what finds no room: threads do not wait for a connection, so it does.
        stack = self.pool
        kept = None  # what is not ours is used once: it may be of a test that is over by the next request
        if _is_ours(conn):
            conn.stamp()
            kept = conn
        try:
            if stack is not None:
                stack.put(kept, block=False)
                conn = conn if kept is None else None
        except Full:
            pass
        if conn is not None:
            conn.close()

    def urlopen(  # type: ignore[override] # urllib3's has these and more
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        retries: Any = None,
        redirect: bool = True,  # noqa: FBT001, FBT002 - urllib3's, as the next
        assert_same_host: bool = True,  # noqa: FBT001, FBT002
        **options: Any,
    ) -> BaseHTTPResponse:
        """As urllib3 has it, but a body is sent again in whole or not at all, and redirects are those of clients."""
        rewind = rewinder(body)
        if rewind is None:
            if is_spent(body):
                raise UnrewindableBodyError("This generator was read already: nothing would be sent")
            retries = retries if isinstance(retries, Retry) else Retry.from_int(retries, redirect, default=self.retries)
            retries = once(retries)
        try:
            # By name, as urllib3's manager does: what a test has put in the place of this takes what it needs.
            response = super().urlopen(
                method,
                url,
                body=body,
                headers=headers,
                retries=retries,
                redirect=False,
                assert_same_host=assert_same_host,
                **options,
            )
        except HTTPError as error:
            if is_deadline_error(error):
                raise deadline_error(self.host) from error
            raise
        if not (redirect and response.get_redirect_location()):
            return response
        from .redirects import next_hop  # most answers are none

        options |= {"body": body, "headers": headers, "retries": retries}
        address = f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        hop = next_hop(response, method, urljoin(address, url), options, rewind=rewind, pool=self)
        if hop is None:
            return response
        # urllib3 refuses to go to another host.
        target = parse_url(hop.url).request_uri if self.is_same_host(hop.url) else hop.url
        return self.urlopen(hop.method, target, **hop.options)

    def _make_request(self, conn: Any, method: str, url: str, *args: Any, **options: Any) -> BaseHTTPResponse:
        if not _is_ours(conn):
            return super()._make_request(conn, method, url, *args, **options)
        timeout: Timeout = options["timeout"]
        conn.read_s = timeout.read_timeout if timeout.total is None else _read_s(timeout)
        conn.begun = conn.answered = False
        body = options.get("body")
        kept = not conn.is_closed and self.proxy is None
        rewind = rewinder(body) if kept and may_resend(options["retries"], method) else None
        if body is not None:
            self._frame(options)
        try:
            return super()._make_request(conn, method, url, *args, **options)
        except (OSError, HTTPException) as error:
            if not kept or conn.answered or isinstance(error, TimeoutError):
                raise
            if conn.begun:
                if rewind is None:
                    raise
                rewind()
        # The connection had died; nothing of an answer has come. The same object connects anew.
        conn.close()
        options["body"] = body
        if body is not None:
            self._frame(options)
        return super()._make_request(conn, method, url, *args, **options)

    @staticmethod
    def _frame(options: dict[str, Any]) -> None:
        """Have a body sent with its length where that can be known, and no more and no less than its length says."""
        if type(options["body"]) is not bytes or has_length(options["headers"]):
            from .bodies import framed  # most bodies are bytes

            options["body"], options["headers"] = framed(
                options["body"], options["headers"], chunked=options.get("chunked", False)
            )

    def close_expired(self, has_expired: Callable[[PooledConnection], bool]) -> None:
        """Close the idle connections that `has_expired` tells."""
        stack: Any = self.pool
        for one in [] if stack is None else [*stack.queue]:
            if one is not None and has_expired(one):
                self._drop(stack, one)

    def _drop(self, stack: Any, connection: PooledConnection) -> None:
        """Close an idle connection, unless another thread has just taken it."""
        try:
            stack.queue.remove(connection)
        except ValueError:
            return
        with suppress(Full):
            stack.put(None, block=False)  # who waits for one may open it
        connection.close()

    def left_s(self, now: Instant) -> list[float]:
        """For how long each open connection may still be idle at `now`."""
        stack: Any = self.pool
        idle = [] if stack is None else [*stack.queue]
        return [one.left_s(now) for one in idle if one is not None and one.sock is not None]

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


class TlsPool(Pool, HTTPSConnectionPool):  # type: ignore[override] # `ConnectionCls` and `urlopen`, see above
    """The same over TLS."""

    _kind: Any = PooledTlsConnection
    _urllib3s: Any = HTTPSConnectionPool

    def __init__(self, pools: Pools, trust: Trust, *args: Any, **options: Any) -> None:
        # With options of its own it gets a context of its own: urllib3 writes them into the context.
        self._contexts: Contexts | None = None
        if not any(options.get(name) is not None for name in SSL_KEYWORDS):
            self._contexts = pools.contexts
            options["ssl_context"] = pools.contexts.context(**trust)
        super().__init__(pools, trust, *args, **options)

    def _new_conn(self) -> Any:
        connection: Any = super()._new_conn()
        if self._contexts is not None and _is_ours(connection):
            connection.context_now = partial(self._contexts.context, **self.trust)
        return connection


class Manager(PoolManager):
    """urllib3's, which does not look for a host's pool again while request after request goes there: 10 us each.

    Args:
        pools: to make pools in.
        trust: what `Contexts.context` is told; empty for the machine's certificates and none of the client's.
    """

    _last: tuple[tuple[str | None, str | None, int | None], Any] | None = None

    def __init__(self, pools: Pools, trust: Trust) -> None:
        self.owner = pools
        self.trust = trust
        super().__init__(**pools.options())
        pools.install_pools(self, trust)

    def urlopen(  # type: ignore[override] # urllib3's says less of the options
        self,
        method: str,
        url: str,
        redirect: bool = True,  # noqa: FBT001, FBT002 - urllib3's
        **options: Any,
    ) -> BaseHTTPResponse:
        """As urllib3 has it, by the proxy that the environment names, and with the redirects of clients.

        An error shows no header and no body.
        """
        try:
            return self._send(method, url, options, redirect=redirect)
        except BaseException as error:
            options.clear()  # this frame is shown with the error
            hide_locals(error)
            raise

    def _send(self, method: str, url: str, options: dict[str, Any], *, redirect: bool) -> BaseHTTPResponse:
        rewind = rewinder(options.get("body"))
        proxy = self.owner.proxy(url)
        send = super().urlopen if proxy is None else self.owner.proxied(proxy, self.trust).urlopen
        response = send(method, url, False, **options)
        if not (redirect and response.get_redirect_location()):
            return response
        from .redirects import next_hop  # most answers are none

        hop = next_hop(response, method, url, options, rewind=rewind, pool=self.connection_from_url(url))
        if hop is None:
            return response
        manager = self if hop.is_same_host else self.owner.manager({**self.trust, "cert": None})
        return manager.urlopen(hop.method, hop.url, **hop.options)

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
        settings: how long a connection may idle and live, and the variables that name proxies.
        clock: both clocks.
        budget: seconds that I/O may take now.

    Attributes:
        retries: what a request has that asks for nothing else.
        policy: the same, as connections ask for it.
        contexts: of TLS.
    """

    __slots__ = (
        "__weakref__",
        "_environ",
        "_lock",
        "_manager",
        "_may_have_proxies",
        "_others",
        "_pools",
        "contexts",
        "policy",
        "retries",
    )

    def __init__(self, *, settings: Settings, clock: Clock, budget: Budget | Callable[[], float | None]) -> None:
        self.policy = ConnectionPolicy(
            clock=clock, budget=budget, max_idle_s=settings.max_idle_s, max_age_s=settings.max_age_s
        )
        self.contexts = Contexts()
        self.retries = retries(self.policy)
        self._environ = settings.environ
        self._may_have_proxies: bool | None = None
        self._lock = threading.Lock()
        self._pools: WeakSet[Pool] = WeakSet()
        self._manager = Manager(self, {})
        self._others: dict[Any, Any] = {}  # managers for proxies, and for certificates of one's own

    @classmethod
    def of(cls, env: Environment) -> Pools:
        """Those of an environment."""
        return cls(settings=env.settings, clock=env.clock, budget=env._budget)

    def manager(self, trust: Trust | None = None) -> Manager:
        """urllib3's, with our pools in it; for certificates of one's own another one."""
        trust = {name: value for name, value in (trust or {}).items() if value is not None}
        if not trust:
            return self._manager
        manager: Manager = self._other(tuple(sorted(trust.items())), lambda: Manager(self, trust))
        return manager

    def options(self) -> dict[str, Any]:
        """What a manager of urllib3's is told."""
        return {
            "num_pools": _MAX_HOSTS,
            "maxsize": MAX_IDLE_PER_HOST,
            "retries": self.retries,
            "timeout": Timeout(connect=CONNECT_S, read=READ_S),
        }

    def install_pools(self, manager: PoolManager, trust: Trust | None = None) -> None:
        """Have `manager` make pools of ours: urllib3's, or one for a proxy."""
        plain, tls = partial(Pool, self, trust or {}), partial(TlsPool, self, trust or {})
        if "_socks_options" in manager.connection_pool_kw:
            from urllib3.contrib import socks as theirs  # with PySocks, where somebody has such a proxy

            from . import socks

            plain = partial(plain, kind=socks.SocksConnection, urllib3s=theirs.SOCKSHTTPConnectionPool)
            tls = partial(tls, kind=socks.SocksTlsConnection, urllib3s=theirs.SOCKSHTTPSConnectionPool)
        classes: Any = {"http": plain, "https": tls}
        manager.pool_classes_by_scheme = classes  # they are called only

    def proxy(self, url: str) -> str | None:
        """The proxy for `url` that the environment's variables name, if any."""
        if self._may_have_proxies is None:  # 5 us
            self._may_have_proxies = any(map(self._environ.get, _PROXIES))
        if not self._may_have_proxies:
            return None
        from .proxies import proxy_for  # most environments have none

        return proxy_for(self._environ, url)

    def on_start(self, *_: object) -> None:
        """An invocation begins: look at the variables again."""
        self._may_have_proxies = None

    def proxied(self, proxy: str, trust: Trust) -> PoolManager:
        """urllib3's manager for a proxy, with our pools in it."""
        from .proxies import checked

        def new() -> PoolManager:
            manager = ProxyManager(proxy, proxy_headers=checked(proxy), **self.options())
            self.install_pools(manager, trust)
            return manager

        manager: PoolManager = self._other((proxy, *sorted(trust.items())), new)
        return manager

    def _other(self, key: Any, new: Callable[[], Any]) -> Any:
        manager = self._others.get(key)
        if manager is None:
            if len(self._others) >= _MAX_MANAGERS:
                self._others.clear()
            manager = self._others.setdefault(key, new())
        return manager

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
            proxy = self.proxy(url)
            pool: Any = (self._manager if proxy is None else self.proxied(proxy, {})).connection_from_url(url)
        except LocationValueError:
            raise ConfigurationError(
                "origin: give a URL such as 'https://partner.example', with a number as the port"
            ) from None
        self.connect(pool)

    def connect(self, pool: Any) -> None:
        """The same in a pool that is there."""
        pool.policy.check_time(pool.host)
        connection = pool._get_conn()  # noqa: SLF001 - what its `urlopen` begins and ends with
        try:
            if _is_ours(connection) and not (connection.is_closed or connection.is_quiet()):
                connection.close()
            if _is_ours(connection) and connection.is_closed:
                connection.timeout = CONNECT_S
                connection.answered = False
                if pool.proxy is not None and pool.scheme == "https":
                    pool._prepare_proxy(connection)  # noqa: SLF001 - the same
                else:
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
        left_s: list[float] = []
        for pool in self._all():
            pool.close_expired(partial(_has_expired, now))
            left_s += pool.left_s(now)
        return min(left_s, default=None)

    def close(self) -> None:
        """Close all connections: idle ones now, those in use after their exchange. A later request opens new ones."""
        self.policy.expire_all()
        self.contexts.forget()
        for pool in self._all():
            pool.close_expired(_any)

    def after_fork_in_child(self) -> bool:
        """Close this process's descriptors. Nothing is locked or sent; what users hold can go on."""
        self._lock = threading.Lock()
        for manager in (self._manager, *self._others.values()):
            manager.pools.lock = threading.RLock()
        for pool in [*self._pools]:
            pool.after_fork_in_child()
        return False

    def __repr__(self) -> str:
        """How many connections are idle, by host."""
        now = self.policy.clock.now()
        idle = sorted((f"{pool.host}:{pool.port}", len(pool.left_s(now))) for pool in self._all())
        return f"Pools({', '.join(f'{host}: {count}' for host, count in idle if count)})"


def _is_ours(connection: Any) -> bool:
    """Whether it is none that a test has put in the place of urllib3's."""
    return isinstance(connection, PooledConnection)


def _has_expired(now: Instant, connection: PooledConnection) -> bool:
    return connection.left_s(now) < 0.0


def _any(_: PooledConnection) -> bool:
    return True


def _read_s(timeout: Timeout) -> float | None:
    started = timeout.clone()
    started.start_connect()  # its total is from now on
    return started.read_timeout
