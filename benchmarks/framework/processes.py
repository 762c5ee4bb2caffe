"""Fresh processes that inherit none of the caller's settings; run as a program, the other end of `call`."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
_INHERITED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TMPDIR", "TZ", "VIRTUAL_ENV")
_LIMIT_S = 120.0  # of one process; none takes a tenth of it


class ProcessFailedError(Exception):
    """A process of a benchmark ended badly."""


def clean_environ(**added: str) -> dict[str, str]:
    """The variables of a process: a few that every program needs, and what the benchmark sets.

    No ``AWS_``, ``LAMBDAKIT_`` or ``PYTHON`` variable of the caller is among them: in particular byte code is written
    and read, as in a deployed package. An AWS configuration file of the caller is not found either.
    """
    nowhere = str(Path(tempfile.gettempdir()) / "lambdakit-benchmarks-no-such-file")
    files = {"AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere, "AWS_EC2_METADATA_DISABLED": "true"}
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | files | added


def run_python(arguments: Sequence[str], *, environ: Mapping[str, str], question: Any = None, cwd: Path = ROOT) -> Any:
    """Run Python with these arguments, and return the last line that it prints, from JSON.

    It stands in a session of its own, so that Ctrl-C reaches only its parent, which ends it.

    Args:
        arguments: of the interpreter.
        environ: all its variables.
        question: its standard input, as JSON.
        cwd: its working directory.

    Raises:
        ProcessFailedError: it did not end with 0, took too long, or its last line is not JSON.
    """
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            env=dict(environ),
            cwd=cwd,
            start_new_session=True,
            timeout=_LIMIT_S,
            check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        tail = "\n".join(error.stderr.splitlines()[-15:])
        raise ProcessFailedError(f"{arguments} ended with {error.returncode}:\n{tail}") from error
    except subprocess.TimeoutExpired as error:
        raise ProcessFailedError(f"{arguments} took longer than {_LIMIT_S:g} s") from error
    except (IndexError, ValueError) as error:
        raise ProcessFailedError(f"{arguments} did not print JSON in its last line") from error


def call(function: Callable[..., Any], *, environ: Mapping[str, str], **arguments: Any) -> Any:
    """Call a function of a module in a fresh process; its arguments and its result are JSON.

    Raises:
        ProcessFailedError: see `run_python`.
    """
    question = {"function": name_of(function), "arguments": arguments}
    return run_python(["-m", "benchmarks.framework.processes"], environ=environ, question=question)


def name_of(function: Callable[..., Any]) -> str:
    """``module:function``, by which another process finds it."""
    return f"{function.__module__}:{function.__qualname__}"


def call_by_name(name: str, arguments: Mapping[str, Any]) -> Any:
    """Call the function of that name in this process."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)(**arguments)


if __name__ == "__main__":
    wanted = json.load(sys.stdin)
    print(json.dumps(call_by_name(wanted["function"], wanted["arguments"])))
