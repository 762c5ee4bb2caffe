"""Our end of the HTTP server that kept connections are measured with."""

from __future__ import annotations

import tempfile

from .processes import clean_environ
from .server import Server, control


class Origin(Server):
    """Serves plain and over TLS, at each of the distances.

    Args:
        round_trips_ms: the distances; 0 has to be among them.
    """

    def __init__(self, round_trips_ms: tuple[int, ...]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lambdakit-benchmarks-")
        super().__init__("origin_process", self._folder.name, *map(str, round_trips_ms), needs="trustme")

    def url(self, scheme: str, round_trip_ms: int) -> str:
        """Where it is, that far away."""
        url: str = self.told[f"{scheme} {round_trip_ms}"]
        return url

    @property
    def environ(self) -> dict[str, str]:
        """The variables of a process in which every client trusts it."""
        roots = f"{self._folder.name}/ca.pem"
        return clean_environ(SSL_CERT_FILE=roots, REQUESTS_CA_BUNDLE=roots)

    def counts(self) -> dict[str, dict[str, int]]:
        """``requests`` and ``connections`` so far, by path."""
        counts: dict[str, dict[str, int]] = control(self.url("http", 0), "counts")
        return counts

    def close(self) -> None:
        """End it."""
        super().close()
        self._folder.cleanup()
