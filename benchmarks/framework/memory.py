"""Memory sizes: the example at each of them, its cost there, and the CPU share that the lab gave."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from . import orders, sampling, stats
from .deployed import Deployed
from .effect import Row, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .run import Run

SIZES = (128, 512, 1769)  # of a full run: the least, a usual one, a whole core
ONE_CORE_MB = 1769
LEAST = 5  # environments of a version at a size
_WARM = 10  # invocations in each of them
_BURN_S = 0.6  # thirty periods of the scheduler


def steps(run: Run, versions: Iterable[str]) -> int:
    """How many environments `measure` starts at least."""
    return sampling.steps(run, [*versions], least=_least(run)) * len(run.memory)


def _least(run: Run) -> int:
    return min(LEAST, run.size.environments)


def measure(run: Run, versions: Mapping[str, Callable[[int], Any]]) -> dict[str, list[dict[str, Any]]]:
    """Environments of each version in turn, at one size of the run's after the other.

    Args:
        run: how much, and at which sizes.
        versions: by name, what deploys one at a size.

    Returns:
        The trials, by version and size; see `name`.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for size in run.memory:
        functions = {name(version, size): deploy(size) for version, deploy in versions.items()}
        found |= sampling.rounds(
            run,
            [*functions],
            lambda way, _, functions=functions: functions[way].trial(min(_WARM, run.size.warm)),
            series=series,
            rows=rows(functions),
            least=_least(run),
        )
    return found


def name(version: str, memory_mb: int) -> str:
    """The name of a version at a size."""
    return f"{version}, {memory_mb} MB"


def series(trials: Mapping[str, list[dict[str, Any]]]) -> dict[str, Series]:
    """Cold starts and warm invocations at each size."""
    found = {}
    for way, given in trials.items():
        cold = [[orders.cold_ms(trial)] for trial in given]
        warm = [orders.warm_ms(trial) for trial in given]
        found |= {f"{way}, cold": Series(unit="ms", processes=cold), f"{way}, warm": Series(unit="ms", processes=warm)}
    return found


def rows(trials: Iterable[str]) -> tuple[Row, ...]:
    """The versions beside each other, at each size."""
    first: dict[str, str] = {}
    found = []
    for way in trials:
        version, _, size = way.rpartition(", ")
        control = first.setdefault(size, version)
        if version != control:
            found += [
                Row(
                    what=f"{what} at {size}",
                    control=f"{control}, {size}, {figure}",
                    treatment=f"{version}, {size}, {figure}",
                    peer="boto3",
                )
                for what, figure in (("cold start", "cold"), ("warm", "warm"))
            ]
    return tuple(found)


def figure(trials: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """A point of the curve for each version and size: medians, and what a million invocations cost."""
    from lambdakit._bench.prices import usd_per_million  # the lab's server comes with it, which no worker needs

    points = []
    for way, given in trials.items():
        version, _, size = way.rpartition(", ")
        memory_mb = int(size.removesuffix(" MB"))
        cold_ms = stats.median([orders.cold_ms(trial) for trial in given])
        warm_ms = stats.median([ms for trial in given for ms in orders.warm_ms(trial)])
        # Each millisecond that has begun is billed, INIT as well.
        billed_ms, billed_cold_ms = math.ceil(warm_ms), math.ceil(cold_ms)
        points.append(
            {
                "memory_mb": memory_mb,
                "side": version,
                "cold_ms": cold_ms,
                "warm_ms": warm_ms,
                "billed_ms": billed_ms,
                "usd_per_million": usd_per_million(billed_ms, memory_mb),
                "billed_cold_ms": billed_cold_ms,
                "usd_per_million_cold": usd_per_million(billed_cold_ms, memory_mb),
            }
        )
    return points


def calibration(run: Run) -> list[dict[str, Any]]:
    """The share of a core that each size really got, measured by a function that only burns CPU.

    Returns:
        By size ``memory_mb``, ``wanted`` and ``measured``, as shares of a core. One thread has one core at most.
    """
    found = []
    for memory_mb in sorted(run.memory_used):
        burn = Deployed(run.lab, f"burn-{memory_mb}", "burn.handler", memory_mb=memory_mb)
        shares = [burn.invoke({"seconds": seconds})["answer"] for seconds in (0.0, _BURN_S)]
        burn.remove()
        found.append({"memory_mb": memory_mb, "wanted": min(1.0, memory_mb / ONE_CORE_MB), "measured": shares[-1]})
    return found
