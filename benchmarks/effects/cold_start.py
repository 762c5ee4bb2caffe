"""What a whole function costs, cold and warm: both versions of the example, in the lab."""

from __future__ import annotations

import base64
import http.client
import importlib.util
import json
import re
from typing import TYPE_CHECKING, Any

from .. import micro, stats
from ..effect import Check, Effect, Measured, Row, Series, times_less
from ..processes import ROOT
from ..upstream import ACCOUNT, REGION

if TYPE_CHECKING:
    from ..run import Run

EXAMPLE = ROOT / "examples" / "orders"
NAIVE, FAST = "naive", "fast"
VERSIONS = (NAIVE, FAST)
MEMORY_MB = 1769  # one core; both versions are CPU-bound, so the ratio does not depend on it, within one core
TIMEOUT_S = 30.0

EACH_CALL = {"GetSecretValue": 1, "GetParameter": 1, "PutItem": 1}
WARM_CALLS = {NAIVE: EACH_CALL, FAST: {"PutItem": 1}}  # per invocation

REPORT = {
    "init_ms": re.compile(r"\tInit Duration: ([\d.]+) ms"),
    "duration_ms": re.compile(r"\tDuration: ([\d.]+) ms"),
    "memory_mb": re.compile(r"\tMax Memory Used: (\d+) MB"),
}


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


def report(tail: str) -> dict[str, float | None]:
    """What the REPORT line of a log tail says; None for what is not in it."""
    line = next((line for line in reversed(tail.splitlines()) if line.startswith("REPORT ")), "")
    return {name: float(match[1]) if (match := pattern.search(line)) else None for name, pattern in REPORT.items()}


