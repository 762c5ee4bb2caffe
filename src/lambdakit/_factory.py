"""What `@singleton` was told about one factory: how to build, to check and to close, and when."""

from __future__ import annotations

from contextlib import suppress

from ._cached import is_coroutine_function
from ._check import seconds
from ._clock import age_s
from ._declared import PATH, Declared
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._clock import Instant

KEEP, CHECK, BUILD = "keep", "check", "build"

_CLOSE_S = 1.0  # what a coroutine may take to close what is probably dead


class Factory:
    """One factory, which belongs to no environment; what it builds does.

    The coroutine functions here wait for nothing unless the factory is one itself.

    Args:
        fn: without arguments, a function or a coroutine function.
        check: gets an instance; fails by raising, or by returning False.
        check_after: seconds of idleness after which `check` is due.
        max_age: seconds, None for no limit.
        close: gets an instance; None: the instance's own ``close()``, or ``aclose()`` of what a coroutine built.
        depends_on: a declared value, or a list of them.
    """

    __slots__ = ("_check_after_s", "_close", "_max_age_s", "check", "depends_on", "fn", "is_async", "name")

    def __init__(self, fn: Any, *, check: Any, check_after: Any, max_age: Any, close: Any, depends_on: Any) -> None:
        self.is_async = is_coroutine_function("singleton", fn)
        for option, given in (("check", check), ("close", close)):
            if not (given is None or callable(given)):
                raise ConfigurationError(
                    f"{option}={given!r:.80}: give a function of what the factory returns, or None"
                )
            if given is not None and is_coroutine_function(f"singleton: {option}", given) and not self.is_async:
                raise ConfigurationError(f"{option}: a coroutine function needs a factory that is one, `async def`")
        if seconds("check_after", check_after) and check is None:
            raise ConfigurationError(f"check_after={check_after!r}: there is nothing to do then; give check= too")
        self.fn: Any = fn
        self.name: str = getattr(fn, "__qualname__", type(fn).__name__)
        self.check = check
        self.depends_on = _declarations(depends_on)
        self._check_after_s = check_after
        self._max_age_s = None if max_age is None else seconds("max_age", max_age)
        self._close = close

    def due(self, built: Instant, used: Instant, now: Instant, max_idle_s: float) -> str:
        """What is to be done with an instance at its first use in an invocation: keep it, check it, build anew.

        `max_idle_s` is for how long it may be idle where there is no check.
        """
        if self._max_age_s is not None and age_s(built, now) >= self._max_age_s:
            return BUILD
        idle_s = age_s(used, now)
        if self.check is None:
            return BUILD if idle_s >= max_idle_s else KEEP
        return CHECK if idle_s >= self._check_after_s else KEEP

    async def build(self) -> Any:
        """What the factory returns."""
        value = self.fn()
        if self.is_async:
            return await value
        if hasattr(value, "cr_code"):
            value.close()  # or Python would say that nobody has awaited it
            raise ConfigurationError(
                f"singleton: {self.name} returned a coroutine, which can be awaited once; make it `async def`"
            )
        return value

    async def passes(self, value: Any, within_s: float | None) -> bool:
        """Whether the check says that `value` is alive. One that hangs says that it is not, where it is awaited."""
        try:
            said = self.check(value)
            if self.is_async and hasattr(said, "__await__"):
                import asyncio  # loaded by whoever runs the loop

                said = await asyncio.wait_for(said, within_s)
        except ConfigurationError:  # such as a check that asks for the instance instead of taking it
            raise
        except Exception:  # noqa: BLE001 - whatever it is: a new one is built, or the factory says what is wrong
            return False
        if hasattr(said, "cr_code"):
            said.close()
            raise ConfigurationError(
                f"singleton: the check of {self.name} returned a coroutine, which nobody awaits: a connection of "
                "asyncio's needs an `async def` factory"
            )
        return said is not False

    async def close(self, value: Any) -> None:
        """Close `value`, as far as it lets itself be closed."""
        with suppress(Exception):
            said = self._closing(value)
            if self.is_async and hasattr(said, "__await__"):
                import asyncio

                await asyncio.wait_for(said, _CLOSE_S)
            elif hasattr(said, "cr_code"):
                said.close()

    def _closing(self, value: Any) -> Any:
        if self._close is not None:
            return self._close(value)
        own = getattr(value, "aclose", None) if self.is_async else None
        own = own or getattr(value, "close", None)
        return None if own is None else own()


def _declarations(given: Any) -> tuple[Declared, ...]:
    several = tuple(given) if isinstance(given, (list, tuple)) else () if given is None else (given,)
    for one in several:
        if not isinstance(one, Declared) or one.kind == PATH:
            raise ConfigurationError(
                f"depends_on={one!r:.80}: give lambdakit.secret(name), lambdakit.parameter(name), or a list of them"
            )
    return several
