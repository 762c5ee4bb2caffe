"""What a whole function costs, cold and warm: both versions of the example, in the lab."""

from __future__ import annotations

import http.client
from functools import partial
from typing import TYPE_CHECKING, Any

from ..framework import memory, micro, orders, pagecache, sampling, waterfall
from ..framework.effect import Check, Effect, Measured, Row, Series, each_is, pairs_equal, times_less
from ..framework.orders import EACH_CALL, EXAMPLE, FAST, NAIVE, VERSIONS, Function, evidence
from ..framework.processes import clean_environ
from ..servers.upstream import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..framework.run import Run

    Trial = Callable[[str, int], dict[str, Any]]

COLD = ", cold page cache"
SHOWN = {version: (str(EXAMPLE), version, "module.handler(event, None)") for version in VERSIONS}

WARM_CALLS = {NAIVE: EACH_CALL, FAST: {"PutItem": 1}}  # per invocation
KEPT = f"{FAST}: the warm invocations' calls"


def _row(what: str, series: str, *claims: Any) -> Row:
    return Row(what=what, control=f"{NAIVE}, {series}", treatment=f"{FAST}, {series}", claims=claims, peer="boto3")


ROWS = (
    _row("INIT", "INIT"),
    _row("first invocation", "first"),
    _row("cold start: INIT and first invocation", "cold"),
    _row("warm p50", "warm", times_less(3)),
    _row("warm p95", "warm p95"),
    _row("warm p99", "warm p99"),
    Row(what="floor: moto's own time for the one write", control=f"{NAIVE}, warm", treatment="floor"),
    _row("memory used", "RSS"),
    _row("API calls per warm invocation", "calls"),
)
COLD_ROWS = (_row("cold start, cold page cache", f"cold{COLD}"),)


def floor() -> dict[str, Any]:
    """The function's one write, signed and serialised by botocore once, sent again and again over one connection."""
    import socket

    import botocore.session

    client = botocore.session.get_session().create_client("dynamodb")
    sent: list[Any] = []
    client.meta.events.register("before-send.dynamodb.PutItem", lambda request, **_: sent.append(request))
    client.put_item(TableName="orders", Item={"order_id": {"S": "floor"}})
    request = sent[0]
    connection = http.client.HTTPConnection(request.url.split("/")[2], timeout=10.0)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def put() -> int:
        connection.request("POST", "/", body=request.body, headers=request.headers)
        response = connection.getresponse()
        response.read()
        return response.status

    return {"put": put}


FLOOR = micro.Side(name="floor", prepare=floor, statement="put()", answer="put()", unit="ms", loops=1)
FLOOR_EVIDENCE = ("answer", "calls", "executions", "loops", "bytecode")


def steps(run: Run) -> int:
    """Each version, and the floor, once without counting and then in each round; the memory sizes; the phases."""
    environments = sampling.steps(run, (*VERSIONS, FLOOR.name), least=run.size.environments)
    cold = sampling.steps(run, VERSIONS, least=run.size.environments) if run.size.page_cache else 0
    return environments + cold + memory.steps(run, VERSIONS) + waterfall.steps(run, SHOWN)


