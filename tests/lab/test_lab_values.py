"""Values in real environments: frozen, snapshotted, in many processes, rotated."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fault_proxy import FaultProxy
from lab_parts import Invoke, meeting, memory_has, release

if TYPE_CHECKING:
    import boto3

    from lambdakit.lab import Lab

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
WORKERS = 8
REGION = "us-east-1"  # the lab's own

PRELOADED = """
import os
import lambdakit

declared = lambdakit.secret("declared")
in_init = None
if os.environ.get("READ_IN_INIT"):
    in_init = str(lambdakit.get_secret("read-in-init") != "") + " " + lambdakit.secret("read-in-init").state

@lambdakit.handler(preload=[declared, lambdakit.parameter("/declared")])
def preloaded(event, context):
    states = [declared.state, lambdakit.parameter("/declared").state]
    return [states, len(declared.get()), in_init, lambdakit.secret("read-in-init").state,
            lambdakit.invocation().start_kind]

"""

FUNCTIONS = """
import os, socket
import lambdakit

@lambdakit.handler
def read(event, context):
    return [lambdakit.get_secret("x", ttl=1), lambdakit.invocation().start_kind]

@lambdakit.handler
def together(event, context):
    with socket.create_connection(("127.0.0.1", event["port"])) as connection:
        connection.recv(1)
    return [os.getpid(), lambdakit.get_parameter("/p"), lambdakit.invocation().start_kind]

calls = []

@lambdakit.retry_on_rotation("password", errors=PermissionError)
def log_in():
    calls.append(1)
    with open(os.environ["TRUTH"]) as truth:
        if truth.read() != lambdakit.get_secret("password", field="password"):
            raise PermissionError("wrong password")

@lambdakit.handler
def rotated(event, context):
    del calls[:]
    log_in()
    return len(calls)
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("values")
    (root / "values_app.py").write_text(FUNCTIONS, encoding="utf-8")
    (root / "preloaded_app.py").write_text(PRELOADED, encoding="utf-8")
    return root


@pytest.fixture
def proxy(aws: boto3.session.Session, moto_url: str) -> Iterator[FaultProxy]:
    """Counts what environments ask of moto."""
    with FaultProxy(moto_url) as proxy:
        yield proxy


@pytest.fixture
def function(lab: Lab, code: Path, proxy: FaultProxy) -> Iterator[Callable[..., str]]:
    """Deploy one of the functions above, with the proxy as AWS."""
    names: list[str] = []

    def function(handler: str, *, environment: dict[str, str] | None = None, **options: Any) -> str:
        name = f"values-{handler}-{len(names)}"
        variables = {"AWS_ENDPOINT_URL": proxy.url, "LAMBDAKIT_BACKEND": "direct", **(environment or {})}
        options = {"timeout_s": 20, **options}
        module = "preloaded_app" if handler == "preloaded" else "values_app"
        lab.deploy(name, f"{module}.{handler}", task_root=code, environment=variables, **options)
        names.append(name)
        return name

    yield function
    for name in names:
        lab.remove(name)


def test_a_frozen_environment_fetches_again(
    aws: boto3.session.Session, proxy: FaultProxy, function: Callable[..., str], invoke: Invoke
) -> None:
    """Stopped for longer than the ttl of 1 s: the new value. Within it: the one in memory."""
    secrets = aws.client("secretsmanager", region_name=REGION)
    secrets.create_secret(Name="x", SecretString="old")
    name = function("read")
    assert invoke(name, {}).value == ["old", "cold"]
    secrets.put_secret_value(SecretId="x", SecretString="new")
    assert invoke(name, {}).value == ["old", "warm"]
    assert len(proxy.asked("GetSecretValue")) == 1
    time.sleep(1.2)  # the environment is stopped: SIGSTOP
    assert invoke(name, {}).value == ["new", "warm"]
    assert len(proxy.asked("GetSecretValue")) == 2


