"""What a decorator adds to each invocation, by what the environment owns.

The peer is the cheapest decorator of Powertools that reads the context. In a real environment a decorator has more to
look after than in an empty one: connections that may have been idle for too long, clients, values, metrics.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ..framework import invocation, micro
from ..framework.effect import Check, Claim, Effect, Measured, Row, at_most_times, each_is, pairs_equal
from ..framework.invocation import CALL, PING, STATUS
from ..servers.server import control

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..framework.run import Run

BARE, OURS, POWERTOOLS = "bare function", "@lambdakit.handler", "Powertools inject_lambda_context"
DECORATORS, WARMER = "lambda-decorators LambdaDecorator", "lambda-warmer-py warmer"
PINGED = f"{OURS}, a ping"
SECRET, CLIENT, HOSTS, METRICS = "a secret", "a client", "an HTTP pool with two hosts", "metrics"
# What environments own, by side.
OWNED = {
    OURS: (),
    f"{OURS}, {SECRET}": (SECRET,),
    f"{OURS}, {CLIENT}": (CLIENT,),
    f"{OURS}, {HOSTS}": (HOSTS,),
    f"{OURS}, {METRICS}": (METRICS,),
    f"{OURS}, all but metrics": (SECRET, CLIENT, HOSTS),
}
EVERYTHING = [*OWNED][-1]
FURTHER = (*[*OWNED][1:-1], DECORATORS, WARMER)  # only in a run with all peers
SECRET_NAME, TEXT = "bench/secret", '{"user": "app", "port": 5432}'
ORIGINS = "BENCH_ORIGINS"


def _row(what: str, treatment: str, *claims: Claim, control: str = POWERTOOLS, peer: str | None = "Powertools") -> Row:
    return Row(what=what, control=control, treatment=treatment, claims=claims, peer=peer)


ROWS = (
    _row(f"no-op, nothing owned, against {POWERTOOLS}", OURS, at_most_times(0.35)),
    _row(f"no-op, a secret, a client and two hosts owned, against {POWERTOOLS}", EVERYTHING, at_most_times(0.45)),
    _row(f"ping, against the no-op with {POWERTOOLS}", PINGED, at_most_times(1.2)),
    *(_row(f"no-op, {owned[0]} owned, against {POWERTOOLS}", side) for side, owned in OWNED.items() if len(owned) == 1),
    _row("no-op, nothing owned, against lambda-decorators", OURS, control=DECORATORS, peer="lambda-decorators"),
    _row("no-op, nothing owned, against lambda-warmer-py", OURS, control=WARMER, peer="lambda-warmer-py"),
    Row(what="no-op, nothing owned, against the bare function", control=BARE, treatment=OURS, as_difference=True),
)


def bare() -> dict[str, Any]:
    """The control."""
    return invocation.no_op()


def ours(owned: Sequence[str]) -> dict[str, Any]:
    """The treatment, in an environment that owns these."""
    import lambdakit

    return _owning(owned, lambdakit.handler(metrics="Bench" if METRICS in owned else None))


def undecorated(owned: Sequence[str]) -> dict[str, Any]:
    """The treatment, broken: nobody begins an invocation."""
    return _owning(owned, lambda handler: handler)


def _owning(owned: Sequence[str], decorate: Any) -> dict[str, Any]:
    import lambdakit

    names = bare()
    names |= {"handler": decorate(names["handler"]), "environment": lambdakit.environment()}
    parts = {SECRET: _secret, CLIENT: _client, HOSTS: _hosts}
    evidence = {part: make() for part, make in parts.items() if part in owned}
    if METRICS in owned:
        names = invocation.to_a_file(names)
        evidence[METRICS] = lambda: names["written"]()[0] - names["environment"].invocations
    return names | {"owned": lambda: {part: found() for part, found in evidence.items()}}


def _secret() -> Any:
    import lambdakit

    lambdakit.get_secret(SECRET_NAME)
    return lambda: lambdakit.get_secret(SECRET_NAME)  # the calls tell whether it was kept


def _client() -> Any:
    import lambdakit

    client = lambdakit.client("dynamodb")
    return lambda: lambdakit.client("dynamodb") is client


def _hosts() -> Any:
    """Two origins, each with a request now and one at the end; the number of their connections."""
    from lambdakit import http

    origins, path = json.loads(os.environ[ORIGINS]), f"/owned/{os.getpid()}"

    def get() -> None:
        for origin in origins:
            http.get(origin + path).data  # noqa: B018 - read, so that the connection is free

    def connections() -> int:
        get()
        found: int = control(origins[0], "counts")["connections"][path]
        return found

    get()
    return connections


# After the clock has stopped.
KEPT = {SECRET: TEXT, CLIENT: True, HOSTS: 2, METRICS: 0}


def pinged() -> dict[str, Any]:
    """A ping to the treatment."""
    import lambdakit

    names = bare()
    handler = lambdakit.handler(names["handler"])
    return names | {"event": PING, "handler": handler, "environment": lambdakit.environment()}


def unaware() -> dict[str, Any]:
    """A ping to the treatment, broken: no event is one."""
    import lambdakit

    names = bare()
    handler = lambdakit.handler(warmup=False)(names["handler"])
    return names | {"event": PING, "handler": handler, "environment": lambdakit.environment()}


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


SIDES = (
    micro.Side(name=BARE, prepare=bare, statement=CALL, answer=f"[{CALL}]"),
    *(
        micro.Side(
            name=side,
            prepare=ours,
            broken=undecorated,
            arguments={"owned": owned},
            statement=CALL,
            answer=f"[{CALL}, environment.invocations, owned()]",
        )
        for side, owned in OWNED.items()
    ),
    micro.Side(name=PINGED, prepare=pinged, broken=unaware, statement=CALL, answer=f"[{CALL}, environment.pings]"),
    micro.Side(
        name=POWERTOOLS,
        prepare=powertools,
        statement=CALL,
        answer=f"[{CALL}, logger.get_current_keys().get('function_request_id')]",
    ),
    micro.Side(name=DECORATORS, prepare=decorators, statement=CALL, answer=f"[{CALL}]"),
    micro.Side(name=WARMER, prepare=warmer, statement=CALL, answer=f"[{CALL}, info['is_warm']]"),
)


def environ(run: Run) -> Mapping[str, str]:
    """Two hosts to keep a connection to."""
    return {ORIGINS: json.dumps([run.origin.url("http", distance_ms) for distance_ms in run.size.round_trips_ms[:2]])}


COMPARISON = micro.Comparison(sides=SIDES, rows=ROWS, further=FURTHER, upstream=True, environ=environ)


def worked(side: str) -> str:
    """The check that the decorator did its work."""
    return f"{side}: lambdakit {'answered each ping' if side == PINGED else 'began an invocation per call'}"


def kept(side: str) -> str:
    """The check that the environment owned it to the end."""
    return f"{side}: kept until the clock had stopped"


def verify(measured: Measured) -> list[Check]:
    """Every call was answered by the handler, the decorators did their work, environments own what they should."""
    evidence = measured.evidence
    answers = {name: [trial["answer"] for trial in given] for name, given in evidence.items()}
    checks = [
        Check(what=f"{name} answers as the function does", passed=all(a[0] == {"statusCode": STATUS} for a in given))
        for name, given in answers.items()
        if name != PINGED
    ]
    for name in (*OWNED, PINGED):
        if name in evidence:
            counted = [(trial["answer"][1], trial["executions"] + 1) for trial in evidence[name]]
            checks.append(pairs_equal(worked(name), counted))
    for name, owned in OWNED.items():
        if name in evidence and owned:
            found = [(trial["answer"][2], trial["calls"]) for trial in evidence[name]]
            expected = ({part: KEPT[part] for part in owned}, {"GetSecretValue": 1} if SECRET in owned else {})
            checks.append(each_is(kept(name), found, expected))
    ids = [answer[1] for answer in answers[POWERTOOLS]]
    checks.append(Check(what="Powertools took the request id from the context", passed=all(ids), found=ids))
    if WARMER in answers:
        warm = [answer[1] for answer in answers[WARMER]]
        checks.append(Check(what="lambda-warmer-py took note of the invocation", passed=all(warm), found=warm))
    return checks


EFFECT = Effect(
    name="handler_overhead",
    question="What does the decorator add to each invocation of a handler that does nothing?",
    group="warm",
    claim=(
        "The decorator costs at most 0.35 of Powertools' cheapest one, 0.45 of it where a secret, a client and "
        "connections are kept, and a ping 1.2 of it."
    ),
    rows=ROWS,
    steps=COMPARISON.steps,
    measure=COMPARISON.measure,
    verify=verify,
    breaks=tuple(worked(side) for side in (OURS, EVERYTHING, PINGED)),
)
