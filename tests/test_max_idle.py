"""LAMBDAKIT_MAX_IDLE is the limit of idleness for everything that is connected."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any, Self

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from proc import sockets
from running import RunningClock

import lambdakit
from faults import FaultServer, answering, serving
from http_server import response
from lambdakit import Environment, Settings, Warmup, http
from lambdakit._clock import age_s, least_age_s
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

SECRET = json.dumps({"Name": "x", "ARN": "arn:x", "VersionId": "v" * 32, "SecretString": "value"}).encode()
ANSWER = answering(response(body=SECRET, Content_Type="application/x-amz-json-1.1"))
MAX_IDLE_S = 20.0  # by default


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
    with serving(ANSWER) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url_of(server))
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(server.port))
        monkeypatch.setenv("AWS_SESSION_TOKEN", "made-up")
        if limit_s is not None:
            monkeypatch.setenv("LAMBDAKIT_MAX_IDLE", str(limit_s))
        env = Environment(clock=clock, backend=kind if kind in {"direct", "extension", "sdk"} else "auto")
        connections = []
        handler = lambdakit.handler(lambda event, context: USES[kind](server))
        with lambdakit.use_environment(env):
            for idle_s in (0, (limit_s or 20) - 3, (limit_s or 20) + 1):
                clock.suspend(idle_s)
                handler({"order": 1}, FakeContext(remaining_s=60))
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
    handler = lambdakit.handler(lambda event, context: thing())
    with lambdakit.use_environment(env):
        for idle_s, count in ((0, 1), ((limit_s or 60) - 3, 1), ((limit_s or 60) + 1, 2)):
            clock.suspend(idle_s)
            handler({}, FakeContext(remaining_s=60))
            assert len(built) == count
    env.close()


# What an invocation closes when it begins


KINDS = ("http", "httpx", "sdk client", "direct")


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, FaultServer]]:
    """One for each of those that keep connections."""
    with ExitStack() as stack:
        yield {kind: stack.enter_context(serving(ANSWER)) for kind in KINDS}


class Asked:
    """A part that notes when it is asked to close what is idle, and gives the answers that it is told to give."""

    def __init__(self, answers: list[float | None]) -> None:
        self.answers = answers
        self.count = 0

    @classmethod
    def of(cls, _: Environment) -> Self:
        return cls([])

    def close_idle(self, now: tuple[float, float]) -> float | None:
        self.count += 1
        return self.answers.pop(0) if self.answers else None


class Connections:
    """What is known of the connections of an environment, and checked when one of its invocations begins."""

    def __init__(self, env: Environment, clock: ManualClock, servers: dict[str, FaultServer]) -> None:
        self._asked = env._parts[Asked]
        self._clock = clock
        self._servers = servers
        self._used: dict[str, tuple[float, float]] = {}
        self._nothing = lambdakit.handler(lambda event, context: None)
        self.failures: list[AssertionError] = []

    def open(self, kind: str) -> int:
        """How many there are."""
        return len(sockets(self._servers[kind].port))

    def use(self, kind: str) -> None:
        """Have a request sent and answered, over one that is kept if it was idle for so long at most."""
        server = self._servers[kind]
        before = server.connections
        if kind == "direct":
            lambdakit.get_secret("x", force_fetch=True)
        else:
            USES[kind](server)
        now = self._clock.now()
        fresh = kind in self._used and age_s(self._used[kind], now) <= MAX_IDLE_S
        if fresh or kind != "sdk client":  # which is told of its age by invocations alone
            assert server.connections - before == (0 if fresh else 1)
        self._used[kind] = now

    def look(self) -> None:
        """An invocation has begun: nothing is open that was idle for too long; an invocation now asks nobody."""
        at_their_limit, now = False, self._clock.now()
        for kind, since in [*self._used.items()]:
            if least_age_s(since, now) > MAX_IDLE_S:
                assert self.open(kind) == 0
            elif age_s(since, now) <= MAX_IDLE_S:
                assert self.open(kind) == 1
            if not self.open(kind):
                del self._used[kind]
            at_their_limit |= age_s(since, now) == MAX_IDLE_S
        count = self._asked.count
        self._nothing({}, None)
        assert self._asked.count == count or at_their_limit

    def look_at_ping(self) -> None:
        """The same; what a hook raises is nobody's to see."""
        try:
            self.look()
        except AssertionError as error:
            self.failures.append(error)


