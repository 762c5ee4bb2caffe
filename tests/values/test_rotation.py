"""A rotated password is healed within one call, and nothing else is."""

import asyncio
import functools
import inspect
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

import lambdakit
from extension import Extension
from lambdakit import Environment
from lambdakit.exceptions import ConfigurationError, NetworkError
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

PATIENCE_S = 10.0  # how long a test waits for what must happen; it never passes by waiting


class Refused(Exception):  # noqa: N818 - as a driver may call it
    """What a database raises for a password that is no longer valid."""


class Database:
    """Knows one password; counts who tried to connect."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.tried: list[str] = []

    def connect(self, password: str) -> str:
        self.tried.append(password)
        if password != self.password:
            raise Refused
        return "connected"


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


@pytest.fixture
def database(env: Environment, backend: MemoryBackend) -> Database:
    """Rotated since the password was read: memory has the old one."""
    lambdakit.get_secret("db")
    backend.secrets["db"] = backend.parameters["/db"] = "new"
    backend.calls.clear()
    return Database("new")


def work(database: Database) -> str:
    return database.connect(lambdakit.get_secret("db"))


def retrying(*values: Any, errors: Any = Refused) -> Callable[[Any], Any]:
    return lambdakit.retry_on_rotation(*(values or ("db",)), errors=errors)


def by_attempts(database: Database) -> str:
    for attempt in lambdakit.rotation_attempts("db", errors=Refused):
        with attempt:
            connection = work(database)
    return connection


async def awaited(database: Database) -> str:
    await asyncio.sleep(0)
    return work(database)


class Repository:
    """Methods of each kind, and a callable object."""

    @retrying()
    def method(self, database: Database) -> str:
        return work(database)

    @retrying()
    async def async_method(self, database: Database) -> str:
        return await awaited(database)

    @classmethod
    @retrying()
    def of_class(cls, database: Database) -> str:
        return work(database)

    @staticmethod
    @retrying()
    def static(database: Database) -> str:
        return work(database)

    async def __call__(self, database: Database) -> str:
        return await awaited(database)


def running(coroutine_function: Any) -> Callable[[Database], Any]:
    return lambda database: asyncio.run(coroutine_function(database))


FORMS: dict[str, Callable[[Database], Any]] = {
    "function": retrying()(work),
    "attempts": by_attempts,
    "coroutine function": running(retrying()(awaited)),
    "method": Repository().method,
    "coroutine method": running(Repository().async_method),
    "class method": Repository.of_class,
    "static method": Repository.static,
    "bound method": retrying()(Repository().static),
    "bound coroutine method": running(retrying()(Repository().async_method)),
    "partial": retrying()(functools.partial(work)),
    "partial of a coroutine function": running(retrying()(functools.partial(awaited))),
    "callable object": running(retrying()(Repository())),
    "decorated class method": retrying()(Repository.of_class),
}


@pytest.mark.parametrize("form", FORMS)
def test_it_is_healed_within_one_call(
    form: str, database: Database, backend: MemoryBackend, clock: ManualClock
) -> None:
    """One fetch, one more try, what that returns, no time passed."""
    before = clock.now()
    assert FORMS[form](database) == "connected"
    assert database.tried == ["old", "new"]
    assert backend.calls == [("secret", "db")]
    assert clock.now() == before


@pytest.mark.parametrize("form", FORMS)
def test_without_a_rotation_the_error_is_raised(form: str, env: Environment, backend: MemoryBackend) -> None:
    """One try, one look at the service."""
    lambdakit.get_secret("db")
    backend.calls.clear()
    database = Database("never")
    with pytest.raises(Refused):
        FORMS[form](database)
    assert database.tried == ["old"]
    assert backend.calls == [("secret", "db")]


@pytest.mark.parametrize("rotated", [False, True])
def test_the_error_is_the_one_that_was_raised(rotated: bool, database: Database, backend: MemoryBackend) -> None:
    """The object, where it was raised, and no error of ours behind it; after a second try, that of the second."""
    raised: list[Refused] = []
    if not rotated:
        backend.secrets["db"] = "old"

    @retrying()
    def fail() -> None:
        raised.append(Refused())
        raise raised[-1]

    with pytest.raises(Refused) as caught:
        fail()
    assert len(raised) == 1 + rotated
    assert caught.value is raised[-1]
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-1] == "fail"
    assert frames.count("fail") == 1


def test_there_is_no_third_try(database: Database, backend: MemoryBackend) -> None:
    """Also if the value is rotated during each of them: the error of the second is raised."""
    tries: list[str] = []

    @retrying()
    def rotating() -> None:
        tries.append("tried")
        backend.secrets["db"] = f"rotated {len(tries)} times"
        lambdakit.get_secret("db", ttl=0)
        raise Refused

    with pytest.raises(Refused):
        rotating()
    assert len(tries) == 2


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_other_errors_pass_at_once(error: BaseException, database: Database, backend: MemoryBackend) -> None:
    """Without a look at the service, also those that are no `Exception`."""

    @retrying(errors=(Refused, KeyError))
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert caught.value is error
    assert backend.calls == []


@pytest.mark.parametrize("errors", [Refused, (Refused,), (KeyError, Refused), Exception])
def test_errors_are_a_class_or_several_with_all_derived(errors: Any, database: Database) -> None:
    """As in an `except`."""
    assert retrying(errors=errors)(work)(database) == "connected"


def test_without_an_error_nothing_is_fetched(env: Environment, backend: MemoryBackend) -> None:
    """The first try is the only one."""
    assert retrying()(work)(Database("old")) == "connected"
    assert backend.calls == [("secret", "db")]  # of the work itself


def test_a_block_may_leave_by_any_way(database: Database, backend: MemoryBackend) -> None:
    """Return, break and continue end the attempts; a block without a `with` is tried once."""

    def returns() -> Any:
        for attempt in lambdakit.rotation_attempts("db", errors=Refused):
            with attempt:
                return work(database)
        return None

    assert returns() == "connected"
    tries = 0
    for attempt in lambdakit.rotation_attempts("db", errors=Refused):
        with attempt:
            tries += 1
            break
    for attempt in lambdakit.rotation_attempts("db", errors=Refused):
        with attempt:
            tries += 1
            continue
    for _ in lambdakit.rotation_attempts("db", errors=Refused):
        tries += 1
    assert tries == 3
    assert backend.calls == [("secret", "db")]


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        (["other", "db"], [("secret", "other"), ("secret", "db")]),
        ([lambdakit.parameter("/db")], [("parameter", "/db")]),
        ([lambdakit.secret("db", field="password", ttl=1)], [("secret", "db")]),
        (["other", lambdakit.parameter("/db")], [("secret", "other"), ("parameter", "/db")]),
    ],
)
def test_one_rotated_value_of_several_is_enough(
    values: list[Any], asked: list[Any], env: Environment, backend: MemoryBackend
) -> None:
    """Secrets by name, parameters and secrets as declared; each is looked at."""
    for name in ("db", "other"):
        lambdakit.get_secret(name)
    lambdakit.get_parameter("/db")
    backend.secrets["db"] = backend.parameters["/db"] = "new"
    backend.calls.clear()
    tries: list[int] = []

    @retrying(*values)
    def once() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise Refused
        return "done"

    assert once() == "done"
    assert backend.calls == asked


def test_what_the_work_fetched_itself_is_what_it_used(env: Environment, backend: MemoryBackend) -> None:
    """A value that was absent before: retried if it was rotated after the work had read it, else not."""
    steady, rotating = Database("never"), Database("new")
    with pytest.raises(Refused):
        retrying()(work)(steady)
    assert steady.tried == ["old"]
    lambdakit.clear()
    env.clock.tick(10)  # type: ignore[attr-defined]

    @retrying()
    def rotated_after_the_read() -> str:
        password = lambdakit.get_secret("db")
        backend.secrets["db"] = "new"
        return rotating.connect(password)

    assert rotated_after_the_read() == "connected"
    assert rotating.tried == ["old", "new"]


def test_what_nobody_knows_the_version_of_has_not_changed(env: Environment, backend: MemoryBackend) -> None:
    """A value in memory neither before nor after the work, or of a source without versions: no second try."""
    tries: list[str] = []

    @retrying()
    def work_without_it() -> None:
        tries.append("tried")
        raise Refused

    with pytest.raises(Refused):
        work_without_it()
    assert tries == ["tried"]

    class Versionless(MemoryBackend):
        def get_secret(self, name: str, **options: Any) -> Any:
            return super().get_secret(name, **options)[0], None

    versionless = Versionless(secrets={"db": "old"})
    with lambdakit.use_environment(Environment(backend=versionless, clock=env.clock)):
        lambdakit.get_secret("db")
        versionless.secrets["db"] = "new"
        with pytest.raises(Refused):
            work_without_it()
    assert tries == ["tried", "tried"]


@pytest.mark.parametrize("rotated", [False, True])
def test_work_that_forgets_the_value_is_told_by_the_version(
    rotated: bool, env: Environment, backend: MemoryBackend
) -> None:
    """Absence is no change: the service is asked, and the version decides."""
    lambdakit.get_secret("db")
    if rotated:
        backend.secrets["db"] = "new"
    tries: list[int] = []

    @retrying()
    def forgetful() -> None:
        tries.append(1)
        lambdakit.invalidate("db")
        raise Refused

    with pytest.raises(Refused):
        forgetful()
    assert len(tries) == 1 + rotated


def test_what_another_thread_has_refreshed_needs_no_fetch(database: Database, backend: MemoryBackend) -> None:
    """The version in memory has changed since the work began: that is enough."""

    @retrying()
    def overtaken() -> str:
        password = lambdakit.get_secret("db")
        if password == "old":
            with ThreadPoolExecutor(1) as other:
                other.submit(lambdakit.get_secret, "db", ttl=0).result()
        return database.connect(password)

    assert overtaken() == "connected"
    assert backend.calls == [("secret", "db")]  # the other thread's


def test_an_error_of_the_refresh_is_not_the_errors_place(
    database: Database, backend: MemoryBackend, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The work's error is raised, a warning names value and kind, and the next look is 10 s away all the same."""
    backend.secrets["db"] = NetworkError("planted-detail", service="s", operation="o", name="db")
    caplog.set_level(logging.WARNING, "lambdakit")
    for _ in range(3):
        with pytest.raises(Refused) as caught:
            retrying()(work)(database)
        assert caught.value.__context__ is None
    assert caplog.messages == ["secret 'db' could not be fetched anew (NetworkError)"]
    assert backend.calls == [("secret", "db")]
    backend.secrets["db"] = "new"
    clock.tick(10)
    assert retrying()(work)(database) == "connected"


