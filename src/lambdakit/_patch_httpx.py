"""What `httpx.get` and its siblings do where they are patched."""

from __future__ import annotations

from urllib.request import getproxies

import httpx  # loaded: it is what was patched

from ._current import environment
from ._plain import Plain
from .exceptions import DeadlineExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._http_pools import Pools

_PLAIN = Plain(
    "method",
    "url",
    names="params content data files json headers auth timeout follow_redirects",
    silent={
        "cookies": (None,),
        "proxy": (None,),
        "trust_env": (True,),
        "verify": (True,),
        "cert": (None,),  # until httpx 0.28, as the next
        "proxies": (None,),
    },
)


class DeadlineError(httpx.TimeoutException, DeadlineExceededError):
    """Caught by who expects a time-out of httpx, and by who expects the deadline."""


class Front:
    """What these calls share in an environment."""

    def __init__(self, pools: Pools) -> None:
        from ._http_httpx import Front as Connections

        self.transport: httpx.BaseTransport = pools.front("httpx", lambda: Connections(pools)).transport
        self.is_proxied = bool(getproxies())  # 70 us: once, as for connections that are kept

    def sweep(self, is_over: Any) -> None:
        """The connections' own front does it."""

    def abandon(self) -> None:
        """The same."""


def request(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`httpx.request`, over a kept connection where the call is plain."""
    said = _PLAIN.arguments(args, kwargs)
    if said is None:
        return original(*args, **kwargs)
    pools = environment().pools
    front: Front = pools.front("httpx-patched", lambda: Front(pools))
    if front.is_proxied:
        return original(*args, **kwargs)
    # A client for each call, as httpx has it: what a redirect sets as a cookie is for this call.
    timeout = {"timeout": said.pop("timeout")} if "timeout" in said else {}
    client = httpx.Client(transport=front.transport, **timeout)
    try:
        return client.request(**said)
    except DeadlineExceededError as error:
        raise DeadlineError(str(error), request=httpx.Request(said["method"], said["url"])) from error
