"""The backend `direct`: what an answer becomes, when a request is sent again, what is never told."""

import json
import logging
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.retries.standard import ExponentialBackoff
from running import RunningClock, RunningContext, invocation

import lambdakit
from answering import Answering, aws_json
from choosing import backend_of
from lambdakit import (
    AccessDeniedError,
    ConfigurationError,
    DeadlineExceededError,
    Environment,
    FetchError,
    NetworkError,
    NotFoundError,
    ServiceError,
    ThrottledError,
)
from lambdakit._aws import Aws
from lambdakit.testing import FakeContext

SECRET = aws_json(200, {"SecretString": "planted-secret", "VersionId": "v-1"})
PLANTED = ("planted-secret", "wJalrXUtnFEMI/planted/credential", "planted-token", "AKIDEXAMPLE")


class SleepyClock(RunningClock):
    """Something may happen while it sleeps."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.meanwhile()


@pytest.fixture
def clock() -> SleepyClock:
    """Nobody waits between attempts."""
    return SleepyClock()


@pytest.fixture
def waits(clock: SleepyClock) -> list[float]:
    """How long the backend would have slept between attempts."""
    return clock.slept


@pytest.fixture
def direct(clock: SleepyClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Environment]]:
    """Makes an environment that fetches directly from a URL."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "planted-token")
    made: list[Environment] = []

    def make(url: str) -> Environment:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        env = Environment(backend="direct", clock=clock)
        made.append(env)
        return env

    yield make
    for env in made:
        env.close()


