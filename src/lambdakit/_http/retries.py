"""urllib3's retries, as lambdakit has them: of statuses that pass, with full jitter, within the time that there is."""

from __future__ import annotations

from functools import partial
from io import UnsupportedOperation
from types import GeneratorType

from urllib3 import Retry
from urllib3.exceptions import MaxRetryError, ResponseError

from .policy import ATTEMPTS, IDEMPOTENT, RETRYABLE_STATUSES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from urllib3 import BaseHTTPResponse

    from .policy import ConnectionPolicy

_REDIRECTS = 10
_FRAMING = frozenset(("content-length", "transfer-encoding"))


class Retries(Retry):
    """What is left of the attempts of one request; immutable, as urllib3's are.

    Errors are not for it: a request is sent again after one only where nothing was lost but a kept connection, and
    that is the pool's matter. An answer that there is no time to wait after is returned as it is.

    Attributes:
        policy: for how long it may wait.
        resend: whether the pool may send the request again over a new connection.
        pause_s: how long to wait before the next attempt.
    """

    policy: ConnectionPolicy
    resend = True
    pause_s = 0.0

    def new(self, **changes: Any) -> Self:
        """One that differs."""
        made = super().new(**changes)
        made.policy, made.resend = self.policy, self.resend
        return made

    def increment(
        self, method: str | None = None, url: str | None = None, response: Any = None, *args: Any, **options: Any
    ) -> Self:
        """What is left after this `response`, or after an error.

        Raises:
            MaxRetryError: nothing, or there is no time for it.
        """
        made = super().increment(method, url, response, *args, **options)
        if response is not None and not response.get_redirect_location():
            attempt = 1 + sum(1 for entry in self.history if entry.redirect_location is None)
            pause_s = self.policy.pause_s(attempt, response.headers.get("Retry-After"))
            if pause_s is None:
                raise MaxRetryError(options["_pool"], url or "", ResponseError("no time for another attempt"))
            made.pause_s = pause_s
        return made

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:  # noqa: ARG002 - urllib3 gives it
        """Wait, before the next attempt."""
        self.policy.clock.sleep(self.pause_s)


def retries(policy: ConnectionPolicy, *, retry: Any = True) -> Retries:
    """The retries of a request.

    Args:
        policy: of the environment.
        retry: True: of methods that may be executed twice; ``"unsafe"``: of all; False: none.
    """
    made = Retries(
        total=None,  # with a number, urllib3 retries a 413 that has a Retry-After too
        connect=0,
        read=False,
        redirect=_REDIRECTS,
        status=ATTEMPTS - 1,
        other=0,
        allowed_methods=None if retry == "unsafe" else IDEMPOTENT,
        status_forcelist=RETRYABLE_STATUSES if retry else (),
        raise_on_status=False,
    )
    made.policy, made.resend = policy, bool(retry)
    return made


def may_resend(given: Retry | None, method: str) -> bool:
    """Whether a request may be sent again over a new connection, by whatever retries it has."""
    if given is None or given.total is False or not getattr(given, "resend", True):
        return False
    return given.allowed_methods is None or method.upper() in given.allowed_methods


def once(given: Retry) -> Retry:
    """As `given`, for a request whose body can be sent once: the answer that there was is returned."""
    return given.new(status_forcelist=(), respect_retry_after_header=False, read=False, other=0)


def has_length(headers: Any) -> bool:
    """Whether somebody has said how long a body is, or that nobody knows."""
    return any(name.lower() in _FRAMING for name in headers or ())


def is_spent(body: Any) -> bool:
    """Whether it is a generator that was read to its end."""
    return type(body) is GeneratorType and body.gi_frame is None


def rewinder(body: Any) -> Callable[[], object] | None:
    """What brings `body` back to where it stands now; None if it can be sent only once."""
    if body is None or isinstance(body, (bytes, str, bytearray, memoryview, list, tuple)):
        return _nothing
    try:
        return partial(body.seek, body.tell())
    except (AttributeError, OSError, UnsupportedOperation):
        return None


def _nothing() -> None:
    pass
