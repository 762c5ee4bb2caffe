"""Settings from environment variables."""

import logging

import pytest

import lambdakit
from lambdakit import Settings


def test_every_variable_has_its_attribute() -> None:
    """What Lambda and the user set is read."""
    settings = Settings.from_environ(
        {
            "AWS_REGION": "eu-west-1",
            "AWS_LAMBDA_FUNCTION_NAME": "orders",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
            "LAMBDAKIT_TTL": " 60.5 ",
            "AWS_MAX_ATTEMPTS": "5",
        }
    )
    assert (settings.region, settings.function_name, settings.init_type) == ("eu-west-1", "orders", "on-demand")
    assert (settings.in_lambda, settings.ttl_s, settings.retries_chosen) == (True, 60.5, True)
    assert settings.problems == ()


def test_an_empty_environment_has_the_defaults() -> None:
    """Nothing set: no region, not on Lambda, five minutes."""
    settings = Settings.from_environ({})
    assert (settings.region, settings.function_name, settings.init_type) == (None, None, None)
    assert (settings.in_lambda, settings.ttl_s, settings.retries_chosen) == (False, 300.0, False)


def test_the_region_is_the_one_that_boto3_takes() -> None:
    """AWS_DEFAULT_REGION, then AWS_REGION, which boto3 does not read; an empty one counts as none."""
    both = {"AWS_DEFAULT_REGION": "us-west-2", "AWS_REGION": "eu-west-1"}
    assert Settings.from_environ(both).region == "us-west-2"
    assert Settings.from_environ(both | {"AWS_DEFAULT_REGION": ""}).region == "eu-west-1"


def test_a_ttl_of_zero_is_one() -> None:
    """It fetches always."""
    assert Settings.from_environ({"LAMBDAKIT_TTL": "0"}).ttl_s == 0.0


@pytest.mark.parametrize("text", ["five", "-1", "nan", "inf", "1e999", "3 minutes"])
def test_a_malformed_number_is_one_problem_and_the_default(text: str) -> None:
    """The problem names the variable, what it is, and what is used instead."""
    settings = Settings.from_environ({"LAMBDAKIT_TTL": text})
    assert settings.ttl_s == 300.0
    (problem,) = settings.problems
    assert "LAMBDAKIT_TTL" in problem
    assert text in problem
    assert "300" in problem


def test_an_environment_logs_each_problem_once(caplog: pytest.LogCaptureFixture) -> None:
    """A malformed variable costs a warning at the birth of the environment, and nothing afterwards."""
    with caplog.at_level(logging.WARNING, logger="lambdakit"):
        env = lambdakit.Environment(settings=Settings.from_environ({"LAMBDAKIT_TTL": "x"}))
        env.end(env.begin(None))
    assert [record.name for record in caplog.records] == ["lambdakit"]
    assert "LAMBDAKIT_TTL='x'" in caplog.text


def test_repr_shows_every_setting_and_no_credential() -> None:
    """For a bug report."""
    settings = Settings.from_environ({"AWS_REGION": "eu-west-1", "AWS_SECRET_ACCESS_KEY": "planted"})
    assert repr(settings).startswith("Settings(backend='auto', function_name=None, in_lambda=False,")
    assert "region='eu-west-1'" in repr(settings)
    assert "planted" not in repr(settings)


@pytest.mark.parametrize("name", ["auto", "direct", "sdk", "extension"])
def test_the_backend_is_one_of_four(name: str) -> None:
    """Whatever its case; anything else is a problem and the default."""
    assert Settings.from_environ({"LAMBDAKIT_BACKEND": f" {name.upper()} "}).backend == name
    settings = Settings.from_environ({"LAMBDAKIT_BACKEND": f"{name}2"})
    assert settings.backend == "auto"
    assert settings.problems == (
        f"LAMBDAKIT_BACKEND='{name}2' is none of auto, direct, sdk, extension; using the default, auto",
    )
