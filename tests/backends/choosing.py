"""The backend that an environment has chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambdakit._backends import Backends

if TYPE_CHECKING:
    from lambdakit import Environment


def backend_of(env: Environment) -> Any:
    """What values come from."""
    return env._parts[Backends].backend
