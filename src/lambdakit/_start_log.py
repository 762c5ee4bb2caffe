"""The line of JSON that says how an environment started."""

from __future__ import annotations

import json
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._record import Record


def line(record: Record, wall_s: float, imports: dict[str, Any] | None) -> str:
    """The record of a first invocation, in a line with what logs are searched by, and with the slowest imports.

    Args:
        record: of the invocation.
        wall_s: when it ended, in seconds since the epoch.
        imports: which were slow, see `ImportTimes.report`; None where they were not timed.
    """
    seconds, milliseconds = divmod(int(wall_s * 1000), 1000)
    told: dict[str, Any] = {
        "timestamp": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03}Z",
        "level": "INFO",
        "message": f"lambdakit: {record['start_kind']} start",
        **{key: round(one, 6) if isinstance(one, float) else one for key, one in record.items()},  # microseconds
    }
    if imports is not None:
        told["imports"] = imports
    return f"{json.dumps(told, separators=(',', ':'))}\n"
