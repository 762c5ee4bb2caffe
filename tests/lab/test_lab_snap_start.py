from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from lab_parts import Invoke, eventually, meeting, memory_has, process_state, release

if TYPE_CHECKING:
    from lab_parts import Reply
    from lambdakit.lab import Lab

Deploy = Callable[..., str]
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

HOOKS = """
import os, socket, time
from snapshot_restore_py import register_after_restore, register_before_snapshot

seen = ["import"]

def hook(name):
    seen.append(name)
    print("hook", name)

for number in (1, 2):
    register_before_snapshot(hook, f"before {number}")
    register_after_restore(hook, f"after {number}")
register_after_restore(time.sleep, 0.02)

kept = "-".join(["kept", "in", "the", "snapshot", "y" * 4])
dropped = ["-".join(["dropped", "before", "the", "snapshot", "z" * 4])]
register_before_snapshot(dropped.clear)

def handler(event, context):
    return {"pid": os.getpid(), "seen": seen, "environ": dict(os.environ)}

def rendezvous(event, context):
    with socket.create_connection(("127.0.0.1", event["port"])) as connection:
        connection.recv(1)
    return os.getpid()
"""

CREDENTIALS = """
import os
from botocore.credentials import ContainerProvider

def credentials():
    found = ContainerProvider().load().get_frozen_credentials()
    return [found.access_key, found.secret_key, found.token]

at_init = credentials()

def handler(event, context):
    return at_init, credentials()
"""

FAILURES = """
import os, time
from snapshot_restore_py import register_after_restore, register_before_snapshot

def leave():
    os._exit(9)

def fail():
    raise LookupError("in a hook")

how = os.environ["HOW"]
if how == "import":
    raise LookupError("in a module")
if how == "slow import":
    time.sleep(1.2)
if how == "before":
    register_before_snapshot(fail)
if how == "before leaves":
    register_before_snapshot(leave)
if how == "after":
    register_after_restore(fail)
if how == "after leaves":
    register_after_restore(leave)
if how == "after sleeps":
    register_after_restore(time.sleep, 60)

def handler(event, context):
    return how
"""


@pytest.fixture
def snap(deploy: Deploy, task_root: Path) -> Deploy:
    """Deploy one of this module's functions."""
    for name, code in {"hooks": HOOKS, "found": CREDENTIALS, "failures": FAILURES}.items():
        (task_root / f"{name}.py").write_text(code, encoding="utf-8")
    return lambda handler, **options: deploy(handler, init_type="snap-start", **options)


def restore_ms(reply: Reply) -> float:
    return reply.report.restore_ms or 0.0


@linux
def test_deploy_returns_when_the_first_process_stands_at_its_snapshot(snap: Deploy, lab: Lab) -> None:
    """The module is imported, the hooks before the snapshot have run, the last one first; the process is stopped."""
    name = snap("hooks.handler")
    (record,) = lab.environments(name)
    assert (record.state, record.init_type, record.invocations) == ("snapshot", "snap-start", 0)
    assert record.pid is not None
    assert record.init_ms is not None
    assert eventually(lambda: process_state(record.pid or 0) == "T")
    log = lab.logs(name)
    assert log.startswith("hook before 2\nhook before 1\nINIT_REPORT Init Duration: ")
    assert "after" not in log


def test_the_first_invocation_goes_on_from_the_snapshot(snap: Deploy, invoke: Invoke, lab: Lab) -> None:
    """In that very process, after the hooks of the restore; its time is reported and billed once, INIT's never."""
    name = snap("hooks.handler")
    (record,) = lab.environments(name)
    first, second = invoke(name), invoke(name)
    assert first.value["pid"] == second.value["pid"] == record.pid
    assert second.value["seen"] == ["import", "before 2", "before 1", "after 1", "after 2"]
    assert first.value["environ"]["AWS_LAMBDA_INITIALIZATION_TYPE"] == "snap-start"
    kinds = [line.split(" ")[0] for line in first.log.splitlines() if line]
    assert kinds == ["hook", "hook", "RESTORE_REPORT", "START", "END", "REPORT"]
    took_ms = restore_ms(first)
    assert 20 <= took_ms < 500
    assert f"RESTORE_REPORT Restore Duration: {took_ms:.2f} ms\t\n" in first.log
    assert first.report.billed_restore_ms == math.ceil(took_ms)
    assert first.report.billed_ms == math.ceil(first.report.duration_ms) + math.ceil(took_ms)
    assert (first.report.init_ms, second.report.init_ms, second.report.restore_ms) == (None, None, None)
    (record,) = lab.environments(name)
    assert (record.state, record.invocations) == ("idle", 2)


