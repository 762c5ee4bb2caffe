"""The decorator: order of steps, nothing changed on the way."""

import asyncio
import functools
import logging
import traceback
from types import SimpleNamespace
from typing import Any

import pytest
from mangum import Mangum

import lambdakit
from lambdakit import ConfigurationError, Environment
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

PING = {"warmer": True, "concurrency": 1}


def test_bare_and_with_options() -> None:
    """`@handler`, `@handler()` and `@handler(...)` are the same decorator."""

    def fn(event: Any, context: Any) -> Any:
        return event, context

    context = FakeContext()
    for decorated in (lambdakit.handler(fn), lambdakit.handler()(fn), lambdakit.handler(warmup=True)(fn)):
        assert decorated({"order": 1}, context) == ({"order": 1}, context)


def test_it_keeps_name_doc_and_wrapped() -> None:
    """For whoever looks at the function: frameworks, documentation, tests."""

    @lambdakit.handler
    def fn(event: Any, context: Any) -> None:
        """Does nothing."""

    assert (fn.__name__, fn.__doc__, fn.__module__) == ("fn", "Does nothing.", __name__)
    assert fn.__wrapped__.__code__.co_name == "fn"


def test_an_invocation_is_running_during_the_call_only() -> None:
    """Begun before the function, ended after it, whether it returns or raises."""
    seen = []

    @lambdakit.handler
    def fn(event: Any, context: Any) -> None:
        seen.append(lambdakit.invocation())
        if event == "raise":
            raise ValueError(event)

    context = FakeContext(aws_request_id="r-1")
    fn("return", context)
    with pytest.raises(ValueError, match="raise"):
        fn("raise", context)
    assert [(one.number, one.start_kind, one.request_id) for one in seen] == [(1, "cold", "r-1"), (2, "warm", "r-1")]
    assert lambdakit.environment()._current() is None


def test_a_first_invocation_that_raises_was_the_cold_one() -> None:
    """The next is warm."""

    @lambdakit.handler
    def fn(event: Any, context: Any) -> bool:
        if event == "raise":
            raise ValueError(event)
        return lambdakit.is_cold_start()

    with pytest.raises(ValueError, match="raise"):
        fn("raise", None)
    assert fn("again", None) is False


def test_exceptions_pass_unchanged() -> None:
    """The same object, its cause and its traceback down to the user's line."""
    cause, failure = KeyError("cause"), ValueError("failure")

    @lambdakit.handler
    def fn(event: Any, context: Any) -> None:
        raise failure from cause

    with pytest.raises(ValueError, match="failure") as caught:
        fn({}, None)
    assert caught.value is failure
    assert caught.value.__cause__ is cause
    assert traceback.extract_tb(caught.value.__traceback__)[-1].line == "raise failure from cause"


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_even_what_ends_the_process_ends_the_invocation(raised: type[BaseException]) -> None:
    """`sys.exit` in a handler, Ctrl-C in a test."""

    @lambdakit.handler
    def fn(event: Any, context: Any) -> None:
        raise raised

    with pytest.raises(raised):
        fn({}, None)
    assert lambdakit.environment()._current() is None


def test_a_ping_is_answered_before_any_code_of_the_user() -> None:
    """No handler, no inner decorator, no invocation, no cold start."""
    calls = []

    def inner(fn: Any) -> Any:
        @functools.wraps(fn)
        def wrapper(event: Any, context: Any) -> Any:
            calls.append(event)
            return fn(event, context)

        return wrapper

    @lambdakit.handler
    @inner
    def fn(event: Any, context: Any) -> str:
        return lambdakit.invocation().start_kind

    env = lambdakit.environment()
    assert fn(PING, FakeContext()) == {"ping": "lambda-warmer", "environment": env.id}
    assert fn("#warmup", FakeContext()) == {"ping": "thundra", "environment": env.id}
    assert (calls, env.pings, env.invocations) == ([], 2, 0)
    assert fn({"order": 1}, FakeContext()) == "warm"
    assert calls == [{"order": 1}]


def test_a_ping_in_the_client_context_is_answered() -> None:
    """Whatever the payload is."""
    context = FakeContext(client_context=SimpleNamespace(custom={"source": "serverless-plugin-warmup"}))
    assert lambdakit.handler(lambda event, context: event)({"order": 1}, context)["ping"] == "serverless-plugin-warmup"


def test_plain_schedules_reach_the_handler() -> None:
    """They are real work."""
    event = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
    assert lambdakit.handler(lambda event, context: "worked")(event, FakeContext()) == "worked"


