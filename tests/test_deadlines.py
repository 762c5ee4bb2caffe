"""What ends a request that the invocation has no time for: through each kind of client, under each fault."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import botocore.awsrequest
import botocore.exceptions
import botocore.httpsession
import pytest
import urllib3
from botocore.config import Config
from running import RunningClock, RunningContext, invocation
from tools.deadlines import FAULTS, IMPOSSIBLE, KINDS, NOT_BOUNDED, RESPONSE, STALE, refresh

import lambdakit
from answering import aws_json
from faults import PATIENCE_S, Peer, serving
from lambdakit import Environment, http
from lambdakit._aws import Aws
from lambdakit._clients import Bounds
from lambdakit._http.policy import is_deadline_error
from lambdakit.testing import FakeContext

LEFT_S, AMPLE_S = 0.15, 5.0  # for I/O; the margin comes on top
STALE_LEFT_S = 0.4
PAUSE_S = 0.05  # between two bytes, two headers, two interim answers
URL = "http://127.0.0.1:1"  # nobody listens there
TTL_S = lambdakit.Settings().ttl_s
ANSWER = {"Name": "x", "ARN": "arn:x", "SecretString": "old", "VersionId": "v1"}


class Fault:
    """A server that answers until it is told to have a fault."""

    def __init__(self) -> None:
        self.kind: str | None = None
        self.over = threading.Event()

    def behave(self, peer: Peer) -> None:
        """One connection."""
        while (head := peer.request()) is not None:
            whole = answer(head)
            start, _, body = whole.partition(b"\r\n\r\n")
            if self.kind is None:
                peer.send(whole)
                peer.finish()
                return
            if self.kind == "throttled":
                headers = {"Retry_After": "9", "x_amz_retry_after": "9000"}
                peer.send(aws_json(429, {"__type": "ThrottlingException"}, **headers))
                peer.finish()
                return
            if self.kind == "silent":
                peer.silence()
                return
            begin, piece = {
                "trickle": (b"", whole),
                "body": (start + b"\r\n\r\n", body + b" " * 1_000),
                "interim": (b"", b""),
                "headers": (b"HTTP/1.1 200 OK\r\n", b""),
            }[self.kind]
            begin = begin.replace(b"Content-Length: ", b"Content-Length: 9")
            peer.send(begin)
            for number in range(int(PATIENCE_S / PAUSE_S)):
                more = {"interim": b"HTTP/1.1 100 Continue\r\n\r\n", "headers": b"X-%d: y\r\n" % number}
                peer.send(more.get(self.kind, piece[number : number + 1] or b" "))
                if self.over.wait(PAUSE_S):
                    return


def answer(head: bytes) -> bytes:
    """What each client takes."""
    if b"GetSecretValue" in head:
        return aws_json(200, ANSWER)
    if head.startswith(b"GET /credentials"):
        given = {"AccessKeyId": "AK", "SecretAccessKey": "SK", "Token": "T", "Expiration": "2096-01-01T00:00:00Z"}
        return aws_json(200, given)
    return aws_json(200, {"Functions": []})


@contextlib.contextmanager
def not_accepting() -> Iterator[int]:
    """A port whose queue of connections is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def sender(kind: str, url: str) -> Callable[[], Any]:
    """What sends a request, and raises what a user sees."""
    if kind in KINDS[:2]:
        return lambda: lambdakit.get_secret("x")
    config = Config(connect_timeout=60, read_timeout=60)  # so that nothing but the invocation ends it
    if kind == KINDS[2]:
        client = lambdakit.client("secretsmanager", config=config)
        return lambda: client.get_secret_value(SecretId="x")["SecretString"]
    if kind == KINDS[3]:
        callee = lambdakit.client("lambda", config=config)
        return callee.list_functions
    if kind == KINDS[4]:
        return lambda: http.get(url, timeout=60).status
    if kind == KINDS[5]:
        return lambda: http.requests_session().get(url, timeout=60).status_code
    return lambda: http.httpx_client().get(url, timeout=60).status_code


@contextlib.contextmanager
def scene(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Environment, Fault, RunningClock, str]]:
    """A service, and an environment that reaches it by that kind of client."""
    fault, clock = Fault(), RunningClock(chance=0.0)
    with serving(fault.behave) as server:
        url = f"http://localhost:{server.port}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        env = Environment(backend="sdk" if kind == KINDS[1] else "direct", clock=clock)
        with lambdakit.use_environment(env):
            yield env, fault, clock, url
            fault.over.set()
        env.close()


