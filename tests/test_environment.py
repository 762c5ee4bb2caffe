"""The environment: one owner, swapped only by `use_environment`."""

import contextvars
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import lambdakit
from lambdakit import Environment, LambdakitError, Settings, _environment
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend


def test_a_process_has_one_environment() -> None:
    """Made at first use, by whichever thread comes first; the same for everyone."""
    barrier = threading.Barrier(8)

    def first(_: int) -> Environment:
        barrier.wait(10)
        return lambdakit.environment()

    with lambdakit.use_environment(None), ThreadPoolExecutor(8) as pool:  # type: ignore[arg-type] - as in a new process
        environments = list(pool.map(first, range(8)))
        assert len({id(env) for env in environments}) == 1
        assert lambdakit.environment() is environments[0]


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
    env.end_init()
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
    assert (env._clients, env._chosen) == (None, "auto")


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
