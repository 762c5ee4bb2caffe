"""The example, deployed in the lab, and what an invocation of it reports."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
from typing import TYPE_CHECKING, Any

from .processes import ROOT
from .upstream import ACCOUNT, REGION

if TYPE_CHECKING:
    from .run import Run

EXAMPLE = ROOT / "examples" / "orders"
NAIVE, FAST = "naive", "fast"
VERSIONS = (NAIVE, FAST)
MEMORY_MB = 1769  # one core; both versions are CPU-bound, so the ratio does not depend on it, within one core
TIMEOUT_S = 60.0
EACH_CALL = {"GetSecretValue": 1, "GetParameter": 1, "PutItem": 1}

REPORT = {
    "init_ms": re.compile(r"\tInit Duration: ([\d.]+) ms"),
    "duration_ms": re.compile(r"\tDuration: ([\d.]+) ms"),
    "memory_mb": re.compile(r"\tMax Memory Used: (\d+) MB"),
}


def report(tail: str) -> dict[str, float | None]:
    """What the REPORT line of a log tail says; None for what is not in it."""
    line = next((line for line in reversed(tail.splitlines()) if line.startswith("REPORT ")), "")
    return {name: float(match[1]) if (match := pattern.search(line)) else None for name, pattern in REPORT.items()}


class Function:
    """One version of the example, deployed in the lab."""

    def __init__(self, run: Run, version: str, memory_mb: int = MEMORY_MB) -> None:
        import boto3
        from botocore.config import Config

        self.name = f"{version}-{memory_mb}"
        self._run = run
        run.memory_used.add(memory_mb)
        # Values that are never fresh are fetched at each call.
        ttl = run.switch({}, off={"LAMBDAKIT_TTL": "0"})
        self._event = (EXAMPLE / "event.json").read_bytes()
        run.lab.deploy(
            self.name,
            f"{version}.handler",
            task_root=EXAMPLE,
            environment=run.upstream.variables | {"AWS_EC2_METADATA_DISABLED": "true"} | example().VARIABLES | ttl,
            memory_mb=memory_mb,
            timeout_s=TIMEOUT_S,
        )
        self._caller = boto3.Session(
            aws_access_key_id=ACCOUNT["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ACCOUNT["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        ).client(
            "lambda",
            endpoint_url=run.lab.url,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=TIMEOUT_S + 10),
        )

    def invoke(self) -> dict[str, Any]:
        """One invocation: its answer, and its REPORT line in figures."""
        reply = self._caller.invoke(FunctionName=self.name, LogType="Tail", Payload=self._event)
        answer = json.loads(reply["Payload"].read())
        tail = base64.b64decode(reply["LogResult"]).decode()
        return {"answer": answer, "error": reply.get("FunctionError"), **report(tail)}

    def trial(self, warm: int) -> dict[str, Any]:
        """One environment: INIT, the first invocation, `warm` more; the calls that the server counted."""
        self._run.lab.retire(self.name)
        before = self._run.upstream.calls()
        first = self.invoke()
        between = self._run.upstream.calls()
        rest = [self.invoke() for _ in range(warm)]
        after = self._run.upstream.calls()
        self._run.lab.retire(self.name)  # the other version has the machine to itself
        return {
            "first": first,
            "warm": rest,
            "first_calls": dict(between - before),
            "warm_calls": dict(after - between),
        }


def example() -> Any:
    """What prepares the example, and knows its names."""
    spec = importlib.util.spec_from_file_location("orders_prepare", EXAMPLE / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