@pytest.mark.parametrize(("passed", "fetches"), [(0.0, 1), (9.999, 1), (10.0, 2), (10.001, 2)])
@pytest.mark.parametrize("way", ["tick", "suspend"])
def test_a_value_is_looked_at_once_in_10_s(
    passed: float, fetches: int, way: str, env: Environment, backend: MemoryBackend, clock: ManualClock
) -> None:
    """For each value by itself, frozen time included, whatever fails."""
    lambdakit.get_secret("db")
    backend.calls.clear()
    for _ in range(5):
        with pytest.raises(Refused):
            retrying()(work)(Database("never"))
    getattr(clock, way)(passed)
    with pytest.raises(Refused):
        retrying("db", "other")(work)(Database("never"))
    assert backend.calls.count(("secret", "db")) == fetches
    assert backend.calls.count(("secret", "other")) == 1


@pytest.mark.parametrize("rotated", [False, True])
def test_32_threads_that_fail_at_once_make_one_fetch(
    rotated: bool, env: Environment, backend: MemoryBackend, clock: ManualClock
) -> None:
    """All of them try again if it was rotated, each raises its own error if not."""
    lambdakit.get_secret("db")
    backend.secrets["db"] = "new" if rotated else "old"
    backend.calls.clear()
    before = clock.now()
    database, together = Database("new"), threading.Barrier(32, timeout=PATIENCE_S)

    @retrying()
    def fail_together() -> str:
        password = lambdakit.get_secret("db")
        if password == "old":
            together.wait()
        return database.connect(password)

    def outcome(_: int) -> object:
        try:
            return fail_together()
        except Refused as error:
            return error

    with ThreadPoolExecutor(32) as pool:
        outcomes = list(pool.map(outcome, range(32)))
    assert backend.calls == [("secret", "db")]
    assert clock.now() == before
    if rotated:
        assert outcomes == ["connected"] * 32
        assert sorted(database.tried) == ["new"] * 32 + ["old"] * 32
    else:
        assert len({id(error) for error in outcomes}) == 32
        assert all(isinstance(error, Refused) for error in outcomes)
        assert database.tried == ["old"] * 32


