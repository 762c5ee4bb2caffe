"""What both servers of the lab read of a request: whether a web page may have sent it, and its body up to a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from aiohttp import web

_HOSTS = frozenset({"127.0.0.1", "localhost"})


def is_foreign(request: web.BaseRequest) -> bool:
    """Whether a web page may have sent it: it names another host than this one, or another origin than that host.

    A page that is open in a browser of this machine reaches loopback, too, also under a name of its own (DNS
    rebinding). Any port is taken: it may be forwarded.
    """
    host, origin = request.headers.get("Host"), request.headers.get("Origin")
    if host is not None and _hostname(host) not in _HOSTS:
        return True
    return origin is not None and origin != f"http://{host}"


def _hostname(authority: str) -> str | None:
    try:
        return urlsplit(f"//{authority}").hostname
    except ValueError:  # brackets without an address in them
        return None


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
