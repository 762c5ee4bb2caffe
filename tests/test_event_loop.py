"""One event loop per environment: what is kept on it lives on, what is left over on it does not."""

import asyncio
import contextlib
import contextvars
import functools
import gc
import selectors
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from snapshots import restore, snapshot

import lambdakit
from lambdakit import ConfigurationError, Environment, LambdakitError, MissingDependencyError
from lambdakit._event_loop import EventLoop, run_if_standing
from lambdakit.testing import FakeContext

KINDS = ["asyncio", pytest.param("uvloop", marks=pytest.mark.skipif(sys.platform == "win32", reason="no uvloop"))]
PING = {"warmer": True, "concurrency": 1}
PATIENCE_S = 20


class Server(ThreadingHTTPServer):
    """An HTTP server that keeps connections open, and counts them."""

    daemon_threads = True
    connections = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, *_: Any) -> None:
        """Clients of loops that are closed go without a word."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
    thread.join()


def event_loop() -> EventLoop:
    """What keeps the loops of the environment."""
    return lambdakit.environment()._parts[EventLoop]


def none_runs() -> bool:
    """Whether no invocation is running here."""
    with pytest.raises(LambdakitError, match="no invocation is running here"):
        lambdakit.invocation()
    return True


async def the_loop(event: Any, context: Any) -> asyncio.AbstractEventLoop:
    """The loop that it runs on."""
    return asyncio.get_running_loop()


async def forever() -> None:
    """A task that does not end."""
    await asyncio.Event().wait()


class Jumping(selectors.DefaultSelector):
    """Where nothing is ready, time jumps to when something is due: nobody waits. A step takes a microsecond."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(None if timeout is None else 0)
        self.now_s += 1e-6 if ready or timeout is None else max(1e-6, timeout)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop on whose clock a wait takes as long as it was told to, and no longer."""

    def __init__(self) -> None:
        self.clock = Jumping()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now_s


@pytest.fixture
def waited_s(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """How long the loops of this test have waited, in seconds of their own clocks."""
    loops: list[JumpingLoop] = []

    def new() -> JumpingLoop:
        loops.append(JumpingLoop())
        return loops[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", new)
    return lambda: sum(loop.time() for loop in loops)


# What is kept


@pytest.mark.parametrize("kind", KINDS)
def test_two_invocations_share_a_client_and_its_connection(kind: str, server: Server) -> None:
    """The reason for all of this."""
    client = httpx.AsyncClient(trust_env=False)

    @lambdakit.handler(loop=kind)  # type: ignore[call-overload]
    async def fn(event: Any, context: Any) -> str:
        return (await client.get(server.url)).text

    @lambdakit.handler(loop=kind)  # type: ignore[call-overload]
    async def close(event: Any, context: Any) -> None:
        await client.aclose()

    assert [fn({}, FakeContext()) for _ in range(3)] == ["ok"] * 3
    assert server.connections == 1
    close({}, FakeContext())


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_with_a_loop_for_each_invocation_they_do_not(server: Server) -> None:
    """The control: the connection belongs to a loop that is closed, which the second invocation finds out."""

    def invocations() -> None:
        client = httpx.AsyncClient(trust_env=False)

        async def fn() -> str:
            return (await client.get(server.url)).text

        assert asyncio.run(fn()) == "ok"
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            asyncio.run(fn())

    invocations()
    gc.collect()  # the connection, which nobody can close any more


def test_handlers_of_one_kind_share_their_loop_and_kinds_do_not() -> None:
    """uvloop is what was asked for; each kind is kept."""
    one, other = lambdakit.handler(the_loop), lambdakit.handler(the_loop)
    fast = lambdakit.handler(the_loop, loop="uvloop")
    first, quick = one({}, None), fast({}, None)
    assert one({}, None) is other({}, None) is first
    assert fast({}, None) is quick
    assert (type(first).__module__.split(".")[0], type(quick).__module__) == ("asyncio", "uvloop")


def test_no_loop_is_left_as_the_thread_s_own() -> None:
    """What other libraries ask for in synchronous code is theirs."""
    mine = asyncio.new_event_loop()
    asyncio.set_event_loop(mine)
    try:
        assert lambdakit.handler(the_loop)({}, None) is not mine
        lambdakit.environment().close()
        assert asyncio.get_event_loop() is mine
    finally:
        asyncio.set_event_loop(None)
        mine.close()


def test_another_environment_has_another_loop() -> None:
    """And it is closed with the environment; after that there is a new one."""
    fn = lambdakit.handler(the_loop)
    kept = fn({}, None)
    with lambdakit.use_environment(Environment()) as env:
        other = fn({}, None)
        assert other is not kept
        env.close()
        assert other.is_closed()
        assert fn({}, None) is not other
        env.close()
    assert fn({}, None) is kept


def test_a_restore_has_a_new_loop() -> None:
    """The old one's selector would be in the snapshot."""
    fn = lambdakit.handler(the_loop)
    kept = fn({}, None)
    snapshot()
    assert kept.is_closed()
    in_hook = fn({}, None)
    restore()
    assert in_hook.is_closed()
    assert not fn({}, None).is_closed()


