"""Single flight."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from itertools import permutations
from typing import Any

import pytest

import lambdakit
from lambdakit import _single_flight
from lambdakit._single_flight import SingleFlight
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


def raising(error: BaseException) -> Callable[[], Any]:
    def work() -> Any:
        raise error

    return work


class Flight:
    """A single flight in front of a store of its own, and a count of those that wait."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.single = SingleFlight(self.lock)
        self.store: dict[str, Any] = {}
        self.waiting = threading.Semaphore(0)

    def run(self, key: str, work: Callable[[], Any], *, wait_s: float | None = PATIENCE_S, **options: Any) -> Any:
        def remaining() -> float | None:
            self.waiting.release()
            return wait_s

        outcome = self.single.run_each(
            (key,),
            lambda _: {key: work()},
            lookup=self.store.get,
            store=self.store.__setitem__,
            remaining=remaining,
            **options,
        )[key]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def flight() -> Flight:
    return Flight()


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def test_the_outcome_is_returned_and_stored(flight: Flight) -> None:
    """One call: its value goes to the caller and into the store."""
    assert flight.run("k", lambda: 5) == 5
    assert flight.store == {"k": 5}


def test_what_is_stored_is_not_fetched_again(flight: Flight) -> None:
    """A caller that comes too late for the call finds what it brought."""
    flight.run("k", lambda: 5)
    assert flight.run("k", lambda: 6) == 5


