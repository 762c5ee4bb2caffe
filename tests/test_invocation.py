"""What an invocation knows of itself."""

from types import SimpleNamespace
from unittest.mock import MagicMock, Mock

import pytest
from awslambdaric.lambda_context import LambdaContext

import lambdakit
from lambdakit import Environment, Settings
from lambdakit._environment import HandlerOptions, Invocation, start_kind
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend


@pytest.mark.parametrize(
    ("init_type", "pings", "init_to_invoke_s", "kind"),
    [
        ("on-demand", 0, 0.001, "cold"),
        ("on-demand", 0, 10.0, "cold"),
        ("on-demand", 0, 10.001, "proactive"),
        ("on-demand", 0, 3600.0, "proactive"),
        ("on-demand", 1, 3600.0, "warm"),
        ("on-demand", 1, 0.001, "warm"),
        (None, 0, 0.001, "cold"),
        (None, 0, 3600.0, "cold"),
        ("provisioned-concurrency", 0, 0.001, "provisioned"),
        ("provisioned-concurrency", 0, 3600.0, "provisioned"),
        ("provisioned-concurrency", 3, 3600.0, "warm"),
        ("snap-start", 0, 3600.0, "restored"),
        ("lambda-managed-instances", 0, 3600.0, "managed"),
        ("something-of-2030", 0, 3600.0, "something-of-2030"),
        ("something-of-2030", 2, 0.001, "warm"),
    ],
)
def test_start_kind(init_type: str | None, pings: int, init_to_invoke_s: float, kind: str) -> None:
    """The table of start kinds of first invocations. A wait of exactly ten seconds is not yet proactive."""
    assert start_kind(init_type, pings, init_to_invoke_s) == kind


@pytest.mark.parametrize(
    ("wall_s", "monotonic_s", "kind"), [(60.0, 0.0, "proactive"), (-60.0, 60.0, "proactive"), (-60.0, 1.0, "cold")]
)
def test_a_first_invocation_long_after_init(wall_s: float, monotonic_s: float, kind: str) -> None:
    """Suspended time counts, which the monotonic clock may not see; a wall clock that was set back does not matter."""
    clock = ManualClock()
    env = Environment(settings=Settings(init_type="on-demand"), clock=clock)
    with lambdakit.use_environment(env):
        fn = lambdakit.handler(lambda event, context: lambdakit.invocation().start_kind)
        clock.wall_s += wall_s
        clock.monotonic_s += monotonic_s
        assert [fn({}, None), fn({}, None)] == [kind, "warm"]


def test_io_has_what_the_margin_leaves() -> None:
    """Below zero once the margin is reached; no limit where the context knows none."""
    context = FakeContext(remaining_s=2.5)
    assert (invocation(context).margin_s, invocation(context).left_s()) == (0.25, 2.25)
    context.remaining_s = 0.125
    assert invocation(context).left_s() == -0.125
    assert invocation(None).left_s() is None


def invocation(context: object = None) -> Invocation:
    """The first one of an environment."""
    return Environment()._begin(context, HandlerOptions(margin_s=0.25))


@pytest.mark.parametrize(
    ("init_type", "cold"),
    [(None, True), ("on-demand", True), ("provisioned-concurrency", False), ("something-of-2030", False)],
)
def test_only_the_kind_cold_is_a_cold_start(init_type: str | None, cold: bool) -> None:
    """One definition for everything that asks; a second invocation is none either."""
    env = Environment(settings=Settings(init_type=init_type))
    assert env._begin(None).is_cold_start is cold
    assert env._begin(None).is_cold_start is False


def test_remaining_time_comes_from_the_context() -> None:
    """In seconds, read at each call, never below 0."""
    context = FakeContext(remaining_s=2.5)
    running = invocation(context)
    assert running.remaining_s() == 2.5
    context.remaining_s = 0.125
    assert running.remaining_s() == 0.125
    context.get_remaining_time_in_millis = lambda: -5  # type: ignore[method-assign] - a clock past the deadline
    assert running.remaining_s() == 0.0


def refuse() -> int:
    raise NotImplementedError


LOCAL_CONTEXTS: dict[str, object] = {
    "none": None,
    "a bare object": object(),
    "no method": SimpleNamespace(get_remaining_time_in_millis=3000),
    "not implemented": SimpleNamespace(get_remaining_time_in_millis=refuse),
    "a text": SimpleNamespace(get_remaining_time_in_millis=lambda: "soon", aws_request_id=5),
    "0": SimpleNamespace(get_remaining_time_in_millis=lambda: 0),
    "0.0": SimpleNamespace(get_remaining_time_in_millis=lambda: 0.0, aws_request_id=""),
    "below 0": SimpleNamespace(get_remaining_time_in_millis=lambda: -500),
    "not a number": SimpleNamespace(get_remaining_time_in_millis=lambda: float("nan")),
    "an argument more": SimpleNamespace(get_remaining_time_in_millis=lambda unit: 5),
    "Mock": Mock(),
    "MagicMock": MagicMock(),
}


@pytest.mark.parametrize("context", LOCAL_CONTEXTS.values(), ids=LOCAL_CONTEXTS)
def test_a_context_that_does_not_know(context: object) -> None:
    """Of local runners and mocks: nothing limits what is fetched, and nothing is raised."""
    running = invocation(context)
    assert (running.remaining_s(), running.left_s(), running.request_id) == (None, None, None)
    backend = MemoryBackend(secrets={"a": "1"})
    with lambdakit.use_environment(Environment(backend=backend)):
        assert lambdakit.handler(lambda event, context: lambdakit.get_secret("a"))({}, context) == "1"


def test_a_runner_that_counts_down_from_its_own_default() -> None:
    """Past it the remaining time is unknown: the function's own may be longer, and nobody ends it."""
    left_ms = [100]
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: max(0, left_ms[0]))
    running = invocation(context)
    assert running.remaining_s() == 0.1
    left_ms[0] = -50
    assert running.remaining_s() is None


def test_lambdas_own_context_has_a_deadline() -> None:
    """Past it no time is left: where the process outlives it, an invocation has timed out."""
    context = LambdaContext("id", None, None, 1, "arn", None)
    derived = type("Derived", (LambdaContext,), {})("id", None, None, 1, "arn", None)
    assert [invocation(one).remaining_s() for one in (context, derived, FakeContext(remaining_s=0))] == [0.0] * 3


def test_request_id_comes_from_the_context() -> None:
    """As the runtime names it."""
    assert invocation(FakeContext(aws_request_id="abc")).request_id == "abc"


@pytest.mark.parametrize(
    ("wall_s", "monotonic_s", "expected"),
    [(5.0, 5.0, 5.0), (3600.0, 2.0, 3600.0), (-7.0, 4.0, 4.0), (-7.0, 0.0, 0.0)],
)
def test_init_to_invoke(wall_s: float, monotonic_s: float, expected: float) -> None:
    """The larger of both clocks, and never negative."""
    clock = ManualClock(wall_s=100.0, monotonic_s=10.0)
    env = Environment(clock=clock)
    clock.wall_s += wall_s
    clock.monotonic_s += monotonic_s
    assert env._begin(None).init_to_invoke_s == expected


def test_repr_tells_number_kind_and_request() -> None:
    """For a log line of the user's own."""
    assert repr(invocation(FakeContext(aws_request_id="abc"))) == "<Invocation 1 cold request_id=abc>"
