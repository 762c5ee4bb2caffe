"""SnapStart: what happens before a snapshot is taken, and after it is restored."""

from __future__ import annotations

from ._current import environment
from ._log import warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def register() -> None:
    """Register the hooks; for a process that is going to be a snapshot.

    They run in the order of registration after a restore, and in reverse before a snapshot: done when lambdakit is
    imported, ours are the last to see the process before, and the first to see it after, what users registered.
    """
    try:
        from snapshot_restore_py import register_after_restore, register_before_snapshot
    except ImportError:  # without it the runtime does not support SnapStart either
        warn("SnapStart: snapshot_restore_py is not installed; values and connections are not renewed after a restore")
        return
    register_before_snapshot(_quietly, lambda: environment().before_snapshot())
    register_after_restore(_quietly, lambda: environment().after_restore())


def _quietly(step: Callable[[], None]) -> None:
    try:
        step()
    except Exception as error:  # noqa: BLE001 - a hook that raises ends the environment
        warn("SnapStart: a step of lambdakit's failed (%s); the function goes on", type(error).__name__)
