"""Redis: what dies between two invocations, or is rotated under a client, is not the handler's trouble."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

import lambdakit
from lambdakit import Environment
from lambdakit.testing import FakeContext

SECRET = "prod/redis"
NO_RETRY: dict[str, Any] = {"retry": Retry(NoBackoff(), 0)}  # its own would hide what happens


def invoke(work: Callable[[], Any]) -> Any:
    """What `work` returns in an invocation of its own."""
    return lambdakit.handler(lambda event, context: work())({}, FakeContext(remaining_s=60))


def connect(server: Any, **options: Any) -> redis.Redis:
    """A client with one connection, which it has to itself, and without retries of its own."""
    return redis.Redis(
        host="127.0.0.1", port=server.port, single_connection_client=True, decode_responses=True, **NO_RETRY, **options
    )


@pytest.mark.parametrize("death", ["kill", "restart"])
def test_a_connection_that_died_between_two_invocations(death: str, redis_server: Any) -> None:
    """The next one works, with another client. One that nobody looks after, beside it, fails."""
    cache = lambdakit.singleton(lambda: connect(redis_server), check=lambda client: client.ping())
    with connect(redis_server) as control:
        for _ in range(3):
            before = invoke(lambda: [cache(), cache().set("greeting", "hello")][0])
            control.ping()
            getattr(redis_server, death)()
            after, greeting = invoke(lambda: (cache(), cache().get("greeting")))
            assert after is not before
            assert greeting == ("hello" if death == "kill" else None)
            with pytest.raises(redis.ConnectionError):
                control.ping()


def test_a_client_with_a_pool_and_retries(redis_server: Any) -> None:
    """As the client comes, with time-outs: it works after a restart of the server, too."""

    @lambdakit.singleton(check=lambda client: client.ping())
    def cache() -> redis.Redis:
        return redis.Redis(host="127.0.0.1", port=redis_server.port, socket_connect_timeout=2, socket_timeout=2)

    for _ in range(3):
        assert invoke(lambda: cache().incr("counter")) == 1
        redis_server.restart()


def test_64_threads_share_a_client(redis_server: Any) -> None:
    """redis-py's are thread-safe."""
    cache = lambdakit.singleton(lambda: connect(redis_server), check=lambda client: client.ping())

    def work() -> list[int]:
        with ThreadPoolExecutor(64) as pool:
            return sorted(pool.map(lambda _: cache().incr("counter"), range(64)))

    assert invoke(work) == [*range(1, 65)]
    assert redis_server.serves(1)


def test_an_async_client(redis_server: Any, env: Environment) -> None:
    """The same, awaited, in a loop that is kept; `aclose` ends its connection."""

    @lambdakit.singleton(check=lambda client: client.ping())
    async def cache() -> redis.asyncio.Redis:
        return redis.asyncio.Redis(
            host="127.0.0.1", port=redis_server.port, retry=redis.asyncio.retry.Retry(NoBackoff(), 0)
        )

    async def work() -> tuple[int, bool]:
        client = await cache()
        return id(client), await client.ping()

    before = invoke(work)
    assert invoke(work) == before
    redis_server.restart()
    after = invoke(work)
    assert after[1]
    assert after != before
    env.close()
    assert redis_server.serves(0)


@pytest.mark.parametrize("cut", [False, True])
def test_a_password_that_is_rotated_under_a_client(cut: bool, aws: Any, redis_server: Any) -> None:
    """Healed within the invocation that notices, without an error to the caller."""
    manager = aws.client("secretsmanager")
    manager.create_secret(Name=SECRET, SecretString="first")
    redis_server.run("CONFIG", "SET", "requirepass", "first")

    @lambdakit.singleton(check=lambda client: client.ping(), depends_on=lambdakit.secret(SECRET))
    def cache() -> redis.Redis:
        return connect(redis_server, password=lambdakit.get_secret(SECRET))

    @lambdakit.retry_on_rotation(SECRET, errors=redis.AuthenticationError)
    def work() -> int:
        return [id(cache()), cache().ping()][0]

    before = invoke(work)
    redis_server.run("CONFIG", "SET", "requirepass", "second", password="first")
    manager.put_secret_value(SecretId=SECRET, SecretString="second")
    manager.close()
    if cut:
        redis_server.kill("second")
        after = invoke(work)
        assert lambdakit.get_secret(SECRET) == "second"
    else:
        assert invoke(work) == before  # nobody has noticed, and nothing is wrong with the connection
        after = invoke(lambda: [lambdakit.get_secret(SECRET, force_fetch=True), work()][1])
    assert after != before


def test_a_primary_that_became_a_replica(redis_server: Any) -> None:
    """The check asks for what the function does; within an invocation READONLY brings another connection."""

    def is_primary(client: redis.Redis) -> bool:
        role: Any = client.role()
        return bool(role[0] == "master")

    cache = lambdakit.singleton(lambda: connect(redis_server), check=is_primary, broken=redis.ReadOnlyError)

    def demote() -> None:
        with connect(redis_server) as control:
            control.replicaof("127.0.0.1", "1")

    def promote() -> None:
        with connect(redis_server) as control:
            control.replicaof("NO", "ONE")

    def work() -> tuple[Any, Any]:
        before = cache()
        demote()
        try:
            before.set("a", "1")
        except redis.ReadOnlyError:
            promote()  # the name leads to another server by now
            return before, cache()
        raise AssertionError

    before, after = invoke(work)
    assert before is not after
    assert invoke(lambda: cache().set("a", "1"))
    assert invoke(cache) is after
    demote()
    assert after.ping()  # which is all that a check of this kind finds out
    assert invoke(cache) is not after
    promote()
