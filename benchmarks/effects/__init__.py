"""The effects, in the order of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import (
    async_loop,
    client_reuse,
    cold_start,
    database,
    handler_overhead,
    import_cost,
    keep_alive,
    preload,
    secret_cache,
    secret_cold,
    single_flight,
)

if TYPE_CHECKING:
    from ..effect import Effect

LONG = frozenset(("keep_alive", "database", "async_loop"))  # 10 s each, also if fewer processes are measured

EFFECTS: dict[str, Effect] = {
    module.EFFECT.name: module.EFFECT
    for module in (
        import_cost,
        handler_overhead,
        client_reuse,
        secret_cache,
        single_flight,
        keep_alive,
        database,
        async_loop,
        secret_cold,
        preload,
        cold_start,
    )
}
