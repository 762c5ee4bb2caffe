"""The benchmark suite: its statistics, what it writes, what it refuses, and that it leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks import app, stats
from benchmarks.effect import Check, at_most, times_less
from benchmarks.effects import EFFECTS, client_reuse
from benchmarks.processes import ROOT, ProcessFailedError, ask, clean_environ
from benchmarks.run import Size
from benchmarks.upstream import Upstream
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
    from benchmarks.effect import Series

    def series(value: float) -> Series:
        return Series(unit="ms", processes=[[value]])

    assert [at_most(2, "ms").holds(series(9), series(value)) for value in (2.0, 2.1)] == [True, False]
    assert [times_less(3).holds(series(value), series(1)) for value in (3.0, 2.9)] == [True, False]


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
