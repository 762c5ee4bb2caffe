"""What a parameter costs that was fetched before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import micro
from ..effect import Check, Effect, Measured, Row, at_most

if TYPE_CHECKING:
    from ..run import Run

NAME, VALUE = "/bench/parameter", "on"
OURS, POWERTOOLS, SSM_CACHE, LAMBDA_CACHE = "lambdakit", "Powertools", "ssm-cache", "lambda-cache"
PEERS = (POWERTOOLS, SSM_CACHE, LAMBDA_CACHE)
FURTHER = (LAMBDA_CACHE,)  # left out where only the peers are measured that a claim is about
ROWS = (
    *(
        Row(
            what=f"get_parameter hit, against {peer}",
            control=peer,
            treatment=OURS,
            claims=(at_most(1.0, "µs"),) if peer == POWERTOOLS else (),
            peer=peer,
        )
        for peer in PEERS
    ),
    *(
        Row(
            what=f"calls per process, against {peer}",
            control=f"{peer}, calls",
            treatment=f"{OURS}, calls",
            peer=peer,
        )
        for peer in PEERS
    ),
)
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


def _side(name: str, prepare: Any, call: str) -> micro.Side:
    broken = forgetful if prepare is ours else None
    return micro.Side(name=name, prepare=prepare, statement=call, answer=call, broken=broken)


SIDES = (
    _side(OURS, ours, f"get({NAME!r})"),
    _side(POWERTOOLS, powertools, f"get({NAME!r}, max_age=seconds)"),
    _side(SSM_CACHE, ssm_cache, "parameter.value"),
    _side(LAMBDA_CACHE, lambda_cache, f"get({NAME!r}, max_age_in_seconds=seconds)"),
)
CALLS = {SSM_CACHE: {"GetParameters": 1}}


def fetched_once(name: str) -> str:
    """The check of the calls."""
    return f"{name}: fetched once per process"


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
    """Each process got the parameter itself, and asked the server for it once."""
    checks = []
    for name, trials in measured.evidence.items():
        calls, wanted = [trial["calls"] for trial in trials], CALLS.get(name, {"GetParameter": 1})
        answers = [trial["answer"] for trial in trials]
        checks += [
            Check(what=f"{name}: the parameter is right", passed={*answers} == {VALUE}, found=answers),
            Check(what=fetched_once(name), passed=all(one == wanted for one in calls), found=calls),
        ]
    return checks


EFFECT = Effect(
    name="parameter_cache",
    question="What does a parameter cost that is in memory?",
    group="warm",
    claim="A parameter in memory is read within a microsecond.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(fetched_once(OURS),),
    long=True,  # a quick run has `secret_cache`, which is the same path
)
