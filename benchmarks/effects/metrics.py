"""What metrics, listeners and the start's log line add to each invocation.

Standard output is a file here, flushed at each write as the runtime client does it. On Lambda it is a pipe; but whoever
reads that takes turns with the function on the cores of this machine, and those turns would be most of the figure.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from .. import micro
from ..effect import Check, Effect, Measured, Row, adds_at_most
from .handler_overhead import bare

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..run import Run

OFF, OURS, ALL = "@handler", "@handler(metrics=...)", "@handler, everything on"
OWN, POWERTOOLS = "@handler(metrics=...), a metric of one's own", "Powertools log_metrics, a metric of one's own"
WATCHED = {OURS: 1, ALL: 1, OWN: 1, POWERTOOLS: 1, OFF: 0}  # lines of metrics per invocation
NAMESPACE = "Bench"
METRIC = "Orders"
ROWS = (
    Row(
        what="metrics of each invocation",
        control=OFF,
        treatment=OURS,
        claims=(adds_at_most(60, "µs"),),
        as_difference=True,
    ),
    Row(
        what="metrics, a listener and the log",
        control=OFF,
        treatment=ALL,
        claims=(adds_at_most(100, "µs"),),
        as_difference=True,
    ),
    Row(
        what="a line with a metric of one's own: ours has 12 more, against Powertools",
        control=POWERTOOLS,
        treatment=OWN,
        peer="Powertools",
    ),
)


def to_a_file(names: dict[str, Any], handler: Callable[..., Any]) -> dict[str, Any]:
    """The names of a side: its handler with a standard output of its own, and what tells what was written there."""
    from awslambdaric.bootstrap import Unbuffered

    file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - until the process ends
    out = Unbuffered(file)

    def call(event: Any, context: Any) -> Any:
        said, sys.stdout = sys.stdout, out  # in each call: what this process has to say itself goes to the other one
        try:
            return handler(event, context)
        finally:
            sys.stdout = said

    def told() -> tuple[int, str]:
        file.seek(0)
        lines = file.readlines()
        return len(lines), lines[-1] if lines else ""

    return {"heard": []} | names | {"handler": call, "told": told}


def off() -> dict[str, Any]:
    """The control: lambdakit's decorator, and nobody who watches."""
    import lambdakit

    names = bare()
    return to_a_file(names, lambdakit.handler(names["handler"]))


def ours() -> dict[str, Any]:
    """The treatment."""
    import lambdakit

    names = bare()
    return to_a_file(names, lambdakit.handler(metrics=NAMESPACE)(names["handler"]))


def everything() -> dict[str, Any]:
    """The treatment with a listener, and the line that the log has of a start."""
    os.environ["LAMBDAKIT_LOG"] = "1"
    import lambdakit

    names = bare()
    heard = names["heard"] = [0]

    def listener(record: Any) -> None:
        heard[0] += bool(record["outcome"] == "ok")

    return to_a_file(names, lambdakit.handler(metrics=NAMESPACE, on_invocation=listener)(names["handler"]))


def own() -> dict[str, Any]:
    """The treatment, whose handler measures something itself."""
    import lambdakit

    names = bare()
    function = names["handler"]

    @lambdakit.handler(metrics=NAMESPACE)
    def handler(event: Any, context: Any) -> Any:
        lambdakit.metric(METRIC, 1, unit="Count")
        return function(event, context)

    return to_a_file(names, handler)


def powertools() -> dict[str, Any]:
    """A peer; without a metric of the handler's own it would only warn."""
    from aws_lambda_powertools import Metrics

    names = bare()
    function, metrics = names["handler"], Metrics(namespace=NAMESPACE, service="bench")

    @metrics.log_metrics
    def handler(event: Any, context: Any) -> Any:
        metrics.add_metric(name=METRIC, unit="Count", value=1)
        return function(event, context)

    return to_a_file(names, handler)


CALL = "handler(event, context)"
ANSWER = f"[{CALL}, told(), heard]"
SIDES = (
    micro.Side(name=OFF, prepare=off, statement=CALL, answer=ANSWER),
    micro.Side(name=OURS, prepare=ours, statement=CALL, answer=ANSWER, broken=off),
    micro.Side(name=ALL, prepare=everything, statement=CALL, answer=ANSWER, broken=off),
    micro.Side(name=OWN, prepare=own, statement=CALL, answer=ANSWER, broken=off),
    micro.Side(name=POWERTOOLS, prepare=powertools, statement=CALL, answer=ANSWER),
)
HEARD = f"{ALL}: the listener heard of each invocation"


def written(way: str) -> str:
    """The check that each invocation was written."""
    return f"{way}: {WATCHED[way] or 'no'} line for each invocation"


def verify(measured: Measured) -> list[Check]:
    """There is one line of metrics for each invocation, which CloudWatch would understand."""
    checks = []
    for way, lines_each in WATCHED.items():
        trials = measured.evidence[way]
        answers = [trial["answer"][0] for trial in trials]
        # The answer is an invocation, too. The log has one line more.
        lines = [(trial["answer"][1][0], lines_each * (trial["executions"] + 1) + (way == ALL)) for trial in trials]
        checks += [
            Check(what=f"{way} answers as the function does", passed=all(answer == answers[0] for answer in answers)),
            Check(what=written(way), passed=all(a == b for a, b in lines), found=lines),
        ]
        if lines_each:
            last = [trial["answer"][1][1] for trial in trials]
            names = {METRIC} if way in {OWN, POWERTOOLS} else {"Duration"}
            checks.append(
                Check(what=f"{way}: they are metrics", passed=all(names <= metrics_of(one) for one in last), found=last)
            )
    heard = [(trial["answer"][2], [trial["executions"] + 1]) for trial in measured.evidence[ALL]]
    return [*checks, Check(what=HEARD, passed=all(a == b for a, b in heard), found=heard)]


def metrics_of(line: str) -> set[str]:
    """What a line of the embedded metric format declares, and has a value of."""
    try:
        content = json.loads(line)
        directives = content["_aws"]["CloudWatchMetrics"]
        named = {one["Name"] for each in directives if each["Namespace"] == NAMESPACE for one in each["Metrics"]}
    except (ValueError, LookupError, TypeError):
        return set()
    return named & set(content)


def steps(run: Run) -> int:
    """See `micro.steps`."""
    return micro.steps(run, SIDES)


def measure(run: Run) -> Measured:
    """See `micro.measure`."""
    return micro.measure(run, SIDES, ROWS)


EFFECT = Effect(
    name="metrics",
    question="What do metrics, listeners and a log add to each invocation?",
    group="warm",
    claim="A line of metrics adds 60 microseconds at most to an invocation; with a listener and the log 100.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(
        *(name for way in (OURS, ALL, OWN) for name in (written(way), f"{way}: they are metrics")),
        HEARD,
    ),
    peers={"lambda-warmer-py": "does the same, not measured: its one metric is a call of CloudWatch's API each time"},
)
