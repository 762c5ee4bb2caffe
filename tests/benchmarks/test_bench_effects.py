"""The effects: verified as they are, and not verified once the feature is broken that they measure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from benchmarks.effects import EFFECTS, cold_start, preload, secret_cold, single_flight
from benchmarks.framework import memory, results
from benchmarks.framework.effect import Check, Effect, Measured
from benchmarks.framework.processes import clean_environ, run_python
from benchmarks.framework.run import NotMeasuredError, Run, Size

from verifying import changed, not_verified

TINY = Size(processes=1, samples=2, sample_s=0.001, environments=1, warm=2)
# The others take long: each of them is broken for real here, too, but one process of it, the rest of the evidence
# being that of a run which is not.
BRIEF = ("import_cost", "handler_overhead", "client_reuse", "secret_cache")


@pytest.fixture(scope="module")
def servers() -> Iterator[Run]:
    """What effects are measured with, once each way."""
    with Run(TINY, peers=False) as run:
        yield run


@pytest.fixture
def broken(servers: Run) -> Iterator[Run]:
    """The same, with each feature switched off."""
    servers.broken = True
    yield servers
    servers.broken = False


def _measured(effect: Effect, run: Run) -> tuple[Measured, list[Check]]:
    try:
        measured = effect.measure(run)
    except NotMeasuredError as error:
        pytest.skip(str(error))
    return measured, effect.verify(measured)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in BRIEF else pytest.mark.soak) for name in EFFECTS]
)
def test_a_broken_feature_isnot_verified(name: str, broken: Run) -> None:
    """What the effect says has to fail does; where no check is of times, which a busy machine fails, nothing else."""
    effect = EFFECTS[name]
    failed = {*not_verified(_measured(effect, broken)[1])}
    assert {*effect.breaks} <= failed
    if name in BRIEF:
        assert failed == {*effect.breaks}


@pytest.mark.soak  # all that they have, for real
@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_is_verified(name: str, servers: Run) -> None:
    """As it is; each of its rows has a figure."""
    effect = EFFECTS[name]
    measured, checks = _measured(effect, servers)
    assert not_verified(checks) == []
    rows = results.Outcome(effect=effect, measured=measured).rows
    assert rows
    assert all(results.row_figures(row, measured)["verdict"] for row in rows)


def test_the_steady_server_says_what_moto_has_said(servers: Run) -> None:
    """moto is asked once; every answer is its own, and counted; an error is one, too."""
    import boto3
    from botocore.exceptions import ClientError

    upstream = servers.upstream
    session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
    right = session.client("ssm", endpoint_url=upstream.url).get_parameter(Name="/bench/parameter")["Parameter"]
    steady = session.client("ssm", endpoint_url=upstream.steady_url, verify=str(upstream.issuer))
    before = upstream.calls()
    for _ in range(3):
        assert steady.get_parameter(Name="/bench/parameter")["Parameter"] == right
    assert dict(upstream.calls() - before) == {"GetParameter": 3, "first of its kind": 1}
    with pytest.raises(ClientError, match="ParameterNotFound"):
        steady.get_parameter(Name="/bench/none")


@pytest.fixture(scope="module")
def preloaded(servers: Run) -> Measured:
    """`preload` as it is."""
    return preload.measure(servers)


@pytest.fixture(scope="module")
def flown(servers: Run) -> Measured:
    """`single_flight` as it is."""
    return single_flight.measure(servers)


def test_preload_is_verified(preloaded: Measured) -> None:
    """Each row has its figures, and each way made the calls that it has to."""
    assert not_verified(preload.verify(preloaded)) == []
    assert all(results.row_figures(row, preloaded)["ratio"] for row in preload.EFFECT.rows)


def test_a_handler_that_preloads_nothing_isnot_verified(broken: Run, preloaded: Measured) -> None:
    """Its values are right all the same: what tells are the calls."""
    trial = preload.trial(broken, preload.OURS)
    other = changed(preloaded, preload.OURS, **trial)
    assert trial["values"] == preload.VALUES
    assert not_verified(preload.verify(other)) == ["preload: the server saw its calls"]


@pytest.mark.parametrize("way", preload.WAYS)
def test_wrong_values_arenot_verified(way: str, preloaded: Measured) -> None:
    """Of any way: two that are mixed up are wrong."""
    mixed = [preload.VALUES[1], preload.VALUES[0], *preload.VALUES[2:]]
    assert not_verified(preload.verify(changed(preloaded, way, values=mixed))) == [f"{way}: all values are right"]


@pytest.mark.parametrize("way", [preload.SINGLE, preload.OURS])
def test_a_preload_with_the_sdk_isnot_verified(way: str, preloaded: Measured) -> None:
    """It would be another thing that is measured."""
    assert not_verified(preload.verify(changed(preloaded, way, sdk=True))) == ["ours did so without the SDK"]


def test_single_flight_is_verified(flown: Measured) -> None:
    """Each row has its figures; the claims, which are of calls, hold on any machine."""
    assert not_verified(single_flight.verify(flown)) == []
    there = results.Outcome(effect=single_flight.EFFECT, measured=flown).rows
    rows = [results.row_figures(row, flown) for row in there]
    assert all(row["ratio"] for row in rows)
    assert all(claim["held"] for row in rows for claim in row["claims"])


def test_a_crowd_without_single_flight_isnot_verified(servers: Run, flown: Measured) -> None:
    """One call for each thread."""
    environ = clean_environ(**servers.upstream.variables)
    before = servers.upstream.calls()
    arguments = ["-P", str(single_flight.SCRIPT), single_flight.BROKEN, str(single_flight.THREADS)]
    trial = run_python(arguments, environ=environ)
    calls = dict(servers.upstream.calls() - before)
    assert calls == {"GetSecretValue": single_flight.THREADS}
    other = changed(flown, single_flight.OURS, values=trial["values"], calls=calls)
    assert not_verified(single_flight.verify(other)) == [single_flight.ONE_CALL]


def test_a_crowd_that_came_one_by_one_isnot_verified(flown: Measured) -> None:
    """A cache alone would do for it."""
    other = changed(flown, single_flight.OURS, at_once=1)
    assert not_verified(single_flight.verify(other)) == ["lambdakit: the threads were waiting at once"]


@pytest.mark.parametrize("way", [single_flight.OURS, "boto3", "Powertools"])
@pytest.mark.parametrize("wrong", ["NetworkError: no answer came", None])
def test_a_thread_without_the_secret_isnot_verified(way: str, wrong: str | None, flown: Measured) -> None:
    """One of 64 is enough; so is one that is not there."""
    values = [single_flight.TEXT] * (single_flight.THREADS - 1)
    other = changed(flown, way, values=[*values, wrong] if wrong else values)
    assert not_verified(single_flight.verify(other)) == [f"{way}: every thread got the secret"]


def test_a_way_that_never_asked_isnot_verified(flown: Measured) -> None:
    """Its values came from elsewhere."""
    other = changed(flown, "boto3", calls={})
    assert not_verified(single_flight.verify(other)) == ["boto3: the server saw a call"]


def _first_secret(run: Run) -> dict[str, Any]:
    variables = secret_cold.variables(run, secret_cold.OURS)
    done: dict[str, Any] = run_python(
        ["-P", str(secret_cold.SCRIPT), secret_cold.OURS], environ=clean_environ(**variables)
    )
    return done


def test_a_first_secret_by_the_sdk_isnot_verified(servers: Run) -> None:
    """One process with the direct backend, whose evidence stands for all, then one without it."""
    direct = _first_secret(servers)
    evidence = _cold_evidence(direct)
    measured = Measured(series={}, evidence=evidence)
    assert not_verified(secret_cold.verify(measured)) == []
    servers.broken = True
    try:
        by_sdk = _first_secret(servers)
    finally:
        servers.broken = False
    other = replace(measured, evidence=evidence | {"ways": evidence["ways"] | {secret_cold.OURS: [by_sdk]}})
    assert not_verified(secret_cold.verify(other)) == [secret_cold.WITHOUT]


def _cold_evidence(process: dict[str, Any]) -> dict[str, Any]:
    """Of `secret_cold`: a process that stands for all, and functions as they have to be."""
    functions = {name: [_first_invocation()] for name in secret_cold.FUNCTIONS}
    fetching = [name for name in functions if not name.startswith(secret_cold.EMPTY)]
    return {
        "ways": {way: [process] for way in secret_cold.WAYS},
        "functions": functions,
        "calls": {
            "processes": {"GetSecretValue": 2 * len(secret_cold.WAYS), "DescribeSecret": 2},
            "functions": {"GetSecretValue": 2 * len(fetching)},
        },
        "phases": {},
    }


def _first_invocation(*modules: str) -> dict[str, Any]:
    return {"answer": {"value": json.dumps(secret_cold.SECRET), "modules": [*modules]}}


@pytest.mark.parametrize("name", [name for name in secret_cold.FUNCTIONS if name.startswith(secret_cold.OURS)])
def test_a_first_invocation_that_loads_a_module_isnot_verified(name: str) -> None:
    """Of each function of ours; what an empty function's loads is the runtime client's, what a peer's loads its own."""
    evidence = _cold_evidence({"value": json.dumps(secret_cold.SECRET), "sdk": False})
    functions = evidence["functions"] | {
        secret_cold.EMPTY: [_first_invocation("json")],
        "boto3": [_first_invocation("ssl")],
    }
    for modules, failed in ((("json",), []), (("json", "ssl"), [secret_cold.NOTHING_LOADED])):
        told = functions | {name: [_first_invocation(*modules)]}
        measured = Measured(series={}, evidence=evidence | {"functions": told})
        assert not_verified(secret_cold.verify(measured)) == failed