@linux
def test_a_declared_secret_is_not_in_the_snapshot(
    aws: boto3.session.Session, lab: Lab, proxy: FaultProxy, function: Callable[..., str], invoke: Invoke
) -> None:
    """It is fetched, with the parameter, at the first invocation; then it is in memory."""
    planted = "planted-in-secrets-manager"
    aws.client("secretsmanager", region_name=REGION).create_secret(Name="declared", SecretString=planted)
    aws.client("ssm", region_name=REGION).put_parameter(Name="/declared", Value=planted, Type="SecureString")
    name = function("preloaded", init_type="snap-start")
    (record,) = lab.environments(name)
    assert (record.state, proxy.calls) == ("snapshot", [])
    assert not memory_has(record.pid, planted.encode())
    answer = invoke(name, {})
    assert answer.value == [["fresh", "fresh"], len(planted), None, "absent", "restored"]
    (record,) = lab.environments(name)
    assert memory_has(record.pid, planted.encode())
    assert sorted(call.operation for call in proxy.calls) == ["GetParameter", "GetSecretValue"]


def test_what_a_module_reads_in_init_is_dropped_before_the_snapshot(
    aws: boto3.session.Session, proxy: FaultProxy, function: Callable[..., str], invoke: Invoke
) -> None:
    """Fresh in INIT, absent after the restore."""
    secrets = aws.client("secretsmanager", region_name=REGION)
    secrets.create_secret(Name="read-in-init", SecretString="1")
    secrets.create_secret(Name="declared", SecretString="2")
    aws.client("ssm", region_name=REGION).put_parameter(Name="/declared", Value="3", Type="String")
    name = function("preloaded", init_type="snap-start", environment={"READ_IN_INIT": "1"})
    assert invoke(name, {}).value[2:4] == ["True fresh", "absent"]


def test_processes_of_managed_instances_fetch_once_each_and_not_together(
    aws: boto3.session.Session, proxy: FaultProxy, function: Callable[..., str], invoke: Invoke
) -> None:
    """Eight processes let go at the same moment: eight fetches, spread over up to 50 ms; then none."""
    aws.client("ssm", region_name=REGION).put_parameter(Name="/p", Value="1", Type="String")
    name = function("together", init_type="lambda-managed-instances", max_concurrency=WORKERS)
    pids: set[int] = set()
    kinds: set[str] = set()
    for expected in ("managed", "warm"):
        with meeting() as (port, arrived), ThreadPoolExecutor(WORKERS) as pool:
            replies = [pool.submit(invoke, name, {"port": port}) for _ in range(WORKERS)]
            release(arrived(WORKERS))
            values = [reply.result(30).value for reply in replies]
        pids |= {pid for pid, _, _ in values}
        kinds |= {kind for _, _, kind in values}
        assert {kind for _, _, kind in values} == {expected}
        assert {value for _, value, _ in values} == {"1"}
    calls = [call for call in proxy.calls if call.operation == "GetParameter"]
    assert (len(pids), len(calls)) == (WORKERS, WORKERS)
    times = [call.at_s for call in calls]
    assert max(times) - min(times) > 0.005


def test_a_rotation_is_healed_within_one_invocation(
    aws: boto3.session.Session, proxy: FaultProxy, function: Callable[..., str], invoke: Invoke, tmp_path: Path
) -> None:
    """The function logs in with the old password, fetches the new one, and logs in: nobody sees an error."""
    truth = tmp_path / "truth"
    truth.write_text("old", encoding="utf-8")
    secrets = aws.client("secretsmanager", region_name=REGION)
    secrets.create_secret(Name="password", SecretString='{"password": "old"}')
    name = function("rotated", environment={"TRUTH": str(truth)})
    assert invoke(name, {}).value == 1
    secrets.put_secret_value(SecretId="password", SecretString='{"password": "new"}')
    truth.write_text("new", encoding="utf-8")
    reply = invoke(name, {})
    assert (reply.value, reply.error) == (2, None)
    assert invoke(name, {}).value == 1
    assert len(proxy.asked("GetSecretValue")) == 2
