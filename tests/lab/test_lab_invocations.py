from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from lab_parts import Invoke, eventually, meeting, process_state, release

if TYPE_CHECKING:
    from lambdakit.lab import Lab

Deploy = Callable[..., str]
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_the_first_invocation_reports_a_true_init_duration_and_the_second_none(deploy: Deploy, invoke: Invoke) -> None:
    """INIT is measured, billed with the invocation that it ran for, and reported once."""
    name = deploy("app.echo")
    first, second = invoke(name, {"a": 1}), invoke(name, {"a": 2})
    assert (first.value, second.value) == ({"a": 1}, {"a": 2})
    lines = [line.split(" ")[0] for line in first.log.splitlines() if line]
    assert lines == ["START", "END", "REPORT"]
    init_ms, duration_ms = first.report.init_ms or 0.0, first.report.duration_ms
    assert init_ms > 5.0  # an interpreter does not start in less
    assert first.report.billed_ms == math.ceil(init_ms + duration_ms)
    assert second.report.init_ms is None
    assert (first.report.memory_size_mb, first.report.status) == (1769, None)


@linux
def test_the_memory_of_an_invocation_is_measured_for_itself(deploy: Deploy, invoke: Invoke) -> None:
    """A peak belongs to the invocation that had it; the next one begins anew."""
    name = deploy("app.large")
    sizes = [5_000_000, 1, 1]
    peaks = [(invoke(name, size).report.max_memory_mb or 0.0) for size in sizes]
    assert peaks[0] > peaks[2] + 4


