"""A function in the lab: deployed, invoked over Lambda's Invoke API, with the figures of its REPORT lines."""

from __future__ import annotations

import base64
import http.client
import json
import time
from typing import TYPE_CHECKING, Any

from .processes import ROOT, ProcessFailedError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lambdakit.lab import Lab

FUNCTIONS = ROOT / "benchmarks" / "functions"
TIMEOUT_S = 60.0
_PATIENCE_S = 10.0  # for an answer after the function's time-out

FIGURES = ("duration_ms", "billed_ms", "init_ms", "max_memory_mb")


def report(log: str) -> dict[str, float | None]:
    """The figures of the last REPORT line of a log; None for what it does not have."""
    from lambdakit.lab._report import parse_report  # the lab's server comes with it, which no worker needs

    found = parse_report(log)
    return {name: getattr(found, name, None) for name in FIGURES}


class Deployed:
    """A function, deployed.

    Args:
        lab: where.
        name: of the function, unique in the lab.
        handler: ``module.function``.
        task_root: the folder with its code.
        environment: its variables.
        timeout_s: when Lambda ends an invocation.
        options: further ones of `Lab.deploy`, such as ``memory_mb``.
    """

    def __init__(
        self,
        lab: Lab,
        name: str,
        handler: str,
        *,
        task_root: Path = FUNCTIONS,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
        **options: Any,
    ) -> None:
        self.name = name
        self._lab = lab
        self._timeout_s = timeout_s
        lab.deploy(
            name,
            handler,
            task_root=task_root,
            environment={"AWS_EC2_METADATA_DISABLED": "true"} | dict(environment or {}),
            timeout_s=timeout_s,
            **options,
        )

    def invoke(self, event: Any = None) -> dict[str, Any]:
        """Invoke it and wait: ``answer``, ``error`` (None, or Lambda's word for it), ``ms``, the figures of `report`.

        ``ms`` is what the caller waits for; it has a new connection for each invocation.
        """
        body = json.dumps(event)
        began_s = time.perf_counter()
        connection = http.client.HTTPConnection(
            self._lab.url.removeprefix("http://"), timeout=self._timeout_s + _PATIENCE_S
        )
        try:
            path = f"/2015-03-31/functions/{self.name}/invocations"
            connection.request("POST", path, body, {"X-Amz-Log-Type": "Tail"})
            reply = connection.getresponse()
            payload = reply.read()
        finally:
            connection.close()
        took_ms = (time.perf_counter() - began_s) * 1e3
        log = base64.b64decode(reply.headers.get("X-Amz-Log-Result", "")).decode(errors="replace")
        error = reply.headers.get("X-Amz-Function-Error")
        return {"answer": json.loads(payload), "error": error, "ms": took_ms, **report(log)}

    def retire(self) -> None:
        """End its environments: the next invocation is cold."""
        self._lab.retire(self.name)

    def remove(self) -> None:
        """Take it away."""
        self._lab.remove(self.name)

    def cold(self, event: Any = None) -> dict[str, Any]:
        """The first invocation of a new environment, which ends after it: the others have the machine to themselves.

        Raises:
            ProcessFailedError: it failed.
        """
        self.retire()
        first = self.invoke(event)
        self.retire()
        if first["error"]:
            raise ProcessFailedError(f"{self.name} failed: {first['answer']}")
        return first

    def trial(self, warm: int, *, event: Any, calls: Callable[[], Counter[str]]) -> dict[str, Any]:
        """One environment: its ``first`` invocation, then ``warm`` more.

        Args:
            warm: how many.
            event: of each.
            calls: counts those at the server; the differences are ``first_calls`` and ``warm_calls``.
        """
        self.retire()
        before = calls()
        first = self.invoke(event)
        between = calls()
        rest = [self.invoke(event) for _ in range(warm)]
        after = calls()
        self.retire()
        return {
            "first": first,
            "warm": rest,
            "first_calls": dict(between - before),
            "warm_calls": dict(after - between),
        }
