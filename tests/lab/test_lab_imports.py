"""Imports end with INIT: what a function uses was imported before its first invocation, in real environments."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from secure import in_front

if TYPE_CHECKING:
    import boto3

    from lab_parts import Invoke
    from lambdakit.lab import Lab

REGION = "us-east-1"  # the lab's own

# What the runtime client itself loads for a first invocation is in the difference of an empty handler, too.
NEW = "sorted(set(sys.modules) - before)"
HEAD = "import os, sys\nimport lambdakit\n"
FUNCTIONS = {
    "empty": """
@lambdakit.handler
def handler(event, context):
    before = set(sys.modules)
    return NEW
""",
    "secret": """
@lambdakit.handler
def handler(event, context):
    before = set(sys.modules)
    assert lambdakit.get_secret("prod/db", field="user") == "app"
    return NEW
""",
    "parameter": """
@lambdakit.handler
def handler(event, context):
    before = set(sys.modules)
    assert lambdakit.get_parameter("/flags") == "on"
    return NEW
""",
    "below the handler": """
@lambdakit.handler
def handler(event, context):
    before = set(sys.modules)
    assert flags() == {"/flags": "on"}
    return NEW

def flags():
    return lambdakit.get_parameters(["/flags"])
""",
    "of a method, by another name": """
import lambdakit as lk

class App:
    def flags(self):
        return [lk.get_parameter(name) for name in ("/flags",)]

    @staticmethod
    def parts():
        return lk.get_parameters_by_path("/")

@lk.handler
def handler(event, context):
    before = set(sys.modules)
    assert App().flags() == ["on"]
    assert App.parts() == {"/flags": "on"}
    return NEW
""",
    "imported within": """
@lambdakit.handler
def handler(event, context):
    before = set(sys.modules)
    from lambdakit import get_item
    assert get_item("orders", {"id": "o-1"})["total"] == 3
    return NEW
""",
    "another module": """
import stock

@lambdakit.handler
def handler(event, context):
    before = set(sys.modules)
    assert stock.levels() == "on"
    return NEW
""",
    "http": """
@lambdakit.handler
def handler(event, context):
    before = set(sys.modules)
    assert lambdakit.http.get(os.environ["STOCK_URL"]).status == 200
    return NEW
""",
    "http, its name": """
from lambdakit import http

@lambdakit.handler
def handler(event, context):
    before = set(sys.modules)
    assert http.get(os.environ["STOCK_URL"]).json() == {"stock": 3}
    return NEW
""",
    "httpx": """
client = lambdakit.http.httpx_client()

@lambdakit.handler
def handler(event, context):
    before = set(sys.modules)
    assert client.get(os.environ["STOCK_URL"]).json() == {"stock": 3}
    return NEW
""",
    "metrics": """
@lambdakit.handler(metrics="Shop")
def handler(event, context):
    before = set(sys.modules)
    lambdakit.metric("Orders", 1, "Count")
    return NEW
""",
    "listeners": """
def listen(record):
    lambdakit.listened = set(sys.modules)

@lambdakit.handler(on_invocation=listen)
def handler(event, context):
    if event:
        return sorted(lambdakit.listened - lambdakit.before)
    before = lambdakit.before = set(sys.modules)
    return NEW
""",
    "cached": """
@lambdakit.cached
def answer(n):
    return n + 1

@lambdakit.handler
def handler(event, context):
    before = set(sys.modules)
    assert answer(1) == 2
    return NEW
""",
    "client": """
dynamodb = lambdakit.client("dynamodb")

@lambdakit.handler
def handler(event, context):
    before = set(sys.modules)
    dynamodb.put_item(TableName="orders", Item={"id": {"S": "o-2"}})
    return NEW
""",
    "patched": """
import boto3

lambdakit.patch()
dynamodb = boto3.client("dynamodb")

@lambdakit.handler
def handler(event, context):
    before = set(sys.modules)
    dynamodb.put_item(TableName="orders", Item={"id": {"S": "o-2"}})
    return NEW
""",
    "client, primed": """
dynamodb = lambdakit.client("dynamodb")

@lambdakit.handler(preload=[lambda: lambdakit.prime(dynamodb)])
def handler(event, context):
    before = set(sys.modules)
    dynamodb.put_item(TableName="orders", Item={"id": {"S": "o-2"}})
    return NEW
""",
    "preload": """
@lambdakit.handler(preload=[lambdakit.secret("prod/db")])
def handler(event, context):
    before = set(sys.modules)
    lambdakit.get_secret("prod/db", transform="json")
    return NEW
