"""Many values with few calls: what is asked for, what is shared, what fails alone."""

import math
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

import lambdakit
from answering import Answering, aws_json
from fault_proxy import FaultProxy
from lambdakit import (
    AccessDeniedError,
    BatchError,
    ConfigurationError,
    DeadlineExceededError,
    Environment,
    FetchError,
    NotFoundError,
    ServiceError,
    Settings,
    ThrottledError,
    ValueFormatError,
)
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

COUNTS = (0, 1, 10, 11, 20, 21, 35, 101)
SECRETS = {f"s/{number:03}": f"planted secret {number}" for number in range(101)}
PARAMETERS = {f"/p/{number:03}": f"planted parameter {number}" for number in range(101)}
Get = Callable[..., dict[str, Any]]


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said, without moto's own log."""
    return [record.getMessage() for record in caplog.records if record.name == "lambdakit"]


def error(kind: type[FetchError], code: str | None = None) -> FetchError:
    """As a backend raises it."""
    return kind("planted message", service="s", operation="o", name="n", code=code)


# Real services: moto behind a proxy that has their limits.


@pytest.fixture(scope="module")
def filled(moto_url: str) -> Iterator[str]:
    """101 secrets; as many parameters, each third a SecureString. No test of this module changes one."""
    account, region = "123456789012", "eu-west-1"
    secrets, ssm = secretsmanager_backends[account][region], ssm_backends[account][region]
    # Put where moto keeps them: over HTTP this takes longer than all the tests.
    for name, value in SECRETS.items():
        secrets.create_secret(name, value, None, None, None, None, None, [], False)
    for number, (name, value) in enumerate(PARAMETERS.items()):
        kind = "String" if number % 3 else "SecureString"
        ssm.put_parameter(name, "", value, kind, "", "alias/aws/ssm", False, [], "text", None, None)
    yield moto_url
    secrets.reset()
    ssm.reset()


class Wire:
    """An environment of one backend that reaches the filled moto through the proxy only."""

    def __init__(self, env: Environment, clock: ManualClock, proxy: FaultProxy) -> None:
        self.env, self.clock, self.proxy = env, clock, proxy

    def calls(self) -> list[tuple[str, int]]:
        """Operation and number of names of each call since the last time."""
        calls = sorted((call.operation, len(call.names)) for call in self.proxy.calls)
        self.proxy.calls.clear()
        return calls


