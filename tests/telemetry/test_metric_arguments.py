"""What CloudWatch takes as a metric."""

import io
import re
from contextlib import redirect_stdout
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lambdakit
from emf_schema import UNITS, checked
from lambdakit import Record
from lambdakit.exceptions import ConfigurationError


def told(*arguments: Any) -> dict[str, Any]:
    """What the record of an invocation has of a metric that its handler gives."""
    records: list[Record] = []
    lambdakit.handler(lambda event, context: lambdakit.metric(*arguments), on_invocation=records.append)({}, None)
    metrics: Any = records[0]["metrics"]
    return metrics


def unit(given: Any) -> str:
    return told("Orders", 1, given)["Orders"]["unit"]


def name(given: Any) -> str:
    (name,) = told(given, 1)
    return name


def value(given: Any) -> float:
    (value,) = told("Orders", given)["Orders"]["values"]
    return value


def namespace(given: Any) -> str:
    """What the lines of a handler have that is given it."""
    with redirect_stdout(io.StringIO()) as output:
        lambdakit.handler(lambda event, context: None, metrics=given)({}, None)
    return checked(output.getvalue())["_aws"]["CloudWatchMetrics"][0]["Namespace"]


def test_units_are_those_of_cloudwatch() -> None:
    """All of them, as botocore's model of the service has them."""
    assert {unit(one) for one in UNITS} == UNITS


def test_without_a_unit_it_is_cloudwatchs_word_for_none() -> None:
    """Not a unit that is missing."""
    assert told("Orders", 1) == {"Orders": {"unit": "None", "values": [1]}}


@given(st.text(max_size=20).filter(lambda text: text not in UNITS))
def test_nothing_else_is_a_unit(text: str) -> None:
    """Nor is a unit of CloudWatch's in another spelling."""
    for one in (text, f"{text} ", f" {text}"):
        with pytest.raises(ConfigurationError):
            unit(one)


@pytest.mark.parametrize("given", ["count", "Milisecond", "", None, 5, ["Count"]])
def test_other_units_are_refused(given: Any) -> None:
    """The message says which there are, or which one was meant."""
    with pytest.raises(ConfigurationError, match=r"^unit=.*: give a unit of CloudWatch, such as 'Count'"):
        unit(given)


def test_a_misspelt_unit_is_recognised() -> None:
    """The closest are named."""
    with pytest.raises(ConfigurationError, match="Did you mean 'Milliseconds'"):
        unit("Milisecond")


@pytest.mark.parametrize("given", ["a", "x" * 255, "Orders placed: all", "~!/#"])
def test_names(given: str) -> None:
    """1 to 255 printable characters of ASCII."""
    assert name(given) == given


@pytest.mark.parametrize("given", ["", " ", "x" * 256, "naïve", "a\nb", "a\x7f", None, 5, b"a"])
def test_other_names_are_refused(given: Any) -> None:
    """The message says what was given, shortened."""
    with pytest.raises(ConfigurationError, match=re.escape(f"name={given!r:.80}: give 1 to 255 printable ASCII")):
        name(given)


@pytest.mark.parametrize("given", ["Duration", "ColdStart", "StartKind", "FunctionName", "_aws", "lambdakit", "level"])
def test_names_of_lambdakits_own_are_refused(given: str) -> None:
    """They are members of the same line."""
    with pytest.raises(ConfigurationError, match=f"name='{given}': lambdakit's own lines have it"):
        name(given)


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (1, 1),
        (0, 0),
        (-1.5, -1.5),
        (2**360, 2**360),
        (-(2**360), -(2**360)),
        (Decimal("0.1"), 0.1),
        (Fraction(1, 4), 0.25),
    ],
)
def test_values(given: Any, number: float) -> None:
    """Numbers, as they are; what becomes a float, as that."""
    assert (value(given), type(value(given))) == (number, type(number))


