"""One instance per environment: built once, looked at once per invocation, built anew when it may be dead."""

import asyncio
import functools
import gc
import inspect
import operator
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import lambdakit
from lambdakit import Environment
from lambdakit._singletons import Singletons
from lambdakit.exceptions import AccessDeniedError, ConfigurationError, DeadlineExceededError, NetworkError
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

PATIENCE_S = 10.0  # how long a test waits for what must happen; it never passes by waiting
DENIED = AccessDeniedError("denied", service="secretsmanager", operation="GetSecretValue", name="db")
DOWN = NetworkError("down", service="secretsmanager", operation="GetSecretValue", name="db")


class Connection:
    """Knows whether it is alive, and counts."""

    def __init__(self, of: "Server", number: int, password: str) -> None:
        self.of = of
        self.number = number
        self.password = password
        self.alive = True
        self.checks = 0

    def ping(self) -> bool:
        self.checks += 1
        if not self.alive:
            raise ConnectionError
        return True

    def close(self) -> None:
        self.of.closed.append(self.number)


class Server:
    """Knows its connections, by number from 1."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.closed: list[int] = []

    def connect(self, password: str = "") -> Connection:
        self.connections.append(Connection(self, len(self.connections) + 1, password))
        return self.connections[-1]

    async def connect_async(self) -> Connection:
        await asyncio.sleep(0)
        return self.connect()

    def from_secret(self) -> Connection:
        return self.connect(lambdakit.get_secret("db"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend(secrets={"db": "old", "other": "same"}, parameters={"/db": "old"})


@pytest.fixture
def env(clock: ManualClock, backend: MemoryBackend) -> Iterator[Environment]:
    env = Environment(clock=clock, backend=backend)
    with lambdakit.use_environment(env):
        yield env
    env.close()


@pytest.fixture
def server() -> Server:
    return Server()


def invoke(work: Callable[[], Any], *, remaining_s: float = 100.0) -> Any:
    """What `work` returns in an invocation of its own; a coroutine of it, where a loop runs."""
    return lambdakit.handler(lambda event, context: work())({}, FakeContext(remaining_s=remaining_s))


def held(env: Environment) -> Singletons:
    """What the environment holds."""
    return env._parts[Singletons]


def together(work: Callable[[], Any], count: int) -> list[Any]:
    """What `count` threads get that call at once."""
    barrier = threading.Barrier(count)

    def started() -> Any:
        barrier.wait(PATIENCE_S)
        return work()

    with ThreadPoolExecutor(count) as pool:
        return [future.result(PATIENCE_S) for future in [pool.submit(started) for _ in range(count)]]


# --- building


def test_it_is_built_once(server: Server) -> None:
    """At the first call; later calls, also of later invocations, return the same object."""
    database = lambdakit.singleton(server.connect)
    assert server.connections == []
    assert invoke(database) is invoke(database) is database()
    assert len(server.connections) == 1


def test_each_environment_has_its_own(server: Server) -> None:
    """The function belongs to none of them."""
    database = lambdakit.singleton(server.connect)
    first = database()
    with lambdakit.use_environment(Environment()) as other:
        assert database() is not first
        other.close()
    assert database() is first
    assert server.closed == [2]


def test_each_factory_has_its_own(server: Server) -> None:
    """Also two of one function."""
    assert lambdakit.singleton(server.connect)() is not lambdakit.singleton(server.connect)()


def test_a_factory_stays_what_it_was() -> None:
    """Name, docstring, and whether it is to be awaited."""

    @lambdakit.singleton
    def database() -> None:
        """The database."""

    @lambdakit.singleton(max_age=60)
    async def async_database() -> None:
        """The database of the loop."""

    assert (database.__name__, database.__doc__) == ("database", "The database.")
    assert async_database.__doc__ == "The database of the loop."
    assert not inspect.iscoroutinefunction(database)
    assert inspect.iscoroutinefunction(async_database)


def test_none_is_an_instance() -> None:
    """A factory may do its work without returning anything."""
    calls: list[int] = []
    prepare = lambdakit.singleton(lambda: calls.append(1))
    assert invoke(prepare) is invoke(prepare) is None
    assert calls == [1]


def test_64_threads_share_one(server: Server) -> None:
    """Whoever comes while it is built waits for it."""
    database = lambdakit.singleton(server.connect)
    assert set(map(id, together(database, 64))) == {id(server.connections[0])}
    assert len(server.connections) == 1


def test_64_tasks_share_one(server: Server) -> None:
    """The same of coroutines."""
    database = lambdakit.singleton(server.connect_async)

    async def main() -> list[Connection]:
        return await asyncio.gather(*[database() for _ in range(64)])

    assert set(map(id, asyncio.run(main()))) == {id(server.connections[0])}


def test_an_error_passes_unchanged_and_is_not_kept(server: Server) -> None:
    """The next call tries again."""
    error = ConnectionRefusedError("no")
    outcomes: list[Any] = [error, error, "connected"]

    def factory() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def async_factory() -> Any:
        return factory()

    database = lambdakit.singleton(factory)
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError) as raised:
            database()
        assert raised.value is error
    assert database() == "connected"

    outcomes[:] = [error, "connected"]
    async_database = lambdakit.singleton(async_factory)

    async def main() -> Any:
        with pytest.raises(ConnectionRefusedError) as raised:
            await async_database()
        assert raised.value is error
        return await async_database()

    assert asyncio.run(main()) == "connected"


def test_an_error_of_a_build_anew_leaves_nothing(server: Server) -> None:
    """The old one is closed, and the next call builds."""
    refusals = [False, True, False]

    def factory() -> Connection:
        if refusals.pop(0):
            raise ConnectionRefusedError
        return server.connect()

    database = lambdakit.singleton(factory, check=lambda c: c.ping())
    invoke(database).alive = False
    with pytest.raises(ConnectionRefusedError):
        invoke(database)
    assert server.closed == [1]
    assert invoke(database).number == 2


def test_a_circle_is_refused() -> None:
    """Two that are made of each other, or one of itself, would wait for ever; so would a check."""
    first: Callable[[], Any] = lambdakit.singleton(lambda: [second()])
    second: Callable[[], Any] = lambdakit.singleton(lambda: [first()])
    with pytest.raises(ConfigurationError, match="circle"):
        first()
    asking: Callable[[], Any] = lambdakit.singleton(lambda: 1, check=lambda _: asking())
    asking()
    with pytest.raises(ConfigurationError, match="circle"):
        invoke(asking)


def test_waiting_for_another_thread_ends_with_the_invocation() -> None:
    """Nobody is killed by Lambda for a connection that another thread does not get."""
    begun, release = threading.Event(), threading.Event()

    @lambdakit.singleton
    def slow() -> str:
        begun.set()
        release.wait(PATIENCE_S)
        return "built"

    with ThreadPoolExecutor(1) as pool:
        builder = pool.submit(slow)
        assert begun.wait(PATIENCE_S)
        try:
            with pytest.raises(DeadlineExceededError):
                invoke(slow, remaining_s=0.3)
        finally:
            release.set()
        assert builder.result(PATIENCE_S) == "built"


def test_it_is_built_in_init(server: Server, env: Environment) -> None:
    """`preload` takes it as it is."""
    database = lambdakit.singleton(server.connect)
    handler = lambdakit.handler(lambda event, context: database().number, preload=[database])
    env.preload(handler)
    assert len(server.connections) == 1
    assert handler({}, FakeContext()) == 1


# --- checking


def test_it_is_checked_once_in_each_invocation(server: Server) -> None:
    """At its first use there, not at the others, and not right after it was built."""
    database = lambdakit.singleton(server.connect, check=lambda c: c.ping())
    checks = []
    for _ in range(3):
        invoke(lambda: [database(), database(), database()])
        checks.append(server.connections[0].checks)
    assert checks == [0, 1, 2]
    assert len(server.connections) == 1


def test_it_is_not_checked_where_it_is_not_used(server: Server) -> None:
    """An invocation without it pays nothing for it."""
    database = lambdakit.singleton(server.connect, check=lambda c: c.ping())
    invoke(database)
    invoke(lambda: None)
    assert server.connections[0].checks == 0


def test_threads_of_an_invocation_share_the_check(server: Server) -> None:
    """One looks, the others wait for what it says."""
    database = lambdakit.singleton(server.connect, check=lambda c: c.ping())
    invoke(database)
    assert invoke(lambda: {one.number for one in together(database, 32)}) == {1}
    assert server.connections[0].checks == 1


class Paused(Environment):
    """One that a thread of this name waits for where it asks which invocation it is in."""

    __slots__ = ("asking", "go_on")

    @property
    def invocations(self) -> int:  # type: ignore[override]
        if threading.current_thread().name == "late":
            self.asking.set()
            self.go_on.wait(PATIENCE_S)
        return int(Environment.invocations.__get__(self))

    @invocations.setter
    def invocations(self, number: int) -> None:
        self.asking, self.go_on = threading.Event(), threading.Event()
        Environment.invocations.__set__(self, number)


def test_a_thread_that_comes_late_does_not_check_again(server: Server) -> None:
    """It finds the check of another, made while it was on its way."""
    database = lambdakit.singleton(server.connect, check=lambda c: c.ping())

    def work(env: Paused) -> None:
        late = threading.Thread(target=database, name="late")
        late.start()
        assert env.asking.wait(PATIENCE_S)
        database()
        env.go_on.set()
        late.join(PATIENCE_S)

    with lambdakit.use_environment(Paused()) as env:
        invoke(database)
        invoke(lambda: work(env))  # type: ignore[arg-type] # it is
    assert server.connections[0].checks == 1
    assert len(server.connections) == 1


def _raise(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    ("check", "passes"),
    [
        (lambda _: None, True),
        (lambda _: True, True),
        (lambda _: 0, True),
        (lambda _: "", True),
        (lambda _: False, False),
        (lambda _: _raise(ConnectionError()), False),
        (operator.methodcaller("ping"), True),
        (operator.methodcaller("pong"), False),
    ],
)
def test_what_a_check_says(check: Any, passes: bool, server: Server) -> None:
    """It fails by raising or by returning False; then the old one is closed, and a new one built."""
    database = lambdakit.singleton(server.connect, check=check)
    invoke(database)
    assert invoke(database).number == (1 if passes else 2)
    assert server.closed == ([] if passes else [1])


def test_an_interrupt_is_no_failed_check(server: Server) -> None:
    """What ends the process ends it, and the instance is still there."""
    database = lambdakit.singleton(server.connect, check=lambda _: _raise(KeyboardInterrupt()))
    invoke(database)
    with pytest.raises(KeyboardInterrupt):
        invoke(database)
    assert server.closed == []


def test_check_after_is_a_limit(server: Server, clock: ManualClock) -> None:
    """Idle for less: not checked. Each use ends an idle time, and one that the environment was frozen in counts."""
    database = lambdakit.singleton(server.connect, check=lambda c: c.ping(), check_after=10)
    checks = []
    for wait in (
        lambda: None,
        lambda: clock.tick(9.9),
        lambda: clock.tick(9.9),
        lambda: clock.tick(10),
        lambda: clock.suspend(9.9),
        lambda: clock.suspend(10),
        lambda: clock.set_wall(0),
    ):
        wait()
        checks.append(invoke(database).checks)
    assert checks == [0, 0, 0, 1, 1, 2, 3]


def test_without_a_check_it_is_built_anew_after_a_minute_of_idleness(server: Server, clock: ManualClock) -> None:
    """Nobody knows better; a use before that ends the idle time."""
    database = lambdakit.singleton(server.connect)
    numbers = []
    for idle_s in (0, 59.9, 59.9, 60):
        clock.suspend(idle_s)
        numbers.append(invoke(database).number)
    assert numbers == [1, 1, 1, 2]
    assert server.closed == [1]


def test_max_age_is_a_limit(server: Server, clock: ManualClock) -> None:
    """It counts from the building, whatever the check says, and frozen time counts too."""
    database = lambdakit.singleton(server.connect, check=lambda c: c.ping(), max_age=100)
    numbers = []
    for time_s in (0, 50, 49.9, 0.1, 99.9):
        clock.suspend(time_s)
        numbers.append(invoke(database).number)
    assert numbers == [1, 1, 1, 2, 2]
    assert server.closed == [1]


def test_max_age_zero(server: Server) -> None:
    """Another one in each invocation, the same within it."""
    database = lambdakit.singleton(server.connect, max_age=0)
    assert [invoke(lambda: (database().number, database().number)) for _ in range(2)] == [(1, 1), (2, 2)]


def test_a_check_has_half_of_the_time_that_is_left(env: Environment) -> None:
    """What it does by lambdakit ends early enough to build a new one."""
    left: list[Any] = []
    database = lambdakit.singleton(lambda: 1, check=lambda _: left.append(env._budget()))
    database()
    invoke(database, remaining_s=10.25)
    assert left == [pytest.approx(5.0)]


# --- depending on values


def test_another_version_in_memory_builds_anew_within_the_invocation(server: Server, backend: MemoryBackend) -> None:
    """As soon as somebody has fetched it; once."""
    database = lambdakit.singleton(server.from_secret, depends_on=lambdakit.secret("db"))

    def work() -> list[str]:
        before = database().password
        backend.secrets["db"] = "new"
        lambdakit.get_secret("db", force_fetch=True)
        return [before, database().password, database().password]

    assert invoke(work) == ["old", "new", "new"]
    assert server.closed == [1]
    assert len(server.connections) == 2


def test_a_ttl_that_has_passed_is_noticed_at_the_first_use(
    server: Server, clock: ManualClock, backend: MemoryBackend
) -> None:
    """The value is looked at there as its getter looks at it; until the ttl has passed nothing is fetched."""
    database = lambdakit.singleton(
        server.from_secret, check=lambda c: c.ping(), depends_on=[lambdakit.secret("db", ttl=300)]
    )
    passwords = [invoke(database).password]
    backend.secrets["db"] = "new"
    for wait_s in (299.9, 0.1):
        clock.suspend(wait_s)
        passwords.append(invoke(database).password)
    assert passwords == ["old", "old", "new"]
    assert len(backend.calls) == 2


@pytest.mark.parametrize("depends_on", [lambdakit.secret("db"), [lambdakit.secret("other"), lambdakit.secret("db")]])
def test_the_same_version_changes_nothing(
    depends_on: Any, server: Server, clock: ManualClock, backend: MemoryBackend
) -> None:
    """A refresh that brings what was there builds nothing; of several values one new version is enough."""
    database = lambdakit.singleton(server.from_secret, check=lambda c: c.ping(), depends_on=depends_on)
    invoke(database)
    clock.tick(1000)
    assert invoke(database).number == 1
    backend.secrets["db"] = "new"
    clock.tick(1000)
    assert invoke(database).password == "new"


def test_a_parameter_is_as_good(server: Server, clock: ManualClock, backend: MemoryBackend) -> None:
    """Any declaration of one value."""
    database = lambdakit.singleton(
        lambda: server.connect(lambdakit.get_parameter("/db")),
        check=lambda c: c.ping(),
        depends_on=lambdakit.parameter("/db"),
    )
    invoke(database)
    backend.parameters["/db"] = "new"
    clock.tick(1000)
    assert invoke(database).password == "new"


def test_building_takes_the_value_that_was_looked_at(server: Server, backend: MemoryBackend) -> None:
    """One fetch for both."""
    database = lambdakit.singleton(server.from_secret, depends_on=lambdakit.secret("db"))
    invoke(lambda: [database(), database()])
    assert backend.calls == [("secret", "db")]


@pytest.mark.parametrize("error", [DENIED, DOWN])
def test_an_error_of_the_value_is_nothing_to_a_standing_instance(
    error: Exception, server: Server, clock: ManualClock, backend: MemoryBackend
) -> None:
    """It may be good for years; only where there is none the error is raised, and nothing is built."""
    database = lambdakit.singleton(
        server.connect, check=lambda c: c.ping(), depends_on=lambdakit.secret("db", stale_ttl=0)
    )
    backend.secrets["db"] = error
    with pytest.raises(type(error)):
        invoke(database)
    assert server.connections == []
    backend.secrets["db"] = "old"
    invoke(database)
    backend.secrets["db"] = error
    clock.tick(1000)
    assert invoke(database).number == 1


def test_a_version_that_is_not_known_has_not_changed(server: Server, backend: MemoryBackend) -> None:
    """Neither one that was forgotten, nor one that is too large to be kept."""
    database = lambdakit.singleton(server.from_secret, depends_on=lambdakit.secret("db"))
    assert invoke(lambda: [database(), lambdakit.clear(), database()][2].number) == 1
    small = Environment(settings=lambdakit.Settings(max_bytes=1), backend=backend)
    with lambdakit.use_environment(small):
        assert invoke(lambda: [database(), database()][1].number) == 2
        assert invoke(lambda: database().number) == 2


@pytest.mark.parametrize("versions", [["1", None, "2"], [None, "1", "1"]])
def test_a_source_without_versions(versions: list[str | None], server: Server, env: Environment) -> None:
    """Where one is not known, before or now, nothing has changed; a new one after it has."""

    class Backend(MemoryBackend):
        def get_secret(self, name: str, **options: Any) -> Any:
            return (*super().get_secret(name, **options)[:1], versions.pop(0))

    with lambdakit.use_environment(Environment(clock=env.clock, backend=Backend(secrets={"db": "x"}))):
        database = lambdakit.singleton(server.connect, depends_on=lambdakit.secret("db"))

        def work() -> list[int]:
            numbers = [database().number]
            for _ in range(2):
                lambdakit.get_secret("db", force_fetch=True)
                numbers.append(database().number)
            return numbers

        expected = [1, 1, 2 if versions[0] else 1]
        assert invoke(work) == expected


def test_what_only_the_factory_has_fetched_counts(server: Server, backend: MemoryBackend) -> None:
    """Where memory had nothing before: the value is known from then on, and its next version builds anew."""

    def factory() -> Connection:
        backend.secrets["db"] = f"of {len(server.connections) + 1}"  # the service is back
        return server.from_secret()

    database = lambdakit.singleton(factory, check=lambda c: c.ping(), depends_on=lambdakit.secret("db"))
    invoke(database).alive = False
    lambdakit.clear()
    backend.secrets["db"] = DOWN

    def work() -> list[str]:
        before = [database().password, database().password]
        backend.secrets["db"] = "another"
        lambdakit.get_secret("db", force_fetch=True)
        return [*before, database().password]

    assert invoke(work) == ["of 2", "of 2", "another"]


def test_a_value_that_changes_while_it_is_built(server: Server, backend: MemoryBackend) -> None:
    """Which one the factory has read is not known: it is built once more."""
    changes = [True, False]

    def factory() -> Connection:
        connection = server.from_secret()
        if changes.pop(0):
            backend.secrets["db"] = "new"
            lambdakit.get_secret("db", force_fetch=True)
        return connection

    database = lambdakit.singleton(factory, depends_on=lambdakit.secret("db"))
    assert invoke(lambda: [database().password, database().password]) == ["old", "new"]
    assert len(server.connections) == 2


def test_a_rotation_is_healed_within_the_invocation(server: Server, backend: MemoryBackend) -> None:
    """The retry finds another version, and so does the instance: its check is not asked."""

    class Refused(Exception):  # noqa: N818 - as a driver may call it
        pass

    database = lambdakit.singleton(server.from_secret, depends_on=lambdakit.secret("db"))

    @lambdakit.retry_on_rotation("db", errors=Refused)
    def work() -> str:
        if database().password != "new":
            raise Refused
        return database().password

    invoke(database)
    backend.secrets["db"] = "new"
    assert invoke(work) == "new"
    assert [len(server.connections), server.closed] == [2, [1]]


# --- closing


def test_closing_goes_backwards(server: Server, env: Environment) -> None:
    """What was built last may be made of what was built first; a build anew counts as the last."""
    outer = lambdakit.singleton(lambda: (inner(), server.connect())[1])
    inner = lambdakit.singleton(server.connect, check=lambda c: c.ping())
    invoke(outer)
    env.close()
    assert server.closed == [2, 1]
    invoke(outer)
    server.connections[2].alive = False
    invoke(inner)
    env.close()
    assert server.closed == [2, 1, 3, 5, 4]


@pytest.mark.parametrize("close", [lambda c: c.close(), Connection.close, lambda c: [c.close(), 1 / 0]])
def test_close_may_be_given(close: Any, server: Server, env: Environment) -> None:
    """It is called instead of the instance's own, and whatever it raises is nobody's."""
    database = lambdakit.singleton(server.connect, close=close)
    database()
    env.close()
    assert server.closed == [1]


def test_what_cannot_be_closed_is_let_go(env: Environment) -> None:
    """No `close`, or one that is no method, or one that raises."""

    class Thing:
        def itself(self) -> "Thing":
            return self

    class Odd(Thing):
        close = "of business"

    class Dead(Thing):
        def close(self) -> None:
            raise ConnectionResetError

    things = [lambdakit.singleton(made) for made in (lambda: 1, Odd().itself, Dead().itself, lambda: None)]
    for thing in things:
        thing()
    assert len(held(env).instances()) == 4
    env.close()
    assert len(held(env).instances()) == 0


def test_a_snapshot_has_none(server: Server, env: Environment) -> None:
    """Closed before it, built anew after the restore; hooks that build between do not bring theirs into it."""
    database = lambdakit.singleton(server.connect)
    database()
    env._renew()
    assert server.closed == [1]
    database()
    env._become_another()
    assert server.closed == [1, 2]
    assert database().number == 3


def test_what_is_built_while_everything_is_closed_is_not_kept(server: Server, env: Environment) -> None:
    """Who asked for it gets it; the next one gets another."""

    def factory() -> Connection:
        held(env).close()
        return server.connect()

    database = lambdakit.singleton(factory)
    assert [database().number, database().number] == [1, 2]


def test_what_is_closed_while_it_is_checked(server: Server, env: Environment) -> None:
    """It is not closed twice."""
    database = lambdakit.singleton(server.connect, check=lambda _: [env.close(), 1 / 0])
    invoke(database)
    assert invoke(database).number == 2
    assert server.closed == [1]


def test_idleness_alone_closes_nothing(server: Server, env: Environment, clock: ManualClock) -> None:
    """An invocation that does not use it does not wait for its closing."""
    database = lambdakit.singleton(server.connect)
    invoke(database)
    clock.suspend(1000)
    invoke(lambda: None)
    assert server.closed == []


# --- coroutines


class AsyncConnection:
    """Closed by a coroutine, in its loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.alive = True
        self.closed = 0

    async def ping(self) -> bool:
        assert asyncio.get_running_loop() is self.loop
        await asyncio.sleep(0)
        return self.alive

    async def aclose(self) -> None:
        assert asyncio.get_running_loop() is self.loop
        await asyncio.sleep(0)
        self.closed += 1

    def close(self) -> None:
        raise AssertionError("aclose is what it has for this")


