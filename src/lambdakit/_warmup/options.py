"""Which pings are answered, and what is done at one."""

from __future__ import annotations

from .._diagnostics import PLAIN, close_coroutine, did_you_mean, function_name, kind_of_function, seconds, warn
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
        overlap: seconds for which a ping that may be one of several keeps its environment busy, so that the next of
            them finds it so and gets another; never beyond the remaining time. Default: what the manual of each warmer
            says: 0.075 of lambda-warmer where it was passed on, 0.025 of serverless-plugin-warmup, 0.09 of Thundra's
            text and what it asks for besides, up to 1, 0.1 of an empty event; 0.025 for a predicate of yours. Pings of
            Zappa and of schedules come alone, and so do lambda-warmer's own: they are answered at once. A number is
            for all dialects; 0: nobody waits.
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
        overlap: float | None = None,
        budget: float = 5.0,
    ) -> None:
        self.dialects = _dialects(dialects)
        self.max_concurrency = _whole("max_concurrency", max_concurrency, 0)
        self.overlap_s = None if overlap is None else seconds("overlap", overlap)
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
        overlap = "None" if self.overlap_s is None else f"{self.overlap_s:g}"
        return (
            f"Warmup(dialects={self.dialects!r}, max_concurrency={self.max_concurrency}, "
            f"overlap={overlap}, budget={self.budget_s:g})"
        )


def checked_environments(n: Any) -> int:
    """`n`, if it is a number of environments to keep; more than `MAX_ENVIRONMENTS` is cut later, as in an event."""
    return _whole("n", n, 1, most=None)


def _dialects(given: Any) -> tuple[str, ...]:
    known = (*DIALECTS, *GREEDY)
    names = () if isinstance(given, str) or not hasattr(type(given), "__iter__") else tuple(given)
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
    if not callable(warmup):
        raise ConfigurationError(
            f"warmup={warmup!r:.80}: give True, False, a lambdakit.Warmup(...), or a function of event and context"
        )
    if (kind := kind_of_function(warmup)) != PLAIN:
        raise ConfigurationError(f"warmup: a {kind} function is awaited or read by nobody; give a function")
    return _predicate(warmup), None


def _predicate(given: Recognise) -> Recognise:
    name, warned = function_name(given, "__name__"), False

    def warn_once(message: str, *arguments: object) -> None:
        """It is asked of each event, and would fill the log."""
        nonlocal warned
        if not warned:
            warned = True
            warn(f"warmup predicate {name} {message}; the event goes to the handler", *arguments)

    def predicate(event: Any, context: Any) -> Any:
        try:
            answer = given(event, context)
            found = name if answer else None
        except Exception as error:  # noqa: BLE001 - the event is a user's, who has nothing to do with warm-up
            warn_once("raised %s", type(error).__name__)
            return None
        if close_coroutine(answer):  # it is true, whatever it would have brought
            warn_once("returned a coroutine, which nobody awaits")
            return None
        return found

    return predicate
