"""The proxy itself, seen by plain boto3 clients: each limit, each denial, each fault as the real service shows it."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.exceptions as raised
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from fault_proxy import BREAKS, KINDS, REFUSALS, FaultProxy

SERVICES = ("secretsmanager", "ssm", "kms", "dynamodb")


@pytest.fixture
def proxy(aws: boto3.session.Session, moto_url: str) -> Iterator[FaultProxy]:
    """In front of a moto that is emptied after the test."""
    with FaultProxy(moto_url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def models() -> boto3.session.Session:
    """One session for all tests: it reads the models of the services, which takes most of a client's making."""
    return boto3.session.Session()


@pytest.fixture
def connect(proxy: FaultProxy, models: boto3.session.Session) -> Iterator[Callable[..., Any]]:
    """Makes clients of the proxy without retries, and closes them."""
    made: list[Any] = []

    def connect(
        service: str, *, session: boto3.session.Session = models, read_timeout_s: float = 10.0, checked: bool = True
    ) -> Any:
        config = Config(read_timeout=read_timeout_s, retries={"total_max_attempts": 1}, parameter_validation=checked)
        made.append(session.client(service, endpoint_url=proxy.url, config=config))
        return made[-1]

    yield connect
    for client in made:
        client.close()


def _code(caught: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    response: Any = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def _read(service: str, client: Any) -> Any:
    """A call that reads one thing called x."""
    match service:
        case "secretsmanager":
            return client.get_secret_value(SecretId="x")["SecretString"]
        case "ssm":
            return client.get_parameter(Name="x")["Parameter"]["Value"]
        case "kms":
            return client.describe_key(KeyId="x")
        case _:
            return client.get_item(TableName="x", Key={"id": {"S": "1"}})


def _parameters(aws: boto3.session.Session, count: int, *, folder: str = "") -> list[str]:
    names = [f"{folder}/p{number:02}" for number in range(count)]
    client = aws.client("ssm")
    for name in names:
        client.put_parameter(Name=name, Value=name, Type="String")
    return names


def _secrets(aws: boto3.session.Session, count: int) -> list[str]:
    names = [f"s{number:02}" for number in range(count)]
    client = aws.client("secretsmanager")
    for name in names:
        client.create_secret(Name=name, SecretString=name)
    return names


# Passing on, and recording.


def test_what_is_whole_passes(connect: Callable[..., Any], proxy: FaultProxy) -> None:
    """Writes and reads of every service arrive at moto and come back, over one connection for each client."""
    secrets, ssm, kms, dynamodb = map(connect, SERVICES)
    secrets.create_secret(Name="x", SecretString="1")
    assert secrets.get_secret_value(SecretId="x")["SecretString"] == "1"
    ssm.put_parameter(Name="/x", Value="2", Type="SecureString")
    assert ssm.get_parameter(Name="/x", WithDecryption=True)["Parameter"]["Value"] == "2"
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"3")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"3"
    dynamodb.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName="t", Item={"id": {"S": "4"}})
    assert dynamodb.get_item(TableName="t", Key={"id": {"S": "4"}})["Item"] == {"id": {"S": "4"}}
    assert proxy.connections == len(SERVICES)


def test_calls_are_recorded(connect: Callable[..., Any], proxy: FaultProxy) -> None:
    """Operation, names, arrival and status, in order; nothing of the values."""
    before_s = time.monotonic()
    connect("secretsmanager").create_secret(Name="x", SecretString="planted")
    connect("ssm").get_parameters(Names=["/a", "/b"])
    with pytest.raises(ClientError):
        connect("dynamodb").get_item(TableName="t", Key={"id": {"S": "1"}})
    assert [(call.operation, call.names, call.status) for call in proxy.calls] == [
        ("CreateSecret", ("x",), 200),
        ("GetParameters", ("/a", "/b"), 200),
        ("GetItem", ("t",), 400),
    ]
    times_s = [before_s, *(call.at_s for call in proxy.calls), time.monotonic()]
    assert times_s == sorted(times_s)
    assert "planted" not in repr(proxy.calls)
    assert proxy.asked("GetParameters") == [("/a", "/b")]


