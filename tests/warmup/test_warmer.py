"""What a ping leaves behind: values that the next user finds fresh, instances that are alive, others kept warm."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Self

import pytest

import lambdakit
from lambdakit import Environment, Warmup
from lambdakit._event_loop import EventLoop
from lambdakit._singletons import Singletons
from lambdakit._values import Values
from lambdakit._warmup import DIALECTS, GREEDY
from lambdakit._warmup.warmer import Warmer
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

PING = {"warmer": True}


class Slow(MemoryBackend):
    """One whose every answer takes so many seconds."""

    def __init__(self, clock: ManualClock, seconds: float, **held: Any) -> None:
        super().__init__(**held)
        self._clock, self._seconds = clock, seconds

    def get_secret(self, *args: Any, **options: Any) -> Any:
        self._clock.tick(self._seconds)
        return super().get_secret(*args, **options)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend(
        secrets={"a": "1", "b": "2", "new": "3"},
        parameters={"/p": "4", "/tree/x": "5", "/tree/y": "6"},
        app_configs={"app/prod/flags": "7"},
        items={("orders", "42"): {"id": "42"}},
    )


@pytest.fixture
def warm(clock: ManualClock, backend: MemoryBackend) -> Iterator[Environment]:
    """An environment whose clock the test moves."""
    env = Environment(clock=clock, backend=backend)
    with lambdakit.use_environment(env):
        yield env
    env.close()


def ping(event: Any = PING, *, remaining_s: float = 30.0, **options: Any) -> Any:
    """The answer of a handler to a ping."""
    handler = lambdakit.handler(**options)(lambda event, context: pytest.fail("a ping reached the handler"))
    return handler(event, FakeContext(remaining_s=remaining_s))


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize(("age_s", "calls"), [(0.0, 0), (29.9, 0), (30.0, 1)])
def test_what_was_fetched_just_now_is_not_fetched_again(
    warm: Environment, clock: ManualClock, backend: MemoryBackend, age_s: float, calls: int
) -> None:
    """It would be kept hardly longer, even if its ttl ends before the next ping: a tenth of it has to be gained."""
    lambdakit.get_secret("a")
    clock.suspend(age_s)
    backend.calls.clear()
    ping()
    assert len(backend.calls) == calls


def test_values_that_would_expire_are_fetched(warm: Environment, clock: ManualClock, backend: MemoryBackend) -> None:
    """In five minutes they would be past their ttl: the ping fetches them together, the next user waits for none."""
    read = [lambda: lambdakit.get_secret("a"), lambda: lambdakit.get_secret("b"), lambda: lambdakit.get_parameter("/p")]
    assert [one() for one in read] == ["1", "2", "4"]
    clock.suspend(299)
    backend.calls.clear()
    assert ping() == {"ping": "lambda-warmer", "environment": warm.id}
    assert sorted(backend.calls) == [("parameter", "/p"), ("secrets", "a, b")]
    clock.suspend(299)
    assert [one() for one in read] == ["1", "2", "4"]
    assert len(backend.calls) == 2


def test_a_new_value_is_seen_and_only_what_is_in_memory_is_fetched(
    warm: Environment, clock: ManualClock, backend: MemoryBackend
) -> None:
    """A rotation between two pings; a secret that nobody has read stays unread."""
    lambdakit.get_secret("a")
    backend.secrets["a"] = "rotated"
    clock.suspend(300)
    ping()
    assert backend.calls == [("secret", "a"), ("secret", "a")]
    assert lambdakit.get_secret("a") == "rotated"
    assert len(backend.calls) == 2


def test_paths_and_configurations_too_but_not_what_is_anybodys(
    warm: Environment, clock: ManualClock, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """A path with one call, and what lies below it with it; an item and the results of functions wait for readers."""
    called: list[int] = []
    square = lambdakit.cached(ttl=300)(called.append)
    lambdakit.get_parameters_by_path("/tree")
    lambdakit.get_app_config("app", "prod", "flags")
    lambdakit.get_item("orders", {"id": "42"})
    square(2)
    backend.calls.clear()
    clock.suspend(299)
    clock.tick(1)
    ping()
    assert sorted(backend.calls) == [("configuration", "app/prod/flags"), ("path", "/tree")]
    assert (called, said(caplog)) == ([2], [])
    backend.calls.clear()
    assert lambdakit.get_parameters_by_path("/tree") == {"/tree/x": "5", "/tree/y": "6"}
    assert [lambdakit.get_parameter("/tree/x"), lambdakit.get_app_config("app", "prod", "flags")] == ["5", "7"]
    assert backend.calls == []


@pytest.mark.parametrize(
    ("luck", "age_s", "fetched"),
    [(0.0, 239.0, 0), (0.0, 240.0, 1), (0.0, 241.0, 1), (0.5, 224.0, 0), (0.5, 226.0, 1)],
)
def test_the_cadence_is_learnt(
    luck: float, age_s: float, fetched: int, warm: Environment, clock: ManualClock, backend: MemoryBackend
) -> None:
    """With a ping a minute, a value is fetched when it is 240 s old: the next ping would be too late for 300 s.

    A reader's jitter counts too: what is good for 285 s is fetched when it is 225 s old.
    """
    clock.random_value = luck
    for _ in range(3):
        ping()
        clock.suspend(60)
    ping()
    assert repr(warm._parts[Warmer]) == "<Warmer interval_s=60>"
    lambdakit.get_secret("a")
    clock.suspend(age_s)
    ping()
    assert len(backend.calls) == 1 + fetched


@pytest.mark.parametrize(
    ("gaps_s", "interval_s"),
    [
        ([], 300),
        ([60], 60),
        ([60, 900], 900),
        ([60, 900, 70], 70),
        ([900, 60, 60, 60, 60, 60], 60),
        ([60, 60, 60, 60, 600, 600, 600], 600),
        ([60, 0.075, 0.075, 0.075], 60),
        ([60, 9.9, 50.1], 60),
        ([10], 10),
        ([90_000], 3600),
    ],
)
def test_the_interval_is_the_middle_of_the_last_five(
    gaps_s: list[float], interval_s: float, warm: Environment, clock: ManualClock
) -> None:
    """Pings of one round count as one; a night says nothing of the day; until two were seen it is five minutes."""
    ping()
    for gap_s in gaps_s:
        clock.suspend(gap_s)
        ping()
    assert warm._parts[Warmer].interval_s == pytest.approx(interval_s)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize(
    ("gaps_s", "renewals"), [([], 1), ([1], 1), ([9.9], 1), ([10], 2), ([11], 2), ([5, 4.9], 1), ([5, 5], 2)]
)
def test_pings_of_one_round_renew_once(
    gaps_s: list[float], renewals: int, frozen: bool, clock: ManualClock, backend: MemoryBackend
) -> None:
    """A second ping within ten seconds renews nothing, one after them does: values and instances alike."""
    checked: list[int] = []
    hooked: list[int] = []
    settings = lambdakit.Settings(ttl_s=10.0)  # so that everything is due at each ping
    passes = clock.suspend if frozen else clock.tick
    with lambdakit.use_environment(Environment(clock=clock, backend=backend, settings=settings)):
        lambdakit.get_secret("a")
        instance = lambdakit.singleton(check=lambda _: checked.append(1), check_after=0)(lambda: 5)
        instance()
        passes(5)
        ping(on_ping=lambda: hooked.append(1))
        for gap_s in gaps_s:
            passes(gap_s)
            ping(on_ping=lambda: hooked.append(1))
    assert (len(backend.calls) - 1, len(checked)) == (renewals, renewals)
    assert len(hooked) == 1 + len(gaps_s)  # the hook is told of each


def test_a_clock_that_is_set_back_teaches_nothing(warm: Environment, clock: ManualClock) -> None:
    """Between the pings somebody has set the wall clock: monotonic time counts, and it stood still."""
    ping()
    clock.set_wall(1.0)
    ping()
    assert warm._parts[Warmer].interval_s == 300


def test_close_forgets_the_cadence(warm: Environment, clock: ManualClock) -> None:
    """What comes after a snapshot may be called otherwise."""
    ping()
    clock.suspend(60)
    ping()
    warm.close()
    assert warm._parts[Warmer].interval_s == 300
    clock.suspend(60)
    ping()
    assert warm._parts[Warmer].interval_s == 300


def test_what_fails_is_logged_and_stays_in_memory(
    warm: Environment, clock: ManualClock, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """The ping is answered; the reader gets the other value, the old value, or his own error."""
    lambdakit.get_secret("a")
    lambdakit.get_secret("b")
    lambdakit.get_parameters_by_path("/tree")
    backend.secrets["a"] = ConnectionError("planted")
    backend.parameters["/tree/x"] = ConnectionError("planted")
    clock.suspend(300)
    assert ping()["ping"] == "lambda-warmer"
    assert "planted" not in caplog.text
    (message,) = said(caplog)
    assert message == (
        "ping: 3 of 5 values could not be renewed, such as path '/tree' (ConnectionError); those in memory stay"
    )
    assert [lambdakit.get_secret("a"), lambdakit.get_secret("b")] == ["1", "2"]
    assert lambdakit.stats()["stale"] == 1  # of the reader: the ping has served nobody


def test_nothing_is_fetched_without_a_ttl_or_a_budget(
    warm: Environment, clock: ManualClock, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """A budget of 0 renews nothing; where nothing is ever fresh a fetch ahead would be for nobody."""
    lambdakit.get_secret("a")
    clock.suspend(300)
    ping(warmup=Warmup(budget=0))
    assert len(backend.calls) == 1
    settings = lambdakit.Settings(ttl_s=0.0)
    with lambdakit.use_environment(Environment(clock=clock, backend=backend, settings=settings)):
        lambdakit.get_secret("a")
        ping()
    assert (len(backend.calls), said(caplog)) == (2, [])


def test_many_values_are_those_used_last(warm: Environment, clock: ManualClock, backend: MemoryBackend) -> None:
    """A hundred at a ping: of 101, the one whose last use is longest ago is left to its reader."""
    backend.parameters.update({f"/many/{number}": "x" for number in range(101)})
    for number in range(101):
        lambdakit.get_parameter(f"/many/{number}")
        clock.tick(0.1)
    lambdakit.get_parameter("/many/0")
    backend.calls.clear()
    clock.suspend(290)
    ping()
    fetched = {name for _, names in backend.calls for name in names.split(", ")}
    assert (len(backend.calls), len(fetched)) == (10, 100)
    assert {f"/many/{number}" for number in range(101)} - fetched == {"/many/1"}


def test_renewing_ends_with_its_budget(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """A fetch that takes 6 s is the last thing: no instance is looked at any more, and the ping is answered."""
    built: list[int] = []
    backend = Slow(clock, 6.0, secrets={"a": "1"})

    @lambdakit.singleton(max_age=1)
    def instance() -> object:
        built.append(1)
        return object()

    for budget_s, builds in ((5.0, 1), (7.0, 2)):
        built.clear()
        with lambdakit.use_environment(Environment(clock=clock, backend=backend)):
            lambdakit.get_secret("a")
            instance()
            clock.suspend(300)
            ping(warmup=Warmup(budget=budget_s))
        assert len(built) == builds


def test_without_time_nothing_begins(
    warm: Environment, clock: ManualClock, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """What is left is the deadline margin: the ping is answered."""
    lambdakit.get_secret("a")
    clock.suspend(300)
    assert ping(remaining_s=0.2)["ping"] == "lambda-warmer"
    assert len(backend.calls) == 1
    assert "(DeadlineExceededError)" in caplog.text


def test_a_dead_instance_is_built_anew(warm: Environment, clock: ManualClock) -> None:
    """Its check fails at the ping: the next user finds a new one, which was not looked at meanwhile."""
    checked: list[int] = []
    built: list[int] = []
    closed: list[int] = []
    dead: set[int] = set()

    def check(number: int) -> bool:
        checked.append(number)
        return number not in dead

    @lambdakit.singleton(check=check, close=closed.append)
    def connection() -> int:
        built.append(len(built))
        return len(built) - 1

    assert connection() == 0
    clock.suspend(60)
    ping()
    assert (checked, built) == ([0], [0])
    dead.add(0)
    clock.suspend(60)
    ping()
    assert (checked, built, closed) == ([0, 0], [0, 1], [0])
    assert connection() == 1


def test_an_instance_that_is_kept_goes_on_idling(warm: Environment, clock: ManualClock) -> None:
    """A ping does not use it: a minute after its last use it is built anew, pings or not."""
    built: list[int] = []

    @lambdakit.singleton
    def connection() -> int:
        built.append(len(built))
        return len(built) - 1

    connection()
    for gap_s in (20, 20, 10):
        clock.suspend(gap_s)
        ping()
    assert built == [0]
    clock.suspend(10)
    ping()
    assert built == [0, 1]


def test_an_instance_of_another_password_is_built_anew(
    warm: Environment, clock: ManualClock, backend: MemoryBackend
) -> None:
    """The ping fetches the secret that it was built from, finds another version, and builds."""
    built: list[str] = []

    @lambdakit.singleton(depends_on=lambdakit.secret("a"), check=lambda _: True, check_after=3600)
    def connection() -> object:
        built.append(lambdakit.get_secret("a"))
        return object()

    connection()
    backend.secrets["a"] = "rotated"
    clock.suspend(300)
    ping()
    assert built == ["1", "rotated"]


def test_a_factory_that_fails_is_logged(
    warm: Environment, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """By name and type, never by what it says; the others are looked at all the same."""
    broken: list[int] = []
    others: list[int] = []

    @lambdakit.singleton
    def first() -> object:
        if broken:
            raise ConnectionError("planted password")
        return object()

    @lambdakit.singleton
    def second() -> object:
        others.append(1)
        return object()

    first()
    second()
    broken.append(1)
    clock.suspend(61)
    ping()
    (message,) = said(caplog)
    assert message.endswith("first could not be built anew (ConnectionError)")
    assert len(others) == 2


def test_instances_of_coroutines_are_built_anew_on_their_loop(warm: Environment, clock: ManualClock) -> None:
    """The kept loop of the handler, where that is at rest; within a running one they wait for their first use."""
    loops: list[Any] = []

    @lambdakit.singleton
    async def connection() -> object:
        loops.append(asyncio.get_running_loop())
        return object()

    @lambdakit.handler
    async def handler(event: Any, context: Any) -> Any:
        return await connection()

    old = handler({}, FakeContext())
    clock.suspend(61)
    handler(PING, FakeContext())
    assert len(loops) == 2
    assert loops[0] is loops[1]
    new = handler({}, FakeContext())
    assert new is not old
    assert len(loops) == 2

    async def elsewhere() -> Any:
        return await handler(PING, FakeContext())

    clock.suspend(61)
    answer = asyncio.run(elsewhere())
    assert answer["ping"] == "lambda-warmer"
    assert len(loops) == 2
    warm._parts[EventLoop].close()
    handler(PING, FakeContext())
    assert len(loops) == 2


def test_a_coroutine_that_hangs_costs_the_budget(
    warm: Environment, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is cancelled, and the ping is answered."""
    built: list[int] = []

    @lambdakit.singleton
    async def connection() -> object:
        built.append(1)
        if len(built) > 1:
            await asyncio.Event().wait()
        return object()

    @lambdakit.handler(warmup=Warmup(budget=0.05))
    async def handler(event: Any, context: Any) -> Any:
        await connection()

    handler({}, FakeContext())
    clock.suspend(61)
    assert handler(PING, FakeContext())["ping"] == "lambda-warmer"
    (message,) = said(caplog)
    assert message.endswith("connection could not be built anew (DeadlineExceededError)")
    assert len(built) == 2


