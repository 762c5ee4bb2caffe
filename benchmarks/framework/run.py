"""A run of the suite: its size, servers that start at their first use, progress."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from ..servers.origin import Origin
from ..servers.postgres import Postgres, programs
from ..servers.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from types import TracebackType

    from lambdakit.lab import Lab

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much is measured.

    Attributes:
        processes: fresh processes per side, at least.
        samples: samples in each of them.
        sample_s: how long one sample takes; the number of loops follows from it.
        environments: environments per version of the example, at least.
        warm: warm invocations in each of them.
        times_more: how many times as many processes and environments, at most, while a figure is unstable.
        patience_s: how long rounds go on while a figure is unstable, beyond the least number of rounds.
        patience_in_all_s: the same for the whole run.
        claims_more: how many times as long while the ratio of a row with a claim is unstable.
        round_trips_ms: how far away servers are whose distance matters.
        page_cache: measure also with the files of the package read from the disk.
    """

    processes: int
    samples: int
    sample_s: float
    environments: int
    warm: int
    times_more: int = 1
    patience_s: float = 0.0
    patience_in_all_s: float = math.inf
    claims_more: int = 1
    round_trips_ms: tuple[int, ...] = (0, 5)
    page_cache: bool = False


QUICK = Size(
    processes=5,
    samples=5,
    sample_s=0.02,
    environments=5,
    warm=30,
    times_more=4,
    patience_s=3.0,
    patience_in_all_s=15.0,
)
FULL = Size(
    processes=15,
    samples=9,
    sample_s=0.05,
    environments=15,
    warm=100,
    times_more=4,
    patience_s=25.0,
    patience_in_all_s=240.0,
    claims_more=4,
    round_trips_ms=(0, 1, 5, 20),
    page_cache=True,
)


class NotMeasuredError(Exception):
    """An effect needs what this machine does not have; that is no failure."""


def _nothing(*_: object) -> None:
    """Report no progress."""


class Run:
    """One run of the suite. Everything that it started ends with its ``with`` block.

    Args:
        size: how much is measured.
        tick: called after each process or environment that was measured.
        more: called with how many of them there will be beyond the steps of the effect.
        peers: all of them; else those that a claim is about.
        memory: sizes in MB at which the example is measured as well.
        broken: switch each effect's feature off in its treatment, to see that its verification notices.

    Attributes:
        memory_used: the sizes of what ran in the lab, in MB.
        patience_s: how much of its patience is left.
    """

    def __init__(
        self,
        size: Size,
        *,
        tick: Callable[[], object] = _nothing,
        more: Callable[[int], object] = _nothing,
        peers: bool = True,
        memory: Iterable[int] = (),
        broken: bool = False,
    ) -> None:
        self.size = size
        self.tick = tick
        self.more = more
        self.peers = peers
        self.memory = tuple(memory)
        self.broken = broken
        self.memory_used: set[int] = set()
        self.patience_s = size.patience_in_all_s
        self.cpu_method: str | None = None  # the lab's, once it was needed
        self._started = ExitStack()

    def ways(self, ways: Collection[str], *, further: Collection[str] = ()) -> tuple[str, ...]:
        """The ways that are measured: all, or all but the `further` ones, which only a run with every peer has."""
        return tuple(way for way in ways if self.peers or way not in further)

    def switch(self, feature: T, *, off: T) -> T:
        """The feature of a treatment; in a broken run what there is without it."""
        return off if self.broken else feature

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
