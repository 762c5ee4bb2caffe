"""What an environment owns, each made when it is first needed: what a function does not use, it does not import."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from ._budget import Budget
    from ._clients import Clients
    from ._clock import Clock, Instant
    from ._environment import Environment
    from ._http_pools import Pools
    from ._loop import Loop
    from ._memory import Memory
    from ._oauth import Tokens
    from ._settings import Settings
    from ._singletons import Singletons
    from ._source import Source
    from ._telemetry import Telemetry
    from ._warmer import Warmer
    from .backends import Backend

    T = TypeVar("T")


class Owned:
    """The backend, the memory, SDK clients, HTTP pools, what was built once, the event loop. Thread-safe.

    Args:
        environment: the owner.
        settings: of the environment.
        clock: of the environment.
        budget: seconds that I/O may take now.
        backend: a backend's name, or an object that is one.
        invoking: whether an invocation is running.
        epoch: a number that changes with each invocation.

    Attributes:
        idlers: what has to be told the time when an invocation begins, to close what was idle for too long.
    """

    __slots__ = (
        "_backend",
        "_budget",
        "_clock",
        "_environment",
        "_epoch",
        "_invoking",
        "_lock",
        "_parts",
        "_settings",
        "idlers",
    )

    def __init__(
        self,
        environment: Environment,
        *,
        settings: Settings,
        clock: Clock,
        budget: Budget,
        backend: Backend | str,
        invoking: Callable[[], bool],
        epoch: Callable[[], int],
    ) -> None:
        self._environment = environment
        self._settings = settings
        self._clock = clock
        self._budget = budget
        self._backend = backend
        self._invoking = invoking
        self._epoch = epoch
        self.idlers: list[Callable[[Instant], None]] = []
        self._lock = threading.RLock()  # a part is made of others
        self._parts: dict[str, Any] = {}

    @property
    def backend(self) -> Source:
        """Where values are fetched from."""

        def make() -> Source:
            from ._source import Source  # 0.2 ms

            return Source(
                self._backend,
                settings=self._settings,
                clock=self._clock,
                budget=self._budget,
                clients=lambda: self.clients,
                invoking=self._invoking,
            )

        return self._part("backend", make)

    @property
    def memory(self) -> Memory:
        """What is kept of values."""

        def make() -> Memory:
            from ._memory import Memory  # 1 ms

            return Memory(settings=self._settings, clock=self._clock, budget=self._budget, backend=self.backend)

        return self._part("memory", make)

    @property
    def clients(self) -> Clients:
        """The SDK clients."""

        def make() -> Clients:
            from ._clients import Clients  # 0.4 ms

            return Clients(settings=self._settings, clock=self._clock, budget=self._budget)

        return self._part("clients", make)

    @property
    def singletons(self) -> Singletons:
        """What was built once."""

        def make() -> Singletons:
            from ._singletons import Singletons  # 0.3 ms

            return Singletons(
                clock=self._clock,
                budget=self._budget,
                memory=self.memory,
                epoch=self._epoch,
                max_idle_s=self._settings.max_unused_s,
            )

        return self._part("singletons", make)

    @property
    def pools(self) -> Pools:
        """HTTP connections."""

        def make() -> Pools:
            from ._http_pools import Pools  # 60 ms with urllib3

            return Pools(settings=self._settings, clock=self._clock, budget=self._budget)

        return self._part("pools", make)

    @property
    def tokens(self) -> Tokens:
        """OAuth tokens."""

        def make() -> Tokens:
            from ._oauth import Tokens  # 0.5 ms

            return Tokens(clock=self._clock, budget=self._budget, memory=self.memory, pools=lambda: self.pools)

        return self._part("tokens", make)

    @property
    def loop(self) -> Loop:
        """The event loop of coroutine handlers."""

        def make() -> Loop:
            from ._loop import Loop  # 0.3 ms, and asyncio

            return Loop(budget=self._budget)

        return self._part("loop", make)

    @property
    def telemetry(self) -> Telemetry:
        """What is told of each invocation."""

        def make() -> Telemetry:
            from ._telemetry import Telemetry  # 0.5 ms

            return Telemetry(self._environment)

        return self._part("telemetry", make)

    @property
    def warmer(self) -> Warmer:
        """What a ping does."""

        def make() -> Warmer:
            from ._warmer import Warmer  # 0.3 ms, at the first ping

            return Warmer(self._environment)

        return self._part("warmer", make)

    def made(self, name: str) -> Any:
        """A part, if it was made; None if it was not needed so far."""
        return self._parts.get(name)

    def renew(self) -> None:
        """Around a snapshot: no value is kept, nothing stays connected. SDK clients stay the objects that they are."""
        for part in self._made():
            getattr(part, "renew", part.close)()

    def close(self) -> None:
        """Everything is given up, the last made first; what is used again is made or connected anew."""
        for part in self._made():
            part.close()

    def abandon(self) -> dict[str, Any]:
        """In a forked child: nothing of the parent's is used any more, and no lock of its is touched.

        Returns:
            The parts that live on, for `adopt`.
        """
        for name, part in self._parts.items():
            if name != "clients":
                part.abandon()
        return {name: part for name, part in self._parts.items() if name == "clients"}

    def adopt(self, parts: dict[str, Any]) -> None:
        """Go on with parts of the parent's: user modules hold SDK clients, which are renewed where they are."""
        for name, part in parts.items():
            part.renew_in_child()
            self._add(name, part)

    def __repr__(self) -> str:
        """How much it holds; nothing is made for it."""
        values = len(self._parts["memory"].cache) if "memory" in self._parts else 0
        return f"values={values} clients={len(self._parts.get('clients', ()))}"

    def _made(self) -> list[Any]:
        """The last made first; the loop at the end, since coroutines close what they have built."""
        with self._lock:
            names = [*self._parts]
            names.reverse()
            names.sort(key="loop".__eq__)  # which keeps the order of the others
            return [self._parts[name] for name in names]

    def _part(self, name: str, make: Callable[[], T]) -> T:
        if name not in self._parts:
            with self._lock:
                known = self._parts.get(name)  # another thread may have been faster
                self._add(name, make() if known is None else known)
        part: T = self._parts[name]
        return part

    def _add(self, name: str, part: Any) -> None:
        self._parts[name] = part
        self.idlers = [one.drop_idle for one in self._parts.values() if hasattr(one, "drop_idle")]
