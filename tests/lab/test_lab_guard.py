from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab_parts import client_of, eventually, process_state
from lambdakit.lab import Lab

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SCRIPT = """
import json, os, sys, threading, time
from lab_parts import client_of
from lambdakit.lab import Lab

MANAGED = "lambda-managed-instances"
how, task_root, folder = sys.argv[1:]
with Lab() as lab:
    lab.deploy("child", "app.child", task_root=task_root, memory_mb=128)
    lab.deploy("busy", "app.sleep", task_root=task_root, memory_mb=128, timeout_s=600)
    client = client_of(lab)
    runtimes, theirs = [], []
    for event in ({}, {"own_session": True}):
        runtime, child = json.loads(client.invoke(FunctionName="child", Payload=json.dumps(event))["Payload"].read())
        runtimes.append(runtime)
        theirs.append(child)
    client.invoke(FunctionName="busy", InvocationType="Event", Payload="600")
    while not any(record.state == "busy" for record in lab.environments("busy")):
        time.sleep(0.005)
    runtimes += [record.pid for record in lab.environments("busy")]
    lab.deploy("snapshot", "app.echo", task_root=task_root, memory_mb=128, init_type="snap-start")
    lab.deploy("managed", "app.echo", task_root=task_root, memory_mb=128, init_type=MANAGED, max_concurrency=2)
    (snapshot,), (managed,) = lab.environments("snapshot"), lab.environments("managed")
    runtimes += [snapshot.pid, managed.pid]
    theirs += managed.workers
    lab.deploy("metrics", "app.measured", task_root=task_root, environment={"TMPDIR": folder}, memory_mb=512)
    client.invoke(FunctionName="metrics")
    runtimes += [record.pid for record in lab.environments("metrics")]
    assert len(os.listdir(folder)) == 1  # what tells the next process of the environment of this one
    client.close()
    if how == "forked" and os.fork() == 0:
        time.sleep(600)  # it holds a copy of the pipe to the guard
    print(json.dumps([runtimes, theirs]), flush=True)
    if how == "exception":
        raise LookupError("on purpose")
    if how != "returns":
        time.sleep(600)
"""

ENDS: dict[str, tuple[int | None, int]] = {  # the signal that is sent, what becomes of the process
    "returns": (None, 0),
    "exception": (None, 1),
    "SIGINT": (signal.SIGINT, -signal.SIGINT),
    "SIGTERM": (signal.SIGTERM, -signal.SIGTERM),
    "SIGHUP": (signal.SIGHUP, -signal.SIGHUP),
    "SIGKILL": (signal.SIGKILL, -signal.SIGKILL),
    "forked": (signal.SIGKILL, -signal.SIGKILL),
}


