"""What INIT fetches and opens: when, with how many calls, for how long, and what becomes of what fails."""

import functools
import gc
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

import lambdakit
from extension import Extension
from fault_proxy import FaultProxy
from lambdakit import (
    AccessDeniedError,
    BatchError,
    ConfigurationError,
    Environment,
    NetworkError,
    NotFoundError,
    Settings,
    ThrottledError,
    ValueFormatError,
    parameter,
    parameters,
    secret,
)
from lambdakit._process import process_age_s
from lambdakit._values.init import is_child, serves
from lambdakit._values.preload import init_left_s
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

# An init type without the limit of 10 s, which the process of the tests has behind it.
INIT = Settings(in_lambda=True, init_type="provisioned-concurrency", region="eu-west-1")


def under_lambda(**variables: str) -> Settings:
    """The settings of a process in INIT, with the variables of this one."""
    told = {"AWS_LAMBDA_RUNTIME_API": "x", "AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency"}
    return Settings.from_environ({**os.environ, **told, **variables})


def error(kind: type[lambdakit.FetchError]) -> lambdakit.FetchError:
    return kind("planted message", service="s", operation="o", name="n")


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend(
        secrets={"a": "1", "b": "2"}, parameters={"/shop/a": "1", "/shop/b": "2", "/shop/deep/c": "3", "plain": "4"}
    )


@pytest.fixture
def init(backend: MemoryBackend) -> Iterator[Environment]:
    """The environment of a process in INIT."""
    with lambdakit.use_environment(Environment(settings=INIT, clock=ManualClock(), backend=backend)) as env:
        yield env


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "lambdakit"]


def threads() -> list[threading.Thread]:
    """Those of lambdakit that run: servers of the tests have others, which come and go."""
    return [thread for thread in threading.enumerate() if thread.name == "lambdakit"]


def declare(*items: Any, **options: Any) -> Any:
    """A handler that does nothing, decorated."""
    return lambdakit.handler(preload=items, **options)(lambda event, context: None)


# When.


def test_importing_a_handler_in_a_test_touches_nothing(backend: MemoryBackend) -> None:
    """No Lambda runtime: nothing is fetched, no function is called, no thread is started."""
    ran: list[str] = []
    with lambdakit.use_environment(Environment(backend=backend)):
        handler = declare(secret("a"), parameters("/shop"), lambda: ran.append("function"))
        assert (backend.calls, ran, threads()) == ([], [], [])
        handler({}, FakeContext())
        assert (backend.calls, ran) == ([], [])


def test_it_runs_when_the_handler_is_decorated(init: Environment, backend: MemoryBackend) -> None:
    """Under a Lambda runtime. The first invocation finds all of it, and no thread is left."""
    ran: list[str] = []
    declare(secret("a"), secret("b"), parameter("plain"), parameters("/shop"), lambda: ran.append("function"))
    assert sorted(backend.calls) == [("parameter", "plain"), ("path", "/shop"), ("secrets", "a, b")]
    assert ran == ["function"]
    assert threads() == []
    backend.calls.clear()
    assert (lambdakit.get_secret("a"), lambdakit.get_parameter("plain")) == ("1", "4")
    assert lambdakit.get_parameters_by_path("/shop")["/shop/deep/c"] == lambdakit.get_parameter("/shop/deep/c") == "3"
    assert backend.calls == []


def test_a_fresh_process_under_the_runtime(tmp_path: Path) -> None:
    """Its variable is what tells; INIT's limit leaves a young process its time."""
    code = """
import json, lambdakit
from lambdakit.testing import MemoryBackend
backend = MemoryBackend(secrets={"a": "1"})
with lambdakit.use_environment(lambdakit.Environment(backend=backend)):
    handler = lambdakit.handler(preload=[lambdakit.secret("a")])(lambda event, context: None)
    print(json.dumps(backend.calls))
"""
    for runtime, calls in (("127.0.0.1:9001", [["secret", "a"]]), ("", [])):
        environ = {"PATH": os.environ["PATH"], "AWS_LAMBDA_RUNTIME_API": runtime, "AWS_REGION": "eu-west-1"}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            timeout=30,
            env=environ,
            cwd=tmp_path,
            check=True,
        )
        assert (json.loads(done.stdout), done.stderr) == (calls, "")


def test_by_hand(backend: MemoryBackend) -> None:
    """Without items: what all handlers of the environment have declared. With handlers: what these have declared."""
    with lambdakit.use_environment(Environment(backend=backend)) as env:
        one, two = declare(secret("a")), declare(secret("b"), parameter("plain"))
        three = declare()
        env.preload()
        assert sorted(backend.calls) == [("parameter", "plain"), ("secrets", "a, b")]
    ran: list[int] = []
    for items, calls in (
        ((one,), [("secret", "a")]),
        ((two, one), [("parameter", "plain"), ("secrets", "b, a")]),
        ((three,), []),
        ((secret("b"), lambda: ran.append(1)), [("secret", "b")]),
    ):
        backend.calls.clear()
        Environment(backend=backend).preload(*items)
        assert sorted(backend.calls) == calls
    assert ran == [1]
    backend.calls.clear()
    Environment(backend=backend).preload()
    assert backend.calls == []


