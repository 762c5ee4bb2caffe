"""PostgreSQL: what dies between two invocations, or is rotated under a connection, is not the handler's trouble."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import sqlalchemy
from snapshots import restore, snapshot

import lambdakit
from lambdakit import Environment
from lambdakit.testing import FakeContext, ManualClock

SECRET = "prod/db"


def invoke(work: Callable[[], Any]) -> Any:
    """What `work` returns in an invocation of its own."""
    return lambdakit.handler(lambda event, context: work())({}, FakeContext(remaining_s=60))


def pid(connection: psycopg.Connection[Any]) -> int:
    """Which of the server's processes serves the connection."""
    row = connection.execute("select pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def database(postgres: Any, env: Environment) -> Callable[[], psycopg.Connection[Any]]:
    @lambdakit.singleton(check=lambda connection: connection.execute("select 1"))
    def database() -> psycopg.Connection[Any]:
        return psycopg.connect(postgres.dsn("first"), autocommit=True)

    return database


def test_invocations_share_a_connection(postgres: Any, database: Any) -> None:
    """One process of the server serves them all."""
    served = {invoke(lambda: pid(database())) for _ in range(5)}
    assert len(served) == 1
    assert postgres.serves(*served)


def test_64_threads_share_a_connection(postgres: Any, database: Any) -> None:
    """psycopg's are thread-safe."""

    def work() -> set[int]:
        with ThreadPoolExecutor(64) as pool:
            return set(pool.map(lambda _: pid(database()), range(64)))

    served = invoke(work)
    assert len(served) == 1
    assert postgres.serves(*served)


@pytest.mark.parametrize("death", ["terminate", "restart"])
def test_a_connection_that_died_between_two_invocations(death: str, postgres: Any, database: Any) -> None:
    """The next one works, over another. A connection that nobody looks after, beside it, is dead."""
    with psycopg.connect(postgres.dsn("first"), autocommit=True) as control:
        for _ in range(3):
            before = invoke(lambda: pid(database()))
            getattr(postgres, death)()
            after = invoke(lambda: pid(database()))
            assert before != after
        with pytest.raises(psycopg.OperationalError):
            control.execute("select 1")
    assert postgres.serves(after)


def test_a_connection_that_was_idle_for_a_minute(postgres: Any) -> None:
    """Without a check it is closed, and another one opened, although the environment was frozen meanwhile."""
    clock = ManualClock()
    with lambdakit.use_environment(Environment(clock=clock)) as env:
        database = lambdakit.singleton(lambda: psycopg.connect(postgres.dsn("first"), autocommit=True))
        before = invoke(lambda: pid(database()))
        clock.suspend(59)
        assert invoke(lambda: pid(database())) == before
        clock.suspend(60)
        after = invoke(lambda: pid(database()))
        assert after != before
        assert postgres.serves(after)
        env.close()


def test_a_snapshot_has_no_connection(postgres: Any, database: Any) -> None:
    """The server sees it close; after the restore there is another."""
    before = invoke(lambda: pid(database()))
    assert postgres.serves(before)
    snapshot()
    assert postgres.serves()
    restore()
    after = invoke(lambda: pid(database()))
    assert after != before
    assert postgres.serves(after)


def test_an_async_connection(postgres: Any, env: Environment) -> None:
    """The same, awaited, in a loop that is kept."""

    @lambdakit.singleton(check=lambda connection: connection.execute("select 1"))
    async def database() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(postgres.dsn("first"), autocommit=True)

    async def work() -> int:
        cursor = await (await database()).execute("select pg_backend_pid()")
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    before = invoke(work)
    assert invoke(work) == before
    postgres.terminate()
    after = invoke(work)
    assert after != before
    assert postgres.serves(after)
    env.close()
    assert postgres.serves()


# --- rotation


@pytest.fixture
def rotate(aws: Any, postgres: Any) -> Iterator[Callable[[str], None]]:
    """Changes the password in the server and in Secrets Manager. The secret is there with the first one."""
    manager = aws.client("secretsmanager")
    manager.create_secret(Name=SECRET, SecretString=json.dumps({"password": "first"}))

    def change(password: str) -> None:
        postgres.rotate(password)
        manager.put_secret_value(SecretId=SECRET, SecretString=json.dumps({"password": password}))

    yield change
    manager.close()


@pytest.mark.parametrize("cut", [False, True])
def test_a_password_that_is_rotated_under_a_connection(cut: bool, rotate: Any, postgres: Any) -> None:
    """Healed within the invocation that notices, without an error to the caller; memory has the old password."""

    @lambdakit.singleton(check=lambda connection: connection.execute("select 1"), depends_on=lambdakit.secret(SECRET))
    def database() -> psycopg.Connection[Any]:
        return psycopg.connect(postgres.dsn(lambdakit.get_secret(SECRET, field="password")), autocommit=True)

    @lambdakit.retry_on_rotation(SECRET, errors=psycopg.OperationalError)
    def work() -> int:
        return pid(database())

    before = invoke(work)
    rotate("second")
    assert lambdakit.get_secret(SECRET, field="password") == "first"
    if cut:
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(postgres.dsn("first"))
        postgres.terminate()
        after = invoke(work)
        assert lambdakit.get_secret(SECRET, field="password") == "second"
    else:
        assert invoke(work) == before  # nobody has noticed, and nothing is wrong with the connection
        after = invoke(lambda: [lambdakit.get_secret(SECRET, force_fetch=True), work()][1])
    assert after != before
    assert postgres.serves(after)
    lambdakit.environment().close()  # before the function goes: then nobody would close it


def test_a_password_that_is_rotated_under_an_engine(rotate: Any, postgres: Any) -> None:
    """SQLAlchemy connects when it is used, with the password that the engine was made with: it is made anew."""

    @lambdakit.singleton(depends_on=lambdakit.secret(SECRET), close=sqlalchemy.Engine.dispose)
    def engine() -> sqlalchemy.Engine:
        return make_engine(postgres, lambdakit.get_secret(SECRET, field="password"))

    made = []

    @lambdakit.retry_on_rotation(SECRET, errors=sqlalchemy.exc.OperationalError)
    def work() -> Any:
        made.append(id(engine()))
        with engine().connect() as connection:
            return connection.execute(sqlalchemy.text("select pg_backend_pid()")).scalar_one()

    before = invoke(work)
    rotate("second")
    postgres.terminate()
    after = invoke(work)
    assert after != before
    assert len(set(made)) == 2
    assert postgres.serves(after)
    lambdakit.environment().close()  # before the function goes: then nobody would close it


# --- SQLAlchemy


def make_engine(postgres: Any, password: str) -> sqlalchemy.Engine:
    """An engine with a pool of one connection, which it tests when it is taken out."""
    url = sqlalchemy.URL.create(
        "postgresql+psycopg", "app", password, "127.0.0.1", postgres.port, "postgres", {"application_name": "function"}
    )
    return sqlalchemy.create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True)


