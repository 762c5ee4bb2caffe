"""The cache against a model of what its documentation says, through any history."""

import json
import logging
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import lambdakit
from lambdakit import Environment, Settings
from lambdakit.exceptions import (
    AccessDeniedError,
    BatchError,
    DeadlineExceededError,
    FetchError,
    LambdakitError,
    NetworkError,
    NotFoundError,
    ServiceError,
    ThrottledError,
)
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

MOST = 3  # entries, of eight keys
TRANSIENT = (ThrottledError, ServiceError, NetworkError, DeadlineExceededError, ConnectionResetError)
PERMANENT = (AccessDeniedError, NotFoundError, FetchError)


class Kept:
    """A value in memory."""

    def __init__(self, value: str, stored: tuple[float, float], share: float) -> None:
        self.value, self.stored, self.used, self.share = value, stored, stored, share
        self.hits, self.failures, self.failed, self.wait_s, self.warned = 0, 0, stored, 0.0, False
        self.made: dict[str, int] = {}  # fields and results, by name: their bytes


class Model:
    """What a cache does, without threads."""

    def __init__(self) -> None:
        self.kept: dict[Any, Kept] = {}
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.warnings: list[str] = []

    def get(self, answers: dict[Any, Any], start: Any, end: Any, random: float, **reader: Any) -> dict[Any, Any]:
        """The value or the class of the error of each key; `answers` are what the backend would say."""
        outcomes, wanted = {}, []
        for key in answers:
            kept = None if reader["forced"] else self.kept.get(key)
            if kept and fresh(kept, start, reader):
                kept.hits, kept.used, outcomes[key] = kept.hits + 1, start, kept.value
            elif kept and may_serve(kept, start, reader) and age(kept.failed, start) < kept.wait_s:
                outcomes[key] = self.serve(key, start)
            else:
                wanted.append(key)
        if reader["late"]:
            answers = dict.fromkeys(wanted, DeadlineExceededError)  # nothing begins, nothing is counted
        else:
            for key in wanted:
                self.fetched(key, answers[key], start, end, random)
        for key in wanted:
            kept, spared = self.kept.get(key), answers[key] in TRANSIENT and not reader["forced"]
            if spared and kept and fresh(kept, end, reader):
                outcomes[key] = kept.value  # a wall clock that had been set back has caught up meanwhile
            elif spared and kept and may_serve(kept, end, reader):
                outcomes[key] = self.serve(key, end)
            else:
                outcomes[key] = answers[key]
        return outcomes

    def fetched(self, key: Any, answer: Any, start: Any, end: Any, random: float) -> None:
        self.counts[called(key)].update(fetches=1, errors=int(not isinstance(answer, str)))
        kept = self.kept.get(key)
        if isinstance(answer, str):
            self.forget(key)
            if len(self.kept) == MOST:
                self.forget(min(self.kept, key=lambda key: self.kept[key].used[1]))
            self.kept[key] = Kept(answer, start, 1.0 - 0.1 * random)
        elif kept and answer in TRANSIENT:
            kept.failed, kept.wait_s = end, min(30.0, 2.0 ** min(kept.failures, 9) * (1.0 + 0.25 * random))
            kept.failures += 1

    def serve(self, key: Any, now: Any) -> str:
        kept = self.kept[key]
        self.counts[called(key)]["stale"] += 1
        if kept.failures and not kept.warned:
            self.warnings.append(called(key))
            kept.warned = True
        kept.used = now
        return kept.value

    def forget(self, key: Any) -> None:
        if key in self.kept:
            self.counts[called(key)]["hits"] += self.kept.pop(key).hits

    def clear(self) -> None:
        for key in [*self.kept]:
            self.forget(key)

    def fetches(self) -> int:
        return sum(counts["fetches"] for counts in self.counts.values())


def called(key: Any) -> str:
    return f"{key[0]} {key[1]!r}"


def age(since: tuple[float, float], now: tuple[float, float]) -> float:
    return float("inf") if now[0] < since[0] else max(now[0] - since[0], now[1] - since[1])


def fresh(kept: Kept, now: tuple[float, float], reader: dict[str, Any]) -> bool:
    return age(kept.stored, now) < reader["ttl"] * kept.share


def may_serve(kept: Kept, now: tuple[float, float], reader: dict[str, Any]) -> bool:
    # A wall clock that was set back tells nothing: the other one decides then.
    known = max(now[0] - kept.stored[0], now[1] - kept.stored[1])
    return reader["stale_ttl"] > 0 and bool(known < reader["ttl"] * kept.share + reader["stale_ttl"])


