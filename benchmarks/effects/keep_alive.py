"""What a kept connection is worth, by its distance, and whether it survives a freeze.

All sides live in one process and take turns there: a tenth is finer than what two processes differ by. lambdakit does
its part within an invocation, whose deadline bounds each of its steps; the others are without time-outs, as they come.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..framework import processes, sampling
from ..framework.effect import (
    Check,
    Claim,
    Effect,
    Measured,
    Row,
    Series,
    at_most,
    at_most_times,
    pairs_equal,
    times_less,
)
from ..framework.micro import in_unit
from ..framework.turns import TOGETHER, take_turns, without_samples
from ..servers.server import control

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..framework.run import Run

OURS = "lambdakit.http.get"
NEW, NEW_REQUESTS = "urllib3 without keep-alive", "requests.get"
URLLIB3, REQUESTS, HTTPX = "urllib3's pool", "requests.Session", "httpx.Client"
NEWS, KEPT = (NEW, NEW_REQUESTS), (OURS, URLLIB3, REQUESTS, HTTPX)
WAYS = (*NEWS, *KEPT)
SCHEMES = {"http": "plain", "https": "TLS"}
# Without distance: calls in a turn. With it: one, in fewer turns, which are mostly waiting.
LOOPS = dict.fromkeys(NEWS, 1) | dict.fromkeys(KEPT, 10)
PEERS = {
    NEW: "urllib3",
    URLLIB3: "urllib3",
    NEW_REQUESTS: "requests",
    REQUESTS: "requests",
    HTTPX: "httpx",
}
ROUNDS = 100  # of freezing
FREEZES = {"fin": "its connections are closed", "reset": "they are reset when used again"}
MAX_IDLE_S, FROZEN_S = 0.002, 0.005  # instead of 20 s and of minutes


def cell(scheme: str, round_trip_ms: int) -> str:
    """The name of a scheme at a distance."""
    return f"{SCHEMES[scheme]}, {round_trip_ms} ms away"


def _row(scheme: str, away_ms: int, way: str, *claims: Claim) -> Row:
    place = cell(scheme, away_ms)
    return Row(
        what=f"GET, {place}, against {way}",
        control=f"{way}, {place}",
        treatment=f"{OURS}, {place}",
        claims=claims,
        peer=PEERS[way],
    )


def _frozen(way: str, *claims: Claim) -> Row:
    what = f"POSTs lost after {ROUNDS} freezes, against {way}"
    return Row(what=what, control=f"{way}, lost", treatment=f"{OURS}, lost", claims=claims, peer=PEERS[way])


ROWS = (
    _row("http", 0, NEW),
    _row("http", 0, NEW_REQUESTS),
    _row("http", 0, URLLIB3, at_most_times(1.1)),
    _row("http", 0, REQUESTS, at_most_times(1)),
    _row("http", 0, HTTPX, at_most_times(1)),
    _row("https", 0, NEW),
    _row("https", 0, NEW_REQUESTS),
    _row("https", 0, URLLIB3),
    _row("https", 0, REQUESTS),
    _row("https", 0, HTTPX),
    *(
        _row(scheme, away_ms, way, *((times_less(2.5),) if (scheme, away_ms, way) == ("https", 5, NEW) else ()))
        for away_ms in (1, 5, 20)
        for scheme in SCHEMES
        for way in (NEW, URLLIB3)
    ),
    _frozen(URLLIB3, at_most(0, "requests")),
    _frozen(REQUESTS),
    _frozen(HTTPX),
)


def steps(run: Run) -> int:
    """One process that freezes, one that does not count, then one in each round."""
    return sampling.steps(run, (TOGETHER,)) + 1


def measure(run: Run) -> Measured:
    """The freezes; then processes in which all take turns, at each distance."""
    urls = {
        cell(scheme, away_ms): run.origin.url(scheme, away_ms)
        for away_ms in run.size.round_trips_ms
        for scheme in SCHEMES
    }
    idle = run.switch({"LAMBDAKIT_MAX_IDLE": str(MAX_IDLE_S)}, off={})
    frozen = processes.call(freezes, environ=run.origin.environ | idle, url=run.origin.url("http", 0), rounds=ROUNDS)
    run.tick()
    environ = run.origin.environ | run.switch({}, off={"LAMBDAKIT_MAX_IDLE": "0"})

    def trial(_: str, round_: int) -> dict[str, Any]:
        samples = run.size.samples if round_ != sampling.WARM_UP else 1
        places = {name: f"{url}/{round_}/{number}" for number, (name, url) in enumerate(urls.items())}
        found: dict[str, Any] = processes.call(timed, environ=environ, places=places, samples=samples)
        return {f"{way}, {name}": done for name, by_way in found.items() for way, done in by_way.items()}

    before = run.origin.counts()
    trials = sampling.rounds(run, (TOGETHER,), trial, series=_series, rows=ROWS)[TOGETHER]
    counts = run.origin.counts()
    evidence: dict[str, Any] = {}
    for round_, found in enumerate(trials):
        for number, name in enumerate(urls):
            for position, way in enumerate(WAYS):
                path = f"/{round_}/{number}/{position}"
                seen = {kind: counted.get(path, 0) - before[kind].get(path, 0) for kind, counted in counts.items()}
                done = without_samples(found[f"{way}, {name}"]) | seen | {"path": path}
                evidence.setdefault(f"{way}, {name}", []).append(done)
    lost = {
        f"{way}, lost": Series(unit="requests", processes=[[float(ROUNDS - result["answered"])]])
        for way, result in frozen.items()
    }
    return Measured(series=_series({TOGETHER: trials}) | lost, evidence=evidence | {"freezes": frozen})


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    return {
        name: Series(unit="µs", processes=[in_unit(found[name]["samples_s"], "µs") for found in trials[TOGETHER]])
        for name in trials[TOGETHER][0]
    }


def timed(places: Mapping[str, str], samples: int) -> dict[str, Any]:
    """In a process of its own: the ways in turn, at one place after the other."""
    from awslambdaric.lambda_context import LambdaContext

    import lambdakit

    # An hour is more than any process of ours takes.
    context = LambdaContext("7f1c0cbe-0000-4000-8000-000000000000", {}, {}, int((time.time() + 3600) * 1000), None)

    @lambdakit.handler
    def handler(event: Any, context: Any) -> dict[str, Any]:  # noqa: ARG001 - the shape of a handler
        clients = getters()
        return {
            name: take_turns(
                {way: _get(clients[way], f"{url}/{position}") for position, way in enumerate(WAYS)},
                samples=(samples + 1) // 2 if _away_ms(name) else samples,
                loops=dict.fromkeys(WAYS, 1) if _away_ms(name) else LOOPS,
            )
            for name, url in places.items()
        }

    found: dict[str, Any] = handler({"measure": True}, context)
    return found


def _get(get: Callable[[str], str], url: str) -> Callable[[], str]:
    return lambda: get(url)


def getters() -> dict[str, Callable[[str], str]]:
    """By way, a function that returns a URL's body."""
    import httpx
    import requests
    import urllib3

    from lambdakit import http

    pool, session, client = urllib3.PoolManager(), requests.Session(), httpx.Client()
    closing = urllib3.PoolManager(headers={"Connection": "close"})  # keeps its TLS context, which is kind to it
    return {
        NEW: lambda url: closing.request("GET", url).data.decode(),
        NEW_REQUESTS: lambda url: requests.get(url).text,  # noqa: S113 - as it is often written
        OURS: lambda url: http.get(url).data.decode(),
        URLLIB3: lambda url: pool.request("GET", url).data.decode(),
        REQUESTS: lambda url: session.get(url).text,
        HTTPX: lambda url: client.get(url).text,
    }


