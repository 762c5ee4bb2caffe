"""What the first secret costs: a fresh process over TLS, and a function in the lab."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..effect import Check, Claim, Effect, Measured, Row, Series, times_less
from ..processes import ROOT, ask, clean_environ
from ..upstream import ACCOUNT, REGION
from .cold_start import report

if TYPE_CHECKING:
    from ..run import Run

SCRIPT = ROOT / "benchmarks" / "cold_secret.py"
FUNCTIONS = ROOT / "benchmarks" / "functions"
OURS, FLOOR = "lambdakit", "bare"
ROOTS, FULL, BUNDLE = "lambdakit, roots first", "lambdakit, full store", "boto3, its own bundle"
PEERS = ("boto3", "Powertools", "aws_secretsmanager_caching")
WAYS = (OURS, *PEERS, FLOOR, ROOTS, FULL, BUNDLE)
DEPLOYED = {"empty": 1769, "ours": 1769, "boto": 1769, "ours, 128 MB": 128, "boto, 128 MB": 128}
SECRET = {"user": "app", "port": 5432}


def steps(run: Run) -> int:
    """Each way and each function, once without counting and then in each round."""
    return (run.size.processes + 1) * len(WAYS) + (run.size.environments + 1) * len(DEPLOYED)


def measure(run: Run) -> Measured:
    """Fresh processes of each way in turn, then environments of each function in turn."""
    trials: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    before = run.upstream.calls()
    for round_ in range(-1, run.size.processes):
        for way in WAYS if round_ % 2 == 0 else reversed(WAYS):
            trial = ask(["-P", str(SCRIPT), way], environ=clean_environ(**_variables(run, way)))
            run.tick()
            if round_ >= 0:  # the first one wrote byte code and filled the file cache
                trials[way].append(trial)
    between = run.upstream.calls()
    functions = {name: Function(run, name) for name in DEPLOYED}
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in DEPLOYED}
    for round_ in range(-1, run.size.environments):
        for name in DEPLOYED if round_ % 2 == 0 else reversed(DEPLOYED):
            answer = functions[name].trial()
            run.tick()
            if round_ >= 0:
                answers[name].append(answer)
    after = run.upstream.calls()
    series = {
        f"{way}, {figure}": Series(unit=unit, processes=[[trial[key]] for trial in trials[way]])
        for way in WAYS
        for figure, key, unit in (("CPU", "cpu_ms", "ms"), ("wall", "wall_ms", "ms"), ("RSS", "rss_mb", "MB"))
    }
    empty = [one["init_ms"] + one["duration_ms"] for one in answers["empty"]]
    for name in ("ours", "boto"):
        cold = [one["init_ms"] + one["duration_ms"] for one in answers[name]]
        less = [[total - floor] for total, floor in zip(cold, empty, strict=True)]
        series[f"{name}, in the lab"] = Series(unit="ms", processes=less)
        small = [[one["duration_ms"]] for one in answers[f"{name}, 128 MB"]]
        series[f"{name}, 128 MB"] = Series(unit="ms", processes=small)
    calls = {"processes": dict(between - before), "functions": dict(after - between)}
    return Measured(series=series, evidence={"ways": trials, "functions": answers, "calls": calls})


def _variables(run: Run, way: str) -> dict[str, str]:
    """The endpoint, and whom this way is to trust."""
    variables = ACCOUNT | {"AWS_ENDPOINT_URL": run.upstream.secure_url}
    issuer = str(run.upstream.issuer)
    if way == ROOTS:
        return variables | {"BENCH_ROOTS": issuer}
    if way == FULL:  # what OpenSSL takes for the machine's full store
        return variables | {"SSL_CERT_FILE": _bundle(run)}
    return variables | {"AWS_CA_BUNDLE": _bundle(run) if way == BUNDLE else issuer}


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
        run.lab.deploy(
            self._name,
            f"{name.partition(',')[0]}.handler",
            task_root=FUNCTIONS,
            environment=run.upstream.variables | {"AWS_EC2_METADATA_DISABLED": "true"},
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
    texts = [trial["value"] for way in WAYS for trial in ways[way]]
    values = [json.loads(text) if isinstance(text, str) else text for text in texts]
    without = [trial["sdk"] for way in (OURS, ROOTS, FULL, FLOOR) for trial in ways[way]]
    answers = [one["answer"] for name in DEPLOYED if name != "empty" for one in functions[name]]
    calls = measured.evidence["calls"]
    # Each once more than is counted; aws_secretsmanager_caching describes a secret before it reads it.
    processes = {"GetSecretValue": sum(len(ways[way]) + 1 for way in WAYS), "DescribeSecret": len(ways[PEERS[2]]) + 1}
    invocations = sum(len(functions[name]) + 1 for name in DEPLOYED if name != "empty")
    both = {"GetSecretValue": invocations, "GetParameter": invocations}
    expected = [json.dumps(SECRET), "on"]
    return [
        Check(what="every process read the secret", passed=all(v == SECRET for v in values), found=values[0]),
        Check(what="ours did so without the SDK", passed=not any(without), found=without),
        Check(what="every function read both", passed=all(a == expected for a in answers), found=answers[0]),
        Check(what="the server saw the processes' calls", passed=calls["processes"] == processes, found=calls),
        Check(what="the server saw the functions' calls", passed=calls["functions"] == both, found=calls),
    ]


def at_most_times(factor: float) -> Claim:
    """The treatment costs no more than `factor` times the control."""
    return Claim(text=f"<= {factor:g}x", holds=lambda control, treatment: treatment.median <= factor * control.median)


def _row(what: str, figure: str, control: str, treatment: str, *claims: Claim) -> Row:
    return Row(what=what, control=f"{control}, {figure}", treatment=f"{treatment}, {figure}", claims=claims)


EFFECT = Effect(
    name="secret_cold",
    question="What does the first secret cost, over TLS, in a process that has the runtime client?",
    rows=(
        *(_row(f"CPU, against {peer}", "CPU", peer, OURS, times_less(8)) for peer in PEERS),
        *(_row(f"wall, against {peer}", "wall", peer, OURS, times_less(5)) for peer in PEERS),
        _row("memory added, against boto3", "RSS", "boto3", OURS),
        _row("memory added, against the bare floor", "RSS", FLOOR, OURS, at_most_times(1.1)),
        _row("CPU, against the bare floor", "CPU", FLOOR, OURS, at_most_times(1.25)),
        _row("CPU, trust as in production", "CPU", BUNDLE, ROOTS, times_less(8)),
        _row("CPU, fallback to the full store", "CPU", BUNDLE, FULL),
        _row("INIT and first invocation, less an empty function's", "in the lab", "boto", "ours", times_less(5)),
        _row("first invocation, all of it at 128 MB", "128 MB", "boto", "ours", times_less(6)),
    ),
    steps=steps,
    measure=measure,
    verify=verify,
)
