"""The process of a service with outages: what moto says, until a caller of it asks for something else."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections import Counter

from aiohttp import ClientSession, web

from .upstream import DELAY_S

_CALLER = re.compile(r"Credential=([^/]+)/")
_FORWARDED = ("Authorization", "Content-Type", "X-Amz-Target")
ERRORS = {"fails": (500, "InternalServiceError"), "throttles": (400, "ThrottlingException")}
LOST = "loses connections"  # without a word


class Outages:
    """Each caller, told by its access key, has its outage: its own calls only fail.

    Args:
        upstream: moto's server.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._answers: dict[tuple[str, bytes], tuple[int, bytes]] = {}
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
        found = _CALLER.search(request.headers["Authorization"])
        caller = found[1] if found else ""
        self._calls[caller] += 1
        await asyncio.sleep(DELAY_S)
        outage = self._outages.get(caller)
        if outage == LOST and request.transport is not None:
            request.transport.abort()
        if outage is not None:
            status, code = ERRORS.get(outage, (500, ""))
            body = json.dumps({"__type": code, "message": "an outage"}).encode()
        else:
            status, body = await self._right(request)
        return web.Response(status=status, body=body, content_type="application/x-amz-json-1.1")

    async def _right(self, request: web.Request) -> tuple[int, bytes]:
        asked = request.headers["X-Amz-Target"], await request.read()
        if asked not in self._answers:
            headers = {name: request.headers[name] for name in _FORWARDED}
            async with ClientSession() as session, session.post(self._upstream, data=asked[1], headers=headers) as said:
                self._answers[asked] = said.status, await said.read()
        return self._answers[asked]


async def serve() -> None:
    """Serve until standard input ends; see `Server`."""
    outages, app = Outages(sys.argv[1]), web.Application()
    app.add_routes(
        [web.post("/__begin", outages.begin), web.get("/__calls", outages.calls), web.post("/", outages.answer)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(json.dumps(f"http://{host}:{port}"), flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    os._exit(0)  # a kept connection must not keep the process


if __name__ == "__main__":
    asyncio.run(serve())
