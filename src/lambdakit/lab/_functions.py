"""The configuration of a function, validated when it is deployed."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LATEST = "$LATEST"
ON_DEMAND = "on-demand"
PROVISIONED = "provisioned-concurrency"
SNAP_START = "snap-start"
MANAGED = "lambda-managed-instances"
INIT_TYPES = (ON_DEMAND, SNAP_START, MANAGED)  # PROVISIONED has an argument of its own
MAX_CONCURRENCY = 100
MANAGED_CONCURRENCY = 16  # Lambda, for Python and one vCPU
MB_PER_CORE = 1769  # Lambda: "at 1,769 MB, a function has the equivalent of one vCPU"
MIN_MEMORY_MB, MAX_MEMORY_MB = 128, 10_240
MAX_TIMEOUT_S = 900
WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
_START_TIMEOUT_S = 30.0  # of an interpreter
_SHOWN = 200  # characters of what one says that does not start

_NAME = re.compile(r"[a-zA-Z0-9-_]{1,64}")
_QUALIFIER = re.compile(r"\$LATEST|[a-zA-Z0-9-_]{1,128}")
_HANDLER = re.compile(r"[^\s.][^\s]*\.[^\s.]+")
_VALUE = re.compile(r"[^\0]*")
_VERSION = re.compile(r"\d+\.\d+")
_VARIABLE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")

# Lambda reserves these names. It reserves the credentials and the region, too; those may be set here, since a local
# function uses local services.
RESERVED = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_MAX_CONCURRENCY",
        "AWS_LAMBDA_RUNTIME_API",
        "_LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET",
        "LAMBDA_TASK_ROOT",
    }
)

# Under snap-start the lab needs these itself: nothing else identifies the processes of an environment.
_RESERVED_IN_SNAPSHOTS = RESERVED | {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One deployed function; immutable, since environments refer to the one that they were created from."""

    name: str
    handler: str
    task_root: Path
    environment: Mapping[str, str] = field(repr=False)  # where people keep secrets
    memory_mb: int
    timeout_s: float
    init_type: str
    provisioned: int
    max_concurrency: int
    python: str
    qualifiers: tuple[str, ...]

    @property
    def wrapper(self) -> list[str]:
        """The program that starts the runtime, if there is one: it is given the runtime's command line."""
        given = self.environment.get(WRAPPER)
        return [str(self.task_root / given)] if given else []

    @property
    def cores(self) -> float:
        """The CPU share that the memory size buys, in cores."""
        return self.memory_mb / MB_PER_CORE

    @property
    def published(self) -> str:
        """The version of the environments that are created when the function is deployed."""
        return self.version_of(self.qualifiers[-1]) or LATEST

    def version_of(self, qualifier: str | None) -> str | None:
        """The version that a qualifier names, or None if there is no such qualifier.

        A number is a version. An alias is the highest version listed beside it, or ``$LATEST`` if there is none.
        """
        if qualifier is None or qualifier == LATEST:
            return LATEST
        if qualifier not in self.qualifiers:
            return None
        if qualifier.isdecimal():
            return qualifier
        return max((q for q in self.qualifiers if q.isdecimal()), key=int, default=LATEST)


