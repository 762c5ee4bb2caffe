"""Single flight."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from lambdakit._flights import Flights
from lambdakit.exceptions import ConfigurationError, DeadlineExceededError

PATIENCE_S = 10.0  # how long a test waits for what must happen; it never passes by waiting


class Gate:
    """Work that begins, tells so, then waits to be let through."""

    def __init__(self, outcome: Any = "value") -> None:
        self.outcome = outcome
        self.begun = threading.Semaphore(0)
        self.through = threading.Event()
        self.runs = 0

    def __call__(self) -> Any:
        self.runs += 1
        self.begun.release()
        assert self.through.wait(PATIENCE_S)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class Board:
    """Flights with a store of their own, and a count of those that wait."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.flights = Flights(self.lock)
        self.store: dict[str, Any] = {}
        self.waiting = threading.Semaphore(0)

    def run(self, key: str, work: Callable[[], Any], *, wait_s: float | None = PATIENCE_S, **options: Any) -> Any:
        def remaining() -> float | None:
            self.waiting.release()
            return wait_s

        return self.flights.run(
            key,
            work,
            settled=lambda: self.store.get(key),
            settle=lambda value: self.store.__setitem__(key, value),
            remaining=remaining,
            **options,
        )


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def test_the_outcome_is_returned_and_settled(board: Board) -> None:
    """One run: its value goes to the caller and into the store."""
    assert board.run("k", lambda: 5) == 5
    assert board.store == {"k": 5}


def test_what_is_settled_is_not_run_again(board: Board) -> None:
    """A caller that comes too late for the flight finds what it brought."""
    board.run("k", lambda: 5)
    assert board.run("k", lambda: 6) == 5


def test_all_who_come_during_a_run_share_it(board: Board, pool: ThreadPoolExecutor) -> None:
    """Eight callers, one run."""
    gate = Gate()
    callers = [pool.submit(board.run, "k", gate)]
    assert gate.begun.acquire(timeout=PATIENCE_S)
    callers += [pool.submit(board.run, "k", gate) for _ in range(7)]
    for _ in range(7):
        assert board.waiting.acquire(timeout=PATIENCE_S)
    gate.through.set()
    assert [caller.result(PATIENCE_S) for caller in callers] == ["value"] * 8
    assert gate.runs == 1


def test_an_error_is_everybodys_and_is_not_kept(board: Board, pool: ThreadPoolExecutor) -> None:
    """The same exception reaches those who wait; the next call runs again."""
    failure = RuntimeError("down")
    gate = Gate(failure)
    leader = pool.submit(board.run, "k", gate)
    assert gate.begun.acquire(timeout=PATIENCE_S)
    waiter = pool.submit(board.run, "k", gate)
    assert board.waiting.acquire(timeout=PATIENCE_S)
    gate.through.set()
    assert leader.exception(PATIENCE_S) is failure
    assert waiter.exception(PATIENCE_S) is failure
    assert board.run("k", lambda: 7) == 7


def test_keys_do_not_wait_for_each_other(board: Board, pool: ThreadPoolExecutor) -> None:
    """The lock is not held while the work runs."""
    gate = Gate()
    pool.submit(board.run, "slow", gate)
    assert gate.begun.acquire(timeout=PATIENCE_S)
    assert board.run("quick", lambda: 1) == 1
    gate.through.set()


def test_a_forced_caller_never_shares_a_run_that_began_before(board: Board, pool: ThreadPoolExecutor) -> None:
    """It waits for that run to end, then runs itself; several of them share the second run."""
    old, new = Gate("old"), Gate("new")
    leader = pool.submit(board.run, "k", old)
    assert old.begun.acquire(timeout=PATIENCE_S)
    forced = [pool.submit(board.run, "k", new, forced=True) for _ in range(3)]
    for _ in range(3):
        assert board.waiting.acquire(timeout=PATIENCE_S)
    assert new.runs == 0
    old.through.set()
    assert leader.result(PATIENCE_S) == "old"
    assert new.begun.acquire(timeout=PATIENCE_S)
    for _ in range(2):
        assert board.waiting.acquire(timeout=PATIENCE_S)
    new.through.set()
    assert [caller.result(PATIENCE_S) for caller in forced] == ["new"] * 3
    assert (old.runs, new.runs) == (1, 1)


def test_a_forced_caller_runs_although_it_is_settled(board: Board) -> None:
    """`settled` is not asked."""
    board.run("k", lambda: 5)
    assert board.run("k", lambda: 6, forced=True) == 6
    assert board.store == {"k": 6}


def test_an_outdated_run_is_not_settled_nor_shared_with_newcomers(board: Board, pool: ThreadPoolExecutor) -> None:
    """Who waited before gets the value; who comes after the invalidation does not."""
    old = Gate("old")
    leader = pool.submit(board.run, "k", old)
    assert old.begun.acquire(timeout=PATIENCE_S)
    early: Future[Any] = pool.submit(board.run, "k", old)
    assert board.waiting.acquire(timeout=PATIENCE_S)
    with board.lock:
        board.flights.outdate(lambda key: key == "k")
        board.flights.outdate(lambda key: key == "another")
    late = pool.submit(board.run, "k", lambda: "new")
    assert board.waiting.acquire(timeout=PATIENCE_S)
    old.through.set()
    assert (leader.result(PATIENCE_S), early.result(PATIENCE_S), late.result(PATIENCE_S)) == ("old", "old", "new")
    assert board.store == {"k": "new"}


def test_a_waiter_waits_no_longer_than_it_may(board: Board, pool: ThreadPoolExecutor) -> None:
    """Its own deadline, not the leader's."""
    gate = Gate()
    leader = pool.submit(board.run, "k", gate)
    assert gate.begun.acquire(timeout=PATIENCE_S)
    with pytest.raises(DeadlineExceededError, match="too little time"):
        board.run("k", gate, wait_s=0.0)
    gate.through.set()
    assert leader.result(PATIENCE_S) == "value"


def test_an_interrupted_run_is_taken_over(board: Board, pool: ThreadPoolExecutor) -> None:
    """Ctrl-C in one thread is not an answer for the others: one of them runs."""
    interrupted = Gate(KeyboardInterrupt())
    leader = pool.submit(board.run, "k", interrupted)
    assert interrupted.begun.acquire(timeout=PATIENCE_S)
    waiter = pool.submit(board.run, "k", lambda: "mine")
    assert board.waiting.acquire(timeout=PATIENCE_S)
    interrupted.through.set()
    assert isinstance(leader.exception(PATIENCE_S), KeyboardInterrupt)
    assert waiter.result(PATIENCE_S) == "mine"


def test_work_that_asks_for_itself_is_an_error(board: Board) -> None:
    """It would wait for itself for ever."""
    with pytest.raises(ConfigurationError, match="asks for the value itself"):
        board.run("k", lambda: board.run("k", lambda: 1))
    assert board.run("k", lambda: 2) == 2