@pytest.fixture(params=["direct", "sdk"])
def wire(request: pytest.FixtureRequest, filled: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    clock = ManualClock()
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # of the SDK; direct makes all of its attempts, and waits by the clock
    with FaultProxy(filled) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        env = Environment(backend=request.param, clock=clock)
        with lambdakit.use_environment(env):
            yield Wire(env, clock, proxy)
        env.close()


def fewest(count: int, batch: str, single: str, most: int) -> list[tuple[str, int]]:
    """The calls that the limits leave no way around: full batches, and one for the rest."""
    rest = count % most
    calls = [(batch, most)] * (count // most)
    return sorted([*calls, *([(single if rest == 1 else batch, rest)] if rest else [])])


def test_as_few_calls_as_the_limits_allow(wire: Wire) -> None:
    """For 0, 1, 10, 11, 20, 21, 35 and 101 names, SecureStrings among them; a second time none."""
    for count in COUNTS:
        lambdakit.clear()
        names = [*SECRETS][:count]
        for _ in range(2):
            assert lambdakit.get_secrets(names) == {name: SECRETS[name] for name in names}
        assert wire.calls() == fewest(count, "BatchGetSecretValue", "GetSecretValue", 20)
        names = [*PARAMETERS][:count]
        for _ in range(2):
            assert lambdakit.get_parameters(names) == {name: PARAMETERS[name] for name in names}
        assert wire.calls() == fewest(count, "GetParameters", "GetParameter", 10)


def test_pages_of_a_batch_are_followed(wire: Wire) -> None:
    """However short they are, also an empty one."""
    wire.proxy.page_size, wire.proxy.empty_pages = 7, True
    names = [*SECRETS][:20]
    assert lambdakit.get_secrets(names) == {name: SECRETS[name] for name in names}
    assert wire.calls() == [("BatchGetSecretValue", 20)] * 4  # an empty one, then 7, 7 and 6


def test_a_secret_that_is_missing_and_one_that_is_denied(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    """Each fails by itself, in the one call; the others arrive, and are kept."""
    wire.proxy.deny(action="secretsmanager:GetSecretValue", name="s/001")
    names = ["s/000", "s/001", "missing", "s/002"]
    arrived = {name: SECRETS[name] for name in ("s/000", "s/002")}
    with pytest.raises(BatchError) as caught:
        lambdakit.get_secrets(names)
    assert {name: type(failed) for name, failed in caught.value.errors.items()} == {
        "s/001": AccessDeniedError,
        "missing": NotFoundError,
    }
    assert caught.value.values == arrived
    assert wire.calls() == [("BatchGetSecretValue", 4)]
    for _ in range(2):
        assert lambdakit.get_secrets(names, on_error="omit") == arrived
    assert wire.calls() == [("BatchGetSecretValue", 2)] * 2  # errors are not kept, values are
    assert warned(caplog) == [
        "secret 's/001' is left out (AccessDeniedError)",
        "secret 'missing' is left out (NotFoundError)",
    ]


def test_a_parameter_that_is_missing(wire: Wire) -> None:
    """The service says so in the same call."""
    with pytest.raises(BatchError) as caught:
        lambdakit.get_parameters(["/p/000", "/missing"])
    assert {name: type(failed) for name, failed in caught.value.errors.items()} == {"/missing": NotFoundError}
    assert caught.value.values == {"/p/000": PARAMETERS["/p/000"]}
    assert wire.calls() == [("GetParameters", 2)]


def test_a_parameter_that_is_denied_does_not_spoil_the_others(wire: Wire) -> None:
    """It spoils the call of its chunk, whose names are asked for one by one; batches are tried again next time."""
    wire.proxy.deny(action="ssm:GetParameter*", name="/p/001")
    names = [*PARAMETERS][:13]
    for _ in range(2):
        lambdakit.clear()
        values = lambdakit.get_parameters(names, on_error="omit")
        assert values == {name: PARAMETERS[name] for name in names if name != "/p/001"}
        assert wire.calls() == [("GetParameter", 1)] * 10 + [("GetParameters", 3), ("GetParameters", 10)]


@pytest.mark.parametrize(
    ("action", "get", "values", "batch", "single"),
    [
        (
            "secretsmanager:BatchGetSecretValue",
            lambdakit.get_secrets,
            SECRETS,
            "BatchGetSecretValue",
            "GetSecretValue",
        ),
        ("ssm:GetParameters", lambdakit.get_parameters, PARAMETERS, "GetParameters", "GetParameter"),
    ],
    ids=["secrets", "parameters"],
)
def test_a_batch_call_that_is_not_allowed_is_tried_once(
    wire: Wire, action: str, get: Get, values: dict[str, str], batch: str, single: str
) -> None:
    """Single calls do it, and from then on at once; another region has another answer."""
    wire.proxy.deny(action=action)
    first, second = [*values][:5], [*values][5:12]
    assert get(first) == {name: values[name] for name in first}
    assert wire.calls() == sorted([(batch, 5), *[(single, 1)] * 5])
    assert get(second) == {name: values[name] for name in second}
    assert wire.calls() == [(single, 1)] * 7
    with pytest.raises(BatchError):
        get(first, region="us-east-1")  # where moto has none of them
    assert (batch, 5) in wire.calls()


def test_a_batch_of_secrets_that_is_not_allowed_is_remembered_whatever_else_is_denied(wire: Wire) -> None:
    """One secret that is denied never spoils a batch of secrets: it is the call itself that is."""
    wire.proxy.deny(action="secretsmanager:*", name="s/001")
    wire.proxy.deny(action="secretsmanager:BatchGetSecretValue")
    names = ["s/000", "s/001", "s/002"]
    for expected in ([("BatchGetSecretValue", 3), *[("GetSecretValue", 1)] * 3], [("GetSecretValue", 1)] * 3):
        lambdakit.clear()
        assert [*lambdakit.get_secrets(names, on_error="omit")] == ["s/000", "s/002"]
        assert wire.calls() == expected


@pytest.mark.parametrize("get", [lambdakit.get_secrets, lambdakit.get_parameters])
def test_credentials_that_are_refused_are_refused_once(wire: Wire, get: Get) -> None:
    """Single calls would fail as well; and the batch call is not taken for one that is not allowed."""
    values = SECRETS if get is lambdakit.get_secrets else PARAMETERS
    names = [*values][:10]
    wire.proxy.fault("expired_token")
    with pytest.raises(BatchError) as caught:
        get(names)
    assert {type(failed) for failed in caught.value.errors.values()} == {AccessDeniedError}
    assert len(wire.calls()) == 1
    wire.proxy.heal()
    assert get(names) == {name: values[name] for name in names}
    assert len(wire.calls()) == 1


def test_a_chunk_that_fails_leaves_the_others(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    """At first its names are errors; later they are served stale, one by one, with a warning for each."""
    names = [*SECRETS][:40]
    wire.proxy.fault("server_error", name="s/005")
    with pytest.raises(BatchError) as caught:
        lambdakit.get_secrets(names)
    assert {name: type(failed) for name, failed in caught.value.errors.items()} == dict.fromkeys(
        names[:20], ServiceError
    )
    assert caught.value.values == {name: SECRETS[name] for name in names[20:]}
    assert caught.value.retryable
    wire.proxy.heal()
    lambdakit.get_secrets(names)
    assert warned(caplog) == []

    wire.clock.tick(300)
    wire.proxy.fault("server_error", name="s/005")
    assert lambdakit.get_secrets(names) == {name: SECRETS[name] for name in names}
    states = [lambdakit.secret(name).state for name in names]
    assert states == ["stale"] * 20 + ["fresh"] * 20
    assert [line.split(" could")[0] for line in warned(caplog)] == [f"secret {name!r}" for name in names[:20]]


def test_decryption_is_told_apart(wire: Wire) -> None:
    """Of the same names: the texts, and what stands in the store for a SecureString."""
    names = ["/p/000", "/p/001"]
    assert lambdakit.get_parameters(names, decrypt=False) == {
        "/p/000": f"kms:alias/aws/ssm:{PARAMETERS['/p/000']}",
        "/p/001": PARAMETERS["/p/001"],
    }
    assert lambdakit.get_parameters(names) == {name: PARAMETERS[name] for name in names}
    listed = lambdakit.get_parameters_by_path("/p", decrypt=False)
    assert listed["/p/000"].startswith("kms:")
    assert lambdakit.get_parameters_by_path("/p")["/p/000"] == PARAMETERS["/p/000"]


def test_a_path_is_listed_page_by_page(wire: Wire) -> None:
    """All of it, once; every parameter on it is then found by its name, alone and in a batch."""
    wire.proxy.empty_pages = True
    assert lambdakit.get_parameters_by_path("/p") == PARAMETERS
    assert wire.calls() == [("GetParametersByPath", 1)] * 12  # an empty one, ten of 10, one of 1
    assert lambdakit.get_parameters_by_path("/p/", recursive=True) == PARAMETERS
    assert lambdakit.get_parameter("/p/100") == PARAMETERS["/p/100"]
    assert lambdakit.get_parameters([*PARAMETERS]) == PARAMETERS
    assert wire.calls() == []
    assert lambdakit.get_parameters_by_path("/p/000") == {}
    assert lambdakit.get_parameters_by_path("/", recursive=False) == {}
    assert wire.calls() == [("GetParametersByPath", 1)] * 4


# The same engine in front of dictionaries.


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend(
        secrets={"a": "1", "b": "2", "c": '{"x": [1]}', "blob": b"\x00"},
        parameters={"/shop/a": "1", "/shop/b": "2", "/shop/deep/c": '{"x": [1]}', "/shopping": "4", "plain": "5"},
    )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def memory(backend: MemoryBackend, clock: ManualClock) -> Iterator[Environment]:
    env = Environment(settings=Settings(region="eu-west-1"), clock=clock, backend=backend)
    with lambdakit.use_environment(env):
        yield env


def taken(backend: MemoryBackend) -> list[tuple[str, str]]:
    """The calls since the last time."""
    calls = [*backend.calls]
    backend.calls.clear()
    return calls


def test_what_is_fresh_is_not_fetched_again(memory: Environment, backend: MemoryBackend, clock: ManualClock) -> None:
    """Single and batch find what the other has fetched; only what is missing, or too old, is asked for."""
    lambdakit.get_secret("a")
    lambdakit.get_parameter("/shop/a")
    taken(backend)
    assert lambdakit.get_secrets(["a", "b", "c"]) == {"a": "1", "b": "2", "c": '{"x": [1]}'}
    assert lambdakit.get_parameters(["/shop/a", "/shop/b", "plain"]) == {"/shop/a": "1", "/shop/b": "2", "plain": "5"}
    assert taken(backend) == [("secrets", "b, c"), ("parameters", "/shop/b, plain")]
    assert (lambdakit.get_secret("b"), lambdakit.get_parameter("/shop/b")) == ("2", "2")
    assert taken(backend) == []
    clock.tick(10)
    lambdakit.get_secret("a", ttl=10)
    taken(backend)
    lambdakit.get_secrets(["a", "b", "c"], ttl=10)
    assert taken(backend) == [("secrets", "b, c")]


def test_names_are_answered_in_their_order_and_once(memory: Environment, backend: MemoryBackend) -> None:
    """A name given twice is one; any iterable will do."""
    assert [*lambdakit.get_secrets(name for name in "cbabc")] == ["c", "b", "a"]
    assert [*lambdakit.get_parameters(("plain", "/shop/a", "plain"))] == ["plain", "/shop/a"]
    assert taken(backend) == [("secrets", "c, b, a"), ("parameters", "plain, /shop/a")]
    assert (lambdakit.get_secrets([]), lambdakit.get_parameters(()), taken(backend)) == ({}, {}, [])


@pytest.mark.parametrize("get", [lambdakit.get_secrets, lambdakit.get_parameters])
@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("prod/db", "names='prod/db': give a list of names, not one text"),
        (b"x" * 99, "names=b'xxxx.*': give a list"),
        (None, "names: give a list of strings, not NoneType"),
        (5, "names: give a list of strings, not int"),
        ([["a"]], "names: give a list of strings, not list"),
        ([5], "name: give a non-empty string, not int"),
        (["a", None], "name: give a non-empty string, not NoneType"),
        (["a", " "], "name=' ': give a non-empty string"),
    ],
)
def test_wrong_names_are_refused_before_any_call(
    memory: Environment, backend: MemoryBackend, get: Get, names: Any, said: str
) -> None:
    """A text above all, which is an iterable of names."""
    with pytest.raises(ConfigurationError, match=said):
        get(names)
    assert taken(backend) == []


@pytest.mark.parametrize(
    "get",
    [
        lambda **options: lambdakit.get_secrets(["a"], **options),
        lambda **options: lambdakit.get_parameters(["/shop/a"], **options),
        lambda **options: lambdakit.get_parameters_by_path("/shop", **options),
    ],
    ids=["secrets", "parameters", "path"],
)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"on_error": "ignore"}, "on_error='ignore': give 'raise', 'omit' or 'return'"),
        ({"on_error": None}, "on_error=None: give 'raise', 'omit' or 'return'"),
        ({"transform": "yaml"}, "transform='yaml': give 'json'"),
        ({"ttl": -1}, "ttl=-1: give a number of seconds"),
        ({"stale_ttl": "5"}, "stale_ttl='5': give a number of seconds"),
        ({"region": ""}, "region='': give a non-empty string"),
    ],
)
def test_wrong_options_are_refused_before_any_call(
    memory: Environment, backend: MemoryBackend, get: Get, options: dict[str, Any], said: str
) -> None:
    """For a path as for names."""
    with pytest.raises(ConfigurationError, match=said):
        get(**options)
    assert taken(backend) == []


