"""What the tests of the lab share: the code of their functions, the caller, and ways to look."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
from botocore.config import Config

from lambdakit.lab._report import Report, parse_report

if TYPE_CHECKING:
    from lambdakit.lab import Lab

CODE = """
import json, os, signal, socket, subprocess, sys, threading, time

def echo(event, context):
    return event

def about(event, context):
    return {"pid": os.getpid(), "arn": context.invoked_function_arn, "request_id": context.aws_request_id,
            "remaining_ms": context.get_remaining_time_in_millis(), "version": context.function_version,
            "environ": dict(os.environ), "cwd": os.getcwd(), "trace": os.environ.get("_X_AMZN_TRACE_ID"),
            "context": context.client_context and {"custom": context.client_context.custom}}

def rendezvous(event, context):
    with socket.create_connection(("127.0.0.1", event["port"])) as connection:
        connection.recv(1)
    return os.getpid()

def fail(event, context):
    raise LookupError("nothing there")

def leave(event, context):
    print("last words")
    os._exit(event)

def leave_politely(event, context):
    sys.exit(event)

def signalled(event, context):
    os.kill(os.getpid(), event)
    time.sleep(60)

def sleep(event, context):
    print("about to sleep")
    time.sleep(event)

def large(event, context):
    return "x" * event

def chatter(event, context):
    for number in range(event):
        print("y" * 1023)
    print("the end")

def spin(event, context):
    end = time.process_time() + event
    begin = time.monotonic()
    while time.process_time() < end:
        pass
    return time.monotonic() - begin

def child(event, context):
    process = subprocess.Popen(["sleep", "600"], start_new_session=event.get("own_session", False))
    return [os.getpid(), process.pid]

def tenant(event, context):
    return [os.getpid(), context.tenant_id]

def post(path, body, headers):
    import http.client
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"], timeout=20)
    connection.request("POST", "/2018-06-01/runtime/invocation/" + path, body, headers)
    return connection.getresponse().status

def ask_runtime_api(event, context):
    return post("nobody/response", b"1", event)

def post_deep_error(event, context):
    return post(context.aws_request_id + "/error", b"[" * 100_000, {})

def measured(event, context):
    import lambdakit
    return lambdakit.handler(lambda event, context: "measured", metrics="Lab")(event, context)

counted = 0

def count_on():
    global counted
    while True:
        counted += 1
        time.sleep(0.001)

def background(event, context):
    if counted == 0:
        threading.Thread(target=count_on, daemon=True).start()
    return counted
"""

BROKEN = {
    "missing_import": "import no_such_module_at_all\n",
    "syntax": "def handler(:\n",
    "raises": "raise KeyError('at import')\n",
    "exits": "import os\nprint('in vain')\nos._exit(7)\n",
    "slow_once": (
        "import os, time\n"
        "mark = os.environ['MARK']\n"
        "if not os.path.exists(mark):\n"
        "    open(mark, 'w').close()\n"
        "    time.sleep(600)\n"
        "def handler(event, context):\n"
        "    return 'at last'\n"
    ),
    "slow": "import time\ntime.sleep(600)\n",
}


class Reply(NamedTuple):
    """An answer of Invoke, read."""

    value: Any
    error: str | None
    version: str
    log: str

    @property
    def report(self) -> Report:
        """The REPORT line, in figures."""
        report = parse_report(self.log)
        assert report is not None
        return report


Invoke = Callable[..., Reply]


def client_of(lab: Lab) -> Any:
    """boto3's own client, which sends each request once."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=120, max_pool_connections=20)
    return boto3.client(
        "lambda",
        endpoint_url=lab.url,
        region_name="us-east-1",
        aws_access_key_id="made-up",
        aws_secret_access_key="made-up",
        config=config,
    )


def read(answer: Any) -> Reply:
    """An answer of boto3 as a `Reply`."""
    payload = answer["Payload"].read()
    return Reply(
        value=json.loads(payload) if payload else None,
        error=answer.get("FunctionError"),
        version=answer["ExecutedVersion"],
        log=base64.b64decode(answer.get("LogResult", "")).decode(),
    )


@contextmanager
def meeting() -> Iterator[tuple[int, Callable[[int], list[socket.socket]]]]:
    """A port, and a function that waits until so many handlers have come there; closing the sockets lets them go."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield server.getsockname()[1], lambda count: [server.accept()[0] for _ in range(count)]


def release(sockets: list[socket.socket]) -> None:
    """Let the handlers go that have come to a `meeting`."""
    for connection in sockets:
        connection.close()


def eventually(question: Callable[[], bool], limit_s: float = 10.0) -> bool:
    """Whether it becomes true within the limit."""
    end = time.monotonic() + limit_s
    while not question():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def memory_has(pid: int, text: bytes) -> bool:
    """Whether a text is anywhere in the memory of a process."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
            where, rights = line.split()[:2]
            begin, end = (int(address, 16) for address in where.split("-"))
            if rights[:2] == "rw":
                try:
                    if text in os.pread(memory.fileno(), end - begin, begin):
                        return True
                except OSError:  # a page of the kernel's
                    continue
    return False


def process_state(pid: int) -> str:
    """The kernel's letter for a process: R, S, T (all its threads are stopped), Z; empty if there is none."""
    states = []
    for stat in [Path(f"/proc/{pid}/stat"), *Path(f"/proc/{pid}/task").glob("*/stat")]:
        try:
            states.append(stat.read_text(encoding="ascii").rpartition(")")[2].split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return next((state for state in states if state != "T"), "T") if states else ""
