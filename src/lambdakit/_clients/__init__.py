"""SDK clients that live as long as the environment."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from functools import partial
from weakref import WeakKeyDictionary, WeakSet, ref

from .._clock import age_s, in_time
from .._diagnostics import did_you_mean, optional_text, text, warn
from .._environment import part
from ..exceptions import ConfigurationError, DeadlineExceededError, LambdakitError, MissingDependencyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._clock import Clock, Instant
    from .._environment import Environment
    from .._settings import Settings

_HOST_NAMES = "encodings.idna"  # 1 ms at the first request: names of hosts go through it
_MAX_CLIENTS = 32  # one is about 10 MB at worst; a function that needs more builds a key from its input
_CONNECT_S, _READ_S = 2.0, 10.0
_ATTEMPTS = 3
_EXPECT_S = 1.0  # for which botocore waits to hear that a body is wanted, whatever time there is
_LAMBDA_LIMIT_S = 900.0  # no function runs longer
# Read time-outs of operations that wait on purpose: long polls.
_LONG_READ_S = {"sqs": 25.0, "stepfunctions": 70.0}
# What botocore raises for an argument that is wrong; anything else is about what it was configured with.
_OF_ARGUMENTS = frozenset(("DataNotFoundError", "InvalidRegionError", "ValueError"))
# A time-out of one of these would run the callee once more: the time that remains, and one attempt.
_CALLEES = frozenset(("bedrock-runtime", "lambda", "sagemaker-runtime"))

_SDK = frozenset(("boto3", "botocore", "lambdakit", "s3transfer"))  # whose own handlers of events nobody has to see


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
        ConfigurationError: an unknown service, an unknown region, no region, or an argument of the wrong kind; or the
            SDK's configuration on this machine is wrong, such as a profile that is not there or a misspelt retry mode:
            the message says what to do. What is only found out by a request, such as an SSO login that has expired,
            is raised there, as an `AccessDeniedError` that is botocore's exception too; `prime` finds it before.
        MissingDependencyError: botocore (or, for ``"s3"``, boto3) is not installed.

    Thread-safe, as the client itself is. At most 32 clients are kept. Since 0.1.
    """
    return part(Clients).client(service, region, endpoint_url, config)


def resource(service: str, *, region: str | None = None, endpoint_url: str | None = None, config: Any = None) -> Any:
    """A boto3 resource, such as ``resource("dynamodb")``: made at the first call, like a client.

    Resources are not thread-safe, so each thread gets one of its own; its client, the connections and what `prime` has
    opened are everybody's. Call it at module level, or declare it in ``preload``: the first one takes longer to make
    than many invocations last.

    Arguments, defaults and errors are those of `client`. Since 0.1.
    """
    return part(Clients).resource(service, region, endpoint_url, config)


class CredentialsError(ConfigurationError):
    """The SDK found no usable credentials when a client was made; to who fetches a value it is an `AccessDeniedError`.

    For lambdakit's own use: users catch the `ConfigurationError` that it is.
    """


def warm_imports(env: Environment) -> None:
    """What a first request of a client needs that INIT has made: see `_warm_imports`. Nothing where there is none."""
    if (clients := env._parts.peek(Clients)) is not None and clients.status()["clients"]:
        __import__(_HOST_NAMES)


