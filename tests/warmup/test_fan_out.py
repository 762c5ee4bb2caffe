"""Pings that are passed on: to this function as it was invoked, so many at most, and never a second time."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proc import sockets

import lambdakit
from lambdakit import ConfigurationError, Environment, LambdakitError, Warmup, fan_out
from lambdakit._warmup.fan_out import FanOut, FunctionArn
from lambdakit._warmup.ping import Ping
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:shop"
RECORDED = json.loads((Path(__file__).parent / "fixtures/pings/lambda-warmer.json").read_text(encoding="utf-8"))
DENIED = (
    403,
    "AccessDeniedException",
    "User: arn:aws:sts::123456789012:assumed-role/shop is not authorized to perform: lambda:InvokeFunction",
)
THROTTLED = (429, "TooManyRequestsException", "Rate Exceeded.")


class Invoked:
    """Lambda's Invoke API: notes what it is asked for, and refuses what it is told to."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.refusals: list[tuple[int, str, str]] = []  # the next answers
        self.refuse_all: tuple[int, str, str] | None = None
        self.function_error: str | None = None
        self.held: threading.Event | None = None  # until it is set, nobody who waits gets an answer
        self.connections = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def do_POST(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Who waits no longer has gone: that is no news."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port: int = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        payload = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        kind = request.headers["X-Amz-Invocation-Type"]
        agent = request.headers["User-Agent"].partition("/")[0]
        scope = request.headers["Authorization"].split("/")
        self.calls.append(
            {
                "path": request.path,
                "kind": kind,
                "payload": payload,
                "agent": agent,
                "region": scope[2],
            }
        )
        if self.held is not None and kind == "RequestResponse":
            self.held.wait(20)
        refusal = self.refusals.pop() if self.refusals else self.refuse_all
        body = b"" if refusal is None else json.dumps({"Message": refusal[2]}).encode()
        request.send_response((202 if kind == "Event" else 200) if refusal is None else refusal[0])
        request.send_header("Content-Length", str(len(body)))
        if refusal is not None:
            request.send_header("x-amzn-ErrorType", refusal[1])
        elif self.function_error and kind != "Event":
            request.send_header("X-Amz-Function-Error", self.function_error)
        request.end_headers()
        request.wfile.write(body)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def numbers(self) -> list[int]:
        """The pings that came, by their numbers."""
        return sorted(call["payload"]["__WARMER_INVOCATION__"] for call in self.calls)


@pytest.fixture
def invoked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Invoked]:
    """Lambda, as this function's environment sees it."""
    with Invoked() as invoked:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", invoked.url)
        monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
        yield invoked


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(monotonic_s=time.monotonic())


@contextmanager
def environment(**options: Any) -> Iterator[Environment]:
    """An environment, in place and then closed."""
    env = Environment(**options)
    with lambdakit.use_environment(env):
        yield env
    env.close()


@pytest.fixture
def warm(invoked: Invoked, clock: ManualClock) -> Iterator[Environment]:
    """An environment under a Lambda runtime, whose clock stands still."""
    with environment(clock=clock) as env:
        yield env


def context(arn: str = f"{ARN}:prod", *, remaining_s: float = 30.0) -> FakeContext:
    """The context of an invocation of this ARN."""
    context = FakeContext(function_name="shop", aws_request_id="request-1", remaining_s=remaining_s)
    context.invoked_function_arn = arn
    context.function_version = "7"
    return context


