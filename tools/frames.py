"""What the frames of an error show, as docs/failures.md has it and `test_frames.py` proves it."""

from __future__ import annotations

NOTHING, YOURS = "nothing", "only frames of yours"
IMPOSSIBLE = "cannot happen"

BACKENDS = ("direct", "sdk", "extension", "memory")
_ALL = dict.fromkeys(BACKENDS)
# What goes wrong: in words, and what is raised, by backend; None where it cannot happen.
VALUES: dict[str, tuple[str, dict[str, str | None]]] = {
    "field": ("no such field", {**_ALL, **dict.fromkeys(BACKENDS, "ValueFormatError")}),
    "json": ("not JSON", dict.fromkeys(BACKENDS, "ValueFormatError")),
    "binary": ("not base64", dict.fromkeys(BACKENDS, "ValueFormatError")),
    "option": ("a wrong argument, once there is a value", dict.fromkeys(BACKENDS, "ConfigurationError")),
    "batch": ("one of several is missing", dict.fromkeys(BACKENDS, "BatchError")),
    "batch_json": ("one of several is not JSON", dict.fromkeys(BACKENDS, "BatchError")),
    "missing": ("no such value", dict.fromkeys(BACKENDS, "NotFoundError")),
    "denied": ("denied", {**dict.fromkeys(BACKENDS, "AccessDeniedError"), "memory": None}),
    "signature": (
        "denied, and the answer quotes the request",
        {**dict.fromkeys(BACKENDS, "AccessDeniedError"), "memory": None},
    ),
    "throttled": ("throttled", {**dict.fromkeys(BACKENDS, "ThrottledError"), "memory": None}),
    "failed": ("a status of 500", {**dict.fromkeys(BACKENDS, "ServiceError"), "memory": None}),
    "malformed": (
        "a value in an answer that is not understood",
        {**dict.fromkeys(BACKENDS, "ServiceError"), "memory": None},
    ),
    "lost": ("the connection is lost", {**dict.fromkeys(BACKENDS, "NetworkError"), "memory": None}),
    "silent": ("no answer in time", {**dict.fromkeys(BACKENDS, "DeadlineExceededError"), "memory": None}),
    "invalid": ("the service refuses the request", {**dict.fromkeys(BACKENDS, "FetchError"), "memory": None}),
    "transform": ("your transform raises", dict.fromkeys(BACKENDS, "LookupError")),
}

FRONTS = (
    "`lambdakit.http`",
    "`pool()`",
    "`requests_session`",
    "`httpx_client`",
    "`httpx_async_client`",
    "`oauth_token`",
)
REQUESTS: dict[str, tuple[str, dict[str, str | None]]] = {
    "lost": (
        "the connection is lost",
        {
            **dict.fromkeys(FRONTS[:2], "ProtocolError"),
            FRONTS[2]: "ConnectionError",
            **dict.fromkeys(FRONTS[3:5], "ReadError"),
            FRONTS[5]: "NetworkError",
        },
    ),
    "silent": ("no answer in time", dict.fromkeys(FRONTS, "DeadlineExceededError")),
    "large": (
        "more than `max_bytes`",
        {**dict.fromkeys(FRONTS), FRONTS[0]: "ValueFormatError"},
    ),
    "refused": ("the client is refused", {**dict.fromkeys(FRONTS), FRONTS[5]: "AccessDeniedError"}),
    "malformed": ("no token in the answer", {**dict.fromkeys(FRONTS), FRONTS[5]: "ServiceError"}),
}


def shown(kind: str) -> str:
    """The law: whose frames show anything."""
    return YOURS if kind == "transform" else NOTHING


def table() -> str:
    """The laws, as the page shows them."""
    return "\n\n".join(_table(*part) for part in (("backend", BACKENDS, VALUES), ("front", FRONTS, REQUESTS)))


def _table(what: str, columns: tuple[str, ...], rows: dict[str, tuple[str, dict[str, str | None]]]) -> str:
    lines = [f"| what goes wrong, by {what} | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    for kind, (words, raised) in rows.items():
        cells = [IMPOSSIBLE if raised[column] is None else f"`{raised[column]}`: {shown(kind)}" for column in columns]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines)