def test_tasks_that_fail_at_once_make_one_fetch(database: Database, backend: MemoryBackend) -> None:
    """Of one loop, too."""

    @retrying()
    async def connect() -> str:
        password = lambdakit.get_secret("db")
        await asyncio.sleep(0)
        return database.connect(password)

    async def main() -> list[str]:
        return list(await asyncio.gather(*(connect() for _ in range(8))))

    assert asyncio.run(main()) == ["connected"] * 8
    assert backend.calls == [("secret", "db")]


class Gated(MemoryBackend):
    """A fetch begins, tells so, and waits to be let through; the first one is let through at once."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.begun = threading.Event()
        self.through = threading.Event()

    def get_secret(self, name: str, **options: Any) -> Any:
        if self.calls:
            self.begun.set()
            assert self.through.wait(PATIENCE_S)
        return super().get_secret(name, **options)


def test_who_has_no_time_to_wait_raises_his_own_error() -> None:
    """While another thread's look at the service is under way: the work's error, not one of waiting."""
    backend = Gated(secrets={"db": "old"})
    env = Environment(backend=backend, clock=ManualClock())
    failing = retrying()(work)
    with lambdakit.use_environment(env), ThreadPoolExecutor(1) as other:
        lambdakit.get_secret("db")
        backend.secrets["db"] = "new"
        first = other.submit(failing, Database("new"))
        assert backend.begun.wait(PATIENCE_S)
        late = Database("new")
        with pytest.raises(Refused) as caught:
            lambdakit.handler(lambda event, context: failing(late))({}, FakeContext(remaining_s=0.26))
        assert (late.tried, caught.value.__context__) == (["old"], None)
        backend.through.set()
        assert first.result(PATIENCE_S) == "connected"


def test_without_time_the_service_is_not_asked(
    database: Database, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """Within the deadline margin of the invocation: the work's error."""
    with pytest.raises(Refused):
        lambdakit.handler(lambda event, context: retrying()(work)(database))({}, FakeContext(remaining_s=0.25))
    assert (database.tried, backend.calls) == (["old"], [])
    assert caplog.messages == ["secret 'db' could not be fetched anew (DeadlineExceededError)"]


