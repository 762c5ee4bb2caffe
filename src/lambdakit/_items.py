"""Items of DynamoDB tables, as Python values."""

from __future__ import annotations

import json

from . import _transforms
from ._check import flag, optional_text, text
from ._entries import Entry
from .exceptions import ConfigurationError, ValueFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._values import Values

_KIND = "item"


class Items:
    """What `get_item` does, for one environment. Thread-safe."""

    __slots__ = ("_values",)

    def __init__(self, values: Values) -> None:
        self._values = values

    def get(
        self,
        table: str,
        key: Mapping[str, Any],
        *,
        field: str | None,
        transform: Any,
        ttl: float | None,
        stale_ttl: float | None,
        consistent: bool,
        region: str | None,
        force_fetch: bool,
    ) -> Any:
        values, cache = self._values, self._values.cache
        wire = _key(key)
        known = (
            _KIND,
            text("table", table),  # all that is ever told of it: what its key holds may be anybody's name
            optional_text("region", region) or values.settings.region,
            flag("consistent", consistent),
            json.dumps(wire, sort_keys=True),
        )
        if not (transform is None or callable(transform)):
            raise ConfigurationError(f"transform={transform!r}: give a callable or None; an item is parsed already")
        _transforms.check(transform, field)
        ttl_s, forced = values.ttl_s(ttl), flag("force_fetch", force_fetch)
        entry = None if forced else cache.fresh(known, values.clock.now(), ttl_s)
        if entry is None:
            entry = cache.fetch(
                known,
                lambda: Entry(values.backend().get_item(table, wire, region=known[2], consistent=consistent), None),
                ttl_s=ttl_s,
                stale_ttl_s=values.stale_ttl_s(stale_ttl),
                forced=forced,
            )
        if transform is None:
            return _parsed(entry, field, table)
        return cache.derive(entry, (field, transform), lambda: transform(_parsed(entry, field, table)))


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
        import binascii  # a C module without imports of its own, unlike base64

        return {"B": binascii.b2a_base64(value, newline=False).decode()}
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
