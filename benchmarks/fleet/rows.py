"""The table: which figures stand beside each other, and what is claimed of them."""

from __future__ import annotations

from ..effect import Claim, Row, times_less
from .strategies import (
    BATCHES,
    EXTENSION,
    MANAGED,
    NO_EARLY,
    NO_JITTER,
    NO_SPREAD,
    PRELOAD,
    PRELOAD_BATCHES,
    SECRETS_SINGLY,
    SINGLE,
)
from .ways import FEW, HIGHER, MANY, REFRESH, UNTHROTTLED, USUAL, Way

LESS = Claim(text="less", holds=lambda control, treatment: treatment.median < control.median)


def _row(what: str, control: Way, treatment: Way, figure: str, *claims: Claim) -> Row:
    return Row(
        what=what,
        control=f"{control.name}, {figure}",
        treatment=f"{treatment.name}, {figure}",
        claims=claims,
        as_difference=figure in {"throttled", "failed"},  # points of per cent, which are 0 where the limits suffice
    )


def _rows(size: int) -> list[Row]:
    single, batches = Way(SINGLE, size), Way(BATCHES, size)
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
            _row(f"{size:,} start: until all are warm, preload", single, Way(PRELOAD, size), "all warm", times_less(4)),
            _row(
                f"{size:,} start: until all are warm, preload that is read in batches",
                Way(PRELOAD, size),
                Way(PRELOAD_BATCHES, size),
                "all warm",
            ),
            _row(
                f"{size:,} start: until all are warm, retries with jitter",
                Way(NO_JITTER, size),
                batches,
                "all warm",
            ),
            _row(
                f"{size:,} processes of managed instances: calls throttled, first calls spread over 50 ms",
                Way(NO_SPREAD, size),
                Way(MANAGED, size),
                "throttled",
            ),
        ]
    return rows


def _later_rows() -> list[Row]:
    early, late, extension = (Way(strategy, UNTHROTTLED, REFRESH) for strategy in (BATCHES, NO_EARLY, EXTENSION))
    higher = [Way(strategy, 10_000, HIGHER) for strategy in (BATCHES, SECRETS_SINGLY, SINGLE)]
    return [
        _row(f"{UNTHROTTLED} refresh: most calls in a second, ttl with jitter", late, early, "peak", LESS),
        _row(f"{UNTHROTTLED} refresh: most calls in a second, against the extension", extension, early, "peak"),
        _row("10,000 start, higher throughput: until all are warm, secrets singly", *higher[:2], "all warm"),
        _row("10,000 start, higher throughput: until all are warm, single gets", higher[0], higher[2], "all warm"),
    ]


ROWS = (*(row for size in MANY for row in _rows(size)), *_later_rows())
