"""moto's answers, recorded once and replayed: moto computes one answer after the other, a replay answers at once."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from aiohttp import ClientSession, web

from .server import announce, serve_until_parent_ends

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Answer = Callable[[web.Request], Awaitable[web.Response]]

_CALLER = re.compile(r"Credential=([^/]+)/")
_FORWARDED = ("Authorization", "Content-Type", "X-Amz-Target")


def caller(request: web.Request) -> str:
    """The access key that signed a request."""
    found = _CALLER.search(request.headers["Authorization"])
    return found[1] if found else ""


def response(status: int, body: bytes) -> web.Response:
    """An answer in the form of AWS's JSON services."""
    return web.Response(status=status, body=body, content_type="application/x-amz-json-1.1")


class Replay:
    """The answers of moto, one recording for each operation and body.

    Args:
        upstream: moto's server.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._recorded: dict[tuple[str, bytes], tuple[int, bytes]] = {}

    async def answer(self, request: web.Request) -> tuple[int, bytes]:
        """The status and the body that moto answers with."""
        key = request.headers["X-Amz-Target"], await request.read()
        if key not in self._recorded:
            headers = {name: request.headers[name] for name in _FORWARDED}
            async with ClientSession() as session, session.post(self._upstream, data=key[1], headers=headers) as reply:
                self._recorded[key] = reply.status, await reply.read()
        return self._recorded[key]


def serve(*, begin: Answer, calls: Answer, answer: Answer) -> None:
    """Serve until the parent ends; `begin` and `calls` are commands, see `server.control`."""
    asyncio.run(_serve(begin, calls, answer))


async def _serve(begin: Answer, calls: Answer, answer: Answer) -> None:
    app = web.Application()
    app.add_routes([web.post("/__begin", begin), web.get("/__calls", calls), web.post("/", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    host, port = runner.addresses[0][:2]
    announce(f"http://{host}:{port}")
    await asyncio.to_thread(serve_until_parent_ends)
