"""What a secret costs that was fetched before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .. import micro
from ..effect import Check, Effect, Measured, Row, Series, at_most, times_less
from ..upstream import DATABASE, DATABASE_TEXT

if TYPE_CHECKING:
    from ..run import Run

NAME = "bench/secret"
TEXT = '{"user": "app", "port": 5432}'
PARSED = json.loads(DATABASE_TEXT)

OURS, OURS_JSON, OURS_FIELD = "lambdakit", "lambdakit json", "lambdakit field"
POWERTOOLS, POWERTOOLS_JSON, CACHING = "Powertools", "Powertools json", "aws_secretsmanager_caching"


def ours() -> dict[str, Any]:
    """The treatment."""
    import lambdakit

    return {"get": lambdakit.get_secret}


def powertools() -> dict[str, Any]:
    """A peer; its default of 5 s would fetch again while it is measured."""
    from aws_lambda_powertools.utilities.parameters import get_secret

    return {"get": get_secret}


def caching() -> dict[str, Any]:
    """AWS's own peer."""
    import botocore.session
    from aws_secretsmanager_caching import SecretCache

    client = botocore.session.get_session().create_client("secretsmanager")
    return {"get": SecretCache(client=client).get_secret_string}


def _side(name: str, prepare: Any, call: str) -> micro.Side:
    return micro.Side(name=name, prepare=prepare, statement=call, answer=call)


SIDES = (
    _side(OURS, ours, f"get({NAME!r})"),
    _side(POWERTOOLS, powertools, f"get({NAME!r}, max_age=300)"),
    _side(CACHING, caching, f"get({NAME!r})"),
    _side(OURS_JSON, ours, f"get({DATABASE!r}, transform='json')"),
    _side(POWERTOOLS_JSON, powertools, f"get({DATABASE!r}, transform='json', max_age=300)"),
    _side(OURS_FIELD, ours, f"get({DATABASE!r}, field='port')"),
)
ANSWERS = {
    OURS: TEXT,
    POWERTOOLS: TEXT,
    CACHING: TEXT,
    OURS_JSON: PARSED,
    POWERTOOLS_JSON: PARSED,
    OURS_FIELD: PARSED["port"],
}
# The library of AWS asks for the versions of the secret as well.
CALLS = {CACHING: {"DescribeSecret": 1, "GetSecretValue": 1}}


def steps(run: Run) -> int:
    """See `micro.steps`."""
    return micro.steps(run, SIDES)


def measure(run: Run) -> Measured:
    """See `micro.measure`; the calls at the server are a series, too."""
    measured = micro.measure(run, SIDES, upstream=True)
    calls = {
        f"{name}, calls": Series(unit="calls", processes=[[float(sum(trial["calls"].values()))] for trial in trials])
        for name, trials in measured.evidence.items()
    }
    return Measured(series=measured.series | calls, evidence=measured.evidence)


def verify(measured: Measured) -> list[Check]:
    """Each process got the secret itself, and asked the server for it once."""
    checks = []
    for name, right in ANSWERS.items():
        trials = measured.evidence[name]
        calls, wanted = [trial["calls"] for trial in trials], CALLS.get(name, {"GetSecretValue": 1})
        checks += [
            Check(what=f"{name}: the secret is right", passed=all(trial["answer"] == right for trial in trials)),
            Check(what=f"{name}: fetched once per process", passed=all(c == wanted for c in calls), found=calls),
        ]
    return checks


EFFECT = Effect(
    name="secret_cache",
    question="What does a secret cost that is in memory?",
    rows=(
        Row(
            what="get_secret hit, against Powertools",
            control=POWERTOOLS,
            treatment=OURS,
            claims=(at_most(1.0, "µs"), times_less(3)),
        ),
        Row(what="get_secret hit, against aws_secretsmanager_caching", control=CACHING, treatment=OURS),
        Row(
            what="JSON of 200 bytes, a new object each, against Powertools",
            control=POWERTOOLS_JSON,
            treatment=OURS_JSON,
            claims=(at_most(4.0, "µs"),),
        ),
        Row(what="one field of it, against Powertools' whole JSON", control=POWERTOOLS_JSON, treatment=OURS_FIELD),
        Row(
            what="calls per process, against Powertools",
            control=f"{POWERTOOLS}, calls",
            treatment=f"{OURS}, calls",
        ),
        Row(
            what="calls per process, against aws_secretsmanager_caching",
            control=f"{CACHING}, calls",
            treatment=f"{OURS}, calls",
        ),
    ),
    steps=steps,
    measure=measure,
    verify=verify,
)
