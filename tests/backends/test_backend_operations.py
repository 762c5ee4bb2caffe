"""What every backend does beyond single values, against real servers: moto over HTTP, and one for AppConfig."""

import base64
import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from running import invocation

import lambdakit
from answering import Answering, aws_json
from app_config import AppConfig
from choosing import backend_of
from extension import Extension
from lambdakit import AccessDeniedError, Environment, FetchError, NetworkError, NotFoundError, ServiceError
from lambdakit.testing import FakeContext

BACKENDS = ["direct", "sdk", "extension", "auto"]


@pytest.fixture(params=BACKENDS)
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
        env.close()


@pytest.fixture
def app_config(monkeypatch: pytest.MonkeyPatch) -> Iterator[AppConfig]:
    """One configuration that may be polled at any time."""
    with AppConfig(interval_s=0) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_APPCONFIGDATA", server.url)
        server.put("app/prod/flags", "one", label="v1")
        yield server


@pytest.fixture
def tables(aws: boto3.session.Session) -> Iterator[Any]:
    """A table with an item of every type, and one with a binary key and a sort key."""
    client = aws.client("dynamodb")
    for table, keys in (("orders", {"id": "S"}), ("blobs", {"id": "B", "at": "N"})):
        client.create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind in keys.items()],
            KeySchema=[
                {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
            BillingMode="PAY_PER_REQUEST",
        )
    yield client
    for table in ("orders", "blobs"):
        client.delete_table(TableName=table)


def kinds(found: dict[str, Any]) -> dict[str, Any]:
    """Values as they are, errors by class and code."""
    return {
        name: (type(value), value.code, value.name) if isinstance(value, FetchError) else value
        for name, value in found.items()
    }


@pytest.mark.parametrize("number", [1, 2, 20])
def test_secrets(number: int, aws: boto3.session.Session, backend: Any) -> None:
    """As many as asked for, with their versions; text and bytes."""
    client = aws.client("secretsmanager")
    expected: dict[str, Any] = {}
    for index in range(number):
        stored: dict[str, Any] = {"SecretBinary": b"\x00\xff"} if index % 2 else {"SecretString": f"s{index}"}
        version = client.create_secret(Name=f"prod/{index}", **stored)["VersionId"]
        expected[f"prod/{index}"] = (next(iter(stored.values())), version)
    assert backend.get_secrets(list(expected), region=None) == expected


def test_a_secret_by_name_arn_and_partial_arn(aws: boto3.session.Session, backend: Any) -> None:
    """Each under the name it was asked for by."""
    created = aws.client("secretsmanager").create_secret(Name="prod/db", SecretString="1")
    arn, value = created["ARN"], ("1", created["VersionId"])
    names = ["prod/db", arn, arn[:-7]]
    assert backend.get_secrets(names, region=None) == dict.fromkeys(names, value)


def test_a_missing_secret_is_an_error_of_its_own(aws: boto3.session.Session, backend: Any) -> None:
    """The others are there; a deleted one is an error of another kind."""
    client = aws.client("secretsmanager")
    version = client.create_secret(Name="a", SecretString="1")["VersionId"]
    client.create_secret(Name="gone", SecretString="1")
    client.delete_secret(SecretId="gone")
    assert kinds(backend.get_secrets(["a", "missing", "gone"], region=None)) == {
        "a": ("1", version),
        "missing": (NotFoundError, "ResourceNotFoundException", "missing"),
        "gone": (FetchError, backend.get_secrets(["gone"], region=None)["gone"].code, "gone"),
    }


@pytest.mark.parametrize("number", [1, 2, 10])
def test_parameters(number: int, aws: boto3.session.Session, backend: Any) -> None:
    """As many as asked for, decrypted or not."""
    client = aws.client("ssm")
    for index in range(number):
        client.put_parameter(Name=f"/p/{index}", Value=f"v{index}", Type="SecureString" if index % 2 else "String")
    names = [f"/p/{index}" for index in range(number)]
    plain = {name: (f"v{index}", "1") for index, name in enumerate(names)}
    assert backend.get_parameters(names, region=None, decrypt=True) == plain
    hidden = backend.get_parameters(names, region=None, decrypt=False)
    assert {name: hidden[name] == plain[name] for name in names} == {
        name: not index % 2 for index, name in enumerate(names)
    }


def test_a_parameter_by_name_version_label_and_arn(aws: boto3.session.Session, backend: Any) -> None:
    """Each under the name it was asked for by. What moto says nothing of, a label in a batch, is left out."""
    client = aws.client("ssm")
    for value in ("a", "b", "c"):
        client.put_parameter(Name="/p", Value=value, Type="String", Overwrite=True)
    client.label_parameter_version(Name="/p", ParameterVersion=2, Labels=["prod"])
    arn = client.get_parameter(Name="/p")["Parameter"]["ARN"]
    expected = {"/p": ("c", "3"), "/p:1": ("a", "1"), "/p:3": ("c", "3"), arn: ("c", "3"), f"{arn}:2": ("b", "2")}
    for _ in range(3):  # moto answers in any order
        assert backend.get_parameters(list(expected), region=None, decrypt=True) == expected
    labelled = backend.get_parameters(["/p:prod"], region=None, decrypt=True)
    assert labelled == ({"/p:prod": ("b", "2")} if backend.name == "extension" else {})
    assert backend.get_parameter("/p:prod", region=None, decrypt=True) == ("b", "2")


def test_a_missing_parameter_is_an_error_of_its_own(aws: boto3.session.Session, backend: Any) -> None:
    """A missing version too."""
    aws.client("ssm").put_parameter(Name="/a", Value="1", Type="String")
    found = kinds(backend.get_parameters(["/a", "/missing", "/a:7"], region=None, decrypt=True))
    assert found.pop("/a:7") in [
        (NotFoundError, "ParameterNotFound", "/a:7"),
        (NotFoundError, "ParameterVersionNotFound", "/a:7"),
    ]
    assert found == {"/a": ("1", "1"), "/missing": (NotFoundError, "ParameterNotFound", "/missing")}


def test_parameters_by_path(aws: boto3.session.Session, backend: Any) -> None:
    """All pages, by full name, in the order in which they came; one level, or all."""
    client = aws.client("ssm")
    names = [f"/shop/{index:02}" for index in range(21)] + ["/shop/deep/er"]
    for name in [*names, "/other"]:
        client.put_parameter(Name=name, Value=f"of {name}", Type="SecureString" if name == "/shop/20" else "String")
    found = backend.get_parameters_by_path("/shop", region=None, recursive=True, decrypt=True)
    assert found == {name: (f"of {name}", "1") for name in names}
    pages = client.get_paginator("get_parameters_by_path").paginate(Path="/shop", Recursive=True)
    assert [*found] == [entry["Name"] for page in pages for entry in page["Parameters"]]
    level = backend.get_parameters_by_path("/shop", region=None, recursive=False, decrypt=False)
    assert set(level) == set(names[:-1])
    assert {name for name in level if level[name] != found[name]} == {"/shop/20"}
    assert backend.get_parameters_by_path("/nothing", region=None, recursive=True, decrypt=True) == {}


def test_another_region(aws: boto3.session.Session, backend: Any) -> None:
    """Each batch goes where it is asked to go."""
    aws.client("secretsmanager", region_name="us-east-1").create_secret(Name="x", SecretString="virginia")
    aws.client("ssm", region_name="us-east-1").put_parameter(Name="/x", Value="virginia", Type="String")
    assert backend.get_secrets(["x"], region="us-east-1")["x"][0] == "virginia"
    assert backend.get_parameters(["/x"], region="us-east-1", decrypt=True) == {"/x": ("virginia", "1")}
    found = backend.get_parameters_by_path("/", region="us-east-1", recursive=True, decrypt=True)
    assert found == {"/x": ("virginia", "1")}
    assert isinstance(backend.get_secrets(["x"], region=None)["x"], NotFoundError)


def test_a_configuration_is_polled(app_config: AppConfig, backend: Any) -> None:
    """Its body and label, nothing while it is the same, the new one after a deployment."""
    token = backend.start_configuration_session("app", "prod", "flags", region=None)
    body, label, following, interval_s = backend.get_latest_configuration(token, name="app/prod/flags", region=None)
    assert (body, label, interval_s) == (b"one", "v1", 0.0)
    assert isinstance(interval_s, float)
    assert following != token
    body, label, token, _ = backend.get_latest_configuration(following, name="app/prod/flags", region=None)
    assert (body, label) == (b"", None)
    app_config.put("app/prod/flags", b"\x00two", label="")
    assert backend.get_latest_configuration(token, name="app/prod/flags", region=None)[:2] == (b"\x00two", None)


def test_a_used_token_is_refused_and_not_told(app_config: AppConfig, backend: Any) -> None:
    """BadRequestException, sent once; whatever is printed of it has no token in it."""
    token = backend.start_configuration_session("app", "prod", "flags", region=None)
    backend.get_latest_configuration(token, name="app/prod/flags", region=None)
    with pytest.raises(FetchError, match="GetLatestConfiguration of 'app/prod/flags'") as caught:
        backend.get_latest_configuration(token, name="app/prod/flags", region=None)
    error = caught.value
    assert (type(error), error.code, error.status, error.request_id) == (
        FetchError,
        "BadRequestException",
        400,
        "r-1",
    )
    assert len(app_config.requests) == 3
    assert_not_told(error, token)


def assert_not_told(error: BaseException, token: str) -> None:
    """Neither it nor an encoding of it stands in what is printed of the error."""
    shown = "".join(traceback.format_exception(error))
    assert "planted" not in shown
    assert token not in shown


def test_a_missing_configuration(app_config: AppConfig, backend: Any) -> None:
    """NotFoundError, with what it is called."""
    with pytest.raises(NotFoundError, match="'app/dev/flags' in eu-west-1") as caught:
        backend.start_configuration_session("app", "dev", "flags", region=None)
    assert (caught.value.code, caught.value.status) == ("ResourceNotFoundException", 404)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [((500, "InternalServerException"), ServiceError), ((403, "AccessDeniedException"), AccessDeniedError)],
)
def test_a_poll_that_fails(fault: Any, kind: type[FetchError], app_config: AppConfig, backend: Any) -> None:
    """After retries where they may help; the token serves for the next poll."""
    token = backend.start_configuration_session("app", "prod", "flags", region=None)
    app_config.faults = [fault] * 3
    with pytest.raises(FetchError) as caught:
        backend.get_latest_configuration(token, name="app/prod/flags", region=None)
    assert (type(caught.value), caught.value.code) == (kind, fault[1])
    assert_not_told(caught.value, token)
    app_config.faults = []
    assert backend.get_latest_configuration(token, name="app/prod/flags", region=None)[0] == b"one"


