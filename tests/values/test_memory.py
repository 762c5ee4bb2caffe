"""What an environment keeps of values: made when it is needed, one of each, dropped together."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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
from lambdakit.testing import ManualClock, MemoryBackend

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


ITEMS = {f"k{number}": "v" * 20 for number in range(200)}


@pytest.fixture
def large() -> MemoryBackend:
    """Ten secrets of 7 kB, whose JSON takes 40 kB, and two such parameters."""
    text = json.dumps(ITEMS)
    return MemoryBackend(
        secrets={f"s{number}": text for number in range(10)}, parameters={"/p/a": text, "/p/b": text[:-1] + "\n}"}
    )


MADE: list[Any] = []  # by the transforms of a test


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    MADE.clear()


def environment(backend: MemoryBackend, max_bytes: float) -> Any:
    return lambdakit.use_environment(Environment(settings=Settings(max_bytes=int(max_bytes)), backend=backend))


def size() -> int:
    return lambdakit.stats()["bytes"]


def test_a_lambda_in_a_handler_is_the_same_each_time(large: MemoryBackend) -> None:
    """One that holds nothing of the call runs once for each stored version, as any function does."""
    with environment(large, 1e6):
        for _ in range(3):
            assert lambdakit.get_secret("s0", transform=lambda text: MADE.append(1) or json.loads(text)) == ITEMS
            assert lambdakit.get_secret("s0", field="k1", transform=lambda text: MADE.append(2) or len(text)) == 20
            lambdakit.get_secret("s0", transform=lambda text: MADE.append(3) or text)
    assert MADE == [1, 2, 3]


def transforms(call: int) -> dict[str, Any]:
    """Of each kind one that is made anew at each call."""

    class Loads:
        """Instances of it are equal to nothing else."""

        def __call__(self, text: str) -> Any:
            return made(text)

    def made(text: str, *_: Any) -> Any:
        MADE.append(call)
        return json.loads(text)

    return {
        "a closure": lambda text: made(text, call),
        "defaults": lambda text, call=call, loads=json.loads: loads(text),
        "keywords": lambda text, *, loads=json.loads: loads(text),
        "a partial": partial(made),
        "an instance": Loads(),
    }


@pytest.mark.parametrize("kind", transforms(0))
def test_what_is_made_for_one_call_goes_after_it(kind: str, large: MemoryBackend) -> None:
    """Of a transform that is another one at each call, no more than the last result is kept."""
    sizes = []
    with environment(large, 1e6):
        for call in range(5):
            transform = transforms(call)[kind]
            assert lambdakit.get_secret("s0", transform=transform) == ITEMS
            assert lambdakit.get_secret("s0", transform=transform) is lambdakit.get_secret("s0", transform=transform)
            sizes.append(size())
    assert sizes[1:] == [sizes[1]] * 4
    assert MADE in ([0, 1, 2, 3, 4], [])


class Unseen:
    """Without a place for weak references; and equal ones are equal."""

    __slots__ = ()

    def __call__(self, text: str) -> Any:
        MADE.append(1)
        return json.loads(text)

    def method(self, text: str) -> Any:
        return self(text)


class Equal(Unseen):
    """The same to everyone."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is Equal

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize("kind", ["slots", "equal", "method"])
def test_what_is_the_same_by_its_value_stays(kind: str, large: MemoryBackend) -> None:
    """A method is another object each time that it is looked up; what equals it has its result."""
    unseen = Unseen()
    with environment(large, 1e6):
        for _ in range(3):
            lambdakit.get_secret("s0", transform={"slots": unseen, "equal": Equal(), "method": unseen.method}[kind])
    assert MADE == [1]


def test_what_transforms_make_is_within_the_bound(large: MemoryBackend) -> None:
    """With the values: the ones used longest ago go, with all that was made of them."""
    with environment(large, 100_000):
        for number in range(10):
            lambdakit.get_secret(f"s{number}", transform=json.loads)
            assert size() <= 100_000
        assert lambdakit.stats()["entries"] == 2
        assert size() > 60_000
        large.calls.clear()
        lambdakit.get_secret("s9", transform=json.loads)
        lambdakit.get_secret("s9", field="k1")
        assert large.calls == []
        lambdakit.invalidate("s9")
        lambdakit.invalidate("s8")
        assert size() == 0


def test_what_has_no_room_is_made_at_each_call(large: MemoryBackend, caplog: pytest.LogCaptureFixture) -> None:
    """With one warning; the value itself is kept."""
    with environment(large, 20_000):
        for _ in range(3):
            for name in ("s0", "s1"):
                assert lambdakit.get_secret(name, transform=Unseen()) == ITEMS
        assert lambdakit.stats()["entries"] == 2
    assert len(MADE) == 6
    (record,) = caplog.records
    assert record.getMessage().startswith("what is made of secret 's0' has no room in LAMBDAKIT_MAX_BYTES")


def test_of_what_is_not_kept_nothing_is(large: MemoryBackend, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a result nor a field."""
    with environment(large, 100):
        assert lambdakit.get_secret("s0", transform=json.loads) == ITEMS
        assert lambdakit.get_secret("s0", field="k1") == "v" * 20
        assert (size(), caplog.messages) == (0, [])


@pytest.mark.parametrize(("max_bytes", "calls"), [(1e6, 2), (130_000, 2), (30_000, 6)])
def test_what_is_made_of_parameters_below_a_path(max_bytes: float, calls: int, large: MemoryBackend) -> None:
    """Counts among the list's bytes where the parameter is not kept by itself; without room it is made at each call."""
    with environment(large, max_bytes):
        for _ in range(3):
            found = lambdakit.get_parameters_by_path("/p", transform=Equal())
            assert found == {"/p/a": ITEMS, "/p/b": ITEMS}
            assert size() <= max_bytes
    assert len(MADE) == calls


def test_the_hundredth_field_is_the_last_that_is_kept() -> None:
    """They count as well."""
    text = json.dumps({f"k{number}": number * 1.5 for number in range(150)})
    with environment(MemoryBackend(secrets={"s": text}), 1e6):
        before = lambdakit.get_secret("s") and size()
        for number in range(150):
            assert lambdakit.get_secret("s", field=f"k{number}") == number * 1.5
        assert size() == before + 100 * sys.getsizeof(1.5)


def test_a_poll_that_finds_nothing_new_keeps_what_was_made() -> None:
    """Of a configuration: once per version, and counted once."""
    clock = ManualClock()
    env = Environment(backend=MemoryBackend(app_configs={"a/b/c": json.dumps(ITEMS)}), clock=clock)
    with lambdakit.use_environment(env):
        sizes = []
        for _ in range(3):
            lambdakit.get_app_config("a", "b", "c", transform=Equal())
            sizes.append(size())
            clock.tick(1_000)
    assert (len(MADE), sizes) == (1, [sizes[0]] * 3)
