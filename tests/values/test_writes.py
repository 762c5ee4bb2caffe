"""Secrets and parameters that are written: the service has them, and memory finds them without a fetch."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import pytest

import lambdakit
from answering import Answering, aws_json
from choosing import backend_of
from lambdakit import ConfigurationError, Environment, FetchError, NetworkError, NotFoundError, ServiceError
from lambdakit.testing import MemoryBackend

if TYPE_CHECKING:
    import boto3

AWAY = "us-west-2"
VALUE = str(10**20)  # a text that stands in no line of a traceback


class Calls:
    """How many fetches a block needed."""

    def __enter__(self) -> Self:
        self._before = lambdakit.stats()["fetches"]
        return self

    def __exit__(self, *_: object) -> None:
        self.fetches = lambdakit.stats()["fetches"] - self._before


@pytest.fixture(params=["direct", "sdk", "auto", "extension", "memory"])
def each(request: pytest.FixtureRequest, aws: boto3.session.Session) -> Iterator[Environment]:
    """Of each backend, with one secret and one parameter."""
    aws.client("secretsmanager").create_secret(Name="db", SecretString="old")
    aws.client("ssm").put_parameter(Name="/p/flag", Value="old", Type="SecureString")
    memory = MemoryBackend(secrets={"db": "old"}, parameters={"/p/flag": "old"})
    env = Environment(backend=memory if request.param == "memory" else request.param)
    with lambdakit.use_environment(env):
        yield env
    env.close()


@pytest.mark.parametrize("value", ["text", b"\x00\xff", {"user": "shop", "port": 1}])
def test_a_secret(value: Any, each: Environment) -> None:
    """What is read afterwards is what was written, with its version; another environment reads the same."""
    stored = json.dumps(value) if isinstance(value, dict) else value
    assert lambdakit.get_secret("db") == "old"
    version = lambdakit.set_secret("db", value)
    with Calls() as calls:
        assert lambdakit.get_secret("db") == stored
        assert lambdakit.get_secrets(["db"]) == {"db": stored}
    assert calls.fetches == 0
    assert backend_of(each).get_secret("db", region=None, version_id=None, version_stage=None) == (stored, version)


def test_a_parameter(each: Environment) -> None:
    """As it is, in a list of its path too; the next version has the next number."""
    assert lambdakit.get_parameters_by_path("/p") == {"/p/flag": "old"}
    assert lambdakit.set_parameter("/p/flag", "new", overwrite=True) == 2
    assert lambdakit.set_parameter("/p/list", "a,b", parameter_type="StringList") == 1
    with Calls() as calls:
        assert lambdakit.get_parameter("/p/flag") == "new"
        assert lambdakit.get_parameter("/p/list") == "a,b"
    assert calls.fetches == 0
    assert lambdakit.get_parameters_by_path("/p") == {"/p/flag": "new", "/p/list": "a,b"}
    assert backend_of(each).get_parameter("/p/flag", region=None, decrypt=True) == ("new", "2")


def test_a_parameter_that_is_there_is_not_overwritten(each: Environment) -> None:
    """Unless it is said; what is in memory is asked for anew."""
    assert lambdakit.get_parameter("/p/flag") == "old"
    with pytest.raises(FetchError) as caught:
        lambdakit.set_parameter("/p/flag", "new")
    assert caught.value.code == "ParameterAlreadyExists"
    assert lambdakit.get_parameter("/p/flag") == "old"


def test_a_secret_that_is_not_there(each: Environment) -> None:
    """Is not made: nobody has said its key, its policy, its tags."""
    with pytest.raises(NotFoundError):
        lambdakit.set_secret("missing", "x")


def test_what_is_tied_to_a_value_notices(each: Environment) -> None:
    """A singleton that depends on it is built anew."""
    database = lambdakit.singleton(
        lambda: [lambdakit.get_secret("db")], depends_on=lambdakit.secret("db"), check=lambda value: True
    )
    assert database() == ["old"]
    lambdakit.set_secret("db", "new")
    assert database() == ["new"]


@pytest.mark.parametrize("backend", ["direct", "sdk"])
def test_what_is_sent(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The members of the API, and nothing that was not given; an ARN goes to its region."""
    arn = f"arn:aws:secretsmanager:{AWAY}:123456789012:secret:db-AbCdEf"
    answer = {"Name": "db", "ARN": arn, "VersionId": "v", "Version": 7}
    with Answering(aws_json(200, answer)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        env = Environment(backend=backend)
        with lambdakit.use_environment(env):
            assert lambdakit.set_secret(arn, b"\x00", version_stages=["AWSPENDING"]) == "v"
            assert lambdakit.set_secret(arn, "text") == "v"
            assert lambdakit.get_secret(arn) == "text"
            assert lambdakit.set_parameter("/a", "1", region=AWAY) == 7
            assert lambdakit.set_parameter("/a", "1", overwrite=True) == 7
            key: Any = {"parameter_type": "SecureString", "kms_key_id": "alias/k"}
            assert lambdakit.set_parameter("/a", "1", overwrite=True, **key) == 7
        env.close()
    sent = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.received]
    tokens = [document.pop("ClientRequestToken") for document in sent[:2]]
    assert len({*tokens}) == 2
    assert all(32 <= len(token) <= 64 for token in tokens)
    assert sent == [
        {"SecretId": arn, "SecretBinary": "AA==", "VersionStages": ["AWSPENDING"]},
        {"SecretId": arn, "SecretString": "text"},
        {"Name": "/a", "Value": "1", "Overwrite": False, "Type": "String"},
        {"Name": "/a", "Value": "1", "Overwrite": True},
        {"Name": "/a", "Value": "1", "Overwrite": True, "Type": "SecureString", "KeyId": "alias/k"},
    ]
    regions = [AWAY.encode() in request.partition(b"\r\n\r\n")[0] for request in server.received]
    assert regions == [True, True, True, False, False]


