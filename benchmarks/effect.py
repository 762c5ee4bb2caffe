"""What an effect is: a claim, a control, a treatment, a verification that fails when the treatment is broken."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from . import stats

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .run import Run

Group = Literal["cold", "warm", "failure", "fleet"]


COUNTED = frozenset(("calls", "modules", "requests"))  # units of what chance has no part in


@dataclass(frozen=True, kw_only=True)
class Series:
    """What was measured of one side: the samples of each process, in `unit`."""

    unit: str
    processes: Sequence[Sequence[float]]

    @cached_property
    def values(self) -> list[float]:
        """One value per process: the median of its samples."""
        return [stats.median(samples) for samples in self.processes]

    @cached_property
    def median(self) -> float:
        """The median over the processes."""
        return stats.median(self.values)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the median."""
        return stats.median_interval(self.values)


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
        holds=lambda control, treatment: _ratio(control, treatment) >= factor,
    )


def at_most_times(factor: float) -> Claim:
    """The treatment costs no more than `factor` times what the control costs."""
    return Claim(text=f"<= {factor:g}x", holds=lambda control, treatment: factor * _ratio(control, treatment) >= 1.0)


def _ratio(control: Series, treatment: Series) -> float:
    """As the row shows it; where a side has counted nothing, that of the medians: nothing is infinitely less."""
    if min(*control.values, *treatment.values) > 0.0:
        return stats.ratio(control.values, treatment.values)
    return control.median / treatment.median if treatment.median else math.inf


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table: two series side by side.

    Attributes:
        what: what is compared, in a few words.
        control: the name of the series without lambdakit (or without the feature).
        treatment: the name of the series with it.
        claims: what is claimed of the two; none where a row is there for information.
        as_difference: show what the treatment adds, where a ratio would mean nothing.
        peer: whose work the control is, by a name of `peers.PEERS`; None where it is nobody's.
    """

    what: str
    control: str
    treatment: str
    claims: tuple[Claim, ...] = ()
    as_difference: bool = False
    peer: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One verification: was the work done?"""

    what: str
    passed: bool
    found: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What one effect has measured, with the evidence that the work was done.

    Attributes:
        series: by name; rows name two of them each.
        evidence: what `Effect.verify` looks at; JSON.
        rows: further rows, which only this run has; beside those of the effect.
        figures: what plots are made of, beside the rows; see docs/benchmarks.md.
        pyperf: the micro-measurements, as pyperf itself writes them.
    """

    series: dict[str, Series]
    evidence: dict[str, Any]
    rows: tuple[Row, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)
    pyperf: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """One thing that lambdakit changes.

    Attributes:
        name: as on the command line, the same as its module's.
        question: what it answers.
        group: what it is about.
        claim: the answer that is claimed, a sentence.
        rows: the table, with the claims.
        steps: how many processes or environments a run takes at least, for the progress bar.
        measure: control and treatment.
        verify: looks at the evidence after the clocks have stopped.
        breaks: checks that have to fail if the feature is switched off, which `measure` does in a broken run.
        peers: what is to be said of peers that no row of this effect has: why one was not measured that does the same.
        long: left out of a quick run unless it is named.
    """

    name: str
    question: str
    group: Group
    claim: str
    rows: tuple[Row, ...]
    steps: Callable[[Run], int]
    measure: Callable[[Run], Measured]
    verify: Callable[[Measured], list[Check]]
    breaks: tuple[str, ...]
    peers: Mapping[str, str] = field(default_factory=dict)
    long: bool = False
