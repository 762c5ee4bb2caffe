"""Secrets that are read through Parameter Store: their version is the secret's, whatever number the service says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import lambdakit
from http_server import keeping, response
from lambdakit import Environment
from lambdakit.testing import FakeContext, ManualClock

NAME = "/aws/reference/secretsmanager/db"


class Store:
    """A Parameter Store with one reference."""

    def __init__(self) -> None:
        self.value, self.version_id = "old", "1" * 32
        self.version: Any = 0
        self.spelling = "versionId"
        self.source: Any = ...

    def answer(self, head: bytes, body: bytes) -> bytes:
        source = json.dumps({self.spelling: self.version_id, "secretString": self.value})
        entry = {
            "Name": NAME,
            "Type": "SecureString",
            "Value": self.value,
            "ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf",
            "SourceResult": source if self.source is ... else self.source,
            "Version": self.version,
        }
        entry = {name: value for name, value in entry.items() if value is not None}
        one = b"GetParameters" not in head
        return response(200, json.dumps({"Parameter": entry} if one else {"Parameters": [entry]}).encode())

    def rotate(self) -> None:
        self.value, self.version_id = "new", "2" * 32


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    store = Store()
    with keeping(answer=store.answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
        yield store


@pytest.fixture(params=["direct", "sdk"])
def clock(request: pytest.FixtureRequest, store: Store) -> Iterator[ManualClock]:
    clock = ManualClock()
    env = Environment(backend=request.param, clock=clock)
    with lambdakit.use_environment(env):
        yield clock
    env.close()


class RefusedError(Exception):
    """The password is no longer valid."""


@pytest.mark.parametrize("spelling", ["versionId", "VersionId"])
def test_a_rotation_is_seen(spelling: str, store: Store, clock: ManualClock) -> None:
    """By `retry_on_rotation`, after an error, and by `depends_on`, after the ttl."""
    store.spelling = spelling

    @lambdakit.retry_on_rotation(lambdakit.parameter(NAME), errors=RefusedError)
    def work() -> Any:
        if (got := lambdakit.get_parameter(NAME)) != store.value:
            raise RefusedError
        return got

    @lambdakit.singleton(depends_on=lambdakit.parameter(NAME), check=lambda value: True)
    def connection() -> str:
        return f"with {lambdakit.get_parameter(NAME)}"

    handler = lambdakit.handler(lambda event, context: connection())
    assert (work(), handler({}, FakeContext())) == ("old", "with old")
    store.rotate()
    assert (work(), handler({}, FakeContext())) == ("new", "with new")


@pytest.mark.parametrize("source", [None, "", "{", "[]", "{}", '{"versionId": 5}', '"x"'])
@pytest.mark.parametrize("version", [0, None])
def test_without_a_version_the_value_is_read(source: Any, version: Any, store: Store, clock: ManualClock) -> None:
    """One whose version nobody knows has not changed."""
    store.source, store.version = source, version
    assert lambdakit.get_parameter(NAME) == "old"
    assert lambdakit.get_parameters([NAME, f"{NAME}:x"], on_error="omit", ttl=0)[NAME] == "old"
