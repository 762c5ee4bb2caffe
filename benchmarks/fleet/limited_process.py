"""The process of a server that says moto's answers again, a few milliseconds away, as often as its limits allow."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys

from aiohttp import ClientSession, web

from ..upstream import DELAY_S
from .limits import Limits, Quota

_MEMBER = re.compile(r"Credential=([^/]+)/")
_FORWARDED = ("Authorization", "Content-Type", "X-Amz-Target")
_THROTTLED = {"__type": "ThrottlingException", "message": "Rate exceeded"}  # with status 400, as SSM says it


class Limited:
    """All on one event loop, so the limits see calls in the order in which they arrive.

    Args:
        upstream: moto's server.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._answers: dict[tuple[str, bytes], tuple[int, bytes]] = {}
        self._limits = Limits(())
        self._calls: list[tuple[float, str, str, bool]] = []

    async def begin(self, request: web.Request) -> web.Response:
        """Full buckets of the sizes that are told, or none; what was counted is forgotten."""
        self._limits = Limits(Quota(**quota) for quota in await request.json())
        self._calls = []
        return web.json_response()

    async def calls(self, _: web.Request) -> web.Response:
        """Each call: when it arrived, whose it was, its operation, whether it was answered."""
        return web.json_response(self._calls)

    async def answer(self, request: web.Request) -> web.Response:
        """One call."""
        arrived_s = asyncio.get_running_loop().time()
        target, found = request.headers["X-Amz-Target"], _MEMBER.search(request.headers["Authorization"])
        operation, member = target.rpartition(".")[2], found[1] if found else ""
        answered = self._limits.take(operation, arrived_s)
        self._calls.append((arrived_s, member, operation, answered))
        status, body = 400, json.dumps(_THROTTLED).encode()
        if answered:
            key = (target, await request.read())
            if key not in self._answers:
                self._answers[key] = await self._asked(request, key[1])
            status, body = self._answers[key]
        await asyncio.sleep(DELAY_S)
        return web.Response(status=status, body=body, content_type="application/x-amz-json-1.1")

    async def _asked(self, request: web.Request, body: bytes) -> tuple[int, bytes]:
        headers = {name: request.headers[name] for name in _FORWARDED}
        async with ClientSession() as session, session.post(self._upstream, data=body, headers=headers) as answer:
            return answer.status, await answer.read()


async def serve() -> None:
    """Serve until standard input ends; see `Server`."""
    limited, app = Limited(sys.argv[1]), web.Application()
    app.add_routes(
        [web.post("/__begin", limited.begin), web.get("/__calls", limited.calls), web.post("/", limited.answer)]
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
