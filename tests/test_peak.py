"""The most memory that a process has had."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from lambdakit._process import Peak, high_water_kb

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def values(them: Iterable[float | None]) -> Callable[[], float]:
    return iter(them).__next__  # type: ignore[return-value] # None where the system does not tell


def usage(*used_kb: float) -> Callable[[], tuple[float, int]]:
    """One after the other; each time there was a page fault."""
    return iter([(kb, faults) for faults, kb in enumerate(used_kb)]).__next__


def test_the_cheap_figure() -> None:
    """Where it is this process's own, the other is looked at once."""
    peak = Peak(usage(2048, 2048, 4096), values([2000]))  # type: ignore[arg-type] # whole numbers
    assert [peak.mb(), peak.mb()] == [2.0, 4.0]


def test_what_was_inherited_is_not_told() -> None:
    """Until the figure grows it is the other process's, and the own one is asked for."""
    peak = Peak(usage(8192, 8192, 8192, 9216), values([2000, 2048, 3072]))  # type: ignore[arg-type] # as above
    assert [peak.mb(), peak.mb(), peak.mb()] == [2.0, 3.0, 9.0]


def test_without_a_page_fault_nothing_has_grown() -> None:
    """So the figure that takes long to ask for is not asked for again."""
    asked = iter([(8192, 5), (8192, 5), (8192, 6), (8192, 6)])
    peak = Peak(asked.__next__, values([2048, 3072]))  # type: ignore[arg-type] # as above
    assert [peak.mb(), peak.mb(), peak.mb()] == [2.0, 3.0, 3.0]


@pytest.mark.parametrize(("used_kb", "expected"), [(3072, 3.0), (3073, 2.0)])
def test_a_megabyte_between_the_figures_is_nobody_elses(used_kb: int, expected: float) -> None:
    """They are counted at different moments."""
    assert Peak(usage(used_kb, used_kb), values([2048] * 2)).mb() == expected  # type: ignore[arg-type] # as above


def test_where_the_system_does_not_tell() -> None:
    """The cheap figure will have to do; one that was inherited is not known any more."""
    assert Peak(usage(2048, 3072), lambda: None).mb() == 3.0
    assert Peak(usage(8192, 8192), values([2048, None])).mb() is None  # type: ignore[arg-type] # as above


@linux
def test_the_high_water_mark_of_this_process(tmp_path: Path) -> None:
    """As Linux has it; None where there is no such file, or another one."""
    own_kb = high_water_kb()
    assert own_kb is not None
    assert own_kb > 1000
    (tmp_path / "status").write_text("Name: VmHWMless\nVmHWM:\t   11344 kB\nVmRSS: 5 kB\n", encoding="ascii")
    assert high_water_kb(str(tmp_path / "status")) == 11344
    for text in ("", "Name: x\n", "VmHWM:\n", "VmHWM: much\n"):
        (tmp_path / "status").write_text(text, encoding="ascii")
        assert high_water_kb(str(tmp_path / "status")) is None
    assert high_water_kb(str(tmp_path / "missing")) is None


GROW = """
import json, sys
from lambdakit._process import Peak
peak = Peak()
seen = [peak.mb()]
if len(sys.argv) > 1:
    data = bytearray(b"x") * (int(sys.argv[1]) << 20)
    seen.append(peak.mb())
    del data
    seen.append(peak.mb())
print(json.dumps(seen))
"""


def test_a_process_that_grows_and_shrinks() -> None:
    """The most it had, whatever it has now."""
    done = subprocess.run([sys.executable, "-c", GROW, "64"], capture_output=True, check=True, timeout=60)
    before, grown, after = json.loads(done.stdout)
    assert 60 < grown - before < 80
    assert after > grown - 1


LARGE = f"""
import subprocess, sys
data = bytearray(b"x") * (128 << 20)
subprocess.run([sys.executable, "-c", {GROW!r}, *sys.argv[1:]], check=True, timeout=60)
"""


def test_the_process_that_started_this_one_does_not_count() -> None:
    """However large it was."""
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, check=True, timeout=60)
    (mb,) = json.loads(done.stdout)
    assert 1 < mb < 64


@linux
def test_a_small_process_that_grows_is_told_of_though_a_large_one_started_it() -> None:
    """Its page faults say that it does."""
    done = subprocess.run([sys.executable, "-c", LARGE, "32"], capture_output=True, check=True, timeout=60)
    before, grown, after = json.loads(done.stdout)
    assert 30 < grown - before < 48
    assert after > grown - 1
    assert after < 64
