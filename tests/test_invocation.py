"""What an invocation knows of itself."""

import pytest

from lambdakit import Environment, Settings
from lambdakit._invocation import Invocation, start_kind
from lambdakit.testing import FakeContext, ManualClock


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
    env.declare(preload=[], budget_s=0.0, reseed=True)
    clock.wall_s += wall_s
    clock.monotonic_s += monotonic_s
    first, second = env.begin(None), env.begin(None)
    assert (first.start_kind, second.start_kind) == (kind, "warm")


def test_io_has_what_the_margin_leaves() -> None:
    """Below zero once the margin is reached; no limit where the context knows none."""
    context = FakeContext(remaining_s=2.5)
    assert invocation(context).left_s() == 2.25
    context.remaining_s = 0.125
    assert invocation(context).left_s() == -0.125
    assert invocation(None).left_s() is None


def invocation(context: object = None, *, kind: str = "cold", after: tuple[float, float] = (0.0, 0.0)) -> Invocation:
    return Invocation(context, 1, kind, (100.0 + after[0], 10.0 + after[1]), (100.0, 10.0), 0.25)


@pytest.mark.parametrize(("kind", "cold"), [("cold", True), ("warm", False), ("provisioned", False), ("else", False)])
def test_only_the_kind_cold_is_a_cold_start(kind: str, cold: bool) -> None:
    """One definition for everything that asks."""
    assert invocation(kind=kind).is_cold_start is cold


def test_remaining_time_comes_from_the_context() -> None:
    """In seconds, read at each call, never below 0."""
    context = FakeContext(remaining_s=2.5)
    running = invocation(context)
    assert running.remaining_s() == 2.5
    context.remaining_s = 0.125
    assert running.remaining_s() == 0.125
    context.get_remaining_time_in_millis = lambda: -5  # type: ignore[method-assign] - a clock past the deadline
    assert running.remaining_s() == 0.0


def test_a_context_that_does_not_know() -> None:
    """None, a bare object, and a mock-like one: None, not an exception."""

    class Odd:
        aws_request_id = 5

        def get_remaining_time_in_millis(self) -> str:
            return "soon"

    assert invocation(None).remaining_s() is None
    assert invocation(object()).remaining_s() is None
    assert invocation(Odd()).remaining_s() is None
    assert invocation(Odd()).request_id is None
    assert invocation(None).request_id is None


def test_request_id_comes_from_the_context() -> None:
    """As the runtime names it."""
    assert invocation(FakeContext(aws_request_id="abc")).request_id == "abc"


@pytest.mark.parametrize(
    ("after", "expected"), [((5.0, 5.0), 5.0), ((3600.0, 2.0), 3600.0), ((-7.0, 4.0), 4.0), ((-7.0, 0.0), 0.0)]
)
def test_init_to_invoke(after: tuple[float, float], expected: float) -> None:
    """The larger of both clocks, and never negative."""
    assert invocation(after=after).init_to_invoke_s == expected


def test_repr_tells_number_kind_and_request() -> None:
    """For a log line of the user's own."""
    assert repr(invocation(FakeContext(aws_request_id="abc"))) == "<Invocation 1 cold request_id=abc>"
