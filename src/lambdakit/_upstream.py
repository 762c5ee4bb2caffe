"""Fetches within fetches: time that several of them wait is time that passed once."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# What a fetch runs sees it, in tasks and in threads that are started with a copy of the context too.
_FETCHING: ContextVar[bool] = ContextVar("lambdakit_fetching", default=False)


@contextmanager
def fetching() -> Iterator[bool]:
    """A fetch, for the length of the block; whether no other one surrounds it, so that its time counts."""
    outermost = not _FETCHING.get()
    token = _FETCHING.set(True)
    try:
        yield outermost
    finally:
        with suppress(ValueError):  # a coroutine that is thrown away ends in another context
            _FETCHING.reset(token)
