"""The options of a run, checked before anything starts."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..exceptions import ConfigurationError
from ..lab._functions import MAX_MEMORY_MB, MAX_TIMEOUT_S, MB_PER_CORE, MIN_MEMORY_MB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_COLD = 1_000
MAX_WARM = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One function.

    Attributes:
        label: its name in tables; unique.
        handler: ``module.function``.
        task_root: the directory with its code.
    """

    label: str
    handler: str
    task_root: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one run.

    Attributes:
        sides: the function, and the one that it is measured against, if any.
        event: the event, as JSON.
        cold: environments for each function and memory size.
        warm: warm invocations for each function and memory size, spread over its environments.
        memory_mb: the memory sizes.
        environment: the functions' own variables.
        timeout_s: the functions' time-out.
        python: the interpreter that runs them.
    """

    sides: Sequence[Side]
    event: bytes
    cold: int
    warm: int
    memory_mb: Sequence[int]
    environment: Mapping[str, str] = field(repr=False)  # where people keep secrets
    timeout_s: float
    python: str

    @property
    def warm_each(self) -> int:
        """Warm invocations in each environment."""
        return -(-self.warm // self.cold)


def checked(
    handler: str,
    *,
    event: str | None = None,
    cold: str = "20",
    warm: str = "200",
    memory: str = str(MB_PER_CORE),
    against: str | None = None,
    env: Sequence[str] = (),
    task_root: str = ".",
    against_task_root: str | None = None,
    timeout: str = "30",
    python: str = sys.executable,
) -> Options:
    """Options from the text of the command line's arguments.

    Raises:
        ConfigurationError: one of them is not allowed; the message names it.
    """
    root = _directory("--task-root", task_root)
    sides = [Side(label=handler, handler=handler, task_root=root)]
    if against is None and against_task_root is not None:
        raise ConfigurationError("--against-task-root is the directory of --against: give that, too")
    if against is not None:
        other = root if against_task_root is None else _directory("--against-task-root", against_task_root)
        if (against, other) == (handler, root):
            raise ConfigurationError(f"--against {against} is the function itself: give another one")
        label = against if against != handler else f"{against} in {against_task_root}"
        sides.append(Side(label=label, handler=against, task_root=other))
    sizes = [_whole("--memory", part, MIN_MEMORY_MB, MAX_MEMORY_MB) for part in memory.split(",")]
    if len(set(sizes)) < len(sizes):
        raise ConfigurationError(f"--memory {memory} has a size twice: give each once")
    return Options(
        sides=sides,
        event=_event(event),
        cold=_whole("--cold", cold, 1, MAX_COLD),
        warm=_whole("--warm", warm, 1, MAX_WARM),
        memory_mb=sizes,
        environment=_variables(env),
        timeout_s=_seconds("--timeout", timeout),
        python=_interpreter(python),
    )


def _directory(option: str, text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise _not_allowed(option, text, "a directory that exists")
    return path.resolve()


def _interpreter(text: str) -> str:
    found = shutil.which(text)
    if found is None:
        raise _not_allowed("--python", text, "an executable Python interpreter")
    return found


def _whole(option: str, text: str, low: int, high: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise _not_allowed(option, text, f"a whole number from {low} to {high}")
    return number


def _seconds(option: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= MAX_TIMEOUT_S:  # nor is NaN
        raise _not_allowed(option, text, f"seconds, above 0 and at most {MAX_TIMEOUT_S}")
    return seconds


def _event(name: str | None) -> bytes:
    if name is None:
        return b"{}"
    try:
        content = Path(name).read_bytes()
        text = content.decode(json.detect_encoding(content))  # UTF-8, 16 or 32, with or without a byte order mark
        json.loads(text, parse_constant=_no_constant)
    except OSError as cause:
        raise ConfigurationError(f"--event {name} cannot be read ({cause.strerror}); give a file with JSON") from cause
    except UnicodeDecodeError as cause:
        raise ConfigurationError(f"--event {name} is not in UTF-8 or UTF-16 ({cause}); save it in UTF-8") from cause
    except (ValueError, RecursionError) as cause:
        raise ConfigurationError(f"--event {name} is not JSON ({cause}); give a file with JSON") from cause
    return text.encode()  # what the Invoke API takes


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON, though Python writes it")


def _variables(given: Sequence[str]) -> dict[str, str]:
    """The variables; a message names one, never its value."""
    variables = {}
    for entry in given:
        name, assigned, value = entry.partition("=")
        if not name:
            raise _not_allowed("--env", "without a name", "NAME=VALUE, or NAME")
        if not assigned and name not in os.environ:
            raise ConfigurationError(f"--env {name}: the variable is not set in this shell; give {name}=VALUE")
        variables[name] = value if assigned else os.environ[name]
    if path := variables.get("PYTHONPATH"):  # relative to here, as --task-root is; the function begins in that
        entries = [str(Path(entry).absolute()) if entry else entry for entry in path.split(os.pathsep)]
        variables["PYTHONPATH"] = os.pathsep.join(entries)
    return variables


def _not_allowed(option: str, text: str, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"{option} {text} is not allowed; allowed: {allowed}")