def test_a_poll_whose_answer_is_lost(app_config: AppConfig, backend: Any) -> None:
    """Sent again; if the token is used up by then, the service says so, and a new session helps."""
    token = backend.start_configuration_session("app", "prod", "flags", region=None)
    app_config.faults = [None]
    with pytest.raises(FetchError) as caught:
        backend.get_latest_configuration(token, name="app/prod/flags", region=None)
    assert caught.value.code == "BadRequestException"
    assert_not_told(caught.value, token)


def test_nobody_listens_to_a_poll(app_config: AppConfig, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """NetworkError without the URL, in which the token stands."""
    token = backend.start_configuration_session("app", "prod", "flags", region=None)
    app_config.faults = [None] * 10
    with pytest.raises(NetworkError, match="no answer came") as caught:
        backend.get_latest_configuration(token, name="app/prod/flags", region=None)
    assert_not_told(caught.value, token)


def test_an_item(tables: Any, backend: Any) -> None:
    """Every type, as the JSON that DynamoDB itself has."""
    stored: dict[str, Any] = {
        "id": {"S": "o-1"},
        "total": {"N": "12.50"},
        "paid": {"BOOL": True},
        "note": {"NULL": True},
        "blob": {"B": b"\x00\xff"},
        "tags": {"SS": ["a", "b"]},
        "blobs": {"BS": [b"\x01"]},
        "lines": {"L": [{"M": {"sku": {"S": "ü"}, "raw": {"B": b"\x02"}}}]},
    }
    tables.put_item(TableName="orders", Item=stored)
    answer = backend.get_item("orders", {"id": {"S": "o-1"}}, region=None, consistent=False)
    expected = stored | {
        "blob": {"B": "AP8="},
        "blobs": {"BS": ["AQ=="]},
        "lines": {"L": [{"M": {"sku": {"S": "ü"}, "raw": {"B": "Ag=="}}}]},
    }
    assert json.loads(answer) == expected


def test_an_item_with_a_binary_key(tables: Any, backend: Any) -> None:
    """In base64, as DynamoDB's JSON has it; a sort key that is a number."""
    tables.put_item(TableName="blobs", Item={"id": {"B": b"\x00\xff"}, "at": {"N": "7"}, "value": {"S": "x"}})
    key = {"id": {"B": base64.b64encode(b"\x00\xff").decode()}, "at": {"N": "7"}}
    assert json.loads(backend.get_item("blobs", key, region=None, consistent=True))["value"] == {"S": "x"}


def test_a_missing_item_and_a_missing_table(tables: Any, backend: Any) -> None:
    """NotFoundError; the attributes of the key are told, what it holds is not."""
    with pytest.raises(NotFoundError, match=r"no item has this key \(id\)") as caught:
        backend.get_item("orders", {"id": {"S": "planted"}}, region=None, consistent=False)
    error = caught.value
    assert (error.name, error.code, error.status, error.region) == ("orders", None, 200, "eu-west-1")
    assert "planted" not in str(error)
    with pytest.raises(NotFoundError) as caught:
        backend.get_item("nothing", {"id": {"S": "x"}}, region=None, consistent=False)
    assert caught.value.code == "ResourceNotFoundException"


@pytest.mark.parametrize("consistent", [True, False])
def test_consistency_is_asked_for(consistent: bool, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the caller wants it."""
    with Answering(aws_json(200, {"Item": {}})) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
        assert backend.get_item("t", {"id": {"S": "x"}}, region=None, consistent=consistent) == "{}"
    assert json.loads(server.received[0].partition(b"\r\n\r\n")[2])["ConsistentRead"] is consistent


def test_where_forced_fetches_go(backend: Any) -> None:
    """To the backend itself, unless it answers from a cache of its own."""
    assert backend.origin.name == ("direct" if backend.name == "extension" else backend.name)
    assert (backend.origin is backend) is (backend.name != "extension")


TOKEN = "planted"  # so that no line of source code, which a traceback shows, has it
CALLS: dict[str, Callable[[Any], Any]] = {
    "BatchGetSecretValue": lambda backend: backend.get_secrets(["a", "b"], region=None),
    "GetParameters": lambda backend: backend.get_parameters(["/a", "/b"], region=None, decrypt=True),
    "GetParametersByPath": lambda backend: backend.get_parameters_by_path(
        "/a", region=None, recursive=True, decrypt=True
    ),
    "StartConfigurationSession": lambda backend: backend.start_configuration_session("a", "b", "c", region=None),
    "GetLatestConfiguration": lambda backend: backend.get_latest_configuration(TOKEN, name="a/b/c", region=None),
    "GetItem": lambda backend: backend.get_item("t", {"id": {"S": "x"}}, region=None, consistent=True),
}


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("name", ["direct", "sdk"])
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "AccessDeniedException", AccessDeniedError),
        (400, "ResourceNotFoundException", NotFoundError),
        (400, "ProvisionedThroughputExceededException", lambdakit.ThrottledError),
        (429, "ThrottlingException", lambdakit.ThrottledError),
        (400, "BadRequestException", FetchError),
        (500, "InternalServerException", ServiceError),
    ],
)
def test_a_refused_call(
    operation: str, name: str, status: int, code: str, kind: type[FetchError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Becomes the exception of its kind on every operation, with all that is known of it, and without a token."""
    answer = aws_json(
        status, {"__type": code, "message": "said planted"}, x_amzn_ErrorType=f"{code}:http://x/", x_amz_retry_after="1"
    )
    with Answering(answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with (
            lambdakit.use_environment(Environment(backend=name)) as env,
            pytest.raises(FetchError) as caught,
            invocation(FakeContext(remaining_s=1.0)),  # so that no wait after throttling is begun
        ):
            CALLS[operation](backend_of(env))
        env.close()
    error = caught.value
    assert (type(error), error.code, error.status, error.operation) == (kind, code, status, operation)
    assert (error.region, error.request_id) == ("eu-west-1", "r-1")
    shown = "".join(traceback.format_exception(error))
    assert ("planted" in shown) is (operation != "GetLatestConfiguration")


@pytest.mark.parametrize(
    "strange",
    [
        {"SecretValues": [{"Other": "planted"}], "Parameters": [{"Name": "planted"}], "Item": "planted"},
        {"SecretValues": ["planted"], "Parameters": ["planted"], "Item": ["planted"]},
        {"SecretValues": 1, "Parameters": 1, "Item": 1},
    ],
)
@pytest.mark.parametrize("operation", CALLS)
def test_an_answer_of_something_else(operation: str, strange: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """ServiceError that does not repeat it; the SDK reads answers of another shape by itself, or fails to."""
    with Answering(aws_json(200, strange)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with lambdakit.use_environment(Environment(backend="direct")) as env, pytest.raises(FetchError) as caught:
            CALLS[operation](backend_of(env))
        env.close()
    assert type(caught.value) is ServiceError
    assert "planted" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("operation", [operation for operation in CALLS if operation != "GetItem"])
def test_an_answer_without_what_was_asked_for(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ServiceError from the SDK too: what it has read lacks a member."""
    strange = {"SecretValues": [{"Other": "planted"}], "Parameters": [{"Name": "planted"}]}
    with Answering(aws_json(200, strange)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with lambdakit.use_environment(Environment(backend="sdk")) as env, pytest.raises(FetchError) as caught:
            CALLS[operation](backend_of(env))
        env.close()
    assert type(caught.value) is ServiceError
    assert "planted" not in str(caught.value)
