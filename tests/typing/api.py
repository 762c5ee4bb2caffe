"""The whole public API as users write it, for type checkers; never executed."""

from __future__ import annotations

import json
from typing import Any, TypedDict, assert_type

import lambdakit
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend


class Event(TypedDict):
    order: int


class Context:
    aws_request_id: str


@lambdakit.handler
def bare(event: Event, context: Context) -> str:
    return str(event["order"])


@lambdakit.handler(warmup=False)
def with_options(event: Event, context: Context) -> dict[str, int]:
    return {"order": event["order"]}


def is_ping(event: Any, context: Any) -> bool:
    return bool(event == {})


@lambdakit.handler(warmup=is_ping)
def with_predicate(event: Event, context: Context) -> None: ...


class App:
    @lambdakit.handler
    def method(self, event: Event, context: Context) -> int:
        return event["order"]

    def __call__(self, event: Event, context: Context) -> bytes:
        return b""


class Handler:
    def __call__(self, event: Event, context: Context) -> float:
        return 0.0


event: Event = {"order": 1}
assert_type(bare(event, Context()), str)
assert_type(with_options(event, Context()), dict[str, int])
assert_type(with_predicate(event, Context()), None)
assert_type(App().method(event, Context()), int)
assert_type(lambdakit.handler(App())(event, Context()), bytes)
# As `@lambdakit.handler` above the class; mypy does not follow decorators of classes.
assert_type(lambdakit.handler(Handler)(event, Context()), float)

bare(5, Context())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - an event of the wrong type
bare(event)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] - no context
lambdakit.handler(warmup=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]

assert_type(lambdakit.environment(), lambdakit.Environment)
assert_type(lambdakit.invocation(), lambdakit.Invocation)
assert_type(lambdakit.invocation().number, int)
assert_type(lambdakit.invocation().start_kind, str)
assert_type(lambdakit.invocation().is_cold_start, bool)
assert_type(lambdakit.invocation().request_id, str | None)
assert_type(lambdakit.invocation().init_to_invoke_s, float)
assert_type(lambdakit.invocation().remaining_s(), float | None)
assert_type(lambdakit.is_cold_start(), bool)
assert_type(lambdakit.remaining_s(), float | None)

table = lambdakit.resource("dynamodb", region="eu-west-1").Table("orders")
client = lambdakit.client("dynamodb", region="eu-west-1", endpoint_url="http://localhost:8000", config=None)
lambdakit.client("dynamodb", "eu-west-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] - keyword-only

assert_type(lambdakit.get_secret("x"), Any)
assert_type(lambdakit.get_secret("x", field="a"), Any)
assert_type(lambdakit.get_secret("x", transform="json", ttl=60), Any)
assert_type(lambdakit.get_secret("x", transform="binary"), bytes)
assert_type(lambdakit.get_secret("x", transform=len), int)
assert_type(lambdakit.get_secret("x", version_id="v", version_stage="s", region="r", force_fetch=True), Any)
lambdakit.get_secret("x", transform="yaml")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]

assert_type(lambdakit.get_parameter("/x"), str)
assert_type(lambdakit.get_parameter("/x", ttl=0, decrypt=False, region="r", force_fetch=True), str)
assert_type(lambdakit.get_parameter("/x", field="a"), Any)
assert_type(lambdakit.get_parameter("/x", transform="json"), Any)
assert_type(lambdakit.get_parameter("/x", transform="binary"), bytes)
assert_type(lambdakit.get_parameter("/x", transform=float), float)
assert_type(lambdakit.get_parameter("/x", transform=json.loads), Any)

assert_type(lambdakit.decrypt_env("X"), str)
assert_type(lambdakit.decrypt_env("X", context={"a": "b"}), str)
lambdakit.invalidate("x")
lambdakit.clear()

clock = ManualClock(wall_s=0.0)
clock.tick(1)
clock.suspend(1)
clock.set_wall(0.0)
backend = MemoryBackend(secrets={"x": "1", "b": b"2", "e": RuntimeError()}, parameters={"/x": "1"})
env = lambdakit.Environment(settings=lambdakit.Settings(region="r", ttl_s=60.0), clock=clock, backend=backend)
with lambdakit.use_environment(env) as used:
    assert_type(used, lambdakit.Environment)
    bare(event, FakeContext(remaining_s=1.0))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
env.close()

try:
    lambdakit.get_secret("x")
except lambdakit.FetchError as error:
    assert_type(error.retryable, bool)
    assert_type(error.code, str | None)
    assert_type(error.request_id, str | None)