def measure(run: Run) -> Measured:
    """Environments of both versions in turn, the order reversed in every other round, and the floor with them."""
    functions = {version: Function(run, version) for version in VERSIONS}

    def trial(way: str, round_: int) -> dict[str, Any]:
        if way == FLOOR.name:
            return micro.trial(run, FLOOR, upstream=True)
        return functions[way].trial(run.size.warm if round_ != sampling.WARM_UP else 1)

    def cold(evicted: Callable[[Trial], Trial]) -> dict[str, list[dict[str, Any]]]:
        first = evicted(lambda way, _: functions[way].trial(0))
        return sampling.rounds(run, VERSIONS, first, series=_cold_series, rows=COLD_ROWS, least=run.size.environments)

    trials = sampling.rounds(
        run, (*VERSIONS, FLOOR.name), trial, series=_series, rows=ROWS, least=run.size.environments
    )
    sizes = memory.measure(run, {version: partial(Function, run, version) for version in VERSIONS})
    secure = {"AWS_ENDPOINT_URL": run.upstream.secure_url, "AWS_CA_BUNDLE": str(run.upstream.issuer)}
    phases = waterfall.measure(
        run,
        SHOWN,
        environ=lambda _: clean_environ(**ACCOUNT, **secure, **orders.example().VARIABLES),
        event=orders.event(),
    )
    measured = Measured(
        series=_series(trials) | memory.series(sizes),
        rows=memory.rows(sizes),
        evidence={version: evidence(trials[version]) for version in VERSIONS}
        | {FLOOR.name: [{name: done[name] for name in FLOOR_EVIDENCE} for done in trials[FLOOR.name]]}
        | {"phases": phases, "memory": {name: evidence(given) for name, given in sizes.items()}},
        figures={
            "waterfall": waterfall.figure(phases),
            "distribution": {version: orders.distribution(trials[version]) for version in VERSIONS},
            "memory": memory.figure(sizes),
        },
    )
    if not run.size.page_cache:
        return measured
    return pagecache.add_cold(measured, cold, series=_cold_series, rows=COLD_ROWS)


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    floors = [micro.in_unit(done["samples_s"], "ms") for done in trials[FLOOR.name]]
    series = {FLOOR.name: Series(unit="ms", processes=floors)}
    for version in VERSIONS:
        series |= orders.series(version, trials[version])
    return series


def _cold_series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    return {
        f"{version}, cold{COLD}": Series(unit="ms", processes=[[orders.cold_ms(trial)] for trial in given])
        for version, given in trials.items()
    }


def verify(measured: Measured) -> list[Check]:
    """Both gave one and the same answer, each environment began cold once, and the server saw every call."""
    checks = []
    answers = [trial["answers"] for version in VERSIONS for trial in measured.evidence[version]]
    created = [a[0] for given in answers for a in given if not a[1] and isinstance(a[0], dict)]
    checks += [
        Check(
            what="both versions give one answer",
            passed=all(a == answers[0] and len(a) == 1 for a in answers),
            found=answers[0],
        ),
        Check(
            what="the answer is an order that was created",
            passed=len(created) == len(answers) and all(a.get("statusCode") == http.client.CREATED for a in created),
            found=answers[0],
        ),
    ]
    for version in VERSIONS:
        trials = measured.evidence[version]
        warm = [(trial["warm_calls"], orders.times(WARM_CALLS[version], trial["invocations"] - 1)) for trial in trials]
        first = [trial["first_calls"] for trial in trials]
        cold = [(trial["first_init_ms"], trial["inits"]) for trial in trials]
        checks += [
            each_is(f"{version}: the first invocation's calls", first, EACH_CALL),
            pairs_equal(f"{version}: the warm invocations' calls", warm),
            Check(what=f"{version}: one INIT per environment", passed=all(i and not n for i, n in cold), found=cold),
            Check(what=f"{version}: a Duration in each REPORT", passed=all(trial["reported"] for trial in trials)),
        ]
    floors = [(f["answer"], f["calls"], f["executions"] + 2) for f in measured.evidence["floor"]]
    passed = all(status == http.client.OK and calls == {"PutItem": wanted} for status, calls, wanted in floors)
    sizes = [trial["answers"] for given in measured.evidence["memory"].values() for trial in given]
    return [
        *checks,
        Check(what="floor: every put arrived", passed=passed, found=floors),
        each_is("the same answer at each memory size", sizes, answers[0]),
        *waterfall.verify(measured.evidence["phases"], is_right=lambda answer: answer == answers[0][0][0]),
        *pagecache.verify(measured),
    ]


EFFECT = Effect(
    name="cold_start",
    question="What does a whole function cost, cold and warm, as it is often written first and with lambdakit?",
    group="cold",
    claim="With lambdakit a warm invocation of the example takes a third of the time at most.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(KEPT,),
)