@pytest.mark.parametrize("service", ["secretsmanager", "ssm"])
def test_what_is_missing(service: str, connect: Callable[..., Any]) -> None:
    """Status 400 as AWS says it, where moto says 404 for a secret."""
    with pytest.raises(ClientError) as caught:
        _read(service, connect(service))
    code = {"secretsmanager": "ResourceNotFoundException", "ssm": "ParameterNotFound"}[service]
    assert _code(caught) == (400, code)


# Limits.


def test_get_parameters_takes_ten_names(aws: boto3.session.Session, connect: Callable[..., Any]) -> None:
    """10 are answered, 11 refused, in SSM's words."""
    names, ssm = _parameters(aws, 11), connect("ssm")
    assert len(ssm.get_parameters(Names=names[:10])["Parameters"]) == 10
    with pytest.raises(ClientError, match=r"at 'names' failed .* length less than or equal to 10") as caught:
        ssm.get_parameters(Names=names)
    assert _code(caught) == (400, "ValidationException")


def test_get_parameters_takes_a_name_once(aws: boto3.session.Session, connect: Callable[..., Any]) -> None:
    """A name that is there twice refuses them all."""
    (name,) = _parameters(aws, 1)
    with pytest.raises(ClientError) as caught:
        connect("ssm").get_parameters(Names=[name, name])
    assert _code(caught) == (400, "ValidationException")


def test_get_parameters_answers_by_name(aws: boto3.session.Session, connect: Callable[..., Any]) -> None:
    """In alphabetical order, whatever was asked; what is missing is listed; a selector is told apart from the name."""
    _parameters(aws, 3)
    answer = connect("ssm").get_parameters(Names=["/p02", "/none", "/p00:1", "/p01:7", "/p01"])
    found = [(parameter["Name"], parameter.get("Selector")) for parameter in answer["Parameters"]]
    assert found == [("/p00", ":1"), ("/p01", None), ("/p02", None)]
    assert answer["InvalidParameters"] == ["/none", "/p01:7"]


def test_batch_get_secret_value_takes_twenty_names(aws: boto3.session.Session, connect: Callable[..., Any]) -> None:
    """20 are answered, 21 refused."""
    names, client = _secrets(aws, 21), connect("secretsmanager")
    assert len(client.batch_get_secret_value(SecretIdList=names[:20])["SecretValues"]) == 20
    with pytest.raises(ClientError, match=r"at 'secretIdList' failed .* less than or equal to 20") as caught:
        client.batch_get_secret_value(SecretIdList=names)
    assert _code(caught) == (400, "ValidationException")


@pytest.mark.parametrize(
    ("request_", "code"),
    [({}, "InvalidParameterException"), ({"SecretIdList": ["a"], "MaxResults": 5}, "InvalidParameterException")],
)
def test_batch_get_secret_value_needs_a_list(
    request_: dict[str, Any], code: str, aws: boto3.session.Session, connect: Callable[..., Any]
) -> None:
    """A request without one, and a page size with one, are refused."""
    _secrets(aws, 1)
    with pytest.raises(ClientError) as caught:
        connect("secretsmanager").batch_get_secret_value(**request_)
    assert _code(caught) == (400, code)


@pytest.mark.parametrize(
    ("service", "operation", "request_"),
    [("ssm", "get_parameters", {"Names": []}), ("secretsmanager", "batch_get_secret_value", {"SecretIdList": []})],
)
def test_an_empty_list_is_refused(
    service: str, operation: str, request_: dict[str, Any], connect: Callable[..., Any]
) -> None:
    """By the service too, for those who do not check it before they send."""
    client = connect(service, checked=False)
    with pytest.raises(ClientError, match="length greater than or equal to 1") as caught:
        getattr(client, operation)(**request_)
    assert _code(caught) == (400, "ValidationException")