def ping(event: Any, arn: str = f"{ARN}:prod", *, most: int = 20, remaining_s: float = 30.0, **options: Any) -> Any:
    """The answer of a handler that passes pings on."""
    handler = lambdakit.handler(warmup=Warmup(max_concurrency=most, overlap=0), **options)(
        lambda event, context: pytest.fail("a ping reached the handler")
    )
    return handler(event, context(arn, remaining_s=remaining_s))


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_ping_is_passed_on(warm: Environment, invoked: Invoked) -> None:
    """To four others of the alias that was invoked, by the function's own region; the last is waited for."""
    assert ping({"warmer": True, "concurrency": 5}) == {"ping": "lambda-warmer", "environment": warm.id}
    assert invoked.numbers == [2, 3, 4, 5]
    assert {call["path"] for call in invoked.calls} == {"/2015-03-31/functions/shop/invocations?Qualifier=prod"}
    assert {call["region"] for call in invoked.calls} == {"eu-central-1"}
    kinds = {call["payload"]["__WARMER_INVOCATION__"]: call["kind"] for call in invoked.calls}
    assert kinds == {2: "Event", 3: "Event", 4: "Event", 5: "RequestResponse"}


def test_it_is_the_event_that_lambda_warmer_sends(warm: Environment, invoked: Invoked) -> None:
    """As it was recorded, for the same root; the correlation id is this request's."""
    (run,) = [run for run in RECORDED["runs"] if run["root"] == {"warmer": True, "concurrency": 3}]
    ping(run["root"])
    ours = sorted((call["payload"] for call in invoked.calls), key=lambda one: one["__WARMER_INVOCATION__"])
    assert ours == [one["payload"] | {"__WARMER_CORRELATIONID__": "request-1"} for one in run["sent"]]


@pytest.mark.parametrize(
    ("arn", "path"),
    [
        (ARN, "/2015-03-31/functions/shop/invocations"),
        (f"{ARN}:7", "/2015-03-31/functions/shop/invocations?Qualifier=7"),
        (f"{ARN}:$LATEST", "/2015-03-31/functions/shop/invocations?Qualifier=%24LATEST"),
    ],
)
def test_version_and_latest_are_kept(arn: str, path: str, warm: Environment, invoked: Invoked) -> None:
    """What was invoked is what is kept warm."""
    ping({"warmer": True, "concurrency": 2}, arn)
    assert [call["path"] for call in invoked.calls] == [path]


@pytest.mark.parametrize(
    ("event", "numbers"),
    [
        ({"warmer": True, "concurrency": 1000}, range(2, 7)),
        ({"warmer": True, "concurrency": 10**30}, range(2, 7)),
        ({"warmer": True, "concurrency": 6}, range(2, 7)),
        ({"warmer": True, "concurrency": 7}, range(2, 7)),
        ({"warmer": True, "concurrency": 2}, [2]),
        ({"warmer": True, "concurrency": 1}, []),
        ({"warmer": True}, []),
        ({"warmer": True, "concurrency": 0}, []),
        ({"warmer": True, "concurrency": -5}, []),
        ({"warmer": True, "concurrency": True}, []),
        ({"warmer": True, "concurrency": "5"}, []),
        ({"warmer": True, "concurrency": [5]}, []),
        ({"warmer": True, "concurrency": 5.0}, []),
        ({"warmer": True, "concurrency": 5, "test": True}, []),
        ([{"warmer": True, "concurrency": 2}, {"warmer": True, "concurrency": 3}], [2, 3, 4]),
        ([{"warmer": True, "concurrency": 5}, {"warmer": True, "concurrency": 5}], range(2, 7)),
        ([{"warmer": True}, {"warmer": True}], []),
        ([{"warmer": True, "concurrency": 2}, {"warmer": True, "concurrency": 3, "test": 1}], []),
        ({"source": "serverless-plugin-warmup", "concurrency": 5}, []),
    ],
)
def test_as_many_as_are_asked_for_and_allowed(event: Any, numbers: Any, warm: Environment, invoked: Invoked) -> None:
    """Six at most; each of an array counts; a number that is none is ignored, and a test is no reason."""
    ping(event, most=6)
    assert invoked.numbers == [*numbers]
    assert {call["payload"]["__WARMER_CONCURRENCY__"] for call in invoked.calls} <= {len(numbers) + 1}


