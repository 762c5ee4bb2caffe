"""The pytest plugin: a fresh environment for a test."""

from __future__ import annotations

import pytest

from ._environment import Environment, use_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def lambdakit_environment() -> Iterator[Environment]:
    """A fresh `lambdakit.Environment` in place for this test: no value or client of another test is seen.

    It is closed after the test. For every test of a project: ``usefixtures = lambdakit_environment`` in the
    configuration of pytest.
    """
    env = Environment()
    with use_environment(env):
        yield env
    env.close()
