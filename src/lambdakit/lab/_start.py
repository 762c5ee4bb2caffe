"""Starting an environment: its port, its variables, its process, each known to the guard before it could be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._variables import variables

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._environment import Environment
    from ._runtime_api import RuntimeApi


async def start(
    environment: Environment, api: RuntimeApi, *, region: str, tell: Callable[[str], None], limited: bool
) -> None:
    """Start the process of an environment.

    Args:
        environment: the environment, not started yet.
        api: its Runtime API, not open yet.
        region: the region that the function believes it is in.
        tell: tells the guard.
        limited: as `Environment.start` has it.

    Raises:
        LambdakitError: the guard has ended.
        OSError: the system cannot start the process.
    """
    tell(f"+marker {environment.marker}")  # it is in a variable of every process to come, so none is ever unknown
    values = variables(
        environment.function,
        version=environment.version,
        init_type=environment.init_type,
        runtime_api=await api.open(),
        region=region,
        marker=environment.marker,
    )
    await environment.start(values, limited=limited)
    tell(f"+group {environment.pid}")
