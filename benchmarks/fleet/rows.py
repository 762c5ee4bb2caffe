"""The rows of the table, and their claims."""

from __future__ import annotations

from ..framework.effect import LESS, Claim, Row, times_less
from . import strategies
from .simulations import FEW, HIGHER, MANY, REFRESH, UNTHROTTLED, USUAL, Simulation


def _row(what: str, control: Simulation, treatment: Simulation, figure: str, *claims: Claim) -> Row:
    return Row(
        what=what,
        control=f"{control.name}, {figure}",
        treatment=f"{treatment.name}, {figure}",
        claims=claims,
        as_difference=figure in {"throttled", "failed"},  # points of per cent, which are 0 where the limits suffice
    )


def _rows(size: int) -> list[Row]:
    single, batches = Simulation(strategies.SINGLE, size), Simulation(strategies.BATCHES, size)
    usual, larger = size == USUAL, size >= USUAL
    rows = [_row(f"{size:,} start: calls throttled", single, batches, "throttled", *([LESS] if usual else []))]
    if size == min(FEW):  # in whose window of 10 s each is warm before the next one starts
        rows.append(_row(f"{size:,} start: until warm, p50", single, batches, "p50"))
    else:
        claims = [times_less(5)] if larger else []
        rows.append(_row(f"{size:,} start: until all are warm", single, batches, "all warm", *claims))
    if usual:
        rows += [
            _row(f"{size:,} start: calls of each", single, batches, "calls", times_less(10)),
            _row(f"{size:,} start: first invocations that fail", single, batches, "failed", LESS),
            _row(f"{size:,} start: until warm, p50", single, batches, "p50"),
            _row(f"{size:,} start: until warm, p99", single, batches, "p99"),
            _row(
                f"{size:,} start: until all are warm, preload",
                single,
                Simulation(strategies.PRELOAD, size),
                "all warm",
                times_less(4),
            ),
            _row(
                f"{size:,} start: until all are warm, preload that is read in batches",
                Simulation(strategies.PRELOAD, size),
                Simulation(strategies.PRELOAD_BATCHES, size),
                "all warm",
            ),
            _row(
                f"{size:,} start: until all are warm, retries with jitter",
                Simulation(strategies.NO_JITTER, size),
                batches,
                "all warm",
            ),
            _row(
                f"{size:,} processes of managed instances: calls throttled, first calls spread over 50 ms",
                Simulation(strategies.NO_SPREAD, size),
                Simulation(strategies.MANAGED, size),
                "throttled",
            ),
        ]
    return rows


def _later_rows() -> list[Row]:
    early, late, extension = (
        Simulation(strategy, UNTHROTTLED, REFRESH)
        for strategy in (strategies.BATCHES, strategies.NO_EARLY, strategies.EXTENSION)
    )
    higher = [
        Simulation(strategy, 10_000, HIGHER)
        for strategy in (strategies.BATCHES, strategies.SECRETS_SINGLY, strategies.SINGLE)
    ]
    return [
        _row(f"{UNTHROTTLED} refresh: most calls in a second, ttl with jitter", late, early, "peak", LESS),
        _row(f"{UNTHROTTLED} refresh: most calls in a second, against the extension", extension, early, "peak"),
        _row("10,000 start, higher throughput: until all are warm, secrets singly", *higher[:2], "all warm"),
        _row("10,000 start, higher throughput: until all are warm, single gets", higher[0], higher[2], "all warm"),
    ]


ROWS = (*(row for size in MANY for row in _rows(size)), *_later_rows())
