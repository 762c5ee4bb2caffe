"""Which backend `auto` takes: direct only where it is exactly what botocore would do."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Each of these changes what botocore does, in a way that direct does not know.
_DECIDED_ELSEWHERE = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_DATA_PATH",
    "AWS_RETRY_MODE",
    "AWS_MAX_ATTEMPTS",
    "AWS_DEFAULTS_MODE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CREDENTIAL_FILE",
    "AWS_AUTH_SCHEME_PREFERENCE",
    "BOTO_CONFIG",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
)
_SWITCHES = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)


def against_direct(environ: Mapping[str, str], *, platform: str = sys.platform) -> str | None:
    """Why `auto` does not take direct, in a few words, or None if it does.

    Args:
        environ: the environment variables.
        platform: ``sys.platform``; elsewhere than on Linux, proxies are configured in places that urllib knows.
    """
    if platform != "linux":
        return f"{platform} may have system proxies"
    if not any(environ.get(name) for name in _CREDENTIALS):
        return "no credentials in the environment"
    name = next((name for name in _DECIDED_ELSEWHERE if environ.get(name)), None)
    name = name or next((name for name in _SWITCHES if environ.get(name, "").lower() not in {"", "false"}), None)
    if name is not None:
        return f"{name} is set"
    path = next((path for path in _files(environ) if os.path.exists(path)), None)  # noqa: PTH110 - pathlib is an import
    return None if path is None else f"{path} exists"


def against_direct_table(environ: Mapping[str, str], table: str) -> str | None:
    """Why `auto` does not take direct for an item of this table, in a few words, or None if it does.

    DynamoDB has an endpoint for each account, which botocore takes where it knows the account. Direct has none of them.
    """
    if environ.get("AWS_ENDPOINT_DISCOVERY_ENABLED", "").lower() not in {"", "auto", "false"}:
        return "AWS_ENDPOINT_DISCOVERY_ENABLED is set"
    mode = environ.get("AWS_ACCOUNT_ID_ENDPOINT_MODE", "").lower()
    if mode == "disabled":
        return None
    if mode not in {"", "preferred"}:
        return "AWS_ACCOUNT_ID_ENDPOINT_MODE is set"
    if table.startswith("arn:"):
        return "an ARN names its account"
    if environ.get("AWS_ACCOUNT_ID"):
        return "AWS_ACCOUNT_ID is set"
    return None if environ.get("AWS_ACCESS_KEY_ID") else "a container's credentials may name their account"


def _files(environ: Mapping[str, str]) -> tuple[str, ...]:
    home = os.path.expanduser("~")  # noqa: PTH111 - pathlib is an import
    return (
        os.path.expanduser(environ.get("AWS_CONFIG_FILE") or f"{home}/.aws/config"),  # noqa: PTH111 - as above
        os.path.expanduser(environ.get("AWS_SHARED_CREDENTIALS_FILE") or f"{home}/.aws/credentials"),  # noqa: PTH111
        f"{home}/.boto",
        "/etc/boto.cfg",
    )
