"""What holds for every value: keys, objects of one's own, one fetch at a time, bounds."""

import asyncio
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

import lambdakit
from lambdakit import Environment, Settings
from lambdakit._cache import Entries, Entry
from lambdakit._clock import Clock, Instant
from lambdakit.exceptions import AccessDeniedError, ConfigurationError
from lambdakit.testing import ManualClock, MemoryBackend

PATIENCE_S = 30.0  # how long a test waits for what must happen; it never passes by waiting


def env_with(backend: Any, *, clock: Clock | None = None, **settings: Any) -> Environment:
    return Environment(settings=Settings(region="eu-west-1", **settings), clock=clock, backend=backend)


# --- keys


class Echo(MemoryBackend):
    """Answers with what it was asked, so that two answers are equal only if the requests were."""

    asked = 0

    def _echo(self, *asked: Any, **options: Any) -> str:
        self.asked += 1
        return json.dumps([asked, options], sort_keys=True)

    def get_secret(self, name: str, **options: Any) -> Any:
        return self._echo(name, **options), "1"

    def get_parameter(self, name: str, **options: Any) -> Any:
        return self._echo(name, **options), "1"

    def get_parameters_by_path(self, path: str, *, recursive: bool, **options: Any) -> Any:
        # Of the same parameter the newest value is told by whatever list it is in: these are of another depth.
        return {f"{path}/x/y" if recursive else f"{path}/x": (self._echo(path, recursive, **options), "1")}

    def get_item(self, table: str, key: dict[str, Any], **options: Any) -> str:
        return json.dumps({"asked": {"S": self._echo(table, key, **options)}})

    def start_configuration_session(self, *path: str, **options: Any) -> str:
        return json.dumps([path, options])

    def get_latest_configuration(self, token: str, **options: Any) -> Any:
        return self._echo(token, **options).encode(), "1", token, 0.0


KINDS: list[tuple[Callable[..., Any], dict[str, Any], dict[str, list[Any]]]] = [
    (
        lambdakit.get_secret,
        {"name": "x"},
        {
            "name": ["y", "X", "x "],
            "version_id": ["a" * 32, "b" * 32],
            "version_stage": ["AWSPREVIOUS", "AWSPENDING", "a" * 32],
            "region": ["us-east-1", "eu-west-2"],
        },
    ),
    (
        lambdakit.get_parameter,
        {"name": "/x"},
        {"name": ["/y", "/x:1", "/x:prod"], "decrypt": [False], "region": ["us-east-1", "eu-west-2"]},
    ),
    (
        lambdakit.get_parameters_by_path,
        {"path": "/x"},
        {"path": ["/y", "/x/y", "/"], "recursive": [False], "decrypt": [False], "region": ["us-east-1"]},
    ),
    (
        lambdakit.get_item,
        {"table": "x", "key": {"id": "1"}},
        {
            "table": ["y", "X"],
            "key": [{"id": 1}, {"id": b"1"}, {"ID": "1"}, {"id": "1", "sort": "1"}, {"id": "1", "sort": 1}],
            "consistent": [True],
            "region": ["us-east-1"],
        },
    ),
    (
        lambdakit.get_app_config,
        {"application": "x", "environment": "x", "profile": "x"},
        {"application": ["y"], "environment": ["y"], "profile": ["y"], "region": ["us-east-1"]},
    ),
]
FIELDS = [(getter, base, field) for getter, base, fields in KINDS for field in fields]
OTHERS = {(getter, field): values for getter, _, fields in KINDS for field, values in fields.items()}


@pytest.mark.parametrize(("getter", "base", "field"), FIELDS)
def test_each_field_of_a_key_varied_alone_is_a_miss(getter: Any, base: dict[str, Any], field: str) -> None:
    """Two requests that differ in one field are two fetches and two answers; the same request again is none."""
    requests = [base, *({**base, field: other} for other in OTHERS[getter, field])]
    backend = Echo()
    with lambdakit.use_environment(env_with(backend)):
        answers = [json.dumps(getter(**request)) for request in requests]
        assert backend.asked == len(requests) == len(set(answers))
        assert [json.dumps(getter(**request)) for request in requests] == answers
        assert backend.asked == len(requests)


