"""Python values in DynamoDB's JSON, for items that a test makes up."""

from __future__ import annotations

from decimal import Decimal

from ..exceptions import ConfigurationError
from .answers import base64, blob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_NUMBERS = (int, float, Decimal)


def attribute(value: Any) -> dict[str, Any]:
    """`value` with its type.

    Raises:
        ConfigurationError: DynamoDB stores no such thing.
    """
    for types, kind, write in _KINDS:
        if isinstance(value, types):
            return {kind: write(value)}
    if isinstance(value, (set, frozenset)):
        parts = sorted(pair for part in value for pair in attribute(part).items())
        kinds = {kind for kind, _ in parts}
        if len(kinds) == 1 and kinds <= {"S", "N", "B"}:
            return {f"{kinds.pop()}S": [part for _, part in parts]}
    raise ConfigurationError(
        f"an item holds {type(value).__name__}, which DynamoDB does not store; give None, bool, str, int, float, "
        "Decimal, bytes, dict, list, or a set of strings, of numbers or of bytes"
    )


def plain(kind: str, part: str) -> object:
    """What a part of a key is in Python: numbers that are equal are equal as keys, whatever their type."""
    if kind == "B":
        return blob(part)
    return Decimal(part) if kind == "N" else part


_KINDS: tuple[tuple[Any, str, Callable[[Any], Any]], ...] = (
    (type(None), "NULL", lambda _: True),
    (bool, "BOOL", bool),
    (str, "S", str),
    (_NUMBERS, "N", str),
    (bytes, "B", base64),
    (dict, "M", lambda value: {name: attribute(part) for name, part in value.items()}),
    ((list, tuple), "L", lambda value: [attribute(part) for part in value]),
)
