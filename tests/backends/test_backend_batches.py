"""Which part of a batch's answer belongs to which name, on answers that moto does not give."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import lambdakit
from answering import Answering, aws_json
from choosing import backend_of
from lambdakit import AccessDeniedError, Environment, FetchError, NotFoundError, ServiceError, ThrottledError

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"
PARAMETER_ARN = "arn:aws:ssm:eu-west-1:123456789012:parameter"


@pytest.fixture(params=["direct", "sdk"])
def backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Those that read the services' own answers."""
    env = Environment(backend=request.param)
    with lambdakit.use_environment(env):
        yield backend_of(env)
    env.close()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts a server with these documents as its answers."""
    servers: list[Answering] = []

    def start(*documents: Any) -> Answering:
        server = Answering(*(aws_json(200, document) for document in documents))
        servers.append(server.__enter__())
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        return server

    yield start
    for server in servers:
        server.__exit__()


def secret(name: str, value: str, *, suffix: str = "AbCdEf") -> dict[str, Any]:
    """An entry of BatchGetSecretValue."""
    return {"Name": name, "ARN": f"{ARN}{name}-{suffix}", "SecretString": value, "VersionId": f"v-{value}"}


def parameter(name: str, value: str, version: int, selector: str | None = None) -> dict[str, Any]:
    """An entry of GetParameters."""
    entry = {"Name": name, "ARN": f"{PARAMETER_ARN}{name}", "Value": value, "Version": version}
    return entry if selector is None else entry | {"Selector": selector}


def sent(server: Answering) -> list[dict[str, Any]]:
    """The document of each request."""
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.received]


def test_pages_of_secrets_are_followed(answers: Any, backend: Any) -> None:
    """Also an empty one; every request repeats the names."""
    server = answers(
        {"SecretValues": [secret("a", "1")], "Errors": [], "NextToken": "t1"},
        {"SecretValues": [], "NextToken": "t2"},
        {"SecretValues": [secret("b", "2")], "NextToken": None},
    )
    assert backend.get_secrets(["a", "b"], region=None) == {"a": ("1", "v-1"), "b": ("2", "v-2")}
    asked = {"SecretIdList": ["a", "b"]}
    assert sent(server) == [asked, asked | {"NextToken": "t1"}, asked | {"NextToken": "t2"}]


def test_pages_of_a_path_are_followed(answers: Any, backend: Any) -> None:
    """Ten at a time."""
    server = answers(
        {"Parameters": [parameter("/a/b", "1", 1)], "NextToken": "t1"},
        {"Parameters": [], "NextToken": "t2"},
        {"Parameters": [parameter("/a/a", "2", 3)]},
    )
    found = backend.get_parameters_by_path("/a", region=None, recursive=False, decrypt=True)
    assert list(found.items()) == [("/a/b", ("1", "1")), ("/a/a", ("2", "3"))]
    asked = {"Path": "/a", "Recursive": False, "WithDecryption": True, "MaxResults": 10}
    assert sent(server) == [asked, asked | {"NextToken": "t1"}, asked | {"NextToken": "t2"}]


def test_pages_that_do_not_end_are_left(answers: Any, backend: Any) -> None:
    """The same token twice: ServiceError, after two requests."""
    server = answers({"SecretValues": [], "Parameters": [], "NextToken": "t1"})
    with pytest.raises(ServiceError, match="is not one of this service's"):
        backend.get_secrets(["a"], region=None)
    with pytest.raises(ServiceError, match="is not one of this service's"):
        backend.get_parameters_by_path("/a", region=None, recursive=True, decrypt=True)
    assert server.requests == 4


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ResourceNotFoundException", NotFoundError),
        ("AccessDeniedException", AccessDeniedError),
        ("ThrottlingException", ThrottledError),
        ("InternalServiceError", ServiceError),
        ("DecryptionFailure", FetchError),
    ],
)
def test_an_error_of_one_secret_is_of_its_kind(code: str, kind: type[FetchError], answers: Any, backend: Any) -> None:
    """With all that is known of it; the others are values."""
    answers({"SecretValues": [secret("a", "1")], "Errors": [{"SecretId": "b", "ErrorCode": code, "Message": "why"}]})
    found = backend.get_secrets(["a", "b"], region=None)
    error = found.pop("b")
    assert found == {"a": ("1", "v-1")}
    assert (type(error), error.code, error.name, error.region) == (kind, code, "b", "eu-west-1")
    assert (error.service, error.operation) == ("secretsmanager", "BatchGetSecretValue")
    assert (error.status, error.request_id) == (200, "r-1")
    assert re.search(rf"of 'b' in eu-west-1: {code} .*: why\. ", str(error))


@pytest.mark.parametrize("asked", ["db", f"{ARN}db", f"{ARN}db-AbCdEf"])
@pytest.mark.parametrize("error", [{"ErrorCode": "AccessDeniedException", "Message": "no"}, {}])
def test_an_error_may_name_the_arn(asked: str, error: dict[str, str], answers: Any, backend: Any) -> None:
    """Of a secret that was asked for by name, partial ARN or ARN; code and message may be missing."""
    answers({"Errors": [{"SecretId": f"{ARN}db-AbCdEf", **error}]})
    found = backend.get_secrets([asked], region=None)
    assert (found[asked].name, found[asked].code) == (asked, error.get("ErrorCode"))


def test_a_secret_of_which_nothing_is_said(answers: Any, backend: Any) -> None:
    """Is not in the dict, nor is what was not asked for."""
    answers({"SecretValues": [secret("other", "1")], "Errors": [{"SecretId": "another", "ErrorCode": "X"}]})
    assert backend.get_secrets(["a", "b"], region=None) == {}


def test_a_whole_arn_goes_before_a_partial_one(answers: Any, backend: Any) -> None:
    """A secret's name may end as an ARN does: `db-AbCdEf` beside `db` with the suffix `AbCdEf`."""
    entries = [secret("db", "short"), secret("db-AbCdEf", "long", suffix="xxxxxx")]
    names = [f"{ARN}db-AbCdEf", f"{ARN}db", "db-AbCdEf", f"{ARN}db-AbCdEf-xxxxxx"]
    for ordered in (entries, entries[::-1]):
        answers({"SecretValues": ordered})
        found = backend.get_secrets(names, region=None)
        assert [found[name][0] for name in names] == ["short", "short", "long", "long"]


