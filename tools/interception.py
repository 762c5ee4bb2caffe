"""Which tool of tests sees what is sent by which of lambdakit's functions, as docs/testing-tools.md has it.

`test_interception.py` proves each cell.
"""

from __future__ import annotations

YES, NO, OTHER = "yes", "no", "-"

VALUES, CLIENTS, HTTP, REQUESTS, HTTPX = FRONTS = (
    "values, with `auto`",
    "SDK clients",
    "`lambdakit.http`",
    "`requests_session`",
    "httpx clients",
)
# What is meant by a front, for the text below the table.
MEANT = {
    VALUES: "`get_secret` and its siblings, in batches and by path, `get_item`, `get_app_config`, `decrypt_env`, "
    "`preload`, `fan_out`",
    CLIENTS: "`lambdakit.client`, `resource`, and `boto3.client` where it is patched",
    HTTP: "its functions, `pool()` and `oauth_token`",
    REQUESTS: "and patched `requests`",
    HTTPX: "`httpx_client`, `httpx_async_client` and patched `httpx`",
}
MOTO, STUBBER, PATCHED, INSTRUMENTED, PLACEBO = (
    "moto, `mock_aws`",
    "botocore's `Stubber`",
    "a patched `BaseClient._make_api_call`",
    "OpenTelemetry, X-Ray, Datadog, Sentry on botocore",
    "placebo",
)
OF_AWS = (MOTO, STUBBER, PATCHED, INSTRUMENTED, PLACEBO)  # what is sent to others is not their matter
VCR, POOK, RESPONSES, REQUESTS_MOCK, RESPX = "vcrpy", "pook", "responses", "requests-mock", "respx"
LAWS: dict[str, tuple[str, ...]] = {
    MOTO: (VALUES, CLIENTS),
    STUBBER: (VALUES, CLIENTS),
    PATCHED: (VALUES, CLIENTS),
    INSTRUMENTED: (VALUES, CLIENTS),
    PLACEBO: (VALUES, CLIENTS),
    VCR: FRONTS,
    POOK: FRONTS,
    RESPONSES: (REQUESTS,),
    REQUESTS_MOCK: (REQUESTS,),
    RESPX: (HTTPX,),
}


def law(tool: str, front: str) -> bool:
    """Whether the tool sees it."""
    return front in LAWS[tool]


def table() -> str:
    """The laws, as the page shows them."""
    lines = [f"| | {' | '.join(FRONTS)} |", "|---" * (1 + len(FRONTS)) + "|"]
    lines += [f"| {tool} | {' | '.join(_cell(tool, front) for front in FRONTS)} |" for tool in LAWS]
    return "\n".join([*lines, "", *(f"- {front}: {words}" for front, words in MEANT.items())])


def _cell(tool: str, front: str) -> str:
    return YES if law(tool, front) else OTHER if tool in OF_AWS else NO
