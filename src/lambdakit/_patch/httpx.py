"""What `httpx.get` and its siblings do where they are patched."""

from __future__ import annotations

from urllib.request import getproxies

import httpx  # loaded: it is what was patched

from .._environment import part
from .._http.httpx_clients import HttpxClients
from ..exceptions import DeadlineExceededError
from . import SimpleCall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._environment import Environment

_SIMPLE_CALL = SimpleCall(
    "method",
    "url",
    names="params content data files json headers auth timeout follow_redirects",
    ignored_defaults={
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


class PatchedHttpx:
    """What these calls share in an environment."""

    def __init__(self, clients: HttpxClients) -> None:
        self.transport: httpx.BaseTransport = clients.transport
        self.is_proxied = bool(getproxies())  # 70 us: once, as for connections that are kept

    @classmethod
    def of(cls, env: Environment) -> PatchedHttpx:
        """That of an environment."""
        return cls(env._parts[HttpxClients])


def request(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`httpx.request`, over a kept connection where the call is plain."""
    bound = _SIMPLE_CALL.bind(args, kwargs)
    if bound is None:
        return original(*args, **kwargs)
    patched = part(PatchedHttpx)
    if patched.is_proxied:
        return original(*args, **kwargs)
    # A client for each call, as httpx has it: what a redirect sets as a cookie is for this call.
    timeout = {"timeout": bound.pop("timeout")} if "timeout" in bound else {}
    client = httpx.Client(transport=patched.transport, **timeout)
    try:
        return client.request(**bound)
    except DeadlineExceededError as error:
        raise DeadlineError(str(error), request=httpx.Request(bound["method"], bound["url"])) from error
