"""prime: a connection stands ready, and nothing was sent over it; over real TLS."""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from running import invocation
from urllib3.connectionpool import HTTPConnectionPool

import lambdakit
from faults import Behaviour, Certificates, FaultServer, Peer, answering, certificates, serving
from lambdakit import AccessDeniedError, ConfigurationError, DeadlineExceededError, NetworkError, prime
from lambdakit._clients.prime import _endpoint
from lambdakit.testing import FakeContext

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
EMPTY = ANSWER % (2, b"{}")
LONG = ANSWER % (8000, b" " * 8000)  # more than the session tickets have
NO_BUCKETS = b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates for 127.0.0.1."""
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(tls: Certificates, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """Speaks TLS 1.3, session tickets and all, and answers every request with an empty object."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls.root))
    with serving(answering(EMPTY), tls.valid) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{running.port}")
        yield running


def idle(client: Any) -> list[Any]:
    """The connections that stand in the client's pools."""
    pools = client._endpoint.http_session._manager.pools._container.values()
    return [connection for pool in pools for connection in pool.pool.queue if connection is not None]


def await_tickets(client: Any) -> None:
    """Until what the server sends after the handshake has come."""
    (connection,) = idle(client)
    assert select.select([connection.sock], [], [], 10.0)[0]