class Many:
    def __float__(self) -> float:
        raise TypeError("only arrays of size 1 have one")


@pytest.mark.parametrize("given", [True, False, "1", None, [1], Many(), Decimal("sNaN"), 1j])
def test_what_is_no_number_is_refused(given: Any) -> None:
    """By its type: what it says may be anything."""
    with pytest.raises(ConfigurationError, match=f"^value: give a number, not {type(given).__name__}$"):
        value(given)


@pytest.mark.parametrize(
    "given",
    [float("nan"), float("inf"), float("-inf"), 2**360 + 1, -(2**361), 10**400, Decimal("NaN"), Decimal("1e400")],
)
def test_numbers_that_cloudwatch_does_not_take_are_refused(given: Any) -> None:
    """Not finite, or too large either way."""
    with pytest.raises(ConfigurationError, match="finite number between"):
        value(given)


@pytest.mark.parametrize("given", ["Shop", "Shop/Orders: all", "x" * 255, "AWSome"])
def test_namespaces(given: str) -> None:
    """As names of metrics."""
    assert namespace(given) == given


@pytest.mark.parametrize("given", ["", " ", "x" * 256, "é", "AWS/Lambda", ":a", True, 5])
def test_other_namespaces_are_refused(given: Any) -> None:
    """And Amazon's own; the message names the argument."""
    with pytest.raises(ConfigurationError, match=re.escape(f"metrics={given!r:.80}: give a namespace of CloudWatch")):
        namespace(given)


@pytest.mark.parametrize("given", [0, 2, 30, 60.0, True, None, "1"])
def test_other_resolutions_are_refused(given: Any) -> None:
    """CloudWatch has two."""
    with pytest.raises(ConfigurationError, match=re.escape(f"resolution={given!r:.80}: give 60, or 1")):
        lambdakit.metric("Orders", 1, resolution=given)


def dimensions(given: Any) -> Any:
    """What the record has of a metric with them."""
    records: list[Record] = []
    lambdakit.handler(
        lambda event, context: lambdakit.metric("Orders", 1, dimensions=given), on_invocation=records.append
    )({}, None)
    ((_, series),) = records[0]["metrics"].items()
    return series.get("dimensions", {})


@pytest.mark.parametrize(
    "given",
    [None, {}, {"Tenant": "a"}, {"x" * 250: "y" * 1024}, {f"d{number:02}": "a" for number in range(29)}],
)
def test_dimensions(given: Any) -> None:
    """Up to 29, beside the name of the function."""
    assert dimensions(given) == (given or {})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([("Tenant", "a")], "give a dictionary of at most 29"),
        ("Tenant", "give a dictionary of at most 29"),
        ({f"d{number}": "a" for number in range(30)}, "give a dictionary of at most 29"),
        ({"": "a"}, "'' is no name of one"),
        ({5: "a"}, "5 is no name of one"),
        ({":a": "a"}, "':a' is no name of one"),
        ({"x" * 251: "a"}, "is no name of one"),
        ({"naïve": "a"}, "is no name of one"),
        ({"FunctionName": "a"}, "'FunctionName' is taken"),
        ({"Duration": "a"}, "'Duration' is taken"),
        ({"Orders": "a"}, "'Orders' is taken"),
        ({"Tenant": ""}, "for 'Tenant' give a text"),
        ({"Tenant": 5}, "for 'Tenant' give a text of 1 to 1024 printable ASCII characters, not int"),
        ({"Tenant": "x" * 1025}, "for 'Tenant' give a text"),
        ({"Tenant": "planted\n"}, "for 'Tenant' give a text"),
    ],
)
def test_other_dimensions_are_refused(given: Any, message: str) -> None:
    """With what is wrong; values may be anybody's, and are not told."""
    with pytest.raises(ConfigurationError, match=f"^dimensions: .*{re.escape(message)}") as refused:
        dimensions(given)
    assert "planted" not in str(refused.value)
