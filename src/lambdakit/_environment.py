"""The environment: owner of everything that lives as long as Lambda's execution environment."""

from __future__ import annotations

import os
import threading
from itertools import count

from ._budget import PRELOAD_S, Budget
from ._check import seconds
from ._clock import Clock
from ._invocation import CURRENT, Invocation, between_s, start_kind
from ._log import warn
from ._owned import Owned
from ._settings import BACKENDS, Settings
from .exceptions import ConfigurationError, LambdakitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._clients import Clients
    from ._clock import Instant
    from ._http_pools import Pools
    from ._loop import Loop
    from ._memory import Memory
    from ._oauth import Tokens
    from ._plans import Plans
    from ._singletons import Singletons
    from ._source import Source
    from ._telemetry import Telemetry, Watch
    from ._warmer import Warmer
    from .backends import Backend

DEADLINE_MARGIN_S = 0.25  # of an invocation, to answer with, once a fetch has failed for lack of time


class _Part:
    """Something an environment owns, from its first use on an attribute: `__getattr__` would slow all attributes."""

    __slots__ = ("_name",)

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, env: Environment, owner: type | None = None) -> Any:
        part = env.__dict__[self._name] = getattr(env._owned, self._name)  # noqa: SLF001 - its own environment
        return part


_part: Any = _Part  # to a type checker a part is what its annotation says


