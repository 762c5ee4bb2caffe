"""What the first secret costs: a fresh process over TLS, and a function in the lab."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import pagecache, sampling, waterfall
from ..effect import Check, Claim, Effect, Measured, Row, Series, at_most_times, times_less
from ..orders import report
from ..processes import ROOT, ask, clean_environ
from ..upstream import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..run import Run

SCRIPT = ROOT / "benchmarks" / "cold_secret.py"
FUNCTIONS = ROOT / "benchmarks" / "functions"
OURS, FLOOR = "lambdakit", "bare"
ROOTS, FULL, BUNDLE = "lambdakit, roots first", "lambdakit, full store", "boto3, its own bundle"
PEERS = ("boto3", "Powertools", "aws_secretsmanager_caching")
WAYS = (OURS, *PEERS, FLOOR, ROOTS, FULL, BUNDLE)
DEPLOYED = {"empty": 1769, "ours": 1769, "boto": 1769, "ours, 128 MB": 128, "boto, 128 MB": 128}
SMALL = ("ours, 128 MB", "boto, 128 MB")
SECRET = {"user": "app", "port": 5432}
SHOWN = {
    way: (str(SCRIPT.parent), "cold_secret", f"module.WAYS[{way!r}]()") for way in ("boto3", "Powertools", "lambdakit")
}


FURTHER = ("aws_secretsmanager_caching",)  # left out where only the peers are measured that a claim is about
COLD = ", cold page cache"
WITHOUT = "ours did so without the SDK"


def _row(what: str, figure: str, control: str, treatment: str, *claims: Claim) -> Row:
    return Row(
        what=what,
        control=f"{control}, {figure}",
        treatment=f"{treatment}, {figure}",
        claims=claims,
        peer=_peer(control),
    )


def _peer(way: str) -> str | None:
    return "boto3" if way in {"boto", BUNDLE} else way if way in PEERS else None


ROWS = (
    *(_row(f"CPU, against {peer}", "CPU", peer, OURS, times_less(8)) for peer in PEERS),
    *(_row(f"wall, against {peer}", "wall", peer, OURS, times_less(5)) for peer in PEERS),
    _row("memory added, against boto3", "RSS", "boto3", OURS),
    _row("memory added, against the bare floor", "RSS", FLOOR, OURS, at_most_times(1.1)),
    _row("CPU, against the bare floor", "CPU", FLOOR, OURS, at_most_times(1.25)),
    _row("CPU, trust as in production", "CPU", BUNDLE, ROOTS, times_less(8)),
    _row("CPU, fallback to the full store", "CPU", BUNDLE, FULL),
)
LAB_ROWS = (
    _row("INIT and first invocation, less an empty function's", "in the lab", "boto", "ours", times_less(5)),
    _row("first invocation, all of it at 128 MB", "128 MB", "boto", "ours", times_less(6)),
)
COLD_ROWS = tuple(
    Row(
        what=f"wall, cold page cache, against {peer}",
        control=f"{peer}, wall{COLD}",
        treatment=f"{OURS}, wall{COLD}",
        peer=peer,
    )
    for peer in PEERS
)


def deployed(run: Run) -> tuple[str, ...]:
    """The functions; where there is little time without those that have little CPU."""
    return run.ways(DEPLOYED, further=SMALL)


def steps(run: Run) -> int:
    """Each way and each function, once without counting and then in each round, and again without the page cache."""
    ways = sampling.steps(run, run.ways(WAYS, further=FURTHER))
    cold = sampling.steps(run, run.ways((OURS, *PEERS), further=FURTHER)) if run.size.page_cache else 0
    functions = sampling.steps(run, deployed(run), least=run.size.environments)
    return ways + cold + functions + waterfall.steps(run, SHOWN)


def measure(run: Run) -> Measured:
    """Fresh processes of each way in turn, then environments of each function in turn."""

    def process(way: str, _: int) -> dict[str, Any]:
        done: dict[str, Any] = ask(["-P", str(SCRIPT), way], environ=clean_environ(**variables(run, way)))
        return done

    def cold(
        evicted: Callable[[Callable[[str, int], dict[str, Any]]], Callable[[str, int], dict[str, Any]]],
    ) -> dict[str, list[dict[str, Any]]]:
        ways = run.ways((OURS, *PEERS), further=FURTHER)
        return sampling.rounds(run, ways, evicted(process), series=_cold_series, rows=COLD_ROWS)

    before = run.upstream.calls()
    trials = sampling.rounds(run, run.ways(WAYS, further=FURTHER), process, series=_series, rows=ROWS)
    between = run.upstream.calls()
    functions = {name: Function(run, name) for name in deployed(run)}
    answers = sampling.rounds(
        run,
        deployed(run),
        lambda name, _: functions[name].trial(),
        series=_lab_series,
        rows=LAB_ROWS,
        least=run.size.environments,
    )
    calls = {"processes": dict(between - before), "functions": dict(run.upstream.calls() - between)}
    phases = waterfall.measure(run, SHOWN, environ=lambda name: clean_environ(**variables(run, name)))
    measured = Measured(
        series=_series(trials) | _lab_series(answers),
        evidence={"ways": trials, "functions": answers, "calls": calls, "phases": phases},
        figures={"waterfall": waterfall.figure(phases)},
    )
    if not run.size.page_cache:
        return measured
    return pagecache.beside(measured, cold, series=_cold_series, rows=COLD_ROWS)


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    return {
        f"{way}, {figure}": Series(unit=unit, processes=[[trial[key]] for trial in given])
        for way, given in trials.items()
        for figure, key, unit in (("CPU", "cpu_ms", "ms"), ("wall", "wall_ms", "ms"), ("RSS", "rss_mb", "MB"))
    }


def _lab_series(answers: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    series = {}
    empty = [one["init_ms"] + one["duration_ms"] for one in answers["empty"]]
    for name in ("ours", "boto"):
        cold = [one["init_ms"] + one["duration_ms"] for one in answers[name]]
        less = [[total - floor] for total, floor in zip(cold, empty, strict=True)]
        series[f"{name}, in the lab"] = Series(unit="ms", processes=less)
        if f"{name}, 128 MB" in answers:
            small = [[one["duration_ms"]] for one in answers[f"{name}, 128 MB"]]
            series[f"{name}, 128 MB"] = Series(unit="ms", processes=small)
    return series


def _cold_series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    return {
        f"{way}, wall{COLD}": Series(unit="ms", processes=[[trial["wall_ms"]] for trial in given])
        for way, given in trials.items()
    }


def variables(run: Run, way: str) -> dict[str, str]:
    """The endpoint, and whom this way is to trust."""
    variables = ACCOUNT | {"AWS_ENDPOINT_URL": run.upstream.secure_url}
    if way == OURS:
        variables |= _backend(run)
    issuer = str(run.upstream.issuer)
    if way == ROOTS:
        return variables | {"BENCH_ROOTS": issuer}
    if way == FULL:  # what OpenSSL takes for the machine's full store
        return variables | {"SSL_CERT_FILE": _bundle(run)}
    return variables | {"AWS_CA_BUNDLE": _bundle(run) if way == BUNDLE else issuer}


def _backend(run: Run) -> dict[str, str]:
    """Nothing; in a broken run the SDK does it."""
    return run.switch({}, off={"LAMBDAKIT_BACKEND": "sdk"})


def _bundle(run: Run) -> str:
    """botocore's own bundle of some 140 certificates, with the issuer of moto's at its end."""
    import certifi

    path = run.upstream.issuer.with_name("bundle.pem")
    if not path.exists():
        path.write_text(Path(certifi.where()).read_text() + run.upstream.issuer.read_text())
    return str(path)


class Function:
    """One of the functions, deployed in the lab."""

    def __init__(self, run: Run, name: str) -> None:
        import boto3
        from botocore.config import Config

        self._name = name.replace(", ", "-").replace(" ", "")
        self._lab = run.lab
        run.memory_used.add(DEPLOYED[name])
        run.lab.deploy(
            self._name,
            f"{name.partition(',')[0]}.handler",
            task_root=FUNCTIONS,
            environment=run.upstream.variables | {"AWS_EC2_METADATA_DISABLED": "true"} | _backend(run),
            memory_mb=DEPLOYED[name],
            timeout_s=60.0,
        )
        self._caller = boto3.Session(
            aws_access_key_id=ACCOUNT["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ACCOUNT["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        ).client("lambda", endpoint_url=run.lab.url, config=Config(retries={"total_max_attempts": 1}, read_timeout=70))

    def trial(self) -> dict[str, Any]:
        """The first invocation of a new environment: its answer, and its REPORT line in figures."""
        self._lab.retire(self._name)
        reply = self._caller.invoke(FunctionName=self._name, LogType="Tail")
        answer = json.loads(reply["Payload"].read())
        self._lab.retire(self._name)
        return {"answer": answer, **report(base64.b64decode(reply["LogResult"]).decode())}


def verify(measured: Measured) -> list[Check]:
    """Every process and function read the secret, ours without the SDK, and the server saw each call."""
    ways, functions = measured.evidence["ways"], measured.evidence["functions"]
    texts = [trial["value"] for given in ways.values() for trial in given]
    values = [json.loads(text) if isinstance(text, str) else text for text in texts]
    without = [trial["sdk"] for way in (OURS, ROOTS, FULL, FLOOR) for trial in ways[way]]
    answers = [one["answer"] for name in functions if name != "empty" for one in functions[name]]
    calls = measured.evidence["calls"]
    # Each once more than is counted; aws_secretsmanager_caching describes a secret before it reads it.
    processes = {"GetSecretValue": sum(len(given) + 1 for given in ways.values())}
    if PEERS[2] in ways:
        processes["DescribeSecret"] = len(ways[PEERS[2]]) + 1
    invocations = sum(len(given) + 1 for name, given in functions.items() if name != "empty")
    both = {"GetSecretValue": invocations, "GetParameter": invocations}
    expected = [json.dumps(SECRET), "on"]
    return [
        Check(what="every process read the secret", passed=all(v == SECRET for v in values), found=values[0]),
        Check(what=WITHOUT, passed=not any(without), found=without),
        Check(what="every function read both", passed=all(a == expected for a in answers), found=answers[0]),
        Check(what="the server saw the processes' calls", passed=calls["processes"] == processes, found=calls),
        Check(what="the server saw the functions' calls", passed=calls["functions"] == both, found=calls),
        *waterfall.verify(measured.evidence["phases"], is_right=lambda given: given in (SECRET, json.dumps(SECRET))),
        *pagecache.verify(measured),
    ]


EFFECT = Effect(
    name="secret_cold",
    question="What does the first secret cost, over TLS, in a process that has the runtime client?",
    group="cold",
    claim="The first secret takes a fifth of the SDK's time at most, an eighth of its CPU, and loads nothing of it.",
    rows=ROWS + LAB_ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(WITHOUT,),
    peers={
        "ssm-cache": "does the same, not measured: it asks SSM for it, by boto3",
        "lambda-cache": "does the same, not measured: by boto3, as lambda-decorators",
        "lambda-decorators": "does the same, not measured: by boto3, which is",
    },
)
