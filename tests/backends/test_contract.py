"""What every backend does, against a real server: moto over HTTP, or the extension in front of it."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from running import invocation

import lambdakit
from choosing import backend_of
from extension import Extension
from lambdakit import Environment, NotFoundError
from lambdakit.testing import FakeContext


@pytest.fixture(params=["direct", "sdk", "extension", "auto"], autouse=True)
def backend(
    request: pytest.FixtureRequest, aws: boto3.session.Session, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Each in turn, in an invocation with time enough."""
    with Extension(aws, token="session-token") as extension:
        monkeypatch.setenv("AWS_SESSION_TOKEN", "session-token")
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(extension.port))
        env = Environment(backend=request.param)
        with (
            lambdakit.use_environment(env),
            invocation(FakeContext(remaining_s=30.0)),
        ):
            yield backend_of(env)
            assert (extension.answered > 0) is (request.param == "extension")
        env.close()


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


def test_versions_are_told(aws: boto3.session.Session, backend: Any) -> None:
    """The version id of a secret, the number of a parameter, as text."""
    version = aws.client("secretsmanager").create_secret(Name="x", SecretString="1")["VersionId"]
    aws.client("ssm").put_parameter(Name="/x", Value="1", Type="String")
    assert backend.get_secret("x", region=None, version_id=None, version_stage=None) == ("1", version)
    assert backend.get_parameter("/x", region=None, decrypt=True) == ("1", "1")


@pytest.mark.parametrize("get", [lambdakit.get_secret, lambdakit.get_parameter])
def test_what_is_missing(get: Callable[[str], Any]) -> None:
    """NotFoundError with the service's code, whichever way it came."""
    with pytest.raises(NotFoundError, match="'missing' in eu-west-1") as caught:
        get("missing")
    error = caught.value
    assert error.code in {"ResourceNotFoundException", "ParameterNotFound"}
    assert (error.name, error.region, error.retryable) == ("missing", "eu-west-1", False)


@pytest.mark.parametrize("name", ["/with space/ü", "/percent%2Fsign", "/plus+and&and=equals?", "/a:1"])
def test_odd_names_arrive_as_they_are(name: str, aws: boto3.session.Session) -> None:
    """Nothing is lost between JSON, query strings and percent-encoding."""
    if ":" in name:
        aws.client("ssm").put_parameter(Name=name.partition(":")[0], Value="1", Type="String")
        assert lambdakit.get_parameter(name) == "1"
        return
    aws.client("secretsmanager").create_secret(Name=name, SecretString=name)
    assert lambdakit.get_secret(name) == name


def test_long_values(aws: boto3.session.Session) -> None:
    """64 KB, the most that a secret may hold, and not ASCII."""
    value = "ü" * 32_000
    aws.client("secretsmanager").create_secret(Name="long", SecretString=value)
    assert lambdakit.get_secret("long") == value


def test_an_encrypted_variable(aws: boto3.session.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decrypted with the context that Lambda's console uses, with another, with none; once for each."""
    kms = aws.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    contexts: list[tuple[dict[str, str], dict[str, str] | None]] = [
        ({}, {}),
        ({"a": "b"}, {"a": "b"}),
        ({"LambdaFunctionName": "orders"}, None),
    ]
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders")
    env = Environment(backend=backend_of(lambdakit.environment()))
    with lambdakit.use_environment(env):
        for context, given in contexts:
            blob = kms.encrypt(KeyId=key, Plaintext=b"hidden", EncryptionContext=context)["CiphertextBlob"]
            monkeypatch.setenv("DB_PASSWORD", base64.b64encode(blob).decode())
            assert lambdakit.decrypt_env("DB_PASSWORD", context=given) == "hidden"
            if given is not None:
                with pytest.raises(lambdakit.FetchError):
                    lambdakit.decrypt_env("DB_PASSWORD", context={"another": "context"})
    aws.client("ssm").put_parameter(Name="/last", Value=json.dumps({}), Type="String")
    assert lambdakit.get_parameter("/last") == "{}"  # so that every backend has answered something here


def test_an_arn_is_asked_for_in_its_region(aws: boto3.session.Session) -> None:
    """Alone and in a batch with others; a whole ARN, a partial one, a parameter's."""
    aws.client("secretsmanager").create_secret(Name="x", SecretString="ireland")
    away = aws.client("secretsmanager", region_name="us-west-2").create_secret(Name="x", SecretString="oregon")["ARN"]
    ssm = aws.client("ssm", region_name="us-west-2")
    ssm.put_parameter(Name="/x", Value="oregon", Type="String")
    parameter = ssm.get_parameter(Name="/x")["Parameter"]["ARN"]
    assert lambdakit.get_secret(away) == "oregon"
    assert lambdakit.get_parameter(parameter) == "oregon"
    lambdakit.clear()
    assert lambdakit.get_secrets(["x", away]) == {"x": "ireland", away: "oregon"}