class Clients:
    """One client per service, region, endpoint and options; one resource per thread and the same, over one client.

    Thread-safe. A hit takes no lock. Session and clients are made under one lock, because making clients on one session
    from several threads is not safe. Modules of users hold clients: they are renewed, never exchanged.
    """

    __slots__ = (
        "_boto3_session",
        "_bounds",
        "_budget",
        "_builtin_handlers",
        "_clients",
        "_clock",
        "_last_request",
        "_listeners",
        "_local",
        "_lock",
        "_made",
        "_outside",
        "_resources",
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
        # Of those that may be connected. A plain dictionary, whose copy is one step: requests of other threads add to
        # it while it is looked through.
        self._last_request: dict[ref[Any], Instant] = {}
        self._resources: dict[tuple[Any, ...], Any] = {}  # the first of each: nobody uses it, others are copied off it
        self._local = threading.local()
        self._session: Any = None
        self._boto3_session: Any = None
        self._outside: tuple[Any, ...] = ()  # as session and clients know it
        self._builtin_handlers: list[Any] = []  # the same: of botocore's events
        self._listeners: WeakKeyDictionary[Any, tuple[Any, frozenset[str] | None]] = WeakKeyDictionary()  # by emitter
        self._warned: set[str] = set()

    @classmethod
    def of(cls, env: Environment) -> Clients:
        """Those of an environment."""
        return cls(settings=env.settings, clock=env.clock, budget=env._budget)

    def warm_imports(self) -> None:
        """Import in INIT what a first client needs, for who is going to need one."""
        __import__("botocore.client")  # 120 ms and 10 MB, which the first invocation would pay
        __import__("botocore.session")
        __import__(_HOST_NAMES)

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
                self._keep(key, client, self._clients)
        return client

    def resource(self, service: str, region: str | None, endpoint_url: str | None, config: Any) -> Any:
        key = (service, region or self._settings.region, endpoint_url, None if config is None else _options(config))
        try:
            return self._local.resources[key]
        except (AttributeError, KeyError, TypeError):  # as in `client`; and it is the first of this thread
            pass
        _checked(service, region, endpoint_url)
        with self._lock:
            origin = self._resources.get(key)
            if origin is None:
                origin = self._make(service, key[1], endpoint_url, config, resource=True)
                if _share(origin):
                    self._keep(key, origin, self._resources)
        from copy import copy  # loaded with the resource

        mine = copy(origin)
        mine.meta = origin.meta.copy()
        self._local.__dict__.setdefault("resources", {})[key] = mine
        return mine

    def _keep(self, key: tuple[Any, ...], client: Any, kept: dict[tuple[Any, ...], Any]) -> None:
        if len(kept) >= _MAX_CLIENTS:
            # Only the reference is dropped: whoever holds the client can go on using it.
            del kept[next(iter(kept))]
            self._warn_once(
                "more than %d SDK clients in one environment; the oldest are dropped. Is a region, an endpoint or "
                "a config different at every call? The last was for %r",
                _MAX_CLIENTS,
                key[0],
            )
        kept[key] = client

    def _make(self, service: str, region: str | None, endpoint_url: str | None, config: Any, *, resource: bool) -> Any:
        try:
            # 120 ms and 10 MB, with boto3 170: only for those who need a client.
            import botocore.exceptions
            from botocore.config import Config
        except ImportError as error:
            raise _missing() from error
        if config is not None and not isinstance(config, Config):
            raise ConfigurationError(f"config: give a botocore.config.Config, not {type(config).__name__}")
        options = Config(**self._defaults(service))
        try:
            self._begin_session()
            self._check_region(region, endpoint_url)
            made = self._factory(service, resource=resource)(
                service,
                region_name=region,
                endpoint_url=endpoint_url,
                config=options if config is None else options.merge(config),
            )
        except ImportError as error:
            raise _missing() from error
        except botocore.exceptions.NoRegionError as error:
            raise ConfigurationError(
                f"region: none was given for {service!r} and AWS_REGION is not set: give region=, or set AWS_REGION"
            ) from error
        except (botocore.exceptions.BotoCoreError, OSError, ValueError) as error:
            if isinstance(error, LambdakitError):
                raise
            failure = self._explain(service, endpoint_url, error)
            if type(error).__name__ == "JSONDecodeError":  # it holds what a process has printed, which may be a key
                raise failure from None
            raise failure from error
        client = made.meta.client if resource else made
        bound = partial(self._bound_request, ref(client))
        client.meta.events.register("request-created", bound, unique_id="lambdakit-deadline")
        client.meta.events.register("before-sign", _resolve_credentials, unique_id="lambdakit-credentials")
        client.meta.events.register_first("provide-client-params", self._follow, unique_id="lambdakit-outside")
        self._bound_waits(client.meta.events)
        self._bound_connections(client)
        self._made.add(client)
        return made

    def _begin_session(self) -> None:
        """Have a session as it would be made now; with the lock."""
        from botocore.handlers import BUILTIN_HANDLERS  # as above
        from botocore.session import Session

        now = _outside()
        if self._session is None:
            self._session = Session()
            self._outside, self._builtin_handlers = now, [*BUILTIN_HANDLERS]
        elif now != self._outside:
            self._catch_up(now)

    def _follow(self, **_: Any) -> None:
        """Before each call of a client: what was made before a mock of AWS began, or within one, is as if made now."""
        now = _outside()
        if now != self._outside:
            with self._lock:
                clients = [] if now == self._outside else self._catch_up(now)  # another thread may have been faster
            for client in clients:
                client.close()  # connections may be of a kind that is over

    def _catch_up(self, now: tuple[Any, ...]) -> list[Any]:
        """Have session and clients follow what has changed outside; with the lock. The answer: all clients."""
        from botocore.handlers import BUILTIN_HANDLERS  # loaded with the session

        from .renewal import exchange_handlers  # 0.3 ms; not paid where nothing changes

        clients = [*self._made]
        self._renew_credentials(clients)
        emitters = [self._session.get_component("event_emitter"), *(client.meta.events for client in clients)]
        before, self._builtin_handlers = self._builtin_handlers, [*BUILTIN_HANDLERS]
        exchange_handlers(emitters, before, self._builtin_handlers)
        self._outside = now
        return clients

    def listened_to(self, service: str, region: str | None) -> bool:
        """Whether others listen to the events of the kept client of a service, or answer them: botocore's Stubber."""
        client = self._clients.get((service, region or self._settings.region, None, None))
        return client is not None and self.has_listeners(client.meta.events)

    def has_listeners(self, events: Any) -> bool:
        """Whether others listen to events of the SDK that do not listen to those of every session."""
        session: Any = self._session
        if session is None:
            with self._lock:
                self._begin_session()
                session = self._session
        theirs, usual = self._names(events), self._names(session.get_component("event_emitter"))
        return theirs is None or not theirs <= (usual or frozenset())

    def _names(self, events: Any) -> frozenset[str] | None:
        """Of the handlers that others have registered; None where they are not found."""
        emitter = getattr(events, "_emitter", events)
        state = getattr(emitter, "_lookup_cache", None)  # another object whenever a handler comes or goes
        known = self._listeners.get(emitter)
        if known is None or state is None or known[0] is not state:
            known = self._listeners[emitter] = state, _foreign_handlers(emitter)
        return known[1]

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
        self._last_request[client] = self._clock.now()
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
        from .problems import explain, is_of_credentials  # only on the way to an error

        session = self._session
        if not self._made:
            self._session = self._boto3_session = None  # it has read the files that the user is going to correct
        if is_of_credentials(error):
            return CredentialsError(f"service={service!r}: no usable credentials {explain(error)}")
        if _OF_ARGUMENTS.isdisjoint(kind.__name__ for kind in type(error).__mro__):
            return ConfigurationError(f"service={service!r}: the SDK is configured wrongly {explain(error)}")
        known = session.get_available_services()
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
        for reference, used in self._last_request.copy().items():
            idle_s = age_s(used, now)
            client = reference()
            if client is None or idle_s > max_idle_s:
                self._last_request.pop(reference, None)  # another invocation may have begun meanwhile
                if client is not None:
                    client.close()
            else:
                wait_s = max_idle_s - idle_s if wait_s is None else min(wait_s, max_idle_s - idle_s)
        return wait_s

    def renew(self) -> None:
        """After a restore: every client connects anew and obtains its credentials anew, when it is next used.

        They stay the same objects, also those of resources and those that only a user holds. Nothing is fetched here.
        """
        with self._lock:
            clients = [] if self._session is None else self._catch_up(_outside())
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
            self._resources.clear()
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


def _resolve_credentials(*, request_signer: Any, signature_version: Any, operation_name: str, **_: Any) -> None:
    """Before each signature, which does the same: an error of it is lambdakit's too, and says what to do."""
    if "v4" not in str(signature_version):  # not signed, or by a token
        return
    try:
        if (credentials := getattr(request_signer, "_credentials", ...)) is not ...:
            _frozen_credentials(credentials)
    except Exception as error:
        from .problems import as_access_denied, is_of_credentials  # only on the way to an error

        if isinstance(error, LambdakitError) or not is_of_credentials(error):
            raise
        service = str(getattr(request_signer, "signing_name", None))
        denied = as_access_denied(error, service=service, operation=operation_name)
        cause = None if type(error).__name__ == "JSONDecodeError" else error  # it holds what a process has printed
        raise denied from cause


def _frozen_credentials(credentials: Any) -> None:
    if credentials is None:
        from botocore.exceptions import NoCredentialsError  # loaded with the client already

        raise NoCredentialsError
    credentials.get_frozen_credentials()


def _missing() -> MissingDependencyError:
    return MissingDependencyError(
        "SDK clients need boto3, which is not installed: install lambdakit[sdk] (on Lambda the runtime has it)"
    )


def _checked(service: Any, region: Any, endpoint_url: Any) -> None:
    text("service", service)
    optional_text("region", region)
    optional_text("endpoint_url", endpoint_url)


def _share(resource: Any) -> bool:
    """Have the client of a resource serve resources of any thread; False if this boto3 leaves no way to do that.

    boto3 counts the placeholders of a DynamoDB condition in one object for each client: two threads at once would have
    two attributes under one name. Here each thread has its own.
    """
    if resource.meta.service_name != "dynamodb":
        return True
    from boto3.dynamodb.conditions import ConditionExpressionBuilder  # loaded with the resource

    class Builder(threading.local, ConditionExpressionBuilder):  # type: ignore[misc] # boto3 has no types
        pass

    injector: Any = getattr(resource, "_injector", None)
    if not isinstance(getattr(injector, "_condition_builder", None), ConditionExpressionBuilder):
        return False
    injector._condition_builder = Builder()  # noqa: SLF001 - boto3 has no public way to it
    return True


def _outside() -> tuple[Any, ...]:
    """What a session and its clients take from outside when they are made, as something to be compared."""
    from botocore import awsrequest, handlers  # loaded with the session

    environ = os.environ
    return (
        # A number, which tells nothing of them.
        hash(
            (environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY"), environ.get("AWS_SESSION_TOKEN"))
        ),
        len(handlers.BUILTIN_HANDLERS),  # moto's is one of them
        awsrequest.AWSHTTPConnectionPool.ConnectionCls,  # vcrpy has its own here
        awsrequest.AWSHTTPSConnectionPool.ConnectionCls,
    )


def _foreign_handlers(emitter: Any) -> frozenset[str] | None:
    """The names of handlers that neither the SDK nor lambdakit has registered; None in a botocore that hides them."""
    from botocore.handlers import BUILTIN_HANDLERS  # loaded with the session

    builtin = {id(spec[1]) for spec in BUILTIN_HANDLERS}  # every client has those, whoever has put them there
    try:
        nodes = [emitter._handlers._root]  # noqa: SLF001 - nothing public tells who listens
        found: list[Any] = []
        while nodes:
            node = nodes.pop()
            nodes += node["children"].values()
            for section in node["values"] or ():
                found += section
    except (AttributeError, LookupError, TypeError):
        return None
    return frozenset(_name(handler) for handler in found if id(handler) not in builtin and _is_foreign(handler))


def _is_foreign(handler: Any) -> bool:
    module = str(getattr(getattr(handler, "func", handler), "__module__", None))  # `func`: a partial's
    return module == "botocore.stub" or module.partition(".")[0] not in _SDK


def _name(handler: Any) -> str:
    return f"{getattr(handler, '__module__', None)}.{getattr(handler, '__qualname__', type(handler).__qualname__)}"


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
