"""The backends over lambdakit's own calls: `direct` by these alone, `auto` where they do what botocore would do."""

from __future__ import annotations

import os
import sys

from .._aws import Aws
from .._diagnostics import moto_is_active
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

# What a call of the SDK goes through, by module and class: tests put others in these places, and instrumentations wrap
# them. Of what stands below botocore the same: vcrpy, pook and HTTP instrumentations are there.
_CALL_PATH = (
    ("botocore.client", "BaseClient", ("__init__", "_make_api_call", "_emit_api_params", "_make_request")),
    ("botocore.endpoint", "Endpoint", ("make_request", "create_request", "prepare_request", "_send_request", "_send")),
    ("botocore.httpsession", "URLLib3Session", ("send",)),
    ("botocore.parsers", "ResponseParser", ("parse",)),
    ("botocore.awsrequest", "AWSHTTPConnectionPool", ("ConnectionCls",)),
    ("botocore.awsrequest", "AWSHTTPSConnectionPool", ("ConnectionCls",)),
    ("urllib3.connectionpool", "HTTPConnectionPool", ("urlopen", "_make_request", "_get_conn", "_new_conn")),
    ("http.client", "HTTPConnection", ("connect", "_send_request", "request", "putrequest", "endheaders", "send")),
    ("http.client", "HTTPConnection", ("getresponse",)),
)
# Whose sockets the direct backend knows as it knows Python's own; those of others may be a test's.
_SOCKETS = ("socket", "gevent._socket3", "eventlet.greenio.base")
# Where those who wrap a module when it is imported wait for it.
_IMPORT_HOOKS = (("wrapt.importer", "_post_import_hooks"), ("newrelic.api.import_hook", "_import_hooks"))

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
    """Direct where that equals botocore, the SDK everywhere else, and where somebody watches it. Thread-safe.

    It is decided for each call, in microseconds: after a restore the credentials stand in other variables, and a mock
    of AWS begins and ends within a process.

    Args:
        aws: the calls of the environment.
        sdk: the other backend, made when it is first needed.
        listened_to: whether somebody listens to the events of the client that the SDK would take.
        environ: the environment variables.
    """

    __slots__ = ("_environ", "_listened_to", "_sdk")

    def __init__(
        self,
        aws: Aws,
        *,
        sdk: Callable[[], SdkBackend],
        listened_to: Callable[[str, str | None], bool],
        environ: Mapping[str, str],
    ) -> None:
        super().__init__(aws)
        self._sdk = sdk
        self._listened_to = listened_to
        self._environ = environ

    @classmethod
    def of(cls, env: Environment) -> AutoBackend:
        """That of an environment."""

        def sdk() -> SdkBackend:
            from .sdk import SdkBackend  # 0.3 ms; not paid where direct does

            return env._parts[SdkBackend]

        def listened_to(service: str, region: str | None) -> bool:
            module = sys.modules.get("lambdakit._clients")  # not imported for the question
            clients = None if module is None else env._parts.peek(module.Clients)
            return clients is not None and clients.listened_to(service, region)

        return cls(env._parts[Aws], sdk=sdk, listened_to=listened_to, environ=env.settings.environ)

    @property
    def name(self) -> str:
        """What a fetch in the default region would take now, and why it is not direct where it is not."""
        reason = self._why_not(_SERVICE, None)
        return "direct" if reason is None else f"sdk ({reason})"

    def warm_imports(self) -> None:
        """Import in INIT what a first fetch needs, whichever backend it takes."""
        if self.is_direct(_SERVICE, None):
            super().warm_imports()
        else:
            self._sdk().warm_imports()

    def is_direct(self, service: str, region: str | None) -> bool:
        """Whether a call of this service would be direct now."""
        return self._why_not(service, region) is None

    def _why_not(self, service: str, region: str | None) -> str | None:
        reason = why_not_direct(self._environ) or who_watches_the_sdk()
        if reason is None and not self._aws.knows(service, region):
            reason = "no region or endpoint that direct knows"
        if reason is None and self._listened_to(service, region):
            reason = f"a client of {service} has handlers of others"
        return reason

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


def who_watches_the_sdk() -> str | None:
    """Who answers or sees calls of the SDK now, and would not see those of direct, in a few words; None for nobody.

    Seen from what is loaded. Where there is no SDK, nobody watches it.
    """
    watcher = _watcher(sys.modules)
    if watcher is None or "botocore" in sys.modules:
        return watcher
    from importlib.util import find_spec  # 1 ms, where somebody watches and nobody has loaded the SDK

    return None if find_spec("botocore") is None else watcher


def _watcher(modules: Mapping[str, Any]) -> str | None:
    if moto_is_active():
        return "moto is active"
    for module_name, class_name, names in _CALL_PATH:
        module = modules.get(module_name)
        if module is None:
            continue
        namespace = vars(module)  # of one that another thread is importing, not all names may be there yet
        owner = namespace.get(class_name)
        if owner is not None and owner.__module__ != module_name:
            return f"{module_name}.{class_name} is not its own"
        members = {} if owner is None else vars(owner)
        for name in names:
            member = members.get(name)  # None: this version has no such function
            if id(member) not in _originals and not _is_original(member, module_name):
                return f"{module_name}.{class_name}.{name} is wrapped or replaced"
    sockets = getattr(modules.get("socket"), "socket", None)
    if sockets is not None and sockets.__module__ not in _SOCKETS:
        return f"sockets are those of {sockets.__module__}"
    for module_name, name in _IMPORT_HOOKS:
        hooks = getattr(modules.get(module_name), name, None) or {}
        hook = next((hook for hook in [*hooks] if hook.startswith("botocore") and hooks.get(hook)), None)
        if hook is not None:
            return f"{module_name.partition('.')[0]} waits for {hook}"
    return None


def _is_original(member: Any, module_name: str) -> bool:
    """Whether what stands in a class is a function, or a class, of the package that its module is of."""
    inner = member
    while _is_function(inner) and _sees_every_request(inner):
        inner = inner.__wrapped__  # that of `lambdakit bench`, which sees direct as well
    if _is_function(inner):
        home: str = inner.__globals__["__name__"]  # `__module__` is what a decorator says that it is
    else:
        home = inner.__module__ if isinstance(inner, type) else ""
    if home.partition(".")[0] != module_name.partition(".")[0]:
        return False
    _originals[id(member)] = member
    return True


def _is_function(member: Any) -> bool:
    return type(member) is _FUNCTION


def _sees_every_request(function: Any) -> bool:
    return vars(function).get("sees_every_request") is function


# By their ids, since proxies of others equal what they stand for. A fact of the process, as modules are.
_originals: dict[int, Any] = {id(None): None}
_FUNCTION = type(who_watches_the_sdk)


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
