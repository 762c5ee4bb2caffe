"""The backends over lambdakit's own calls: `direct` by these alone, `auto` where they do what botocore would do."""

from __future__ import annotations

import os
import sys

from .._aws import Aws
from .operations import Operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .._aws import Answer, Operation
    from .._environment import Environment
    from .sdk import SdkBackend

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

_SERVICE = "secretsmanager"  # stands for all: where one is reached without the SDK, nearly always the others are, too


class DirectBackend(Operations):
    """Fetches without the SDK. Thread-safe.

    Args:
        aws: the calls of the environment.
    """

    __slots__ = ("_aws",)

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    @classmethod
    def of(cls, env: Environment) -> DirectBackend:
        """That of an environment."""
        return cls(env._parts[Aws])

    @property
    def name(self) -> str:
        """What the repr of an environment calls it."""
        return "direct"

    @property
    def origin(self) -> DirectBackend:
        """Itself: it has no cache."""
        return self

    def warm_imports(self) -> None:
        """Import in INIT what a first fetch needs."""
        self._aws.warm_imports(_SERVICE)

    def _call(self, operation: Operation, name: str, region: str | None, request: dict[str, Any]) -> Answer:
        return self._aws.call(operation, request, name=name, region=region)


class AutoBackend(DirectBackend):
    """Direct where that equals botocore, the SDK everywhere else. Thread-safe.

    It is decided for each call, in microseconds: after a restore the credentials stand in other variables.

    Args:
        aws: the calls of the environment.
        sdk: the other backend, made when it is first needed.
        environ: the environment variables.
    """

    __slots__ = ("_environ", "_sdk")

    def __init__(self, aws: Aws, *, sdk: Callable[[], SdkBackend], environ: Mapping[str, str]) -> None:
        super().__init__(aws)
        self._sdk = sdk
        self._environ = environ

    @classmethod
    def of(cls, env: Environment) -> AutoBackend:
        """That of an environment."""

        def sdk() -> SdkBackend:
            from .sdk import SdkBackend  # 0.3 ms; not paid where direct does

            return env._parts[SdkBackend]

        return cls(env._parts[Aws], sdk=sdk, environ=env.settings.environ)

    @property
    def name(self) -> str:
        """What a fetch in the default region would take now, and why it is not direct where it is not."""
        reason = why_not_direct(self._environ)
        if reason is None and not self._aws.knows(_SERVICE, None):
            reason = "no region or endpoint that direct knows"
        return "direct" if reason is None else f"sdk ({reason})"

    def warm_imports(self) -> None:
        """Import in INIT what a first fetch needs, whichever backend it takes."""
        if self.is_direct(_SERVICE, None):
            super().warm_imports()
        else:
            self._sdk().warm_imports()

    def is_direct(self, service: str, region: str | None) -> bool:
        """Whether a call of this service would be direct now."""
        return why_not_direct(self._environ) is None and self._aws.knows(service, region)

    def _call(self, operation: Operation, name: str, region: str | None, request: dict[str, Any]) -> Answer:
        direct = self.is_direct(operation.service, region)
        if operation.service == "dynamodb":
            direct = direct and why_not_direct_table(self._environ, request["TableName"]) is None
        if direct:
            return super()._call(operation, name, region, request)
        return self._sdk()._call(operation, name, region, request)  # noqa: SLF001 - of the same class


def why_not_direct(environ: Mapping[str, str], *, platform: str = sys.platform) -> str | None:
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


def why_not_direct_table(environ: Mapping[str, str], table: str) -> str | None:
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
