"""Check arguments, and say what was given, what is allowed, what to do."""

from __future__ import annotations

from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def seconds(argument: str, value: Any) -> float:
    """`value`, if it is a number of seconds >= 0; infinity is one, NaN and booleans are not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise ConfigurationError(f"{argument}={value!r}: give a number of seconds >= 0")
    return value


def text(argument: str, value: Any, *, most: int = 2048) -> str:
    """`value`, if it is a string with something in it, no longer than AWS takes and without control characters."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{argument}: give a non-empty string, not {type(value).__name__}")
    if not value.strip():
        raise ConfigurationError(f"{argument}={value!r}: give a non-empty string")
    if len(value) > most or not value.isprintable():
        raise ConfigurationError(f"{argument}: give at most {most} printable characters, not {value[:40]!r}...")
    return value


def optional_text(argument: str, value: Any) -> str | None:
    """`value`, if it is None or as `text` wants it."""
    return None if value is None else text(argument, value)


def flag(argument: str, value: Any) -> bool:
    """`value`, if it is True or False."""
    if value is not True and value is not False:
        raise ConfigurationError(f"{argument}={value!r}: give True or False")
    return value


def did_you_mean(given: str, known: list[str]) -> str:
    """A sentence with the known words closest to `given`, or nothing."""
    import difflib  # 3 ms, only on the way to an error

    close = difflib.get_close_matches(given, known, n=3)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
