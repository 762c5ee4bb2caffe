"""The backend `sdk` against moto's server over HTTP."""

import io
import socket
import traceback
from collections.abc import Callable
from typing import Any

import boto3
import botocore.client
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from running import invocation

import lambdakit
from answering import Answering, aws_json
from choosing import backend_of
from lambdakit import AccessDeniedError, Environment, FetchError, NetworkError, NotFoundError, ServiceError
from lambdakit.testing import FakeContext


@pytest.fixture(autouse=True)
def sdk() -> Any:
    """The environment of the test, with this backend whatever the settings would choose."""
    sdk = Environment(backend="sdk")
    with lambdakit.use_environment(sdk):
        yield sdk
    sdk.close()


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
    with Answering(aws_json(status, {"__type": code, "message": "said planted-token"})) as server:
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
    with (
        invocation(FakeContext(remaining_s=0.2)),
        pytest.raises(lambdakit.DeadlineExceededError),
    ):
        lambdakit.get_secret("x")
    assert lambdakit.get_secret("x") == "1"


# -- a test in the place of botocore


@pytest.mark.parametrize("answer", [{}, {"ResponseMetadata": None}, {"ResponseMetadata": {"HTTPStatusCode": 200}}])
def test_an_answer_that_a_test_has_made_up_needs_no_metadata(
    answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What botocore adds, and what the service does beside the value, is not asked for."""
    batch = [{"Name": name, "SecretString": name} for name in ("t", "u")]
    members = answer | {"SecretString": "v", "SecretValues": batch}
    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", lambda *_: members)
    assert lambdakit.get_secret("s") == "v"
    assert lambdakit.get_secrets(["t", "u"]) == {"t": "t", "u": "u"}


@pytest.mark.parametrize("body", [b"v", StreamingBody(io.BytesIO(b"v"), 1)])
def test_a_body_that_a_test_has_made_up_may_be_bytes(
    body: Any, sdk: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what the test holds stays as it is."""
    answer = {"Configuration": body, "NextPollConfigurationToken": "t", "NextPollIntervalInSeconds": 60}
    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", lambda *_: answer)
    assert backend_of(sdk).get_latest_configuration("t", name="n", region=None)[0] == b"v"
    assert answer["Configuration"] is body


@pytest.mark.parametrize("answer", [None, "v", [], {"SecretBinary": None}])
def test_what_is_no_answer_is_the_services_error(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as what a mock returns that was told nothing."""
    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", lambda *_: answer)
    with pytest.raises(ServiceError, match="the answer is not one of this service's"):
        lambdakit.get_secret("s")


def test_an_error_that_a_test_has_made_up_needs_no_more_than_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is of the kind that the code is."""

    def refuse(*_: Any) -> None:
        raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetSecretValue")  # type: ignore[typeddict-item] # as tests do

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", refuse)
    with pytest.raises(NotFoundError):
        lambdakit.get_secret("s")
