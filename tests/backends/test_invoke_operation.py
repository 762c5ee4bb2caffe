"""Invoke of Lambda, as botocore sends it and as the service answers it, on every backend that calls services."""

from __future__ import annotations

import calendar
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import RunningContext, invocation

import lambdakit
from answering import Answering
from choosing import backend_of
from lambdakit import (
    AccessDeniedError,
    DeadlineExceededError,
    Environment,
    FetchError,
    NetworkError,
    NotFoundError,
    ServiceError,
    ThrottledError,
)
from lambdakit._aws.signing import Credentials, Signer, query_string
from lambdakit._backends.operations import _INVOKE
from lambdakit.testing import FakeContext, ManualClock

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:shop"
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:b/é"
NAMES = st.from_regex(r"[a-zA-Z0-9-_]{1,64}", fullmatch=True) | st.just(ARN)
QUALIFIERS = st.none() | st.just("$LATEST") | st.from_regex(r"[a-zA-Z0-9-_]{1,20}", fullmatch=True)


class SentError(Exception):
    """Stops botocore before it opens a connection."""


@pytest.fixture(scope="module")
def captured() -> Callable[..., Any]:
    """The request that a real client would send."""
    session = botocore.session.Session()
    session.set_credentials("AKID", "SECRET", "TOKEN")
    client = session.create_client("lambda", "eu-west-1")
    requests: list[Any] = []

    def stop(request: Any, **_: object) -> None:
        requests.append(request)
        raise SentError

    client.meta.events.register("before-send", stop)

    def captured(**arguments: Any) -> Any:
        with pytest.raises(SentError):
            client.invoke(**arguments)
        return requests.pop()

    return captured


@given(name=NAMES, qualifier=QUALIFIERS, payload=st.binary(max_size=20), kind=st.sampled_from(["Event", "DryRun"]))
def test_the_request_and_its_signature_are_botocores(
    captured: Callable[..., Any], name: str, qualifier: str | None, payload: bytes, kind: str
) -> None:
    """For any function, by name or ARN, and any qualifier: URL, headers and body, and what they are signed with."""
    request = {"FunctionName": name, "InvocationType": kind, "Payload": payload}
    if qualifier is not None:
        request["Qualifier"] = qualifier
    theirs = captured(**request)
    path, query, headers, body = _INVOKE.write(request)
    host = "lambda.eu-west-1.amazonaws.com"
    assert theirs.url == f"https://{host}{path}" + (f"?{query_string(query)}" if query else "")
    assert (theirs.method, theirs.body or b"") == (_INVOKE.method, body)
    stamp = theirs.headers["X-Amz-Date"].decode()
    ours = Signer().sign(
        Credentials("AKID", "SECRET", token="TOKEN"),
        method=_INVOKE.method,
        host=host,
        path=path,
        query=query,
        headers=headers,
        body=body,
        region="eu-west-1",
        service=_INVOKE.signed_as,
        now_s=calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ")),
    )
    assert ours["X-Amz-Invocation-Type"] == theirs.headers["X-Amz-Invocation-Type"].decode() == kind
    assert ours["Authorization"] == theirs.headers["Authorization"].decode()


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole response, after which the connection is closed."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = [f"HTTP/1.1 {status} X", "Connection: close", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def refusal(status: int, code: str, message: str = "no") -> bytes:
    """An error as Lambda answers it."""
    body = b'{"Type": "User", "Message": "%s"}' % message.encode()
    return answer(status, body, x_amzn_ErrorType=code, x_amzn_RequestId="r-1")


TAKEN = answer(202)


@pytest.fixture(params=["direct", "sdk"])
def calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Invoke `shop:prod` through each backend."""
    env = Environment(backend=request.param)

    def calls(server: Answering, *, wait: bool = False, **options: Any) -> Any:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", server.url)
        arguments = {"region": "eu-west-1", "qualifier": "prod", "wait": wait} | options
        backend: Any = backend_of(env)
        return backend.invoke("shop", b'{"warmer": true}', **arguments)

    with (
        lambdakit.use_environment(env),
        invocation(FakeContext(remaining_s=30)),
    ):
        yield calls
    env.close()


@pytest.mark.parametrize("wait", [True, False])
def test_an_invocation(calls: Callable[..., Any], *, wait: bool) -> None:
    """One request to the function and its alias, of the type that says whether somebody waits."""
    with Answering(answer(200, b'"warm"') if wait else TAKEN) as server:
        assert calls(server, wait=wait) is None
    (request,) = server.received
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /2015-03-31/functions/shop/invocations?Qualifier=prod HTTP/1.1\r\n")
    kind = b"RequestResponse" if wait else b"Event"
    assert b"x-amz-invocation-type: " + kind.lower() in head.lower()
    assert b"/eu-west-1/lambda/aws4_request" in head
    assert body == b'{"warmer": true}'


def test_without_a_qualifier(calls: Callable[..., Any]) -> None:
    """There is no query, and another region is signed for."""
    with Answering(TAKEN) as server:
        calls(server, qualifier=None, region="us-east-2")
    assert b" /2015-03-31/functions/shop/invocations HTTP/1.1" in server.received[0]
    assert b"/us-east-2/lambda/aws4_request" in server.received[0]


def test_a_function_that_fails_is_told(calls: Callable[..., Any]) -> None:
    """By Lambda's own word; its answer is for nobody."""
    failed = answer(200, b'{"errorMessage": "planted"}', X_Amz_Function_Error="Unhandled")
    with Answering(failed) as server:
        assert calls(server, wait=True) == "Unhandled"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDeniedException", AccessDeniedError),
        (404, "ResourceNotFoundException", NotFoundError),
        (429, "TooManyRequestsException", ThrottledError),
        (500, "ServiceException", ServiceError),
        (502, "EFSIOException", ServiceError),
        (413, "RequestTooLargeException", FetchError),
        (400, "RecursiveInvocationException", FetchError),
    ],
)
def test_a_refusal(calls: Callable[..., Any], status: int, code: str, kind: type[FetchError]) -> None:
    """Is the error of its kind, names function and alias, and is not tried again: it may have been executed."""
    with Answering(refusal(status, code, "the reason")) as server, pytest.raises(kind) as caught:
        calls(server)
    error = caught.value
    assert (type(error), error.code, error.status, error.name) == (kind, code, status, "shop:prod")
    assert str(error).startswith(f"lambda Invoke of 'shop:prod' in eu-west-1: {code} (status {status}): the reason. ")
    assert server.requests == 1