@pytest.mark.parametrize(("size", "refused"), [(0, True), (1, False), (10, False), (11, True)])
def test_a_page_by_path_has_one_to_ten(
    size: int, refused: bool, aws: boto3.session.Session, connect: Callable[..., Any]
) -> None:
    """The size asked for, or the service's error."""
    _parameters(aws, 12, folder="/shop")
    client = connect("ssm", checked=False)
    if refused:
        with pytest.raises(ClientError, match="'maxResults' failed") as caught:
            client.get_parameters_by_path(Path="/shop", MaxResults=size)
        assert _code(caught) == (400, "ValidationException")
    else:
        assert len(client.get_parameters_by_path(Path="/shop", MaxResults=size)["Parameters"]) == size


@pytest.mark.parametrize(("page_size", "empty", "pages"), [(None, False, 3), (4, False, 7), (None, True, 4)])
def test_pages_by_path(
    page_size: int | None,
    empty: bool,
    pages: int,
    aws: boto3.session.Session,
    proxy: FaultProxy,
    connect: Callable[..., Any],
) -> None:
    """Ten at most, or as told, an empty one first if told; followed by their tokens they are everything, once."""
    names = _parameters(aws, 25, folder="/shop")
    proxy.page_size, proxy.empty_pages = page_size, empty
    listed = [*connect("ssm").get_paginator("get_parameters_by_path").paginate(Path="/shop")]
    assert [parameter["Name"] for page in listed for parameter in page["Parameters"]] == names
    assert len(listed) == len(proxy.asked("GetParametersByPath")) == pages
    assert "NextToken" not in listed[-1]
    assert [len(page["Parameters"]) == 0 for page in listed] == [empty, *[False] * (pages - 1)]


@pytest.mark.parametrize(("page_size", "empty", "pages"), [(None, False, 1), (4, False, 3), (4, True, 4)])
def test_pages_of_a_batch(
    page_size: int | None,
    empty: bool,
    pages: int,
    aws: boto3.session.Session,
    proxy: FaultProxy,
    connect: Callable[..., Any],
) -> None:
    """One page, or pages as told, with the errors of their own names; together they are everything, once."""
    names = [*_secrets(aws, 9), "none"]
    proxy.page_size, proxy.empty_pages = page_size, empty
    client = connect("secretsmanager")  # of which botocore has no paginator for this
    listed = [client.batch_get_secret_value(SecretIdList=names)]
    while "NextToken" in listed[-1] and len(listed) < 10:
        listed.append(client.batch_get_secret_value(SecretIdList=names, NextToken=listed[-1]["NextToken"]))
    assert [secret["Name"] for page in listed for secret in page["SecretValues"]] == names[:-1]
    assert [error["SecretId"] for page in listed for error in page["Errors"]] == ["none"]
    assert len(listed) == pages
    assert "NextToken" not in listed[-1]


def test_a_token_is_for_its_own_request(
    aws: boto3.session.Session, proxy: FaultProxy, connect: Callable[..., Any]
) -> None:
    """Made up, or of another request: refused with the service's own code."""
    _parameters(aws, 3, folder="/shop")
    names = _secrets(aws, 3)
    proxy.page_size = 1
    ssm, secrets = connect("ssm"), connect("secretsmanager")
    ssm_token = ssm.get_parameters_by_path(Path="/shop")["NextToken"]
    token = secrets.batch_get_secret_value(SecretIdList=names)["NextToken"]
    for bad in ("made-up", "1", f"{ssm_token}0"):
        with pytest.raises(ClientError) as caught:
            ssm.get_parameters_by_path(Path="/shop", NextToken=bad)
        assert _code(caught) == (400, "InvalidNextToken")
    with pytest.raises(ClientError) as caught:
        ssm.get_parameters_by_path(Path="/", NextToken=ssm_token)
    assert _code(caught) == (400, "InvalidNextToken")
    with pytest.raises(ClientError) as caught:
        secrets.batch_get_secret_value(SecretIdList=names[:2], NextToken=token)
    assert _code(caught) == (400, "InvalidNextTokenException")


