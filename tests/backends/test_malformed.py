"""An answer that is not what the service answers is a ServiceError: nothing of it is returned, kept or quoted."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lambdakit
from http_server import keeping, response
from lambdakit import BatchError, Environment, LambdakitError, ServiceError

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf"
SECRET = {"Name": "x", "ARN": ARN, "SecretString": "planted", "VersionId": "1"}
PARAMETER = {"Name": "/x", "Value": "planted", "Version": 1}

Get = Callable[[], Any]


def get_secret() -> Any:
    return lambdakit.get_secret("x", ttl=0)


def get_secrets() -> Any:
    return lambdakit.get_secrets(["x", "y"], ttl=0)


def get_parameter() -> Any:
    return lambdakit.get_parameter("/x", ttl=0)


def get_parameters() -> Any:
    return lambdakit.get_parameters(["/x", "/y"], ttl=0)


def by_path() -> Any:
    return lambdakit.get_parameters_by_path("/", ttl=0)


def get_item() -> Any:
    return lambdakit.get_item("t", {"id": "1"}, ttl=0)


def decrypt_env() -> Any:
    return lambdakit.decrypt_env("CIPHER")


def get_app_config() -> Any:
    return lambdakit.get_app_config("a", "e", "p", ttl=0)


GETTERS: list[Get] = [
    *(get_secret, get_secrets, get_parameter, get_parameters, by_path, get_item, decrypt_env, get_app_config)
]

# What any service may answer with by mistake: a proxy's page, nothing, something of another service.
ANYTHING = [
    *(b"<html>planted</html>", b"", b'["planted"]', b'"planted"', b'{"SecretString": "planted', b"[" * 100_000),
]

# Documents that are nearly right.
NEARLY: list[tuple[Get, Any]] = [
    *((get_secret, SECRET | {"SecretString": value}) for value in (5, True, ["planted"], {"planted": 1})),
    *((get_secret, {**SECRET, "SecretString": None, "SecretBinary": value}) for value in (5, None, "planted!", {})),
    *((get_secret, SECRET | {"VersionId": value}) for value in (5, ["planted"])),
    (get_secret, {"Name": "x"}),
    *((get_secrets, {"SecretValues": value}) for value in (5, "planted", [5], [{"Name": "x"}], {"planted": 1})),
    *((get_secrets, {"SecretValues": [SECRET | {name: 5}]}) for name in ("SecretString", "ARN")),
    *((get_secrets, {"SecretValues": [SECRET | {"Name": ["planted"]}]}), (get_secrets, {"NextToken": 5})),
    *((get_secrets, {"Errors": [entry]}) for entry in ({}, {"SecretId": 5}, {"SecretId": "x", "ErrorCode": ["p"]})),
    *((get_parameter, {"Parameter": value}) for value in (None, 5, "planted", [], {})),
    *((get_parameter, {"Parameter": PARAMETER | {"Value": value}}) for value in (5, None, ["planted"])),
    *((get_parameter, {"Parameter": PARAMETER | {"Version": value}}) for value in ("one", [1], {})),
    (get_parameter, json.loads('{"Parameter": {"Name": "/x", "Value": "planted", "Version": Infinity}}')),
    *((get_parameters, {"Parameters": value}) for value in (5, "planted", [5], [{}])),
    *((get_parameters, {"Parameters": [], "InvalidParameters": value}) for value in (5, [["planted"]])),
    *((get_parameters, {"Parameters": [PARAMETER | {name: ["p"]}]}) for name in ("Name", "Value", "Version")),
    *((by_path, {"Parameters": value}) for value in (5, [5], [{}], [PARAMETER | {"Name": 5}])),
    (by_path, {"Parameters": [], "NextToken": 5}),
    *((get_item, {"Item": value}) for value in (5, "planted", ["planted"], {"a": "planted"}, {"a": {}})),
    *((get_item, {"Item": {"a": value}}) for value in ({"S": "p", "N": "1"}, {"Q": "p"}, {"S": 5}, {"N": "p"})),
    *((get_item, {"Item": {"a": value}}) for value in ({"B": "p!"}, {"M": []}, {"L": {}}, {"SS": "p"}, {"NS": [5]})),
    *((get_item, {"Item": {"a": value}}) for value in ({"L": [{"S": 5}]}, {"M": {"b": {"Q": 1}}}, {"BOOL": "p"})),
    *((decrypt_env, {"Plaintext": value}) for value in (5, None, "planted!", ["p"])),
    *((get_app_config, {"InitialConfigurationToken": value}) for value in (5, None, ["planted"], {})),
]


class Said:
    """What a server answers everything with, and what a getter makes of it."""

    def __init__(self) -> None:
        self.answer = b""
        self.then: bytes | None = None

    def next(self, head: bytes, body: bytes) -> bytes:
        answer, self.answer = self.answer, self.answer if self.then is None else self.then
        return answer

    def errors(self, get: Get, answer: bytes, then: bytes | None = None) -> list[BaseException]:
        """Of one answer, or of one and another."""
        self.answer, self.then = answer, then
        with pytest.raises(LambdakitError) as caught:
            get()
        assert lambdakit.stats()["entries"] == 0
        error = caught.value
        return [*error.errors.values()] if isinstance(error, BatchError) else [error]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    """A server for all services."""
    said = Said()
    monkeypatch.setenv("CIPHER", "AAAA")
    with keeping(answer=said.next) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
        yield said


@pytest.mark.parametrize("backend", ["direct", "sdk"])
@pytest.mark.parametrize("get", GETTERS)
def test_what_is_no_answer_of_a_service(get: Get, backend: str, said: Said) -> None:
    """To every operation, with a status of 200; not an item that is not there, nor an empty list."""
    env = Environment(backend=backend)
    with lambdakit.use_environment(env):
        for body in ANYTHING:
            for error in said.errors(get, response(200, body)):
                assert type(error) is ServiceError, body[:20]
                assert "planted" not in "".join(traceback.format_exception(error, chain=False))
    env.close()


@pytest.mark.parametrize("get", GETTERS)
def test_what_is_nearly_an_answer(get: Get, env: Environment, said: Said) -> None:
    """Of each member something else than it is."""
    for answer in [answer for getter, answer in NEARLY if getter is get]:
        for error in said.errors(get, response(200, json.dumps(answer).encode())):
            assert type(error) is ServiceError, answer
            assert "planted" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("interval", ["nan", "-1", "inf", "soon", "1e9"])
def test_a_poll_that_says_a_wrong_time(interval: str, env: Environment, said: Said) -> None:
    """A configuration would be kept for ever, or never."""
    start = response(201, b'{"InitialConfigurationToken": "t"}')
    headers = {"Next_Poll_Configuration_Token": "t", "Next_Poll_Interval_In_Seconds": interval}
    errors = said.errors(get_app_config, start, response(200, b"planted", **headers))
    assert [type(error) for error in errors] == [ServiceError]


def test_a_stale_value_is_served_meanwhile(env: Environment, said: Said) -> None:
    """It is the server's fault, which passes."""
    said.answer, said.then = response(200, json.dumps(SECRET).encode()), response(200, b"<html>")
    assert [get_secret() for _ in range(2)] == ["planted", "planted"]
