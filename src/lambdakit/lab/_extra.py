"""The part of the lab that needs the extra."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..exceptions import MissingDependencyError

if TYPE_CHECKING:
    from ._environments import Settings
    from ._plane import ControlPlane


def load() -> tuple[type[ControlPlane], type[Settings]]:
    """What needs the extra.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        _require_module("awslambdaric")  # it runs in other processes only
        from ._environments import Settings
        from ._plane import ControlPlane
    except ModuleNotFoundError as cause:
        if cause.name not in ("aiohttp", "awslambdaric"):
            raise
        raise MissingDependencyError(
            f"The lab needs {cause.name}, which is not installed; install lambdakit[lab]", name=cause.name
        ) from cause
    return ControlPlane, Settings


def _require_module(name: str) -> None:
    if find_spec(name) is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
