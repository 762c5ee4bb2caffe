"""What metrics, listeners and the start's log line add to each invocation.

Standard output is a file here, flushed at each write as the runtime client does it. On Lambda it is a pipe; but the
reader of a pipe takes turns with the function on the cores of this machine, which would be most of the figure.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ..framework import invocation, micro
from ..framework.effect import Check, Effect, Measured, Row, at_most_times, pairs_equal
from ..framework.invocation import CALL

if TYPE_CHECKING:
    from collections.abc import Callable

OFF, OURS, ALL = "@handler", "@handler(metrics=...)", "@handler, everything on"
OWN, POWERTOOLS = "@handler(metrics=...), a metric of one's own", "Powertools log_metrics, a metric of one's own"
AS_MANY = "Powertools log_metrics, as many metrics"
LINES = {OURS: 1, ALL: 1, OWN: 1, POWERTOOLS: 1, AS_MANY: 1, OFF: 0}  # of metrics, per invocation
NAMESPACE = "Bench"
METRIC = "Orders"
# What lambdakit's own line has in a warm invocation, for a peer to write.
SAME = {
    **dict.fromkeys(("ColdStart", "Failures", "CacheHits", "CacheFetches", "CacheStale", "WarmupPings"), "Count"),
    **dict.fromkeys(("Duration", "RemainingAtEnd", "UpstreamMs"), "Milliseconds"),
    **dict.fromkeys(("RemainingShare", "MemoryShare"), "Percent"),
    "PeakMemory": "Megabytes",
}


def off() -> dict[str, Any]:
    """The control: lambdakit's decorator, and no observer."""
    import lambdakit

    return _decorated(lambdakit.handler)


def ours() -> dict[str, Any]:
    """The treatment."""
    import lambdakit

    return _decorated(lambdakit.handler(metrics=NAMESPACE))


def everything() -> dict[str, Any]:
    """The treatment with a listener, and the line that the log has of a start."""
    os.environ["LAMBDAKIT_LOG"] = "1"
    import lambdakit

    heard = [0]

    def listener(record: Any) -> None:
        heard[0] += bool(record["outcome"] == "ok")

    return _decorated(lambdakit.handler(metrics=NAMESPACE, on_invocation=listener)) | {"heard": heard}


def own() -> dict[str, Any]:
    """The treatment, whose handler measures something itself."""
    import lambdakit

    return _decorated(lambdakit.handler(metrics=NAMESPACE), lambda: lambdakit.metric(METRIC, 1, unit="Count"))


def powertools() -> dict[str, Any]:
    """A peer; without a metric of the handler's own it would only warn."""
    from aws_lambda_powertools import Metrics

    metrics = Metrics(namespace=NAMESPACE, service="bench")
    return _decorated(metrics.log_metrics, lambda: metrics.add_metric(name=METRIC, unit="Count", value=1))


def as_many() -> dict[str, Any]:
    """The same peer with as many metrics and dimensions as lambdakit's line has; ``service`` is one of the latter."""
    from aws_lambda_powertools import Metrics

    metrics = Metrics(namespace=NAMESPACE, service="bench")

    def measure() -> None:
        metrics.add_dimension(name="StartKind", value="warm")
        for name, unit in SAME.items():
            metrics.add_metric(name=name, unit=unit, value=1)
        metrics.add_metric(name=METRIC, unit="Count", value=1)

    return _decorated(metrics.log_metrics, measure)


def _decorated(decorate: Callable[[Any], Any], measure: Callable[[], None] | None = None) -> dict[str, Any]:
    names = invocation.no_op()
    function = names["handler"]

    def handler(event: Any, context: Any) -> Any:
        measure()
        return function(event, context)

    decorated = decorate(function if measure is None else handler)
    return invocation.to_a_file(names | {"handler": decorated, "heard": []})


ANSWER = f"[{CALL}, written(), heard]"


def _side(name: str, prepare: Callable[[], dict[str, Any]], *, broken: bool = False) -> micro.Side:
    return micro.Side(name=name, prepare=prepare, statement=CALL, answer=ANSWER, broken=off if broken else None)


