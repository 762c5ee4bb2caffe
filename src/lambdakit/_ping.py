"""What a ping asks for, read from an event that may hold anything."""

from __future__ import annotations

from contextvars import ContextVar

from ._warmup import WARMER
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The ping that a user's hook is called for. A key, as that of the current invocation.
ANSWERED: ContextVar[Ping | None] = ContextVar("lambdakit_ping", default=None)

_INVOCATION, _CONCURRENCY = "__WARMER_INVOCATION__", "__WARMER_CONCURRENCY__"
_CORRELATION, _CORRELATION_IN_PYTHON = "__WARMER_CORRELATIONID__", "__WARMER_CORRELATION_ID__"
_MARKS = frozenset((_INVOCATION, _CONCURRENCY, _CORRELATION, _CORRELATION_IN_PYTHON))


class Ping:
    """A ping of any dialect; only lambda-warmer's ask for anything.

    Args:
        event: as it was recognised.
        dialect: of it.
        most: how many environments it may keep; 0 where pings are not passed on.

    Attributes:
        environments: how many it wants to keep, the one it came to included; 1 for no more than this.
        targets: functions that it names, each with how many environments of it are to be kept.
        number: its place among those that were passed on together, from 1; None for one that was not passed on.
        total: how many those are.
        is_root: False if it must not be passed on, because it was already or is a test.
    """

    __slots__ = ("environments", "is_root", "most", "number", "targets", "total")

    def __init__(self, event: Any, dialect: str, most: int) -> None:
        self.most = most
        self.environments = 1
        self.targets: list[tuple[Any, int]] = []
        self.number: int | None = None
        self.total = 1
        self.is_root = True
        if dialect == WARMER:
            for one in event if isinstance(event, list) else (event,):
                self._read(one)

    def _read(self, one: dict[Any, Any]) -> None:
        if not _MARKS.isdisjoint(one):
            self.number, self.total = _whole(one.get(_INVOCATION)), _whole(one.get(_CONCURRENCY))
        if self.number is not None or one.get("test"):
            self.is_root = False
        wanted = _whole(one.get("concurrency"))
        if one.get("target"):
            self.targets.append((one["target"], wanted))
        else:
            self.environments += wanted - 1

    def want(self, environments: int) -> None:
        """Keep at least so many.

        Raises:
            ConfigurationError: pings are not passed on by this handler.
        """
        if not self.most:
            raise ConfigurationError(
                f"fan_out({environments}): pings are not passed on; "
                "say how far with @handler(warmup=lambdakit.Warmup(max_concurrency=20))"
            )
        self.environments = max(self.environments, environments)


def passed_on(number: int, total: int, correlation: str) -> dict[str, object]:
    """The event of a ping that is passed on, as lambda-warmer sends it."""
    return {"warmer": True, _INVOCATION: number, _CONCURRENCY: total, _CORRELATION: correlation}


def _whole(value: Any) -> int:
    """`value`, if it is a whole number above 1; whatever else it is counts as 1."""
    return value if isinstance(value, int) and value > 1 else 1
