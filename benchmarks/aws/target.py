"""A target: deployed functions that an effect can invoke and renew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """The result of an invocation; None is what its REPORT line does not have.

    Attributes:
        answer: what the function returned, or the error that it raised.
        error: None, or Lambda's word for how it failed.
        duration_ms: of the invocation.
        init_ms: of INIT; only the first invocation of an environment has one.
        billed_ms: what is paid for, INIT included.
        max_memory_mb: the most memory that was used so far.
        log: the last 4 KB of what was logged.
    """

    answer: Any
    error: str | None
    duration_ms: float | None
    init_ms: float | None
    billed_ms: float | None
    max_memory_mb: float | None
    log: str


class Target(Protocol):
    """Functions that can be invoked, and given new environments.

    Attributes:
        functions: their names, by the version of the example.
    """

    functions: Mapping[str, str]

    def invoke(self, function: str) -> Reply:
        """Invoke one with an order, and wait for the answer."""

    def renew(self, function: str, *, memory_mb: int | None = None, variables: Mapping[str, str] | None = None) -> None:
        """Have the next invocation come upon a new environment.

        Args:
            function: its name.
            memory_mb: the memory size from now on; None: that which it was deployed with.
            variables: environment variables from now on, beside those which it was deployed with.
        """
