"""`Aws.call` on its own: what is sent for an operation, what is read, when it is sent again, and how it ends."""

import base64
import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from running import RunningClock

from answering import Answering, aws_json
from faults import answering, serving
from http_server import keeping, response
from lambdakit import (
    AccessDeniedError,
    ConfigurationError,
    DeadlineExceededError,
    FetchError,
    NetworkError,
    NotFoundError,
    ServiceError,
    Settings,
    ThrottledError,
)
from lambdakit._aws import Answer, Aws, Operation, RestOperation

JSON_1_1 = "application/x-amz-json-1.1"
DESCRIBE = Operation(
    "secretsmanager", "DescribeSecret", {"Content-Type": JSON_1_1, "X-Amz-Target": "secretsmanager.DescribeSecret"}
)
ENCRYPT = Operation("kms", "Encrypt", {"Content-Type": JSON_1_1, "X-Amz-Target": "TrentService.Encrypt"})
TAGS = RestOperation(
    "lambda",
    "MadeUp",
    method="PUT",
    path="/2099/{Name}/of/{Part}",
    labels=("Name", "Part"),
    query={"Version": "v", "Marker": "next marker"},
    request_headers={"Kind": "X-Amz-Kind"},
    body="Payload",
    stream="Result",
    response_headers={"Label": "x-amz-label", "Other": "x-amz-other"},
)
EMPTY = aws_json(200, {})
FAULT = aws_json(500, {"__type": "InternalServiceError"})

Make = Callable[..., Aws]


@pytest.fixture
def clock() -> RunningClock:
    """Nobody waits between attempts; the largest jitter is drawn."""
    clock = RunningClock()
    clock.random_value = 1.0
    return clock


@pytest.fixture
def make(clock: RunningClock) -> Iterator[Make]:
    """Makes calls to a URL; they are closed afterwards."""
    made: list[Aws] = []

    def make(url: str | None, *, budget: Callable[[], float | None] = lambda: None, **environ: str) -> Aws:
        variables = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "planted-key", **environ}
        if url is not None:
            variables["AWS_ENDPOINT_URL"] = url
        settings = Settings(environ=variables, region="eu-west-1")
        made.append(Aws(settings=settings, clock=clock, budget=budget))
        return made[-1]

    yield make
    for aws in made:
        aws.close()


