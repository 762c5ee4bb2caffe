"""What the first secret costs: a fresh process over TLS, and functions in the lab."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..framework import pagecache, sampling, waterfall
from ..framework.deployed import Deployed
from ..framework.effect import (
    LESS,
    Check,
    Claim,
    Effect,
    Measured,
    Row,
    Series,
    at_most_times,
    rows_against,
    times_less,
)
from ..framework.processes import ROOT, clean_environ, run_python
from ..servers.upstream import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..framework.run import Run

SCRIPT = ROOT / "benchmarks" / "scripts" / "cold_secret.py"
OURS, FLOOR, EMPTY = "lambdakit", "bare", "empty"
ROOTS, FULL, BUNDLE = "lambdakit, roots first", "lambdakit, full store", "boto3, its own bundle"
PEERS = ("boto3", "Powertools", "aws_secretsmanager_caching")
WAYS = (OURS, *PEERS, FLOOR, ROOTS, FULL, BUNDLE)
SECRET = {"user": "app", "port": 5432}
SHOWN = {
    way: (str(SCRIPT.parent), "cold_secret", f"module.WAYS[{way!r}]()") for way in ("boto3", "Powertools", "lambdakit")
}
FURTHER = ("aws_secretsmanager_caching",)  # left out where only the peers are measured that a claim is about
COLD = ", cold page cache"
WITHOUT = "ours did so without the SDK"
NOTHING_LOADED = "the first invocation loads no module"


class Function(NamedTuple):
    """A function of ``benchmarks/functions``, and how it is deployed."""

    module: str
    memory_mb: int
    tls: bool = False


CORE, SMALL, SMALL_TLS = "", ", 128 MB", ", 128 MB, TLS"  # a whole core; the least memory
FUNCTIONS = {
    EMPTY: Function("empty", 1769),
    OURS: Function("secret", 1769),
    "boto3": Function("secret_boto3", 1769),
    EMPTY + SMALL: Function("decorated", 128),
    OURS + SMALL: Function("secret", 128),
    "boto3" + SMALL: Function("secret_boto3", 128),
    FLOOR + SMALL: Function("secret_by_hand", 128),
    OURS + SMALL_TLS: Function("secret", 128, tls=True),
    "boto3" + SMALL_TLS: Function("secret_boto3", 128, tls=True),
    FLOOR + SMALL_TLS: Function("secret_by_hand", 128, tls=True),
}
FURTHER_FUNCTIONS = ("boto3" + SMALL_TLS, FLOOR + SMALL_TLS)  # where there is little time


def _row(what: str, figure: str, control: str, treatment: str, *claims: Claim) -> Row:
    return Row(
        what=what,
        control=f"{control}, {figure}",
        treatment=f"{treatment}, {figure}",
        claims=claims,
        peer=_peer(control),
    )


def _peer(way: str) -> str | None:
    return next((peer for peer in PEERS if way.startswith(peer)), None)


ROWS = (
    *(_row(f"CPU, against {peer}", "CPU", peer, OURS, times_less(9)) for peer in PEERS),
    *(_row(f"wall, against {peer}", "wall", peer, OURS, times_less(5)) for peer in PEERS),
    _row("memory added, against boto3", "RSS", "boto3", OURS),
    _row("memory added, against the bare floor", "RSS", FLOOR, OURS, at_most_times(1.1)),
    _row("CPU, against the bare floor", "CPU", FLOOR, OURS, at_most_times(1.25)),
    _row("CPU, trust as in production", "CPU", BUNDLE, ROOTS, times_less(8)),
    _row("CPU, fallback to the full store", "CPU", BUNDLE, FULL),
)
# What the README's function costs where a function has a fourteenth of a core. A first invocation of a few milliseconds
# of CPU ends in one period of the scheduler or in the next: claims are made of its CPU time.
LAB_ROWS = (
    _row("INIT and first invocation, a whole core, against boto3", "cold", "boto3", OURS, times_less(3)),
    *(
        row
        for size in (SMALL, SMALL_TLS)
        for row in (
            _row(
                f"first invocation{size}, CPU, against the bare floor",
                "first CPU",
                FLOOR + size,
                OURS + size,
                at_most_times(2),
            ),
            _row(f"first invocation{size}, CPU, against boto3", "first CPU", "boto3" + size, OURS + size, LESS),
            _row(f"first invocation{size}, against boto3", "first", "boto3" + size, OURS + size),
            _row(f"INIT{size}, against boto3", "INIT", "boto3" + size, OURS + size, times_less(3)),
            _row(f"INIT and first invocation{size}, against boto3", "cold", "boto3" + size, OURS + size, times_less(3)),
        )
    ),
    *(
        replace(_row(what, figure, EMPTY + size, OURS + size), as_difference=True)
        for what, figure, size in (
            ("INIT and first invocation, a whole core, against an empty function", "cold", CORE),
            (f"first invocation{SMALL}, against an empty decorated function", "first", SMALL),
            (f"INIT{SMALL}, against an empty decorated function", "INIT", SMALL),
        )
    ),
)
COLD_ROWS = rows_against({peer: peer for peer in PEERS}, f"wall{COLD}", treatment=OURS, figure=f"wall{COLD}")


def deployed(run: Run) -> tuple[str, ...]:
    """The functions that this run measures."""
    return run.ways(FUNCTIONS, further=FURTHER_FUNCTIONS)


def steps(run: Run) -> int:
    """Each way and each function, once without counting and then in each round, and again without the page cache."""
    ways = sampling.steps(run, run.ways(WAYS, further=FURTHER))
    cold = sampling.steps(run, run.ways((OURS, *PEERS), further=FURTHER)) if run.size.page_cache else 0
    functions = sampling.steps(run, deployed(run), least=run.size.environments)
    return ways + cold + functions + waterfall.steps(run, SHOWN)


def measure(run: Run) -> Measured:
    """Fresh processes of each way in turn, then environments of each function in turn."""

    def process(way: str, _: int) -> dict[str, Any]:
        done: dict[str, Any] = run_python(["-P", str(SCRIPT), way], environ=clean_environ(**variables(run, way)))
        return done

    def cold(
        evicted: Callable[[Callable[[str, int], dict[str, Any]]], Callable[[str, int], dict[str, Any]]],
    ) -> dict[str, list[dict[str, Any]]]:
        ways = run.ways((OURS, *PEERS), further=FURTHER)
        return sampling.rounds(run, ways, evicted(process), series=_cold_series, rows=COLD_ROWS)

    before = run.upstream.calls()
    trials = sampling.rounds(run, run.ways(WAYS, further=FURTHER), process, series=_series, rows=ROWS)
    between = run.upstream.calls()
    functions = {name: deploy(run, name) for name in deployed(run)}
    answers = sampling.rounds(
        run,
        deployed(run),
        lambda name, _: functions[name].cold(),
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
    return pagecache.add_cold(measured, cold, series=_cold_series, rows=COLD_ROWS)


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    return {
        f"{way}, {figure}": Series(unit=unit, processes=[[trial[key]] for trial in given])
        for way, given in trials.items()
        for figure, key, unit in (("CPU", "cpu_ms", "ms"), ("wall", "wall_ms", "ms"), ("RSS", "rss_mb", "MB"))
    }


def _lab_series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    figures: dict[str, Callable[[dict[str, Any]], float]] = {
        "INIT": lambda one: one["init_ms"],
        "first": lambda one: one["duration_ms"],
        "cold": lambda one: one["init_ms"] + one["duration_ms"],
        "first CPU": lambda one: one["answer"]["cpu_ms"],
    }
    return {
        f"{name}, {figure}": Series(unit="ms", processes=[[value(one)] for one in given])
        for name, given in trials.items()
        for figure, value in figures.items()
    }


def _cold_series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    return {
        f"{way}, wall{COLD}": Series(unit="ms", processes=[[trial["wall_ms"]] for trial in given])
        for way, given in trials.items()
    }


def variables(run: Run, way: str) -> dict[str, str]:
    """The endpoint, and the certificates that this way trusts."""
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
    """No variable; in a broken run the SDK as backend."""
    return run.switch({}, off={"LAMBDAKIT_BACKEND": "sdk"})


def _bundle(run: Run) -> str:
    """botocore's own bundle of some 140 certificates, with the issuer of moto's at its end."""
    import certifi

    path = run.upstream.issuer.with_name("bundle.pem")
    if not path.exists():
        path.write_text(Path(certifi.where()).read_text() + run.upstream.issuer.read_text())
    return str(path)


def deploy(run: Run, name: str) -> Deployed:
    """One of the functions, deployed in the lab."""
    function = FUNCTIONS[name]
    run.memory_used.add(function.memory_mb)
    url = run.upstream.secure_url if function.tls else run.upstream.url
    return Deployed(
        run.lab,
        name.replace(", ", "-").replace(" ", ""),
        f"{function.module}.handler",
        environment=ACCOUNT
        | {"AWS_ENDPOINT_URL": url, "AWS_CA_BUNDLE": str(run.upstream.issuer)}
        | (_backend(run) if name.startswith(OURS) else {}),
        memory_mb=function.memory_mb,
    )


def loaded(functions: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[str]]:
    """The modules that first invocations of ours load, by function, less those of an empty function's."""
    runtime = {name for one in functions[EMPTY] for name in one["answer"]["modules"]}
    return {
        name: sorted({module for one in given for module in one["answer"]["modules"]} - runtime)
        for name, given in functions.items()
        if name.startswith(OURS)
    }


