"""What a user gets under each fault, as docs/failures.md has it and `test_fault_matrix.py` proves it."""

from __future__ import annotations

VALUE, STALE = "value", "stale value + one warning"
BACKENDS = ("direct", "sdk")
# The fault, in words, and what the first fetch ends with: on both, or on direct and on the SDK.
FAULTS: dict[str, tuple[str, str | tuple[str, str]]] = {
    "throttling": ("400 `ThrottlingException`", "ThrottledError"),
    "throttled_429": ("429 `TooManyRequestsException`", "ThrottledError"),
    "kms_throttled": ("400 `KMSThrottlingException`", "ThrottledError"),
    "server_error": ("500 `InternalServiceError`, `InternalServerError`", "ServiceError"),
    "unavailable": ("503 `ServiceUnavailableException`", "ServiceError"),
    "bad_gateway": ("502 with a page of HTML", "ServiceError"),
    "not_json": ("200 with a page of HTML", "ServiceError"),
    "empty": ("200 with an empty body", "ServiceError"),
    "partial": ("200, and the connection ends within the body", ("NetworkError", "ServiceError")),
    "refused": ("nobody listens", "NetworkError"),
    "reset": ("the connection is reset after the request", "NetworkError"),
    "closed": ("the connection is closed after the request", "NetworkError"),
    "garbage": ("what answers does not speak HTTP", "NetworkError"),
    "silent": ("no answer while the invocation has time", "DeadlineExceededError"),
    "slow": ("an answer that is late, but in time", VALUE),
    "access_denied": ("400 `AccessDeniedException`", "AccessDeniedError"),
    "expired_token": ("400 `ExpiredTokenException`", "AccessDeniedError"),
    "signature_expired": ("400 `InvalidSignatureException`, of a clock that is wrong", "AccessDeniedError"),
    "invalid_signature": ("400 `InvalidSignatureException`, of a wrong key", "AccessDeniedError"),
    "not_found": ("400 `ResourceNotFoundException`, `ParameterNotFound`", "NotFoundError"),
    "invalid_request": ("400 `ValidationException`", "FetchError"),
}
TRANSIENT_FAULTS = ("signature_expired",)  # clocks are set by themselves
# What a stale value is served on.
TRANSIENT = ("ThrottledError", "ServiceError", "NetworkError", "DeadlineExceededError")


def first_fetch(kind: str, backend: str) -> str:
    """The law for a value that was never fetched."""
    outcome = FAULTS[kind][1]
    return outcome if isinstance(outcome, str) else outcome[BACKENDS.index(backend)]


def refresh(kind: str, backend: str) -> str:
    """The law for a value that was: a fault that may pass costs a warning, every other raises as on the first fetch."""
    outcome = first_fetch(kind, backend)
    return STALE if outcome in TRANSIENT or kind in TRANSIENT_FAULTS else outcome


def table() -> str:
    """The laws, as the page shows them."""
    lines = ["| fault | first fetch | refresh |", "|---|---|---|"]
    for kind, (fault, _) in FAULTS.items():
        cells = []
        for law in (first_fetch, refresh):
            outcomes = {backend: law(kind, backend) for backend in BACKENDS}
            cells_by_backend = [_cell(outcome) for outcome in outcomes.values()]
            by_backend = [f"{backend}: {_cell(outcome)}" for backend, outcome in outcomes.items()]
            cells.append(cells_by_backend[0] if len({*cells_by_backend}) == 1 else ", ".join(by_backend))
        lines.append(f"| {fault} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def _cell(outcome: str) -> str:
    return outcome if outcome in {VALUE, STALE} else f"`{outcome}`"