def parts_of(request: bytes) -> tuple[str, dict[str, str], bytes]:
    """The first line, the headers by name in lower case, the body."""
    head, _, body = request.partition(b"\r\n\r\n")
    start, *lines = head.decode().split("\r\n")
    return start, {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, body


def scope(request: bytes) -> str:
    """Region and service that a request is signed for."""
    return parts_of(request)[1]["authorization"].partition("/")[2].partition("/")[2].partition("/aws4_request")[0]


# -- what is sent and read


def test_a_document_is_sent_and_one_is_read(make: Make) -> None:
    """Headers of the operation, members as JSON; the answer has the members, and what an error would tell."""
    with Answering(aws_json(200, {"ARN": "arn", "Tags": [1]})) as server:
        answer = make(server.url).call(DESCRIBE, {"SecretId": "ü"}, name="ü", region=None)
    assert answer.members == {"ARN": "arn", "Tags": [1]}
    assert answer.error_context == {
        "service": "secretsmanager",
        "operation": "DescribeSecret",
        "name": "ü",
        "region": "eu-west-1",
        "status": 200,
        "request_id": "r-1",
    }
    start, headers, body = parts_of(server.received[0])
    assert start == "POST / HTTP/1.1"
    assert (headers["x-amz-target"], headers["content-type"]) == ("secretsmanager.DescribeSecret", JSON_1_1)
    assert headers["user-agent"] == "lambdakit"
    assert scope(server.received[0]) == "eu-west-1/secretsmanager"
    assert json.loads(body) == {"SecretId": "ü"}


def test_a_service_understands_it(aws: boto3.session.Session, make: Make, moto_url: str) -> None:
    """Operations that no feature has yet, bytes among their members, against moto."""
    aws.client("secretsmanager").create_secret(Name="x", SecretString="1")
    key = aws.client("kms").create_key()["KeyMetadata"]["KeyId"]
    calls = make(moto_url)
    assert calls.call(DESCRIBE, {"SecretId": "x"}, name="x", region=None).members["Name"] == "x"
    encrypted = calls.call(ENCRYPT, {"KeyId": key, "Plaintext": b"\x00\xff"}, name=key, region=None).members
    blob = base64.b64decode(encrypted["CiphertextBlob"])
    assert aws.client("kms").decrypt(CiphertextBlob=blob)["Plaintext"] == b"\x00\xff"
    with pytest.raises(NotFoundError):
        calls.call(DESCRIBE, {"SecretId": "x"}, name="x", region="us-east-1")


def test_members_stand_where_the_model_puts_them(make: Make) -> None:
    """In the path, the query, headers and the body; what is not given is not there. So of the answer."""
    said = (
        b"HTTP/1.1 201 X\r\nX-Amz-Label: l\r\nX-Amz-Else: e\r\nContent-Length: 3\r\nConnection: close\r\n\r\n\x00\xffz"
    )
    request = {"Name": "a/ü", "Part": "b c", "Version": "1&2", "Kind": "k", "Payload": b"\x00{}"}
    with Answering(said) as server:
        calls = make(f"{server.url}/base")
        answer = calls.call(TAGS, request, name="a", region="us-east-1")
        calls.call(TAGS, {"Name": "n", "Part": "p", "Payload": b"", "Marker": "m"}, name="n", region=None)
    assert answer.members == {"StatusCode": 201, "Result": b"\x00\xffz", "Label": "l"}
    start, headers, body = parts_of(server.received[0])
    assert start == "PUT /base/2099/a%2F%C3%BC/of/b%20c?v=1%262 HTTP/1.1"
    assert (headers["x-amz-kind"], body) == ("k", b"\x00{}")
    assert scope(server.received[0]) == "us-east-1/lambda"
    start, headers, body = parts_of(server.received[1])
    assert start == "PUT /base/2099/n/of/p?next%20marker=m HTTP/1.1"
    assert ("x-amz-kind" in headers, body) == (False, b"")


def test_a_body_that_is_no_member() -> None:
    """Is empty."""
    assert RestOperation("lambda", "X", stream="Y").write({"Payload": b"x"}) == ("/", [], {}, b"")


@pytest.mark.parametrize("body", [b"", b"planted", b"[]", b'"planted"', b"[" * 200_000])
def test_an_answer_that_is_no_document_is_an_error(body: bytes, make: Make) -> None:
    """Not one without members, which would say that there is no item; it says nothing of what came."""
    with Answering(aws_json(200, body)) as server, pytest.raises(ServiceError) as caught:
        make(server.url).call(DESCRIBE, {}, name="x", region=None)
    assert "DescribeSecret of 'x': the answer is not one of this service's" in str(caught.value)
    assert (caught.value.status, caught.value.request_id) == (200, "r-1")
    assert "planted" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("error", [AttributeError, KeyError, OverflowError, TypeError, ValueError])
def test_what_a_reader_fails_with_is_an_answer_of_something_else(error: type[Exception]) -> None:
    """Without its cause, which may quote the answer; other errors are the reader's own."""
    answer = Answer({}, {"service": "s", "operation": "o", "name": "n"})

    def reader(_: dict[str, Any]) -> None:
        raise error("planted")

    with pytest.raises(ServiceError) as caught:
        answer.read(reader)
    assert "planted" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(ZeroDivisionError):
        answer.read(lambda _: 1 // 0)


# -- when it is sent again


def test_it_is_sent_three_times_and_the_clock_waits(make: Make, clock: RunningClock) -> None:
    """With the back-off of botocore's mode `standard`; the last answer is the error."""
    with Answering(FAULT) as server:
        with pytest.raises(ServiceError):
            make(server.url).call(DESCRIBE, {}, name="x", region=None)
        assert (server.requests, clock.slept) == (3, [0.05, 0.1])


def test_each_attempt_is_signed_anew(make: Make, clock: RunningClock) -> None:
    """With the time at which it is sent."""
    with Answering(aws_json(429, b"", x_amz_retry_after="3000"), EMPTY) as server:
        make(server.url).call(DESCRIBE, {}, name="x", region=None)
    first, second = (parts_of(request)[1]["x-amz-date"] for request in server.received)
    assert clock.slept == [3.0]
    assert first < second


def test_what_must_not_be_repeated_is_sent_once(make: Make, clock: RunningClock) -> None:
    """A lost request may have done something: neither a fault nor a loss is a reason."""
    once = Operation("kms", "Encrypt", ENCRYPT.headers, repeatable=False)
    for answer, kind in ((FAULT, ServiceError), (None, NetworkError)):
        with Answering(answer) as server:
            with pytest.raises(kind):
                make(server.url).call(once, {}, name="x", region=None)
            assert (server.requests, clock.slept) == (1, [])


def test_dynamodb_begins_with_half_the_wait(make: Make, clock: RunningClock) -> None:
    """Of other services; throttling costs a second everywhere."""
    item = Operation("dynamodb", "GetItem", {})
    for answer, waits in ((FAULT, [0.025, 0.05]), (aws_json(400, {"__type": "ThrottlingException"}), [1.0, 2.0])):
        clock.slept.clear()
        with Answering(answer) as server, pytest.raises(FetchError):
            make(server.url).call(item, {}, name="x", region=None)
        assert clock.slept == waits


def test_each_service_has_a_quota_in_each_region(make: Make, clock: RunningClock) -> None:
    """500: 35 retries at 14 each. Where it is spent a request is sent once; others are not concerned."""
    clock.random_value = 0.0
    with Answering(FAULT) as server:
        calls = make(server.url)

        def sent(operation: Operation, region: str | None = None) -> int:
            before = server.requests
            with pytest.raises(ServiceError):
                calls.call(operation, {}, name="x", region=region)
            return server.requests - before

        assert [sent(DESCRIBE) for _ in range(19)] == [3] * 17 + [2, 1]
        assert sent(DESCRIBE, "eu-west-1") == 1  # the default region by its name
        assert sent(DESCRIBE, "us-east-1") == 3
        assert sent(ENCRYPT) == 3


def test_a_success_gives_back_what_its_retry_took(make: Make) -> None:
    """And one that needed none gives one."""
    with Answering(*[FAULT] * 7, EMPTY) as server:
        calls = make(server.url)
        for _ in range(2):
            with pytest.raises(ServiceError):
                calls.call(DESCRIBE, {}, name="x", region=None)
        for left in (444, 445):  # 500 less 4 retries at 14; the first of these is retried, the second is not
            calls.call(DESCRIBE, {}, name="x", region=None)
            assert [repr(quota) for quota in calls._quotas.values()] == [f"RetryQuota({left})"]


# -- how it ends


REFUSALS: list[tuple[bytes, type[FetchError], str | None, str]] = [
    (
        aws_json(400, {"__type": "a.b#AccessDeniedException", "Message": "why"}),
        AccessDeniedError,
        "AccessDeniedException",
        "why",
    ),
    (
        aws_json(404, {"code": "ResourceNotFoundException", "message": "why"}),
        NotFoundError,
        "ResourceNotFoundException",
        "why",
    ),
    (aws_json(400, {}, x_amzn_ErrorType="Throttling:http://x"), ThrottledError, "Throttling", ""),
    (aws_json(400, {"__type": 5, "message": 5}, x_amzn_ErrorType="Other"), FetchError, "Other", ""),
    (aws_json(400, {"__type": "", "message": None}), FetchError, None, ""),
    (aws_json(301, b"", Location="http://127.0.0.1:1/"), FetchError, None, ""),
]


@pytest.mark.parametrize(("answer", "kind", "code", "message"), REFUSALS)
def test_a_refusal_is_the_error_of_its_kind(
    answer: bytes, kind: type[FetchError], code: str | None, message: str, make: Make
) -> None:
    """With all that is known: the code from the body or a header, bare; the message; where, what, of what."""
    with Answering(answer) as server, pytest.raises(FetchError) as caught:
        make(server.url).call(DESCRIBE, {}, name="x", region="us-east-1")
    error = caught.value
    assert (type(error), error.code, error.status) == (kind, code, int(answer[9:12]))
    assert (error.service, error.operation, error.name) == ("secretsmanager", "DescribeSecret", "x")
    assert (error.region, error.request_id) == ("us-east-1", "r-1")
    assert (f"): {message}. " if message else "). ") in str(error)


def test_an_operation_whose_name_is_a_secret_quotes_nothing(make: Make) -> None:
    """The message may repeat the request: it is left out, the code is not."""
    secretive = RestOperation("appconfigdata", "Poll", method="GET", stream="B", redact=True)
    with (
        Answering(aws_json(400, {"message": "planted"}, x_amzn_ErrorType="BadRequestException")) as server,
        pytest.raises(FetchError) as caught,
    ):
        make(server.url).call(secretive, {}, name="x", region=None)
    assert caught.value.code == "BadRequestException"
    assert "planted" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("service", "region"), [("secretsmanager", "moon"), ("secretsmanager", "aws-global"), ("sqs", "eu-west-1")]
)
def test_an_endpoint_that_is_not_known_is_an_error(service: str, region: str, make: Make) -> None:
    """By its name, before anything is sent; it can be asked for."""
    calls = make(None)
    assert not calls.knows(service, region)
    with pytest.raises(ConfigurationError, match=f"region='{region}'.* no endpoint of {service} there"):
        calls.call(Operation(service, "X", {}), {}, name="x", region=region)


def test_what_is_known_depends_on_service_region_and_variables(make: Make) -> None:
    """None stands for the default region."""
    assert make(None).knows("ssm", None)
    assert make(None).knows("ssm", "cn-north-1")
    assert not make(None, AWS_ENDPOINT_URL_SSM="http://127.0.0.1/?x").knows("ssm", None)
    assert make(None, AWS_ENDPOINT_URL_SSM="http://127.0.0.1/?x").knows("kms", None)


def test_without_credentials_nothing_is_sent(make: Make) -> None:
    """AccessDeniedError."""
    with Answering(EMPTY) as server, pytest.raises(AccessDeniedError, match="Give the function a role"):
        make(server.url, AWS_ACCESS_KEY_ID="").call(DESCRIBE, {}, name="x", region=None)
    assert server.requests == 0


@pytest.mark.parametrize("left_s", [0.0, -1.0])
def test_without_time_nothing_is_sent(left_s: float, make: Make) -> None:
    """DeadlineExceededError."""
    with Answering(EMPTY) as server:
        with pytest.raises(DeadlineExceededError, match="DescribeSecret: the invocation has too little time left"):
            make(server.url, budget=lambda: left_s).call(DESCRIBE, {}, name="x", region=None)
        assert server.requests == 0


def test_silence_ends_with_the_budget(make: Make, clock: RunningClock) -> None:
    """DeadlineExceededError where the time is over, and nothing is sent again."""
    end_s = clock.now()[1] + 0.1
    with Answering(...) as server:
        calls = make(server.url, budget=lambda: end_s - clock.now()[1])
        with pytest.raises(DeadlineExceededError, match="no answer came while the invocation had time for it"):
            calls.call(DESCRIBE, {}, name="x", region=None)
        assert (server.requests, clock.slept) == (1, [])


def test_what_the_credentials_took_is_not_there_for_the_request(make: Make, clock: RunningClock) -> None:
    """A container endpoint that took its time: the call ends with the budget all the same."""
    document = {"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": "2099-01-01T00:00:00Z"}

    def answer(head: bytes, body: bytes) -> bytes:
        clock.tick(59.9)
        return response(200, json.dumps(document).encode())

    with keeping(answer=answer) as container, Answering(...) as server:
        where = {"AWS_ACCESS_KEY_ID": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{container.url}/c"}
        end_s = clock.now()[1] + 60.1
        calls = make(server.url, budget=lambda: end_s - clock.now()[1], **where)
        with pytest.raises(DeadlineExceededError):
            calls.call(Operation("kms", "Encrypt", {}, timeout_s=20.0), {}, name="x", region=None)
    assert clock.now()[1] < end_s + 10.0


@pytest.mark.parametrize("left_s", [None, 30.0])
def test_silence_ends_with_the_time_of_the_operation(left_s: float | None, make: Make) -> None:
    """NetworkError with its cause, after three attempts."""
    hasty = Operation("secretsmanager", "DescribeSecret", {}, timeout_s=0.05)
    with Answering(...) as server:
        with pytest.raises(NetworkError, match="DescribeSecret of 'x' in eu-west-1: no answer came") as caught:
            make(server.url, budget=lambda: left_s).call(hasty, {}, name="x", region=None)
        assert server.requests == 3
    assert type(caught.value.__cause__).__name__ == "ReadTimeoutError"


@pytest.mark.parametrize(("left_s", "requests"), [(0.05, 1), (0.051, 2), (0.1, 2), (0.101, 3), (None, 3)])
def test_no_wait_lasts_until_the_deadline(left_s: float | None, requests: int, make: Make) -> None:
    """The service's error is told instead: the wait would be 0.05 s, then 0.1 s."""
    with Answering(FAULT) as server:
        with pytest.raises(ServiceError):
            make(server.url, budget=lambda: left_s).call(DESCRIBE, {}, name="x", region=None)
        assert server.requests == requests


def test_close_forgets_credentials_and_keys(make: Make) -> None:
    """A later call finds all of them again."""
    with Answering(aws_json(200, {})) as server:
        calls = make(server.url)
        calls.call(DESCRIBE, {}, name="x", region=None)
        assert (repr(calls._signer), "has_token" in repr(calls._credentials)) == ("Signer(keys=1)", True)
        calls.close()
        assert (repr(calls._signer), repr(calls._credentials)) == ("Signer(keys=0)", "CredentialProvider(None)")
        assert calls.call(DESCRIBE, {}, name="x", region=None).members == {}


def test_a_child_makes_its_own(make: Make) -> None:
    """What it has of its parent's is closed, and does not live on."""
    with serving(answering(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}")) as server:
        calls = make(f"http://127.0.0.1:{server.port}")
        calls.call(DESCRIBE, {}, name="x", region=None)
        assert calls.after_fork_in_child() is False
        assert server.ended.acquire(timeout=5)


def test_reprs_tell_what_was_asked() -> None:
    """And nothing of what was answered."""
    answer = Answer({"SecretString": "planted"}, {"operation": "GetSecretValue", "name": "prod/db"})
    assert repr(answer) == "<Answer GetSecretValue of 'prod/db'>"
    assert repr(DESCRIBE) == "<Operation secretsmanager DescribeSecret>"
