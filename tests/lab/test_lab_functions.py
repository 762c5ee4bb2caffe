from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab_parts import Invoke, eventually, process_state
from lambdakit.exceptions import ConfigurationError, LambdakitError
from lambdakit.lab import Lab
from lambdakit.lab._functions import checked_function

BAD: list[tuple[str, Any]] = [
    ("name", ""),
    ("name", "a" * 65),
    ("name", "a b"),
    ("name", None),
    ("handler", "app"),
    ("handler", "app."),
    ("handler", ".handler"),
    ("handler", "app. handler"),
    ("handler", "a." + "b" * 127),
    ("task_root", "/no/such/directory"),
    ("task_root", __file__),
    ("task_root", 3),
    ("environment", {"1A": "x"}),
    ("environment", {"_HANDLER": "x"}),
    ("environment", {"AWS_LAMBDA_RUNTIME_API": "x"}),
    ("environment", {"TABLE": 3}),
    ("environment", {"TABLE": "a\0b"}),
    ("memory_mb", 127),
    ("memory_mb", 10241),
    ("memory_mb", 128.0),
    ("memory_mb", True),
    ("timeout_s", 0),
    ("timeout_s", -1),
    ("timeout_s", 900.1),
    ("timeout_s", float("nan")),
    ("timeout_s", "3"),
    ("timeout_s", True),
    ("init_type", "cold"),
    ("init_type", "provisioned-concurrency"),
    ("init_type", None),
    ("provisioned", -1),
    ("provisioned", 101),
    ("max_concurrency", 0),
    ("max_concurrency", 1001),
    ("python", "/no/such/python"),
    ("python", 3),
    ("qualifiers", "live"),
    ("qualifiers", ()),
    ("qualifiers", ("no spaces",)),
]
GOOD: list[tuple[str, Any]] = [
    ("name", "a" * 64),
    ("handler", "a." + "b" * 126),
    ("handler", "package/module.handler"),
    ("environment", {"AWS_ACCESS_KEY_ID": "mine"}),
    ("memory_mb", 128),
    ("memory_mb", 10240),
    ("timeout_s", 900),
    ("max_concurrency", 1000),
    ("max_concurrency", 1),
    ("qualifiers", ["7", "live"]),
]


@pytest.mark.parametrize(("argument", "value"), BAD)
def test_a_bad_argument_is_refused_by_name(argument: str, value: Any, lab: Lab, tmp_path: Path) -> None:
    """At once, with what is allowed; nothing is deployed."""
    good: dict[str, Any] = {"name": "bad", "handler": "app.handler", "task_root": tmp_path}
    with pytest.raises(ConfigurationError, match=f"^{argument}[=:]"):
        lab.deploy(**good | {argument: value})
    with pytest.raises(LambdakitError, match="No function 'bad' is deployed in this lab; deployed: "):
        lab.environments("bad")


@pytest.mark.parametrize(("argument", "value"), GOOD)
def test_a_good_argument_at_a_limit_is_taken(argument: str, value: Any, lab: Lab, tmp_path: Path) -> None:
    """Nothing runs yet."""
    good: dict[str, Any] = {"name": "good", "handler": "app.handler", "task_root": tmp_path, "python": sys.executable}
    arguments = good | {argument: value}
    lab.deploy(**arguments)
    assert lab.environments(arguments["name"]) == []
    lab.remove(arguments["name"])


@pytest.mark.parametrize("init_type", ["snap-start", "lambda-managed-instances"])
def test_provisioned_environments_are_on_demand(init_type: str, lab: Lab, tmp_path: Path) -> None:
    """The other ways do not mix with it; the message says which was asked for."""
    with pytest.raises(
        ConfigurationError, match=f"^provisioned=1 is not allowed; allowed: 0 with init_type='{init_type}'$"
    ):
        lab.deploy("f", "app.handler", task_root=tmp_path, init_type=init_type, provisioned=1)


