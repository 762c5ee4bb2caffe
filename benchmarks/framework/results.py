"""The document of a run, as JSON; docs/benchmarks.md describes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import peers, sampling, stats

if TYPE_CHECKING:
    from pathlib import Path

    from .effect import Check, Effect, Measured, Row

SCHEMA = 2  # raised when a reader of the older one would misunderstand
_SHOWN = 300  # characters of what a verification has found; the document has all of it


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One effect after its run.

    Attributes:
        measured: None if there are no figures.
        checks: its verifications.
        error: why it could not be measured, which is a failure.
        not_measured: why there was nothing to measure it with here, which is none.
        took_s: how long it took.
    """

    effect: Effect
    measured: Measured | None
    checks: list[Check] = field(default_factory=list)
    error: str | None = None
    not_measured: str | None = None
    took_s: float = 0.0

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows whose series were measured: a smaller run leaves some out."""
        if self.measured is None:
            return ()
        there = self.measured.series.keys()
        given = self.effect.rows + self.measured.rows
        return tuple(row for row in given if {row.control, row.treatment} <= there)

    @property
    def failures(self) -> list[str]:
        """A sentence for each failed verification."""
        if self.error is not None:
            return [f"{self.effect.name}: could not be measured: {self.error}"]
        return [
            f"{self.effect.name}: not verified: {check.what}"
            + (f" (found: {check.found})"[:_SHOWN] if check.found else "")
            for check in self.checks
            if not check.passed
        ]


def row_figures(row: Row, measured: Measured) -> dict[str, Any]:
    """One row of the table in figures."""
    control, treatment = measured.series[row.control], measured.series[row.treatment]
    ratio: stats.Estimate | tuple[None, None, None] = (None, None, None)
    sides = sampling.stable(control), sampling.stable(treatment)
    if min(*control.values, *treatment.values) > 0:
        ratio = stats.ratio_estimate(control.values, treatment.values)
        verdict = stats.verdict(ratio)
    else:
        verdict = stats.verdict_of_intervals(control.estimate[1:], treatment.estimate[1:])
    return {
        "what": row.what,
        "unit": treatment.unit,
        "control": row.control,
        "treatment": row.treatment,
        "peer": row.peer,
        "without": control.median,
        "with": treatment.median,
        "interval_without": [*control.estimate[1:]],
        "interval_with": [*treatment.estimate[1:]],
        "difference": treatment.median - control.median,
        "as_difference": row.as_difference,
        "ratio": ratio[0],
        "ratio_low": ratio[1],
        "ratio_high": ratio[2],
        "verdict": verdict,
        "stable": sampling.found_stable(row, control, treatment),
        "stable_without": sides[0],
        "stable_with": sides[1],
        "spread_without_pct": stats.spread_pct(control.values),
        "spread_with_pct": stats.spread_pct(treatment.values),
        "claims": [{"text": claim.text, "held": claim.holds(control, treatment)} for claim in row.claims],
    }


def effect_figures(outcome: Outcome) -> dict[str, Any]:
    """One effect: its rows, every sample of every process, the evidence, the verifications."""
    effect, measured = outcome.effect, outcome.measured
    return {
        "name": effect.name,
        "question": effect.question,
        "group": effect.group,
        "claim": effect.claim,
        "took_s": outcome.took_s,
        "error": outcome.error,
        "not_measured": outcome.not_measured,
        "rows": [row_figures(row, measured) for row in outcome.rows] if measured else [],
        "series": {
            name: {"unit": series.unit, "median": series.median, "processes": [list(p) for p in series.processes]}
            for name, series in (measured.series if measured else {}).items()
        },
        "figures": measured.figures if measured else {},
        "pyperf": measured.pyperf if measured else None,
        "evidence": measured.evidence if measured else {},
        "checks": [{"what": check.what, "passed": check.passed, "found": check.found} for check in outcome.checks],
    }


def document(
    outcomes: list[Outcome],
    *,
    mode: str,
    target: str,
    machine: dict[str, Any],
    started: str,
    took_s: float,
    calibration: list[dict[str, Any]],
    broken: bool,
) -> dict[str, Any]:
    """A whole run."""
    return {
        "schema": SCHEMA,
        "mode": mode,
        "target": target,
        "broken": broken,
        "started": started,
        "took_s": took_s,
        "machine": machine,
        "calibration": calibration,
        "peers": peers.document(outcomes),
        "effects": [effect_figures(outcome) for outcome in outcomes],
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a document; a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    part.replace(path)


def read(path: Path) -> dict[str, Any]:
    """Read a document that `write` wrote.

    Raises:
        ValueError: it is no document of this schema.
        OSError: it cannot be read.
    """
    content = json.loads(path.read_text())
    found = content.get("schema") if isinstance(content, dict) else None
    if found != SCHEMA:
        raise ValueError(f"{path} has the schema {found!r}; this suite reads {SCHEMA}")
    return dict(content)
