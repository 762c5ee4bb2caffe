"""The environment: one owner, swapped only by `use_environment`."""

import contextvars
import logging
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Self

import pytest
from snapshots import restore, snapshot

import lambdakit
from lambdakit import ConfigurationError, Environment, LambdakitError, Settings, _environment
from lambdakit._backends import Backends
from lambdakit._diagnostics import warn
from lambdakit._environment import part
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend


def test_a_process_has_one_environment(env: Environment) -> None:
    """Made at first use, by whichever thread comes first; the same for everyone. In a fresh process."""
    code = """
import threading, lambdakit
from concurrent.futures import ThreadPoolExecutor
barrier = threading.Barrier(8)
def first(_):
    barrier.wait(10)
    return lambdakit.environment()
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(first, range(8)))
print(len({id(env) for env in found}), type(found[0]).__name__, lambdakit.environment() is found[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["1", "Environment", "True"]
    assert _environment._first() is env  # as for a thread that came second


def test_use_environment_nests_and_restores(env: Environment) -> None:
    """Also when the block raises."""
    one, two = Environment(), Environment()
    with lambdakit.use_environment(one) as used:
        assert used is lambdakit.environment() is one
        with pytest.raises(ZeroDivisionError), lambdakit.use_environment(two):
            assert lambdakit.environment() is two
            raise ZeroDivisionError
        assert lambdakit.environment() is one
    assert lambdakit.environment() is env


@pytest.mark.parametrize("given", [MemoryBackend(), Environment, None])
def test_what_is_no_environment_is_not_used(given: Any, env: Environment) -> None:
    """It is told where it stands, and what was in use still is."""
    with (
        pytest.raises(ConfigurationError, match=r"^use_environment: give an Environment, not (MemoryB|type|NoneT)"),
        lambdakit.use_environment(given),
    ):
        pytest.fail("not reached")
    assert lambdakit.environment() is env


def test_invocations_are_numbered() -> None:
    """From 1, in the order in which they begin; the first is cold."""
    env = Environment(settings=Settings(init_type="on-demand"))
    kinds = []
    for _ in range(3):
        invocation = env._begin(None)
        kinds.append((invocation.number, invocation.start_kind))
        env._end(invocation)
    assert kinds == [(1, "cold"), (2, "warm"), (3, "warm")]
    assert env.invocations == 3


def test_a_ping_before_makes_the_first_invocation_warm() -> None:
    """No user waited for this start."""
    env = Environment(settings=Settings(init_type="on-demand"))
    env.pings += 1
    assert env._begin(None).start_kind == "warm"


def test_init_to_invoke_counts_from_the_end_of_init() -> None:
    """Suspended time included: this is how a proactive start shows."""
    clock = ManualClock()
    env = Environment(clock=clock)
    clock.tick(1)
    with lambdakit.use_environment(env):
        lambdakit.handler(lambda event, context: None)
    clock.suspend(60)
    assert env._begin(None).init_to_invoke_s == 60


def test_outside_an_invocation(env: Environment) -> None:
    """None, False, and a clear error where a record is asked for."""
    assert env._current() is None
    assert env._left_s() is None
    assert lambdakit.remaining_s() is None
    assert lambdakit.is_cold_start() is False
    with pytest.raises(LambdakitError, match=r"no invocation is running.*@lambdakit\.handler"):
        lambdakit.invocation()


def test_inside_an_invocation(env: Environment) -> None:
    """The record, the remaining time, and what of it I/O may take."""
    invocation = env._begin(FakeContext(remaining_s=2.0))
    assert lambdakit.invocation() is invocation
    assert lambdakit.is_cold_start() is True
    assert lambdakit.remaining_s() == 2.0
    assert env._left_s() == 1.75
    env._end(invocation)
    assert env._current() is None


def test_a_context_without_time_limits_nothing(env: Environment) -> None:
    """As in a test that passes None."""
    env._begin(None)
    assert lambdakit.remaining_s() is None
    assert env._left_s() is None


def test_a_thread_of_the_handler_belongs_to_its_invocation(env: Environment) -> None:
    """It has a context of its own, and there is one invocation only."""
    with ThreadPoolExecutor(1) as pool:
        invocation = env._begin(None)
        assert pool.submit(env._current).result(10) is invocation


def test_concurrent_invocations_see_themselves(env: Environment) -> None:
    """Each context has its own; a thread that could belong to either has none."""
    one, two = contextvars.copy_context(), contextvars.copy_context()
    first, second = one.run(env._begin, None), two.run(env._begin, None)
    assert (one.run(env._current), two.run(env._current)) == (first, second)
    assert env._current() is None
    two.run(env._end, second)
    assert two.run(env._current) is first
    one.run(env._end, first)
    assert one.run(env._current) is None


def test_an_invocation_of_another_environment_is_not_seen(env: Environment) -> None:
    """A fresh environment inside a handler starts outside of any invocation."""
    env._begin(None)
    with lambdakit.use_environment(Environment()) as fresh:
        assert fresh._current() is None
        invocation = fresh._begin(None)
        assert fresh._current() is invocation


def test_nested_invocations_restore_the_outer_one(env: Environment) -> None:
    """A handler that calls another with a context of its own."""
    outer = env._begin("outer")
    inner = env._begin("inner")
    assert env._current() is inner
    env._end(inner)
    assert env._current() is outer
    contextvars.copy_context().run(env._begin, "beside")
    assert env._current() is outer


def test_close_drops_values_and_connections_and_leaves_it_usable() -> None:
    """What was fetched is fetched again."""
    backend = MemoryBackend(secrets={"x": "1"})
    env = Environment(backend=backend)
    with lambdakit.use_environment(env):
        lambdakit.get_secret("x")
        lambdakit.client("sqs")
        assert "values=1 clients=1" in repr(env)
        env.close()
        assert "values=0 clients=0" in repr(env)
        lambdakit.get_secret("x")
    assert len(backend.calls) == 2


class Part:
    """What a feature keeps, with every hook that an environment knows; `told` are the calls of all of them."""

    told: ClassVar[list[str]] = []

    @classmethod
    def of(cls, env: Environment) -> Self:
        cls.told.append(f"{cls.__name__} made")
        return cls()

    def _tell(self, what: str) -> None:
        self.told.append(f"{type(self).__name__} {what}")

    def on_start(self, invocation: Any, now: Any) -> None:
        self._tell(f"start {invocation.number}")

    def on_end(self, invocation: Any) -> None:
        self._tell(f"end {invocation.number}")

    def on_ping(self, now: Any, within_s: float) -> None:
        self._tell("ping")

    def close_idle(self, now: Any) -> float | None:
        self._tell("close idle")
        return None

    def close(self) -> None:
        self._tell("close")

    def after_fork_in_child(self) -> bool:
        self._tell("fork")
        return True

    def status(self) -> dict[str, object]:
        return {type(self).__name__: 1}


class Renews(Part):
    """One that closes other things around a snapshot than at the end, and after all others."""

    CLOSES_LAST = True

    def renew(self) -> None:
        self._tell("renew")


class Without:
    """One that no hook of an environment concerns."""

    @classmethod
    def of(cls, env: Environment) -> Self:
        return cls()


@pytest.fixture
def told() -> list[str]:
    Part.told.clear()
    return Part.told


@pytest.mark.parametrize("kind", [Part, Without])
def test_a_part_is_made_once_for_all_threads(env: Environment, kind: type[Any], told: list[str]) -> None:
    """At its first use, by whichever thread comes first; not by who only looks whether it is there."""
    barrier = threading.Barrier(8)
    assert env._parts.peek(kind) is None

    def first(_: int) -> object:
        barrier.wait(10)
        return part(kind)

    with ThreadPoolExecutor(8) as pool:
        (one,) = {*pool.map(first, range(8))}
    assert env._parts.peek(kind) is env._parts[kind] is one
    assert len(told) <= 1


def test_a_part_that_another_thread_makes_meanwhile(env: Environment) -> None:
    """It is seen once the lock is had."""

    class Made(dict[Any, Any]):
        def get(self, kind: Any, default: Any = None) -> Any:
            self.setdefault(kind, "the other thread's")
            return None if self.pop("first", None) else self[kind]

    env._parts.made = Made(first=True)
    assert env._parts[Part] == "the other thread's"  # type: ignore[comparison-overlap]


def test_parts_are_told_what_happens(env: Environment, told: list[str]) -> None:
    """Each by the hooks that it has, in the order in which they were made; closed in reverse, the last one last."""
    for kind in (Renews, Part, Without):
        part(kind)
    fn = lambdakit.handler(lambda event, context: None)
    told.clear()
    fn({}, None)
    fn({"warmer": True}, None)
    env.close()
    env._renew()
    env._after_fork_in_child()
    assert told == [
        "Renews close idle",
        "Part close idle",
        "Renews start 1",
        "Part start 1",
        "Renews end 1",
        "Part end 1",
        "Renews start 0",
        "Part start 0",
        "Renews ping",
        "Part ping",
        "Part close",
        "Renews close",
        "Part close",
        "Renews renew",
        "Renews fork",
        "Part fork",
    ]
    assert repr(env).endswith("Renews=1 Part=1>")


@pytest.mark.parametrize(
    ("wall_s", "monotonic_s", "asked"),
    [(19.0, 19.0, False), (20.0, 0.0, True), (0.0, 20.0, True), (-2.0, 0.0, True), (-0.5, 0.0, False)],
)
def test_when_parts_are_asked_for_what_is_idle(told: list[str], wall_s: float, monotonic_s: float, asked: bool) -> None:
    """Once so much time has passed by either clock, or when the wall clock is set back; not in each invocation."""
    clock = ManualClock()
    env = Environment(clock=clock)
    _ = env._parts[Part]
    env._begin(None)
    clock.tick(0.1)
    env._begin(None)
    told.clear()
    clock.tick(-0.1)
    clock.wall_s += wall_s
    clock.monotonic_s += monotonic_s
    env._begin(None)
    assert ("Part close idle" in told) is asked


def test_a_coroutine_that_calls_another_handler_goes_on_as_itself(env: Environment) -> None:
    """With a context of its own, while others run: each sees its invocation, before it is awaited and after."""
    seen: list[Any] = []

    @lambdakit.handler
    async def inner(event: Any, context: Any) -> None:
        seen.append(lambdakit.invocation().context)

    @lambdakit.handler
    async def outer(event: Any, context: Any) -> None:
        awaitable = inner({}, "inner")
        seen.append(lambdakit.invocation().context)
        await awaitable
        seen.append(lambdakit.invocation().context)

    beside = contextvars.copy_context().run(env._begin, "beside")
    outer({}, "outer")
    env._end(beside)
    assert seen == ["outer", "inner", "outer"]


def test_an_environment_that_was_not_used_closes() -> None:
    """Nothing is made in order to be closed."""
    env = Environment()
    env.close()
    assert env._parts.made == {}


def test_repr_counts_what_it_holds(env: Environment) -> None:
    """By number, never a value; the backend by its name, and by what it does once it is in use. Nothing is made."""
    assert repr(env) == f"<Environment {env.id} invocations=0 pings=0 backend=auto>"
    assert env._parts.made == {}
    own = Environment(backend=MemoryBackend(secrets={"x": "planted"}))
    with lambdakit.use_environment(own):
        assert repr(own).endswith("backend=memory>")
        lambdakit.get_secret("x")
        lambdakit.client("sqs")
        assert repr(own).endswith("backend=memory values=1 clients=1>")
    own.close()


def test_ids_differ() -> None:
    """Eight characters, to tell environments apart in logs."""
    ids = {Environment().id for _ in range(50)}
    assert len(ids) == 50
    assert {len(one) for one in ids} == {8}


def test_a_warning_goes_to_the_logger_lambdakit(caplog: pytest.LogCaptureFixture) -> None:
    """With arguments formatted by logging."""
    with caplog.at_level(logging.WARNING):
        warn("%s of %d", "one", 2)
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        ("lambdakit", "WARNING", "one of 2")
    ]


def test_problems_of_the_settings_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """When the environment is made; the rest of them is as it should be."""
    env = Environment(settings=Settings.from_environ({"LAMBDAKIT_TTL": "soon", "AWS_REGION": "eu-west-1"}))
    assert (env.settings.region, env.settings.ttl_s) == ("eu-west-1", 300.0)
    assert [record.getMessage() for record in caplog.records] == [
        "LAMBDAKIT_TTL='soon' is not a number of seconds >= 0; using the default, 300"
    ]


@pytest.mark.parametrize(
    ("name", "made"), [("direct", "direct"), ("sdk", "sdk"), ("auto", "direct"), ("extension", "extension")]
)
def test_a_backend_is_made_by_its_name(name: str, made: str) -> None:
    """By argument or by setting; at the first use, once for all threads; closed it can be used again."""
    barrier = threading.Barrier(8)
    for env in (Environment(backend=name), Environment(settings=Settings(backend=name, region="eu-west-1"))):

        def first(_: int, env: Environment = env) -> object:
            barrier.wait(10)
            return env._parts[Backends].backend

        with ThreadPoolExecutor(8) as pool:
            assert len({id(backend) for backend in pool.map(first, range(8))}) == 1
        assert env._parts[Backends].backend.name == made
        env.close()
        assert env._parts[Backends].backend.name == made


def test_a_backend_of_no_known_name_is_refused() -> None:
    """At once, with what there is; the argument goes before the setting."""
    with pytest.raises(ConfigurationError, match="backend='boto': give one of auto, direct, sdk, extension, or an obj"):
        Environment(backend="boto")
    with pytest.raises(ConfigurationError, match=r"^backend: give an object, not the class MemoryBackend$"):
        Environment(backend=MemoryBackend)  # type: ignore[arg-type]
    given = MemoryBackend()
    assert Environment(settings=Settings(backend="sdk"), backend=given)._parts[Backends].backend is given


def test_an_extension_knows_whether_an_invocation_runs() -> None:
    """It serves in invocations only."""
    env = Environment(backend="extension")
    backend: Any = env._parts[Backends].backend
    assert backend._invoking() is False
    invocation = env._begin(None)
    assert backend._invoking() is True
    env._end(invocation)
    assert backend._invoking() is False


def test_before_a_snapshot_everything_that_is_secret_is_dropped() -> None:
    """Values and connections; clients stay the same objects. An environment that was not used has nothing to drop."""
    env = Environment(backend=MemoryBackend(secrets={"x": "1"}))
    with lambdakit.use_environment(env):
        snapshot()
        assert env._parts.made == {}
        client = lambdakit.client("sqs")
        lambdakit.get_secret("x")
        snapshot()
        assert (lambdakit.secret("x").state, lambdakit.client("sqs") is client) == ("absent", True)
        assert "values=0" in repr(env)
    env.close()


def test_after_a_restore_it_is_another_environment(caplog: pytest.LogCaptureFixture) -> None:
    """Another id, time from the restore, no value; hooks run in order, and one that raises ends nothing."""
    clock, ran = ManualClock(), []
    env = Environment(clock=clock, backend=MemoryBackend(secrets={"x": "1"}))

    def fails() -> None:
        raise ValueError("planted")

    with lambdakit.use_environment(env):
        client = lambdakit.client("sqs")
        lambdakit.get_secret("x")
        lambdakit.on_restore(lambda: ran.append("values=0" in repr(env)))
        lambdakit.on_restore(fails)
        lambdakit.on_restore(lambda: ran.append("after"))
        before = env.id
        clock.suspend(1000)
        restore()
        clock.tick(1)
        assert env.id != before
        assert env._begin(None).init_to_invoke_s == 1
        assert ran == [True, "after"]
        assert lambdakit.client("sqs") is client
    (said,) = [record.getMessage() for record in caplog.records if record.name == "lambdakit"]
    assert said.endswith("fails: ValueError was raised")
    assert "planted" not in caplog.text
    env.close()


def test_after_a_restore_chance_is_another(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """All environments of a snapshot would draw the same numbers; one handler may turn it off for all."""
    state = random.getstate()
    restore()
    assert random.getstate() != state
    with lambdakit.use_environment(Environment()):
        lambdakit.handler(reseed=False)(lambda event, context: None)
        lambdakit.handler(lambda event, context: None)
        state = random.getstate()
        restore()
        assert random.getstate() == state
    for name in ("random", "ssl"):
        monkeypatch.delitem(sys.modules, name)
    restore()
    assert not {"random", "ssl"} & set(sys.modules)  # what nobody uses is not imported for it


def test_a_backend_that_cannot_close_what_is_idle_keeps_no_invocation_from_running(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is the user's; what it raised is logged by its type."""

    class Backend(MemoryBackend):
        def close_idle(self, now: object) -> None:
            raise ValueError("a secret")

    env = Environment(backend=Backend(secrets={"x": "1"}))
    with lambdakit.use_environment(env):
        assert lambdakit.handler(lambda event, context: lambdakit.get_secret("x"))({}, None) == "1"
        assert lambdakit.handler(lambda event, context: lambdakit.get_secret("x"))({}, None) == "1"
    assert caplog.messages == ["close_idle of Backend: ValueError was raised"]