def test_the_invocation_is_visible_in_coroutines_and_in_what_they_start() -> None:
    """Its number, in the coroutine, in a task and in a thread; what the caller's context holds too."""
    name = contextvars.ContextVar("name", default="none")

    @lambdakit.handler
    async def fn(event: Any, context: Any) -> list[Any]:
        async def number() -> int:
            return lambdakit.invocation().number

        return [
            await number(),
            await asyncio.create_task(number()),
            await asyncio.to_thread(lambda: lambdakit.invocation().number),
            name.get(),
        ]

    assert fn({}, FakeContext()) == [1, 1, 1, "none"]
    name.set("set")
    assert fn({}, FakeContext()) == [2, 2, 2, "set"]
    assert none_runs()


def test_threads_that_meet_have_a_loop_each_and_one_is_kept() -> None:
    """A loop runs in one thread at a time; nobody waits, and nothing is left open."""
    meeting = threading.Barrier(4, timeout=PATIENCE_S)

    @lambdakit.handler
    async def fn(event: Any, context: Any) -> asyncio.AbstractEventLoop:
        meeting.wait()
        return asyncio.get_running_loop()

    before = lambdakit.handler(the_loop)({}, None)
    with ThreadPoolExecutor(4) as pool:
        loops = [*pool.map(lambda _: fn({}, FakeContext()), range(4))]
    assert len(set(loops)) == 4
    assert before in loops
    (kept,) = [loop for loop in loops if not loop.is_closed()]
    assert lambdakit.handler(the_loop)({}, None) is kept
    assert len(event_loop()._open) == 1


def test_a_loop_that_is_closed_while_it_runs_is_closed_when_it_is_done() -> None:
    """`env.close()` in a handler does not break it."""

    @lambdakit.handler
    async def fn(event: Any, context: Any) -> asyncio.AbstractEventLoop:
        lambdakit.environment().close()
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    assert fn({}, None).is_closed()
    assert repr(event_loop()) == "<EventLoop none>"


def test_a_loop_is_closed_where_another_runs(caplog: pytest.LogCaptureFixture) -> None:
    """In the teardown of a test that is a coroutine: nothing can run on it then, and it is closed all the same."""
    kept = lambdakit.handler(the_loop)({}, None)
    loop = event_loop()
    assert repr(loop) == "<EventLoop asyncio>"

    async def teardown() -> None:
        loop.close()

    asyncio.run(teardown())
    assert kept.is_closed()
    assert caplog.messages == []


# What is recognised


class Handlers:
    """Coroutines of every kind."""

    async def method(self, event: Any, context: Any) -> Any:
        return event

    @classmethod
    async def of_class(cls, event: Any, context: Any) -> Any:
        return event

    @staticmethod
    async def static(event: Any, context: Any) -> Any:
        return event

    @lambdakit.handler
    async def decorated(self, event: Any, context: Any) -> Any:
        return event

    async def __call__(self, event: Any, context: Any) -> Any:
        return event


async def function(event: Any, context: Any) -> Any:
    return event


