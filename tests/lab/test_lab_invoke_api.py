from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from lab_parts import Invoke, client_of
from lambdakit.lab import Lab

Deploy = Callable[..., str]
ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"
NAMES = {
    "orders": ("$LATEST", ARN),
    "orders:live": ("2", f"{ARN}:live"),
    "orders:1": ("1", f"{ARN}:1"),
    "orders:$LATEST": ("$LATEST", f"{ARN}:$LATEST"),
    "123456789012:function:orders": ("$LATEST", ARN),
    "us-east-1:123456789012:orders": ("$LATEST", ARN),
    "function:orders": ("$LATEST", ARN),
    ARN: ("$LATEST", ARN),
    f"{ARN}:live": ("2", f"{ARN}:live"),
}


@pytest.fixture(scope="module")
def orders(lab: Lab, task_root: Path) -> Iterator[None]:
    lab.deploy("orders", "app.about", task_root=task_root, qualifiers=("1", "2", "live"))
    yield
    lab.remove("orders")


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize("name", NAMES)
def test_a_function_is_found_by_every_kind_of_name(name: str, invoke: Invoke) -> None:
    """botocore percent-encodes the name; the version executed and the ARN are what the name says."""
    reply = invoke(name)
    assert (reply.version, reply.value["arn"]) == NAMES[name]
    assert reply.value["version"] == reply.version


@pytest.mark.usefixtures("orders")
def test_a_qualifier_may_come_beside_the_name(invoke: Invoke) -> None:
    """In the query, alone or the same as in the name."""
    assert invoke("orders", Qualifier="live").value["arn"] == f"{ARN}:live"
    assert invoke("orders:live", Qualifier="live").version == "2"


REFUSED: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "unknown function": (
        {"FunctionName": "nobody"},
        404,
        "ResourceNotFoundException",
        "Function not found: " + ARN[:-6],
    ),
    "unknown qualifier": ({"Qualifier": "9"}, 404, "ResourceNotFoundException", f"Function not found: {ARN}:9"),
    "other account": (
        {"FunctionName": ARN.replace("1234", "9999")},
        404,
        "ResourceNotFoundException",
        f"Function not found: {ARN.replace('1234', '9999')}",
    ),
    "other region": (
        {"FunctionName": ARN.replace("us-east-1", "eu-west-1")},
        404,
        "ResourceNotFoundException",
        f"Function not found: {ARN.replace('us-east-1', 'eu-west-1')}",
    ),
    "not a name": (
        {"FunctionName": "no name"},
        400,
        "ValidationException",
        "1 validation error detected: Value 'no name'",
    ),
    "two qualifiers": (
        {"FunctionName": "orders:1", "Qualifier": "2"},
        400,
        "InvalidParameterValueException",
        "The derived qualifier",
    ),
    "type": ({"InvocationType": "Later"}, 400, "InvalidParameterValueException", "InvocationType 'Later'"),
    "log type": ({"LogType": "Head"}, 400, "InvalidParameterValueException", "LogType 'Head'"),
    "not JSON": (
        {"Payload": b"{'a': 1}"},
        400,
        "InvalidRequestContentException",
        "Could not parse request body into json",
    ),
    "NaN": ({"Payload": b"NaN"}, 400, "InvalidRequestContentException", "Could not parse request body into json"),
    "not UTF-8": (
        {"Payload": b'"\xff"'},
        400,
        "InvalidRequestContentException",
        "Could not parse request body into json",
    ),
    "too deep": ({"Payload": b"[" * 100_000}, 400, "InvalidRequestContentException", "Could not parse request body"),
    "over 6 MB": ({"Payload": b" " * 6_291_455 + b"10"}, 413, "RequestTooLargeException", "The payload is too large"),
    "event over 1 MB": (
        {"Payload": b" " * 1_048_575 + b"10", "InvocationType": "Event"},
        413,
        "RequestTooLargeException",
        "The payload is too large for the Event",
    ),
    "context": (
        {"ClientContext": "not base64!"},
        400,
        "InvalidRequestContentException",
        "Client context must be a valid",
    ),
    "context that is no object": (
        {"ClientContext": base64.b64encode(b"[1]").decode()},
        400,
        "InvalidRequestContentException",
        "Client context must be a valid",
    ),
    "durable execution": (
        {"DurableExecutionName": "order-1"},
        400,
        "InvalidParameterValueException",
        "DurableExecutionName: the lab has no durable executions",
    ),
    "tenant": (
        {"TenantId": "{blue}"},
        400,
        "ValidationException",
        "1 validation error detected: Value '{blue}' at 'tenantId' failed",
    ),
    "tenant too long": (
        {"TenantId": "b" * 257},
        400,
        "ValidationException",
        "1 validation error detected: Value 'bbb",
    ),
    "context too long": (
        {"ClientContext": base64.b64encode(json.dumps({"custom": {"a": "b" * 3000}}).encode()).decode()},
        400,
        "InvalidRequestContentException",
        "Client context must be no more than 3583 bytes",
    ),
}


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_run_is_refused_as_lambda_refuses_it(case: str, client: Any) -> None:
    """Status, code, message and the sender's fault, as botocore reads them."""
    arguments, status, code, message = REFUSED[case]
    with pytest.raises(ClientError) as caught:
        client.invoke(**{"FunctionName": "orders"} | arguments)
    answer = caught.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (status, code)
    assert answer["Error"]["Message"].startswith(message)
    assert answer.get("Type", "User") == "User"  # the model knows no ValidationException, so botocore drops the rest