def test_the_hook_is_called_at_each_ping(warm: Environment, clock: ManualClock, backend: MemoryBackend) -> None:
    """After values were renewed, in the ping's own time, and not in other invocations."""
    seen: list[Any] = []
    lambdakit.get_secret("a")
    clock.suspend(300)

    def hook() -> None:
        seen.append((len(backend.calls), lambdakit.remaining_s()))

    handler = lambdakit.handler(on_ping=hook)(lambda event, context: "work")
    handler(PING, FakeContext(remaining_s=7))
    assert handler({}, FakeContext()) == "work"
    handler("#warmup", FakeContext(remaining_s=8))
    assert [remaining_s for _, remaining_s in seen] == [7, 8]
    assert seen[0][0] == 2


def test_a_hook_that_raises_is_logged(warm: Environment, caplog: pytest.LogCaptureFixture) -> None:
    """By its name and the type of the error, which may say anything; one of lambdakit's own is told in full."""

    def hook() -> None:
        raise LookupError("planted password")

    ping(on_ping=hook)
    ping(on_ping=lambda: lambdakit.get_secret("missing"))
    first, second = said(caplog)
    assert first.startswith("on_ping: ")
    assert first.endswith("hook raised LookupError")
    assert "secret 'missing' is not in this MemoryBackend" in second


