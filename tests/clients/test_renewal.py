"""A client that a module holds stays the same object after a restore and a fork; its connections are new."""

from __future__ import annotations

import contextlib
import copy
import gc
import json
import logging
import os
import select
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import NoCredentialsError
from botocore.hooks import HierarchicalEmitter
from reprs import clients_of

import lambdakit
from faults import Behaviour, FaultServer, Peer, answering, certificates, serving
from lambdakit._clients import Clients
from lambdakit._clients.renewal import renew_credentials, replace_connections, replace_locks

JSON = "HTTP/1.1 {status} OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {length}\r\n\r\n{body}"


def answer(body: dict[str, Any], status: int = 200) -> bytes:
    """A response in JSON."""
    text = json.dumps(body)
    return JSON.format(status=status, length=len(text), body=text).encode()


def access_keys(server: FaultServer) -> list[str]:
    """What each request was signed with."""
    return [request.partition(b"Credential=")[2].partition(b"/")[0].decode() for request in server.requests]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """Answers every request of a service with an empty object."""
    with serving(answering(answer({}))) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{running.port}")
        yield running


class Container:
    """Credentials as Lambda's container endpoint hands them out: another pair each time."""

    fetches = 0

    def __call__(self, peer: Peer) -> None:
        while peer.request() is not None:
            self.fetches += 1
            pair = {"AccessKeyId": f"AKIDCONTAINER{self.fetches}", "SecretAccessKey": "made/up"}
            peer.send(answer({**pair, "Token": f"token{self.fetches}", "Expiration": "2099-01-01T00:00:00Z"}))


@pytest.fixture
def container() -> Iterator[tuple[Container, str]]:
    """The endpoint, and where it is."""
    behave = Container()
    with serving(behave) as running:
        yield behave, f"http://127.0.0.1:{running.port}/credentials"


Place = Callable[[pytest.MonkeyPatch, str], None]


