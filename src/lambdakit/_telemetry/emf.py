"""CloudWatch's embedded metric format: what it takes as a metric, and the record of an invocation as its lines.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from functools import lru_cache
from json import JSONEncoder
from json.encoder import encode_basestring_ascii as quoted

from .._diagnostics import did_you_mean, find_in_type
from ..exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .record import Record, Series

    Named = tuple[tuple[str, str, int], ...]  # names of metrics, their units, their resolutions in seconds

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
MINUTE, SECOND = 60, 1  # resolutions, in seconds
_COUNTED = (
    ("ColdStart", "Count", MINUTE),
    ("Failures", "Count", MINUTE),
    ("CacheHits", "Count", MINUTE),
    ("CacheFetches", "Count", MINUTE),
    ("CacheStale", "Count", MINUTE),
    ("WarmupPings", "Count", MINUTE),
)
# Each pair of a metric and its dimensions is paid by the month, so only what differs by start kind is told by it.
_BY_KIND = ("Duration", "InitDuration")
RESERVED = frozenset(
    (*(name for name, *_ in (*_MEASURED, *_INIT, *_COUNTED)), FUNCTION, KIND, "_aws", "lambdakit", "level")
)  # members of the root, where the user's are too

_MAX_METRICS = 100  # in a line
_MAX_VALUES = 100  # of a metric in a line
_MAX_DIMENSIONS = 29  # of 30, the function's name being one
_MAX_DIMENSION, _MAX_DIMENSION_VALUE = 250, 1024  # characters

_SIZES = ("Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes")
_RATED = (*_SIZES, "Bits", "Kilobits", "Megabits", "Gigabits", "Terabits", "Count")
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html
UNITS = frozenset(
    ("None", "Percent", "Seconds", "Milliseconds", "Microseconds", *_RATED, *map("{}/Second".format, _RATED))
)
_ABOVE_INFO = ("WARN", "ERROR", "FATAL")
_LARGEST = 2**360
_MAX_NAME = 255  # characters

_encode = JSONEncoder(separators=(",", ":")).encode  # `json.dumps` with options makes another encoder each time


def level_of(environ: Mapping[str, str]) -> str:
    """The level of the lines: where Lambda drops what is below a level, it is that one.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    """
    level = environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    return level if level in _ABOVE_INFO else "INFO"


def lines(record: Record, *, namespace: str, wall_s: float, pings: int, level: str = "INFO") -> str:
    """What is to be written: one line, or several if the user's metrics do not fit into it.

    Args:
        record: of an invocation.
        namespace: CloudWatch's word for whose metrics they are.
        wall_s: when the invocation ended, in seconds since the epoch.
        pings: how many there were since the record before.
        level: as logs have it.
    """
    found: Any = record  # by keys that stand in a table
    named: list[tuple[str, str, int]] = [*_COUNTED]
    own = (
        f'"ColdStart":{record["cold_start"]:d},"Failures":{record["outcome"] != "ok":d},"CacheHits":{record["hits"]},'
        f'"CacheFetches":{record["fetches"]},"CacheStale":{record["stale"]},"WarmupPings":{pings},'
    )
    for name, unit, key, factor in _MEASURED if record["start_kind"] == "warm" else _MEASURED + _INIT:
        if (value := found[key]) is not None:
            named.append((name, unit, MINUTE))
            own += f'"{name}":{value * factor:.3f},'
    common = f'"{FUNCTION}":{quoted(record["function_name"] or "unknown")},"level":"{level}",{_about(record)}}}\n'
    begin = f'{{"_aws":{{"Timestamp":{int(wall_s * 1000)},"CloudWatchMetrics":'
    theirs = record["metrics"]
    if not theirs:
        return f"{begin}{_head(namespace, tuple(named), (), ())}}},{own}{common}"
    groups = _by_dimensions(theirs)
    plain = groups.pop((), {})
    first, *rest = _packed(plain, room=_MAX_METRICS - len(named))
    text = f"{begin}{_head(namespace, tuple(named), _units(first, plain), ())}}},{own}{_members(first)}{common}"
    for chunk in rest:
        text += f"{begin}{_head(namespace, (), _units(chunk, plain), ())}}},{_members(chunk)}{common}"
    for dimensions, group in groups.items():
        names = tuple([name for name, _ in dimensions])
        for chunk in _packed(group, room=_MAX_METRICS):
            head = _head(namespace, (), _units(chunk, group), names)
            text += f"{begin}{head}}},{_members(chunk)}{_members(dict(dimensions))}{common}"
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


def _by_dimensions(theirs: dict[str, Series]) -> dict[tuple[tuple[str, str], ...], dict[str, Series]]:
    """The user's metrics by their own dimensions: a line has one value of each."""
    groups: dict[tuple[tuple[str, str], ...], dict[str, Series]] = {}
    for key, series in theirs.items():
        groups.setdefault(tuple(series.get("dimensions", {}).items()), {})[series.get("name", key)] = series
    return groups


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
    return tuple([(name, theirs[name]["unit"], theirs[name].get("resolution", MINUTE)) for name in chunk])