class Flaky(MemoryBackend):
    """Takes its time, and fails for the names that it was told."""

    def __init__(self, clock: ManualClock, names: dict[str, list[str]]) -> None:
        super().__init__(secrets=dict.fromkeys(names["secret"], ""), parameters=dict.fromkeys(names["parameter"], ""))
        self.clock = clock
        self.takes_s = 0.0
        self.errors: dict[str, type[Exception]] = {}

    def answer(self, name: str) -> Any:
        return self.errors.get(name) or (self.secrets | self.parameters)[name]

    def _value(self, kind: str, name: str, *others: Any) -> Any:
        if name in self.errors:
            raise made(self.errors[name])
        return super()._value(kind, name, *others)

    def get_secret(self, *args: Any, **options: Any) -> Any:
        self.clock.tick(self.takes_s)
        return super().get_secret(*args, **options)

    def get_parameter(self, *args: Any, **options: Any) -> Any:
        self.clock.tick(self.takes_s)
        return super().get_parameter(*args, **options)

    def get_secrets(self, *args: Any, **options: Any) -> Any:
        self.clock.tick(self.takes_s)
        return super().get_secrets(*args, **options)

    def get_parameters(self, *args: Any, **options: Any) -> Any:
        self.clock.tick(self.takes_s)
        return super().get_parameters(*args, **options)


def made(kind: type[Exception]) -> Exception:
    if issubclass(kind, FetchError):
        return kind("made up", service="s", operation="o", name="n", code="Code")
    return kind("made up")


class Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        assert "could not be refreshed" in said
        self.names.append(said.partition(" could not")[0])


NAMES = {"secret": ["a", "b"], "parameter": ["/a", "/b"]}
REGION = "eu-west-1"
ONE_NAME = st.sampled_from([(kind, name) for kind, names in NAMES.items() for name in names])
SECONDS = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.75, 15.0, 30.0, 57.0, 285.0, 300.0, 3600.0, 90_000.0])
FORMS: list[tuple[dict[str, Any], Any]] = [
    ({}, str),
    ({"transform": "json"}, json.loads),
    ({"field": "n"}, lambda text: json.loads(text)["n"]),
    ({"transform": len}, len),
]
ONE_IN_TEN = st.integers(0, 9).map(lambda number: number == 0)
RANDOM = st.sampled_from([0.0, 0.5, 0.999])
READERS = st.fixed_dictionaries(
    {
        "ttl": st.sampled_from([None, None, 0, 5, 60.0, float("inf")]),
        "stale_ttl": st.sampled_from([None, None, 0, 30, float("inf")]),
        "region": st.sampled_from([None, None, REGION, "us-east-1"]),
        "late": ONE_IN_TEN,
        "takes_s": st.sampled_from([0.0, 0.0, 0.5, 7.0]),
    }
)


