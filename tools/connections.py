"""What becomes of a request after a fault of its kept connection, as docs/connections.md has it.

`test_http_faults.py` proves each cell.
"""

from __future__ import annotations

METHODS = ("GET", "POST")

# Since the last request, the server, or what is in between, has ...
FAULTS = {
    "fin": "closed the connection (FIN)",
    "rst": "reset the connection (RST)",
    "closed": "not closed it yet, but does when the next request arrives",
    "silent": "dropped the flow: nothing comes any more",
    "frozen": "dropped the flow while the environment was frozen for a minute",
    "restart": "restarted on the same port",
    "certificate": "changed its certificate, and closed the connection",
}
OURS = ("`lambdakit.http`", "`requests_session`", "`httpx_client`", "`httpx_async_client`")
SDK = "`lambdakit.client`"
CONTROLS = ("plain `requests`", "plain `boto3`")
FRONTS = (*OURS, SDK, *CONTROLS)

VALUE, RESENT, ERROR = "value", "value, sent twice", "error"
# What comes of it, by method: on our fronts, on SDK clients, on plain requests, on plain boto3. And how often the
# server is sent the request: once with a value, twice where it says so; with an error once, or not at all.
LAWS: dict[str, dict[str, tuple[str, str, str, str]]] = {
    "fin": dict.fromkeys(METHODS, (VALUE,) * 4),
    "rst": dict.fromkeys(METHODS, (VALUE,) * 4),
    "closed": {"GET": (RESENT, RESENT, ERROR, RESENT), "POST": (ERROR, RESENT, ERROR, RESENT)},
    "silent": dict.fromkeys(METHODS, (ERROR, VALUE, ERROR, VALUE)),
    "frozen": dict.fromkeys(METHODS, (VALUE, VALUE, ERROR, VALUE)),
    "restart": dict.fromkeys(METHODS, (VALUE,) * 4),
    "certificate": dict.fromkeys(METHODS, (VALUE,) * 4),
}
# Where a value comes only after a time-out: a minute of waiting, or for ever, with the defaults of those that wait.
WAITS = {
    ("silent", OURS[0]): "after 10 s",
    ("silent", SDK): "after 10 s",
    ("silent", CONTROLS[0]): "hangs for ever",
    ("frozen", CONTROLS[0]): "hangs for ever",
    ("silent", CONTROLS[1]): "after 60 s",
    ("frozen", CONTROLS[1]): "after 60 s",
}


def law(fault: str, method: str, front: str) -> str:
    """The outcome."""
    ours, sdk, plain_requests, plain_boto3 = LAWS[fault][method]
    return {SDK: sdk, CONTROLS[0]: plain_requests, CONTROLS[1]: plain_boto3}.get(front, ours)


def table() -> str:
    """The laws, as the page shows them."""
    shown = {", ".join(OURS): OURS[0], **{front: front for front in (SDK, *CONTROLS)}}
    lines = [
        f"| since the last request, the server has | method | {' | '.join(shown)} |",
        "|---" * (2 + len(shown)) + "|",
    ]
    for fault, words in FAULTS.items():
        cells_by_method = {method: [_cell(fault, method, front) for front in shown.values()] for method in METHODS}
        if cells_by_method["GET"] == cells_by_method["POST"]:
            cells_by_method = {"any": cells_by_method["GET"]}
        lines += [f"| {words} | {method} | {' | '.join(cells)} |" for method, cells in cells_by_method.items()]
    return "\n".join(lines)


def _cell(fault: str, method: str, front: str) -> str:
    outcome, wait = law(fault, method, front), WAITS.get((fault, front))
    return outcome if wait is None else wait if wait.startswith("hangs") else f"{outcome}, {wait}"
