"""One fresh process of a micro-measurement: it prepares one side, and pyperf times it."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import timeit
from typing import Any

import pyperf

from .processes import call_by_name

# What pyperf notes of a process that is nobody's business.
_PRIVATE = ("hostname", "python_config_args", "python_executable", "command", "command_max_rss")


def timed(question: dict[str, Any], timer: timeit.Timer) -> tuple[pyperf.Benchmark, int]:
    """Run pyperf's worker: it calibrates the loops of a value, or times that many values after one warm-up.

    Returns:
        What it says, and how often the statement was executed for that.
    """
    executed = 0

    def loop(loops: int) -> float:
        nonlocal executed
        executed += loops
        return timer.timeit(loops)

    runner = pyperf.Runner(values=question["samples"], min_time=question["sample_s"], warmups=1)
    how = ["--loops", str(question["loops"])] if question["loops"] else ["--calibrate-loops"]
    runner.parse_args(["--worker", "--quiet", *how])
    with contextlib.redirect_stdout(io.StringIO()):
        benchmark = runner.bench_time_func(question["name"], loop)
    return benchmark, executed


def as_json(benchmark: pyperf.Benchmark | pyperf.BenchmarkSuite) -> dict[str, Any]:
    """pyperf's own format, without the names of this machine."""
    written = io.StringIO()
    benchmark.dump(written)
    content: dict[str, Any] = json.loads(written.getvalue())
    for part in (content, *content["benchmarks"], *(run for one in content["benchmarks"] for run in one["runs"])):
        for name in _PRIVATE:
            part.get("metadata", {}).pop(name, None)
    return content


def measure(question: dict[str, Any]) -> dict[str, Any]:
    """Time a statement.

    Args:
        question: ``name``, ``prepare`` (``module:function``, which returns the names that the statement uses),
            ``arguments`` of that, ``statement``, ``answer`` (an expression, evaluated after the clock),
            ``sample_s``, ``samples``, ``loops`` (per sample; null: find out how many fill `sample_s`).
    """
    names = call_by_name(question["prepare"], question["arguments"])
    # timeit switches the garbage collector off; a function runs with it, so it is switched on again.
    timer = timeit.Timer(question["statement"], "import gc; gc.enable()", globals=names)
    timer.timeit(2)  # what only a first call does; a fetch would pass for a whole sample
    benchmark, executed = timed(question, timer)
    (run,) = benchmark.get_runs()
    return {
        "samples_s": list(run.values),
        "loops": run.get_loops(),
        "executions": 2 + executed,
        "answer": eval(question["answer"], names),  # noqa: S307 - our own effect's text
        "bytecode": not sys.dont_write_bytecode,
        "pyperf": as_json(benchmark),
    }


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))))