class CacheMachine(RuleBasedStateMachine):
    """Readers, clocks, failures, rotations, and everything that forgets."""

    @initialize(random=RANDOM)
    def begin(self, random: float) -> None:
        self.clock = ManualClock(chance=random)
        self.backend = Flaky(self.clock, NAMES)
        self.rotations = 0
        for kind, names in NAMES.items():
            for name in names:
                self.rotate((kind, name))
        settings = Settings(region=REGION, max_entries=MOST)
        self.env = Environment(settings=settings, clock=self.clock, backend=self.backend)
        self.model = Model()
        self.heard = Warnings()
        logging.getLogger("lambdakit").addHandler(self.heard)

    def teardown(self) -> None:
        logging.getLogger("lambdakit").removeHandler(self.heard)

    def _compare(
        self,
        keys: list[Any],
        read: Callable[..., dict[str, Any]],
        *,
        seen: Callable[[str], Any],
        region: str | None,
        takes_s: float,
        ttl: float | None,
        stale_ttl: float | None,
        late: bool,
        forced: bool = False,
    ) -> dict[Any, Any]:
        """`read` gives a value or an error's class by name, and so does the model, whose values are `seen` so."""
        self.backend.takes_s = takes_s
        self.backend.calls.clear()
        counted = self.model.fetches()
        start = self.clock.now()
        with lambdakit.use_environment(self.env):
            handler = lambdakit.handler(lambda event, context: read(ttl=ttl, stale_ttl=stale_ttl, region=region))
            outcomes = handler({}, FakeContext(remaining_s=0.2 if late else 900.0))
        expected = self.model.get(
            {key: self.backend.answer(key[1]) for key in keys},
            start,
            self.clock.now(),
            self.clock.random_value,
            ttl=300.0 if ttl is None else ttl,
            stale_ttl=3600.0 if stale_ttl is None else stale_ttl,
            late=late,
            forced=forced,
        )
        assert outcomes == {
            key[1]: seen(outcome) if isinstance(outcome, str) else outcome for key, outcome in expected.items()
        }
        assert len(self.backend.calls) == min(1, self.model.fetches() - counted)  # names of a batch share a call
        return expected

    @rule(which=ONE_NAME, form=st.sampled_from(FORMS), forced=ONE_IN_TEN, reader=READERS)
    def get(self, which: Any, form: Any, forced: bool, reader: dict[str, Any]) -> None:
        (kind, name), (options, seen) = which, form

        def read(**reader: Any) -> dict[str, Any]:
            getter = lambdakit.get_secret if kind == "secret" else lambdakit.get_parameter
            try:
                return {name: getter(name, **options, **reader, force_fetch=forced)}
            except (LambdakitError, ConnectionResetError) as error:
                return {name: type(error)}

        key = (kind, name, reader["region"] or REGION)
        outcome = self._compare([key], read, seen=seen, forced=forced, **reader)[key]
        made = options.get("field") or options.get("transform", "json")
        if isinstance(outcome, str) and made != "json":  # that is made for each reader
            self.model.kept[key].made[str(made)] = sys.getsizeof(seen(outcome))

    @rule(kind=st.sampled_from([*NAMES]), reader=READERS, backwards=st.booleans(), as_json=st.booleans())
    def get_batch(self, kind: str, reader: dict[str, Any], backwards: bool, as_json: bool) -> None:
        names = NAMES[kind][:: -1 if backwards else 1]

        def read(**reader: Any) -> dict[str, Any]:
            getter = lambdakit.get_secrets if kind == "secret" else lambdakit.get_parameters
            try:
                return getter(names, transform="json" if as_json else None, **reader)
            except BatchError as error:
                return error.values | {name: type(error) for name, error in error.errors.items()}

        keys = [(kind, name, reader["region"] or REGION) for name in names]
        self._compare(keys, read, seen=json.loads if as_json else str, **reader)

    @rule(seconds=SECONDS)
    def tick(self, seconds: float) -> None:
        self.clock.tick(seconds)

    @rule(seconds=SECONDS)
    def suspend(self, seconds: float) -> None:
        self.clock.suspend(seconds)

    @rule(seconds=SECONDS)
    def set_the_wall_clock_back(self, seconds: float) -> None:
        self.clock.set_wall(self.clock.wall_s - seconds)

    @rule(random=RANDOM)
    def draw(self, random: float) -> None:
        self.clock.random_value = random

    @rule(which=ONE_NAME, error=st.sampled_from(TRANSIENT + PERMANENT))
    def fail(self, which: Any, error: type[Exception]) -> None:
        self.backend.errors[which[1]] = error

    @rule(error=st.sampled_from(TRANSIENT))
    def all_fail(self, error: type[Exception]) -> None:
        self.backend.errors = dict.fromkeys([*self.backend.secrets, *self.backend.parameters], error)

    @rule()
    def recover(self) -> None:
        self.backend.errors.clear()

    @rule(which=ONE_NAME)
    def rotate(self, which: Any) -> None:
        self.rotations += 1
        values = self.backend.secrets if which[0] == "secret" else self.backend.parameters
        values[which[1]] = json.dumps({"n": self.rotations})

    @rule(which=ONE_NAME)
    def invalidate(self, which: Any) -> None:
        with lambdakit.use_environment(self.env):
            lambdakit.invalidate(which[1])
        for key in [key for key in self.model.kept if key[1] == which[1]]:
            self.model.forget(key)

    @rule()
    def clear(self) -> None:
        with lambdakit.use_environment(self.env):
            lambdakit.clear()
        self.model.clear()

    @rule(seconds=SECONDS)
    def snapshot_and_restore(self, seconds: float) -> None:
        self.env._renew()
        self.clock.suspend(seconds)
        self.env._become_another()
        self.model.clear()

    @rule()
    def fork(self) -> None:
        self.env._after_fork_in_child()
        self.model.kept.clear()
        self.model.counts.clear()

    @invariant()
    def warnings_are_the_models(self) -> None:
        assert self.heard.names == self.model.warnings

    @invariant()
    def stats_are_the_models(self) -> None:
        with lambdakit.use_environment(self.env):
            stats: dict[str, Any] = {**lambdakit.stats()}
        keys = stats.pop("keys")
        names = ("hits", "fetches", "stale", "errors", "waits")
        expected = {name: dict.fromkeys(names, 0) | counts for name, counts in self.model.counts.items()}
        for key, kept in self.model.kept.items():
            expected[called(key)]["hits"] += kept.hits
        assert keys == expected
        assert stats == {
            **{name: sum(counts[name] for counts in expected.values()) for name in names},
            "entries": len(self.model.kept),
            "bytes": sum(sys.getsizeof(kept.value) + sum(kept.made.values()) for kept in self.model.kept.values()),
        }


TestCacheMachine = CacheMachine.TestCase


def test_a_wall_clock_that_catches_up_during_a_fetch_that_fails() -> None:
    """The value that was no longer fresh is so again by then: it is served, and not as a stale one."""
    state = CacheMachine()
    state.begin(random=0.0)
    reader = {"ttl": None, "stale_ttl": None, "region": None, "late": False, "takes_s": 0.0}
    try:
        state.get(which=("parameter", "/b"), form=({}, str), forced=True, reader=reader)
        state.all_fail(error=ThrottledError)
        state.set_the_wall_clock_back(seconds=0.25)
        state.get(which=("parameter", "/b"), form=({}, str), forced=False, reader=reader | {"takes_s": 0.5})
        assert state.model.counts["parameter '/b'"] == {"fetches": 2, "errors": 1}
        state.stats_are_the_models()
        state.warnings_are_the_models()
    finally:
        state.teardown()
