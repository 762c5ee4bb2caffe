"""What it costs to ask for an SDK client that could be there already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import micro
from ..effect import Check, Effect, Measured, Row, at_most

if TYPE_CHECKING:
    from ..run import Run

NEW, OURS = "boto3.client at each call", "lambdakit.client, a hit"
TABLES = ["orders"]


def new() -> dict[str, Any]:
    """The control; the first client of the process is not in the figure, which is the kinder comparison."""
    import boto3

    boto3.client("dynamodb")
    return {"get": boto3.client}


def ours() -> dict[str, Any]:
    """The treatment."""
    import lambdakit

    lambdakit.client("dynamodb")
    return {"get": lambdakit.client}


# What was got is used, for one call that the server counts, and compared with what is got next.
ANSWER = "[get('dynamodb').list_tables()['TableNames'], get('dynamodb') is get('dynamodb')]"
SIDES = (
    micro.Side(name=NEW, prepare=new, statement="get('dynamodb')", answer=ANSWER),
    micro.Side(name=OURS, prepare=ours, statement="get('dynamodb')", answer=ANSWER, broken=new),
)
ROWS = (Row(what="client for DynamoDB", control=NEW, treatment=OURS, claims=(at_most(0.5, "µs"),), peer="boto3"),)


def verify(measured: Measured) -> list[Check]:
    """Both give clients that work; lambdakit's is one and the same."""
    checks = []
    for name, same in ((NEW, False), (OURS, True)):
        trials = measured.evidence[name]
        answers = [trial["answer"] for trial in trials]
        calls = [trial["calls"] for trial in trials]
        checks += [
            Check(what=f"{name}: the client works", passed=all(a[0] == TABLES for a in answers), found=answers),
            Check(
                what=f"{name}: {'the same' if same else 'another'} client each time",
                passed=all(a[1] is same for a in answers),
                found=answers,
            ),
            Check(
                what=f"{name}: one call at the server", passed=all(c == {"ListTables": 1} for c in calls), found=calls
            ),
        ]
    return checks


def steps(run: Run) -> int:
    """See `micro.steps`."""
    return micro.steps(run, SIDES)


def measure(run: Run) -> Measured:
    """See `micro.measure`."""
    return micro.measure(run, SIDES, ROWS, upstream=True)


EFFECT = Effect(
    name="client_reuse",
    question="What does it cost to ask for a client at every invocation?",
    group="warm",
    claim="Asking for a client that is there already takes half a microsecond at most; boto3 makes a new one.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(f"{OURS}: the same client each time",),
)
