"""An SDK client that stays the same object while what it holds of the outside is replaced: credentials, sockets, locks.

botocore has no public way to do most of this. Whatever of its inside is not where it was looked for is left alone, and
the function says so by returning False.
"""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

_LOCK = type(threading.Lock())
_HOLDERS = ("botocore.hooks", "botocore.retries")  # whose objects have locks, or lead to those that do


def renew_credentials(session: Any, clients: Iterable[Any], region: str | None) -> bool:
    """Have `session` and the `clients` it made obtain their credentials anew, at the next request of one of them.

    Nothing is fetched here and no lock is taken. The credentials of the session are replaced where they stand, so that
    all who share them share the new ones.

    Args:
        session: the botocore session.
        clients: its clients; one that was made without credentials asks for them again, too.
        region: where roles are assumed, if the configuration names one.
    """
    import botocore.credentials  # loaded with the clients already

    # A new chain of providers, for they remember: an assumed role, a connection to the container's endpoint.
    session.lazy_register_component(
        "credential_provider",
        lambda: botocore.credentials.create_credential_resolver(session, region_name=region),
    )
    unloaded = _unloaded(session)
    done = hasattr(session, "_credentials")
    session._credentials = None  # noqa: SLF001 - botocore has no public way to forget them
    for client in clients:
        try:
            signer = client._request_signer  # noqa: SLF001 - the same
            held = signer._credentials  # noqa: SLF001 - the same
            if held is None:
                signer._credentials = unloaded()  # noqa: SLF001 - the same
            else:
                # In place, the class first: to other threads it has its old values until it has none.
                held.__class__ = unloaded
                held.__dict__ = {}
        except (AttributeError, TypeError):
            done = False
    return done


def _unloaded(session: Any) -> type:
    """A class of credentials that are not there yet: at first use they become those of `session`."""

    class Unloaded:
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):  # a look at what kind of object this is, by `copy` or a debugger
                raise AttributeError(name)
            credentials = session.get_credentials()
            if credentials is None:
                from botocore.exceptions import NoCredentialsError  # what botocore raises without any

                raise NoCredentialsError
            # The class last: until then another thread comes through here, too, and gets the same.
            self.__dict__ = vars(credentials)
            self.__class__ = type(credentials)
            return getattr(self, name)

    return Unloaded


def exchange_handlers(emitters: Iterable[Any], before: list[Any], now: list[Any]) -> None:
    """Have those who emit events follow a change of botocore's built-in handlers, which sessions copy when they begin.

    Args:
        emitters: of a session and of its clients.
        before: the handlers that they have, as botocore lists them: event, handler and, in some, the order.
        now: those that they are to have.
    """
    from botocore.handlers import REGISTER_FIRST, REGISTER_LAST  # loaded with the session

    gone = [spec for spec in before if spec not in now]
    new = [spec for spec in now if spec not in before]
    for emitter in emitters:
        for event, handler, *_ in gone:
            emitter.unregister(event, handler)
        for event, handler, *order in new:
            first, last = order == [REGISTER_FIRST], order == [REGISTER_LAST]
            register = emitter.register_first if first else emitter.register_last if last else emitter.register
            register(event, handler)


def replace_connections(client: Any) -> bool:
    """Give a client a new pool; for a forked child, which shares the sockets of the old one with its parent.

    No lock is taken: another thread of the parent may have held any of them at the fork. Of the idle connections this
    process's descriptors are closed, which the parent does not notice: nothing is sent and nothing is shut down.
    """
    try:
        session = client._endpoint.http_session  # noqa: SLF001 - what botocore's own `close()` reaches for
        old = [session._manager, *session._proxy_managers.values()]  # noqa: SLF001 - the same
        new = type(old[0])(**session._get_pool_manager_kwargs())  # noqa: SLF001 - as it made the old one
        new.pool_classes_by_scheme = old[0].pool_classes_by_scheme
    except (AttributeError, TypeError):
        return False
    session._manager, session._proxy_managers = new, {}  # noqa: SLF001 - it makes those for proxies when needed
    for manager in old:
        _abandon(manager)
    return True


def _abandon(manager: Any) -> None:
    """Close the idle connections of a pool manager of urllib3 without its locks."""
    pools = getattr(getattr(manager, "pools", None), "_container", {})
    for pool in [*pools.values()]:
        queue = getattr(pool, "pool", None)
        if queue is None:
            continue
        connections = [connection for connection in queue.queue if connection is not None]
        queue.__init__(queue.maxsize)  # empty, with new locks: the pool's finaliser takes them
        for connection in connections:
            connection.close()


def replace_locks(client: Any) -> None:
    """Give what is registered for a client's events new locks: the retry modes count under some."""
    for part in _parts(client.meta.events):
        new: dict[int, Any] = {}
        for name, value in [*vars(part).items()]:
            if type(value) is _LOCK:
                new[id(value)] = threading.Lock()
                setattr(part, name, new[id(value)])
        for value in vars(part).values():
            if isinstance(value, threading.Condition):  # over a lock of its own, or over one of those
                threading.Condition.__init__(value, new.get(id(getattr(value, "_lock", None))))


def _parts(root: object) -> Iterator[Any]:
    """Every object of `_HOLDERS` that `root` leads to, through containers and bound methods."""
    seen: dict[int, object] = {}  # with the object, or else its id could be another's by the time it is met
    todo = [root]
    while todo:
        part = todo.pop()
        if id(part) in seen:
            continue
        seen[id(part)] = part
        if isinstance(part, dict):
            todo += part.values()
        elif isinstance(part, (list, tuple)):
            todo += part
        elif type(part).__module__.startswith(_HOLDERS):
            todo += vars(part).values()
            yield part
        else:
            todo.append(getattr(part, "__self__", None))
