"""What users' tests stand on."""

import base64
import json
from decimal import Decimal

import pytest
from boto3.dynamodb.types import TypeDeserializer

import lambdakit
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

pytest_plugins = ["pytester"]


def test_a_manual_clock_moves_as_it_is_told() -> None:
    """Both clocks, the wall clock alone, the wall clock to a moment."""
    clock = ManualClock(wall_s=1000.0, monotonic_s=5.0)
    clock.tick(10)
    assert clock.now() == (1010.0, 15.0)
    clock.suspend(100)
    assert clock.now() == (1110.0, 15.0)
    clock.set_wall(3.0)
    assert clock.now() == (3.0, 15.0)
    assert repr(clock) == "ManualClock(wall_s=3.0, monotonic_s=15.0)"


def test_a_fake_context_has_what_the_runtimes_has() -> None:
    """Every public attribute of awslambdaric's own context, a method where that has one, and of who has called."""
    from awslambdaric.lambda_context import LambdaContext

    real, fake = LambdaContext("id", None, None, 0, "arn", None), FakeContext()
    for of_real, of_fake in ((real, fake), (real.identity, fake.identity)):
        public = {name: callable(getattr(of_real, name)) for name in dir(of_real) if not name.startswith("_")}
        assert {name: callable(getattr(of_fake, name)) for name in public} == public
    assert fake.w3c() == real.w3c()
    assert fake.identity.cognito_identity_id is real.identity.cognito_identity_id is None


def test_a_fake_context_logs(capsys: pytest.CaptureFixture[str]) -> None:
    """To standard output, a line for each message, so that what a test prints next begins one."""
    FakeContext().log("text")
    FakeContext().log(5)
    assert capsys.readouterr().out == "text\n5\n"


def test_a_fake_context_tells_its_time() -> None:
    """In milliseconds, as the runtime does, never below 0."""
    context = FakeContext(remaining_s=1.5)
    assert context.get_remaining_time_in_millis() == 1500
    context.remaining_s = -1.0
    assert context.get_remaining_time_in_millis() == 0


def test_a_memory_backend_answers_and_counts() -> None:
    """Values, exceptions, what is missing; a changed value has a new version."""
    backend = MemoryBackend(secrets={"s": "1", "bad": RuntimeError("down")}, parameters={"p": "2"})
    secret = {"region": None, "version_id": None, "version_stage": None}
    assert backend.get_secret("s", **secret) == ("1", "1")
    backend.secrets["s"] = "changed"
    assert backend.get_secret("s", **secret) == ("changed", "2")
    assert backend.get_secret("s", **secret) == ("changed", "2")
    assert backend.get_parameter("p", region=None, decrypt=True) == ("2", "1")
    with pytest.raises(RuntimeError, match="down"):
        backend.get_secret("bad", **secret)
    with pytest.raises(lambdakit.NotFoundError, match="'missing'"):
        backend.get_parameter("missing", region=None, decrypt=True)
    assert backend.calls == [("secret", "s")] * 3 + [("parameter", "p"), ("secret", "bad"), ("parameter", "missing")]
    assert repr(backend) == "<MemoryBackend secrets=2 parameters=1 calls=6>"


def test_a_memory_backend_answers_batches() -> None:
    """One record for each; an exception or a missing value is the error of its own name."""
    down = RuntimeError("down")
    backend = MemoryBackend(
        secrets={"s": "1", "b": b"2", "bad": down}, parameters={"/p/a": "1", "/p/b/c": "2", "/px": "3", "/bad": down}
    )
    found = backend.get_secrets(["s", "bad", "b", "missing"], region=None)
    missing = found.pop("missing")
    assert isinstance(missing, lambdakit.NotFoundError)
    assert missing.name == "missing"
    assert found == {"s": ("1", "1"), "bad": down, "b": (b"2", "1")}
    assert backend.get_parameters(["/p/a", "/bad"], region=None, decrypt=True) == {"/p/a": ("1", "1"), "/bad": down}
    path = {"region": None, "decrypt": True}
    assert backend.get_parameters_by_path("/p", recursive=True, **path) == {"/p/a": ("1", "1"), "/p/b/c": ("2", "1")}
    assert backend.get_parameters_by_path("/p/", recursive=False, **path) == {"/p/a": ("1", "1")}
    with pytest.raises(RuntimeError, match="down"):
        backend.get_parameters_by_path("/", recursive=True, **path)
    backend.parameters["/p/a"] = "changed"
    assert backend.get_parameter("/p/a", **path) == ("changed", "2")
    assert backend.calls == [
        ("secrets", "s, bad, b, missing"),
        ("parameters", "/p/a, /bad"),
        ("path", "/p"),
        ("path", "/p/"),
        ("path", "/"),
        ("parameter", "/p/a"),
    ]
    assert backend.origin is backend


