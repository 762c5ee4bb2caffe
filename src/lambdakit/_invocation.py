"""One call of the handler: its number, its start kind, its deadline."""

from __future__ import annotations

from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Token
    from typing import Any

    from ._clock import Instant
    from ._telemetry import Watch

# A context variable lives for ever, so it cannot belong to an environment: it is a key, the state is what each context
# holds under it.
CURRENT: ContextVar[Invocation | None] = ContextVar("lambdakit_invocation", default=None)

# Lambda may initialise an environment before anybody asks for it. It does not say so; the first invocation comes later
# than the few milliseconds that lie between INIT and an invocation that has waited for it.
PROACTIVE_S = 10.0

# Lambda's AWS_LAMBDA_INITIALIZATION_TYPE → the kind of the first start. A type that is not here is reported as it is:
# it is not a cold start that a user waited for, as far as anyone can tell.
_FIRST_START = {
    "on-demand": "cold",
    "provisioned-concurrency": "provisioned",
    "snap-start": "restored",
    "lambda-managed-instances": "managed",
}


def start_kind(init_type: str | None, pings: int, init_to_invoke_s: float) -> str:
    """How the environment of a first invocation came to be; those after it are ``warm``.

    Args:
        init_type: Lambda's own word, or None outside Lambda, where a first call counts as ``cold``.
        pings: how many pings the environment has answered before. After one, no user waits for a start.
        init_to_invoke_s: seconds from the end of INIT to the invocation.
    """
    if pings:
        return "warm"
    if init_type is None:
        return "cold"
    if init_type == "on-demand" and init_to_invoke_s > PROACTIVE_S:
        return "proactive"
    return _FIRST_START.get(init_type, init_type)


def between_s(earlier: Instant, later: Instant) -> float:
    """Seconds between two readings of the clocks, suspended time included."""
    wall, monotonic = later[0] - earlier[0], later[1] - earlier[1]
    return wall if wall > monotonic else monotonic  # noqa: FURB136 - `max` would cost as much as all the rest


class Invocation:
    """One call of the handler.

    Attributes:
        number: 1 for the first invocation of this environment; pings are not counted.
        start_kind: ``cold``, ``proactive``, ``provisioned``, ``restored``, ``managed`` or ``warm``; or Lambda's own
            word for an initialisation type that is not known here.
        context: the Lambda context as the runtime passed it; None where the handler was called without one.
        margin_s: seconds of the remaining time that I/O of lambdakit's leaves for the handler to answer with.
        error: the name of the type of what the handler raised, or None.
        watch: what `handler` was told to do with the record of each invocation; None for nothing.
    """

    __slots__ = (
        "_init_ended",
        "context",
        "error",
        "margin_s",
        "number",
        "start_kind",
        "started",
        "token",
        "watch",
    )

    token: Token[Invocation | None]  # what `CURRENT` held before

    def __init__(
        self,
        context: Any,
        number: int,
        start_kind: str,
        started: Instant,
        init_ended: Instant,
        margin_s: float,
        watch: Watch | None = None,
    ) -> None:
        self.context = context
        self.number = number
        self.start_kind = start_kind
        self.started = started
        self._init_ended = init_ended
        self.margin_s = margin_s
        self.error: str | None = None
        self.watch = watch

    @property
    def is_cold_start(self) -> bool:
        """True if a user waited for the INIT of this environment: the start kind is ``cold``."""
        return self.start_kind == "cold"

    @property
    def request_id(self) -> str | None:
        """Lambda's id of this request, or None where the context has none."""
        value = getattr(self.context, "aws_request_id", None)
        return value if isinstance(value, str) else None

    @property
    def init_to_invoke_s(self) -> float:
        """Seconds from the end of INIT to the start of this invocation, suspended time included."""
        return between_s(self._init_ended, self.started)

    def remaining_s(self) -> float | None:
        """Seconds until Lambda ends this invocation, never below 0; None where the context does not know."""
        method = getattr(self.context, "get_remaining_time_in_millis", None)
        if method is None:
            return None
        remaining_ms = method()
        return max(0.0, remaining_ms / 1000.0) if isinstance(remaining_ms, (int, float)) else None

    def left_s(self) -> float | None:
        """Seconds that I/O of lambdakit's may take; below 0 when it must not begin, None for no limit."""
        remaining_s = self.remaining_s()
        return None if remaining_s is None else remaining_s - self.margin_s

    def __repr__(self) -> str:
        """Number, start kind and request id."""
        return f"<Invocation {self.number} {self.start_kind} request_id={self.request_id}>"
