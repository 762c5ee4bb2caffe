"""Configuration and credentials of a laptop that are not right: one exception of lambdakit's, which says what to do."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import pickle
import traceback
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore import UNSIGNED
from botocore.config import Config

import lambdakit
from answering import Answering, aws_json
from lambdakit import AccessDeniedError, ConfigurationError, Environment
from lambdakit._clients import _resolve_credentials
from lambdakit._clients.problems import explain, is_of_credentials

SSO = (
    "[profile dev]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Dev\nregion = eu-west-1\n"
    "[sso-session corp]\nsso_start_url = https://corp.example/start\nsso_region = eu-west-1\n"
)
OLD_TOKEN = {"accessToken": "x", "expiresAt": "2020-01-01T00:00:00Z", "region": "eu-west-1"}


class Laptop:
    """A home with AWS's files."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.setenv = home, monkeypatch.setenv
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(home))
        (home / ".aws/sso/cache").mkdir(parents=True)
        self.config("[default]\n")

    def config(self, text: str | bytes) -> None:
        (self.home / ".aws/config").write_bytes(text if isinstance(text, bytes) else text.encode())

    def profile(self, lines: str) -> None:
        self.setenv("AWS_PROFILE", "dev")
        self.config(f"[profile dev]\n{lines}\n")

    def sso(self, token: dict[str, str] | None) -> None:
        self.setenv("AWS_PROFILE", "dev")
        self.config(SSO)
        if token is not None:
            path = self.home / ".aws/sso/cache" / f"{hashlib.sha1(b'corp', usedforsecurity=False).hexdigest()}.json"
            path.write_text(json.dumps(token))


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Laptop:
    return Laptop(tmp_path, monkeypatch)


# What is wrong, and what the message says of it.
CREDENTIALS: dict[str, tuple[Any, str]] = {
    "a profile that is not there": (
        lambda laptop: laptop.setenv("AWS_PROFILE", "nope"),
        r"ProfileNotFound: The config profile \(nope\) could not be found\)\. Correct AWS_PROFILE or unset it",
    ),
    "an empty profile": (lambda laptop: laptop.setenv("AWS_PROFILE", ""), "AWS_PROFILE is set and empty: unset it"),
    "half of a pair": (
        lambda laptop: laptop.setenv("AWS_ACCESS_KEY_ID", "planted"),
        "(PartialCredentialsError.* missing: AWS_SECRET_ACCESS_KEY|AWS_SECRET_ACCESS_KEY: it is not set)",
    ),
    "a source_profile that is not there": (
        lambda laptop: laptop.profile("role_arn = arn:aws:iam::123456789012:role/x\nsource_profile = base"),
        'InvalidConfigError.*"base".*Correct the profile',
    ),
    "a circle of profiles": (
        lambda laptop: laptop.config(
            "[default]\nrole_arn = r\nsource_profile = a\n[profile a]\nrole_arn = r\nsource_profile = b\n"
            "[profile b]\nrole_arn = r\nsource_profile = a\n"
        ),
        "InfiniteLoopConfigError.*leads back",
    ),
    "a process that fails": (
        lambda laptop: laptop.profile("credential_process = /bin/sh -c 'echo planted >&2; exit 1'"),
        r"\(CredentialRetrievalError\)\. Try what",
    ),
    "a process that is not there": (
        lambda laptop: laptop.profile("credential_process = /nowhere/at-all"),
        r"\(FileNotFoundError\)\. Check that",
    ),
    "a process that prints something else": (
        lambda laptop: laptop.profile("credential_process = /bin/echo planted"),
        r"\(JSONDecodeError\)\. The credential_process",
    ),
}
AT_A_REQUEST: dict[str, tuple[Any, str]] = {
    "an SSO login that has expired": (lambda laptop: laptop.sso(OLD_TOKEN), "Log in: aws sso login --profile dev"),
    "no SSO login": (lambda laptop: laptop.sso(None), "Log in: aws sso login --profile dev"),
    "no credentials": (lambda laptop: None, "NoCredentialsError.*Give the function a role"),
    "the other half of a pair": (
        lambda laptop: laptop.setenv("AWS_SECRET_ACCESS_KEY", "planted"),
        "NoCredentialsError.*Give the function a role",
    ),
    "a token file that is not there": (
        lambda laptop: [
            laptop.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x"),
            laptop.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"),
        ],
        r"\(FileNotFoundError\)\. Check that",
    ),
}
CONFIGURATION: dict[str, tuple[Any, str]] = {
    "a file that is none": (lambda laptop: laptop.config("[default\nregion="), "ConfigParseError.*Correct the file"),
    "a file in UTF-16": (lambda laptop: laptop.config("[default]".encode("utf-16")), "ConfigParseError.*the file"),
    "a misspelt retry mode": (
        lambda laptop: laptop.setenv("AWS_RETRY_MODE", "standrad"),
        r'InvalidRetryModeError.*"standrad".*Correct AWS_RETRY_MODE',
    ),
    "no attempts": (lambda laptop: laptop.setenv("AWS_MAX_ATTEMPTS", "0"), "Correct AWS_MAX_ATTEMPTS"),
    "attempts that are no number": (lambda laptop: laptop.setenv("AWS_MAX_ATTEMPTS", "x"), "invalid literal for int"),
    "a misspelt mode of defaults": (lambda laptop: laptop.setenv("AWS_DEFAULTS_MODE", "x"), "Correct AWS_DEFAULTS"),
    "a misspelt option that is rare": (
        lambda laptop: laptop.setenv("AWS_STS_REGIONAL_ENDPOINTS", "x"),
        r"configured wrongly \(InvalidSTSRegionalEndpointsConfigError\)\. The exception behind this one says why",
    ),
}