def verify(measured: Measured) -> list[Check]:
    """Every process and function read the secret, ours without the SDK, and the server saw each call."""
    ways, functions = measured.evidence["ways"], measured.evidence["functions"]
    texts = [trial["value"] for given in ways.values() for trial in given]
    values = [json.loads(text) if isinstance(text, str) else text for text in texts]
    without = [trial["sdk"] for way in (OURS, ROOTS, FULL, FLOOR) for trial in ways[way]]
    fetching = {name: given for name, given in functions.items() if not name.startswith(EMPTY)}
    answers = [one["answer"]["value"] for given in fetching.values() for one in given]
    calls = measured.evidence["calls"]
    # Each once more than is counted; aws_secretsmanager_caching describes a secret before it reads it.
    processes = {"GetSecretValue": sum(len(given) + 1 for given in ways.values())}
    if PEERS[2] in ways:
        processes["DescribeSecret"] = len(ways[PEERS[2]]) + 1
    invocations = {"GetSecretValue": sum(len(given) + 1 for given in fetching.values())}
    found = loaded(functions)
    return [
        Check(what="every process read the secret", passed=all(v == SECRET for v in values), found=values[0]),
        Check(what=WITHOUT, passed=not any(without), found=without),
        Check(what="every function read it", passed={*answers} == {json.dumps(SECRET)}, found=answers[0]),
        Check(what=NOTHING_LOADED, passed=not any(found.values()), found=found),
        Check(what="the server saw the processes' calls", passed=calls["processes"] == processes, found=calls),
        Check(what="the server saw the functions' calls", passed=calls["functions"] == invocations, found=calls),
        *waterfall.verify(measured.evidence["phases"], is_right=lambda given: given in (SECRET, json.dumps(SECRET))),
        *pagecache.verify(measured),
    ]


EFFECT = Effect(
    name="secret_cold",
    question="What does the first secret cost, over TLS, in a process that has the runtime client?",
    group="cold",
    claim=(
        "The first secret takes a fifth of the SDK's time at most, a ninth of its CPU, and loads nothing of it; "
        "a function's first invocation loads no module at all."
    ),
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