async def connect_async() -> AsyncConnection:
    await asyncio.sleep(0)
    return AsyncConnection()


async def _ping(connection: AsyncConnection) -> bool:
    return await connection.ping()


@pytest.mark.parametrize("check", [_ping, lambda c: c.ping(), lambda c: c.alive])
def test_a_check_may_be_awaited(check: Any, env: Environment) -> None:
    """Of a coroutine factory; and what fails is closed by its own coroutine."""
    database = lambdakit.singleton(connect_async, check=check)

    async def twice() -> AsyncConnection:
        first = await database()
        assert await database() is first
        return first

    async def main() -> None:
        first = await invoke(twice)
        assert await invoke(twice) is first
        first.alive = False
        assert await database() is first
        assert await invoke(twice) is not first
        assert first.closed == 1

    asyncio.run(main())


def test_a_check_that_hangs_has_failed(env: Environment) -> None:
    """After half of the remaining time, so that the other half is left for a new one."""

    async def hang(_: object) -> None:
        await asyncio.sleep(PATIENCE_S)

    database = lambdakit.singleton(connect_async, check=hang)

    async def main() -> bool:
        first = await invoke(database)
        return await asyncio.wait_for(invoke(database, remaining_s=0.45), PATIENCE_S / 2) is not first

    assert asyncio.run(main())


