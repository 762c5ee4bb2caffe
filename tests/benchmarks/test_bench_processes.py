"""The parts that benchmarks are made of: fresh processes, servers, distances, turns, pages of files."""

from __future__ import annotations

import io
import mmap
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.framework import pagecache, waterfall
from benchmarks.framework.effect import Measured, Row, Series
from benchmarks.framework.processes import ROOT, ProcessFailedError, clean_environ, run_python
from benchmarks.framework.turns import take_turns
from benchmarks.scripts.crowd import crowd
from benchmarks.servers.moto_process import CallCounter, Steady
from benchmarks.servers.origin import Origin
from benchmarks.servers.postgres import programs
from benchmarks.servers.relay import Relay
from benchmarks.servers.server import control
from benchmarks.servers.upstream import DATABASE_TEXT, Upstream
from proc import descendants

from verifying import left


def test_a_process_of_a_benchmark_inherits_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an account nor a switch of Python's."""
    for name in ("AWS_PROFILE", "LAMBDAKIT_TTL", "PYTHONDONTWRITEBYTECODE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, "1")
    script = "import json, os; print(json.dumps(sorted(os.environ)))"
    assert {"AWS_PROFILE", "LAMBDAKIT_TTL", "PYTHONDONTWRITEBYTECODE", "REQUESTS_CA_BUNDLE"}.isdisjoint(
        run_python(["-c", script], environ=clean_environ())
    )


@pytest.mark.parametrize(("script", "said"), [("raise SystemExit(3)", "ended with 3"), ("print('no JSON')", "JSON")])
def test_a_process_that_ends_badly_is_told(script: str, said: str) -> None:
    """Instead of a figure."""
    with pytest.raises(ProcessFailedError, match=said):
        run_python(["-c", script], environ=clean_environ())


def slow_at_first() -> dict[str, Any]:
    """What a benchmark prepares: a function whose first call takes longer than a sample, as a fetch does."""
    calls = []

    def get() -> int:
        calls.append(None)
        if len(calls) == 1:
            time.sleep(0.02)
        return len(calls)

    return {"get": get}


SLOW = {
    "name": "slow",
    "prepare": f"{__name__}:slow_at_first",
    "arguments": {},
    "statement": "get()",
    "answer": "get()",
}
WORKING = (
    "import json, sys; sys.path[:0] = ['tests', 'tests/benchmarks']; from benchmarks.framework import worker; "
    "print(json.dumps(worker.measure(json.load(sys.stdin))))"
)


def test_a_slow_first_call_is_no_sample() -> None:
    """The loops are those of the calls after it, and every execution is told, those too that do not count."""
    question = SLOW | {"samples": 3, "sample_s": 0.01}
    found = run_python(["-c", WORKING], environ=clean_environ(), question=question | {"loops": None})
    assert found["loops"] > 100
    assert found["samples_s"] == []  # it was pyperf's calibration
    assert found["executions"] == found["answer"] - 1
    done = run_python(["-c", WORKING], environ=clean_environ(), question=question | {"loops": 200})
    assert done["loops"] == 200
    assert len(done["samples_s"]) == 3
    assert max(done["samples_s"]) < 0.001
    assert done["executions"] == done["answer"] - 1 == 2 + 200 * 4
    (benchmark,) = done["pyperf"]["benchmarks"]
    assert benchmark["runs"][0]["values"] == done["samples_s"]


def test_pyperf_names_nobody() -> None:
    """What it notes of a machine is kept, but for names and paths."""
    done = run_python(
        ["-c", WORKING], environ=clean_environ(), question=SLOW | {"samples": 1, "sample_s": 0.001, "loops": 2}
    )
    told = str(done["pyperf"])
    assert "python_version" in told
    assert socket.gethostname() not in told or len(socket.gethostname()) < 4
    assert sys.prefix not in told


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
    steady = Steady(app, CallCounter(), delay_s)
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


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin((0,)) as origin:
        yield origin


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_origin_counts_and_hurts(scheme: str, origin: Origin) -> None:
    """Requests and connections by path; a frozen connection is closed now, or reset when it is used again."""
    import urllib3

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


@pytest.mark.skipif(sys.platform != "linux", reason="no other system drops a file from its page cache")
def test_files_are_read_from_the_disk_again(tmp_path: Path) -> None:
    """What was dropped is not in memory, until it is read; where a system cannot do that, nothing is claimed."""
    file = tmp_path / "module.py"
    with file.open("wb") as written:
        written.write(b"#" * 100_000)
        written.flush()
        os.fsync(written.fileno())  # a dirty page cannot be dropped
    pages = -(-100_000 // mmap.PAGESIZE)
    assert pagecache.resident(file) == (pages, pages)
    # A file system that is nothing but memory keeps them.
    assert pagecache.evict([file]) == (1.0 if _file_system(tmp_path) in {"tmpfs", "ramfs"} else 0.0)
    assert len(file.read_bytes()) == 100_000
    assert pagecache.resident(file) == (pages, pages)


def _file_system(path: Path) -> str:
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    over = [(len(place), kind) for place, kind in mounts if path.is_relative_to(place)]
    return max(over)[1]


def test_the_package_is_all_that_a_function_brings() -> None:
    """lambdakit, botocore with its data, and what they need; not the runtime client, which is Lambda's own."""
    names = {part for path in pagecache.files() for part in path.parts}
    assert {"lambdakit", "botocore", "boto3", "urllib3", "aws_lambda_powertools", "six.py"} <= names
    assert "awslambdaric" not in names


ROW = Row(what="cold", control="a, cold", treatment="b, cold")


@pytest.mark.parametrize("left", [0.0, 0.5])
def test_a_process_that_found_its_files_in_memory_is_not_verified(left: float) -> None:
    """It was not cold."""
    evidence = {pagecache.EVIDENCE: {"a": [{"left_in_page_cache": left}]}}
    checks = pagecache.verify(Measured(series={}, evidence=evidence))
    assert [check.passed for check in checks] == [left == 0.0]
    told = {pagecache.EVIDENCE: {"not measured": "this system has no way"}}
    assert (
        pagecache.verify(Measured(series={}, evidence=told)) == pagecache.verify(Measured(series={}, evidence={})) == []
    )


@pytest.mark.soak  # reads every file of the SDK from the disk
def test_cold_processes_are_measured_beside_the_others() -> None:
    """Each with its files dropped before; with rows of its own."""

    def measure(evicted: Any) -> dict[str, list[dict[str, Any]]]:
        trial = evicted(lambda way, round_: {"way": way, "round": round_})
        return {way: [trial(way, 0)] for way in "ab"}

    def series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
        return {f"{way}, cold": Series(unit="ms", processes=[[1.0]]) for way in trials}

    found = pagecache.add_cold(Measured(series={}, evidence={}), measure, series=series, rows=(ROW,))
    told = found.evidence[pagecache.EVIDENCE]
    if "not measured" in told:
        assert found.rows == ()
    else:
        assert (found.rows, [*found.series]) == ((ROW,), ["a, cold", "b, cold"])
        assert [check.passed for check in pagecache.verify(found)] == [True]


def test_phases_are_apart(tmp_path: Path) -> None:
    """Time within an import is the import's, within a client the client's; together they are all there is."""
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(0.05)\nimport ssl\nimport botocore.session\n")
    (tmp_path / "function.py").write_text(
        "import slow, time\n"
        "def handler(event, context):\n"
        "    import ssl, botocore.session\n"
        "    ssl.create_default_context()\n"
        "    botocore.session.Session()\n"
        "    time.sleep(0.03)\n"
        "    return event\n"
    )
    started = str(time.monotonic_ns())
    side = (str(tmp_path), "function", "module.handler(event, None)")
    done = run_python(
        ["-P", str(waterfall.SCRIPT), *side], environ=clean_environ(BENCH_STARTED_NS=started), question={"order": 1}
    )
    assert done["answer"] == {"order": 1}
    phases = done["phases"]
    assert tuple(phases) == waterfall.PHASES
    assert phases["imports"] >= 50
    assert phases["first call"] >= 30
    assert min(phases["TLS"], phases["clients"], phases["interpreter"], phases["runtime client"]) > 0
    checks = waterfall.verify({"one": [done]}, is_right=lambda answer: answer == {"order": 1})
    assert all(check.passed for check in checks)
    assert waterfall.figure({"one": [done]})["one"][2] == {"phase": "imports", "ms": phases["imports"]}
    wrong = waterfall.verify({"one": [done | {"took_ms": 1e9}]}, is_right=lambda _: False)
    assert not any(check.passed for check in wrong)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="finds the processes in /proc, which Linux has")
def test_a_server_ends_with_whoever_started_it() -> None:
    """Also by the hardest signal, and PostgreSQL with the process that looks after it."""
    if programs() is None:
        pytest.skip("pgserver is not installed: it has no wheel for this Python")
    script = (
        "from benchmarks.framework.run import QUICK, Run\n"
        "run = Run(QUICK)\n"
        "print(run.postgres.dsn, run.origin.announced, flush=True)\n"
        "import time; time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        started = descendants(process.pid)
        process.kill()
    assert len(started) > 3
    assert left(started, ("benchmarks", "postgres"), limit_s=20) == []
