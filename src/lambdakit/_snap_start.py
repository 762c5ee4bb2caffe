"""SnapStart: what happens before a snapshot is taken, and after it is restored."""

from __future__ import annotations

import os
import sys

from ._diagnostics import PLAIN, function_name, kind_of_function, log_exceptions, warn
from ._environment import environment, part
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from ._environment import Environment

    F = TypeVar("F", bound=Callable[..., Any])


def on_restore(fn: F) -> F:
    """Call a function of yours after each SnapStart restore: ``@lambdakit.on_restore``.

    It is called without arguments, before the first invocation, once lambdakit has renewed its clients, credentials and
    connections; several in the order of registration. One that raises is logged, and the others are called all the
    same. Elsewhere than under SnapStart it is never called.

    Raises:
        ConfigurationError: `fn` cannot be called, or would have to be awaited or read.

    Since 0.1.
    """
    if not callable(fn):
        raise ConfigurationError(f"on_restore: give a function without arguments, not {type(fn).__name__}")
    if (kind := kind_of_function(fn)) != PLAIN:
        raise ConfigurationError(f"on_restore: a {kind} function is awaited or read by nobody; give a function")
    part(Restore).functions.append(fn)
    return fn


class Restore:
    """What users want done after a restore; a forked child keeps it.

    Attributes:
        reseed: whether `random` is seeded anew.
        functions: what is called.
    """

    __slots__ = ("functions", "reseed")

    def __init__(self) -> None:
        self.reseed = True
        self.functions: list[Callable[[], object]] = []

    @classmethod
    def of(cls, env: Environment) -> Restore:  # noqa: ARG003 - what every part is made of
        """That of an environment."""
        return cls()

    def after_fork_in_child(self) -> bool:
        """It lives on."""
        return True


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
    # A hook that raises ends the environment.
    register_before_snapshot(log_exceptions, "SnapStart: not everything is closed before the snapshot", before_snapshot)
    register_after_restore(log_exceptions, "SnapStart: not everything is renewed after the restore", after_restore)


def before_snapshot() -> None:
    """Nothing that is secret or that would be dead afterwards goes into the snapshot."""
    environment()._renew()
    import gc

    gc.collect()  # values that only garbage refers to


def after_restore() -> None:
    """Another environment of the same snapshot has the same memory: become one of one's own, and call what users want.

    All environments of a snapshot have the state of its generators, so these are seeded.
    """
    env = environment()
    env._become_another()
    restore = env._parts[Restore]
    if restore.reseed and "random" in sys.modules:
        sys.modules["random"].seed()
    if "ssl" in sys.modules:
        sys.modules["ssl"].RAND_add(os.urandom(32), 32.0)
    for fn in restore.functions:
        log_exceptions(f"on_restore: {function_name(fn)}", fn)
