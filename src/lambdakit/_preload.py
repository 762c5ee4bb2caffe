"""What is fetched and opened in INIT, so that the first invocation finds it there."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from . import _parallel, _process, _transforms
from ._declared import PARAMETER, PATH, Declared
from ._log import warn
from ._transient import is_transient
from ._values import called
from .exceptions import ConfigurationError, ThrottledError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._batches import Batches
    from ._budget import Budget
    from ._entries import Entry
    from ._values import Values

_INIT_LIMIT_S = 10.0  # past it Lambda begins INIT anew, within the first invocation
_INIT_MARGIN_S = 1.0  # for what the module does after its handler
_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE, without the 5 ms of importing inspect


def checked(items: Any) -> list[Any]:
    """The items of `preload`, if each is a declaration or can be called without arguments."""
    if isinstance(items, (str, bytes, dict, Declared)) or not hasattr(items, "__iter__"):
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
        if getattr(getattr(item, "__code__", None), "co_flags", 0) & _CO_COROUTINE:
            raise ConfigurationError("preload: a coroutine function cannot be preloaded; give a function")
    return given


def owed(items: list[Any]) -> tuple[list[Any], list[Any]]:
    """What can be done now though values cannot be fetched, and the values."""
    return (
        [item for item in items if not isinstance(item, Declared)],
        [item for item in items if isinstance(item, Declared)],
    )


def init_left_s(init_type: str | None) -> float:
    """Seconds that INIT has left, as far as this process can tell: other init types have no limit that matters here."""
    age_s = _process.age_s() if init_type in {None, "on-demand"} else None
    return float("inf") if age_s is None else max(0.0, _INIT_LIMIT_S - _INIT_MARGIN_S - age_s)


class Preload:
    """Runs what was declared. Thread-safe.

    Args:
        values: where declared values go.
        batches: how they are fetched together.
        budget: of the environment.
    """

    __slots__ = ("_batches", "_budget", "_values")

    def __init__(self, *, values: Values, batches: Batches, budget: Budget) -> None:
        self._values = values
        self._batches = batches
        self._budget = budget

    def run(self, items: list[Any], limit_s: float) -> list[Declared]:
        """Everything at once, within `limit_s`. Nothing is raised: what failed is logged.

        The error of a value that will not pass by itself is kept, and raised at the first use of the value; any other
        is tried again there.

        Returns:
            What was throttled: to be asked for together again, since one by one it would be throttled the more.
        """
        throttled: list[Declared] = []
        if not items or limit_s <= 0.0:
            if items:
                warn("nothing is preloaded: there is no time left for it; what it names is left to its first use")
            return throttled
        declared = [item for item in items if isinstance(item, Declared)]
        functions = [item for item in items if not isinstance(item, Declared)]
        tasks: list[Callable[[], Any]] = [
            partial(self._path, item, throttled) for item in declared if item.kind == PATH
        ]
        if singles := [item for item in declared if item.kind != PATH]:
            tasks.append(partial(self._singles, singles, throttled))
        names = [*["values"] * len(tasks), *[getattr(fn, "__qualname__", type(fn).__name__) for fn in functions]]
        with self._budget.within(limit_s):
            outcomes = _parallel.run([*tasks, *functions], timeout_s=limit_s)
        for name, outcome in zip(names, outcomes, strict=True):
            if isinstance(outcome, Exception):
                warn("preload of %s failed (%s); it is left to its first use", name, type(outcome).__name__)
        return throttled

    def _singles(self, items: list[Declared], throttled: list[Declared]) -> None:
        keys = {item: self._values.key(item) for item in items}
        for key in keys.values():
            self._values.kept.pop(key, None)  # of a run before
        outcomes = self._batches.fetch_each(
            dict.fromkeys(keys.values()), self._values.settings.ttl_s, self._values.settings.stale_ttl_s
        )
        for item, key in keys.items():
            outcome = outcomes[key]
            if isinstance(outcome, Exception):
                self._keep(item, key, outcome, throttled)
            else:
                self._transform(item, key, outcome)

    def _path(self, item: Declared, throttled: list[Declared]) -> None:
        key = self._values.key(item)
        settings = self._values.settings
        self._values.kept.pop(key, None)  # of a run before
        try:
            listed = self._batches.fetch_path(key, settings.ttl_s, settings.stale_ttl_s)
        except Exception as error:  # noqa: BLE001 - kept, and raised where the path is used
            self._keep(item, key, error, throttled)
            return
        for name, entry in listed.value:
            self._transform(item, (PARAMETER, name), entry)

    def _transform(self, item: Declared, key: tuple[Any, ...], entry: Entry) -> None:
        transform = item.options["transform"]
        if callable(transform):
            with suppress(Exception):  # its first use makes it again, and raises
                _transforms.apply(self._values.cache, key, entry, transform, item.options["field"])

    def _keep(self, item: Declared, key: tuple[Any, ...], error: Exception, throttled: list[Declared]) -> None:
        if is_transient(error):
            warn("preload of %s failed (%s); it is fetched at its first use", called(key), type(error).__name__)
            if isinstance(error, ThrottledError):
                throttled.append(item)
        else:
            warn("preload of %s failed (%s); its first use raises it", called(key), type(error).__name__)
            self._values.kept[key] = error
