"""What a bearer token per invocation costs, from a server that is 5 ms away.

The sides live in one process and take turns there. The token server speaks plain HTTP: a real one speaks TLS, which
costs each new connection two more round trips.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..framework import processes, sampling
from ..framework.effect import Check, Effect, Measured, Series, at_most, pairs_equal, rows_against, times_less
from ..framework.micro import in_unit
from ..framework.processes import clean_environ
from ..framework.turns import TOGETHER, take_turns, without_samples
from ..servers.token import TokenServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..framework.run import Run

OURS, REQUESTS, SESSION, HTTPX = "oauth_token", "requests.post", "requests.Session", "httpx.Client"
WAYS = {OURS: "ours", REQUESTS: "requests", SESSION: "session", HTTPX: "httpx"}  # and what a client is called
PEERS = {REQUESTS: "requests", SESSION: "requests", HTTPX: "httpx"}
ROUND_TRIP_MS = 5
LOOPS = dict.fromkeys(WAYS, 1) | {OURS: 100}
ROWS = (
    *rows_against(PEERS, "a token in each invocation", treatment=OURS, claims={REQUESTS: (times_less(100),)}),
    *rows_against(
        PEERS,
        "calls for a token in 100 invocations",
        treatment=OURS,
        figure="issued",
        claims={REQUESTS: (at_most(1, "calls"),)},
    ),
)
KEPT = f"{OURS}: one token"


def steps(run: Run) -> int:
    """One process that does not count, then one in each round."""
    return sampling.steps(run, (TOGETHER,))


def measure(run: Run) -> Measured:
    """Processes in which all take turns, each a client of its own."""
    with TokenServer(ROUND_TRIP_MS) as server:

        def trial(_: str, round_: int) -> dict[str, Any]:
            forgets = run.switch(False, off=True)
            found: dict[str, Any] = processes.call(
                timed, environ=clean_environ(), url=server.url, round_=round_, samples=run.size.samples, forgets=forgets
            )
            issued = server.counts()
            return {way: done | {"issued": issued[client(way, round_)]} for way, done in found.items()}

        trials = sampling.rounds(run, (TOGETHER,), trial, series=_series, rows=ROWS)[TOGETHER]
    evidence = {way: [without_samples(found[way]) for found in trials] for way in WAYS}
    return Measured(series=_series({TOGETHER: trials}), evidence=evidence)


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    given = trials[TOGETHER]
    times = {
        way: Series(unit="µs", processes=[in_unit(found[way]["samples_s"], "µs") for found in given]) for way in WAYS
    }
    issued = {
        f"{way}, issued": Series(
            unit="calls", processes=[[100.0 * found[way]["issued"] / found[way]["calls"]] for found in given]
        )
        for way in WAYS
    }
    return times | issued


def client(way: str, round_: int) -> str:
    """The client id of a way in a round."""
    return f"{WAYS[way]}{round_}"


def timed(url: str, round_: int, samples: int, *, forgets: bool) -> dict[str, Any]:
    """In a process of its own: invocations of each handler in turn, which tell the client of their token."""
    ways = handlers(url, round_, forgets=forgets)
    return take_turns(ways, samples=samples, loops=LOOPS)


def handlers(url: str, round_: int, *, forgets: bool) -> dict[str, Callable[[], str]]:
    """By way: one invocation; all are decorated, so that the token is all in which they differ.

    Args:
        url: of the token server.
        round_: whose clients they are.
        forgets: have ours forget its token each time.
    """
    import httpx
    import requests

    import lambdakit

    ids = {way: client(way, round_) for way in WAYS}
    forms = {
        way: {"grant_type": "client_credentials", "client_id": one, "client_secret": "made up"}
        for way, one in ids.items()
    }
    token = lambdakit.oauth_token(
        f"{url}/token",
        client_id=ids[OURS],
        client_secret="made up",  # noqa: S106 - nobody's
        auth_method="client_secret_post",  # as the others send it here
    )
    session, kept = requests.Session(), httpx.Client()

    def ours() -> str:
        value = str(token)
        if forgets:
            token.forget()
        return value

    values: dict[str, Callable[[], str]] = {
        OURS: ours,
        REQUESTS: lambda: requests.post(f"{url}/token", data=forms[REQUESTS]).json()["access_token"],  # noqa: S113
        SESSION: lambda: session.post(f"{url}/token", data=forms[SESSION]).json()["access_token"],
        HTTPX: lambda: kept.post(f"{url}/token", data=forms[HTTPX]).json()["access_token"],
    }
    return {way: _invoking(value) for way, value in values.items()}


def _invoking(value: Callable[[], str]) -> Callable[[], str]:
    import lambdakit

    @lambdakit.handler
    def handler(event: Any, context: Any) -> str:  # noqa: ARG001 - the shape of a handler
        return value().partition(".")[0]

    return lambda: handler({"order": 1}, None)


def verify(measured: Measured) -> list[Check]:
    """Each invocation had a token of its client's; of ours there was one, of the others one for each invocation."""
    checks = []
    for way, trials in measured.evidence.items():
        answers = [done["answers"] for done in trials]
        right = [{client(way, round_): done["calls"]} for round_, done in enumerate(trials)]
        issued = [(done["issued"], 1 if way == OURS else done["calls"]) for done in trials]
        checks += [
            Check(what=f"{way}: each invocation had its token", passed=answers == right, found=answers),
            pairs_equal(KEPT if way == OURS else f"{way}: a token for each", issued),
        ]
    return checks


EFFECT = Effect(
    name="oauth",
    question="What does a bearer token in each invocation cost?",
    group="warm",
    claim="A token is read from memory in a hundredth of the time of a call for it, and issued once.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(KEPT,),
    peers={"urllib3": "does the same, not measured: requests, which stands on it, is"},
)