@pytest.mark.parametrize(("getter", "base", "fields"), KINDS)
def test_the_default_region_is_the_named_one(getter: Any, base: dict[str, Any], fields: Any) -> None:
    """And what does not change the answer is not in the key: ttl, stale ttl, transform."""
    backend = Echo()
    with lambdakit.use_environment(env_with(backend)):
        for options in ({}, {"region": "eu-west-1"}, {"ttl": 60}, {"stale_ttl": 0}, {"transform": str}):
            getter(**base, **options)
    assert backend.asked == 1


def test_kinds_of_one_name_are_not_taken_for_each_other() -> None:
    """A secret, a parameter, a path and a configuration may be called alike."""
    backend = Echo()
    with lambdakit.use_environment(env_with(backend)):
        for _ in range(2):
            lambdakit.get_secret("/x")
            lambdakit.get_parameter("/x")
            lambdakit.get_parameters_by_path("/x")
    assert backend.asked == 3


# --- objects

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def containers(value: Any) -> Iterator[Any]:
    """Every object in it that can be changed."""
    if isinstance(value, (dict, list, set)):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


def _shown(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else str(value)


@given(JSON)
def test_readers_objects_never_alias(value: Any) -> None:
    """However a value is read, what one reader changes no other sees: nothing changeable is shared."""
    text = json.dumps({"value": value})
    backend = MemoryBackend(
        secrets={"x": text},
        parameters={"/p/x": text, "/p/y": text},
        app_configs={"a/e/p": text},
        items={("t", "1"): {"id": "1", "value": value, "set": {"a"}}},
    )
    reads: list[Callable[[], Any]] = [
        lambda: lambdakit.get_secret("x", transform="json"),
        lambda: lambdakit.get_secret("x", field="value"),
        lambda: lambdakit.get_parameter("/p/x", transform="json"),
        lambda: lambdakit.get_parameter("/p/x", field="value"),
        lambda: lambdakit.get_secrets(["x"]),
        lambda: lambdakit.get_secrets(["x"], transform="json"),
        lambda: lambdakit.get_parameters(["/p/x", "/p/y"], transform="json"),
        lambda: lambdakit.get_parameters_by_path("/p"),
        lambda: lambdakit.get_parameters_by_path("/p", transform="json"),
        lambda: lambdakit.get_item("t", {"id": "1"}),
        lambda: lambdakit.get_item("t", {"id": "1"}, field="set"),
        lambda: lambdakit.get_app_config("a", "e", "p", transform="json"),
        lambda: lambdakit.get_app_config("a", "e", "p", field="value"),
    ]
    with lambdakit.use_environment(env_with(backend)):
        kept = [read() for _ in range(3) for read in reads]  # all alive, so that ids are of different objects
        identities = [id(container) for outcome in kept for container in containers(outcome)]
        assert len(identities) == len(set(identities))
        before = [json.dumps(outcome, default=_shown) for outcome in kept[: len(reads)]]
        for container in [container for outcome in kept for container in containers(outcome)]:
            container.clear()
        assert [json.dumps(read(), default=_shown) for read in reads] == before


# --- one fetch at a time


class RunningClock(Clock):
    """Each look at it takes a while; for threads."""

    def __init__(self, step_s: float) -> None:
        self._steps = count(1)
        self._step_s = step_s

    def now(self) -> Instant:
        passed_s = next(self._steps) * self._step_s
        return 1e9 + passed_s, passed_s


class Census(MemoryBackend):
    """Counts who is being fetched at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.under_way: Counter[Any] = Counter()
        self.most = 0
        self.fetched: Counter[Any] = Counter()

    @contextmanager
    def fetching(self, *keys: Any) -> Iterator[None]:
        with self.lock:
            self.under_way.update(keys)
            self.fetched.update(keys)
            self.most = max(self.most, *(self.under_way[key] for key in keys))
        time.sleep(0.0002)  # others may come; nothing depends on it that they do
        yield
        with self.lock:
            self.under_way.subtract(keys)

    def get_secret(self, name: str, **_: Any) -> Any:
        with self.fetching(("secret", name)):
            return name, "1"

    def get_parameter(self, name: str, **_: Any) -> Any:
        with self.fetching(("parameter", name)):
            return name, "1"

    def get_secrets(self, names: Any, **_: Any) -> Any:
        with self.fetching(*(("secret", name) for name in names)):
            return {name: (name, "1") for name in names}

    def get_parameters(self, names: Any, **_: Any) -> Any:
        with self.fetching(*(("parameter", name) for name in names)):
            return {name: (name, "1") for name in names}


THREADS, GETS = 64, 10_000


@contextmanager
def quick_switches() -> Iterator[None]:
    """Threads give way to each other after every few steps."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(interval_s)


@pytest.mark.parametrize("ttl_s", [0.0, 5.0])
def test_at_most_one_fetch_per_key_is_in_flight_under_64_threads(ttl_s: float) -> None:
    """10,000 gets of a few keys, alone, in batches, forced, with what was fetched invalidated meanwhile."""
    backend = Census()
    env = env_with(backend, clock=RunningClock(0.01))
    numbers = iter(range(GETS))
    ready = threading.Barrier(THREADS)
    names = ["a", "b", "c"]

    def read(number: int) -> None:
        name = names[number % 3]
        if number % 7 == 0:
            assert lambdakit.get_secrets(names, ttl=ttl_s) == {name: name for name in names}
        elif number % 11 == 0:
            assert lambdakit.get_parameters(names[::-1], ttl=ttl_s) == {name: name for name in names}
        elif number % 2:
            assert lambdakit.get_secret(name, ttl=ttl_s, force_fetch=number % 101 == 0) == name
        else:
            assert lambdakit.get_parameter(name, ttl=ttl_s) == name
        if number % 503 == 0:
            lambdakit.invalidate(name)

    def reader() -> None:
        ready.wait(PATIENCE_S)
        for number in numbers:
            read(number)

    with lambdakit.use_environment(env), quick_switches(), ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(reader) for _ in range(THREADS)]:
            done.result(PATIENCE_S)
        stats = lambdakit.stats()
    assert backend.most == 1
    assert stats["fetches"] == backend.fetched.total() == sum(counts["fetches"] for counts in stats["keys"].values())
    assert stats["waits"] > 0
    assert stats["entries"] <= 6