def test_one_process_gives_one_restore(snap: Deploy, invoke: Invoke, lab: Lab) -> None:
    """Each further environment is initialised anew, restored, and kept; the log of its caller has nothing of INIT."""
    name = snap("hooks.rendezvous", timeout_s=30)
    with meeting() as (port, arrivals), ThreadPoolExecutor(3) as pool:
        replies = [pool.submit(invoke, name, {"port": port}) for _ in range(3)]
        release(arrivals(3))
        done = [reply.result() for reply in replies]
    assert len({reply.value for reply in done}) == 3
    assert all(restore_ms(reply) >= 20 for reply in done)
    assert not any("before" in reply.log or "INIT_REPORT" in reply.log for reply in done)
    assert lab.logs(name).count("INIT_REPORT") == 3
    assert [(r.state, r.init_type) for r in lab.environments(name)] == [("idle", "snap-start")] * 3


def test_a_restored_environment_is_frozen_between_invocations_like_any_other(
    deploy: Deploy, invoke: Invoke, lab: Lab
) -> None:
    """Its threads do nothing while it is idle."""
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    name = deploy("app.background", init_type="snap-start")
    invoke(name)
    pid = lab.environments(name)[0].pid
    assert pid is not None
    assert eventually(lambda: process_state(pid) == "T")


def test_a_snapshot_carries_no_credentials_and_no_name_of_a_log(snap: Deploy, invoke: Invoke) -> None:
    """They would be the same in every environment restored from it; instead there is the container endpoint."""
    environ = invoke(snap("hooks.handler")).value["environ"]
    theirs = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    assert not (theirs | {"AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"}) & environ.keys()
    assert environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"].startswith("http://127.0.0.1:")
    assert environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]


def test_credentials_come_from_the_endpoint_and_are_others_after_a_restore(snap: Deploy, invoke: Invoke) -> None:
    """botocore's own provider finds them there in both phases."""
    before, after = invoke(snap("found.handler", timeout_s=30)).value
    assert before[0].startswith("ASIA")
    assert after[0] == "ASIALOCALLAB00000000"  # as on demand
    assert not set(before) & set(after)


