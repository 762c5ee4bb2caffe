"""How long I/O may take."""

import asyncio
import threading
from contextvars import copy_context

import pytest

from lambdakit._clock import Budget, in_time
from lambdakit.exceptions import DeadlineExceededError
from lambdakit.testing import ManualClock

INFINITE = float("inf")


def budget_of(left_s: float | None, clock: ManualClock | None = None) -> Budget:
    return Budget(clock=clock or ManualClock(), invocation=lambda: left_s)


@pytest.mark.parametrize("left_s", [None, 5.0, 0.0, -1.0])
def test_it_is_what_the_invocation_leaves(left_s: float | None) -> None:
    """Below 0 too, and None for no limit."""
    assert budget_of(left_s)() == left_s


@pytest.mark.parametrize(
    ("left_s", "allowed_s", "expected"),
    [
        (None, None, None),
        (5.0, None, 5.0),
        (None, 3.0, 3.0),
        (5.0, 3.0, 3.0),
        (5.0, 5.0, 5.0),
        (5.0, 7.0, 5.0),
        (-1.0, 3.0, -1.0),
        (None, INFINITE, None),
        (5.0, INFINITE, 5.0),
        (5.0, 0.0, 0.0),
    ],
)
def test_the_stricter_of_two_limits_holds(
    left_s: float | None, allowed_s: float | None, expected: float | None
) -> None:
    """For the block, and not after it."""
    budget = budget_of(left_s)
    with budget.within(allowed_s):
        assert budget() == expected
    assert budget() == left_s


def test_blocks_within_blocks() -> None:
    """An inner one may be stricter, never more generous; its end gives back what the outer one allows."""
    budget = budget_of(None)
    with budget.within(10.0):
        with budget.within(3.0):
            assert budget() == 3.0
            with budget.within(100.0):
                assert budget() == 3.0
        assert budget() == 10.0
        with pytest.raises(KeyError), budget.within(1.0):
            raise KeyError
        assert budget() == 10.0


def test_an_invocation_that_ends_earlier_ends_it() -> None:
    """Both limits count at each step, not only at the begin of a block."""
    left = [10.0]
    budget = Budget(clock=ManualClock(), invocation=lambda: left[0])
    with budget.within(3.0):
        left[0] = 1.0
        assert budget() == 1.0


def test_time_that_passes_is_gone() -> None:
    """The limit is a moment: it does not begin anew at each step."""
    clock = ManualClock()
    budget = budget_of(None, clock)
    with budget.within(10.0):
        clock.tick(4.0)
        assert budget() == 6.0
        clock.tick(7.0)
        assert budget() == -1.0


@pytest.mark.parametrize(("left_s", "half_s"), [(None, None), (4.0, 2.0), (0.0, 0.0)])
def test_half_of_it(left_s: float | None, half_s: float | None) -> None:
    """Half of no limit is none."""
    assert budget_of(left_s).half_s() == half_s


def test_half_of_what_a_block_allows() -> None:
    """It is the time now that counts, not that of the invocation."""
    budget = budget_of(100.0)
    with budget.within(10.0):
        assert budget.half_s() == 5.0


def test_a_limit_is_its_threads_own_and_goes_along_with_a_context() -> None:
    """Another thread has it only if it was started with a copy."""
    budget = budget_of(None)
    seen: list[float | None] = []
    with budget.within(10.0):
        for run in (lambda look: look(), copy_context().run):
            thread = threading.Thread(target=run, args=(lambda: seen.append(budget()),))
            thread.start()
            thread.join(10)
    assert seen == [None, 10.0]


def test_tasks_do_not_share_a_limit() -> None:
    """Each has its own context."""
    budget = budget_of(None)

    async def limited(seconds: float) -> float | None:
        with budget.within(seconds):
            await asyncio.sleep(0)
            return budget()

    async def both() -> list[float | None]:
        return await asyncio.gather(limited(1.0), limited(2.0))

    assert asyncio.run(both()) == [1.0, 2.0]


def test_a_coroutine_that_is_thrown_away_leaves_nothing_behind() -> None:
    """It ends in another context than it began in; that is no error, and no limit for others."""
    budget = budget_of(None)

    async def limited() -> None:
        with budget.within(1.0):
            await asyncio.sleep(0)

    coroutine = limited()
    copy_context().run(coroutine.send, None)
    coroutine.close()
    assert budget() is None


def test_what_is_awaited_is_bound() -> None:
    """It is cancelled when the time is up, and its time-out is the invocation's."""
    cancelled: list[bool] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(DeadlineExceededError, match="longer than the invocation"):
        asyncio.run(budget_of(0.01).bound(endless()))
    assert cancelled == [True]


def test_what_is_awaited_in_time_is_returned() -> None:
    """In the task that awaits it, with or without a limit; its own time-outs and errors are its own."""

    async def task() -> object:
        await asyncio.sleep(0)
        return asyncio.current_task()

    async def same(left_s: float | None) -> bool:
        return await budget_of(left_s).bound(task()) is asyncio.current_task()

    assert asyncio.run(same(None))
    assert asyncio.run(same(10.0))

    async def late() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine") as raised:
        asyncio.run(budget_of(10.0).bound(late()))
    assert type(raised.value) is TimeoutError


def test_what_nothing_can_interrupt_is_left_alone() -> None:
    """Where a block limits it: by another thread, whose outcome is the answer if it comes in time."""
    clock, budget, end = ManualClock(), budget_of(None), threading.Event()
    assert in_time(threading.get_ident, clock=clock) == threading.get_ident()
    with budget.within(20.0):
        assert in_time(threading.get_ident, clock=clock) != threading.get_ident()
        with pytest.raises(LookupError):
            in_time(lambda: {}["name"], clock=clock)
    with budget.within(0.01), pytest.raises(DeadlineExceededError, match="resolved"):
        in_time(lambda: end.wait(20), clock=clock)
    end.set()
