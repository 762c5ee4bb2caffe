from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import lambdakit
from lambdakit._bench.options import checked
from lambdakit.cli import main

WRONG: list[tuple[list[str], str]] = [
    (["--cold", "0"], "--cold 0 is not allowed; allowed: a whole number from 1 to 1000"),
    (["--cold", "1001"], "--cold 1001"),
    (["--cold", "two"], "--cold two"),
    (["--warm", "0"], "--warm 0"),
    (["--warm", "100001"], "--warm 100001"),
    (["--memory", "lots"], "--memory lots is not allowed; allowed: a whole number from 128 to 10240"),
    (["--memory", "127"], "--memory 127"),
    (["--memory", "128,10241"], "--memory 10241"),
    (["--memory", "128,512,128"], "--memory 128,512,128 has a size twice"),
    (["--timeout", "0"], "--timeout 0"),
    (["--timeout", "900.1"], "--timeout 900.1"),
    (["--timeout", "nan"], "--timeout nan"),
    (["--timeout", "soon"], "--timeout soon is not allowed; allowed: seconds"),
    (["--task-root", "no-such"], "--task-root no-such is not allowed; allowed: a directory"),
    (["--against", "app.new", "--against-task-root", "no-such"], "--against-task-root no-such"),
    (["--against-task-root", "."], "--against-task-root is the directory of --against"),
    (["--against", "app.handler"], "--against app.handler is the function itself"),
    (["--python", "no-such-python"], "--python no-such-python is not allowed"),
    (
        ["--env", "NOT_SET_ANYWHERE"],
        "--env NOT_SET_ANYWHERE: the variable is not set in this shell; give NOT_SET",
    ),
    (["--env", "=value"], "--env without a name"),
    (["--event", "no-such.json"], "--event no-such.json cannot be read (No such file or directory)"),
    (["--json", "no-such/bench.json"], "--json no-such/bench.json is not allowed"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_a_wrong_argument_is_named(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what is allowed, and code 2, before anything is started."""
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "app.handler", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"lambdakit: {said}")


def test_an_event_that_is_not_json_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the place where it stops to be JSON."""
    (tmp_path / "event.json").write_text("{'id': 1}")
    assert main(["bench", "app.handler", "--event", str(tmp_path / "event.json")]) == 2
    assert "is not JSON (Expecting property name" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["bench"], ["bench", "app.handler", "--colder", "3"], ["bend"]])
def test_what_cannot_be_parsed_ends_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """And the usage."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: lambdakit" in capsys.readouterr().err


def test_the_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    """With its default."""
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    options = ["event", "cold", "warm", "memory", "against", "env", "task-root", "timeout", "python", "json"]
    assert all(f"--{option}" in said for option in options)
    assert "(default: 20)" in said


def test_python_m_is_the_same_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It tells the version, too."""
    monkeypatch.setattr(sys, "argv", ["lambdakit", "--version"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("lambdakit.__main__")  # as ``python -m`` does; it ends the process, so it never returns
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"lambdakit {lambdakit.__version__}\n"


def test_a_variable_has_the_value_that_is_given_or_the_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows the first = is the value, also nothing; the last one of a name counts; no repr shows any."""
    monkeypatch.setenv("TAKEN", "planted-value")
    options = checked("a.handler", env=["TAKEN", "EMPTY=", "QUERY=a=b", "TWICE=1", "TWICE=2"])
    assert options.environment == {"TAKEN": "planted-value", "EMPTY": "", "QUERY": "a=b", "TWICE": "2"}
    assert "planted-value" not in repr(options)


@pytest.mark.parametrize(("cold", "warm", "each"), [("20", "200", 10), ("3", "10", 4), ("10", "1", 1)])
def test_warm_invocations_are_spread_evenly(cold: str, warm: str, each: int) -> None:
    """Rounded up, so that each environment has one."""
    assert checked("a.handler", cold=cold, warm=warm).warm_each == each


WITHOUT = """
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from lambdakit.cli import main
sys.exit(main(["bench", "app.handler"]))
"""


@pytest.mark.parametrize("package", ["aiohttp", "awslambdaric"])
def test_without_the_extra_the_error_says_what_to_install(package: str) -> None:
    """Code 2, and one line."""
    command = [sys.executable, "-c", f"MISSING = {package!r}\n{WITHOUT}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    said = f"lambdakit: The lab needs {package}, which is not installed; install lambdakit[lab]\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