def test_warmup_false_lets_every_event_through() -> None:
    """For a handler that answers pings itself."""
    assert lambdakit.handler(warmup=False)(lambda event, context: event)(PING, None) == PING


def test_a_predicate_replaces_the_recognition() -> None:
    """What it finds true is a ping; what lambdakit would recognise is not any more."""

    def empty(event: Any, context: Any) -> bool:
        return event == {}

    fn = lambdakit.handler(warmup=empty)(lambda event, context: "worked")
    assert fn({}, None)["ping"] == "empty"
    assert fn(PING, None) == "worked"


def test_a_predicate_that_raises_lets_the_event_through(caplog: pytest.LogCaptureFixture) -> None:
    """A user's request is not lost to warm-up; a warning says so, without the event."""

    class Predicate:
        def __call__(self, event: Any, context: Any) -> bool:
            return bool(event["missing"])

    with caplog.at_level(logging.WARNING, logger="lambdakit"):
        assert (
            lambdakit.handler(warmup=Predicate())(lambda event, context: "worked")({"order": "planted"}, None)
            == "worked"
        )
    assert "Predicate raised KeyError" in caplog.text
    assert "planted" not in caplog.text


def test_a_predicate_that_fails_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    """It is asked of each event. Another one warns by itself."""

    def fail(event: Any, context: Any) -> bool:
        raise KeyError

    async def is_ping(event: Any, context: Any) -> bool:
        return True

    for predicate in (fail, lambda event, context: is_ping(event, context), fail):  # noqa: PLW0108 - itself, it is refused
        fn = lambdakit.handler(warmup=predicate)(lambda event, context: "worked")
        assert [fn({"order": number}, None) for number in range(3)] == ["worked"] * 3
    assert [message.split(" ")[3] for message in caplog.messages] == ["raised", "returned", "raised"]


class App:
    """A class with handlers of every kind."""

    def __init__(self, name: str = "app") -> None:
        self.name = name

    @lambdakit.handler
    def method(self, event: Any, context: Any) -> Any:
        return self.name, event, lambdakit.invocation().context

    @classmethod
    @lambdakit.handler
    def of_class(cls, event: Any, context: Any) -> Any:
        return cls.__name__, event, lambdakit.invocation().context

    @staticmethod
    @lambdakit.handler
    def static(event: Any, context: Any) -> Any:
        return event, lambdakit.invocation().context


def test_methods() -> None:
    """The event is found behind the instance or the class; pings too."""
    app, context = App("shop"), FakeContext()
    assert app.method({"order": 1}, context) == ("shop", {"order": 1}, context)
    assert App.of_class({"order": 1}, context) == ("App", {"order": 1}, context)
    assert App.static({"order": 1}, context) == ({"order": 1}, context)
    for handler in (app.method, App.of_class, App.static):
        assert handler(PING, context)["ping"] == "lambda-warmer"
        assert handler(event=PING, context=context)["ping"] == "lambda-warmer"


def test_methods_without_a_context() -> None:
    """A test calls them with the event alone: the first argument is not taken for the event."""

    class Short:
        @lambdakit.handler
        def method(self, event: Any, context: Any = None) -> Any:
            return event

        @classmethod
        @lambdakit.handler
        def of_class(cls, event: Any, context: Any = None) -> Any:
            return event

        @staticmethod
        @lambdakit.handler
        def static(event: Any, context: Any = None, extra: Any = None) -> Any:
            return event

    for handler in (Short().method, Short.of_class, Short.static, Short().static):
        assert handler(PING)["ping"] == "lambda-warmer"
        assert handler(event=PING)["ping"] == "lambda-warmer"
        assert handler({"order": 1}) == {"order": 1}


def test_a_decorator_above_static_and_class_methods() -> None:
    """They stay what they are, whether the class or an instance is asked."""

    class Above:
        @lambdakit.handler
        @staticmethod
        def static(event: Any, context: Any) -> Any:
            return event, lambdakit.invocation().context

        @lambdakit.handler(warmup=True)
        @classmethod
        def of_class(cls, event: Any, context: Any) -> Any:
            return (cls.__name__, event), lambdakit.invocation().context

    context = FakeContext()
    for of in (Above, Above()):
        assert of.static({"order": 1}, context) == ({"order": 1}, context)
        assert of.of_class({"order": 1}, context) == (("Above", {"order": 1}), context)
        assert of.static(PING, context)["ping"] == of.of_class(PING, context)["ping"] == "lambda-warmer"


