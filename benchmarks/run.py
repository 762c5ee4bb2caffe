"""What an effect is given to measure with: its size, servers that start when they are first asked for, progress."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from .origin import Origin
from .postgres import Postgres, programs
from .upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from lambdakit.lab import Lab


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much is measured.

    Attributes:
        processes: fresh processes per side.
        samples: samples in each of them.
        sample_s: how long one sample takes; the number of loops follows from it.
        environments: environments per version of the example.
        warm: warm invocations in each of them.
        round_trips_ms: how far away servers are whose distance matters.
    """

    processes: int
    samples: int
    sample_s: float
    environments: int
    warm: int
    round_trips_ms: tuple[int, ...] = (0, 5)


QUICK = Size(processes=5, samples=5, sample_s=0.02, environments=5, warm=30)
FULL = Size(processes=15, samples=9, sample_s=0.05, environments=15, warm=100, round_trips_ms=(0, 1, 5, 20))


class NotMeasuredError(Exception):
    """There is nothing here to measure an effect with; that is no failure."""


class Run:
    """One run of the suite. Everything that it started ends with its ``with`` block.

    Args:
        size: how much is measured.
        tick: called after each process or environment that was measured.
    """

    def __init__(self, size: Size, *, tick: Callable[[], object] = lambda: None) -> None:
        self.size = size
        self.tick = tick
        self.cpu_method: str | None = None  # the lab's, once it was needed
        self._started = ExitStack()

    @cached_property
    def upstream(self) -> Upstream:
        """moto's server, prepared for all effects."""
        return self._started.enter_context(Upstream())

    @cached_property
    def origin(self) -> Origin:
        """The HTTP server, at all distances."""
        return self._started.enter_context(Origin(self.size.round_trips_ms))

    @cached_property
    def postgres(self) -> Postgres:
        """A PostgreSQL.

        Raises:
            NotMeasuredError: there is none for this Python.
        """
        found = programs()
        if found is None:
            raise NotMeasuredError("no PostgreSQL for this Python")
        return self._started.enter_context(Postgres(found))

    @cached_property
    def lab(self) -> Lab:
        """The local Lambda."""
        from lambdakit.lab import Lab

        lab = self._started.enter_context(Lab())
        self.cpu_method = lab.cpu_method
        return lab

    def __enter__(self) -> Run:
        """Itself; nothing has been started."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop what was started."""
        self._started.close()
