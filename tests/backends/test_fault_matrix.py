"""What a user gets under each fault: on the first fetch and on a refresh, from direct and from the SDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from running import RunningClock, RunningContext, invocation
from tools.failures import BACKENDS, FAULTS, STALE, VALUE, first_fetch, refresh

import lambdakit
from fault_proxy import KINDS, FaultProxy
from lambdakit import Environment, Settings

# botocore waits up to 3 s between its attempts after these. One attempt ends the same way; that there are three
# is proved by the tests of the backend. The direct backend makes all three here, and is told not to wait.
WAITED_FOR = ("throttling", "throttled_429")
LEFT_S = {"silent": 0.8}  # of the invocation; it ends the waiting
AMPLE_S = 30.0
LATE_S = 0.1
TTL_S, STALE_TTL_S = Settings().ttl_s, Settings().stale_ttl_s
PEACE_S = 2.0  # longer than a failed refresh is left alone

Get = Callable[..., str]
GETTERS: tuple[Get, ...] = (lambdakit.get_secret, lambdakit.get_parameter)


class Scene:
    """An environment that reaches moto through the proxy only, its clock, and a secret and a parameter called x."""

    def __init__(self, env: Environment, clock: RunningClock, proxy: FaultProxy, moto: dict[str, Any]) -> None:
        self.env, self.clock, self.proxy = env, clock, proxy
        self._secrets, self._parameters = moto["secretsmanager"], moto["ssm"]
        self._secrets.create_secret(Name="x", SecretString="old")
        self._parameters.put_parameter(Name="x", Value="old", Type="String")

    def rotate(self) -> None:
        """Both values are others from now on."""
        self._secrets.put_secret_value(SecretId="x", SecretString="new")
        self._parameters.put_parameter(Name="x", Value="new", Type="String", Overwrite=True)

    def get(self, get: Get, *, left_s: float = AMPLE_S, **options: Any) -> str:
        """What an invocation of its own gets: the value, or the name of the exception."""
        with invocation(RunningContext(remaining_s=left_s)):
            try:
                return get("x", **options)
            except lambdakit.LambdakitError as error:
                return type(error).__name__

    def break_down(self, kind: str) -> None:
        """From now on everything meets this fault."""
        self.proxy.fault(kind, **({"seconds": LATE_S} if kind == "slow" else {}))


@pytest.fixture(scope="module")
def session() -> boto3.session.Session:
    """One for all tests: it reads the models of the services, which takes most of a client's making."""
    return boto3.session.Session()


@pytest.fixture
def moto(aws: boto3.session.Session, session: boto3.session.Session, moto_url: str) -> Iterator[dict[str, Any]]:
    """Clients that prepare moto, past the proxy."""
    clients = {name: session.client(name, endpoint_url=moto_url) for name in ("secretsmanager", "ssm")}
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each in turn."""
    name: str = request.param
    return name


@pytest.fixture
def scene(
    backend: str, kind: str, moto: dict[str, Any], moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    """For one backend and one fault, which has not happened yet."""
    clock = RunningClock(chance=0.0)
    if backend == "sdk" and kind in WAITED_FOR:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with FaultProxy(moto_url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        env = Environment(backend=backend, clock=clock)
        with lambdakit.use_environment(env):
            yield Scene(env, clock, proxy, moto)
        env.close()


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "lambdakit"]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_first_fetch(kind: str, backend: str, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Raises what the fault is, and keeps nothing of it: the next call after the end of the fault gets the value."""
    scene.break_down(kind)
    expected = first_fetch(kind, backend)
    for get in GETTERS:
        assert scene.get(get, left_s=LEFT_S.get(kind, AMPLE_S)) == ("old" if expected == VALUE else expected)
    scene.proxy.heal()
    scene.rotate()
    for get in GETTERS:
        assert scene.get(get) == ("old" if expected == VALUE else "new")
    assert _warnings(caplog) == []


@pytest.mark.parametrize("kind", FAULTS)
def test_a_refresh(kind: str, backend: str, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """With a stale value, that is served on what may pass, with one warning; every other fault is raised."""
    for get in GETTERS:
        assert scene.get(get) == "old"
    scene.rotate()
    scene.clock.tick(TTL_S)
    scene.break_down(kind)
    expected = refresh(kind, backend)
    for get in GETTERS:
        caplog.clear()
        got = scene.get(get, left_s=LEFT_S.get(kind, AMPLE_S))
        assert got == {VALUE: "new", STALE: "old"}.get(expected, expected)
        if expected == STALE:
            asked = len(scene.proxy.calls)
            assert scene.get(get) == "old"
            assert len(scene.proxy.calls) == asked  # the service is left in peace for a second
            (warning,) = _warnings(caplog)
            assert "'x' could not be refreshed" in warning
        else:
            assert _warnings(caplog) == []
    scene.proxy.heal()
    scene.clock.tick(PEACE_S)
    for get in GETTERS:
        assert scene.get(get) == "new"


@pytest.mark.parametrize("kind", ["throttling", "unavailable", "reset", "silent"])  # one of each that may pass
def test_the_stale_ttl_bounds_it(kind: str, backend: str, scene: Scene) -> None:
    """A reader who takes no stale value, and one who comes after its time, gets the error of a first fetch."""
    left_s = LEFT_S.get(kind, AMPLE_S)
    for get in GETTERS:
        assert scene.get(get) == "old"
    scene.clock.tick(TTL_S)
    scene.break_down(kind)
    for get in GETTERS:
        assert scene.get(get, left_s=left_s, stale_ttl=0) == first_fetch(kind, backend)
    scene.clock.tick(STALE_TTL_S)
    for get in GETTERS:
        assert scene.get(get, left_s=left_s) == first_fetch(kind, backend)


def test_every_fault_is_in_the_matrix() -> None:
    """None of the proxy's is left out."""
    assert sorted(FAULTS) == sorted(KINDS)
