"""What a function is: its configuration, checked when it is deployed."""

from __future__ import annotations

import math
import os
import re
import shutil
from dataclasses import dataclass, field
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
CORES_PER_MB = 1 / 1769  # Lambda: "at 1,769 MB, a function has the equivalent of one vCPU"

_NAME = re.compile(r"[a-zA-Z0-9-_]{1,64}")
_QUALIFIER = re.compile(r"\$LATEST|[a-zA-Z0-9-_]{1,128}")
_HANDLER = re.compile(r"[^\s.][^\s]*\.[^\s.]+")
_VALUE = re.compile(r"[^\0]*")
_VARIABLE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")

# Lambda keeps these names for itself. It keeps the credentials and the region too, but a local function is pointed at
# local services, so here those may be set.
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

# Under snap-start these are the lab's own: nothing else tells the processes of an environment from others.
_RESERVED_BESIDE = {SNAP_START: RESERVED | {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One deployed function; immutable, so that an environment can hold on to the one it was made from."""

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
    def cores(self) -> float:
        """The CPU share that the memory size buys, in cores."""
        return self.memory_mb * CORES_PER_MB

    @property
    def published(self) -> str:
        """The version of the environments that are made when the function is deployed."""
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
        ConfigurationError: an argument is not what Lambda allows; the message names it.
    """
    _require(is_match(_NAME, name), "name", name, "1 to 64 letters, digits, '-' and '_'")
    shaped = is_match(_HANDLER, handler) and len(handler) <= 128  # noqa: PLR2004 - Lambda's own limit
    _require(shaped, "handler", handler, "'module.function', at most 128 characters without white space")
    _require(_is_path(task_root) and os.path.isdir(task_root), "task_root", task_root, "a directory that exists")  # noqa: PTH112
    _require(_whole(memory_mb, 128, 10240), "memory_mb", memory_mb, "a whole number from 128 to 10240")
    _require(is_number(timeout_s) and 0 < timeout_s <= 900, "timeout_s", timeout_s, "above 0 and at most 900 seconds")  # noqa: PLR2004 - Lambda's own limit
    _require(init_type in INIT_TYPES, "init_type", init_type, ", ".join(map(repr, INIT_TYPES)))
    if max_concurrency is None:
        max_concurrency = MANAGED_CONCURRENCY if init_type == MANAGED else MAX_CONCURRENCY
    _require(_whole(max_concurrency, 1, 1000), "max_concurrency", max_concurrency, "a whole number from 1 to 1000")
    if init_type == ON_DEMAND:
        most, what = max_concurrency, f"a whole number from 0 to max_concurrency ({max_concurrency})"
    else:
        most, what = 0, f"0 with init_type={init_type!r}"
    _require(_whole(provisioned, 0, most), "provisioned", provisioned, what)
    interpreter = shutil.which(python) if _is_path(python) else None
    if interpreter is None:
        raise _wrong("python", python, "an executable Python interpreter")
    listed = (
        not isinstance(qualifiers, str) and len(qualifiers) > 0 and all(is_match(_QUALIFIER, q) for q in qualifiers)
    )
    _require(listed, "qualifiers", qualifiers, "a sequence of '$LATEST', version numbers and alias names")
    return Function(
        name=name,
        handler=handler,
        task_root=Path(task_root).resolve(),
        environment=_variables(environment or {}, _RESERVED_BESIDE.get(init_type, RESERVED)),
        memory_mb=memory_mb,
        timeout_s=float(timeout_s),
        init_type=init_type,
        provisioned=provisioned,
        max_concurrency=max_concurrency,
        python=os.path.abspath(interpreter),  # noqa: PTH100 - a virtual environment's link must not be resolved
        qualifiers=tuple(qualifiers),
    )


def _variables(environment: Mapping[str, str], reserved: frozenset[str]) -> dict[str, str]:
    """The function's own variables; a message names the variable, never its value."""
    for key, value in environment.items():
        named = is_match(_VARIABLE, key) and key not in reserved
        _require(named, "environment", key, "names of letters, digits and '_' that Lambda does not keep for itself")
        if not is_match(_VALUE, value):
            raise ConfigurationError(f"environment: the value of {key!r} is not a str without NUL; pass one")
    return dict(environment)


def is_match(pattern: re.Pattern[str], value: Any) -> bool:
    """Whether it is text that matches as a whole."""
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _require(condition: bool, argument: str, value: object, allowed: str) -> None:  # noqa: FBT001 - private
    if not condition:
        raise _wrong(argument, value, allowed)


def _wrong(argument: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"{argument}={value!r} is not allowed; allowed: {allowed}")