def checked_function(
    name: str,
    handler: str,
    *,
    task_root: str | os.PathLike[str],
    environment: Mapping[str, str] | None,
    memory_mb: int,
    timeout_s: float,
    init_type: str,
    provisioned: int,
    max_concurrency: int | None,
    python: str | os.PathLike[str],
    qualifiers: Sequence[str],
) -> Function:
    """A function from the arguments of `Lab.deploy`.

    Raises:
        ConfigurationError: an argument is not allowed; the message names it.
    """
    require(is_match(_NAME, name), "name", name, "1 to 64 letters, digits, '-' and '_'")
    shaped = is_match(_HANDLER, handler) and len(handler) <= 128  # noqa: PLR2004 - Lambda's own limit
    require(shaped, "handler", handler, "'module.function', at most 128 characters without white space")
    require(_is_path(task_root) and os.path.isdir(task_root), "task_root", task_root, "a directory that exists")  # noqa: PTH112
    sizes = f"a whole number from {MIN_MEMORY_MB} to {MAX_MEMORY_MB}"
    require(_is_whole(memory_mb, MIN_MEMORY_MB, MAX_MEMORY_MB), "memory_mb", memory_mb, sizes)
    is_time = is_number(timeout_s) and 0 < timeout_s <= MAX_TIMEOUT_S
    require(is_time, "timeout_s", timeout_s, f"above 0 and at most {MAX_TIMEOUT_S} seconds")
    require(init_type in INIT_TYPES, "init_type", init_type, ", ".join(map(repr, INIT_TYPES)))
    if max_concurrency is None:
        max_concurrency = MANAGED_CONCURRENCY if init_type == MANAGED else MAX_CONCURRENCY
    require(_is_whole(max_concurrency, 1, 1000), "max_concurrency", max_concurrency, "a whole number from 1 to 1000")
    if init_type == ON_DEMAND:
        most, what = max_concurrency, f"a whole number from 0 to max_concurrency ({max_concurrency})"
    else:
        most, what = 0, f"0 with init_type={init_type!r}"
    require(_is_whole(provisioned, 0, most), "provisioned", provisioned, what)
    interpreter = shutil.which(python) if _is_path(python) else None
    if interpreter is None:
        raise _not_allowed("python", python, "an executable Python interpreter")
    interpreter = os.path.abspath(interpreter)  # noqa: PTH100 - a virtual environment's link must not be resolved
    version = python_version(interpreter)
    listed = (
        not isinstance(qualifiers, str) and len(qualifiers) > 0 and all(is_match(_QUALIFIER, q) for q in qualifiers)
    )
    require(listed, "qualifiers", qualifiers, "a sequence of '$LATEST', version numbers and alias names")
    function = Function(
        name=name,
        handler=handler,
        task_root=Path(task_root).resolve(),
        environment=_variables(environment or {}, _RESERVED_IN_SNAPSHOTS if init_type == SNAP_START else RESERVED),
        memory_mb=memory_mb,
        timeout_s=float(timeout_s),
        init_type=init_type,
        provisioned=provisioned,
        max_concurrency=max_concurrency,
        python=interpreter,
        qualifiers=tuple(qualifiers),
    )
    if any(shutil.which(wrapper) is None for wrapper in function.wrapper):
        raise ConfigurationError(
            f"environment: {WRAPPER} is not the path of an executable file; give one that is, absolute or in task_root"
        )
    if not function.wrapper and not _has_client(function):  # a wrapper may be what says where it is
        raise _not_allowed("python", python, f"an interpreter with awslambdaric; install it for this Python {version}")
    return function


def _has_client(function: Function) -> bool:
    """Whether the interpreter finds the runtime client, where it is installed or where the function says."""
    if function.python == os.path.abspath(sys.executable):  # noqa: PTH100 - as above; the lab has looked for it
        return True
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('awslambdaric') is None)"
    try:
        done = subprocess.run(  # noqa: S603 - the user's interpreter
            [function.python, "-c", code],
            cwd=function.task_root,
            env={"PATH": os.environ.get("PATH", os.defpath), **function.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_START_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


@cache
def python_version(python: str) -> str:
    """Major and minor version of an interpreter, such as "3.12".

    Raises:
        ConfigurationError: it does not start.
    """
    if python == os.path.abspath(sys.executable):  # noqa: PTH100 - as above
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [python, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(  # noqa: S603 - the user's interpreter
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_START_TIMEOUT_S, check=False
        )
        said, code = done.stdout.decode(errors="replace").strip(), f"exit status {done.returncode}"
        told = done.stderr.decode(errors="replace").strip() or said
    except (OSError, subprocess.TimeoutExpired) as error:
        said, code, told = "", type(error).__name__, str(error)
    if _VERSION.fullmatch(said) is None:
        raise _not_allowed("python", python, f"a Python interpreter that starts; this one: {code}: {told[-_SHOWN:]}")
    return said


def _variables(environment: Mapping[str, str], reserved: frozenset[str]) -> dict[str, str]:
    """The function's own variables; a message names the variable, never its value."""
    for key, value in environment.items():
        named = is_match(_VARIABLE, key) and key not in reserved
        require(named, "environment", key, "names of letters, digits and '_' that Lambda does not reserve")
        if not is_match(_VALUE, value):
            raise ConfigurationError(f"environment: the value of {key!r} is not a str without NUL; pass one")
    return dict(environment)


def is_match(pattern: re.Pattern[str], value: Any) -> bool:
    """Whether a value is a str that matches as a whole."""
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def require(condition: bool, argument: str, value: object, allowed: str) -> None:  # noqa: FBT001 - reads like an assertion
    """Raise a ConfigurationError that names an argument, unless a condition holds."""
    if not condition:
        raise _not_allowed(argument, value, allowed)


def _not_allowed(argument: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"{argument}={value!r} is not allowed; allowed: {allowed}")
