"""Values in memory: sides that read one, and the verification that each process fetched it once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .effect import each_is, rows_against
from .micro import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .effect import Check, Measured, Row

    Prepare = Callable[..., dict[str, Any]]


def side(name: str, prepare: Prepare, call: str, *, broken: Prepare | None = None) -> Side:
    """A side whose statement is the read, and whose answer is what it reads."""
    return Side(name=name, prepare=prepare, statement=call, answer=call, broken=broken)


def call_rows(ours: str, peers: Iterable[str]) -> tuple[Row, ...]:
    """How many calls each process made."""
    return rows_against({peer: peer for peer in peers}, "calls per process", treatment=ours, figure="calls")


def fetched_once(name: str) -> str:
    """The name of the check of the calls."""
    return f"{name}: fetched once per process"


def verify(measured: Measured, *, values: Mapping[str, Any], calls: Mapping[str, Mapping[str, int]]) -> list[Check]:
    """Each process read the right value, and made these calls.

    Args:
        measured: by a `Comparison` with `upstream`.
        values: by side.
        calls: those of a fetch, by side.
    """
    checks = []
    for name, trials in measured.evidence.items():
        made = [trial["calls"] for trial in trials]
        answers = [trial["answer"] for trial in trials]
        checks += [
            each_is(f"{name}: the value is right", answers, values[name]),
            each_is(fetched_once(name), made, calls[name]),
        ]
    return checks
