"""What ends a request that the invocation has no time for, as docs/failures.md has it.

`test_deadlines.py` proves each cell.
"""

from __future__ import annotations

DEADLINE, STALE = "DeadlineExceededError", "stale value"
NOT_BOUNDED, IMPOSSIBLE, RESPONSE = "not bounded", "cannot happen", "the response"

KINDS = (
    "`get_secret`, direct",
    "`get_secret`, sdk",
    "`client`",
    "`client`, of `lambda`",
    "`lambdakit.http`",
    "`requests_session`",
    "`httpx_client`",
)
_VALUES, _SDK, _CALLEE, _HTTP = KINDS[:2], KINDS[1:4], KINDS[3], KINDS[4:]
_ALL = dict.fromkeys(KINDS, DEADLINE)
# The fault, in words, and what ends the request, by kind.
FAULTS: dict[str, tuple[str, dict[str, str]]] = {
    "connect": ("the connection is not accepted", _ALL),
    "silent": ("no answer comes", _ALL),
    "trickle": ("an answer comes byte by byte", _ALL),
    "body": ("a body comes byte by byte", _ALL),
    "interim": ("interim answers come without end", _ALL),
    "headers": ("headers come without end", _ALL),
    "throttled": (
        "throttled, and the wait for another attempt is longer than what is left",
        {
            **_ALL,
            KINDS[0]: "ThrottledError",
            _CALLEE: "ClientError",
            **dict.fromkeys(_HTTP, RESPONSE),
        },
    ),
    "credentials": (
        "a container's endpoint does not give the credentials",
        {
            KINDS[0]: DEADLINE,
            **dict.fromkeys(_SDK, NOT_BOUNDED),
            **dict.fromkeys(_HTTP, IMPOSSIBLE),
        },
    ),
    "name": ("the name of the host is not resolved", dict.fromkeys(KINDS, NOT_BOUNDED)),
}


def refresh(fault: str, kind: str) -> str:
    """What a reader gets that has a stale value: of `get_secret`, or of a cached function that sends a request."""
    outcome = FAULTS[fault][1][kind]
    if fault == "credentials" or outcome == RESPONSE:
        return STALE if outcome == DEADLINE else outcome
    return STALE


def table() -> str:
    """The laws, as the page shows them."""
    lines = [f"| fault | {' | '.join(KINDS)} | with a stale value |", "|---" * (len(KINDS) + 2) + "|"]
    for fault, (words, outcomes) in FAULTS.items():
        by_backend = {kind.partition(", ")[2]: refresh(fault, kind) for kind in _VALUES}
        told = [STALE] if {*by_backend.values()} == {STALE} else [f"{name}: {one}" for name, one in by_backend.items()]
        cells = [f"`{one}`" if one.endswith("Error") else one for one in (outcomes[kind] for kind in KINDS)]
        lines.append(f"| {words} | {' | '.join(cells)} | {', '.join(told)} |")
    return "\n".join(lines)
