"""What a secret costs that was fetched before."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from .. import micro
from ..effect import Check, Effect, Measured, Row, at_most, times_less
from ..upstream import DATABASE, DATABASE_TEXT

if TYPE_CHECKING:
    from ..run import Run

NAME = "bench/secret"
TEXT = '{"user": "app", "port": 5432}'
PARSED = json.loads(DATABASE_TEXT)

OURS, OURS_JSON, OURS_FIELD = "lambdakit", "lambdakit json", "lambdakit field"
POWERTOOLS, POWERTOOLS_JSON, CACHING = "Powertools", "Powertools json", "aws_secretsmanager_caching"
LAMBDA_CACHE = "lambda-cache"
FURTHER = (CACHING, LAMBDA_CACHE)  # left out where only the peers are measured that a claim is about
ROWS = (
    Row(
        what="get_secret hit, against Powertools",
        control=POWERTOOLS,
        treatment=OURS,
        claims=(at_most(1.0, "µs"), times_less(3)),
        peer=POWERTOOLS,
    ),
    *(
        Row(what=f"get_secret hit, against {peer}", control=peer, treatment=OURS, peer=peer)
        for peer in (CACHING, LAMBDA_CACHE)
    ),
    Row(
        what="JSON of 200 bytes, a new object each, against Powertools",
        control=POWERTOOLS_JSON,
        treatment=OURS_JSON,
        claims=(at_most(4.0, "µs"),),
        peer=POWERTOOLS,
    ),
    Row(
        what="one field of it, against Powertools' whole JSON",
        control=POWERTOOLS_JSON,
        treatment=OURS_FIELD,
        peer=POWERTOOLS,
    ),
    *(
        Row(
            what=f"calls per process, against {peer}",
            control=f"{peer}, calls",
            treatment=f"{OURS}, calls",
            peer=peer,
        )
        for peer in (POWERTOOLS, CACHING, LAMBDA_CACHE)
    ),
)


def ours() -> dict[str, Any]:
    """The treatment."""
    import lambdakit

    return {"get": lambdakit.get_secret}


def forgetful() -> dict[str, Any]:
    """The treatment, broken: nothing is fresh for longer than it takes to ask."""
    import lambdakit

    return {"get": functools.partial(lambdakit.get_secret, ttl=0)}


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


def lambda_cache() -> dict[str, Any]:
    """A peer of few lines; it parses no JSON, but its reader may."""
    from lambda_cache import secrets_manager

    return {"get": secrets_manager.get_entry}


def _side(name: str, prepare: Any, call: str) -> micro.Side:
    broken = forgetful if prepare is ours else None
    return micro.Side(name=name, prepare=prepare, statement=call, answer=call, broken=broken)


SIDES = (
    _side(OURS, ours, f"get({NAME!r})"),
    _side(POWERTOOLS, powertools, f"get({NAME!r}, max_age=300)"),
    _side(CACHING, caching, f"get({NAME!r})"),
    _side(LAMBDA_CACHE, lambda_cache, f"get({NAME!r}, max_age_in_seconds=300)"),
    _side(OURS_JSON, ours, f"get({DATABASE!r}, transform='json')"),
    _side(POWERTOOLS_JSON, powertools, f"get({DATABASE!r}, transform='json', max_age=300)"),
    _side(OURS_FIELD, ours, f"get({DATABASE!r}, field='port')"),
)
ANSWERS = {
    OURS: TEXT,
    POWERTOOLS: TEXT,
    CACHING: TEXT,
    LAMBDA_CACHE: TEXT,
    OURS_JSON: PARSED,
    POWERTOOLS_JSON: PARSED,
    OURS_FIELD: PARSED["port"],
}
# The library of AWS asks for the versions of the secret as well.
CALLS = {CACHING: {"DescribeSecret": 1, "GetSecretValue": 1}}


def sides(run: Run) -> list[micro.Side]:
    """Those that this run measures."""
    return micro.of_run(run, SIDES, further=FURTHER)


def steps(run: Run) -> int:
    """See `micro.steps`."""
    return micro.steps(run, sides(run))


def measure(run: Run) -> Measured:
    """See `micro.measure`; the calls at the server are a series, too."""
    return micro.with_calls(micro.measure(run, sides(run), ROWS, upstream=True))


def verify(measured: Measured) -> list[Check]:
    """Each process got the secret itself, and asked the server for it once."""
    checks = []
    for name, trials in measured.evidence.items():
        right = ANSWERS[name]
        calls, wanted = [trial["calls"] for trial in trials], CALLS.get(name, {"GetSecretValue": 1})
        checks += [
            Check(what=f"{name}: the secret is right", passed=all(trial["answer"] == right for trial in trials)),
            Check(what=f"{name}: fetched once per process", passed=all(c == wanted for c in calls), found=calls),
        ]
    return checks


EFFECT = Effect(
    name="secret_cache",
    question="What does a secret cost that is in memory?",
    group="warm",
    claim="A secret in memory is read within a microsecond, in a third of Powertools' time at most.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=tuple(f"{name}: fetched once per process" for name in (OURS, OURS_JSON, OURS_FIELD)),
    peers={
        "ssm-cache": "does the same, not measured: it asks SSM for it; see parameter_cache",
    },
)
