"""Recognition of pings: each dialect, nothing else, never an exception."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lambdakit
from lambdakit import ConfigurationError, Warmup
from lambdakit._warmup import DIALECTS, GREEDY, recognise
from lambdakit.testing import FakeContext

FIXTURES = Path(__file__).parent / "fixtures"
EVENTS = sorted((FIXTURES / "events").glob("*.json"))
RULE = {
    "source": "aws.events",
    "detail-type": "Scheduled Event",
    "detail": {},
    "resources": ["arn:aws:events:eu-west-1:1:rule/nightly"],
}
SCHEDULE = {"source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": "{}"}
GREEDY_ONES = Warmup(dialects=[*DIALECTS, *GREEDY])

PLUGIN = SimpleNamespace(custom={"source": "serverless-plugin-warmup"})
KEYS = [
    *("warmer", "source", "resources", "detail", "detail-type", "concurrency", "target", "test", "x"),
    *("__WARMER_INVOCATION__", "__WARMER_CONCURRENCY__", "__WARMER_CORRELATIONID__", "__WARMER_CORRELATION_ID__"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("event", "dialect"),
    [
        ({"warmer": True, "concurrency": 3}, "lambda-warmer"),
        ({"warmer": 1, "concurrency": 3, "target": "other", "test": True}, "lambda-warmer"),
        (
            {
                "warmer": True,
                "__WARMER_INVOCATION__": 2,
                "__WARMER_CONCURRENCY__": 3,
                "__WARMER_CORRELATIONID__": "1",
            },
            "lambda-warmer",
        ),
        ([{"warmer": True}, {"warmer": True, "concurrency": 2}], "lambda-warmer"),
        ({"source": "serverless-plugin-warmup"}, "serverless-plugin-warmup"),
        ("#warmup wait=200", "thundra"),
        ("#warmup", "thundra"),
        (
            {
                "source": "aws.events",
                "detail-type": "Scheduled Event",
                "resources": ["arn:aws:events:eu-west-1:1:rule/shop-handler.keep_warm_callback"],
                "detail": {},
            },
            "zappa",
        ),
    ],
)
def test_each_dialect_is_recognised(event: Any, dialect: str) -> None:
    """facts §1, under its name."""
    assert recognise(event, FakeContext()) == dialect


@pytest.mark.parametrize(
    "event",
    [
        {},
        [],
        "",
        None,
        0,
        False,
        {"warmer": False},
        {"warmer": 0},
        [{"warmer": True}, {"order": 1}],
        [{"order": 1}],
        ["warmer"],
        {
            "source": "aws.events",
            "detail-type": "Scheduled Event",
            "detail": {},
            "resources": ["arn:aws:events:rule/x"],
        },
        {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}},
        {"source": "aws.scheduler", "detail": "{}"},
        {"source": "aws.events", "resources": [5]},
        {"source": "shop", "resources": ["rule/shop-handler.keep_warm_callback"]},
        {"version": "2.0", "routeKey": "POST /orders", "body": "{}"},
        {"Records": [{"eventSource": "aws:sqs", "body": "#warmup"}]},
        "please #warmup",
    ],
)
def test_real_work_reaches_the_handler(event: Any) -> None:
    """Plain schedules and empty events are work; so is everything that no warmer sends."""
    assert recognise(event, FakeContext()) is None


@pytest.mark.parametrize("event", [{}, [], None, "text", {"order": 1}])
def test_a_ping_in_the_client_context(event: Any) -> None:
    """serverless-plugin-warmup sends its mark there, whatever the payload is."""
    assert recognise(event, FakeContext(client_context=PLUGIN)) == "serverless-plugin-warmup"


@pytest.mark.parametrize(
    "client_context",
    [
        None,
        SimpleNamespace(),
        SimpleNamespace(custom=None),
        SimpleNamespace(custom={}),
        SimpleNamespace(custom={"source": "app"}),
        SimpleNamespace(custom=["source"]),
        "text",
    ],
)
def test_other_client_contexts_are_no_pings(client_context: Any) -> None:
    """Mobile SDKs use the client context for things of their own."""
    assert recognise({"order": 1}, FakeContext(client_context=client_context)) is None


def test_without_a_context() -> None:
    """Tests call handlers with None."""
    assert recognise({"order": 1}, None) is None
    assert recognise({"warmer": True}, None) == "lambda-warmer"


class Raising:
    """An object on which every look-up raises."""

    def __init__(self, error: type[Exception]) -> None:
        vars(self)["error"] = error

    def __getattr__(self, name: str) -> Any:
        raise self.error


class Anything:
    """An object that answers to every name, and can be called."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self