def test_transforms(memory: Environment, backend: MemoryBackend) -> None:
    """JSON is a new object for each reader; a callable's result is made once and shared with the single getter."""
    first, second = (lambdakit.get_secrets(["c"], transform="json")["c"] for _ in range(2))
    first["x"].append(2)
    assert second == {"x": [1]}
    made: list[Any] = []

    def parse(value: Any) -> list[Any]:
        made.append(value)
        return [value]

    batch = lambdakit.get_secrets(["a", "b"], transform=parse)
    assert batch == {"a": ["1"], "b": ["2"]}
    assert (
        lambdakit.get_secrets(["a"], transform=parse)["a"] is batch["a"] is lambdakit.get_secret("a", transform=parse)
    )
    listed = lambdakit.get_parameters_by_path("/shop", transform=parse)
    assert listed["/shop/a"] is lambdakit.get_parameter("/shop/a", transform=parse)
    assert made == ["1", "2", "1", "2", '{"x": [1]}']
    assert lambdakit.get_secrets(["blob"], transform="binary") == {"blob": b"\x00"}


@pytest.mark.parametrize(("transform", "kind"), [("json", ValueFormatError), (int, ValueError)])
def test_a_transform_that_fails_is_the_error_of_its_name(
    memory: Environment, backend: MemoryBackend, transform: Any, kind: type[Exception]
) -> None:
    """The others are there; of a path too."""
    backend.parameters = {"/shop/a": "1", "/shop/b": "planted text"}
    for get, good, bad in (
        (lambda **options: lambdakit.get_secrets(["a", "blob"], **options), "a", "blob"),
        (lambda **options: lambdakit.get_parameters_by_path("/shop", **options), "/shop/a", "/shop/b"),
    ):
        with pytest.raises(BatchError) as caught:
            get(transform=transform)
        assert {name: type(failed) for name, failed in caught.value.errors.items()} == {bad: kind}
        assert caught.value.values == {good: 1}
        assert get(transform=transform, on_error="omit") == {good: 1}