@pytest.mark.parametrize("spelling", ["__WARMER_CORRELATIONID__", "__WARMER_CORRELATION_ID__"])
@pytest.mark.parametrize("more", [{}, {"__WARMER_INVOCATION__": 2, "__WARMER_CONCURRENCY__": 3}])
def test_what_was_passed_on_goes_no_further(
    spelling: str, more: dict[str, Any], warm: Environment, invoked: Invoked
) -> None:
    """By JavaScript or by Python, alone or in an array, even where it asks for more: nothing recurses."""
    child = {"warmer": True, "concurrency": 5, spelling: "1", **more}
    ping(child)
    ping([{"warmer": True, "concurrency": 5}, child])
    ping(child, on_ping=lambda: fan_out(5))
    assert invoked.calls == []


@pytest.mark.parametrize("target", ["shop", "shop:prod", "shop:7", ARN, f"{ARN}:prod"])
def test_a_target_that_is_this_function(target: str, warm: Environment, invoked: Invoked) -> None:
    """By name or ARN, with the alias or the version it runs, or neither: as it was invoked."""
    ping([{"warmer": True, "concurrency": 3, "target": target}, {"warmer": True, "concurrency": 2}])
    assert invoked.numbers == [2, 3, 4]
    assert {call["path"] for call in invoked.calls} == {"/2015-03-31/functions/shop/invocations?Qualifier=prod"}


@pytest.mark.parametrize("target", ["other", "shop:blue", f"{ARN}2", 5, ["shop"], {"shop": 1}])
def test_another_function_is_never_invoked(
    target: Any, warm: Environment, invoked: Invoked, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever can send an event must not choose what this role invokes; it is told once, and the rest is done."""
    for _ in range(2):
        ping([{"warmer": True, "concurrency": 3, "target": target}, {"warmer": True, "concurrency": 2}])
    assert invoked.numbers == [2]
    assert said(caplog) == ["a ping names another function as its target: shop:prod passes pings on to itself only"]


def test_without_an_option_nothing_is_passed_on(
    warm: Environment, invoked: Invoked, caplog: pytest.LogCaptureFixture
) -> None:
    """Who has not asked for it is told once what to do."""
    handler = lambdakit.handler(lambda event, context: None)
    for _ in range(2):
        handler({"warmer": True, "concurrency": 5}, context())
        ping({"warmer": True, "concurrency": 5}, most=0)
    assert invoked.calls == []
    assert said(caplog) == [
        "a ping asks for 5 environments: no more than 1 are kept, see lambdakit.Warmup(max_concurrency=...)"
    ]


def test_outside_lambda_nothing_is_invoked(invoked: Invoked, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that sends a ping touches nothing."""
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API")
    with environment():
        ping({"warmer": True, "concurrency": 5}, on_ping=lambda: fan_out(5))
    assert invoked.calls == []


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "shop",
        None,
        5,
        ARN.replace("function", "layer"),
        "arn:aws:lambda:eu-west-1:1:function:",
        f"{ARN}:prod:x",
        "::::::",
    ],
)
def test_a_context_that_does_not_know_the_function(arn: Any, warm: Environment, invoked: Invoked) -> None:
    """Nothing is guessed; and neither is it where there is no context."""
    ping({"warmer": True, "concurrency": 5}, arn)
    lambdakit.handler(warmup=Warmup(max_concurrency=5))(lambda event, context: None)(
        {"warmer": True, "concurrency": 5}, None
    )
    assert invoked.calls == []


def test_a_hook_says_how_many(warm: Environment, clock: ManualClock, invoked: Invoked) -> None:
    """For a ping of any dialect; the larger number counts, and neither goes beyond the limit."""
    for event, wanted, numbers in (
        ({"source": "serverless-plugin-warmup"}, 3, [2, 3]),
        ({"warmer": True, "concurrency": 4}, 2, [2, 3, 4]),
        ({"warmer": True, "concurrency": 2}, 4, [2, 3, 4]),
        ({"warmer": True}, 1000, [*range(2, 21)]),
        ({"warmer": True}, 1, []),
        ({"warmer": True, "test": True}, 5, []),
    ):
        invoked.calls.clear()
        ping(event, on_ping=lambda wanted=wanted: fan_out(wanted))
        assert invoked.numbers == numbers
        clock.suspend(60)


