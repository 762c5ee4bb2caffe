"""Which calls of a patched function are plain: by their arguments alone."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Plain:
    """The arguments that a call may have to be plain.

    Args:
        positions: the names of the positional ones.
        names: of those that may be given by name.
        silent: values that say nothing, of others: what the function takes for granted anyway.
    """

    __slots__ = ("_names", "_positions", "_silent")

    def __init__(self, *positions: str, names: str, silent: Mapping[str, tuple[Any, ...]]) -> None:
        self._positions = positions
        self._names = frozenset((*positions, *names.split()))
        self._silent = silent

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """The arguments by name, without those that say nothing; None if the call is not plain, or makes no sense."""
        if len(args) > len(self._positions):
            return None
        said = dict(zip(self._positions, args, strict=False))
        for name, value in kwargs.items():
            if name in self._names and name not in said:
                said[name] = value
            elif not any(value is silent for silent in self._silent.get(name, ())):
                return None
        return said
