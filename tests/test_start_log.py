"""The line that says how an environment started."""

import json
import re
from typing import Any

import pytest

from lambdakit._start_log import line

RECORD: Any = {"start_kind": "proactive", "number": 1, "error": "Größe", "duration_s": 0.1234564, "metrics": {}}


@pytest.mark.parametrize(
    ("wall_s", "timestamp"),
    [
        (1_800_000_000.0, "2027-01-15T08:00:00.000Z"),
        (1_800_000_000.0629, "2027-01-15T08:00:00.062Z"),
        (1_800_000_000.9999, "2027-01-15T08:00:00.999Z"),
        (0.0, "1970-01-01T00:00:00.000Z"),
    ],
)
def test_a_line(wall_s: float, timestamp: str) -> None:
    """What logs are searched by, the whole record, the time in UTC to the millisecond below; one line of ASCII."""
    text = line(RECORD, wall_s, None)
    assert json.loads(text) == {
        "timestamp": timestamp,
        "level": "INFO",
        "message": "lambdakit: proactive start",
        **RECORD,
        "duration_s": 0.123456,
    }
    assert re.fullmatch(r"[ -~]+\n", text)


def test_imports_are_added() -> None:
    """As they were told."""
    assert json.loads(line(RECORD, 0.0, {"slowest": [1]}))["imports"] == {"slowest": [1]}
