"""The backend `extension`: when it is asked, and what its answers become."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest
from running import RunningClock, RunningContext, invocation

import lambdakit
from answering import Answering, aws_json
from choosing import backend_of
from extension import Extension
from http_server import keeping, response
from lambdakit import Environment


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


def test_it_is_asked_in_invocations_only(server: Extension) -> None:
    """Nothing waits for it during INIT, when it does not answer."""
    assert lambdakit.get_secret("x", ttl=0) == "1"
    assert server.asked == 0
    with invocation():
        assert lambdakit.get_secret("x", ttl=0) == "1"
        assert server.asked == 1


def test_while_it_is_not_ready_another_backend_answers(server: Extension) -> None:
    """A 400 that says so; asked again the next time."""
    server.ready = False
    with invocation():
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
    with invocation():
        assert lambdakit.get_secret("x", ttl=0) == "1"
        assert "backend=direct (no extension answers)" in repr(env)
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(server.port))
        assert lambdakit.get_secret("x", ttl=0) == "1"
        assert server.asked == 0
        env.close()
        assert lambdakit.get_secret("x", ttl=0) == "1"
        assert server.asked == 1


@pytest.fixture
def busy(server: Extension, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Something listens on its port, and has no time for another connection."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # as many as wait for it on Linux, and more
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(listening.getsockname()[1]))
        yield


@pytest.mark.usefixtures("busy")
def test_an_invocation_without_time_says_nothing_of_it(
    env: Environment, server: Extension, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DeadlineExceededError; it is asked in the next one, however many there were."""
    for _ in range(3):
        with invocation(RunningContext(remaining_s=0.27)), pytest.raises(lambdakit.DeadlineExceededError):
            lambdakit.get_secret("x")
    assert "no extension answers" not in repr(env)
    monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(server.port))
    with invocation():
        assert lambdakit.get_secret("x") == "1"
    assert server.asked == 1


