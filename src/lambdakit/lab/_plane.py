"""The control plane: which functions there are, behind which doors they are served."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from ..exceptions import LambdakitError
from ._invoke_api import InvokeApi
from ._pool import Pool

if TYPE_CHECKING:
    from ._environments import Settings
    from ._functions import Function


class ControlPlane:
    """All functions of one lab with its Invoke API; all methods are called on the lab's loop."""

    __slots__ = ("_listener", "_pools", "_replaced", "_server", "_settings")

    def __init__(self, settings: Settings, *, account: str) -> None:
        self._settings = settings
        self._pools: dict[str, Pool] = {}
        self._replaced: list[Pool] = []  # their last invocations may still run
        api = InvokeApi(self._pools, region=settings.region, account=account)
        self._server = web.Server(api.answer, access_log=None)
        self._listener: asyncio.Server | None = None

    async def open(self) -> str:
        """Start to listen; the answer is the URL."""
        self._listener = await asyncio.get_running_loop().create_server(self._server, "127.0.0.1", 0)
        host, port = self._listener.sockets[0].getsockname()
        return f"http://{host}:{port}"

    async def deploy(self, function: Function) -> None:
        """Add a function, or replace the one of that name.

        Raises:
            LambdakitError: a provisioned environment did not come up; the function is not deployed then.
        """
        pool = Pool(function, self._settings)
        try:
            await pool.prepare()
        except BaseException:
            await pool.close()
            raise
        await self._drop(function.name)
        self._pools[function.name] = pool

    def pool(self, name: str) -> Pool:
        """One function's environments.

        Raises:
            LambdakitError: there is no such function.
        """
        try:
            return self._pools[name]
        except KeyError:
            known = ", ".join(map(repr, self._pools)) or "none"
            raise LambdakitError(f"No function {name!r} is deployed in this lab; deployed: {known}") from None

    async def remove(self, name: str) -> None:
        """Take a function away.

        Raises:
            LambdakitError: there is no such function.
        """
        self.pool(name)
        await self._drop(name)

    async def retire(self, name: str) -> None:
        """End a function's environments, the busy ones after their invocation.

        Raises:
            LambdakitError: there is no such function.
        """
        pool = self.pool(name)
        pool.retire()
        await pool.settle()

    async def close(self) -> None:
        """End everything now, also what is in flight."""
        if self._listener is not None:
            self._listener.close()
        pools = [*self._pools.values(), *self._replaced]
        await asyncio.gather(*(pool.close() for pool in pools), return_exceptions=True)
        await self._server.shutdown(0.02)

    async def _drop(self, name: str) -> None:
        pool = self._pools.pop(name, None)
        if pool is not None:
            pool.retire()
            self._replaced = [*(old for old in self._replaced if old.environments), pool]
            await pool.settle()
