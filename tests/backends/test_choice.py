"""When `auto` is direct."""

import functools
import http.client
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import boto3
import botocore.awsrequest
import botocore.client
import botocore.endpoint
import botocore.httpsession
import botocore.parsers
import pytest
import urllib3
import wrapt
from moto.core.models import botocore_stubber
from reprs import clients_of, told

import lambdakit
from answering import Answering, aws_json
from choosing import backend_of
from lambdakit import Environment
from lambdakit._backends import Backends
from lambdakit._backends.direct import _CALL_PATH, who_watches_the_sdk, why_not_direct, why_not_direct_table
from lambdakit._bench.tracer.recorder import wrap

LAMBDA = {
    "HOME": "/nowhere",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_SESSION_TOKEN": "c",
    "AWS_REGION": "eu-west-1",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of nobody's, without the variables that name files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_on_lambda_it_is_direct() -> None:
    """Nothing but what Lambda sets; under SnapStart the credentials stand elsewhere."""
    assert why_not_direct(LAMBDA, platform="linux") is None
    snapstart = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/x", "AWS_REGION": "eu-west-1"}
    assert why_not_direct(snapstart, platform="linux") is None


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({name: "x"}, f"{name} is set")
        for name in (
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
    ]
    + [
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "AWS_USE_FIPS_ENDPOINT is set"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "True"}, "AWS_USE_DUALSTACK_ENDPOINT is set"),
        ({"AWS_USE_FIPS_ENDPOINT": "False"}, None),
        ({"AWS_PROFILE": ""}, None),
        ({"AWS_CA_BUNDLE": "/bundle.pem"}, None),
        ({"REQUESTS_CA_BUNDLE": "/bundle.pem"}, None),
        ({"AWS_ACCESS_KEY_ID": ""}, "no credentials in the environment"),
    ],
)
def test_what_botocore_alone_knows_decides_for_the_sdk(variables: dict[str, str], reason: str | None) -> None:
    """Each variable by itself, named in the reason."""
    assert why_not_direct(LAMBDA | variables, platform="linux") == reason


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_system_proxies_decide_for_the_sdk(platform: str) -> None:
    """They stand where only urllib looks."""
    assert why_not_direct(LAMBDA, platform=platform) == f"{platform} may have system proxies"


@pytest.mark.parametrize("name", [".aws/config", ".aws/credentials", ".boto"])
def test_files_of_a_laptop_decide_for_the_sdk(name: str, home: Path) -> None:
    """Where botocore looks for them by default."""
    (home / ".aws").mkdir()
    (home / name).touch()
    assert why_not_direct(LAMBDA, platform="linux") == f"{home / name} exists"


@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
def test_files_named_by_a_variable(variable: str, home: Path) -> None:
    """In the place of the default, with a tilde for the home."""
    (home / "named").touch()
    assert why_not_direct(LAMBDA | {variable: "~/named"}, platform="linux") == f"{home}/named exists"
    assert why_not_direct(LAMBDA | {variable: "~/other"}, platform="linux") is None


def used(**options: Any) -> Environment:
    """An environment that something was fetched in."""
    env = Environment(**options)
    backend_of(env)
    return env


def test_the_environment_says_which_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its repr, for the moment at which it is asked."""
    env = used()
    assert told(env, "backend") == "direct"
    monkeypatch.setenv("AWS_PROFILE", "dev")
    assert told(env, "backend") == "sdk (AWS_PROFILE is set)"


def test_without_a_region_it_is_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which may find one in its configuration."""
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert told(used(), "backend") == "sdk (no region or endpoint that direct knows)"