@pytest.mark.parametrize(
    ("init_type", "expected"), [("on-demand", 100), ("snap-start", 100), ("lambda-managed-instances", 16)]
)
def test_how_many_may_run_at_once_by_default_depends_on_the_way(init_type: str, expected: int, tmp_path: Path) -> None:
    """Each worker of a managed instance is a process, so there are fewer."""
    function = checked_function(
        "f",
        "app.handler",
        task_root=tmp_path,
        environment=None,
        memory_mb=128,
        timeout_s=3,
        init_type=init_type,
        provisioned=0,
        max_concurrency=None,
        python=sys.executable,
        qualifiers=("$LATEST",),
    )
    assert function.max_concurrency == expected


def test_the_container_endpoint_is_the_labs_own_under_snap_start(lab: Lab, tmp_path: Path) -> None:
    """Elsewhere a function may be pointed at another one."""
    arguments: dict[str, Any] = {"task_root": tmp_path, "environment": {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "mine"}}
    lab.deploy("pointed", "app.handler", **arguments)
    lab.remove("pointed")
    with pytest.raises(ConfigurationError, match=r"^environment='AWS_CONTAINER_AUTHORIZATION_TOKEN' is not allowed"):
        lab.deploy("pointed", "app.handler", init_type="snap-start", **arguments)


def test_a_refused_variable_does_not_show_its_value(lab: Lab, tmp_path: Path) -> None:
    """Environment variables are where people keep secrets."""
    for environment in ({"PASSWORD": "hunter2\0"}, {"1PASSWORD": "hunter2"}):
        with pytest.raises(ConfigurationError) as caught:
            lab.deploy("f", "app.handler", task_root=tmp_path, environment=environment)
        assert "PASSWORD" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_a_provisioned_environment_that_fails_is_told_to_the_deployer(lab: Lab, task_root: Path) -> None:
    """With the function's own error; nothing is deployed, nothing is left."""
    with pytest.raises(LambdakitError, match=r"INIT of a provisioned environment failed: .*KeyError"):
        lab.deploy("f", "raises.handler", task_root=task_root, provisioned=2)
    with pytest.raises(LambdakitError, match="No function 'f'"):
        lab.environments("f")
    with pytest.raises(LambdakitError, match="No function 'f'"):
        lab.remove("f")
    with pytest.raises(LambdakitError, match="No function 'f'"):
        lab.retire("f")


BAD_LABS: list[dict[str, Any]] = [
    {"region": "us"},
    {"region": None},
    {"account": "1"},
    {"account": 123456789012},
    {"init_timeout_s": 0},
    {"init_timeout_s": float("inf")},
    {"init_timeout_s": "10"},
    {"restore_timeout_s": 0},
    {"restore_timeout_s": None},
    {"cpu_method": "wish"},
]


@pytest.mark.parametrize("arguments", BAD_LABS, ids=str)
def test_a_bad_argument_of_the_lab_is_refused_by_name(arguments: dict[str, Any]) -> None:
    """At once, with nothing left running."""
    with pytest.raises(ConfigurationError, match=f"^{next(iter(arguments))}="):
        Lab(**arguments)


def test_a_closed_lab_says_so() -> None:
    """Closing twice is closing once; afterwards each method names the state, and so does the repr."""
    lab = Lab()
    assert repr(lab) == f"<Lab {lab.url} cpu_method={lab.cpu_method!r}>"
    lab.close()
    lab.close()
    assert repr(lab) == "<Lab closed>"
    with pytest.raises(LambdakitError, match="This lab is closed"):
        lab.environments("f")


def test_a_forgotten_lab_warns_and_closes_itself() -> None:
    """As a forgotten file does."""
    lab = Lab()
    with pytest.warns(ResourceWarning, match=r"<Lab http://127.0.0.1:\d+ .*> was not closed"):
        lab.__del__()  # what the collector calls
    assert repr(lab) == "<Lab closed>"


