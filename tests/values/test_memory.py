"""What an environment keeps of values: made when it is needed, one of each, dropped together."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import lambdakit
from lambdakit import Environment, Settings
from lambdakit._values import Values
from lambdakit._values.app_config import Configurations
from lambdakit._values.batches import Batches
from lambdakit._values.preload import Preload
from lambdakit._values.rotation import Rotations
from lambdakit.exceptions import NotFoundError
from lambdakit.testing import MemoryBackend

PARTS: tuple[Any, ...] = (Preload, Batches, Configurations, Rotations, Values)


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend(
        secrets={"a": "1", "b": "2"},
        parameters={"/p/x": "1"},
        app_configs={"app/prod/flags": "x"},
        items={("orders", "o-1"): {"id": "o-1"}},
    )


@pytest.fixture
def env(backend: MemoryBackend) -> Iterator[Environment]:
    with lambdakit.use_environment(Environment(settings=Settings(region="eu-west-1"), backend=backend)) as env:
        yield env


def test_a_part_is_made_once_for_all_threads(env: Environment) -> None:
    """At first use, by whichever thread comes first; each brings those that it is made of."""
    meeting = threading.Barrier(8)

    def part(kind: Any) -> object:
        meeting.wait(10)
        return env._parts[kind]

    with ThreadPoolExecutor(8) as pool:
        for kind in PARTS:
            assert len({id(part) for part in pool.map(part, [kind] * 8)}) == 1
    assert len({id(env._parts[kind]) for kind in PARTS}) == len(PARTS)


def test_what_is_not_used_is_not_imported() -> None:
    """In a fresh process: a single secret brings none of the parts, each use its own."""
    code = """
import json, sys, lambdakit
from lambdakit.testing import MemoryBackend
backend = MemoryBackend(secrets={"a": "1"}, items={("t", 1): {}}, app_configs={"a/b/c": "x"})
uses = {
    "none": lambda: None,
    "secret": lambda: lambdakit.get_secret("a"),
    "item": lambda: lambdakit.get_item("t", {"id": 1}),
    "config": lambda: lambdakit.get_app_config("a", "b", "c"),
    "batch": lambda: lambdakit.get_secrets(["a"]),
    "preload": lambda: lambdakit.environment().preload(),
    "rotation": lambda: lambdakit.retry_on_rotation("a", errors=(OSError,))(lambda: None)(),
}
parts = (
    "_values.dynamodb", "_values.app_config", "_values.batches", "_parallel", "_values.preload", "_values.rotation",
    "_values.renewal", "_values.stats",
)
seen, told = set(), {}
with lambdakit.use_environment(lambdakit.Environment(backend=backend)):
    for name, use in uses.items():
        use()
        loaded = {part for part in parts if f"lambdakit.{part}" in sys.modules}
        told[name] = sorted(loaded - seen)
        seen |= loaded
print(json.dumps(told))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout) == {
        "none": [],
        "secret": [],
        "item": ["_values.dynamodb"],
        "config": ["_values.app_config"],
        "batch": ["_parallel", "_values.batches"],
        "preload": ["_values.preload"],
        "rotation": ["_values.rotation"],
    }


def test_clear_forgets_everything(env: Environment, backend: MemoryBackend) -> None:
    """Values, lists, configurations, items, results of functions, and errors of preload."""
    made: list[int] = []

    @lambdakit.cached
    def model() -> int:
        made.append(1)
        return len(made)

    def use() -> None:
        lambdakit.get_secrets(["a", "b"])
        lambdakit.get_parameters_by_path("/p")
        lambdakit.get_app_config("app", "prod", "flags")
        lambdakit.get_item("orders", {"id": "o-1"})
        model()

    use()
    calls = [*backend.calls]
    use()
    assert (backend.calls, len(made)) == (calls, 1)
    backend.secrets["late"] = NotFoundError("x", service="s", operation="o", name="late")
    env.preload(lambdakit.secret("late"))
    backend.secrets["late"] = "3"
    backend.calls.clear()
    lambdakit.clear()
    assert (lambdakit.stats()["entries"], lambdakit.stats()["bytes"]) == (0, 0)
    use()
    assert (backend.calls, len(made)) == (calls, 2)
    assert lambdakit.get_secret("late") == "3"


def test_each_function_has_a_cache_of_its_own(env: Environment) -> None:
    """Made once, by whichever thread comes first; that of values comes first among all, without a name."""
    meeting = threading.Barrier(8)

    @lambdakit.cached
    def one(number: int) -> int:
        return number

    @lambdakit.cached
    def two(number: int) -> int:
        return -number

    def call(number: int) -> tuple[int, int]:
        meeting.wait(10)
        return one(number), two(number)

    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(call, range(8))] == [(number, -number) for number in range(8)]
    lambdakit.get_secret("a")
    (first, values), *functions = env._caches
    assert (first, len(values)) == (None, 1)
    assert sorted(str(name).rpartition(".")[2] for name, _ in functions) == ["one", "two"]
    assert [len(cache) for _, cache in functions] == [8, 8]


def test_keys_of_names_and_declarations(env: Environment) -> None:
    """A bare name is a secret's."""
    declared: list[Any] = ["a", lambdakit.secret("b", version_stage="s"), lambdakit.parameter("/p", decrypt=False)]
    key = env._parts[Values].key
    assert [key(one) for one in declared] == [
        ("secret", "a", "eu-west-1", None, None),
        ("secret", "b", "eu-west-1", None, "s"),
        ("parameter", "/p", "eu-west-1", False),
    ]
    assert key(lambdakit.parameters("/p/")) == ("path", "/p", "eu-west-1", True, True)


def test_the_bounds_are_those_of_the_settings() -> None:
    """In number and in bytes."""
    backend = MemoryBackend(secrets={"a": "x" * 100, "b": "x" * 100, "c": "x" * 2_000})
    for settings, kept in ((Settings(max_entries=1), 1), (Settings(max_bytes=500), 2), (Settings(max_entries=0), 0)):
        with lambdakit.use_environment(Environment(settings=settings, backend=backend)):
            assert len(lambdakit.get_secrets(["a", "b", "c"])) == 3
            assert lambdakit.stats()["entries"] == kept