def freezes(url: str, rounds: int) -> dict[str, Any]:
    """In a process of its own: a request, a freeze in which the server gives up on its connections, a POST.

    The environment is not really stopped: what is shortened for that is the time after which lambdakit gives up on a
    connection by itself.
    """
    posts = posters()
    found: dict[str, Any] = {way: {"answered": 0, "before": 0, "errors": {}} for way in posts}
    for round_ in range(rounds):
        kind = [*FREEZES][round_ % len(FREEZES)]
        for position, (way, post) in enumerate(posts.items()):
            found[way]["before"] += post(f"{url}/before/{round_}/{position}") == f"/before/{round_}/{position}"
        control(url, f"freeze/{kind}")
        time.sleep(FROZEN_S)
        for position, (way, post) in enumerate(posts.items()):
            path = f"/after/{round_}/{position}"
            try:
                found[way]["answered"] += post(url + path) == path
            except Exception as error:  # noqa: BLE001 - is what is counted
                name = f"{kind}: {type(error).__name__}"
                found[way]["errors"][name] = found[way]["errors"].get(name, 0) + 1
    return found


def posters() -> dict[str, Callable[[str], str]]:
    """By way, a function that returns the answer to a POST, which no client may send twice."""
    import httpx
    import requests
    import urllib3

    import lambdakit

    pool, session, client = urllib3.PoolManager(), requests.Session(), httpx.Client()

    @lambdakit.handler
    def handler(event: Any, context: Any) -> str:  # noqa: ARG001 - the shape of a handler
        return lambdakit.http.post(event["url"], body=b"order").data.decode()

    return {
        OURS: lambda url: str(handler({"url": url}, None)),
        URLLIB3: lambda url: pool.request("POST", url, body=b"order").data.decode(),
        REQUESTS: lambda url: session.post(url, data=b"order").text,
        HTTPX: lambda url: client.post(url, content=b"order").text,
    }