def test_what_is_fresh_is_not_fetched_again(init: Environment, backend: MemoryBackend) -> None:
    """Two handlers of one module may declare the same; a value declared twice is asked for once."""
    declare(secret("a"), secret("a", field="x"), parameters("/shop"))
    declare(secret("a", ttl=5), parameters("/shop/"))
    assert sorted(backend.calls) == [("path", "/shop"), ("secret", "a")]


def test_versions_and_stages_are_asked_for_one_by_one(init: Environment) -> None:
    """The batch call cannot be asked for them; values without one go together."""
    asked: list[Any] = []

    class Recorder(MemoryBackend):
        def get_secret(self, name: str, **options: Any) -> Any:
            asked.append((name, options["version_id"], options["version_stage"], options["region"]))
            return super().get_secret(name, **options)

    backend = Recorder(secrets={"a": "1", "b": "2"})
    with lambdakit.use_environment(Environment(settings=INIT, backend=backend)):
        declare(
            secret("a", version_stage="AWSPREVIOUS"),
            secret("b", version_stage="AWSPREVIOUS"),
            secret("a", version_id="v"),
            secret("a", region="us-east-1"),
            secret("a"),
            secret("b"),
        )
    assert sorted(asked, key=str) == [
        ("a", "v", None, "eu-west-1"),
        ("a", None, "AWSPREVIOUS", "eu-west-1"),
        ("a", None, None, "us-east-1"),
        ("b", None, "AWSPREVIOUS", "eu-west-1"),
    ]
    assert ("secrets", "a, b") in backend.calls


# With how many calls.


