"""Invocations over the lab's Invoke API, each with its REPORT in figures."""

from __future__ import annotations

import base64
import http.client
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ..exceptions import LambdakitError

if TYPE_CHECKING:
    from types import TracebackType

_FIGURES = {
    "duration_ms": re.compile(r"\tDuration: ([\d.]+) ms"),
    "billed_ms": re.compile(r"\tBilled Duration: (\d+) ms"),
    "init_ms": re.compile(r"\tInit Duration: ([\d.]+) ms"),
    "memory_mb": re.compile(r"\tMax Memory Used: (\d+) MB"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer.

    Attributes:
        payload: what the function returned, or its error, as JSON.
        failed: whether it is an error.
        log: the end of the invocation's log, at most 4 KB.
        duration_ms: how long it took, without INIT.
        billed_ms: what is billed, INIT included.
        init_ms: how long INIT took, if the invocation waited for it.
        memory_mb: the most memory that the environment had; None where the system does not tell.
    """

    payload: bytes
    failed: bool
    log: str
    duration_ms: float
    billed_ms: float
    init_ms: float | None
    memory_mb: float | None

    @property
    def init_failed(self) -> bool:
        """Whether the function came no further than INIT."""
        return self.failed and "INIT_REPORT" in self.log


class Caller:
    """One connection to a lab, for one thread.

    Args:
        url: the lab's.
        limit_s: how long an answer may take.
    """

    def __init__(self, url: str, *, limit_s: float) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=limit_s)

    def invoke(self, name: str, event: bytes) -> Reply:
        """Invoke a function once.

        Raises:
            LambdakitError: the lab refused it.
        """
        path = f"/2015-03-31/functions/{name}/invocations"
        self._connection.request("POST", path, body=event, headers={"X-Amz-Log-Type": "Tail"})
        response = self._connection.getresponse()
        payload = response.read()
        if response.status != http.client.OK:
            raise LambdakitError(f"The lab refused the invocation: {payload.decode(errors='replace')}")
        log = base64.b64decode(response.headers.get("X-Amz-Log-Result", "")).decode(errors="replace")
        failed = response.headers.get("X-Amz-Function-Error") is not None
        line = next((line for line in reversed(log.splitlines()) if line.startswith("REPORT ")), "")
        figures = {name: float(match[1]) if (match := how.search(line)) else None for name, how in _FIGURES.items()}
        return Reply(
            payload=payload,
            failed=failed,
            log=log,
            duration_ms=figures["duration_ms"] or 0.0,
            billed_ms=figures["billed_ms"] or 0.0,
            init_ms=figures["init_ms"],
            memory_mb=figures["memory_mb"],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
