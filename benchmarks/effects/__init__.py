"""The effects, in the order of the table."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..framework.effect import Effect

    EFFECTS: dict[str, Effect]

NAMES = (
    "import_cost",
    "handler_overhead",
    "metrics",
    "client_creation",
    "client_reuse",
    "resource",
    "secret_cache",
    "parameter_cache",
    "single_flight",
    "keep_alive",
    "oauth",
    "database",
    "async_loop",
    "secret_cold",
    "preload",
    "cold_start",
    "ablation",
    "warmup",
    "freeze",
    "stale_on_error",
    "fleet",
)


def __getattr__(name: str) -> dict[str, Effect]:
    """``EFFECTS``, by name, at its first use: a process that times one statement must not load them all."""
    if name != "EFFECTS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    effects = {name: import_module(f".{name}", __name__).EFFECT for name in NAMES}
    globals()["EFFECTS"] = effects
    return effects
