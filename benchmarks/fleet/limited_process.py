"""The process of a service with quotas: moto's answers, replayed as often as its limits allow."""

from __future__ import annotations

import asyncio
import json
import sys

from aiohttp import web

from ..servers import replay
from ..servers.upstream import DELAY_S
from .limits import Limits, Quota

_THROTTLED = {"__type": "ThrottlingException", "message": "Rate exceeded"}  # with status 400, as SSM says it


class Limited:
    """All on one event loop, so the limits see calls in the order in which they arrive.

    Args:
        upstream: moto's server.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = replay.Replay(upstream)
        self._limits = Limits(())
        self._calls: list[tuple[float, str, str, bool]] = []

    async def begin(self, request: web.Request) -> web.Response:
        """Begin anew with these quotas: full buckets, no calls so far."""
        self._limits = Limits(Quota(**quota) for quota in await request.json())
        self._calls = []
        return web.json_response()

    async def calls(self, _: web.Request) -> web.Response:
        """Each call: when it arrived, whose it was, its operation, whether it was answered."""
        return web.json_response(self._calls)

    async def answer(self, request: web.Request) -> web.Response:
        """One call."""
        arrived_s = asyncio.get_running_loop().time()
        operation = request.headers["X-Amz-Target"].rpartition(".")[2]
        answered = self._limits.take(operation, arrived_s)
        self._calls.append((arrived_s, replay.caller(request), operation, answered))
        status, body = await self._upstream.answer(request) if answered else (400, json.dumps(_THROTTLED).encode())
        await asyncio.sleep(DELAY_S)
        return replay.response(status, body)


if __name__ == "__main__":
    limited = Limited(sys.argv[1])
    replay.serve(begin=limited.begin, calls=limited.calls, answer=limited.answer)
