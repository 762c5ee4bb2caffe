"""SDK clients: one per key, made once, with time-outs that fit."""

import gc
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st
from reprs import clients_of
from running import invocation

import lambdakit
from faults import answering, serving
from lambdakit import (
    ConfigurationError,
    DeadlineExceededError,
    Environment,
    MissingDependencyError,
    Settings,
    use_environment,
)
from lambdakit._clients import Clients, _options
from lambdakit.testing import FakeContext, ManualClock


def test_one_client_for_each_key() -> None:
    """The same object for the same arguments; another for each argument that differs."""
    keys: list[dict[str, Any]] = [
        {"service": "sqs"},
        {"service": "sns"},
        {"service": "sqs", "region": "us-east-1"},
        {"service": "sqs", "endpoint_url": "http://127.0.0.1:1"},
        {"service": "sqs", "config": Config(read_timeout=3)},
        {"service": "sqs", "config": Config(read_timeout=4)},
    ]
    clients = [lambdakit.client(**key) for key in keys]
    assert len({id(client) for client in clients}) == len(keys)
    assert [lambdakit.client(**key) for key in keys] == clients


def test_the_default_region_is_the_named_one() -> None:
    """`region="eu-west-1"` in eu-west-1 is no second client."""
    assert lambdakit.client("sqs") is lambdakit.client("sqs", region="eu-west-1")
    assert lambdakit.client("sqs").meta.region_name == "eu-west-1"