@pytest.mark.usefixtures("busy")
def test_one_that_is_busy_is_asked_again_after_a_while(server: Extension, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other backend answers meanwhile, without another second of waiting for each value."""
    clock = RunningClock()
    env = Environment(backend="extension", clock=clock)
    with lambdakit.use_environment(env), invocation():
        assert lambdakit.get_secret("x", ttl=0) == "1"
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(server.port))
        assert lambdakit.get_secret("x", ttl=0) == "1"
        assert server.asked == 0
        clock.tick(30)
        assert lambdakit.get_secret("x", ttl=0) == "1"
        assert server.asked == 1
    env.close()


def test_another_region_is_not_its_business(server: Extension, aws: boto3.session.Session) -> None:
    """It knows the function's own only."""
    aws.client("secretsmanager", region_name="us-east-1").create_secret(Name="x", SecretString="virginia")
    with invocation():
        assert lambdakit.get_secret("x", region="us-east-1") == "virginia"
        assert server.asked == 0
        assert lambdakit.get_secret("x", region="eu-west-1") == "1"
        assert server.asked == 1


def test_a_batch_is_asked_for_one_by_one(env: Environment, server: Extension, aws: boto3.session.Session) -> None:
    """Its cache is on this machine; a refusal is that of one name."""
    aws.client("ssm").put_parameter(Name="/y", Value="2", Type="String")
    with invocation():
        backend = backend_of(env)
        secrets = backend.get_secrets(["x", "missing"], region="eu-west-1")
        parameters = backend.get_parameters(["/x", "/missing", "/y"], region=None, decrypt=False)
        assert (server.asked, server.answered) == (5, 5)
        for found, name, operation in (
            (secrets, "missing", "GetSecretValue"),
            (parameters, "/missing", "GetParameter"),
        ):
            error = found.pop(name)
            assert isinstance(error, lambdakit.NotFoundError)
            assert (error.name, error.operation) == (name, operation)
        assert {name: value[0] for name, value in secrets.items() if isinstance(value, tuple)} == {"x": "1"}
        assert parameters == {"/x": ("1", "1"), "/y": ("2", "1")}


def test_a_batch_is_not_divided(env: Environment, server: Extension) -> None:
    """As soon as one of it has to come from the other backend, all of it does: outside an invocation, not ready."""
    backend = backend_of(env)
    assert backend.get_secrets(["x", "missing"], region=None)["x"][0] == "1"  # type: ignore[index]
    assert server.asked == 0
    with invocation():

        def not_ready_at_the_second(_: Any) -> bool:
            server.ready = server.asked % 2 == 1
            return False

        server.fault = not_ready_at_the_second
        error = backend.get_secrets(["x", "missing"], region=None)["missing"]
        assert isinstance(error, lambdakit.NotFoundError)
        assert (server.asked, server.answered, error.operation) == (2, 1, "BatchGetSecretValue")
        found = backend.get_parameters(["/x", "/missing"], region=None, decrypt=True)
        error = found["/missing"]
        assert isinstance(error, lambdakit.NotFoundError)
        assert (server.asked, server.answered, error.operation) == (4, 2, "GetParameters")
        assert found["/x"] == ("1", "1")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(aws_json(502, b"upstream"), lambdakit.ServiceError), (None, lambdakit.NetworkError)],
)
def test_what_may_pass_is_the_error_of_one_name_too(
    answer: bytes | None, kind: type[lambdakit.FetchError], env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the others arrive."""
    with Answering(answer, aws_json(200, {"SecretString": "1"})) as server:
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", server.url.rpartition(":")[2])
        with invocation():
            found = backend_of(env).get_secrets(["a", "b"], region=None)
            assert (type(found["a"]), found["b"]) == (kind, ("1", None))


def test_a_batch_ends_with_the_budget(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """DeadlineExceededError is nobody's own."""
    with Answering(...) as server:
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", server.url.rpartition(":")[2])
        with invocation(RunningContext(remaining_s=0.3)):  # of which 0.05 may be used
            with pytest.raises(lambdakit.DeadlineExceededError):
                backend_of(env).get_secrets(["a", "b"], region=None)
            assert server.requests == 1


def test_what_it_has_not_goes_to_the_other_backend(
    env: Environment, server: Extension, aws: boto3.session.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths, configurations, items: it is not asked for them; a forced fetch asks the other one for all."""
    with invocation():
        backend = backend_of(env)
        assert backend.get_parameters_by_path("/", region=None, recursive=True, decrypt=True) == {"/x": ("1", "1")}
        with Answering(aws_json(200, {"InitialConfigurationToken": "t", "Item": {}})) as other:
            monkeypatch.setenv("AWS_ENDPOINT_URL", other.url)
            assert backend.start_configuration_session("a", "b", "c", region=None) == "t"
            assert backend.get_item("t", {"id": {"S": "x"}}, region=None, consistent=True) == "{}"
            with pytest.raises(lambdakit.ServiceError):
                backend.get_latest_configuration("t", name="a/b/c", region=None)
            assert other.requests == 3
        assert server.asked == 0
        assert backend.origin.name == "direct"
        assert backend.origin.origin is backend.origin


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (aws_json(403, b"planted bad token"), lambdakit.FetchError, None),
        (
            aws_json(400, b"operation error: AccessDeniedException: planted"),
            lambdakit.AccessDeniedError,
            "AccessDeniedException",
        ),
        (
            aws_json(400, b"operation error: InternalServiceError: planted"),
            lambdakit.ServiceError,
            "InternalServiceError",
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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing that it says is repeated: it may be anything."""
    with Answering(answer) as server:
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", server.url.rpartition(":")[2])
        with invocation():
            with pytest.raises(lambdakit.FetchError) as caught:
                lambdakit.get_secret("x")
            assert (type(caught.value), caught.value.code) == (kind, code)
            assert "planted" not in str(caught.value)


def test_silence_ends_with_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """DeadlineExceededError."""
    with Answering(...) as server:
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", server.url.rpartition(":")[2])
        with (
            invocation(RunningContext(remaining_s=0.3)),  # of which 0.05 may be used
            pytest.raises(lambdakit.DeadlineExceededError),
        ):
            lambdakit.get_secret("x")


@pytest.mark.parametrize("how", ["_after_fork_in_child", "close", "_renew"])
def test_its_connection_is_closed_with_the_environment(
    how: str, env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a child too, and before a snapshot; the next fetch opens another."""
    with keeping(answer=lambda head, body: response(200, b'{"SecretString": "1"}')) as server:
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(server.port))
        for connections in (1, 2):
            with invocation():
                assert [lambdakit.get_secret("x", ttl=0) for _ in range(2)] == ["1", "1"]
                assert server.connections == connections
            getattr(env, how)()


def test_a_malformed_port_is_the_default(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """As everywhere: a bad variable does not break a function."""
    monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "http")
    backend: Any = backend_of(env)
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
def test_a_version_or_label_behind_the_name(
    name: str, query: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the last slash only: an ARN has colons of its own."""
    answer = b'{"Parameter": {"Value": "1", "Version": 1}}'
    with keeping(answer=lambda head, body: response(200, answer)) as server, invocation():
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(server.port))
        assert lambdakit.get_parameter(name, decrypt=False) == "1"
    (head, _), *_ = server.requests
    target = urlsplit(head.split(b" ")[1].decode())
    assert (target.path, parse_qsl(target.query)) == ("/systemsmanager/parameters/get", query)
