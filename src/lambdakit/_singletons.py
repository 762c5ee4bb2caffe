"""What a factory builds once for an environment, and anew when it may be dead or was built from what has changed."""

from __future__ import annotations

import gc
import sys
import threading
from functools import update_wrapper

from ._factory import BUILD, CHECK, KEEP
from ._flights import Flights

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable
    from typing import Any

    from ._budget import Budget
    from ._clock import Clock, Instant
    from ._factory import Factory
    from ._memory import Memory


class Held:
    """What was built, and when it was looked at."""

    __slots__ = ("built", "epoch", "factory", "loop", "used", "value", "versions")

    def __init__(
        self, factory: Factory, loop: Any, value: Any, *, versions: tuple[Any, ...], built: Instant, epoch: int
    ) -> None:
        self.factory = factory
        self.loop = loop  # the event loop that it belongs to, if a coroutine built it
        self.value = value
        self.versions = versions  # of what it was built from, by key
        self.built = self.used = built
        self.epoch = epoch


class Singletons:
    """The instances of an environment.

    Thread-safe. No lock is held while something is built, checked or closed, and a hit takes none and reads no clock:
    what was looked at in this invocation is good until its end, unless what it was built from changes.

    Args:
        clock: both clocks.
        budget: seconds that I/O may take now.
        memory: where the values are that instances depend on.
        epoch: a number that changes with each invocation.
        max_idle_s: after how long without a use what has no check is built anew.
    """

    __slots__ = ("_budget", "_clock", "_epoch", "_flights", "_held", "_lock", "_max_idle_s", "_memory")

    def __init__(
        self, *, clock: Clock, budget: Budget, memory: Memory, epoch: Callable[[], int], max_idle_s: float
    ) -> None:
        self._clock = clock
        self._budget = budget
        self._memory = memory
        self._epoch = epoch
        self._max_idle_s = max_idle_s
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._flights = Flights(self._lock)
        self._held: dict[Hashable, Held] = {}  # in the order of building

    def get(self, factory: Factory) -> Any:
        """The instance of a factory."""
        held = self._held.get(factory)
        if held is None or held.epoch != self._epoch() or (held.versions and self._changed(held)):
            held = self._flights.run(
                factory,
                lambda: _finished(self._ready(factory, factory, None)),
                settled=self._standing,
                settle=self._keep,
                remaining=self._budget,
            )
        return held.value

    async def get_async(self, factory: Factory) -> Any:
        """The instance of a coroutine function, one for each event loop: in another it could not be used."""
        loop = sys.modules["asyncio"].get_running_loop()
        key = (factory, loop)
        held = self._held.get(key)
        if held is None or held.epoch != self._epoch() or (held.versions and self._changed(held)):
            held = await self._flights.run_async(
                key,
                lambda: self._ready(key, factory, loop),
                settled=self._standing,
                settle=self._keep,
                remaining=self._budget,
            )
            if isinstance(held, Exception):
                raise held
        return held.value

    def _changed(self, held: Held) -> bool:
        """Whether memory has another version of what it was built from. One that is not known has not changed."""
        for key, version in held.versions:
            entry = self._memory.cache.latest(key)
            if entry is not None and entry.version is not None and entry.version != version:
                return True
        return False

    def _standing(self, key: Hashable) -> Held | None:
        held = self._held.get(key)
        return None if held is None or held.epoch != self._epoch() or self._changed(held) else held

    async def _ready(self, key: Hashable, factory: Factory, loop: Any) -> Held:
        """What is held, if it is good for this invocation, or a new one.

        Nothing in it waits unless the factory is a coroutine function: for others it is run to its end in one step.
        """
        epoch, held = self._epoch(), self._held.get(key)
        self._look(factory, needed=held is None)
        now = self._clock.now()
        if held is not None:
            due = self.due(held, now)
            if due == KEEP or (due == CHECK and await self._passes(held)):
                held.used, held.epoch = now, epoch
                return held
            # Closed first: a server that allows few connections would refuse the new one.
            for old in self._release(lambda one: one is held):
                await factory.close(old.value)
        self._release(lambda one: one.loop is not None and one.loop.is_closed())  # nothing can close these any more
        versions = self._versions(factory)
        value = await factory.build()
        read = {**self._versions(factory), **versions}  # what was not in memory before is what the factory has fetched
        return Held(factory, loop, value, versions=tuple(read.items()), built=now, epoch=epoch)

    def _look(self, factory: Factory, *, needed: bool) -> None:
        """Have the values that it depends on fetched, where their ttl has passed."""
        for declared in factory.depends_on:
            try:
                self._memory.get(declared)
            except Exception:
                if needed:
                    raise

    async def _passes(self, held: Held) -> bool:
        half_s = self._budget.half_s()  # the other half is for a new one
        with self._budget.within(half_s):
            return await held.factory.passes(held.value, half_s)

    def _versions(self, factory: Factory) -> dict[Any, str]:
        versions: dict[Any, str] = {}
        if factory.depends_on:
            known = self._memory.rotations.versions(self._memory.keys(factory.depends_on))
            versions = {key: version for key, version in known.items() if version is not None}
        return versions

    def _keep(self, key: Hashable, held: Held) -> None:
        self._held[key] = held  # one that was kept keeps its place; one that was built anew has been released

    def _release(self, matches: Callable[[Held], bool]) -> list[Held]:
        """No longer hold what `matches`; in the order of building."""
        with self._lock:
            released = {key: held for key, held in self._held.items() if matches(held)}
            for key in released:
                del self._held[key]
        return [*released.values()]

    def due(self, held: Held, now: Instant) -> str:
        """What is to be done with an instance now: KEEP it, CHECK it, BUILD a new one."""
        if self._changed(held):
            return BUILD
        return held.factory.due(held.built, held.used, now, self._max_idle_s)

    def held(self) -> list[Held]:
        """What there is, in the order of building."""
        return [*self._held.values()]

    def drop_idle(self, now: Instant) -> None:
        """Nothing: what is idle is looked at when it is used, and costs nothing where it is not."""

    def close(self) -> None:
        """Close everything, what was built last first, quietly. What is being built now is not kept."""
        with self._lock:
            self._flights.outdate(lambda _: True)
        for held in reversed(self._release(lambda _: True)):
            closing = held.factory.close(held.value)
            if held.loop is None:
                _finished(closing)
            else:
                _run_in(held.loop, closing)

    def abandon(self) -> None:
        """In a forked child: start empty, and never run a destructor of the parent's instances.

        libpq's, for one, says goodbye to the server, over the socket that the parent goes on with. The end of the
        interpreter runs destructors, too: hence something that nothing outside refers to and that is never collected.
        """
        inherited: list[Any] = [*self._held.values()]
        inherited.append(inherited)
        gc.freeze()
        self._start()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._held)

    def __bool__(self) -> bool:
        """True also while there are none."""
        return True

    def __repr__(self) -> str:
        """The names of the factories."""
        return f"<Singletons {' '.join(held.factory.name for held in [*self._held.values()]) or 'none'}>"


def bind(factory: Factory, singletons: Callable[[], Singletons]) -> Any:
    """The function that builds only where nothing is held; `singletons` finds those of the environment at each call."""

    def wrapper() -> Any:
        return singletons().get(factory)

    async def async_wrapper() -> Any:
        return await singletons().get_async(factory)

    return update_wrapper(async_wrapper if factory.is_async else wrapper, factory.fn)


def _finished(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine that never waits returns."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")  # pragma: no cover - see `Factory`


def _run_in(loop: Any, work: Coroutine[Any, Any, Any]) -> None:
    try:
        if loop.is_running():  # perhaps in this very thread: it is done when the loop comes to it
            sys.modules["asyncio"].run_coroutine_threadsafe(work, loop)
        else:
            loop.run_until_complete(work)
    except RuntimeError:  # it is closed, or another one runs in this thread
        work.close()
