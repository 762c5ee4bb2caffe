from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab_parts import Invoke, Reply, eventually, meeting, process_state, release

if TYPE_CHECKING:
    from lambdakit.lab import EnvironmentRecord, Lab

Deploy = Callable[..., str]
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

WORKERS = """
import http.client, json, logging, os, socket, sys, time

how = os.environ.get("HOW")
if how == "fail":
    raise LookupError("in every worker")
if how == "one fails":
    try:
        os.close(os.open(os.environ["MARK"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        pass
    else:
        while not os.path.exists(os.environ["MARK"] + "2"):
            time.sleep(0.005)
        raise LookupError("in one worker")

def about(event, context):
    return {"pid": os.getpid(), "parent": os.getppid(), "environ": dict(os.environ)}

def rendezvous(event, context):
    if event["port"]:
        with socket.create_connection(("127.0.0.1", event["port"])) as connection:
            connection.recv(1)
    if event.get("leave"):
        os._exit(3)
    return os.getpid()

def sleep_and_write(event, context):
    time.sleep(event["sleep"])
    if event.get("write"):
        open(event["write"], "w").close()
    return os.getpid()

def forge(event, context):
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"], timeout=5)
    path = f"/2018-06-01/runtime/invocation/{context.aws_request_id}/response"
    api.request("POST", path, body='"forged"', headers={"Lambda-Runtime-Invocation-Id": "another"})
    return api.getresponse().status

def large(event, context):
    return [os.getpid(), "x" * event]

def hang_up(event, context):
    port = int(os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")[1])
    closed = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(fd))) as ours:
                if ours.family == socket.AF_INET and ours.getpeername()[1] == port:
                    ours.shutdown(socket.SHUT_RDWR)
                    closed += 1
        except OSError:
            continue
    time.sleep(event)
    return [os.getpid(), closed]

def log(event, context):
    logging.getLogger().warning("a warning")
"""


@pytest.fixture
def managed(deploy: Deploy, task_root: Path) -> Deploy:
    """Deploy one of this module's functions."""
    (task_root / "workers.py").write_text(WORKERS, encoding="utf-8")
    return lambda handler, **options: deploy(handler, init_type="lambda-managed-instances", **options)


def only(lab: Lab, name: str) -> EnvironmentRecord:
    """The one environment of a function."""
    (record,) = lab.environments(name)
    return record


def all_at_once(invoke: Invoke, name: str, count: int, **event: Any) -> list[Reply]:
    """As many invocations as stated, each of which waits until all have begun."""
    with meeting() as (port, arrivals), ThreadPoolExecutor(count) as pool:
        replies = [pool.submit(invoke, name, {"port": port, **event}) for _ in range(count)]
        release(arrivals(count))
        return [reply.result() for reply in replies]


def test_one_environment_runs_as_many_invocations_at_once_as_it_has_workers(
    managed: Deploy, invoke: Invoke, lab: Lab
) -> None:
    """It is up when deploy returns; each worker is a process of its own, and all are children of one."""
    name = managed("workers.rendezvous", max_concurrency=3, timeout_s=30)
    record = only(lab, name)
    assert (record.state, record.init_type, record.invocations) == ("idle", "lambda-managed-instances", 0)
    assert record.init_ms is not None
    assert lab.logs(name).count("INIT_REPORT Init Duration: ") == 1
    for _ in range(2):
        replies = all_at_once(invoke, name, 3)
        pids = {reply.value for reply in replies}
        assert len(pids) == 3
        assert [(r.report.init_ms, r.report.restore_ms) for r in replies] == [(None, None)] * 3
    after = only(lab, name)
    assert (after.pid, after.state, after.invocations) == (record.pid, "idle", 6)
    assert record.pid not in pids
    assert sys.platform != "linux" or set(after.workers) == pids


def test_a_worker_sees_what_lambda_would_tell_it(managed: Deploy, invoke: Invoke, lab: Lab) -> None:
    """How many workers there are, the way it came to be, and that logs are JSON."""
    name = managed("workers.about", max_concurrency=2)
    seen = invoke(name).value
    assert seen["parent"] == only(lab, name).pid
    told = ("AWS_LAMBDA_MAX_CONCURRENCY", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_FORMAT")
    assert [seen["environ"][variable] for variable in told] == ["2", "lambda-managed-instances", "JSON"]
    assert seen["environ"]["AWS_ACCESS_KEY_ID"]


def test_logs_are_json_unless_the_function_says_otherwise(managed: Deploy, invoke: Invoke) -> None:
    """As on managed instances."""
    line = next(
        line for line in invoke(managed("workers.log", max_concurrency=1)).log.splitlines() if "warning" in line
    )
    assert json.loads(line)["message"] == "a warning"
    text = managed("workers.log", max_concurrency=1, environment={"AWS_LAMBDA_LOG_FORMAT": "Text"})
    assert "[WARNING]" in invoke(text).log


def test_invocations_take_turns_with_the_workers(managed: Deploy, invoke: Invoke) -> None:
    """The one that has waited longest is next, so none is forgotten."""
    name = managed("workers.rendezvous", max_concurrency=3, timeout_s=30)
    all_at_once(invoke, name, 3)  # all are up
    pids = [invoke(name, {"port": 0}).value for _ in range(6)]
    assert len(set(pids[:3])) == 3
    assert pids[3:] == pids[:3]


def test_one_more_than_there_are_workers_is_throttled_or_waits(
    managed: Deploy, invoke: Invoke, client: Any, lab: Lab
) -> None:
    """429 for a caller who waits for the answer; an event gets the first worker that is free."""
    name = managed("workers.rendezvous", max_concurrency=1, timeout_s=30)
    with meeting() as (port, arrivals), ThreadPoolExecutor(1) as pool:
        busy = pool.submit(invoke, name, {"port": port})
        held = arrivals(1)
        assert only(lab, name).state == "busy"
        with pytest.raises(client.exceptions.TooManyRequestsException):
            invoke(name, {"port": port})
        client.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps({"port": port}))
        release(held)
        assert busy.result().error is None
        release(arrivals(1))
    assert eventually(lambda: only(lab, name).invocations == 2 and only(lab, name).state == "idle")


