"""LAMBDAKIT_MAX_IDLE is the limit of idleness for everything that is connected."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import lambdakit
from faults import FaultServer, answering, serving
from http_server import RunningClock, response
from lambdakit import Environment, http
from lambdakit.testing import FakeContext

SECRET = json.dumps({"Name": "x", "ARN": "arn:x", "VersionId": "v" * 32, "SecretString": "value"}).encode()


def url_of(server: FaultServer) -> str:
    return f"http://127.0.0.1:{server.port}/"


def sdk(server: FaultServer) -> Any:
    return lambdakit.client("secretsmanager", endpoint_url=url_of(server)).get_secret_value(SecretId="x")


def secret(_: FaultServer) -> Any:
    lambdakit.clear()  # `force_fetch` would pass the extension by: it has a cache of its own
    return lambdakit.get_secret("x")


USES: dict[str, Callable[[FaultServer], Any]] = {
    "http": lambda server: http.get(url_of(server)),
    "requests": lambda server: http.requests_session().get(url_of(server)),
    "httpx": lambda server: http.httpx_client().get(url_of(server)),
    "sdk client": sdk,
    "direct": secret,
    "extension": secret,
    "sdk": secret,
}


@pytest.mark.parametrize("limit_s", [None, 5])
@pytest.mark.parametrize("kind", USES)
def test_what_was_idle_for_longer_is_not_used_again(
    kind: str, limit_s: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 s without a setting; what was idle for less is used on. Frozen time counts."""
    clock = RunningClock()
    with serving(answering(response(body=SECRET, Content_Type="application/x-amz-json-1.1"))) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url_of(server))
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(server.port))
        monkeypatch.setenv("AWS_SESSION_TOKEN", "made-up")
        if limit_s is not None:
            monkeypatch.setenv("LAMBDAKIT_MAX_IDLE", str(limit_s))
        env = Environment(clock=clock, backend=kind if kind in {"direct", "extension", "sdk"} else "auto")
        connections = []
        with lambdakit.use_environment(env):
            for idle_s in (0, (limit_s or 20) - 3, (limit_s or 20) + 1):
                clock.suspend(idle_s)
                invocation = env.begin(FakeContext(remaining_s=60))
                USES[kind](server)
                env.end(invocation)
                connections.append(server.connections)
        env.close()
    assert connections == [1, 1, 2]


@pytest.mark.parametrize("limit_s", [None, 5])
def test_a_singleton_that_was_idle_for_longer_is_built_anew(
    limit_s: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 s without a setting, where there is no check."""
    clock = RunningClock()
    if limit_s is not None:
        monkeypatch.setenv("LAMBDAKIT_MAX_IDLE", str(limit_s))
    env = Environment(clock=clock)
    built: list[int] = []
    thing = lambdakit.singleton(lambda: built.append(1))
    with lambdakit.use_environment(env):
        for idle_s, count in ((0, 1), ((limit_s or 60) - 3, 1), ((limit_s or 60) + 1, 2)):
            clock.suspend(idle_s)
            invocation = env.begin(FakeContext(remaining_s=60))
            thing()
            env.end(invocation)
            assert len(built) == count
    env.close()
