"""The parent's end of a service with quotas."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from ..servers.server import Server, control

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .limits import Quota


class Call(NamedTuple):
    """One call as the server saw it: when it arrived by the monotonic clock of this machine, and whose it was."""

    arrived_s: float
    member: str
    operation: str
    answered: bool


class LimitedServer(Server):
    """moto's answers, replayed within quotas, on a free port of the loopback interface.

    Args:
        upstream: moto's server, over HTTP.

    Attributes:
        url: where it is.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__("fleet.limited_process", upstream, needs="lambdakit[lab]")
        self.url: str = self.announced

    def begin(self, quotas: Iterable[Quota]) -> None:
        """Begin anew, with full buckets; an operation without a quota is always answered."""
        control(self.url, "begin", [asdict(quota) for quota in quotas])

    def calls(self) -> list[Call]:
        """All calls since, in the order in which they arrived."""
        return [Call(*call) for call in control(self.url, "calls")]
