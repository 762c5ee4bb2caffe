"""The log of one function."""

from __future__ import annotations

_KEPT_BYTES = 1_048_576


class Log:
    """The end of what was logged."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = bytearray()

    def add(self, part: bytes | bytearray) -> None:
        """Log something more."""
        self._kept += part
        del self._kept[:-_KEPT_BYTES]

    def __bytes__(self) -> bytes:
        return bytes(self._kept)
