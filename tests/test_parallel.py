"""Several things at once."""

import sys
import threading
import time
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from lambdakit import _parallel

PATIENCE_S = 10.0  # how long a test waits for what must happen; it never passes by waiting


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "lambdakit"]


@pytest.mark.parametrize("tasks", [0, 1, 2, 7, 8, 9, 50])
@pytest.mark.parametrize("timeout_s", [None, PATIENCE_S, 1e12, float("inf")])
def test_outcomes_are_in_the_order_of_the_tasks(tasks: int, timeout_s: float | None) -> None:
    """However many there are; and no thread is left."""
    assert _parallel.run([partial(pow, number, 2) for number in range(tasks)], timeout_s=timeout_s) == [
        number**2 for number in range(tasks)
    ]
    assert ours() == []


def test_an_exception_is_an_outcome() -> None:
    """Of its task alone, the same object."""
    failure = ValueError("down")

    def fail() -> None:
        raise failure

    for others in (0, 3):
        assert _parallel.run([*[lambda: 1] * others, fail]) == [*[1] * others, failure]


def test_a_single_task_without_a_time_out_needs_no_thread() -> None:
    """With a time-out it does: a thread can be left, a caller cannot."""
    assert _parallel.run([threading.get_ident]) == [threading.get_ident()]
    assert _parallel.run([threading.get_ident], timeout_s=PATIENCE_S) != [threading.get_ident()]


@pytest.mark.parametrize("tasks", [2, 8])
def test_tasks_run_at_the_same_time(tasks: int) -> None:
    """Up to eight: each waits for all others here."""
    together = threading.Barrier(tasks)
    outcomes = _parallel.run([lambda: together.wait(PATIENCE_S)] * tasks)
    assert sorted(outcomes) == [*range(tasks)]


def test_no_more_than_eight_at_the_same_time() -> None:
    """Services throttle what comes in crowds."""
    lock = threading.Lock()
    counts = {"now": 0, "most": 0}

    def task() -> None:
        with lock:
            counts["now"] += 1
            counts["most"] = max(counts.values())
        time.sleep(0.001)
        with lock:
            counts["now"] -= 1

    _parallel.run([task] * 40)
    assert counts["most"] <= 8


def test_each_task_has_the_callers_context() -> None:
    """A copy: what a task sets there stays with it."""
    variable: ContextVar[str] = ContextVar("variable", default="none")
    variable.set("the caller's")

    def task(number: int) -> str:
        seen = variable.get()
        if number < 2:
            variable.set("a task's")
        return seen

    outcomes = _parallel.run([partial(task, number) for number in range(2)])
    assert "the caller's" in outcomes
    assert variable.get() == "the caller's"


def test_what_is_not_over_in_time_is_a_time_out() -> None:
    """It goes on by itself; what was waiting behind it never begins."""
    through = threading.Event()
    begun: list[int] = []
    done = threading.Semaphore(0)

    def hang(number: int) -> None:
        begun.append(number)
        through.wait(PATIENCE_S)
        done.release()

    outcomes = _parallel.run([lambda: "quick", *[partial(hang, number) for number in range(12)]], timeout_s=0.05)
    assert outcomes[0] == "quick"
    assert [str(outcome) for outcome in outcomes[1:]] == ["not over in time"] * 12
    assert {type(outcome) for outcome in outcomes[1:]} == {TimeoutError}
    assert len(ours()) == 8
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "lambdakit")
    through.set()
    for _ in range(8):
        assert done.acquire(timeout=PATIENCE_S)
    for thread in threading.enumerate():
        if thread.name == "lambdakit":
            thread.join(PATIENCE_S)
    assert len(begun) == 8
    assert outcomes[1:] == [outcomes[1]] * 12  # and who got the outcomes sees them change no more


@pytest.mark.parametrize("others", [0, 3])
def test_leaving_the_process_leaves_it(others: int) -> None:
    """`sys.exit` in a task is the caller's, once the other tasks are over."""
    done: list[int] = []

    def leave() -> Any:
        sys.exit(3)

    with pytest.raises(SystemExit) as raised:
        _parallel.run([leave, *[partial(done.append, number) for number in range(others)]])
    assert raised.value.code == 3
    assert sorted(done) == [*range(others)]