@pytest.mark.parametrize("name", ["direct", "sdk"])
def test_35_parameters_and_21_secrets_take_4_and_2_calls(
    name: str, moto_url: str, aws: boto3.session.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a real service behind its limits; the invocation makes none."""
    # Put where moto keeps them, which is faster than over HTTP.
    secrets, ssm = secretsmanager_backends["123456789012"]["eu-west-1"], ssm_backends["123456789012"]["eu-west-1"]
    for number in range(21):
        secrets.create_secret(f"s{number}", "x", None, None, None, None, None, [], False)
    for number in range(35):
        ssm.put_parameter(f"p{number}", "", "x", "String", "", "", False, [], "text", None, None)
    with FaultProxy(moto_url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        env = Environment(settings=under_lambda(), backend=name)
        with lambdakit.use_environment(env):

            @lambdakit.handler(
                preload=[*(parameter(f"p{number}") for number in range(35)), *(secret(f"s{n}") for n in range(21))]
            )
            def handler(event: Any, context: Any) -> set[str]:
                values = [lambdakit.get_parameter(f"p{number}") for number in range(35)]
                return {*values, *lambdakit.get_secrets(f"s{number}" for number in range(21)).values()}

            assert sorted((call.operation, len(call.names)) for call in proxy.calls) == [
                ("BatchGetSecretValue", 20),
                ("GetParameters", 5),
                *[("GetParameters", 10)] * 3,
                ("GetSecretValue", 1),
            ]
            proxy.calls.clear()
            assert handler({}, FakeContext()) == {"x"}
            assert proxy.calls == []
        env.close()


class Meeting(MemoryBackend):
    """Each call waits for all the others."""

    def __init__(self, parties: int, **values: Any) -> None:
        super().__init__(**values)
        self.barrier = threading.Barrier(parties)

    def get_secret(self, name: str, **options: Any) -> Any:
        self.barrier.wait(10)
        return super().get_secret(name, **options)

    def get_secrets(self, names: Sequence[str], **options: Any) -> Any:
        self.barrier.wait(10)
        return super().get_secrets(names, **options)

    def get_parameters(self, names: Sequence[str], **options: Any) -> Any:
        self.barrier.wait(10)
        return super().get_parameters(names, **options)

    def get_parameters_by_path(self, path: str, **options: Any) -> Any:
        self.barrier.wait(10)
        return super().get_parameters_by_path(path, **options)


def test_everything_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Six calls for values, two for paths and a function meet; all threads are joined before INIT ends."""
    names = [f"/p/{number}" for number in range(35)]
    secrets = [f"s{number}" for number in range(21)]
    backend = Meeting(9, parameters=dict.fromkeys(names, "1"), secrets=dict.fromkeys(secrets, "1"))
    with lambdakit.use_environment(Environment(settings=INIT, backend=backend)):
        declare(*map(parameter, names), *map(secret, secrets), parameters("/a"), parameters("/b"), backend.barrier.wait)
    assert len(backend.calls) == 8
    assert threads() == []
    assert warned(caplog) == []


# For how long.


class Blocking(MemoryBackend):
    """Answers once it may."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.released = threading.Event()

    def get_secret(self, name: str, **options: Any) -> Any:
        self.released.wait(10)
        return super().get_secret(name, **options)


def test_a_backend_that_hangs_costs_the_budget(caplog: pytest.LogCaptureFixture) -> None:
    """INIT goes on; the first use of the value waits for the fetch that is under way, and gets the value."""
    backend = Blocking(secrets={"a": "1"})
    with lambdakit.use_environment(Environment(settings=INIT, backend=backend)):
        begun_s = time.monotonic()
        declare(secret("a"), parameters("/shop"), preload_budget=0.1)
        assert 0.1 <= time.monotonic() - begun_s < 2.0
        assert warned(caplog) == ["preload of values failed (TimeoutError); it is left to its first use"]
        late = threads()
        backend.released.set()
        assert lambdakit.get_secret("a") == "1"
        assert sorted(backend.calls) == [("path", "/shop"), ("secret", "a")]
    for thread in late:
        assert thread.daemon  # it is no reason for the process to stay
        thread.join(10)


def test_a_function_that_hangs_costs_the_budget(
    init: Environment, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything else is done by then. What has not begun at the end of the budget is never begun."""
    released, late = threading.Event(), list[str]()

    def hang() -> None:
        released.wait(10)

    begun_s = time.monotonic()
    declare(secret("a"), *[hang] * 8, lambda: late.append("begun"), preload_budget=0.1)
    assert 0.1 <= time.monotonic() - begun_s < 2.0
    assert backend.calls == [("secret", "a")]
    assert len(warned(caplog)) == 9
    running = threads()
    released.set()
    for thread in running:
        thread.join(10)
    assert late == []


def test_what_runs_knows_the_budget(backend: MemoryBackend) -> None:
    """A fetch within preload is bounded by it, as by the remaining time of an invocation."""
    told: list[float | None] = []
    with lambdakit.use_environment(Environment(settings=INIT, clock=ManualClock(), backend=backend)) as env:
        declare(lambda: told.append(env._budget()))
        declare(lambda: told.append(env._budget()), preload_budget=2)
        env.preload(lambda: told.append(env._budget()), budget=0.5)
        assert env._budget() is None
    assert told == [5.0, 2.0, 0.5]


def test_a_budget_of_0_is_none_of_it(
    init: Environment, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """A choice, so nothing is said; by hand it can be done later."""
    declare(secret("a"), preload_budget=0)
    assert (backend.calls, warned(caplog)) == ([], [])
    init.preload()
    assert backend.calls == [("secret", "a")]


def test_what_init_has_left() -> None:
    """10 s less one for the rest of the module less the age of the process, where INIT has a limit."""
    age = process_age_s()
    assert age is not None
    for limited in (None, "on-demand"):
        assert init_left_s(limited) == pytest.approx(max(0.0, 9.0 - age), abs=0.5)
    for free in ("provisioned-concurrency", "snap-start", "lambda-managed-instances", "something new"):
        assert init_left_s(free) == float("inf")


def test_init_without_time_left_preloads_nothing(
    init: Environment, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """Past its limit Lambda would begin INIT anew: that costs more than the first use of a value."""
    init.preload(secret("a"), budget=0)
    Environment(settings=INIT).preload(budget=0)  # nothing was declared: there is nothing to say
    assert backend.calls == []
    assert warned(caplog) == [
        "nothing is preloaded: there is no time left for it; what it names is left to its first use"
    ]
    young = Environment(settings=Settings(in_lambda=True, init_type="on-demand"), backend=backend)
    told: list[float | None] = []
    young.preload(lambda: told.append(young._budget()), secret("b"), budget=100.0)
    if told:  # the process of the tests is younger than 9 s
        assert told[0] is not None
        assert told[0] < 9.0
    young._end(young._begin(None))
    young.preload(lambda: told.append(young._budget()), budget=100.0)  # INIT is over, and with it the limit
    assert told[-1] is not None
    assert told[-1] > 90.0


# What fails.


PERMANENT = (NotFoundError, AccessDeniedError)
PASSING = (ThrottledError, NetworkError)
USES: dict[str, tuple[Any, Callable[[], Any]]] = {
    "secret": (secret("bad"), lambda: lambdakit.get_secret("bad")),
    "parameter": (parameter("bad"), lambda: lambdakit.get_parameter("bad")),
    "path": (parameters("/bad"), lambda: lambdakit.get_parameters_by_path("/bad")),
    "declaration": (secret("bad"), lambda: secret("bad").get()),
}


@pytest.fixture(params=USES)
def use(request: pytest.FixtureRequest) -> tuple[Any, Callable[[], Any]]:
    return USES[request.param]


def fail(backend: MemoryBackend, outcome: Any) -> None:
    backend.secrets["bad"] = backend.parameters["bad"] = backend.parameters["/bad/x"] = outcome


@pytest.mark.parametrize("kind", PERMANENT)
def test_an_error_that_will_not_pass_is_raised_at_the_first_use(
    init: Environment, backend: MemoryBackend, caplog: pytest.LogCaptureFixture, use: Any, kind: Any
) -> None:
    """Not at import, where it would end the environment. It is told once: the second use fetches."""
    failed = error(kind)
    fail(backend, failed)
    declare(use[0], secret("a"))
    (said,) = warned(caplog)
    assert said.endswith(f"failed ({kind.__name__}); its first use raises it")
    assert "planted" not in said
    backend.calls.clear()
    fail(backend, "value")
    with pytest.raises(kind) as caught:
        use[1]()
    assert caught.value is failed
    assert backend.calls == []
    assert use[1]() in ("value", {"/bad/x": "value"})


@pytest.mark.parametrize("kind", PASSING)
def test_an_error_that_may_pass_is_tried_again_at_the_first_use(
    init: Environment, backend: MemoryBackend, caplog: pytest.LogCaptureFixture, use: Any, kind: Any
) -> None:
    """INIT may have been the one moment in which the service was busy."""
    fail(backend, error(kind))
    declare(use[0])
    (said,) = warned(caplog)
    assert said.endswith(f"failed ({kind.__name__}); it is fetched at its first use")
    fail(backend, "value")
    assert use[1]() in ("value", {"/bad/x": "value"})


def test_what_was_throttled_is_asked_for_together_when_an_invocation_begins(
    init: Environment, backend: MemoryBackend
) -> None:
    """One by one, in a fleet that starts at once, it would be throttled the more; until it came, and no longer."""
    backend.secrets["bad"] = backend.parameters["/bad/x"] = error(ThrottledError)
    backend.secrets["worse"] = error(NetworkError)
    fn = declare(secret("bad"), secret("a"), secret("worse"), parameters("/bad"))
    for throttled in (True, False, False):
        backend.calls.clear()
        if not throttled:
            backend.secrets["bad"] = backend.parameters["/bad/x"] = "value"
        fn({}, FakeContext())
        asked = [(call[0], call[1]) for call in backend.calls]
        assert len(asked) == (2 if init.invocations < 3 else 0), asked
    assert (lambdakit.get_secret("bad"), lambdakit.get_parameters_by_path("/bad")) == ("value", {"/bad/x": "value"})
    assert backend.calls == []


def test_a_kept_error_is_that_of_its_name_in_a_batch(init: Environment, backend: MemoryBackend) -> None:
    """Once, as anywhere."""
    backend.secrets["bad"] = error(NotFoundError)
    declare(secret("bad"), secret("a"))
    backend.secrets["bad"] = "value"
    with pytest.raises(BatchError) as caught:
        lambdakit.get_secrets(["a", "bad"])
    assert [*caught.value.errors] == ["bad"]
    assert lambdakit.get_secrets(["a", "bad"]) == {"a": "1", "bad": "value"}


def test_a_kept_error_is_forgotten_once_a_value_came(init: Environment, backend: MemoryBackend) -> None:
    """However it came: minutes later, when that value is refreshed, nobody wants the error of INIT."""
    ways: list[Callable[[], Any]] = [
        lambda: lambdakit.get_secret("bad", force_fetch=True),
        lambda: init.preload(secret("bad"), secret("a")),
        lambdakit.clear,
    ]
    for way in ways:
        backend.secrets["bad"] = error(NotFoundError)
        init.preload(secret("bad"))
        backend.secrets["bad"] = "value"
        way()
        init.clock.tick(300)  # type: ignore[attr-defined]
        assert lambdakit.get_secret("bad") == "value"
        assert lambdakit.get_secrets(["bad"], ttl=0) == {"bad": "value"}
        lambdakit.clear()
    backend.parameters["bad"] = error(NotFoundError)
    init.preload(parameter("bad"))
    backend.parameters = {"/bad": "value", "bad": "value"}
    assert lambdakit.get_parameter("bad", force_fetch=True) == "value"
    assert lambdakit.get_parameters(["bad"], ttl=0) == {"bad": "value"}


def test_a_list_brings_the_value_of_a_kept_error(init: Environment, backend: MemoryBackend) -> None:
    """And a second preload of a path forgets the error of the first."""
    backend.parameters["/bad/x"] = error(NotFoundError)
    init.preload(parameter("/bad/x"), parameters("/bad"))
    backend.parameters["/bad/x"] = "value"
    init.preload(parameters("/bad"))
    assert lambdakit.get_parameters_by_path("/bad") == {"/bad/x": "value"}
    init.clock.tick(300)  # type: ignore[attr-defined]
    assert lambdakit.get_parameter("/bad/x") == "value"


def test_functions_that_fail_are_logged(init: Environment, caplog: pytest.LogCaptureFixture) -> None:
    """By their names and the class of the exception, whose text may hold anything."""

    def connect() -> None:
        raise ConnectionRefusedError("planted")

    class Database:
        def __call__(self) -> None:
            raise ValueError("planted")

    def two(a: int, b: int) -> None: ...

    declare(connect, Database(), two)
    assert [line.removesuffix("; it is left to its first use").split(".")[-1] for line in warned(caplog)] == [
        "connect failed (ConnectionRefusedError)",
        "preload of Database failed (ValueError)",
        "two failed (TypeError)",
    ]
    assert "planted" not in caplog.text


def test_a_transform_runs_in_preload(init: Environment, backend: MemoryBackend) -> None:
    """A callable is what takes time: its first use finds the result. Of every parameter below a path, too."""
    made: list[Any] = []

    def parse(value: Any) -> list[Any]:
        made.append(value)
        return [value]

    backend.secrets["object"] = '{"key": "planted"}'
    declare(
        secret("a", transform=parse),
        secret("object", field="key", transform=parse),
        parameters("/shop/deep", transform=parse),
        secret("b", transform="json"),
    )
    assert sorted(made) == ["1", "3", "planted"]
    assert lambdakit.get_secret("a", transform=parse) == ["1"]
    assert lambdakit.get_secret("object", field="key", transform=parse) == ["planted"]
    assert lambdakit.get_parameters_by_path("/shop/deep", transform=parse) == {"/shop/deep/c": ["3"]}
    assert len(made) == 3


def test_a_transform_that_fails_raises_at_its_first_use(
    init: Environment, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """Every time; the value itself is there."""
    declare(secret("a", field="x", transform=len), secret("b", transform=json.dump))
    assert warned(caplog) == []
    for _ in range(2):
        with pytest.raises(ValueFormatError):
            lambdakit.get_secret("a", field="x", transform=len)
        with pytest.raises(TypeError):
            lambdakit.get_secret("b", transform=json.dump)
    assert lambdakit.get_secrets(["a", "b"]) == {"a": "1", "b": "2"}
    assert backend.calls == [("secrets", "a, b")]


# Values that wait for the first invocation.


def test_values_wait_where_they_cannot_be_fetched_in_init(
    moto_url: str, aws: boto3.session.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extension serves in invocations only. Functions run in INIT; values are there before the handler's code."""
    for name in ("a", "b"):
        aws.client("secretsmanager").create_secret(Name=name, SecretString=name)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    with FaultProxy(moto_url) as proxy, Extension(aws, token="token") as extension:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(extension.port))
        settings = under_lambda(LAMBDAKIT_BACKEND="extension")
        ran: list[int] = []
        for event in ({"order": 1}, {"warmer": True}):
            extension.asked = 0
            with lambdakit.use_environment(Environment(settings=settings)) as env:

                @lambdakit.handler(preload=[secret("a"), secret("b"), lambda: ran.append(1)])
                def handler(event: Any, context: Any) -> list[str]:
                    return [secret(name).state for name in "ab"]

                assert (extension.asked, proxy.asked("BatchGetSecretValue"), len(ran)) == (0, [], 1)
                answer = handler(event, FakeContext())
                assert extension.asked == 2
                assert answer == ["fresh"] * 2 or answer["ping"]
                assert handler({"order": 2}, FakeContext()) == ["fresh"] * 2
                assert (extension.asked, len(ran), env._current()) == (2, 1, None)
            ran.clear()
            env.close()
        assert proxy.asked("BatchGetSecretValue") == []


@pytest.mark.parametrize("event", [{"order": 1}, {"warmer": True}], ids=["invocation", "ping"])
def test_under_snap_start_values_wait_too(backend: MemoryBackend, event: Any) -> None:
    """They would be in the snapshot. What was fetched with the first event is there for the second."""
    ran: list[list[Any]] = []
    settings = Settings(in_lambda=True, init_type="snap-start")
    with lambdakit.use_environment(Environment(settings=settings, backend=backend)) as env:
        handler = declare(secret("a"), secret("b"), parameters("/shop"), lambda: ran.append([*backend.calls]))
        assert (ran, backend.calls) == ([[]], [])
        env.preload(secret("a"))
        assert backend.calls == []
        for _ in range(2):
            handler(event, FakeContext())
            assert sorted(backend.calls) == [("path", "/shop"), ("secrets", "a, b")]
        assert (env._current(), len(ran)) == (None, 1)
        env.preload(secret("a"), parameter("plain"))  # INIT is over
        assert ("parameter", "plain") in backend.calls


def test_a_first_invocation_without_time_does_not_wait(
    backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own fetches say what they need."""
    settings = Settings(in_lambda=True, init_type="snap-start")
    with lambdakit.use_environment(Environment(settings=settings, backend=backend)):
        handler = declare(secret("a"))
        handler({}, FakeContext(remaining_s=0.1))
        assert backend.calls == []
        assert len(warned(caplog)) == 1
        handler({}, FakeContext())
        assert backend.calls == []
        assert lambdakit.get_secret("a") == "1"


def test_a_first_invocation_waits_no_longer_than_it_has_time() -> None:
    """A fetch that hangs goes on beside the handler, which has the rest of its time."""
    backend = Blocking(secrets={"a": "1"})
    settings = Settings(in_lambda=True, init_type="snap-start")
    with lambdakit.use_environment(Environment(settings=settings, backend=backend)):
        handler = declare(secret("a"))
        begun_s = time.monotonic()
        handler({}, FakeContext(remaining_s=0.35))
        assert time.monotonic() - begun_s < 2.0
        late = threads()
        backend.released.set()
    for thread in late:
        thread.join(10)


def test_an_error_of_the_first_invocation_is_kept_for_its_use(backend: MemoryBackend) -> None:
    """As one of INIT would be; the handler runs."""
    settings = Settings(in_lambda=True, init_type="snap-start")
    with lambdakit.use_environment(Environment(settings=settings, backend=backend)):

        @lambdakit.handler(preload=[secret("missing"), secret("a")])
        def handler(event: Any, context: Any) -> str:
            with pytest.raises(NotFoundError):
                lambdakit.get_secret("missing")
            return str(lambdakit.get_secret("a"))

        assert handler({}, FakeContext()) == "1"
        assert backend.calls == [("secrets", "missing, a")]


# Arguments.


async def coroutine(_: object = None) -> None:
    """Nobody would await it."""


def generator(_: object = None) -> Iterator[int]:
    """Nobody would read it."""
    yield 1


async def async_generator(_: object = None) -> AsyncIterator[int]:
    """Nobody would do either."""
    yield 1


KINDS: dict[str, Any] = {
    "a coroutine": coroutine,
    "a generator": generator,
    "an async generator": async_generator,
}
FORMS: dict[str, Callable[[Any], Any]] = {
    "function": lambda fn: fn,
    "partial": functools.partial,
    "partial of a partial": lambda fn: functools.partial(functools.update_wrapper(functools.partial(fn), fn), None),
    "bound method": lambda fn: type("Repository", (), {"load": fn})().load,
    "partial of a bound method": lambda fn: functools.partial(type("Repository", (), {"load": fn})().load),
    "callable object": lambda fn: type("Load", (), {"__call__": fn})(),
    "derived callable object": lambda fn: type("Derived", (type("Load", (), {"__call__": fn}),), {})(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_call_would_only_make_is_refused_where_it_stands(kind: str, form: str) -> None:
    """A coroutine that nobody awaits, a generator that nobody reads: whatever stands between, nothing would be done."""
    item = FORMS[form](KINDS[kind])
    for preload in (lambda: lambdakit.handler(preload=[secret("a"), item]), lambda: Environment().preload(item)):
        with pytest.raises(ConfigurationError, match=f"^preload: {kind} function cannot be preloaded"):
            preload()


def test_a_coroutine_that_a_function_returns_is_closed_and_told_of(
    init: Environment, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """That cannot be seen before it is called. Python has nothing to say beside, and the others are done."""

    def connect() -> Any:
        return coroutine()

    declare(connect, secret("a"))
    gc.collect()
    (said,) = warned(caplog)
    assert said.startswith("preload: ")
    assert said.endswith("connect returned a coroutine, which nobody awaits: give a function that does not")
    assert backend.calls == [("secret", "a")]


@pytest.mark.parametrize(
    ("preload", "said"),
    [
        ("prod/db", r"give a list of lambdakit\.secret.*not str"),
        (secret("a"), "give a list of .*not Declaration"),
        ({"a": 1}, "give a list of .*not dict"),
        (None, "give a list of .*not NoneType"),
        (5, "give a list of .*not int"),
        (["prod/db"], r"'prod/db' is neither a declaration such as lambdakit\.secret\('name'\) nor a function"),
        ([secret("a"), 5], "5 is neither a declaration"),
        ([coroutine], "a coroutine function cannot be preloaded"),
    ],
)
def test_wrong_items_are_refused_where_they_stand(preload: Any, said: str) -> None:
    """Also where nothing is preloaded, so that a test finds them."""
    with pytest.raises(ConfigurationError, match=f"preload: {said}"):
        lambdakit.handler(preload=preload)
    if isinstance(preload, list):
        with pytest.raises(ConfigurationError, match=f"preload: {said}"):
            Environment().preload(*preload)


@pytest.mark.parametrize("budget", [-1, "5", None, True, float("nan")])
def test_a_wrong_budget_is_refused(budget: Any) -> None:
    """Seconds, 0 or more."""
    with pytest.raises(ConfigurationError, match=r"preload_budget=.*: give a number of seconds >= 0"):
        lambdakit.handler(preload_budget=budget)
    with pytest.raises(ConfigurationError, match=r"budget=.*: give a number of seconds >= 0"):
        Environment().preload(budget=budget)


def test_a_forked_child_keeps_what_was_declared(init: Environment, backend: MemoryBackend) -> None:
    """And none of the values."""
    declare(secret("a"))
    init._after_fork_in_child()
    backend.calls.clear()
    init.preload()
    assert backend.calls == [("secret", "a")]
    assert lambdakit.get_secret("a") == "1"
    assert len(backend.calls) == 1


def test_any_iterable_of_items(init: Environment, backend: MemoryBackend) -> None:
    """A generator is read once, for INIT and for later runs by hand."""
    lambdakit.handler(preload=(secret(name) for name in "ab"))(lambda event, context: None)
    lambdakit.clear()
    init.preload()
    assert backend.calls == [("secrets", "a, b")] * 2


# Whose declarations they are

FILE = """
def outer(fn):
    return fn

def make():
    return decorated("made")(outer)

@decorated("orders")
def orders(event, context): ...

@outer
@decorated("billing")
@outer
def billing(event, context): ...

called = decorated("called")(outer)
given = outer(decorated(name="given")(outer))
made = make()

@decorated("class")
class OfClass:
    def __call__(self, event, context): ...

class Methods:
    @decorated("method")
    def method(self, event, context): ...

# What follows may be reached from any handler of the file.

@decorated("routed")
def routed(event, context): ...

def router(event, context):
    def inner():
        return routed(event, context)
    return inner()

ROUTES = {"a": decorated("in a table")(outer)}
one, two = decorated("one")(outer), decorated("two")(outer)
first = second = decorated("twice")(outer)
decorated("nameless")(outer)

@decorated("used")
def used(event, context): ...

if used:
    pass
"""
REACHED = {"routed", "in a table", "one", "two", "twice", "nameless", "used"}
OWN = {"orders", "billing", "called", "given", "made", "class", "method"}


def served(path: Path, module: str = "package.app", **environ: str) -> set[str]:
    """The handlers of a file that may be this function's, by what `serves` says while each is decorated."""
    found: dict[str, bool] = {}

    def decorated(name: str) -> Callable[[Any], Any]:
        def decorate(fn: Any) -> Any:
            found[name] = serves(environ)
            return fn

        return decorate

    namespace: Any = {"__name__": module, "decorated": decorated}
    exec(compile(path.read_text(), str(path), "exec"), namespace)  # noqa: S102 - the file above
    assert found.keys() == REACHED | OWN
    return {name for name, answer in found.items() if answer}


@pytest.mark.parametrize(
    ("handler", "own"),
    [
        ("orders", {"orders"}),
        ("billing", {"billing"}),
        ("called", {"called"}),
        ("given", {"given"}),
        ("made", {"made"}),
        ("OfClass", {"class"}),
        ("Methods", {"method"}),
        ("router", set()),
        ("missing", set()),
    ],
)
@pytest.mark.parametrize(
    ("variable", "module"),
    [("_HANDLER", "package.app"), ("_HANDLER", "package/app"), ("DD_LAMBDA_HANDLER", "package.app")],
)
def test_which_handlers_of_a_file_may_be_the_functions(
    handler: str, own: set[str], variable: str, module: str, tmp_path: Path
) -> None:
    """Its own, and what its code may reach."""
    (tmp_path / "app.py").write_text(FILE)
    variables = {"_HANDLER": "datadog_lambda.handler.handler", variable: f"{module}.{handler}"}
    assert served(tmp_path / "app.py", **variables) == REACHED | own


@pytest.mark.parametrize("handler", ["", "other.orders", "orders", "s_orders.handler"])
def test_where_nobody_knows_whose_handler_it_is_it_may_be_the_functions(handler: str, tmp_path: Path) -> None:
    """It stands in another module than the one that Lambda names, as behind an adapter: only time is lost."""
    (tmp_path / "app.py").write_text(FILE)
    assert served(tmp_path / "app.py", _HANDLER=handler) == REACHED | OWN


def test_many_names_are_told_apart(tmp_path: Path) -> None:
    """Past the 256th, its number takes more than an argument holds."""
    (tmp_path / "app.py").write_text("\n".join(f"name_{number} = {number}" for number in range(300)) + FILE)
    assert served(tmp_path / "app.py", _HANDLER="package.app.orders") == REACHED | {"orders"}


def test_a_function_preloads_what_its_own_handler_declares() -> None:
    """Of several in a file: another's role may not even read it. What was declared is known all the same."""
    code = """
@lambdakit.handler(preload=[lambdakit.secret("a")])
def orders(event, context): ...

@lambdakit.handler(preload=[lambdakit.secret("b")])
def billing(event, context): ...
"""
    backend = MemoryBackend(secrets={"a": "1", "b": "2"})
    env = Environment(settings=under_lambda(_HANDLER="app.orders"), backend=backend)
    with lambdakit.use_environment(env):
        exec(compile(code, "app.py", "exec"), {"__name__": "app", "lambdakit": lambdakit})  # noqa: S102 - the file above
        assert backend.calls == [("secret", "a")]
        env.preload()
    assert backend.calls[1:] == [("secret", "b")]


def test_a_handler_that_is_decorated_by_no_module_is_preloaded() -> None:
    """In a thread that has been started for it, say."""
    backend = MemoryBackend(secrets={"a": "1"})
    env = Environment(settings=under_lambda(_HANDLER="app.other"), backend=backend)
    with lambdakit.use_environment(env), ThreadPoolExecutor(1) as pool:
        pool.submit(lambdakit.handler(preload=[secret("a")]), lambda event, context: None).result(10)
    assert backend.calls == [("secret", "a")]


CHILD = """
import multiprocessing, os, sys
import lambdakit
from lambdakit.testing import MemoryBackend

class Noting(MemoryBackend):
    def get_secret(self, name, **options):
        with open(os.environ["NOTED"], "a") as file:
            file.write(f"{os.getpid()} {name}\\n")
        return super().get_secret(name, **options)

env = lambdakit.Environment(backend=Noting(secrets={"a": "1"}))
in_place = lambdakit.use_environment(env)
in_place.__enter__()

@lambdakit.handler(preload=[lambdakit.secret("a")])
def handler(event, context):
    context = multiprocessing.get_context(event)
    for kind in (context, multiprocessing):
        process = kind.Process(target=work)
        process.start()
        process.join()
    with context.Pool(1) as pool:
        pool.apply(work)
    return os.getpid()

def work():
    assert lambdakit.get_secret("a") == "1"
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_children_that_import_the_module_again_preload_nothing(method: str, tmp_path: Path) -> None:
    """They fetch what they use, each by itself, once; so does one that was forked."""
    (tmp_path / "app.py").write_text(CHILD)
    noted = tmp_path / "noted"
    program = "import multiprocessing, sys, app; multiprocessing.set_start_method(sys.argv[1]); "
    program += "print(app.handler(sys.argv[1], None))"
    environ = {**os.environ, "AWS_LAMBDA_RUNTIME_API": "x", "NOTED": str(noted), "AWS_LAMBDA_INITIALIZATION_TYPE": "y"}
    done = subprocess.run(
        [sys.executable, "-c", program, method],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    pids = [line.split()[0] for line in noted.read_text().splitlines()]
    assert len(pids) == len(set(pids)) == 4  # this process in INIT, three children in their work
    assert pids[0] == done.stdout.strip()


@pytest.mark.parametrize(
    ("method", "default", "child"),
    [
        ("spawn", None, True),
        ("forkserver", None, True),
        ("fork", "spawn", False),
        (None, "spawn", True),
        (None, "forkserver", True),
        (None, "fork", False),
    ],
)
def test_which_processes_are_started_anew(
    method: str | None, default: Any, child: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By how `multiprocessing` has begun them: a child in its work, and one that is still told what to do."""
    kind = type(f"{method}Process", (BaseProcess,), {"_start_method": method})
    mine = object.__new__(kind)
    monkeypatch.setattr(multiprocessing.process, "_current_process", mine)
    assert is_child() is False  # it has no parent
    monkeypatch.setattr(multiprocessing.process, "_parent_process", multiprocessing.process.current_process())
    monkeypatch.setattr(multiprocessing.context._default_context, "_actual_context", None)
    if default is not None:
        monkeypatch.setattr(
            multiprocessing.context._default_context, "_actual_context", multiprocessing.get_context(default)
        )
    assert is_child() is child
    mine._inheriting = True
    assert is_child() is True
    monkeypatch.delitem(sys.modules, "multiprocessing.process")
    assert is_child() is False
