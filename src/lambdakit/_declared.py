"""A value that is named before it is needed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


SECRET, PARAMETER, PATH = "secret", "parameter", "path"


class Declared:
    """Which value, and how it is to be read; immutable by convention.

    Attributes:
        kind: ``secret``, ``parameter`` or ``path``.
        name: of the value.
        options: the keyword arguments of its getter.
    """

    __slots__ = ("kind", "name", "options")

    def __init__(self, kind: str, name: str, options: dict[str, Any]) -> None:
        self.kind = kind
        self.name = name
        self.options = options

    def __repr__(self) -> str:
        """Kind and name."""
        return f"<{self.kind} {self.name!r}>"