def test_a_bound_method_is_a_callable_like_others() -> None:
    """`handler = lambdakit.handler(app.handle)` at module level."""

    class Plain:
        def handle(self, event: Any, context: Any, extra: Any = None) -> Any:
            return event

    handler = lambdakit.handler(Plain().handle)
    assert handler(PING, None, "extra")["ping"] == "lambda-warmer"
    assert handler({"order": 1}, None) == {"order": 1}
    assert handler(event=PING, context=None)["ping"] == "lambda-warmer"


def test_calls_that_the_runtime_would_not_make() -> None:
    """With keywords, with a third argument, without a context, without anything: the function decides."""

    def fn(event: Any = None, context: Any = None, extra: Any = "none") -> Any:
        return event, context, extra

    decorated = lambdakit.handler(fn)
    assert decorated(event=1, context=2) == (1, 2, "none")
    assert decorated(1, 2, 3) == (1, 2, 3)
    assert decorated(1, context=2, extra=3) == (1, 2, 3)
    assert decorated(1) == (1, None, "none")
    assert decorated() == (None, None, "none")
    assert decorated(PING, None, 3)["ping"] == "lambda-warmer"


def test_an_instance_of_a_class_with_call() -> None:
    """Any callable is a handler."""

    class Handler:
        def __call__(self, event: Any, context: Any) -> Any:
            return event

    assert lambdakit.handler(Handler())({"order": 1}, None) == {"order": 1}


def test_a_class_with_call_becomes_one_instance() -> None:
    """Made when it is decorated, which is INIT, and kept."""
    made = []

    @lambdakit.handler
    class Handler:
        """Counts."""

        def __init__(self) -> None:
            made.append(self)
            self.calls = 0

        def __call__(self, event: Any, context: Any) -> int:
            self.calls += 1
            return self.calls

    assert [Handler({}, None), Handler({}, None)] == [1, 2]
    assert len(made) == 1
    assert (Handler.__name__, Handler.__doc__) == ("Handler", "Counts.")


