"""What is fetched and opened in INIT, so that the first invocation finds it there."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from .. import _parallel
from .._cache import Entry
from .._diagnostics import (
    ASYNC_GENERATOR,
    PLAIN,
    close_coroutine,
    function_name,
    kind_of_function,
    own_attributes,
    unwrapped,
    warn,
)
from .._environment import PRELOAD_S
from .._process import process_age_s
from ..exceptions import ConfigurationError, ThrottledError
from . import PARAMETER, PATH, Declared, Values, describe, transformed
from .batches import Batches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._clock import Instant
    from .._environment import Environment, Invocation
    from . import Key

_INIT_LIMIT_S = 10.0  # past it Lambda begins INIT anew, within the first invocation
_INIT_MARGIN_S = 1.0  # for what the module does after its handler


def checked_items(items: Any) -> list[Any]:
    """The items of `preload`, if each is a declaration or can be called without arguments."""
    if isinstance(items, (str, bytes, dict, Declared)) or not hasattr(type(items), "__iter__"):
        raise ConfigurationError(
            f"preload: give a list of lambdakit.secret(...), lambdakit.parameter(...), lambdakit.parameters(...) "
            f"and functions without arguments, not {type(items).__name__}"
        )
    given = list(items)
    for item in given:
        if not (isinstance(item, Declared) or callable(item)):
            raise ConfigurationError(
                f"preload: {item!r:.60} is neither a declaration such as lambdakit.secret('name') nor a function"
            )
        if (kind := kind_of_function(item)) != PLAIN:
            article = "an" if kind == ASYNC_GENERATOR else "a"
            raise ConfigurationError(
                f"preload: {article} {kind} function cannot be preloaded, nobody awaits or reads it; give a function"
            )
    return given


def init_left_s(init_type: str | None) -> float:
    """Seconds that INIT has left, as far as this process can tell: other init types have no limit that matters here."""
    age_s = process_age_s() if init_type in {None, "on-demand"} else None
    return float("inf") if age_s is None else max(0.0, _INIT_LIMIT_S - _INIT_MARGIN_S - age_s)


class Preload:
    """What handlers want done in INIT. Thread-safe; a forked child keeps what was declared.

    Attributes:
        deferred: declared values that could not be preloaded so far, and are fetched when the next invocation begins.
    """

    __slots__ = ("_declared", "_env", "deferred")

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._declared: list[Any] = []
        self.deferred: list[Any] = []

    @classmethod
    def of(cls, env: Environment) -> Preload:
        """That of an environment."""
        return cls(env)

    def declare(self, items: list[Any], budget_s: float) -> None:
        """What a handler wants; done now under a Lambda runtime."""
        self._declared += items
        if budget_s and self._env.settings.in_lambda and self._is_wanted():
            self._run(items, budget_s)

    def _is_wanted(self) -> bool:
        """Whether this process is going to serve, with the handler that is being decorated, as far as one can tell."""
        from .init import is_child, serves  # 0.5 ms; not paid by who declares nothing

        return not is_child() and serves(self._env.settings.environ)

    def run(self, items: tuple[Any, ...], budget_s: float) -> None:
        """Fetch and open `items` now, or what was declared. A handler stands for what it declares."""
        given = [one for item in items for one in _declared_by(item)]
        self._run(checked_items(given) if items else self._declared, budget_s)

    def on_start(self, invocation: Invocation, now: Instant) -> None:  # noqa: ARG002 - what every hook is given
        """Fetch together what could not be preloaded so far."""
        if self.deferred:
            self.run_deferred()

    def run_deferred(self) -> None:
        """The same, if anything is left when this thread comes to it."""
        items = []
        with suppress(IndexError):  # another thread may do it, too
            while True:
                items.append(self.deferred.pop(0))
        left_s = self._env._budget()
        self.deferred += self._fetch_and_open(items, PRELOAD_S if left_s is None else min(PRELOAD_S, left_s))

    def after_fork_in_child(self) -> bool:
        """It lives on: it holds no value."""
        return True

    def _run(self, items: list[Any], budget_s: float) -> None:
        env = self._env
        limit_s = budget_s
        if env.settings.in_lambda and not (env.invocations or env.pings):
            limit_s = min(budget_s, init_left_s(env.settings.init_type))
            if env._backend == "extension" or env.settings.init_type == "snap-start":
                # The extension serves invocations only; and what is fetched before a snapshot would be in it.
                self.deferred += [item for item in items if isinstance(item, Declared)]
                items = [item for item in items if not isinstance(item, Declared)]
        self.deferred += self._fetch_and_open(items, limit_s)

    def _fetch_and_open(self, items: list[Any], limit_s: float) -> list[Declared]:
        """Everything at once, within `limit_s`. Nothing is raised: what failed is logged.

        The error of a value that will not pass by itself is kept, and raised at the first use of the value; any other
        is tried again there.

        Returns:
            What was throttled: to be asked for together again, since one by one it would be throttled the more.
        """
        throttled: list[Declared] = []
        if not items:
            return throttled
        if limit_s <= 0.0:
            warn("nothing is preloaded: there is no time left for it; what it names is left to its first use")
            return throttled
        declared = [item for item in items if isinstance(item, Declared)]
        functions = [item for item in items if not isinstance(item, Declared)]
        fetches: list[Callable[[], Any]] = [
            partial(self._path, item, throttled) for item in declared if item.kind == PATH
        ]
        if singles := [item for item in declared if item.kind != PATH]:
            fetches.append(partial(self._singles, singles, throttled))
        names = [*["values"] * len(fetches), *map(function_name, functions)]
        with self._env._budget.within(limit_s):
            outcomes = _parallel.run([*fetches, *(partial(_call, fn) for fn in functions)], timeout_s=limit_s)
        for name, outcome in zip(names, outcomes, strict=True):
            if isinstance(outcome, Exception):
                warn("preload of %s failed (%s); it is left to its first use", name, type(outcome).__name__)
        return throttled

    def _singles(self, items: list[Declared], throttled: list[Declared]) -> None:
        values = self._env._parts[Values]
        keys = {item: values.key(item) for item in items}
        for key in keys.values():
            values.preload_errors.pop(key, None)  # of a run before
        settings = values.settings
        outcomes = self._env._parts[Batches].fetch_each(
            dict.fromkeys(keys.values()), settings.ttl_s, settings.stale_ttl_s
        )
        for item, key in keys.items():
            outcome = outcomes[key]
            if isinstance(outcome, Exception):
                self._keep_error(item, key, outcome, throttled)
            else:
                self._transform(item, key, outcome)

    def _path(self, item: Declared, throttled: list[Declared]) -> None:
        values = self._env._parts[Values]
        key, settings = values.key(item), values.settings
        values.preload_errors.pop(key, None)  # of a run before
        batches, times = self._env._parts[Batches], (settings.ttl_s, settings.stale_ttl_s)
        try:
            listed = batches.fetch_path(key, *times)
        except Exception as error:  # noqa: BLE001 - kept, and raised where the path is used
            self._keep_error(item, key, error, throttled)
            return
        by_name = batches.fetch_by_name(key, listed, *times)  # what fails here is told where the path is used
        for name, entry in [*listed.value, *((one[1], outcome) for one, outcome in by_name.items())]:
            if isinstance(entry, Entry):
                self._transform(item, (PARAMETER, name, key[2], key[4]), entry, (key, listed))

    def _transform(self, item: Declared, key: Key, entry: Entry, within: tuple[Key, Entry] | None = None) -> None:
        transform = item.options["transform"]
        if callable(transform):
            with suppress(Exception):  # its first use makes it again, and raises
                transformed(self._env._parts[Values].cache, key, entry, transform, item.options["field"], within)

    def _keep_error(self, item: Declared, key: Key, error: Exception, throttled: list[Declared]) -> None:
        from .._errors import is_transient  # 0.5 ms, only on the way to an error

        if is_transient(error):
            warn("preload of %s failed (%s); it is fetched at its first use", describe(key), type(error).__name__)
            if isinstance(error, ThrottledError):
                throttled.append(item)
        else:
            warn("preload of %s failed (%s); its first use raises it", describe(key), type(error).__name__)
            self._env._parts[Values].preload_errors[key] = error


def _declared_by(item: Any) -> list[Any]:
    """What a handler declares; anything else is itself what is wanted. What answers to every name is no handler."""
    declared = own_attributes(unwrapped(item)).get("__lambdakit_preload__")
    return declared if type(declared) is list else [item]


def _call(fn: Callable[[], Any]) -> None:
    if close_coroutine(fn()):
        warn("preload: %s returned a coroutine, which nobody awaits: give a function that does not", function_name(fn))
