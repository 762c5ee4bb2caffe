"""A phase, INIT or restore, that did not end as it should."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import _invocation as outcomes

if TYPE_CHECKING:
    from ._invocation import Outcome


class Failure(NamedTuple):
    """What is known of it.

    `status` is "timeout" or "error", `body` what the runtime posted, or None; `returncode` is set if the process ended
    by itself.
    """

    status: str
    error_type: str | None
    body: bytes | None = None
    returncode: int | None = None

    def outcome(self, request_id: str, limit_s: float) -> Outcome:
        """What it makes of the invocation that needed the phase, which had `limit_s` seconds."""
        if self.status == "timeout":
            return outcomes.timed_out(request_id, limit_s)
        if self.body is not None:
            return outcomes.posted_error(self.body, self.error_type or "")
        return outcomes.exited(request_id, self.returncode or 0)


def exited(returncode: int) -> Failure:
    """The process ended before the phase did."""
    return Failure("error", "Runtime.ExitError", returncode=returncode)


TIMEOUT = Failure("timeout", None)
