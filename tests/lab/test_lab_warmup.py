"""Pings in real environments: with boto3's own client as the caller, eight wanted are eight processes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab_parts import Invoke, eventually, meeting, release

if TYPE_CHECKING:
    from lambdakit.lab import Lab

# An overlap that the slowest machine's eight INITs side by side stay within; a real function needs no more than 75 ms,
# since Lambda's environments do not share a processor.
FUNCTIONS = """
import json, os, socket
import lambdakit

def work(event, context):
    if "port" in event:
        with socket.create_connection(("127.0.0.1", event["port"])) as connection:
            connection.recv(1)
    return [os.getpid(), lambdakit.invocation().start_kind, lambdakit.environment().pings]

def note():
    context = lambdakit.invocation().context
    print("PINGED", json.dumps([os.getpid(), context.invoked_function_arn, context.function_version]))

kept = lambdakit.handler(
    warmup=lambdakit.Warmup(max_concurrency=int(os.environ.get("MOST", "20")), overlap=1.0), on_ping=note
)(work)
plain = lambdakit.handler(work)
"""
WANTED = 8


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("warmup")
    (root / "warmup_app.py").write_text(FUNCTIONS, encoding="utf-8")
    return root


@pytest.fixture
def function(lab: Lab, root: Path) -> Iterator[Callable[..., str]]:
    """Deploy one of the functions, with the lab as its Lambda."""
    names: list[str] = []

    def function(handler: str = "kept", *, url: str | None = None, most: int = 20, **options: Any) -> str:
        name = f"warmup-{handler}-{len(names)}"
        variables = {"AWS_ENDPOINT_URL_LAMBDA": url or lab.url, "MOST": str(most)}
        lab.deploy(name, f"warmup_app.{handler}", task_root=root, environment=variables, timeout_s=30, **options)
        names.append(name)
        return name

    yield function
    for name in names:
        lab.remove(name)


def pinged(lab: Lab, name: str) -> list[list[Any]]:
    """Process, ARN and version of each ping that was answered."""
    lines = [line for line in lab.logs(name).splitlines() if line.startswith("PINGED ")]
    return [json.loads(line.removeprefix("PINGED ")) for line in lines]


def settled(lab: Lab, name: str, count: int) -> bool:
    """Whether so many pings have been answered, and no environment is at work any more."""
    records = lab.environments(name)
    return len(pinged(lab, name)) == count and all(record.invocations for record in records)


def test_a_root_ping_leaves_as_many_environments(lab: Lab, function: Callable[..., str], invoke: Invoke) -> None:
    """Eight processes, each with one ping of the alias and its version; eight users at once wait for no start."""
    name = function(qualifiers=["$LATEST", "3", "prod"])
    answer = invoke(f"{name}:prod", {"warmer": True, "concurrency": WANTED})
    assert (answer.error, answer.value["ping"]) == (None, "lambda-warmer")
    assert eventually(lambda: settled(lab, name, WANTED))
    seen = pinged(lab, name)
    assert len({pid for pid, _, _ in seen}) == WANTED == len(lab.environments(name))
    assert {(arn.rpartition(":function:")[2], version) for _, arn, version in seen} == {(f"{name}:prod", "3")}
    with meeting() as (port, arrived), ThreadPoolExecutor(WANTED) as pool:
        replies = [pool.submit(invoke, f"{name}:prod", {"port": port}) for _ in range(WANTED)]
        release(arrived(WANTED))
        values = [reply.result(30).value for reply in replies]
    assert {pid for pid, _, _ in values} == {pid for pid, _, _ in seen}
    assert {(kind, pings) for _, kind, pings in values} == {("warm", 1)}
    assert len(lab.environments(name)) == WANTED


def test_a_storm_stays_at_the_cap_and_children_do_not_recurse(
    lab: Lab, function: Callable[..., str], invoke: Invoke
) -> None:
    """A thousand are asked for, eight kept: eight pings in all, of the version that was invoked.

    Nine environments are there, which answer in a millisecond: the overlap is what makes the pings those of eight.
    """
    name = function(most=WANTED, qualifiers=["$LATEST", "7"], provisioned=WANTED + 1)
    assert invoke(name, {"warmer": True, "concurrency": 1000}, Qualifier="7").error is None
    assert eventually(lambda: len(pinged(lab, name)) == WANTED)
    assert {version for _, _, version in pinged(lab, name)} == {"7"}
    assert (len({pid for pid, _, _ in pinged(lab, name)}), len(lab.environments(name))) == (WANTED, WANTED + 1)
    assert "asks for 1000 environments: no more than 8 are kept" in lab.logs(name)


def test_an_array_of_lambda_warmer(lab: Lab, function: Callable[..., str], invoke: Invoke) -> None:
    """Each of its pings counts; one for another function is left out, and told."""
    other = function("plain")
    name = function()
    pings = [{"warmer": True, "concurrency": 2}, {"warmer": True, "concurrency": 2}]
    invoke(name, [*pings, {"warmer": True, "target": other, "concurrency": 5}])
    assert eventually(lambda: settled(lab, name, 3))
    assert (len(lab.environments(name)), lab.environments(other)) == (3, [])
    assert "names another function as its target" in lab.logs(name)


def test_pings_at_once_each_keep_an_environment(lab: Lab, function: Callable[..., str], invoke: Invoke) -> None:
    """As serverless-plugin-warmup with `concurrency` sends them, round by round: none finds one that has answered."""
    name = function()
    with ThreadPoolExecutor(WANTED) as pool:
        for number in (1, 2):
            answers = [pool.submit(invoke, name, {"source": "serverless-plugin-warmup"}) for _ in range(WANTED)]
            kept = {answer.result(30).value["environment"] for answer in answers}
            assert len(kept) == WANTED == len(lab.environments(name))
            assert len(pinged(lab, name)) == number * WANTED


def test_without_the_option_one_environment_stays_one(lab: Lab, function: Callable[..., str], invoke: Invoke) -> None:
    """Of a plain handler, and of a ping that is a test."""
    name = function("plain")
    invoke(name, {"warmer": True, "concurrency": WANTED})
    assert invoke(name, {}).value[1:] == ["warm", 1]
    kept = function()
    invoke(kept, {"warmer": True, "concurrency": WANTED, "test": True})
    assert invoke(kept, {}).value[1:] == ["warm", 1]
    assert [len(lab.environments(one)) for one in (name, kept)] == [1, 1]


class Denying(BaseHTTPRequestHandler):
    """Lambda, to a role that may not invoke anything."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"Message": "User: arn:aws:sts::1:role is not authorized to perform: lambda:InvokeFunction"}'
        self.send_response(403)
        self.send_header("x-amzn-ErrorType", "AccessDeniedException")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def test_a_denied_function_stays_healthy(lab: Lab, function: Callable[..., str], invoke: Invoke) -> None:
    """The ping is answered, the log says once which permission is missing, and work is done as before."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Denying) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            name = function(url=f"http://127.0.0.1:{server.server_port}")
            for _ in range(2):
                answer = invoke(name, {"warmer": True, "concurrency": 3})
                assert (answer.error, answer.value["ping"]) == (None, "lambda-warmer")
        finally:
            server.shutdown()
            thread.join(10)
    assert invoke(name, {}).value[1:] == ["warm", 2]
    assert lab.logs(name).count("The role needs lambda:InvokeFunction on arn:aws:lambda:us-east-1:") == 1
    assert len(lab.environments(name)) == 1
