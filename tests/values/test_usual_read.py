"""The usual read of `get_secret`, which is written out: by the machine's own clocks it does what every other read does.

Its clocks are frozen as users' tests freeze them. freezegun moves both together; time-machine moves the wall clock and
leaves the monotonic one alone, as it is while an environment is frozen.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import freezegun
import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

import lambdakit
from lambdakit import ConfigurationError, Environment, NotFoundError, Settings
from lambdakit._values import Values
from lambdakit.testing import FakeContext, MemoryBackend

START = datetime(2027, 1, 15, 8, 0, 0, 250_000, tzinfo=UTC)
GONE = NotFoundError("gone", service="secretsmanager", operation="GetSecretValue", name="x")
SecondsAfterStart = Callable[[float], object]


@contextmanager
def by_freezegun() -> Iterator[SecondsAfterStart]:
    """Both clocks are moved."""
    with freezegun.freeze_time(START) as frozen:
        yield lambda seconds: frozen.move_to(START + timedelta(seconds=seconds))


@contextmanager
def by_time_machine() -> Iterator[SecondsAfterStart]:
    """The wall clock is moved; the other one runs on."""
    with time_machine.travel(START, tick=False) as traveller:
        yield lambda seconds: traveller.move_to(START + timedelta(seconds=seconds))


TOOLS = pytest.mark.parametrize("tool", [by_freezegun, by_time_machine])


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except lambdakit.LambdakitError as error:
        return type(error)


@TOOLS
def test_frozen_time_is_seen(tool: Any) -> None:
    """A test that freezes time gets from memory what is fresh then, and what is not is fetched; wherever it moves."""
    backend = MemoryBackend(secrets={"x": "old"})
    with tool() as move_to, lambdakit.use_environment(Environment(backend=backend)):
        assert lambdakit.get_secret("x") == "old"
        backend.secrets["x"] = "new"
        move_to(269)  # the jitter takes up to a tenth of 300
        assert lambdakit.get_secret("x") == "old"
        move_to(301)
        assert lambdakit.get_secret("x") == "new"
        backend.secrets["x"] = "newer"
        move_to(300)  # backwards: nobody knows how old it is
        assert lambdakit.get_secret("x") == "newer"
    assert backend.calls == [("secret", "x")] * 3


def test_frozen_time_is_seen_by_what_is_imported_in_it() -> None:
    """In a fresh process: the first value is read while time is frozen; afterwards the machine's clocks are back."""
    code = """
import sys, freezegun, lambdakit
from lambdakit.testing import MemoryBackend
backend = MemoryBackend(secrets={"x": "1"})
fetches = []
def read():
    lambdakit.get_secret("x")
    fetches.append(len(backend.calls))
with lambdakit.use_environment(lambdakit.Environment(backend=backend)):
    assert "lambdakit._values" not in sys.modules
    with freezegun.freeze_time("2027-01-15") as frozen:
        for passed_s in (0, 200, 200):
            frozen.tick(passed_s)
            read()
    for _ in range(2):
        read()
print(fetches)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[1, 1, 2, 3, 3]\n"


def test_a_monotonic_age_past_the_ttl_is_enough() -> None:
    """While the wall clock says five seconds: it may have been set back since."""
    backend = MemoryBackend(secrets={"x": "1"})
    with lambdakit.use_environment(Environment(backend=backend)):
        lambdakit.get_secret("x")
        # In freezegun's time the monotonic clock tells seconds since 1970.
        with freezegun.freeze_time(datetime.fromtimestamp(time.time() + 5.0, UTC)):
            lambdakit.get_secret("x")
            lambdakit.get_secret("x")
    assert len(backend.calls) == 2


# Around the end of the ttl, less what the datetimes of these tools round; and at any age, also a negative one.
OFFSETS = st.sampled_from([-1.0, -0.001, -3e-6, 3e-6, 0.001, 1.0]).map(lambda offset: ("end", offset))
AGES = st.one_of(
    OFFSETS, st.tuples(st.just("start"), st.floats(-400.0, 90_000.0) | st.sampled_from([0.0, -0.0, -3e-6, 3e-6]))
)


@TOOLS
@pytest.mark.parametrize("ttl_s", [0.0, 300.0, 3600.0, float("inf")])
def test_it_gives_what_every_other_read_gives(tool: Any, ttl_s: float) -> None:
    """Of the same entry at the same moment: the value, counted as a hit and noted as a use, or a fetch.

    The fetch is refused, so that it leaves the entry to the other read. `Values.read` is what a declaration is read by.
    """
    with tool() as move_to:

        @settings(max_examples=max(1, settings().max_examples // 4))  # eight times
        @given(st.lists(AGES, min_size=1, max_size=5))
        def law(ages: list[tuple[str, float]]) -> None:
            move_to(0.0)
            backend = MemoryBackend(secrets={"x": "1"})
            env = Environment(settings=Settings(ttl_s=ttl_s, stale_ttl_s=0.0), backend=backend)
            with lambdakit.use_environment(env):
                lambdakit.get_secret("x")
                backend.secrets["x"] = GONE
                ((_, entry),) = env._parts[Values].cache.entries()
                fresh_s = ttl_s * entry.ttl_factor
                for of, offset in ages:
                    age_s = offset + (fresh_s if of == "end" and fresh_s != float("inf") else 0.0)
                    move_to(age_s)
                    expected = "1" if 0.0 <= round(age_s, 6) < fresh_s else NotFoundError
                    seen = []
                    for read in (lambda: lambdakit.get_secret("x"), lambda: lambdakit.secret("x").get()):
                        backend.calls.clear()
                        hits, entry.used_s = lambdakit.stats()["hits"], -1.0
                        value = outcome(read)
                        assert value == expected
                        seen.append((value, [*backend.calls], lambdakit.stats()["hits"] - hits, entry.used_s == -1.0))
                    assert seen[0] == seen[1]
                    assert seen[0][1:] == (([], 1, False) if expected == "1" else ([("secret", "x")], 0, True))

        law()


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": ["x"]},
        {"name": {}},
        {"name": "x", "region": ["eu"]},
        {"name": "x", "version_id": {}},
        {"name": "x", "version_stage": []},
        {"name": 5},
        {"name": "x", "ttl": -1},
        {"name": "x", "transform": "yaml"},
        {"name": "x", "field": 5},
        {"name": "x", "force_fetch": 1},
    ],
    ids=str,
)
def test_bad_input_is_told_as_in_every_other_read(arguments: dict[str, Any]) -> None:
    """Also what cannot be looked up, with values in memory and without."""
    backend = MemoryBackend(secrets={"x": "1"})
    with lambdakit.use_environment(Environment(backend=backend)):
        for calls in (0, 1):
            with pytest.raises(ConfigurationError, match=[*arguments][-1]):
                lambdakit.get_secret(**arguments)
            assert len(backend.calls) == calls
            lambdakit.get_secret("x")


def test_a_deadline_is_no_matter_of_what_is_in_memory() -> None:
    """In an invocation without time left the usual read finds what is fresh."""
    with lambdakit.use_environment(Environment(backend=MemoryBackend(secrets={"x": "1"}))):
        lambdakit.get_secret("x")
        assert (
            lambdakit.handler(lambda event, context: lambdakit.get_secret("x"))({}, FakeContext(remaining_s=0)) == "1"
        )
