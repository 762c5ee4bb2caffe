"""Our end of moto's server: where it is, what it was asked."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from .processes import ROOT, ProcessFailedError, clean_environ

if TYPE_CHECKING:
    from types import TracebackType

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
_END_S = 5.0


class Upstream:
    """moto's server in a process of its own, on a free port of the loopback interface.

    It ends with `close`, with the ``with`` block, and with this process, however that ends.

    Attributes:
        url: over HTTP.
        secure_url: over TLS.
        steady_url: over TLS; a request that was answered before is answered alike `DELAY_S` later, any number at once.

    Raises:
        ProcessFailedError: it did not come up.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lambdakit-benchmarks-")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.moto_process", self._folder.name],
            stdin=subprocess.PIPE,  # it ends when this pipe does
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=clean_environ(**ACCOUNT),
            cwd=ROOT,
            start_new_session=True,  # Ctrl-C in the terminal is not for it
        )
        assert self._process.stdout is not None
        try:
            urls = self._process.stdout.readline().split()
        except BaseException:
            self.close()
            raise
        if not urls:
            self.close()
            raise ProcessFailedError(
                "moto's server did not start: is moto[dynamodb,secretsmanager,server,ssm] installed?"
            )
        self.url, self.secure_url, self.steady_url = urls
        self._host = self.url.removeprefix("http://")

    @property
    def variables(self) -> dict[str, str]:
        """What a process needs to know to talk to it."""
        return ACCOUNT | {"AWS_ENDPOINT_URL": self.url}

    @property
    def issuer(self) -> Path:
        """The certificate that issued the one of `secure_url`."""
        return Path(self._folder.name) / "ca.pem"

    def calls(self) -> Counter[str]:
        """How often each operation was asked for so far."""
        connection = http.client.HTTPConnection(self._host, timeout=10.0)
        try:
            connection.request("GET", "/__calls")
            return Counter(json.loads(connection.getresponse().read()))
        finally:
            connection.close()

    def close(self) -> None:
        """End it, and wait until it has ended."""
        self._process.kill()  # it has no state worth a farewell
        self._process.wait(_END_S)
        self._folder.cleanup()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Upstream:
        """Itself; it runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """`close`."""
        self.close()