def test_what_became_of_the_invocation_before(env: Environment) -> None:
    """Nothing yet, then what the last one did: returned or raised."""
    records: list[lambdakit.Record] = []

    @lambdakit.handler(on_invocation=records.append)
    def fn(event: str, context: object) -> None:
        if event == "raise":
            raise ValueError(event)

    fn("return", None)
    with pytest.raises(ValueError, match="raise"):
        fn("raise", None)
    fn("return", None)
    fn("return", None)
    assert [record["previous"] for record in records] == [None, "ok", "failed", "ok"]


def test_a_forked_child_starts_empty() -> None:
    """What happens in it, without a fork: no value, no invocation, no number; clients and a given backend stay."""
    backend = MemoryBackend(secrets={"x": "1"})
    env = Environment(backend=backend)
    with lambdakit.use_environment(env):
        client = lambdakit.client("sqs")
        lambdakit.get_secret("x")
        invocation, before = env._begin(FakeContext()), env.id
        _environment._in_child()
        assert (env._current(), env.invocations, env.id == before) == (None, 0, False)
        assert lambdakit.client("sqs") is client
        lambdakit.get_secret("x")
        assert backend.calls == [("secret", "x")] * 2
        env._end(invocation)  # of the parent's handler, which the child may be leaving
        assert env._begin(None).number == 1
    unused = Environment()
    unused._after_fork_in_child()
    assert unused._parts.made == {}
    direct = Environment(backend="direct")
    parents = direct._parts[Backends].backend
    direct._after_fork_in_child()
    assert direct._parts[Backends].backend is not parents
    for one in (env, direct):
        one.close()


def test_a_wrong_budget_of_preload_is_refused(env: Environment) -> None:
    """Also where there is nothing to preload."""
    with pytest.raises(ConfigurationError, match=r"budget='5': give a number of seconds >= 0"):
        env.preload(budget="5")  # type: ignore[arg-type]
