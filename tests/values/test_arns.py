"""An ARN says where its thing is: it is asked for there, whatever the default region is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lambdakit
from lambdakit import ConfigurationError, Environment, Settings
from lambdakit._values import arn_region
from lambdakit.testing import MemoryBackend

HOME, AWAY, CHINA = "eu-west-1", "us-west-2", "cn-north-1"


def secret_arn(region: str) -> str:
    partition = "aws-cn" if region == CHINA else "aws"
    return f"arn:{partition}:secretsmanager:{region}:123456789012:secret:shared/db-AbCdEf"


def parameter_arn(region: str) -> str:
    return f"arn:aws:ssm:{region}:123456789012:parameter/shared/db"


def table_arn(region: str) -> str:
    return f"arn:aws:dynamodb:{region}:123456789012:table/settings"


class Recorder(MemoryBackend):
    """Answers with the region that it was asked in."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[str | None, int]] = []

    def get_secret(self, name: str, *, region: str | None, **_: Any) -> Any:
        self.calls.append(("secret", name))
        return str(region), "1"

    def get_secrets(self, names: Any, *, region: str | None) -> Any:
        self.batches.append((region, len(names)))
        return {name: (str(region), "1") for name in names}

    def get_parameter(self, name: str, *, region: str | None, **_: Any) -> Any:
        self.calls.append(("parameter", name))
        return str(region), "1"

    def get_parameters(self, names: Any, *, region: str | None, **_: Any) -> Any:
        self.batches.append((region, len(names)))
        return {name: (str(region), "1") for name in names}

    def get_item(self, table: str, key: Any, *, region: str | None, **_: Any) -> str:
        self.calls.append(("item", table))
        return f'{{"region": {{"S": "{region}"}}}}'


@pytest.fixture(autouse=True)
def backend() -> Any:
    backend = Recorder()
    with lambdakit.use_environment(Environment(settings=Settings(region=HOME), backend=backend)):
        yield backend


GETTERS: list[Any] = [
    pytest.param(secret_arn, lambdakit.get_secret, id="get_secret"),
    pytest.param(secret_arn, lambda name, **o: lambdakit.get_secrets([name], **o)[name], id="get_secrets"),
    pytest.param(secret_arn, lambda name, **o: lambdakit.secret(name, **o).get(), id="secret"),
    pytest.param(parameter_arn, lambdakit.get_parameter, id="get_parameter"),
    pytest.param(parameter_arn, lambda name, **o: lambdakit.get_parameters([name], **o)[name], id="get_parameters"),
    pytest.param(parameter_arn, lambda name, **o: lambdakit.parameter(name, **o).get(), id="parameter"),
    pytest.param(
        table_arn, lambda name, **o: lambdakit.get_item(name, {"id": "1"}, field="region", **o), id="get_item"
    ),
]


@pytest.mark.parametrize(("arn", "get"), GETTERS)
def test_each_getter_asks_where_it_is(arn: Any, get: Any, backend: Recorder) -> None:
    """Once for each; with the same region given it is the same value, with another it is an error, also of a hit."""
    for region in (AWAY, HOME, CHINA):
        assert [get(arn(region)) for _ in range(2)] == [region] * 2
        assert get(arn(region), region=region) == region
    assert len(backend.calls) == 3
    for region, other in ((AWAY, HOME), (HOME, AWAY)):
        with pytest.raises(
            ConfigurationError, match=rf"region='{other}': the ARN .* is of {region}; leave out region="
        ):
            get(arn(region), region=other)
    assert len(backend.calls) == 3


def test_a_batch_of_several_regions_is_asked_for_in_each(backend: Recorder) -> None:
    """One call for each region; names go to the default one."""
    names = [secret_arn(AWAY), "local", secret_arn(HOME), f"{secret_arn(AWAY)}2", "other"]
    found = lambdakit.get_secrets(names)
    assert [found[name] for name in names] == [AWAY, HOME, HOME, AWAY, HOME]
    assert sorted(backend.batches) == [(HOME, 3), (AWAY, 2)]
    assert lambdakit.get_secret(names[0]) == AWAY  # what the batch has brought
    assert backend.calls == []
    with pytest.raises(ConfigurationError, match="is of us-west-2"):
        lambdakit.get_secrets(names, region=HOME)
    lambdakit.get_parameters(["/a", "/b", parameter_arn(AWAY), f"{parameter_arn(AWAY)}:3"])
    assert sorted(backend.batches[2:]) == [(HOME, 2), (AWAY, 2)]


def test_a_usual_hit_of_an_arn_is_one(backend: Recorder) -> None:
    """`invalidate` forgets it under the name that it has."""
    arn = secret_arn(AWAY)
    for _ in range(3):
        lambdakit.get_secret(arn)
    assert lambdakit.stats()["hits"] == 2
    lambdakit.invalidate(arn)
    lambdakit.get_secret(arn, ttl=3)
    assert lambdakit.secret(arn).state == "fresh"
    assert len(backend.calls) == 2


def test_without_a_default_region_the_arn_is_enough() -> None:
    """As on a laptop without configuration."""
    with lambdakit.use_environment(Environment(settings=Settings(region=None), backend=Recorder())):
        assert lambdakit.get_secret(secret_arn(AWAY)) == AWAY
        assert lambdakit.get_item(table_arn(AWAY), {"id": "1"}) == {"region": AWAY}
        assert lambdakit.get_secret("name") == "None"


@pytest.mark.parametrize("declare", [lambdakit.secret, lambdakit.parameter])
def test_a_declaration_says_so_where_it_stands(declare: Any) -> None:
    """At import, before anything is fetched."""
    with pytest.raises(ConfigurationError, match="is of us-west-2"):
        declare(secret_arn(AWAY), region=HOME)
    assert declare(secret_arn(AWAY), region=AWAY).get() == AWAY


@given(st.text())
def test_what_is_no_arn_has_no_region(text: str) -> None:
    """Whatever it looks like."""
    assert text.startswith("arn:") or arn_region(text) is None


@pytest.mark.parametrize("name", ["arn:", "arn:aws:ssm", "arn:aws:ssm::123:parameter/x", "arn:aws:ssm:eu-west-1"])
def test_an_arn_that_says_nothing_is_a_name(name: str) -> None:
    """The service says what is wrong with it."""
    assert arn_region(name) is None
    assert lambdakit.get_secret(name) == HOME