def test_a_close_that_hangs_is_left(env: Environment) -> None:
    """After a second: the other side may be gone."""

    async def hang(_: object) -> None:
        await asyncio.sleep(PATIENCE_S)

    database = lambdakit.singleton(connect_async, max_age=0, close=hang)

    async def main() -> bool:
        first = await invoke(database)
        return await asyncio.wait_for(invoke(database), PATIENCE_S / 2) is not first

    assert asyncio.run(main())


def test_each_loop_has_its_own(env: Environment) -> None:
    """A connection of another loop cannot be used; that of a loop which is closed is let go."""
    database = lambdakit.singleton(connect_async)

    async def twice() -> AsyncConnection:
        first = await database()
        assert await database() is first
        return first

    first, second = asyncio.run(twice()), asyncio.run(twice())
    assert first is not second
    assert (first.closed, second.closed, held(env).instances()) == (1, 1, [])


def test_a_loop_that_ends_closes_what_was_built_in_it(env: Environment) -> None:
    """What was built last comes first, while something can still be awaited; what fails there stops nothing."""
    order: list[str] = []

    def database(name: str) -> Any:
        async def close(_: object) -> None:
            await asyncio.sleep(0)
            order.append(name)
            raise OSError

        @lambdakit.singleton(close=close)
        async def factory() -> object:
            return object()

        return factory

    one, two = database("one"), database("two")

    async def main() -> None:
        await one()
        await two()

    asyncio.run(main())
    assert order == ["two", "one"]
    assert held(env).instances() == []


