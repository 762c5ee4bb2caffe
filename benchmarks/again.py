"""moto's answers, said again by a process of ours: what it answers at once, moto computes one after the other."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from typing import TYPE_CHECKING

from aiohttp import ClientSession, web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Answer = Callable[[web.Request], Awaitable[web.Response]]

_CALLER = re.compile(r"Credential=([^/]+)/")
_FORWARDED = ("Authorization", "Content-Type", "X-Amz-Target")


def caller(request: web.Request) -> str:
    """Whose call it is, by the access key."""
    found = _CALLER.search(request.headers["Authorization"])
    return found[1] if found else ""


def response(status: int, body: bytes) -> web.Response:
    """As a service of AWS's answers."""
    return web.Response(status=status, body=body, content_type="application/x-amz-json-1.1")


class Again:
    """Asks once for each operation and body.

    Args:
        upstream: moto's server.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._answers: dict[tuple[str, bytes], tuple[int, bytes]] = {}

    async def said(self, request: web.Request) -> tuple[int, bytes]:
        """The status and the body of moto's answer."""
        asked = request.headers["X-Amz-Target"], await request.read()
        if asked not in self._answers:
            headers = {name: request.headers[name] for name in _FORWARDED}
            async with ClientSession() as session, session.post(self._upstream, data=asked[1], headers=headers) as said:
                self._answers[asked] = said.status, await said.read()
        return self._answers[asked]


async def serve(*, begin: Answer, calls: Answer, answer: Answer) -> None:
    """Serve until standard input ends; see `Server` and, for the first two, `control`."""
    app = web.Application()
    app.add_routes([web.post("/__begin", begin), web.get("/__calls", calls), web.post("/", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(json.dumps(f"http://{host}:{port}"), flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    os._exit(0)  # a kept connection must not keep the process