def verify(measured: Measured) -> list[Check]:
    """Every answer is right, and the server saw the connections: one that is kept, or one for each request."""
    checks = []
    for name, trials in measured.evidence.items():
        if name == "freezes":
            continue
        right = all(done["answers"] == {done["path"]: done["calls"]} for done in trials)
        kept = not name.startswith(tuple(f"{way}," for way in NEWS))
        connections = [(done["connections"], 1 if kept else done["calls"]) for done in trials]
        checks += [
            Check(what=f"{name}: the answers are right", passed=right, found=[done["answers"] for done in trials]),
            Check(
                what=f"{name}: the server saw each request",
                passed=all(done["requests"] == done["calls"] for done in trials),
                found=[(done["requests"], done["calls"]) for done in trials],
            ),
            pairs_equal(f"{name}: {'one connection' if kept else 'a connection for each'}", connections),
        ]
    for name, series in measured.series.items():
        if ms := _away_ms(name):
            fastest_ms = min(min(samples) for samples in series.processes) / 1e3
            trips = 1 if not name.startswith(tuple(f"{way}," for way in NEWS)) else 3 if "TLS" in name else 2
            checks.append(
                Check(what=f"{name}: so far it was", passed=fastest_ms >= trips * ms, found=(fastest_ms, trips * ms))
            )
    frozen = measured.evidence["freezes"]
    before = {way: result["before"] for way, result in frozen.items()}
    answered = frozen[OURS]["answered"]
    controls = {way: result["answered"] for way, result in frozen.items() if way != OURS}
    return [
        *checks,
        Check(what="freezes: all were answered before", passed={*before.values()} == {ROUNDS}, found=before),
        Check(what=f"freezes: {OURS} was answered after each", passed=answered == ROUNDS, found=frozen[OURS]),
        Check(what="freezes: a peer lost requests", passed=max(controls.values()) < ROUNDS, found=controls),
    ]


def _away_ms(name: str) -> int:
    away = name.rpartition(", ")[2]
    return int(away.partition(" ")[0]) if away.endswith(" away") else 0


EFFECT = Effect(
    name="keep_alive",
    question="What does a request cost over a connection that was kept, and is it answered after a freeze?",
    group="warm",
    claim="A request over a kept connection takes two fifths of a new one's time at most, and survives a freeze.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(
        *(f"{OURS}, {cell(scheme, away_ms)}: one connection" for away_ms in (0, 5) for scheme in SCHEMES),
        f"freezes: {OURS} was answered after each",
    ),
    long=True,
)