@pytest.mark.parametrize("name", ["direct", "sdk", "extension"])
def test_a_setting_or_an_argument_decides(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument over the variable."""
    monkeypatch.setenv("LAMBDAKIT_BACKEND", name)
    assert told(used(), "backend") == name
    assert told(used(backend="auto"), "backend") == "direct"
    monkeypatch.setenv("LAMBDAKIT_BACKEND", "auto")
    assert told(used(backend=name), "backend") == name


@pytest.mark.parametrize("name", ["auto", "direct", "sdk", "extension"])
def test_nothing_is_made_for_a_repr(name: str) -> None:
    """Before the first fetch it tells the name that was chosen, also where a call was made for something else."""
    env = Environment(backend=name)
    assert told(env, "backend") == name
    assert env._parts.made == {}
    assert env._parts[Backends].operations.name == ("direct" if name in {"auto", "extension"} else name)
    made = {*env._parts.made}
    assert told(env, "backend") == name
    assert {*env._parts.made} == made


def test_a_wrong_name_is_refused() -> None:
    """With those that are allowed."""
    with pytest.raises(lambdakit.ConfigurationError, match=r"backend='fast'.*auto, direct, sdk, extension"):
        Environment(backend="fast")


def test_auto_really_takes_the_sdk(aws: boto3.session.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch with a retry mode set goes through a client; one without does not."""
    aws.client("secretsmanager").create_secret(Name="x", SecretString="1")
    for mode, clients in (("", 0), ("standard", 1)):
        monkeypatch.setenv("AWS_RETRY_MODE", mode)
        with lambdakit.use_environment(Environment()) as env:
            assert [lambdakit.get_secret("x", ttl=0) for _ in range(2)] == ["1", "1"]
            assert clients_of(env) == clients
        env.close()


TABLE_ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"
CONTAINER = {"AWS_ACCESS_KEY_ID": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/x"}


@pytest.mark.parametrize(
    ("variables", "table", "reason"),
    [
        ({}, "orders", None),
        ({"AWS_ACCOUNT_ID_ENDPOINT_MODE": "Preferred"}, "orders", None),
        ({"AWS_ACCOUNT_ID_ENDPOINT_MODE": "required"}, "orders", "AWS_ACCOUNT_ID_ENDPOINT_MODE is set"),
        ({"AWS_ACCOUNT_ID_ENDPOINT_MODE": "typo"}, "orders", "AWS_ACCOUNT_ID_ENDPOINT_MODE is set"),
        ({"AWS_ACCOUNT_ID": "123456789012"}, "orders", "AWS_ACCOUNT_ID is set"),
        ({"AWS_ACCOUNT_ID": "123456789012", "AWS_ACCOUNT_ID_ENDPOINT_MODE": "Disabled"}, "orders", None),
        ({}, TABLE_ARN, "an ARN names its account"),
        ({"AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled"}, TABLE_ARN, None),
        (CONTAINER, "orders", "a container's credentials may name their account"),
        (CONTAINER | {"AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled"}, "orders", None),
        ({"AWS_ENDPOINT_DISCOVERY_ENABLED": "True"}, "orders", "AWS_ENDPOINT_DISCOVERY_ENABLED is set"),
        (
            {"AWS_ENDPOINT_DISCOVERY_ENABLED": "true", "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled"},
            "orders",
            "AWS_ENDPOINT_DISCOVERY_ENABLED is set",
        ),
        ({"AWS_ENDPOINT_DISCOVERY_ENABLED": "Auto"}, "orders", None),
        ({"AWS_ENDPOINT_DISCOVERY_ENABLED": "false"}, "orders", None),
    ],
)
def test_an_endpoint_for_each_account_decides_for_the_sdk(
    variables: dict[str, str], table: str, reason: str | None
) -> None:
    """Of DynamoDB, where botocore would know the account."""
    assert why_not_direct_table(LAMBDA | variables, table) == reason


class SentError(Exception):
    """Instead of sending it."""


@pytest.mark.parametrize("mode", ["", "preferred", "disabled"])
@pytest.mark.parametrize("account", ["", "123456789012"])
@pytest.mark.parametrize("table", ["orders", TABLE_ARN])
def test_where_direct_is_taken_a_client_asks_the_endpoint_of_the_region(
    mode: str, account: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the variables: either is it so, or the SDK is taken."""
    import botocore.session

    monkeypatch.setenv("AWS_ACCOUNT_ID", account)
    if mode:
        monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", mode)
    client = botocore.session.Session().create_client("dynamodb", "eu-west-1")
    sent: list[str] = []

    def stop(request: Any, **_: object) -> None:
        sent.append(request.url)
        raise SentError

    client.meta.events.register("before-send", stop)
    with pytest.raises(SentError):
        client.get_item(TableName=table, Key={"id": {"S": "x"}})
    direct = why_not_direct_table(os.environ, table) is None
    assert (sent == ["https://dynamodb.eu-west-1.amazonaws.com/"]) is direct
    assert direct or sent == ["https://123456789012.ddb.eu-west-1.amazonaws.com/"]


def test_auto_asks_botocore_for_an_item_of_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """And direct where no account is known; a region that direct does not know is the SDK's as well."""
    key = {"id": {"S": "x"}}
    with Answering(aws_json(200, {"Item": {}})) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        for table, region, clients in (("t", None, 0), (TABLE_ARN, None, 1), ("t", "aws-global", 1)):
            with lambdakit.use_environment(Environment()) as env:
                assert backend_of(env).get_item(table, key, region=region, consistent=False) == "{}"
                assert clients_of(env) == clients
            env.close()


# -- who watches the SDK


def test_nobody_watches_by_itself() -> None:
    """With all of the SDK loaded, and moto beside it."""
    assert who_watches_the_sdk() is None


def _wrapped(original: Any) -> Any:
    @functools.wraps(original)  # it says that it is the original, as decorators do
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs)

    return wrapper


def _subclass(original: Any) -> Any:
    return type("Connection", (original,), {"__module__": "cassette"})


ON_THE_WAY = [
    (owner, name)
    for owner in (
        botocore.client.BaseClient,
        botocore.endpoint.Endpoint,
        botocore.httpsession.URLLib3Session,
        botocore.parsers.ResponseParser,
        botocore.awsrequest.AWSHTTPConnectionPool,
        botocore.awsrequest.AWSHTTPSConnectionPool,
        urllib3.HTTPConnectionPool,
        http.client.HTTPConnection,
    )
    for module, kind, names in _CALL_PATH
    for name in names
    if (module, kind) == (owner.__module__, owner.__name__) and name in vars(owner)
]


@pytest.mark.parametrize("put", [_wrapped, Mock, lambda original: wrapt.FunctionWrapper(original, lambda *_: None)])
@pytest.mark.parametrize(("owner", "name"), ON_THE_WAY, ids=lambda one: getattr(one, "__name__", one))
def test_who_stands_in_the_way_of_a_call_is_seen(
    owner: Any, name: str, put: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a call of the SDK passes, whatever is put there; and that it is gone."""
    original = vars(owner)[name]
    monkeypatch.setattr(owner, name, _subclass(original) if isinstance(original, type) else put(original))
    assert who_watches_the_sdk() == f"{owner.__module__}.{owner.__name__}.{name} is wrapped or replaced"
    monkeypatch.undo()
    assert who_watches_the_sdk() is None


def test_a_class_that_stands_for_another_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As vcrpy puts them."""
    monkeypatch.setattr(http.client, "HTTPConnection", _subclass(http.client.HTTPConnection))
    assert who_watches_the_sdk() == "http.client.HTTPConnection is not its own"


@pytest.mark.parametrize("name", ["botocore.endpoint", "http.client", "moto.core.models", "socket", "wrapt.importer"])
def test_a_module_that_another_thread_is_importing_is_borne(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its names are not there yet."""
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    assert who_watches_the_sdk() is None


def test_moto_is_seen_while_it_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it is loaded says nothing."""
    monkeypatch.setattr(botocore_stubber, "enabled", True)
    assert who_watches_the_sdk() == "moto is active"


@pytest.mark.parametrize(
    ("home", "seen"),
    [("fakes", "sockets are those of fakes"), ("gevent._socket3", None), ("eventlet.greenio.base", None)],
)
def test_sockets_of_a_test_are_seen(home: str, seen: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of gevent and eventlet are as good as Python's."""
    monkeypatch.setattr(socket, "socket", type("socket", (socket.socket,), {"__module__": home}))
    assert who_watches_the_sdk() == seen


def test_who_waits_for_the_import_of_the_sdk_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracer that wraps it then; one that waits for another module, or no longer, is none."""
    hooks: dict[str, list[Any]] = {"boto3": [print], "botocore.endpoint": []}
    monkeypatch.setattr("wrapt.importer._post_import_hooks", hooks)
    assert who_watches_the_sdk() is None
    hooks["botocore.client"] = [print]
    assert who_watches_the_sdk() == "wrapt waits for botocore.client"


def test_the_tracer_of_the_bench_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees what direct sends as well, and must not change what it measures."""
    monkeypatch.setattr(
        botocore.client.BaseClient, "_make_api_call", vars(botocore.client.BaseClient)["_make_api_call"]
    )
    wrap(botocore.client.BaseClient, "_make_api_call", lambda original, *args: original(*args))
    assert who_watches_the_sdk() is None
    monkeypatch.setattr(
        botocore.client.BaseClient, "_make_api_call", _wrapped(botocore.client.BaseClient._make_api_call)
    )
    assert who_watches_the_sdk() is not None


def test_without_the_sdk_nobody_watches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where urllib3 is instrumented, and botocore is not installed."""
    monkeypatch.setattr(urllib3.HTTPConnectionPool, "urlopen", _wrapped(urllib3.HTTPConnectionPool.urlopen))
    loaded = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in {"botocore", "moto"}}
    for name in loaded:
        monkeypatch.delitem(sys.modules, name)
    assert who_watches_the_sdk() == "urllib3.connectionpool.HTTPConnectionPool.urlopen is wrapped or replaced"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert who_watches_the_sdk() is None


def test_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the repr, and that direct is back."""
    env = used()
    with monkeypatch.context() as patch:
        patch.setattr(botocore_stubber, "enabled", True)
        assert told(env, "backend") == "sdk (moto is active)"
    assert told(env, "backend") == "direct"