def test_a_circle_ends_with_the_works_error() -> None:
    """A backend that itself retries on a rotation of what it is asked for."""

    class Circular(MemoryBackend):
        def get_secret(self, name: str, **options: Any) -> Any:
            answer = super().get_secret(name, **options)
            if len(self.calls) > 1:
                retrying()(work)(Database("never"))
            return answer

    backend = Circular(secrets={"db": "old"})
    with lambdakit.use_environment(Environment(backend=backend, clock=ManualClock())):
        lambdakit.get_secret("db")
        with pytest.raises(Refused):
            retrying()(work)(Database("never"))
    assert backend.calls == [("secret", "db")] * 2


def test_it_is_the_environment_of_the_call(env: Environment, backend: MemoryBackend) -> None:
    """Not that of the decoration: a handler that was imported once serves every test."""
    fresh = MemoryBackend(secrets={"db": "old"})
    with lambdakit.use_environment(Environment(backend=fresh, clock=ManualClock())):
        lambdakit.get_secret("db")
        fresh.secrets["db"] = "new"
        assert Repository().method(Database("new")) == "connected"
    assert backend.calls == []


@pytest.mark.parametrize("name", ["direct", "sdk"])
def test_a_rotation_in_the_service_is_healed(name: str, aws: boto3.session.Session) -> None:
    """Of a secret and of a parameter, within one call each, whichever way they are fetched."""
    secrets, parameters = aws.client("secretsmanager"), aws.client("ssm")
    secrets.create_secret(Name="db", SecretString='{"password": "old"}')
    parameters.put_parameter(Name="/db", Value="old", Type="SecureString")
    database = Database("old")

    @retrying()
    def with_secret() -> str:
        return database.connect(lambdakit.get_secret("db", field="password"))

    @retrying(lambdakit.parameter("/db"))
    def with_parameter() -> str:
        return database.connect(lambdakit.get_parameter("/db"))

    env = Environment(backend=name)
    with lambdakit.use_environment(env):
        assert [with_secret(), with_parameter()] == ["connected"] * 2
        secrets.put_secret_value(SecretId="db", SecretString='{"password": "new"}')
        parameters.put_parameter(Name="/db", Value="new", Type="SecureString", Overwrite=True)
        database.password = "new"
        assert [with_secret(), with_parameter()] == ["connected"] * 2
        assert database.tried == ["old", "old", "old", "new", "old", "new"]
        assert [with_secret(), with_parameter()] == ["connected"] * 2
    env.close()


