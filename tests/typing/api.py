"""The whole public API as users write it, for type checkers; never executed."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, TypedDict, assert_type

import lambdakit
from lambdakit.backends import Backend, Secret
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


@lambdakit.handler
async def bare_async(event: Event, context: Context) -> str:
    return str(event["order"])


@lambdakit.handler(loop="uvloop", grace=None, warmup=False)
async def async_with_options(event: Event, context: Context) -> str:
    return str(event["order"])


class AsyncHandler:
    @lambdakit.handler(grace=0.5)
    async def method(self, event: Event, context: Context) -> int:
        return event["order"]

    async def __call__(self, event: Event, context: Context) -> float:
        return 0.0


def watch(record: lambdakit.Record) -> None:
    assert_type(record["start_kind"], str)
    assert_type(record["cold_start"], bool)


def warm() -> int:
    return 1


@lambdakit.handler(
    metrics="Shop", on_invocation=[watch, print], warmup=lambdakit.Warmup(max_concurrency=20), on_ping=warm
)
def watched(event: Event, context: Context) -> str:
    lambdakit.metric("Orders", 1, "Count")
    return str(event["order"])


def wanted() -> None:
    lambdakit.fan_out(3)


@lambdakit.handler(warmup=lambdakit.Warmup(dialects=["lambda-warmer", "schedule"], max_concurrency=20), on_ping=wanted)
def kept_warm(event: Event, context: Context) -> str:
    return "warm"


event: Event = {"order": 1}
assert_type(watched(event, Context()), str)
lambdakit.handler(metrics=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def awaited() -> None:
    await bare_async(event, Context())
    await AsyncHandler().method(event, Context())


# What it brings where no loop runs, a coroutine where one does: a type checker cannot know which.
assert_type(bare_async(event, Context()), Any)
assert_type(async_with_options(event, Context()), Any)
assert_type(AsyncHandler().method(event, Context()), Any)
assert_type(lambdakit.handler(AsyncHandler())(event, Context()), Any)
assert_type(lambdakit.handler(AsyncHandler)(event, Context()), Any)
assert_type(lambdakit.handler(loop="asyncio")(AsyncHandler())(event, Context()), Any)
assert_type(lambdakit.handler(grace=1)(bare)(event, Context()), str)
bare_async(5, Context())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - an event of the wrong type
lambdakit.handler(loop="trio")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]

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


def connect() -> str:
    return "connected"


@lambdakit.handler(
    preload=[
        lambdakit.secret("prod/db"),
        lambdakit.parameter("/shop/flags", transform="json"),
        lambdakit.parameters("/shop"),
        lambda: lambdakit.client("dynamodb"),
        connect,
    ],
    preload_budget=2.5,
    reseed=False,
)
def with_preload(event: Event, context: Context) -> int:
    return event["order"]


assert_type(with_preload(event, Context()), int)
lambdakit.handler(preload=["prod/db"])  # type: ignore[list-item]  # pyright: ignore[reportCallIssue, reportArgumentType] - a bare name
lambdakit.handler(preload=[bare])  # type: ignore[list-item]  # pyright: ignore[reportCallIssue, reportArgumentType] - takes arguments

assert_type(lambdakit.environment(), lambdakit.Environment)
lambdakit.environment().preload()
lambdakit.environment().preload(lambdakit.secret("x"), connect, with_preload, budget=1)
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
assert_type(lambdakit.get_parameter("/x.json", transform="auto"), Any)
assert_type(lambdakit.get_secret("x.json", transform="auto"), Any)
assert_type(lambdakit.get_parameter("/x", transform=float), float)
assert_type(lambdakit.get_parameter("/x", transform=json.loads), Any)

assert_type(lambdakit.get_secret("x", stale_ttl=0.5), Any)
assert_type(lambdakit.get_parameter("/x", stale_ttl=0), str)

assert_type(lambdakit.get_secrets(["a", "b"]), dict[str, Any])
assert_type(
    lambdakit.get_secrets({"a"}, transform="json", ttl=60, stale_ttl=0, region="r", on_error="omit"), dict[str, Any]
)
assert_type(lambdakit.get_parameters(name for name in "ab"), dict[str, Any])
assert_type(lambdakit.get_parameters(("a",), transform=int, decrypt=False, on_error="raise"), dict[str, Any])
assert_type(lambdakit.get_parameters_by_path("/shop"), dict[str, Any])
assert_type(
    lambdakit.get_parameters_by_path("/shop", recursive=False, transform=int, ttl=1, decrypt=False, on_error="omit"),
    dict[str, Any],
)
lambdakit.get_secrets(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - not names
lambdakit.get_secrets(["a"], on_error="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
lambdakit.get_secrets(["a"], 60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] - keyword-only

assert_type(lambdakit.get_secrets(["a"], force_fetch=True, on_error="return", transform="auto"), dict[str, Any])
assert_type(lambdakit.get_parameters_by_path("/a", force_fetch=True, on_error="return"), dict[str, Any])

assert_type(lambdakit.set_secret("a", {"b": 1}, version_stages=["AWSCURRENT"], region="r"), str | None)
assert_type(lambdakit.set_secret("a", b"b"), str | None)
assert_type(lambdakit.set_parameter("/a", "b", parameter_type="String", overwrite=True, kms_key_id="k"), int)
lambdakit.set_parameter("/a", b"b")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - text only

assert_type(lambdakit.get_app_config("app", "prod", "flags"), Any)
assert_type(lambdakit.get_app_config("app", "prod", "flags", field="beta", ttl=60, force_fetch=True), Any)
assert_type(lambdakit.get_app_config("app", "prod", "flags", transform="json", stale_ttl=0, region="r"), Any)
lambdakit.get_app_config("app", "prod")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] - no profile

assert_type(lambdakit.get_item("orders", {"id": "o-1", "n": Decimal(1)}), Any)
assert_type(lambdakit.get_item("orders", {"id": b"1"}, field="total", transform=int, consistent=True, ttl=1), Any)
lambdakit.get_item("orders", "o-1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - not a key

assert_type(lambdakit.secret("x", field="a", transform="json", version_id="v", region="r"), lambdakit.Declaration)
assert_type(lambdakit.parameter("/x", ttl=60, stale_ttl=0, decrypt=False), lambdakit.Declaration)
assert_type(lambdakit.parameters("/x", recursive=False, transform=int), lambdakit.Declaration)
assert_type(lambdakit.secret("x").get(), Any)
assert_type(lambdakit.secret("x").state, lambdakit.State)
assert_type(lambdakit.secret("x").state.age_s, float | None)
assert_type(lambdakit.secret("x").state.upper(), str)
lambdakit.secret("x", ttl="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

assert_type(lambdakit.prime(client), bool)


@lambdakit.on_restore
def reconnect() -> None: ...


reconnect()


@lambdakit.cached
def squared(number: int) -> int:
    return number**2


@lambdakit.cached(ttl=lambda token: token["expires_in"] - 30, stale_ttl=0, max_size=10, key=str.lower)
def token(user: str) -> dict[str, int]:
    return {"expires_in": 60}


@lambdakit.cached(ttl=60)
async def fetched(number: int) -> str:
    return str(number)


class Repository:
    @lambdakit.cached
    def order(self, number: int) -> str:
        return str(number)

    @lambdakit.retry_on_rotation("prod/db", errors=ValueError)
    def query(self, text: str) -> list[str]:
        return [text]


assert_type(squared(5), int)
assert_type(token("x"), dict[str, int])
assert_type(Repository().order(5), str)
assert_type(Repository().query("x"), list[str])
squared.invalidate(5)
squared.clear()
squared("5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - its own arguments
lambdakit.cached(ttl="5")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


@lambdakit.retry_on_rotation("prod/db", lambdakit.parameter("/db"), errors=(ValueError, KeyError))
def query(text: str, *, limit: int = 5) -> bytes:
    return b""


@lambdakit.retry_on_rotation("prod/db", errors=OSError)
async def query_async(text: str) -> bytes:
    return b""


async def coroutine() -> None:
    assert_type(await fetched(5), str)
    assert_type(await query_async("x"), bytes)


assert_type(query("x", limit=1), bytes)
query(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
lambdakit.retry_on_rotation("prod/db")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] - which errors
for attempt in lambdakit.rotation_attempts("prod/db", lambdakit.secret("x"), errors=ValueError):
    with attempt:
        query("x")

counted = lambdakit.stats()
assert_type(counted["hits"] + counted["fetches"] + counted["stale"] + counted["errors"] + counted["waits"], int)
assert_type(counted["entries"] + counted["bytes"], int)
assert_type(counted["keys"]["secret 'x'"]["hits"], int)

assert_type(lambdakit.decrypt_env("X"), str)
assert_type(lambdakit.decrypt_env("X", context={"a": "b"}), str)
lambdakit.invalidate("x")
lambdakit.clear()

clock = ManualClock(wall_s=0.0, chance=0.5)
clock.tick(1)
clock.suspend(1)
clock.set_wall(0.0)
backend = MemoryBackend(
    secrets={"x": "1", "b": b"2", "e": RuntimeError()},
    parameters={"/x": "1"},
    app_configs={"app/prod/flags": b"1"},
    items={("orders", "o-1"): {"id": "o-1", "tags": {"a"}}},
)
held: Backend = backend
assert_type(held.get_secret("x", region=None, version_id=None, version_stage=None), Secret)
lambdakit.Environment(backend=held)
lambdakit.Environment(backend="direct")
lambdakit.Environment(backend=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - no backend
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
except lambdakit.BatchError as failed:
    assert_type(failed.errors, dict[str, Exception])
    assert_type(failed.values, dict[str, Any])
    assert_type(failed.retryable, bool)


@lambdakit.singleton
def connection() -> list[int]:
    return []


@lambdakit.singleton(check=len, broken=(ValueError, OSError))
async def async_connection() -> list[int]:
    return []


async def uses_connections() -> None:
    assert_type(connection(), list[int])
    assert_type(await async_connection(), list[int])
    connection.invalidate()
    connection.invalidate(connection())
    async_connection.invalidate()


lambdakit.singleton(broken=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]

assert_type(
    str(lambdakit.oauth_token("https://x", client_id="a", client_secret="b", resource=["c"], extra={"d": "e"})), str
)
lambdakit.oauth_token("https://x", client_id="a", client_assertion=lambda: "jwt", auth_method="private_key_jwt")
lambdakit.oauth_token("https://x", client_id="a", client_assertion="jwt")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
