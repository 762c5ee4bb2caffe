from __future__ import annotations

import importlib
import os
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


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{'id': 1}", "is not JSON (Expecting property name"),
        (b'{"id": NaN}', "is not JSON (NaN is no JSON"),
        (b"[-Infinity]", "is not JSON (-Infinity is no JSON"),
        (b"[" * 100_000, "is not JSON ("),  # too deep
        ('{"name": "Jürgen"}'.encode("latin-1"), "is not in UTF-8 or UTF-16 ("),
    ],
)
def test_an_event_that_is_not_json_is_refused(
    content: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what is wrong with it, before anything is started."""
    (tmp_path / "event.json").write_bytes(content)
    assert main(["bench", "app.handler", "--event", str(tmp_path / "event.json")]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_an_event_is_read_in_what_editors_write(encoding: str, tmp_path: Path) -> None:
    """With or without a byte order mark; what is sent is UTF-8 without one."""
    (tmp_path / "event.json").write_bytes('{"name": "Jürgen"}'.encode(encoding))
    assert checked("a.handler", event=str(tmp_path / "event.json")).event == '{"name": "Jürgen"}'.encode()


def test_a_path_for_packages_begins_in_this_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As --task-root does; an entry that is absolute, and an empty one, stay as they are."""
    monkeypatch.chdir(tmp_path)
    path = os.pathsep.join(["layer/python", "", "/opt/python"])
    expected = os.pathsep.join([str(tmp_path / "layer/python"), "", "/opt/python"])
    assert checked("a.handler", env=[f"PYTHONPATH={path}", "OTHER=layer"]).environment == {
        "PYTHONPATH": expected,
        "OTHER": "layer",
    }


def test_a_file_that_cannot_be_written_is_told_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is measured: the function does not exist, and nobody has noticed."""
    assert main(["bench", "no_such.handler", "--json", str(tmp_path)]) == 2
    assert (
        capsys.readouterr().err
        == f"lambdakit: --json {tmp_path} cannot be written (Is a directory); give a file that can\n"
    )


@pytest.mark.parametrize("before", [None, "what was there"])
def test_a_file_that_can_be_written_stays_as_it_is(before: str | None, tmp_path: Path) -> None:
    """Until there is something to write: the interpreter is wrong, and it is told after the file was looked at."""
    file = tmp_path / "bench.json"
    if before is not None:
        file.write_text(before)
    assert main(["bench", "app.handler", "--json", str(file), "--python", "no-such-python"]) == 2
    assert (file.read_text() if file.exists() else None) == before


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