def test_a_loop_that_is_closed_at_once_lets_go(env: Environment) -> None:
    """Nothing can be awaited any more; the next one that builds something finds it, or the end of the environment."""
    database = lambdakit.singleton(connect_async)
    loops = [asyncio.new_event_loop() for _ in range(3)]
    for loop in loops:
        first = loop.run_until_complete(database())
        loop.close()
    assert first.closed == 0
    assert len(held(env).instances()) == 1
    env.close()
    assert held(env).instances() == []


def test_a_kept_loop_that_cannot_run_lets_go(env: Environment) -> None:
    """The environment is closed within another loop, and so is the kept one, with nothing awaited."""
    database = lambdakit.singleton(connect_async)
    made: list[AsyncConnection] = []

    @lambdakit.handler
    async def handler(event: object, context: object) -> None:
        made.append(await database())

    async def close() -> None:
        env.close()

    handler({}, FakeContext())
    asyncio.run(close())
    assert made[0].closed == 0
    assert held(env).instances() == []


def test_a_loop_outlives_its_environment() -> None:
    """Then there is nothing to close at its end."""
    database = lambdakit.singleton(connect_async)

    async def main() -> object:
        with lambdakit.use_environment(Environment()):
            await database()
        gc.collect()
        return asyncio.get_running_loop()

    with asyncio.Runner() as runner:
        runner.run(main())


