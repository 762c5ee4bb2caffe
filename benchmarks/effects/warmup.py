"""The cost of a ping, and the requests after one.

The real runtime client starts in each environment. On Lambda each has a CPU of its own; here they share this machine's,
so environments that start at once are in each other's way, in a burst as in a ping that is passed on.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..framework import invocation, micro, sampling
from ..framework.deployed import Deployed
from ..framework.effect import Check, Effect, Measured, Row, Series, times_less
from ..framework.invocation import CALL, PING

if TYPE_CHECKING:
    from ..framework.run import Run

NOTHING, OURS, PEER = "bare function, a ping", "@lambdakit.handler, a ping", "lambda-warmer-py, a ping"
COLD, WARM, WARMER_PY = "cold", "kept warm", "kept warm by lambda-warmer-py"
KINDS = (COLD, WARM, WARMER_PY)
BURSTS = (1, 5, 10)
_IDLE_LIMIT_S = 10.0  # for the last environments of a ping


def burst(way: str, size: int) -> str:
    """The name of a burst."""
    return f"{way}, {size} at once"


WAYS = tuple(burst(way, size) for size in BURSTS for way in KINDS)
FURTHER = tuple(way for way in WAYS if way.startswith(WARMER_PY))  # only in a run with all peers
ROWS = (
    Row(
        what="a ping to a decorated handler, against the bare function",
        control=NOTHING,
        treatment=OURS,
        as_difference=True,
    ),
    Row(
        what="a ping to a decorated handler, against lambda-warmer-py",
        control=PEER,
        treatment=OURS,
        peer="lambda-warmer-py",
    ),
    *(
        Row(
            what=f"first requests, {size} at once, {figure}",
            control=f"{burst(COLD, size)}, {figure}",
            treatment=f"{burst(WARM, size)}, {figure}",
            claims=(times_less(3),),
        )
        for size in BURSTS
        for figure in (("median",) if size == 1 else ("median", "slowest"))
    ),
    *(
        Row(
            what=f"the ping that keeps {size} warm, against lambda-warmer-py",
            control=f"{burst(WARMER_PY, size)}, ping",
            treatment=f"{burst(WARM, size)}, ping",
            peer="lambda-warmer-py",
        )
        for size in BURSTS[1:]
    ),
)
UNREACHED = f"{OURS}: no ping reached the function"


def _counting(names: dict[str, Any]) -> dict[str, Any]:
    """A function that counts its calls."""
    reached = [0]
    function = names["handler"]

    def handler(event: Any, context: Any) -> Any:
        reached[0] += 1
        return function(event, context)

    return names | {"event": PING, "handler": handler, "reached": reached}


def nothing() -> dict[str, Any]:
    """The control: a function that does not know pings answers them as any event."""
    return _counting(invocation.no_op())


def ours() -> dict[str, Any]:
    """The treatment."""
    import lambdakit

    names = nothing()
    return names | {"handler": lambdakit.handler(names["handler"])}


def unaware() -> dict[str, Any]:
    """The treatment, broken: no event is a ping."""
    import lambdakit

    names = nothing()
    return names | {"handler": lambdakit.handler(warmup=False)(names["handler"])}


def warmer() -> dict[str, Any]:
    """A peer; it logs each event, and what it logs is below the level that the runtime shows."""
    from lambdawarmer import warmer

    names = nothing()
    return names | {"handler": warmer(names["handler"])}


SIDES = (
    micro.Side(name=NOTHING, prepare=nothing, statement=CALL, answer=f"[{CALL}, reached]"),
    micro.Side(name=OURS, prepare=ours, statement=CALL, answer=f"[{CALL}, reached]", broken=unaware),
    micro.Side(name=PEER, prepare=warmer, statement=CALL, answer=f"[{CALL}, reached]"),
)
PINGS = micro.Comparison(sides=SIDES, rows=ROWS)


class Function:
    """The function, in the lab, decorated for a way."""

    def __init__(self, run: Run, way: str) -> None:
        self._way, self._lab = way, run.lab
        # Nothing is passed on in a broken run: one environment is kept warm, whatever the ping asks for.
        most = run.switch(max(BURSTS), off=0)
        self._deployed = Deployed(
            run.lab,
            f"warmed-{'-'.join(way.split())}",
            "warmed.handler",
            environment={
                "AWS_ENDPOINT_URL_LAMBDA": run.lab.url,
                "BENCH_WARMER": "lambda-warmer-py" if way == WARMER_PY else "lambdakit",
                "BENCH_MAX_CONCURRENCY": str(most),
            },
        )

    def trial(self, size: int) -> dict[str, Any]:
        """A ping unless it is to be cold, then the burst on environments that nobody has used."""
        self._deployed.retire()
        ping_ms = 0.0
        if self._way != COLD:
            ping_ms = self._deployed.invoke(PING | {"concurrency": size})["ms"]
            self._await_idle()
        kept = len(self._lab.environments(self._deployed.name))
        found = self._at_once([{"number": number} for number in range(size)])
        self._deployed.retire()
        return {
            "ping_ms": ping_ms,
            "kept": kept,
            "ms": [one["ms"] for one in found],
            "answers": [one["answer"] for one in found],
            "inits": sum(one["init_ms"] is not None for one in found),
        }

    def _await_idle(self) -> None:
        """Wait until every environment of the ping is idle: the next request would find it busy."""
        until_s = time.monotonic() + _IDLE_LIMIT_S
        while time.monotonic() < until_s and any(
            one.state != "idle" for one in self._lab.environments(self._deployed.name)
        ):
            time.sleep(0.01)

    def _at_once(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        barrier = threading.Barrier(len(events))

        def invoke(event: dict[str, Any]) -> dict[str, Any]:
            barrier.wait(60.0)
            return self._deployed.invoke(event)

        with ThreadPoolExecutor(len(events)) as pool:
            return [*pool.map(invoke, events)]


def steps(run: Run) -> int:
    """The processes of the pings, then the bursts."""
    ways = sampling.steps(run, run.ways(WAYS, further=FURTHER), least=run.size.environments)
    return PINGS.steps(run) + ways


def measure(run: Run) -> Measured:
    """Pings inside the function; then bursts on it, of each size and way in turn."""
    pings = PINGS.measure(run)
    ways = run.ways(WAYS, further=FURTHER)
    functions = {way: Function(run, way) for way in KINDS if burst(way, 1) in ways}

    def trial(name: str, _: int) -> dict[str, Any]:
        way, _, size = name.rpartition(", ")
        return functions[way].trial(int(size.partition(" ")[0]))

    bursts = sampling.rounds(run, ways, trial, series=_series, rows=ROWS, least=run.size.environments)
    return Measured(
        series=pings.series | _series(bursts),
        evidence={"pings": pings.evidence, "bursts": bursts},
        pyperf=pings.pyperf,
    )


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    return {
        f"{name}, {figure}": Series(unit="ms", processes=processes)
        for name, given in trials.items()
        for figure, processes in (
            ("median", [done["ms"] for done in given]),
            ("slowest", [[max(done["ms"])] for done in given]),
            ("ping", [[done["ping_ms"]] for done in given]),
        )
    }


def kept(name: str) -> str:
    """The check that a ping has kept as many environments as it names."""
    return f"{name}: the environments were there"


def met(name: str) -> str:
    """The check that a burst met warm environments, or cold ones."""
    return f"{name}: each request {'waited for an INIT' if name.startswith(COLD) else 'found one that was warm'}"


def verify(measured: Measured) -> list[Check]:
    """No ping reached the function; every request was answered, by an environment that was there, or that was not."""
    pings, bursts = measured.evidence["pings"], measured.evidence["bursts"]
    reached = {name: [trial["answer"][1][0] for trial in trials] for name, trials in pings.items()}
    executed = [trial["executions"] + 1 for trial in pings[NOTHING]]
    checks = [
        Check(what=UNREACHED, passed=not any(reached[OURS]), found=reached[OURS]),
        Check(what=f"{PEER}: no ping reached the function", passed=not any(reached[PEER]), found=reached[PEER]),
        Check(what=f"{NOTHING}: each reached it", passed=reached[NOTHING] == executed, found=reached[NOTHING]),
    ]
    for name, trials in bursts.items():
        size = int(name.rpartition(", ")[2].partition(" ")[0])
        right = [sorted(one["answered"] for one in done["answers"]) == [*range(size)] for done in trials]
        environments = [done["kept"] for done in trials]
        inits = [done["inits"] for done in trials]
        cold = name.startswith(COLD)
        checks += [
            Check(what=f"{name}: every request was answered", passed=all(right), found=right),
            Check(what=kept(name), passed={*environments} == {0 if cold else size}, found=environments),
            Check(what=met(name), passed={*inits} == {size if cold else 0}, found=inits),
        ]
    return checks


EFFECT = Effect(
    name="warmup",
    question="What does a ping cost, and how much sooner are the requests after it answered, alone and all at once?",
    group="cold",
    claim="A burst of requests after a ping takes a third of the time of a cold one at most.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(UNREACHED, *(check(burst(WARM, size)) for size in BURSTS[1:] for check in (kept, met))),
    long=True,
)
