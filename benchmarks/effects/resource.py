"""What it costs to get a table of DynamoDB: in the thread of the handler, and in a thread of its own."""

from __future__ import annotations

import threading
from typing import Any

from ..framework import micro
from ..framework.effect import Check, Effect, Measured, Row, at_most_times, each_is, times_less

HELD, OURS = "boto3.resource, held by the module", "lambdakit.resource"
EACH = "boto3.resource, made in each thread"
IN_THREAD = "in a thread of its own"
TABLES = ["orders"]


def in_thread(get: Any) -> Any:
    """What `get` returns to a thread that is started for it, as Mangum does for plain endpoints of FastAPI."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(get("dynamodb").Table("orders")))
    thread.start()
    thread.join()
    return found[0]


def held() -> dict[str, Any]:
    """The control: one resource for all, which is as fast as it gets, and for one thread only by boto3's manual."""
    import boto3

    resource = boto3.resource("dynamodb")
    return {"get": lambda _: resource, "in_thread": in_thread}


def each() -> dict[str, Any]:
    """The other control, which is safe."""
    import boto3

    boto3.resource("dynamodb")
    return {"get": lambda name: boto3.session.Session().resource(name), "in_thread": in_thread}


def ours() -> dict[str, Any]:
    """The treatment: the first one is made by the module."""
    import lambdakit

    lambdakit.resource("dynamodb")
    return {"get": lambdakit.resource, "in_thread": in_thread}


# What was got is used, for one call that the server counts, and compared with what another thread gets.
CLIENT = "in_thread(get).meta.client"
ANSWER = f"[{CLIENT}.list_tables()['TableNames'], {CLIENT} is {CLIENT}, in_thread(get).meta is in_thread(get).meta]"
HERE, THERE = "get('dynamodb').Table('orders')", "in_thread(get)"
SIDES = (
    micro.Side(name=HELD, prepare=held, statement=HERE, answer=ANSWER),
    micro.Side(name=OURS, prepare=ours, statement=HERE, answer=ANSWER, broken=each),
    micro.Side(name=f"{HELD}, {IN_THREAD}", prepare=held, statement=THERE, answer=ANSWER),
    micro.Side(name=f"{OURS}, {IN_THREAD}", prepare=ours, statement=THERE, answer=ANSWER, broken=each),
    micro.Side(name=EACH, prepare=each, statement=THERE, answer=ANSWER, loops=1),
)
ROWS = (
    Row(
        what="a table in the handler's thread",
        control=HELD,
        treatment=OURS,
        claims=(at_most_times(1.1),),
        peer="boto3",
    ),
    Row(
        what="a table in a thread of its own",
        control=f"{HELD}, {IN_THREAD}",
        treatment=f"{OURS}, {IN_THREAD}",
        claims=(at_most_times(1.2),),
        peer="boto3",
    ),
    Row(
        what="a table in a thread of its own, safely",
        control=EACH,
        treatment=f"{OURS}, {IN_THREAD}",
        claims=(times_less(5),),
        peer="boto3",
    ),
)

COMPARISON = micro.Comparison(sides=SIDES, rows=ROWS, upstream=True)


def verify(measured: Measured) -> list[Check]:
    """All tables work; with one client for all threads where nothing is made in them."""
    checks = []
    for side in SIDES:
        trials = measured.evidence[side.name]
        answers = [trial["answer"] for trial in trials]
        one = side.name != EACH
        checks += [
            each_is(f"{side.name}: the table works", [answer[0] for answer in answers], TABLES),
            each_is(f"{side.name}: {'one client' if one else 'a client for each'}", [a[1] for a in answers], one),
            each_is(f"{side.name}: one call at the server", [trial["calls"] for trial in trials], {"ListTables": 1}),
        ]
    return checks


EFFECT = Effect(
    name="resource",
    question="What does it cost to get a table of DynamoDB, in any thread?",
    group="warm",
    claim="A resource that is shared safely among threads costs no more than one that is held by the module.",
    rows=ROWS,
    steps=COMPARISON.steps,
    measure=COMPARISON.measure,
    verify=verify,
    breaks=tuple(f"{name}: one client" for name in (OURS, f"{OURS}, {IN_THREAD}")),
    long=True,
)
