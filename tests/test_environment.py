"""The environment: one owner, swapped only by `use_environment`."""

import contextvars
import logging
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import lambdakit
from lambdakit import ConfigurationError, Environment, LambdakitError, Settings, _current, _environment
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
    assert _current._first() is env  # as for a thread that came second


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


def test_invocations_are_numbered() -> None:
    """From 1, in the order in which they begin; the first is cold."""
    env = Environment(settings=Settings(init_type="on-demand"))
    kinds = []
    for _ in range(3):
        invocation = env.begin(None)
        kinds.append((invocation.number, invocation.start_kind))
        env.end(invocation)
    assert kinds == [(1, "cold"), (2, "warm"), (3, "warm")]
    assert env.invocations == 3


def test_a_ping_before_makes_the_first_invocation_warm() -> None:
    """No user waited for this start."""
    env = Environment(settings=Settings(init_type="on-demand"))
    env.pings += 1
    assert env.begin(None).start_kind == "warm"


def test_init_to_invoke_counts_from_the_end_of_init() -> None:
    """Suspended time included: this is how a proactive start shows."""
    clock = ManualClock()
    env = Environment(clock=clock)
    clock.tick(1)
    env.declare(preload=[], budget_s=5.0, reseed=True)
    clock.suspend(60)
    assert env.begin(None).init_to_invoke_s == 60


def test_outside_an_invocation(env: Environment) -> None:
    """None, False, and a clear error where a record is asked for."""
    assert env.current() is None
    assert env.budget_s() is None
    assert lambdakit.remaining_s() is None
    assert lambdakit.is_cold_start() is False
    with pytest.raises(LambdakitError, match=r"no invocation is running.*@lambdakit\.handler"):
        lambdakit.invocation()


def test_inside_an_invocation(env: Environment) -> None:
    """The record, the remaining time, and what of it I/O may take."""
    invocation = env.begin(FakeContext(remaining_s=2.0))
    assert lambdakit.invocation() is invocation
    assert lambdakit.is_cold_start() is True
    assert lambdakit.remaining_s() == 2.0
    assert env.budget_s() == 1.75
    env.end(invocation)
    assert env.current() is None


def test_a_context_without_time_limits_nothing(env: Environment) -> None:
    """As in a test that passes None."""
    env.begin(None)
    assert lambdakit.remaining_s() is None
    assert env.budget_s() is None


def test_a_thread_of_the_handler_belongs_to_its_invocation(env: Environment) -> None:
    """It has a context of its own, and there is one invocation only."""
    with ThreadPoolExecutor(1) as pool:
        invocation = env.begin(None)
        assert pool.submit(env.current).result(10) is invocation


def test_concurrent_invocations_see_themselves(env: Environment) -> None:
    """Each context has its own; a thread that could belong to either has none."""
    one, two = contextvars.copy_context(), contextvars.copy_context()
    first, second = one.run(env.begin, None), two.run(env.begin, None)
    assert (one.run(env.current), two.run(env.current)) == (first, second)
    assert env.current() is None
    two.run(env.end, second)
    assert two.run(env.current) is first
    one.run(env.end, first)
    assert one.run(env.current) is None


def test_an_invocation_of_another_environment_is_not_seen(env: Environment) -> None:
    """A fresh environment inside a handler starts outside of any invocation."""
    env.begin(None)
    with lambdakit.use_environment(Environment()) as fresh:
        assert fresh.current() is None
        invocation = fresh.begin(None)
        assert fresh.current() is invocation


def test_nested_invocations_restore_the_outer_one(env: Environment) -> None:
    """A handler that calls another with a context of its own."""
    outer = env.begin("outer")
    inner = env.begin("inner")
    assert env.current() is inner
    env.end(inner)
    assert env.current() is outer
    contextvars.copy_context().run(env.begin, "beside")
    assert env.current() is outer


def test_close_drops_values_and_connections_and_leaves_it_usable() -> None:
    """What was fetched is fetched again."""
    backend = MemoryBackend(secrets={"x": "1"})
    env = Environment(backend=backend)
    with lambdakit.use_environment(env):
        lambdakit.get_secret("x")
        lambdakit.client("sqs")
        env.close()
        assert len(env.clients) == 0
        lambdakit.get_secret("x")
    assert len(backend.calls) == 2


def test_clients_are_made_once_for_all_threads() -> None:
    """At first use, by whichever thread comes first."""
    env, barrier = Environment(), threading.Barrier(8)

    def first(_: int) -> object:
        barrier.wait(10)
        return env.clients

    with ThreadPoolExecutor(8) as pool:
        assert len({id(clients) for clients in pool.map(first, range(8))}) == 1


def test_an_environment_that_was_not_used_closes() -> None:
    """Nothing is made in order to be closed."""
    env = Environment()
    env.close()
    assert env._owned._parts == {}


def test_repr_counts_what_it_holds(env: Environment) -> None:
    """And names the backend."""
    assert repr(env) == f"<Environment {env.id} invocations=0 pings=0 backend={env.backend().name} values=0 clients=0>"


def test_ids_differ() -> None:
    """Eight characters, to tell environments apart in logs."""
    ids = {Environment().id for _ in range(50)}
    assert len(ids) == 50
    assert {len(one) for one in ids} == {8}


