"""What the ways in which a function's environments come to be have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ._invocation import Invocation, Outcome

PUBLISHED_INIT_S = 130.0  # Lambda, where no caller waits for INIT: this or the function's time-out, whichever is more


class Run(NamedTuple):
    """An invocation that has ended, before its report.

    Attributes:
        outcome: what came of it.
        duration_ms: how long it took, without the phases before it.
        log: what was logged so far.
        max_memory_mb: the most memory of its environment, where that could be measured.
        init_ms: how long INIT took, if the invocation had to wait for it and pays for it.
        restore_ms: how long the restore took, if there was one.
        limit_s: what it ran out of, if it did.
    """

    outcome: Outcome
    duration_ms: float
    log: bytearray
    limit_s: float
    max_memory_mb: int | None = None
    init_ms: float | None = None
    restore_ms: float | None = None


class Mode(ABC):
    """How invocations get environments."""

    __slots__ = ()

    @property
    @abstractmethod
    def limit(self) -> int:
        """How many invocations may run at once just now."""

    @abstractmethod
    async def prepare(self) -> None:
        """Do what is done when the function is deployed.

        Raises:
            LambdakitError: it cannot be deployed.
        """

    @abstractmethod
    async def run(self, invocation: Invocation, version: str) -> Run:
        """Run one invocation."""
