"""Fresh processes that inherit nothing of the caller's settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
_KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TMPDIR", "TZ", "VIRTUAL_ENV")
_LIMIT_S = 120.0  # of one process; none takes a tenth of it


class ProcessFailedError(Exception):
    """A process of a benchmark ended badly."""


def clean_environ(**added: str) -> dict[str, str]:
    """The variables of a process of ours: a few that every program needs, and what the benchmark sets.

    No ``AWS_``, ``LAMBDAKIT_`` or ``PYTHON`` variable of the caller is among them: in particular byte code is written
    and read, as in a deployed package. An AWS configuration file of the caller is not found either.
    """
    nowhere = str(Path(tempfile.gettempdir()) / "lambdakit-benchmarks-no-such-file")
    files = {"AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere, "AWS_EC2_METADATA_DISABLED": "true"}
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | files | added


def ask(arguments: Sequence[str], *, environ: Mapping[str, str], question: Any = None, cwd: Path = ROOT) -> Any:
    """Run Python with these arguments, hand it `question` as JSON, return the last line that it prints, from JSON.

    It stands in a session of its own, so that Ctrl-C reaches only us, who end it.

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
        said = "\n".join(error.stderr.splitlines()[-15:])
        raise ProcessFailedError(f"{arguments} ended with {error.returncode}:\n{said}") from error
    except subprocess.TimeoutExpired as error:
        raise ProcessFailedError(f"{arguments} took longer than {_LIMIT_S:g} s") from error
    except (IndexError, ValueError) as error:
        raise ProcessFailedError(f"{arguments} did not print JSON in its last line") from error
