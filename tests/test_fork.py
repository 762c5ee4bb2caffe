"""A forked child: empty, with no connection and no lock of its parent's."""

import json
import os
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import lambdakit
from lambdakit import Environment, Settings
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
PATIENCE_S = 20


def in_child(work: Callable[[], Any]) -> Any:
    """What `work` returns in a forked child, as JSON; its traceback as an AssertionError."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = json.dumps({"returned": work()})
        except BaseException:  # noqa: BLE001 - the parent raises it
            said = json.dumps({"raised": traceback.format_exc()})
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    watchdog = threading.Timer(PATIENCE_S, os.kill, (child, 9))
    watchdog.start()
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    watchdog.cancel()
    assert said, "the child hung"
    answer = json.loads(said)
    assert "raised" not in answer, answer.get("raised")
    return answer["returned"]


class Secrets(BaseHTTPRequestHandler):
    """Secrets Manager, as far as one secret goes, over connections that stay open."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"ARN": "arn", "Name": "x", "VersionId": "v" * 32, "SecretString": "1"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Secrets)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def sockets(port: int) -> set[str]:
    """The sockets of this process that are connected to the port."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        try:
            target = str(path.readlink())
            if target.startswith("socket:"):
                with socket.socket(fileno=os.dup(int(path.name))) as connection:
                    found |= {target} if connection.getpeername()[1:2] == (port,) else set()
        except OSError:  # the descriptor of the listing itself, or a socket that listens
            continue
    return found


def test_the_child_starts_empty() -> None:
    """Values, counts and the id are the parent's; the child fetches by itself, and the parent keeps its own."""
    backend = MemoryBackend(secrets={"x": "1"})
    with lambdakit.use_environment(Environment(settings=Settings(), backend=backend)) as env:
        lambdakit.handler(lambda event, context: lambdakit.get_secret("x"))({}, FakeContext())
        lambdakit.handler(lambda event, context: None)({"warmer": True}, FakeContext())

        def child() -> list[Any]:
            state = lambdakit.secret("x").state
            return [state, env.invocations, env.pings, env.id, lambdakit.get_secret("x"), len(backend.calls)]

        state, invocations, pings, identity, value, calls = in_child(child)
        assert (state, invocations, pings, value, calls) == ("absent", 0, 0, "1", 2)
        assert identity != env.id
        assert lambdakit.secret("x").state == "fresh"


def test_environments_that_are_covered_start_empty_too() -> None:
    """What comes back when a `with` block ends in the child is not the parent's either."""
    outer = Environment(settings=Settings(), backend=MemoryBackend(secrets={"x": "1"}))
    with lambdakit.use_environment(outer):
        lambdakit.get_secret("x")
        with lambdakit.use_environment(Environment()), lambdakit.use_environment(outer):
            assert in_child(lambda: len(outer.memory.cache)) == 0
        assert len(outer.memory.cache) == 1


def test_no_lock_is_inherited() -> None:
    """Another thread of the parent may hold any of them at the moment of the fork: here all are held."""
    env = Environment(settings=Settings(), backend=MemoryBackend(secrets={"x": "1"}, parameters={"y": "2"}))
    with lambdakit.use_environment(env):

        @lambdakit.cached
        def double(value: int) -> int:
            return value * 2

        double(1)
        lambdakit.get_secrets(["x"])
        memory = env.memory
        caches = [cache for _, cache in memory.caches()]
        locks = [env._lock, env.backend._lock, memory._lock, *(cache._lock for cache in caches)]
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            for lock in locks:
                lock.acquire()
            held.set()
            release.wait(PATIENCE_S)
            for lock in locks:
                lock.release()

        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(PATIENCE_S)
        try:
            work = lambda: [lambdakit.get_secret("x"), lambdakit.get_parameters(["y"]), double(2)]  # noqa: E731
            assert in_child(work) == ["1", {"y": "2"}, 4]
        finally:
            release.set()
            holder.join()


@pytest.mark.parametrize("backend", ["auto", "direct", "extension", "sdk"])
def test_no_connection_is_inherited(backend: str, port: int) -> None:
    """The child has none of the parent's idle sockets, and opens its own; the parent goes on with its old one."""
    with lambdakit.use_environment(Environment(backend=backend)) as env:
        assert lambdakit.get_secret("x") == "1"
        of_parent = sockets(port)
        assert len(of_parent) == 1

        def child() -> list[Any]:
            inherited = sockets(port) & of_parent
            value = lambdakit.get_secret("x")
            return [sorted(inherited), value, len(sockets(port))]

        assert in_child(child) == [[], "1", 1]
        assert lambdakit.get_secret("x", force_fetch=True) == "1"
        assert sockets(port) == of_parent
        env.close()


def test_what_handlers_declared_is_kept() -> None:
    """It is code, not state: the child preloads it too."""
    backend = MemoryBackend(secrets={"x": "1"})
    with lambdakit.use_environment(Environment(settings=Settings(), backend=backend)) as env:
        lambdakit.handler(lambda event, context: None, preload=[lambdakit.secret("x")])

        def child() -> str:
            env.preload()
            return lambdakit.secret("x").state

        assert in_child(child) == "fresh"
        assert lambdakit.secret("x").state == "absent"


def test_a_fork_before_any_environment() -> None:
    """Nothing to renew."""
    import subprocess
    import sys

    code = (
        "import os, lambdakit\nchild = os.fork()\n"
        "if child == 0:\n    os._exit(len(lambdakit.environment().id))\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "8\n"


@pytest.mark.parametrize("backend", ["auto", "direct", "extension"])
def test_idle_connections_are_closed_when_an_invocation_begins(backend: str, port: int) -> None:
    """They may have died while the environment was frozen: 20 s of wall time after the last answer."""
    clock = ManualClock()
    with lambdakit.use_environment(Environment(backend=backend, clock=clock)) as env:
        env.end(env.begin(None))
        lambdakit.get_secret("x")
        for passed_s, left in ((20.0, 1), (0.5, 0)):
            clock.suspend(passed_s)
            env.end(env.begin(None))
            assert len(sockets(port)) == left
        env.close()


@pytest.mark.parametrize("backend", ["auto", "direct", "extension", "sdk"])
def test_what_happens_in_a_child(backend: str, port: int) -> None:
    """The same without a fork: this process's descriptors are closed, a later fetch connects anew."""
    with lambdakit.use_environment(Environment(backend=backend)) as env:
        lambdakit.get_secret("x")
        env.after_fork()
        assert sockets(port) == set()
        assert lambdakit.get_secret("x") == "1"
        env.close()


def test_a_backend_of_a_users_has_nothing_to_do(port: int) -> None:
    """Neither when an invocation begins nor in a child, if it does not say that it has."""

    class Backend:
        name = "a user's"

        def close(self) -> None:
            """Nothing is open."""

    env = Environment(backend=Backend())  # type: ignore[arg-type]
    env.backend()
    env.end(env.begin(None))
    env.after_fork()
    env.close()
    with pytest.raises(AttributeError, match="no attribute 'connexions'"):
        env.connexions  # noqa: B018 - looking is enough


def test_two_threads_may_find_the_same_part_first() -> None:
    """Both look for it, neither has it yet; the child is started anew all the same."""
    env = Environment(settings=Settings(), backend=MemoryBackend(secrets={"x": "1"}))
    find = vars(Environment)["memory"].__get__  # what Python calls for each of them
    before = find(env)
    assert find(env) is before is env.memory
    env.after_fork()
    assert env.memory is not before
