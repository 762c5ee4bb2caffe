"""What `handler` was given beside a function, checked where it stands; not paid by who gives nothing."""

from __future__ import annotations

from ._log import warn
from ._warmup import recognise
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Recognise = Callable[[Any, Any], Any]


_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE, without the 5 ms of importing inspect


def pings(warmup: Any, on_ping: Any) -> tuple[Recognise | None, dict[str, Any]]:
    """How a ping is recognised, None for not at all, and what `Environment.ping` is told to do about one."""
    if on_ping is not None and not callable(on_ping):
        raise ConfigurationError(f"on_ping={on_ping!r:.80}: give a function without arguments, or None")
    if getattr(getattr(on_ping, "__code__", None), "co_flags", 0) & _CO_COROUTINE:
        raise ConfigurationError("on_ping: a coroutine function is awaited by nobody; give a function")
    if warmup is True or warmup is False:
        return recognise if warmup else None, {"warmup": None, "on_ping": on_ping}
    if hasattr(warmup, "recognise"):
        return warmup.recognise, {"warmup": warmup, "on_ping": on_ping}
    if not callable(warmup):
        raise ConfigurationError(
            f"warmup={warmup!r:.80}: give True, False, a lambdakit.Warmup(...), or a function of event and context"
        )
    return _custom(warmup), {"warmup": None, "on_ping": on_ping}


def _custom(predicate: Recognise) -> Recognise:
    name = getattr(predicate, "__name__", type(predicate).__name__)

    def custom(event: Any, context: Any) -> Any:
        try:
            return name if predicate(event, context) else None
        except Exception as error:  # noqa: BLE001 - the event is a user's, who has nothing to do with warm-up
            warn("warmup predicate %s raised %s; the event goes to the handler", name, type(error).__name__)
            return None

    return custom
