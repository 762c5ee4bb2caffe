"""What works where nothing but lambdakit and its core dependencies is installed."""

import importlib.util

import pytest

import lambdakit
from lambdakit.testing import FakeContext, MemoryBackend

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("boto3") is not None, reason="boto3 is installed: `nox -s bare` is where this runs"
)


def test_values_and_handler_without_the_sdk() -> None:
    """A handler with another backend needs no SDK."""
    handler = lambdakit.handler(lambda event, context: lambdakit.get_secret("x"))
    with lambdakit.use_environment(lambdakit.Environment(backend=MemoryBackend(secrets={"x": "1"}))):
        assert handler({}, FakeContext()) == "1"


@pytest.mark.parametrize("call", [lambdakit.client, lambdakit.resource])
def test_the_error_names_the_extra(call) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - a public function
    """And nothing else happens."""
    with pytest.raises(lambdakit.MissingDependencyError, match=r"lambdakit\[sdk\]"):
        call("dynamodb", region="eu-west-1")