def children(pid: int) -> set[int]:
    """The processes whose parent is `pid`."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == pid:
            found.add(int(stat.parent.name))
    return found


def cgroups(pids: list[int]) -> list[Path]:
    """The directories of the CPU cgroups that these processes are in, where the lab made them."""
    found = []
    for pid in pids:
        for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines():
            _, controllers, path = line.split(":", 2)
            if "lambdakit-lab" in path:
                found.append(Path("/sys/fs/cgroup", "cpu" if "cpu" in controllers else "", path.strip("/")))
    return found


def gone(pid: int) -> bool:
    return process_state(pid) in ("", "Z", "X")  # a zombie is its new parent's to reap


@pytest.mark.parametrize("how", ENDS)
def test_nothing_is_left_however_the_lab_ends(how: str, task_root: Path, lab: Lab, tmp_path: Path) -> None:
    """No runtime, frozen, busy or at its snapshot, no child of one, in or out of its group, no guard, cgroup, file."""
    number, returncode = ENDS[how]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, how, str(task_root), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
        start_new_session=True,
    )
    assert script.stdout is not None
    runtimes, theirs = json.loads(script.stdout.readline())
    pids = [*runtimes, *theirs]
    if how in ("returns", "exception"):
        started, directories = set(pids), []
    else:
        helpers = children(script.pid)
        assert set(runtimes) <= helpers
        forked = {pid for pid in helpers if os.getsid(pid) == script.pid}
        assert len(forked) == (how == "forked")
        started, directories = {*pids, *helpers} - forked, cgroups(pids)
        assert len(helpers - forked - set(pids)) == 1  # the guard
        if lab.cpu_method.startswith("cgroup"):
            assert len(directories) == len(pids)
            assert all(directory.is_dir() for directory in directories)
    if number is not None:
        script.send_signal(number)
    if how == "forked":
        script.wait(30)
        script.stdout.close()
    else:
        _, stderr = script.communicate(timeout=30)
        assert (b"LookupError: on purpose" in stderr) == (how == "exception")
    assert script.returncode == returncode
    assert eventually(lambda: all(map(gone, started)), limit_s=15)
    assert eventually(lambda: not any(directory.exists() for directory in directories))
    assert eventually(lambda: [*tmp_path.iterdir()] == [])
    if how == "forked":
        for pid in forked:
            os.kill(pid, signal.SIGKILL)
        assert script.stderr is not None
        script.stderr.close()


@pytest.mark.parametrize("init_type", ["on-demand", "snap-start", "lambda-managed-instances"])
def test_a_child_outside_the_group_ends_with_its_environment_or_with_the_lab(init_type: str, task_root: Path) -> None:
    """Closing is enough, also without a cgroup."""
    with Lab(cpu_method="duty-cycle") as lab:
        lab.deploy("child", "app.child", task_root=task_root, init_type=init_type, max_concurrency=2)
        client = client_of(lab)
        pids: list[int] = json.loads(
            client.invoke(FunctionName="child", Payload=b'{"own_session": true}')["Payload"].read()
        )
        client.close()
        assert not any(map(gone, pids))
    assert eventually(lambda: all(map(gone, pids)))  # the kernel may still be at it


def test_a_lab_whose_guard_is_gone_starts_nothing(task_root: Path) -> None:
    """Rather no environment than one that could stay for ever."""
    before = children(os.getpid())
    with Lab() as lab:
        (guard,) = children(os.getpid()) - before
        lab.deploy("echo", "app.echo", task_root=task_root)
        os.kill(guard, signal.SIGKILL)
        assert eventually(lambda: gone(guard))
        client = client_of(lab)
        with pytest.raises(client.exceptions.ServiceException, match="guard process has ended"):
            client.invoke(FunctionName="echo")
        client.close()
        assert lab.environments("echo") == []


def test_the_guard_ignores_the_signals_of_a_terminal(task_root: Path) -> None:
    """It ends with the lab, not before."""
    before = children(os.getpid())
    with Lab() as lab:
        (guard,) = children(os.getpid()) - before
        lab.deploy("echo", "app.echo", task_root=task_root)
        client = client_of(lab)
        client.invoke(FunctionName="echo")  # it is listening by now: it was told of this environment
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(guard, number)
        assert client.invoke(FunctionName="echo")["StatusCode"] == 200
        client.close()
        assert not gone(guard)


def test_an_environment_takes_with_it_what_lambdakit_left_in_tmp(task_root: Path, tmp_path: Path) -> None:
    """When it is retired, when it crashes, and when the function is removed: not only with the lab."""
    with Lab() as lab:
        client = client_of(lab)
        for end in ("retire", "crash", "remove"):
            lab.deploy("f", "app.measured", task_root=task_root, environment={"TMPDIR": str(tmp_path)}, timeout_s=60)
            client.invoke(FunctionName="f")
            assert len([*tmp_path.iterdir()]) == 1
            if end == "crash":
                os.kill(lab.environments("f")[0].pid or 0, signal.SIGKILL)
            else:
                getattr(lab, end)("f")
            assert eventually(lambda: [*tmp_path.iterdir()] == [])
        client.close()