def _members(chunk: dict[str, Any]) -> str:
    return f"{_encode(chunk)[1:-1]}," if chunk else ""


@lru_cache(maxsize=32)  # half of the time of a line; the metrics of a function are nearly always the same ones
def _head(namespace: str, own: Named, theirs: Named, dimensions: tuple[str, ...]) -> str:
    """What CloudWatch is to make of a line."""
    directives = [_directive(namespace, [FUNCTION, *dimensions], own + theirs)]
    if own:
        by_kind = tuple(one for one in own if one[0] in _BY_KIND)
        directives.append(_directive(namespace, [FUNCTION, KIND], by_kind))
    return _encode(directives)


def _directive(namespace: str, dimensions: list[str], metrics: Named) -> dict[str, Any]:
    listed: list[dict[str, Any]] = [{"Name": name, "Unit": unit} for name, unit, _ in metrics]
    for metric, (_, _, resolution) in zip(listed, metrics, strict=True):
        if resolution != MINUTE:  # which is CloudWatch's default
            metric["StorageResolution"] = resolution
    return {"Namespace": namespace, "Dimensions": [dimensions], "Metrics": listed}


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
    if not isinstance(given, (int, float)) and find_in_type(type(given), "__float__") is not None:
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


def checked_resolution(value: Any) -> int:
    """`value`, if it is one of CloudWatch's resolutions, in seconds.

    Raises:
        ConfigurationError: it is not.
    """
    if type(value) is int and value in {MINUTE, SECOND}:
        return value
    raise ConfigurationError(f"resolution={_shown(value)}: give 60, or 1 for a metric of high resolution")


def checked_dimensions(given: Any, metric: str) -> dict[str, str]:
    """`given`, if these can be the dimensions of a metric of the user's, in the order of their names.

    Raises:
        ConfigurationError: they cannot.
    """
    if given is None:
        return {}
    if not issubclass(type(given), dict) or len(given) > _MAX_DIMENSIONS:
        raise ConfigurationError(
            f"dimensions: give a dictionary of at most {_MAX_DIMENSIONS} names and values, such as {{'Tenant': 'a'}}"
        )
    for name, value in given.items():
        if not _is_name(name, most=_MAX_DIMENSION) or name.startswith(":"):
            raise ConfigurationError(
                f"dimensions: {_shown(name)} is no name of one: give 1 to {_MAX_DIMENSION} printable ASCII characters "
                "that do not begin with a colon"
            )
        if name in RESERVED or name == metric:
            raise ConfigurationError(f"dimensions: {name!r} is taken in the line of this metric; give another name")
        if not _is_name(value, most=_MAX_DIMENSION_VALUE):
            raise ConfigurationError(
                f"dimensions: for {name!r} give a text of 1 to {_MAX_DIMENSION_VALUE} printable ASCII characters, "
                f"not {type(value).__name__}"
            )
    return dict(sorted(given.items()))


def _is_name(value: Any, *, most: int = _MAX_NAME) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= most
        and value.isascii()
        and value.isprintable()
        and value.strip() != ""
    )


def _shown(value: Any) -> str:
    return f"{value!r:.80}"