def begin(fault: Fault, kind: str, env: Environment, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on."""
    if kind == "credentials":
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/credentials")
        env._parts[Aws].close()  # those that it has are forgotten
        fault.kind = "silent"
    else:
        fault.kind = kind


CASES = [
    (fault, kind)
    for fault, (_, outcomes) in FAULTS.items()
    for kind in KINDS
    if outcomes[kind] not in {IMPOSSIBLE, NOT_BOUNDED}
]


@pytest.mark.parametrize(("fault", "kind"), CASES)
def test_a_request_ends_with_the_time_for_it(fault: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the table says, whatever comes and however slowly, while the invocation still runs."""
    with contextlib.ExitStack() as stack:
        env, server, _, url = stack.enter_context(scene(kind, monkeypatch))
        if fault == "connect":
            url = f"http://127.0.0.1:{stack.enter_context(not_accepting())}"
            monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        else:
            begin(server, fault, env, url, monkeypatch)
        send, outcome = sender(kind, url), FAULTS[fault][1][kind]
        left_s = (
            AMPLE_S if fault == "throttled" else LEFT_S
        )  # nobody waits there: the pause that is asked for is longer
        with invocation(RunningContext(remaining_s=left_s + 0.25)):
            if outcome == RESPONSE:
                assert send() == 429
                return
            with pytest.raises((lambdakit.LambdakitError, botocore.exceptions.ClientError)) as caught:
                send()
        assert type(caught.value).__name__ == outcome


REFRESHED = [
    (fault, kind)
    for fault in FAULTS
    for kind in (*KINDS[:3], *KINDS[4:])
    if refresh(fault, kind) == STALE
    and (fault in {"trickle", "name", "throttled"} or kind in KINDS[:2])
    and (fault, kind) != ("connect", KINDS[1])  # an SDK client has its endpoint for life
]


@pytest.mark.parametrize(("fault", "kind"), REFRESHED)
def test_a_stale_value_comes_in_half_of_the_time(fault: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its refresh meets: of values, and of cached functions that send a request."""
    released = threading.Event()
    resolve = socket.getaddrinfo

    def silent_resolver(*_: Any, **__: Any) -> Any:
        released.wait(PATIENCE_S)
        raise socket.gaierror

    with contextlib.ExitStack() as stack:
        env, server, clock, url = stack.enter_context(scene(kind, monkeypatch))
        send = sender(kind, url)
        read = send if kind in KINDS[:2] else lambdakit.cached(stale_ttl=3600)(send)
        fresh = read()
        clock.tick(TTL_S)
        if fault == "connect":
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{stack.enter_context(not_accepting())}")
        elif fault == "name":
            monkeypatch.setattr(socket, "getaddrinfo", silent_resolver)
            stack.callback(monkeypatch.setattr, socket, "getaddrinfo", resolve)
            stack.callback(released.set)
        else:
            begin(server, fault, env, url, monkeypatch)
        with invocation(RunningContext(remaining_s=STALE_LEFT_S + 0.25)):
            assert read() == fresh


@pytest.mark.parametrize("kind", KINDS[:2])
def test_a_refresh_takes_half_of_the_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the other half an invocation goes on, with the stale value."""
    with scene(kind, monkeypatch) as (_, server, clock, _):
        lambdakit.get_secret("x")
        clock.tick(TTL_S)
        server.kind = "trickle"
        with invocation(RunningContext(remaining_s=2.25)) as running:
            assert lambdakit.get_secret("x") == "old"
            assert running.remaining_s()


def clients_of(url: str) -> tuple[Any, Any]:
    """A client of lambdakit's, and the connection that it would make."""
    client = lambdakit.client("lambda", endpoint_url=url)
    return client, client._endpoint.http_session._manager.connection_from_url(url)._new_conn()


def test_outside_an_invocation_the_time_outs_of_the_client_hold() -> None:
    """And within one that has more time than they ask for, or does not know how much."""
    with serving(lambda peer: peer.silence()) as server:
        config = Config(read_timeout=0.05, retries={"total_max_attempts": 1})
        client = lambdakit.client("sqs", endpoint_url=f"http://127.0.0.1:{server.port}", config=config)
        for context in (None, RunningContext(remaining_s=60.0)):
            with contextlib.ExitStack() as stack:
                if context is not None:
                    stack.enter_context(invocation(context))
                with pytest.raises(botocore.exceptions.ReadTimeoutError):
                    client.list_queues()


def test_a_body_that_is_read_piece_by_piece_ends_with_the_invocation() -> None:
    """As botocore's own time-out, with ours among its causes."""
    over = threading.Event()

    def behave(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")
        while not over.wait(PAUSE_S):
            peer.send(b"x")

    with serving(behave) as server:
        client = lambdakit.client("s3", endpoint_url=f"http://127.0.0.1:{server.port}")
        with invocation(context := RunningContext(remaining_s=60.0)):
            body = client.get_object(Bucket="bucket", Key="key")["Body"]
            context._end_s -= 60.0 - LEFT_S - 0.25
            with pytest.raises(botocore.exceptions.ReadTimeoutError) as caught:
                body.read()
        over.set()
    assert is_deadline_error(caught.value)


def test_a_body_is_not_held_back_where_there_is_no_time_to_wait() -> None:
    """S3 is asked whether it takes a body, and given a second to answer: not where the invocation ends within it."""
    heads: list[bytes] = []

    def behave(peer: Peer) -> None:
        while (head := peer.request()) is not None:
            heads.append(head.lower())
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with serving(behave) as server:
        client = lambdakit.client("s3", endpoint_url=f"http://127.0.0.1:{server.port}")
        for remaining_s in (0.9, 60.0):
            with invocation(FakeContext(remaining_s=remaining_s)):
                client.put_object(Bucket="bucket", Key="key", Body=b"1")
    assert [b"expect: 100-continue" in head for head in heads] == [False, True]


def test_a_name_that_is_not_known_and_a_port_that_nobody_listens_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Are errors of the connection, as botocore has them; each address is tried, from the source that is set."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]
    client, connection = clients_of(f"http://host.invalid:{port}")

    def unknown(*_: Any) -> Any:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        connection.connect()
    with pytest.raises(botocore.exceptions.EndpointConnectionError):
        client.list_functions()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: addresses)
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        connection.connect()
    with socket.create_server(("127.0.0.1", port)) as listener:
        connection.source_address = ("127.0.0.3", 0)
        connection.socket_options = None
        connection.connect()
        with listener.accept()[0] as accepted:
            assert accepted.getpeername()[0] == "127.0.0.3"
        connection.close()


def test_no_connection_is_begun_when_resolving_took_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the name of a host that was found too late."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        client, _ = clients_of(f"http://host.invalid:{address[1]}")
        running = RunningContext(remaining_s=60)

        def late(*_: Any) -> Any:
            monkeypatch.setattr(running, "get_remaining_time_in_millis", lambda: 0)
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address)]

        monkeypatch.setattr(socket, "getaddrinfo", late)
        with invocation(running), pytest.raises(lambdakit.DeadlineExceededError):
            client.list_functions()