def test_a_cold_key_costs_64_threads_one_call() -> None:
    """All at once, and nobody has it."""
    backend = Census()
    env = env_with(backend)
    ready = threading.Barrier(THREADS)

    def read(number: int) -> Any:
        ready.wait(PATIENCE_S)
        with_others = ["a", f"other {number}"]
        return lambdakit.get_secrets(with_others if number % 2 else ["a"], on_error="omit")["a"]

    with lambdakit.use_environment(env), quick_switches(), ThreadPoolExecutor(THREADS) as pool:
        assert [*pool.map(read, range(THREADS), timeout=PATIENCE_S)] == ["a"] * THREADS
    assert backend.fetched["secret", "a"] == 1


def test_at_most_one_fetch_per_key_is_in_flight_in_several_event_loops() -> None:
    """Tasks of eight loops in eight threads, some of them cancelled on the way."""
    env = env_with(MemoryBackend(), clock=RunningClock(0.01))
    lock = threading.Lock()
    under_way: Counter[str] = Counter()
    counted = {"most": 0, "fetched": 0}

    @lambdakit.cached(ttl=2.0)
    async def fetched(key: str) -> str:
        with lock:
            under_way[key] += 1
            counted["fetched"] += 1
            counted["most"] = max(counted["most"], under_way[key])
        try:
            await asyncio.sleep(0.0005)
            return key
        finally:
            with lock:
                under_way[key] -= 1

    async def tasks() -> int:
        readers = [asyncio.create_task(fetched("abc"[number % 3])) for number in range(150)]
        await asyncio.sleep(0)
        for reader in readers[::10]:
            reader.cancel()
        outcomes = await asyncio.wait_for(asyncio.gather(*readers, return_exceptions=True), PATIENCE_S)
        assert {type(outcome) for outcome in outcomes} <= {str, asyncio.CancelledError}
        return sum(isinstance(outcome, str) for outcome in outcomes)

    with lambdakit.use_environment(env), ThreadPoolExecutor(8) as pool:
        loops = [pool.submit(asyncio.run, tasks()) for _ in range(8)]
        assert [loop.result(PATIENCE_S) for loop in loops] >= [135] * 8
    assert counted["most"] == 1
    assert counted["fetched"] < 8 * 135