def test_no_thread_runs_a_loop_of_another(env: Environment) -> None:
    """Its owner may run it at any moment; a loop whose thread is over is anybody's."""
    database = lambdakit.singleton(connect_async)
    loop, built, over = asyncio.new_event_loop(), threading.Event(), threading.Event()
    made: list[AsyncConnection] = []

    def own() -> None:
        made.append(loop.run_until_complete(database()))
        built.set()
        assert over.wait(PATIENCE_S)
        made.append(loop.run_until_complete(database()))

    thread = threading.Thread(target=own)
    thread.start()
    assert built.wait(PATIENCE_S)
    env.close()
    assert made[0].closed == 0
    over.set()
    thread.join(PATIENCE_S)
    env.close()
    assert made[1].closed == 1
    loop.close()


def test_loops_at_the_same_time(env: Environment) -> None:
    """Two threads with a loop each do not take each other's away."""
    database = lambdakit.singleton(connect_async)
    barrier = threading.Barrier(2)

    async def both() -> bool:
        first = await database()
        await asyncio.to_thread(barrier.wait, PATIENCE_S)
        same = await database() is first
        await asyncio.to_thread(barrier.wait, PATIENCE_S)
        return same

    assert together(lambda: asyncio.run(both()), 2) == [True, True]


def test_closing_in_a_loop_that_stands(env: Environment) -> None:
    """As between two invocations."""
    database = lambdakit.singleton(connect_async)
    with asyncio.Runner() as runner:
        first = runner.run(database())
        env.close()
        assert first.closed == 1
        assert runner.run(database()) is not first
        env.close()


def test_closing_in_a_loop_that_runs(env: Environment) -> None:
    """It is done as soon as the loop comes to it."""
    database = lambdakit.singleton(connect_async)

    async def main() -> AsyncConnection:
        first = await database()
        env.close()
        for _ in range(10):
            await asyncio.sleep(0)
        return first

    assert asyncio.run(main()).closed == 1


