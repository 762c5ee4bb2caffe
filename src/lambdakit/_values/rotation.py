"""Work that is tried once more after a rotation of what it used."""

from __future__ import annotations

import threading
from contextlib import suppress

from .._clock import age_s
from .._diagnostics import checked_function, text, warn, wrap
from .._environment import part
from .._single_flight import SingleFlight
from ..exceptions import ConfigurationError, LambdakitError
from . import PATH, Declared, Values, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any, ParamSpec, TypeVar

    from .._clock import Budget, Clock, Instant
    from .._environment import Environment
    from . import Key

    P = ParamSpec("P")
    R = TypeVar("R")
    Errors = type[Exception] | tuple[type[Exception], ...]
    Versions = dict[Any, str | None]

_PAUSE_S = 10.0  # between two forced fetches of one value: a wrong password is no reason to call the service every time


def rotation_attempts(*values: str | Declared, errors: Errors) -> Iterator[Attempt]:
    """Try a block of code again after a rotation.

    ``for attempt in rotation_attempts("prod/db", errors=OperationalError):``, and within it ``with attempt:`` and the
    block. If the block raises one of `errors`, the values are fetched anew, from the service itself, at most once
    every 10 s for each; if one of them has another version than before, the block runs once more. Otherwise, and after
    the second time, the error is raised unchanged. Nothing sleeps.

    Args:
        values: names of secrets, or `secret` and `parameter` declarations.
        errors: an exception class or a tuple of them, such as ``psycopg.OperationalError``: what is raised for a
            password that is no longer valid.

    Raises:
        ConfigurationError: no value, something else than a value, or `errors` are not exception classes.

    Thread-safe; right in coroutines too, where the fetch takes the loop for as long as it takes. Since 0.1.
    """
    _check_values(values)
    kept = part(Values)
    return attempts(part(Rotations), [kept.key(value) for value in values], _checked_errors(errors))


def retry_on_rotation(*values: str | Declared, errors: Errors) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Call a function again after a rotation, as `rotation_attempts` does for a block; coroutine functions too.

    ``@retry_on_rotation("prod/db", errors=psycopg.OperationalError)``. The function has to read the value by itself,
    and what it does before the error is done twice.

    Raises:
        ConfigurationError: as `rotation_attempts`.

    Since 0.1.
    """
    _checked_errors(errors)
    _check_values(values)
    return _retrying(lambda: rotation_attempts(*values, errors=errors))


class Rotations:
    """Which version a value has now, asked of the service itself at most every 10 s. Thread-safe, and never sleeps."""

    __slots__ = ("_asked", "_budget", "_clock", "_fetches", "_lock", "_values")

    def __init__(self, *, values: Values, clock: Clock, budget: Budget) -> None:
        self._values = values
        self._budget = budget
        self._clock = clock
        self._lock = threading.Lock()
        self._fetches = SingleFlight(self._lock)
        self._asked: dict[Any, Instant] = {}

    @classmethod
    def of(cls, env: Environment) -> Rotations:
        """Those of an environment."""
        return cls(values=env._parts[Values], clock=env.clock, budget=env._budget)

    def versions(self, keys: list[Key]) -> Versions:
        """The version of each value in memory; None where there is none."""
        latest = {key: self._values.cache.latest(key) for key in keys}
        return {key: None if entry is None else entry.version for key, entry in latest.items()}

    def changed(self, before: Versions) -> bool:
        """Whether any of the values has another version than before, after a look at the service where that is due.

        A value that was not in memory before the work was fetched by it: what it used is what is there now. One of
        which no version is known, before or now, has not changed.
        """
        now = self.versions(list(before))
        used = {key: version or now[key] for key, version in before.items()}
        if not self._differs(used):
            for key in used:
                self._refresh(key)
        return self._differs(used)

    def _differs(self, used: Versions) -> bool:
        return any(None not in (used[key], now) and used[key] != now for key, now in self.versions(list(used)).items())

    def _refresh(self, key: Key) -> None:
        def ask() -> Instant:
            now = self._clock.now()
            try:
                self._values.fetch(key, 0.0, 0.0, forced=True)
            except Exception as error:  # noqa: BLE001 - the error that the work ended with is the one to raise
                warn("%s could not be fetched anew (%s)", describe(key), type(error).__name__)
            return now

        # Those who fail together wait for one look, also for one that began before they failed. Who has no time to wait
        # for it, or is at it himself, does without.
        with suppress(LambdakitError):
            self._fetches.run(key, ask, lookup=self._recent, store=self._asked.__setitem__, remaining=self._budget)

    def _recent(self, key: Key) -> Instant | None:
        asked = self._asked.get(key)
        return asked if asked is not None and age_s(asked, self._clock.now()) < _PAUSE_S else None


class Attempt:
    """One try of the work, a context manager: it swallows an error after which another try is worth it."""

    __slots__ = ("_before", "_errors", "_rotations", "again")

    def __init__(self, *, rotations: Rotations, before: Versions, errors: tuple[type[Exception], ...]) -> None:
        self._rotations = rotations
        self._before = before
        self._errors = errors
        self.again = False

    def __enter__(self) -> None:
        """The work begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """The work has ended."""
        self.again = isinstance(error, self._errors) and self._rotations.changed(self._before)
        return self.again


def attempts(rotations: Rotations, keys: list[Key], errors: tuple[type[Exception], ...]) -> Iterator[Attempt]:
    """One attempt, and a second one if the first ended with one of `errors` and a value had been rotated."""
    first = Attempt(rotations=rotations, before=rotations.versions(keys), errors=errors)
    yield first
    if first.again:
        yield Attempt(rotations=rotations, before={}, errors=errors)  # nothing to change: it is the last


def _retrying(begin: Callable[[], Iterator[Attempt]]) -> Callable[[Any], Any]:
    """A decorator that calls a function in each attempt that `begin` brings."""

    def decorate(fn: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            for attempt in begin():
                with attempt:
                    return fn(*args, **kwargs)
            return None  # pragma: no cover - the last attempt returns or raises

        async def async_wrapper(*args: Any, **kwargs: Any) -> Any:
            for attempt in begin():
                with attempt:
                    return await fn(*args, **kwargs)
            return None  # pragma: no cover - as above

        return wrap(async_wrapper if checked_function("retry_on_rotation", fn) else wrapper, fn)

    return decorate


def _checked_errors(errors: Any) -> tuple[type[Exception], ...]:
    """As a tuple, if each is a class of exceptions."""
    given = errors if isinstance(errors, tuple) else (errors,)
    if not given or not all(isinstance(error, type) and issubclass(error, Exception) for error in given):
        raise ConfigurationError(f"errors={errors!r:.80}: give an exception class, or a tuple of them")
    return given


def _check_values(values: Key) -> None:
    """There is one, and each is a name or the declaration of one value."""
    if not values:
        raise ConfigurationError("rotation: give the name of at least one secret, or a declaration of a value")
    for value in values:
        if isinstance(value, Declared):
            if value.kind == PATH:
                raise ConfigurationError(f"rotation: {value!r} is many values; give lambdakit.parameter(name)")
        else:
            text("rotation: a value", value)
