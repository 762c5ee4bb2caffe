"""What an effect is: a claim, a control, a treatment, a verification."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import stats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .run import Run


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """What was measured of one side: the samples of each process, in `unit`."""

    unit: str
    processes: Sequence[Sequence[float]]

    @property
    def values(self) -> list[float]:
        """One value per process: the median of its samples."""
        return [stats.median(samples) for samples in self.processes]

    @property
    def median(self) -> float:
        """The median over the processes."""
        return stats.median(self.values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What is claimed of a row, such that a figure can disprove it."""

    text: str
    holds: Callable[[Series, Series], bool] = field(repr=False)


def at_most(limit: float, unit: str) -> Claim:
    """The treatment costs no more than this."""
    return Claim(text=f"<= {limit:g} {unit}", holds=lambda _, treatment: treatment.median <= limit)


def adds_at_most(limit: float, unit: str) -> Claim:
    """The treatment costs no more than this beyond what the control costs."""
    return Claim(
        text=f"adds <= {limit:g} {unit}",
        holds=lambda control, treatment: treatment.median - control.median <= limit,
    )


def times_less(factor: float) -> Claim:
    """The control costs at least `factor` times what the treatment costs."""
    return Claim(
        text=f">= {factor:g}x less",
        holds=lambda control, treatment: control.median >= factor * treatment.median,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table: two series side by side.

    Attributes:
        what: what is compared, in a few words.
        control: the name of the series without lambdakit (or without the feature).
        treatment: the name of the series with it.
        claims: what is claimed of the two; none where a row is there for information.
        as_difference: show what the treatment adds, where a ratio would mean nothing.
    """

    what: str
    control: str
    treatment: str
    claims: tuple[Claim, ...] = ()
    as_difference: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One verification: was the work done?"""

    what: str
    passed: bool
    found: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What one effect has measured, with the evidence that the work was done."""

    series: dict[str, Series]
    evidence: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """One thing that lambdakit changes.

    Attributes:
        name: as on the command line, the same as its module's.
        question: what it answers.
        rows: the table, with the claims.
        steps: how many processes or environments a run takes, for the progress bar.
        measure: control and treatment.
        verify: looks at the evidence after the clocks have stopped.
    """

    name: str
    question: str
    rows: tuple[Row, ...]
    steps: Callable[[Run], int]
    measure: Callable[[Run], Measured]
    verify: Callable[[Measured], list[Check]]