class Function:
    """One version of the example, deployed in the lab."""

    def __init__(self, run: Run, version: str) -> None:
        import boto3
        from botocore.config import Config

        self.name = version
        self._run = run
        self._event = (EXAMPLE / "event.json").read_bytes()
        run.lab.deploy(
            version,
            f"{version}.handler",
            task_root=EXAMPLE,
            environment=run.upstream.variables | {"AWS_EC2_METADATA_DISABLED": "true"} | _example().VARIABLES,
            memory_mb=MEMORY_MB,
            timeout_s=TIMEOUT_S,
        )
        self._caller = boto3.Session(
            aws_access_key_id=ACCOUNT["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ACCOUNT["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        ).client("lambda", endpoint_url=run.lab.url, config=Config(retries={"total_max_attempts": 1}, read_timeout=60))

    def invoke(self) -> dict[str, Any]:
        """One invocation: its answer, and its REPORT line in figures."""
        reply = self._caller.invoke(FunctionName=self.name, LogType="Tail", Payload=self._event)
        answer = json.loads(reply["Payload"].read())
        tail = base64.b64decode(reply["LogResult"]).decode()
        return {"answer": answer, "error": reply.get("FunctionError"), **report(tail)}

    def trial(self, warm: int) -> dict[str, Any]:
        """One environment: INIT, the first invocation, `warm` more; the calls that the server counted."""
        self._run.lab.retire(self.name)
        before = self._run.upstream.calls()
        first = self.invoke()
        between = self._run.upstream.calls()
        rest = [self.invoke() for _ in range(warm)]
        after = self._run.upstream.calls()
        self._run.lab.retire(self.name)  # the other version has the machine to itself
        self._run.tick()
        return {
            "first": first,
            "warm": rest,
            "first_calls": dict(between - before),
            "warm_calls": dict(after - between),
        }


def _example() -> Any:
    spec = importlib.util.spec_from_file_location("orders_prepare", EXAMPLE / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def steps(run: Run) -> int:
    """Each version, and the floor, once without counting and then in each round."""
    return (run.size.environments + 1) * (len(VERSIONS) + 1)


def measure(run: Run) -> Measured:
    """Environments of both versions in turn, the order reversed in every other round, and the floor between them."""
    functions = {version: Function(run, version) for version in VERSIONS}
    trials: dict[str, list[dict[str, Any]]] = {version: [] for version in VERSIONS}
    floors: list[dict[str, Any]] = []
    for version in VERSIONS:  # not counted: byte code is written, the file cache filled
        functions[version].trial(1)
    micro.trial(run, FLOOR, upstream=True)
    for round_ in range(run.size.environments):
        for version in VERSIONS if round_ % 2 == 0 else reversed(VERSIONS):
            trials[version].append(functions[version].trial(run.size.warm))
        floors.append(micro.trial(run, FLOOR, upstream=True))
    series = {"floor": Series(unit="ms", processes=[micro.in_unit(f.pop("samples_s"), "ms") for f in floors])}
    for version in VERSIONS:
        series |= _series(version, trials[version])
    return Measured(
        series=series, evidence={version: _evidence(trials[version]) for version in VERSIONS} | {"floor": floors}
    )


def _series(version: str, trials: list[dict[str, Any]]) -> dict[str, Series]:
    """One value per environment and figure; of the warm invocations all of them. What a REPORT lacks shows as 0."""

    def each(unit: str, values: list[float]) -> Series:
        return Series(unit=unit, processes=[[value] for value in values])

    warm = [[one["duration_ms"] or 0.0 for one in trial["warm"]] for trial in trials]
    init = [trial["first"]["init_ms"] or 0.0 for trial in trials]
    first = [trial["first"]["duration_ms"] or 0.0 for trial in trials]
    memory = [max(one["memory_mb"] or 0.0 for one in (trial["first"], *trial["warm"])) for trial in trials]
    return {
        f"{version}, INIT": each("ms", init),
        f"{version}, first": each("ms", first),
        f"{version}, cold": each("ms", [a + b for a, b in zip(init, first, strict=True)]),
        f"{version}, warm": Series(unit="ms", processes=warm),
        f"{version}, warm p95": each("ms", [stats.percentile(samples, 0.95) for samples in warm]),
        f"{version}, warm p99": each("ms", [stats.percentile(samples, 0.99) for samples in warm]),
        f"{version}, RSS": each("MB", memory),
        f"{version}, calls": each("calls", [sum(t["warm_calls"].values()) / max(1, len(t["warm"])) for t in trials]),
    }


def _evidence(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each environment what the verification looks at, equal answers only once."""
    return [
        {
            "invocations": 1 + len(trial["warm"]),
            "answers": [json.loads(text) for text in sorted({_text(one) for one in (trial["first"], *trial["warm"])})],
            "first_init_ms": trial["first"]["init_ms"],
            "inits": sum(one["init_ms"] is not None for one in trial["warm"]),
            "reported": all(one["duration_ms"] for one in (trial["first"], *trial["warm"])),
            "first_calls": trial["first_calls"],
            "warm_calls": trial["warm_calls"],
        }
        for trial in trials
    ]


def _text(one: dict[str, Any]) -> str:
    return json.dumps([one["answer"], one["error"]], sort_keys=True)


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
        warm = [(trial["warm_calls"], _times(WARM_CALLS[version], trial["invocations"] - 1)) for trial in trials]
        first = [trial["first_calls"] for trial in trials]
        cold = [(trial["first_init_ms"], trial["inits"]) for trial in trials]
        checks += [
            Check(
                what=f"{version}: the first invocation's calls", passed=all(c == EACH_CALL for c in first), found=first
            ),
            Check(what=f"{version}: the warm invocations' calls", passed=all(a == b for a, b in warm), found=warm),
            Check(what=f"{version}: one INIT per environment", passed=all(i and not n for i, n in cold), found=cold),
            Check(what=f"{version}: a Duration in each REPORT", passed=all(trial["reported"] for trial in trials)),
        ]
    floors = [(f["answer"], f["calls"], f["executions"] + 2) for f in measured.evidence["floor"]]
    passed = all(status == http.client.OK and calls == {"PutItem": wanted} for status, calls, wanted in floors)
    checks.append(Check(what="floor: every put arrived", passed=passed, found=floors))
    return checks


def _times(calls: dict[str, int], factor: int) -> dict[str, int]:
    return {name: count * factor for name, count in calls.items()}


def _row(what: str, series: str, *claims: Any) -> Row:
    return Row(what=what, control=f"{NAIVE}, {series}", treatment=f"{FAST}, {series}", claims=claims)


EFFECT = Effect(
    name="cold_start",
    question="What does a whole function cost, cold and warm, as it is often written first and with lambdakit?",
    rows=(
        _row("INIT", "INIT"),
        _row("first invocation", "first"),
        _row("cold start: INIT and first invocation", "cold"),
        _row("warm p50", "warm", times_less(3)),
        _row("warm p95", "warm p95"),
        _row("warm p99", "warm p99"),
        Row(what="floor: moto's own time for the one write", control=f"{NAIVE}, warm", treatment="floor"),
        _row("memory used", "RSS"),
        _row("API calls per warm invocation", "calls"),
    ),
    steps=steps,
    measure=measure,
    verify=verify,
)