def test_a_function_sees_what_lambda_would_tell_it(
    deploy: Deploy, invoke: Invoke, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables are Lambda's and the function's own; what is set on this machine does not leak in."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    name = deploy("app.about", memory_mb=512, environment={"TABLE": "orders"}, timeout_s=7)
    seen = invoke(name).value
    environ = seen.pop("environ")
    stream = environ.pop("AWS_LAMBDA_LOG_STREAM_NAME")
    assert stream.startswith(time.strftime("%Y/%m/", time.gmtime()))
    assert "/[$LATEST]" in stream
    assert environ.pop("AWS_LAMBDA_RUNTIME_API").startswith("127.0.0.1:")
    for varying in ("_X_AMZN_TRACE_ID", "PATH", "LC_CTYPE", "LAMBDA_TASK_ROOT"):
        environ.pop(varying, None)
    assert environ == {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "TABLE": "orders",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "ASIALOCALLAB00000000",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_SESSION_TOKEN": "made-up",
        "_HANDLER": "app.about",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
    }
    assert 6000 < seen["remaining_ms"] <= 7000
    assert seen["trace"].startswith("Root=1-")
    assert seen["pid"] == lab.environments(name)[0].pid


def test_invocations_that_wait_for_each_other_get_an_environment_each(deploy: Deploy, invoke: Invoke, lab: Lab) -> None:
    """Five at once are five environments, all of which are kept."""
    name = deploy("app.rendezvous", timeout_s=30)
    with meeting() as (port, arrivals), ThreadPoolExecutor(5) as pool:
        replies = [pool.submit(invoke, name, {"port": port}) for _ in range(5)]
        release(arrivals(5))
        pids = {reply.result().value for reply in replies}
    assert len(pids) == 5
    records = lab.environments(name)
    assert {record.pid for record in records} == pids
    assert [(record.state, record.invocations) for record in records] == [("idle", 1)] * 5


def test_the_environment_that_was_used_last_is_used_next(deploy: Deploy, invoke: Invoke, lab: Lab) -> None:
    """An idle environment takes the next invocation, the most recently used one first."""
    name = deploy("app.rendezvous", timeout_s=30)
    with meeting() as (port, arrivals), ThreadPoolExecutor(2) as pool:
        replies = [pool.submit(invoke, name, {"port": port}) for _ in range(2)]
        one, two = arrivals(2)
        one.close()
        assert eventually(lambda: any(reply.done() for reply in replies))
        (later,) = [reply for reply in replies if not reply.done()]
        two.close()
        used_last = later.result().value
        again = pool.submit(invoke, name, {"port": port})
        release(arrivals(1))
        assert again.result().value == used_last


@linux
def test_an_environment_is_frozen_between_invocations(deploy: Deploy, invoke: Invoke, lab: Lab) -> None:
    """The kernel has it stopped, its threads do nothing meanwhile, and it goes on in the next invocation."""
    name = deploy("app.background")
    invoke(name)
    pid = lab.environments(name)[0].pid
    assert pid is not None
    assert eventually(lambda: process_state(pid) == "T")
    before = time.clock_gettime((~pid << 3) | 2)
    assert not eventually(lambda: time.clock_gettime((~pid << 3) | 2) > before, limit_s=0.2)
    assert invoke(name).value >= 1
    assert lab.environments(name)[0].pid == pid


def test_a_time_out_ends_the_environment(deploy: Deploy, invoke: Invoke, lab: Lab) -> None:
    """The caller is told as by Lambda, the log too, with what was printed before; the next invocation is cold."""
    name = deploy("app.sleep", timeout_s=0.25)
    reply = invoke(name, 60)
    request_id = reply.log.split()[2]
    assert (reply.error, reply.value) == (
        "Unhandled",
        {
            "errorType": "Sandbox.Timedout",
            "errorMessage": f"RequestId: {request_id} Error: Task timed out after 0.25 seconds",
        },
    )
    assert "about to sleep\n" in reply.log
    assert f"Z {request_id} Task timed out after 0.25 seconds\n" in reply.log
    assert reply.report.status == "timeout"
    assert 250 <= reply.report.duration_ms < 1000
    assert reply.report.max_memory_mb is not None or sys.platform != "linux"
    assert lab.environments(name) == []
    assert invoke(name, 0).report.init_ms is not None


EXITS = {
    "status": ("app.leave", 3, "exit status 3"),
    "zero": ("app.leave", 0, None),
    "sys.exit": ("app.leave_politely", 1, "exit status 1"),
    "killed": ("app.signalled", int(signal.SIGKILL), "signal: killed"),
    "segmentation fault": ("app.signalled", int(signal.SIGSEGV), "signal: segmentation fault"),
}


@pytest.mark.parametrize("case", EXITS)
def test_a_process_that_ends_by_itself_is_an_exit_error(case: str, deploy: Deploy, invoke: Invoke) -> None:
    """It posts nothing, so the error is Lambda's own; the next invocation is cold."""
    handler, event, reason = EXITS[case]
    name = deploy(handler)
    reply = invoke(name, event)
    said = f"Runtime exited with error: {reason}" if reason else "Runtime exited without providing a reason"
    message = f"RequestId: {reply.log.split()[2]} Error: {said}"
    assert (reply.error, reply.value) == ("Unhandled", {"errorType": "Runtime.ExitError", "errorMessage": message})
    assert (reply.report.status, reply.report.error_type) == ("error", "Runtime.ExitError")
    assert ("last words" in reply.log) == (handler == "app.leave")
    assert invoke(name, event).report.init_ms is not None


def test_an_exception_leaves_the_environment_alive(deploy: Deploy, invoke: Invoke) -> None:
    """The error is what the runtime client posted; the same process takes the next invocation."""
    name = deploy("app.fail")
    first, second = invoke(name), invoke(name)
    assert first.error == "Unhandled"
    assert (first.value["errorType"], first.value["errorMessage"]) == ("LookupError", "nothing there")
    assert "[ERROR] LookupError: nothing there" in first.log
    assert (first.report.status, first.report.error_type) == ("error", "LookupError")
    assert second.report.init_ms is None


BROKEN = {
    "missing_import": "Runtime.ImportModuleError",
    "syntax": "Runtime.UserCodeSyntaxError",
    "raises": "KeyError",
    "app": "Runtime.HandlerNotFound",
}


@pytest.mark.parametrize("module", BROKEN)
def test_a_failed_init_is_the_answer_as_the_client_posted_it(
    module: str, deploy: Deploy, invoke: Invoke, lab: Lab
) -> None:
    """The caller gets the body of init/error; the environment is gone."""
    name = deploy(f"{module}.handler")
    reply = invoke(name)
    assert (reply.error, reply.value["errorType"]) == ("Unhandled", BROKEN[module])
    assert reply.value["requestId"] == ""
    assert f"Phase: init\tStatus: error\tError Type: {BROKEN[module]}" in reply.log
    assert f"[ERROR] {BROKEN[module]}" in reply.log
    assert reply.report.error_type == BROKEN[module]
    assert lab.environments(name) == []


def test_a_process_that_ends_in_init_is_an_exit_error(deploy: Deploy, invoke: Invoke) -> None:
    """What it printed is in the log."""
    reply = invoke(deploy("exits.handler"))
    assert reply.value["errorType"] == "Runtime.ExitError"
    assert reply.value["errorMessage"].endswith("Runtime exited with error: exit status 7")
    assert reply.log.startswith("in vain\n")


def test_a_slow_init_is_done_again_inside_the_invocation(deploy: Deploy, invoke: Invoke, tmp_path: Any) -> None:
    """At the limit it is ended, and the second one belongs to the invocation: no Init Duration of its own."""
    name = deploy("slow_once.handler", environment={"MARK": str(tmp_path / "mark")})
    reply = invoke(name)
    assert (reply.error, reply.value) == (None, "at last")
    assert "Phase: init\tStatus: timeout" in reply.log
    assert reply.report.init_ms is None
    assert invoke(name).report.init_ms is None


def test_an_init_that_is_too_slow_twice_is_a_time_out(deploy: Deploy, invoke: Invoke, lab: Lab) -> None:
    """The second INIT runs under the function's own time-out."""
    name = deploy("slow.handler", timeout_s=0.3)
    reply = invoke(name)
    assert (reply.error, reply.value["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert "Phase: init\tStatus: timeout" in reply.log
    assert "Phase: invoke\tStatus: timeout" in reply.log
    assert reply.report.status == "timeout"
    assert lab.environments(name) == []


def test_a_response_of_six_megabytes_arrives_and_a_larger_one_does_not(
    deploy: Deploy, invoke: Invoke, lab: Lab
) -> None:
    """The limit is 6,291,556 bytes of JSON; beyond it the runtime is told 413, which ends it, as on Lambda."""
    name = deploy("app.large", timeout_s=30)
    assert len(invoke(name, 6_291_554).value) == 6_291_554
    reply = invoke(name, 6_291_555)
    assert (reply.error, reply.value["errorType"]) == ("Unhandled", "Function.ResponseSizeTooLarge")
    assert "Http response code: 413" in reply.log
    assert reply.report.error_type == "Function.ResponseSizeTooLarge"
    assert lab.environments(name) == []


def test_megabytes_of_output_are_drained_and_their_end_is_the_tail(
    deploy: Deploy, invoke: Invoke, client: Any, lab: Lab
) -> None:
    """A full pipe never blocks the function; the caller gets the last 4 KB."""
    name = deploy("app.chatter", timeout_s=30)
    reply = invoke(name, 8192)
    assert reply.error is None
    assert len(reply.log) == 4096
    assert "\nthe end\nEND RequestId: " in reply.log
    assert len(lab.logs(name)) <= 1_048_576
    quiet = client.invoke(FunctionName=name, Payload=b"1")
    assert "LogResult" not in quiet


@linux
def test_an_environment_that_is_killed_while_frozen_is_replaced(deploy: Deploy, invoke: Invoke, lab: Lab) -> None:
    """The next invocation is cold and succeeds."""
    name = deploy("app.about")
    pid = invoke(name).value["pid"]
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: lab.environments(name) == [])
    reply = invoke(name)
    assert reply.error is None
    assert reply.value["pid"] != pid


REQUESTS = """
import os
from http.client import HTTPConnection

def handler(event, context):
    connection = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"], timeout=5)
    statuses = []
    for method, path in event:
        connection.request(method, "/2018-06-01/runtime/" + path, body="{}" if method == "POST" else None)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    return statuses
"""


def test_what_a_function_asks_at_the_wrong_time_is_refused(deploy: Deploy, invoke: Invoke, task_root: Any) -> None:
    """INIT is over, there is no snapshot, another invocation's id is unknown: the function's own answer stands."""
    (task_root / "requests_of_its_own.py").write_text(REQUESTS, encoding="utf-8")
    asked = {
        ("POST", "init/error"): 403,
        ("GET", "restore/next"): 403,
        ("POST", "restore/error"): 403,
        ("POST", "invocation/another/response"): 400,
        ("POST", "invocation/another/error"): 400,
        ("GET", "nothing"): 404,
    }
    reply = invoke(deploy("requests_of_its_own.handler"), list(asked))
    assert (reply.error, reply.value) == (None, list(asked.values()))


TWICE = """
import os
from http.client import HTTPConnection

def handler(event, context):
    connection = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"], timeout=5)
    for body in ('"first"', '"second"'):
        connection.request("POST", f"/2018-06-01/runtime/invocation/{context.aws_request_id}/response", body=body)
        answer = connection.getresponse()
        answer.read()
        print("answered", answer.status)
"""


def test_the_first_answer_stands(deploy: Deploy, invoke: Invoke, task_root: Any) -> None:
    """Another one to the same invocation is refused, the runtime's own, too."""
    (task_root / "twice.py").write_text(TWICE, encoding="utf-8")
    reply = invoke(deploy("twice.handler"))
    assert reply.value == "first"
    assert "answered 202\nanswered 400\n" in reply.log


def test_retire_makes_the_next_invocation_cold(deploy: Deploy, invoke: Invoke, lab: Lab) -> None:
    """An idle environment ends at once, a busy one after its invocation."""
    name = deploy("app.rendezvous", timeout_s=30)
    with meeting() as (port, arrivals), ThreadPoolExecutor(1) as pool:
        busy = pool.submit(invoke, name, {"port": port})
        (connection,) = arrivals(1)
        lab.retire(name)
        assert [record.state for record in lab.environments(name)] == ["busy"]
        connection.close()
        assert busy.result().error is None
        assert lab.environments(name) == []
        again = pool.submit(invoke, name, {"port": port})
        release(arrivals(1))
        assert again.result().report.init_ms is not None
    lab.retire(name)
    assert lab.environments(name) == []


def test_a_second_deploy_replaces_the_function(lab: Lab, deploy: Deploy, invoke: Invoke, task_root: Any) -> None:
    """The new handler answers, in a new environment."""
    name = deploy("app.echo")
    assert invoke(name, 1).value == 1
    lab.deploy(name, "app.about", task_root=task_root)
    assert invoke(name, 1).value["version"] == "$LATEST"


def test_provisioned_environments_are_ready_before_the_first_invocation(
    deploy: Deploy, invoke: Invoke, lab: Lab
) -> None:
    """They are frozen when deploy returns; their INIT is not reported with an invocation, nor billed with it."""
    name = deploy("app.about", provisioned=2, qualifiers=("1", "live"))
    records = lab.environments(name)
    assert [(r.state, r.init_type, r.version) for r in records] == [("idle", "provisioned-concurrency", "1")] * 2
    reply = invoke(name, Qualifier="live")
    assert reply.value["environ"]["AWS_LAMBDA_INITIALIZATION_TYPE"] == "provisioned-concurrency"
    assert reply.value["pid"] in {record.pid for record in records}
    assert (reply.report.init_ms, reply.version) == (None, "1")


def test_an_event_invocation_is_accepted_and_run(deploy: Deploy, client: Any, lab: Lab) -> None:
    """202 comes at once and has no payload; the invocation is in the log. It waits for a free slot, not the caller."""
    name = deploy("app.rendezvous", max_concurrency=1, timeout_s=30)
    with meeting() as (port, arrivals):
        payload = json.dumps({"port": port})
        answers = [client.invoke(FunctionName=name, InvocationType="Event", Payload=payload) for _ in range(2)]
        assert [(a["StatusCode"], a["Payload"].read()) for a in answers] == [(202, b"")] * 2
        release(arrivals(1))
        release(arrivals(1))
    assert eventually(lambda: lab.logs(name).count("\nREPORT ") == 2)
    assert [record.invocations for record in lab.environments(name)] == [2]


def test_one_more_than_may_run_at_once_is_throttled(deploy: Deploy, invoke: Invoke, client: Any) -> None:
    """429 with a reason, and with the time after which to try again."""
    name = deploy("app.rendezvous", max_concurrency=1, timeout_s=30)
    with meeting() as (port, arrivals), ThreadPoolExecutor(1) as pool:
        busy = pool.submit(invoke, name, {"port": port})
        held = arrivals(1)
        with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
            invoke(name, {"port": port})
        release(held)
        assert busy.result().error is None
    answer = caught.value.response
    assert answer["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
