"""Items of DynamoDB: the values that boto3's resource has, keys, and what is shared."""

import logging
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import Binary
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lambdakit
from fault_proxy import FaultProxy
from lambdakit import (
    ConfigurationError,
    Environment,
    NotFoundError,
    Settings,
    ThrottledError,
    ValueFormatError,
    get_item,
)
from lambdakit._values.dynamodb import from_wire
from lambdakit.testing import ManualClock, MemoryBackend

BACKENDS = ("direct", "sdk")
TABLES = {
    "texts": [("id", "S")],
    "numbers": [("n", "N")],
    "bytes": [("b", "B")],
    "pairs": [("id", "S"), ("n", "N")],
}


@pytest.fixture(scope="module")
def dynamodb(moto_url: str) -> Iterator[Any]:
    """boto3's resource, whose values are the measure, and a table for each type of key."""
    session = boto3.session.Session("AKIDEXAMPLE", "planted", region_name="eu-west-1")
    resource = session.resource("dynamodb", endpoint_url=moto_url)
    for name, attributes in TABLES.items():
        resource.create_table(
            TableName=name,
            KeySchema=[
                {"AttributeName": attribute, "KeyType": kind}
                for (attribute, _), kind in zip(attributes, ("HASH", "RANGE"), strict=False)
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in attributes],
            BillingMode="PAY_PER_REQUEST",
        )
    yield resource
    for name in TABLES:
        resource.Table(name).delete()
    resource.meta.client.close()


