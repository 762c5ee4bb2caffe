"""What is reported of one invocation: names and numbers, in one flat dictionary, and the log line of a start."""

from __future__ import annotations

import json
import time

from .._diagnostics import attribute
from .._environment import between_s, lambda_context, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypedDict

    from .._clock import Instant
    from .._environment import Environment, Invocation

    Totals = tuple[int, int, int, float]

    class _Values(TypedDict):
        unit: str
        values: list[float]

    class Series(_Values, total=False):
        """A metric of the user's. What was not given is not there."""

        resolution: int
        name: str  # with dimensions only: the key has them too
        dimensions: dict[str, str]

    class Record(TypedDict):
        """One invocation, as listeners get it. None is what is not known. Seconds end in ``_s``.

        Since 0.1.
        """

        start_kind: str
        cold_start: bool
        init_type: str | None
        request_id: str | None
        function_name: str | None
        function_version: str | None
        function_arn: str | None
        memory_limit_mb: int | None
        number: int
        environment: str
        environment_age_s: float
        pings: int
        previous: str | None
        init_s: float | None
        import_s: float | None
        init_to_invoke_s: float
        duration_s: float
        remaining_s: float | None
        remaining_share: float | None
        outcome: str
        error: str | None
        peak_memory_mb: float | None
        memory_share: float | None
        hits: int
        fetches: int
        stale: int
        upstream_s: float
        metrics: dict[str, Series]

else:
    Record = dict  # for annotations of users': typing takes 2 ms


def record_of(
    environment: Environment,
    invocation: Invocation,
    *,
    ended: Instant,
    pings: int,
    previous: str | None,
    init_s: float | None,
    import_s: float | None,
    peak_memory_mb: float | None,
    before: Totals,
    after: Totals,
    metrics: dict[str, Series],
) -> Record:
    """The record of an invocation that is over.

    Args:
        environment: that it ran in.
        invocation: with the error of its handler.
        ended: when it was over.
        pings: how many the environment had answered when it began.
        previous: what had become of the one before, when it began.
        init_s: seconds that INIT took.
        import_s: seconds of that for importing lambdakit.
        peak_memory_mb: the most memory that the process has had so far.
        before: totals of the caches when it began.
        after: the same when it was over.
        metrics: the user's own.
    """
    context, settings = lambda_context(invocation.context), environment.settings
    duration_s = max(0.0, ended[1] - invocation.started[1])
    remaining_s = _finite(invocation.remaining_s())
    limit_mb = memory_limit_mb(context, settings.environ)
    allowed_s = None if remaining_s is None else duration_s + remaining_s
    return {
        "start_kind": invocation.start_kind,
        "cold_start": invocation.start_kind == "cold",
        "init_type": settings.init_type,
        "request_id": text_of(context, "aws_request_id"),
        "function_name": text_of(context, "function_name") or settings.function_name,
        "function_version": text_of(context, "function_version"),
        "function_arn": text_of(context, "invoked_function_arn"),
        "memory_limit_mb": limit_mb,
        "number": invocation.number,
        "environment": environment.id,
        "environment_age_s": between_s(environment._born, invocation.started),
        "pings": pings,
        "previous": previous,
        "init_s": init_s,
        "import_s": import_s,
        "init_to_invoke_s": invocation.init_to_invoke_s,
        "duration_s": duration_s,
        "remaining_s": remaining_s,
        "remaining_share": remaining_s / allowed_s if remaining_s is not None and allowed_s else None,
        "outcome": outcome_of(invocation.error, remaining_s),
        "error": invocation.error,
        "peak_memory_mb": peak_memory_mb,
        "memory_share": peak_memory_mb / limit_mb if peak_memory_mb and limit_mb else None,
        "hits": after[0] - before[0],
        "fetches": after[1] - before[1],
        "stale": after[2] - before[2],
        "upstream_s": max(0.0, after[3] - before[3]),
        "metrics": metrics,
    }


def outcome_of(error: str | None, remaining_s: float | None) -> str:
    """What became of an invocation: ``ok``, ``failed``, or ``timed out``, whatever the handler did at last.

    Where Lambda ends the process at the time-out, nobody gets here.
    """
    if remaining_s == 0.0:
        return "timed out"
    return "ok" if error is None else "failed"


def memory_limit_mb(context: Any, environ: Mapping[str, str]) -> int | None:
    """The memory size of the function: from its context, where the runtime has it as text, or its variables."""
    for size in (attribute(context, "memory_limit_in_mb"), environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")):
        if isinstance(size, (int, str)) and (digits := str(size)).isdecimal() and 0 < len(digits) <= _MAX_DIGITS:
            return int(digits) or None
    return None


_MAX_DIGITS = 9  # a petabyte


def _finite(number: float | None) -> float | None:
    """A context made by hand may say anything."""
    return number if number is not None and number < float("inf") else None


def start_line(record: Record, wall_s: float, imports: dict[str, Any] | None) -> str:
    """The record of a first invocation, in a line with what logs are searched by, and with the slowest imports.

    Args:
        record: of the invocation.
        wall_s: when it ended, in seconds since the epoch.
        imports: which were slow, see `ImportTimes.report`; None where they were not timed.
    """
    seconds, milliseconds = divmod(int(wall_s * 1000), 1000)
    members: dict[str, Any] = {
        "timestamp": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03}Z",
        "level": "INFO",
        "message": f"lambdakit: {record['start_kind']} start",
        **{key: round(one, 6) if isinstance(one, float) else one for key, one in record.items()},  # microseconds
    }
    if imports is not None:
        members["imports"] = imports
    return f"{json.dumps(members, separators=(',', ':'))}\n"