async def third(_: int, event: Any, context: Any) -> Any:
    return event


def sync_around(event: Any, context: Any) -> Any:
    """What a decorator that knows nothing of coroutines makes of one."""
    return function(event, context)


class Awaitable:
    """Not a coroutine, but it can be awaited."""

    def __init__(self, event: Any, context: Any) -> None:
        self.event = event

    def __await__(self) -> Iterator[Any]:
        yield from asyncio.sleep(0).__await__()
        return self.event


KNOWN = [
    function,
    Handlers,
    Handlers(),
    Handlers().method,
    Handlers.of_class,
    Handlers().static,
    staticmethod(function),
    functools.partial(functools.partial(third), 5),
    functools.partial(Handlers()),
    functools.partial(Handlers().method),
]


@pytest.mark.parametrize("fn", [*KNOWN, sync_around, functools.partial(Awaitable)])
def test_whatever_can_be_awaited_is(fn: Any) -> None:
    """A call gives what it brings."""
    assert lambdakit.handler(fn)({"order": 1}, FakeContext()) == {"order": 1}
    assert lambdakit.environment().invocations == 1


def test_a_method_in_a_class() -> None:
    """Decorated where it stands."""
    assert Handlers().decorated({"order": 1}, FakeContext()) == {"order": 1}
    assert Handlers().decorated(PING, FakeContext())["ping"] == "lambda-warmer"


@pytest.mark.parametrize("fn", KNOWN)
def test_asyncio_is_imported_in_init(fn: Any) -> None:
    """Where it is known to be needed; a handler without coroutines does not import it, as another test proves."""
    code = (
        "import lambdakit, sys\nimported = 'asyncio' in sys.modules\n"
        "async def fn(event, context): ...\nlambdakit.handler(fn)\nprint(imported, 'asyncio' in sys.modules)"
    )
    if fn is function:  # one of them in a fresh interpreter is enough
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout == "False True\n"


def test_an_async_generator_is_refused() -> None:
    """Nobody would read it."""

    async def fn(event: Any, context: Any) -> AsyncIterator[int]:
        yield 1

    with pytest.raises(ConfigurationError, match="async generator"):
        lambdakit.handler(fn)


@pytest.mark.parametrize("loop", ["trio", None, asyncio])
def test_a_loop_of_another_kind_is_refused_where_it_stands(loop: Any) -> None:
    """With what there is."""
    with pytest.raises(ConfigurationError, match='give "asyncio" or "uvloop"'):
        lambdakit.handler(loop=loop)


def test_uvloop_has_to_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error where it stands, not in the first invocation."""
    monkeypatch.setitem(sys.modules, "uvloop", None)  # how Python marks a module that is not there
    with pytest.raises(MissingDependencyError, match="pip install uvloop"):
        lambdakit.handler(loop="uvloop")


@pytest.mark.parametrize("grace", [-1, "1", True, float("nan")])
def test_a_wrong_grace_is_refused_where_it_stands(grace: Any) -> None:
    """Seconds, or None."""
    with pytest.raises(ConfigurationError, match=r"grace=.*: give a number of seconds"):
        lambdakit.handler(grace=grace)


def test_a_synchronous_handler_has_no_loop() -> None:
    """Nothing is made that is not needed, whatever the type of the answer."""
    for answer in ({}, [], None, "x", 1, 1.5, True, b"", object(), Handlers):
        assert lambdakit.handler(lambda event, context, answer=answer: answer)({}, None) is answer
    assert repr(event_loop()) == "<EventLoop none>"


# What is raised


def test_exceptions_pass_unchanged() -> None:
    """The same object, with its cause; the loop goes on."""
    cause, failure = KeyError("cause"), ValueError("failure")

    @lambdakit.handler
    async def fn(event: Any, context: Any) -> None:
        await asyncio.sleep(0)
        raise failure from cause

    kept = lambdakit.handler(the_loop)({}, None)
    with pytest.raises(ValueError, match="failure") as caught:
        fn({}, FakeContext())
    assert caught.value is failure
    assert caught.value.__cause__ is cause
    assert none_runs()
    assert lambdakit.handler(the_loop)({}, None) is kept


def test_a_cancelled_handler_raises_it() -> None:
    """As any coroutine."""

    @lambdakit.handler
    async def fn(event: Any, context: Any) -> None:
        raise asyncio.CancelledError

    kept = lambdakit.handler(the_loop)({}, None)
    with pytest.raises(asyncio.CancelledError):
        fn({}, None)
    assert lambdakit.handler(the_loop)({}, None) is kept


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_passes_at_once(raised: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is waited for, and what was running then does not go on in a later call."""
    ran: list[int] = []

    @lambdakit.handler(grace=60)
    async def fn(event: Any, context: Any) -> None:
        async def later() -> None:
            try:
                await asyncio.sleep(0.01)
                ran.append(1)
            finally:
                ran.append(2)

        asyncio.create_task(later())  # noqa: RUF006 - left over
        await asyncio.sleep(0)
        raise raised

    with pytest.raises(raised):
        fn({}, None)
    assert ran == [2]
    assert none_runs()
    assert not lambdakit.handler(the_loop)({}, None).is_closed()
    assert caplog.messages == []