class NoContext:
    """One without a client context, as emulators have it."""

    aws_request_id = "1"


class HostileDict(dict[str, Any]):
    """Its methods raise, as those of a lazy proxy may."""

    def get(self, *_: Any) -> Any:
        raise RuntimeError


class HostileTruth:
    """It is neither true nor false, like an array."""

    def __bool__(self) -> bool:
        raise ValueError


ERRORS = st.sampled_from([AttributeError, KeyError, RuntimeError, OSError, RecursionError])
QUIET_CONTEXTS = st.sampled_from(
    [None, 5, "text", FakeContext(), NoContext(), Anything(), Mock(), MagicMock(spec=FakeContext)]
) | st.builds(
    lambda custom: FakeContext(client_context=SimpleNamespace(custom=custom)),
    JSON.filter(lambda one: not (isinstance(one, dict) and one.get("source") == "serverless-plugin-warmup")),
)
RAISING_CONTEXTS = (
    st.builds(Raising, ERRORS)
    | st.builds(lambda error: FakeContext(client_context=Raising(error)), ERRORS)
    | st.just(FakeContext(client_context=SimpleNamespace(custom=HostileDict())))
)
EVENTS_OF_ANY_KIND = (
    JSON
    | st.binary()
    | st.builds(HostileDict, JSON.filter(lambda one: isinstance(one, dict)))
    | st.sampled_from(
        [Anything(), Mock(), MagicMock(spec=dict), MagicMock(spec=list), HostileTruth(), object(), NoContext]
    )
    | st.builds(Raising, ERRORS)
)


@given(EVENTS_OF_ANY_KIND, QUIET_CONTEXTS | RAISING_CONTEXTS | st.just(FakeContext(client_context=PLUGIN)))
def test_it_is_total(event: Any, context: Any) -> None:
    """Any event, JSON or not, any context, also one whose attributes raise: a name that is asked for, or None."""
    assert recognise(event, context) in {None, *DIALECTS}
    assert GREEDY_ONES.recognise(event, context) in {None, *DIALECTS, *GREEDY}


@given(JSON, QUIET_CONTEXTS)
def test_a_context_without_a_mark_changes_nothing(event: Any, context: Any) -> None:
    """Whether it has a client context with other things, or none, or is no context at all: the event alone tells."""
    assert recognise(event, context) == recognise(event, None)
    assert GREEDY_ONES.recognise(event, context) == GREEDY_ONES.recognise(event, None)


@given(JSON, RAISING_CONTEXTS)
def test_a_context_that_raises_makes_no_ping(event: Any, context: Any) -> None:
    """What the event says of itself counts; an empty one, where it could be either, is the handler's."""
    assert recognise(event, context) == recognise(event, None)
    alone = GREEDY_ONES.recognise(event, None)
    assert GREEDY_ONES.recognise(event, context) in {alone, None if alone == "empty" else alone}


@given(JSON)
def test_a_mark_in_the_context_counts_whatever_the_event_is(event: Any) -> None:
    """Unless the event is a ping by itself; an empty event is a ping for want of anything better."""
    context = FakeContext(client_context=PLUGIN)
    assert recognise(event, context) == (recognise(event, None) or "serverless-plugin-warmup")
    alone = GREEDY_ONES.recognise(event, None)
    assert GREEDY_ONES.recognise(event, context) == ("serverless-plugin-warmup" if alone in {None, "empty"} else alone)


@given(JSON, st.sampled_from([None, FakeContext(), FakeContext(client_context=PLUGIN)]))
def test_a_ping_of_any_json_is_answered(event: Any, context: Any) -> None:
    """Whatever a ping holds beside its mark: the constant comes, and the handler is not called."""
    called = []
    handler = lambdakit.handler(warmup=Warmup(dialects=[*DIALECTS, *GREEDY], overlap=0, max_concurrency=20))(
        lambda event, context: called.append(event)
    )
    expected = GREEDY_ONES.recognise(event, context)
    answer = handler(event, context)
    assert bool(called) is (expected is None)
    assert answer is None or answer == {"ping": expected, "environment": lambdakit.environment().id}