# --- bounds


STEPS = st.tuples(
    st.sampled_from("abcdef"),
    st.sampled_from([0, 0, 20, 60]),
    st.sampled_from(["store", "store", "store", "store late", "use", "use", "forget"]),
    st.sampled_from([0.0, 1.0]),  # seconds before it: several steps may fall into one moment
)


@given(st.lists(STEPS, min_size=15, max_size=60), st.integers(0, 4), st.integers(0, 180))
def test_entries_stay_within_both_bounds_and_the_least_used_go_first(
    steps: list[tuple[str, int, str, float]], max_entries: int, max_bytes: int
) -> None:
    """After every store; what goes is what was used longest ago, and no more of it than must.

    The model searches at each eviction. Of those used at the same moment the one stored first goes first.
    """
    entries = Entries(max_entries=max_entries, max_bytes=max_bytes)
    model: dict[str, tuple[float, int, int]] = {}  # last use, number of the store, size
    now_s = 10.0
    for number, (key, size, step, passed_s) in enumerate(steps):
        now_s += passed_s
        entry = entries.get(key)
        if step == "forget":
            assert entries.pop(key) is entry
            model.pop(key, None)
        elif step == "use":
            if entry is not None:
                entry.used_s = now_s
                model[key] = (now_s, *model[key][1:])
        else:
            entry = Entry(key)
            entry.size = size
            used_s = now_s if step == "store" else now_s - 2.5  # as of when it was asked for
            entry.stamp((0.0, used_s), 1.0)
            expected = [key] if model.pop(key, None) else []
            if size <= max_bytes and max_entries:
                while len(model) >= max_entries or sum(size for _, _, size in model.values()) + size > max_bytes:
                    expected.append(min(model, key=lambda key: model[key]))
                    model.pop(expected[-1])
                model[key] = used_s, number, size
            assert [evicted for evicted, _ in entries.put(key, entry)] == expected
        assert sorted(entries) == sorted(model)
        assert entries.size() == sum(entry.size for entry in entries.values()) <= max_bytes
        assert len(entries) <= max_entries


@pytest.mark.parametrize(("stored", "kept"), [(2, 2), (3, 3), (4, 3)])
def test_values_are_bounded_by_number(stored: int, kept: int) -> None:
    """Below the limit and at it all are kept, past it one goes: the one whose last use is longest ago."""
    backend = MemoryBackend(secrets={str(number): "v" for number in range(stored)})
    clock = ManualClock()
    env = env_with(backend, clock=clock, max_entries=3)
    with lambdakit.use_environment(env):
        for name in [*backend.secrets, "0"]:  # the first is read again
            clock.tick(1)
            lambdakit.get_secret(name)
        assert lambdakit.stats()["entries"] == kept
        before = len(backend.calls)
        for name in [*backend.secrets][-2:]:
            lambdakit.get_secret(name)
        assert len(backend.calls) == before


@pytest.mark.parametrize(("spare", "kept"), [(1, 2), (0, 2), (-1, 1)])
def test_values_are_bounded_by_bytes(spare: int, kept: int) -> None:
    """Two values of one size, and room for both, for both just so, for one and almost another."""
    value = "v" * 1000
    backend = MemoryBackend(secrets={"a": value, "b": value})
    env = env_with(backend, max_bytes=2 * sys.getsizeof(value) + spare)
    with lambdakit.use_environment(env):
        assert lambdakit.get_secrets(["a", "b"]) == backend.secrets
        stats = lambdakit.stats()
    assert (stats["entries"], stats["bytes"]) == (kept, kept * sys.getsizeof(value))


@pytest.mark.parametrize(("more", "kept"), [(-1, 1), (0, 1), (1, 0)])
def test_a_value_larger_than_the_bound_is_served_and_not_kept(more: int, kept: int) -> None:
    """And what was kept for others stays; a fetch of it each time is the price."""
    value = "v" * 1000
    backend = MemoryBackend(secrets={"large": value, "other": ""})
    env = env_with(backend, max_bytes=sys.getsizeof(value) - more)
    with lambdakit.use_environment(env):
        assert [lambdakit.get_secret("large") for _ in range(3)] == [value] * 3
        assert lambdakit.stats()["entries"] == kept
        assert len(backend.calls) == (1 if kept else 3)


