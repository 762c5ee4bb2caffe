"""Which values a ping renews, and how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import lambdakit
from lambdakit import Environment, Settings
from lambdakit._cache import Cache, Entries, Entry
from lambdakit._clock import Budget
from lambdakit._values.renewal import due
from lambdakit.exceptions import NetworkError
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

PING = {"warmer": True}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend(
        secrets={"a": "1", "b": "2"},
        parameters={"/tree/x": "3", "/tree/y": "4", "/p": "5"},
        app_configs={"app/prod/flags": "6"},
        items={("orders", "o-1"): {"id": "o-1"}},
    )


@pytest.fixture
def env(clock: ManualClock, backend: MemoryBackend) -> Iterator[Environment]:
    with lambdakit.use_environment(Environment(clock=clock, backend=backend)) as env:
        yield env


def ping(**options: Any) -> None:
    handler = lambdakit.handler(**options)(lambda event, context: pytest.fail("a ping reached the handler"))
    assert handler(PING, FakeContext())["ping"] == "lambda-warmer"


# --- which


def stored(clock: ManualClock, *keys: tuple[str, str]) -> Cache:
    """A cache in which something is kept under each key."""
    budget = Budget(clock=clock, invocation=lambda: None)
    cache = Cache(clock=clock, budget=budget, store=Entries(max_entries=1000, max_bytes=1e6))
    for key in keys:
        cache.read(key, lambda: Entry("v"), ttl_s=300.0)
    return cache


@pytest.mark.parametrize(
    ("random", "old_s", "within_s", "expected"),
    [
        (0.0, 199.0, 100.0, False),
        (0.0, 200.0, 100.0, True),  # at its ttl when the next ping comes
        (0.0, 250.0, 100.0, True),
        (0.0, 301.0, 1.0, True),  # past it already
        (0.0, 29.0, 1000.0, False),  # young: a new one would be kept hardly longer
        (0.0, 30.0, 1000.0, True),
        (0.5, 184.0, 100.0, False),  # good for 285 s
        (0.5, 186.0, 100.0, True),
    ],
)
@pytest.mark.parametrize("way", ["tick", "suspend"])
def test_due_is_what_would_expire_before_the_next_ping(
    random: float, old_s: float, within_s: float, expected: bool, way: str
) -> None:
    """And is a tenth of its ttl old: frozen time counts, and the share of the ttl that the value has."""
    clock = ManualClock(chance=random)
    cache = stored(clock, ("secret", "a"))
    getattr(clock, way)(old_s)
    keys = due(cache, ttl_s=300.0, now=clock.now(), within_s=within_s)
    assert keys == ([("secret", "a")] if expected else [])


@pytest.mark.parametrize("kind", ["secret", "parameter", "path", "configuration", "item", "variable"])
def test_due_is_what_is_not_anybodys(clock: ManualClock, kind: str) -> None:
    """An item may be one of very many, and an environment variable does not change."""
    cache = stored(clock, (kind, "a"))
    clock.tick(300)
    keys = due(cache, ttl_s=300.0, now=clock.now(), within_s=300.0)
    assert keys == ([(kind, "a")] if kind in ("secret", "parameter", "path", "configuration") else [])


def test_what_was_fetched_since_the_ping_began_is_not_due(clock: ManualClock) -> None:
    """It is older than the ping by no clock, and would be fetched twice."""
    began = clock.now()
    clock.tick(0.001)
    assert due(stored(clock, ("secret", "a")), ttl_s=300.0, now=began, within_s=300.0) == []


def test_a_wall_clock_that_was_set_back_makes_it_due(clock: ManualClock) -> None:
    """Nobody knows how old it is."""
    cache = stored(clock, ("secret", "a"))
    clock.tick(1)
    clock.set_wall(0.0)
    assert due(cache, ttl_s=300.0, now=clock.now(), within_s=1.0) == [("secret", "a")]


@pytest.mark.parametrize(("kept", "expected"), [(99, 99), (100, 100), (101, 100)])
def test_of_many_those_used_last_are_due(clock: ManualClock, kept: int, expected: int) -> None:
    """A hundred at most: the one whose last use is longest ago is left to its reader."""
    names = [("secret", str(number)) for number in range(kept)]
    cache = stored(clock, *names)
    clock.tick(1)
    for name in names[1:]:
        assert cache.fresh(name, 300.0) is not None
    clock.tick(299)
    keys = due(cache, ttl_s=300.0, now=clock.now(), within_s=300.0)
    assert len(keys) == expected
    assert (names[0] in keys) == (kept <= 100)


# --- how


def test_they_are_fetched_together(env: Environment, clock: ManualClock, backend: MemoryBackend) -> None:
    """A path brings the parameters below it, a configuration is polled; the next readers find all of it."""

    def read() -> list[Any]:
        return [
            lambdakit.get_secret("a"),
            lambdakit.get_secret("b"),
            lambdakit.get_parameters_by_path("/tree"),
            lambdakit.get_parameter("/tree/x"),
            lambdakit.get_parameter("/p"),
            lambdakit.get_app_config("app", "prod", "flags"),
        ]

    before = read()
    clock.tick(290)
    backend.calls.clear()
    ping()
    assert sorted(backend.calls) == [
        ("configuration", "app/prod/flags"),
        ("parameter", "/p"),
        ("path", "/tree"),
        ("secrets", "a, b"),
    ]
    backend.calls.clear()
    clock.tick(290)
    assert read() == before
    assert backend.calls == []


@pytest.mark.parametrize(("settings", "name"), [(Settings(ttl_s=0.0), "a"), (Settings(), None)])
def test_there_may_be_nothing_to_renew(
    settings: Settings, name: str | None, clock: ManualClock, backend: MemoryBackend
) -> None:
    """Where nothing is ever fresh, a fetch ahead would be for nobody; and where nothing was read."""
    with lambdakit.use_environment(Environment(settings=settings, clock=clock, backend=backend)):
        if name is None:
            lambdakit.secret("a").state  # noqa: B018 - which makes what values need, and fetches none
        else:
            lambdakit.get_secret(name)
        backend.calls.clear()
        clock.tick(290)
        ping()
    assert backend.calls == []


def test_what_fails_is_told_once_and_stays_in_memory(
    env: Environment, clock: ManualClock, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """By one example; nobody was served a stale value for it."""
    for name in ("a", "b"):
        lambdakit.get_secret(name)
    failure = NetworkError("planted", service="s", operation="o", name="a")
    backend.secrets |= {"a": failure, "b": failure}
    clock.tick(290)
    ping()
    assert caplog.messages == [
        "ping: 2 of 2 values could not be renewed, such as secret 'a' (NetworkError); those in memory stay"
    ]
    assert [lambdakit.get_secret(name) for name in "ab"] == ["1", "2"]
    assert lambdakit.stats()["stale"] == 0