def test_the_refresh_goes_past_the_cache_of_the_extension(
    aws: boto3.session.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An extension that goes on answering with the old value, as AWS's does for 300 s, is not asked."""

    class Remembering(Extension):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.answers: dict[str, tuple[int, str]] = {}

        def answer(self, target: str, headers: Any) -> tuple[int, str]:
            return self.answers.setdefault(target, super().answer(target, headers))

    secrets = aws.client("secretsmanager")
    secrets.create_secret(Name="db", SecretString="old")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    database = Database("new")
    with Remembering(aws, token="token") as server:
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(server.port))
        env = Environment(backend="extension")
        with lambdakit.use_environment(env):

            @lambdakit.handler  # the extension answers in invocations only
            def handler(event: Any, context: Any) -> str:
                assert lambdakit.get_secret("db") == "old"
                secrets.put_secret_value(SecretId="db", SecretString="new")
                assert lambdakit.get_secret("db", ttl=0) == "old"
                return str(retrying()(work)(database))

            assert handler({}, FakeContext(remaining_s=PATIENCE_S)) == "connected"
            assert (database.tried, server.asked) == (["old", "new"], 2)
        env.close()


@pytest.mark.parametrize(
    ("values", "errors", "said"),
    [
        ([], Refused, "rotation: give the name of at least one secret"),
        ([5], Refused, "rotation: a value: give a non-empty string, not int"),
        ([""], Refused, "give a non-empty string"),
        ([lambdakit.parameters("/db")], Refused, "<path '/db'> is many values; give lambdakit.parameter"),
        (["db"], None, "errors=None: give an exception class, or a tuple of them"),
        (["db"], (), r"errors=\(\): give an exception class"),
        (["db"], "Refused", "errors='Refused'"),
        (["db"], [Refused], "errors="),
        (["db"], (Refused, 5), "errors="),
        (["db"], Refused(), "errors="),
        (["db"], KeyboardInterrupt, "errors="),
    ],
)
def test_wrong_arguments_are_errors_where_they_stand(values: list[Any], errors: Any, said: str) -> None:
    """At the decoration, and at the call for the attempts, before the first of them."""
    for form in (lambdakit.retry_on_rotation, lambdakit.rotation_attempts):
        with pytest.raises(ConfigurationError, match=said):
            form(*values, errors=errors)


def test_what_cannot_be_called_again_is_refused() -> None:
    """Each with what to do instead."""

    def yields() -> Iterator[int]:
        yield 1

    for fn, said in (
        (5, "retry_on_rotation: give a function, not int"),
        (Database, "not the class Database"),
        (classmethod(work), "write it below @classmethod"),
        (staticmethod(work), "write it below @staticmethod"),
        (yields, "yields yields"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            retrying()(fn)


def test_a_decorated_function_looks_like_what_it_was() -> None:
    """Name, docstring, signature, and whether it is to be awaited."""

    def read(first: int, *, second: str = "") -> str:
        """Read."""
        return second

    decorated = retrying()(read)
    assert (decorated.__name__, decorated.__doc__, decorated.__wrapped__) == ("read", "Read.", read)
    assert inspect.signature(decorated) == inspect.signature(read)
    assert not inspect.iscoroutinefunction(decorated)
    assert inspect.iscoroutinefunction(retrying()(awaited))
    assert decorated(1, second="x") == "x"
