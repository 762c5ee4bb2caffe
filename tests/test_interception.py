"""Tools of tests and instrumentations: each sees what docs/testing-tools.md says, whenever it begins and ends."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import io
import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import boto3
import botocore.client
import botocore.exceptions
import httpx
import moto
import placebo
import pook
import pytest
import requests
import requests_mock
import responses
import respx
import vcr
import wrapt
import yaml
from botocore import xform_name
from botocore.response import StreamingBody
from botocore.stub import Stubber
from tools.interception import (
    CLIENTS,
    FRONTS,
    HTTP,
    HTTPX,
    INSTRUMENTED,
    LAWS,
    MOTO,
    OF_AWS,
    PATCHED,
    PLACEBO,
    POOK,
    REQUESTS,
    REQUESTS_MOCK,
    RESPONSES,
    RESPX,
    STUBBER,
    VALUES,
    VCR,
    law,
)

import lambdakit
from http_server import KeepingServer, keeping, response
from lambdakit import Environment, http, oauth_token
from lambdakit._backends import Backends

REAL, TOLD = "real", "told"  # by the server, and by the tool

# ------------------------------------------------------------------------------------------------------ calls of AWS


class Call(NamedTuple):
    """A call of an API: the service, the operation, what it answers of a value; and where it goes, if not to ``/``."""

    service: str
    operation: str
    answer: Callable[[str], dict[str, Any]]
    method: str = "POST"
    path: str = "/"

    def stream(self, value: str) -> bytes | None:
        """The member that is the body, if there is one."""
        return next((one for one in self.answer(value).values() if isinstance(one, bytes) and self.path != "/"), None)

    def members(self, value: str) -> dict[str, Any]:
        """The answer as the SDK has it."""
        body = self.stream(value)
        wrapped = None if body is None else StreamingBody(io.BytesIO(body), len(body))
        return {name: wrapped if one is body and body else one for name, one in self.answer(value).items()}

    def wire(self, value: str) -> tuple[bytes, dict[str, str]]:
        """Its body and headers, as the service sends it."""
        members, body = self.answer(value), self.stream(value)
        if body is None:
            document = json.dumps(members, default=lambda one: base64.b64encode(one).decode())
            return document.encode(), {"Content-Type": "application/x-amz-json-1.1"}
        return body, {
            "Next-Poll-Configuration-Token": "t2",
            "Next-Poll-Interval-In-Seconds": "60",
            "Content-Type": "text/plain",
        }


def _parameter(value: str) -> dict[str, Any]:
    return {"Name": "/p/x", "Value": value, "Version": 1, "Type": "String"}


ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:s-AbCdEf"
VERSION = "v" * 32
CALLS = {
    "secret": Call(
        "secretsmanager",
        "GetSecretValue",
        lambda value: {"ARN": ARN, "Name": "s", "VersionId": VERSION, "SecretString": value},
    ),
    "secrets": Call(
        "secretsmanager",
        "BatchGetSecretValue",
        lambda value: {
            "SecretValues": [{"ARN": ARN, "Name": one, "VersionId": VERSION, "SecretString": value} for one in "st"]
        },
    ),
    "parameter": Call("ssm", "GetParameter", lambda value: {"Parameter": _parameter(value)}),
    "parameters": Call(
        "ssm",
        "GetParameters",
        lambda value: {"Parameters": [_parameter(value), _parameter(value) | {"Name": "/p/y"}]},
    ),
    "path": Call("ssm", "GetParametersByPath", lambda value: {"Parameters": [_parameter(value)]}),
    "item": Call("dynamodb", "GetItem", lambda value: {"Item": {"id": {"S": "i"}, "v": {"S": value}}}),
    "decrypt": Call("kms", "Decrypt", lambda value: {"Plaintext": value.encode()}),
    "session": Call(
        "appconfigdata",
        "StartConfigurationSession",
        lambda _: {"InitialConfigurationToken": "t1"},
        path="/configurationsessions",
    ),
    "configuration": Call(
        "appconfigdata",
        "GetLatestConfiguration",
        lambda value: {
            "NextPollConfigurationToken": "t2",
            "NextPollIntervalInSeconds": 60,
            "Configuration": value.encode(),
        },
        method="GET",
        path="/configuration?configuration_token=t1",
    ),
    "invoke": Call(
        "lambda",
        "Invoke",
        lambda _: {"StatusCode": 200, "Payload": b"{}"},
        path="/2015-03-31/functions/f/invocations",
    ),
}


def preloaded() -> Any:
    """A secret that INIT has fetched."""
    lambdakit.environment().preload(lambdakit.secret("s"))
    return lambdakit.get_secret("s")


def invoked() -> Any:
    """What a ping that is passed on sends."""
    lambdakit.environment()._parts[Backends].operations.invoke("f", b"{}", region=None, qualifier=None, wait=True)
    return ""


class Front(NamedTuple):
    """One of lambdakit's functions: the column of the table, what is called, and the calls of AWS that it makes."""

    column: str
    ask: Callable[[], Any]
    calls: tuple[Call, ...] = ()


