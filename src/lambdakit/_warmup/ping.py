"""What a ping asks for, read from an event that may hold anything."""

from __future__ import annotations

from contextvars import ContextVar

from ..exceptions import ConfigurationError, LambdakitError
from . import WARMER
from .options import checked_environments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The ping that a user's hook is called for. A key, as that of the current invocation.
ANSWERED: ContextVar[Ping | None] = ContextVar("lambdakit_ping", default=None)

_INVOCATION, _CONCURRENCY = "__WARMER_INVOCATION__", "__WARMER_CONCURRENCY__"
_CORRELATION, _CORRELATION_IN_PYTHON = "__WARMER_CORRELATIONID__", "__WARMER_CORRELATION_ID__"
_MAX_DIGITS = 9  # of milliseconds
_MARKS = frozenset((_INVOCATION, _CONCURRENCY, _CORRELATION, _CORRELATION_IN_PYTHON))


def fan_out(n: int) -> None:
    """Have the ping that is being answered keep `n` environments of this function, this one included.

    For ``@handler(warmup=Warmup(max_concurrency=20), on_ping=...)``, where the hook knows how many are wanted now: by
    the hour, or by a parameter. When the hook has returned, the ping is passed on to ``n - 1`` other environments of
    the alias or version that was invoked. If the ping asks for a number too, the larger one counts; neither goes
    beyond ``max_concurrency``. A ping that was passed on, or says ``"test": true``, goes no further, and this does
    nothing in it. Outside Lambda nothing is invoked.

    Args:
        n: how many environments, 1 or more.

    Raises:
        ConfigurationError: `n` is no such number, or the handler has no ``max_concurrency``.
        LambdakitError: no ping is being answered here.

    Since 0.1.
    """
    wanted = checked_environments(n)
    ping = ANSWERED.get()
    if ping is None:
        raise LambdakitError(
            "fan_out: no ping is being answered here: call this from the function that is given as on_ping= to "
            "@lambdakit.handler"
        )
    ping.request(wanted)


class Ping:
    """A ping of any dialect; only lambda-warmer's ask for anything.

    Args:
        event: as it was recognised.
        dialect: of it.
        limit: how many environments it may keep; 0 where pings are not passed on.

    Attributes:
        environments: how many it wants to keep, the one it came to included; 1 for no more than this.
        targets: functions that it names, each with how many environments of it are to be kept.
        number: its place among those that were passed on together, from 1; None for one that was not passed on.
        total: how many those are.
        may_fan_out: False if it must not be passed on, because it was already or is a test.
    """

    __slots__ = ("_event", "environments", "limit", "may_fan_out", "number", "targets", "total")

    def __init__(self, event: Any, dialect: str, limit: int) -> None:
        self._event = event
        self.limit = limit
        self.environments = 1
        self.targets: list[tuple[Any, int]] = []
        self.number: int | None = None
        self.total = 1
        self.may_fan_out = True
        if dialect == WARMER:
            for one in event if isinstance(event, list) else (event,):
                self._read(one)

    def _read(self, one: dict[Any, Any]) -> None:
        if not _MARKS.isdisjoint(one):
            self.number, self.total = _count(one.get(_INVOCATION)), _count(one.get(_CONCURRENCY))
        if self.number is not None or one.get("test"):
            self.may_fan_out = False
        wanted = _count(one.get("concurrency"))
        if one.get("target"):
            self.targets.append((one["target"], wanted))
        else:
            self.environments += wanted - 1

    def wait_s(self, most_s: float) -> float:
        """Seconds that Thundra's text asks for, ``#warmup wait=200`` being milliseconds, but no more than `most_s`."""
        _, _, digits = str(self._event).partition("wait=") if isinstance(self._event, str) else ("", "", "")
        digits = digits.strip()
        if not (digits.isascii() and digits.isdecimal()):
            return 0.0
        return most_s if len(digits) > _MAX_DIGITS else min(int(digits) / 1000, most_s)

    def request(self, environments: int) -> None:
        """Keep at least so many.

        Raises:
            ConfigurationError: pings are not passed on by this handler.
        """
        if not self.limit:
            raise ConfigurationError(
                f"fan_out({environments}): pings are not passed on; "
                "say how far with @handler(warmup=lambdakit.Warmup(max_concurrency=20))"
            )
        self.environments = max(self.environments, environments)


def child_event(number: int, total: int, correlation: str) -> dict[str, object]:
    """The event of a ping that is passed on, as lambda-warmer sends it."""
    return {"warmer": True, _INVOCATION: number, _CONCURRENCY: total, _CORRELATION: correlation}


def _count(value: Any) -> int:
    """`value`, if it is a whole number above 1; whatever else it is counts as 1."""
    return value if isinstance(value, int) and value > 1 else 1