@pytest.fixture
def service(dynamodb: Any, moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same; environments of the test reach it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    return dynamodb


@pytest.fixture(params=BACKENDS)
def served(request: pytest.FixtureRequest, service: Any) -> Iterator[Environment]:
    """An environment of each backend."""
    env = Environment(backend=request.param, clock=ManualClock())
    with lambdakit.use_environment(env):
        yield env
    env.close()


@pytest.fixture
def both(service: Any) -> Iterator[list[Environment]]:
    """An environment of each backend, for tests with many examples."""
    environments = [Environment(backend=name) for name in BACKENDS]
    yield environments
    for env in environments:
        env.close()


def plain(value: Any) -> Any:
    """With bytes for boto3's own class of them."""
    if isinstance(value, Binary):
        return bytes(value)
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return {plain(part) for part in value} if isinstance(value, set) else value


def typed(value: Any) -> Any:
    """With the type of each part: True is 1, and a Decimal is an int, for `==`."""
    if isinstance(value, dict):
        return {name: typed(part) for name, part in value.items()}
    if isinstance(value, list):
        return [typed(part) for part in value]
    if isinstance(value, set):
        return {typed(part) for part in value}
    return type(value), str(value) if isinstance(value, Decimal) else value


# What DynamoDB takes: 38 digits, and exponents from -130 to 125.
NUMBERS = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal),
    st.builds(
        lambda digits, exponent: Decimal(digits).scaleb(exponent),
        st.integers(-(10**9), 10**9),
        st.integers(-120, 115),
    ),
    st.sampled_from([Decimal(text) for text in ("0", "-0", "1E+2", "1.50", "9.9E+125", "1E-130", "-1E-130")]),
)
TEXTS, BLOBS = st.text(max_size=8), st.binary(max_size=8)
SCALARS = st.none() | st.booleans() | TEXTS | BLOBS | NUMBERS
SETS = (
    st.sets(TEXTS.filter(bool), min_size=1, max_size=3)
    | st.sets(NUMBERS.filter(bool), min_size=1, max_size=3)
    | st.sets(BLOBS.filter(bool), min_size=1, max_size=3)
)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=6)
VALUES = st.recursive(
    SCALARS | SETS,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(NAMES, parts, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=max(1, settings().max_examples // 4), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(NAMES.filter(lambda name: name != "id"), VALUES, max_size=5))
def test_an_item_is_what_boto3s_resource_has(both: list[Environment], dynamodb: Any, item: dict[str, Any]) -> None:
    """For every type of attribute, nested and empty ones, and every number to its last digit; by both backends."""
    table = dynamodb.Table("texts")
    table.put_item(Item={**item, "id": "x"})
    expected = plain(table.get_item(Key={"id": "x"})["Item"])
    for env in both:
        with lambdakit.use_environment(env):
            assert typed(get_item("texts", {"id": "x"}, force_fetch=True)) == typed(expected)
            for field in item:
                assert typed(get_item("texts", {"id": "x"}, field=field)) == typed(expected[field])


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ({"S": ""}, ""),
        ({"N": "-0.0"}, Decimal("-0.0")),
        ({"BOOL": False}, False),
        ({"NULL": True}, None),
        ({"B": "AP8="}, b"\x00\xff"),
        ({"SS": ["a", "b"]}, {"a", "b"}),
        ({"NS": ["1", "2.5"]}, {Decimal(1), Decimal("2.5")}),
        ({"BS": ["AA==", ""]}, {b"\x00", b""}),
        ({"L": [{"S": "a"}, {"L": []}]}, ["a", []]),
        ({"M": {"a": {"M": {}}, "S": {"N": "1"}}}, {"a": {}, "S": Decimal(1)}),
    ],
)
def test_each_type_on_the_wire(wire: dict[str, Any], value: Any) -> None:
    """As DynamoDB's documentation lists them."""
    assert typed(from_wire(wire)) == typed(value)


def test_each_type_of_key(served: Environment, dynamodb: Any) -> None:
    """Written by boto3, found by its key."""
    for table, key in (
        ("texts", {"id": "o-1 ü"}),
        ("numbers", {"n": 42}),
        ("numbers", {"n": Decimal("-1.5")}),
        ("numbers", {"n": 10**37}),
        ("bytes", {"b": b"\x00\xff"}),
        ("pairs", {"id": "a", "n": 7}),
    ):
        dynamodb.Table(table).put_item(Item={**key, "found": True})
        assert get_item(table, key)["found"] is True
        assert get_item(table, dict(reversed(key.items())), field="found") is True


def test_what_is_missing(served: Environment, dynamodb: Any) -> None:
    """An item, a table; neither is kept, and what the key holds is not told."""
    for _ in range(2):
        with pytest.raises(NotFoundError, match=r"'texts' in eu-west-1: no item has this key \(id\)") as caught:
            get_item("texts", {"id": "planted"})
        assert "planted" not in str(caught.value)
        with pytest.raises(NotFoundError, match="'none'"):
            get_item("none", {"id": "planted"})
    dynamodb.Table("texts").put_item(Item={"id": "planted"})
    assert get_item("texts", {"id": "planted"}) == {"id": "planted"}
    dynamodb.Table("texts").delete_item(Key={"id": "planted"})


def test_a_key_of_another_shape_is_the_services_to_refuse(served: Environment) -> None:
    """It knows the table; the error is one of its own, and no value is in it."""
    with pytest.raises(lambdakit.FetchError) as caught:
        get_item("texts", {"other": "planted"})
    assert caught.value.code == "ValidationException"
    assert not caught.value.retryable


def test_reads_are_consistent_when_asked_for(
    served: Environment, dynamodb: Any, moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two are kept apart: who asks for a consistent read does not get an older one from memory."""
    dynamodb.Table("texts").put_item(Item={"id": "x", "a": 1})
    with FaultProxy(moto_url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        for _ in range(2):
            get_item("texts", {"id": "x"})
            get_item("texts", {"id": "x"}, consistent=True)
        assert [call.operation for call in proxy.calls] == ["GetItem"] * 2


# In front of dictionaries.


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend(
        items={
            ("orders", "o-1"): {"id": "o-1", "total": Decimal("1.5"), "tags": ["a"], "none": None},
            ("orders", "o-2"): {"id": "o-2"},
            ("pairs", "a", 7): {"id": "a", "n": 7},
        }
    )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def memory(backend: MemoryBackend, clock: ManualClock) -> Iterator[Environment]:
    env = Environment(settings=Settings(region="eu-west-1"), clock=clock, backend=backend)
    with lambdakit.use_environment(env):
        yield env


def test_an_item_is_fetched_once(memory: Environment, backend: MemoryBackend, clock: ManualClock) -> None:
    """While it is fresh; its fields too; with the same key in another order or another type of text."""
    assert get_item("orders", {"id": "o-1"}) == {"id": "o-1", "total": Decimal("1.5"), "tags": ["a"], "none": None}
    assert get_item("orders", {"id": "o-1"}, field="total") == Decimal("1.5")
    assert get_item("orders", {"id": "o-1"}, field="none") is None
    get_item("pairs", {"id": "a", "n": 7})
    get_item("pairs", {"n": 7, "id": "a"})
    assert backend.calls == [("item", "orders o-1"), ("item", "pairs a 7")]
    clock.tick(300)
    get_item("orders", {"id": "o-1"})
    get_item("orders", {"id": "o-1"}, ttl=0)
    get_item("orders", {"id": "o-1"}, force_fetch=True)
    assert len(backend.calls) == 5


def test_whatever_changes_the_answer_is_in_the_key(memory: Environment, backend: MemoryBackend) -> None:
    """Table, key, type of the key, region, consistency; each alone is another fetch."""
    backend.items |= {("orders", 1): {}, ("orders", "1"): {}, ("orders", b"1"): {}, ("other", "o-1"): {}}
    for _ in range(2):
        get_item("orders", {"id": "o-1"})
        get_item("other", {"id": "o-1"})
        get_item("orders", {"id": "o-2"})
        get_item("orders", {"key": "o-2"})
        get_item("orders", {"id": 1})
        get_item("orders", {"id": "1"})
        get_item("orders", {"id": b"1"})
        get_item("orders", {"id": "o-1"}, region="us-east-1")
        get_item("orders", {"id": "o-1"}, consistent=True)
    assert len(backend.calls) == 9


def test_readers_share_no_object(memory: Environment) -> None:
    """What one changes in its own, the next does not see; neither that of a field."""
    one = get_item("orders", {"id": "o-1"})
    one["tags"].append("b")
    get_item("orders", {"id": "o-1"}, field="tags").append("c")
    assert get_item("orders", {"id": "o-1"})["tags"] == ["a"]
    assert get_item("orders", {"id": "o-1"}, field="tags") == ["a"]


def test_a_callable_gets_the_item_or_the_field(memory: Environment, clock: ManualClock) -> None:
    """Once per fetch, and its result is shared."""
    made: list[Any] = []

    def note(value: Any) -> list[Any]:
        made.append(value)
        return [value]

    first = get_item("orders", {"id": "o-2"}, transform=note)
    assert first == [{"id": "o-2"}]
    assert get_item("orders", {"id": "o-2"}, transform=note) is first
    assert get_item("orders", {"id": "o-2"}, field="id", transform=note) == ["o-2"]
    assert len(made) == 2
    clock.tick(300)
    assert get_item("orders", {"id": "o-2"}, transform=note) == first
    assert len(made) == 3
    with pytest.raises(ZeroDivisionError):
        get_item("orders", {"id": "o-2"}, transform=lambda _: 1 / 0)


def test_a_field_that_is_not_there(memory: Environment) -> None:
    """Is told by its name and the table's, without anything of the item."""
    for transform in (None, len):
        with pytest.raises(ValueFormatError, match="field='x': the item of table 'orders' has no such attribute"):
            get_item("orders", {"id": "o-1"}, field="x", transform=transform)


def test_it_is_served_stale(
    memory: Environment, backend: MemoryBackend, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """With one warning, which tells the table: what a key holds may be anybody's name or address."""
    backend.items["orders", "planted"] = {"id": "planted"}
    get_item("orders", {"id": "planted"})
    clock.tick(300)
    backend.items["orders", "planted"] = ThrottledError("x", service="s", operation="o", name="n")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert get_item("orders", {"id": "planted"}) == {"id": "planted"}
    assert [record.getMessage().partition(" could")[0] for record in caplog.records] == ["item 'orders'"]
    assert "planted" not in str(lambdakit.stats())
    clock.tick(2)
    with pytest.raises(ThrottledError):
        get_item("orders", {"id": "planted"}, stale_ttl=0)


def test_invalidate_forgets_all_items_of_a_table(memory: Environment, backend: MemoryBackend) -> None:
    """By the name of the table; other tables are left."""
    for _ in range(2):
        for table, key in (("orders", {"id": "o-1"}), ("orders", {"id": "o-2"}), ("pairs", {"id": "a", "n": 7})):
            get_item(table, key)
        lambdakit.invalidate("orders")
    assert [name for _, name in backend.calls] == ["orders o-1", "orders o-2", "pairs a 7", "orders o-1", "orders o-2"]


@pytest.mark.parametrize(
    ("table", "key", "options", "said"),
    [
        ("", {"id": "x"}, {}, "table='': give a non-empty string"),
        (5, {"id": "x"}, {}, "table: give a non-empty string, not int"),
        ("orders", "x", {}, "key: give a dict of the table's one or two key attributes"),
        ("orders", {}, {}, "key: give a dict of the table's one or two key attributes"),
        ("orders", {"a": 1, "b": 2, "c": 3}, {}, "key: give a dict of the table's one or two"),
        ("orders", None, {}, "key: give a dict"),
        ("orders", {5: "x"}, {}, "key: give a non-empty string, not int"),
        ("orders", {"id": True}, {}, "key: 'id' is bool; give a string, an int, a finite decimal.Decimal or bytes"),
        ("orders", {"id": 1.5}, {}, "key: 'id' is float; give"),
        ("orders", {"id": None}, {}, "key: 'id' is NoneType; give"),
        ("orders", {"id": Decimal("NaN")}, {}, "key: 'id' is Decimal; give .* a finite"),
        ("orders", {"id": Decimal("Infinity")}, {}, "key: 'id' is Decimal; give .* a finite"),
        ("orders", {"id": "x"}, {"transform": "json"}, "transform='json': give a callable or None; an item is parsed"),
        ("orders", {"id": "x"}, {"field": 5}, "field=5: give the name of one entry"),
        ("orders", {"id": "x"}, {"consistent": 1}, "consistent=1: give True or False"),
        ("orders", {"id": "x"}, {"force_fetch": "no"}, "force_fetch='no': give True or False"),
        ("orders", {"id": "x"}, {"region": ""}, "region='': give a non-empty string"),
        ("orders", {"id": "x"}, {"ttl": -1}, "ttl=-1: give a number"),
        ("orders", {"id": "x"}, {"stale_ttl": -1}, "stale_ttl=-1: give a number"),
    ],
)
def test_wrong_arguments(
    memory: Environment, backend: MemoryBackend, table: Any, key: Any, options: dict[str, Any], said: str
) -> None:
    """Before any call."""
    with pytest.raises(ConfigurationError, match=said):
        get_item(table, key, **options)
    assert backend.calls == []


def test_a_bytearray_is_bytes(memory: Environment, backend: MemoryBackend) -> None:
    """As for boto3."""
    backend.items["orders", b"1"] = {"found": True}
    assert get_item("orders", {"id": bytearray(b"1")}) == get_item("orders", {"id": b"1"}) == {"found": True}
    assert len(backend.calls) == 1
