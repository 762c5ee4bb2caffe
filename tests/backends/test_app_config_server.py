"""The server that stands for AppConfig, driven by boto3: what our tests lean on is what a real client sees."""

import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from app_config import AppConfig

IDENTIFIERS = {
    "ApplicationIdentifier": "app",
    "EnvironmentIdentifier": "prod",
    "ConfigurationProfileIdentifier": "flags",
}


class Now:
    """The server's clock, moved by hand."""

    s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def now() -> Now:
    """A clock that stands still."""
    return Now()


@pytest.fixture
def server(now: Now) -> Iterator[AppConfig]:
    """One configuration, deployed."""
    with AppConfig(clock=now) as server:
        server.put("app/prod/flags", '{"a": 1}', label="v1")
        yield server


@pytest.fixture
def client(server: AppConfig) -> Any:
    """A real client that does not retry."""
    return boto3.client("appconfigdata", endpoint_url=server.url, config=Config(retries={"total_max_attempts": 1}))


def start(client: Any, **changes: Any) -> str:
    return str(client.start_configuration_session(**IDENTIFIERS | changes)["InitialConfigurationToken"])


def poll(client: Any, token: str) -> tuple[bytes, str | None, str, int]:
    answer = client.get_latest_configuration(ConfigurationToken=token)
    return (
        answer["Configuration"].read(),
        answer.get("VersionLabel"),
        answer["NextPollConfigurationToken"],
        answer["NextPollIntervalInSeconds"],
    )


def test_a_configuration_is_told_once(client: Any, server: AppConfig, now: Now) -> None:
    """The body at first, nothing while it is the same, the new one after a deployment."""
    body, label, token, interval_s = poll(client, start(client))
    assert (body, label, interval_s) == (b'{"a": 1}', "v1", 60)
    now.s += 60
    body, label, token, _ = poll(client, token)
    assert (body, label) == (b"", None)
    server.put("app/prod/flags", b"\x00new")
    now.s += 60
    assert poll(client, token)[:2] == (b"\x00new", None)


def refused(client: Any, token: str) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        poll(client, token)
    response: Any = caught.value.response
    return response["Error"]["Code"], response["Details"]["InvalidParameters"]["ConfigurationToken"]["Problem"]


def test_a_token_serves_once(client: Any, now: Now) -> None:
    """Also a token that was never given is refused."""
    token = start(client)
    poll(client, token)
    now.s += 60
    assert refused(client, token) == ("BadRequestException", "Corrupted")
    assert refused(client, "made up") == ("BadRequestException", "Corrupted")


def test_the_interval_is_kept(client: Any, now: Now) -> None:
    """A poll too early is refused, and the token is good afterwards; the first poll needs no wait."""
    token = poll(client, start(client))[2]
    now.s += 59
    assert refused(client, token) == ("BadRequestException", "PollIntervalNotSatisfied")
    now.s += 1
    assert poll(client, token)[0] == b""


def test_a_session_may_ask_for_a_longer_interval(client: Any) -> None:
    """Of 15 seconds to a day."""
    assert poll(client, start(client, RequiredMinimumPollIntervalInSeconds=90))[3] == 90
    with pytest.raises(ClientError, match="BadRequestException"):
        start(client, RequiredMinimumPollIntervalInSeconds=86_400 + 1)


def test_two_sessions_are_told_each_its_own(client: Any, server: AppConfig) -> None:
    """Of two configurations, and of one."""
    server.put("app/prod/other", "other")
    sessions = [start(client), start(client), start(client, ConfigurationProfileIdentifier="other")]
    assert [poll(client, token)[0] for token in sessions] == [b'{"a": 1}', b'{"a": 1}', b"other"]


def test_what_was_never_deployed(client: Any) -> None:
    """ResourceNotFoundException, at the start."""
    with pytest.raises(ClientError) as caught:
        start(client, EnvironmentIdentifier="dev")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_faults_go_before_answers(client: Any, server: AppConfig) -> None:
    """A refusal leaves the token good; a lost answer has used it up."""
    token = start(client)
    server.faults = [(500, "InternalServerException"), None]
    with pytest.raises(ClientError, match="InternalServerException"):
        poll(client, token)
    with pytest.raises(Exception, match="Connection was closed"):
        poll(client, token)
    assert refused(client, token) == ("BadRequestException", "Corrupted")
    assert server.requests == ["StartConfigurationSession"] + ["GetLatestConfiguration"] * 3


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "status"),
    [
        ("GET", "/configuration?configuration_token=x", {}, None, 403),
        (
            "GET",
            "/configuration?configuration_token=x&more=1",
            {"Authorization": "x/appconfig/aws4_request,"},
            None,
            404,
        ),
        ("GET", "/other", {"Authorization": "x/appconfig/aws4_request,"}, None, 404),
        ("POST", "/configurationsessions", {"Authorization": "x/appconfig/aws4_request,"}, b"{}", 404),
        (
            "POST",
            "/configurationsessions",
            {"Authorization": "x/appconfig/aws4_request,", "Content-Type": "application/json"},
            b'{"ApplicationIdentifier": "app"}',
            400,
        ),
    ],
)
def test_what_no_client_sends_is_refused(
    method: str, target: str, headers: dict[str, str], body: bytes | None, status: int, server: AppConfig
) -> None:
    """Unsigned, of another shape, of another media type, or without what is required."""
    request = urllib.request.Request(f"{server.url}{target}", body, headers, method=method)  # noqa: S310 - loopback
    with pytest.raises(HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)  # noqa: S310 - the same
    assert caught.value.code == status
    caught.value.close()