def test_the_request_is_one_signed_post(direct: Callable[[str], Environment]) -> None:
    """Target, token, signature, and the JSON of the operation."""
    with Answering(SECRET) as server, lambdakit.use_environment(direct(server.url)):
        assert lambdakit.get_secret("prod/db", version_stage="AWSPREVIOUS", version_id="v") == "planted-secret"
    head, _, body = server.received[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert lines[0] == "POST / HTTP/1.1"
    assert headers["X-Amz-Target"] == "secretsmanager.GetSecretValue"
    assert headers["Content-Type"] == "application/x-amz-json-1.1"
    assert headers["X-Amz-Security-Token"] == "planted-token"
    assert "/eu-west-1/secretsmanager/aws4_request" in headers["Authorization"]
    assert json.loads(body) == {"SecretId": "prod/db", "VersionStage": "AWSPREVIOUS", "VersionId": "v"}


@pytest.mark.parametrize(
    ("answer", "kind", "code", "requests"),
    [
        (
            aws_json(400, {"__type": "com.amazonaws#AccessDeniedException"}),
            AccessDeniedError,
            "AccessDeniedException",
            1,
        ),
        (
            aws_json(400, {"message": "planted-token"}, x_amzn_ErrorType="InvalidSignatureException:http://x"),
            AccessDeniedError,
            "InvalidSignatureException",
            1,
        ),
        (aws_json(400, {"__type": "ResourceNotFoundException"}), NotFoundError, "ResourceNotFoundException", 1),
        (aws_json(400, {"__type": "InvalidRequestException"}), FetchError, "InvalidRequestException", 1),
        (aws_json(400, {"__type": "ThrottlingException"}), ThrottledError, "ThrottlingException", 3),
        (aws_json(429, b""), ThrottledError, None, 3),
        (aws_json(500, {"__type": "InternalServiceError"}), ServiceError, "InternalServiceError", 3),
        (aws_json(503, b"<html>planted-secret"), ServiceError, None, 3),
        (aws_json(302, b"", Location="http://127.0.0.1:1/"), FetchError, None, 1),
        (aws_json(200, b"planted-secret is not JSON"), ServiceError, None, 1),
        (aws_json(200, b"[" * 200_000), ServiceError, None, 1),
        (aws_json(200, ["planted-secret"]), ServiceError, None, 1),
        (aws_json(200, {"Other": "planted-secret"}), ServiceError, None, 1),
        (aws_json(200, {"SecretBinary": "planted-secret!"}), ServiceError, None, 1),
    ],
)
def test_each_answer_becomes_its_exception(
    answer: bytes,
    kind: type[FetchError],
    code: str | None,
    requests: int,
    direct: Callable[[str], Environment],
    waits: list[float],
) -> None:
    """With code, status and request id, after as many attempts as botocore makes, without a secret in it."""
    with Answering(answer) as server, lambdakit.use_environment(direct(server.url)):
        with pytest.raises(FetchError) as caught:
            lambdakit.get_secret("x")
        assert (type(caught.value), caught.value.code, server.requests) == (kind, code, requests)
        assert (caught.value.status, caught.value.request_id) == (int(answer[9:12]), "r-1")
        assert len(waits) == requests - 1
        shown = "".join(traceback.format_exception(caught.value))
        assert [secret for secret in PLANTED if secret in shown] == []


@pytest.mark.parametrize(
    "fault",
    [
        aws_json(503, b""),
        aws_json(400, {"__type": "ThrottlingException"}),
        None,
        b"HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\ncut",
        b"no http\r\n\r\n",
    ],
)
def test_a_fault_that_passes_is_not_seen(
    fault: bytes | None, direct: Callable[[str], Environment], waits: list[float]
) -> None:
    """Throttled, failed, closed, cut short, garbled: once, then the value."""
    with Answering(fault, SECRET) as server, lambdakit.use_environment(direct(server.url)):
        assert lambdakit.get_secret("x") == "planted-secret"
        assert (server.requests, len(waits)) == (2, 1)


def test_a_retry_after_of_the_service_is_kept(direct: Callable[[str], Environment], waits: list[float]) -> None:
    """In milliseconds, at most five seconds more than the back-off."""
    answers = (aws_json(503, b"", x_amz_retry_after="2500"), SECRET)
    with Answering(*answers) as server, lambdakit.use_environment(direct(server.url)):
        lambdakit.get_secret("x")
    assert waits == [2.5]


def test_a_kept_connection_that_is_lost_is_replaced_at_once(
    direct: Callable[[str], Environment], waits: list[float]
) -> None:
    """The server ends it as the request arrives: sent again over a new one, without a wait, and not counted."""
    kept = SECRET.replace(b"Connection: close\r\n", b"")
    received: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        for answers in ((kept, b""), (kept,)):
            connection, _ = listening.accept()
            with connection:
                for answer in answers:
                    received.append(connection.recv(65536))
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        with lambdakit.use_environment(direct(f"http://127.0.0.1:{listening.getsockname()[1]}")):
            assert [lambdakit.get_secret("x", ttl=0) for _ in range(2)] == ["planted-secret"] * 2
        thread.join(10)
    assert (len(received), waits) == (3, [])


def test_a_success_gives_back_what_its_retry_took(direct: Callable[[str], Environment]) -> None:
    """The quota of retries is whole again."""
    with Answering(aws_json(503, b""), SECRET) as server, lambdakit.use_environment(direct(server.url)) as env:
        lambdakit.get_secret("x")
        assert [repr(quota) for quota in env._parts[Aws]._quotas.values()] == ["RetryQuota(500)"]


def test_no_answer(direct: Callable[[str], Environment]) -> None:
    """Nobody listens: NetworkError with its cause, after three attempts."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with lambdakit.use_environment(direct(f"http://127.0.0.1:{port}")), pytest.raises(NetworkError) as caught:
        lambdakit.get_parameter("/x")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.retryable


def test_silence_ends_with_the_budget(direct: Callable[[str], Environment]) -> None:
    """DeadlineExceededError before Lambda ends the environment, and no further attempt."""
    with (
        Answering(...) as server,
        lambdakit.use_environment(direct(server.url)),
        invocation(RunningContext(remaining_s=0.3)),  # of which 0.05 may be used
    ):
        with pytest.raises(DeadlineExceededError):
            lambdakit.get_secret("x")
        assert server.requests <= 1


def test_no_attempt_begins_without_time_for_it(direct: Callable[[str], Environment], clock: SleepyClock) -> None:
    """The time ran out while it waited between attempts."""
    context = FakeContext(remaining_s=10.0)

    def run_out() -> None:
        context.remaining_s = 0.25  # the margin, and nothing beyond it

    clock.meanwhile = run_out
    with (
        Answering(aws_json(503, b"")) as server,
        lambdakit.use_environment(direct(server.url)),
        invocation(context),
        pytest.raises(DeadlineExceededError, match="too little time left for a request"),
    ):
        lambdakit.get_secret("x")
    assert server.requests == 1


def test_no_wait_begins_that_the_deadline_would_cut(direct: Callable[[str], Environment], waits: list[float]) -> None:
    """The service's error is told at once."""
    answer = aws_json(503, b"", x_amz_retry_after="5000")
    with (
        Answering(answer) as server,
        lambdakit.use_environment(direct(server.url)),
        invocation(FakeContext(remaining_s=3.0)),
    ):
        with pytest.raises(ServiceError):
            lambdakit.get_secret("x")
        assert (server.requests, waits) == (1, [])


@pytest.mark.parametrize("backend", ["direct", "sdk", "auto"])
def test_without_credentials(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """AccessDeniedError that says what to do."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    env = Environment(backend=backend)
    with lambdakit.use_environment(env), pytest.raises(AccessDeniedError, match="Give the function a role"):
        lambdakit.get_secret("x")


def test_credentials_of_the_container_endpoint(
    aws: boto3.session.Session, monkeypatch: pytest.MonkeyPatch, direct: Callable[[str], Environment], moto_url: str
) -> None:
    """Fetched over the same transport, once, and used to sign."""
    aws.client("secretsmanager").create_secret(Name="x", SecretString="1")
    document = {
        "AccessKeyId": "AKIDCONTAINER",
        "SecretAccessKey": "planted",
        "Token": "planted-token",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with Answering(aws_json(200, document)) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/creds?id=1")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token")
        with lambdakit.use_environment(direct(moto_url)):
            assert lambdakit.get_secret("x", ttl=0) == "1"
            assert lambdakit.get_secret("x", ttl=0) == "1"
        assert server.requests == 1
        assert server.received[0].startswith(b"GET /creds?id=1 HTTP/1.1\r\n")
        assert b"Authorization: container-token\r\n" in server.received[0]


@pytest.mark.parametrize("region", ["moon-1", "moon"])
def test_an_unknown_region_goes_to_the_sdk(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` leaves it to botocore, which refuses it by name; forced to direct it is an error that says so."""
    env, said = Environment(backend="direct"), f"region='{region}'.*direct backend"
    with lambdakit.use_environment(env), pytest.raises(ConfigurationError, match=said):
        lambdakit.get_secret("x", region=region)
    env = Environment(backend="auto")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    with (
        lambdakit.use_environment(env),
        pytest.raises((ConfigurationError, FetchError)) as caught,
        invocation(RunningContext(remaining_s=2.0)),
    ):
        lambdakit.get_secret("x", region=region)
    assert "direct backend" not in str(caught.value)


def test_close_leaves_it_usable(aws: boto3.session.Session) -> None:
    """Connections, credentials and derived keys are found again."""
    aws.client("secretsmanager").create_secret(Name="x", SecretString="1")
    with lambdakit.use_environment(Environment(backend="direct")) as env:
        assert lambdakit.get_secret("x") == "1"
        env.close()
        aws_calls: Any = env._parts[Aws]
        assert (repr(aws_calls._transport), repr(aws_calls._signer)) == ("Transport()", "Signer(keys=0)")
        assert lambdakit.get_secret("x") == "1"


def test_32_threads(aws: boto3.session.Session, direct: Callable[[str], Environment], moto_url: str) -> None:
    """Different values at once, each the right one."""
    for number in range(32):
        aws.client("ssm").put_parameter(Name=f"/{number}", Value=str(number), Type="String")
    barrier = threading.Barrier(32)

    def read(number: int) -> str:
        barrier.wait(10)
        return lambdakit.get_parameter(f"/{number}")

    with lambdakit.use_environment(direct(moto_url)), ThreadPoolExecutor(32) as pool:
        assert list(pool.map(read, range(32))) == [str(number) for number in range(32)]


def test_nothing_planted_is_logged_or_shown(
    direct: Callable[[str], Environment], caplog: pytest.LogCaptureFixture
) -> None:
    """After a value, an error and a lost connection: the logs and every repr."""
    answers = (SECRET, aws_json(400, {"__type": "AccessDeniedException", "message": "m"}), None)
    with (
        caplog.at_level(logging.DEBUG),
        Answering(*answers) as server,
        lambdakit.use_environment(direct(server.url)) as env,
    ):
        lambdakit.get_secret("x")
        for _ in range(2):
            with pytest.raises(FetchError):
                lambdakit.get_secret("x", force_fetch=True)
        aws_calls: Any = env._parts[Aws]
        parts = (env, backend_of(env), aws_calls, aws_calls._signer, aws_calls._credentials, aws_calls._transport)
        shown = caplog.text + "".join(map(repr, parts))
        assert [secret for secret in PLANTED if secret in shown] == []


REQUESTS: dict[str, Callable[[Any], Any]] = {
    "GetSecretValue": lambda backend: backend.get_secret("a", region=None, version_id="v" * 32, version_stage="S"),
    "BatchGetSecretValue": lambda backend: backend.get_secrets(["a", "ü"], region=None),
    "GetParameter": lambda backend: backend.get_parameter("/a:1", region="us-east-1", decrypt=True),
    "GetParameters": lambda backend: backend.get_parameters(["/a", "/b:1"], region=None, decrypt=False),
    "GetParametersByPath": lambda backend: backend.get_parameters_by_path(
        "/a", region=None, recursive=True, decrypt=True
    ),
    "Decrypt": lambda backend: backend.decrypt("NAME", ciphertext="AP8=", context={"a": "b"}),
    "StartConfigurationSession": lambda backend: backend.start_configuration_session("a", "b/c", "ü", region=None),
    "GetLatestConfiguration": lambda backend: backend.get_latest_configuration(
        "to+ken/ü==&a b", name="a/b/c", region="us-east-1"
    ),
    "GetItem": lambda backend: backend.get_item(
        "orders", {"id": {"B": "AP8="}, "at": {"N": "1"}, "of": {"S": "ü"}}, region=None, consistent=True
    ),
}


@pytest.mark.parametrize("operation", REQUESTS)
def test_what_is_sent_is_what_the_sdk_sends(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Method, path and query, target, media type, scope of the signature, and the document."""
    sent: list[Any] = []
    with Answering(aws_json(400, {"__type": "Stop"})) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"{server.url}/base")
        for name in ("direct", "sdk"):
            with lambdakit.use_environment(Environment(backend=name)) as env, pytest.raises(FetchError):
                REQUESTS[operation](backend_of(env))
            env.close()
    for request in server.received:
        head, _, body = request.partition(b"\r\n\r\n")
        start, *lines = head.decode().split("\r\n")
        headers = {key.lower(): value for key, value in (line.split(": ", 1) for line in lines)}
        scope = headers["authorization"].partition("/")[2].partition(",")[0].partition("/")[2]
        document = json.loads(body) if body else None
        sent.append((start, headers.get("x-amz-target"), headers.get("content-type"), scope, document))
    direct, sdk = sent
    assert direct == sdk
    assert operation in {(direct[1] or "").rpartition(".")[2], "StartConfigurationSession", "GetLatestConfiguration"}


def test_dynamodb_waits_half_as_long(
    direct: Callable[[str], Environment], clock: SleepyClock, waits: list[float]
) -> None:
    """As in botocore: 25 ms are the base of its back-off, where 50 are that of other services."""
    assert ExponentialBackoff._SERVICE_BACKOFF_CONFIG["dynamodb"] == {"non_throttling_base_scale": 0.025}
    clock.random_value = 1.0
    with Answering(aws_json(500, b"")) as server, lambdakit.use_environment(direct(server.url)) as env:
        for call in ("GetItem", "GetParameters"):
            with pytest.raises(ServiceError):
                REQUESTS[call](backend_of(env))
    assert waits == [0.025, 0.05, 0.05, 0.1]


@pytest.mark.parametrize("operation", ["BatchGetSecretValue", "GetLatestConfiguration", "GetItem"])
def test_every_operation_is_sent_again_after_a_fault(
    operation: str, direct: Callable[[str], Environment], waits: list[float]
) -> None:
    """All of them only read, and a token that a lost request did not use up still serves."""
    with Answering(None, aws_json(503, b""), aws_json(400, {"__type": "Stop"})) as server:
        with lambdakit.use_environment(direct(server.url)) as env, pytest.raises(FetchError, match="Stop"):
            REQUESTS[operation](backend_of(env))
        assert (server.requests, len(waits)) == (3, 2)


def test_a_direct_fetch_imports_no_third_party_module(aws: boto3.session.Session, moto_url: str) -> None:
    """Neither boto3, botocore nor urllib3, nor anything of email, http or urllib."""
    aws.client("secretsmanager").create_secret(Name="x", SecretString="1")
    code = (
        "import awslambdaric.bootstrap, sys\nbefore = set(sys.modules)\n"
        "import lambdakit\nassert lambdakit.get_secret('x') == '1'\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert loaded - set(sys.stdlib_module_names) == {"lambdakit"}
    assert loaded & {"email", "http", "urllib", "random", "datetime", "inspect", "typing", "asyncio"} == set()