def test_configs_count_by_their_options() -> None:
    """`Config` objects compare by identity; two that say the same mean the same client."""
    assert lambdakit.client("sqs", config=Config(read_timeout=3, retries={"max_attempts": 2})) is lambdakit.client(
        "sqs", config=Config(retries={"max_attempts": 2}, read_timeout=3)
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(2, 9) | st.sampled_from(["a", "b"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.dictionaries(st.sampled_from(["proxies", "s3"]), VALUES),
    st.dictionaries(st.sampled_from(["proxies", "s3"]), VALUES),
)
def test_options_are_equal_exactly_if_the_configs_say_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Nested options, lists and all: hashable, and nothing is left out."""

    class Stub:
        def __init__(self, options: dict[str, Any]) -> None:
            self._user_provided_options = options

    hash(_options(Stub(one)))
    same_kinds = repr(_sorted(one)) == repr(_sorted(other))
    assert (repr(_options(Stub(one))) == repr(_options(Stub(other)))) == same_kinds


def _sorted(value: Any) -> Any:
    """As `_options` reads it: dictionaries in order of their names, lists as tuples."""
    if isinstance(value, dict):
        return tuple((name, _sorted(value[name])) for name in sorted(value))
    return tuple(map(_sorted, value)) if isinstance(value, list) else value


def test_32_threads_behind_a_barrier_make_one_client() -> None:
    """Making clients from threads breaks botocore; one lock, one client, no error."""
    barrier = threading.Barrier(32)

    def make(_: int) -> Any:
        barrier.wait(10)
        return lambdakit.client("sqs")

    with ThreadPoolExecutor(32) as pool:
        clients = list(pool.map(make, range(32)))
    assert len({id(client) for client in clients}) == 1
    assert clients_of(lambdakit.environment()) == 1


def test_the_client_is_the_one_that_boto3_makes() -> None:
    """The same class by name, the same methods, the same endpoint, without importing boto3."""
    for service in ("dynamodb", "s3", "secretsmanager"):
        ours, theirs = lambdakit.client(service), boto3.client(service, region_name="eu-west-1")
        assert type(ours).__name__ == type(theirs).__name__
        assert {name for name in dir(ours) if name[0] != "_"} == {name for name in dir(theirs) if name[0] != "_"}
        assert ours.meta.endpoint_url == theirs.meta.endpoint_url


@pytest.mark.parametrize(
    ("service", "read_s", "attempts"),
    [
        ("dynamodb", 10, 3),
        ("sqs", 25, 3),
        ("stepfunctions", 70, 3),
        ("lambda", 900, 1),
        ("bedrock-runtime", 900, 1),
        ("sagemaker-runtime", 900, 1),
    ],
)
def test_time_outs_and_attempts_by_service(service: str, read_s: float, attempts: int) -> None:
    """Long polls wait; what would run a callee twice is tried once."""
    config = lambdakit.client(service).meta.config
    assert (config.connect_timeout, config.read_timeout, config.tcp_keepalive) == (2, read_s, True)
    assert (config.retries["mode"], config.retries["total_max_attempts"]) == ("standard", attempts)


def test_a_config_overrides_the_defaults_option_by_option() -> None:
    """What it says holds, what it does not say stays."""
    config = lambdakit.client(
        "lambda", config=Config(read_timeout=5, retries={"total_max_attempts": 7, "mode": "adaptive"})
    ).meta.config
    assert (config.read_timeout, config.connect_timeout) == (5, 2)
    assert (config.retries["mode"], config.retries["total_max_attempts"]) == ("adaptive", 7)


def test_retries_chosen_by_environment_variables_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_MAX_ATTEMPTS is the user's word for every SDK; a callee is still tried once."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "7")
    with lambdakit.use_environment(Environment()):
        assert lambdakit.client("dynamodb").meta.config.retries["total_max_attempts"] == 7
        assert lambdakit.client("lambda").meta.config.retries["total_max_attempts"] == 1


BAD: list[tuple[dict[str, Any], str]] = [
    ({"service": ""}, "service=''"),
    ({"service": 5}, "service: .*int"),
    ({"service": ["sqs"]}, "service: .*list"),
    ({"service": "dynamodbb"}, "service='dynamodbb'.* services .*Did you mean 'dynamodb'"),
    ({"service": "qqqqqqqq"}, r"service='qqqqqqqq'.*botocore\.$"),
    ({"service": "sqs", "region": "eu-wset-1"}, "region='eu-wset-1'.*Did you mean .*'eu-west-1'"),
    ({"service": "sqs", "region": 5}, "region: .*int"),
    ({"service": "sqs", "endpoint_url": "no url"}, "endpoint_url='no url'.*https://host:port"),
    ({"service": "sqs", "endpoint_url": 5}, "endpoint_url: .*int"),
    ({"service": "sqs", "config": {"read_timeout": 3}}, "config: .*botocore.config.Config, not dict"),
    ({"service": "sqs", "config": {}}, "config: .*not dict"),
    ({"service": "sqs", "config": []}, "config: .*not list"),
    ({"service": "sqs", "config": {1, 2}}, "config: .*not set"),
    ({"service": "sqs", "config": "fast"}, "config: .*not str"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_bad_input_is_refused_at_once(arguments: dict[str, Any], said: str) -> None:
    """The error names the argument, what was given and what is allowed; of a resource too."""
    for make in (lambdakit.client, lambdakit.resource):
        with pytest.raises(ConfigurationError, match=said):
            make(**arguments)
    assert clients_of(lambdakit.environment()) == 0


def test_any_region_will_do_behind_an_endpoint_of_ones_own() -> None:
    """A private cloud has regions of its own; so does the machine's own region, whatever botocore knows."""
    assert lambdakit.client("sqs", region="moon-1", endpoint_url="http://127.0.0.1:1").meta.region_name == "moon-1"
    with lambdakit.use_environment(Environment(settings=Settings(region="eu-new-7"))):
        assert lambdakit.client("sqs").meta.region_name == "eu-new-7"


def test_without_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says where to set one."""
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with lambdakit.use_environment(Environment()), pytest.raises(ConfigurationError, match="AWS_REGION"):
        lambdakit.client("sqs")


def test_an_argument_that_botocore_refuses() -> None:
    """Whatever it is, it is our error with botocore's behind it."""
    with pytest.raises(ConfigurationError, match="service='sqs'") as caught:
        lambdakit.client("sqs", region="eu west", endpoint_url="http://127.0.0.1:1")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("package", ["botocore.session", "botocore"])
def test_without_botocore(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, package, None)
    if package == "botocore":
        for name in [name for name in sys.modules if name.startswith("botocore.")]:
            monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingDependencyError, match=r"lambdakit\[sdk\]"):
        lambdakit.client("sqs")


def test_without_boto3_only_s3_and_resources_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore alone makes every other client."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    assert lambdakit.client("dynamodb").meta.service_model.service_name == "dynamodb"
    for call in (lambda: lambdakit.client("s3"), lambda: lambdakit.resource("dynamodb")):
        with pytest.raises(MissingDependencyError, match=r"lambdakit\[sdk\]"):
            call()


def test_past_32_clients_the_oldest_reference_is_dropped_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Bounded memory; a client that somebody holds goes on working."""
    env = lambdakit.environment()
    first = lambdakit.client("sqs", endpoint_url="http://127.0.0.1:1/0")
    with caplog.at_level(logging.WARNING, logger="lambdakit"):
        for number in range(1, 32):
            lambdakit.client("sqs", endpoint_url=f"http://127.0.0.1:1/{number}")
        assert (clients_of(env), caplog.records) == (32, [])
        for number in range(32, 34):
            lambdakit.client("sqs", endpoint_url=f"http://127.0.0.1:1/{number}")
    assert clients_of(env) == 32
    (record,) = caplog.records
    assert "more than 32 SDK clients" in record.getMessage()
    assert lambdakit.client("sqs", endpoint_url="http://127.0.0.1:1/0") is not first


def test_a_resource_belongs_to_its_thread() -> None:
    """boto3 resources are not thread-safe: one per thread and key."""
    mine = lambdakit.resource("dynamodb")
    assert lambdakit.resource("dynamodb") is mine
    assert lambdakit.resource("dynamodb", region="us-east-1") is not mine
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambdakit.resource, "dynamodb").result(10) is not mine
    assert mine.meta.client.meta.config.read_timeout == 10


def test_bad_input_of_a_resource() -> None:
    """The same checks; a service without resources is named."""
    with pytest.raises(ConfigurationError, match="service=''"):
        lambdakit.resource("")
    with pytest.raises(ConfigurationError, match="service='ssm'"):
        lambdakit.resource("ssm")


def test_a_request_is_bounded_by_the_remaining_time(aws: boto3.session.Session) -> None:
    """Its read time-out is the smaller of the client's and what is left, less 0.25 s; another thread's too."""
    seen: list[float | None] = []
    client = lambdakit.client("sqs", config=Config(read_timeout=4))
    patient = lambdakit.client("sqs", config=Config(read_timeout=None))
    for one in (client, patient):
        one.meta.events.register("before-send", lambda request, **_: seen.append(request.context.get("read_timeout")))
    client.list_queues()
    for remaining_s, one in ((60.0, client), (1.25, client), (1.25, patient)):
        with (
            invocation(FakeContext(remaining_s=remaining_s)),
            ThreadPoolExecutor(1) as pool,
        ):
            pool.submit(one.list_queues).result(10)
    assert seen == [None, 4, 1.0, 1.0]


def test_no_request_starts_without_time_for_it(aws: boto3.session.Session) -> None:
    """Neither the first attempt nor a retry; nothing is sent."""
    client = lambdakit.client("sqs")
    sent = []
    client.meta.events.register("before-send", lambda **_: sent.append(1))
    with (
        invocation(FakeContext(remaining_s=0.25)),
        pytest.raises(DeadlineExceededError, match="ListQueues"),
    ):
        client.list_queues()
    assert sent == []


def test_close_leaves_clients_usable(aws: boto3.session.Session) -> None:
    """Who holds one uses it on; the registry starts anew."""
    env = lambdakit.environment()
    client, resource = lambdakit.client("sqs"), lambdakit.resource("sqs")
    client.list_queues()
    env.close()
    assert clients_of(env) == 0
    assert "QueueUrls" not in client.list_queues()
    assert lambdakit.client("sqs") is not client
    assert lambdakit.resource("sqs") is not resource


def test_close_reaches_every_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of resources of any thread, and those that the registry has dropped: all connect anew."""
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    with serving(answering(ok)) as server, ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{server.port}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        dropped = lambdakit.client("sqs")
        for number in range(32):
            lambdakit.client("sqs", endpoint_url=f"{url}/{number}")
        resource = pool.submit(lambdakit.resource, "dynamodb").result(10)
        for expected in (2, 4):
            dropped.list_queues()
            resource.meta.client.list_tables()
            assert server.connections == expected
            lambdakit.environment().close()


def test_repr_lists_the_services() -> None:
    """For a look at what an environment holds."""
    clients = lambdakit.environment()._parts[Clients]
    assert repr(clients) == "<Clients none>"
    lambdakit.client("sqs")
    lambdakit.client("sns")
    assert repr(clients) == "<Clients sns sqs>"


def test_what_was_idle_for_too_long_connects_anew(aws: boto3.session.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start of an invocation, 20 s or LAMBDAKIT_MAX_IDLE after the last request; the client stays the same."""
    clock = ManualClock()
    handler = lambdakit.handler(lambda event, context: None)
    for variable, limit_s in ((None, 20.0), ("5", 5.0)):
        if variable is not None:
            monkeypatch.setenv("LAMBDAKIT_MAX_IDLE", variable)
        env = Environment(clock=clock)
        with use_environment(env):
            client = lambdakit.client("sqs")
            handler({}, None)  # nothing was sent yet
            client.list_queues()
            assert idle(client) == 1
            for passed_s, left in ((limit_s, 1), (0.5, 0)):
                clock.suspend(passed_s)
                handler({}, None)
                assert idle(client) == left
            client.list_queues()
            lambdakit.client("sqs")  # a look at the client is no use of it
            clock.suspend(limit_s + 1)
            handler({"warmer": True}, None)
            assert (idle(client), lambdakit.client("sqs")) == (0, client)
            env.close()


def test_a_client_that_nobody_holds_any_more_is_not_looked_at(aws: boto3.session.Session) -> None:
    """Its last request is forgotten when what is idle is looked for next."""
    clock = ManualClock()
    with use_environment(Environment(clock=clock)) as env:
        clients = env._parts[Clients]
        lambdakit.client("sqs").list_queues()
        clients.close()
        gc.collect()
        assert len(clients._last_request) == 1
        clock.suspend(30)
        lambdakit.handler(lambda event, context: None)({}, None)
        assert clients._last_request == {}


def idle(client: Any) -> int:
    """How many hosts the client has a pool for: closing it empties that."""
    return len(client._endpoint.http_session._manager.pools)