def test_closing_in_a_loop_that_is_closed(env: Environment) -> None:
    """Nothing can be done, nothing is raised, and nobody hears of a coroutine that was not awaited."""
    database = lambdakit.singleton(connect_async)
    loop = asyncio.new_event_loop()
    first = loop.run_until_complete(database())
    loop.close()
    env.close()
    gc.collect()
    assert first.closed == 0
    assert len(held(env).instances()) == 0


def test_an_async_instance_may_have_a_plain_close(env: Environment, server: Server) -> None:
    """What there is is called."""
    database = lambdakit.singleton(server.connect_async)
    with asyncio.Runner() as runner:
        runner.run(database())
        env.close()
    assert server.closed == [1]


def test_an_async_instance_depends_on_values_too(env: Environment, backend: MemoryBackend) -> None:
    """At the next call, within the invocation."""

    @lambdakit.singleton(depends_on=lambdakit.secret("db"))
    async def database() -> str:
        return str(lambdakit.get_secret("db"))

    async def work() -> list[str]:
        before = await database()
        backend.secrets["db"] = "new"
        lambdakit.get_secret("db", force_fetch=True)
        return [before, await database()]

    assert invoke(work) == ["old", "new"]


# --- pings


PING = {"warmer": True}


def pinged(handler: Any = None, *, remaining_s: float = 100.0) -> None:
    """A ping is answered by a handler, which is not called."""
    handler = handler or lambdakit.handler(lambda event, context: pytest.fail("a ping reached the handler"))
    assert handler(PING, FakeContext(remaining_s=remaining_s))["ping"] == "lambda-warmer"


def test_a_ping_does_what_the_first_use_would_do(
    server: Server, clock: ManualClock, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """It builds anew what is dead, or was made of another password; what would be kept goes on being idle.

    What fails is logged by name and type, and the others are looked at all the same.
    """
    refused: list[bool] = []

    @lambdakit.singleton
    def refusing() -> None:
        if refused:
            raise ConnectionError("planted")

    kept = lambdakit.singleton(server.connect)
    rotated = lambdakit.singleton(server.from_secret, depends_on=lambdakit.secret("db"), check=lambda _: True)
    for one in (refusing, kept, rotated):
        one()
    clock.suspend(59.9)
    pinged()
    assert server.closed == []
    refused.append(True)
    backend.secrets["db"] = "new"
    lambdakit.get_secret("db", force_fetch=True)
    clock.suspend(10.1)
    pinged()
    assert [len(server.connections), server.closed] == [4, [1, 2]]
    assert (kept().number, rotated().password) == (3, "new")
    assert [line.rpartition(".")[2] for line in caplog.messages] == [
        "refusing could not be built anew (ConnectionError)"
    ]


def test_a_ping_without_time_looks_at_nothing(server: Server, clock: ManualClock) -> None:
    """The next user does."""
    database = lambdakit.singleton(server.connect)
    database()
    clock.suspend(100)
    pinged(remaining_s=0.25)
    assert len(server.connections) == 1


def test_a_ping_builds_for_the_loop_of_the_handler(env: Environment, clock: ManualClock) -> None:
    """Where that is at rest: in one that runs, and in one that is closed, nothing can be done."""
    built: list[AsyncConnection] = []

    @lambdakit.singleton
    async def database() -> AsyncConnection:
        built.append(await connect_async())
        return built[-1]

    @lambdakit.handler
    async def handler(event: Any, context: Any) -> Any:
        return await database()

    async def within() -> None:
        await database()
        clock.suspend(100)
        await handler(PING, FakeContext())

    handler({}, FakeContext())
    clock.suspend(100)
    pinged(handler)
    assert [one.loop for one in built] == [built[0].loop] * 2
    asyncio.run(within())
    assert len(built) == 3
    clock.suspend(100)
    pinged(handler)  # the loop of the third is closed
    assert len(built) == 4
    assert handler({}, FakeContext()) is built[3]


# --- forks


FORK = """
import gc, os, sys
import lambdakit

PARENT = os.getpid()

def say(what, os=os, PARENT=PARENT):  # as defaults: the end of the interpreter empties modules
    os.write(2, f"{'parent' if os.getpid() == PARENT else 'child'} {what}\\n".encode())

class Connection:
    def __init__(self):
        self.mine = "parent's" if os.getpid() == PARENT else "child's"
    def close(self):
        say(f"closes the {self.mine}")
    def __del__(self, say=say):
        say(f"destroys the {self.mine}")

@lambdakit.singleton
def database():
    return Connection()

before = id(database())
child = os.fork()
if child == 0:
    gc.collect()
    assert database().mine == "child's" and id(database()) != before
    lambdakit.environment().close()
    gc.collect()
    say("ends")
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
assert id(database()) == before
lambdakit.environment().close()
say("ends")
"""


def test_a_child_leaves_its_parents_alone() -> None:
    """Neither closed nor destroyed, not even at the end of the interpreter: destructors may say goodbye to a server."""
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.splitlines() == [
        "child closes the child's",
        "child destroys the child's",
        "child ends",
        "parent closes the parent's",
        "parent destroys the parent's",
        "parent ends",
    ]


def test_what_is_abandoned_is_never_destroyed(env: Environment, server: Server) -> None:
    """It is as if it had never been, and the garbage collector does not find it."""
    database = lambdakit.singleton(lambda: {server.connect().number})
    there = weakref.ref(database())
    held(env).after_fork_in_child()
    try:
        gc.collect()
        assert there() is not None
        assert len(held(env).instances()) == 0
        assert database() == {2}
    finally:
        gc.unfreeze()
    gc.collect()
    assert there() is None


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_takes_no_lock_of_its_parents(env: Environment, server: Server) -> None:
    """Another thread may hold it at the fork, in the middle of a build."""
    begun, release, parent = threading.Event(), threading.Event(), os.getpid()

    @lambdakit.singleton
    def slow() -> str:
        begun.set()
        if os.getpid() == parent:  # the child has a copy of the event, and of its lock: whoever holds that is not there
            release.wait(PATIENCE_S)
        return "built"

    with ThreadPoolExecutor(1) as pool:
        builder = pool.submit(slow)
        assert begun.wait(PATIENCE_S)
        lock = held(env)._lock
        with lock:
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    code = 0 if slow() == "built" else 2
                finally:
                    os._exit(code)
        release.set()
        watchdog = threading.Timer(PATIENCE_S, os.kill, (child, 9))
        watchdog.start()
        status = os.waitpid(child, 0)[1]
        watchdog.cancel()
        assert builder.result(PATIENCE_S) == "built"
    assert os.waitstatus_to_exitcode(status) == 0


# --- mistakes


async def _coroutine_function(_: object = None) -> None: ...


class AClass:
    pass


def _yields() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("factory", "options", "says"),
    [
        (AClass, {}, "not the class AClass"),
        ("database", {}, "not str"),
        (_yields, {}, "yields"),
        (lambda: 1, {"check": "select 1"}, "check='select 1'"),
        (lambda: 1, {"close": 3}, "close=3"),
        (lambda: 1, {"check": _coroutine_function}, "check: a coroutine function"),
        (lambda: 1, {"close": functools.partial(_coroutine_function)}, "close: a coroutine function"),
        (lambda: 1, {"check": bool}, "not the class bool"),
        (lambda: 1, {"check_after": -1, "check": lambda _: None}, "check_after=-1"),
        (lambda: 1, {"check_after": 5}, "give check="),
        (lambda: 1, {"max_age": "1h"}, "max_age='1h'"),
        (lambda: 1, {"depends_on": "prod/db"}, "depends_on='prod/db'"),
        (lambda: 1, {"depends_on": [lambdakit.secret("a"), "b"]}, "depends_on='b'"),
        (lambda: 1, {"depends_on": lambdakit.parameters("/a")}, "depends_on=<path '/a'>"),
    ],
)
def test_a_wrong_option_is_refused_where_it_stands(factory: Any, options: dict[str, Any], says: str) -> None:
    """At the decoration, by name."""
    with pytest.raises(ConfigurationError, match=says):
        lambdakit.singleton(factory, **options)


