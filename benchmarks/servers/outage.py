"""The parent's end of a service with outages."""

from __future__ import annotations

from .server import Server, control

ERRORS = {"fails": (500, "InternalServiceError"), "throttles": (400, "ThrottlingException")}  # by outage
CONNECTION_LOST = "loses connections"  # without a word


class OutageServer(Server):
    """moto's answers until a caller's outage begins, on a free port of the loopback interface.

    Args:
        upstream: moto's server, over HTTP.

    Attributes:
        url: the address.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__("servers.outage_process", upstream, needs="lambdakit[lab]")
        self.url: str = self.announced

    def calls(self) -> dict[str, int]:
        """How many calls each caller made."""
        calls: dict[str, int] = control(self.url, "calls")
        return calls
