"""CloudWatch's embedded metric format: what it takes as a metric, and the record of an invocation as its lines.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from functools import lru_cache
from json import JSONEncoder
from json.encoder import encode_basestring_ascii as quoted

from .._diagnostics import did_you_mean
from ..exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .record import Record, Series

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

_MAX_METRICS = 100  # in a line
_MAX_VALUES = 100  # of a metric in a line

_SIZES = ("Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes")
_RATED = (*_SIZES, "Bits", "Kilobits", "Megabits", "Gigabits", "Terabits", "Count")
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html
UNITS = frozenset(
    ("None", "Percent", "Seconds", "Milliseconds", "Microseconds", *_RATED, *map("{}/Second".format, _RATED))
)
_LARGEST = 2**360
_MAX_NAME = 255  # characters

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
    first, *rest = _packed(theirs, room=_MAX_METRICS - len(named))
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
        for begin in range(0, len(values), _MAX_VALUES):
            while at < len(packed) and len(packed[at]) >= (_MAX_METRICS if at else room):
                at += 1
            if at == len(packed):
                packed.append({})
            some = values[begin : begin + _MAX_VALUES]
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


def checked_namespace(argument: str, value: Any) -> str:
    """`value`, if CloudWatch takes it as a namespace of a user's.

    Raises:
        ConfigurationError: it does not.
    """
    if _is_name(value) and not value.startswith((":", "AWS/")):
        return str(value)
    raise ConfigurationError(
        f"{argument}={_shown(value)}: give a namespace of CloudWatch, 1 to {_MAX_NAME} printable ASCII characters that "
        "do not begin with a colon or with AWS/"
    )


def checked_name(value: Any) -> str:
    """`value`, if it can be the name of a metric of a user's.

    Raises:
        ConfigurationError: it cannot.
    """
    if not _is_name(value):
        raise ConfigurationError(f"name={_shown(value)}: give 1 to {_MAX_NAME} printable ASCII characters")
    if value in RESERVED:
        raise ConfigurationError(f"name={value!r}: lambdakit's own lines have it already; give another one")
    return str(value)


def checked_unit(value: Any) -> str:
    """`value`, if it is one of CloudWatch's units.

    Raises:
        ConfigurationError: it is not.
    """
    if isinstance(value, str) and value in UNITS:
        return value
    hint = did_you_mean(value, sorted(UNITS)) if isinstance(value, str) else ""
    raise ConfigurationError(
        f"unit={_shown(value)}: give a unit of CloudWatch, such as 'Count', 'Milliseconds' or 'None'.{hint}"
    )


def checked_value(given: Any) -> float:
    """`given` as a number, if CloudWatch takes it: an int, a float, or what becomes a float, such as a Decimal.

    Raises:
        ConfigurationError: it is none, not finite, or beyond 2 ** 360.
    """
    number = given
    if not isinstance(given, (int, float)) and hasattr(given, "__float__"):
        try:
            number = float(given)
        except (TypeError, ValueError, OverflowError):  # an array, a NaN that signals
            number = None
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise ConfigurationError(f"value: give a number, not {type(given).__name__}")
    if not -_LARGEST <= number <= _LARGEST:  # NaN is not
        raise ConfigurationError(
            "value: give a finite number between -2 ** 360 and 2 ** 360; CloudWatch takes no other"
        )
    return number


def _is_name(value: Any) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= _MAX_NAME
        and value.isascii()
        and value.isprintable()
        and value.strip() != ""
    )


def _shown(value: Any) -> str:
    return f"{value!r:.80}"