def test_the_first_call_finds_a_connection_over_which_nothing_was_sent(server: FaultServer) -> None:
    """One connection for both, although session tickets came in between; its first bytes are the call's."""
    client = lambdakit.client("dynamodb")
    assert prime(client) is True
    await_tickets(client)
    assert (server.connections, server.requests) == (1, [])
    assert client.list_tables()["ResponseMetadata"]["HTTPStatusCode"] == 200
    client.list_tables()
    assert (server.connections, len(server.requests)) == (1, 2)
    assert server.requests[0].startswith(b"POST / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("service", "call", "answer"),
    [("sqs", "list_queues", b"{}"), ("s3", "list_buckets", NO_BUCKETS), ("lambda", "list_functions", b"{}")],
)
def test_any_service(
    service: str, call: str, answer: bytes, tls: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it speaks."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls.root))
    with serving(answering(ANSWER % (len(answer), answer)), tls.valid) as server:
        client = lambdakit.client(service, endpoint_url=f"https://127.0.0.1:{server.port}")
        assert prime(client)
        getattr(client, call)()
        assert (server.connections, len(server.requests)) == (1, 1)


def test_without_tls() -> None:
    """An endpoint of one's own may speak plain HTTP."""
    with serving(answering(EMPTY)) as server:
        client = lambdakit.client("sqs", endpoint_url=f"http://127.0.0.1:{server.port}")
        assert prime(client)
        client.list_queues()
        assert (server.connections, len(server.requests)) == (1, 1)


def test_a_connection_that_stands_is_kept(server: FaultServer) -> None:
    """Priming again opens none, neither before nor after a call."""
    client = lambdakit.client("sqs")
    for _ in range(2):
        assert prime(client)
        assert idle(client)[0].sock.gettimeout() == 2.0
    client.list_queues()
    assert prime(client)
    assert server.connections == 1


def test_the_client_of_a_resource(server: FaultServer) -> None:
    """A resource calls through its client."""
    table = lambdakit.resource("dynamodb").Table("orders")
    assert prime(table)
    table.load()
    assert server.connections == 1


def test_a_client_of_ones_own(server: FaultServer) -> None:
    """boto3's client is the same."""
    client = boto3.client("sqs", region_name="eu-west-1")
    assert prime(client)
    client.list_queues()
    assert server.connections == 1


def end(peer: Peer) -> None:
    """A FIN, and TLS's own ending."""
    peer.finish()


def reset(peer: Peer) -> None:
    """A RST."""
    peer.reset()


def speak(peer: Peer) -> None:
    """An answer to no question."""
    peer.send(LONG)
    peer.silence()


def garble(peer: Peer) -> None:
    """What is no TLS."""
    socket.socket.sendall(peer.sock, LONG)
    peer.silence()


@pytest.mark.parametrize("fault", [end, reset, speak, garble])
def test_a_connection_that_was_lost_since_is_not_used(
    fault: Behaviour, tls: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call opens another, without an error or a second attempt."""

    def behave(peer: Peer) -> None:
        (fault if peer.number == 1 else answering(EMPTY))(peer)

    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls.root))
    with serving(behave, tls.valid) as server:
        client = lambdakit.client("sqs", endpoint_url=f"https://127.0.0.1:{server.port}")
        assert prime(client)
        if fault in {end, reset}:
            assert server.ended.acquire(timeout=10)
        else:
            await_bytes(client)
        assert client.list_queues()["ResponseMetadata"]["RetryAttempts"] == 0
        assert (server.connections, len(server.requests)) == (2, 1)


def await_bytes(client: Any) -> None:
    """Until what the server said has come."""
    (connection,) = idle(client)
    for _ in range(1000):
        if len(socket.socket.recv(connection.sock, 65536, socket.MSG_PEEK)) >= len(LONG):
            return
        time.sleep(0.005)
    pytest.fail("nothing came")


def test_a_connection_closed_here_is_not_used(server: FaultServer) -> None:
    """It has no socket to read tickets from."""
    client = lambdakit.client("sqs")
    assert prime(client)
    idle(client)[0].close()
    assert client.list_queues()["ResponseMetadata"]["RetryAttempts"] == 0
    assert (server.connections, len(server.requests)) == (2, 1)


def test_behind_a_proxy_nothing_is_opened(server: FaultServer) -> None:
    """Which connection a request takes there is the proxy's affair."""
    client = lambdakit.client("sqs", config=Config(proxies={"https": "http://127.0.0.1:9"}))
    assert prime(client) is False
    assert server.connections == 0


def test_what_is_no_client_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name of its type; also where botocore was never imported."""
    for wrong in (None, "dynamodb", lambdakit, threading.Lock()):
        with pytest.raises(ConfigurationError, match=f"client: .*not {type(wrong).__name__}"):
            prime(wrong)
    client = lambdakit.client("sqs")
    monkeypatch.delitem(sys.modules, "botocore.client")
    with pytest.raises(ConfigurationError, match="not SQS"):
        prime(client)


def test_an_unsigned_client_needs_no_credentials(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never signs."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    client = lambdakit.client("sqs", config=Config(signature_version=botocore.UNSIGNED))
    assert prime(client)
    assert server.connections == 1


class PassingContext(FakeContext):
    """Each look at it finds the next of these."""

    def __init__(self, remaining_s: list[float]) -> None:
        super().__init__()
        self._left_s = remaining_s

    def get_remaining_time_in_millis(self) -> int:
        return int(self._left_s.pop(0) * 1000)


def test_without_time_nothing_is_opened(server: FaultServer) -> None:
    """The deadline stands before the connect and again after the credentials."""
    client = lambdakit.client("sqs")
    for remaining_s in ([0.25], [5.0, 0.0]):
        with invocation(PassingContext(remaining_s)), pytest.raises(DeadlineExceededError, match="prime of sqs"):
            prime(client)
        assert remaining_s == []
    assert server.connections == 0


@pytest.mark.parametrize("connect_timeout", [2.0, None])
def test_the_budget_bounds_the_handshake(connect_timeout: float | None) -> None:
    """A server that says nothing costs no more than there is."""
    with serving(Peer.silence) as server:
        client = lambdakit.client(
            "sqs",
            endpoint_url=f"https://127.0.0.1:{server.port}",
            config=Config(connect_timeout=connect_timeout),
        )
        began = time.monotonic()
        with invocation(FakeContext(remaining_s=0.45)), pytest.raises(NetworkError):  # 0.2 of it may be used
            prime(client)
        assert 0.15 < time.monotonic() - began < 1.5


def test_the_time_out_of_the_client_bounds_it_too() -> None:
    """Also where the budget is larger, or none."""
    with serving(Peer.silence) as server:
        client = lambdakit.client(
            "sqs", endpoint_url=f"https://127.0.0.1:{server.port}", config=Config(connect_timeout=0.2)
        )
        for running in (invocation(FakeContext(remaining_s=60.0)), contextlib.nullcontext()):
            began = time.monotonic()
            with running, pytest.raises(NetworkError):
                prime(client)
            assert 0.15 < time.monotonic() - began < 1.5


def test_nobody_listens() -> None:
    """A network error with all that is known; the pool is as it was, and opens a connection once somebody does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = lambdakit.client("sqs", endpoint_url=f"http://127.0.0.1:{port}")
    with pytest.raises(NetworkError, match=rf"127\.0\.0\.1:{port}.*NewConnectionError") as caught:
        prime(client)
    about = caught.value
    assert (about.service, about.operation, about.name, about.region) == (
        "sqs",
        "prime",
        f"127.0.0.1:{port}",
        "eu-west-1",
    )
    (pool,) = client._endpoint.http_session._manager.pools._container.values()
    assert pool.pool.full()


def test_a_certificate_that_is_not_trusted(tls: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own trust decides."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls.unknown_root))
    with serving(answering(EMPTY), tls.valid) as server:
        client = lambdakit.client("sqs", endpoint_url=f"https://127.0.0.1:{server.port}")
        with pytest.raises(NetworkError, match="SSLCertVerificationError"):
            prime(client)
        assert idle(client)[0].sock is None


@pytest.mark.parametrize("renewed", [False, True])
def test_without_credentials(renewed: bool, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Denied before a connection is opened; also where they were there and are gone after a renewal."""
    if renewed:
        client = lambdakit.client("sqs")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    if renewed:
        lambdakit.environment()._renew()
    else:
        client = lambdakit.client("sqs")
    with pytest.raises(AccessDeniedError, match=r"NoCredentialsError.*AWS_ACCESS_KEY_ID") as caught:
        prime(client)
    assert (caught.value.operation, caught.value.name) == ("prime", f"127.0.0.1:{server.port}")
    assert server.connections == 0


def test_credentials_that_are_not_where_they_are_said_to_be(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Denied, whatever botocore says of it."""
    client = lambdakit.client("sqs")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://elsewhere.example/credentials")
    lambdakit.environment()._renew()
    with pytest.raises(AccessDeniedError, match="ValueError"):
        prime(client)
    assert server.connections == 0


def test_a_role_that_cannot_be_assumed_for_want_of_a_network(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A network error: the same may work later."""
    config = tmp_path / "config"
    config.write_text(
        "[profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = base\n"
        "[profile deploy]\nrole_arn = arn:aws:iam::123456789012:role/deploy\nsource_profile = base\n"
    )
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "deploy")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    client = lambdakit.client("sqs")
    with pytest.raises(NetworkError, match="where the credentials come from"):
        prime(client)
    assert server.connections == 0


@pytest.mark.parametrize(
    "path", ["_endpoint", "_endpoint.http_session._proxy_config", "_endpoint.http_session._manager"]
)
def test_a_botocore_that_keeps_its_connections_elsewhere(
    path: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No connection, no error, and False."""
    client = lambdakit.client("sqs")
    *owners, name = path.split(".")
    owner = client
    for part in owners:
        owner = getattr(owner, part)
    with monkeypatch.context() as patch:
        patch.delattr(owner, name)
        assert prime(client) is False
    assert server.connections == 0


@pytest.mark.parametrize("name", ["_get_conn", "_put_conn"])
def test_a_urllib3_whose_pool_is_another(name: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same."""
    monkeypatch.delattr(HTTPConnectionPool, name)
    assert prime(lambdakit.client("sqs")) is False
    assert server.connections == 0


def test_a_botocore_that_keeps_its_credentials_elsewhere(server: FaultServer) -> None:
    """They are left out; the connection stands."""
    client = lambdakit.client("sqs")
    del client._request_signer
    assert prime(client)
    assert server.connections == 1


@pytest.mark.parametrize(
    ("service", "call", "arguments"),
    [
        ("dynamodb", "list_tables", {}),  # the account's own host, where botocore knows of those
        ("geo-maps", "get_style_descriptor", {"Style": "Standard"}),  # the older list of endpoints has another
        ("stepfunctions", "list_activities", {}),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": b""}),
    ],
)
def test_the_endpoint_is_where_a_call_goes(
    service: str, call: str, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As botocore's rules have it for the client's region and account."""

    class SentError(Exception):
        pass

    def stop(request: Any, **_: object) -> None:
        raise SentError(request.url)

    monkeypatch.setenv("AWS_ACCOUNT_ID", "123456789012")
    client = lambdakit.client(service)
    client.meta.events.register("before-send", stop)
    with pytest.raises(SentError) as caught:
        getattr(client, call)(**arguments)
    assert urlsplit(_endpoint(client)).netloc == urlsplit(str(caught.value)).netloc


def test_a_service_whose_operations_each_say_where_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of them will be called is not known: the client's endpoint it is."""
    monkeypatch.setenv("AWS_ACCOUNT_ID", "123456789012")
    assert _endpoint(lambdakit.client("kinesis")) == "https://kinesis.eu-west-1.amazonaws.com"


def test_a_botocore_that_resolves_endpoints_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's endpoint it is."""
    monkeypatch.setenv("AWS_ACCOUNT_ID", "123456789012")
    client = lambdakit.client("dynamodb")
    client._resolve_endpoint_ruleset = lambda operation: ["https://wrong.example"]
    assert _endpoint(client) == client.meta.endpoint_url
    del client._resolve_endpoint_ruleset
    monkeypatch.delattr(BaseClient, "_resolve_endpoint_ruleset")
    assert _endpoint(client) == client.meta.endpoint_url