# Denials.


def test_a_denied_action(aws: boto3.session.Session, proxy: FaultProxy, connect: Callable[..., Any]) -> None:
    """The batch as a whole; single calls go on; allowed again, it goes on too."""
    names, client = _secrets(aws, 2), connect("secretsmanager")
    proxy.deny(action="secretsmanager:BatchGetSecretValue")
    with pytest.raises(ClientError, match=r"perform: secretsmanager:BatchGetSecretValue on resource: \* ") as caught:
        client.batch_get_secret_value(SecretIdList=names)
    assert _code(caught) == (400, "AccessDeniedException")
    assert client.get_secret_value(SecretId=names[0])["SecretString"] == names[0]
    proxy.allow()
    assert len(client.batch_get_secret_value(SecretIdList=names)["SecretValues"]) == 2


def test_a_denied_parameter(aws: boto3.session.Session, proxy: FaultProxy, connect: Callable[..., Any]) -> None:
    """Fails every GetParameters that asks for it too, whatever its version, and no listing of its path."""
    names, ssm = _parameters(aws, 3, folder="/shop"), connect("ssm")
    proxy.deny(action="ssm:GetParameter*", name="/shop/p0[1]")
    for call in (
        lambda: ssm.get_parameter(Name="/shop/p01"),
        lambda: ssm.get_parameter(Name="/shop/p01:1"),
        lambda: ssm.get_parameters(Names=names),
    ):
        with pytest.raises(ClientError, match=r"on resource: /shop/p01") as caught:
            call()
        assert _code(caught) == (400, "AccessDeniedException")
    assert len(ssm.get_parameters(Names=["/shop/p00", "/shop/p02"])["Parameters"]) == 2
    assert len(ssm.get_parameters_by_path(Path="/shop")["Parameters"]) == 3


def test_a_denied_secret(aws: boto3.session.Session, proxy: FaultProxy, connect: Callable[..., Any]) -> None:
    """With every action on it: an error of its own in a batch, beside that of a missing one; alone that of the call."""
    names, client = _secrets(aws, 3), connect("secretsmanager")
    proxy.deny(action="secretsmanager:*", name=names[1])
    answer = client.batch_get_secret_value(SecretIdList=[*names, "none"])
    assert [secret["Name"] for secret in answer["SecretValues"]] == [names[0], names[2]]
    assert {error["SecretId"]: error["ErrorCode"] for error in answer["Errors"]} == {
        names[1]: "AccessDeniedException",
        "none": "ResourceNotFoundException",
    }
    assert client.batch_get_secret_value(SecretIdList=[names[1]])["SecretValues"] == []
    with pytest.raises(ClientError) as caught:
        client.get_secret_value(SecretId=names[1])
    assert _code(caught) == (400, "AccessDeniedException")


# Faults.

