"""What a parameter costs that was fetched before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..framework import cached, micro
from ..framework.effect import Effect, rows_against, times_less

if TYPE_CHECKING:
    from ..framework.effect import Check, Measured

NAME, VALUE = "/bench/parameter", "on"
OURS, POWERTOOLS, SSM_CACHE, LAMBDA_CACHE = "lambdakit", "Powertools", "ssm-cache", "lambda-cache"
PEERS = (POWERTOOLS, SSM_CACHE, LAMBDA_CACHE)
_LONG_S = 300  # for how long all of them keep it


def ours() -> dict[str, Any]:
    """The treatment."""
    import lambdakit

    return {"get": lambdakit.get_parameter}


def forgetful() -> dict[str, Any]:
    """The treatment, broken: nothing is fresh for longer than it takes to ask."""
    import lambdakit

    return {"get": lambda name: lambdakit.get_parameter(name, ttl=0)}


def powertools() -> dict[str, Any]:
    """A peer; its default of 5 s would fetch again while it is measured."""
    from aws_lambda_powertools.utilities.parameters import get_parameter

    return {"get": get_parameter, "seconds": _LONG_S}


def ssm_cache() -> dict[str, Any]:
    """A peer whose parameters are objects: their value is a property."""
    from ssm_cache import SSMParameter

    return {"parameter": SSMParameter(NAME, max_age=_LONG_S)}


def lambda_cache() -> dict[str, Any]:
    """A peer that asks for a parameter by its name."""
    from lambda_cache import ssm

    return {"get": ssm.get_entry, "seconds": _LONG_S}


SIDES = (
    cached.side(OURS, ours, f"get({NAME!r})", broken=forgetful),
    cached.side(POWERTOOLS, powertools, f"get({NAME!r}, max_age=seconds)"),
    cached.side(SSM_CACHE, ssm_cache, "parameter.value"),
    cached.side(LAMBDA_CACHE, lambda_cache, f"get({NAME!r}, max_age_in_seconds=seconds)"),
)
VALUES = {side.name: VALUE for side in SIDES}
CALLS = {name: {"GetParameter": 1} for name in VALUES} | {SSM_CACHE: {"GetParameters": 1}}
ROWS = (
    *rows_against(
        {peer: peer for peer in PEERS}, "get_parameter hit", treatment=OURS, claims={POWERTOOLS: (times_less(5),)}
    ),
    *cached.call_rows(OURS, PEERS),
)
COMPARISON = micro.Comparison(sides=SIDES, rows=ROWS, further=(LAMBDA_CACHE,), upstream=True)


def verify(measured: Measured) -> list[Check]:
    """Each process got the parameter itself, with one call."""
    return cached.verify(measured, values=VALUES, calls=CALLS)


EFFECT = Effect(
    name="parameter_cache",
    question="What does a parameter cost that is in memory?",
    group="warm",
    claim="A parameter in memory is read in a fifth of Powertools' time at most.",
    rows=ROWS,
    steps=COMPARISON.steps,
    measure=COMPARISON.measure,
    verify=verify,
    breaks=(cached.fetched_once(OURS),),
    long=True,  # a quick run has `secret_cache`, which is the same path
)
