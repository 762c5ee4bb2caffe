"""What a reader makes of a stored text: an entry of it, JSON, bytes, or whatever a callable returns."""

from __future__ import annotations

import json

from .exceptions import ConfigurationError, ValueFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._cache import Cache
    from ._entries import Entry

_SCALARS = (str, int, float, bool, type(None))


def check(transform: Any, field: Any) -> None:
    """Refuse a transform or a field that could not be applied to any value."""
    if not (transform is None or callable(transform) or transform in ("json", "binary")):
        raise ConfigurationError(f"transform={transform!r}: give 'json', 'binary', a callable or None")
    if field is not None and not isinstance(field, str):
        raise ConfigurationError(f"field={field!r}: give the name of one entry of the JSON object, a string, or None")


def apply(
    cache: Cache,
    key: tuple[Any, ...],
    entry: Entry,
    transform: Any,
    field: str | None,
) -> Any:
    """The value of `entry` for one reader.

    Parsed JSON is a new object for each reader, so that one cannot change what the other sees. Scalars cannot be
    changed, so they are kept parsed. A callable's result is made once per stored version and shared.

    Args:
        cache: where callables run in a single flight.
        key: of the entry; kind and name are for messages.
        entry: the stored value.
        transform: as `check` allows it.
        field: take this entry of the JSON object first, or None for the whole value.

    Raises:
        ValueFormatError: the value is not what the transform expects.
    """
    if callable(transform):
        return cache.derive(entry, (field, transform), lambda: transform(_field(key, entry, field)))
    if field is None:
        return _json(key, entry.value) if transform == "json" else _binary(key, entry.value)
    value = _field(key, entry, field)
    return _binary(key, value, f"field {field!r} of ") if transform == "binary" else value


def _field(key: tuple[Any, ...], entry: Entry, field: str | None) -> Any:
    if field is None:
        return entry.value
    try:
        return entry.derived[field]
    except KeyError:
        pass
    document = _json(key, entry.value)
    if not isinstance(document, dict):
        raise ValueFormatError(f"field={field!r}: {_what(key)} is JSON, but not an object with entries")
    try:
        value = document[field]
    except KeyError:
        # The names of entries may tell something, the error may be logged: neither names nor values are in it.
        raise ValueFormatError(
            f"field={field!r}: {_what(key)} has no such entry (it has {len(document)} others)"
        ) from None
    if isinstance(value, _SCALARS):
        entry.derive(field, value)
    return value


def _json(key: tuple[Any, ...], value: Any) -> Any:
    try:
        return json.loads(value)
    except (ValueError, TypeError, RecursionError):
        # The cause would carry the text in its `doc`, and so would its traceback: it is cut off.
        error = ValueFormatError(f"{_what(key)} is not JSON; leave out transform= and field= to get it as it is")
    raise error


def _binary(key: tuple[Any, ...], value: Any, part: str = "") -> bytes:
    if isinstance(value, bytes):
        return value
    import binascii  # a C module without imports of its own, unlike base64

    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except (ValueError, TypeError):
        error = ValueFormatError(f"{part}{_what(key)} is not base64; leave out transform= to get it as it is")
    raise error


def _what(key: tuple[Any, ...]) -> str:
    return f"{key[0]} {key[1]!r}"