class Environment:
    """Everything of lambdakit's that lives as long as Lambda's execution environment.

    A process has one, made at first use, a forked child an empty one. Tests make their own, see `use_environment`.

    Args:
        settings: default: read from this process's environment variables.
        clock: default: the machine's clocks. `lambdakit.testing.ManualClock` is one that tests move by hand.
        backend: where values are fetched from: ``"direct"`` (lambdakit's own signed requests), ``"sdk"`` (botocore),
            ``"extension"`` (AWS's local cache, with ``auto`` behind it), ``"auto"`` (direct where it equals botocore,
            else the SDK), or an object such as `lambdakit.testing.MemoryBackend`. Default: ``LAMBDAKIT_BACKEND``, then
            ``auto``.

    Attributes:
        id: eight characters that tell this environment from others in logs; another one after a restore.
        settings: what was read from the environment variables.
        clock: both clocks.
        memory: everything that is kept of values.
        backend: called, where values are fetched from.
        clients: the SDK clients.
        given: the backend's name, or the object that is one.
        invocations: how many invocations have begun.
        pings: how many pings were answered.
        born: when it was made, by both clocks.
        init_ended: when INIT ended, or the restore: when the outermost handler was applied.
        previous: what became of the last invocation: ``ok``, ``failed`` or, if it is watched, ``timed out``.
    """

    __slots__ = (
        "__dict__",
        "_budget",
        "_lock",
        "_numbers",
        "_observed",
        "_owned",
        "_plans",
        "_running",
        "born",
        "clock",
        "given",
        "id",
        "init_ended",
        "invocations",
        "pings",
        "previous",
        "settings",
    )

    backend: Source = _part()
    clients: Clients = _part()
    loop: Loop = _part()
    memory: Memory = _part()
    pools: Pools = _part()
    singletons: Singletons = _part()
    telemetry: Telemetry = _part()
    tokens: Tokens = _part()
    warmer: Warmer = _part()

    def __init__(
        self, *, settings: Settings | None = None, clock: Clock | None = None, backend: Backend | str | None = None
    ) -> None:
        self.settings = Settings.from_environ() if settings is None else settings
        self.clock = Clock() if clock is None else clock
        self.given: Backend | str = self.settings.backend if backend is None else backend
        if isinstance(self.given, str) and self.given not in BACKENDS:
            raise ConfigurationError(
                f"backend={self.given!r}: give one of {', '.join(BACKENDS)}, or an object that is one"
            )
        self._plans: Plans | None = None
        self._observed = self.settings.metrics_namespace is not None or self.settings.log
        self._start()
        for problem in self.settings.problems:
            warn("%s", problem)

    def _start(self) -> None:
        """Everything that a forked child must not share with its parent."""
        self.id = os.urandom(4).hex()
        self.invocations = 0
        self.pings = 0
        self._numbers = count(1)
        self._running: list[Invocation] = []
        self.born = self.init_ended = self.clock.now()
        self.previous: str | None = None
        self._lock = threading.Lock()
        self._budget = Budget(clock=self.clock, invocation=self._invocation_left_s)
        self._owned = Owned(
            self,
            settings=self.settings,
            clock=self.clock,
            budget=self._budget,
            backend=self.given,
            invoking=lambda: self.current() is not None,
            epoch=lambda: self.invocations + self.pings,
        )
        self.__dict__.clear()

    @property
    def plans(self) -> Plans:
        """What handlers want done in INIT and after a restore."""
        if self._plans is None:
            from ._plans import Plans  # 0.6 ms; not paid where nothing is declared

            self._plans = Plans(self)  # while modules are imported, by one thread
        return self._plans

    def declare(self, *, preload: list[Any], budget_s: float, reseed: bool) -> None:
        """What a handler wants done in INIT. Done here under a Lambda runtime: INIT ends with the outermost handler."""
        if preload or not reseed:
            self.plans.declare(preload, budget_s, reseed=reseed)
        if self._observed and self.settings.in_lambda:
            _ = self.telemetry  # its imports belong to INIT
        self.init_ended = self.clock.now()

    def preload(self, *items: Any, budget: float = PRELOAD_S) -> None:
        """Fetch and open now what handlers have declared, as it happens in INIT under a Lambda runtime.

        Args:
            items: what to preload instead: declarations such as `lambdakit.secret`, functions without arguments, or
                handlers, which stand for what they declare: tests have other environments than their imports had.
            budget: seconds for all of it together; INIT's own limit is kept too, where this process is in INIT.

        Nothing is raised but a `ConfigurationError` for an item that is none of these; what fails is logged. Since 0.1.
        """
        self.plans.preload(items, seconds("budget", budget))

    def begin(self, context: Any, margin_s: float = DEADLINE_MARGIN_S, watch: Watch | None = None) -> Invocation:
        """An invocation begins, of whose time I/O leaves `margin_s`; pair it with `end`."""
        number, now = next(self._numbers), self.clock.now()
        self.invocations = number
        ended = self.init_ended
        kind = "warm" if number > 1 else start_kind(self.settings.init_type, self.pings, between_s(ended, now))
        invocation = Invocation(context, number, kind, now, ended, margin_s, watch)
        if watch is not None or self._observed:
            self.telemetry.began(invocation)
        self._enter(invocation, now)
        return invocation

    def _enter(self, invocation: Invocation, now: Instant) -> None:
        self._running.append(invocation)
        invocation.token = CURRENT.set(invocation)
        for drop_idle in self._owned.idlers:
            drop_idle(now)
        if self._plans is not None and self._plans.owed:
            self._plans.pay()

    def end(self, invocation: Invocation) -> None:
        """The invocation is over, whether it returned or raised."""
        self.previous = "ok" if invocation.error is None else "failed"
        try:
            if invocation.watch is not None or self._observed:
                self.telemetry.ended(invocation)
        finally:
            self._leave(invocation)

    def _leave(self, invocation: Invocation) -> None:
        if invocation in self._running:  # not in a child that was forked within it
            self._running.remove(invocation)
        CURRENT.reset(invocation.token)

    def ping(self, context: Any, *, dialect: str, **about: Any) -> dict[str, str]:
        """The answer to a ping, which leaves the environment as ready as an invocation would; see `Warmer.answer`."""
        self.pings += 1
        now = self.clock.now()
        invocation = Invocation(context, 0, "ping", now, self.init_ended, DEADLINE_MARGIN_S)
        try:
            self._enter(invocation, now)
            self.warmer.answer(dialect, context=context, **about)
        finally:
            self._leave(invocation)
        return {"ping": dialect, "environment": self.id}

    def made(self, name: str) -> Any:
        """Something that it owns, if it was needed so far, else None."""
        return self._owned.made(name)

    def current(self) -> Invocation | None:
        """The invocation that this code runs in, or None outside one.

        A thread that the handler started has no context of its own; it belongs to the invocation that is running, if
        there is only one.
        """
        running = self._running
        if not running:
            return None
        invocation = CURRENT.get()
        if invocation in running:
            return invocation
        first, *others = running
        return None if others else first

    def invocation(self) -> Invocation:
        """The invocation that this code runs in.

        Raises:
            LambdakitError: there is none.
        """
        invocation = self.current()
        if invocation is None:
            raise LambdakitError(
                "no invocation is running here: call this from a handler decorated with @lambdakit.handler, "
                "not at import and not after the handler has returned"
            )
        return invocation

    def budget_s(self) -> float | None:
        """Seconds that I/O may take now, see `Budget`: the remaining time less the deadline margin. None: no limit."""
        return self._budget()

    def _invocation_left_s(self) -> float | None:
        invocation = self.current()
        return None if invocation is None else invocation.left_s()

    def close(self) -> None:
        """Drop values and close connections. The environment can be used again afterwards; it starts empty."""
        self._owned.close()

    def on_restore(self, fn: Callable[[], object]) -> None:
        """Call `fn` after a restore, once everything of lambdakit's is renewed."""
        self.plans.restores.append(fn)

    def before_snapshot(self) -> None:
        """Nothing that is secret or that would be dead afterwards goes into the snapshot."""
        self._owned.renew()
        import gc

        gc.collect()  # values that only garbage refers to

    def after_restore(self) -> None:
        """Another environment of the same snapshot has the same memory: become one of one's own."""
        self.id = os.urandom(4).hex()
        self.init_ended = self.clock.now()
        self._owned.renew()  # hooks that ran before ours may have fetched
        self.plans.restored()

    def after_fork(self) -> None:
        """In the child: start empty. No lock and no connection of the parent's is touched."""
        parts = self._owned.abandon()
        self._start()
        self._owned.adopt(parts)

    def __repr__(self) -> str:
        """What it holds, by number: never a value."""
        return (
            f"<Environment {self.id} invocations={self.invocations} pings={self.pings} "
            f"backend={self.backend().name} {self._owned!r}>"
        )
