"""The backend `sdk` against moto's server over HTTP."""

import json
import socket
import threading
import traceback
from collections.abc import Callable
from typing import Any, Self

import boto3
import pytest

import lambdakit
from lambdakit import AccessDeniedError, Environment, FetchError, NetworkError, NotFoundError, ServiceError
from lambdakit.backends.sdk import SdkBackend
from lambdakit.testing import FakeContext


@pytest.fixture(autouse=True)
def sdk(env: Environment) -> Any:
    """The environment of the test, with this backend whatever the settings would choose."""
    sdk = Environment()
    sdk = Environment(backend=SdkBackend(sdk.clients))
    with lambdakit.use_environment(sdk):
        yield sdk
    sdk.close()


def test_a_secret(aws: boto3.session.Session) -> None:
    """Its text, the version asked for, the stage asked for."""
    client = aws.client("secretsmanager")
    first = client.create_secret(Name="prod/db", SecretString="one")["VersionId"]
    client.put_secret_value(SecretId="prod/db", SecretString="two")
    assert lambdakit.get_secret("prod/db") == "two"
    assert lambdakit.get_secret("prod/db", version_stage="AWSPREVIOUS") == "one"
    assert lambdakit.get_secret("prod/db", version_id=first) == "one"


def test_a_binary_secret(aws: boto3.session.Session) -> None:
    """Bytes as they were stored."""
    aws.client("secretsmanager").create_secret(Name="blob", SecretBinary=b"\x00\xff")
    assert lambdakit.get_secret("blob") == b"\x00\xff"


def test_an_empty_text_is_a_value(aws: boto3.session.Session) -> None:
    """Not taken for a binary secret."""
    client = aws.client("ssm")
    client.put_parameter(Name="/blank", Value=" ", Type="String")
    assert lambdakit.get_parameter("/blank") == " "


def test_a_parameter(aws: boto3.session.Session) -> None:
    """Text, decrypted by default, a version in the name."""
    client = aws.client("ssm")
    client.put_parameter(Name="/flags", Value="a", Type="String")
    client.put_parameter(Name="/flags", Value="b", Type="String", Overwrite=True)
    client.put_parameter(Name="/key", Value="hidden", Type="SecureString")
    assert lambdakit.get_parameter("/flags") == "b"
    assert lambdakit.get_parameter("/flags:1") == "a"
    assert lambdakit.get_parameter("/key", decrypt=False) != "hidden"
    assert lambdakit.get_parameter("/key") == "hidden"


def test_another_region(aws: boto3.session.Session) -> None:
    """A value of one region is not that of another."""
    aws.client("secretsmanager").create_secret(Name="x", SecretString="ireland")
    aws.client("secretsmanager", region_name="us-east-1").create_secret(Name="x", SecretString="virginia")
    assert lambdakit.get_secret("x", region="us-east-1") == "virginia"
    assert lambdakit.get_secret("x") == "ireland"


def test_versions_are_told(aws: boto3.session.Session) -> None:
    """The version id of a secret, the number of a parameter, as text."""
    version = aws.client("secretsmanager").create_secret(Name="x", SecretString="1")["VersionId"]
    aws.client("ssm").put_parameter(Name="/x", Value="1", Type="String")
    backend = SdkBackend(lambdakit.environment().clients)
    assert backend.get_secret("x", region=None, version_id=None, version_stage=None) == ("1", version)
    assert backend.get_parameter("/x", region=None, decrypt=True) == ("1", "1")


@pytest.mark.parametrize("get", [lambdakit.get_secret, lambdakit.get_parameter])
def test_what_is_missing(get: Callable[[str], Any], aws: boto3.session.Session) -> None:
    """NotFoundError with the service's code behind it; not cached."""
    with pytest.raises(NotFoundError, match="'missing' in eu-west-1") as caught:
        get("missing")
    error = caught.value
    assert (error.name, error.region, error.retryable) == ("missing", "eu-west-1", False)
    assert error.status in {400, 404}  # AWS says 400, moto 404
    assert error.code in {"ResourceNotFoundException", "ParameterNotFound"}
    assert error.request_id
    assert error.__cause__ is not None


class Answering:
    """A server that gives the same answer to everything, for what moto cannot be made to say."""

    def __init__(self, status: int, body: Any) -> None:
        payload = json.dumps(body).encode()
        self._answer = (
            f"HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\nx-amzn-RequestId: r-1\r\n"
            f"Content-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
        ).encode() + payload
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.requests = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                self.requests += 1
                connection.sendall(self._answer)


@pytest.mark.parametrize(
    ("status", "code", "kind", "requests"),
    [
        (400, "AccessDeniedException", AccessDeniedError, 1),
        (400, "InvalidSignatureException", AccessDeniedError, 1),
        (400, "InvalidRequestException", FetchError, 1),
        (400, "ThrottlingException", lambdakit.ThrottledError, 3),
        (500, "InternalServiceError", ServiceError, 3),
    ],
)
def test_each_answer_becomes_its_exception(
    status: int, code: str, kind: type[FetchError], requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After as many attempts as the retry mode makes; a signature error does not quote the request."""
    with Answering(status, {"__type": code, "message": "said planted-token"}) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(FetchError) as caught:
            lambdakit.get_secret("x")
    error = caught.value
    assert type(error) is kind
    assert (error.code, error.status, error.request_id, server.requests) == (code, status, "r-1", requests)
    quoted = "planted-token" in "".join(traceback.format_exception(error))
    assert quoted is (code != "InvalidSignatureException")


def test_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: NetworkError, retryable, without a code."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(NetworkError, match="no answer came") as caught:
        lambdakit.get_parameter("/x")
    assert (caught.value.code, caught.value.status, caught.value.retryable) == (None, None, True)


def test_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """AccessDeniedError that says what to do."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AccessDeniedError, match="Give the function a role"):
        lambdakit.get_secret("x")


def test_what_the_sdk_does_not_send(aws: boto3.session.Session) -> None:
    """botocore's own checks: FetchError with its reason behind it."""
    with pytest.raises(FetchError, match="ParamValidationError") as caught:
        lambdakit.get_secret("x", version_id="too short")
    assert type(caught.value) is FetchError
    assert caught.value.__cause__ is not None


def test_within_the_deadline_margin_nothing_is_sent(aws: boto3.session.Session, sdk: Environment) -> None:
    """DeadlineExceededError; with time, it is fetched."""
    aws.client("secretsmanager").create_secret(Name="x", SecretString="1")
    invocation = sdk.begin(FakeContext(remaining_s=0.2))
    with pytest.raises(lambdakit.DeadlineExceededError):
        lambdakit.get_secret("x")
    sdk.end(invocation)
    assert lambdakit.get_secret("x") == "1"