@pytest.mark.parametrize(
    "code",
    [
        "lab = Lab()",
        "lab = Lab()\nif os.fork() == 0:\n sys.exit()\nassert os.wait()[1] == 0 and 'http' in repr(lab)",
        "with Lab() as lab:\n if os.fork() == 0:\n  sys.exit()\n assert os.wait()[1] == 0 and 'http' in repr(lab)",
    ],
    ids=["forgotten", "forgotten, and in a fork", "left by a fork"],
)
def test_a_process_with_a_lab_ends(code: str) -> None:
    """Also if nobody closes it; a forked child has no part in its parent's."""
    script = f"import os, sys\nfrom lambdakit.lab import Lab\n{code}"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def program(path: Path, *lines: str) -> Path:
    """An executable script of the shell."""
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["echo 'python9: not found' >&2", "exit 127"],
            "a Python interpreter that starts; this one: exit status 127: python9: not found",
        ),
        (["echo a shell"], "a Python interpreter that starts; this one: exit status 0: a shell"),
        (["kill -9 $$"], "a Python interpreter that starts; this one: exit status -9: "),
        ([f'exec {sys.executable} -S "$@"'], "an interpreter with awslambdaric; install it for this Python"),
    ],
)
def test_an_interpreter_that_cannot_run_a_function_is_refused(
    lines: list[str], said: str, lab: Lab, tmp_path: Path
) -> None:
    """When the function is deployed, with what it says itself."""
    python = program(tmp_path / "python9", *lines)
    with pytest.raises(ConfigurationError, match=f"^python=.*python9.* is not allowed; allowed: {re.escape(said)}"):
        lab.deploy("f", "app.handler", task_root=tmp_path, python=python)


def test_a_file_that_is_no_program_is_no_interpreter(lab: Lab, tmp_path: Path) -> None:
    """The system's own error is in the message."""
    (tmp_path / "python9").write_bytes(b"\0")
    (tmp_path / "python9").chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"interpreter that starts; this one: OSError: .*Exec format error"):
        lab.deploy("f", "app.handler", task_root=tmp_path, python=tmp_path / "python9")


def test_the_runtime_client_may_be_beside_the_function(
    deploy: Callable[..., str], invoke: Invoke, tmp_path: Path
) -> None:
    """As in a container image: an interpreter without packages of its own finds it where the function says."""
    python = program(tmp_path / "python9", f'exec {sys.executable} -S "$@"')
    packages = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("-packages"))}
    assert invoke(deploy("app.echo", python=python, environment=packages), {"a": 1}).value == {"a": 1}


@pytest.mark.parametrize("where", ["absolute", "in task_root"])
def test_a_wrapper_starts_the_runtime(where: str, deploy: Callable[..., str], invoke: Invoke, task_root: Path) -> None:
    """AWS_LAMBDA_EXEC_WRAPPER: with the runtime's command line; what it sets is seen by the function."""
    wrapper = program(task_root / "wrapper", "export WRAPPED=$#", 'exec "$@"')
    given = {"AWS_LAMBDA_EXEC_WRAPPER": str(wrapper) if where == "absolute" else "wrapper"}
    environ = invoke(deploy("app.about", environment=given)).value["environ"]
    assert (environ["WRAPPED"], environ["AWS_LAMBDA_EXEC_WRAPPER"]) == ("4", given["AWS_LAMBDA_EXEC_WRAPPER"])


def test_a_wrapper_that_is_not_there_is_refused(lab: Lab, task_root: Path) -> None:
    """The value of the variable is not in the message: none ever is."""
    given = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/planted-value"}
    with pytest.raises(ConfigurationError, match=r"^environment: AWS_LAMBDA_EXEC_WRAPPER is not the path") as caught:
        lab.deploy("f", "app.echo", task_root=task_root, environment=given)
    assert "planted-value" not in str(caught.value)


@pytest.mark.parametrize("init_type", ["on-demand", "snap-start"])
def test_an_environment_that_was_killed_while_idle_gets_no_invocation(
    init_type: str, deploy: Callable[..., str], invoke: Invoke, lab: Lab
) -> None:
    """Another one does; a snapshot is none that could be restored."""
    name = deploy("app.about", init_type=init_type)
    for number in range(3):
        if number or init_type == "on-demand":
            invoke(name)
        (record,) = lab.environments(name)
        assert record.pid is not None
        os.kill(record.pid, signal.SIGKILL)
        assert eventually(lambda pid=record.pid: process_state(pid) in ("", "Z"))  # type: ignore[misc]
        assert invoke(name).error is None
