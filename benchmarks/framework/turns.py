"""Interleaved timing: several ways to do one thing, in turn within one process."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TOGETHER = "together"  # the one way of an effect whose sides take turns within each process
_FIRST = 2  # calls that do not count: a connection, an import, the session of a TLS connection


def take_turns(ways: Mapping[str, Callable[[], str]], *, samples: int, loops: Mapping[str, int]) -> dict[str, Any]:
    """Time each way, some calls of each in turn, the order reversed in every other round.

    Args:
        ways: by name, each a function that returns a text.
        samples: turns of each.
        loops: by name, calls in a turn.

    Returns:
        By name ``samples_s`` (each call's own: their median is what no interruption changes), ``calls`` (how many there
        were in all) and ``answers`` (how often each text was returned; counted while no clock runs).
    """
    found: dict[str, Any] = {}
    for name, way in ways.items():
        found[name] = {"samples_s": [], "calls": _FIRST + samples * loops[name]}
        found[name]["answers"] = Counter(way() for _ in range(_FIRST))
    names = [*ways]
    for sample in range(samples):
        for name in names if sample % 2 == 0 else reversed(names):
            way, texts = ways[name], [""] * loops[name]
            for number in range(len(texts)):
                started_s = time.perf_counter()
                texts[number] = way()
                found[name]["samples_s"].append(time.perf_counter() - started_s)
            found[name]["answers"].update(texts)
    return found


def without_samples(done: Mapping[str, Any]) -> dict[str, Any]:
    """The result of one way without its times, which are in the series."""
    return {name: value for name, value in done.items() if name != "samples_s"}
