from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab_parts import Invoke, client_of, eventually, process_state
from lambdakit.exceptions import ConfigurationError
from lambdakit.lab import Lab
from lambdakit.lab._host.cpu import Cpu

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

Deploy = Callable[..., str]
QUOTA = """
def quota():
    with open("/proc/self/cgroup") as file:
        own = next(line.rstrip().split(":", 2)[2] for line in file if "cpu" in line.split(":")[1].split(","))
    with open(f"/sys/fs/cgroup/cpu{own}/cpu.cfs_quota_us") as file:
        return int(file.read()), own

in_init, _ = quota()

def handler(event, context):
    return [in_init, *quota()]
"""


@pytest.fixture(scope="module")
def stopping() -> Iterator[Lab]:
    """A lab that shares the CPU by stopping processes."""
    with Lab(cpu_method="duty-cycle") as lab:
        yield lab


def cgroup_v1(lab: Lab) -> None:
    if lab.cpu_method != "cgroup-v1":
        pytest.skip(f"shares the CPU by {lab.cpu_method} here")


def test_init_has_the_full_cpu_and_the_handler_its_share(
    lab: Lab, task_root: Path, deploy: Deploy, invoke: Invoke
) -> None:
    """1.447 ms in every 20 at 128 MB; the cgroup goes with its environment."""
    cgroup_v1(lab)
    (task_root / "quota.py").write_text(QUOTA, encoding="utf-8")
    name = deploy("quota.handler", memory_mb=128)
    in_init, in_handler, own = invoke(name).value
    directory = Path("/sys/fs/cgroup/cpu") / own.strip("/")
    assert (in_init, in_handler) == (-1, 1447)
    assert (directory / "cpu.cfs_period_us").read_text(encoding="ascii") == "20000\n"
    lab.retire(name)
    assert not directory.exists()


def test_a_share_of_all_cores_is_no_limit(lab: Lab, deploy: Deploy, invoke: Invoke) -> None:
    """No cgroup is made for it."""
    if (os.cpu_count() or 1) * 1769 > 10240:
        pytest.skip("no memory size buys all cores of this machine")
    name = deploy("app.about", memory_mb=10240)
    pid = invoke(name).value["pid"]
    ours, theirs = (Path(f"/proc/{p}/cgroup").read_text(encoding="ascii") for p in ("self", pid))
    assert theirs == ours
    assert lab.environments(name)[0].pid == pid


@pytest.mark.parametrize("memory_mb", [128, 512])
def test_a_busy_function_gets_no_more_than_its_share_by_cgroup(
    memory_mb: int, lab: Lab, deploy: Deploy, invoke: Invoke
) -> None:
    """CPU time divided by the time it took; a busy machine can only make that less."""
    cgroup_v1(lab)
    cpu_s, share = 0.08, memory_mb / 1769
    assert cpu_s / invoke(deploy("app.spin", memory_mb=memory_mb, timeout_s=60), cpu_s).value < share * 1.4


@pytest.mark.parametrize("memory_mb", [128, 512])
def test_a_busy_function_gets_no_more_than_its_share_by_duty_cycle(
    memory_mb: int, stopping: Lab, task_root: Path
) -> None:
    """The same without a cgroup.

    On a busy machine a signal can be late: what ran before it is paid for in the next pause, but for the last stretch.
    So one undisturbed invocation among a few is what is asked for.
    """
    cpu_s, share = 0.1, memory_mb / 1769
    stopping.deploy("spin", "app.spin", task_root=task_root, memory_mb=memory_mb, timeout_s=60)
    client = client_of(stopping)
    invoke = partial(client.invoke, FunctionName="spin", Payload=json.dumps(cpu_s))
    assert any(cpu_s / json.loads(invoke()["Payload"].read()) < share * 2 for _ in range(5))
    client.close()
    assert stopping.cpu_method == "duty-cycle"
    assert "cpu_method='duty-cycle'" in repr(stopping)


def test_a_duty_cycle_never_continues_what_is_frozen(stopping: Lab, task_root: Path) -> None:
    """After an invocation no signal of the cycle's comes: the environment stays stopped."""
    stopping.deploy("echo", "app.about", task_root=task_root, memory_mb=128, timeout_s=30)
    client = client_of(stopping)
    for _ in range(10):
        pid = json.loads(client.invoke(FunctionName="echo")["Payload"].read())["pid"]
        assert eventually(lambda pid=pid: process_state(pid) == "T")
    client.close()
    assert not eventually(lambda: process_state(pid) != "T", limit_s=0.2)


def version_2(root: Path, *, controllers: str = "cpuset cpu memory") -> Path:
    """A directory that looks like the top of a cgroup v2 tree."""
    root.mkdir(exist_ok=True)
    (root / "cgroup.controllers").write_text(controllers, encoding="ascii")
    (root / "cgroup.subtree_control").write_text("", encoding="ascii")
    return root


def test_cgroup_v2_is_told_in_its_own_words(tmp_path: Path) -> None:
    """The controller is enabled, cpu.max has quota and period; what is left in the cgroup is killed with it."""
    told: list[str] = []
    root = version_2(tmp_path / "cgroup")
    cpu = Cpu("cgroup-v2", prefix="lab", notify=told.append, root=root)
    share = cpu.share(0.5)
    directory = root / "lab-1"
    assert (root / "cgroup.subtree_control").read_text(encoding="ascii") == "+cpu"
    assert (directory / "cpu.max").read_text(encoding="ascii") == "max 20000"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        share.attach(process.pid)
        assert (directory / "cgroup.procs").read_text(encoding="ascii") == str(process.pid)
        share.limit()
        assert (directory / "cpu.max").read_text(encoding="ascii") == "10000 20000"
        share.remove()
        assert process.wait() == -9
    assert told == [f"+directory {directory}"]  # a real one would be removable by now: the guard keeps trying
    cpu.close()


@pytest.mark.parametrize("method", ["cgroup-v1", "cgroup-v2"])
def test_a_method_that_does_not_work_here_is_refused(method: str, tmp_path: Path) -> None:
    """Asked for by name it is an error; "auto" takes what works, at the least the duty cycle."""
    root = version_2(tmp_path / "cgroup", controllers="memory")
    (root / "cpu").mkdir()
    with pytest.raises(ConfigurationError, match=f"^cpu_method='{method}' does not work here"):
        Cpu(method, prefix="lab", notify=print, root=root)
    assert Cpu("auto", prefix="lab", notify=print, root=root).method == "duty-cycle"


def test_a_duty_cycle_of_one_core_or_more_is_no_limit() -> None:
    """Stopping cannot tell one core from several, so nothing is stopped."""
    cpu = Cpu("duty-cycle", prefix="lab", notify=print)
    shares: list[Any] = [cpu.share(cores) for cores in (0.9, 1.0)]
    assert [type(share).__name__ for share in shares] == ["DutyCycleShare", "Share"]
    cpu.close()