def sent() -> list[Any]:
    """What the packages send, as they were recorded: package, payload, client context."""
    return [
        (recording["package"], one["payload"], one["client_context"])
        for path in sorted((FIXTURES / "pings").glob("*.json"))
        for recording in [json.loads(path.read_text(encoding="utf-8"))]
        for run in recording["runs"]
        for one in [*run["sent"], *({"payload": root, "client_context": None} for root in [run.get("root")] if root)]
    ]


@pytest.mark.parametrize(("package", "payload", "client_context"), sent())
def test_what_the_real_packages_send_is_recognised(package: str, payload: Any, client_context: Any) -> None:
    """Recorded from lambda-warmer and serverless-plugin-warmup themselves, with and without their client context."""
    context = FakeContext(client_context=client_context and SimpleNamespace(custom=client_context["custom"]))
    assert recognise(payload, context) == package


def test_the_recordings_are_there() -> None:
    """Of both packages: roots and what is made of them, payloads and client contexts of every kind."""
    assert len(sent()) == 15
    assert {package for package, _, _ in sent()} == {"lambda-warmer", "serverless-plugin-warmup"}
    assert ("serverless-plugin-warmup", {"order": 1}, {"custom": {"source": "serverless-plugin-warmup"}}) in sent()


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_real_events_of_aws_are_work(path: Path) -> None:
    """API Gateway, queues, streams, schedules, ...: as AWS sends them, some with a body that looks like a ping."""
    event = json.loads(path.read_text(encoding="utf-8"))
    assert recognise(event, FakeContext()) is None
    taken = "schedule" if path.stem in {"eventbridge-rule", "eventbridge-scheduler"} else None
    assert GREEDY_ONES.recognise(event, FakeContext()) == taken


def test_the_events_are_there() -> None:
    """At least twenty services."""
    assert len(EVENTS) >= 20


def test_a_hostile_event_is_no_ping() -> None:
    """An event whose methods raise, as a lazy proxy may: the user's handler gets it."""
    assert recognise(HostileDict(), None) is None
    assert recognise(HostileDict(warmer=True), None) is None


@pytest.mark.parametrize("event", [{}, [], "", None, 0, False])
def test_an_empty_event_is_a_ping_on_request(event: Any) -> None:
    """As Thundra sends it; to many functions it is all that they ever get."""
    assert recognise(event) is None
    assert Warmup(dialects=["empty"]).recognise(event) == "empty"
    assert Warmup(dialects=["thundra", "schedule"]).recognise(event) is None


@pytest.mark.parametrize(
    ("event", "dialect"),
    [
        (RULE, "schedule"),
        (SCHEDULE, "schedule"),
        ({**RULE, "detail": {"report": 1}}, None),
        ({**RULE, "detail": None}, None),
        ({**RULE, "detail-type": "Order"}, None),
        ({**RULE, "source": "shop"}, None),
        ({**RULE, "resources": ["rule/shop-handler.keep_warm_callback"]}, "zappa"),
    ],
)
def test_a_plain_schedule_is_a_ping_on_request(event: Any, dialect: str | None) -> None:
    """Of a rule or of the Scheduler, with nothing in it; Zappa's has a name of its own."""
    assert GREEDY_ONES.recognise(event) == dialect
    assert recognise(event) == (dialect if dialect == "zappa" else None)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_only_the_dialects_that_were_named_count(dialect: str) -> None:
    """An event of two dialects is a ping of the one that counts; of none that counts it is work."""
    events: dict[str, Any] = {
        "lambda-warmer": {"warmer": True},
        "serverless-plugin-warmup": {"source": "serverless-plugin-warmup", "warmer": 1},
        "thundra": "#warmup",
        "zappa": {"source": "aws.events", "resources": ["x-handler.keep_warm_callback"]},
    }
    one = Warmup(dialects=[dialect])
    assert {name for name, event in events.items() if one.recognise(event) == dialect} == (
        {dialect, "serverless-plugin-warmup"} if dialect == "lambda-warmer" else {dialect}
    )
    assert one.recognise("work") is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dialects": "lambda-warmer"}, "dialects='lambda-warmer': give a list"),
        ({"dialects": []}, "give a list of one or more.*warmup=False"),
        ({"dialects": 5}, "dialects=5: give a list"),
        ({"dialects": ["lambda-warner"]}, "'lambda-warner' is none of .* Did you mean 'lambda-warmer'"),
        ({"dialects": [5]}, "dialects: 5 is none of lambda-warmer, "),
        ({"max_concurrency": -1}, "max_concurrency=-1: give a whole number from 0 to 100"),
        ({"max_concurrency": 101}, "max_concurrency=101: give a whole number from 0 to 100"),
        ({"max_concurrency": True}, "max_concurrency=True"),
        ({"max_concurrency": 2.0}, r"max_concurrency=2\.0"),
        ({"overlap": -0.1}, "overlap=-0.1: give a number of seconds"),
        ({"budget": "5"}, "budget='5': give a number of seconds"),
        ({"dialects": ["zappa"], "max_concurrency": 2}, "passed on in the dialect 'lambda-warmer'; add it"),
    ],
)
def test_a_wrong_option_is_told(options: Any, message: str) -> None:
    """Where it stands, with what is allowed."""
    with pytest.raises(ConfigurationError, match=message):
        Warmup(**options)


