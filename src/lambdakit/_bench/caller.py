"""Invocations over the lab's Invoke API, each with its REPORT line in figures."""

from __future__ import annotations

import base64
import http.client
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ..exceptions import LambdakitError
from ..lab._report import parse_report

if TYPE_CHECKING:
    from types import TracebackType

    from ..lab._report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The response to an invocation.

    Attributes:
        payload: what the function returned, or its error, as JSON.
        failed: whether it is an error.
        log: the end of the invocation's log, at most 4 KB.
        report: its REPORT line.
    """

    payload: bytes
    failed: bool
    log: str
    report: Report

    @property
    def init_failed(self) -> bool:
        """Whether INIT failed."""
        return self.failed and "INIT_REPORT" in self.log


class Caller:
    """One connection to a lab, for one thread.

    Args:
        url: the lab's.
        timeout_s: how long a response may take.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=timeout_s)

    def invoke(self, name: str, event: bytes) -> Reply:
        """Invoke a function once.

        Raises:
            LambdakitError: the lab rejected it.
        """
        path = f"/2015-03-31/functions/{name}/invocations"
        self._connection.request("POST", path, body=event, headers={"X-Amz-Log-Type": "Tail"})
        response = self._connection.getresponse()
        payload = response.read()
        if response.status != http.client.OK:
            raise LambdakitError(f"The lab rejected the invocation: {payload.decode(errors='replace')}")
        log = base64.b64decode(response.headers.get("X-Amz-Log-Result", "")).decode(errors="replace")
        report = parse_report(log)
        if report is None:
            raise LambdakitError(f"The lab logged no REPORT line: {log!r}")
        failed = response.headers.get("X-Amz-Function-Error") is not None
        return Reply(payload=payload, failed=failed, log=log, report=report)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
