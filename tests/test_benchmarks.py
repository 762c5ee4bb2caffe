"""The benchmark suite: its statistics, what it writes, what it refuses, and that it leaves nothing behind."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks import app, elsewhere, results, stats, worker
from benchmarks.crowd import crowd
from benchmarks.effect import Check, Measured, Series, at_most, times_less
from benchmarks.effects import EFFECTS, LONG, async_loop, client_reuse, database, keep_alive, preload, single_flight
from benchmarks.moto_process import Steady, Tally
from benchmarks.origin import control
from benchmarks.postgres import programs
from benchmarks.processes import ROOT, ProcessFailedError, ask, clean_environ
from benchmarks.relay import Relay
from benchmarks.run import NotMeasuredError, Run, Size
from benchmarks.turns import take_turns
from benchmarks.upstream import DATABASE_TEXT, Upstream
from hypothesis import given
from hypothesis import strategies as st

TINY = Size(processes=2, samples=2, sample_s=0.001, environments=1, warm=2)
VALUES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=12)


@given(VALUES, st.floats(0, 1))
def test_a_percentile_lies_between_the_extremes(values: list[float], share: float) -> None:
    """And the ends are the extremes themselves."""
    assert min(values) <= stats.percentile(values, share) <= max(values)
    assert (stats.percentile(values, 0.0), stats.percentile(values, 1.0)) == (min(values), max(values))


@given(VALUES)
def test_the_interval_of_equal_samples_contains_one(values: list[float]) -> None:
    """No difference is found where there is none."""
    ratio, low, high = stats.ratio_interval(values, values)
    assert low <= 1.0 <= high
    assert ratio == 1.0


@given(VALUES, VALUES)
def test_the_ratio_lies_in_its_interval(control: list[float], treatment: list[float]) -> None:
    """The same values give the same interval."""
    ratio, low, high = stats.ratio_interval(control, treatment)
    assert low <= ratio <= high
    assert stats.ratio_interval(control, treatment) == (ratio, low, high)


@pytest.mark.parametrize(("control", "treatment"), [([], [1.0]), ([1.0], []), ([0.0], [1.0]), ([1.0], [-1.0])])
def test_a_ratio_of_nothing_is_refused(control: list[float], treatment: list[float]) -> None:
    """Rather than shown."""
    with pytest.raises(ValueError, match="values above 0"):
        stats.ratio_interval(control, treatment)


def test_spread() -> None:
    """The interquartile range, in percent of the median; 0 of nothing but zeros."""
    assert stats.spread_pct([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(100 * 2 / 3)
    assert stats.spread_pct([0.0, 0.0]) == 0.0


def test_claims_can_be_disproved() -> None:
    """At the limit a claim holds, past it it does not."""

    def series(value: float) -> Series:
        return Series(unit="ms", processes=[[value]])

    assert [at_most(2, "ms").holds(series(9), series(value)) for value in (2.0, 2.1)] == [True, False]
    assert [times_less(3).holds(series(value), series(1)) for value in (3.0, 2.9)] == [True, False]
    assert [preload.LESS.holds(series(value), series(1)) for value in (1.1, 1.0)] == [True, False]
    assert [keep_alive.no_more_than(1.1).holds(series(10), series(value)) for value in (11, 11.1)] == [True, False]


def test_an_unknown_effect_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With code 2 and the names that there are."""
    with pytest.raises(SystemExit) as ended:
        app.main(["secret_cashe"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "'secret_cashe'" in said
    assert all(name in said for name in EFFECTS)


def test_a_run_writes_every_sample_and_the_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON that docs/benchmarks.md describes, and one table."""
    target = tmp_path / "deep" / "run.json"
    assert app.main(["client_reuse", "--json", str(target)], size=TINY) == 0
    document = json.loads(target.read_text())
    assert (document["schema"], document["mode"]) == (1, "full")
    assert {"python", "cores", "packages"} <= set(document["machine"])
    (effect,) = document["effects"]
    assert effect["name"] == "client_reuse"
    assert all(check["passed"] for check in effect["checks"])
    assert all(len(series["processes"]) == TINY.processes for series in effect["series"].values())
    row = effect["rows"][0]
    assert {"what", "unit", "without", "with", "ratio", "ratio_low", "ratio_high", "claims"} <= set(row)
    assert row["without"] == effect["series"][row["control"]]["median"]
    assert "client_reuse" in capsys.readouterr().out


def test_work_that_was_not_done_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Code 1, naming the effect and what could not be verified; the figures are written all the same."""

    def failed(_: Any) -> list[Check]:
        return [Check(what="the server saw the call", passed=False, found=0)]

    broken = {"client_reuse": replace(client_reuse.EFFECT, verify=failed)}
    target = tmp_path / "run.json"
    assert app.main(["--json", str(target)], effects=broken, size=TINY) == 1
    assert "client_reuse: not verified: the server saw the call" in capsys.readouterr().err
    assert target.exists()


def test_an_effect_that_cannot_be_measured_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named, with the reason; the other effects are measured."""

    def failing(_: Any) -> Any:
        raise ProcessFailedError("the process ended with 3")

    broken = {"first": replace(client_reuse.EFFECT, name="first", measure=failing), "client_reuse": client_reuse.EFFECT}
    target = tmp_path / "run.json"
    assert app.main(["--json", str(target)], effects=broken, size=TINY) == 1
    assert "first: could not be measured: the process ended with 3" in capsys.readouterr().err
    assert [bool(effect["rows"]) for effect in json.loads(target.read_text())["effects"]] == [False, True]


def test_a_process_of_a_benchmark_inherits_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an account nor a switch of Python's."""
    for name in ("AWS_PROFILE", "LAMBDAKIT_TTL", "PYTHONDONTWRITEBYTECODE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, "1")
    script = "import json, os; print(json.dumps(sorted(os.environ)))"
    assert {"AWS_PROFILE", "LAMBDAKIT_TTL", "PYTHONDONTWRITEBYTECODE", "REQUESTS_CA_BUNDLE"}.isdisjoint(
        ask(["-c", script], environ=clean_environ())
    )


@pytest.mark.parametrize(("script", "said"), [("raise SystemExit(3)", "ended with 3"), ("print('no JSON')", "JSON")])
def test_a_process_that_ends_badly_is_told(script: str, said: str) -> None:
    """Instead of a figure."""
    with pytest.raises(ProcessFailedError, match=said):
        ask(["-c", script], environ=clean_environ())


def slow_at_first() -> dict[str, Any]:
    """What a benchmark prepares: a function whose first call takes longer than a sample, as a fetch does."""
    calls = []

    def get() -> int:
        calls.append(None)
        if len(calls) == 1:
            time.sleep(0.02)
        return len(calls)

    return {"get": get}


def test_a_slow_first_call_is_no_sample() -> None:
    """The loops are those of the calls after it, and every execution is told."""
    question = {"prepare": f"{__name__}:slow_at_first", "statement": "get()", "answer": "get()", "loops": None}
    done = worker.measure(question | {"samples": 3, "sample_s": 0.01})
    assert done["loops"] > 100
    assert max(done["samples_s"]) < 0.001
    assert done["executions"] == done["answer"] - 1


def test_the_server_counts_what_it_was_asked() -> None:
    """By operation, over HTTP and over TLS; it ends with its block."""
    import boto3

    with Upstream() as upstream:
        for url, verify in ((upstream.url, True), (upstream.secure_url, str(upstream.issuer))):
            session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
            client = session.client("secretsmanager", endpoint_url=url, verify=verify)
            client.get_secret_value(SecretId="bench/secret")
        assert dict(upstream.calls()) == {"GetSecretValue": 2}
    assert upstream._process.returncode is not None


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


def test_steady_answers_are_late_and_come_at_once() -> None:
    """Each after its delay; eight at once take nothing like eight of them."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    def ask_for(body: bytes) -> None:
        began = time.monotonic()
        request = {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
        told.append((body, b"".join(steady(request, lambda *_: None)), time.monotonic() - began))

    delay_s = 0.2
    steady = Steady(app, Tally(), delay_s)
    told: list[tuple[bytes, bytes, float]] = []
    threads = [threading.Thread(target=ask_for, args=(str(number % 2).encode(),)) for number in range(8)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 4 * delay_s
    assert len(told) == 8
    assert all(asked == answered and took_s >= delay_s for asked, answered, took_s in told)


def test_the_json_that_is_timed_has_200_bytes() -> None:
    """The claim of `secret_cache` names its size."""
    assert len(DATABASE_TEXT.encode()) == 200


@pytest.fixture(scope="module")
def servers() -> Iterator[Run]:
    """What effects are measured with, once each way."""
    with Run(replace(TINY, processes=1)) as run:
        yield run


@pytest.fixture(scope="module")
def preloaded(servers: Run) -> Measured:
    """`preload` as it is."""
    return preload.measure(servers)


@pytest.fixture(scope="module")
def flown(servers: Run) -> Measured:
    """`single_flight` as it is."""
    return single_flight.measure(servers)


def _not_verified(checks: list[Check]) -> list[str]:
    return [check.what for check in checks if not check.passed]


def _with(measured: Measured, way: str, **changed: Any) -> Measured:
    """The same, but for some of what one way has shown."""
    return replace(measured, evidence=measured.evidence | {way: [t | changed for t in measured.evidence[way]]})


def test_preload_is_verified(preloaded: Measured) -> None:
    """Each row has its figures, and each way made the calls that it has to."""
    assert _not_verified(preload.verify(preloaded)) == []
    assert all(results.row_figures(row, preloaded)["ratio"] for row in preload.EFFECT.rows)


def test_a_handler_that_preloads_nothing_is_not_verified(
    servers: Run, preloaded: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its values are right all the same: what tells are the calls."""
    monkeypatch.delitem(preload.RUNTIME, "AWS_LAMBDA_RUNTIME_API")
    trial = preload.trial(servers, preload.OURS)
    broken = _with(preloaded, preload.OURS, **trial)
    assert trial["values"] == preload.VALUES
    assert _not_verified(preload.verify(broken)) == ["preload: the server saw its calls"]


@pytest.mark.parametrize("way", preload.WAYS)
def test_wrong_values_are_not_verified(way: str, preloaded: Measured) -> None:
    """Of any way: two that are mixed up are wrong."""
    mixed = [preload.VALUES[1], preload.VALUES[0], *preload.VALUES[2:]]
    assert _not_verified(preload.verify(_with(preloaded, way, values=mixed))) == [f"{way}: all values are right"]


@pytest.mark.parametrize("way", [preload.SINGLE, preload.OURS])
def test_a_preload_with_the_sdk_is_not_verified(way: str, preloaded: Measured) -> None:
    """It would be another thing that is measured."""
    assert _not_verified(preload.verify(_with(preloaded, way, sdk=True))) == ["ours did so without the SDK"]


def test_single_flight_is_verified(flown: Measured) -> None:
    """Each row has its figures; the claims, which are of calls, hold on any machine."""
    assert _not_verified(single_flight.verify(flown)) == []
    rows = [results.row_figures(row, flown) for row in single_flight.EFFECT.rows]
    assert all(row["ratio"] for row in rows)
    assert all(claim["held"] for row in rows for claim in row["claims"])


def test_a_crowd_without_single_flight_is_not_verified(flown: Measured) -> None:
    """boto3, which has none, in the place of ours."""
    (trial,) = flown.evidence["boto3"]
    assert trial["calls"] == {"GetSecretValue": single_flight.THREADS}
    broken = _with(flown, single_flight.OURS, calls=trial["calls"])
    assert _not_verified(single_flight.verify(broken)) == ["lambdakit: one call for all threads"]


def test_a_crowd_that_came_one_by_one_is_not_verified(flown: Measured) -> None:
    """A cache alone would do for it."""
    broken = _with(flown, single_flight.OURS, at_once=1)
    assert _not_verified(single_flight.verify(broken)) == ["lambdakit: the threads asked at once"]


@pytest.mark.parametrize("way", single_flight.WAYS)
@pytest.mark.parametrize("wrong", ["NetworkError: no answer came", None])
def test_a_thread_without_the_secret_is_not_verified(way: str, wrong: str | None, flown: Measured) -> None:
    """One of 64 is enough; so is one that is not there."""
    values = [single_flight.TEXT] * (single_flight.THREADS - 1)
    broken = _with(flown, way, values=[*values, wrong] if wrong else values)
    assert _not_verified(single_flight.verify(broken)) == [f"{way}: every thread got the secret"]


def test_a_way_that_never_asked_is_not_verified(flown: Measured) -> None:
    """Its values came from elsewhere."""
    broken = _with(flown, "boto3", calls={})
    assert _not_verified(single_flight.verify(broken)) == ["boto3: the server saw a call"]


def test_a_crowd_asks_at_once_and_tells_what_failed() -> None:
    """All have begun before one is answered, if answers wait for that; an error is its thread's answer."""
    began = threading.Barrier(8)

    def get() -> str:
        if began.wait(10) == 0:
            raise ValueError("refused")
        return "secret"

    told = crowd(get, 8)
    assert sorted(told["values"]) == sorted(["secret"] * 7 + ["ValueError: refused"])
    assert told["at_once"] == 8
    assert told["wall_ms"] > 0


@pytest.fixture(scope="module")
def kept(servers: Run) -> Measured:
    """`keep_alive` as it is."""
    return keep_alive.measure(servers)


@pytest.fixture(scope="module")
def looped(servers: Run) -> Measured:
    """`async_loop` as it is."""
    return async_loop.measure(servers)


@pytest.fixture(scope="module")
def connected(servers: Run) -> Measured:
    """`database` as it is."""
    if programs() is None:
        pytest.skip("pgserver is not installed: it has no wheel for this Python")
    return database.measure(servers)


@pytest.mark.soak  # a long effect, which a quick run leaves out too
def test_keep_alive_is_verified(kept: Measured) -> None:
    """Each row of what was measured has its figures; the claim about freezes holds on any machine."""
    assert _not_verified(keep_alive.verify(kept)) == []
    near = [row for row in keep_alive.EFFECT.rows if "1 ms" not in row.what and "20 ms" not in row.what]
    rows = [results.row_figures(row, kept) for row in near]
    assert all(row["ratio"] for row in rows if row["unit"] == "µs")
    lost = {row["control"]: (row["without"], row["with"]) for row in rows if row["unit"] == "requests"}
    assert lost == {f"{way}, lost": (50, 0) for way in keep_alive.KEPT if way != keep_alive.OURS}


@pytest.mark.soak  # a long effect, which a quick run leaves out too
@pytest.mark.parametrize("scheme", keep_alive.SCHEMES)
@pytest.mark.parametrize("way", keep_alive.WAYS)
def test_connections_that_are_not_as_they_should_be_are_not_verified(scheme: str, way: str, kept: Measured) -> None:
    """One more than there was: a kept side that opened a second, another that did with fewer."""
    name = f"{way}, {keep_alive.cell(scheme, 0)}"
    (done,) = kept.evidence[name]
    broken = _with(kept, name, connections=done["connections"] + (1 if way in keep_alive.KEPT else -1))
    wanted = "one connection" if way in keep_alive.KEPT else "a connection for each"
    assert _not_verified(keep_alive.verify(broken)) == [f"{name}: {wanted}"]


@pytest.mark.soak  # a long effect, which a quick run leaves out too
def test_a_wrong_answer_is_not_verified(kept: Measured) -> None:
    """One is enough, and so is a request that the server did not see."""
    name = f"{keep_alive.OURS}, {keep_alive.cell('http', 0)}"
    (done,) = kept.evidence[name]
    mixed = _with(kept, name, answers={done["path"]: done["calls"] - 1, "/other": 1})
    assert _not_verified(keep_alive.verify(mixed)) == [f"{name}: the answers are right"]
    unseen = _with(kept, name, requests=done["calls"] - 1)
    assert _not_verified(keep_alive.verify(unseen)) == [f"{name}: the server saw each request"]


@pytest.mark.soak  # a long effect, which a quick run leaves out too
def test_a_distance_that_is_not_there_is_not_verified(kept: Measured) -> None:
    """An answer sooner than light: a new connection over TLS takes three round trips."""
    name = f"{keep_alive.NEW}, {keep_alive.cell('https', 5)}"
    near = replace(kept, series=kept.series | {name: Series(unit="µs", processes=[[14_900.0]])})
    assert _not_verified(keep_alive.verify(near)) == [f"{name}: so far it was"]


@pytest.mark.soak  # a long effect, which a quick run leaves out too
def test_a_client_that_keeps_no_connection_is_not_verified(servers: Run, kept: Measured) -> None:
    """For real: with no idleness allowed each GET opens one; its answers are right all the same."""
    place, url = keep_alive.cell("http", 0), servers.origin.url("http", 0) + "/broken"
    environ = servers.origin.environ | {"LAMBDAKIT_MAX_IDLE": "0"}
    found = elsewhere.call(keep_alive.timed, environ=environ, places={place: url}, samples=1)
    path, name = f"/broken/{keep_alive.WAYS.index(keep_alive.OURS)}", f"{keep_alive.OURS}, {place}"
    seen = {kind: counted[path] for kind, counted in servers.origin.counts().items()}
    broken = _with(kept, name, **(found[place][keep_alive.OURS] | seen | {"path": path}))
    assert seen["connections"] == seen["requests"]
    assert _not_verified(keep_alive.verify(broken)) == [f"{name}: one connection"]


@pytest.mark.soak  # a long effect, which a quick run leaves out too
def test_a_client_that_forgets_no_idle_connection_is_not_verified(servers: Run, kept: Measured) -> None:
    """With the limit of idleness as it is for real: after a freeze of 5 ms connections are used again, and lost."""
    url = servers.origin.url("http", 0)
    frozen = elsewhere.call(keep_alive.freezes, environ=servers.origin.environ, url=url, rounds=4)
    assert frozen[keep_alive.OURS]["answered"] == 2
    assert frozen[keep_alive.OURS]["errors"] == {"reset: ProtocolError": 2}
    lost = kept.evidence["freezes"] | {keep_alive.OURS: frozen[keep_alive.OURS] | {"before": keep_alive.ROUNDS}}
    broken = replace(kept, evidence=kept.evidence | {"freezes": lost})
    assert _not_verified(keep_alive.verify(broken)) == ["freezes: lambdakit.http.get was answered after each"]


@pytest.mark.soak  # a long effect, which a quick run leaves out too
def test_freezes_that_hurt_nobody_are_not_verified(kept: Measured) -> None:
    """Then they prove nothing."""
    ours = kept.evidence["freezes"][keep_alive.OURS]
    harmless = replace(kept, evidence=kept.evidence | {"freezes": dict.fromkeys(keep_alive.KEPT, ours)})
    assert _not_verified(keep_alive.verify(harmless)) == ["freezes: they hurt"]


def test_a_relay_is_as_far_away_as_it_is_told() -> None:
    """What is sent first comes back two round trips after the connection, what is sent then after one; an end, too."""
    away_s = 0.05
    with socket.create_server(("127.0.0.1", 0)) as listening:
        relay = Relay(listening.getsockname()[1], away_s)
        began_s = time.perf_counter()
        with socket.create_connection(("127.0.0.1", relay.port), timeout=10) as client:
            client.sendall(b"1")
            server, _ = listening.accept()
            with server:
                server.settimeout(10)
                for number, trips in enumerate((2.0, 1.0)):
                    assert server.recv(9) == b"12"[number : number + 1]
                    server.sendall(b"ok")
                    assert client.recv(9) == b"ok"
                    took_s, began_s = time.perf_counter() - began_s, time.perf_counter()
                    assert away_s * trips <= took_s < away_s * (trips + 5)
                    client.sendall(b"2")
                assert server.recv(9) == b"2"
                client.shutdown(socket.SHUT_WR)
                assert server.recv(9) == b""
                assert time.perf_counter() - began_s >= away_s / 2


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_origin_counts_and_hurts(scheme: str, servers: Run) -> None:
    """Requests and connections by path; a frozen connection is closed now, or reset when it is used again."""
    import urllib3

    origin = servers.origin
    url, near = origin.url(scheme, 0), origin.url("http", 0)
    pool = urllib3.PoolManager(retries=False, ca_certs=origin.environ["SSL_CERT_FILE"])
    path = f"/counted/{scheme}"
    for _ in range(3):
        assert pool.request("POST", url + path, body=b"x" * 100_000).data.decode() == path
    control(near, "freeze/fin")
    assert pool.request("GET", url + path).status == 200
    control(near, "freeze/reset")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        pool.request("GET", url + path)
    assert pool.request("GET", url + path, headers={"Connection": "close"}).headers["Connection"] == "close"
    counts = origin.counts()
    assert (counts["requests"][path], counts["connections"][path]) == (5, 3)


def test_turns_are_taken() -> None:
    """In an order that is reversed; each call is a sample, and what is returned is counted, all of it."""
    called: list[str] = []

    def way(name: str) -> Any:
        return lambda: called.append(name) or name * 2

    found = take_turns({"a": way("a"), "b": way("b")}, samples=3, loops={"a": 2, "b": 1})
    assert "".join(called) == "aabb" + "aab" + "baa" + "aab"
    assert [len(done["samples_s"]) for done in found.values()] == [6, 3]
    assert {name: (done["calls"], dict(done["answers"])) for name, done in found.items()} == {
        "a": (8, {"aa": 8}),
        "b": (5, {"bb": 5}),
    }


@pytest.mark.soak  # a long effect, which a quick run leaves out too
def test_async_loop_is_verified(looped: Measured) -> None:
    """Each row has its figures."""
    assert _not_verified(async_loop.verify(looped)) == []
    assert all(results.row_figures(row, looped)["ratio"] for row in async_loop.EFFECT.rows)


@pytest.mark.soak  # a long effect, which a quick run leaves out too
def test_a_loop_that_keeps_no_connection_is_not_verified(looped: Measured) -> None:
    """The evidence of the control, in the place of ours."""
    name, control_name = (
        next(key for key in looped.evidence if key.startswith(f"{way},")) for way in ("kept loop", "asyncio.run")
    )
    (done,) = looped.evidence[control_name]
    assert _not_verified(async_loop.verify(_with(looped, name, **done))) == [f"{name}: one connection"]


@pytest.mark.soak  # a long effect, which a quick run leaves out too
def test_an_invocation_without_its_answer_is_not_verified(looped: Measured) -> None:
    """Of any way."""
    for name in looped.evidence:
        broken = _with(looped, name, answers={"error": 1})
        assert _not_verified(async_loop.verify(broken)) == [f"{name}: every invocation was answered"]


@pytest.mark.soak  # a long effect, which a quick run leaves out too
def test_database_is_verified(connected: Measured) -> None:
    """Each row has its figures."""
    assert _not_verified(database.verify(connected)) == []
    assert all(results.row_figures(row, connected)["ratio"] for row in database.EFFECT.rows)


@pytest.mark.soak  # a long effect, which a quick run leaves out too
@pytest.mark.parametrize("way", [database.CHECKED, database.UNCHECKED])
def test_a_singleton_that_connects_each_time_is_not_verified(way: str, connected: Measured) -> None:
    """The evidence of the control, in the place of ours: two sessions are one too many."""
    (done,) = connected.evidence[way]
    (session,) = done["answers"]
    broken = _with(connected, way, answers={session: done["calls"] - 1, "1": 1}, after="2")
    assert _not_verified(database.verify(broken)) == [f"{way}: one session"]


@pytest.mark.soak  # a long effect, which a quick run leaves out too
@pytest.mark.parametrize("after", [None, "the same"])
def test_a_singleton_that_does_not_heal_is_not_verified(after: str | None, connected: Measured) -> None:
    """An error, or an answer over the session that was ended."""
    (done,) = connected.evidence[database.CHECKED]
    (session,) = done["answers"]
    broken = _with(connected, database.CHECKED, after=session if after else None)
    assert _not_verified(database.verify(broken)) == ["singleton(check=...): another session after one was ended"]


@pytest.mark.soak  # a long effect, which a quick run leaves out too
def test_a_control_with_one_session_is_not_verified(connected: Measured) -> None:
    """It has to connect in each invocation."""
    (done,) = connected.evidence[database.CONNECT]
    broken = _with(connected, database.CONNECT, answers={"1": done["calls"]})
    assert _not_verified(database.verify(broken)) == ["connect per invocation: a session for each"]


def test_what_cannot_be_measured_here_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No failure, and no figure."""

    def nothing(_: Run) -> Measured:
        raise NotMeasuredError("no PostgreSQL for this Python")

    target = tmp_path / "run.json"
    effects = {"database": replace(database.EFFECT, measure=nothing)}
    assert app.main(["--json", str(target)], effects=effects, size=TINY) == 0
    assert "database: not measured: no PostgreSQL for this Python" in capsys.readouterr().out
    (effect,) = json.loads(target.read_text())["effects"]
    assert (effect["rows"], effect["error"]) == ([], None)
    assert effect["evidence"] == {"not measured": "no PostgreSQL for this Python"}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="finds the processes in /proc, which Linux has")
def test_a_server_ends_with_whoever_started_it() -> None:
    """Also by the hardest signal, and PostgreSQL with the process that looks after it."""
    if programs() is None:
        pytest.skip("pgserver is not installed: it has no wheel for this Python")
    script = (
        "from benchmarks.run import QUICK, Run\n"
        "run = Run(QUICK)\n"
        "print(run.postgres.told, run.origin.told, flush=True)\n"
        "import time; time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        started = _descendants(process.pid)
        process.kill()
    assert len(started) > 3
    deadline = time.monotonic() + 20
    while any(_runs(pid) for pid in started) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in started if _runs(pid)] == []


def _runs(pid: int) -> bool:
    try:
        return "postgres" in (line := Path(f"/proc/{pid}/cmdline").read_text()) or "benchmarks" in line
    except OSError:
        return False


def _descendants(pid: int) -> set[int]:
    found = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("PPid:"))
        except (OSError, StopIteration):
            continue
        if parent == pid:
            child = int(status.parent.name)
            found |= {child} | _descendants(child)
    return found


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="finds the processes in /proc, which Linux has")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_stops_everything_that_was_started(number: int, code: int, tmp_path: Path) -> None:
    """moto's server, the lab and what runs in it; the exit code is the shell's for that signal."""
    arguments = [sys.executable, "-m", "benchmarks", "cold_start", "--quick", "--json", str(tmp_path / "run.json")]
    with subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        started: set[int] = set()
        deadline = time.monotonic() + 60
        while len(started) < 3 and time.monotonic() < deadline:  # the server, the lab's guard, a function
            assert process.poll() is None
            started |= _descendants(process.pid)
            time.sleep(0.02)
        assert len(started) >= 3
        os.kill(process.pid, number)
        assert process.wait(30) == code
    deadline = time.monotonic() + 10
    while any(_alive(pid) for pid in started) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in started if _alive(pid)] == []


def _alive(pid: int) -> bool:
    try:
        return "benchmarks" in (cmd := Path(f"/proc/{pid}/cmdline").read_text()) or "lambda" in cmd
    except OSError:
        return False


def test_a_quick_run_leaves_out_what_is_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so; an effect that is named is measured all the same."""
    measured: list[str] = []

    def effect_called(name: str) -> Any:
        def measure(_: Any) -> Measured:
            measured.append(name)
            raise NotMeasuredError("only its turn is looked at")

        return replace(client_reuse.EFFECT, name=name, measure=measure)

    effects = {name: effect_called(name) for name in ("brief", *sorted(LONG))}
    for arguments, expected in (
        (["--quick"], ["brief"]),
        (["--quick", "database"], ["database"]),
        ([], ["brief", *sorted(LONG)]),
    ):
        measured.clear()
        assert app.main([*arguments, "--json", str(tmp_path / "run.json")], effects=effects, size=TINY) == 0
        assert measured == expected
        said = "Left out of a quick run, name them to have them: async_loop, database, keep_alive"
        assert (said in capsys.readouterr().out) is (arguments == ["--quick"])
