"""What `requests.get` and its siblings do where they are patched."""

from __future__ import annotations

import requests  # loaded: it is what was patched

from .._environment import part
from .._http.requests_session import RequestsSession
from ..exceptions import DeadlineExceededError
from . import SimpleCall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SIMPLE_CALL = SimpleCall(
    "method",
    "url",
    names="params data json headers timeout allow_redirects files auth",
    ignored_defaults={
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
    bound = _SIMPLE_CALL.bind(args, kwargs)
    if bound is None:
        return original(*args, **kwargs)
    try:
        return part(PatchedRequests).session.request(**bound)
    except DeadlineExceededError as error:
        raise DeadlineError(str(error), request=requests.Request(bound["method"], bound["url"]).prepare()) from error


class PatchedRequests(RequestsSession):
    """A session that nobody else has: what users set on theirs is not meant for these calls."""
