"""How old this process is."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lambdakit import _process

FIELDS = ["S", *["0"] * 18]  # what stands before the time of the start, after the name


def stat(tmp_path: Path, text: str) -> str:
    path = tmp_path / "stat"
    path.write_text(text)
    return str(path)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells")
def test_a_process_just_started_is_young() -> None:
    """Its age begins with its start, not with its first import, and runs with time."""
    code = (
        "import time; from lambdakit import _process; first = _process.process_age_s(); time.sleep(0.05); "
        "print(first, _process.process_age_s())"
    )
    before = time.monotonic()
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    lasted = time.monotonic() - before
    first, second = map(float, told.stdout.split())
    assert 0.0 <= first < second < lasted + 0.1  # the system counts hundredths
    assert second - first >= 0.05
    mine = _process.process_age_s()
    assert mine is not None
    assert mine > lasted


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="only Linux has it")
@pytest.mark.parametrize("name", ["python3", "a) b (c", "((", ") S 1 2 3"])
def test_the_name_of_the_program_may_be_anything(tmp_path: Path, name: str) -> None:
    """It stands in brackets, and may have brackets and blanks itself."""
    ticks = os.sysconf("SC_CLK_TCK")
    started = (time.clock_gettime(time.CLOCK_BOOTTIME) - 42.0) * ticks
    age_s = _process.process_age_s(stat(tmp_path, f"7 ({name}) {' '.join([*FIELDS, str(int(started)), '0'])}\n"))
    assert age_s == pytest.approx(42.0, abs=1.0)


def test_a_start_in_the_future_is_now(tmp_path: Path) -> None:
    """Where the clocks do not agree: never a negative age, and never more than nothing."""
    age_s = _process.process_age_s(stat(tmp_path, f"7 (x) {' '.join([*FIELDS, str(10**15)])}"))
    assert age_s == (0.0 if hasattr(time, "CLOCK_BOOTTIME") else None)


@pytest.mark.parametrize("text", ["", "7 (x) S 1", "7 (x) " + " ".join([*FIELDS, "soon"]), "no brackets"])
def test_where_the_system_does_not_tell_it_is_not_known(tmp_path: Path, text: str) -> None:
    """An empty file, a short one, one that is something else."""
    assert _process.process_age_s(stat(tmp_path, text)) is None


def test_without_the_file_it_is_not_known(tmp_path: Path) -> None:
    """As on macOS."""
    assert _process.process_age_s(str(tmp_path / "none")) is None
