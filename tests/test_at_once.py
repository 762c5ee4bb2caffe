"""Invocations at once: each begins, runs its handler and is over, whatever happens to the others or to a part."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import pytest
from running import RunningClock

import lambdakit
from faults import FaultServer, answering, serving
from http_server import response
from lambdakit import Environment, Record, Settings
from lambdakit._telemetry import Telemetry
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

ANSWER = answering(response(body=b'{"TableNames": []}', Content_Type="application/x-amz-json-1.0"))


class Part:
    """One whose hooks raise."""

    error: BaseException = LookupError("planted")

    @classmethod
    def of(cls, env: Environment) -> Self:
        return cls()

    def fail(self, *_: Any) -> Any:
        raise self.error


def failing(hook: str, error: BaseException) -> type[Part]:
    return type("Failing", (Part,), {hook: Part.fail, "error": error})


@pytest.mark.parametrize("ping", [False, True])
@pytest.mark.parametrize("hook", ["on_start", "on_end", "close_idle", "on_ping"])
def test_what_fails_while_an_invocation_begins_or_ends_is_logged(
    hook: str, ping: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """By its type; the handler runs, the other parts are told, and the invocation is over."""
    told: list[str] = []

    class Other(Part):
        def on_start(self, *_: Any) -> None:
            told.append("start")

        def on_end(self, *_: Any) -> None:
            told.append("end")

    clock = ManualClock()
    with lambdakit.use_environment(Environment(clock=clock)) as env:
        _ = env._parts[failing(hook, LookupError("planted"))], env._parts[Other]
        fn = lambdakit.handler(lambda event, context: "worked")
        clock.suspend(3600)
        answer = fn({"warmer": True} if ping else {}, FakeContext())
        assert answer == "worked" or answer["ping"]
        assert told == (["start"] if ping else ["start", "end"])
        assert (env._running, env._current()) == (set(), None)
    expected = {"close_idle"} | ({"on_start", "on_ping"} if ping else {"on_start", "on_end"})
    assert [message.rpartition(": ")[2] for message in caplog.messages] == ["LookupError was raised"] * (
        hook in expected
    )
    assert "planted" not in caplog.text


@pytest.mark.parametrize("ping", [False, True])
@pytest.mark.parametrize("hook", ["on_start", "close_idle"])
def test_what_ends_a_process_ends_the_invocation(hook: str, ping: bool) -> None:
    """Ctrl-C while one begins: its handler does not run, and it does not count as running for ever."""
    with lambdakit.use_environment(Environment()) as env:
        _ = env._parts[failing(hook, KeyboardInterrupt())]
        fn = lambdakit.handler(lambda event, context: pytest.fail("it ran"))
        with pytest.raises(KeyboardInterrupt):
            fn({"warmer": True} if ping else {}, FakeContext())
        assert env._running == set()


@pytest.mark.parametrize("options", [{"metrics": "Shop"}, {"on_invocation": print}])
def test_an_observer_that_cannot_be_made_stops_no_invocation(
    options: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is reported then. The same where the settings ask for it, at the first invocation."""

    def fail(_: Any) -> None:
        raise OSError("planted")

    monkeypatch.setattr(Telemetry, "of", fail)
    settings = Settings(environ={}, log=True)
    with lambdakit.use_environment(Environment(settings=settings)):
        assert lambdakit.handler(lambda event, context: "worked", **options)({}, FakeContext()) == "worked"
    assert {*caplog.messages} == {
        "telemetry: OSError was raised",
        "a first invocation begins: OSError was raised",
    }
    assert capsys.readouterr().out == ""


def test_clients_that_are_used_while_others_are_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    """What is idle is looked for in a copy: requests of other threads add to it meanwhile."""
    with serving(ANSWER) as server:
        clock = RunningClock()
        env = Environment(clock=clock)
        stop = threading.Event()

        def use(number: int) -> None:
            made = 0
            while not stop.is_set():
                url = f"http://127.0.0.1:{server.port}/{number}/{made}"
                lambdakit.client("dynamodb", endpoint_url=url, region="us-east-1").list_tables()
                made += 1

        with lambdakit.use_environment(env), ThreadPoolExecutor(2) as pool:
            clients = lambdakit.client("dynamodb")
            assert clients is lambdakit.client("dynamodb")
            users = [pool.submit(use, number) for number in range(2)]
            fn = lambdakit.handler(lambda event, context: "worked")
            for _ in range(50):
                clock.suspend(30)
                assert fn({}, FakeContext()) == "worked"
            stop.set()
            for user in users:
                user.result(30)
        env.close()
    assert [message for message in caplog.messages if "more than 32" not in message] == []