def in_variables(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """As on demand."""
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", raising=False)
    before = os.environ.get("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDFIRST" if before != "AKIDFIRST" else "AKIDSECOND")


def in_container(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """As under SnapStart."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)


@pytest.mark.parametrize("after", [in_variables, in_container])
@pytest.mark.parametrize("before", [in_variables, in_container])
def test_a_renewed_client_connects_and_signs_anew(
    before: Place,
    after: Place,
    service: FaultServer,
    container: tuple[Container, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same object, wherever its credentials came from and now come from; in between nothing is fetched."""
    behave, url = container
    before(monkeypatch, url)
    client = lambdakit.client("sqs")
    client.list_queues()
    client.list_queues()
    assert service.connections == 1
    after(monkeypatch, url)
    fetches = behave.fetches
    lambdakit.environment()._renew()
    assert (service.connections, behave.fetches) == (1, fetches)
    assert lambdakit.client("sqs") is client
    client.list_queues()
    client.list_queues()
    assert service.connections == 2
    old, also_old, new, also_new = access_keys(service)
    assert old == also_old
    assert new == also_new
    assert new != old
    expected = f"AKIDCONTAINER{fetches + 1}" if after is in_container else os.environ["AWS_ACCESS_KEY_ID"]
    assert new == expected


def test_every_client_shares_the_new_credentials(
    service: FaultServer, container: tuple[Container, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of before, those made afterwards and resources: one fetch for all, and one again when they expire."""
    behave, url = container
    in_container(monkeypatch, url)
    clients = [lambdakit.client("sqs"), lambdakit.client("ssm"), lambdakit.resource("dynamodb").meta.client]
    lambdakit.environment()._renew()
    assert behave.fetches == 1
    clients.append(lambdakit.client("sns", endpoint_url=os.environ["AWS_ENDPOINT_URL"]))
    clients[0].list_queues()
    clients[1].describe_parameters()
    clients[2].list_tables()
    old, new = (client._request_signer._credentials for client in (clients[0], clients[3]))
    assert new.get_frozen_credentials() == old.get_frozen_credentials()
    assert behave.fetches == 2
    new._expiry_time = new._time_fetcher()
    assert old.get_frozen_credentials() == new.get_frozen_credentials()
    assert behave.fetches == 3
    assert set(access_keys(service)) == {"AKIDCONTAINER2"}


def test_a_client_without_credentials_asks_again(service: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot may be taken where there are none yet."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    client = lambdakit.client("sqs")
    with pytest.raises(NoCredentialsError):
        client.list_queues()
    lambdakit.environment()._renew()
    with pytest.raises(NoCredentialsError):
        client.list_queues()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDLATE")
    client.list_queues()
    assert access_keys(service) == ["AKIDLATE"]


def test_a_fetch_that_failed_is_tried_again(
    service: FaultServer, container: tuple[Container, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the next request; the old credentials are not used meanwhile."""
    _, url = container
    in_container(monkeypatch, url)
    client = lambdakit.client("sqs")
    lambdakit.environment()._renew()
    in_container(monkeypatch, "http://elsewhere.example/credentials")  # botocore asks hosts of the container only
    with pytest.raises(ValueError, match="elsewhere"):
        client.list_queues()
    in_container(monkeypatch, url)
    client.list_queues()
    assert access_keys(service) == ["AKIDCONTAINER2"]


ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>AKIDROLE{number}</AccessKeyId><SecretAccessKey>made/up</SecretAccessKey><SessionToken>token</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


def test_a_role_is_assumed_again(service: FaultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """botocore remembers the roles that it assumed; a renewal forgets them."""
    config = tmp_path / "config"
    config.write_text(
        "[profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = base\n"
        "[profile deploy]\nrole_arn = arn:aws:iam::123456789012:role/deploy\nsource_profile = base\n"
    )
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "deploy")

    def assume(peer: Peer) -> None:
        while peer.request() is not None:
            body = ASSUMED.format(number=len(peer.server.requests))
            peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    with serving(assume) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{sts.port}")
        client = lambdakit.client("sqs")
        client.list_queues()
        client.list_queues()
        lambdakit.environment()._renew()
        client.list_queues()
    assert access_keys(service) == ["AKIDROLE1", "AKIDROLE1", "AKIDROLE2"]
    assert b"/eu-west-1/sts/" in sts.requests[-1]  # the role is assumed where the function runs


def test_renewed_twice_before_use(service: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were once."""
    client = lambdakit.client("sqs")
    for _ in range(2):
        lambdakit.environment()._renew()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDLATE")
    client.list_queues()
    assert access_keys(service) == ["AKIDLATE"]


def test_a_look_at_the_credentials_fetches_nothing(
    container: tuple[Container, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What tools ask of any object is not a use."""
    behave, url = container
    in_container(monkeypatch, url)
    client = lambdakit.client("sqs")
    lambdakit.environment()._renew()
    held = client._request_signer._credentials
    copy.deepcopy(held)
    assert "object" in repr(held)
    assert behave.fetches == 1
    assert held.token == "token2"


def test_resources_of_every_thread_are_renewed(service: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """They belong to threads and have one client; the renewal happens in one."""
    with ThreadPoolExecutor(1) as pool:
        resources = [lambdakit.resource("dynamodb"), pool.submit(lambdakit.resource, "dynamodb").result(10)]
        for resource in resources:
            resource.meta.client.list_tables()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDLATE")
        lambdakit.environment()._renew()
        assert resources[1].meta.client is resources[0].meta.client
        assert lambdakit.resource("dynamodb") is resources[0]
        assert pool.submit(lambdakit.resource, "dynamodb").result(10) is resources[1]
        for resource in resources:
            resource.meta.client.list_tables()
    assert access_keys(service) == ["AKIDEXAMPLE", "AKIDEXAMPLE", "AKIDLATE", "AKIDLATE"]
    assert service.connections == 2


def test_a_client_that_only_a_user_holds_is_renewed(service: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry has dropped it; the module that made it has not. One that nobody holds is not kept for that."""
    url = os.environ["AWS_ENDPOINT_URL"]
    client = lambdakit.client("sqs")
    for number in range(32):
        lambdakit.client("sqs", endpoint_url=f"{url}/{number}")
    env = lambdakit.environment()
    assert lambdakit.client("sqs") is not client
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDLATE")
    env._renew()
    client.list_queues()
    assert access_keys(service) == ["AKIDLATE"]
    env.close()
    gc.collect()
    assert [*env._parts[Clients]._made] == [client]


def test_without_clients_there_is_nothing_to_renew() -> None:
    """Neither in a restore nor in a child."""
    env = lambdakit.environment()
    _ = env._parts[Clients]
    env._renew()
    env._after_fork_in_child()
    assert clients_of(env) == 0


def without(client: Any, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client, with a part of its inside taken out."""
    *owners, name = path.split(".")
    for part in owners:
        client = getattr(client, part)
    monkeypatch.delattr(client, name)


@pytest.mark.parametrize("path", ["_request_signer", "_request_signer._credentials"])
def test_a_botocore_that_keeps_credentials_elsewhere(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning; the other clients are renewed."""
    odd, client = lambdakit.client("sqs"), lambdakit.client("sns")
    frozen = client._request_signer._credentials
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, logger="lambdakit"):
        without(odd, path, patch)
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIDLATE")
        for _ in range(2):
            lambdakit.environment()._renew()
        assert client._request_signer._credentials is frozen
        assert frozen.get_frozen_credentials().access_key == "AKIDLATE"
    (record,) = caplog.records
    assert "keeps credentials" in record.getMessage()


def test_credentials_of_a_kind_that_cannot_be_replaced_in_place() -> None:
    """They are left as they are, and the caller is told."""

    class Rigid:
        __slots__ = ()

    client = lambdakit.client("sqs")
    session = lambdakit.environment()._parts[Clients]._session
    client._request_signer._credentials = rigid = Rigid()
    assert renew_credentials(session, [client], None) is False
    assert client._request_signer._credentials is rigid


def test_a_session_that_keeps_its_credentials_elsewhere() -> None:
    """The caller is told."""

    class Session:
        def lazy_register_component(self, name: str, component: object) -> None:
            pass

    assert renew_credentials(Session(), [], None) is False


@pytest.mark.parametrize(
    "path",
    ["_endpoint", "_endpoint.http_session._manager", "_endpoint.http_session._manager.pool_classes_by_scheme"],
)
def test_a_botocore_that_keeps_connections_elsewhere(
    path: str, service: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are left as they are, and the caller is told."""
    client = lambdakit.client("sqs")
    with monkeypatch.context() as patch:
        without(client, path, patch)
        assert replace_connections(client) is False
    client.list_queues()
    assert service.connections == 1


def test_connections_that_cannot_be_replaced_are_closed(
    service: FaultServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By botocore's own way, with one warning."""
    client = lambdakit.client("sqs")
    client.list_queues()
    with caplog.at_level(logging.WARNING, logger="lambdakit"):
        for _ in range(2):
            with monkeypatch.context() as patch:
                without(client, "_endpoint.http_session._proxy_managers", patch)
                # What stands in for a botocore whose `close()` knows where they are.
                patch.setattr(client._endpoint.http_session, "close", client._endpoint.http_session._manager.clear)
                lambdakit.environment()._after_fork_in_child()
    (record,) = caplog.records
    assert "keeps connections" in record.getMessage()
    client.list_queues()
    assert service.connections == 2


@pytest.mark.parametrize("odd", ["pools", "pool"])
def test_a_urllib3_that_keeps_connections_elsewhere(odd: str, service: FaultServer) -> None:
    """The pool is another all the same."""
    client = lambdakit.client("sqs")
    client.list_queues()
    manager = client._endpoint.http_session._manager
    if odd == "pools":
        manager.pools = None
    else:
        (pool,) = manager.pools._container.values()
        pool.close()
    assert replace_connections(client) is True
    client.list_queues()
    assert service.connections == 2


def test_connections_to_proxies_are_replaced_too(service: FaultServer) -> None:
    """They have managers of their own, with locks of their own."""
    proxies = {"http": f"http://127.0.0.1:{service.port}"}
    client = lambdakit.client("sqs", endpoint_url="http://service.example", config=Config(proxies=proxies))
    client.list_queues()
    client.list_queues()
    assert service.connections == 1
    (manager,) = client._endpoint.http_session._proxy_managers.values()
    with held(manager.pools.lock):
        lambdakit.environment()._after_fork_in_child()
        client.list_queues()
    assert service.connections == 2


def test_the_new_pool_is_as_the_old_one() -> None:
    """Its time-outs, its size, its socket options and its classes."""
    client = lambdakit.client("sqs", config=Config(max_pool_connections=3, connect_timeout=1, read_timeout=4))
    session = client._endpoint.http_session

    def options() -> dict[str, object]:
        said = {**session._manager.connection_pool_kw, "classes": session._manager.pool_classes_by_scheme}
        return {name: str(value) for name, value in said.items() if name != "ssl_context"}

    before, manager = options(), session._manager
    assert replace_connections(client)
    assert session._manager is not manager
    assert options() == before


def test_new_locks_are_where_the_old_ones_were() -> None:
    """Also where one object is reached on two ways; a condition goes on waiting on the lock beside it."""

    class Holder:
        def __init__(self) -> None:
            self.lock = threading.Lock()
            self.condition = threading.Condition(self.lock)
            self.alone = threading.Condition()
            self.handlers = [self.on, (print, {"again": self})]

        def on(self, **_: object) -> None:
            pass

    Holder.__module__ = "botocore.retries.made_up"
    events = HierarchicalEmitter()
    holder = Holder()
    events.register("before-send", holder.on)
    other = threading.Lock()  # of an object of a user's
    events.register("before-send", type("User", (), {"lock": other, "on": lambda self, **_: None})().on)
    client = type("Client", (), {"meta": type("Meta", (), {"events": events})})()
    locks = [holder.lock, other, holder.alone]
    for lock in (holder.lock, other):
        lock.acquire()
    replace_locks(client)
    assert (holder.lock is locks[0], other.locked()) == (False, True)
    assert holder.condition.acquire(blocking=False)
    assert holder.lock.locked()
    with holder.alone:
        pass


# What follows forks this process. The child calls what is tested, tells what it found and leaves by `os._exit`.


def in_child(work: Callable[[], Any]) -> Any:
    """What `work` returns in a forked child; a child that hangs dies of SIGALRM."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on, of forks beside threads: the point here
        child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(15)
            try:
                told = {"returned": work()}
            except BaseException:  # noqa: BLE001 - the parent raises it
                told = {"raised": traceback.format_exc()}
            os.write(writer, json.dumps(told).encode())
        finally:
            os._exit(0)
    os.close(writer)
    try:
        assert select.select([reader], [], [], 30)[0]
        told = os.read(reader, 1 << 16)
    finally:
        os.close(reader)
        os.waitpid(child, 0)
    assert told, "the child hung"
    assert "raised" not in json.loads(told), json.loads(told)["raised"]
    return json.loads(told)["returned"]


@contextlib.contextmanager
def held(lock: Any) -> Iterator[None]:
    """Another thread holds it for the length of the block."""
    taken, release = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            release.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(10)
    try:
        yield
    finally:
        release.set()
        thread.join(10)


def by_connection(children: Behaviour) -> tuple[Behaviour, list[int]]:
    """The first connection, the parent's, gets empty objects; the others `children`. With each request's connection."""
    log: list[int] = []

    class Logging(Peer):
        def request(self) -> bytes | None:
            head = super().request()
            if head is not None:
                log.append(self.number)
            return head

    def behave(peer: Peer) -> None:
        peer.__class__ = Logging
        (answering(answer({})) if peer.number == 1 else children)(peer)

    return behave, log


def throttled_once(peer: Peer) -> None:
    """The first request fails, so that the retry modes count."""
    peer.request()
    peer.send(answer({"__type": "com.amazonaws#ThrottlingException", "message": "slow down"}, 400))
    answering(answer({}))(peer)


def retrying() -> list[Any]:
    """All that botocore's retries are made of and that is alive, of whatever client."""
    return [part for part in gc.get_objects() if str(type(part).__module__).startswith("botocore.retries.")]


def inside(kind: str, name: str) -> Callable[[Any, list[Any]], Any]:
    """The attribute `name` of what of this class there is beside the `others`, which is the client's."""

    def find(_: Any, others: list[Any]) -> Any:
        before = {id(part) for part in others}
        (found,) = {
            id(getattr(part, name)): getattr(part, name)
            for part in retrying()
            if id(part) not in before and type(part).__name__ == kind
        }.values()
        return found

    return find


def pool_of(client: Any) -> Any:
    """The client's pool."""
    (pool,) = client._endpoint.http_session._manager.pools._container.values()
    return pool


LOCKS: dict[str, tuple[str, Callable[[Any, list[Any]], Any]]] = {
    "of the registry": ("standard", lambda *_: lambdakit.environment()._parts[Clients]._lock),
    "of the pools": ("standard", lambda client, _: client._endpoint.http_session._manager.pools.lock),
    "of a pool": ("standard", lambda client, _: pool_of(client).pool.mutex),
    "of the credentials": ("standard", lambda client, _: client._request_signer._credentials._refresh_lock),
    "of the retries": ("standard", inside("RetryQuota", "_lock")),
    "of the rate": ("adaptive", inside("ClientRateLimiter", "_lock")),
    "of the tokens": ("adaptive", inside("TokenBucket", "_new_fill_rate_condition")),
}


@pytest.mark.parametrize("name", LOCKS)
def test_a_forked_child_waits_for_no_lock_of_the_parent(
    name: str, container: tuple[Container, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its call works, over its own connection, while a thread that it does not have holds each. So does a new client.

    The parent goes on over the connection it had.
    """
    mode, find = LOCKS[name]
    behave, log = by_connection(throttled_once)
    gc.collect()
    with serving(behave) as server:
        url = f"http://127.0.0.1:{server.port}"
        in_container(monkeypatch, container[1])
        others = retrying()  # kept, so that none of their ids becomes another's
        client = lambdakit.client("sqs", endpoint_url=url, config=Config(retries={"mode": mode}))
        client.list_queues()
        credentials = client._request_signer._credentials
        expiry, credentials._expiry_time = credentials._expiry_time, credentials._time_fetcher()  # who uses them waits

        def child() -> list[object]:
            gc.collect()  # what of the old pools is finalised must not hang either
            found = client.list_queues()["ResponseMetadata"]["RetryAttempts"]
            same = lambdakit.client("sqs", endpoint_url=url, config=Config(retries={"mode": mode})) is client
            return [same, found, type(lambdakit.client("sns", endpoint_url=url)).__name__]

        with held(find(client, others)):
            assert in_child(child) == [True, 1, "SNS"]
        credentials._expiry_time = expiry
        client.list_queues()
        assert log == [1, 2, 2, 1]
        assert server.connections == 2


def test_a_forked_child_leaves_the_tls_connection_of_the_parent_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No word of TLS's is sent over it and it is not shut down: the parent's next call uses it."""
    certs = certificates(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certs.root))
    behave, log = by_connection(answering(answer({})))
    with serving(behave, certs.valid) as server:
        client = lambdakit.client("sqs", endpoint_url=f"https://127.0.0.1:{server.port}")
        client.list_queues()
        descriptor = next(one for one in pool_of(client).pool.queue if one is not None).sock.fileno()

        def child() -> bool:
            with contextlib.suppress(OSError):
                os.fstat(descriptor)
                return False
            client.list_queues()
            return True

        assert in_child(child), "the parent's connection is still open in the child"
        client.list_queues()
        assert log == [1, 2, 1]
        assert server.connections == 2


def test_a_session_that_another_thread_was_making_is_not_used_in_the_child() -> None:
    """It may be half made; clients of before go on, new ones are of a new session."""
    clients: Any = lambdakit.environment()._parts[Clients]
    client = lambdakit.client("sqs")
    lambdakit.client("s3")
    session, lock = clients._session, clients._lock
    with held(clients._lock):
        lambdakit.environment()._after_fork_in_child()
    assert clients._session is not session
    assert clients._lock is not lock
    lambdakit.client("s3", region="us-east-1")
    assert clients._boto3_session._session is clients._session
    assert client._request_signer._credentials.get_frozen_credentials().access_key == "AKIDEXAMPLE"
    session = clients._session
    lambdakit.environment()._after_fork_in_child()
    assert clients._session is session


def test_a_session_that_was_not_even_begun_in_the_parent() -> None:
    """The first client is made in the child."""
    clients: Any = lambdakit.environment()._parts[Clients]
    with held(clients._lock):
        lambdakit.environment()._after_fork_in_child()
    assert lambdakit.client("sqs") is lambdakit.client("sqs")