def test_all_who_come_during_a_call_share_it(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """Eight callers, one call."""
    gate = Gate()
    callers = [pool.submit(flight.run, "k", gate)]
    assert gate.begun.acquire(timeout=PATIENCE_S)
    callers += [pool.submit(flight.run, "k", gate) for _ in range(7)]
    for _ in range(7):
        assert flight.waiting.acquire(timeout=PATIENCE_S)
    gate.through.set()
    assert [caller.result(PATIENCE_S) for caller in callers] == ["value"] * 8
    assert gate.runs == 1


def test_an_error_is_everybodys_and_is_not_kept(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """The same exception reaches those who wait; the next one calls again."""
    failure = RuntimeError("down")
    gate = Gate(failure)
    leader = pool.submit(flight.run, "k", gate)
    assert gate.begun.acquire(timeout=PATIENCE_S)
    waiter = pool.submit(flight.run, "k", gate)
    assert flight.waiting.acquire(timeout=PATIENCE_S)
    gate.through.set()
    assert leader.exception(PATIENCE_S) is failure
    assert waiter.exception(PATIENCE_S) is failure
    assert flight.run("k", lambda: 7) == 7


def test_keys_do_not_wait_for_each_other(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """The lock is not held while the work runs."""
    gate = Gate()
    pool.submit(flight.run, "slow", gate)
    assert gate.begun.acquire(timeout=PATIENCE_S)
    assert flight.run("quick", lambda: 1) == 1
    gate.through.set()


def test_a_forced_caller_never_shares_a_call_that_began_before(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """It waits for that call to end, then calls itself; several of them share the second call."""
    old, new = Gate("old"), Gate("new")
    leader = pool.submit(flight.run, "k", old)
    assert old.begun.acquire(timeout=PATIENCE_S)
    forced = [pool.submit(flight.run, "k", new, forced=True) for _ in range(3)]
    for _ in range(3):
        assert flight.waiting.acquire(timeout=PATIENCE_S)
    assert new.runs == 0
    old.through.set()
    assert leader.result(PATIENCE_S) == "old"
    assert new.begun.acquire(timeout=PATIENCE_S)
    for _ in range(2):
        assert flight.waiting.acquire(timeout=PATIENCE_S)
    new.through.set()
    assert [caller.result(PATIENCE_S) for caller in forced] == ["new"] * 3
    assert (old.runs, new.runs) == (1, 1)


def test_a_forced_caller_calls_although_it_is_stored(flight: Flight) -> None:
    """`lookup` is not asked."""
    flight.run("k", lambda: 5)
    assert flight.run("k", lambda: 6, forced=True) == 6
    assert flight.store == {"k": 6}


def test_an_invalidated_call_is_not_stored_nor_shared_with_newcomers(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """Who waited before gets the value; who comes after the invalidation does not."""
    old = Gate("old")
    leader = pool.submit(flight.run, "k", old)
    assert old.begun.acquire(timeout=PATIENCE_S)
    early: Future[Any] = pool.submit(flight.run, "k", old)
    assert flight.waiting.acquire(timeout=PATIENCE_S)
    with flight.lock:
        flight.single.invalidate(lambda key: key == "k")
        flight.single.invalidate(lambda key: key == "another")
    late = pool.submit(flight.run, "k", lambda: "new")
    assert flight.waiting.acquire(timeout=PATIENCE_S)
    old.through.set()
    assert (leader.result(PATIENCE_S), early.result(PATIENCE_S), late.result(PATIENCE_S)) == ("old", "old", "new")
    assert flight.store == {"k": "new"}


def test_a_waiter_waits_no_longer_than_it_may(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """Its own deadline, not the leader's."""
    gate = Gate()
    leader = pool.submit(flight.run, "k", gate)
    assert gate.begun.acquire(timeout=PATIENCE_S)
    with pytest.raises(DeadlineExceededError, match="too little time"):
        flight.run("k", gate, wait_s=0.0)
    gate.through.set()
    assert leader.result(PATIENCE_S) == "value"


def test_an_interrupted_call_is_taken_over(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """Ctrl-C in one thread is not an answer for the others: one of them runs."""
    interrupted = Gate(KeyboardInterrupt())
    leader = pool.submit(flight.run, "k", interrupted)
    assert interrupted.begun.acquire(timeout=PATIENCE_S)
    waiter = pool.submit(flight.run, "k", lambda: "mine")
    assert flight.waiting.acquire(timeout=PATIENCE_S)
    interrupted.through.set()
    assert isinstance(leader.exception(PATIENCE_S), KeyboardInterrupt)
    assert waiter.result(PATIENCE_S) == "mine"


def test_work_that_asks_for_itself_is_an_error(flight: Flight) -> None:
    """It would wait for itself for ever."""
    with pytest.raises(ConfigurationError, match="asks for the value itself"):
        flight.run("k", lambda: flight.run("k", lambda: 1))
    assert flight.run("k", lambda: 2) == 2


# --- several keys


def each(flight: Flight, keys: str, work: Callable[[list[str]], dict[str, Any]], **options: Any) -> dict[str, Any]:
    def remaining() -> float:
        flight.waiting.release()
        return PATIENCE_S

    return flight.single.run_each(
        [*keys], work, lookup=flight.store.get, store=flight.store.__setitem__, remaining=remaining, **options
    )


def test_a_batch_is_one_call_for_what_nobody_is_at(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """What is stored is taken, what is under way is waited for, the rest is one call."""
    flight.store["a"] = "stored"
    gate = Gate("another's")
    leader = pool.submit(flight.run, "b", gate)
    assert gate.begun.acquire(timeout=PATIENCE_S)
    asked: list[list[str]] = []

    def work(keys: list[str]) -> dict[str, Any]:
        asked.append(keys)
        gate.through.set()  # it runs before anybody is waited for
        return {key: key.upper() for key in keys}

    assert each(flight, "abcd", work) == {"a": "stored", "b": "another's", "c": "C", "d": "D"}
    assert asked == [["c", "d"]]
    assert leader.result(PATIENCE_S) == "another's"
    assert flight.store == {"a": "stored", "b": "another's", "c": "C", "d": "D"}


def test_an_empty_batch_is_no_call(flight: Flight) -> None:
    """Nothing is asked, nothing is answered."""
    assert each(flight, "", lambda keys: pytest.fail("it ran")) == {}


def test_in_a_batch_each_key_has_its_own_outcome(flight: Flight) -> None:
    """An exception in the place of one is that key's, and is not kept; one that is raised is everybody's."""
    failure = RuntimeError("one")
    assert each(flight, "ab", lambda keys: {"a": failure, "b": 2}) == {"a": failure, "b": 2}
    assert flight.store == {"b": 2}
    failure = RuntimeError("all")

    def fail(keys: list[str]) -> dict[str, Any]:
        raise failure

    assert each(flight, "abc", fail) == {"a": failure, "b": 2, "c": failure}


def test_batches_that_overlap_do_not_wait_for_each_other_for_ever(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """Eight threads that want the same keys in every order, forced and not: each ends its own calls before it waits."""
    orders = [*permutations("abcd")]

    def reader(thread: int) -> int:
        for number in range(150):
            keys = orders[(7 * thread + number) % len(orders)]
            outcomes = flight.single.run_each(
                keys[: 2 + number % 3],
                lambda keys: {key: key for key in keys},
                lookup=lambda _: None,
                store=lambda *_: None,
                remaining=lambda: PATIENCE_S,
                forced=number % 3 == 0,
            )
            assert all(key == outcome for key, outcome in outcomes.items())
        return thread

    assert [*pool.map(reader, range(8), timeout=PATIENCE_S)] == [*range(8)]


def test_an_interrupted_batch_frees_all_its_keys(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """Those who wait for one of them run it themselves."""
    gate = Gate(KeyboardInterrupt())
    leader = pool.submit(each, flight, "ab", lambda keys: gate())
    assert gate.begun.acquire(timeout=PATIENCE_S)
    waiter = pool.submit(flight.run, "b", lambda: "mine")
    assert flight.waiting.acquire(timeout=PATIENCE_S)
    gate.through.set()
    assert isinstance(leader.exception(PATIENCE_S), KeyboardInterrupt)
    assert waiter.result(PATIENCE_S) == "mine"
    assert flight.run("a", lambda: "free") == "free"
    assert flight.store == {"a": "free", "b": "mine"}


def test_of_a_batch_only_what_is_invalidated_is_not_stored(flight: Flight) -> None:
    """The others are; the caller has them all."""

    def work(keys: list[str]) -> dict[str, Any]:
        with flight.lock:
            flight.single.invalidate(lambda key: key == "a")
        return dict.fromkeys(keys, 1)

    assert each(flight, "ab", work) == {"a": 1, "b": 1}
    assert flight.store == {"b": 1}


def test_a_forced_batch_shares_nothing_that_began_before(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """It calls for what is stored too, and after another's call once more."""
    flight.store["a"] = "stored"
    gate = Gate("another's")
    leader = pool.submit(flight.run, "b", gate)
    assert gate.begun.acquire(timeout=PATIENCE_S)
    asked: list[list[str]] = []

    def work(keys: list[str]) -> dict[str, Any]:
        asked.append(keys)
        gate.through.set()
        return dict.fromkeys(keys, "new")

    assert each(flight, "ab", work, forced=True) == {"a": "new", "b": "new"}
    assert asked == [["a"], ["b"]]
    assert leader.result(PATIENCE_S) == "another's"


def test_who_joins_is_told(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """Each key that another runs, once for each who waits."""
    joined: list[str] = []
    gate = Gate()
    leader = pool.submit(flight.run, "a", gate, joined=joined.append)
    assert gate.begun.acquire(timeout=PATIENCE_S)
    waiters = [pool.submit(flight.run, "a", gate, joined=joined.append) for _ in range(2)]
    for _ in range(2):
        assert flight.waiting.acquire(timeout=PATIENCE_S)
    gate.through.set()
    assert [caller.result(PATIENCE_S) for caller in (leader, *waiters)] == ["value"] * 3
    assert joined == ["a", "a"]


def test_who_ran_out_of_time_does_not_decide_for_those_with_more(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """A deadline is its thread's own: who waits runs himself."""
    gate = Gate(DeadlineExceededError("mine"))
    leader = pool.submit(flight.run, "k", gate)
    assert gate.begun.acquire(timeout=PATIENCE_S)
    waiter = pool.submit(flight.run, "k", lambda: "in time")
    assert flight.waiting.acquire(timeout=PATIENCE_S)
    gate.through.set()
    assert isinstance(leader.exception(PATIENCE_S), DeadlineExceededError)
    assert waiter.result(PATIENCE_S) == "in time"


def test_a_circle_over_threads_is_an_error(flight: Flight) -> None:
    """Where work runs in threads with a copy of the context, as lambdakit's own do."""
    seen: list[Any] = []

    def ask() -> None:
        with pytest.raises(ConfigurationError, match="break the circle"):
            flight.run("k", lambda: "never")
        seen.append("circle")

    def work() -> str:
        thread = threading.Thread(target=copy_context().run, args=(ask,))
        thread.start()
        thread.join(PATIENCE_S)
        return "value"

    assert flight.run("k", work) == "value"
    assert seen == ["circle"]


@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_circle_that_threads_close_is_an_error(flight: Flight, length: int) -> None:
    """Each is at what another one wants, without a common context: they would wait for ever. All of them are told.

    Whoever waits for one of them, and is part of none, is told too, and the keys are free afterwards.
    """
    barrier = threading.Barrier(length)

    def ask(number: int) -> Any:
        def work() -> Any:
            barrier.wait(PATIENCE_S)
            return flight.run(f"k{(number + 1) % length}", lambda: "never", wait_s=None)

        return flight.run(f"k{number}", work, wait_s=None)

    with ThreadPoolExecutor(length) as pool:
        for asked in [pool.submit(ask, number) for number in range(length)]:
            with pytest.raises(ConfigurationError, match="break the circle"):
                asked.result(PATIENCE_S)
    assert [flight.run(f"k{number}", lambda: number) for number in range(length)] == [*range(length)]  # noqa: B023
    assert _single_flight._WAITERS == {}


def test_a_row_of_threads_is_no_circle(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """Each waits for the next one, and one of them at two places: the last one ends it for all."""
    gate = Gate("value")
    last = pool.submit(flight.run, "c", gate)
    assert gate.begun.acquire(timeout=PATIENCE_S)

    def work() -> Any:
        with ThreadPoolExecutor(2) as inner:
            asked = [inner.submit(copy_context().run, flight.run, "c", lambda: "never") for _ in range(2)]
            return [one.result(PATIENCE_S) for one in asked]

    middle = pool.submit(flight.run, "b", work)
    for _ in range(2):
        assert flight.waiting.acquire(timeout=PATIENCE_S)
    first = pool.submit(flight.run, "a", lambda: flight.run("b", lambda: "never"))
    assert flight.waiting.acquire(timeout=PATIENCE_S)
    gate.through.set()
    assert [one.result(PATIENCE_S) for one in (first, middle, last)] == [["value", "value"]] * 2 + ["value"]


def test_functions_that_are_cached_in_a_circle() -> None:
    """Two of them, called by two threads at once."""
    barrier = threading.Barrier(2)

    @lambdakit.cached
    def one() -> Any:
        barrier.wait(PATIENCE_S)
        return other()

    @lambdakit.cached
    def other() -> Any:
        barrier.wait(PATIENCE_S)
        return one()

    with ThreadPoolExecutor(2) as pool:
        for asked in [pool.submit(fn) for fn in (one, other)]:
            with pytest.raises(ConfigurationError, match="break the circle"):
                asked.result(PATIENCE_S)


def test_a_circle_over_two_keys_is_an_error_and_two_in_a_row_are_none(flight: Flight) -> None:
    """a asks for b, which asks for a; afterwards both are free, and a may ask for b."""
    with pytest.raises(ConfigurationError, match="break the circle"):
        flight.run("a", lambda: flight.run("b", lambda: flight.run("a", lambda: 1)))
    assert flight.run("a", lambda: flight.run("b", lambda: 1) + 1) == 2


def test_no_context_keeps_what_a_call_brought() -> None:
    """A thread that work has started may live for long: it must not hold a secret."""
    flight, contexts = Flight(), []

    class Value:
        pass

    def work() -> Value:
        contexts.append(copy_context())
        return Value()

    value = weakref.ref(flight.run("k", work))
    flight.store.clear()
    gc.collect()
    assert value() is None
    assert len(contexts) == 1


def test_a_call_leaves_the_context_as_it_was(flight: Flight) -> None:
    """Whether it returned, failed or was interrupted."""
    before = dict(copy_context())
    flight.run("k", lambda: 1)
    for failure in (ValueError, KeyboardInterrupt):
        with pytest.raises(failure):
            flight.run("other", raising(failure()))
    assert dict(copy_context()) == before


# --- tasks


class AsyncGate:
    """Work that begins, tells so, then waits to be let through; for the tasks of one loop."""

    def __init__(self, outcome: Any = "value") -> None:
        self.outcome = outcome
        self.begun = asyncio.Event()
        self.through = asyncio.Event()
        self.runs = 0

    async def __call__(self) -> Any:
        self.runs += 1
        self.begun.set()
        await self.through.wait()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


async def run_async(flight: Flight, work: Any, *, key: str = "k", wait_s: float | None = PATIENCE_S) -> Any:
    def remaining() -> float | None:
        flight.waiting.release()
        return wait_s

    return await flight.single.run_async(
        key, work, lookup=flight.store.get, store=flight.store.__setitem__, remaining=remaining
    )


def of_tasks(test: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(test(), PATIENCE_S))


async def a_while() -> None:
    """Every other task has come as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_tasks_share_a_call(flight: Flight) -> None:
    """Eight tasks, one call, stored; and a ninth finds it."""

    async def test() -> None:
        gate = AsyncGate()
        tasks = [asyncio.create_task(run_async(flight, gate)) for _ in range(8)]
        await a_while()
        gate.through.set()
        assert await asyncio.gather(*tasks, run_async(flight, gate)) == ["value"] * 9
        assert (gate.runs, flight.store) == (1, {"k": "value"})
        assert await run_async(flight, gate) == "value"
        assert gate.runs == 1

    of_tasks(test)


def test_an_error_of_a_task_is_everybodys_and_is_not_kept(flight: Flight) -> None:
    """The same exception is the outcome for those who wait; the next one calls again."""

    async def test() -> None:
        gate = AsyncGate(RuntimeError("down"))
        tasks = [asyncio.create_task(run_async(flight, gate)) for _ in range(2)]
        await a_while()
        gate.through.set()
        assert await asyncio.gather(*tasks) == [gate.outcome] * 2
        gate.outcome = "up"
        assert await run_async(flight, gate) == "up"

    of_tasks(test)


def test_a_cancelled_leader_is_taken_over(flight: Flight) -> None:
    """Nobody else is cancelled: one of them runs; a cancelled waiter takes nothing from anyone."""

    async def test() -> None:
        gate = AsyncGate()
        leader, waiter, impatient, other = [asyncio.create_task(run_async(flight, gate)) for _ in range(4)]
        await a_while()
        impatient.cancel()
        leader.cancel()
        await a_while()
        assert leader.cancelled()
        assert impatient.cancelled()
        gate.through.set()
        assert await asyncio.gather(waiter, other) == ["value"] * 2
        assert gate.runs == 2

    of_tasks(test)


def test_a_task_waits_no_longer_than_it_may(flight: Flight) -> None:
    """Its own deadline, also one that is over already; the call goes on."""

    async def test() -> None:
        gate = AsyncGate()
        leader = asyncio.create_task(run_async(flight, gate))
        await gate.begun.wait()
        for wait_s in (0.001, 0.0, -1.0):
            outcome = await run_async(flight, gate, wait_s=wait_s)
            assert isinstance(outcome, DeadlineExceededError)
            assert "to wait for a fetch" in str(outcome)
        gate.through.set()
        assert await leader == "value"

    of_tasks(test)


def test_a_task_that_ran_out_of_time_does_not_decide_for_others(flight: Flight) -> None:
    """Who waits runs himself."""

    async def test() -> None:
        gate = AsyncGate(DeadlineExceededError("mine"))
        leader = asyncio.create_task(run_async(flight, gate))
        await gate.begun.wait()
        in_time = AsyncGate("in time")
        waiter = asyncio.create_task(run_async(flight, in_time, wait_s=None))
        await a_while()
        gate.through.set()
        in_time.through.set()
        assert (await leader, await waiter) == (gate.outcome, "in time")

    of_tasks(test)


def test_an_invalidated_call_of_a_task_is_not_shared_with_newcomers(flight: Flight) -> None:
    """Who waited before gets the value; who comes after the invalidation does not."""

    async def test() -> None:
        old, new = AsyncGate("old"), AsyncGate("new")
        leader, early = [asyncio.create_task(run_async(flight, old)) for _ in range(2)]
        await a_while()
        with flight.lock:
            flight.single.invalidate(lambda key: True)
        late = asyncio.create_task(run_async(flight, new))
        await a_while()
        old.through.set()
        new.through.set()
        assert await asyncio.gather(leader, early, late) == ["old", "old", "new"]
        assert flight.store == {"k": "new"}

    of_tasks(test)


def test_a_circle_of_tasks_is_an_error(flight: Flight) -> None:
    """In the same task, in tasks that it gathers, in threads that it waits for."""

    async def again() -> Any:
        return await run_async(flight, again)

    async def gathered() -> Any:
        return (await asyncio.gather(run_async(flight, gathered)))[0]

    async def in_a_thread() -> Any:
        return await asyncio.to_thread(asyncio.run, run_async(flight, in_a_thread))

    async def test() -> None:
        for work in (again, gathered, in_a_thread):
            outcome = await run_async(flight, work)
            assert isinstance(outcome, ConfigurationError), work
            flight.store.clear()

    of_tasks(test)


def test_a_circle_that_tasks_close_is_an_error(flight: Flight) -> None:
    """Each is at what the other one wants."""
    begun: dict[str, asyncio.Event] = {}

    async def ask(key: str, other: str) -> Any:
        async def work() -> Any:
            begun[key].set()
            await begun[other].wait()
            return await flight.single.run_async(other, never, **options)

        return await flight.single.run_async(key, work, **options)

    async def never() -> Any:
        raise AssertionError

    options: Any = {"lookup": flight.store.get, "store": flight.store.__setitem__, "remaining": lambda: None}

    async def both() -> Any:
        begun.update(a=asyncio.Event(), b=asyncio.Event())
        return await asyncio.wait_for(asyncio.gather(ask("a", "b"), ask("b", "a")), PATIENCE_S)

    outcomes = asyncio.run(both())
    assert [type(outcome) for outcome in outcomes] == [ConfigurationError, ConfigurationError]
    assert _single_flight._WAITERS == {}


def test_tasks_of_two_loops_share_a_call(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """The one waits in its own loop, which goes on meanwhile."""
    begun, through = threading.Event(), threading.Event()

    async def slow() -> str:
        begun.set()
        assert await asyncio.to_thread(through.wait, PATIENCE_S)
        return "value"

    async def other() -> tuple[Any, bool]:
        waiter = asyncio.create_task(run_async(flight, slow))
        await asyncio.to_thread(flight.waiting.acquire, timeout=PATIENCE_S)
        await a_while()
        went_on = not waiter.done()
        through.set()
        return await waiter, went_on

    leader = pool.submit(asyncio.run, run_async(flight, slow))
    assert begun.wait(PATIENCE_S)
    assert pool.submit(asyncio.run, other()).result(PATIENCE_S) == ("value", True)
    assert leader.result(PATIENCE_S) == "value"


def test_a_loop_that_is_closed_by_now_is_no_trouble(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """Who waited there has gone; the call ends as ever."""
    begun, through = threading.Event(), threading.Event()

    async def slow() -> str:
        begun.set()
        assert await asyncio.to_thread(through.wait, PATIENCE_S)
        return "value"

    leader = pool.submit(asyncio.run, run_async(flight, slow))
    assert begun.wait(PATIENCE_S)
    assert isinstance(asyncio.run(run_async(flight, slow, wait_s=0.001)), DeadlineExceededError)
    through.set()
    assert leader.result(PATIENCE_S) == "value"


def test_a_call_that_ends_while_a_task_begins_to_wait_is_not_missed(flight: Flight, pool: ThreadPoolExecutor) -> None:
    """Between the look and the wait another thread may complete it."""
    begun, through = threading.Event(), threading.Event()

    async def slow() -> str:
        begun.set()
        assert await asyncio.to_thread(through.wait, PATIENCE_S)
        return "value"

    leader = pool.submit(asyncio.run, run_async(flight, slow))
    assert begun.wait(PATIENCE_S)

    def remaining() -> None:
        """The last thing before the wait, which then has no end of its own."""
        through.set()
        assert leader.result(PATIENCE_S) == "value"

    waited = flight.single.run_async(
        "k", pytest.fail, lookup=flight.store.get, store=flight.store.__setitem__, remaining=remaining
    )
    assert asyncio.run(asyncio.wait_for(waited, PATIENCE_S)) == "value"
