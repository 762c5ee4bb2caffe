"""An effect: a claim, a control, a treatment, and a verification that fails when the treatment is broken."""

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
    """The samples of each process of one side, in `unit`."""

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
    def estimate(self) -> stats.Estimate:
        """The median with its 95 % interval."""
        return stats.median_estimate(self.values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A claim of a row, which a figure can disprove: a ratio, or a count."""

    text: str
    holds: Callable[[Series, Series], bool] = field(repr=False)


LESS = Claim(text="less", holds=lambda control, treatment: treatment.median < control.median)


def at_most(limit: int, unit: str) -> Claim:
    """The treatment counts no more than this. A claim about time is a ratio, which means the same on any machine.

    Raises:
        ValueError: the unit is none of what is counted.
    """
    if unit not in COUNTED:
        raise ValueError(f"{unit!r} is measured: claim a ratio to a peer or to a floor of the same run")
    return Claim(text=f"<= {limit:g} {unit}", holds=lambda _, treatment: treatment.median <= limit)


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
    """The ratio that the row shows; where a side has counted nothing, that of the medians, which may be infinite."""
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


def rows_against(
    sides: Mapping[str, str | None],
    what: str,
    *,
    treatment: str,
    figure: str = "",
    claims: Mapping[str, tuple[Claim, ...]] | None = None,
) -> tuple[Row, ...]:
    """A row for each side that a treatment is compared with.

    Args:
        sides: the names of the controls, each with its peer.
        what: is compared.
        treatment: the name of the side with it.
        figure: behind a comma, the end of the names of the series.
        claims: by control.
    """
    end = f", {figure}" if figure else ""
    return tuple(
        Row(
            what=f"{what}, against {side}",
            control=f"{side}{end}",
            treatment=f"{treatment}{end}",
            claims=(claims or {}).get(side, ()),
            peer=peer,
        )
        for side, peer in sides.items()
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A verification that the work was done."""

    what: str
    passed: bool
    found: Any = None


def each_is(what: str, found: Sequence[Any], expected: Any) -> Check:
    """A check that each value found is the expected one."""
    return Check(what=what, passed=all(one == expected for one in found), found=found)


def pairs_equal(what: str, pairs: Sequence[tuple[Any, Any]]) -> Check:
    """A check that in each pair the value found is the expected one."""
    return Check(what=what, passed=all(found == expected for found, expected in pairs), found=pairs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """The result of one effect, with the evidence that the work was done.

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
        peers: by name, why a peer that does the same has no row in this effect.
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
