"""The environment: owner of everything that lives as long as Lambda's execution environment."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from itertools import count

from ._cache import Cache
from ._clock import Clock
from ._invocation import CURRENT, Invocation, start_kind
from ._log import warn
from ._settings import BACKENDS, Settings
from ._values import Values
from .exceptions import ConfigurationError, LambdakitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ._clients import Clients
    from .backends import Backend

# What is left of an invocation for the handler to answer with, once a fetch has failed at its deadline.
DEADLINE_MARGIN_S = 0.25


class Environment:
    """Everything of lambdakit's that lives as long as Lambda's execution environment.

    A process has one, made at first use. Tests make their own and put it in place with `use_environment`.

    Args:
        settings: default: read from this process's environment variables.
        clock: default: the machine's clocks. `lambdakit.testing.ManualClock` is one that tests move by hand.
        backend: where values are fetched from: ``"direct"`` (lambdakit's own signed requests), ``"sdk"`` (botocore),
            ``"extension"`` (AWS's local cache, with ``auto`` behind it), ``"auto"`` (direct where it equals botocore,
            else the SDK), or an object such as `lambdakit.testing.MemoryBackend`. Default: ``LAMBDAKIT_BACKEND``, then
            ``auto``.

    Attributes:
        id: eight characters that tell this environment from others in logs.
        settings: what was read from the environment variables.
        clock: both clocks.
        values: secrets and parameters.
        invocations: how many invocations have begun.
        pings: how many pings were answered.
    """

    __slots__ = (
        "_cache",
        "_chosen",
        "_clients",
        "_init_ended",
        "_lock",
        "_numbers",
        "_running",
        "clock",
        "id",
        "invocations",
        "pings",
        "settings",
        "values",
    )

    def __init__(
        self, *, settings: Settings | None = None, clock: Clock | None = None, backend: Backend | str | None = None
    ) -> None:
        self.settings = Settings.from_environ() if settings is None else settings
        self.clock = Clock() if clock is None else clock
        self.id = os.urandom(4).hex()
        self.invocations = 0
        self.pings = 0
        self._numbers = count(1)
        self._running: list[Invocation] = []
        self._init_ended = self.clock.now()
        self._cache = Cache(clock=self.clock)
        chosen = self.settings.backend if backend is None else backend
        if isinstance(chosen, str) and chosen not in BACKENDS:
            raise ConfigurationError(f"backend={chosen!r}: give one of {', '.join(BACKENDS)}, or an object that is one")
        self._chosen: Backend | str = chosen
        self._lock = threading.RLock()  # making the SDK backend makes the clients
        self._clients: Clients | None = None
        self.values = Values(
            cache=self._cache,
            backend=self.backend,
            clock=self.clock,
            settings=self.settings,
            remaining=self.budget_s,
        )
        for problem in self.settings.problems:
            warn("%s", problem)

    @property
    def clients(self) -> Clients:
        """The SDK clients."""
        return self._clients or self._first_clients()

    def _first_clients(self) -> Clients:
        from ._clients import Clients  # 0.2 ms; not paid where no client is made

        with self._lock:
            self._clients = self._clients or Clients(settings=self.settings, budget=self.budget_s)
            return self._clients

    def backend(self) -> Backend:
        """Where values are fetched from. Made at the first fetch: a function without values imports none of it."""
        chosen = self._chosen
        if not isinstance(chosen, str):
            return chosen
        with self._lock:
            chosen = self._chosen  # by now another thread may have been faster
            made = self._named(chosen) if isinstance(chosen, str) else chosen
            self._chosen = made
        return made

    def _named(self, name: str) -> Backend:
        if name == "sdk":
            return self._sdk()
        from .backends.auto import AutoBackend  # 1.5 ms together
        from .backends.direct import DirectBackend

        shared: Any = {"settings": self.settings, "clock": self.clock, "budget": self.budget_s}
        direct = DirectBackend(**shared)
        if name == "direct":
            return direct
        auto = AutoBackend(direct=direct, sdk=self._sdk, environ=self.settings.environ)
        if name == "auto":
            return auto
        from .backends.extension import ExtensionBackend

        return ExtensionBackend(**shared, invoking=lambda: self.current() is not None, otherwise=auto)

    def _sdk(self) -> Backend:
        from .backends.sdk import SdkBackend  # 0.3 ms; not paid where direct does

        return SdkBackend(self.clients)

    def end_init(self) -> None:
        """INIT ends here, as far as can be seen from inside: the outermost `@handler` has been applied."""
        self._init_ended = self.clock.now()

    def begin(self, context: Any) -> Invocation:
        """An invocation begins; pair it with `end`."""
        number = self.invocations = next(self._numbers)
        invocation = Invocation(
            context,
            number,
            "warm" if number > 1 else start_kind(self.settings.init_type, number=number, pings=self.pings),
            self.clock.now(),
            self._init_ended,
        )
        self._running.append(invocation)
        invocation.token = CURRENT.set(invocation)
        return invocation

    def end(self, invocation: Invocation) -> None:
        """The invocation is over, whether it returned or raised."""
        self._running.remove(invocation)
        CURRENT.reset(invocation.token)

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
        """Seconds that I/O may take now: the remaining time less the deadline margin. None where nothing limits it."""
        invocation = self.current()
        remaining_s = None if invocation is None else invocation.remaining_s()
        return None if remaining_s is None else remaining_s - DEADLINE_MARGIN_S

    def close(self) -> None:
        """Drop values and close connections. The environment can be used again afterwards; it starts empty."""
        self.values.clear()
        if not isinstance(self._chosen, str):
            self._chosen.close()
        if self._clients is not None:
            self._clients.close()

    def __repr__(self) -> str:
        """What it holds, by number: never a value."""
        clients = 0 if self._clients is None else len(self._clients)
        return (
            f"<Environment {self.id} invocations={self.invocations} pings={self.pings} "
            f"backend={self.backend().name} values={len(self._cache)} clients={clients}>"
        )


_current: Environment | None = None
_lock = threading.Lock()


def environment() -> Environment:
    """The environment of this process, made at the first call.

    Thread-safe. Since 0.1.
    """
    return _current or _first()


def _first() -> Environment:
    global _current  # noqa: PLW0603 - the one piece of module state, see `use_environment`
    with _lock:
        _current = _current or Environment()  # another thread may have been faster
        return _current


@contextmanager
def use_environment(env: Environment) -> Iterator[Environment]:
    """Put `env` in the place of the process's environment for the length of a ``with`` block.

    It nests, and restores what was there before, also when the block raises. `env` is not closed. For the whole
    process, not for a thread: a test replaces what handlers in all its threads use. Since 0.1.
    """
    global _current  # noqa: PLW0603 - as above
    before, _current = _current, env
    try:
        yield env
    finally:
        _current = before