def test_a_hook_may_say_it_in_a_thread_of_its_own_context_only(warm: Environment, invoked: Invoked) -> None:
    """A thread that the hook starts is not within the ping, and is told so."""
    caught: list[Exception] = []

    def elsewhere() -> None:
        try:
            fan_out(2)
        except LambdakitError as error:
            caught.append(error)

    def hook() -> None:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(10)

    ping({"warmer": True}, on_ping=hook)
    assert len(caught) == 1
    assert invoked.calls == []


def test_fan_out_outside_a_ping(warm: Environment) -> None:
    """Says where to call it, also after a ping has ended."""
    ping({"warmer": True}, on_ping=lambda: fan_out(1))
    with pytest.raises(LambdakitError, match="call this from the function that is given as on_ping="):
        fan_out(2)


@pytest.mark.parametrize("n", [0, -1, True, 2.0, "2", None])
def test_a_wrong_number(n: Any) -> None:
    """Is told before anything else."""
    with pytest.raises(ConfigurationError, match="give a whole number of at least 1"):
        fan_out(n)


def test_a_hook_without_the_option_is_told(
    warm: Environment, invoked: Invoked, caplog: pytest.LogCaptureFixture
) -> None:
    """By what it raises, which is logged in full; the ping is answered."""
    assert ping({"warmer": True}, most=0, on_ping=lambda: fan_out(3))["ping"] == "lambda-warmer"
    (message,) = said(caplog)
    assert message.startswith("ping: fan_out(3): pings are not passed on; say how far with @handler(warmup=")
    assert invoked.calls == []


@pytest.mark.parametrize(("gap_s", "rounds"), [(0, 1), (9.9, 1), (10, 2), (-60, 2)])
def test_a_storm_is_not_multiplied(
    gap_s: float, rounds: int, warm: Environment, clock: ManualClock, invoked: Invoked
) -> None:
    """An environment passes pings on once in ten seconds; a clock that is set back stops nothing."""
    ping({"warmer": True, "concurrency": 3})
    clock.suspend(gap_s)
    ping({"warmer": True, "concurrency": 3})
    assert invoked.numbers == sorted([2, 3] * rounds)


