"""Single flight: at most one run of a piece of work per key at a time, whose outcome all who wait for it share."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from .exceptions import ConfigurationError, DeadlineExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from typing import Any


class Flight:
    """One run of the work of a key, and what came of it."""

    __slots__ = ("abandoned", "done", "error", "number", "outcome", "outdated", "owner")

    def __init__(self, number: int) -> None:
        self.number = number
        self.owner = threading.get_ident()
        self.done = threading.Event()
        self.outdated = False  # what it was to fetch was invalidated meanwhile: nobody new may have its outcome
        self.abandoned = False  # its thread was interrupted: there is no outcome, somebody else has to run
        self.outcome: Any = None
        self.error: Exception | None = None


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
        settled: Callable[[], Any],
        settle: Callable[[Any], None],
        remaining: Callable[[], float | None],
        forced: bool = False,
    ) -> Any:
        """The outcome of `work` for `key`, run here or in the thread that is already at it.

        Args:
            key: what identifies the work.
            work: called without the lock, by one thread at a time for one key. Its exception is everybody's.
            settled: asked under the lock before a run begins; anything but None is the answer, and nothing runs.
            settle: told the outcome under the lock, unless the key was outdated during the run.
            remaining: seconds that this caller may wait for somebody else's run; None for no limit.
            forced: skip `settled`, and never share a run that began before this call.

        Raises:
            DeadlineExceededError: somebody else's run takes longer than this caller may wait.
            ConfigurationError: the work asks for its own outcome, which would wait for ever.
        """
        with self._lock:
            arrived = self._begun
        while True:
            with self._lock:
                flight = self._running.get(key)
                if flight is None:
                    if not forced and (answer := settled()) is not None:
                        return answer
                    self._begun += 1
                    flight = self._running[key] = Flight(self._begun)
                    break
                shared = not flight.outdated and not (forced and flight.number <= arrived)
            if flight.owner == threading.get_ident():
                raise ConfigurationError("what fetches this value asks for the value itself: break the circle")
            if not flight.done.wait(remaining()):
                raise DeadlineExceededError("the invocation has too little time left to wait for a fetch under way")
            if shared and not flight.abandoned:
                if flight.error is not None:
                    raise flight.error
                return flight.outcome
        with self._landing(key, flight):
            flight.outcome = work()
            with self._lock:
                del self._running[key]
                if not flight.outdated:
                    settle(flight.outcome)
        return flight.outcome

    @contextmanager
    def _landing(self, key: Hashable, flight: Flight) -> Iterator[None]:
        """Whatever happens in the run: it is over for those who wait, and its key is free."""
        flight.abandoned = True
        try:
            yield
            flight.abandoned = False
        except Exception as error:
            flight.error, flight.abandoned = error, False
            raise
        finally:
            with self._lock:
                if self._running.get(key) is flight:
                    del self._running[key]
            flight.done.set()

    def outdate(self, matches: Callable[[Any], bool]) -> None:
        """Mark the runs whose key `matches`, so that what they bring is not kept. Call it with the lock held."""
        for key, flight in self._running.items():
            if matches(key):
                flight.outdated = True