def _values(ask: Callable[[], Any], *calls: str) -> Front:
    return Front(VALUES, ask, tuple(CALLS[call] for call in calls))


def _client(ask: Callable[[], Any], call: str) -> Front:
    return Front(CLIENTS, ask, (CALLS[call],))


def patched(library: str, ask: Callable[[], Any]) -> Callable[[], Any]:
    """The same where the library is patched."""

    def ask_patched() -> Any:
        lambdakit.patch(library)
        try:
            return ask()
        finally:
            lambdakit.unpatch(library)

    return ask_patched


AWS = {
    "get_secret": _values(lambda: lambdakit.get_secret("s"), "secret"),
    "get_secrets": _values(lambda: lambdakit.get_secrets(["s", "t"])["t"], "secrets"),
    "get_parameter": _values(lambda: lambdakit.get_parameter("/p/x"), "parameter"),
    "get_parameters": _values(lambda: lambdakit.get_parameters(["/p/x", "/p/y"])["/p/y"], "parameters"),
    "get_parameters_by_path": _values(lambda: lambdakit.get_parameters_by_path("/p"), "path"),
    "get_item": _values(lambda: lambdakit.get_item("t", {"id": "i"}), "item"),
    "get_app_config": _values(lambda: lambdakit.get_app_config("a", "e", "p"), "session", "configuration"),
    "decrypt_env": _values(lambda: lambdakit.decrypt_env("SEALED"), "decrypt"),
    "preload": _values(preloaded, "secret"),
    "fan_out": _values(invoked, "invoke"),
    "client": _client(lambda: lambdakit.client("ssm").get_parameter(Name="/p/x")["Parameter"], "parameter"),
    "resource": _client(lambda: lambdakit.resource("dynamodb").Table("t").get_item(Key={"id": "i"})["Item"], "item"),
    "patched boto3.client": _client(
        patched("boto3", lambda: boto3.client("ssm").get_parameter(Name="/p/x")["Parameter"]), "parameter"
    ),
}


def document(value: str) -> str:
    """What each URL answers: a token, among others."""
    return json.dumps({"access_token": value, "token_type": "bearer", "expires_in": 3600})


class Shop:
    """The functions that ask a server of no AWS: each kind once."""

    def __init__(self, url: str) -> None:
        self._tokens = 0
        self._loop = asyncio.new_event_loop()
        self.fronts = {
            "http.get": Front(HTTP, lambda: http.get(url).data),
            "http.post": Front(HTTP, lambda: http.post(url, json={"a": 1}).data),
            "pool": Front(HTTP, lambda: http.pool().request("GET", url).data),
            "oauth_token": Front(HTTP, lambda: self._token(url)),
            "requests_session": Front(REQUESTS, lambda: http.requests_session().get(url).content),
            "patched requests": Front(REQUESTS, patched("requests", lambda: requests.get(url, timeout=9).content)),
            "httpx_client": Front(HTTPX, lambda: http.httpx_client().get(url).content),
            "httpx_async_client": Front(HTTPX, lambda: self._loop.run_until_complete(self._async(url))),
            "patched httpx": Front(HTTPX, patched("httpx", lambda: httpx.get(url).content)),
        }

    def _token(self, url: str) -> str:
        self._tokens += 1  # another client each time: what is kept asks nobody
        return str(oauth_token(url, client_id=f"c{self._tokens}", client_secret="s"))

    async def _async(self, url: str) -> bytes:
        return (await http.httpx_async_client().get(url)).content

    def close(self) -> None:
        """With the connections of its loop."""
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