def test_a_secret_of_64_kb_is_fine() -> None:
    """The largest that Secrets Manager keeps: a hundred of them are within the default bounds."""
    value = "v" * 65_536
    backend = MemoryBackend(secrets={str(number): value for number in range(100)})
    with lambdakit.use_environment(env_with(backend)):
        for _ in range(2):
            assert lambdakit.get_secrets([*backend.secrets]) == backend.secrets
        assert len(backend.calls) == 5
        assert lambdakit.stats()["entries"] == 100


# --- back-off


@example_settings(max_examples=20)
@given(st.sampled_from([0.0, 0.4, 0.999]), st.floats(0.2, 0.9), st.booleans())
def test_attempts_after_a_failure_are_further_and_further_apart(random: float, step_s: float, frozen: bool) -> None:
    """1 s, 2, 4, 8, 16, 30, 30, each up to a quarter more and 30 at most, and stale values meanwhile."""
    clock = ManualClock(wall_s=0.0, chance=random)
    backend = MemoryBackend(secrets={"x": "old"})
    env = env_with(backend, clock=clock)
    attempts: list[float] = []
    with lambdakit.use_environment(env):
        lambdakit.get_secret("x")
        clock.tick(301)
        backend.secrets["x"] = ConnectionResetError("down")
        while len(attempts) < 8:
            backend.calls.clear()
            assert lambdakit.get_secret("x") == "old"
            attempts += [clock.wall_s] * len(backend.calls)
            (clock.suspend if frozen else clock.tick)(step_s)  # frozen time counts
        backend.secrets["x"] = "new"
        clock.tick(30)
        assert lambdakit.get_secret("x") == "new"
        clock.tick(301)
        backend.secrets["x"] = ConnectionResetError("down again")
        backend.calls.clear()
        for _ in range(2):
            assert lambdakit.get_secret("x") == "new"
            clock.tick(1.5)
        assert len(backend.calls) == 2  # it begins with a second again
    waits = [later - earlier for earlier, later in pairwise(attempts)]
    for wait, least in zip(waits, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0], strict=True):
        most = min(30.0, least * (1.0 + 0.25 * random))
        assert most - 1e-6 <= wait <= most + step_s + 1e-6


def test_environments_born_together_do_not_refresh_together() -> None:
    """Each draws once when it stores: up to a tenth of the ttl earlier, and all of one batch together."""
    ends = set()
    for random in (0.0, 0.25, 0.5, 0.75, 0.999):
        clock = ManualClock(chance=random)
        backend = MemoryBackend(secrets={"a": "1", "b": "2"})
        with lambdakit.use_environment(env_with(backend, clock=clock)):
            lambdakit.get_secrets(["a", "b"])
            clock.random_value = 0.5  # it is fixed by now
            passed = 0
            while len(backend.calls) == 1:
                clock.tick(1)
                passed += 1
                lambdakit.get_secrets(["a", "b"])
            assert backend.calls == [("secrets", "a, b")] * 2
            assert 270 <= passed <= 300
            ends.add(passed)
    assert len(ends) == 5


def test_what_was_fetched_together_is_refreshed_together() -> None:
    """With chance as it is: a batch expires as one, and costs one call again."""

    class RandomClock(ManualClock):
        def random(self) -> float:
            return Clock.random(self)

    clock = RandomClock()
    backend = MemoryBackend(parameters={f"/{number}": "v" for number in range(10)})
    with lambdakit.use_environment(env_with(backend, clock=clock)):
        for _ in range(301):
            lambdakit.get_parameters([*backend.parameters])
            clock.tick(1)
    assert backend.calls == [("parameters", ", ".join(backend.parameters))] * 2


# --- errors of preload