def test_a_request_that_is_lost_is_not_sent_again(calls: Callable[..., Any]) -> None:
    """The function may run already."""
    with Answering(None) as server, pytest.raises(NetworkError):
        calls(server)
    assert server.requests == 1


@pytest.mark.parametrize("status", [203, 204])
def test_a_status_that_invoke_does_not_have(calls: Callable[..., Any], status: int) -> None:
    """Something is in between that is not Lambda."""
    with Answering(answer(status)) as server, pytest.raises(ServiceError, match="not one of this service's"):
        calls(server)


@contextlib.contextmanager
def direct(**options: Any) -> Iterator[Any]:
    """The backend of an environment that is closed afterwards."""
    env = Environment(backend="direct", **options)
    yield backend_of(env)
    env.close()


def test_a_kept_connection_that_is_lost_is_no_reason_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whether the request was read before the connection ended: direct raises."""
    kept = b"HTTP/1.1 202 X\r\nContent-Length: 0\r\n\r\n"
    received: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            for reply in (kept, b""):
                received.append(connection.recv(65536))
                connection.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        options: dict[str, Any] = {"region": None, "qualifier": None, "wait": False}
        with direct() as backend:
            assert backend.invoke("shop", b"{}", **options) is None
            with pytest.raises(NetworkError):
                backend.invoke("shop", b"{}", **options)
        thread.join(10)
    assert len(received) == 2


def test_the_answer_may_take_as_long_as_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven seconds pass within it, one more than any other answer may take."""
    clock = ManualClock()

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            clock.tick(11)
            for piece in (b"HTTP/1.1 200 X\r\n", b"Content-Length: 0\r\n", b"\r\n"):
                connection.sendall(piece)
                time.sleep(0.05)  # for the client to have read that, and to look at the time

    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        with direct(clock=clock) as backend:
            assert backend.invoke("shop", b"{}", region=None, qualifier=None, wait=True) is None
        thread.join(10)


def test_it_ends_with_the_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits, waits within the remaining time."""
    env = Environment(backend="direct")
    with Answering(...) as server, lambdakit.use_environment(env):
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", server.url)
        with invocation(RunningContext(remaining_s=0.5)):
            backend: Any = backend_of(env)
            with pytest.raises(DeadlineExceededError) as caught:
                backend.invoke("shop", b"{}", region=None, qualifier=None, wait=True)
    assert type(caught.value.__cause__).__name__ == "ReadTimeoutError"


@pytest.mark.parametrize(("function", "trace"), [("shop", TRACE), ("shop", None), (None, TRACE), ("shop", "")], ids=str)
def test_the_trace_is_passed_on_as_botocore_does(
    function: str | None, trace: str | None, captured: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda ends a chain of functions that invoke each other without end: by this header it knows one."""
    for name, value in (("AWS_LAMBDA_FUNCTION_NAME", function), ("_X_AMZN_TRACE_ID", trace)):
        if value is not None:
            monkeypatch.setenv(name, value)
    theirs = captured(FunctionName="shop", Payload=b"{}").headers.get("X-Amzn-Trace-Id")
    with Answering(TAKEN) as server, direct() as backend:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", server.url)
        backend.invoke("shop", b"{}", region=None, qualifier=None, wait=False)
    lines = [line for line in server.received[0].split(b"\r\n") if line.startswith(b"X-Amzn-Trace-Id: ")]
    assert lines == ([] if theirs is None else [b"X-Amzn-Trace-Id: " + theirs])
    assert (theirs is None) == (not (function and trace))


def test_only_an_invocation_carries_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads a value starts no chain."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "shop")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", TRACE)
    with Answering(answer(200, b'{"SecretString": "x", "VersionId": "1"}')) as server, direct() as backend:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        backend.get_secret("x", region=None, version_id=None, version_stage=None)
    assert b"x-amzn-trace-id" not in server.received[0].lower()
