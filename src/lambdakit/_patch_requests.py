"""What `requests.get` and its siblings do where they are patched."""

from __future__ import annotations

import requests  # loaded: it is what was patched

from ._current import environment
from ._plain import Plain
from .exceptions import DeadlineExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PLAIN = Plain(
    "method",
    "url",
    names="params data json headers timeout allow_redirects files auth",
    silent={
        "cookies": (None,),
        "cert": (None,),
        "hooks": (None,),
        "proxies": (None,),
        "stream": (None, False),
        "verify": (None, True),
    },
)


class DeadlineError(requests.Timeout, DeadlineExceededError):
    """Caught by who expects a time-out of requests, and by who expects the deadline."""


def request(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`requests.request`, over a kept connection where the call is plain."""
    said = _PLAIN.arguments(args, kwargs)
    if said is None:
        return original(*args, **kwargs)
    try:
        return _session().request(**said)
    except DeadlineExceededError as error:
        raise DeadlineError(str(error), request=requests.Request(said["method"], said["url"]).prepare()) from error


def _session() -> requests.Session:
    """One that nobody else has: what users set on theirs is not meant for these calls."""
    pools = environment().pools

    def make() -> Any:
        from ._http_requests import Front

        return Front(pools)

    session: requests.Session = pools.front("requests-patched", make).session
    return session
