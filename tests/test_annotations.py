"""Annotations that are evaluated when somebody asks for them: PEP 649, from Python 3.14 on."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import pytest

import lambdakit
from lambdakit.testing import FakeContext

pytestmark = pytest.mark.skipif(sys.version_info < (3, 14), reason="they are evaluated at once")

FUNCTIONS = """
import lambdakit

@lambdakit.handler
def handler(event: Event, context: Context) -> Answer:
    return double(event), opened()

@lambdakit.handler
async def async_handler(event: Event, context: Context) -> Answer:
    return await async_double(event)

@lambdakit.cached
def double(value: Number) -> Number:
    return value * 2

@lambdakit.cached(ttl=5)
async def async_double(value: Number, *, times: Number = 2) -> Number:
    return value * times

@lambdakit.singleton
def opened() -> Connection:
    return "open"

@lambdakit.retry_on_rotation("x", errors=(KeyError,))
def retried(value: Number) -> Number:
    return value
"""


def test_names_that_only_type_checkers_know_may_stand_in_annotations() -> None:
    """Nothing of ours evaluates them, and whoever does finds them where they were."""
    module: dict[str, Any] = {"__name__": "functions"}
    exec(compile(FUNCTIONS, "functions.py", "exec", dont_inherit=True), module)  # noqa: S102 - without the import above
    assert module["handler"](2, FakeContext()) == (4, "open")
    assert module["async_handler"](2, FakeContext()) == 4
    text: Any = __import__("annotationlib").Format.STRING
    shown = {name: str(inspect.signature(module[name], annotation_format=text)) for name in ("double", "opened")}
    assert shown == {"double": "(value: 'Number') -> 'Number'", "opened": "() -> 'Connection'"}
    with pytest.raises(NameError, match="Number"):
        inspect.signature(module["retried"])
    lambdakit.environment().close()
