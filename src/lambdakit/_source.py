"""The backend of an environment, chosen and made when the first value is fetched."""

from __future__ import annotations

import threading

from ._log import warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._budget import Budget
    from ._clients import Clients
    from ._clock import Clock, Instant
    from ._settings import Settings
    from .backends import Backend


class Source:
    """Where values are fetched from. Thread-safe.

    Args:
        chosen: a backend's name, or an object that is one.
        settings: of the environment.
        clock: of the environment.
        budget: seconds that a fetch may take now.
        clients: the SDK clients, made when they are asked for.
        invoking: whether an invocation is running.
    """

    __slots__ = ("_budget", "_chosen", "_clients", "_clock", "_invoking", "_lock", "_settings")

    def __init__(
        self,
        chosen: Backend | str,
        *,
        settings: Settings,
        clock: Clock,
        budget: Budget,
        clients: Callable[[], Clients],
        invoking: Callable[[], bool],
    ) -> None:
        self._chosen = chosen
        self._settings = settings
        self._clock = clock
        self._budget = budget
        self._clients = clients
        self._invoking = invoking
        self._lock = threading.Lock()

    def __call__(self) -> Backend:
        """The backend. Made at the first call: a function without values imports none of it."""
        chosen = self._chosen
        if not isinstance(chosen, str):
            return chosen
        with self._lock:
            chosen = self._chosen  # by now another thread may have been faster
            made = self._named(chosen) if isinstance(chosen, str) else chosen
            self._chosen = made
        return made

    def close(self) -> None:
        """Close its connections, forget its credentials; a later fetch finds both again."""
        if not isinstance(self._chosen, str):
            self._chosen.close()

    def drop_idle(self, now: Instant) -> None:
        """Close connections that may have died while the environment was frozen."""
        drop_idle = getattr(self._chosen, "drop_idle", None)  # a backend of a user's may have none
        if drop_idle is not None:
            try:
                drop_idle(now)
            except Exception as error:  # noqa: BLE001 - of a user's backend: the invocation goes on without it
                warn("drop_idle of %s raised %s", type(self._chosen).__name__, type(error).__name__)

    def abandon(self) -> None:
        """In a forked child: close this process's descriptors of the parent's connections, without any lock."""
        abandon = getattr(self._chosen, "abandon", None)  # a backend of a user's may have nothing to abandon
        if abandon is not None:
            abandon()

    def _named(self, name: str) -> Backend:
        if name == "sdk":
            return self._sdk()
        from .backends.auto import AutoBackend  # 1.5 ms together
        from .backends.direct import DirectBackend

        shared: Any = {"settings": self._settings, "clock": self._clock, "budget": self._budget}
        direct = DirectBackend(**shared)
        if name == "direct":
            return direct
        auto = AutoBackend(direct=direct, sdk=self._sdk, environ=self._settings.environ)
        if name == "auto":
            return auto
        from .backends.extension import ExtensionBackend

        return ExtensionBackend(**shared, invoking=self._invoking, otherwise=auto)

    def _sdk(self) -> Backend:
        from .backends.sdk import SdkBackend  # 0.3 ms; not paid where direct does

        return SdkBackend(self._clients())
