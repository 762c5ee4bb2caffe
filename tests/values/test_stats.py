"""What the caches did, as numbers."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import lambdakit
from lambdakit import Environment, Settings
from lambdakit.exceptions import NotFoundError, ThrottledError
from lambdakit.testing import ManualClock, MemoryBackend

PATIENCE_S = 10.0  # how long a test waits for what must happen; it never passes by waiting
SECRET = "cGxhbnRlZC1zZWNyZXQ="  # in base64, as a ciphertext would be
THROTTLED = ThrottledError("slow down", service="s", operation="o", name="n")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend(secrets={"db": SECRET, "api": SECRET}, parameters={"/flags": "1"})


@pytest.fixture
def env(clock: ManualClock, backend: MemoryBackend) -> Iterator[Environment]:
    env = Environment(clock=clock, backend=backend)
    with lambdakit.use_environment(env):
        yield env


def numbers(hits: int = 0, fetches: int = 0, stale: int = 0, errors: int = 0, waits: int = 0) -> dict[str, int]:
    return {"hits": hits, "fetches": fetches, "stale": stale, "errors": errors, "waits": waits}


def test_an_environment_that_did_nothing(env: Environment) -> None:
    """Zeros, and no keys."""
    assert lambdakit.stats() == numbers() | {"entries": 0, "bytes": 0, "keys": {}}


def test_a_history(env: Environment, clock: ManualClock, backend: MemoryBackend) -> None:
    """Each count for each value and function, and together."""
    down = [False]

    @lambdakit.cached(ttl=60)
    def price(order: str) -> int:
        if down[0]:
            raise TimeoutError
        return 5

    for _ in range(3):
        lambdakit.get_secret("db")  # a fetch, two hits
    lambdakit.get_secret("db", transform=len)  # a hit
    lambdakit.get_secret("db", version_stage="AWSPREVIOUS")  # another fetch of the same name
    lambdakit.get_secret("db", force_fetch=True)
    lambdakit.get_parameter("/flags")
    with pytest.raises(NotFoundError):
        lambdakit.get_parameter("/missing")  # a fetch and an error
    for order in ("a", "b", "a", "a"):
        price(order)  # two fetches, two hits
    clock.tick(300)
    backend.parameters["/flags"] = THROTTLED
    down[0] = True
    for _ in range(4):
        lambdakit.get_parameter("/flags")  # a fetch and an error, four times stale
        assert price("a") == 5  # the same
    keys = {
        "secret 'db'": numbers(hits=3, fetches=3),
        "parameter '/flags'": numbers(fetches=2, stale=4, errors=1),
        "parameter '/missing'": numbers(fetches=1, errors=1),
        f"cached {__name__}.test_a_history.<locals>.price": numbers(hits=2, fetches=3, stale=4, errors=1),
    }
    stats: Any = lambdakit.stats()
    assert stats["keys"] == keys
    total = {name: sum(counts[name] for counts in keys.values()) for name in numbers()}
    assert {name: stats[name] for name in total} == total
    assert stats["entries"] == 5  # the secret twice, a parameter, two results


def test_readers_who_shared_a_fetch_are_counted(env: Environment) -> None:
    """Each of them once."""
    begun, through = threading.Event(), threading.Event()

    @lambdakit.cached
    def read() -> int:
        begun.set()
        assert through.wait(PATIENCE_S)
        return 1

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read)]
        assert begun.wait(PATIENCE_S)
        readers += [pool.submit(read) for _ in range(3)]
        deadline = time.monotonic() + PATIENCE_S
        while lambdakit.stats()["waits"] < 3:
            assert time.monotonic() < deadline
            through.wait(0.001)
        through.set()
        assert [reader.result(PATIENCE_S) for reader in readers] == [1] * 4
    assert list(lambdakit.stats()["keys"].values()) == [numbers(fetches=1, waits=3)]


def test_names_but_no_values_and_no_arguments(env: Environment, backend: MemoryBackend) -> None:
    """A secret planted in values, arguments, results, keys of items, and errors is nowhere in the JSON."""
    backend.items[("users", SECRET)] = {"name": SECRET}
    backend.ciphertexts[SECRET] = SECRET
    env.settings.environ = {"PASSWORD": SECRET}

    @lambdakit.cached
    def read(token: str, *, password: str) -> str:
        return SECRET

    @lambdakit.cached(key=lambda token: token)
    def fail(token: str) -> None:
        raise ValueError(SECRET)

    lambdakit.get_secret("db")
    lambdakit.get_item("users", {"id": SECRET})
    lambdakit.get_item("users", {"id": SECRET}, consistent=True)
    lambdakit.decrypt_env("PASSWORD", context={"a": SECRET})
    read(SECRET, password=SECRET)
    with pytest.raises(ValueError, match=SECRET):
        fail(SECRET)
    stats = lambdakit.stats()
    assert SECRET not in json.dumps(stats)
    assert json.loads(json.dumps(stats)) == stats
    here = f"cached {__name__}.test_names_but_no_values_and_no_arguments.<locals>"
    assert list(stats["keys"]) == ["secret 'db'", "item 'users'", "variable 'PASSWORD'", f"{here}.read", f"{here}.fail"]
    assert stats["keys"]["item 'users'"]["fetches"] == 2


def test_bytes_are_those_of_values(env: Environment) -> None:
    """As Python holds text; results of functions are not measured."""
    lambdakit.get_secret("db")
    lambdakit.get_secret("api")
    lambdakit.cached(lambda: "x" * 1000)()
    assert lambdakit.stats()["bytes"] == 2 * sys.getsizeof(SECRET)
    lambdakit.invalidate("db")
    assert lambdakit.stats()["bytes"] == sys.getsizeof(SECRET)
    lambdakit.clear()
    assert (lambdakit.stats()["bytes"], lambdakit.stats()["entries"]) == (0, 0)


def test_counts_outlive_what_they_count(clock: ManualClock, backend: MemoryBackend) -> None:
    """Hits of a value or a result that was replaced, evicted, invalidated or cleared are still there."""
    with lambdakit.use_environment(Environment(clock=clock, backend=backend, settings=Settings(max_entries=1))):
        read = lambdakit.cached(lambda name: name)
        for name in ("db", "api", "db", "db"):
            lambdakit.get_secret(name)
            lambdakit.get_secret(name)
            read(name)
            read(name)
        clock.tick(300)
        lambdakit.get_secret("db")
        read("db")
        lambdakit.get_secret("db")
        read("db")
        lambdakit.clear()
        stats: Any = lambdakit.stats()
    assert stats["keys"].pop("secret 'db'") == numbers(hits=5, fetches=3)
    assert stats["keys"].pop("secret 'api'") == numbers(hits=1, fetches=1)
    assert list(stats["keys"].values()) == [numbers(hits=6, fetches=4)]
    assert (stats["hits"], stats["fetches"], stats["entries"]) == (12, 8, 0)


def test_the_numbers_are_bounded(clock: ManualClock, backend: MemoryBackend) -> None:
    """Of 2,100 names and arguments, 2,000 names and one function are listed, and all are in the totals."""
    read = lambdakit.cached(lambda name: name)
    with lambdakit.use_environment(Environment(clock=clock, backend=backend, settings=Settings(max_entries=10))):
        for number in range(2_100):
            backend.secrets[f"s{number}"] = "x"
            lambdakit.get_secret(f"s{number}")
            lambdakit.get_secret(f"s{number}")
            read(number)
        stats = lambdakit.stats()
    assert len(stats["keys"]) == 2_001
    assert (stats["hits"], stats["fetches"]) == (2_100, 4_200)


def test_environments_count_for_themselves(env: Environment) -> None:
    """Another one begins at zero."""
    lambdakit.get_secret("db")
    with lambdakit.use_environment(Environment(backend=MemoryBackend(secrets={"db": "1"}))):
        assert lambdakit.stats()["fetches"] == 0
        lambdakit.get_secret("db")
        assert lambdakit.stats()["fetches"] == 1
    assert lambdakit.stats()["fetches"] == 1


def calls_of(work: Callable[[], object]) -> list[str]:
    """The functions in Python that it calls, as `module.qualified name`; itself aside."""
    calls: list[str] = []

    def profile(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            calls.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls[1:]


def test_a_hit_calls_nothing_in_order_to_be_counted(env: Environment, backend: MemoryBackend) -> None:
    """Neither the counters nor the numbers: it notes itself in the entry that it reads."""
    read = lambdakit.cached(lambda: 1)
    usual = Environment(backend=backend)  # with the machine's own clocks a hit calls nothing at all
    for of, get, most in (
        (usual, lambda: lambdakit.get_secret("db"), 1),
        (env, lambda: lambdakit.get_secret("db"), 6),
        (env, lambda: read(), 14),  # noqa: PLW0108 - a call of it
    ):
        with lambdakit.use_environment(of):
            get()
            hits = lambdakit.stats()["hits"]
            calls = calls_of(get)
            assert lambdakit.stats()["hits"] == hits + 1
        assert not [name for name in calls if "Counter" in name or "Entries" in name or "stats" in name]
        assert len(calls) <= most
