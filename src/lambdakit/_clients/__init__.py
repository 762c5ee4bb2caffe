"""SDK clients that live as long as the environment."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from weakref import WeakKeyDictionary, WeakSet, ref

from .._clock import age_s, in_time
from .._diagnostics import did_you_mean, optional_text, text, warn
from .._environment import part
from ..exceptions import ConfigurationError, DeadlineExceededError, MissingDependencyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._clock import Clock, Instant
    from .._environment import Environment
    from .._settings import Settings

_MAX_CLIENTS = 32  # one is about 10 MB at worst; a function that needs more builds a key from its input
_CONNECT_S, _READ_S = 2.0, 10.0
_ATTEMPTS = 3
_EXPECT_S = 1.0  # for which botocore waits to hear that a body is wanted, whatever time there is
_LAMBDA_LIMIT_S = 900.0  # no function runs longer
# Read time-outs of operations that wait on purpose: long polls.
_LONG_READ_S = {"sqs": 25.0, "stepfunctions": 70.0}
# A time-out of one of these would run the callee once more: the time that remains, and one attempt.
_CALLEES = frozenset(("bedrock-runtime", "lambda", "sagemaker-runtime"))


def client(service: str, *, region: str | None = None, endpoint_url: str | None = None, config: Any = None) -> Any:
    """The environment's SDK client for a service: made at the first call, the same object afterwards.

    Args:
        service: as in ``boto3.client``, such as ``"dynamodb"``.
        region: default: ``AWS_DEFAULT_REGION`` or ``AWS_REGION``, which Lambda sets, then what botocore's configuration
            says.
        endpoint_url: default: the service's own, or ``AWS_ENDPOINT_URL``.
        config: a ``botocore.config.Config``. It overrides the defaults that lambdakit sets, option by option: connect
            time-out 2 s; read time-out 10 s (``sqs`` 25 s and ``stepfunctions`` 70 s, which wait on purpose;
            ``lambda``, ``bedrock-runtime`` and ``sagemaker-runtime`` the remaining time of the invocation, in one
            attempt, because a time-out there would run the callee again); retry mode ``standard`` with 3 attempts
            (unless ``AWS_RETRY_MODE``, ``AWS_MAX_ATTEMPTS`` or ``AWS_DEFAULTS_MODE`` is set); TCP keep-alive on. Two
            configs with equal options mean the same client.

    Every request ends 0.25 s before the invocation does, or raises `DeadlineExceededError`: its connection, its answer
    however slowly that comes, and the waits between attempts. A body read piece by piece (``get_object``) raises
    botocore's ``ReadTimeoutError`` then. Not bounded is what happens before the request: resolving a host name, and
    getting credentials from a container or a role.

    Raises:
        ConfigurationError: an unknown service, an unknown region, no region, or an argument of the wrong kind.
        MissingDependencyError: botocore (or, for ``"s3"``, boto3) is not installed.

    Thread-safe, as the client itself is. At most 32 clients are kept. Since 0.1.
    """
    return part(Clients).client(service, region, endpoint_url, config)


def resource(service: str, *, region: str | None = None, endpoint_url: str | None = None, config: Any = None) -> Any:
    """A boto3 resource, such as ``resource("dynamodb")``, kept for the thread that asks: resources are not thread-safe.

    Arguments, defaults and errors are those of `client`. Since 0.1.
    """
    return part(Clients).resource(service, region, endpoint_url, config)


def warm_imports(env: Environment) -> None:
    """What a first request of a client needs that INIT has made: see `_warm_imports`. Nothing where there is none."""
    if (clients := env._parts.peek(Clients)) is not None and clients.status()["clients"]:
        __import__("encodings.idna")  # 1 ms: names of hosts go through it


class Clients:
    """One client per service, region, endpoint and options; one resource per thread and the same.

    Thread-safe. A hit takes no lock. Session and clients are made under one lock, because making clients on one session
    from several threads is not safe. Modules of users hold clients: they are renewed, never exchanged.
    """

    __slots__ = (
        "_boto3_session",
        "_bounds",
        "_budget",
        "_clients",
        "_clock",
        "_last_request",
        "_local",
        "_lock",
        "_made",
        "_session",
        "_settings",
        "_warned",
    )

    def __init__(self, *, settings: Settings, clock: Clock, budget: Callable[[], float | None]) -> None:
        """Nothing is imported yet.

        Args:
            settings: where the default region comes from.
            clock: tells how long a client has been idle.
            budget: seconds that a request may take now, None for no limit; asked before every request.
        """
        self._settings = settings
        self._clock = clock
        self._budget = budget
        self._bounds = Bounds(budget, clock)
        self._lock = threading.Lock()
        self._clients: dict[tuple[Any, ...], Any] = {}
        self._made: WeakSet[Any] = WeakSet()  # every client that lives, also of resources and past `_MAX_CLIENTS`
        self._last_request: WeakKeyDictionary[Any, Instant] = WeakKeyDictionary()  # of those that may be connected
        self._local = threading.local()
        self._session: Any = None
        self._boto3_session: Any = None
        self._warned: set[str] = set()

    @classmethod
    def of(cls, env: Environment) -> Clients:
        """Those of an environment."""
        return cls(settings=env.settings, clock=env.clock, budget=env._budget)

    def warm_imports(self) -> None:
        """Import in INIT what a first client needs, for who is going to need one."""
        __import__("botocore.client")  # 120 ms and 10 MB, which the first invocation would pay
        __import__("botocore.session")

    def client(self, service: str, region: str | None, endpoint_url: str | None, config: Any) -> Any:
        key = (service, region or self._settings.region, endpoint_url, None if config is None else _options(config))
        try:
            return self._clients[key]
        except (KeyError, TypeError):  # TypeError: an argument that cannot be hashed; `_checked` names it
            pass
        _checked(service, region, endpoint_url)
        with self._lock:
            client = self._clients.get(key)
            if client is None:
                client = self._make(service, key[1], endpoint_url, config, resource=False)
                self._keep(key, client)
        return client

    def resource(self, service: str, region: str | None, endpoint_url: str | None, config: Any) -> Any:
        _checked(service, region, endpoint_url)
        key = (service, region or self._settings.region, endpoint_url, None if config is None else _options(config))
        resources: dict[tuple[Any, ...], Any] = self._local.__dict__.setdefault("resources", {})
        if key not in resources:
            with self._lock:
                resources[key] = self._make(service, key[1], endpoint_url, config, resource=True)
        return resources[key]

    def _keep(self, key: tuple[Any, ...], client: Any) -> None:
        if len(self._clients) >= _MAX_CLIENTS:
            # Only the reference is dropped: whoever holds the client can go on using it.
            del self._clients[next(iter(self._clients))]
            self._warn_once(
                "more than %d SDK clients in one environment; the oldest are dropped. Is a region, an endpoint or "
                "a config different at every call? The last was for %r",
                _MAX_CLIENTS,
                key[0],
            )
        self._clients[key] = client

    def _make(self, service: str, region: str | None, endpoint_url: str | None, config: Any, *, resource: bool) -> Any:
        try:
            # 120 ms and 10 MB, with boto3 170: only for those who need a client.
            import botocore.exceptions
            import botocore.session
            from botocore.config import Config

            if self._session is None:
                self._session = botocore.session.Session()
            factory = self._factory(service, resource=resource)
        except ImportError as error:
            raise MissingDependencyError(
                "SDK clients need boto3, which is not installed: install lambdakit[sdk] (on Lambda the runtime has it)"
            ) from error
        if config is not None and not isinstance(config, Config):
            raise ConfigurationError(f"config: give a botocore.config.Config, not {type(config).__name__}")
        self._check_region(region, endpoint_url)
        options = Config(**self._defaults(service))
        try:
            made = factory(
                service,
                region_name=region,
                endpoint_url=endpoint_url,
                config=options if config is None else options.merge(config),
            )
        except botocore.exceptions.NoRegionError as error:
            raise ConfigurationError(
                f"region: none was given for {service!r} and AWS_REGION is not set: give region=, or set AWS_REGION"
            ) from error
        except (botocore.exceptions.DataNotFoundError, ValueError) as error:
            raise self._explain(service, endpoint_url, error) from error
        client = made.meta.client if resource else made
        bound = partial(self._bound_request, ref(client))
        client.meta.events.register("request-created", bound, unique_id="lambdakit-deadline")
        self._bound_waits(client.meta.events)
        self._bound_connections(client)
        self._made.add(client)
        return made

    def _factory(self, service: str, *, resource: bool) -> Callable[..., Any]:
        """Botocore makes the client that boto3 makes, but for S3 (its transfer methods) and for resources."""
        factory: Callable[..., Any]
        if service != "s3" and not resource:
            factory = self._session.create_client
            return factory
        if self._boto3_session is None:
            import boto3.session  # 30 ms on top of botocore

            self._boto3_session = boto3.session.Session(botocore_session=self._session)
        factory = self._boto3_session.resource if resource else self._boto3_session.client
        return factory

    def _defaults(self, service: str) -> dict[str, Any]:
        callee = service in _CALLEES
        options: dict[str, Any] = {
            "connect_timeout": _CONNECT_S,
            "read_timeout": _LAMBDA_LIMIT_S if callee else _LONG_READ_S.get(service, _READ_S),
            "tcp_keepalive": True,
        }
        if callee or not self._settings.retries_chosen:
            options["retries"] = {"mode": "standard", "total_max_attempts": 1 if callee else _ATTEMPTS}
        return options

    def _bound_request(self, client: ref[Any], *, request: Any, operation_name: str, **_: Any) -> None:
        """Before each attempt: no longer than the invocation has, and no attempt that it has no time for."""
        self._last_request[client()] = self._clock.now()
        budget_s = self._budget()
        if budget_s is None:
            return
        if budget_s <= 0.0:
            raise DeadlineExceededError(f"{operation_name}: the invocation has too little time left for a request")
        if budget_s < _EXPECT_S:
            del request.headers["Expect"]
        # botocore reads this since 1.40 or so; an older one ignores it, and the client's own time-out holds.
        asked_s = request.context["client_config"].read_timeout
        request.context["read_timeout"] = budget_s if asked_s is None else min(asked_s, budget_s)

    def _bound_waits(self, events: Any) -> None:
        """Between two attempts: no wait that the invocation has no time for, and no error of a time-out but ours.

        botocore asks its handlers of ``needs-retry`` for the wait, and then waits: nothing is told of it in between.
        """
        emit = events.emit

        def bounded_emit(name: str, **arguments: Any) -> Any:
            answers = emit(name, **arguments)
            if name.startswith("needs-retry."):
                self._check_wait(name, answers, **arguments)
            return answers

        events.emit = bounded_emit

    def _check_wait(
        self, event: str, answers: Any, *, response: Any = None, caught_exception: Any = None, **_: Any
    ) -> None:
        left_s = self._budget()
        if left_s is None:
            return
        wait_s = next((answer for _, answer in answers if answer is not None), None)  # as botocore takes it
        if (wait_s is not None and wait_s is not False and wait_s >= left_s) or (
            caught_exception is not None and left_s <= 0.0
        ):
            code = None if response is None else response[1].get("Error", {}).get("Code")
            after = code or (None if caught_exception is None else type(caught_exception).__name__)
            raise DeadlineExceededError(
                f"{event.rpartition('.')[2]}: the invocation has too little time left for another attempt ({after})"
            ) from caught_exception

    def _bound_connections(self, client: Any) -> None:
        """Have the connections of a client take no longer than the invocation has, in each of their steps.

        Its own time-out is for one step of many: one byte is a step.
        """
        try:
            session = client._endpoint.http_session  # noqa: SLF001 - what botocore's own `close()` reaches for
            pools = {
                scheme: self._bounds.pool(kind)
                for scheme, kind in session._pool_classes_by_scheme.items()  # noqa: SLF001 - nothing public leads there
            }
            session._pool_classes_by_scheme = session._manager.pool_classes_by_scheme = pools  # noqa: SLF001 - the same
        except (AttributeError, TypeError):
            self._warn_once(
                "this botocore makes connections where lambdakit does not find them: an answer that trickles in may "
                "outlast the invocation"
            )

    def _check_region(self, region: str | None, endpoint_url: str | None) -> None:
        """Refuse a region that botocore has never heard of; behind an endpoint of one's own any name will do."""
        if region is None or region == self._settings.region or endpoint_url is not None:
            return
        partitions = self._session.get_component("data_loader").load_data("partitions")["partitions"]
        known = [name for partition in partitions for name in partition["regions"]]
        if region not in known:
            raise ConfigurationError(
                f"region={region!r}: not one of the {len(known)} regions that this botocore knows."
                f"{did_you_mean(region, known)}"
            )

    def _explain(self, service: str, endpoint_url: str | None, error: Exception) -> ConfigurationError:
        known = self._session.get_available_services()
        if service not in known:
            return ConfigurationError(
                f"service={service!r}: not one of the {len(known)} services of this botocore."
                f"{did_you_mean(service, known)}"
            )
        if endpoint_url is not None and "endpoint" in str(error):
            return ConfigurationError(f"endpoint_url={endpoint_url!r}: give a URL such as 'https://host:port'")
        return ConfigurationError(f"service={service!r}: {error}")

    def close_idle(self, now: Instant) -> float | None:
        """Close the connections of clients whose last request was too long ago: they connect anew by themselves.

        Counted from the request, not from the last look at the client: user modules hold theirs. The answer: seconds
        until the next one is idle for too long, None for none.
        """
        max_idle_s = self._settings.max_idle_s
        wait_s: float | None = None
        for client, used in [*self._last_request.items()]:
            idle_s = age_s(used, now)
            if idle_s > max_idle_s:
                self._last_request.pop(client, None)  # another invocation may have begun meanwhile
                client.close()
            else:
                wait_s = max_idle_s - idle_s if wait_s is None else min(wait_s, max_idle_s - idle_s)
        return wait_s

    def renew(self) -> None:
        """After a restore: every client connects anew and obtains its credentials anew, when it is next used.

        They stay the same objects, also those of resources and those that only a user holds. Nothing is fetched here.
        """
        with self._lock:
            clients = [*self._made]
            self._renew_credentials(clients)
        for client in clients:
            client.close()

    def after_fork_in_child(self) -> bool:
        """As `renew`, without a lock that a thread of the parent may hold; the clients live on.

        The connections of the parent go on; the child makes its own.
        """
        from .renewal import replace_connections, replace_locks  # 0.3 ms, at a fork only

        making, self._lock = self._lock.locked(), threading.Lock()
        if making:  # by a thread that is not in this process: its session may be half made
            self._session = None if self._session is None else type(self._session)()
            self._boto3_session = None
        clients = [*self._made]
        for client in clients:
            replace_locks(client)
            if not replace_connections(client):
                self._warn_once(
                    "this botocore keeps connections where lambdakit does not find them: the forked child closes them, "
                    "and hangs if another thread was just using them"
                )
                client.close()
        self._renew_credentials(clients)
        return True

    def _renew_credentials(self, clients: list[Any]) -> None:
        from .renewal import renew_credentials  # 0.3 ms, at a restore or a fork only

        if self._session is not None and not renew_credentials(self._session, clients, self._settings.region):
            self._warn_once(
                "this botocore keeps credentials where lambdakit does not find them: SDK clients made before a restore "
                "or a fork go on with theirs. Make clients after it, or use another version of botocore"
            )

    def close(self) -> None:
        """Forget every client and close its connections. One that somebody holds opens new ones when it is used."""
        with self._lock:
            clients = [*self._made]
            self._clients.clear()
        self._local = threading.local()
        for client in clients:
            client.close()

    def _warn_once(self, message: str, *arguments: object) -> None:
        if message not in self._warned:
            self._warned.add(message)
            warn(message, *arguments)

    def status(self) -> dict[str, object]:
        """How many clients are kept."""
        return {"clients": len(self._clients)}

    def __repr__(self) -> str:
        """The services that have a client."""
        return f"<Clients {' '.join(sorted({str(key[0]) for key in self._clients})) or 'none'}>"


