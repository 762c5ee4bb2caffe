"""The example, both versions: one answer, and what each asks of AWS."""

import base64
import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from benchmarks.servers.upstream import ACCOUNT, Upstream
from botocore.config import Config

from lambdakit.lab import Lab
from lambdakit.testing import FakeContext

ORDERS = Path(__file__).resolve().parents[1] / "examples" / "orders"
EVENT = json.loads((ORDERS / "event.json").read_text())


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """moto's server, with the example's secret, parameter and table in it, counting."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def modules(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports a module of the example as the runtime does, and forgets it afterwards."""
    monkeypatch.syspath_prepend(str(ORDERS))
    before = set(sys.modules)
    for name, value in (upstream.variables | importlib.import_module("prepare").VARIABLES).items():
        monkeypatch.setenv(name, value)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name in {"naive", "fast", "orders", "prepare"}:
            del sys.modules[name]


def _event(**changes: Any) -> dict[str, Any]:
    return EVENT | changes


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (EVENT, 201),
        (_event(headers=EVENT["headers"] | {"x-signature": "wrong"}), 401),
        (_event(headers={}), 401),
    ],
)
def test_both_versions_give_one_answer(event: dict[str, Any], status: int, modules: Any) -> None:
    """To a good order, a wrong signature, and none."""
    import lambdakit

    with lambdakit.use_environment(lambdakit.Environment()):
        answers = [modules(name).handler(event, FakeContext()) for name in ("naive", "fast")]
    assert answers[0] == answers[1]
    assert answers[0]["statusCode"] == status


def test_what_each_asks_of_aws(upstream: Upstream, modules: Any) -> None:
    """Three calls each time, against three the first time and one afterwards."""
    import lambdakit

    each = {"GetSecretValue": 1, "GetParameter": 1, "PutItem": 1}
    with lambdakit.use_environment(lambdakit.Environment()):
        for name, second in (("naive", each), ("fast", {"PutItem": 1})):
            handler = modules(name).handler
            counts = [upstream.calls()]
            for _ in range(2):
                handler(EVENT, FakeContext())
                counts.append(upstream.calls())
            assert [dict(counts[1] - counts[0]), dict(counts[2] - counts[1])] == [each, second]


@pytest.mark.parametrize("version", ["naive", "fast"])
def test_boto3_invokes_it_in_the_lab(version: str, upstream: Upstream) -> None:
    """A REPORT line with a true Init Duration on the first invocation, and none on the second."""
    variables = {"PARTNER_SECRET": "shop/partner", "FLAGS_PARAMETER": "/shop/flags", "ORDERS_TABLE": "orders"}
    with Lab() as lab:
        lab.deploy(
            version,
            f"{version}.handler",
            task_root=ORDERS,
            environment=upstream.variables | variables,
            timeout_s=30.0,
        )
        session = boto3.Session(
            aws_access_key_id=ACCOUNT["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ACCOUNT["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )
        client = session.client("lambda", endpoint_url=lab.url, config=Config(retries={"total_max_attempts": 1}))
        reports = []
        for _ in range(2):
            reply = client.invoke(FunctionName=version, LogType="Tail", Payload=json.dumps(EVENT))
            assert json.loads(reply["Payload"].read())["statusCode"] == 201
            reports.append(base64.b64decode(reply["LogResult"]).decode().splitlines()[-1])
        (record,) = lab.environments(version)
    first = re.search(r"\tInit Duration: ([\d.]+) ms", reports[0])
    assert first is not None
    assert float(first[1]) == pytest.approx(record.init_ms, abs=0.01)
    assert "Init Duration" not in reports[1]
    assert all(line.startswith("REPORT RequestId: ") and "\tDuration: " in line for line in reports)
