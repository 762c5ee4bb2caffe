"""Items of DynamoDB tables, as Python values."""

from __future__ import annotations

import json

from .._aws import base64
from .._cache import Entry
from .._diagnostics import flag, hide_locals, optional_text, text
from .._environment import part
from ..exceptions import ConfigurationError, ServiceError, ValueFormatError
from . import Values, arn_region, check_transform, derived, region_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .._environment import Environment

ITEM = "item"
_CONTENTS: dict[str, type[Any]] = {  # of DynamoDB's JSON: what an attribute of each type holds there
    "S": str,
    "N": str,
    "B": str,
    "BOOL": bool,
    "NULL": bool,
    "M": dict,
    "L": list,
    "SS": list,
    "NS": list,
    "BS": list,
}


def get_item(
    table: str,
    key: Mapping[str, Any],
    *,
    field: str | None = None,
    transform: Any = None,
    ttl: float | None = None,
    stale_ttl: float | None = None,
    consistent: bool = False,
    region: str | None = None,
    force_fetch: bool = False,
) -> Any:
    """An item of a DynamoDB table, from memory while it is fresh: configuration that is kept in a table.

    Args:
        table: name or ARN.
        key: attribute to value (text, int, `decimal.Decimal` or bytes): the partition key, and the sort key if the
            table has one.
        field: take this attribute of the item.
        transform: None, or a callable that gets the item, or the attribute; it runs once per fetch, and its result is
            shared by all callers.
        ttl: as in `get_secret`.
        stale_ttl: as in `get_secret`.
        consistent: True for a strongly consistent read.
        region: as in `get_secret`.
        force_fetch: as in `get_secret`.

    Returns:
        A dict, a new one for each call; values as boto3's resource has them: numbers are `decimal.Decimal`, sets are
        sets; binary values are bytes.

    Raises:
        NotFoundError: no such item, no such table.
        LambdakitError: its other kinds are those of `get_secret`.

    Thread-safe. Since 0.1.
    """
    values = part(Values)
    attributes = _key(key)
    text("table", table)
    region = optional_text("region", region)
    region = arn_region(table) or values.region if region is None else region_of(table, region)
    known = (
        ITEM,
        table,  # all that is ever told of it: what its key holds may be anybody's name
        region,
        flag("consistent", consistent),
        json.dumps(attributes, sort_keys=True),
    )
    if not (transform is None or callable(transform)):
        raise ConfigurationError(f"transform={transform!r}: give a callable or None; an item is parsed already")
    check_transform(transform, field)

    def fetch() -> Entry:
        entry = Entry(values.backend.get_item(table, attributes, region=region, consistent=consistent))
        if not _is_item(entry.value):
            raise ServiceError(
                f"dynamodb GetItem of {table!r}: the answer is not an item. Is there a proxy, or a wrong endpoint?",
                service="dynamodb",
                operation="GetItem",
                name=table,
                region=region,
            )
        return entry

    try:
        entry = values.cache.read(
            known,
            fetch,
            ttl_s=values.ttl_or_default_s(ttl),
            stale_ttl_s=values.stale_ttl_or_default_s(stale_ttl),
            forced=flag("force_fetch", force_fetch),
        )
        if transform is None:
            return _parsed(entry, field, table)
        return derived(values.cache, known, entry, field, transform, lambda: transform(_parsed(entry, field, table)))
    except BaseException as error:
        hide_locals(error)
        raise


def warm_imports(env: Environment) -> None:  # noqa: ARG001 - what every feature is given
    """What a first item needs beside the call: for INIT, see `_warm_imports`."""
    __import__("decimal")


def _is_item(text: str) -> bool:
    """Whether it can be read, as each reader will."""
    try:
        item = json.loads(text)
        return all(map(_is_attribute, item.values())) and from_wire({"M": item}) is not None
    except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError):
        return False


def _is_attribute(value: Any) -> bool:
    ((kind, content),) = value.items()
    if kind not in _CONTENTS or not isinstance(content, _CONTENTS[kind]):
        return False
    if kind in {"SS", "NS", "BS"}:
        return all(isinstance(part, str) for part in content)
    parts = content.values() if kind == "M" else content if kind == "L" else ()
    return all(map(_is_attribute, parts))


def _parsed(entry: Entry, field: str | None, table: str) -> Any:
    """A new object for each reader, as boto3's resource would give it."""
    item = json.loads(entry.value)
    if field is None:
        return {name: from_wire(value) for name, value in item.items()}
    if field not in item:
        raise ValueFormatError(f"field={field!r}: the item of table {table!r} has no such attribute")
    return from_wire(item[field])


def _key(key: Any) -> dict[str, dict[str, str]]:
    if not (hasattr(key, "items") and 1 <= len(key) <= 2):  # noqa: PLR2004 - partition key, and sort key
        raise ConfigurationError("key: give a dict of the table's one or two key attributes, such as {'id': '42'}")
    return {text("key", name): _key_to_wire(name, value) for name, value in key.items()}


def _key_to_wire(name: str, value: Any) -> dict[str, str]:
    """Text, a number or bytes: nothing else can be a key."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, (bytes, bytearray)):
        return {"B": base64(bytes(value))}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"N": str(value)}
    from decimal import Decimal  # 1 ms; a whole number does not need it

    if isinstance(value, Decimal) and value.is_finite():
        return {"N": str(value)}
    raise ConfigurationError(
        f"key: {name!r} is {type(value).__name__}; give a string, an int, a finite decimal.Decimal or bytes"
    )


def from_wire(value: dict[str, Any]) -> Any:  # noqa: PLR0911 - a line for each kind
    """A value of DynamoDB's JSON as a Python value: numbers are `decimal.Decimal`, sets are sets."""
    ((kind, content),) = value.items()
    if kind in {"S", "BOOL"}:
        return content
    if kind == "N":
        from decimal import Decimal  # 1 ms; paid where an item has numbers

        return Decimal(content)
    if kind == "M":
        return {name: from_wire(item) for name, item in content.items()}
    if kind == "L":
        return [from_wire(item) for item in content]
    if kind == "B":
        import binascii

        return binascii.a2b_base64(content)
    if kind in {"SS", "NS", "BS"}:
        return {from_wire({kind[0]: item}) for item in content}
    return None  # NULL