def test_ctrl_c_cancels_the_handler() -> None:
    """Its `finally` runs, then the interrupt is raised."""
    seen = []

    @lambdakit.handler
    async def fn(event: Any, context: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            seen.append("finally")

    with pytest.raises(KeyboardInterrupt):
        fn({}, None)
    assert seen == ["finally"]


def test_what_ends_the_process_passes_from_a_task_that_is_left_over_too() -> None:
    """It is waited for when it happens; the handler's answer is lost."""

    @lambdakit.handler
    async def fn(event: Any, context: Any) -> asyncio.AbstractEventLoop:
        async def leave() -> None:
            raise SystemExit(3)

        loops.append(asyncio.get_running_loop())
        asyncio.create_task(leave())  # noqa: RUF006 - left over
        return loops[0]

    loops: list[asyncio.AbstractEventLoop] = []
    with pytest.raises(SystemExit):
        fn({}, None)
    assert loops[0].is_closed()
    gc.collect()  # asyncio's words about it belong to this test


# What is left over


def leaving(*work: Any, **options: Any) -> Any:
    """A handler that starts tasks and answers without them."""

    @lambdakit.handler(**options)
    async def fn(event: Any, context: Any) -> str:
        for one in work:
            asyncio.create_task(one())  # noqa: RUF006 - the point
        if event == "raise":
            raise LookupError(event)
        return "answer"

    return fn


@pytest.mark.parametrize("event", ["return", "raise"])
def test_tasks_that_are_left_over_are_awaited(event: str, caplog: pytest.LogCaptureFixture) -> None:
    """And those that they start; in their invocation, also if the handler raises. Not a word about it."""
    done = []

    async def second() -> None:
        await asyncio.sleep(0.01)
        done.append(lambdakit.invocation().number)

    async def first() -> None:
        await asyncio.sleep(0.01)
        asyncio.create_task(second())  # noqa: RUF006 - left over by what is left over

    fn = leaving(first)
    if event == "raise":
        with pytest.raises(LookupError):
            fn(event, FakeContext())
    else:
        assert fn(event, FakeContext()) == "answer"
    assert (done, caplog.messages) == ([1], [])


def test_those_that_take_too_long_are_cancelled(
    waited_s: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    """After the grace, with a warning that names them and says what to do; they can clean up."""
    seen = []

    async def tidy() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.01)
            seen.append("tidied")

    assert leaving(forever, tidy, grace=0.05)({}, FakeContext()) == "answer"
    assert waited_s() == pytest.approx(0.05 + 0.01, abs=1e-3)
    (warning,) = caplog.messages
    assert "cancelled after 0.1 s: forever, " in warning
    assert "tidy. Await them in the handler; " in warning
    assert "@handler(grace=None)" in warning
    assert seen == ["tidied"]


def test_many_are_named_in_part(caplog: pytest.LogCaptureFixture) -> None:
    """A warning stays readable."""
    leaving(*[forever] * 7, grace=0)({}, None)
    assert "forever, forever, forever, forever, forever and 2 more. " in caplog.messages[0]
    caplog.clear()
    leaving(*[forever] * 5, grace=0)({}, None)
    assert "forever, forever, forever, forever, forever. " in caplog.messages[0]


@pytest.mark.parametrize(("remaining_s", "expected_s"), [(0.35, 0.1), (0.1, 0.0), (30.0, 1.0)])
def test_the_wait_is_bounded_by_the_remaining_time(
    remaining_s: float, expected_s: float, waited_s: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    """Less the margin that is needed to answer; by default it is a second, where the remaining time allows it."""
    leaving(forever)({}, FakeContext(remaining_s=remaining_s))
    assert waited_s() == pytest.approx(expected_s, abs=1e-3)
    (message,) = caplog.messages
    assert f"cancelled after {expected_s:.1f} s: " in message


def test_what_they_raise_is_logged_by_type(caplog: pytest.LogCaptureFixture) -> None:
    """Before and after they are cancelled, never the message; and it is not raised."""

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("planted")

    async def fails_late() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            raise KeyError("planted") from None

    assert leaving(fails, fails_late, grace=0.01)({}, None) == "answer"
    gc.collect()  # asyncio would say in full what nobody has looked at
    assert len(caplog.messages) == 3
    assert caplog.messages[0].endswith("fails, left over by the handler, raised ValueError")
    assert caplog.messages[2].endswith("fails_late, left over by the handler, raised KeyError")
    assert "planted" not in caplog.text


def test_one_that_does_not_end_is_not_waited_for(
    waited_s: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    """It is named again, in the next invocation too, and when the loop is closed."""
    released = []

    async def stubborn() -> None:
        while not released:
            try:
                await forever()
            except asyncio.CancelledError:
                continue

    fn = leaving(stubborn, grace=0)
    assert fn({}, None) == "answer"
    assert waited_s() == pytest.approx(0.1, abs=1e-3)
    assert "still not ended 0.1 s after they were cancelled: " in caplog.messages[1]
    assert caplog.messages[1].endswith("stubborn")
    caplog.clear()
    lambdakit.handler(the_loop, grace=0)({}, None)
    assert len(caplog.messages) == 2
    caplog.clear()
    lambdakit.environment().close()
    assert [one.startswith("still not ended") for one in caplog.messages] == [True]
    released.append(True)
    gc.collect()


def test_a_task_without_a_coroutine_s_name(caplog: pytest.LogCaptureFixture) -> None:
    """A generator's `asend`, for one, has none."""

    class Nameless:
        def __await__(self) -> Iterator[Any]:
            return self

        def send(self, _: Any) -> None:
            time.sleep(0)

        def throw(self, error: Any) -> None:
            raise error

        def close(self) -> None:
            """Nothing."""

        __iter__ = __await__

        def __next__(self) -> None:
            return None

    async def generator() -> AsyncIterator[int]:
        await forever()
        yield 1

    @lambdakit.handler(grace=0)
    async def fn(event: Any, context: Any) -> None:
        asyncio.create_task(anext(kept))  # type: ignore[arg-type]  # noqa: RUF006 - left over

    kept = generator()
    fn({}, None)
    assert "a task" in caplog.messages[0]


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_grace_they_go_on_in_the_next_invocation(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """What a pool of connections runs in the background stops with the environment; closing the loop ends it."""
    events: list[asyncio.Event] = []
    seen = []

    async def worker() -> None:
        try:
            while True:
                await events[0].wait()
                events[0].clear()
                seen.append("worked")
        finally:
            seen.append("ended")

    @lambdakit.handler(grace=None, loop=kind)  # type: ignore[call-overload]
    async def fn(event: Any, context: Any) -> None:
        if not events:
            events.append(asyncio.Event())
            tasks.append(asyncio.create_task(worker()))
        events[0].set()
        await asyncio.sleep(0.01)

    tasks: list[Any] = []
    fn({}, None)
    fn({}, None)
    assert seen == ["worked", "worked"]
    lambdakit.environment().close()
    assert seen == ["worked", "worked", "ended"]
    assert caplog.messages == []


async def numbers(closed: list[str]) -> AsyncIterator[int]:
    """A generator that has something to close."""
    try:
        yield 1
        yield 2
    finally:
        await asyncio.sleep(0)
        closed.append("closed")


@pytest.mark.parametrize("remaining_s", [10.0, 0.1])
def test_a_generator_that_is_not_read_to_its_end_is_closed_in_its_invocation(
    remaining_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where nothing more may take time."""
    closed: list[str] = []

    @lambdakit.handler
    async def fn(event: Any, context: Any) -> int:
        async for number in numbers(closed):
            return number
        return 0

    assert fn({}, FakeContext(remaining_s=remaining_s)) == 1
    assert (closed, caplog.messages) == (["closed"], [])


def test_a_generator_that_is_kept_is_closed_with_the_loop(
    waited_s: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    """It is read on in the next invocation; one whose end hangs is not waited for."""
    closed: list[str] = []

    async def hanging() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await forever()

    kept = [numbers(closed), hanging()]

    @lambdakit.handler
    async def fn(event: Any, context: Any) -> int:
        return await anext(kept[event])

    assert [fn(0, None), fn(0, None), fn(1, None)] == [1, 2, 1]
    assert closed == []
    lambdakit.environment().close()
    assert waited_s() == pytest.approx(0.1, abs=1e-3)
    assert closed == ["closed"]
    assert caplog.messages == ["async generators were still not closed after 0.1 s"]


# In a test that is a coroutine


@pytest.mark.parametrize("fn", [*KNOWN, sync_around])
def test_it_can_be_awaited(fn: Any) -> None:
    """On the loop that runs, as one invocation."""

    async def test() -> Any:
        handler = lambdakit.handler(fn)
        return await handler({"order": 1}, FakeContext())

    assert asyncio.run(test()) == {"order": 1}
    assert (lambdakit.environment().invocations, repr(event_loop())) == (1, "<EventLoop none>")
    assert none_runs()


def test_awaited_invocations_are_apart_and_each_in_its_own_task() -> None:
    """Each task sees its own; the test itself sees none, before and after."""

    @lambdakit.handler
    async def fn(event: Any, context: Any) -> Any:
        await asyncio.sleep(0.001)
        if event == "raise":
            raise LookupError(event)
        return lambdakit.invocation().context

    async def test() -> None:
        contexts = [FakeContext() for _ in range(5)]
        assert await asyncio.gather(*(fn({}, context) for context in contexts)) == contexts
        for _ in range(2):  # the same context again is another invocation
            assert await asyncio.create_task(fn({}, contexts[0])) is contexts[0]
        with pytest.raises(LookupError):
            await fn("raise", contexts[1])
        assert none_runs()
        assert lambdakit.environment().invocations == 8

    asyncio.run(test())


@pytest.mark.parametrize("fn", KNOWN)
def test_an_awaited_ping_is_answered(fn: Any) -> None:
    """And a ping that is not awaited too."""
    handler = lambdakit.handler(fn)

    async def test() -> Any:
        return await handler(PING, FakeContext())

    assert asyncio.run(test()) == handler(PING, FakeContext())
    assert lambdakit.environment().pings == 2


def test_one_that_is_thrown_away_half_done_is_over() -> None:
    """Its end comes in another context."""

    @lambdakit.handler
    async def fn(event: Any, context: Any) -> None:
        await asyncio.sleep(PATIENCE_S)

    async def test() -> None:
        work = fn({}, FakeContext())
        contextvars.copy_context().run(work.send, None)
        assert lambdakit.invocation().number == 1  # the only one that runs
        work.close()

    asyncio.run(test())
    assert none_runs()


def test_its_tasks_are_the_running_loop_s() -> None:
    """They are not waited for there, nor cancelled: other tasks of the test run beside them."""

    async def test() -> bool:
        await leaving(forever, grace=0)({}, None)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        return [task.cancelling() for task in left] == [0]

    assert asyncio.run(test())


def test_a_handler_that_calls_another_is_one_invocation() -> None:
    """Whichever of them is a coroutine, and whoever awaits."""

    @lambdakit.handler
    async def inner(event: Any, context: Any) -> Any:
        return lambdakit.invocation().number, await asyncio.sleep(0, event)

    @lambdakit.handler
    def plain(event: Any, context: Any) -> Any:
        return object

    @lambdakit.handler
    def outer(event: Any, context: Any) -> Any:
        assert plain(event, context) is object
        return inner(event, context)[1]

    @lambdakit.handler
    async def async_outer(event: Any, context: Any) -> Any:
        assert plain(event, context) is object
        return (await inner(event, context))[1]

    async def test() -> Any:
        return await async_outer({"order": 1}, FakeContext())

    for answer in (outer({"order": 1}, FakeContext()), async_outer({"order": 1}, FakeContext()), asyncio.run(test())):
        assert answer == {"order": 1}
    assert lambdakit.environment().invocations == 3


# In a child


FORKED = """
import asyncio, contextlib, os, sys, warnings
import lambdakit
from lambdakit._event_loop import EventLoop, run_if_standing

warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 on, about forks beside threads
listening = []

async def serve(reader, writer):
    with contextlib.suppress(asyncio.CancelledError):  # or streams of Python 3.11 complain
        while line := await reader.readline():
            writer.write(line)

@lambdakit.handler(loop={kind!r}, grace=None)
async def fn(event, context):
    loop = asyncio.get_running_loop()
    if not listening:
        listening.append(await asyncio.start_server(serve, "127.0.0.1", 0))
        listening.append(await asyncio.open_connection(*listening[0].sockets[0].getsockname()))
    reader, writer = listening[1]
    writer.write(b"line\\n")
    async with asyncio.timeout(5):
        return await reader.readline(), await asyncio.to_thread(os.getpid), id(loop)

@lambdakit.handler(loop={kind!r})
async def in_child(event, context):
    async with asyncio.timeout(5):
        return await asyncio.to_thread(os.getpid)

@lambdakit.handler(loop={kind!r}, grace=None)
async def forks(event, context):
    if event == "task":
        return (await asyncio.gather(forks("return", None), asyncio.sleep(0)))[0]
    if os.fork() == 0:
        if event == "raise":
            raise SystemExit(0)
        if event == "fail":
            raise LookupError
        if event == "await":
            await asyncio.sleep(0)
        if event == "own":
            assert asyncio.run(asyncio.to_thread(os.getpid)) == os.getpid()
    else:
        assert os.wait()[1] == 0

@lambdakit.handler(loop={kind!r})
async def stop(event, context):
    listening[1][1].close()
    await listening[1][1].wait_closed()
    listening[0].close()

@lambdakit.handler(loop={kind!r}, grace=2)
async def leaves(event, context):
    task = asyncio.ensure_future(asyncio.wait_for(asyncio.Event().wait(), None))
    await asyncio.sleep(0)
    if os.fork() != 0:
        assert os.wait()[1] == 0
        task.cancel()

before = fn({{}}, None)
child = os.fork()
if child == 0:
    assert repr(lambdakit.environment()._parts[EventLoop]) == "<EventLoop none>"
    assert in_child({{}}, None) == os.getpid()
    lambdakit.environment().close()
    {end}(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert fn({{}}, None) == before
parent = os.getpid()
for event in ("raise", "fail", "return", "await", "own", "task"):
    try:
        forks(event, None)
    except SystemExit:
        {end}(0)
    except LookupError:
        pass
    if os.getpid() != parent:
        assert in_child({{}}, None) == os.getpid()
        {end}(0)
    assert fn({{}}, None) == before
stop({{}}, None)
leaves({{}}, None)  # what is left over in the child is not awaited: it is on the parent's loop
if os.getpid() != parent:
    {end}(0)
print("alive")
lambdakit.environment().close()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_child_inherits_is_never_collected(kind: str) -> None:
    """A loop's destructor would take its files out of the selector that it shares with the parent's."""
    loop = event_loop()
    inherited = weakref.ref(lambdakit.handler(the_loop, loop=kind)({}, None))  # type: ignore[call-overload]
    loop.after_fork_in_child()
    gc.collect()
    kept = inherited()
    assert kept is not None
    assert not kept.is_closed()
    assert lambdakit.handler(the_loop, loop=kind)({}, None) is not kept  # type: ignore[call-overload]
    kept.close()
    gc.unfreeze()  # this is no child


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="no fork")
@pytest.mark.parametrize("kind", KINDS)
def test_a_child_has_its_own_loop_and_leaves_its_parent_s_alone(kind: str) -> None:
    """To the end of its interpreter: the parent's loop hears of its connections and threads as before."""
    # With uvloop, the end of an interpreter that has inherited transports is a crash, without lambdakit too.
    code = FORKED.format(kind=kind, end="os._exit" if kind == "uvloop" else "sys.exit")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("alive\n", "")


@pytest.mark.parametrize("in_task", [True, False])
@pytest.mark.parametrize("hidden", [None, SystemExit(3)])
def test_a_loop_that_was_taken_from_a_child_is_put_back(
    in_task: bool, hidden: SystemExit | None, caplog: pytest.LogCaptureFixture
) -> None:
    """What Python 3.14 says of a step that has forked ends with it; what else goes wrong is told as before."""
    told: list[object] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def work() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        loops.append(loop)
        if in_task:
            loop.set_exception_handler(lambda _, context: told.append(type(context["exception"])))
        event_loop().after_fork_in_child()
        loop.call_soon(int, "no number")
        loop.call_soon(step, loop, asyncio.current_task())
        loop.call_soon(done.set)
        await done.wait()
        assert asyncio.get_running_loop() is loop

    def step(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        if in_task:
            asyncio.tasks._enter_task(loop, task)  # type: ignore[attr-defined]
        asyncio._set_running_loop(None)
        error = RuntimeError(f"loop {loop!r} is not the running loop")
        error.__context__ = hidden
        raise error

    with contextlib.nullcontext() if hidden is None else pytest.raises(SystemExit):
        lambdakit.handler(lambda event, context: work())({}, None)
    (loop,) = loops
    loop.run_until_complete(asyncio.sleep(0.01))  # to the end of `work`
    loop.close()
    gc.unfreeze()  # this is no child
    assert told == [ValueError] * in_task
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [ValueError] * (not in_task)


def test_a_child_of_a_process_without_loops() -> None:
    """There is nothing to hold on to, and a loop of its own can be opened."""
    env = Environment()
    env._parts[EventLoop].after_fork_in_child()
    handler = lambdakit.handler(lambda event, context: asyncio.sleep(0, "done"))
    with lambdakit.use_environment(env):
        assert handler({}, FakeContext()) == "done"
    env.close()


def test_a_kept_loop_is_run_by_who_takes_it(env: Environment) -> None:
    """By nobody while somebody has it; what another thread has put in its place goes back there."""

    @lambdakit.handler
    async def handler(event: object, context: object) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    @lambdakit.handler(loop="uvloop")
    async def other(event: object, context: object) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def work() -> str:
        return "done"

    loops = [handler({}, FakeContext()), other({}, FakeContext())]
    assert [run_if_standing(loop, work) for loop in loops] == ["done", "done"]
    kept = env._parts[EventLoop]
    runner = kept._idle.pop("asyncio")
    assert run_if_standing(loops[0], work) is None
    kept._idle["asyncio"] = another = kept._open_runner("asyncio")
    assert not kept._take("asyncio", runner)
    assert kept._idle["asyncio"] is another
    kept._give_back("asyncio", runner, usable=True)
    assert loops[0].is_closed()
    assert handler({}, FakeContext()) is another.get_loop()
    env.close()


def test_a_loop_that_is_closed_while_it_is_borrowed(env: Environment) -> None:
    """Is not kept after it."""

    @lambdakit.handler
    async def handler(event: object, context: object) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def work() -> None:
        env.close()

    loop = handler({}, FakeContext())
    run_if_standing(loop, work)
    assert loop.is_closed()
    assert handler({}, FakeContext()) is not loop
