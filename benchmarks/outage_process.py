"""The process of a service with outages: what moto says, until a caller of it asks for something else."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

from aiohttp import web

from . import again
from .upstream import DELAY_S

ERRORS = {"fails": (500, "InternalServiceError"), "throttles": (400, "ThrottlingException")}
LOST = "loses connections"  # without a word


class Outages:
    """Each caller, told by its access key, has its outage: its own calls only fail.

    Args:
        upstream: moto's server.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = again.Again(upstream)
        self._outages: dict[str, str] = {}
        self._calls: Counter[str] = Counter()

    async def begin(self, request: web.Request) -> web.Response:
        """From now on ``caller`` meets ``outage``; what it was answered before is told."""
        asked = await request.json()
        self._outages[asked["caller"]] = asked["outage"]
        return web.json_response(self._calls[asked["caller"]])

    async def calls(self, _: web.Request) -> web.Response:
        """How many each caller made."""
        return web.json_response(self._calls)

    async def answer(self, request: web.Request) -> web.Response:
        """One call."""
        caller = again.caller(request)
        self._calls[caller] += 1
        await asyncio.sleep(DELAY_S)
        outage = self._outages.get(caller)
        if outage == LOST and request.transport is not None:
            request.transport.abort()
        if outage is not None:
            status, code = ERRORS.get(outage, (500, ""))
            body = json.dumps({"__type": code, "message": "an outage"}).encode()
        else:
            status, body = await self._upstream.said(request)
        return again.response(status, body)


async def serve() -> None:
    """Until standard input ends."""
    outages = Outages(sys.argv[1])
    await again.serve(begin=outages.begin, calls=outages.calls, answer=outages.answer)


if __name__ == "__main__":
    asyncio.run(serve())
