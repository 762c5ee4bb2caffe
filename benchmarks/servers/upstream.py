"""The parent's end of moto's server: its addresses, and the calls that reached it."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path

from .server import Server, control

REGION = "us-east-1"
# Made up; moto asks for some. The region stands twice because boto3 reads only the second name.
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}
# 200 bytes of JSON, as RDS's own rotation writes them.
DATABASE = "bench/database"
DATABASE_TEXT = json.dumps(
    {
        "username": "application_1",
        "password": "placeholder-of-thirty-two-chars-",
        "engine": "postgres",
        "host": "orders.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com",
        "port": 5432,
        "dbname": "orders",
    }
)
# As many as make several calls of each batch: 10 parameters, 20 secrets at a time.
PARAMETERS = {f"/bench/many/{number:02}": f"parameter {number}" for number in range(35)}
SECRETS = {f"bench/many/{number:02}": f"secret {number}" for number in range(21)}
DELAY_S = 0.005  # of an answer at `steady_url`


class Upstream(Server):
    """moto's server, on a free port of the loopback interface.

    Attributes:
        url: over HTTP.
        secure_url: over TLS.
        steady_url: over TLS; a request that was answered before is answered alike `DELAY_S` later, any number at once.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lambdakit-benchmarks-")
        needs = "moto[dynamodb,secretsmanager,server,ssm]"
        super().__init__("servers.moto_process", self._folder.name, environ=ACCOUNT, needs=needs)
        self.url, self.secure_url, self.steady_url = self.announced

    @property
    def variables(self) -> dict[str, str]:
        """The variables of a process that talks to it."""
        return ACCOUNT | {"AWS_ENDPOINT_URL": self.url}

    @property
    def issuer(self) -> Path:
        """The certificate that issued the one of `secure_url`."""
        return Path(self._folder.name) / "ca.pem"

    def calls(self) -> Counter[str]:
        """How often each operation was called so far."""
        return Counter(control(self.url, "calls"))

    def close(self) -> None:
        """End it."""
        super().close()
        self._folder.cleanup()