def test_options_tell_what_they_are() -> None:
    """The limits are allowed, and the defaults are those of the manual."""
    assert repr(Warmup()) == (
        "Warmup(dialects=('lambda-warmer', 'serverless-plugin-warmup', 'thundra', 'zappa'), max_concurrency=0, "
        "overlap=None, budget=5)"
    )
    assert Warmup(max_concurrency=100).max_concurrency == 100
    assert "overlap=0.05, " in repr(Warmup(overlap=0.05))


# A predicate of the user's


def test_a_predicate_whose_answer_has_to_be_awaited_finds_no_ping(caplog: pytest.LogCaptureFixture) -> None:
    """A coroutine is true: without a look at it, every request of a user would be taken for a ping."""

    async def is_ping(event: Any, context: Any) -> bool:
        return True

    handler = lambdakit.handler(warmup=lambda event, context: is_ping(event, context))(lambda event, context: "work")  # noqa: PLW0108 - the function itself would be refused
    assert handler({"order": "planted"}, None) == "work"
    (message,) = caplog.messages
    assert message.startswith("warmup predicate ")
    assert message.endswith(" returned a coroutine, which nobody awaits; the event goes to the handler")
    assert "planted" not in message


@pytest.mark.parametrize("answer", [True, 1, "ping", object(), Anything(), Mock()])
def test_whatever_else_is_true_makes_the_event_a_ping(answer: Any) -> None:
    """And what is false does not."""
    handler = lambdakit.handler(warmup=lambda event, context: event and answer)(lambda event, context: "work")
    assert handler({"order": 1}, None)["ping"] == "<lambda>"
    for nothing in ({}, [], 0, None, ""):
        assert handler(nothing, None) == "work"


def test_a_predicate_that_raises_finds_no_ping(caplog: pytest.LogCaptureFixture) -> None:
    """Nor does one whose answer is neither true nor false: a user's request is not lost to warm-up."""
    for answer in (lambda event, context: event["missing"], lambda event, context: HostileTruth()):
        handler = lambdakit.handler(warmup=answer)(lambda event, context: "work")
        assert handler({"order": "planted"}, None) == "work"
    assert caplog.messages == [
        f"warmup predicate <lambda> raised {error}; the event goes to the handler"
        for error in ("KeyError", "ValueError")
    ]


@pytest.mark.parametrize("given", ["yes", 1, [], b"x", HostileDict()])
def test_what_cannot_be_called_is_no_hook_and_no_predicate(given: Any) -> None:
    """It is told where it stands, with what is allowed."""
    with pytest.raises(ConfigurationError, match=r"^on_ping=.*: give a function without arguments, or None$"):
        lambdakit.handler(on_ping=given)
    with pytest.raises(ConfigurationError, match=r"^warmup=.*: give True, False, a lambdakit\.Warmup\(\.\.\.\), or"):
        lambdakit.handler(warmup=given)


def test_without_recognition_there_are_no_pings() -> None:
    """Every event is the handler's, and no hook is called."""
    called: list[int] = []
    handler = lambdakit.handler(warmup=False, on_ping=lambda: called.append(1))(lambda event, context: event)
    assert (handler({"warmer": True}, None), called) == ({"warmer": True}, [])
