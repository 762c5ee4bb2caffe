"""What holds for every HTTP connection of an environment: how long it may idle, and how long its I/O may take."""

from __future__ import annotations

import re

from .._clock import age_s
from .._settings import MAX_AGE_S
from ..exceptions import DeadlineExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .._clock import Clock, Instant

CONNECT_S, READ_S = 2.0, 10.0  # as of the SDK clients
MAX_IDLE_PER_HOST = 10
ATTEMPTS = 3
IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))  # RFC 9110, 9.2.2
RETRYABLE_STATUSES = frozenset((429, 502, 503, 504))  # too many requests, or no answer from behind a gateway

_BASE_S = 0.1
_MAX_PAUSE_S = 30.0  # a function that waits is paid for: a longer wait is the caller's decision
_FOR_EVER = float("inf")
_CLOSING_S = 1.0  # before a server closes an idle connection, so that no request meets the end on its way
# Some send fractions, against RFC 9110; nine digits are 31 years.
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]*)?")
_MANY_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_KEEP_ALIVE = re.compile(r"(?:^|[,;\s])timeout\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)


class Life:
    """What decides for how long a connection is used; a connection is one, or has one.

    Attributes:
        opened_at: when it was opened.
        used_at: when it was used last.
        generation: of the policy, when it was opened.
        idle_limit_s: seconds of idleness that its server bears, None where it did not say.
    """

    opened_at: Instant = (0.0, 0.0)
    used_at: Instant = (0.0, 0.0)
    generation = 0
    idle_limit_s: float | None = None


class ConnectionPolicy:
    """What holds for every connection of an environment. Thread-safe.

    Args:
        clock: both clocks.
        budget: seconds that I/O may take now, None for no limit.
        max_idle_s: seconds of idleness, by the larger of wall and monotonic age, after which a connection is not used.
        max_age_s: seconds after which a connection is not used again, so that a name that moved is followed.

    Attributes:
        generation: counted up when all connections are to be closed: one of an earlier generation is not used again.
    """

    __slots__ = ("budget", "clock", "generation", "max_age_s", "max_idle_s")

    def __init__(
        self, *, clock: Clock, budget: Callable[[], float | None], max_idle_s: float, max_age_s: float = MAX_AGE_S
    ) -> None:
        self.clock = clock
        self.budget = budget
        self.max_idle_s = max_idle_s
        self.max_age_s = max_age_s
        self.generation = 0

    def expire_all(self) -> None:
        """Every connection that there is now has expired: idle ones are to be closed, those in use after their use."""
        self.generation += 1

    def left_s(self, life: Life, now: Instant) -> float:
        """Seconds for which an idle connection may still be used; below 0 if it has expired.

        It may be dead for having been idle, its host may have moved, or it belongs to what was closed.
        """
        if life.generation != self.generation:
            return -_FOR_EVER
        idle_s = self.max_idle_s if life.idle_limit_s is None else min(life.idle_limit_s, self.max_idle_s)
        return min(idle_s - age_s(life.used_at, now), self.max_age_s - age_s(life.opened_at, now))

    def has_expired(self, life: Life, now: Instant) -> bool:
        """Whether an idle connection is not to be used again: `left_s` is below 0. Each request asks."""
        idle_s, limit_s = age_s(life.used_at, now), life.idle_limit_s
        return (
            life.generation != self.generation
            or idle_s > self.max_idle_s
            or (limit_s is not None and idle_s > limit_s)
            or age_s(life.opened_at, now) > self.max_age_s
        )

    def check_time(self, host: str) -> None:
        """There has to be time for a request.

        Raises:
            DeadlineExceededError: there is none.
        """
        self.clamp_timeout(None, host)

    def clamp_timeout(self, asked_s: float | None, host: str) -> tuple[float | None, bool]:
        """Seconds that the next step may take, and whether the budget, not `asked_s`, is what limits it.

        Raises:
            DeadlineExceededError: there is no time for it.
        """
        left_s = self.budget()
        if left_s is None:
            return asked_s, False
        if left_s <= 0.0:
            raise deadline_error(host)
        return (left_s, True) if asked_s is None or left_s < asked_s else (asked_s, False)

    def pause_s(self, attempt: int, retry_after: str | None) -> float | None:
        """Seconds to wait after attempt number `attempt` (from 1) got a status of `RETRYABLE_STATUSES`.

        Full jitter, on top of what the server asks for. None: there is no attempt left, or no time.
        """
        if attempt >= ATTEMPTS:
            return None
        asked_s = _retry_after_s(retry_after, self.clock.now()[0]) or 0.0
        pause_s = asked_s + self.clock.random() * _BASE_S * float(1 << attempt)
        left_s = self.budget()
        return pause_s if pause_s <= _MAX_PAUSE_S and (left_s is None or pause_s < left_s) else None

    def __repr__(self) -> str:
        """How long a connection may idle."""
        return f"ConnectionPolicy(max_idle_s={self.max_idle_s:g}, generation={self.generation})"


def idle_limit_s(keep_alive: str | None) -> float | None:
    """For how long a connection may idle by the server's ``Keep-Alive``, such as ``timeout=5, max=100``.

    A second less than it says, or half of it, since the two count from different instants; None if it says nothing.
    """
    found = _KEEP_ALIVE.search(keep_alive) if keep_alive else None
    if found is None:
        return None
    timeout_s = float(found[1])
    return max(timeout_s - _CLOSING_S, timeout_s / 2)


def deadline_error(host: str) -> DeadlineExceededError:
    """The error for a request to `host` that the invocation has no time for, or no more."""
    return DeadlineExceededError(
        f"{host}: the invocation leaves too little time for this request. Ask earlier, give the function a longer "
        "time-out, or the request a shorter one"
    )


def is_deadline_error(error: BaseException | None) -> bool:
    """Whether the budget is what ended it: somewhere among its causes."""
    while error is not None and not isinstance(error, DeadlineExceededError):
        error = error.__cause__ or error.__context__
    return error is not None


def _retry_after_s(text: str | None, wall_s: float) -> float | None:
    """Seconds until what a ``Retry-After`` asks for: a number of seconds or a date; None if it is neither."""
    text = (text or "").strip()
    if _MANY_SECONDS.fullmatch(text):
        return float(text) if _SECONDS.fullmatch(text) else _FOR_EVER
    if not text:
        return None
    from email.utils import mktime_tz, parsedate_tz  # loaded with http.client

    date = parsedate_tz(text)
    try:
        return None if date is None else max(0.0, mktime_tz(date) - wall_s)
    except (ValueError, OverflowError):
        return None