def test_a_warning_goes_to_the_logger_lambdakit(caplog: pytest.LogCaptureFixture) -> None:
    """With arguments formatted by logging."""
    with caplog.at_level(logging.WARNING):
        _environment.warn("%s of %d", "one", 2)
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
            return env.backend()

        with ThreadPoolExecutor(8) as pool:
            assert len({id(backend) for backend in pool.map(first, range(8))}) == 1
        assert env.backend().name == made
        env.close()
        assert env.backend().name == made


def test_a_backend_of_no_known_name_is_refused() -> None:
    """At once, with what there is; the argument goes before the setting."""
    with pytest.raises(ConfigurationError, match="backend='boto': give one of auto, direct, sdk, extension, or an obj"):
        Environment(backend="boto")
    given = MemoryBackend()
    assert Environment(settings=Settings(backend="sdk"), backend=given).backend() is given


def test_an_extension_knows_whether_an_invocation_runs() -> None:
    """It serves in invocations only."""
    env = Environment(backend="extension")
    backend: Any = env.backend()
    assert backend._invoking() is False
    invocation = env.begin(None)
    assert backend._invoking() is True
    env.end(invocation)
    assert backend._invoking() is False


def test_before_a_snapshot_everything_that_is_secret_is_dropped() -> None:
    """Values and connections; clients stay the same objects. An environment that was not used has nothing to drop."""
    backend = MemoryBackend(secrets={"x": "1"})
    for env in (Environment(backend=backend), Environment(backend=backend)):
        env.before_snapshot()
        with lambdakit.use_environment(env):
            client = lambdakit.client("sqs")
            lambdakit.get_secret("x")
            env.before_snapshot()
            assert (len(env.memory.cache), lambdakit.client("sqs") is client) == (0, True)
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
        lambdakit.on_restore(lambda: ran.append(len(env.memory.cache)))
        lambdakit.on_restore(fails)
        lambdakit.on_restore(lambda: ran.append("after"))
        before = env.id
        clock.suspend(1000)
        env.after_restore()
        clock.tick(1)
        assert env.id != before
        assert env.begin(None).init_to_invoke_s == 1
        assert ran == [0, "after"]
        assert lambdakit.client("sqs") is client
    (said,) = [record.getMessage() for record in caplog.records if record.name == "lambdakit"]
    assert said.endswith("fails raised ValueError")
    assert "planted" not in caplog.text
    env.close()


def test_after_a_restore_chance_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """All environments of a snapshot would draw the same numbers; one handler may turn it off for all."""
    env, state = Environment(), random.getstate()
    env.after_restore()
    assert random.getstate() != state
    with lambdakit.use_environment(env):
        lambdakit.handler(reseed=False)(lambda event, context: None)
        lambdakit.handler(lambda event, context: None)
    state = random.getstate()
    env.after_restore()
    assert random.getstate() == state
    env.plans.reseed = True
    for name in ("random", "ssl"):
        monkeypatch.delitem(sys.modules, name)
    env.after_restore()
    assert not {"random", "ssl"} & set(sys.modules)  # what nobody uses is not imported for it


def test_a_backend_that_cannot_drop_what_is_idle_keeps_no_invocation_from_running(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is the user's; what it raised is logged by its type."""

    class Backend(MemoryBackend):
        def drop_idle(self, now: object) -> None:
            raise ValueError("a secret")

    env = Environment(backend=Backend(secrets={"x": "1"}))
    with lambdakit.use_environment(env):
        assert lambdakit.handler(lambda event, context: lambdakit.get_secret("x"))({}, None) == "1"
        assert lambdakit.handler(lambda event, context: lambdakit.get_secret("x"))({}, None) == "1"
    assert caplog.messages == ["drop_idle of Backend raised ValueError"]


def test_what_became_of_the_invocation_before() -> None:
    """Nothing yet, then what the last one did: returned or raised."""
    env = Environment()

    @lambdakit.handler
    def fn(event: str, context: object) -> str | None:
        if event == "raise":
            raise ValueError(event)
        return lambdakit.environment().previous

    with lambdakit.use_environment(env):
        assert fn("return", None) is None
        with pytest.raises(ValueError, match="raise"):
            fn("raise", None)
        assert [fn("return", None), fn("return", None)] == ["failed", "ok"]


def test_a_forked_child_starts_empty() -> None:
    """What happens in it, without a fork: no value, no invocation, no number; clients and a given backend stay."""
    backend = MemoryBackend(secrets={"x": "1"})
    env = Environment(backend=backend)
    with lambdakit.use_environment(env):
        client = lambdakit.client("sqs")
        lambdakit.get_secret("x")
        invocation, before = env.begin(FakeContext()), env.id
        _current._in_child()
        assert (env.current(), env.invocations, len(env.memory.cache), env.id == before) == (None, 0, 0, False)
        assert (env.backend(), lambdakit.client("sqs")) == (backend, client)
        env.end(invocation)  # of the parent's handler, which the child may be leaving
        assert env.begin(None).number == 1
    unused = Environment()
    unused.after_fork()
    assert unused._owned._parts == {}
    direct = Environment(backend="direct")
    parents = direct.backend()
    direct.after_fork()
    assert direct.backend() is not parents
    for one in (env, direct):
        one.close()


def test_a_wrong_budget_of_preload_is_refused(env: Environment) -> None:
    """Also where there is nothing to preload."""
    with pytest.raises(ConfigurationError, match=r"budget='5': give a number of seconds >= 0"):
        env.preload(budget="5")  # type: ignore[arg-type]
