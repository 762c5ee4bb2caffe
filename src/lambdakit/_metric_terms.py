"""What CloudWatch takes as a metric: its namespace, name, unit and value."""

from __future__ import annotations

from ._check import did_you_mean
from ._metrics import RESERVED
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SIZES = ("Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes")
_RATED = (*_SIZES, "Bits", "Kilobits", "Megabits", "Gigabits", "Terabits", "Count")
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html
UNITS = frozenset(
    ("None", "Percent", "Seconds", "Milliseconds", "Microseconds", *_RATED, *map("{}/Second".format, _RATED))
)
_LARGEST = 2**360
_MOST = 255  # characters


def namespace(argument: str, value: Any) -> str:
    """`value`, if CloudWatch takes it as a namespace of a user's.

    Raises:
        ConfigurationError: it does not.
    """
    if _is_name(value) and not value.startswith((":", "AWS/")):
        return str(value)
    raise ConfigurationError(
        f"{argument}={_shown(value)}: give a namespace of CloudWatch, 1 to {_MOST} printable ASCII characters that do "
        "not begin with a colon or with AWS/"
    )


def name(value: Any) -> str:
    """`value`, if it can be the name of a metric of a user's.

    Raises:
        ConfigurationError: it cannot.
    """
    if not _is_name(value):
        raise ConfigurationError(f"name={_shown(value)}: give 1 to {_MOST} printable ASCII characters")
    if value in RESERVED:
        raise ConfigurationError(f"name={value!r}: lambdakit's own lines have it already; give another one")
    return str(value)


def unit(value: Any) -> str:
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


def value(given: Any) -> float:
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
        and 0 < len(value) <= _MOST
        and value.isascii()
        and value.isprintable()
        and value.strip() != ""
    )


def _shown(value: Any) -> str:
    return f"{value!r:.80}"