SIDES = (
    _side(OFF, off),
    _side(OURS, ours, broken=True),
    _side(ALL, everything, broken=True),
    _side(OWN, own, broken=True),
    _side(POWERTOOLS, powertools),
    _side(AS_MANY, as_many),
)
ROWS = (
    Row(
        what="a line with a metric of one's own, against Powertools' with as many metrics",
        control=AS_MANY,
        treatment=OWN,
        claims=(at_most_times(1),),
        peer="Powertools",
    ),
    Row(
        what="a line with a metric of one's own, against Powertools' with that metric only",
        control=POWERTOOLS,
        treatment=OWN,
        peer="Powertools",
    ),
    *(
        Row(what=what, control=OFF, treatment=side, as_difference=True)
        for what, side in (("metrics of each invocation", OURS), ("metrics, a listener and the log", ALL))
    ),
)
# As on Lambda, where a line tells the function's name, and the share of its memory.
ENVIRON = {"AWS_LAMBDA_FUNCTION_NAME": "orders", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128"}
COMPARISON = micro.Comparison(sides=SIDES, rows=ROWS, further=(POWERTOOLS,), environ=lambda _: ENVIRON)
HEARD = f"{ALL}: the listener heard of each invocation"
ALIKE = f"{AS_MANY} and dimensions as lambdakit's"


def written(way: str) -> str:
    """The check that each invocation was written."""
    return f"{way}: {LINES[way] or 'no'} line for each invocation"


def verify(measured: Measured) -> list[Check]:
    """There is one line of metrics for each invocation, which CloudWatch would understand."""
    checks = []
    for way, trials in measured.evidence.items():
        lines_each = LINES[way]
        answers = [trial["answer"][0] for trial in trials]
        # The answer is an invocation, too. The log has one line more.
        lines = [(trial["answer"][1][0], lines_each * (trial["executions"] + 1) + (way == ALL)) for trial in trials]
        checks += [
            Check(what=f"{way} answers as the function does", passed=all(answer == answers[0] for answer in answers)),
            pairs_equal(written(way), lines),
        ]
        if lines_each:
            last = [trial["answer"][1][1] for trial in trials]
            names = {METRIC} if way in {OWN, POWERTOOLS, AS_MANY} else {"Duration"}
            checks.append(
                Check(what=f"{way}: they are metrics", passed=all(names <= metrics_of(one) for one in last), found=last)
            )
    heard = [(trial["answer"][2], [trial["executions"] + 1]) for trial in measured.evidence[ALL]]
    sizes = [{_size(trial["answer"][1][1]) for trial in measured.evidence[way]} for way in (AS_MANY, OWN)]
    return [
        *checks,
        pairs_equal(HEARD, heard),
        Check(what=ALIKE, passed=sizes[0] == sizes[1], found=[sorted(size) for size in sizes]),
    ]


def _size(line: str) -> tuple[int, int]:
    """How many metrics a line has, and how many dimensions."""
    dimensions = {name for one in _directives(line) for each in one["Dimensions"] for name in each}
    return len(metrics_of(line)), len(dimensions)


def metrics_of(line: str) -> set[str]:
    """What a line of the embedded metric format declares, and has a value of."""
    named = {one["Name"] for each in _directives(line) for one in each["Metrics"]}
    return named & set(json.loads(line)) if named else set()


def _directives(line: str) -> list[dict[str, Any]]:
    """What a line tells CloudWatch of our namespace; nothing of a line of another format."""
    try:
        directives: list[dict[str, Any]] = json.loads(line)["_aws"]["CloudWatchMetrics"]
    except (ValueError, LookupError, TypeError):
        return []
    return [one for one in directives if one["Namespace"] == NAMESPACE]


EFFECT = Effect(
    name="metrics",
    question="What do metrics, listeners and a log add to each invocation?",
    group="warm",
    claim="A line of metrics costs no more than Powertools' line with as many metrics.",
    rows=ROWS,
    steps=COMPARISON.steps,
    measure=COMPARISON.measure,
    verify=verify,
    breaks=(
        *(name for way in (OURS, ALL, OWN) for name in (written(way), f"{way}: they are metrics")),
        HEARD,
    ),
    peers={"lambda-warmer-py": "does the same, not measured: its one metric is a call of CloudWatch's API each time"},
)
