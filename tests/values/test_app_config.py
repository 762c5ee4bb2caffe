"""Configurations of AppConfig: sessions, tokens, intervals, and what is served when a poll fails."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import lambdakit
from app_config import AppConfig
from lambdakit import (
    ConfigurationError,
    Environment,
    FetchError,
    NotFoundError,
    ServiceError,
    ThrottledError,
    ValueFormatError,
    get_app_config,
)
from lambdakit.testing import ManualClock, MemoryBackend

NAMES = ("app", "prod", "flags")
FIRST, SECOND = '{"beta": true, "planted": [1]}', '{"beta": false}'
START, POLL = "StartConfigurationSession", "GetLatestConfiguration"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Iterator[AppConfig]:
    """Strict: a token serves once, and a poll that comes too early is refused."""
    with AppConfig(clock=lambda: clock.wall_s) as server:
        server.put("app/prod/flags", FIRST, label="v1")
        yield server


@pytest.fixture(params=["direct", "sdk"])
def served(
    request: pytest.FixtureRequest, server: AppConfig, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Environment]:
    """Of one backend. One attempt of the SDK's: with the same number of faults, direct's three would go past them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    env = Environment(backend=request.param, clock=clock)
    with lambdakit.use_environment(env):
        yield env
    env.close()


def asked(server: AppConfig) -> list[str]:
    """The requests since the last time."""
    requests = [*server.requests]
    server.requests.clear()
    return requests


def failing(server: AppConfig, served: Environment, *faults: Any) -> None:
    """Whatever number of attempts the backend makes, all of them end so."""
    server.faults = [fault for fault in faults for _ in range(3 if "backend=direct" in repr(served) else 1)]


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "lambdakit"]


def test_a_session_is_kept(served: Environment, server: AppConfig, clock: ManualClock) -> None:
    """Begun once; each refresh is one poll with the token of the poll before, and an empty answer keeps the value."""
    assert [get_app_config(*NAMES) for _ in range(3)] == [FIRST] * 3
    assert asked(server) == [START, POLL]
    for _ in range(3):
        clock.tick(300)
        assert get_app_config(*NAMES) == FIRST
        assert asked(server) == [POLL]
    server.put("app/prod/flags", SECOND)
    clock.tick(300)
    assert get_app_config(*NAMES) == SECOND
    clock.tick(300)
    assert get_app_config(*NAMES) == SECOND
    assert asked(server) == [POLL] * 2


def test_a_shorter_ttl_waits_for_the_interval(served: Environment, server: AppConfig, clock: ManualClock) -> None:
    """The service would refuse an early poll, which costs a new session and the whole configuration."""
    for random in (0.0, 0.999):  # of the jitter
        clock.random_value = random
        lambdakit.clear()
        assert get_app_config(*NAMES, ttl=0) == FIRST
        asked(server)
        for seconds in (0, 1, 59):
            clock.tick(seconds)
            assert get_app_config(*NAMES, ttl=0) == FIRST
            assert asked(server) == []
        clock.tick(8)
        assert get_app_config(*NAMES, ttl=0) == FIRST
        assert asked(server) == [POLL]


def test_the_service_counts_the_interval_from_its_answer(
    served: Environment, server: AppConfig, clock: ManualClock
) -> None:
    """Which is later than the question: a poll exactly after the interval can be too early."""
    clock.random_value = 0.999
    server.clock = lambda: clock.wall_s + 0.9
    get_app_config(*NAMES)
    server.clock = lambda: clock.wall_s
    asked(server)
    clock.tick(60.5)
    assert get_app_config(*NAMES, ttl=0) == FIRST
    clock.tick(0.6)
    assert get_app_config(*NAMES, ttl=0) == FIRST
    assert asked(server) == [POLL]


def test_the_interval_is_the_one_of_the_last_poll(served: Environment, server: AppConfig, clock: ManualClock) -> None:
    """The service may change it at any time; a longer ttl than the interval is the reader's own."""
    server.interval_s = 600.0
    get_app_config(*NAMES)
    clock.tick(599)
    get_app_config(*NAMES)
    assert asked(server) == [START, POLL]
    clock.tick(70)
    get_app_config(*NAMES)
    assert asked(server) == [POLL]
    clock.tick(1199)
    get_app_config(*NAMES, ttl=1200)
    assert asked(server) == []
    clock.tick(1)
    get_app_config(*NAMES, ttl=1200)
    assert asked(server) == [POLL]


