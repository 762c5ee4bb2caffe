"""What a decorator adds to each invocation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .. import micro
from ..effect import Check, Effect, Measured, Row, adds_at_most
from ..processes import ROOT

if TYPE_CHECKING:
    from ..run import Run

BARE, OURS, POWERTOOLS = "bare function", "@lambdakit.handler", "Powertools inject_lambda_context"
DECORATORS, WARMER = "lambda-decorators LambdaDecorator", "lambda-warmer-py warmer"
FURTHER = (DECORATORS, WARMER)  # only in a run with all peers
STATUS = 204
BEGUN = "lambdakit began an invocation per call"
ROWS = (
    Row(
        what="decorated no-op, against bare",
        control=BARE,
        treatment=OURS,
        claims=(adds_at_most(2.0, "µs"),),
        as_difference=True,
    ),
    Row(what="decorated no-op, against Powertools", control=POWERTOOLS, treatment=OURS, peer="Powertools"),
    Row(
        what="decorated no-op, against lambda-decorators", control=DECORATORS, treatment=OURS, peer="lambda-decorators"
    ),
    Row(what="decorated no-op, against lambda-warmer-py", control=WARMER, treatment=OURS, peer="lambda-warmer-py"),
)


def _names() -> dict[str, Any]:
    """The example's event, the runtime's own kind of context."""
    from awslambdaric.lambda_context import LambdaContext

    event = json.loads((ROOT / "examples" / "orders" / "event.json").read_text())
    arn = "arn:aws:lambda:us-east-1:123456789012:function:orders"
    # An hour is more than any process of ours takes.
    context = LambdaContext("7f1c0cbe-0000-4000-8000-000000000000", {}, {}, _in_an_hour_ms(), arn)
    return {"event": event, "context": context}


def _in_an_hour_ms() -> int:
    import time

    return int((time.time() + 3600) * 1000)


def bare() -> dict[str, Any]:
    """The control."""

    def handler(event: Any, context: Any) -> dict[str, int]:  # noqa: ARG001 - the shape of a handler
        return {"statusCode": STATUS}

    return _names() | {"handler": handler}


def ours() -> dict[str, Any]:
    """The treatment."""
    import lambdakit

    names = bare()
    return names | {"handler": lambdakit.handler(names["handler"]), "lambdakit": lambdakit}


def undecorated() -> dict[str, Any]:
    """The treatment, broken: nobody begins an invocation."""
    import lambdakit

    return bare() | {"lambdakit": lambdakit}


def powertools() -> dict[str, Any]:
    """A peer that adds the context to each log record."""
    from aws_lambda_powertools import Logger

    names, logger = bare(), Logger(service="bench")
    handler = logger.inject_lambda_context(names["handler"])
    return names | {"handler": handler, "logger": logger}


def decorators() -> dict[str, Any]:
    """A peer: what its own decorators derive from, with nothing to do before, after and on an exception."""
    from lambda_decorators import LambdaDecorator

    class Nothing(LambdaDecorator):
        """As it is."""

    names = bare()
    return names | {"handler": Nothing(names["handler"])}


def warmer() -> dict[str, Any]:
    """A peer: it looks for its ping in each event, and logs each below the level that the runtime shows."""
    from lambdawarmer import LAMBDA_INFO, warmer

    names = bare()
    return names | {"handler": warmer(names["handler"]), "info": LAMBDA_INFO}


CALL = "handler(event, context)"
SIDES = (
    micro.Side(name=BARE, prepare=bare, statement=CALL, answer=f"[{CALL}, None]"),
    micro.Side(
        name=OURS,
        prepare=ours,
        statement=CALL,
        answer=f"[{CALL}, lambdakit.environment().invocations]",
        broken=undecorated,
    ),
    micro.Side(
        name=POWERTOOLS,
        prepare=powertools,
        statement=CALL,
        answer=f"[{CALL}, logger.get_current_keys().get('function_request_id')]",
    ),
    micro.Side(name=DECORATORS, prepare=decorators, statement=CALL, answer=f"[{CALL}, None]"),
    micro.Side(name=WARMER, prepare=warmer, statement=CALL, answer=f"[{CALL}, info['is_warm']]"),
)


def sides(run: Run) -> list[micro.Side]:
    """Those that this run measures."""
    return micro.of_run(run, SIDES, further=FURTHER)


def verify(measured: Measured) -> list[Check]:
    """Every call was answered by the handler itself, and the decorators did their work."""
    answers = {name: [trial["answer"] for trial in measured.evidence[name]] for name in measured.evidence}
    checks = [
        Check(what=f"{name} answers as the function does", passed=all(a[0] == {"statusCode": STATUS} for a in given))
        for name, given in answers.items()
    ]
    counted = [(trial["answer"][1], trial["executions"] + 1) for trial in measured.evidence[OURS]]
    checks.append(Check(what=BEGUN, passed=all(a == b for a, b in counted), found=counted))
    ids = [answer[1] for answer in answers[POWERTOOLS]]
    checks.append(Check(what="Powertools took the request id from the context", passed=all(ids), found=ids))
    if WARMER in answers:
        warm = [answer[1] for answer in answers[WARMER]]
        checks.append(Check(what="lambda-warmer-py took note of the invocation", passed=all(warm), found=warm))
    return checks


def steps(run: Run) -> int:
    """See `micro.steps`."""
    return micro.steps(run, sides(run))


def measure(run: Run) -> Measured:
    """See `micro.measure`."""
    return micro.measure(run, sides(run), ROWS)


EFFECT = Effect(
    name="handler_overhead",
    question="What does the decorator add to each invocation of a handler that does nothing?",
    group="warm",
    claim="The decorator adds two microseconds at most to each invocation.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(BEGUN,),
)
