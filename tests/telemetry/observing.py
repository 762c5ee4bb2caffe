"""What tests of telemetry share: functions in a lab, seen as CloudWatch and X-Ray see them."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from botocore.config import Config

from emf_schema import checked
from lambdakit.lab import Lab

WAIT_S = 10.0


class Reply(NamedTuple):
    """How an invocation ended."""

    value: Any
    error: str | None
    lines: list[Any]  # every line of JSON that it wrote to standard output, parsed
    trace_id: str


class Observed:
    """A lab whose functions are watched.

    Args:
        lab: the lab.
        task_root: where the code of its functions is written.
        daemon: takes the place of the X-Ray daemon.
    """

    def __init__(self, lab: Lab, task_root: Path, daemon: socket.socket) -> None:
        self._lab = lab
        self._root = task_root
        self._daemon = daemon
        self.traces: list[str] = []  # of every subsegment that was read so far
        self._client = boto3.client(
            "lambda",
            endpoint_url=lab.url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}),
        )
        self._trace_id = ""
        self._client.meta.events.register("before-call.lambda.Invoke", self._trace)

    def _trace(self, params: dict[str, Any], **_: Any) -> None:
        params["headers"]["X-Amzn-Trace-Id"] = f"Root={self._trace_id};Parent={secrets.token_hex(8)};Sampled=1"

    def deploy(self, name: str, code: str) -> None:
        """A function whose module is `code` and whose handler is called `handler`."""
        (self._root / f"{name}.py").write_text(code, encoding="utf-8")
        address = "{}:{}".format(*self._daemon.getsockname())
        variables = {"AWS_XRAY_DAEMON_ADDRESS": address}
        self._lab.deploy(name, f"{name}.handler", task_root=self._root, environment=variables, timeout_s=30.0)

    def invoke(self, name: str, event: Any) -> Reply:
        """Invoke a function, sampled, and read what it wrote."""
        self._trace_id = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        before = len(self._lab.logs(name))
        answer = self._client.invoke(FunctionName=name, Payload=json.dumps(event))
        value = json.loads(answer["Payload"].read())
        written = self._lab.logs(name)[before:]
        error = value["errorType"] if "FunctionError" in answer else None
        return Reply(value, error, parsed(written), self._trace_id)

    def subsegments(self, trace_id: str, count: int) -> dict[str, Any]:
        """The first `count` subsegments of a trace that reached the daemon, by name."""
        found: dict[str, Any] = {}
        end = time.monotonic() + WAIT_S
        while len(found) < count and time.monotonic() < end:
            header, _, body = self._daemon.recv(65_536).decode().partition("\n")
            assert json.loads(header) == {"format": "json", "version": 1}
            segment = json.loads(body)
            self.traces.append(segment["trace_id"])
            if segment["trace_id"] == trace_id:
                found[segment["name"]] = segment
        return found

    def close(self) -> None:
        """The client's connections; the lab is closed by who made it."""
        self._client.close()


@contextmanager
def observed(task_root: Path) -> Iterator[Observed]:
    """A lab of its own, and a socket on loopback in the place of the X-Ray daemon."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon, Lab() as lab:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(WAIT_S)
        watched = Observed(lab, task_root, daemon)
        yield watched
        watched.close()


def parsed(text: str) -> list[Any]:
    """Every line of JSON; those with metrics are held against the format's rules."""
    lines = text.splitlines(keepends=True)
    assert not [line for line in lines if '"_aws"' in line and not line.startswith("{")]  # nothing got in between
    lines = [line for line in lines if line.startswith("{")]
    return [checked(line) if '"_aws"' in line else json.loads(line) for line in lines]


def metrics_of(line: Any) -> dict[tuple[str, tuple[str, ...]], dict[str, list[float]]]:
    """What CloudWatch reads off a line: namespace and names of dimensions → metric → values; nothing of a log."""
    found: dict[tuple[str, tuple[str, ...]], dict[str, list[float]]] = {}
    for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
        values = {metric["Name"]: line[metric["Name"]] for metric in directive["Metrics"]}
        listed = {name: value if isinstance(value, list) else [value] for name, value in values.items()}
        for dimensions in directive["Dimensions"]:
            found.setdefault((directive["Namespace"], tuple(sorted(dimensions))), {}).update(listed)
    return found