def preloaded(backend: MemoryBackend, **settings: Any) -> Environment:
    """An environment in which the preload of a secret, a parameter and a path has failed for good."""
    for values, name in ((backend.secrets, "x"), (backend.parameters, "/p/x")):
        values[name] = AccessDeniedError("denied", service="s", operation="o", name=name)
    env = env_with(backend, clock=ManualClock(), **settings)
    env.preload(lambdakit.secret("x"), lambdakit.parameter("/p/x"), lambdakit.parameters("/p"))
    backend.secrets["x"] = backend.parameters["/p/x"] = "v"
    return env


READS: list[Callable[[], Any]] = [
    lambda: lambdakit.get_secret("x"),
    lambda: lambdakit.get_parameter("/p/x"),
    lambda: lambdakit.get_parameters_by_path("/p"),
]


@pytest.mark.parametrize("read", READS)
def test_an_error_of_preload_is_raised_once(read: Callable[[], Any]) -> None:
    """At the first use; the next one asks again."""
    with lambdakit.use_environment(preloaded(MemoryBackend())):
        with pytest.raises(AccessDeniedError):
            read()
        assert "v" in str(read())


@pytest.mark.parametrize("forget", [lambda: lambdakit.invalidate("x"), lambda: lambdakit.clear()])  # noqa: PLW0108 - alike
def test_an_error_of_preload_is_forgotten_with_the_value(forget: Callable[[], Any]) -> None:
    """Whoever forgets a value wants to hear of it anew."""
    with lambdakit.use_environment(preloaded(MemoryBackend())):
        forget()
        assert lambdakit.get_secret("x") == "v"


def test_an_error_of_preload_is_not_raised_after_a_forced_fetch() -> None:
    """The value has come since, and an old error says nothing of a new one."""
    with lambdakit.use_environment(preloaded(MemoryBackend(secrets={"other": "o"}), max_entries=1)):
        assert lambdakit.get_secret("x", force_fetch=True) == "v"
        assert lambdakit.get_secret("other") == "o"  # for which the other has to go
        assert lambdakit.get_secret("x") == "v"


def test_invalidating_a_parameter_forgets_the_paths_it_is_in() -> None:
    """And their errors; a path that only begins alike, and values of other names, stay."""
    backend = MemoryBackend(parameters={"/p/x": "1", "/px/y": "2"}, secrets={"s": "3"})
    with lambdakit.use_environment(env_with(backend)):
        for _ in range(2):
            lambdakit.get_parameters_by_path("/p")
            lambdakit.get_parameters_by_path("/")
            lambdakit.get_parameters_by_path("/px")
            lambdakit.get_secret("s")
            backend.parameters["/p/x"] = "new"
            lambdakit.invalidate("/p/x")
        assert lambdakit.get_parameters_by_path("/p") == {"/p/x": "new"}
        lambdakit.invalidate("/px/y")
        assert lambdakit.get_parameters_by_path("/p") == {"/p/x": "new"}
    assert Counter(backend.calls) == {("path", "/p"): 3, ("path", "/"): 2, ("path", "/px"): 1, ("secret", "s"): 1}
    with lambdakit.use_environment(preloaded(MemoryBackend())):
        lambdakit.invalidate("/p/x")
        assert lambdakit.get_parameters_by_path("/p") == {"/p/x": "v"}


def test_a_list_knows_the_newest_value_also_after_a_wall_clock_was_set_back() -> None:
    """A single fetch from before is older than the list, whatever the wall clock says."""
    clock = ManualClock()
    backend = MemoryBackend(parameters={"/p/x": "old"})
    with lambdakit.use_environment(env_with(backend, clock=clock)):
        lambdakit.get_parameter("/p/x")
        backend.parameters["/p/x"] = "new"
        clock.set_wall(clock.wall_s - 3600)
        clock.tick(1)
        assert lambdakit.get_parameters_by_path("/p") == {"/p/x": "new"}
        assert lambdakit.get_parameter("/p/x") == "new"


@pytest.mark.parametrize("path", ["p", "p/x", " /p"])
def test_a_path_begins_with_a_slash(path: str) -> None:
    """Parameter Store has no others; nothing is asked."""
    backend = MemoryBackend()
    with lambdakit.use_environment(env_with(backend)), pytest.raises(ConfigurationError, match="begins with a slash"):
        lambdakit.get_parameters_by_path(path)
    assert backend.calls == []