def test_an_error_beside_a_value_of_the_same_secret(answers: Any, backend: Any) -> None:
    """The value counts."""
    answers({"SecretValues": [secret("a", "1")], "Errors": [{"SecretId": "a", "ErrorCode": "X"}]})
    assert backend.get_secrets(["a"], region=None) == {"a": ("1", "v-1")}


def test_selectors_tell_parameters_apart(answers: Any, backend: Any) -> None:
    """Name, version, label and ARN of one parameter, in any order: each name has exactly its own."""
    entries = [
        parameter("/p", "first", 1, ":1"),
        parameter("/p", "labelled", 2, ":prod"),
        parameter("/p", "newest", 3),
        parameter("/p/q", "other", 9, ":prod"),
    ]
    expected = {
        "/p": ("newest", "3"),
        "/p:1": ("first", "1"),
        "/p:2": ("labelled", "2"),
        "/p:prod": ("labelled", "2"),
        "/p/q:prod": ("other", "9"),
        f"{PARAMETER_ARN}/p": ("newest", "3"),
        f"{PARAMETER_ARN}/p:1": ("first", "1"),
        f"{PARAMETER_ARN}/p:prod": ("labelled", "2"),
    }
    for ordered in (entries, entries[::-1]):
        answers({"Parameters": ordered, "InvalidParameters": ["/missing"]})
        names = [*expected, "/p/q", "/p:beta", "/missing"]
        found = backend.get_parameters(names, region=None, decrypt=True)
        missing = found.pop("/missing")
        assert found == expected
        assert (type(missing), missing.name, missing.code) == (NotFoundError, "/missing", "ParameterNotFound")
        assert (missing.operation, missing.status, missing.request_id) == ("GetParameters", 200, "r-1")


@pytest.mark.parametrize("order", [1, -1])
def test_without_selectors_the_newest_is_that_of_the_name(order: int, answers: Any, backend: Any) -> None:
    """A server that does not repeat them: versions are known all the same, and 10 is newer than 9."""
    answers({"Parameters": [parameter("/p", "old", 9), parameter("/p", "new", 10)][::order]})
    found = backend.get_parameters(["/p", "/p:9", "/p:beta"], region=None, decrypt=True)
    assert found == {"/p": ("new", "10"), "/p:9": ("old", "9")}


def test_a_shared_parameter_has_its_arn_for_a_name(answers: Any, backend: Any) -> None:
    """As those of other accounts have; some answers have no ARN beside it."""
    arn = f"{PARAMETER_ARN}/p"
    answers({"Parameters": [{"Name": arn, "Value": "1", "Version": 2, "Selector": ":2"}]})
    assert backend.get_parameters([f"{arn}:2"], region=None, decrypt=True) == {f"{arn}:2": ("1", "2")}


def test_a_call_that_is_not_allowed_names_them_all(monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    """Up to 200 characters of them."""
    names = [f"/a/{index:03}" for index in range(10)]
    with Answering(aws_json(400, {"__type": "AccessDeniedException", "message": "no"})) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        for call in (
            lambda: backend.get_secrets(names, region=None),
            lambda: backend.get_parameters(names, region=None, decrypt=True),
        ):
            with pytest.raises(AccessDeniedError) as caught:
                call()
            assert caught.value.name == ", ".join(names)


@pytest.mark.parametrize(("length", "shown"), [(199, 199), (200, 200), (201, 203), (5000, 203)])
def test_names_in_a_message_are_cut(length: int, shown: int, monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    """Behind the 200th character."""
    with Answering(aws_json(400, {"__type": "AccessDeniedException", "message": "no"})) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(AccessDeniedError) as caught:
            backend.get_secrets(["x" * (length - 3), "y"], region=None)
    name = caught.value.name
    assert len(name) == shown
    assert name.endswith("...") is (length > 200)
