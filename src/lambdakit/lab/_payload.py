"""Reading the body of a request up to a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web


async def read_payload(request: web.BaseRequest, limit: int) -> bytes | None:
    """The body, or None if it is longer than `limit` bytes.

    A longer one is read to its end, but not kept: a client that is still sending would see a lost connection instead of
    the response.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
    return b"".join(chunks) if size <= limit else None