def test_no_dependency_may_be_said_in_any_way() -> None:
    """None, and an empty list."""
    assert lambdakit.singleton(lambda: 1, depends_on=[])() == 1
    assert lambdakit.singleton(lambda: 1, depends_on=None)() == 1  # type: ignore[call-overload]


def test_a_coroutine_is_no_instance() -> None:
    """A function that returns one, or a check that does, is not what it was meant to be; Python warns of nothing."""
    with pytest.raises(ConfigurationError, match="async def"):
        lambdakit.singleton(lambda: _coroutine_function(1))()
    database = lambdakit.singleton(lambda: 1, check=lambda _: _coroutine_function())
    invoke(database)
    with pytest.raises(ConfigurationError, match="async def"):
        invoke(database)
    gc.collect()


def test_a_close_that_nobody_awaits(env: Environment) -> None:
    """An asyncio client made by a plain function: it cannot be closed here, and Python warns of nothing."""

    class Client:
        async def close(self) -> None: ...

    def connect() -> Client:
        return Client()

    lambdakit.singleton(connect)()
    env.close()
    gc.collect()


def test_the_repr_names_factories_only(env: Environment) -> None:
    """What they return may say anything."""
    singletons = held(env)
    assert repr(singletons) == "<Singletons none>"

    @lambdakit.singleton
    def database() -> str:
        return "postgres://user:password@host"

    database()
    assert repr(singletons).endswith("database>")
    assert "password" not in repr(singletons)


# What is alive, and of no use any more.


class ReadOnlyError(Exception):
    """Of the driver: the connection is to a replica by now."""


class OtherError(Exception):
    """Of the driver too, from another package."""


OtherError.__module__ = "elsewhere.errors"


def raising(error: BaseException) -> Callable[[], Any]:
    """A handler's work that fails after it has used what it needs."""

    def work() -> None:
        raise error

    return work


def fail(database: Callable[[], Any], error: BaseException) -> int:
    """The number of the connection that an invocation used before it failed."""
    used: list[int] = []
    with pytest.raises(type(error)):
        invoke(lambda: [used.append(database().number), raising(error)()])
    return used[0]


def test_it_can_be_said_to_be_of_no_use(env: Environment, server: Server) -> None:
    """The next call builds anew, in the same invocation, after the old one was closed; nothing is built before."""
    database = lambdakit.singleton(server.connect, check=Connection.ping)

    def work() -> list[int]:
        numbers = [database().number]
        database.invalidate()
        assert (server.closed, len(server.connections)) == ([], 1)
        return [*numbers, database().number, database().number]

    assert invoke(work) == [1, 2, 2]
    assert server.closed == [1]
    assert invoke(lambda: database().number) == 2


def test_another_instance_than_the_one_that_failed_stays(env: Environment, server: Server) -> None:
    """A thread that comes later with the old one does not have the new one closed."""
    database = lambdakit.singleton(server.connect)

    def work() -> int:
        old = database()
        database.invalidate(old)
        new: int = database().number
        database.invalidate(old)
        assert database().number == new
        database.invalidate(database())
        number: int = database().number
        return number

    assert invoke(work) == 3
    lambdakit.singleton(server.connect).invalidate()  # of which there is none


def test_each_loop_has_its_instance_built_anew(env: Environment, server: Server) -> None:
    """`invalidate` of a coroutine factory waits for nothing, and closes nothing itself."""
    database = lambdakit.singleton(server.connect_async)

    async def work() -> list[int]:
        numbers = [(await database()).number]
        database.invalidate()
        return [*numbers, (await database()).number, (await database()).number]

    assert invoke(work) == [1, 2, 2]
    assert server.closed == [1]


