"""The control plane of a lab: its deployed functions and its Invoke API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from ...exceptions import LambdakitError
from .deployment import Deployment
from .invoke_api import InvokeApi

if TYPE_CHECKING:
    from .._environments.pool import Settings
    from .._functions import Function


class ControlPlane:
    """All functions of one lab with its Invoke API; all methods are called on the lab's loop."""

    __slots__ = ("_deployments", "_listener", "_removed", "_server", "_settings")

    def __init__(self, settings: Settings, *, account: str) -> None:
        self._settings = settings
        self._deployments: dict[str, Deployment] = {}
        self._removed: list[Deployment] = []  # invocations of theirs may still run
        api = InvokeApi(self._deployments, region=settings.region, account=account)
        self._server = web.Server(api.handle, access_log=None)
        self._listener: asyncio.Server | None = None

    async def open(self) -> str:
        """Start to listen.

        Returns:
            The URL of the Invoke API.
        """
        self._listener = await asyncio.get_running_loop().create_server(self._server, "127.0.0.1", 0)
        host, port = self._listener.sockets[0].getsockname()
        return f"http://{host}:{port}"

    async def deploy(self, function: Function) -> None:
        """Add a function, or replace the one of that name.

        Raises:
            LambdakitError: a provisioned environment could not be initialised; then the function is not deployed.
        """
        deployment = Deployment(function, self._settings)
        try:
            await deployment.prepare()
        except BaseException:
            await deployment.close()
            raise
        await self._remove(function.name)
        self._deployments[function.name] = deployment

    def deployment(self, name: str) -> Deployment:
        """One deployed function.

        Raises:
            LambdakitError: there is no such function.
        """
        try:
            return self._deployments[name]
        except KeyError:
            known = ", ".join(map(repr, self._deployments)) or "none"
            raise LambdakitError(f"No function {name!r} is deployed in this lab; deployed: {known}") from None

    async def remove(self, name: str) -> None:
        """Remove a function; invocations that run are finished.

        Raises:
            LambdakitError: there is no such function.
        """
        self.deployment(name)
        await self._remove(name)

    async def retire(self, name: str) -> None:
        """End a function's environments, the busy ones after their invocation.

        Raises:
            LambdakitError: there is no such function.
        """
        deployment = self.deployment(name)
        deployment.retire()
        await deployment.wait_retired()

    async def close(self) -> None:
        """End everything now, also what is in flight."""
        if self._listener is not None:
            self._listener.close()
        deployments = [*self._deployments.values(), *self._removed]
        await asyncio.gather(*(deployment.close() for deployment in deployments), return_exceptions=True)
        await self._server.shutdown(0.02)

    async def _remove(self, name: str) -> None:
        deployment = self._deployments.pop(name, None)
        if deployment is not None:
            deployment.retire()
            self._removed = [*(old for old in self._removed if old.environments), deployment]
            await deployment.wait_retired()
