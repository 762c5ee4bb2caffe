"""What a secret costs that was fetched before."""

from __future__ import annotations

import functools
import json
import time
from typing import TYPE_CHECKING, Any

from ..framework import cached, micro
from ..framework.effect import Effect, Row, at_most_times, times_less
from ..servers.upstream import DATABASE, DATABASE_TEXT

if TYPE_CHECKING:
    from ..framework.effect import Check, Measured

NAME = "bench/secret"
TEXT = '{"user": "app", "port": 5432}'
PARSED = json.loads(DATABASE_TEXT)

OURS, OURS_JSON, OURS_FIELD = "lambdakit", "lambdakit json", "lambdakit field"
POWERTOOLS, POWERTOOLS_JSON, CACHING = "Powertools", "Powertools json", "aws_secretsmanager_caching"
LAMBDA_CACHE = "lambda-cache"
FLOOR = "a dict and both clocks"


def ours() -> dict[str, Any]:
    """The treatment."""
    import lambdakit

    return {"get": lambdakit.get_secret}


def forgetful() -> dict[str, Any]:
    """The treatment, broken: nothing is fresh for longer than it takes to ask."""
    import lambdakit

    return {"get": functools.partial(lambdakit.get_secret, ttl=0)}


def floor() -> dict[str, Any]:
    """What every cache with an age has to do: look up a name, and read the clocks."""
    return {"time": time, "known": {NAME: TEXT}, "name": NAME}


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


SIDES = (
    cached.side(OURS, ours, f"get({NAME!r})", broken=forgetful),
    micro.Side(name=FLOOR, prepare=floor, statement="time.time(); time.monotonic(); known[name]", answer="known[name]"),
    cached.side(POWERTOOLS, powertools, f"get({NAME!r}, max_age=300)"),
    cached.side(CACHING, caching, f"get({NAME!r})"),
    cached.side(LAMBDA_CACHE, lambda_cache, f"get({NAME!r}, max_age_in_seconds=300)"),
    cached.side(OURS_JSON, ours, f"get({DATABASE!r}, transform='json')", broken=forgetful),
    cached.side(POWERTOOLS_JSON, powertools, f"get({DATABASE!r}, transform='json', max_age=300)"),
    cached.side(OURS_FIELD, ours, f"get({DATABASE!r}, field='port')", broken=forgetful),
)
VALUES = {
    OURS: TEXT,
    FLOOR: TEXT,
    POWERTOOLS: TEXT,
    CACHING: TEXT,
    LAMBDA_CACHE: TEXT,
    OURS_JSON: PARSED,
    POWERTOOLS_JSON: PARSED,
    OURS_FIELD: PARSED["port"],
}
# The library of AWS asks for the versions of the secret as well.
CALLS = {name: {"GetSecretValue": 1} for name in VALUES} | {
    FLOOR: {},
    CACHING: {"DescribeSecret": 1, "GetSecretValue": 1},
}
_JSON = {"control": POWERTOOLS_JSON, "peer": POWERTOOLS}
ROWS = (
    Row(
        what="get_secret hit, against Powertools",
        control=POWERTOOLS,
        treatment=OURS,
        claims=(times_less(3),),
        peer=POWERTOOLS,
    ),
    Row(what=f"get_secret hit, against {FLOOR}", control=FLOOR, treatment=OURS, claims=(at_most_times(4),)),
    *(
        Row(what=f"get_secret hit, against {peer}", control=peer, treatment=OURS, peer=peer)
        for peer in (CACHING, LAMBDA_CACHE)
    ),
    Row(what="JSON of 200 bytes, a new object each, against Powertools", treatment=OURS_JSON, **_JSON),
    Row(
        what="one field of it, against Powertools' whole JSON", treatment=OURS_FIELD, claims=(times_less(1.5),), **_JSON
    ),
    *cached.call_rows(OURS, (POWERTOOLS, CACHING, LAMBDA_CACHE)),
)
COMPARISON = micro.Comparison(sides=SIDES, rows=ROWS, further=(CACHING, LAMBDA_CACHE), upstream=True)


def verify(measured: Measured) -> list[Check]:
    """Each process got the secret itself, with one call."""
    return cached.verify(measured, values=VALUES, calls=CALLS)


EFFECT = Effect(
    name="secret_cache",
    question="What does a secret cost that is in memory?",
    group="warm",
    claim="A secret in memory takes a third of Powertools' time, and four times that of a dictionary and two clocks.",
    rows=ROWS,
    steps=COMPARISON.steps,
    measure=COMPARISON.measure,
    verify=verify,
    breaks=tuple(map(cached.fetched_once, (OURS, OURS_JSON, OURS_FIELD))),
    peers={"ssm-cache": "does the same, not measured: it asks SSM for it; see parameter_cache"},
)
