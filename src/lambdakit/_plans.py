"""What handlers want done in INIT, and what is done after a restore."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from ._budget import PRELOAD_S
from ._log import warn
from ._preload import checked, init_left_s, owed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._environment import Environment


class Plans:
    """The plans of an environment; a forked child keeps them.

    Args:
        environment: the owner.

    Attributes:
        owed: declared values that could not be preloaded so far, and are fetched when the next invocation begins.
        reseed: whether `random` is seeded anew after a restore.
        restores: what is called then.
    """

    __slots__ = ("_declared", "_environment", "owed", "reseed", "restores")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._declared: list[Any] = []
        self.owed: list[Any] = []
        self.reseed = True
        self.restores: list[Callable[[], object]] = []

    def declare(self, preload: list[Any], budget_s: float, *, reseed: bool) -> None:
        """What a handler wants; done now under a Lambda runtime."""
        self._declared += preload
        self.reseed = self.reseed and reseed
        if preload and budget_s and self._environment.settings.in_lambda:
            self._run(preload, budget_s)

    def preload(self, items: tuple[Any, ...], budget_s: float) -> None:
        """Fetch and open `items` now, or what was declared."""
        given = [one for item in items for one in getattr(item, "__lambdakit_preload__", [item])]
        self._run(checked(given) if items else self._declared, budget_s)

    def _run(self, items: list[Any], budget_s: float) -> None:
        env = self._environment
        in_init = env.settings.in_lambda and not (env.invocations or env.pings)
        if in_init and (env.given == "extension" or env.settings.init_type == "snap-start"):
            # The extension serves invocations only; and what is fetched before a snapshot would be in it.
            items, later = owed(items)
            self.owed += later
        limit_s = init_left_s(env.settings.init_type) if in_init else budget_s
        self.owed += env.memory.preload.run(items, min(budget_s, limit_s))

    def pay(self) -> None:
        """Fetch together what could not be preloaded so far."""
        items = []
        with suppress(IndexError):  # another thread may pay, too
            while True:
                items.append(self.owed.pop(0))
        left_s = self._environment.budget_s()
        limit_s = PRELOAD_S if left_s is None else min(PRELOAD_S, left_s)
        self.owed += self._environment.memory.preload.run(items, limit_s)

    def restored(self) -> None:
        """All environments of a snapshot have the state of its generators: seed them; then call what was asked for."""
        if self.reseed and "random" in sys.modules:
            sys.modules["random"].seed()
        if "ssl" in sys.modules:
            sys.modules["ssl"].RAND_add(os.urandom(32), 32.0)
        for fn in self.restores:
            try:
                fn()
            except Exception as error:  # noqa: BLE001 - a hook that raises would end the environment
                warn("on_restore: %s raised %s", getattr(fn, "__qualname__", fn), type(error).__name__)
