"""What becomes of answers that are not one, of bodies that can be read once, and of redirects: docs/connections.md.

`test_http_exchanges.py` proves each cell.
"""

from __future__ import annotations

from typing import NamedTuple

HTTP, POOL = "`lambdakit.http`", "`pool()`"
SESSION, PATCHED_REQUESTS = "`requests_session`", "patched `requests`"
HTTPX, HTTPX_ASYNC, PATCHED_HTTPX = "`httpx_client`", "`httpx_async_client`", "patched `httpx`"
OAUTH = "`oauth_token`"
PLAIN_REQUESTS, PLAIN_HTTPX = "plain `requests`", "plain `httpx`"

# What behaves alike.
GROUPS = (
    (HTTP, POOL, OAUTH),
    (SESSION, PATCHED_REQUESTS),
    (HTTPX, HTTPX_ASYNC, PATCHED_HTTPX),
    (PLAIN_REQUESTS,),
    (PLAIN_HTTPX,),
)
FRONTS = tuple(front for group in GROUPS for front in group)

OWN, OTHERS, ERROR = "its own answer", "**another's answer**", "error"
ONCE, WHOLE, EMPTY = "sent once", "sent again in whole", "sent again, **empty**"
GET, KEPT, RETURNED = "GET without body", "POST with its body", "the redirect is the answer"
SENT, NOT_SENT = "sent", "not sent"


class Law(NamedTuple):
    """A row of a table."""

    says: str
    outcomes: tuple[str, str, str, str, str]  # of each group


# The server answers a request so; what does the request after it get?
ANSWERS = {
    "103": Law("103, and the answer a moment later", (OWN, OWN, OWN, OTHERS, OWN)),
    "102": Law("102 three times, then the answer, in one piece", (OWN, OWN, OWN, OTHERS, OWN)),
    "two": Law("the answer, and another one with it", (OWN, OWN, OWN, OWN, OTHERS)),
    "two later": Law("the answer, and another one a moment later", (OWN,) * 5),
    "cut": Law("a part of the answer, and the end", (OWN,) * 5),
}

# A PUT with such a body is answered so; is it sent again?
BODIES = {
    ("generator", 429): Law("a generator, 429", (ONCE,) * 5),
    ("generator", 503): Law("a generator, 503", (ONCE,) * 5),
    ("generator", 307): Law("a generator, 307", (ONCE, ONCE, ERROR, EMPTY, ERROR)),
    ("generator", 308): Law("a generator, 308", (ONCE, ONCE, ERROR, EMPTY, ERROR)),
    ("pipe", 503): Law("a pipe, 503", (ONCE, ONCE, ONCE, ONCE, ERROR)),  # httpx takes it for empty
    ("pipe", 307): Law("a pipe, 307", (ONCE, ONCE, ERROR, ERROR, ERROR)),
    ("file", 503): Law("a file, 503", (WHOLE, WHOLE, ONCE, ONCE, ONCE)),
    ("file", 307): Law("a file, 307", (WHOLE, WHOLE, ERROR, WHOLE, ERROR)),
    ("bytes", 503): Law("bytes, 503", (WHOLE, WHOLE, WHOLE, ONCE, ONCE)),
    ("bytes", 307): Law("bytes, 307", (WHOLE,) * 5),
}

# A POST is redirected so; what follows?
REDIRECTS = {
    (301, "same host"): Law("301", (GET,) * 5),
    (302, "same host"): Law("302", (GET,) * 5),
    (303, "same host"): Law("303", (GET,) * 5),
    (307, "same host"): Law("307, 308", (KEPT,) * 5),
    (302, "another host"): Law("302 to another host", (GET,) * 5),
    (307, "another host"): Law("307, 308 to another host", (RETURNED, KEPT, KEPT, KEPT, KEPT)),
    (302, "another scheme"): Law("302 to `ftp:`", (ERROR,) * 5),
}

# And what of the first request is sent to another host?
HEADERS = {
    "Authorization": Law("`Authorization`", (NOT_SENT,) * 5),
    "Cookie": Law("`Cookie`", (NOT_SENT, NOT_SENT, NOT_SENT, NOT_SENT, NOT_SENT)),
    "X-Api-Key": Law("`X-Api-Key`, and others with such names", (NOT_SENT, SENT, SENT, SENT, SENT)),
    "X-Trace": Law("any other header", (SENT,) * 5),
}


def law(laws: Law, front: str) -> str:
    """The outcome of a row on a front."""
    return next(outcome for group, outcome in zip(GROUPS, laws.outcomes, strict=True) if front in group)


def table() -> str:
    """The laws, as the page shows them."""
    parts = (
        ("the server answers with", "what the next request gets", ANSWERS),
        ("a PUT with such a body, and the first status", "the body is", BODIES),
        ("a POST is redirected", "what follows", REDIRECTS),
        ("a header of a request that is redirected to another host", "there it is", HEADERS),
    )
    tables = []
    for what, outcome, laws in parts:
        groups = GROUPS if laws is ANSWERS else ((HTTP, POOL), *GROUPS[1:])
        lines = [f"| {what} | {' | '.join(', '.join(group) for group in groups)} |", "|---" * (1 + len(groups)) + "|"]
        lines += [f"| {row.says} | {' | '.join(row.outcomes)} |" for row in laws.values()]
        tables.append(f"{outcome.capitalize()}:\n\n" + "\n".join(lines))
    return "\n\n".join(tables)
