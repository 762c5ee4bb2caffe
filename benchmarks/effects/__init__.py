"""The effects, in the order of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import (
    client_reuse,
    cold_start,
    handler_overhead,
    import_cost,
    preload,
    secret_cache,
    secret_cold,
    single_flight,
)

if TYPE_CHECKING:
    from ..effect import Effect

EFFECTS: dict[str, Effect] = {
    module.EFFECT.name: module.EFFECT
    for module in (
        import_cost,
        handler_overhead,
        client_reuse,
        secret_cache,
        single_flight,
        secret_cold,
        preload,
        cold_start,
    )
}
