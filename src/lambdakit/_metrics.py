"""The record of an invocation as lines of CloudWatch's embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from functools import lru_cache
from json import JSONEncoder
from json.encoder import encode_basestring_ascii as quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._record import Record, Series

    Named = tuple[tuple[str, str], ...]  # names of metrics and their units

FUNCTION, KIND = "FunctionName", "StartKind"  # the dimensions

# A metric, its unit, what it is in the record, and how many of its unit that is.
_MEASURED = (
    ("Duration", "Milliseconds", "duration_s", 1000),
    ("RemainingAtEnd", "Milliseconds", "remaining_s", 1000),
    ("RemainingShare", "Percent", "remaining_share", 100),
    ("PeakMemory", "Megabytes", "peak_memory_mb", 1),
    ("MemoryShare", "Percent", "memory_share", 100),
    ("UpstreamMs", "Milliseconds", "upstream_s", 1000),
)
_INIT = (("InitDuration", "Milliseconds", "init_s", 1000),)  # of those that begin an environment
_COUNTED = (
    ("ColdStart", "Count"),
    ("Failures", "Count"),
    ("CacheHits", "Count"),
    ("CacheFetches", "Count"),
    ("CacheStale", "Count"),
    ("WarmupPings", "Count"),
)
# Each pair of a metric and its dimensions is paid by the month, so only what differs by start kind is told by it.
_BY_KIND = ("Duration", "InitDuration")
RESERVED = frozenset(
    (*(name for name, *_ in (*_MEASURED, *_INIT, *_COUNTED)), FUNCTION, KIND, "_aws", "lambdakit")
)  # members of the root, where the user's are too

_MOST_METRICS = 100  # in a line
_MOST_VALUES = 100  # of a metric in a line

_encode = JSONEncoder(separators=(",", ":")).encode  # `json.dumps` with options makes another encoder each time


def lines(record: Record, *, namespace: str, wall_s: float, pings: int) -> str:
    """What is to be written: one line, or several if the user's metrics do not fit into it.

    Args:
        record: of an invocation.
        namespace: CloudWatch's word for whose metrics they are.
        wall_s: when the invocation ended, in seconds since the epoch.
        pings: how many there were since the record before.
    """
    found: Any = record  # by keys that stand in a table
    named: list[tuple[str, str]] = [*_COUNTED]
    own = (
        f'"ColdStart":{record["cold_start"]:d},"Failures":{record["outcome"] != "ok":d},"CacheHits":{record["hits"]},'
        f'"CacheFetches":{record["fetches"]},"CacheStale":{record["stale"]},"WarmupPings":{pings},'
    )
    for name, unit, key, factor in _MEASURED if record["start_kind"] == "warm" else _MEASURED + _INIT:
        if (value := found[key]) is not None:
            named.append((name, unit))
            own += f'"{name}":{value * factor:.3f},'
    common = f'"{FUNCTION}":{quoted(record["function_name"] or "unknown")},{_about(record)}}}\n'
    begin = f'{{"_aws":{{"Timestamp":{int(wall_s * 1000)},"CloudWatchMetrics":'
    theirs = record["metrics"]
    if not theirs:
        return f"{begin}{_head(namespace, tuple(named), ())}}},{own}{common}"
    first, *rest = _packed(theirs, room=_MOST_METRICS - len(named))
    text = f"{begin}{_head(namespace, tuple(named), _units(first, theirs))}}},{own}{_members(first)}{common}"
    for chunk in rest:
        text += f"{begin}{_head(namespace, (), _units(chunk, theirs))}}},{_members(chunk)}{common}"
    return text


def _about(record: Record) -> str:
    """What is no metric: the other dimension, and by what an invocation is found."""
    about = (
        record["request_id"],
        record["environment"],
        record["function_version"],
        record["previous"],
        record["error"],
    )
    request_id, environment, version, previous, error = ["null" if text is None else quoted(text) for text in about]
    return (
        f'"{KIND}":{quoted(record["start_kind"])},"lambdakit":{{"request_id":{request_id},"environment":{environment},'
        f'"number":{record["number"]},"function_version":{version},"previous":{previous},"error":{error}}}'
    )


def _packed(theirs: dict[str, Series], *, room: int) -> list[dict[str, Any]]:
    """The user's metrics in lines: a name once in each, no more names than fit; `room` is what the first one has."""
    packed: list[dict[str, Any]] = [{}]
    for name, series in theirs.items():
        values, at = series["values"], 0
        for begin in range(0, len(values), _MOST_VALUES):
            while at < len(packed) and len(packed[at]) >= (_MOST_METRICS if at else room):
                at += 1
            if at == len(packed):
                packed.append({})
            some = values[begin : begin + _MOST_VALUES]
            packed[at][name] = some if len(some) > 1 else some[0]
            at += 1
    return packed


def _units(chunk: dict[str, Any], theirs: dict[str, Series]) -> Named:
    return tuple([(name, theirs[name]["unit"]) for name in chunk])


def _members(chunk: dict[str, Any]) -> str:
    return f"{_encode(chunk)[1:-1]}," if chunk else ""


@lru_cache(maxsize=32)  # half of the time of a line; the metrics of a function are nearly always the same ones
def _head(namespace: str, own: Named, theirs: Named) -> str:
    """What CloudWatch is to make of a line."""
    directives = [_directive(namespace, [FUNCTION], own + theirs)]
    if own:
        by_kind = tuple(one for one in own if one[0] in _BY_KIND)
        directives.append(_directive(namespace, [FUNCTION, KIND], by_kind))
    return _encode(directives)


def _directive(namespace: str, dimensions: list[str], metrics: Named) -> dict[str, Any]:
    return {
        "Namespace": namespace,
        "Dimensions": [dimensions],
        "Metrics": [{"Name": name, "Unit": unit} for name, unit in metrics],
    }