_OWN = {
    "server_error": dict(
        zip(
            SERVICES,
            ("InternalServiceError", "InternalServerError", "KMSInternalException", "InternalServerError"),
            strict=True,
        )
    ),
    "not_found": dict(
        zip(
            SERVICES,
            ("ResourceNotFoundException", "ParameterNotFound", "NotFoundException", "ResourceNotFoundException"),
            strict=True,
        )
    ),
}
_CODES = {
    "throttling": (400, "ThrottlingException"),
    "throttled_429": (429, "TooManyRequestsException"),
    "kms_throttled": (400, "KMSThrottlingException"),
    "server_error": (500, ""),
    "unavailable": (503, "ServiceUnavailableException"),
    "access_denied": (400, "AccessDeniedException"),
    "not_found": (400, ""),
    "invalid_request": (400, "ValidationException"),
    "expired_token": (400, "ExpiredTokenException"),
    "invalid_signature": (400, "InvalidSignatureException"),
    "signature_expired": (400, "InvalidSignatureException"),
}
_RAISED = {
    "refused": raised.EndpointConnectionError,
    "reset": raised.ConnectionClosedError,
    "closed": raised.ConnectionClosedError,
    "garbage": raised.ConnectionClosedError,
    "silent": raised.ReadTimeoutError,
}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal(kind: str, service: str, proxy: FaultProxy, connect: Callable[..., Any]) -> None:
    """Status and code of the service; a code that the API's model names is the client's own exception class."""
    client = connect(service)
    proxy.fault(kind)
    with pytest.raises(ClientError) as caught:
        _read(service, client)
    status, code = _CODES[kind]
    code = code or _OWN[kind][service]
    assert _code(caught) == (status, code)
    if kind in _OWN:
        assert type(caught.value) is getattr(client.exceptions, code)
    assert [call.status for call in proxy.calls] == [status]


@pytest.mark.parametrize("kind", sorted(_RAISED))
@pytest.mark.parametrize("service", ["secretsmanager", "ssm"])
def test_a_break(
    kind: str, service: str, aws: boto3.session.Session, proxy: FaultProxy, connect: Callable[..., Any]
) -> None:
    """The exception that botocore has for it, on a kept-alive connection; healed, the next call is answered."""
    aws.client("secretsmanager").create_secret(Name="x", SecretString="1")
    aws.client("ssm").put_parameter(Name="x", Value="1", Type="String")
    client = connect(service, read_timeout_s=2.0 if kind == "silent" else 10.0)
    assert _read(service, client) == "1"
    proxy.fault(kind)
    with pytest.raises(_RAISED[kind]):
        _read(service, client)
    proxy.heal()
    assert _read(service, client) == "1"
    statuses = [call.status for call in proxy.calls]
    assert statuses == ([200, 200] if kind == "refused" else [200, None, 200])


def test_a_bad_gateway(proxy: FaultProxy, connect: Callable[..., Any]) -> None:
    """Status 502, without a code of the service."""
    proxy.fault("bad_gateway")
    with pytest.raises(ClientError) as caught:
        _read("ssm", connect("ssm"))
    assert _code(caught) == (502, "502")


@pytest.mark.parametrize("kind", ["reset", "closed"])
def test_a_reset_is_no_end(kind: str, proxy: FaultProxy) -> None:
    """RST is an error of the socket, FIN an end without a byte; botocore has one exception for both."""
    proxy.fault(kind)
    host, _, port = proxy.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        if kind == "reset":
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        else:
            assert connection.recv(1) == b""


@pytest.mark.parametrize("kind", ["partial", "not_json", "empty"])
@pytest.mark.parametrize("service", ["secretsmanager", "ssm"])
def test_a_success_that_is_none(
    kind: str, service: str, aws: boto3.session.Session, proxy: FaultProxy, connect: Callable[..., Any]
) -> None:
    """To botocore half an answer, HTML and nothing are each a success without a value: it checks no length."""
    aws.client("secretsmanager").create_secret(Name="x", SecretString="1")
    aws.client("ssm").put_parameter(Name="x", Value="1", Type="String")
    client = connect(service)
    proxy.fault(kind)
    with pytest.raises(KeyError):
        _read(service, client)
    proxy.heal()
    assert _read(service, client) == "1"
    assert [call.status for call in proxy.calls] == [200, 200]