def ping(engine: sqlalchemy.Engine) -> None:
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))


@pytest.mark.parametrize("death", ["terminate", "restart"])
def test_an_engine_with_a_pool_of_one(death: str, postgres: Any) -> None:
    """Checked once in an invocation, and made anew if its connection died; 64 threads take turns."""
    url = make_engine(postgres, "first").url

    @lambdakit.singleton(check=ping, close=sqlalchemy.Engine.dispose)
    def engine() -> sqlalchemy.Engine:
        return sqlalchemy.create_engine(url, pool_size=1, max_overflow=0)

    def select() -> int:
        with engine().connect() as connection:
            return int(connection.execute(sqlalchemy.text("select pg_backend_pid()")).scalar_one())

    def work() -> set[int]:
        with ThreadPoolExecutor(64) as pool:
            return set(pool.map(lambda _: select(), range(64)))

    before = invoke(work)
    assert len(before) == 1
    getattr(postgres, death)()
    (after,) = invoke(work)
    assert before != {after}
    assert postgres.serves(after)
    lambdakit.environment().close()  # before the function goes: then nobody would close it


# --- forks

FORK = """
import gc, os, sys
import lambdakit, psycopg

class Connection:
    "As of a driver whose destructor ends the session, in whatever process it runs."
    def __init__(self):
        self.connection = psycopg.connect(sys.argv[1], autocommit=True)
    def __del__(self):
        self.connection.pgconn.finish()
    def close(self):
        self.connection.close()
    def pid(self):
        return self.connection.execute("select pg_backend_pid()").fetchone()[0]

def connect():
    return Connection()

if sys.argv[2] == "singleton":
    database = lambdakit.singleton(connect)
else:
    held = [connect()]
    database = lambda: held[0]
before = database().pid()
child = os.fork()
if child == 0:
    if sys.argv[2] == "singleton":
        gc.collect()
        assert database().pid() != before
        lambdakit.environment().close()
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
print(database().pid() == before)
"""


def forked(postgres: Any, how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", FORK, postgres.dsn("first"), how],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_forked_child_leaves_the_connection_alone(postgres: Any) -> None:
    """It has one of its own, and its end says nothing on its parent's; without a singleton it ends that."""
    assert forked(postgres, "singleton").stdout == "True\n"
    assert "OperationalError" in forked(postgres, "plain").stderr


def test_a_primary_that_became_read_only(postgres: Any, env: Environment) -> None:
    """The check asks whether it takes writes; within an invocation the error brings another connection."""

    def takes_writes(connection: Any) -> bool:
        return bool(connection.execute("show transaction_read_only").fetchone()[0] == "off")

    def set_read_only(how: str) -> None:
        postgres.run(f"alter system set default_transaction_read_only = {how}")
        postgres.run("select pg_reload_conf()")

    @lambdakit.singleton(check=takes_writes, broken=psycopg.errors.ReadOnlySqlTransaction)
    def database() -> Any:
        return psycopg.connect(postgres.dsn("first"), autocommit=True)

    def write() -> None:
        database().execute("create temporary table t (n int)")
        database().execute("drop table t")

    def work() -> tuple[int, int]:
        connection = database()
        before = pid(connection)
        set_read_only("on")
        while takes_writes(connection):  # it reads its settings before its next command
            pass
        try:
            connection.execute("create table t (n int)")
        except psycopg.errors.ReadOnlySqlTransaction:
            set_read_only("off")  # the name leads to another server by now
            return before, pid(database())
        raise AssertionError

    try:
        invoke(write)
        before, after = invoke(work)
        assert before != after
        assert invoke(lambda: pid(database())) == after
        set_read_only("on")
        while takes_writes(invoke(database)) and pid(invoke(database)) == after:
            pass
        assert invoke(lambda: pid(database())) != after
    finally:
        set_read_only("off")
        env.close()  # before the function goes: then nobody would close it
