"""The two-clock rule."""

import math
import time

from hypothesis import given
from hypothesis import strategies as st

from lambdakit._clock import Clock, age_s, least_age_s
from lambdakit.testing import ManualClock

SECONDS = st.floats(0, 1e6)


def test_both_clocks_are_read() -> None:
    """A reading is wall time, then monotonic time, both of now."""
    before = time.time(), time.monotonic()
    wall, monotonic = Clock().now()
    assert before[0] <= wall <= time.time()
    assert before[1] <= monotonic <= time.monotonic()


@given(SECONDS, SECONDS)
def test_age_is_the_larger_of_both_ages(ran: float, suspended: float) -> None:
    """Suspended time counts, although the monotonic clock stood still."""
    clock = ManualClock(wall_s=0.0, monotonic_s=0.0)
    since = clock.now()
    clock.tick(ran)
    clock.suspend(suspended)
    assert age_s(since, clock.now()) == ran + suspended


def test_monotonic_age_counts_when_the_wall_clock_was_slowed() -> None:
    """A wall clock set back by less than has passed does not make a thing younger."""
    clock = ManualClock()
    since = clock.now()
    clock.tick(10)
    clock.set_wall(clock.wall_s - 9)
    assert age_s(since, clock.now()) == 10


def test_a_wall_clock_that_ran_backwards_makes_everything_old() -> None:
    """Nothing is known of the age then, so it is infinite."""
    clock = ManualClock()
    since = clock.now()
    clock.set_wall(clock.wall_s - 3600)
    assert age_s(since, clock.now()) == math.inf


def test_at_least_so_old_is_what_either_clock_says() -> None:
    """If the wall clock ran backwards, what monotonic time tells; else it is the age."""
    clock = ManualClock()
    since = clock.now()
    clock.tick(10)
    assert least_age_s(since, clock.now()) == age_s(since, clock.now()) == 10
    clock.suspend(5)
    assert least_age_s(since, clock.now()) == age_s(since, clock.now()) == 15
    clock.set_wall(clock.wall_s - 3600)
    assert least_age_s(since, clock.now()) == 10


def test_the_clock_waits() -> None:
    """As long as it is told."""
    before = time.monotonic()
    Clock().sleep(0.01)
    assert time.monotonic() - before >= 0.01


def test_chance_is_another_each_time_and_within_its_bounds() -> None:
    """In [0, 1), spread over all of it."""
    drawn = [Clock().random() for _ in range(1000)]
    assert len(set(drawn)) > 990
    assert 0.0 <= min(drawn) < 0.1
    assert 0.9 < max(drawn) < 1.0
