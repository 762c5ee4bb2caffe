"""What it costs to ask for an SDK client that could be there already."""

from __future__ import annotations

from typing import Any

from ..framework import micro
from ..framework.effect import Check, Effect, Measured, Row, each_is, times_less

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
ROWS = (Row(what="client for DynamoDB", control=NEW, treatment=OURS, claims=(times_less(1000),), peer="boto3"),)

COMPARISON = micro.Comparison(sides=SIDES, rows=ROWS, upstream=True)


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
            each_is(f"{name}: one call at the server", calls, {"ListTables": 1}),
        ]
    return checks


EFFECT = Effect(
    name="client_reuse",
    question="What does it cost to ask for a client at every invocation?",
    group="warm",
    claim="Asking for a client that exists takes a thousandth of the time of boto3, which makes a new one.",
    rows=ROWS,
    steps=COMPARISON.steps,
    measure=COMPARISON.measure,
    verify=verify,
    breaks=(f"{OURS}: the same client each time",),
)
