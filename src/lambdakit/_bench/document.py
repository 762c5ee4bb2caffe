"""The results of a run, as JSON; docs/bench-your-function.md describes it."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from functools import partial
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..lab._functions import python_version
from . import advice, prices, stats
from .failures import refusal
from .trace import count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .caller import Reply
    from .failures import FunctionFailedError
    from .measure import Target, Trial
    from .options import Options, Side
    from .stats import Groups, Statistic
    from .trace import Trace

SCHEMA = 1  # raised when a reader of the older one would misread it
P95_FROM = 20  # warm invocations: of fewer, the figure would be one of them
P99_FROM = 100

Trials = dict["Target", list["Trial"]]


def document(
    options: Options,
    trials: Trials,
    traces: Mapping[str, Trace],
    *,
    cpu_method: str,
    answers_equal: bool | None,
    failures: Mapping[int, FunctionFailedError] | None = None,
) -> dict[str, Any]:
    """The document of a run.

    Args:
        options: of the run; only the names of the variables are included.
        trials: the timed environments.
        traces: by the label of the function.
        cpu_method: how the lab limited the CPU.
        answers_equal: whether both functions returned the same in their first invocation; None for one function.
        failures: why a memory size was not measured, by the size; None for no failures.
    """
    return {
        "schema": SCHEMA,
        "lambdakit": __version__,
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
            "system": platform.system(),
            "lab_cpu_method": cpu_method,
        },
        "options": {
            "cold": options.cold,
            "warm": options.warm_each * options.cold,
            "memory_mb": list(options.memory_mb),
            "timeout_s": options.timeout_s,
            "python": options.python,
            "python_version": python_version(options.python),
            "environment": sorted(options.environment),
        },
        "prices": {"region": prices.REGION, "as_of": prices.AS_OF, "source": prices.SOURCE},
        "answers_equal": answers_equal,
        "failures": [
            {"memory_mb": memory_mb, "why": str(error).partition("\n")[0]}
            for memory_mb, error in (failures or {}).items()
        ],
        "rows": [row for memory_mb in _sizes(trials) for row in _rows(options, trials, memory_mb)],
        "series": {_name(target, what): series for target in trials for what, series in _series(trials[target])},
        "figures": {"memory": [_point(target, trials[target]) for target in trials]},
        "functions": [_function(side, traces[side.label], trials) for side in options.sides],
    }


def _sizes(trials: Trials) -> list[int]:
    """The memory sizes that were measured."""
    return list(dict.fromkeys(target.memory_mb for target in trials))


def _groups(trials: Sequence[Trial], figure: Callable[[Trial], Sequence[float]]) -> list[list[float]]:
    return [list(figure(trial)) for trial in trials]


def _init_ms(trial: Trial) -> float:
    return trial.first.report.init_ms or 0.0


def _cold_ms(trial: Trial) -> list[float]:
    return [_init_ms(trial) + trial.first.report.duration_ms]


def _warm_ms(trial: Trial) -> list[float]:
    return [reply.report.duration_ms for reply in trial.warm]


def _memory_mb(trial: Trial) -> list[float]:
    peaks = [reply.report.max_memory_mb for reply in (trial.first, *trial.warm)]
    return [max((peak for peak in peaks if peak is not None), default=0.0)]


def _billed_ms(reply: Reply) -> float:
    return reply.report.billed_ms or 0.0


# The rows of the table, each with the number of warm invocations that it needs.
_FIGURES: list[tuple[str, str, Callable[[Trial], Sequence[float]], Statistic, int]] = [
    ("INIT", "ms", lambda trial: [_init_ms(trial)], median, 0),
    ("first invocation", "ms", lambda trial: [trial.first.report.duration_ms], median, 0),
    ("cold start: INIT and first invocation", "ms", _cold_ms, median, 0),
    ("warm p50", "ms", _warm_ms, median, 0),
    ("warm p95", "ms", _warm_ms, partial(stats.percentile, share=0.95), P95_FROM),
    ("warm p99", "ms", _warm_ms, partial(stats.percentile, share=0.99), P99_FROM),
    ("memory used", "MB", _memory_mb, median, 0),
]


def _rows(options: Options, trials: Trials, memory_mb: int) -> list[dict[str, Any]]:
    """The rows of one memory size."""
    targets = [target for target in trials if target.memory_mb == memory_mb]
    rows = []
    for what, unit, figure, statistic, fewest in _FIGURES:
        sides = [_groups(trials[target], figure) for target in targets]
        if min(sum(map(len, groups)) for groups in sides) < fewest or not any(map(any, sides[0])):
            continue  # too few for this figure, or it cannot be measured on this system
        labels = [side.label for side in options.sides]
        rows.append({"memory_mb": memory_mb, "what": what, "unit": unit} | _compared(labels, sides, statistic))
    return rows


def _compared(labels: Sequence[str], sides: Sequence[Groups], statistic: Statistic) -> dict[str, Any]:
    """The figures of a row; the control is the function, the treatment the other one."""
    estimates = [stats.estimate(groups, statistic) for groups in sides]
    positive = len(sides) > 1 and min(value for groups in sides for group in groups for value in group) > 0.0
    ratio = stats.estimate_ratio(sides[0], sides[1], statistic) if positive else None
    other = estimates[1] if len(sides) > 1 else None
    return {
        "control": labels[0],
        "treatment": labels[1] if other else None,
        "without": estimates[0].value,
        "with": other.value if other else None,
        "interval_without": _interval(estimates[0]),
        "interval_with": _interval(other),
        "ratio": ratio.value if ratio else None,
        "ratio_low": ratio.low if ratio else None,
        "ratio_high": ratio.high if ratio else None,
        "verdict": stats.verdict(ratio) if ratio else None,
        "stable": all(found.is_stable for found in estimates),
    }


def _interval(found: stats.Estimate | None) -> list[float] | None:
    return None if found is None or found.low is None or found.high is None else [found.low, found.high]


def _name(target: Target, what: str) -> str:
    return f"{target.side.label}, {target.memory_mb} MB, {what}"


def _series(trials: Sequence[Trial]) -> list[tuple[str, dict[str, Any]]]:
    """All values of all environments."""
    figures: list[tuple[str, str, Callable[[Trial], Sequence[float]]]] = [
        ("INIT", "ms", lambda trial: [_init_ms(trial)]),
        ("first", "ms", lambda trial: [trial.first.report.duration_ms]),
        ("warm", "ms", _warm_ms),
        ("memory", "MB", _memory_mb),
        ("billed cold", "ms", lambda trial: [_billed_ms(trial.first)]),
        ("billed warm", "ms", lambda trial: [_billed_ms(reply) for reply in trial.warm]),
    ]
    return [(name, {"unit": unit, "processes": _groups(trials, figure)}) for name, unit, figure in figures]


def _point(target: Target, trials: Sequence[Trial]) -> dict[str, Any]:
    """One memory size of one function, with what it costs."""
    billed_warm_ms = fmean(_billed_ms(reply) for trial in trials for reply in trial.warm)
    billed_cold_ms = fmean(_billed_ms(trial.first) for trial in trials)
    return {
        "memory_mb": target.memory_mb,
        "side": target.side.label,
        "max_memory_mb": max(value for trial in trials for value in _memory_mb(trial)),
        "cold_ms": median(value for trial in trials for value in _cold_ms(trial)),
        "warm_ms": median(value for trial in trials for value in _warm_ms(trial)),
        "billed_ms": billed_warm_ms,
        "billed_cold_ms": billed_cold_ms,
        "usd_per_million": prices.usd_per_million(billed_warm_ms, target.memory_mb),
        "usd_per_million_cold": prices.usd_per_million(billed_cold_ms, target.memory_mb),
    }


def _refusals(side: Side, trials: Trials) -> dict[str, int]:
    """The answers that are no errors of the function and tell of a failure all the same, each with how often."""
    replies = (
        reply
        for target, found in trials.items()
        if target.side == side
        for trial in found
        for reply in (trial.first, *trial.warm)
    )
    return Counter(filter(None, (refusal(reply.payload) for reply in replies)))


def _function(side: Side, trace: Trace, trials: Trials) -> dict[str, Any]:
    """The trace of one function, and what it has answered."""

    def listed(kind: str, *keys: str) -> list[dict[str, Any]]:
        groups = trace.grouped(kind, *keys)
        return [dict(zip(keys, g.key, strict=True)) | g.times._asdict() | {"places": g.places} for g in groups]

    return {
        "name": side.label,
        "handler": side.handler,
        "warm_invocations": trace.warm,
        "imports": [
            {
                "package": package.name,
                "own_ms": package.own_ms,
                "total_ms": package.total_ms,
                "modules": package.modules,
                "invocation": package.invocation,
            }
            for package in trace.packages
        ],
        "clients": listed("client", "service"),
        "calls": listed("call", "service", "operation", "name"),
        "requests": listed("request", "what", "host"),
        "connections": listed("connection", "host", "port"),
        "handshakes": count(trace.events("handshake"))._asdict(),
        "loops": count(trace.events("loop"))._asdict(),
        "refusals": _refusals(side, trials),
        "unseen": [event["module"] for event in trace.events("unseen")],
        "findings": [found._asdict() | {"docs": advice.DOCS + found.docs} for found in advice.findings(trace)],
    }