""",
}
STOCK = "import lambdakit\n\ndef levels():\n    return lambdakit.get_parameter('/flags')\n"


class Stock(BaseHTTPRequestHandler):
    """A partner's API."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"stock": 3}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("imports")
    for number, text in enumerate(FUNCTIONS.values()):
        (root / f"f{number}.py").write_text(HEAD + text.replace("NEW", NEW), encoding="utf-8")
    (root / "stock.py").write_text(STOCK, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def environment(moto_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of the functions: moto and a partner, both over TLS."""
    authority = trustme.CA()
    bundle = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    stock = ThreadingHTTPServer(("127.0.0.1", 0), Stock)
    threading.Thread(target=stock.serve_forever, daemon=True).start()
    with (
        in_front(moto_url, authority) as aws_url,
        in_front(f"http://127.0.0.1:{stock.server_port}", authority) as stock_url,
    ):
        yield {
            "AWS_ENDPOINT_URL": aws_url,
            "AWS_CA_BUNDLE": str(bundle),
            "SSL_CERT_FILE": str(bundle),
            "STOCK_URL": stock_url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    stock.shutdown()
    stock.server_close()


@pytest.fixture
def deployed(
    lab: Lab, code: Path, environment: dict[str, str], aws: boto3.session.Session
) -> Iterator[Callable[..., str]]:
    aws.client("secretsmanager", REGION).create_secret(Name="prod/db", SecretString='{"user": "app"}')
    aws.client("ssm", REGION).put_parameter(Name="/flags", Value="on", Type="String")
    table = aws.resource("dynamodb", REGION).create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    table.put_item(Item={"id": "o-1", "total": 3})
    names: list[str] = []

    def deploy(function: str, **variables: str) -> str:
        name = f"imports-{[*FUNCTIONS].index(function)}"
        lab.deploy(
            name,
            f"f{[*FUNCTIONS].index(function)}.handler",
            task_root=code,
            environment=environment | variables,
            timeout_s=30.0,
        )
        names.append(name)
        return name

    yield deploy
    for name in names:
        lab.remove(name)


def loaded(invoke: Invoke, name: str) -> set[str]:
    reply = invoke(name)
    assert reply.error is None, reply.value
    return set(reply.value)


@pytest.mark.parametrize("function", [name for name in FUNCTIONS if name != "listeners"])
def test_a_first_invocation_imports_nothing(function: str, deployed: Callable[..., str], invoke: Invoke) -> None:
    """Whichever feature it uses: INIT has imported it, over TLS too."""
    assert loaded(invoke, deployed(function)) == set()


def test_nor_does_its_end(deployed: Callable[..., str], invoke: Invoke) -> None:
    """What is reported of an invocation is made of what INIT has imported."""
    name = deployed("listeners")
    assert loaded(invoke, name) == set()
    assert invoke(name, "what the listener saw").value == []


@pytest.mark.parametrize(("variable", "value"), [("LAMBDAKIT_METRICS_NAMESPACE", "Shop"), ("LAMBDAKIT_LOG", "1")])
def test_nor_do_settings(variable: str, value: str, deployed: Callable[..., str], invoke: Invoke) -> None:
    """Metrics and the log of a start, where variables ask for them."""
    name = deployed("empty", **{variable: value})
    assert loaded(invoke, name) == set()
    assert invoke(name).value == []


@pytest.mark.parametrize("backend", ["direct", "sdk", "extension"])
def test_whichever_backend_it_is(backend: str, deployed: Callable[..., str], invoke: Invoke) -> None:
    """Of the SDK the modules are imported; the client, which is made by the first value, reads its models only."""
    assert loaded(invoke, deployed("secret", LAMBDAKIT_BACKEND=backend)) == set()


def test_a_function_that_uses_nothing_pays_for_nothing(
    deployed: Callable[..., str], lab: Lab, code: Path, invoke: Invoke
) -> None:
    """No feature is imported for it in INIT."""
    (code / "nothing.py").write_text(
        HEAD + "@lambdakit.handler\ndef handler(event, context):\n    return sorted(sys.modules)\n", encoding="utf-8"
    )
    lab.deploy("imports-nothing", "nothing.handler", task_root=code)
    try:
        modules = set(invoke("imports-nothing").value)
    finally:
        lab.remove("imports-nothing")
    ours = {name for name in modules if name.partition(".")[0] == "lambdakit"}
    assert len(ours) <= 9  # with `_warm_imports`, which finds that there is nothing to import
    assert not {"socket", "ssl", "hashlib", "urllib3", "botocore", "asyncio"} & modules