def test_a_partial_body_is_shorter_than_it_says(aws: boto3.session.Session, proxy: FaultProxy) -> None:
    """Half of the true answer, then the end of the connection."""
    aws.client("secretsmanager").create_secret(Name="x", SecretString="1")
    proxy.fault("partial")
    with contextlib.closing(http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=10)) as connection:
        scope = "AKIDEXAMPLE/20260101/eu-west-1/secretsmanager/aws4_request"  # by which moto tells services apart
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "secretsmanager.GetSecretValue",
        }
        connection.request("POST", "/", b'{"SecretId": "x"}', headers)
        response = connection.getresponse()
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
    assert caught.value.partial.startswith(b'{"ARN"')
    assert caught.value.expected is not None
    assert abs(len(caught.value.partial) - caught.value.expected) <= 1


def test_slow(aws: boto3.session.Session, proxy: FaultProxy, connect: Callable[..., Any]) -> None:
    """The true answer, not before its time."""
    aws.client("ssm").put_parameter(Name="x", Value="1", Type="String")
    client = connect("ssm")
    proxy.fault("slow", seconds=0.3)
    started_s = time.monotonic()
    assert _read("ssm", client) == "1"
    assert time.monotonic() - started_s >= 0.3


def test_a_signature_error_quotes_the_session_token(
    proxy: FaultProxy, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the services do, so that a test can look for it in messages."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "planted-token")
    proxy.fault("invalid_signature")
    with pytest.raises(ClientError, match="planted-token"):
        _read("ssm", connect("ssm", session=boto3.session.Session()))


def test_every_kind_has_its_test() -> None:
    """No kind is only listed."""
    elsewhere = {"bad_gateway", "partial", "not_json", "empty", "slow"}
    assert {*_CODES, *_RAISED} | elsewhere == {*KINDS} == {*REFUSALS, *BREAKS}
    assert len(KINDS) == len({*KINDS})


def test_a_fault_is_for_whom_it_is_for(
    aws: boto3.session.Session, proxy: FaultProxy, connect: Callable[..., Any]
) -> None:
    """So many times, one operation, one name; others pass. The oldest comes first."""
    names, ssm = _parameters(aws, 2), connect("ssm")
    proxy.fault("throttling", times=1, operation="GetParameter")
    proxy.fault("access_denied", times=1, operation="GetParameter")
    proxy.fault("unavailable", name=names[1])
    assert len(ssm.get_parameters(Names=names[:1])["Parameters"]) == 1
    outcomes = []
    for name in (names[0], names[0], names[0], names[1], names[1]):
        try:
            outcomes.append(ssm.get_parameter(Name=name)["Parameter"]["Value"])
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
    unavailable = "ServiceUnavailableException"
    assert outcomes == ["ThrottlingException", "AccessDeniedException", names[0], unavailable, unavailable]
    with pytest.raises(ClientError, match=unavailable):
        ssm.get_parameters(Names=names)
    proxy.heal()
    assert len(ssm.get_parameters(Names=names)["Parameters"]) == 2


@pytest.mark.parametrize(("kind", "arguments"), [("typo", {}), ("refused", {"times": 1}), ("refused", {"name": "x"})])
def test_a_fault_that_cannot_be(kind: str, arguments: dict[str, Any], proxy: FaultProxy) -> None:
    """An unknown kind; a refused connection for one request."""
    with pytest.raises(ValueError, match=kind):
        proxy.fault(kind, **arguments)


def test_it_ends(moto_url: str, aws: boto3.session.Session) -> None:
    """At once, with a client waiting, and leaves no socket open and nobody listening."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with FaultProxy(moto_url) as proxy:
            proxy.fault("silent")
            config = Config(read_timeout=0.2, retries={"total_max_attempts": 1})
            client = boto3.session.Session().client("ssm", endpoint_url=proxy.url, config=config)
            with pytest.raises(raised.ReadTimeoutError):
                _read("ssm", client)
            started_s = time.monotonic()
        assert time.monotonic() - started_s < 2.0
        with pytest.raises(raised.EndpointConnectionError):
            _read("ssm", client)
        client.close()