def test_a_memory_backend_is_polled_as_app_config_is() -> None:
    """A token serves once; the body is empty while nothing has changed; an error leaves the token good."""
    backend = MemoryBackend(app_configs={"app/prod/flags": "one"})
    options = {"name": "app/prod/flags", "region": None}
    token = backend.start_configuration_session("app", "prod", "flags", region=None)
    body, version, following, interval_s = backend.get_latest_configuration(token, **options)
    assert (body, version, interval_s) == (b"one", "1", 60.0)
    with pytest.raises(lambdakit.FetchError, match="was used") as caught:
        backend.get_latest_configuration(token, **options)
    assert caught.value.code == "BadRequestException"
    body, version, following, _ = backend.get_latest_configuration(following, **options)
    assert (body, version) == (b"", "1")
    backend.app_configs["app/prod/flags"] = RuntimeError("down")
    with pytest.raises(RuntimeError, match="down"):
        backend.get_latest_configuration(following, **options)
    backend.app_configs["app/prod/flags"] = b"\xfftwo"
    backend.poll_interval_s = 0.0
    body, version, _, interval_s = backend.get_latest_configuration(following, **options)
    assert (body, version, interval_s) == (b"\xfftwo", "2", 0.0)
    again = backend.start_configuration_session("app", "prod", "flags", region=None)
    assert backend.get_latest_configuration(again, **options)[0] == b"\xfftwo"
    with pytest.raises(lambdakit.NotFoundError, match="'app/dev/flags'"):
        backend.start_configuration_session("app", "dev", "flags", region=None)
    assert backend.calls[:2] == [("session", "app/prod/flags"), ("configuration", "app/prod/flags")]
    assert repr(backend) == "<MemoryBackend app_configs=1 calls=9>"


def test_a_memory_backend_has_items() -> None:
    """Plain values in, DynamoDB's JSON out, as boto3 itself would write them."""
    stored = {
        "text": "ü",
        "whole": 3,
        "exact": Decimal("1.50"),
        "float": 0.5,
        "flag": True,
        "nothing": None,
        "bytes": b"\x00\xff",
        "list": [1, "a", (2, [])],
        "map": {"a": {"b": False}},
        "texts": {"b", "a"},
        "numbers": frozenset((2, Decimal("1.5"))),
        "blobs": {b"\x01"},
    }
    backend = MemoryBackend(items={("orders", "o-1"): stored, ("bad", "x"): RuntimeError("down")})
    answer = json.loads(backend.get_item("orders", {"id": {"S": "o-1"}}, region=None, consistent=False))
    assert answer["float"] == {"N": "0.5"}  # which boto3 refuses
    assert {"SS", "NS", "BS"} == {kind for name in ("texts", "numbers", "blobs") for kind in answer[name]}
    for name in ("texts", "numbers", "blobs"):
        (values,) = answer[name].values()
        assert values == sorted(values)
    decode = {"bytes": {"B": base64.b64decode(answer["bytes"]["B"])}, "blobs": {"BS": [b"\x01"]}}
    read = {name: TypeDeserializer().deserialize(value) for name, value in (answer | decode).items()}
    expected = stored | {"float": Decimal("0.5"), "list": [1, "a", [2, []]]}
    assert {name: getattr(value, "value", value) for name, value in read.items() if name != "blobs"} == {
        name: value for name, value in expected.items() if name != "blobs"
    }
    with pytest.raises(RuntimeError, match="down"):
        backend.get_item("bad", {"id": {"S": "x"}}, region=None, consistent=False)
    with pytest.raises(lambdakit.NotFoundError, match="item 'orders o-2'"):
        backend.get_item("orders", {"id": {"S": "o-2"}}, region=None, consistent=False)
    assert backend.calls == [("item", "orders o-1"), ("item", "bad x"), ("item", "orders o-2")]


@pytest.mark.parametrize(
    ("key", "wire"),
    [
        (("t", "a", 7), {"id": {"S": "a"}, "at": {"N": "7"}}),
        (("t", Decimal("1.5")), {"id": {"N": "1.50"}}),
        (("t", b"\x00\xff"), {"id": {"B": "AP8="}}),
    ],
)
def test_the_key_of_an_item_is_what_it_holds(key: tuple[object, ...], wire: dict[str, dict[str, str]]) -> None:
    """Table, partition key, sort key; numbers are compared as numbers."""
    backend = MemoryBackend(items={key: {"found": True}})
    assert backend.get_item("t", wire, region=None, consistent=True) == '{"found": {"BOOL": true}}'


@pytest.mark.parametrize("value", [object(), set(), {1, "a"}, {None}, {True}, {(1, 2)}])
def test_an_item_holds_what_dynamodb_stores(value: object) -> None:
    """Anything else is refused, with what is allowed."""
    backend = MemoryBackend(items={("t", "a"): {"value": value}})
    with pytest.raises(lambdakit.ConfigurationError, match=f"holds {type(value).__name__}, which DynamoDB"):
        backend.get_item("t", {"id": {"S": "a"}}, region=None, consistent=True)


def test_the_fixture_gives_each_test_a_fresh_environment(pytester: pytest.Pytester) -> None:
    """A value cached in one test is not seen in the next, and the environment from before is back afterwards."""
    pytester.makeini("[pytest]\nusefixtures = lambdakit_environment\n")
    pytester.makepyfile(
        """
        import lambdakit

        seen = []

        def test_one(lambdakit_environment):
            assert lambdakit.environment() is lambdakit_environment
            lambdakit.handler(lambda event, context: None)({}, None)
            assert lambdakit_environment.invocations == 1
            seen.append(lambdakit_environment)

        def test_two():
            assert lambdakit.environment() is not seen[0]
            assert lambdakit.environment().invocations == 0
        """
    )
    before = lambdakit.environment()
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)
    assert lambdakit.environment() is before


def test_importing_a_handler_touches_nothing() -> None:
    """Decorating makes no client, reads no value, opens no connection."""
    backend = MemoryBackend()
    source = (
        "import lambdakit\n@lambdakit.handler\ndef handler(event, context):\n    return lambdakit.get_secret('x')\n"
    )
    with lambdakit.use_environment(lambdakit.Environment(backend=backend)) as env:
        exec(source, {})  # noqa: S102 - a module of a user, imported
    assert (env._parts.made, env.invocations, env.pings, backend.calls) == ({}, 0, 0, [])
