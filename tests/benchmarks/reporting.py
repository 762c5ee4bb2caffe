"""What the tests of the report share: the sample document, and changed copies of it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).with_name("sample.json")


def sample() -> dict[str, Any]:
    """A document of its own for each test: rows and series of a real quick run, the rest of schema 2 made up."""
    document: dict[str, Any] = json.loads(SAMPLE.read_text(encoding="utf-8"))
    return document


def row(*, low: float = 2.0, ratio: float = 3.0, high: float = 4.0, held: bool | None = True, **rest: Any) -> Any:
    """One row, with a claim that held, did not, or none."""
    figures = {"unit": "ms", "without": ratio, "with": 1.0, "difference": 1.0 - ratio, "as_difference": False}
    spread = {"spread_without_pct": 1.0, "spread_with_pct": 1.0}
    interval = {"ratio": ratio, "ratio_low": low, "ratio_high": high}
    claims = [] if held is None else [{"text": ">= 2x less", "held": held}]
    return {"what": "a thing", **figures, **interval, **spread, "claims": claims, **rest}


def effect(name: str, *rows: Any, passed: bool = True, **rest: Any) -> dict[str, Any]:
    """One effect of these rows."""
    checks = [{"what": "the work was done", "passed": passed, "found": None}]
    nothing: dict[str, Any] = {"error": None, "evidence": {}, "series": {}}
    return {"name": name, "question": "What does it cost?", "rows": [*rows], "checks": checks, **nothing, **rest}


def content(*effects: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """A document of these effects."""
    machine = copy.deepcopy(sample()["machine"])
    return {"schema": 2, "mode": "full", "machine": machine, "effects": [*effects], **rest}
