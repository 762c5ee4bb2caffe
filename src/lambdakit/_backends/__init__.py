"""Where values come from: which backend answers."""

from __future__ import annotations

from .._diagnostics import find_in_type, log_exceptions
from ..exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._clock import Instant
    from .._environment import Environment
    from ..backends import Backend
    from .direct import DirectBackend
    from .extension import ExtensionBackend
    from .sdk import SdkBackend


class Backends:
    """The backend of an environment, and the calls that do not depend on it. Thread-safe.

    Args:
        env: the owner.
        chosen: a backend's name, or an object that is one.
    """

    __slots__ = ("_chosen", "_env", "_used")

    def __init__(self, env: Environment, chosen: Backend | str) -> None:
        self._env = env
        self._chosen = chosen
        self._used: Backend | None = None

    @classmethod
    def of(cls, env: Environment) -> Backends:
        """Those of an environment."""
        return cls(env, env._backend)

    @property
    def backend(self) -> Backend:
        """Where values are fetched from, made at the first fetch."""
        self._used = backend = self._named if isinstance(self._chosen, str) else self._chosen
        return backend

    @property
    def _named(self) -> DirectBackend | SdkBackend | ExtensionBackend:
        if self._chosen != "extension":
            return self.operations
        from .extension import ExtensionBackend  # 0.4 ms; not paid by others

        return self._env._parts[ExtensionBackend]

    @property
    def operations(self) -> DirectBackend | SdkBackend:
        """What calls the services themselves: by the backend that was chosen, by `auto` where it is none of these."""
        parts = self._env._parts
        if self._chosen == "sdk":
            from .sdk import SdkBackend  # 0.3 ms; not paid where direct does

            return parts[SdkBackend]
        from .direct import AutoBackend, DirectBackend

        return parts[DirectBackend] if self._chosen == "direct" else parts[AutoBackend]

    def writer(self, method: str) -> Any:
        """What values are written with: an object that was chosen, if it has this method, else the services' calls.

        Raises:
            ConfigurationError: an object was chosen that has not. It is not the services then that answer.
        """
        chosen = self._chosen
        if isinstance(chosen, str):
            return self.operations
        if find_in_type(type(chosen), method) is None:
            raise ConfigurationError(f"backend: {type(chosen).__name__} has no {method}; nothing is written")
        return chosen

    def warm_imports(self) -> None:
        """Import in INIT what a first fetch needs."""
        if isinstance(self._chosen, str):
            self._named.warm_imports()

    def close(self) -> None:
        """Close what is open of a user's backend."""
        self._ask_users_backend("close")

    def close_idle(self, now: Instant) -> float | None:
        """Have a user's backend close connections that were idle for too long."""
        # It says nothing of when the next one will be, so it is asked again in the next invocation.
        return 0.0 if self._ask_users_backend("close_idle", now) else None

    def after_fork_in_child(self) -> bool:
        """Tell a user's backend, which lives on."""
        self._ask_users_backend("after_fork_in_child")
        return False

    def _ask_users_backend(self, method: str, *arguments: Any) -> bool:
        """Call an optional method; whether it has one. What it raises is logged: the invocation goes on without it."""
        chosen = self._chosen
        if isinstance(chosen, str) or find_in_type(type(chosen), method) is None:
            return False
        log_exceptions(f"{method} of {type(chosen).__name__}", getattr(chosen, method), *arguments)
        return True

    def status(self) -> dict[str, object]:
        """Which one it is, and why; nothing before the first fetch, since none is made for it."""
        return {} if self._used is None else {"backend": self._used.name}
