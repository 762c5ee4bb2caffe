"""An invocation on an event loop that is running already: what a test that is a coroutine gets to await."""

from __future__ import annotations

import sys
from contextlib import suppress

from ._invocation import CURRENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

    from ._environment import Environment
    from ._invocation import Invocation


def in_loop() -> bool:
    """Whether an event loop is running in this thread."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None  # noqa: SLF001 - the public one raises


async def answered(answer: Any) -> Any:
    """`answer`, for a caller who awaits it."""
    return answer


def rest(env: Environment, invocation: Invocation, work: Awaitable[Any]) -> Awaitable[Any]:
    """What remains of an invocation whose work has yet to be awaited. Tasks that it leaves over are the loop's."""
    CURRENT.reset(invocation.token)  # not the caller's any more: another task may be the one that awaits it
    return _rest(env, invocation, work)


async def _rest(env: Environment, invocation: Invocation, work: Awaitable[Any]) -> Any:
    invocation.token = CURRENT.set(invocation)
    try:
        return await work
    except BaseException as error:
        invocation.error = type(error).__name__
        raise
    finally:
        with suppress(ValueError):  # thrown away half done, a coroutine ends in another context
            env.end(invocation)
