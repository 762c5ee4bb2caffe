"""Recognition of pings: each dialect, nothing else, never an exception."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdakit._warmup import recognise
from lambdakit.testing import FakeContext

PLUGIN = SimpleNamespace(custom={"source": "serverless-plugin-warmup"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["warmer", "source", "resources", "x"]), inner),
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


@given(JSON, st.sampled_from([None, FakeContext(), FakeContext(client_context=PLUGIN), 5]))
def test_it_is_total(event: Any, context: Any) -> None:
    """Any JSON value, any context: a name or None, never an exception."""
    assert recognise(event, context) in {None, "lambda-warmer", "serverless-plugin-warmup", "thundra", "zappa"}


def test_a_hostile_event_is_no_ping() -> None:
    """An event whose methods raise, as a lazy proxy may: the user's handler gets it."""

    class Hostile(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            raise RuntimeError

    assert recognise(Hostile(), None) is None
