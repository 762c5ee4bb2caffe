"""The environment of this process."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager

from ._environment import Environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_stack: list[Environment] = []
_lock = threading.Lock()


def environment() -> Environment:
    """The environment of this process, made at the first call.

    Thread-safe. Since 0.1.
    """
    return _stack[-1] if _stack else _first()


def _first() -> Environment:
    with _lock:
        if not _stack:  # another thread may have been faster
            _stack.append(Environment())
        return _stack[-1]


@contextmanager
def use_environment(env: Environment) -> Iterator[Environment]:
    """Put `env` in the place of the process's environment for the length of a ``with`` block.

    It nests, and restores what was there before, also when the block raises. `env` is not closed. For the whole
    process, not for a thread: a test replaces what handlers in all its threads use. Since 0.1.
    """
    at = len(_stack)
    _stack.append(env)
    try:
        yield env
    finally:
        del _stack[at:]


def _in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()
    for env in dict.fromkeys(_stack):
        env.after_fork()


os.register_at_fork(after_in_child=_in_child)
