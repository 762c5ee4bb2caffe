"""Single flight: at most one call for a key at a time, whose outcome all who wait for it share."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from .exceptions import ConfigurationError, DeadlineExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
    from typing import Any

# The calls that this code is part of; it reaches the tasks and the threads that are started with a copy of the context.
# Each is known by its event, because whatever holds such a context must not hold a value.
_ACTIVE_CALLS: ContextVar[tuple[threading.Event, ...]] = ContextVar("lambdakit_active_calls", default=())

# Who waits for a call: the calls that the waiting code is part of, and the one that it waits for. Two threads may each
# be at what the other one wants, and would wait for ever. Each step on it is one of a dictionary's own: who waits says
# so first, and then looks, so one of a circle sees it at least.
_WAITERS: dict[object, tuple[tuple[threading.Event, ...], threading.Event]] = {}


class Call:
    """One run of the work of a key, and what came of it."""

    __slots__ = ("done", "invalidated", "number", "outcome", "shared", "waiters")

    def __init__(self, number: int) -> None:
        self.number = number
        self.done = threading.Event()
        self.waiters: list[Callable[[], object]] = []  # called when it is done
        self.invalidated = False  # what it fetches was invalidated meanwhile: nobody new may have its outcome
        self.shared = (
            False  # whether its outcome is everybody's: not before there is one, nor if its thread ran out of time
        )
        self.outcome: Any = None


class SingleFlight:
    """The calls under way.

    Thread-safe. The lock is the caller's, so that the end of a call and what it stored are one step for everyone; it is
    never held while the work runs.
    """

    __slots__ = ("_calls", "_lock", "_started")

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._calls: dict[Hashable, Call] = {}
        self._started = 0  # how many calls

    def run(
        self,
        key: Hashable,
        work: Callable[[], Any],
        *,
        lookup: Callable[[Any], Any],
        store: Callable[[Any, Any], None],
        remaining: Callable[[], float | None],
    ) -> Any:
        """The outcome of `work` for one key: `run_each`, whose exception is raised."""
        outcomes = self.run_each((key,), lambda _: {key: work()}, lookup=lookup, store=store, remaining=remaining)
        outcome = outcomes[key]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def run_each(
        self,
        keys: Iterable[Hashable],
        work: Callable[[list[Any]], dict[Any, Any]],
        *,
        lookup: Callable[[Any], Any],
        store: Callable[[Any, Any], None],
        remaining: Callable[[], float | None],
        forced: bool = False,
        joined: Callable[[Any], None] = lambda _: None,
    ) -> dict[Any, Any]:
        """The outcome for each of `keys`, of a call here or in the thread that is already at it.

        Args:
            keys: what identifies the work, without duplicates.
            work: called without the lock, with those of the keys that nobody is at. It returns the outcome for each;
                an exception in the place of one is the outcome of that key, one that it raises is that of all.
            lookup: asked under the lock before a call starts; anything but None is the answer, and nothing runs.
            store: given key and outcome under the lock, unless the key was invalidated during the call or it failed.
            remaining: seconds that this caller may wait for somebody else's call; None for no limit.
            forced: skip `lookup`, and never share a call that started before this one.
            joined: told under the lock each key whose outcome this caller waits for.

        Returns:
            Key to outcome. An exception is one: that of the work, a `DeadlineExceededError` where somebody else's call
            takes longer than this caller may wait, a `ConfigurationError` where the work asks for its own outcome.
        """
        outcomes: dict[Any, Any] = {}
        waiting = list(keys)
        with self._lock:
            arrived = self._started if forced else -1
        while waiting:
            mine, theirs = self._join_or_start(waiting, outcomes, lookup=lookup, arrived=arrived, joined=joined)
            # Who has calls of his own ends them before he waits for others', so that two never wait for each other.
            if mine:
                with self._completing(mine):
                    try:
                        fetched = work(list(mine))
                    except Exception as error:  # noqa: BLE001 - raised to everyone who asked, each in his own thread
                        fetched = dict.fromkeys(mine, error)
                    self._complete(mine, fetched, store)
                outcomes.update(fetched)
            waiting = []
            for key, (call, usable) in theirs.items():
                with _waiting_for(call) as possible:
                    if not possible:
                        outcomes[key] = _circular_error()
                    elif not call.done.wait(remaining()):
                        outcomes[key] = _timeout_error()
                    elif usable and call.shared:
                        outcomes[key] = call.outcome
                    else:
                        waiting.append(key)
        return outcomes

    async def run_async(
        self,
        key: Hashable,
        work: Callable[[], Awaitable[Any]],
        *,
        lookup: Callable[[Any], Any],
        store: Callable[[Any, Any], None],
        remaining: Callable[[], float | None],
        joined: Callable[[Any], None] = lambda _: None,
    ) -> Any:
        """`run_each` for one key and work that is awaited; tasks of one thread wait for each other's calls.

        Returns:
            The outcome; an exception is one.
        """
        outcomes: dict[Any, Any] = {}
        while True:
            mine, theirs = self._join_or_start([key], outcomes, lookup=lookup, arrived=-1, joined=joined)
            if outcomes:
                return outcomes[key]
            if mine:
                with self._completing(mine):
                    try:
                        outcome = await work()
                    except Exception as error:  # noqa: BLE001 - raised to everyone who asked, each in his own task
                        outcome = error
                    self._complete(mine, {key: outcome}, store)
                return outcome
            call, usable = theirs[key]
            with _waiting_for(call) as possible:
                if not possible:
                    return _circular_error()
                if not await _wait(call, remaining()):
                    return _timeout_error()
            if usable and call.shared:
                return call.outcome

    def _join_or_start(
        self,
        keys: list[Any],
        outcomes: dict[Any, Any],
        *,
        lookup: Callable[[Any], Any],
        arrived: int,
        joined: Callable[[Any], None],
    ) -> tuple[dict[Any, Call], dict[Any, tuple[Call, bool]]]:
        """The calls that start here, and those of others with whether their outcome is usable.

        `outcomes` gets what `lookup` answers. Who is forced has `arrived` after some call; -1 is who is not.
        """
        forced = arrived >= 0
        mine: dict[Any, Call] = {}
        theirs: dict[Any, tuple[Call, bool]] = {}
        with self._lock:
            for key in keys:
                call = self._calls.get(key)
                if call is not None:
                    theirs[key] = call, not call.invalidated and call.number > arrived
                    joined(key)
                elif not forced and (answer := lookup(key)) is not None:
                    outcomes[key] = answer
                else:
                    self._started += 1
                    mine[key] = self._calls[key] = Call(self._started)
        return mine, theirs

    def _complete(self, mine: dict[Any, Call], fetched: dict[Any, Any], store: Callable[[Any, Any], None]) -> None:
        with self._lock:
            for key, call in mine.items():
                # Who ran out of time says nothing of those who wait: they may have more.
                call.outcome, call.shared = fetched[key], not isinstance(fetched[key], DeadlineExceededError)
                del self._calls[key]
                if not call.invalidated and not isinstance(call.outcome, Exception):
                    store(key, call.outcome)

    @contextmanager
    def _completing(self, mine: dict[Any, Call]) -> Iterator[None]:
        """Whatever happens in the calls: they are over for those who wait, and their keys are free."""
        token = _ACTIVE_CALLS.set((*_ACTIVE_CALLS.get(), *(call.done for call in mine.values())))
        try:
            yield
        finally:
            with suppress(ValueError):  # a coroutine that is thrown away ends in another context
                _ACTIVE_CALLS.reset(token)
            with self._lock:
                for key, call in mine.items():
                    if self._calls.get(key) is call:
                        del self._calls[key]
            for call in mine.values():
                call.done.set()
                for notify in call.waiters:
                    notify()

    def invalidate(self, matches: Callable[[Any], bool]) -> None:
        """What the calls whose key `matches` fetch is not stored. Call it with the lock held."""
        for key, call in self._calls.items():
            if matches(key):
                call.invalidated = True


@contextmanager
def _waiting_for(call: Call) -> Iterator[bool]:
    """What this code does in the block is to wait for `call`; False if that waits for what this code is part of."""
    mine, waiter = _ACTIVE_CALLS.get(), object()
    if not mine:
        yield True
        return
    _WAITERS[waiter] = mine, call.done
    try:
        yield not _reached_from(call.done, _WAITERS.copy().values()).intersection(mine)
    finally:
        del _WAITERS[waiter]


def _reached_from(done: threading.Event, waiters: Iterable[Any]) -> set[threading.Event]:
    """The calls that have to end before `done` does, itself included."""
    reached, more = set[threading.Event](), {done}
    while more:
        reached |= more
        more = {wanted for held, wanted in waiters if not reached.isdisjoint(held)} - reached
    return reached


async def _wait(call: Call, timeout_s: float | None) -> bool:
    """Whether the call is done in time."""
    import asyncio  # loaded by whoever runs the loop

    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def notify() -> None:
        # Another thread may have completed it, and this loop may be closed by then: nobody waits in it any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    call.waiters.append(notify)
    if call.done.is_set():  # between the two, or before
        return True
    try:
        await asyncio.wait_for(done.wait(), timeout_s)
    except TimeoutError:
        return call.done.is_set()
    return True


def _circular_error() -> ConfigurationError:
    return ConfigurationError("what fetches this value asks for the value itself: break the circle")


def _timeout_error() -> DeadlineExceededError:
    return DeadlineExceededError("the invocation has too little time left to wait for a fetch under way")