def _checked(service: Any, region: Any, endpoint_url: Any) -> None:
    text("service", service)
    optional_text("region", region)
    optional_text("endpoint_url", endpoint_url)


def _options(config: Any) -> Any:
    """What a `Config` says, as something that compares by value; `Config` itself compares by identity."""
    return _frozen(getattr(config, "_user_provided_options", config))


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted((name, _frozen(item)) for name, item in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    return repr(value) if getattr(type(value), "__hash__", None) is None else value


class Bounds:
    """Classes of pools, connections and sockets that keep to a budget in each step. Thread-safe.

    They are derived from those that botocore and Python have at the moment: what a test tool has put there stays.

    Args:
        budget: seconds that a step may take now, None for no limit.
        clock: both clocks.
    """

    __slots__ = ("_budget", "_clock", "_made")

    def __init__(self, budget: Callable[[], float | None], clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._made: dict[type[Any], type[Any]] = {}

    def pool(self, kind: type[Any]) -> type[Any]:
        """A class of pools as `kind`."""
        bounds = self

        class BoundedPool(kind):  # type: ignore[misc] # any of botocore's
            def _new_conn(self) -> Any:
                made = super()._new_conn()
                if type(made).__module__ == "botocore.awsrequest":
                    made.__class__ = bounds._class(type(made), bounds._connection)
                return made

        return BoundedPool

    def _class(self, kind: type[Any], make: Callable[[type[Any]], type[Any]]) -> type[Any]:
        return self._made.get(kind) or self._made.setdefault(kind, make(kind))

    def _connection(self, kind: type[Any]) -> type[Any]:
        bounds = self

        class BoundedConnection(kind):  # type: ignore[misc] # as above
            def connect(self) -> None:
                super().connect()
                with suppress(AttributeError, TypeError):  # a socket of another kind
                    self.sock.__class__ = bounds._class(type(self.sock), bounds._socket)

            def _new_conn(self) -> Any:
                return bounds._connected(self)

        return BoundedConnection

    def _connected(self, connection: Any) -> Any:
        """As urllib3 has it, but for the budget, which is of all addresses of the host together."""
        import socket  # loaded: there is a connection to make

        from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
        from urllib3.util.connection import allowed_gai_family

        host, port, asked_s = connection._dns_host.strip("[]"), connection.port, connection.timeout  # noqa: SLF001 - as urllib3
        failure: OSError | None = None
        found: list[Any] = []
        try:
            found = in_time(
                lambda: socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM), clock=self._clock
            )
        except OSError as error:
            failure = error
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            try:
                for option in connection.socket_options or ():
                    sock.setsockopt(*option)
                if connection.source_address:
                    sock.bind(connection.source_address)
                sock.settimeout(self._timeout_s(asked_s))
                sock.connect(address)
                sock.settimeout(self._timeout_s(asked_s))  # of the handshake
            except OSError as error:
                sock.close()
                failure = error
            else:
                return sock
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(connection, f"No connection to {host} in time") from failure
        raise NewConnectionError(connection, f"No connection to {host}: {failure}") from failure

    def _timeout_s(self, asked_s: float | None) -> float | None:
        left_s = self._budget()
        if left_s is None or (asked_s is not None and asked_s <= left_s):
            return asked_s
        if left_s <= 0.0:
            raise _no_time()
        return left_s

    def _socket(self, kind: type[Any]) -> type[Any]:
        def bounded(name: str) -> Callable[..., Any]:
            step = getattr(kind, name)

            def method(sock: Any, *args: Any) -> Any:
                asked_s = sock.gettimeout()
                timeout_s = self._timeout_s(asked_s)
                if timeout_s == asked_s:
                    return step(sock, *args)
                sock.settimeout(timeout_s)
                try:
                    return step(sock, *args)
                except TimeoutError as error:
                    raise _no_time() from error
                finally:
                    sock.settimeout(asked_s)

            return method

        steps = {name: bounded(name) for name in ("recv", "recv_into", "send", "sendall")}
        return type(kind.__name__, (kind,), {"__slots__": (), **steps})


def _no_time() -> DeadlineExceededError:
    return DeadlineExceededError("the invocation has too little time left for a request that is under way")
