"""Which function this is, as it was invoked: the alias or the version that a ping is passed on to."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PARTS, _QUALIFIED = 7, 8  # arn:aws:lambda:eu-west-1:123456789012:function:name[:qualifier]


class Itself:
    """A function, by its ARN.

    Attributes:
        arn: the whole, with the qualifier.
        region: the region.
        name: the name.
        qualifier: the version or alias; None if it was invoked without one.
        targets: what it is called by where a ping names it: name or ARN, with the qualifier, the version, or neither.
    """

    __slots__ = ("arn", "name", "qualifier", "region", "targets")

    def __init__(self, arn: str, region: str, name: str, qualifier: str | None, version: Any) -> None:
        self.arn = arn
        self.region = region
        self.name = name
        self.qualifier = qualifier
        self.targets = (name, f"{name}:{version}", str(self), arn, arn.removesuffix(f":{qualifier}"))

    @classmethod
    def of(cls, context: Any) -> Itself | None:
        """What `context` says of it; None where there is none, or one that does not know."""
        arn = getattr(context, "invoked_function_arn", None)
        parts = arn.split(":") if isinstance(arn, str) else []
        if len(parts) not in (_PARTS, _QUALIFIED) or not all(parts) or parts[5] != "function":
            return None
        qualifier = parts[7] if len(parts) == _QUALIFIED else None
        return cls(str(arn), parts[3], parts[6], qualifier, getattr(context, "function_version", None))

    def __str__(self) -> str:
        """Name and qualifier."""
        return self.name if self.qualifier is None else f"{self.name}:{self.qualifier}"
