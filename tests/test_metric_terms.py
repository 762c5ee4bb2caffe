"""What CloudWatch takes as a metric."""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from emf_schema import UNITS

from lambdakit import _metric_terms as terms
from lambdakit.exceptions import ConfigurationError


def test_units_are_those_of_cloudwatch() -> None:
    """All of them, as botocore's model of the service has them."""
    assert terms.UNITS == UNITS
    assert {terms.unit(unit) for unit in UNITS} == UNITS


@pytest.mark.parametrize("given", ["count", "Milisecond", "", None, 5, ["Count"]])
def test_other_units_are_refused(given: Any) -> None:
    """The message says which there are, or which one was meant."""
    with pytest.raises(ConfigurationError, match=r"^unit=.*: give a unit of CloudWatch, such as 'Count'"):
        terms.unit(given)


def test_a_misspelt_unit_is_recognised() -> None:
    """The closest are named."""
    with pytest.raises(ConfigurationError, match="Did you mean 'Milliseconds'"):
        terms.unit("Milisecond")


@pytest.mark.parametrize("given", ["a", "x" * 255, "Orders placed: all", "~!/#"])
def test_names(given: str) -> None:
    """1 to 255 printable characters of ASCII."""
    assert terms.name(given) == given


@pytest.mark.parametrize("given", ["", " ", "x" * 256, "naïve", "a\nb", "a\x7f", None, 5, b"a"])
def test_other_names_are_refused(given: Any) -> None:
    """The message says what was given, shortened."""
    with pytest.raises(ConfigurationError, match=re.escape(f"name={given!r:.80}: give 1 to 255 printable ASCII")):
        terms.name(given)


@pytest.mark.parametrize("given", ["Duration", "ColdStart", "StartKind", "FunctionName", "_aws", "lambdakit"])
def test_names_of_lambdakits_own_are_refused(given: str) -> None:
    """They are members of the same line."""
    with pytest.raises(ConfigurationError, match=f"name='{given}': lambdakit's own lines have it"):
        terms.name(given)


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
    assert (terms.value(given), type(terms.value(given))) == (number, type(number))


class Many:
    def __float__(self) -> float:
        raise TypeError("only arrays of size 1 have one")


@pytest.mark.parametrize("given", [True, False, "1", None, [1], Many(), Decimal("sNaN"), 1j])
def test_what_is_no_number_is_refused(given: Any) -> None:
    """By its type: what it says may be anything."""
    with pytest.raises(ConfigurationError, match=f"^value: give a number, not {type(given).__name__}$"):
        terms.value(given)


@pytest.mark.parametrize(
    "given",
    [float("nan"), float("inf"), float("-inf"), 2**360 + 1, -(2**361), 10**400, Decimal("NaN"), Decimal("1e400")],
)
def test_numbers_that_cloudwatch_does_not_take_are_refused(given: Any) -> None:
    """Not finite, or too large either way."""
    with pytest.raises(ConfigurationError, match="finite number between"):
        terms.value(given)


@pytest.mark.parametrize("given", ["Shop", "Shop/Orders: all", "x" * 255, "AWSome"])
def test_namespaces(given: str) -> None:
    """As names of metrics."""
    assert terms.namespace("metrics", given) == given


@pytest.mark.parametrize("given", ["", " ", "x" * 256, "é", "AWS/Lambda", ":a", True, 5])
def test_other_namespaces_are_refused(given: Any) -> None:
    """And Amazon's own; the message names the argument."""
    with pytest.raises(ConfigurationError, match=re.escape(f"metrics={given!r:.80}: give a namespace of CloudWatch")):
        terms.namespace("metrics", given)
