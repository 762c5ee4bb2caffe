"""One fresh process of a micro-measurement: prepares one side, calibrates its loop, times it, answers in JSON."""

from __future__ import annotations

import importlib
import json
import sys
import timeit
from typing import Any


def calibrate(timer: timeit.Timer, sample_s: float) -> tuple[int, int]:
    """How many loops fill a sample, and how many it took to find out."""
    loops, spent = 1, 0
    while True:
        took_s = timer.timeit(loops)
        spent += loops
        if took_s >= sample_s / 2:
            return max(1, round(loops * sample_s / took_s)), spent
        loops *= 10 if took_s < sample_s / 20 else 2


def measure(question: dict[str, Any]) -> dict[str, Any]:
    """Time a statement.

    Args:
        question: ``prepare`` (``module:function``, which returns the names that the statement uses), ``statement``,
            ``answer`` (an expression for the evidence, evaluated when the clock has stopped), ``sample_s``,
            ``samples``, ``loops`` (per sample; null: as many as fill `sample_s`).
    """
    module, _, function = question["prepare"].partition(":")
    names = getattr(importlib.import_module(module), function)()
    # timeit switches the garbage collector off; a function runs with it, so it is switched on again.
    timer = timeit.Timer(question["statement"], "import gc; gc.enable()", globals=names)
    spent = 2
    timer.timeit(spent)  # what only a first call does; a fetch would pass for a whole sample
    loops = question["loops"]
    if loops is None:
        loops, tried = calibrate(timer, question["sample_s"])
        spent += tried
    samples_s = [timer.timeit(loops) / loops for _ in range(question["samples"])]
    return {
        "samples_s": samples_s,
        "loops": loops,
        "executions": spent + loops * len(samples_s),
        "answer": eval(question["answer"], names),  # noqa: S307 - our own effect's text
        "bytecode": not sys.dont_write_bytecode,
    }


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))))
