"""Single flight: at most one run of a piece of work per key at a time, whose outcome all who wait for it share."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from .exceptions import ConfigurationError, DeadlineExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
    from typing import Any

# The runs that this code is part of; it reaches the tasks and the threads that are started with a copy of the context.
# Each is known by its event, because whatever holds such a context must not hold a value.
_ABOARD: ContextVar[tuple[threading.Event, ...]] = ContextVar("lambdakit_aboard", default=())


class Flight:
    """One run of the work of a key, and what came of it."""

    __slots__ = ("abandoned", "awaiting", "done", "number", "outcome", "outdated")

    def __init__(self, number: int) -> None:
        self.number = number
        self.done = threading.Event()
        self.awaiting: list[Callable[[], object]] = []  # told when it is done
        self.outdated = False  # what it was to fetch was invalidated meanwhile: nobody new may have its outcome
        self.abandoned = True  # until it has an outcome that is not its thread's alone; else somebody else has to run
        self.outcome: Any = None


class Flights:
    """The runs under way.

    Thread-safe. The lock is the caller's, so that a run's end and what it stored are one step for everyone; it is
    never held while the work runs.
    """

    __slots__ = ("_begun", "_lock", "_running")

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._running: dict[Hashable, Flight] = {}
        self._begun = 0

    def run(
        self,
        key: Hashable,
        work: Callable[[], Any],
        *,
        settled: Callable[[Any], Any],
        settle: Callable[[Any, Any], None],
        remaining: Callable[[], float | None],
    ) -> Any:
        """The outcome of `work` for one key: `run_each`, whose exception is raised."""
        outcome = self.run_each((key,), lambda _: {key: work()}, settled=settled, settle=settle, remaining=remaining)[
            key
        ]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def run_each(
        self,
        keys: Iterable[Hashable],
        work: Callable[[list[Any]], dict[Any, Any]],
        *,
        settled: Callable[[Any], Any],
        settle: Callable[[Any, Any], None],
        remaining: Callable[[], float | None],
        forced: bool = False,
        joined: Callable[[Any], None] = lambda _: None,
    ) -> dict[Any, Any]:
        """The outcome for each of `keys`, run here or in the thread that is already at it.

        Args:
            keys: what identifies the work, without duplicates.
            work: called without the lock, with those of the keys that nobody is at. It returns the outcome for each;
                an exception in the place of one is the outcome of that key, one that it raises is that of all.
            settled: asked under the lock before a run begins; anything but None is the answer, and nothing runs.
            settle: told key and outcome under the lock, unless the key was outdated during the run or it failed.
            remaining: seconds that this caller may wait for somebody else's run; None for no limit.
            forced: skip `settled`, and never share a run that began before this call.
            joined: told under the lock each key whose outcome this caller waits for.

        Returns:
            Key to outcome. An exception is one: that of the work, a `DeadlineExceededError` where somebody else's run
            takes longer than this caller may wait, a `ConfigurationError` where the work asks for its own outcome.
        """
        outcomes: dict[Any, Any] = {}
        waiting = list(keys)
        with self._lock:
            arrived = self._begun if forced else -1
        while waiting:
            mine, theirs = self._board(waiting, outcomes, settled=settled, arrived=arrived, joined=joined)
            # Whoever has runs of his own ends them before he waits for others', so that two never wait for each other.
            if mine:
                with self._landing(mine):
                    try:
                        brought = work(list(mine))
                    except Exception as error:  # noqa: BLE001 - raised to everyone who asked, each in his own thread
                        brought = dict.fromkeys(mine, error)
                    self._land(mine, brought, settle)
                outcomes.update(brought)
            waiting = []
            for key, (flight, shared) in theirs.items():
                if flight.done in _ABOARD.get():
                    outcomes[key] = _circle()
                elif not flight.done.wait(remaining()):
                    outcomes[key] = _late()
                elif shared and not flight.abandoned:
                    outcomes[key] = flight.outcome
                else:
                    waiting.append(key)
        return outcomes

    async def run_async(
        self,
        key: Hashable,
        work: Callable[[], Awaitable[Any]],
        *,
        settled: Callable[[Any], Any],
        settle: Callable[[Any, Any], None],
        remaining: Callable[[], float | None],
        joined: Callable[[Any], None] = lambda _: None,
    ) -> Any:
        """`run_each` for one key and work that is awaited; tasks of one thread wait for each other's runs.

        Returns:
            The outcome; an exception is one.
        """
        outcomes: dict[Any, Any] = {}
        while True:
            mine, theirs = self._board([key], outcomes, settled=settled, arrived=-1, joined=joined)
            if outcomes:
                return outcomes[key]
            if mine:
                with self._landing(mine):
                    try:
                        outcome = await work()
                    except Exception as error:  # noqa: BLE001 - raised to everyone who asked, each in his own task
                        outcome = error
                    self._land(mine, {key: outcome}, settle)
                return outcome
            flight, shared = theirs[key]
            if flight.done in _ABOARD.get():
                return _circle()
            if not await _landed(flight, remaining()):
                return _late()
            if shared and not flight.abandoned:
                return flight.outcome

    def _board(
        self,
        keys: list[Any],
        outcomes: dict[Any, Any],
        *,
        settled: Callable[[Any], Any],
        arrived: int,
        joined: Callable[[Any], None],
    ) -> tuple[dict[Any, Flight], dict[Any, tuple[Flight, bool]]]:
        """The runs that begin here, and those of others with whether their outcome will do; `outcomes` gets the rest.

        Forced is who has `arrived` after some run; -1 is who has not.
        """
        forced = arrived >= 0
        mine: dict[Any, Flight] = {}
        theirs: dict[Any, tuple[Flight, bool]] = {}
        with self._lock:
            for key in keys:
                flight = self._running.get(key)
                if flight is not None:
                    theirs[key] = flight, not flight.outdated and flight.number > arrived
                    joined(key)
                elif not forced and (answer := settled(key)) is not None:
                    outcomes[key] = answer
                else:
                    self._begun += 1
                    mine[key] = self._running[key] = Flight(self._begun)
        return mine, theirs

    def _land(self, mine: dict[Any, Flight], brought: dict[Any, Any], settle: Callable[[Any, Any], None]) -> None:
        with self._lock:
            for key, flight in mine.items():
                # Who ran out of time says nothing of those who wait: they may have more.
                flight.outcome, flight.abandoned = brought[key], isinstance(brought[key], DeadlineExceededError)
                del self._running[key]
                if not flight.outdated and not isinstance(flight.outcome, Exception):
                    settle(key, flight.outcome)

    @contextmanager
    def _landing(self, mine: dict[Any, Flight]) -> Iterator[None]:
        """Whatever happens in the runs: they are over for those who wait, and their keys are free."""
        token = _ABOARD.set((*_ABOARD.get(), *(flight.done for flight in mine.values())))
        try:
            yield
        finally:
            with suppress(ValueError):  # a coroutine that is thrown away ends in another context
                _ABOARD.reset(token)
            with self._lock:
                for key, flight in mine.items():
                    if self._running.get(key) is flight:
                        del self._running[key]
            for flight in mine.values():
                flight.done.set()
                for tell in flight.awaiting:
                    tell()

    def outdate(self, matches: Callable[[Any], bool]) -> None:
        """Mark the runs whose key `matches`, so that what they bring is not kept. Call it with the lock held."""
        for key, flight in self._running.items():
            if matches(key):
                flight.outdated = True


async def _landed(flight: Flight, timeout_s: float | None) -> bool:
    import asyncio  # loaded by whoever runs the loop

    loop = asyncio.get_running_loop()
    landed = asyncio.Event()

    def tell() -> None:
        # Another thread may have landed it, and this loop may be closed by then: nobody waits in it any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(landed.set)

    flight.awaiting.append(tell)
    if flight.done.is_set():  # between the two, or before
        return True
    try:
        await asyncio.wait_for(landed.wait(), timeout_s)
    except TimeoutError:
        return flight.done.is_set()
    return True


def _circle() -> ConfigurationError:
    return ConfigurationError("what fetches this value asks for the value itself: break the circle")


def _late() -> DeadlineExceededError:
    return DeadlineExceededError("the invocation has too little time left to wait for a fetch under way")
