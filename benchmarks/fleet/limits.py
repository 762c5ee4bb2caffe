"""How many calls a service answers in a second, as token buckets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SERVICES = {
    "GetParameter": "ssm",
    "GetParameters": "ssm",
    "GetSecretValue": "secretsmanager",
    "BatchGetSecretValue": "secretsmanager",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """What all environments of an account may ask for in one region.

    Attributes:
        rate: calls per second, for as long as one likes.
        operations: which share it.
        burst: calls that are answered at once after a quiet time; None: those of one second. AWS states the rates; how
            large the buckets are it does not, so this is an assumption.
    """

    rate: float
    operations: tuple[str, ...]
    burst: float | None = None

    @property
    def capacity(self) -> float:
        """The size of the bucket."""
        return self.rate if self.burst is None else self.burst


# https://docs.aws.amazon.com/general/latest/gr/ssm.html: "Max throughput", default and higher
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
_SECRETS = (
    Quota(rate=10_000.0, operations=("GetSecretValue",)),
    Quota(rate=100.0, operations=("BatchGetSecretValue",)),
)
DEFAULT = (Quota(rate=40.0, operations=("GetParameter", "GetParameters")), *_SECRETS)
HIGHER = (
    Quota(rate=10_000.0, operations=("GetParameter",)),
    Quota(rate=1_000.0, operations=("GetParameters",)),
    *_SECRETS,
)


class Bucket:
    """A token for each call: `rate` new ones per second, `capacity` at most, which is what there is at the start."""

    __slots__ = ("_at_s", "_capacity", "_level", "_rate")

    def __init__(self, *, rate: float, capacity: float) -> None:
        self._rate = rate
        self._capacity = self._level = capacity
        self._at_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Whether a call that arrives now is answered; times never go backwards."""
        if self._at_s is not None:
            self._level = min(self._capacity, self._level + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        # Sums of fractions fall short of the whole by some 1e-12 of a token: that is no reason to refuse.
        if self._level < 1.0 - 1e-9:
            return False
        self._level -= 1.0
        return True


class Limits:
    """The buckets of all operations.

    Args:
        quotas: of the services; an operation without one is always answered.
        weight: how many calls each call stands for. A bucket always has room for one.
    """

    __slots__ = ("_buckets",)

    def __init__(self, quotas: Iterable[Quota], *, weight: float = 1.0) -> None:
        self._buckets: dict[str, Bucket] = {}
        for quota in quotas:
            bucket = Bucket(rate=quota.rate / weight, capacity=max(1.0, quota.capacity / weight))
            self._buckets |= dict.fromkeys(quota.operations, bucket)

    def take(self, operation: str, now_s: float) -> bool:
        """Whether a call that arrives now is answered."""
        bucket = self._buckets.get(operation)
        return bucket is None or bucket.take(now_s)