@linux
def test_workers_are_never_frozen(deploy: Deploy, invoke: Invoke, lab: Lab) -> None:
    """A thread of theirs goes on between invocations."""
    name = deploy("app.background", init_type="lambda-managed-instances", max_concurrency=1)
    invoke(name)
    record = only(lab, name)
    (worker,) = record.workers
    before = time.clock_gettime((~worker << 3) | 2)
    assert eventually(lambda: time.clock_gettime((~worker << 3) | 2) > before)
    assert "T" not in (process_state(worker), process_state(record.pid or 0))


def test_a_worker_that_ends_is_an_error_and_is_not_replaced(
    managed: Deploy, invoke: Invoke, client: Any, lab: Lab
) -> None:
    """Its caller is told at once; the others go on, one fewer."""
    name = managed("workers.rendezvous", max_concurrency=2, timeout_s=30)
    both = {reply.value for reply in all_at_once(invoke, name, 2)}
    reply = invoke(name, {"port": 0, "leave": True})
    assert (reply.error, reply.value["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert reply.report.error_type == "Runtime.ExitError"
    assert sys.platform != "linux" or reply.report.duration_ms < 400
    left = only(lab, name)
    with meeting() as (port, arrivals), ThreadPoolExecutor(1) as pool:
        busy = pool.submit(invoke, name, {"port": port})
        held = arrivals(1)
        with pytest.raises(client.exceptions.TooManyRequestsException):
            invoke(name, {"port": port})
        release(held)
        pid = busy.result().value
    assert pid in both
    assert sys.platform != "linux" or left.workers == (pid,)


@linux
def test_an_idle_worker_that_is_killed_gets_no_event(managed: Deploy, invoke: Invoke, lab: Lab) -> None:
    """The others answer."""
    name = managed("workers.rendezvous", max_concurrency=2, timeout_s=30)
    all_at_once(invoke, name, 2)
    victim, other = only(lab, name).workers
    os.kill(victim, signal.SIGKILL)
    assert eventually(lambda: only(lab, name).workers == (other,))
    assert [invoke(name, {"port": 0}).value for _ in range(3)] == [other] * 3


def test_an_environment_without_workers_is_replaced(managed: Deploy, invoke: Invoke, lab: Lab) -> None:
    """Its parent process has ended, so the next invocation finds none."""
    name = managed("workers.rendezvous", max_concurrency=2, timeout_s=30)
    before = only(lab, name).pid
    assert [reply.error for reply in all_at_once(invoke, name, 2, leave=True)] == ["Unhandled"] * 2
    assert eventually(lambda: lab.environments(name) == [])
    assert len({reply.value for reply in all_at_once(invoke, name, 2)}) == 2
    assert only(lab, name).pid != before


@linux
def test_the_workers_do_not_outlive_their_parent(managed: Deploy, invoke: Invoke, lab: Lab) -> None:
    """A caller who waits is told."""
    name = managed("workers.rendezvous", max_concurrency=2, timeout_s=30)
    with meeting() as (port, arrivals), ThreadPoolExecutor(1) as pool:
        busy = pool.submit(invoke, name, {"port": port})
        held = arrivals(1)
        record = only(lab, name)
        os.kill(record.pid or 0, signal.SIGKILL)
        reply = busy.result()
        release(held)
    assert (reply.error, reply.value["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert reply.value["errorMessage"].endswith("signal: killed")
    assert eventually(lambda: all(process_state(pid) in ("", "Z") for pid in record.workers))
    assert len({reply.value for reply in all_at_once(invoke, name, 2)}) == 2


def test_a_time_out_ends_nothing(managed: Deploy, invoke: Invoke, client: Any, lab: Lab, tmp_path: Path) -> None:
    """The caller gets its error; the worker goes on to the end, takes nothing meanwhile, and then takes the next."""
    name = managed("workers.sleep_and_write", max_concurrency=1, timeout_s=0.25)
    written = tmp_path / "written"
    reply = invoke(name, {"sleep": 1.0, "write": str(written)})
    assert (reply.error, reply.value["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert reply.report.status == "timeout"
    record = only(lab, name)
    assert record.state == "busy"
    with pytest.raises(client.exceptions.TooManyRequestsException):
        invoke(name, {"sleep": 0})
    client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"sleep": 0}')
    assert not written.exists()
    assert eventually(written.exists)
    assert eventually(lambda: only(lab, name).invocations == 2 and only(lab, name).state == "idle")
    after = invoke(name, {"sleep": 0})
    assert (after.error, only(lab, name).pid) == (None, record.pid)
    assert "won't kill" not in lab.logs(name)  # the late answer was taken


def test_an_init_error_of_all_workers_is_reported_once(managed: Deploy, invoke: Invoke, lab: Lab) -> None:
    """Deploying does not raise; the next caller gets what the first worker posted, after another INIT."""
    name = managed("workers.about", max_concurrency=4, environment={"HOW": "fail"})
    assert lab.environments(name) == []
    assert lab.logs(name).count("INIT_REPORT") == 1
    reply = invoke(name)
    assert (reply.error, reply.value["errorType"]) == ("Unhandled", "LookupError")
    assert reply.value["errorMessage"] == "in every worker"
    assert reply.log.count("Phase: init\tStatus: error\tError Type: LookupError") == 1
    assert reply.log.count("INIT_REPORT") == 1
    assert lab.environments(name) == []


@linux
def test_a_worker_that_fails_after_another_is_up_is_left_out(
    managed: Deploy, invoke: Invoke, client: Any, lab: Lab, tmp_path: Path
) -> None:
    """INIT is over with the first worker that asks for an event, as on Lambda; the others make one place fewer."""
    environment = {"HOW": "one fails", "MARK": str(tmp_path / "mark")}
    name = managed("workers.rendezvous", max_concurrency=2, environment=environment, timeout_s=30)
    assert invoke(name, {"port": 0}).error is None
    (tmp_path / "mark2").touch()
    assert eventually(lambda: len(only(lab, name).workers) == 1)
    with meeting() as (port, arrivals), ThreadPoolExecutor(1) as pool:
        busy = pool.submit(invoke, name, {"port": port})
        held = arrivals(1)
        with pytest.raises(client.exceptions.TooManyRequestsException):
            invoke(name, {"port": port})
        release(held)
        assert busy.result().error is None


def test_callers_wait_for_one_init(managed: Deploy, invoke: Invoke, lab: Lab) -> None:
    """After retire the first invocation makes the environment, those at the same time share it."""
    name = managed("workers.rendezvous", max_concurrency=3, timeout_s=30)
    before = only(lab, name).pid
    lab.retire(name)
    assert lab.environments(name) == []
    assert len({reply.value for reply in all_at_once(invoke, name, 3)}) == 3
    assert only(lab, name).pid != before
    assert lab.logs(name).count("INIT_REPORT") == 2


def test_retire_waits_for_those_who_wait(managed: Deploy, invoke: Invoke, lab: Lab) -> None:
    """The environment ends after the last of its invocations; those that come meanwhile get another one."""
    name = managed("workers.rendezvous", max_concurrency=2, timeout_s=30)
    with meeting() as (port, arrivals), ThreadPoolExecutor(2) as pool:
        replies = [pool.submit(invoke, name, {"port": port}) for _ in range(2)]
        one, two = arrivals(2)
        old = only(lab, name).pid
        lab.retire(name)
        one.close()
        assert eventually(lambda: any(reply.done() for reply in replies))
        assert invoke(name, {"port": 0}).error is None
        assert [(record.pid == old, record.state) for record in lab.environments(name)] == [
            (True, "busy"),
            (False, "idle"),
        ]
        two.close()
        assert [reply.result().error for reply in replies] == [None, None]
    assert only(lab, name).pid != old


def test_an_answer_with_another_invocation_id_is_refused(managed: Deploy, invoke: Invoke) -> None:
    """The runtime echoes the one that it was given; the true answer arrives."""
    reply = invoke(managed("workers.forge", max_concurrency=1))
    assert (reply.error, reply.value) == (None, 400)


def test_a_response_that_is_too_large_ends_no_worker(managed: Deploy, invoke: Invoke) -> None:
    """The runtime of workers only logs the refusal."""
    name = managed("workers.large", max_concurrency=1, timeout_s=30)
    pid = invoke(name, 1).value[0]
    assert invoke(name, 6_291_556).value["errorType"] == "Function.ResponseSizeTooLarge"
    assert invoke(name, 1).value[0] == pid


@linux
def test_workers_may_change_their_connections(managed: Deploy, invoke: Invoke) -> None:
    """Their HTTP clients do so after two minutes of silence; they are the same workers with the same invocations."""
    name = managed("workers.hang_up", max_concurrency=2, timeout_s=30)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            replies = [pool.submit(invoke, name, pause) for pause in (0.7, 0.1)]
            done = [reply.result() for reply in replies]
            assert [(reply.value[1], reply.report.status) for reply in done] == [(1, None)] * 2
            assert len({reply.value[0] for reply in done}) == 2
