"""The process of a service with outages: moto's answers, replayed until a caller's outage begins."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

from aiohttp import web

from . import replay
from .outage import CONNECTION_LOST, ERRORS
from .upstream import DELAY_S


class Outages:
    """An outage is that of one caller, known by its access key: only its own calls fail.

    Args:
        upstream: moto's server.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = replay.Replay(upstream)
        self._outages: dict[str, str] = {}
        self._calls: Counter[str] = Counter()

    async def begin(self, request: web.Request) -> web.Response:
        """Begin the ``outage`` of ``caller``; the answer is how many calls it made before."""
        wanted = await request.json()
        self._outages[wanted["caller"]] = wanted["outage"]
        return web.json_response(self._calls[wanted["caller"]])

    async def calls(self, _: web.Request) -> web.Response:
        """How many calls each caller made."""
        return web.json_response(self._calls)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one call."""
        caller = replay.caller(request)
        self._calls[caller] += 1
        await asyncio.sleep(DELAY_S)
        outage = self._outages.get(caller)
        if outage == CONNECTION_LOST and request.transport is not None:
            request.transport.abort()
        if outage is not None:
            status, code = ERRORS.get(outage, (500, ""))
            body = json.dumps({"__type": code, "message": "an outage"}).encode()
        else:
            status, body = await self._upstream.answer(request)
        return replay.response(status, body)


if __name__ == "__main__":
    outages = Outages(sys.argv[1])
    replay.serve(begin=outages.begin, calls=outages.calls, answer=outages.answer)