def test_what_is_only_pending_is_not_the_current_value() -> None:
    """Memory keeps nothing of it, and fetches."""
    backend = MemoryBackend(secrets={"db": "old"})
    with lambdakit.use_environment(Environment(backend=backend)):
        lambdakit.get_secret("db")
        lambdakit.set_secret("db", "next", version_stages=("AWSPENDING",))
        assert lambdakit.get_secret("db") == "old"
        lambdakit.set_secret("db", "next", version_stages=("AWSPENDING", "AWSCURRENT"))
        assert lambdakit.get_secret("db") == "next"


def test_other_names_of_a_secret_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read by name and by ARN."""
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf"
    common = {"Name": "db", "ARN": arn, "VersionId": "v"}
    old, new = (aws_json(200, common | {"SecretString": value}) for value in ("old", "new"))
    with Answering(old, aws_json(200, common), new) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        assert lambdakit.get_secret(arn) == "old"
        lambdakit.set_secret("db", "new")
        assert (lambdakit.get_secret("db"), lambdakit.get_secret(arn)) == ("new", "new")
        assert server.requests == 3


def test_nobody_knows_whether_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has forgotten it. What may be done twice is sent again: a secret, and what may be overwritten."""
    counts: list[int] = []
    with Answering(None) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        env = Environment(backend="direct")
        with lambdakit.use_environment(env):
            for put in (
                lambda: lambdakit.set_secret("db", VALUE),
                lambda: lambdakit.set_parameter("/a", VALUE, overwrite=True),
                lambda: lambdakit.set_parameter("/a", VALUE),
            ):
                with pytest.raises(NetworkError) as caught:
                    put()
                assert VALUE not in "".join(traceback.format_exception(caught.value))
                counts.append(server.requests)
        env.close()
    assert counts == [3, 6, 7]


@pytest.mark.parametrize(
    "answer", [{}, [], {"VersionId": "v"}, {"VersionId": 5, "Name": "x", "ARN": "a"}, {"Version": "one"}]
)
def test_an_answer_that_is_none(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """ServiceError; nothing is kept."""
    with Answering(aws_json(200, answer)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        for put in (lambda: lambdakit.set_secret("x", "1"), lambda: lambdakit.set_parameter("x", "1")):
            with pytest.raises(ServiceError):
                put()
        assert lambdakit.stats()["entries"] == 0


def test_a_fetch_that_was_under_way_does_not_bring_the_old_value_back() -> None:
    """Whoever waited for it gets it; memory has what was written."""
    asked, go = threading.Event(), threading.Event()

    class Slow(MemoryBackend):
        def get_secret(self, name: str, **options: Any) -> Any:
            found = super().get_secret(name, **options)
            asked.set()
            assert go.wait(10)
            return found

    with lambdakit.use_environment(Environment(backend=Slow(secrets={"db": "old"}))):
        thread = threading.Thread(target=lambdakit.get_secret, args=("db",))
        thread.start()
        assert asked.wait(10)
        lambdakit.set_secret("db", "new")
        go.set()
        thread.join()
        assert lambdakit.get_secret("db") == "new"


def test_a_backend_that_cannot_write_is_not_passed_over() -> None:
    """A test with values of its own does not write to AWS."""

    class Reader:
        name = "reader"

    reader: Any = Reader()
    with lambdakit.use_environment(Environment(backend=reader)):
        with pytest.raises(ConfigurationError, match="Reader has no put_secret; nothing is written"):
            lambdakit.set_secret("x", "1")
        with pytest.raises(ConfigurationError, match="Reader has no put_parameter; nothing is written"):
            lambdakit.set_parameter("x", "1")


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (lambda: lambdakit.set_secret("", "x"), "name=''"),
        (lambda: lambdakit.set_secret("x", 5), "value: give a string, bytes or a dictionary, not int"),  # type: ignore[arg-type]
        (lambda: lambdakit.set_secret("x", {"a": {1}}), "value: the dictionary has something in it that JSON has not"),
        (lambda: lambdakit.set_secret("x", {"a": float("nan")}), "value: the dictionary has something"),
        (lambda: lambdakit.set_secret("x", "1", version_stages="A"), "version_stages: give a list of labels"),
        (lambda: lambdakit.set_secret("x", "1", version_stages=[]), "version_stages: give a list of labels"),
        (lambda: lambdakit.set_secret("x", "1", version_stages=[""]), "version_stages=''"),
        (lambda: lambdakit.set_parameter("x", b"1"), "value: give a string, not bytes"),  # type: ignore[arg-type]
        (lambda: lambdakit.set_parameter("x", "1", parameter_type="Text"), "parameter_type='Text': give one of"),  # type: ignore[arg-type]
        (lambda: lambdakit.set_parameter("x", "1", overwrite=1), "overwrite=1: give True or False"),  # type: ignore[arg-type]
        (lambda: lambdakit.set_parameter("x", "1", kms_key_id=""), "kms_key_id=''"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_sent(put: Any, said: str) -> None:
    """It names the argument, and nothing of the value."""
    backend = MemoryBackend(secrets={"x": "1"}, parameters={"x": "1"})
    with lambdakit.use_environment(Environment(backend=backend)), pytest.raises(ConfigurationError, match=said):
        put()
    assert backend.calls == []