@pytest.mark.parametrize("name", ["a b", "a:b:c", "a:", "arn:aws:s3:::bucket"])
def test_what_is_not_a_name_of_a_function_is_refused(name: str, client: Any) -> None:
    """Lambda's own pattern decides."""
    with pytest.raises(ClientError, match=f"ValidationException.*Value '{re.escape(name)}' at 'functionName' failed"):
        client.invoke(FunctionName=name)


def test_an_arn_is_read_as_it_was_written(client: Any) -> None:
    """Its partition, region, account, name and qualifier are those of the error."""
    arn = "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f:$LATEST"
    with pytest.raises(ClientError, match=f"ResourceNotFoundException.*Function not found: {re.escape(arn)}$"):
        client.invoke(FunctionName=arn)


def test_payloads_at_the_limits_arrive(deploy: Deploy, client: Any) -> None:
    """6,291,456 bytes synchronously, 1,048,576 as an event."""
    name = deploy("app.leave", timeout_s=30)
    synchronous = client.invoke(FunctionName=name, Payload=b" " * 6_291_455 + b"4")
    assert json.loads(synchronous["Payload"].read())["errorMessage"].endswith("exit status 4")
    event = client.invoke(FunctionName=name, Payload=b" " * 1_048_575 + b"1", InvocationType="Event")
    assert event["StatusCode"] == 202


def test_no_payload_is_an_empty_event(deploy: Deploy, client: Any) -> None:
    """As on Lambda."""
    assert json.loads(client.invoke(FunctionName=deploy("app.echo"))["Payload"].read()) == {}


def test_a_dry_run_runs_nothing(deploy: Deploy, client: Any, lab: Lab) -> None:
    """204, and no environment."""
    name = deploy("app.echo")
    assert client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    assert lab.environments(name) == []


def test_client_context_reaches_the_function_decoded(deploy: Deploy, invoke: Invoke) -> None:
    """Whatever its characters, and over several lines."""
    context = {"custom": {"source": "prüfung\nzwei"}, "env": {"a": "b"}}
    encoded = base64.b64encode(json.dumps(context, indent=1, ensure_ascii=False).encode()).decode()
    assert invoke(deploy("app.about"), ClientContext=encoded).value["context"] == {"custom": context["custom"]}


def test_the_request_id_and_the_trace_are_one_everywhere(deploy: Deploy, client: Any) -> None:
    """The caller's, the function's and the log's."""
    answer = client.invoke(FunctionName=deploy("app.about"), LogType="Tail")
    seen = json.loads(answer["Payload"].read())
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert answer["ResponseMetadata"]["RequestId"] == seen["request_id"]
    assert base64.b64decode(answer["LogResult"]).decode().startswith(f"START RequestId: {seen['request_id']} ")
    assert headers["x-amzn-trace-id"] == seen["trace"]


def test_any_other_path_is_unknown(lab: Lab) -> None:
    """404 with a JSON body that names what was asked."""
    address = urlsplit(lab.url)
    with closing(HTTPConnection(str(address.hostname), address.port, timeout=5)) as connection:
        connection.request("GET", "/2015-03-31/functions/orders")
        answer = connection.getresponse()
        assert answer.status == 404
        assert json.loads(answer.read())["message"] == "The lab has no GET /2015-03-31/functions/orders"


