"""An outage of Secrets Manager, met by invocations whose secret has just expired.

Each side has read the secret once; then every call of it fails, and invocations go on, each with a secret that is not
fresh any more. The sides are as they come: their time-outs, retries and back-offs are what an invocation waits for. All
processes run side by side, because nearly all of their time is such waiting.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..framework import processes
from ..framework.effect import Check, Claim, Effect, Measured, Row, Series, at_most, rows_against
from ..framework.processes import clean_environ
from ..servers.outage import CONNECTION_LOST, ERRORS, OutageServer
from ..servers.server import control
from ..servers.upstream import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..framework.run import Run

NAME = "bench/secret"
TEXT = '{"user": "app", "port": 5432}'
OURS, BOTO3, POWERTOOLS, CACHING = "lambdakit", "boto3", "Powertools", "aws_secretsmanager_caching"
LAMBDA_CACHE = "lambda-cache"
PEERS = (BOTO3, POWERTOOLS, CACHING, LAMBDA_CACHE)
WAYS = (OURS, *PEERS)
FURTHER = (CACHING, LAMBDA_CACHE)  # left out where only the peers are measured that most have
OUTAGES = (*ERRORS, CONNECTION_LOST)
INVOCATIONS = 10  # of a process
_APART_S = 0.1  # from the end of one invocation to the next: older than any of the sides takes for fresh
_AGE_S = 0.05  # what they take for fresh


def cell(way: str, outage: str) -> str:
    """The name of a way in an outage."""
    return f"{way}, the service {outage}"


def _rows(what: str, figure: str, **claims: tuple[Claim, ...]) -> tuple[Row, ...]:
    return tuple(
        row
        for outage in OUTAGES
        for row in rows_against(
            {peer: peer for peer in PEERS},
            f"{what} while the service {outage}",
            treatment=OURS,
            figure=f"the service {outage}, {figure}",
            claims=claims,
        )
    )


ROWS = (
    *_rows("invocations of 100 that fail", "failed", boto3=(at_most(0, "requests"),)),
    *_rows("time per invocation", "time"),
)


def steps(run: Run) -> int:
    """A process of each way and outage in each round."""
    return run.size.processes * len(run.ways(WAYS, further=FURTHER)) * len(OUTAGES)


def measure(run: Run) -> Measured:
    """Rounds of processes of each way in each outage, all of a round at once."""
    cells = [(way, outage) for outage in OUTAGES for way in run.ways(WAYS, further=FURTHER)]
    trials: dict[str, list[dict[str, Any]]] = {cell(*one): [] for one in cells}
    with OutageServer(run.upstream.url) as server, ThreadPoolExecutor(len(cells)) as pool:

        def trial(number: int, way: str, outage: str) -> dict[str, Any]:
            caller = f"BENCH{number}"
            variables = ACCOUNT | {"AWS_ACCESS_KEY_ID": caller, "AWS_ENDPOINT_URL": server.url}
            # Without a policy an error is raised, as it is by those that have none.
            policy = run.switch({}, off={"LAMBDAKIT_STALE_TTL": "0"})
            environ = clean_environ(**variables, **policy)
            done: dict[str, Any] = processes.call(
                invoked, environ=environ, way=way, url=server.url, caller=caller, outage=outage
            )
            return done | {"caller": caller}

        for round_ in range(run.size.processes):
            futures = [pool.submit(trial, round_ * len(cells) + at, *one) for at, one in enumerate(cells)]
            for one, future in zip(cells, futures, strict=True):
                trials[cell(*one)].append(future.result())
                run.tick()
        calls = server.calls()
    for given in trials.values():
        for done in given:
            done["calls"] = calls.get(done["caller"], 0) - done["before"]
    return Measured(series=_series(trials), evidence=trials)


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    failed = {
        f"{name}, failed": Series(
            unit="requests",
            processes=[[100.0 * sum(v != TEXT for v in done["values"]) / INVOCATIONS] for done in given],
        )
        for name, given in trials.items()
    }
    times = {  # the mean: of ten invocations one may wait for all
        f"{name}, time": Series(unit="ms", processes=[[sum(done["ms"]) / len(done["ms"])] for done in given])
        for name, given in trials.items()
    }
    return failed | times


def invoked(way: str, url: str, caller: str, outage: str) -> dict[str, Any]:
    """In a process of its own: a value, then an outage, then invocations."""
    get = GETTERS[way]()
    healthy = get()
    before = control(url, "begin", {"caller": caller, "outage": outage})
    values, times_ms = [], []
    for _ in range(INVOCATIONS):
        time.sleep(_APART_S)
        began_s = time.perf_counter()
        try:
            values.append(get())
        except Exception as error:  # noqa: BLE001 - what an invocation gets
            values.append(f"{type(error).__name__}: {error}"[:200])
        times_ms.append((time.perf_counter() - began_s) * 1e3)
    return {"healthy": healthy, "before": before, "values": values, "ms": times_ms}


def lambdakit() -> Callable[[], Any]:
    """The treatment."""
    import lambdakit

    @lambdakit.handler
    def handler(event: Any, context: Any) -> Any:  # noqa: ARG001 - the shape of a handler
        return lambdakit.get_secret(NAME, ttl=_AGE_S)

    return lambda: handler({"order": 1}, None)


def boto3() -> Callable[[], Any]:
    """A client that is kept, and no cache."""
    import boto3

    client = boto3.client("secretsmanager")
    return lambda: client.get_secret_value(SecretId=NAME)["SecretString"]


def powertools() -> Callable[[], Any]:
    """It has no policy for errors."""
    from aws_lambda_powertools.utilities import parameters

    return lambda: parameters.get_secret(NAME, max_age=_AGE_S)  # type: ignore[arg-type] # seconds of any kind


def caching() -> Callable[[], Any]:
    """It takes whole seconds only, so 0 is what is too old at once."""
    import botocore.session
    from aws_secretsmanager_caching import SecretCache, SecretCacheConfig

    client = botocore.session.get_session().create_client("secretsmanager")
    config = SecretCacheConfig(secret_refresh_interval=0)
    cache = SecretCache(config=config, client=client)
    return lambda: cache.get_secret_string(NAME)


def lambda_cache() -> Callable[[], Any]:
    """It counts whole seconds, so 0 is what is too old at once."""
    from lambda_cache import secrets_manager

    return lambda: secrets_manager.get_entry(NAME, max_age_in_seconds=0)


GETTERS = {OURS: lambdakit, BOTO3: boto3, POWERTOOLS: powertools, CACHING: caching, LAMBDA_CACHE: lambda_cache}


def served(outage: str) -> str:
    """The check that ours had a value in an outage."""
    return f"{cell(OURS, outage)}: every invocation had the value"


def verify(measured: Measured) -> list[Check]:
    """All had the right value before, ours in the outage too; there was one, and every side called the service."""
    checks = []
    for name, trials in measured.evidence.items():
        healthy = [done["healthy"] for done in trials]
        calls = [done["calls"] for done in trials]
        wrong = [value for done in trials for value in done["values"] if value != TEXT and ": " not in value]
        checks += [
            Check(what=f"{name}: the value was right before", passed={*healthy} == {TEXT}, found=healthy),
            Check(what=f"{name}: it called the service in the outage", passed=min(calls) > 0, found=calls),
            Check(what=f"{name}: no value was wrong", passed=not wrong, found=wrong),
        ]
    for outage in OUTAGES:
        ours = [value for done in measured.evidence[cell(OURS, outage)] for value in done["values"]]
        bare = [value for done in measured.evidence[cell(BOTO3, outage)] for value in done["values"]]
        checks += [
            Check(what=served(outage), passed={*ours} == {TEXT}, found=[*{*ours}]),
            Check(what=f"the service {outage}: boto3 fails", passed=TEXT not in bare, found=[*{*bare}]),
        ]
    return checks


EFFECT = Effect(
    name="stale_on_error",
    question="What do invocations get, and how long do they take, while the service that has their secret is down?",
    group="failure",
    claim="In an outage of the service every invocation has the value that there was before.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=tuple(map(served, OUTAGES)),
    long=True,
)