def test_the_endpoint_asks_for_the_token(snap: Deploy, invoke: Invoke) -> None:
    """403 without it."""
    environ = invoke(snap("hooks.handler")).value["environ"]
    url = urlsplit(environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
    statuses = []
    for token in (environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"], "another", None):
        with closing(HTTPConnection(str(url.hostname), url.port, timeout=5)) as connection:
            connection.request("GET", url.path, headers={"Authorization": token} if token else {})
            statuses.append(connection.getresponse().status)
    assert statuses == [200, 403, 403]


@linux
def test_the_memory_of_a_snapshot_can_be_searched(snap: Deploy, lab: Lab) -> None:
    """What the function keeps is in it; that is what a test of secrets looks for."""
    (record,) = lab.environments(snap("hooks.handler"))
    assert record.pid is not None
    assert memory_has(record.pid, b"kept-in-the-snapshot-yyyy")
    assert not memory_has(record.pid, b"never-anywhere-" + b"x" * 4)


IN_INIT = {  # how it fails: the type in the answer, the type in the report, what the message has
    "import": ("LookupError", "LookupError", "in a module"),
    "before": ("LookupError", "Runtime.BeforeSnapshotError", "in a hook"),
    "before leaves": ("Runtime.ExitError", "Runtime.ExitError", "exit status 9"),
}
IN_RESTORE = {
    "after": ("LookupError", "Runtime.AfterRestoreError", "in a hook"),
    "after leaves": ("Runtime.ExitError", "Runtime.ExitError", "exit status 9"),
}


@pytest.mark.parametrize("how", IN_INIT)
def test_an_init_that_fails_is_logged_and_the_callers_are_told(
    how: str, snap: Deploy, invoke: Invoke, lab: Lab
) -> None:
    """Deploying does not raise; each invocation begins with another INIT, and gets what the runtime posted."""
    kind, reported, message = IN_INIT[how]
    name = snap("failures.handler", environment={"HOW": how})
    assert lab.environments(name) == []
    assert f"Phase: init\tStatus: error\tError Type: {reported}\t\n" in lab.logs(name)
    for _ in range(2):
        reply = invoke(name)
        assert (reply.error, reply.value["errorType"]) == ("Unhandled", kind)
        assert message in reply.value["errorMessage"]
        assert reply.log.count(f"Phase: init\tStatus: error\tError Type: {reported}\t\n") == 1
        assert (reply.report.status, reply.report.error_type) == ("error", reported)
        assert (reply.report.init_ms, reply.report.restore_ms) == (None, None)
    assert lab.environments(name) == []


@pytest.mark.parametrize("how", IN_RESTORE)
def test_a_restore_that_fails_is_the_answer(how: str, snap: Deploy, invoke: Invoke, lab: Lab) -> None:
    """With what the runtime posted, else with how it ended; the environment is gone, the next one fails likewise."""
    kind, reported, message = IN_RESTORE[how]
    name = snap("failures.handler", environment={"HOW": how})
    for _ in range(2):
        reply = invoke(name)
        assert (reply.error, reply.value["errorType"]) == ("Unhandled", kind)
        assert message in reply.value["errorMessage"]
        assert f" ms\tStatus: error\tError Type: {reported}\t\n" in reply.log
        assert reply.log.index("RESTORE_REPORT") < reply.log.index("START RequestId")
        assert (reply.report.status, reply.report.error_type) == ("error", reported)
        assert reply.report.restore_ms is not None
        assert lab.environments(name) == []


def test_a_restore_that_takes_too_long_is_ended(snap: Deploy, invoke: Invoke, lab: Lab) -> None:
    """The limit is the lab's own, not the function's time-out."""
    name = snap("failures.handler", environment={"HOW": "after sleeps"}, timeout_s=60)
    reply = invoke(name)
    assert (reply.error, reply.value["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert reply.value["errorMessage"].endswith("Task timed out after 0.50 seconds")
    assert "Task timed out after 0.50 seconds\n" in reply.log
    assert 500 <= restore_ms(reply) < 2000
    assert lab.environments(name) == []


def test_init_may_take_longer_than_on_demand(snap: Deploy, invoke: Invoke) -> None:
    """No caller waits for it, so its limit is minutes; this lab's for on-demand INIT is one second."""
    name = snap("failures.handler", environment={"HOW": "slow import"}, timeout_s=0.5)
    assert [invoke(name).value for _ in range(2)] == ["slow import"] * 2


def test_without_the_package_of_the_hooks_the_runtime_cannot_start(lab: Lab, invoke: Invoke, tmp_path: Path) -> None:
    """It ends with status 1 and posts nothing; its traceback is in the log."""
    (tmp_path / "app.py").write_text("def handler(event, context): pass\n", encoding="utf-8")
    missing = "raise ModuleNotFoundError('No module named snapshot_restore_py')\n"
    (tmp_path / "snapshot_restore_py.py").write_text(missing, encoding="utf-8")
    lab.deploy("without", "app.handler", task_root=tmp_path, init_type="snap-start")
    reply = invoke("without")
    lab.remove("without")
    assert (reply.error, reply.value["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert reply.value["errorMessage"].endswith("Runtime exited with error: exit status 1")
    assert "ModuleNotFoundError: No module named snapshot_restore_py" in reply.log


@linux
def test_a_snapshot_that_was_lost_is_replaced(snap: Deploy, invoke: Invoke, lab: Lab) -> None:
    """The next invocation waits for another one."""
    name = snap("hooks.handler")
    pid = lab.environments(name)[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: lab.environments(name) == [])
    reply = invoke(name)
    assert reply.error is None
    assert reply.value["pid"] != pid
    assert reply.report.restore_ms is not None


@linux
def test_retire_ends_what_is_restored_and_what_is_not(snap: Deploy, invoke: Invoke, lab: Lab) -> None:
    """The next invocation begins with INIT; a new deployment ends the old snapshot, too."""
    name = snap("hooks.handler")
    first = lab.environments(name)[0].pid
    lab.retire(name)
    assert lab.environments(name) == []
    assert process_state(first or 0) == ""
    second = invoke(name).value["pid"]
    lab.retire(name)
    assert process_state(second) == ""
    assert invoke(name).value["pid"] not in (first, second)


@linux
def test_a_second_deployment_ends_the_snapshot_of_the_first(lab: Lab, task_root: Path) -> None:
    """It stands for the code that was replaced."""
    pids = []
    for _ in range(2):
        lab.deploy("twice", "app.echo", task_root=task_root, init_type="snap-start")
        (record,) = lab.environments("twice")
        pids.append(record.pid or 0)
    assert process_state(pids[0]) == ""
    lab.remove("twice")
    assert process_state(pids[1]) == ""


def test_a_snapshot_belongs_to_a_version(snap: Deploy, invoke: Invoke, lab: Lab) -> None:
    """The one of deployment to what the last qualifier names."""
    name = snap("hooks.handler", qualifiers=("1", "live"))
    (record,) = lab.environments(name)
    assert record.version == "1"
    assert invoke(name).value["pid"] != record.pid
    reply = invoke(name, Qualifier="live")
    assert (reply.value["pid"], reply.version) == (record.pid, "1")


def test_time_at_the_snapshot_is_nobodys(snap: Deploy, invoke: Invoke) -> None:
    """The restore is measured from the moment in which it begins."""
    name = snap("hooks.handler")
    time.sleep(0.6)
    assert restore_ms(invoke(name)) < 500
