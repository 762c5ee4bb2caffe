"""Requests after a freeze: the lab really stops environments, and the server closes their connections.

What is shortened is time: environments are frozen for a third of a second, and lambdakit is told to give up on what was
idle for half of that, where on Lambda it is minutes and 20 seconds (`LAMBDAKIT_MAX_IDLE`).
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..framework.deployed import Deployed
from ..framework.effect import Check, Effect, Measured, Series, at_most, rows_against
from ..servers.server import control

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lambdakit.lab import EnvironmentRecord

    from ..framework.run import Run

OURS, URLLIB3, REQUESTS, HTTPX = "lambdakit.http", "urllib3's pool", "requests.Session", "httpx.Client"
PEERS = {URLLIB3: "urllib3", REQUESTS: "requests", HTTPX: "httpx"}
WAYS = (OURS, *PEERS)
METHODS = ("GET", "POST")
KINDS = ("fin", "reset")  # its connections are closed meanwhile; or they are reset when they are used again
FROZEN_S, MAX_IDLE_S = 0.3, 0.15
_LIMIT_S = 10.0  # for an environment to be frozen


def side(way: str, method: str) -> str:
    """The name of a side."""
    return f"{way}, {method}"


SIDES = tuple(side(way, method) for method in METHODS for way in WAYS)
ROWS = (
    *(
        row
        for method in METHODS
        for row in rows_against(
            PEERS,
            f"{method}s lost of 100 after a freeze",
            treatment=OURS,
            figure=f"{method}, lost",
            claims=dict.fromkeys(PEERS, (at_most(0, "requests"),)),
        )
    ),
    *(
        row
        for method in METHODS
        for row in rows_against(
            PEERS, f"the first {method} after a freeze, answered", treatment=OURS, figure=f"{method}, time"
        )
    ),
)


def answered(method: str) -> str:
    """The check that none of ours was lost."""
    return f"{side(OURS, method)}: answered after each freeze"


class Functions:
    """One function for each side, in the lab, each with one environment."""

    def __init__(self, run: Run) -> None:
        self._lab = run.lab
        idle = run.switch({"LAMBDAKIT_MAX_IDLE": str(MAX_IDLE_S)}, off={})
        self._deployed = {
            name: Deployed(
                run.lab,
                f"frozen-{number}",
                "frozen.handler",
                environment={"BENCH_WAY": name.rpartition(", ")[0]} | idle,
            )
            for number, name in enumerate(SIDES)
        }

    def send(self, urls: dict[str, str]) -> dict[str, dict[str, Any]]:
        """An invocation of each at the same time, which sends a request to its URL."""

        def invoke(name: str, url: str) -> dict[str, Any]:
            answer = self._deployed[name].invoke({"method": name.rpartition(", ")[2], "url": url})["answer"]
            return {**answer, "url": url}

        with ThreadPoolExecutor(len(urls)) as pool:
            return dict(zip(urls, pool.map(invoke, urls, urls.values()), strict=True))

    def frozen(self) -> list[str]:
        """The state of each environment by /proc, once all are stopped; ``?`` where there is no /proc."""
        until_s = time.monotonic() + _LIMIT_S
        while True:
            states = [_state(one.pid) for one in self._environments()]
            if {*states} <= {"T", "t", "?"} or time.monotonic() > until_s:
                return states
            time.sleep(0.01)

    def _environments(self) -> list[EnvironmentRecord]:
        return [one for deployed in self._deployed.values() for one in self._lab.environments(deployed.name)]


def _state(pid: int | None) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123 - as it is read in a shell
            return stat.read().rpartition(") ")[2].partition(" ")[0]
    except OSError:
        return "?"


def steps(run: Run) -> int:
    """A freeze of each kind in each round."""
    return run.size.environments * len(KINDS)


def measure(run: Run) -> Measured:
    """Requests, a freeze in which the server gives up, requests."""
    functions, origin = Functions(run), run.origin.url("http", 0)
    rounds: list[dict[str, Any]] = []
    for round_ in range(run.size.environments):
        for kind in KINDS:
            paths = {name: f"{origin}/{round_}/{kind}/{at}" for at, name in enumerate(SIDES)}
            before = functions.send({name: f"{path}/before" for name, path in paths.items()})
            states = functions.frozen()
            control(origin, f"freeze/{kind}")
            time.sleep(FROZEN_S)
            after = functions.send({name: f"{path}/after" for name, path in paths.items()})
            rounds.append({"kind": kind, "before": before, "states": states, "after": after})
            run.tick()
    return Measured(series=_series(rounds), evidence={"rounds": rounds})


def _series(rounds: list[dict[str, Any]]) -> dict[str, Series]:
    """Of each round of all kinds how many were lost, and how long those took that were not."""
    series = {}
    pairs = [rounds[at : at + len(KINDS)] for at in range(0, len(rounds), len(KINDS))]
    for name in SIDES:
        lost = [[100.0 * sum(not is_right(one["after"][name]) for one in pair) / len(pair)] for pair in pairs]
        took = [[one["after"][name]["ms"]] for one in rounds if is_right(one["after"][name])]
        series[f"{name}, lost"] = Series(unit="requests", processes=[[_mean(lost)]])
        if took:
            series[f"{name}, time"] = Series(unit="ms", processes=took)
    return series


def _mean(values: Iterable[list[float]]) -> float:
    given = [one for each in values for one in each]
    return sum(given) / len(given)


def is_right(done: dict[str, Any]) -> bool:
    """The origin answers with the path."""
    return done["answer"] is not None and done["url"].endswith(done["answer"])


def verify(measured: Measured) -> list[Check]:
    """All were answered before, by environments that were stopped then; ours also after it; others were not."""
    rounds = measured.evidence["rounds"]
    before = [one["before"][name] for one in rounds for name in SIDES if not is_right(one["before"][name])]
    states = [one["states"] for one in rounds]
    stopped = all(len(each) == len(SIDES) and {*each} <= {"T", "t", "?"} for each in states)
    lost = {name: [one["after"][name]["error"] for one in rounds if not is_right(one["after"][name])] for name in SIDES}
    others = {name: errors for name, errors in lost.items() if not name.startswith(OURS)}
    return [
        Check(what="all were answered before", passed=not before, found=before),
        Check(what="each environment was stopped", passed=stopped, found=states),
        *(
            Check(what=answered(method), passed=not lost[side(OURS, method)], found=lost[side(OURS, method)])
            for method in METHODS
        ),
        Check(what="peers lost requests", passed=any(others.values()), found=others),
    ]


EFFECT = Effect(
    name="freeze",
    question="Which requests are answered after a freeze in which the server gave up on their connection?",
    group="failure",
    claim="No request is lost to a connection that died while the environment was frozen, GET or POST.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(answered("POST"),),
)