@pytest.mark.parametrize("backend", ["direct", "sdk"])
@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (DENIED, f"lambda:InvokeFunction. .*The role needs lambda:InvokeFunction on {ARN}:prod$"),
        (THROTTLED, "Rate Exceeded.*Reserve more concurrency for shop:prod, or lower max_concurrency$"),
        ((500, "ServiceException", "sorry"), "ServiceException .status 500.: sorry"),
    ],
)
def test_a_refusal_is_told_once_and_raised_never(
    refusal: tuple[int, str, str],
    message: str,
    backend: str,
    invoked: Invoked,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With what to do about it; the function goes on, each is tried once, and so is each at the next ping."""
    invoked.refuse_all = refusal
    with environment(clock=clock, backend=backend):
        for _ in range(3):
            assert ping({"warmer": True, "concurrency": 4})["ping"] == "lambda-warmer"
            clock.suspend(60)
        assert lambdakit.handler(lambda event, context: "work")({}, context()) == "work"
    assert invoked.numbers == sorted([2, 3, 4] * 3)
    (record,) = [record for record in caplog.records if record.name == "lambdakit"]
    assert record.getMessage().startswith("3 of 4 environments were not kept warm: lambda Invoke of 'shop:prod' in eu-")
    assert re.search(message, record.getMessage())


def test_one_refusal_does_not_stop_the_others(
    warm: Environment, invoked: Invoked, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Of each kind the first is told."""
    invoked.refusals = [THROTTLED, DENIED]
    ping({"warmer": True, "concurrency": 6})
    assert invoked.numbers == [2, 3, 4, 5, 6]
    assert [message.partition(":")[0] for message in said(caplog)] == ["2 of 6 environments were not kept warm"] * 2


def test_a_function_that_fails_at_its_ping_is_told(
    warm: Environment, invoked: Invoked, caplog: pytest.LogCaptureFixture
) -> None:
    """Its INIT may raise: only who waits can see it."""
    invoked.function_error = "Unhandled"
    ping({"warmer": True, "concurrency": 3})
    (message,) = said(caplog)
    assert message.endswith("warm: invocations of shop:prod failed (Unhandled); their log says why")


def test_nobody_answers(warm: Environment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """No route to Lambda, as in a VPC without an endpoint; a URL that is none."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
    with environment(clock=warm.clock):
        ping({"warmer": True, "concurrency": 2})
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "no url")
    with environment(clock=warm.clock):
        ping({"warmer": True, "concurrency": 2})
    first, second = said(caplog)
    assert "no answer came" in first
    assert "AWS_ENDPOINT_URL_LAMBDA is not the URL of an endpoint" in second


def test_an_error_of_somebody_elses_is_told_by_its_type(
    warm: Environment, invoked: Invoked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its message may say anything."""

    class Broken(dict[str, str]):
        def get(self, *_: Any) -> Any:
            raise RuntimeError("planted")

    settings = lambdakit.Settings(environ=Broken(), in_lambda=True)
    with environment(clock=warm.clock, settings=settings):
        ping({"warmer": True, "concurrency": 2})
    told = [message for message in said(caplog) if not message.startswith("imports of ")]  # which INIT tried
    assert told == ["1 of 2 environments were not kept warm: RuntimeError"]


@pytest.mark.parametrize("backend", ["direct", "sdk"])
def test_an_environment_that_takes_long_to_begin_is_no_failure(
    backend: str, invoked: Invoked, caplog: pytest.LogCaptureFixture
) -> None:
    """The time is up while the last one starts: it was sent, and the ping is answered in time."""
    invoked.held = threading.Event()
    with environment(backend=backend):
        if backend == "sdk":
            lambdakit.client("lambda", region="eu-central-1")  # or making it would take the time
        assert ping({"warmer": True, "concurrency": 3}, remaining_s=0.75)["ping"] == "lambda-warmer"
        invoked.held.set()
    assert (invoked.numbers, said(caplog)) == ([2, 3], [])


def test_without_time_nothing_is_sent(warm: Environment, invoked: Invoked, caplog: pytest.LogCaptureFixture) -> None:
    """What is left is the deadline margin."""
    ping({"warmer": True, "concurrency": 3}, remaining_s=0.2)
    assert invoked.calls == []
    (message,) = said(caplog)
    assert "2 of 3 environments were not kept warm: lambda Invoke: the invocation has too little time left" in message


def test_no_thread_outlives_the_ping(warm: Environment, invoked: Invoked) -> None:
    """An environment is frozen once it has answered."""
    before = set(threading.enumerate())
    ping({"warmer": True, "concurrency": 9})
    assert not [one for one in set(threading.enumerate()) - before if one.name == "lambdakit"]
    assert invoked.numbers == [*range(2, 10)]


@pytest.mark.parametrize(
    ("backend", "variables", "agent"),
    [
        ("auto", {}, "lambdakit"),
        ("direct", {"AWS_RETRY_MODE": "standard"}, "lambdakit"),
        ("sdk", {}, "Botocore"),
        ("auto", {"AWS_RETRY_MODE": "standard"}, "Botocore"),
        ("extension", {}, "lambdakit"),
        ("extension", {"AWS_USE_DUALSTACK_ENDPOINT": "false"}, "lambdakit"),
        (MemoryBackend(), {}, "lambdakit"),
        (MemoryBackend(), {"AWS_MAX_ATTEMPTS": "2"}, "Botocore"),
    ],
    ids=str,
)
def test_the_sdk_calls_where_direct_would_differ(
    backend: Any, variables: dict[str, str], agent: str, invoked: Invoked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same choice as for values, also where values come from elsewhere; a named backend is taken at its word."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with environment(backend=backend):
        ping({"warmer": True, "concurrency": 2})
    assert [call["agent"] for call in invoked.calls] == [agent]


def test_a_region_that_direct_does_not_know(warm: Environment, invoked: Invoked) -> None:
    """Is the SDK's to find."""
    ping({"warmer": True, "concurrency": 2}, "arn:aws:lambda:aws-global:123456789012:function:shop")
    assert [call["agent"] for call in invoked.calls] == ["Botocore"]


def test_connections_are_kept_within_a_round_and_dropped_after_it(
    warm: Environment, clock: ManualClock, invoked: Invoked
) -> None:
    """A frozen environment holds them until the next invocation; close and a fork let them go."""
    ping({"warmer": True, "concurrency": 20})
    assert invoked.connections <= 8
    assert len(invoked.calls) == 19
    before = invoked.connections
    handler: Callable[..., Any] = lambdakit.handler(lambda event, context: None)
    clock.suspend(15)
    ping({"warmer": True, "concurrency": 2})
    assert invoked.connections == before
    assert sockets(invoked.port)
    clock.suspend(21)
    handler({}, context())
    assert sockets(invoked.port) == set()  # closed, not only passed over
    for count, let_go in enumerate((warm.close, warm._after_fork_in_child), before + 1):
        ping({"warmer": True, "concurrency": 2})
        assert (invoked.connections, len(sockets(invoked.port))) == (count, 1)
        let_go()
        assert sockets(invoked.port) == set()
        clock.suspend(15)
    ping({"warmer": True, "concurrency": 2})
    assert invoked.connections == before + 3


def test_a_ping_that_is_not_passed_on_makes_nothing_for_it(warm: Environment) -> None:
    """Neither does one that asks for no more than this environment."""
    ping({"warmer": True})
    ping({"warmer": True, "concurrency": 1}, on_ping=lambda: fan_out(1))
    assert warm._parts.peek(FanOut) is None


MARKS = st.sampled_from(
    [
        *("warmer", "concurrency", "target", "test", "__WARMER_INVOCATION__", "__WARMER_CONCURRENCY__"),
        *("__WARMER_CORRELATIONID__", "__WARMER_CORRELATION_ID__", "x"),
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(st.text(max_size=2), LEAVES, max_size=2)
PINGS = st.dictionaries(MARKS, VALUES).map(lambda one: one | {"warmer": True})


@given(PINGS | st.lists(PINGS, min_size=1, max_size=4))
def test_whatever_a_ping_holds_is_read(event: Any) -> None:
    """Numbers are whole and at least 1; a ping with a mark of those that were passed on is no root."""
    read = Ping(event, "lambda-warmer", 20)
    wanted = [read.environments, read.total, *(environments for _, environments in read.targets)]
    assert all(isinstance(number, int) and number >= 1 for number in wanted)
    pings = event if isinstance(event, list) else [event]
    marked = any(key.startswith("__WARMER_") for one in pings for key in one)
    assert (read.number is not None) == marked
    assert read.may_fan_out is not (marked or any(one.get("test") for one in pings))


@given(VALUES | st.text(":", max_size=9), VALUES)
def test_whatever_a_context_says_is_read(arn: Any, version: Any) -> None:
    """An ARN of a function, or nothing."""
    odd = FakeContext()
    odd.invoked_function_arn, odd.function_version = arn, version
    assert FunctionArn.of(odd) is None
