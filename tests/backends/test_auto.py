"""The backend `auto`: which of the two answers, decided for each call. And which is called where no value is meant."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from reprs import clients_of
from running import invocation

import lambdakit
from choosing import backend_of
from http_server import KeepingServer, keeping, response
from lambdakit import Environment
from lambdakit._backends import Backends
from lambdakit._backends.direct import AutoBackend, DirectBackend
from lambdakit._backends.sdk import SdkBackend
from lambdakit.testing import MemoryBackend

ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"
DIRECT, SDK = "direct", "sdk"

Documents = Callable[[dict[str, Any]], Any]


def answering(documents: Documents) -> Callable[[bytes, bytes], bytes]:
    """Answer each document with what this makes of it, as the services do."""

    def answer(head: bytes, body: bytes) -> bytes:
        document = documents(json.loads(body or b"{}"))
        return response(200, json.dumps(document).encode(), Content_Type="application/x-amz-json-1.1")

    return answer


def callers(server: KeepingServer) -> list[str]:
    """Who has sent each request: it says so."""
    agents = [head.lower().partition(b"user-agent: ")[2].partition(b"\r\n")[0] for head, _ in server.requests]
    assert all(agent == b"lambdakit" or b"botocore" in agent for agent in agents)
    return [DIRECT if agent == b"lambdakit" else SDK for agent in agents]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeepingServer]:
    """All services of AWS, which have one value each."""

    def document(_: dict[str, Any]) -> dict[str, Any]:
        parameter = {"Name": "/x", "Value": "1", "Version": 1}
        return {"SecretString": "1", "VersionId": "v" * 32, "Parameter": parameter, "Item": {}}

    with keeping(answer=answering(document)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield server


@pytest.fixture
def env() -> Iterator[Environment]:
    """An environment whose backend is chosen by `auto`."""
    env = Environment(backend="auto")
    with lambdakit.use_environment(env):
        yield env
    env.close()


def get_secret(env: Environment, region: str | None = None) -> None:
    backend_of(env).get_secret("x", region=region, version_id=None, version_stage=None)


def get_item(env: Environment, table: str = "orders") -> None:
    backend_of(env).get_item(table, {"id": {"S": "x"}}, region=None, consistent=False)


def test_each_call_is_decided_by_itself(
    env: Environment, server: KeepingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one environment: a variable that comes takes the SDK, one that goes takes direct again."""
    for mode in ("", "standard", ""):
        monkeypatch.setenv("AWS_RETRY_MODE", mode)
        lambdakit.get_secret("x", ttl=0)
    assert callers(server) == [DIRECT, SDK, DIRECT]
    assert clients_of(env) == 1


def test_each_region_is_decided_by_itself(env: Environment, server: KeepingServer) -> None:
    """One that direct does not know is the SDK's."""
    for region in (None, "aws-global", "us-east-1"):
        get_secret(env, region)
    assert callers(server) == [DIRECT, SDK, DIRECT]


def test_each_table_is_decided_by_itself(env: Environment, server: KeepingServer) -> None:
    """One that names its account may have an endpoint of the account's."""
    for table in ("orders", ARN, "orders"):
        get_item(env, table)
    assert callers(server) == [DIRECT, SDK, DIRECT]


@pytest.mark.parametrize("mode", ["", "standard"])
@pytest.mark.parametrize("path", ["", "/a%20b"])
@pytest.mark.parametrize("account", ["", "123456789012"])
def test_each_service_is_decided_by_itself(
    mode: str, path: str, account: str, env: Environment, server: KeepingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that only the SDK understands is one service's, an account counts for items; a retry mode for all."""
    monkeypatch.setenv("AWS_RETRY_MODE", mode)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", f"{server.url}{path}")
    monkeypatch.setenv("AWS_ACCOUNT_ID", account)
    get_secret(env)
    lambdakit.get_parameter("/x")
    get_item(env)
    assert callers(server) == [SDK if any(reasons) else DIRECT for reasons in ((mode,), (mode, path), (mode, account))]


@pytest.mark.parametrize("modes", [("", "standard"), ("standard", "")])
@pytest.mark.parametrize("kind", ["secrets", "path"])
def test_each_page_is_decided_by_itself(
    kind: str, modes: tuple[str, str], env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes while a batch is fetched counts from the next page on; the batch is whole."""
    backend = backend_of(env)
    before, after = modes

    def page(request: dict[str, Any]) -> dict[str, Any]:
        monkeypatch.setenv("AWS_RETRY_MODE", after)
        name = "/p/b" if "NextToken" in request else "/p/a"
        secret = {"Name": name, "ARN": f"{name}-AbCdEf", "SecretString": name, "VersionId": "v"}
        parameter = {"Name": name, "Value": name, "Version": 1}
        more = {} if "NextToken" in request else {"NextToken": "t"}
        return {"SecretValues": [secret], "Parameters": [parameter], **more}

    with keeping(answer=answering(page)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_RETRY_MODE", before)
        if kind == "secrets":
            found = backend.get_secrets(["/p/a", "/p/b"], region=None)
        else:
            found = backend.get_parameters_by_path("/p", region=None, recursive=True, decrypt=True)
        assert {name: value[0] for name, value in found.items()} == {"/p/a": "/p/a", "/p/b": "/p/b"}
        assert callers(server) == [SDK if mode else DIRECT for mode in modes]
        env.close()


def test_its_name_tells_of_the_default_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a fetch of a secret would be decided now; a service that has another answer is asked for by name."""
    backend = Environment()._parts[AutoBackend]
    assert (backend.name, backend.is_direct("ssm", None), backend.is_direct("ssm", "moon")) == (DIRECT, True, False)
    monkeypatch.setenv("AWS_PROFILE", "dev")
    assert (backend.name, backend.is_direct("ssm", None)) == ("sdk (AWS_PROFILE is set)", False)


# -- what is not about values: fan-out calls `operations`


@pytest.mark.parametrize(
    ("chosen", "kind"),
    [
        ("direct", DirectBackend),
        ("sdk", SdkBackend),
        ("auto", AutoBackend),
        ("extension", AutoBackend),
        (MemoryBackend(), AutoBackend),
    ],
    ids=str,
)
def test_services_are_called_by_the_backend_that_was_chosen(chosen: Any, kind: type) -> None:
    """By `auto` where that does not call services; the same object as for values where it does."""
    env = Environment(backend=chosen)
    operations = env._parts[Backends].operations
    assert type(operations) is kind
    assert operations is env._parts[Backends].operations
    assert (operations is backend_of(env)) is (chosen in ("direct", "sdk", "auto"))
    assert (backend_of(env) is chosen) is (not isinstance(chosen, str))


@pytest.mark.parametrize(
    ("chosen", "mode", "caller"),
    [
        ("direct", "standard", DIRECT),
        ("sdk", "", SDK),
        ("auto", "", DIRECT),
        ("auto", "standard", SDK),
        ("extension", "", DIRECT),
        ("extension", "standard", SDK),
        (MemoryBackend(), "", DIRECT),
        (MemoryBackend(), "standard", SDK),
    ],
    ids=str,
)
def test_a_function_is_invoked_that_way(chosen: Any, mode: str, caller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a fetch of any value."""
    monkeypatch.setenv("AWS_RETRY_MODE", mode)
    env = Environment(backend=chosen)
    with lambdakit.use_environment(env), keeping(answer=lambda head, body: response(202, b"")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with invocation():
            operations = env._parts[Backends].operations
            assert operations.invoke("shop", b"{}", region=None, qualifier=None, wait=False) is None
        assert callers(server) == [caller]
        env.close()
