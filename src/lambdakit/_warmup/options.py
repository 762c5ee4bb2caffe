"""Which pings are answered, and what is done at one."""

from __future__ import annotations

from .._diagnostics import PLAIN, close_coroutine, did_you_mean, kind_of_function, seconds, warn
from ..exceptions import ConfigurationError
from . import DIALECTS, GREEDY, WARMER, recognise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Recognise = Callable[[Any, Any], Any]

__all__ = ["Warmup"]

MAX_ENVIRONMENTS = 100  # environments: a tenth of what an account may run at once by default


class Warmup:
    """What ``@handler(warmup=Warmup(...))`` does with pings. Immutable by convention, so safe to share.

    Args:
        dialects: names of those that are pings: ``lambda-warmer``, ``serverless-plugin-warmup``, ``thundra`` and
            ``zappa``, which are the default, and two that take events which are real work in many functions:
            ``empty`` (nothing, ``{}``, ``[]`` or ``""``) and ``schedule`` (a plain schedule of an EventBridge rule or
            of EventBridge Scheduler: name it only where no schedule runs the function for its own sake).
        max_concurrency: how many environments one ping may keep at most, the one it came to included: what
            lambda-warmer's ``concurrency`` and `lambdakit.fan_out` ask for is cut to it. Up to 100. 0, the default: a
            ping is never passed on. The function's role needs ``lambda:InvokeFunction`` on the function itself.
        overlap: seconds for which an environment that a ping was passed on to stays busy, so that the next of these
            pings finds it so and gets another; never beyond the remaining time. Default 0.075, as lambda-warmer's.
        budget: seconds that renewing values and singletons may take at a ping, within the remaining time; 0 renews
            nothing. Default 5, half of what INIT may take.

    Raises:
        ConfigurationError: one of these is wrong, or ``max_concurrency`` is used without ``lambda-warmer`` among the
            dialects, which is how pings are passed on.

    Since 0.1.
    """

    __slots__ = ("budget_s", "dialects", "max_concurrency", "overlap_s")

    def __init__(
        self,
        *,
        dialects: Iterable[str] = DIALECTS,
        max_concurrency: int = 0,
        overlap: float = 0.075,
        budget: float = 5.0,
    ) -> None:
        self.dialects = _dialects(dialects)
        self.max_concurrency = _whole("max_concurrency", max_concurrency, 0)
        self.overlap_s = seconds("overlap", overlap)
        self.budget_s = seconds("budget", budget)
        if max_concurrency and WARMER not in self.dialects:
            raise ConfigurationError(
                f"max_concurrency={max_concurrency}: pings are passed on in the dialect {WARMER!r}; "
                "add it to dialects, or they would reach your handler"
            )

    def recognise(self, event: Any, context: Any = None) -> str | None:
        """The dialect of the ping that `event` is, None for an event that is the handler's to answer. Never raises."""
        return recognise(event, context, self.dialects)

    def __repr__(self) -> str:
        """Every option."""
        return (
            f"Warmup(dialects={self.dialects!r}, max_concurrency={self.max_concurrency}, "
            f"overlap={self.overlap_s:g}, budget={self.budget_s:g})"
        )


def checked_environments(n: Any) -> int:
    """`n`, if it is a number of environments to keep; more than `MAX_ENVIRONMENTS` is cut later, as in an event."""
    return _whole("n", n, 1, most=None)


def _dialects(given: Any) -> tuple[str, ...]:
    known = (*DIALECTS, *GREEDY)
    names = () if isinstance(given, str) or not hasattr(given, "__iter__") else tuple(given)
    for name in names:
        if name not in known:
            hint = did_you_mean(name, [*known]) if isinstance(name, str) else ""
            raise ConfigurationError(f"dialects: {name!r:.80} is none of {', '.join(known)}.{hint}")
    if not names:
        raise ConfigurationError(
            f"dialects={given!r:.80}: give a list of one or more of {', '.join(known)}; "
            "for none at all there is @handler(warmup=False)"
        )
    return names


def _whole(argument: str, value: Any, least: int, *, most: int | None = MAX_ENVIRONMENTS) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        limit = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ConfigurationError(f"{argument}={value!r:.80}: give a whole number {limit}")
    return int(value)


def checked_pings(warmup: Any, on_ping: Any) -> tuple[Recognise | None, Warmup | None]:
    """How a ping is recognised, None for not at all, and what is done at one, None for the defaults."""
    if on_ping is not None and not callable(on_ping):
        raise ConfigurationError(f"on_ping={on_ping!r:.80}: give a function without arguments, or None")
    if on_ping is not None and (kind := kind_of_function(on_ping)) != PLAIN:
        raise ConfigurationError(f"on_ping: a {kind} function is awaited or read by nobody; give a function")
    if warmup is True or warmup is False:
        return recognise if warmup else None, None
    if issubclass(type(warmup), Warmup):
        return warmup.recognise, warmup
    if warmup is Warmup or not callable(warmup):  # the class is callable: it would take event and context for options
        raise ConfigurationError(
            f"warmup={warmup!r:.80}: give True, False, a lambdakit.Warmup(...), or a function of event and context"
        )
    if (kind := kind_of_function(warmup)) != PLAIN:
        raise ConfigurationError(f"warmup: a {kind} function is awaited or read by nobody; give a function")
    return _predicate(warmup), None


def _predicate(given: Recognise) -> Recognise:
    name = getattr(given, "__name__", None)
    if not isinstance(name, str):
        name = type(given).__name__

    def predicate(event: Any, context: Any) -> Any:
        try:
            answer = given(event, context)
            found = name if answer else None
        except Exception as error:  # noqa: BLE001 - the event is a user's, who has nothing to do with warm-up
            warn("warmup predicate %s raised %s; the event goes to the handler", name, type(error).__name__)
            return None
        if close_coroutine(answer):  # it is true, whatever it would have brought
            warn("warmup predicate %s returned a coroutine, which nobody awaits; the event goes to the handler", name)
            return None
        return found

    return predicate