def test_what_others_have_put_in_the_place_of_connections_stays(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A test tool's connections, another library's sockets; and a botocore that is not as it was is told once."""

    class Theirs(botocore.awsrequest.AWSHTTPConnection):
        """Of a test tool."""

    class Odd:
        """A socket that is none."""

        __slots__ = ()

        def close(self) -> None:
            """Nothing."""

    def without(session: Any, *args: Any, **options: Any) -> None:
        make(session, *args, **options)
        del session._pool_classes_by_scheme

    with monkeypatch.context() as patch:
        patch.setattr(botocore.awsrequest.AWSHTTPConnectionPool, "ConnectionCls", Theirs)
        assert type(clients_of(URL)[1]) is Theirs
    with monkeypatch.context() as patch:
        connection = clients_of(URL)[1]
        patch.setattr(Bounds, "_connected", lambda *_: Odd())
        connection.connect()
        assert type(connection.sock) is Odd
    make = botocore.httpsession.URLLib3Session.__init__
    monkeypatch.setattr(botocore.httpsession.URLLib3Session, "__init__", without)
    with lambdakit.use_environment(Environment()):
        for service in ("sqs", "sns"):
            lambdakit.client(service)
    (record,) = caplog.records
    assert "may outlast the invocation" in record.getMessage()


def test_a_wait_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that says False says that there is no other attempt, also with the last millisecond."""
    with serving(lambda peer: (peer.request(), peer.send(aws_json(400, {"__type": "No"})))) as server:
        client = lambdakit.client("sqs", endpoint_url=f"http://127.0.0.1:{server.port}")
        client.meta.events.register_first("needs-retry.*", lambda **_: False)
        with invocation(RunningContext(remaining_s=60.0)), pytest.raises(botocore.exceptions.ClientError):
            client.list_queues()