def test_a_mangum_object() -> None:
    """A real adapter of a real ASGI application; a ping does not reach it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    loop = asyncio.new_event_loop()  # Mangum asks for the current one, which from 3.12 on is not made for it
    asyncio.set_event_loop(loop)
    handler = lambdakit.handler(Mangum(app, lifespan="off"))
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/orders",
        "rawQueryString": "",
        "headers": {},
        "requestContext": {"http": {"method": "GET", "path": "/orders", "sourceIp": "1.2.3.4"}},
        "isBase64Encoded": False,
    }
    assert handler(event, FakeContext())["body"] == "/orders"
    assert handler(PING, FakeContext())["ping"] == "lambda-warmer"
    asyncio.set_event_loop(None)
    loop.close()


def test_a_handler_that_calls_another_is_one_invocation() -> None:
    """With the same context: a router over decorated functions, or the decorator applied twice."""
    numbers = []

    @lambdakit.handler
    def inner(event: Any, context: Any) -> Any:
        numbers.append(lambdakit.invocation().number)
        return event

    @lambdakit.handler
    def outer(event: Any, context: Any) -> Any:
        return inner(event, context)

    assert outer({}, FakeContext()) == {}
    assert outer(PING, FakeContext())["ping"] == "lambda-warmer"
    assert (numbers, lambdakit.environment().invocations) == ([1], 1)


def test_applying_it_ends_init() -> None:
    """The last application is the outermost; what comes before the first event is not INIT any more."""
    clock = ManualClock()
    with lambdakit.use_environment(Environment(clock=clock)) as env:
        clock.tick(2)
        lambdakit.handler(lambda event, context: None)
        clock.tick(3)
        assert env._begin(None).init_to_invoke_s == 3


def test_options_are_frozen_when_it_is_applied() -> None:
    """A handler belongs to no environment: each call finds the one in place."""
    fn = lambdakit.handler(lambda event, context: lambdakit.invocation().number)
    with lambdakit.use_environment(Environment()):
        assert fn({}, None) == 1
    assert fn({}, None) == 1


async def coroutine(event: Any, context: Any) -> None:
    """A coroutine function."""


@pytest.mark.parametrize(
    ("fn", "said"), [(5, "not int"), ("app.handler", "not str"), (type("Plain", (), {}), "Plain cannot be called")]
)
def test_what_cannot_be_called_is_refused(fn: Any, said: str) -> None:
    """At once, with what was given."""
    with pytest.raises(ConfigurationError, match=said):
        lambdakit.handler(fn)


@pytest.mark.parametrize("decorator", [lambdakit.handler, lambdakit.cached, lambdakit.singleton])
def test_nothing_cannot_be_decorated(decorator: Any) -> None:
    """What makes the function has forgotten to return it: told where it stands, not at the first call."""
    with pytest.raises(ConfigurationError, match=rf"{decorator.__name__}: give a function.*, not NoneType"):
        decorator(None)


@pytest.mark.parametrize("arguments", [({}, FakeContext()), (), ({}, None, 5)])
def test_options_alone_are_no_handler(arguments: Any) -> None:
    """The runtime calls what `handler(...)` has returned: the error says what it is, and what it should be."""
    with pytest.raises(ConfigurationError, match=r"^lambdakit\.handler\(\.\.\.\) was given options and no function"):
        lambdakit.handler(metrics="Shop")(*arguments)


@pytest.mark.parametrize("warmup", ["yes", 1, None, []])
def test_a_wrong_warmup_is_refused_where_it_stands(warmup: Any) -> None:
    """Before the function is given, and with it."""
    with pytest.raises(ConfigurationError, match=r"give True, False, a lambdakit.Warmup\(...\), or a function"):
        lambdakit.handler(warmup=warmup)
    with pytest.raises(ConfigurationError, match=r"give True, False, a lambdakit.Warmup\(...\), or a function"):
        lambdakit.handler(coroutine, warmup=warmup)


@pytest.mark.parametrize("on_ping", ["yes", 1, True, []])
def test_a_wrong_on_ping_is_refused_where_it_stands(on_ping: Any) -> None:
    """Only a function can be called."""
    with pytest.raises(ConfigurationError, match="give a function without arguments, or None"):
        lambdakit.handler(on_ping=on_ping)


def test_a_hook_that_would_have_to_be_awaited_is_refused() -> None:
    """Nobody awaits it."""

    async def hook() -> None: ...

    with pytest.raises(ConfigurationError, match="a coroutine function is awaited or read by nobody"):
        lambdakit.handler(on_ping=hook)


def test_a_ping_runs_a_hook_and_nothing_else_of_the_user() -> None:
    """With every way to recognise one; an event that is none does not run it."""
    calls: list[str] = []
    for warmup in (True, lambdakit.Warmup(), lambda event, context: event == PING):
        fn = lambdakit.handler(warmup=warmup, on_ping=lambda: calls.append("hook"))(
            lambda event, context: calls.append("handler")
        )
        assert fn(PING, None)["ping"] in {"lambda-warmer", "<lambda>"}
        fn({"order": 1}, None)
    assert calls == ["hook", "handler"] * 3


def test_warmup_false_runs_no_hook() -> None:
    """Nothing is a ping then."""
    calls: list[str] = []
    fn = lambdakit.handler(warmup=False, on_ping=lambda: calls.append("hook"))(lambda event, context: event)
    assert (fn(PING, None), calls) == (PING, [])


def test_preload_is_found_through_other_decorators() -> None:
    """One outside of ours that keeps the attributes of what it wraps, methods and classes too."""
    backend = MemoryBackend(secrets={"a": "1"})

    def outer(fn: Any) -> Any:
        @functools.wraps(fn)
        def wrapper(event: Any, context: Any) -> Any:
            return fn(event, context)

        return wrapper

    class Handler:
        def __call__(self, event: Any, context: Any) -> Any:
            return event

    decorate = lambdakit.handler(preload=[lambdakit.secret("a")])
    for handler in (outer(decorate(lambda event, context: event)), decorate(Handler), decorate(Handler())):
        backend.calls.clear()
        Environment(backend=backend).preload(handler)
        assert backend.calls == [("secret", "a")]
        assert handler("event", None) == "event"


def test_a_handler_that_is_left_by_a_child_raises_what_it_raises() -> None:
    """A fork within an invocation: in the child, the environment knows of none, and `sys.exit` has to end it."""

    @lambdakit.handler
    def fn(event: Any, context: Any) -> None:
        lambdakit.environment()._after_fork_in_child()  # what happens in the child
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        fn({}, FakeContext())


@pytest.mark.parametrize("reseed", [None, 0, "no"])
def test_a_wrong_reseed_is_refused_where_it_stands(reseed: Any) -> None:
    """True or False."""
    with pytest.raises(ConfigurationError, match=r"reseed=.*: give True or False"):
        lambdakit.handler(reseed=reseed)
