"""What a user gets under each fault: on the first fetch and on a refresh, from direct and from the SDK.

`python tests/aws/test_fault_matrix.py` writes the table of these outcomes into docs/failures.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

import lambdakit
from answering import RunningContext
from fault_proxy import KINDS, FaultProxy
from lambdakit import Environment
from lambdakit._settings import STALE_TTL_S, TTL_S, Settings
from lambdakit.backends.direct import DirectBackend
from lambdakit.testing import ManualClock

PAGE = Path(__file__).parents[2] / "docs" / "failures.md"
BEGIN, END = "<!-- begin: python tests/aws/test_fault_matrix.py -->", "<!-- end -->"

VALUE, STALE = "value", "stale value + one warning"
BACKENDS = ("direct", "sdk")
# The fault, in words, and what the first fetch ends with: on both, or on direct and on the SDK.
FAULTS: dict[str, tuple[str, str | tuple[str, str]]] = {
    "throttling": ("400 `ThrottlingException`", "ThrottledError"),
    "throttled_429": ("429 `TooManyRequestsException`", "ThrottledError"),
    "kms_throttled": ("400 `KMSThrottlingException`", "ThrottledError"),
    "server_error": ("500 `InternalServiceError`, `InternalServerError`", "ServiceError"),
    "unavailable": ("503 `ServiceUnavailableException`", "ServiceError"),
    "bad_gateway": ("502 with a page of HTML", "ServiceError"),
    "not_json": ("200 with a page of HTML", "ServiceError"),
    "empty": ("200 with an empty body", "ServiceError"),
    "partial": ("200, and the connection ends within the body", ("NetworkError", "ServiceError")),
    "refused": ("nobody listens", "NetworkError"),
    "reset": ("the connection is reset after the request", "NetworkError"),
    "closed": ("the connection is closed after the request", "NetworkError"),
    "garbage": ("what answers does not speak HTTP", "NetworkError"),
    "silent": ("no answer while the invocation has time", "DeadlineExceededError"),
    "slow": ("an answer that is late, but in time", VALUE),
    "access_denied": ("400 `AccessDeniedException`", "AccessDeniedError"),
    "expired_token": ("400 `ExpiredTokenException`", "AccessDeniedError"),
    "invalid_signature": ("400 `InvalidSignatureException`", "AccessDeniedError"),
    "not_found": ("400 `ResourceNotFoundException`, `ParameterNotFound`", "NotFoundError"),
    "invalid_request": ("400 `ValidationException`", "FetchError"),
}
PASSING = ("ThrottledError", "ServiceError", "NetworkError", "DeadlineExceededError")  # what a stale value is served on

# botocore waits up to 3 s between its attempts after these. One attempt ends the same way; that there are three
# is proved by the tests of the backend. The direct backend makes all three here, and is told not to wait.
WAITED_FOR = ("throttling", "throttled_429")
LEFT_S = {"silent": 0.8}  # of the invocation; it ends the waiting
AMPLE_S = 30.0
LATE_S = 0.1
PEACE_S = 2.0  # longer than a failed refresh is left alone

Get = Callable[..., str]
GETTERS: tuple[Get, ...] = (lambdakit.get_secret, lambdakit.get_parameter)


def first_fetch(kind: str, backend: str) -> str:
    """The law for a value that was never fetched."""
    outcome = FAULTS[kind][1]
    return outcome if isinstance(outcome, str) else outcome[BACKENDS.index(backend)]


def refresh(kind: str, backend: str) -> str:
    """The law for a value that was: a fault that may pass costs a warning, every other raises as on the first fetch."""
    outcome = first_fetch(kind, backend)
    return STALE if outcome in PASSING else outcome


def table() -> str:
    """The laws, as the page shows them."""
    lines = ["| fault | first fetch | refresh |", "|---|---|---|"]
    for kind, (fault, _) in FAULTS.items():
        cells = []
        for law in (first_fetch, refresh):
            outcomes = {backend: law(kind, backend) for backend in BACKENDS}
            told = [_told(outcome) for outcome in outcomes.values()]
            by_backend = [f"{backend}: {_told(outcome)}" for backend, outcome in outcomes.items()]
            cells.append(told[0] if len({*told}) == 1 else ", ".join(by_backend))
        lines.append(f"| {fault} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def _told(outcome: str) -> str:
    return outcome if outcome in {VALUE, STALE} else f"`{outcome}`"


def written(page: str) -> str:
    """The page with the table of now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


class RunningClock(ManualClock):
    """A clock that runs, and that a test moves on top of that: what bounds a wait has to pass by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._made_s = time.monotonic()

    def now(self) -> tuple[float, float]:
        run_s = time.monotonic() - self._made_s
        return self.wall_s + run_s, self.monotonic_s + run_s


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
        invocation = self.env.begin(RunningContext(remaining_s=left_s))
        try:
            return get("x", **options)
        except lambdakit.LambdakitError as error:
            return type(error).__name__
        finally:
            self.env.end(invocation)

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
    clock = RunningClock()
    if backend == "sdk" and kind in WAITED_FOR:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with FaultProxy(moto_url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        chosen: Any = backend
        if backend == "direct":
            budget = lambda: env.budget_s()  # noqa: E731, PLW0108 - the environment that is made of it
            settings = Settings.from_environ()
            chosen = DirectBackend(settings=settings, clock=clock, budget=budget, sleep=lambda _: None)
        env = Environment(backend=chosen, clock=clock)
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
    """With a stale value at hand, that is served on what may pass, with one warning; every other fault is raised."""
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


def test_the_page_has_the_table() -> None:
    """The committed page is what these laws write."""
    page = PAGE.read_text("utf-8")
    assert page == written(page), "run: python tests/aws/test_fault_matrix.py"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