def test_region_and_account_are_part_of_the_arn(task_root: Path) -> None:
    """They are what the lab was told."""
    with Lab(region="cn-north-1", account="210987654321") as lab:
        lab.deploy("orders", "app.about", task_root=task_root)
        client = client_of(lab)
        seen = json.loads(client.invoke(FunctionName="orders")["Payload"].read())
        client.close()
    assert seen["arn"] == "arn:aws-cn:lambda:cn-north-1:210987654321:function:orders"
    assert seen["environ"]["AWS_REGION"] == "cn-north-1"


@pytest.fixture
def about(deploy: Deploy, invoke: Invoke) -> Callable[..., tuple[int, str | None]]:
    """Invoke a function for a tenant: the process, and the tenant that the context has."""
    name = deploy("app.tenant")

    def about(tenant: str | None = None) -> tuple[int, str | None]:
        return tuple(invoke(name, **{} if tenant is None else {"TenantId": tenant}).value)

    return about


def test_a_tenant_has_environments_of_its_own(about: Callable[..., tuple[int, str | None]], lab: Lab) -> None:
    """Its id is in the context; nobody else's invocation runs there, and its next one does."""
    tenants = [None, "blue", "green", "Green:1/2 @x"]
    first = [about(tenant) for tenant in tenants]
    assert [tenant for _, tenant in first] == tenants
    assert len({pid for pid, _ in first}) == len(tenants)
    assert [about(tenant) for tenant in tenants] == first
    assert [(r.pid, r.tenant_id) for r in lab.environments("f0")] == first


@pytest.mark.parametrize("init_type", ["snap-start", "lambda-managed-instances"])
def test_tenants_are_isolated_on_demand_only(init_type: str, deploy: Deploy, client: Any) -> None:
    """As on Lambda."""
    name = deploy("app.echo", init_type=init_type, max_concurrency=1)
    with pytest.raises(ClientError, match=r"InvalidParameterValueException.*isolates no tenants"):
        client.invoke(FunctionName=name, TenantId="blue")


FOREIGN = [
    {"Host": "attacker.example"},
    {"Host": "attacker.example:{port}"},
    {"Host": "[bad"},
    {"Host": ""},
    {"Origin": "http://attacker.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:3000"},
]
OURS = [{}, {"Host": "localhost:{port}"}, {"Host": "127.0.0.1"}, {"Host": "localhost:9999"}]


@pytest.mark.parametrize("given", [*FOREIGN, *OURS], ids=str)
def test_a_web_page_is_refused(given: dict[str, str], deploy: Deploy, lab: Lab) -> None:
    """Whatever name it has given to this machine; programs are served, also through a port that is forwarded."""
    address = urlsplit(lab.url)
    headers = {name: value.format(port=address.port) for name, value in given.items()}
    with closing(HTTPConnection("127.0.0.1", address.port, timeout=30)) as connection:
        connection.request("POST", f"/2015-03-31/functions/{deploy('app.echo')}/invocations", b"1", headers)
        answer = connection.getresponse()
        body = json.loads(answer.read())
    assert answer.status == (403 if given in FOREIGN else 200)
    assert given not in FOREIGN or body["message"].startswith("The lab serves programs at 127.0.0.1")


def test_a_function_s_runtime_api_refuses_web_pages_too(deploy: Deploy, invoke: Invoke) -> None:
    """Each environment has one."""
    assert invoke(deploy("app.ask_runtime_api"), {"Host": "attacker.example"}).value == 403
    assert invoke(deploy("app.ask_runtime_api"), {}).value == 400  # there is no such request


def test_an_error_that_is_too_deep_to_be_read_is_an_answer(deploy: Deploy, invoke: Invoke, client: Any) -> None:
    """Passed on as it is; the report has no type then."""
    answer = client.invoke(FunctionName=deploy("app.post_deep_error"), LogType="Tail")
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"].read() == b"[" * 100_000
    assert "Error Type: Runtime.Unknown" in base64.b64decode(answer["LogResult"]).decode()


@pytest.mark.parametrize("depth", [100, 900, 980, 990, 1000, 1300])
def test_a_client_context_that_is_deep_is_an_answer(depth: int, deploy: Deploy, client: Any) -> None:
    """Read or refused, which depends on the interpreter; never an error of the lab."""
    context = base64.b64encode(b'{"custom": ' + b"[" * depth + b"]" * depth + b"}").decode()
    try:
        answer = client.invoke(FunctionName=deploy("app.echo"), ClientContext=context)
    except ClientError as error:
        answer = error.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] in (200, 400)