def test_a_token_that_is_refused_begins_a_new_session(
    served: Environment, server: AppConfig, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It has expired after a day, or the answer that used it up was lost. Nobody notices."""
    get_app_config(*NAMES)
    clock.suspend(86_400)
    server._sessions.clear()
    server.put("app/prod/flags", SECOND)
    assert get_app_config(*NAMES) == SECOND
    assert asked(server) == [START, POLL, POLL, START, POLL]
    clock.tick(300)
    assert get_app_config(*NAMES) == SECOND
    assert asked(server) == [POLL]
    assert warned(caplog) == []


def test_a_lost_answer(served: Environment, server: AppConfig, clock: ManualClock) -> None:
    """The token was used up by the poll whose answer never came: stale once, a new session next time."""
    get_app_config(*NAMES)
    clock.tick(300)
    server.put("app/prod/flags", SECOND)
    server.faults = [None]
    first = get_app_config(*NAMES)
    clock.tick(2)
    assert (first, get_app_config(*NAMES)) in [(FIRST, SECOND), (SECOND, SECOND)]
    assert asked(server)[-2:] == [START, POLL]


def test_force_fetch_begins_a_new_session(served: Environment, server: AppConfig, clock: ManualClock) -> None:
    """Which may be polled at once."""
    get_app_config(*NAMES)
    server.put("app/prod/flags", SECOND)
    assert get_app_config(*NAMES, force_fetch=True) == SECOND
    assert asked(server) == [START, POLL, START, POLL]
    clock.tick(300)
    assert get_app_config(*NAMES) == SECOND
    assert asked(server) == [POLL]


def test_stale_on_an_error_that_may_pass(
    served: Environment, server: AppConfig, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """With one warning; the token is good for the next attempt."""
    get_app_config(*NAMES)
    asked(server)
    clock.tick(300)
    failing(server, served, (500, "InternalServerException"))
    assert get_app_config(*NAMES) == FIRST
    assert START not in asked(server)
    (said,) = warned(caplog)
    assert said.startswith("configuration 'app/prod/flags' could not be refreshed (ServiceError")
    clock.tick(2)
    assert get_app_config(*NAMES) == FIRST
    assert asked(server) == [POLL]
    clock.tick(300)
    failing(server, served, (500, "InternalServerException"))
    with pytest.raises(ServiceError):
        get_app_config(*NAMES, stale_ttl=0)
    clock.tick(10_000)
    failing(server, served, (500, "InternalServerException"))
    with pytest.raises(ServiceError):
        get_app_config(*NAMES)
    failing(server, served, (500, "InternalServerException"))
    with pytest.raises(ServiceError):
        get_app_config(*NAMES, force_fetch=True)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ((404, "ResourceNotFoundException"), NotFoundError),
        ((403, "AccessDeniedException"), lambdakit.AccessDeniedError),
        ((400, "BadRequestException"), FetchError),
        ((429, "ThrottlingException"), ThrottledError),
    ],
)
def test_errors_of_the_first_fetch(served: Environment, server: AppConfig, fault: Any, kind: type[FetchError]) -> None:
    """Of the session's start and of the poll: raised, never kept, without the token in it."""
    for before in ([], [...]):
        server.faults = [*before, *[fault] * 3]
        with pytest.raises(kind) as caught:
            get_app_config(*NAMES)
        assert "token" not in str(caught.value)
        server.faults = []
        assert get_app_config(*NAMES) == FIRST
        lambdakit.clear()


def test_an_error_that_will_not_pass_is_raised_on_a_refresh(
    served: Environment, server: AppConfig, clock: ManualClock
) -> None:
    """No stale value for who is not allowed to have it any more."""
    get_app_config(*NAMES)
    clock.tick(300)
    failing(server, served, (403, "AccessDeniedException"))
    with pytest.raises(lambdakit.AccessDeniedError):
        get_app_config(*NAMES)


def test_fields_and_transforms(served: Environment, server: AppConfig, clock: ManualClock) -> None:
    """As those of a secret; what a callable has made serves until the configuration changes."""
    made: list[Any] = []

    def parse(text: str) -> list[Any]:
        made.append(text)
        return [json.loads(text)]

    assert get_app_config(*NAMES, transform="json") == json.loads(FIRST)
    assert get_app_config(*NAMES, field="beta") is True
    one, two = get_app_config(*NAMES, field="planted"), get_app_config(*NAMES, field="planted")
    one.append(2)
    assert two == [1]
    with pytest.raises(ValueFormatError, match=r"field='none': configuration 'app/prod/flags' has no such entry") as no:
        get_app_config(*NAMES, field="none")
    assert "planted" not in str(no.value)
    first = get_app_config(*NAMES, transform=parse)
    clock.tick(300)
    assert get_app_config(*NAMES, transform=parse) is first
    assert asked(server) == [START, POLL, POLL]
    server.put("app/prod/flags", SECOND)
    clock.tick(300)
    assert get_app_config(*NAMES, transform=parse) == [{"beta": False}]
    assert made == [FIRST, SECOND]


def test_a_body_that_is_no_text_is_bytes(served: Environment, server: AppConfig, clock: ManualClock) -> None:
    """Freeform configurations can be anything; an empty one is the empty text."""
    server.put("app/prod/flags", b"\xff\x00planted")
    assert get_app_config(*NAMES) == b"\xff\x00planted"
    assert get_app_config(*NAMES, transform=len) == 9
    clock.tick(300)
    assert get_app_config(*NAMES) == b"\xff\x00planted"
    server.put("app/prod/empty", b"")
    assert get_app_config("app", "prod", "empty") == ""
    server.put("app/prod/text", "übermäßig")
    assert get_app_config("app", "prod", "text") == "übermäßig"


def test_each_configuration_has_a_session_of_its_own(served: Environment, server: AppConfig) -> None:
    """Told apart by all three names, and by the region."""
    server.put("app/prod/other", "other")
    server.put("app/dev/flags", "dev")
    server.put("shop/prod/flags", "shop")
    for _ in range(2):
        assert get_app_config(*NAMES) == FIRST
        assert get_app_config("app", "prod", "other") == "other"
        assert get_app_config("app", "dev", "flags") == "dev"
        assert get_app_config("shop", "prod", "flags") == "shop"
        assert get_app_config(*NAMES, region="us-east-1") == FIRST
        assert get_app_config(*NAMES, region="eu-west-1") == FIRST
    assert asked(server) == [START, POLL] * 5


def test_names_that_look_alike_joined_are_told_apart(clock: ManualClock) -> None:
    """A slash can stand in a name."""
    started: list[tuple[str, ...]] = []

    class Joined(MemoryBackend):
        def start_configuration_session(self, *names: str, region: str | None) -> str:
            started.append(names)
            return super().start_configuration_session(*names, region=region)  # type: ignore[misc]

    backend = Joined(app_configs={"a/b/c/d": "x"})
    with lambdakit.use_environment(Environment(backend=backend, clock=clock)):
        get_app_config("a/b", "c", "d")
        get_app_config("a", "b/c", "d")
        get_app_config("a", "b", "c/d")
    assert started == [("a/b", "c", "d"), ("a", "b/c", "d"), ("a", "b", "c/d")]


def test_invalidate_forgets_it_by_its_names(served: Environment, server: AppConfig) -> None:
    """With its session."""
    get_app_config(*NAMES)
    server.put("app/prod/flags", SECOND)
    lambdakit.invalidate("app/prod/flags")
    assert get_app_config(*NAMES) == SECOND
    assert asked(server) == [START, POLL] * 2


def test_threads_share_one_session(served: Environment, server: AppConfig, clock: ManualClock) -> None:
    """A token serves once: two polls with it would end one session."""
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            assert [*pool.map(lambda _: get_app_config(*NAMES), range(16))] == [FIRST] * 16
            clock.tick(300)
    assert asked(server) == [START, POLL, POLL]


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (("", "prod", "flags"), {}, "application='': give a non-empty string"),
        (("app", 5, "flags"), {}, "environment: give a non-empty string, not int"),
        (("app", "prod", None), {}, "profile: give a non-empty string, not NoneType"),
        (NAMES, {"region": 5}, "region: give a non-empty string, not int"),
        (NAMES, {"transform": "yaml"}, "transform='yaml': give 'json'"),
        (NAMES, {"field": 5}, "field=5: give the name of one entry"),
        (NAMES, {"ttl": -1}, "ttl=-1: give a number of seconds"),
        (NAMES, {"stale_ttl": -1}, "stale_ttl=-1: give a number of seconds"),
        (NAMES, {"force_fetch": 1}, "force_fetch=1: give True or False"),
    ],
)
def test_wrong_arguments(names: Any, options: dict[str, Any], said: str) -> None:
    """Before any call."""
    backend = MemoryBackend(app_configs={"app/prod/flags": "x"})
    with lambdakit.use_environment(Environment(backend=backend)):
        with pytest.raises(ConfigurationError, match=said):
            get_app_config(*names, **options)
        assert backend.calls == []