def test_what_is_left_out_is_warned_of_once(
    memory: Environment, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """For each name and kind, not for each call; the warning has no value and no message of the error."""
    backend.secrets["bad"] = backend.parameters["bad"] = error(ThrottledError)
    for _ in range(3):
        assert lambdakit.get_secrets(["a", "bad"], on_error="omit") == {"a": "1"}
        assert lambdakit.get_parameters(["plain", "bad"], on_error="omit") == {"plain": "5"}
    assert warned(caplog) == [
        "secret 'bad' is left out (ThrottledError)",
        "parameter 'bad' is left out (ThrottledError)",
    ]


def test_warnings_are_bounded(memory: Environment, caplog: pytest.LogCaptureFixture) -> None:
    """Names that come from events cannot fill the memory: past a thousand there is none."""
    names = [f"missing {number}" for number in range(1_001)]
    for _ in range(2):
        assert lambdakit.get_secrets(names, on_error="omit") == {}
    assert len(warned(caplog)) == 1_000


def test_a_batch_error_tells_names_and_kinds_only(memory: Environment, backend: MemoryBackend) -> None:
    """Message, repr and traceback have no value in them, and the message is short for many names."""
    backend.secrets = {"ok": "planted", **{f"bad{number}": error(ThrottledError) for number in range(7)}}
    with pytest.raises(BatchError) as caught:
        lambdakit.get_secrets([*backend.secrets])
    message = str(caught.value)
    assert message.startswith("7 of 8 values could not be fetched: 'bad0' (ThrottledError), ")
    assert "and 2 more" in message
    assert "planted" not in message + repr(caught.value)
    assert (caught.value.retryable, [*caught.value.values]) == (True, ["ok"])
    backend.secrets["bad0"] = error(NotFoundError)
    with pytest.raises(BatchError, match=r"'bad0' \(NotFoundError\)") as caught:
        lambdakit.get_secrets(["bad0", "bad1"])
    assert not caught.value.retryable


def test_a_batch_error_pickles(memory: Environment, backend: MemoryBackend) -> None:
    """With the attributes of each error; what arrived is not written anywhere."""
    backend.secrets["bad"] = error(ThrottledError, "Throttling")
    with pytest.raises(BatchError) as caught:
        lambdakit.get_secrets(["a", "bad"])
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert (str(copy), copy.values) == (str(caught.value), {})
    assert (type(copy.errors["bad"]), copy.errors["bad"].code) == (ThrottledError, "Throttling")


def test_an_error_that_is_no_fetch_error_is_that_of_its_chunk(memory: Environment, backend: MemoryBackend) -> None:
    """Such as a bug of a user's own backend: the other chunks arrive."""

    class Broken(MemoryBackend):
        def get_secrets(self, names: Sequence[str], *, region: str | None) -> dict[str, Any]:
            if "0" in names:
                raise ZeroDivisionError
            return super().get_secrets(names, region=region)

    names = [str(number) for number in range(40)]
    with lambdakit.use_environment(Environment(backend=Broken(secrets=dict.fromkeys(names, "1")))):
        with pytest.raises(BatchError) as caught:
            lambdakit.get_secrets(names)
        assert [type(failed) for failed in caught.value.errors.values()] == [ZeroDivisionError] * 20
        assert len(caught.value.values) == 20


def test_a_name_that_the_answer_leaves_out_is_asked_for_alone() -> None:
    """The service has listed neither a value nor an error for it."""

    class Silent(MemoryBackend):
        def get_parameters(self, names: Sequence[str], *, region: str | None, decrypt: bool) -> dict[str, Any]:
            found = super().get_parameters(names, region=region, decrypt=decrypt)
            return {name: found[name] for name in names[:1]}

    backend = Silent(parameters={"a": "1", "b": "2"})
    with lambdakit.use_environment(Environment(backend=backend)):
        assert lambdakit.get_parameters(["a", "b"]) == {"a": "1", "b": "2"}
        with pytest.raises(BatchError):
            lambdakit.get_parameters(["a", "b", "c", "d"], ttl=0)
    assert taken(backend)[:2] == [("parameters", "a, b"), ("parameter", "b")]


def test_one_malformed_name_does_not_spoil_the_others(memory: Environment) -> None:
    """The service refuses the whole call for it; that is no matter of permissions, and is tried again."""

    class Strict(MemoryBackend):
        def get_secrets(self, names: Sequence[str], *, region: str | None) -> dict[str, Any]:
            super().get_secrets(names, region=region)
            raise error(FetchError, "ValidationException")

    backend = Strict(secrets={"a": "1", "b": "2"})
    with lambdakit.use_environment(Environment(backend=backend)):
        for _ in range(2):
            assert lambdakit.get_secrets(["a", "b"], ttl=0) == {"a": "1", "b": "2"}
    assert [kind for kind, _ in taken(backend)].count("secrets") == 2


def test_parameters_one_by_one_where_only_the_batch_is_denied() -> None:
    """Also if one of them is missing: nobody is denied, so it was the call itself that is not allowed."""

    class Denying(MemoryBackend):
        def get_parameters(self, names: Sequence[str], *, region: str | None, decrypt: bool) -> dict[str, Any]:
            super().get_parameters(names, region=region, decrypt=decrypt)
            raise error(AccessDeniedError, "AccessDeniedException")

    backend = Denying(parameters={"a": "1", "b": "2"})
    with lambdakit.use_environment(Environment(backend=backend)):
        for _ in range(2):
            assert lambdakit.get_parameters(["a", "missing", "b"], ttl=0, on_error="omit") == {"a": "1", "b": "2"}
    assert [kind for kind, _ in taken(backend)].count("parameters") == 1


def test_chunks_are_asked_for_at_once() -> None:
    """Four calls meet: none waits for the end of another."""
    meeting = threading.Barrier(4)

    class Meeting(MemoryBackend):
        def get_parameters(self, names: Sequence[str], *, region: str | None, decrypt: bool) -> dict[str, Any]:
            meeting.wait(10)
            return super().get_parameters(names, region=region, decrypt=decrypt)

    names = [f"/{number}" for number in range(38)]
    with lambdakit.use_environment(Environment(backend=Meeting(parameters=dict.fromkeys(names, "1")))):
        assert lambdakit.get_parameters(names) == dict.fromkeys(names, "1")
    assert "lambdakit" not in [thread.name for thread in threading.enumerate()]


def test_without_time_left_nothing_begins(
    memory: Environment, backend: MemoryBackend, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What is stale is served; of what is absent the error says why."""
    lambdakit.get_secrets(["a"])
    clock.tick(300)
    taken(backend)
    with pytest.raises(BatchError) as caught:
        lambdakit.handler(lambda event, context: lambdakit.get_secrets(["a", "b"]))({}, FakeContext(remaining_s=0.2))
    assert {name: type(failed) for name, failed in caught.value.errors.items()} == {"b": DeadlineExceededError}
    assert caught.value.values == {"a": "1"}
    assert taken(backend) == []


def test_processes_that_start_together_do_not_call_together() -> None:
    """Before the first call to Parameter Store of each process, in a batch and in a list too; never twice."""
    for first in (lambda: lambdakit.get_parameters(["a", "b"]), lambda: lambdakit.get_parameters_by_path("/")):
        clock = ManualClock(chance=0.5)
        backend = MemoryBackend(parameters={"a": "1", "b": "2"}, secrets={"s": "1"})
        with lambdakit.use_environment(Environment(settings=Settings(processes=8), clock=clock, backend=backend)):
            begun = clock.monotonic_s
            lambdakit.get_secrets(["s"])
            assert clock.monotonic_s == begun
            first()
            assert clock.monotonic_s == begun + 0.025
            lambdakit.clear()
            first()
            assert clock.monotonic_s == begun + 0.025


# Paths.


def test_what_stands_below_a_path(memory: Environment, backend: MemoryBackend) -> None:
    """By full name; of one level or of all; with or without a slash at the end it is the same list."""
    below = {"/shop/a": "1", "/shop/b": "2", "/shop/deep/c": '{"x": [1]}'}
    assert lambdakit.get_parameters_by_path("/shop") == lambdakit.get_parameters_by_path("/shop/") == below
    assert lambdakit.get_parameters_by_path("/shop", recursive=False) == {"/shop/a": "1", "/shop/b": "2"}
    assert lambdakit.get_parameters_by_path("/") == below | {"/shopping": "4"}
    assert lambdakit.get_parameters_by_path("/none") == lambdakit.get_parameters_by_path("/none") == {}
    assert taken(backend) == [("path", "/shop"), ("path", "/shop"), ("path", "/"), ("path", "/none")]


@pytest.mark.parametrize("path", ["shop", "arn:aws:ssm:::parameter/shop", " /shop"])
def test_a_path_begins_with_a_slash(memory: Environment, backend: MemoryBackend, path: str) -> None:
    """The service would say so in its own words."""
    with pytest.raises(ConfigurationError, match="give a path that begins with a slash"):
        lambdakit.get_parameters_by_path(path)
    with pytest.raises(ConfigurationError, match="give a non-empty string, not int"):
        lambdakit.get_parameters_by_path(5)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="recursive=1: give True or False"):
        lambdakit.get_parameters_by_path("/shop", recursive=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="decrypt=None: give True or False"):
        lambdakit.get_parameters_by_path("/shop", decrypt=None)  # type: ignore[arg-type]
    assert taken(backend) == []


def test_a_list_and_its_parameters_age_together(
    memory: Environment, backend: MemoryBackend, clock: ManualClock
) -> None:
    """Fetched with the list, as old as the list; one that was fetched since is the newer one in the list too."""
    lambdakit.get_parameters_by_path("/shop")
    clock.tick(299)
    backend.parameters["/shop/a"] = backend.parameters["/shop/b"] = "new"
    assert lambdakit.get_parameter("/shop/b") == "2"
    assert lambdakit.get_parameter("/shop/a", ttl=10) == "new"
    assert lambdakit.get_parameters_by_path("/shop")["/shop/a"] == "new"
    assert lambdakit.get_parameters_by_path("/shop")["/shop/b"] == "2"
    assert taken(backend) == [("path", "/shop"), ("parameter", "/shop/a")]
    clock.tick(1)
    assert lambdakit.get_parameter("/shop/b") == "new"
    assert lambdakit.get_parameters_by_path("/shop")["/shop/b"] == "new"
    assert taken(backend) == [("parameter", "/shop/b"), ("path", "/shop")]


def test_invalidating_a_name_drops_the_lists_it_is_in(memory: Environment, backend: MemoryBackend) -> None:
    """And no other; the name of a path drops its own."""
    paths = ["/shop", "/shop/deep", "/", "/sho", "/shopping"]

    def listed() -> list[str]:
        taken(backend)
        for path in paths:
            lambdakit.get_parameters_by_path(path)
        return [name for _, name in taken(backend)]

    assert listed() == paths
    lambdakit.invalidate("/shop/a")
    assert listed() == ["/shop", "/"]
    lambdakit.invalidate("/shop/deep/c")
    assert listed() == ["/shop", "/shop/deep", "/"]
    lambdakit.invalidate("plain")
    assert listed() == ["/"]
    lambdakit.invalidate("/shopping")
    assert listed() == ["/", "/shopping"]
    assert listed() == []


def test_which_is_newer_is_told_by_the_clock_that_nobody_sets(
    memory: Environment, backend: MemoryBackend, clock: ManualClock
) -> None:
    """A parameter that was fetched after the wall clock was set back is the newer one in a list served stale."""
    lambdakit.get_parameters_by_path("/shop")
    clock.tick(1)
    clock.set_wall(0.0)
    backend.parameters["/shop/a"], backend.parameters["/shop/b"] = "new", error(ThrottledError)
    assert lambdakit.get_parameter("/shop/a", ttl=0) == "new"
    assert lambdakit.get_parameters_by_path("/shop") == {"/shop/a": "new", "/shop/b": "2", "/shop/deep/c": '{"x": [1]}'}


@pytest.mark.parametrize("bounds", [{"max_entries": 5}, {"max_bytes": 1_000}], ids=["entries", "bytes"])
def test_a_list_that_fills_the_memory_is_kept_without_its_parameters(
    clock: ManualClock, bounds: dict[str, int]
) -> None:
    """They would push it out, and every call would fetch all pages again. One that leaves room is kept with them."""
    backend = MemoryBackend(parameters={f"/many/{number}": "x" * 100 for number in range(5)} | {"/few/1": "1"})
    with lambdakit.use_environment(Environment(settings=Settings(**bounds), clock=clock, backend=backend)):  # type: ignore[arg-type]
        lambdakit.get_parameter("/many/0")
        for _ in range(2):
            assert len(lambdakit.get_parameters_by_path("/many")) == 5
        lambdakit.get_parameter("/many/1")
        assert taken(backend) == [("parameter", "/many/0"), ("path", "/many"), ("parameter", "/many/1")]
        lambdakit.get_parameters_by_path("/few")
        lambdakit.get_parameter("/few/1")
        assert taken(backend) == [("path", "/few")]


def test_a_list_is_served_stale(
    memory: Environment, backend: MemoryBackend, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """With one warning, for the list; a parameter of it then is as stale as it is. What is not transient is raised."""
    lambdakit.get_parameters_by_path("/shop")
    lambdakit.get_parameter("/shop/b")
    clock.tick(300)
    backend.parameters["/shop/b"] = error(ThrottledError)
    for _ in range(2):
        assert lambdakit.get_parameters_by_path("/shop")["/shop/b"] == "2"
    assert lambdakit.stats()["keys"]["parameter '/shop/b'"]["hits"] == 1
    (said,) = warned(caplog)
    assert said.startswith("path '/shop' could not be refreshed (ThrottledError)")
    assert lambdakit.parameters("/shop").state == lambdakit.parameter("/shop/b").state == "stale"
    assert lambdakit.parameter("/shop/b").state.age_s == 300.0  # type: ignore[attr-defined]
    clock.tick(3600)
    with pytest.raises(ThrottledError):
        lambdakit.get_parameters_by_path("/shop")
    with pytest.raises(ThrottledError):
        lambdakit.get_parameters_by_path("/shop", on_error="omit")


def test_threads_share_one_listing() -> None:
    """And all of them get the values."""
    meeting = threading.Barrier(8)
    backend = MemoryBackend(parameters={f"/p/{number}": "1" for number in range(20)})
    with lambdakit.use_environment(Environment(backend=backend)), ThreadPoolExecutor(8) as pool:

        def listed(_: int) -> int:
            meeting.wait(10)
            return len(lambdakit.get_parameters_by_path("/p"))

        assert [*pool.map(listed, range(8))] == [20] * 8
    assert taken(backend) == [("path", "/p")]


def test_the_fewest_calls_are_few() -> None:
    """The law above, checked against arithmetic."""
    for count in COUNTS:
        assert len(fewest(count, "batch", "single", 10)) == math.ceil(count / 10)


# What a server has not, what spoils a call, what is fetched in any case.


class Missing(MemoryBackend):
    """Has no batch calls, or says so in this way."""

    def __init__(self, how: Any) -> None:
        super().__init__(secrets={"a": "1", "b": "2"}, parameters={"/a": "1", "/b": "2"})
        self.how = how

    def get_secrets(self, names: Sequence[str], *, region: str | None) -> Any:
        self.calls.append(("secrets", ", ".join(names)))
        if self.how is not None:
            raise self.how

    def get_parameters(self, names: Sequence[str], *, region: str | None, decrypt: bool) -> Any:
        return self.get_secrets(names, region=region)


def refusal(kind: type[FetchError], code: str | None, status: int) -> FetchError:
    return kind("planted", service="s", operation="o", name="n", code=code, status=status)


@pytest.mark.parametrize(
    "how",
    [
        None,  # a backend of one's own that derives from the protocol, and has inherited it
        refusal(ServiceError, "InternalFailure", 501),
        refusal(ServiceError, "501", 501),
        refusal(FetchError, "UnknownOperationException", 400),
        refusal(FetchError, "InvalidAction", 400),
        refusal(FetchError, None, 404),
        refusal(FetchError, "404", 404),
        refusal(FetchError, None, 405),
    ],
)
def test_a_batch_call_that_is_not_there_is_done_without(how: Any) -> None:
    """One by one, from then on without asking for it again; single calls are as good."""
    backend = Missing(how)
    with lambdakit.use_environment(Environment(backend=backend)):
        for _ in range(2):
            assert lambdakit.get_secrets(["a", "b"], ttl=0) == {"a": "1", "b": "2"}
            assert lambdakit.get_parameters(["/a", "/b"], ttl=0) == {"/a": "1", "/b": "2"}
    kinds = [kind for kind, _ in backend.calls]
    assert (kinds.count("secrets"), kinds.count("secret"), kinds.count("parameter")) == (2, 4, 4)


def test_a_backend_may_have_no_batch_calls_at_all() -> None:
    """Nothing of its class says that it has."""

    class Single:
        name = "single"

        def get_secret(self, name: str, **_: Any) -> tuple[str, None]:
            return name.upper(), None

    single: Any = Single()
    with lambdakit.use_environment(Environment(backend=single)):
        assert lambdakit.get_secrets(["a", "b"]) == {"a": "A", "b": "B"}


@pytest.mark.parametrize("how", [refusal(ServiceError, None, 500), refusal(ServiceError, "InternalFailure", 503)])
def test_a_server_that_fails_has_the_call(how: Any) -> None:
    """To ask for each name then would make it worse."""
    backend = Missing(how)
    with lambdakit.use_environment(Environment(backend=backend)), pytest.raises(BatchError) as caught:
        lambdakit.get_secrets(["a", "b"])
    assert set(caught.value.errors) == {"a", "b"}
    assert len(backend.calls) == 1


@pytest.mark.parametrize("backend", ["direct", "sdk"])
@pytest.mark.parametrize(
    "answer",
    [
        aws_json(501, {"__type": "InternalFailure", "message": "not implemented"}),
        aws_json(400, {"__type": "UnknownOperationException"}),
        aws_json(404, b"Not yet implemented"),
    ],
)
def test_a_service_without_the_batch_call(backend: str, answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """As emulators are: by their own answers."""
    with Answering(answer, aws_json(200, {"Name": "x", "ARN": "x", "SecretString": "v", "VersionId": "1"})) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        env = Environment(backend=backend)
        with lambdakit.use_environment(env):
            assert lambdakit.get_secrets(["a", "b"]) == {"a": "v", "b": "v"}
        env.close()
        assert server.requests == 3


class OneKey(MemoryBackend):
    """One parameter may not be decrypted, which spoils every call that asks for it."""

    def __init__(self, failure: FetchError, *, path: bool = True) -> None:
        super().__init__(parameters={f"/p/{name}": name for name in "abcd"} | {"/p/z.json": "{}"})
        self.failure, self.path = failure, path

    def get_parameters_by_path(self, path: str, *, region: Any, recursive: bool, decrypt: bool) -> Any:
        self.calls.append(("path", f"{path} {decrypt}"))
        if decrypt or not self.path:
            raise self.failure
        return {name: (f"encrypted {value}", "1") for name, value in self.parameters.items()}

    def get_parameters(self, names: Sequence[str], *, region: Any, decrypt: bool) -> Any:
        self.calls.append(("parameters", ", ".join(names)))
        if decrypt and "/p/b" in names:
            raise self.failure
        return super().get_parameters(names, region=region, decrypt=decrypt)

    def get_parameter(self, name: str, *, region: Any, decrypt: bool) -> Any:
        if decrypt and name == "/p/b":
            self.calls.append(("parameter", name))
            raise self.failure
        return super().get_parameter(name, region=region, decrypt=decrypt)


KEYS = [
    refusal(AccessDeniedError, "AccessDeniedException", 400),
    refusal(FetchError, "InvalidKeyId", 400),
    refusal(FetchError, "KMSInvalidStateException", 400),
]


@pytest.mark.parametrize("failure", KEYS)
def test_a_path_with_one_parameter_that_may_not_be_decrypted(failure: FetchError) -> None:
    """The others are there, in order; this one is an error by name, and is asked for again each time, alone."""
    backend = OneKey(failure)
    with lambdakit.use_environment(Environment(backend=backend)):
        with pytest.raises(BatchError) as caught:
            lambdakit.get_parameters_by_path("/p")
        assert caught.value.errors == {"/p/b": failure}
        assert list(caught.value.values) == ["/p/a", "/p/c", "/p/d", "/p/z.json"]
        backend.calls.clear()
        found = lambdakit.get_parameters_by_path("/p", on_error="return", transform="auto")
        assert list(found.items()) == [
            ("/p/a", "a"),
            ("/p/b", failure),
            ("/p/c", "c"),
            ("/p/d", "d"),
            ("/p/z.json", {}),
        ]
        assert backend.calls == [("parameter", "/p/b")]
        assert lambdakit.get_parameter("/p/a") == "a"
        assert lambdakit.get_parameters_by_path("/p", decrypt=False)["/p/b"] == "encrypted b"


def test_a_path_that_is_denied_itself() -> None:
    """The first error, after a look whether it is the path's."""
    backend = OneKey(KEYS[0], path=False)
    with lambdakit.use_environment(Environment(backend=backend)):
        for decrypt in (True, False):
            with pytest.raises(AccessDeniedError):
                lambdakit.get_parameters_by_path("/p", decrypt=decrypt)
    assert [name for _, name in backend.calls] == ["/p True", "/p False", "/p False"]


def test_a_path_that_fails_otherwise_is_asked_for_once() -> None:
    """Throttled, not known, or of credentials that are wrong for all of it."""
    for failure in (error(ThrottledError), error(NotFoundError), error(AccessDeniedError, "ExpiredTokenException")):
        backend = OneKey(failure)
        with lambdakit.use_environment(Environment(backend=backend)), pytest.raises(type(failure)):
            lambdakit.get_parameters_by_path("/p")
        assert len(backend.calls) == 1


def test_a_path_that_is_preloaded_with_such_a_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are in memory, transformed."""
    backend, made = OneKey(KEYS[0]), list[str]()

    def transform(text: str) -> str:
        made.append(text)
        return text

    env = Environment(backend=backend)
    with lambdakit.use_environment(env):
        env.preload(lambdakit.parameters("/p", transform=transform))
        assert made == ["a", "c", "d", "{}"]
        backend.calls.clear()
        lambdakit.get_parameters_by_path("/p", transform=transform, on_error="omit")
    assert (made, backend.calls) == (["a", "c", "d", "{}"], [("parameter", "/p/b")])


@pytest.mark.parametrize("get", [lambdakit.get_secrets, lambdakit.get_parameters])
@pytest.mark.parametrize("names", [{"/a": {"ttl": 5}}, {}, {"/a": None}])
def test_a_dictionary_is_no_list_of_names(get: Get, names: Any) -> None:
    """Its values would be options to another library: they are not lost without a word. Its keys are names."""
    with pytest.raises(ConfigurationError, match="names: give a list of names, not a dictionary"):
        get(names)
    with lambdakit.use_environment(Environment(backend=MemoryBackend(secrets={"/a": "1"}, parameters={"/a": "1"}))):
        assert get(dict.fromkeys(["/a"]).keys()) == {"/a": "1"}


@pytest.mark.parametrize(
    "get",
    [
        lambda **options: lambdakit.get_secrets(["/a", "/b"], **options),
        lambda **options: lambdakit.get_parameters(["/a", "/b"], **options),
        lambda **options: lambdakit.get_parameters_by_path("/", **options),
    ],
)
def test_force_fetch_fetches_in_any_case(get: Get) -> None:
    """From the service itself, and raises in any case: nothing stale is served. What it brings is kept."""

    class Cached(MemoryBackend):
        name = "cached"
        origin = MemoryBackend()

    service = MemoryBackend(secrets={"/a": "1", "/b": "2"}, parameters={"/a": "1", "/b": "2"})
    cached = Cached(secrets={"/a": "old", "/b": "old"}, parameters={"/a": "old", "/b": "old"})
    Cached.origin = service
    with lambdakit.use_environment(Environment(backend=cached, clock=ManualClock())):
        assert get() == {"/a": "old", "/b": "old"}
        assert get(force_fetch=True) == {"/a": "1", "/b": "2"}
        assert get() == {"/a": "1", "/b": "2"}
        assert len(cached.calls) == len(service.calls) == 1
        failure = error(ServiceError)
        service.secrets["/a"] = service.parameters["/a"] = failure
        with pytest.raises((BatchError, ServiceError)):
            get(force_fetch=True)
        assert get() == {"/a": "1", "/b": "2"}
        with pytest.raises(ConfigurationError, match="force_fetch=1: give True or False"):
            get(force_fetch=1)


def test_what_preload_could_not_fetch_is_fetched_where_it_is_forced() -> None:
    """The error that was kept is not raised."""
    backend = MemoryBackend(secrets={"a": error(NotFoundError)}, parameters={})
    env = Environment(backend=backend)
    with lambdakit.use_environment(env):
        env.preload(lambdakit.secret("a"), lambdakit.secret("b"))
        backend.secrets.update(a="1", b="2")
        assert lambdakit.get_secrets(["a", "b"], force_fetch=True) == {"a": "1", "b": "2"}


def test_errors_in_the_place_of_values() -> None:
    """In the order of the names; nothing is raised for them, and wrong arguments are errors still."""
    missing = error(NotFoundError)
    backend = MemoryBackend(secrets={"a": "1", "b": missing, "c": "{"}, parameters={"/a": "1"})
    with lambdakit.use_environment(Environment(backend=backend)):
        found = lambdakit.get_secrets(["c", "b", "a"], transform="json", on_error="return")
        assert list(found) == ["c", "b", "a"]
        assert (type(found["c"]), found["b"], found["a"]) == (ValueFormatError, missing, 1)
        assert lambdakit.get_parameters(["/a"], on_error="return") == {"/a": "1"}
        with pytest.raises(ConfigurationError, match="on_error='ignore': give 'raise', 'omit' or 'return'"):
            lambdakit.get_secrets(["a"], on_error="ignore")  # type: ignore[arg-type]
