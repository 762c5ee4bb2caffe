"""A forked child: empty, with no connection and no lock of its parent's."""

import gc
import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
from proc import sockets
from snapshots import restore

import lambdakit
from lambdakit import Environment, Settings, _environment
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
            assert in_child(lambda: lambdakit.stats()["entries"]) == 0
        assert lambdakit.stats()["entries"] == 1


def locks_of(root: object) -> list[Any]:
    """Every lock in what is lambdakit's own, from `root` on."""
    kinds = type(threading.Lock()), type(threading.RLock())
    found: list[Any] = []
    seen: set[int] = set()
    rest = [root]
    while rest:
        one = rest.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, kinds):
            found.append(one)
        elif type(one).__module__.startswith("lambdakit") or type(one) in {dict, list, tuple, set}:
            rest += gc.get_referents(one)
    return found


def test_no_lock_is_inherited() -> None:
    """Another thread of the parent may hold any of them at the moment of the fork: here all are held."""
    backend = MemoryBackend(secrets={"x": "1"}, parameters={"y": "2"}, app_configs={"a/e/p": "5"})
    env = Environment(settings=Settings(), backend=backend)
    with lambdakit.use_environment(env):

        @lambdakit.cached
        def double(value: int) -> int:
            return value * 2

        @lambdakit.singleton
        def instance() -> int:
            return 6

        def work() -> list[Any]:
            values = [lambdakit.get_secret("x"), lambdakit.get_parameters(["y"]), double(2), instance()]
            return [*values, lambdakit.get_app_config("a", "e", "p")]

        work()
        locks = [_environment._lock, *locks_of(env)]
        assert len(locks) >= 6  # of the process, of the parts, of each cache and of what flies to it
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
            assert in_child(work) == ["1", {"y": "2"}, 4, 6, "5"]
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


UNDER_WAY = """
import os, threading
from under_way import whole
PARENT = os.environ["UNDER_WAY"] == str(os.getpid())
if PARENT:
    whole.begun.set()
    whole.go_on.wait(20)
"""


@pytest.mark.parametrize("forked", [True, False], ids=["in a child", "as in one"])
def test_a_module_that_another_thread_imports_is_imported_anew(
    forked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child would wait for ever for the thread that has begun. What is whole, and only looked up there, stays."""
    package = tmp_path / "under_way"
    package.mkdir()
    (package / "__init__.py").write_text("from under_way import partial\n")
    (package / "partial.py").write_text(UNDER_WAY)
    (package / "whole.py").write_text("import threading\nbegun, go_on = threading.Event(), threading.Event()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("UNDER_WAY", str(os.getpid()))
    lambdakit.environment()
    begun = threading.Event()

    def held() -> None:
        with importlib._bootstrap._ModuleLockManager("json"):  # type: ignore[attr-defined]
            begun.set()
            go_on.wait(PATIENCE_S)

    importing = threading.Thread(target=importlib.import_module, args=("under_way",))
    importing.start()
    while not (whole := sys.modules.get("under_way.whole")) or not hasattr(whole, "go_on"):
        time.sleep(0.001)
    whole.begun.wait(PATIENCE_S)
    go_on = whole.go_on
    holding = threading.Thread(target=held)
    holding.start()
    assert begun.wait(PATIENCE_S)

    def child() -> list[bool]:
        under_way = importlib.import_module("under_way")
        return [under_way.partial.PARENT, hasattr(under_way, "whole"), importlib.import_module("json") is json]

    try:
        if forked:
            assert in_child(child) == [False, True, True]
        else:
            monkeypatch.setenv("UNDER_WAY", "nobody")
            with importlib._bootstrap._ModuleLockManager("email"):  # type: ignore[attr-defined] # one of its own
                _environment._forget_imports_of_others()
            assert child() == [False, True, True]
    finally:
        go_on.set()
        importing.join(PATIENCE_S)
        holding.join(PATIENCE_S)
    for name in [name for name in sys.modules if name.partition(".")[0] == "under_way"]:
        del sys.modules[name]


def test_an_import_that_has_forked_goes_on_in_both() -> None:
    """The module that is being imported by the thread itself is whole in the end."""
    code = (
        "import os\nimport lambdakit\nchild = os.fork()\nif child:\n    assert os.waitpid(child, 0)[1] == 0\n"
        "import sys\nassert sys.modules[__name__].child == child\nwhole = True\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "forks.py").write_text(code)
        done = subprocess.run(
            [sys.executable, "-c", "import forks; assert forks.whole; print('whole', flush=True)"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert done.stdout == "whole\n" * 2


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


def test_what_is_wanted_after_a_restore_is_kept() -> None:
    """It is code, too: the functions, and whether `random` is left alone. In a child, and in what happens in one."""
    state = random.getstate()
    called: list[int] = []

    def child() -> list[object]:
        random.setstate(state)
        restore()
        return [[*called], random.getstate() == state]

    with lambdakit.use_environment(Environment(settings=Settings(), backend=MemoryBackend())) as env:
        lambdakit.handler(lambda event, context: None, reseed=False)
        lambdakit.on_restore(lambda: called.append(1))
        assert in_child(child) == [[1], True]
        assert called == []
        env._after_fork_in_child()
        assert child() == [[1], True]


def test_a_fork_before_any_environment() -> None:
    """Nothing to renew."""
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
    handler = lambdakit.handler(lambda event, context: len(sockets(port)))
    with lambdakit.use_environment(Environment(backend=backend, clock=clock)) as env:
        handler({}, None)
        lambdakit.get_secret("x")
        for passed_s, left in ((20.0, 1), (0.5, 0)):
            clock.suspend(passed_s)
            assert handler({}, None) == left
        env.close()


@pytest.mark.parametrize("backend", ["auto", "direct", "extension", "sdk"])
def test_what_happens_in_a_child(backend: str, port: int) -> None:
    """The same without a fork: this process's descriptors are closed, a later fetch connects anew."""
    with lambdakit.use_environment(Environment(backend=backend)) as env:
        lambdakit.get_secret("x")
        env._after_fork_in_child()
        assert sockets(port) == set()
        assert lambdakit.get_secret("x") == "1"
        env.close()


def test_a_backend_of_a_users_has_nothing_to_do(caplog: pytest.LogCaptureFixture) -> None:
    """Neither when an invocation begins nor in a child nor at the end, if it does not say that it has."""
    clock = ManualClock()
    env = Environment(clock=clock, settings=Settings(), backend=MemoryBackend(secrets={"x": "1"}))
    handler = lambdakit.handler(lambda event, context: lambdakit.get_secret("x"))
    with lambdakit.use_environment(env):
        for _ in range(2):
            assert handler({}, None) == "1"
            clock.suspend(60)
        assert in_child(lambda: handler({}, None)) == "1"
        env.close()
    assert caplog.messages == []


def test_two_threads_may_look_for_the_same_part_first() -> None:
    """Neither has it yet: it is made once, for both; and the child is started anew all the same."""
    making, go_on = threading.Event(), threading.Event()

    class Slow:
        @classmethod
        def of(cls, _: Environment) -> Self:
            making.set()
            assert go_on.wait(PATIENCE_S)
            return cls()

    env = Environment(settings=Settings(), backend=MemoryBackend())
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: env._parts[Slow])
        assert making.wait(PATIENCE_S)
        second = pool.submit(lambda: env._parts[Slow])
        go_on.set()
        assert first.result(PATIENCE_S) is second.result(PATIENCE_S)
    env._after_fork_in_child()
    assert env._parts.peek(Slow) is None
