"""A row of the document in words, for the page, the figures and the docs alike."""

from __future__ import annotations

import re
from typing import Any

from ..framework.effect import COUNTED
from ..framework.stats import LESS, MORE, NO_DIFFERENCE
from ..framework.table import mark, number

_LARGER = {"ns": "µs", "µs": "ms", "ms": "s"}


def verdict(row: dict[str, Any]) -> str | None:
    """`LESS`, `MORE` or `NO_DIFFERENCE`, by the document or by the interval; None without a ratio."""
    if "verdict" in row or row["ratio"] is None:
        return row.get("verdict")
    if row["ratio_low"] > 1.0:
        return LESS
    return MORE if row["ratio_high"] < 1.0 else NO_DIFFERENCE


def amount(value: float, unit: str) -> str:
    """A figure with its unit."""
    one = unit in COUNTED and value == 1.0
    return f"{number(value)} {unit.removesuffix('s') if one else unit}"


def sides(row: dict[str, Any]) -> tuple[str, str]:
    """What it costs without and with, both in a unit that suits the smaller one; `~` marks an unstable figure."""
    values, unit = (row["without"], row["with"]), row["unit"]
    while unit in _LARGER and min(values) >= 1000.0:
        values, unit = (values[0] / 1000.0, values[1] / 1000.0), _LARGER[unit]
    return (
        mark(row, "stable_without") + amount(values[0], unit),
        mark(row, "stable_with") + amount(values[1], unit),
    )


def claim(text: str) -> str:
    """A claim with mathematical signs."""
    signs = text.replace("<=", "≤").replace(">=", "≥")
    singular = re.sub(rf"(?<![\d.])1 ({'|'.join(sorted(COUNTED))})\b", lambda found: found[0].removesuffix("s"), signs)
    return re.sub(r"(?<=\d)x\b", "\N{MULTIPLICATION SIGN}", singular)


def times(value: float) -> str:
    """A ratio."""
    return f"{number(value)}\N{MULTIPLICATION SIGN}"


def result(row: dict[str, Any]) -> str:
    """What the row has found: its ratio, or the difference where a ratio would mean nothing."""
    if row["as_difference"] or row["ratio"] is None:
        sign = "+" if row["difference"] > 0 else "\N{MINUS SIGN}" if row["difference"] < 0 else "±"
        return f"{sign}{amount(abs(row['difference']), row['unit'])}"
    return times(row["ratio"])


def interval(row: dict[str, Any]) -> str:
    """The 95 % interval of the ratio; nothing for a row that has none."""
    if row["as_difference"] or row["ratio"] is None:
        return ""
    return f"{number(row['ratio_low'])}\N{EN DASH}{number(row['ratio_high'])}"


def tendency(row: dict[str, Any]) -> str:
    """The verdict in words: fewer of what is counted, less of what is measured."""
    found = verdict(row) or ""
    return "fewer" if found == LESS and row["unit"] in COUNTED else found


def unstable(row: dict[str, Any]) -> bool:
    """Whether the document calls its ratio or difference unstable."""
    return row.get("stable") is False


def unverified(effect: dict[str, Any]) -> list[str]:
    """The verifications of an effect that failed."""
    return [check["what"] for check in effect["checks"] if not check["passed"]]


def not_measured(effect: dict[str, Any]) -> str | None:
    """Why there was nothing to measure it with, if so."""
    return effect.get("not_measured") or effect["evidence"].get("not measured")


def has_ratio(row: dict[str, Any]) -> bool:
    """Whether a bar can show it."""
    return row["ratio"] is not None and not row["as_difference"]


def leading(effect: dict[str, Any]) -> dict[str, Any] | None:
    """The row that stands for an effect: the first with a ratio that something is claimed of, else the first."""
    rows = [row for row in effect["rows"] if has_ratio(row)]
    return next((row for row in rows if row["claims"]), rows[0] if rows else None)


def held(row: dict[str, Any]) -> bool:
    """Whether all its claims hold."""
    return all(claim["held"] for claim in row["claims"])


def headlines(content: dict[str, Any], limit: int = 6) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The biggest claims that held, at most one of each effect: pairs of effect and row.

    The lower end of the interval is what they are ordered by. A row that is unstable, whose effect was not verified or
    whose interval reaches 1 is none of them.
    """
    found = []
    for effect in content["effects"]:
        if effect["error"] or unverified(effect):
            continue
        rows = [
            row
            for row in effect["rows"]
            if has_ratio(row) and row["claims"] and held(row) and verdict(row) == LESS and not unstable(row)
        ]
        if rows:
            found.append((effect, max(rows, key=lambda row: row["ratio_low"])))
    return sorted(found, key=lambda pair: -pair[1]["ratio_low"])[:limit]


def counts(content: dict[str, Any]) -> dict[str, int]:
    """Counts of a run: effects, claims, rows, failures."""
    effects = content["effects"]
    rows = [row for effect in effects for row in effect["rows"]]
    claims = [claim["held"] for row in rows for claim in row["claims"]]
    return {
        "effects": sum(bool(effect["rows"]) for effect in effects),
        "claims": len(claims),
        "held": sum(claims),
        "unstable": sum(map(unstable, rows)),
        "same": sum(verdict(row) == NO_DIFFERENCE for row in rows),
        "failed": sum(bool(effect["error"] or unverified(effect)) for effect in effects),
        "not_measured": sum(bool(not_measured(effect)) for effect in effects),
    }
