"""When to send a request again: botocore's mode ``standard``, as of botocore 1.44.

Beside the two lists, what a caller may not expect of it: the base of the back-off is 1 s after throttling but 50 ms
after anything else (25 with DynamoDB), ``x-amz-retry-after`` (milliseconds) raises it by 5 s at most, a quota stops
retries while most requests fail. Two of its rules have no place here. A status of 429 is no throttling if its code is
an error that the operation models: no operation that is called directly has such an error, beside those of the list.
DynamoDB's ``x-amz-crc32`` is not compared: TLS leaves it nothing to find.
"""

from __future__ import annotations

import os
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ATTEMPTS = 3
RETRY_AFTER = "x-amz-retry-after"

THROTTLED_CODES = frozenset(
    (
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    )
)
THROTTLED_STATUS = 429
TRANSIENT_CODES = frozenset(("PriorRequestNotComplete", "RequestTimeout", "RequestTimeoutException"))
TRANSIENT_STATUSES = frozenset((500, 502, 503, 504))

BASE_S = 0.05
BASES_S = {"dynamodb": 0.025}  # of services that have another
_THROTTLED_BASE_S, _MAX_S, _MAX_ADDED_S = 1.0, 20.0, 5.0
_QUOTA, _THROTTLED_COST, _COST, _REFUND = 500, 5, 14, 1


def is_throttling(code: str | None, status: int | None) -> bool:
    """Whether an answer with this error code and this HTTP status asks for fewer requests."""
    return code in THROTTLED_CODES or status == THROTTLED_STATUS


def is_retryable(code: str | None, status: int | None) -> bool:
    """Whether the same request may succeed later; with neither a code nor a status no answer came, so it may."""
    no_answer = code is None and status is None
    return no_answer or code in TRANSIENT_CODES or status in TRANSIENT_STATUSES or is_throttling(code, status)


def backoff_s(
    attempt: int, *, throttled: bool, fraction: float, retry_after: str | None = None, base_s: float = BASE_S
) -> float:
    """Seconds to wait after attempt number `attempt` (from 1), with a `fraction` drawn evenly from 0 to 1."""
    delay_s = fraction * min((_THROTTLED_BASE_S if throttled else base_s) * float(1 << (attempt - 1)), _MAX_S)
    asked_s = _asked_s(retry_after)
    return delay_s if asked_s is None else max(delay_s, min(asked_s, delay_s + _MAX_ADDED_S))


def even() -> float:
    """An even draw from 0 to 1: ``random`` costs 0.7 ms, and its state would be the same in every restored snapshot."""
    return (int.from_bytes(os.urandom(7), "big") >> 3) / 2**53  # as many bits as a float holds: never 1.0


class Retries:
    """The retry quota of one service in one region, as a botocore client has one. Thread-safe.

    Args:
        max_attempts: how often a request is sent at most; 1 for no retries.
        draw: returns the fraction of each back-off.
        base_s: the base of the back-off after anything but throttling.
    """

    __slots__ = ("_available", "_lock", "base_s", "draw", "max_attempts")

    def __init__(
        self, *, max_attempts: int = MAX_ATTEMPTS, draw: Callable[[], float] = even, base_s: float = BASE_S
    ) -> None:
        self.base_s = base_s
        self.max_attempts = max_attempts
        self.draw = draw
        self._available = _QUOTA
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """What is left of the quota."""
        return f"Retries(max_attempts={self.max_attempts}, quota={self._available})"

    def begin(self) -> Attempts:
        """The attempts of one request."""
        return Attempts(self)

    def acquire(self, cost: int) -> bool:
        """Take `cost` from the quota, unless there is less left."""
        with self._lock:
            if cost > self._available:
                return False
            self._available -= cost
            return True

    def release(self, amount: int) -> None:
        """Give `amount` back; the quota never grows beyond its beginning."""
        with self._lock:
            self._available = min(self._available + amount, _QUOTA)


class Attempts:
    """One request, however often it is sent. For one thread."""

    __slots__ = ("_acquired", "_retries", "number")

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._acquired = _REFUND
        self.number = 1

    def __repr__(self) -> str:
        """Which attempt it is."""
        return f"Attempts(number={self.number})"

    def succeeded(self) -> None:
        """A status of 2xx came: the quota gets back what the last retry took, or 1 if there was none."""
        self._retries.release(self._acquired)

    def failed(
        self,
        *,
        code: str | None = None,
        status: int | None = None,
        retry_after: str | None = None,
        left_s: float | None = None,
    ) -> float | None:
        """Seconds to wait before the request is sent again, or None if it is not to be.

        Args:
            code: the error code of the answer, or None if it has none or no answer came.
            status: the HTTP status of the answer, or None if no answer came.
            retry_after: the header `RETRY_AFTER` of the answer, or None.
            left_s: seconds until the deadline, or None for no deadline. A wait that would last until then is not begun.
        """
        retries = self._retries
        if self.number >= retries.max_attempts or not is_retryable(code, status):
            return None
        throttled = is_throttling(code, status)
        delay_s = backoff_s(
            self.number,
            throttled=throttled,
            fraction=retries.draw(),
            retry_after=retry_after,
            base_s=retries.base_s,
        )
        if left_s is not None and delay_s >= left_s:
            return None
        cost = _THROTTLED_COST if throttled else _COST
        if not retries.acquire(cost):
            return None
        self._acquired = cost
        self.number += 1
        return delay_s


def _asked_s(retry_after: str | None) -> float | None:
    try:
        return int(retry_after or "") / 1000.0
    except (ValueError, OverflowError):
        return None  # absent, or not a number of milliseconds