def wrong(laptop: Laptop, told: tuple[Any, str]) -> str:
    prepare, said = told
    prepare(laptop)
    return said


@pytest.mark.parametrize("told", [*CREDENTIALS.values(), *AT_A_REQUEST.values()], ids=[*CREDENTIALS, *AT_A_REQUEST])
def test_a_value_cannot_be_fetched_with_such_credentials(told: tuple[Any, str], laptop: Laptop) -> None:
    """AccessDeniedError, by every backend that has the SDK behind it; of direct, where it can be told."""
    said = wrong(laptop, told)
    for backend in ("sdk", "auto"):
        env = Environment(backend=backend)
        with lambdakit.use_environment(env):
            with pytest.raises(AccessDeniedError, match=said) as caught:
                lambdakit.get_secret("x")
            assert (caught.value.service, caught.value.name) == ("secretsmanager", "x")
            with pytest.raises(AccessDeniedError, match=said):
                lambdakit.get_parameter("x")
        env.close()
    shown = "".join(traceback.format_exception(caught.value, chain=False)) + repr(caught.value.__cause__)
    assert "planted" not in shown.replace("custom-process: planted", "")  # the SDK's own cause has it


@pytest.mark.parametrize("told", CREDENTIALS.values(), ids=CREDENTIALS)
@pytest.mark.parametrize("make", [lambdakit.client, lambdakit.resource])
def test_no_client_is_made_with_such_credentials(told: tuple[Any, str], make: Any, laptop: Laptop) -> None:
    """ConfigurationError where it is made; once the files are right it is made, in the same environment."""
    said = wrong(laptop, told)
    with pytest.raises(ConfigurationError, match=said.replace("|AWS_SECRET_ACCESS_KEY: it is not set", "")):
        make("dynamodb")


@pytest.mark.parametrize("told", AT_A_REQUEST.values(), ids=AT_A_REQUEST)
def test_what_a_request_finds_out_prime_finds_before(told: tuple[Any, str], laptop: Laptop) -> None:
    """AccessDeniedError; the request itself raises what a boto3 client raises, which is lambdakit's exception too."""
    said = wrong(laptop, told)
    client = lambdakit.client("secretsmanager")
    with pytest.raises(AccessDeniedError, match=said):
        lambdakit.prime(client)
    with pytest.raises((botocore.exceptions.BotoCoreError, OSError), match=said) as caught:
        client.get_secret_value(SecretId="x")
    error = caught.value
    assert isinstance(error, AccessDeniedError)
    assert (error.service, error.operation, error.retryable) == ("secretsmanager", "GetSecretValue", False)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own
    assert (type(copy), str(copy)) == (AccessDeniedError, str(error))
    plain = boto3.session.Session().client("secretsmanager")
    with pytest.raises(type(error.__cause__)) as boto:
        plain.get_secret_value(SecretId="x")
    assert isinstance(error, type(boto.value))
    assert {*vars(boto.value)} <= {*vars(error)}