def test_a_first_invocation_tells_what_it_took(servers: Run) -> None:
    """An empty function loads nothing, whether it is decorated or not, and its CPU time is not that of INIT."""
    for name in (secret_cold.EMPTY, secret_cold.EMPTY + secret_cold.SMALL):
        answer = secret_cold.deploy(servers, name).cold()["answer"]
        assert (answer["value"], answer["modules"]) == ("nothing", [])
        assert 0 < answer["cpu_ms"] < answer["init_cpu_ms"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_function_that_fetches_each_time_isnot_verified(kept: bool, servers: Run) -> None:
    """One environment of it in the lab; what the naive version has to show is made of its."""
    servers.broken = not kept
    try:
        trial = cold_start.Function(servers, cold_start.FAST).trial(2)
    finally:
        servers.broken = False
    (found,) = cold_start.evidence([trial])
    naive = found | {"warm_calls": dict.fromkeys(cold_start.EACH_CALL, 2)}
    floor = [{"answer": 200, "executions": 4, "calls": {"PutItem": 6}}]
    evidence = {cold_start.NAIVE: [naive], cold_start.FAST: [found], "floor": floor, "memory": {}, "phases": {}}
    failed = not_verified(cold_start.verify(Measured(series={}, evidence=evidence)))
    assert failed == ([] if kept else [cold_start.KEPT])


@pytest.mark.soak  # the lab at three sizes
def test_a_size_has_its_share_and_its_price(servers: Run) -> None:
    """More memory, more of a core; the versions beside each other at each size; the fewer milliseconds the cheaper."""
    with Run(TINY, memory=(128, 512)) as run:
        versions = {
            version: lambda size, version=version: cold_start.Function(run, version, size)
            for version in cold_start.VERSIONS
        }
        trials = memory.measure(run, versions)
        points = memory.figure(trials)
        shares = memory.calibration(run)
    assert [(point["side"], point["memory_mb"]) for point in points] == [
        (version, size) for size in (128, 512) for version in cold_start.VERSIONS
    ]
    assert [row.what for row in memory.rows(trials)] == [
        f"{what} at {size} MB" for size in (128, 512) for what in ("cold start", "warm")
    ]
    assert all({row.control, row.treatment} <= memory.series(trials).keys() for row in memory.rows(trials))
    for point in points:
        assert point["warm_ms"] <= point["billed_ms"] < point["warm_ms"] + 1
        assert (
            point["usd_per_million"]["arm64"]
            < point["usd_per_million"]["x86_64"]
            < point["usd_per_million_cold"]["x86_64"]
        )
    assert [share["memory_mb"] for share in shares] == [128, 512]
    assert shares[0]["measured"] < shares[1]["measured"]