# Quarters of a second: sums and differences of these are exact, also with a wall clock's many digits.
SECONDS = st.integers(0, 160).map(lambda quarters: quarters / 4) | st.sampled_from([19.75, 20.0, 20.25, 3600.0])
PAUSES = st.lists(
    st.tuples(st.sampled_from(["tick", "suspend"]), SECONDS)
    | st.tuples(st.just("set"), st.integers(-400, 400).map(lambda quarters: quarters / 4)),
    max_size=3,
)
USED = st.lists(st.tuples(SECONDS, st.sampled_from(KINDS)), max_size=3)


def passes(clock: ManualClock, pause: list[tuple[str, float]]) -> None:
    for how, seconds in pause:
        if how == "set":
            clock.set_wall(clock.wall_s + seconds)
        else:
            getattr(clock, how)(seconds)


@settings(max_examples=max(1, settings().max_examples // 4))  # of real connections
@example(init=[(0.0, kind) for kind in KINDS], invocations=[([("suspend", 20.0)], []), ([("suspend", 0.25)], [])])
@example(init=[(0.0, kind) for kind in KINDS], invocations=[([("tick", 20.0)], []), ([("tick", 0.25)], [])])
@example(
    init=[(0.0, "direct")],
    invocations=[
        ([], [(10.0, "http"), (0.0, "httpx"), (0.0, "sdk client")]),
        ([("suspend", 10.25)], [(0.0, "direct")]),  # which alone was closed
        ([("suspend", 10.0)], {"warmer": True}),
    ],
)
@example(init=[], invocations=[([], [(1.0, kind) for kind in KINDS]), ([("set", -100.0)], []), ([("tick", 20.25)], [])])
@example(init=[(0.0, kind) for kind in KINDS], invocations=[([("tick", 20.25), ("set", -5.0)], [])])
@given(
    init=USED,
    invocations=st.lists(st.tuples(PAUSES, USED | st.just({"warmer": True})), min_size=1, max_size=6),
)
def test_no_connection_is_left_open_that_was_idle_for_too_long(
    init: list[Any], invocations: list[Any], servers: dict[str, FaultServer]
) -> None:
    """When the handler runs, whatever was used when, however time has passed: running, frozen, a wall clock set anew.

    As far as a clock tells: where the wall clock was set back, by what the monotonic clock says. What was idle for less
    is kept. And an invocation that follows at once asks nobody.
    """
    clock = ManualClock()
    variables = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made-up"}
    variables["AWS_ENDPOINT_URL"] = url_of(servers["direct"])
    env = Environment(clock=clock, settings=Settings(environ=variables, region="eu-west-1"), backend="direct")
    connections = Connections(env, clock, servers)

    def use(uses: list[tuple[float, str]]) -> None:
        for seconds, kind in uses:
            clock.tick(seconds)
            connections.use(kind)

    # Without a budget, or the ping would fetch, and connect anew.
    @lambdakit.handler(warmup=Warmup(budget=0), on_ping=connections.look_at_ping)
    def handler(event: list[tuple[float, str]], context: Any) -> None:
        connections.look()
        use(event)

    with lambdakit.use_environment(env), closing(env):
        use(init)
        for pause, event in invocations:
            passes(clock, pause)
            handler(event, None)
    assert connections.failures == []
    assert [connections.open(kind) for kind in KINDS] == [0] * len(KINDS)


PARAMETER = json.dumps({"Parameter": {"Name": "/y", "Type": "String", "Value": "value", "Version": 1}}).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_look_is_when_the_oldest_will_have_been_idle_for_too_long(kind: str) -> None:
    """Of two connections each is closed at its own time, neither sooner nor later."""
    clock = ManualClock()
    parameters = answering(response(body=PARAMETER, Content_Type="application/x-amz-json-1.1"))
    with serving(ANSWER) as first, serving(parameters if kind == "direct" else ANSWER) as second:
        variables = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made-up"}
        variables |= {"AWS_ENDPOINT_URL": url_of(first), "AWS_ENDPOINT_URL_SSM": url_of(second)}
        env = Environment(clock=clock, settings=Settings(environ=variables, region="eu-west-1"), backend="direct")

        @lambdakit.handler
        def work(event: Any, context: Any) -> None:
            clock.tick(5.0)
            USES[kind](first)
            clock.tick(5.0)
            lambdakit.get_parameter("/y") if kind == "direct" else USES[kind](second)

        look = lambdakit.handler(lambda event, context: [len(sockets(server.port)) for server in (first, second)])
        with lambdakit.use_environment(env), closing(env):
            work({}, None)
            seen = []
            for seconds in (10.25, 4.75, 0.25, 4.75, 0.25):
                clock.suspend(seconds)
                seen.append(look({}, None))
    assert seen == [[1, 1], [1, 1], [0, 1], [0, 1], [0, 0]]


ANSWERS = st.lists(st.none() | st.integers(-8, 160).map(lambda quarters: quarters / 4), max_size=8)


@example([10.0], [5.0], [[("suspend", 20.0)], [("suspend", 5.0)]])
@example([5.0], [10.0], [[("tick", 20.0)], [("tick", 4.75)], [("tick", 0.25)]])
@given(ANSWERS, ANSWERS, st.lists(PAUSES, min_size=1, max_size=10))
def test_they_are_asked_again_when_the_first_has_said_so(
    one: list[float | None], other: list[float | None], pauses: list[Any]
) -> None:
    """At first, then by either clock, at the latest after the longest that may be idle; and when it was set back."""
    clock = ManualClock()
    env = Environment(clock=clock, settings=Settings(environ={}))

    class Other(Asked):
        pass

    parts = [env._parts[Asked], env._parts[Other]]
    parts[0].answers, parts[1].answers = [*one], [*other]
    handler = lambdakit.handler(lambda event, context: None)
    since, wait_s, apart_s = clock.now(), 0.0, clock.wall_s - clock.monotonic_s
    answers = zip([*one, *[None] * len(pauses)], [*other, *[None] * len(pauses)], strict=False)
    with lambdakit.use_environment(env):
        for pause in pauses:
            passes(clock, pause)
            now, before = clock.now(), [part.count for part in parts]
            handler({}, None)
            was_set_back = now[0] - now[1] < apart_s - 1.0
            is_due = was_set_back or now[0] - since[0] >= wait_s or now[1] - since[1] >= wait_s or wait_s == 0.0
            apart_s = now[0] - now[1]
            assert [part.count for part in parts] == [count + is_due for count in before]
            if is_due:
                known = [answer for answer in next(answers) if answer is not None]
                since, wait_s = now, max(0.0, min([*known, MAX_IDLE_S]))


def test_one_that_raises_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """Nor the invocation; it is logged, and asked again with the others."""
    clock = ManualClock()
    env = Environment(clock=clock, settings=Settings(environ={}))

    class Broken(Asked):
        def close_idle(self, now: tuple[float, float]) -> float | None:
            super().close_idle(now)
            raise OSError("planted")

    broken, asked = env._parts[Broken], env._parts[Asked]
    handler = lambdakit.handler(lambda event, context: "work")
    with lambdakit.use_environment(env):
        for count in (1, 2):
            clock.suspend(20)
            assert handler({}, None) == "work"
            assert (broken.count, asked.count) == (count, count)
    assert caplog.messages == ["idle connections could not be closed: OSError was raised"] * 2


@pytest.mark.parametrize("limit_s", [0.0, 5.0])
def test_the_setting_is_the_longest_between_two_looks(limit_s: float) -> None:
    """0 looks in each invocation."""
    clock = ManualClock()
    env = Environment(clock=clock, settings=Settings(environ={}, max_idle_s=limit_s))
    asked = env._parts[Asked]
    handler = lambdakit.handler(lambda event, context: None)
    counts = []
    with lambdakit.use_environment(env):
        for seconds in (limit_s, 0.0, limit_s - 0.25, 0.25):
            clock.suspend(max(0.0, seconds))
            handler({}, None)
            counts.append(asked.count)
    assert counts == ([1, 2, 3, 4] if limit_s == 0.0 else [1, 1, 1, 2])


def test_a_backend_of_a_users_is_asked_in_each_invocation(caplog: pytest.LogCaptureFixture) -> None:
    """It says nothing of when the next one will be idle for too long; what it raises is logged."""
    asked: list[tuple[float, float]] = []

    class Backend(MemoryBackend):
        def close_idle(self, now: tuple[float, float]) -> None:
            asked.append(now)
            raise OSError("planted")

    clock = ManualClock()
    env = Environment(clock=clock, settings=Settings(environ={}), backend=Backend(secrets={"x": "1"}))
    handler = lambdakit.handler(lambda event, context: lambdakit.get_secret("x"))
    instants = []
    with lambdakit.use_environment(env):
        lambdakit.get_secret("x")
        for seconds in (20.0, 0.0, 0.25):
            clock.suspend(seconds)
            instants.append(clock.now())
            assert handler({}, None) == "1"
    assert asked == instants
    assert caplog.messages == ["close_idle of Backend: OSError was raised"] * 3