@pytest.mark.parametrize("is_async", [False, True])
def test_who_handles_such_an_exception_gets_another_one(is_async: bool, env: Environment, server: Server) -> None:
    """Once for each exception, also for one that was raised from it; not for others, and not outside of the block."""

    def numbers_of(get: Callable[[], Any], read: Callable[[Any], Any]) -> Iterator[Any]:
        yield read(get())
        for error in (ReadOnlyError(), KeyError("wrapped")):
            error.__cause__ = ReadOnlyError() if isinstance(error, KeyError) else None
            try:
                raising(error)()
            except (ReadOnlyError, KeyError):
                yield read(get())
                yield read(get())
            yield read(get())
        try:
            raising(ValueError())()
        except ValueError:
            yield read(get())

    expected = [1, 2, 2, 2, 3, 3, 3, 3]
    if is_async:
        database: Any = lambdakit.singleton(server.connect_async, broken=ReadOnlyError)

        async def work() -> list[int]:
            numbers = [(await database()).number]
            for error in (ReadOnlyError(), KeyError("wrapped")):
                error.__cause__ = ReadOnlyError() if isinstance(error, KeyError) else None
                try:
                    raising(error)()
                except (ReadOnlyError, KeyError):
                    numbers += [(await database()).number, (await database()).number]
                numbers.append((await database()).number)
            try:
                raising(ValueError())()
            except ValueError:
                numbers.append((await database()).number)
            return numbers

        assert invoke(work) == expected
    else:
        database = lambdakit.singleton(server.connect, broken=(ReadOnlyError, OSError))
        assert invoke(lambda: list(numbers_of(database, lambda one: one.number))) == expected
    assert server.closed == [1, 2]


def test_one_that_leaves_the_handler_has_it_built_anew(env: Environment, server: Server, clock: ManualClock) -> None:
    """Though the check passes, and however old it is; what it was raised from counts; others do not."""
    database = lambdakit.singleton(server.connect, check=Connection.ping, broken=ReadOnlyError)
    assert fail(database, ValueError()) == 1
    assert fail(database, ReadOnlyError()) == 1
    wrapped = RuntimeError()
    wrapped.__cause__ = ReadOnlyError()
    assert fail(database, wrapped) == 2
    assert invoke(lambda: database().number) == 3
    assert server.closed == [1, 2]
    circle, hidden = RuntimeError(), RuntimeError()
    circle.__cause__ = circle
    hidden.__context__, hidden.__suppress_context__ = ReadOnlyError(), True  # `from None`: it says nothing of it
    assert fail(database, circle) == fail(database, hidden) == 3
    assert invoke(lambda: database().number) == 3
    hidden.__suppress_context__ = False
    assert fail(database, hidden) == 3
    assert invoke(lambda: database().number) == 4


def test_without_a_word_it_is_the_packages_own_exceptions(env: Environment, server: Server, clock: ManualClock) -> None:
    """Once it is a minute old: of those that say nothing about the connection there may be many."""
    database = lambdakit.singleton(server.connect, check=Connection.ping)
    assert fail(database, ReadOnlyError()) == 1
    clock.suspend(59.9)
    assert fail(database, ReadOnlyError()) == 1
    clock.suspend(0.1)
    assert fail(database, OtherError()) == 1
    assert fail(database, ReadOnlyError()) == 1
    assert [fail(database, ReadOnlyError()) for _ in range(3)] == [2, 2, 2]
    clock.tick(60)
    with pytest.raises(ReadOnlyError):
        invoke(raising(ReadOnlyError()))
    assert invoke(lambda: database().number) == 3
    value: Any = lambdakit.singleton(lambda: {"of": "builtins"}, check=lambda value: True)
    kept = invoke(value)
    clock.tick(60)
    with pytest.raises(ZeroDivisionError):
        invoke(raising(ZeroDivisionError()))
    assert invoke(value) is kept


def test_none_can_be_chosen(env: Environment, server: Server, clock: ManualClock) -> None:
    """`broken=()`."""
    database = lambdakit.singleton(server.connect, check=Connection.ping, broken=())
    fail(database, ReadOnlyError())
    clock.tick(3600)
    assert [fail(database, ReadOnlyError()) for _ in range(2)] == [1, 1]


def test_a_coroutine_handler_tells_too(env: Environment, server: Server) -> None:
    """As a handler that is a function."""
    database = lambdakit.singleton(server.connect_async, check=Connection.ping, broken=ReadOnlyError)

    async def work(error: BaseException | None) -> int:
        number: int = (await database()).number
        if error is not None:
            raise error
        return number

    with pytest.raises(ReadOnlyError):
        invoke(lambda: work(ReadOnlyError()))
    assert invoke(lambda: work(None)) == 2


def test_a_ping_builds_anew_what_is_of_no_use(env: Environment, server: Server) -> None:
    """So that no invocation waits for it."""
    database = lambdakit.singleton(server.connect, check=Connection.ping)
    invoke(database)
    database.invalidate()
    lambdakit.handler(lambda event, context: None)({"warmer": True}, FakeContext(remaining_s=100.0))
    assert (len(server.connections), server.closed) == (2, [1])


def test_what_is_said_while_it_is_checked_counts(env: Environment, server: Server) -> None:
    """By another thread: the one whose check has passed by then gets a new one."""
    database: Any = None

    def check(connection: Connection) -> bool:
        database.invalidate()
        return True

    database = lambdakit.singleton(server.connect, check=check)
    assert invoke(lambda: database().number) == 1
    assert invoke(lambda: database().number) == 2


@pytest.mark.parametrize("broken", ["ReadOnlyError", [ReadOnlyError], (ReadOnlyError, None), ReadOnlyError()])
def test_what_breaks_it_is_a_class_of_exceptions(broken: Any) -> None:
    """Or a tuple of them."""
    with pytest.raises(ConfigurationError, match=r"broken=.*: give a class of exceptions, a tuple of them, or None"):
        lambdakit.singleton(broken=broken)(lambda: None)
