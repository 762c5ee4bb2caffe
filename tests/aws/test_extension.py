"""The backend `extension`: when it is asked, and what its answers become."""

import socket
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

import lambdakit
from answering import Answering, RunningContext, aws_json
from extension import Extension
from lambdakit import Environment
from lambdakit.backends.extension import _selected
from lambdakit.testing import FakeContext


@pytest.fixture
def server(aws: boto3.session.Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Extension]:
    """The extension in front of moto, with one secret and one parameter behind it."""
    aws.client("secretsmanager").create_secret(Name="x", SecretString="1")
    aws.client("ssm").put_parameter(Name="/x", Value="1", Type="String")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-token")
    with Extension(aws, token="session-token") as server:
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(server.port))
        yield server


@pytest.fixture
def env() -> Iterator[Environment]:
    """An environment that asks the extension."""
    env = Environment(backend="extension")
    with lambdakit.use_environment(env):
        yield env
    env.close()


def test_it_is_asked_in_invocations_only(env: Environment, server: Extension) -> None:
    """Nothing waits for it during INIT, when it does not answer."""
    assert lambdakit.get_secret("x", ttl=0) == "1"
    assert server.asked == 0
    env.begin(FakeContext())
    assert lambdakit.get_secret("x", ttl=0) == "1"
    assert server.asked == 1


def test_while_it_is_not_ready_another_backend_answers(env: Environment, server: Extension) -> None:
    """A 400 that says so; asked again the next time."""
    server.ready = False
    env.begin(FakeContext())
    assert lambdakit.get_parameter("/x", ttl=0) == "1"
    assert (server.asked, server.answered) == (1, 0)
    server.ready = True
    assert lambdakit.get_parameter("/x", ttl=0) == "1"
    assert (server.asked, server.answered) == (2, 1)


def test_its_absence_is_remembered(env: Environment, server: Extension, monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt in the life of the environment, and the repr says so."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(port))
    env.begin(FakeContext())
    assert lambdakit.get_secret("x", ttl=0) == "1"
    assert "backend=direct (no extension answers)" in repr(env)
    monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(server.port))
    assert lambdakit.get_secret("x", ttl=0) == "1"
    assert server.asked == 0
    env.close()
    assert lambdakit.get_secret("x", ttl=0) == "1"
    assert server.asked == 1


def test_another_region_is_not_its_business(env: Environment, server: Extension, aws: boto3.session.Session) -> None:
    """It knows the function's own only."""
    aws.client("secretsmanager", region_name="us-east-1").create_secret(Name="x", SecretString="virginia")
    env.begin(FakeContext())
    assert lambdakit.get_secret("x", region="us-east-1") == "virginia"
    assert server.asked == 0
    assert lambdakit.get_secret("x", region="eu-west-1") == "1"
    assert server.asked == 1


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (aws_json(403, b"planted bad token"), lambdakit.FetchError, None),
        (
            aws_json(400, b"operation error: AccessDeniedException: planted"),
            lambdakit.AccessDeniedError,
            "AccessDeniedException",
        ),
        (aws_json(429, b"too many connections"), lambdakit.ThrottledError, None),
        (aws_json(502, b"upstream"), lambdakit.ServiceError, None),
        (aws_json(200, b"planted, not JSON"), lambdakit.ServiceError, None),
        (aws_json(200, {"Other": "planted"}), lambdakit.ServiceError, None),
        (None, lambdakit.NetworkError, None),
    ],
)
def test_each_answer_becomes_its_exception(
    answer: bytes | None,
    kind: type[lambdakit.FetchError],
    code: str | None,
    env: Environment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing that it says is repeated: it may be anything."""
    with Answering(answer) as server:
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", server.url.rpartition(":")[2])
        env.begin(FakeContext())
        with pytest.raises(lambdakit.FetchError) as caught:
            lambdakit.get_secret("x")
        assert (type(caught.value), caught.value.code) == (kind, code)
        assert "planted" not in str(caught.value)


def test_silence_ends_with_the_budget(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """DeadlineExceededError."""
    with Answering(...) as server:
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", server.url.rpartition(":")[2])
        env.begin(RunningContext(remaining_s=0.3))  # of which 0.05 may be used
        with pytest.raises(lambdakit.DeadlineExceededError):
            lambdakit.get_secret("x")


def test_a_malformed_port_is_the_default(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """As everywhere: a bad variable does not break a function."""
    monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "http")
    backend: Any = env.backend()
    assert backend._port() == 2773


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("flag", [("name", "flag")]),
        ("/a/b", [("name", "/a/b")]),
        ("/a/b:3", [("name", "/a/b"), ("version", "3")]),
        ("flag:prod", [("name", "flag"), ("label", "prod")]),
        ("arn:aws:ssm:eu-west-1:1:parameter/a/b", [("name", "arn:aws:ssm:eu-west-1:1:parameter/a/b")]),
        ("arn:aws:ssm:eu-west-1:1:parameter/b:7", [("name", "arn:aws:ssm:eu-west-1:1:parameter/b"), ("version", "7")]),
    ],
)
def test_a_version_or_label_behind_the_name(name: str, query: list[tuple[str, str]]) -> None:
    """Behind the last slash only: an ARN has colons of its own."""
    assert _selected(name) == query