@pytest.mark.parametrize("told", CONFIGURATION.values(), ids=CONFIGURATION)
def test_a_configuration_that_is_wrong(told: tuple[Any, str], laptop: Laptop) -> None:
    """ConfigurationError, of values and of clients."""
    laptop.setenv("AWS_ACCESS_KEY_ID", "a")
    laptop.setenv("AWS_SECRET_ACCESS_KEY", "b")
    said = wrong(laptop, told)
    with lambdakit.use_environment(Environment(backend="sdk")):
        for get in (lambdakit.get_secret, lambdakit.client, lambdakit.resource):
            with pytest.raises(ConfigurationError, match=said):
                get("dynamodb")


def test_what_was_wrong_is_read_again(laptop: Laptop) -> None:
    """Nothing of a failure is kept: who corrects the file goes on in the same process, such as a notebook."""
    laptop.config("[default\n")
    with pytest.raises(ConfigurationError):
        lambdakit.client("dynamodb")
    laptop.config("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    assert lambdakit.client("dynamodb").meta.region_name == "eu-west-1"
    with pytest.raises(ConfigurationError, match=r"service='dynamodbb'"):
        lambdakit.client("dynamodbb")


def test_credentials_that_have_expired_when_they_come(laptop: Laptop) -> None:
    """botocore's RuntimeError."""
    expired = {
        "Version": 1,
        "AccessKeyId": "a",
        "SecretAccessKey": "b",
        "SessionToken": "c",
        "Expiration": "2020-01-01T00:00:00Z",
    }
    (laptop.home / "expired.json").write_text(json.dumps(expired))
    laptop.profile(f"credential_process = /bin/cat {laptop.home}/expired.json")
    env = Environment(backend="sdk")
    with lambdakit.use_environment(env), pytest.raises(AccessDeniedError, match="What came had expired"):
        lambdakit.get_secret("x")
    env.close()


def test_a_process_that_goes_wrong_later(laptop: Laptop) -> None:
    """When credentials are renewed: a ValueError, without what the process has printed."""
    script = laptop.home / "process"
    script.write_text("#!/bin/sh\ncat $0.json\n")
    script.chmod(0o755)
    soon = {"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "c"}
    expires_at = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)).isoformat()
    (laptop.home / "process.json").write_text(json.dumps(soon | {"Expiration": expires_at}))
    laptop.profile(f"credential_process = {script}")
    client = lambdakit.client("secretsmanager")
    (laptop.home / "process.json").write_text("planted")
    with pytest.raises(ValueError, match="The credential_process of the profile has to print") as caught:
        client.get_secret_value(SecretId="x")
    assert isinstance(caught.value, AccessDeniedError)
    assert "planted" not in str(vars(caught.value)) + str(caught.value.__cause__)


def test_what_is_not_signed_needs_no_credentials(laptop: Laptop) -> None:
    """Nor are they looked for."""
    with Answering(aws_json(200, {"SecretString": "1"})) as server:
        client = lambdakit.client("secretsmanager", endpoint_url=server.url, config=Config(signature_version=UNSIGNED))
        assert client.get_secret_value(SecretId="x")["SecretString"] == "1"


def test_an_error_that_says_nothing_of_credentials_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is: of a signer of one's own, or a network that does not answer."""

    class Odd:
        _credentials = property(lambda self: 1 // 0)

    for signer, error in ((Odd(), ZeroDivisionError), (object(), None)):
        context: Any = contextlib.nullcontext() if error is None else pytest.raises(error)
        with context:
            _resolve_credentials(request_signer=signer, signature_version="v4", operation_name="GetItem")


def test_words_for_what_is_not_known() -> None:
    """A newer SDK's exceptions have a name at least."""

    class LoginRefreshRequired(botocore.exceptions.BotoCoreError):
        """Not one of those that have advice."""

    class LoginError(botocore.exceptions.BotoCoreError):
        """Of newer versions."""

    assert not is_of_credentials(LoginRefreshRequired())
    assert explain(LoginRefreshRequired(), {}) == ("(LoginRefreshRequired). The exception behind this one says why.")
    assert explain(LoginError(), {}) == "(LoginError). Log in: aws login"
    assert explain(LoginError(), {"AWS_PROFILE": "dev"}) == "(LoginError). Log in: aws login --profile dev"
