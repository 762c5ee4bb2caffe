"""What an event loop per invocation costs, with the client and the connection that end with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..framework import processes, sampling
from ..framework.effect import Check, Claim, Effect, Measured, Row, Series, pairs_equal, times_less
from ..framework.micro import in_unit
from ..framework.turns import TOGETHER, take_turns, without_samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..framework.run import Run

RUN, KEPT = "asyncio.run", "kept loop"
NOTHING, NEW, OWN, OURS = "", ", a new AsyncClient", ", an AsyncClient of its own", ", httpx_async_client()"
SCHEMES = {"http": "plain", "https": "TLS"}
DONE = "done"
LOOPS = 5


def _row(shown: str, control: str, *claims: Claim) -> Row:
    return Row(
        what=f"a GET, {shown}, {KEPT}{OURS}, against {control}",
        control=f"{control}, {shown}",
        treatment=f"{KEPT}{OURS}, {shown}",
        claims=claims,
        peer="httpx",
    )


ROWS = (
    Row(what="a coroutine that does nothing", control=RUN, treatment=KEPT),
    *(_row(shown, f"{RUN}{NEW}", times_less(1.5)) for shown in SCHEMES.values()),
    *(_row(shown, f"{KEPT}{OWN}") for shown in SCHEMES.values()),
)


def steps(run: Run) -> int:
    """One process without counting, then one in each round."""
    return sampling.steps(run, (TOGETHER,))


def measure(run: Run) -> Measured:
    """Processes in which all take turns."""

    def trial(_: str, round_: int) -> dict[str, Any]:
        samples = run.size.samples if round_ != sampling.WARM_UP else 1
        urls = {scheme: f"{run.origin.url(scheme, 0)}/async/{round_}/{scheme}" for scheme in SCHEMES}
        environ = run.origin.environ | run.switch({}, off={"LAMBDAKIT_MAX_IDLE": "0"})
        found: dict[str, Any] = processes.call(timed, environ=environ, urls=urls, samples=samples)
        return found

    before = run.origin.counts()
    trials = sampling.rounds(run, (TOGETHER,), trial, series=_series, rows=ROWS)[TOGETHER]
    counts = run.origin.counts()
    evidence: dict[str, list[dict[str, Any]]] = {}
    for found in trials:
        for way, done in found.items():
            (path,) = done["answers"] if len(done["answers"]) == 1 else ("",)
            seen = {kind: counted.get(path, 0) - before[kind].get(path, 0) for kind, counted in counts.items()}
            evidence.setdefault(way, []).append(without_samples(done) | seen)
    return Measured(series=_series({TOGETHER: trials}), evidence=dict(evidence))


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    return {
        way: Series(unit="µs", processes=[in_unit(found[way]["samples_s"], "µs") for found in trials[TOGETHER]])
        for way in trials[TOGETHER][0]
    }


def timed(urls: dict[str, str], samples: int) -> dict[str, Any]:
    """In a process of its own: invocations of each handler in turn."""
    ways = handlers(urls)
    return take_turns(ways, samples=samples, loops=dict.fromkeys(ways, LOOPS))


def handlers(urls: dict[str, str]) -> dict[str, Callable[[], str]]:
    """By way, one invocation, which returns the body."""
    import asyncio

    import httpx

    import lambdakit

    async def nothing(event: Any, context: Any) -> str:  # noqa: ARG001 - the shape of a handler
        return DONE

    async def new(event: Any, context: Any) -> str:  # noqa: ARG001 - the shape of a handler
        async with httpx.AsyncClient() as client:
            return (await client.get(event["url"])).text

    client = httpx.AsyncClient()

    async def own(event: Any, context: Any) -> str:  # noqa: ARG001 - the shape of a handler
        return (await client.get(event["url"])).text

    async def ours(event: Any, context: Any) -> str:  # noqa: ARG001 - the shape of a handler
        return (await lambdakit.http.httpx_async_client().get(event["url"])).text

    # The control is decorated, too: the loop is all that it has of its own.
    in_new = {work: _running(asyncio.run, handler) for work, handler in ((NOTHING, nothing), (NEW, new))}
    ways = {
        f"{RUN}{NOTHING}": _invoking(lambdakit.handler(in_new[NOTHING]), ""),
        f"{KEPT}{NOTHING}": _invoking(lambdakit.handler(nothing), ""),
    }
    asking = {f"{RUN}{NEW}": in_new[NEW], f"{KEPT}{OWN}": own, f"{KEPT}{OURS}": ours}
    for scheme, shown in SCHEMES.items():
        for number, (way, handler) in enumerate(asking.items()):
            ways[f"{way}, {shown}"] = _invoking(lambdakit.handler(handler), f"{urls[scheme]}/{number}")
    return ways


def _running(run: Callable[[Any], str], handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], str]:
    return lambda event, context: run(handler(event, context))


def _invoking(handler: Callable[[Any, Any], Any], url: str) -> Callable[[], str]:
    return lambda: str(handler({"url": url}, None))


def verify(measured: Measured) -> list[Check]:
    """Every answer is right, and the server saw one connection of the kept loop, one for each of the others."""
    checks = []
    for way, trials in measured.evidence.items():
        answers = [done["answers"] for done in trials]
        if way in {RUN, KEPT}:
            right = all(done["answers"] == {DONE: done["calls"]} for done in trials)
            checks.append(Check(what=f"{way}: every invocation was answered", passed=right, found=answers))
            continue
        kept = way.startswith(KEPT)
        connections = [(done["connections"], 1 if kept else done["calls"]) for done in trials]
        checks += [
            Check(
                what=f"{way}: every invocation was answered",
                passed=all([*done["answers"].values()] == [done["calls"]] == [done["requests"]] for done in trials),
                found=answers,
            ),
            pairs_equal(f"{way}: {'one connection' if kept else 'a connection for each'}", connections),
        ]
    return checks


EFFECT = Effect(
    name="async_loop",
    question="What does an event loop per invocation cost, with the client and the connection that end with it?",
    group="warm",
    claim="A request on the kept event loop takes two thirds of one that makes its loop and its client, at most.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=tuple(f"{KEPT}{OURS}, {shown}: one connection" for shown in SCHEMES.values()),
    long=True,
    peers={
        "lambda-decorators": "does the same, not measured: by get_event_loop(), which makes none from Python 3.14 on",
    },
)
