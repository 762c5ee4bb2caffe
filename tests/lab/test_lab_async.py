"""Coroutine handlers under the real runtime client."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lab_parts import Invoke
    from lambdakit.lab import Lab

Function = Callable[..., str]

CODE = """
import asyncio, sys
import lambdakit

streams = []

@lambdakit.handler
async def ask(event, context):
    if not streams:
        streams.extend(await asyncio.open_connection("127.0.0.1", event["port"]))
    reader, writer = streams
    writer.write(b"line\\n")
    answer = await reader.readline()
    return [answer.decode(), asyncio.get_running_loop() is used_in_init]

@lambdakit.handler
async def fail(event, context):
    await asyncio.sleep(0)
    raise LookupError("nothing there")

@lambdakit.handler
async def leave(event, context):
    sys.exit(3)

async def forever():
    await asyncio.Event().wait()

@lambdakit.handler
async def leave_over(event, context):
    asyncio.create_task(forever())
    return "answer"

@lambdakit.handler
async def the_loop(event, context):
    return asyncio.get_running_loop()

used_in_init = the_loop({}, None)
"""


class Echo(socketserver.StreamRequestHandler):
    """Says what is said."""

    def handle(self) -> None:
        self.server.connections += 1  # type: ignore[attr-defined]
        while line := self.rfile.readline():
            self.wfile.write(line)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    connections = 0


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
    thread.join()


@pytest.fixture
def function(lab: Lab, tmp_path: Path) -> Iterator[Function]:
    """Deploy one of the functions above."""
    (tmp_path / "async_app.py").write_text(CODE, encoding="utf-8")
    names: list[str] = []

    def function(handler: str, **options: Any) -> str:
        name = f"async-{handler}-{len(names)}"
        lab.deploy(name, f"async_app.{handler}", task_root=tmp_path, **{"timeout_s": 20, **options})
        names.append(name)
        return name

    yield function
    for name in names:
        lab.remove(name)


@pytest.mark.parametrize("init_type", ["on-demand", "snap-start"])
def test_invocations_share_a_connection(function: Function, invoke: Invoke, server: Server, init_type: str) -> None:
    """The environment is stopped in between. The loop is the one that INIT has used, unless there was a snapshot."""
    name = function("ask", init_type=init_type)
    event = {"port": server.server_address[1]}
    assert [invoke(name, event).value for _ in range(3)] == [["line\n", init_type == "on-demand"]] * 3
    assert server.connections == 1


def test_an_error_reaches_the_caller_as_it_is(function: Function, invoke: Invoke) -> None:
    """Its type and its message, and the line of the handler; the environment goes on."""
    name = function("fail")
    for _ in range(2):
        reply = invoke(name, {})
        assert reply.error == "Unhandled"
        assert (reply.value["errorType"], reply.value["errorMessage"]) == ("LookupError", "nothing there")
        assert 'raise LookupError("nothing there")' in reply.value["stackTrace"][-1]
    assert reply.report.init_ms is None


def test_leaving_the_process_is_what_it_is_in_a_function(function: Function, invoke: Invoke) -> None:
    """Lambda sees the exit."""
    assert invoke(function("leave"), {}).value["errorType"] == "Runtime.ExitError"


def test_what_is_left_over_is_in_the_log(function: Function, invoke: Invoke) -> None:
    """Beside the answer, after the second that they have by default."""
    reply = invoke(function("leave_over"), {})
    assert (reply.value, reply.error) == ("answer", None)
    assert "left over by the handler, and cancelled after 1.0 s" in reply.log
    assert "forever" in reply.log


def test_a_ping_is_answered(function: Function, invoke: Invoke) -> None:
    """As a function answers it."""
    assert invoke(function("fail"), {"warmer": True, "concurrency": 1}).value["ping"] == "lambda-warmer"