class Load:
    """What a function does, by number, in an environment with everything in it."""

    def __init__(self, server: FaultServer, url: str) -> None:
        self.records: list[Record] = []
        self.server = server
        self.url = url
        self.single = lambdakit.singleton(check=lambda one: None)(lambda: object())  # noqa: PLW0108 - a class would be refused
        self.cached = lambdakit.cached(ttl=5.0)(lambda number: [number])
        self.uses: list[Callable[[int], object]] = [
            lambda number: lambdakit.get_secret(f"s{number % 7}"),
            lambda number: lambdakit.get_parameter(f"/p/{number % 5}"),
            lambda _: self.single(),
            lambda number: self.cached(number % 11),
            lambda number: lambdakit.metric("Orders", number, dimensions={"Kind": str(number % 3)}),
            lambda _: lambdakit.remaining_s(),
            lambda _: lambdakit.client("dynamodb", endpoint_url=self.url).list_tables(),
            lambda _: lambdakit.resource("dynamodb", endpoint_url=self.url).Table("t"),
            lambda number: lambdakit.invalidate(f"s{number % 7}"),
            lambda _: repr(lambdakit.environment()),
            lambda _: lambdakit.stats(),
        ]

    def use(self, number: int) -> None:
        random.Random(number).choice(self.uses)(number)  # noqa: S311 - which one, the same in each run


def loaded(threads: int, rounds: int) -> None:
    """So many threads at once, each with its own invocations, pings and uses outside any."""
    clock = RunningClock()
    backend = MemoryBackend(
        secrets={f"s{number}": "1" for number in range(7)}, parameters={f"/p/{number}": "1" for number in range(5)}
    )
    env = Environment(clock=clock, backend=backend, settings=Settings(environ={}, region="us-east-1"))
    with serving(ANSWER) as server, lambdakit.use_environment(env):
        load = Load(server, f"http://127.0.0.1:{server.port}/")
        barrier = threading.Barrier(threads)
        records: list[Record] = []

        @lambdakit.handler(on_invocation=records.append)
        def handler(event: int, context: FakeContext) -> str | None:
            load.use(event)
            invocation = lambdakit.invocation()
            assert invocation.context is context
            return invocation.request_id

        def one(thread: int) -> None:
            barrier.wait(60)
            for number in range(thread * rounds, (thread + 1) * rounds):
                context = FakeContext(aws_request_id=f"r-{number}", remaining_s=60)
                if number % 3:
                    assert handler(number, context) == f"r-{number}"
                elif number % 2:
                    assert handler({"warmer": True}, context)["ping"]
                else:
                    load.use(number)
                if number % 13 == 0:
                    clock.suspend(30)  # idle for too long: whoever begins next closes what is

        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(one, thread) for thread in range(threads)]:
                done.result(600)
        numbers = range(threads * rounds)
        assert env._running == set()
        assert env.invocations == len(records) == sum(1 for number in numbers if number % 3)
        assert env.pings == sum(1 for number in numbers if not number % 3 and number % 2)
        assert sorted(record["number"] for record in records) == [*range(1, env.invocations + 1)]
        assert len({record["request_id"] for record in records}) == len(records)
        assert {record["outcome"] for record in records} == {"ok"}
    env.close()


def test_many_invocations_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """As Web Functions and Managed Instances run them: each with its own context, none lost, nothing warned of."""
    loaded(threads=8, rounds=30)
    assert caplog.messages == []


@pytest.mark.soak
@pytest.mark.parametrize("round_", range(5))
def test_64_threads_at_once(round_: int, caplog: pytest.LogCaptureFixture) -> None:
    """The same, for as long as it takes to find what happens once in ten thousand times."""
    loaded(threads=64, rounds=150)
    assert caplog.messages == []


def test_a_background_thread_that_asks_all_the_time() -> None:
    """How much time is left, while invocations begin and end: an answer each time."""
    stop = threading.Event()
    answers: list[set[float | None]] = []

    def ask() -> None:
        seen: set[float | None] = set()
        while not stop.is_set():
            seen.add(lambdakit.remaining_s())
        answers.append(seen)

    fn = lambdakit.handler(lambda event, context: "worked")
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(2_000):
        assert fn({}, FakeContext(remaining_s=3)) == "worked"
    stop.set()
    for thread in threads:
        thread.join(30)
    assert set().union(*answers) <= {None, 3.0}