SHOP = [
    *("http.get", "http.post", "pool", "oauth_token", "requests_session", "patched requests"),
    *("httpx_client", "httpx_async_client", "patched httpx"),
]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeepingServer]:
    """All services of AWS and a shop, which say that they are real."""

    def answer(head: bytes, _: bytes) -> bytes:
        method, target, *_rest = head.split(None, 2)
        name = head.lower().partition(b"x-amz-target: ")[2].partition(b"\r\n")[0].rpartition(b".")[2].decode()
        for call in CALLS.values():
            there = name == call.operation.lower() if name else target.decode() == call.path != "/"
            if there and method.decode() == call.method:
                body, headers = call.wire(REAL)
                return response(200, body, **{key.replace("-", "_"): text for key, text in headers.items()})
        return response(200, document(REAL).encode(), Content_Type="application/json")

    with keeping(answer=answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("SEALED", base64.b64encode(b"sealed").decode())
        yield server


@pytest.fixture
def env(server: KeepingServer) -> Iterator[Environment]:
    """An environment whose backend is chosen by `auto`."""
    env = Environment(backend="auto")
    with lambdakit.use_environment(env):
        yield env
    env.close()
    boto3.DEFAULT_SESSION = None


# ------------------------------------------------------------------------------------------------------------- tools

Tool = Callable[[KeepingServer, Front], contextlib.AbstractContextManager[Any]]


@contextlib.contextmanager
def stubber(_: KeepingServer, front: Front) -> Iterator[None]:
    """Answers of the client that the environment keeps, or of the one below a resource."""
    with contextlib.ExitStack() as stack:
        for service in dict.fromkeys(call.service for call in front.calls):
            client = lambdakit.client(service)
            if front is AWS["resource"]:
                client = lambdakit.resource(service).meta.client
            stubbed = Stubber(client)
            for _ in range(2):
                for call in front.calls:
                    stubbed.add_response(xform_name(call.operation), call.members(TOLD))
            stack.enter_context(stubbed)
        yield


def _told(front: Front, operation: str) -> Any:
    return next(call.members(TOLD) for call in front.calls if call.operation == operation)


@contextlib.contextmanager
def make_api_call(_: KeepingServer, front: Front) -> Iterator[None]:
    """Answers of a function in its place, which know nothing of HTTP."""
    with mock.patch.object(botocore.client.BaseClient, "_make_api_call", lambda _, name, __: _told(front, name)):
        yield


@contextlib.contextmanager
def instrumented(_: KeepingServer, front: Front) -> Iterator[None]:
    """As tracers do it: they see the call, and here they answer it too."""

    def around(_wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        return _told(front, args[0])

    original = botocore.client.BaseClient.__dict__["_make_api_call"]
    wrapt.wrap_function_wrapper("botocore.client", "BaseClient._make_api_call", around)
    try:
        yield
    finally:
        botocore.client.BaseClient._make_api_call = original


@contextlib.contextmanager
def pill(_: KeepingServer, front: Front, tmp_path: Path) -> Iterator[None]:
    """Recorded answers, for clients that the recorder was given."""
    recorder = placebo.attach(boto3.Session(), str(tmp_path))
    for call in front.calls:
        recorder.save_response(call.service, call.operation, call.members(TOLD))
        client = lambdakit.client(call.service)
        if front is AWS["resource"]:
            client = lambdakit.resource(call.service).meta.client
        recorder.add_client(client)
    recorder.playback()
    try:
        yield
    finally:
        recorder.stop()


def exchanges(server: KeepingServer, front: Front) -> list[tuple[str, str, bytes, dict[str, str]]]:
    """Method, URL, body and headers of each answer, for tools that answer HTTP."""
    if front.calls:
        return [(call.method, server.url + call.path, *call.wire(TOLD)) for call in front.calls]
    return [(method, f"{server.url}/x", document(TOLD).encode(), {}) for method in ("GET", "POST")]


@contextlib.contextmanager
def cassette(server: KeepingServer, front: Front, tmp_path: Path) -> Iterator[None]:
    """A tape of answers."""
    tape = tmp_path / "tape.yaml"
    interactions = [
        {
            "request": {"method": method, "uri": url, "body": None, "headers": {}},
            "response": {
                "status": {"code": 200, "message": "OK"},
                "headers": {name: [text] for name, text in {**headers, "Content-Length": str(len(body))}.items()},
                "body": {"string": body},
            },
        }
        for method, url, body, headers in exchanges(server, front)
    ]
    tape.write_text(yaml.safe_dump({"version": 1, "interactions": interactions}), "utf-8")
    with vcr.use_cassette(str(tape), record_mode="none", allow_playback_repeats=True):
        yield


@contextlib.contextmanager
def pooked(server: KeepingServer, front: Front) -> Iterator[None]:
    """Answers of pook."""
    pook.on()
    try:
        for method, url, body, headers in exchanges(server, front):
            answer = pook.mock(url.partition("?")[0], method=method, persist=True)
            answer.reply(200).headers(headers).body(body)
        yield
    finally:
        pook.off()
        pook.reset()


@contextlib.contextmanager
def of_requests(server: KeepingServer, front: Front) -> Iterator[None]:
    """Answers of responses; what it does not know goes on."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as answers:
        for method, url, body, headers in exchanges(server, front):
            answers.add(method, url, body=body, headers=headers)
        yield


@contextlib.contextmanager
def of_requests_mock(server: KeepingServer, front: Front) -> Iterator[None]:
    """Answers of requests-mock."""
    with requests_mock.Mocker() as answers:
        for method, url, body, headers in exchanges(server, front):
            answers.request(method, url, content=body, headers=headers)
        yield


@contextlib.contextmanager
def respected(server: KeepingServer, front: Front) -> Iterator[None]:
    """Answers of respx."""
    with respx.mock(assert_all_called=False) as router:
        for method, url, body, headers in exchanges(server, front):
            router.request(method, url).respond(content=body, headers=headers)
        yield


@pytest.fixture
def tools(tmp_path: Path) -> dict[str, Tool]:
    """All of them, but for moto, which has no answers but a state."""
    return {
        STUBBER: stubber,
        PATCHED: make_api_call,
        INSTRUMENTED: instrumented,
        PLACEBO: functools.partial(pill, tmp_path=tmp_path),
        VCR: functools.partial(cassette, tmp_path=tmp_path),
        POOK: pooked,
        RESPONSES: of_requests,
        REQUESTS_MOCK: of_requests_mock,
        RESPX: respected,
    }


# -------------------------------------------------------------------------------------------------------------- laws

NOT_RECORDED = {"decrypt_env", "fan_out", "get_app_config"}  # placebo writes JSON, which has no bytes


def sees(tool: str, name: str) -> bool:
    """Whether the tool can answer it at all."""
    return tool != PLACEBO or name not in NOT_RECORDED


ASKED = [
    *((tool, name) for tool in LAWS if tool in (*OF_AWS[1:], VCR, POOK) for name in AWS if sees(tool, name)),
    *((tool, name) for tool in (RESPONSES, REQUESTS_MOCK, RESPX) for name in ("get_secret", "client")),  # nothing
    *((tool, name) for tool in LAWS if tool not in OF_AWS for name in SHOP),
]


@pytest.mark.parametrize("used", [False, True], ids=["first use within", "used before"])
@pytest.mark.parametrize(("tool", "name"), ASKED)
def test_a_tool_sees_what_the_page_says(
    tool: str, name: str, used: bool, tools: dict[str, Tool], env: Environment, server: KeepingServer
) -> None:
    """Also what was connected before it began; what it does not see reaches the server, and so does all after it."""
    shop = Shop(f"{server.url}/x")
    front = AWS[name] if name in AWS else shop.fronts[name]

    def ask() -> tuple[str, bool]:
        lambdakit.clear()
        env._parts.made.pop(_app_configs(), None)
        before = len(server.requests)
        answered = str(front.ask())
        return next((one for one in (TOLD, REAL) if one in answered), ""), len(server.requests) > before

    def outcome(seen: bool) -> tuple[str, bool]:
        return "" if name == "fan_out" else TOLD if seen else REAL, not seen

    if used:
        assert ask() == outcome(False)
    for _ in range(2):
        with tools[tool](server, front):
            assert ask() == outcome(law(tool, front.column))
    assert ask() == outcome(False)
    env.close()
    shop.close()


def _app_configs() -> Any:
    return getattr(sys.modules.get("lambdakit._values.app_config"), "Configurations", None)


# -- moto, which has no answers but a state


@pytest.fixture
def offline(env: Environment, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Nothing beyond this machine is looked up; AWS is where it is."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    resolve = socket.getaddrinfo

    def local(host: Any, *args: Any, **options: Any) -> Any:
        if host not in ("127.0.0.1", b"127.0.0.1"):
            raise socket.gaierror(f"{host!r} is looked up")
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    return env


def fill() -> None:
    """moto's AWS with a value of each kind."""
    secrets, parameters = boto3.client("secretsmanager"), boto3.client("ssm")
    for name in "st":
        secrets.create_secret(Name=name, SecretString=TOLD)
    for name in "xy":
        parameters.put_parameter(Name=f"/p/{name}", Value=TOLD, Type="SecureString")
    table = boto3.client("dynamodb")
    attribute = {"AttributeName": "id"}
    table.create_table(
        TableName="t",
        KeySchema=[{**attribute, "KeyType": "HASH"}],
        AttributeDefinitions=[{**attribute, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    table.put_item(TableName="t", Item={"id": {"S": "i"}, "v": {"S": TOLD}})


def seal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that `decrypt_env` reads."""
    kms = boto3.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    sealed = kms.encrypt(KeyId=key, Plaintext=TOLD.encode())["CiphertextBlob"]
    monkeypatch.setenv("SEALED", base64.b64encode(sealed).decode())


OF_MOTO = [name for name in AWS if name not in {"get_app_config", "fan_out"}]  # of which it knows nothing


@pytest.mark.parametrize("used", [False, True], ids=["first use within", "used before"])
def test_mock_aws_answers_values_and_clients(used: bool, offline: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, also over clients that were made before, in one mock after another; after them it is AWS again."""
    for name in OF_MOTO if used else ():
        with contextlib.suppress(lambdakit.LambdakitError, botocore.exceptions.EndpointConnectionError):
            AWS[name].ask()
            pytest.fail(f"{name} was answered")
    for _ in range(2):
        lambdakit.clear()
        with moto.mock_aws():
            fill()
            seal(monkeypatch)
            for name in OF_MOTO:
                assert TOLD in str(AWS[name].ask()), name
        lambdakit.clear()
        with pytest.raises(lambdakit.NetworkError):
            lambdakit.get_secret("s")
    assert law(MOTO, VALUES)
    assert law(MOTO, CLIENTS)


def test_mock_aws_needs_no_connection(offline: Environment) -> None:
    """`prime` opens none: the name is not even looked up."""
    client = lambdakit.client("sqs")
    with moto.mock_aws():
        assert not lambdakit.prime(client)
    with pytest.raises(lambdakit.NetworkError):
        lambdakit.prime(client)


@pytest.mark.parametrize("name", ["get_app_config", "fan_out"])
def test_what_mock_aws_does_not_know_is_not_sent(name: str, offline: Environment) -> None:
    """It is an error, and not a request to AWS."""
    with moto.mock_aws(), pytest.raises(lambdakit.FetchError) as caught:
        AWS[name].ask()
    assert not isinstance(caught.value, lambdakit.NetworkError)


def test_an_explicit_direct_is_not_seen_and_has_no_real_credentials(server: KeepingServer) -> None:
    """Who names the backend gets it; what it sends within a mock are the mock's credentials."""
    with lambdakit.use_environment(Environment(backend="direct")) as direct:
        for within in (contextlib.nullcontext(), moto.mock_aws()):
            with within:
                assert lambdakit.get_secret("s", ttl=0) == REAL
        direct.close()
    assert [b"FOOBARKEY" in head for head, _ in server.requests] == [False, True]


def test_the_table_knows_every_front() -> None:
    """Each column has functions here, and each function a column."""
    shop = Shop("http://127.0.0.1:1/x")
    assert [*shop.fronts] == SHOP
    assert {front.column for front in [*AWS.values(), *shop.fronts.values()]} == {*FRONTS}
    shop.close()