def test_a_hook_may_end_the_process(warm: Environment) -> None:
    """`sys.exit` means what it says."""
    with pytest.raises(SystemExit):
        ping(on_ping=exit_)


def exit_() -> None:
    raise SystemExit(3)


def test_a_hook_that_returns_a_coroutine_is_told(warm: Environment, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody awaits it, and Python does not complain of that beside."""

    async def hook() -> None: ...

    ping(on_ping=lambda: hook())  # noqa: PLW0108 - the function itself would be refused
    assert said(caplog) == [
        "on_ping returned a coroutine, which nobody awaits: give a function that is not `async def`"
    ]


@pytest.mark.parametrize(
    ("event", "waits_s"),
    [
        (PING, 0),
        ({"warmer": True, "concurrency": 5}, 0),
        ("#warmup wait=200", 1),
        ({"source": "serverless-plugin-warmup"}, 1),
        ({"warmer": True, "__WARMER_INVOCATION__": 2, "__WARMER_CONCURRENCY__": 2, "__WARMER_CORRELATIONID__": "x"}, 1),
        (
            {"warmer": True, "__WARMER_INVOCATION__": 2, "__WARMER_CONCURRENCY__": 9, "__WARMER_CORRELATION_ID__": "x"},
            1,
        ),
        ({"warmer": True, "__WARMER_INVOCATION__": 2, "__WARMER_CONCURRENCY__": 10}, 2),
        ({"warmer": True, "__WARMER_INVOCATION__": 3, "__WARMER_CONCURRENCY__": 10}, 1),
        ({"warmer": True, "__WARMER_INVOCATION__": 10, "__WARMER_CONCURRENCY__": 10}, 1),
        ({"warmer": True, "__WARMER_INVOCATION__": 1, "__WARMER_CONCURRENCY__": 1}, 0),
        ({"warmer": True, "__WARMER_INVOCATION__": 11, "__WARMER_CONCURRENCY__": 10}, 1),
        ({"warmer": True, "__WARMER_INVOCATION__": "2", "__WARMER_CONCURRENCY__": [9]}, 0),
        ({"warmer": True, "__WARMER_INVOCATION__": 2, "__WARMER_CONCURRENCY__": 10**9}, 13),
        ([{"warmer": True}, {"warmer": True, "__WARMER_INVOCATION__": 2, "__WARMER_CONCURRENCY__": 2}], 1),
    ],
)
def test_a_ping_that_was_passed_on_keeps_the_environment_busy(
    event: Any, waits_s: float, warm: Environment, clock: ManualClock
) -> None:
    """1 s for those sent with it and for each lot of eight after it; one that comes alone is answered at once."""
    began_s = clock.monotonic_s
    ping(event, warmup=Warmup(overlap=1), remaining_s=60)
    assert clock.monotonic_s - began_s == pytest.approx(waits_s)


CHILD = {"warmer": True, "__WARMER_INVOCATION__": 2, "__WARMER_CONCURRENCY__": 2}


PLUGIN, SCHEDULED = {"source": "serverless-plugin-warmup"}, {"source": "aws.events", "detail-type": "Scheduled Event"}
EVERY = Warmup(dialects=(*DIALECTS, *GREEDY))


def mine(event: Any, context: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("event", "waits_s"),
    [
        (PING, 0.0),
        (CHILD, 0.075),
        (PLUGIN, 0.025),
        ({"order": 1}, 0.025),  # with the plugin's mark in the client context
        ("#warmup", 0.09),
        ("#warmup wait=200", 0.29),
        ("#warmup wait= 200 ", 0.29),
        ("#warmup wait=0", 0.09),
        ("#warmup wait=-5", 0.09),
        ("#warmup wait=1e3", 0.09),
        ("#warmup wait=5000", 1.09),
        ("#warmup wait=" + "9" * 5000, 1.09),
        ({}, 0.1),
        ("", 0.1),
        (SCHEDULED | {"detail": {}}, 0.0),
        (SCHEDULED | {"resources": ["arn:aws:events:us-east-1:1:rule/a-handler.keep_warm_callback"]}, 0.0),
    ],
)
@pytest.mark.parametrize("on_ping", [None, lambda: None])
def test_a_ping_that_may_be_one_of_several_keeps_the_environment_busy(
    event: Any, waits_s: float, on_ping: Any, warm: Environment, clock: ManualClock
) -> None:
    """For as long as the manual of its warmer says, or the next one would find it idle; what comes alone does not wait.

    What an event asks for is bounded: anybody may have sent it.
    """
    began_s = clock.monotonic_s
    custom = SimpleNamespace(custom=PLUGIN) if event == {"order": 1} else None
    handler = lambdakit.handler(warmup=EVERY, on_ping=on_ping)(lambda event, context: pytest.fail("no ping"))
    handler(event, FakeContext(remaining_s=30.0, client_context=custom))
    assert clock.monotonic_s - began_s == pytest.approx(waits_s)


@pytest.mark.parametrize(("warmup", "waits_s"), [(mine, 0.025), (Warmup(overlap=0), 0.0), (Warmup(overlap=0.5), 0.5)])
def test_the_overlap_can_be_chosen(warmup: Any, waits_s: float, warm: Environment, clock: ManualClock) -> None:
    """By a number for all dialects. Of a predicate of one's own it is the shortest."""
    began_s = clock.monotonic_s
    ping(PLUGIN, warmup=warmup)
    assert clock.monotonic_s - began_s == pytest.approx(waits_s)


@pytest.mark.parametrize(("remaining_s", "waits_s"), [(3.0, 2.75), (0.25, 0.0), (0.1, 0.0), (30.0, 5.0)])
def test_the_overlap_ends_before_the_invocation(
    remaining_s: float, waits_s: float, warm: Environment, clock: ManualClock
) -> None:
    """The deadline margin stays."""
    began_s = clock.monotonic_s
    ping(CHILD, warmup=Warmup(overlap=5), remaining_s=remaining_s)
    assert clock.monotonic_s - began_s == pytest.approx(waits_s)


def test_work_counts_as_overlap(warm: Environment, clock: ManualClock) -> None:
    """Who was busy for as long as it takes waits no longer; without a context nothing limits it."""
    began_s = clock.monotonic_s
    ping(CHILD, warmup=Warmup(overlap=1), on_ping=lambda: clock.tick(0.4))
    ping(CHILD, warmup=Warmup(overlap=1), on_ping=lambda: clock.tick(1.4))
    handler = lambdakit.handler(warmup=Warmup(overlap=2))(lambda event, context: None)
    handler(CHILD, None)
    assert clock.monotonic_s - began_s == pytest.approx(1.0 + 1.4 + 2.0)


def test_a_ping_makes_nothing_that_the_function_has_not_used(warm: Environment) -> None:
    """No values, no instances: what a function does not use it does not pay for."""
    ping()
    assert (warm._parts.peek(Values), warm._parts.peek(Singletons)) == (None, None)
    lambdakit.get_secret("a")
    ping()
    assert warm._parts.peek(Singletons) is None


def test_a_step_that_breaks_does_not_stop_the_others(
    warm: Environment, clock: ManualClock, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong inside is logged, and the ping is answered."""
    called: list[int] = []

    class Broken:
        @classmethod
        def of(cls, _: Environment) -> Self:
            return cls()

        def on_ping(self, now: object, within_s: float) -> None:
            raise TypeError("planted")

    _ = warm._parts[Broken]
    lambdakit.get_secret("a")
    clock.suspend(300)
    ping(on_ping=lambda: called.append(len(backend.calls)))
    assert called == [2]
    assert said(caplog) == ["ping: TypeError was raised"]
