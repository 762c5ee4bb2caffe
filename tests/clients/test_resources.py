"""Resources: one for each thread, over one client."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Attr
from boto3.dynamodb.transform import DynamoDBHighLevelResource, TransformationInjector

import lambdakit
from faults import answering, serving
from http_server import response

ANSWER = answering(response(body=b'{"TableNames": []}', Content_Type="application/x-amz-json-1.0"))


def of_every_thread(make: Callable[[], Any], threads: int = 8) -> list[Any]:
    """What each of so many threads gets, all at once."""
    barrier = threading.Barrier(threads)

    def first(_: int) -> Any:
        barrier.wait(30)
        return make()

    with ThreadPoolExecutor(threads) as pool:
        return [*pool.map(first, range(threads))]


@pytest.mark.parametrize("service", ["dynamodb", "s3", "sqs"])
def test_resources_of_all_threads_have_one_client(service: str) -> None:
    """Each thread has its own resource, with its own metadata; what is thread-safe is made once."""
    resources = of_every_thread(lambda: lambdakit.resource(service))
    assert len({id(resource) for resource in resources}) == len({id(resource.meta) for resource in resources}) == 8
    assert len({id(resource.meta.client) for resource in resources}) == 1
    assert resources[0].meta.client is not lambdakit.client(
        service
    )  # a resource changes what its client takes and gives
    assert type(resources[0]).__name__ == type(boto3.resource(service, region_name="us-east-1")).__name__


def test_conditions_of_two_threads_do_not_mix() -> None:
    """boto3 counts the placeholders of a condition in one object for each client: here each thread counts by itself."""
    sent: list[Any] = []

    def answer(params: Any, **_: Any) -> Any:
        sent.append(json.loads(params["body"])["ExpressionAttributeNames"])
        return SimpleNamespace(status_code=200), {}

    def put(condition: Any) -> None:
        lambdakit.resource("dynamodb").Table("t").put_item(Item={"id": "1"}, ConditionExpression=condition)

    class Meanwhile(Attr):  # type: ignore[misc] # boto3 has no types
        """An attribute that is read when another thread has made a request of its own."""

        @property
        def name(self) -> str:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(put, Attr("x").eq(1) & Attr("y").eq(2)).result(30)
            return "b"

        @name.setter
        def name(self, _: str) -> None: ...

    lambdakit.resource("dynamodb").meta.client.meta.events.register("before-call.dynamodb", answer)
    put(Attr("a").eq(1) & Meanwhile("b").eq(2) & Attr("c").eq(3))
    *others, mine = sent
    assert mine == {"#n0": "a", "#n1": "b", "#n2": "c"}
    assert others == [{"#n0": "x", "#n1": "y"}] * len(others) != []


@pytest.mark.parametrize("name", ["_injector", "_condition_builder"])
def test_a_boto3_that_counts_elsewhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread has a client of its own then, as it would have with boto3."""
    made = TransformationInjector.__init__

    def elsewhere(self: Any, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        setattr(self, "_elsewhere", vars(self).pop("_condition_builder"))  # noqa: B010 - as another version may call it

    if name == "_injector":
        monkeypatch.setattr(DynamoDBHighLevelResource, "__setattr__", _without_injector, raising=False)
    else:
        monkeypatch.setattr(TransformationInjector, "__init__", elsewhere)
    resources = of_every_thread(lambda: lambdakit.resource("dynamodb"), threads=2)
    assert len({id(resource.meta.client) for resource in resources}) == 2
    assert lambdakit.resource("dynamodb") is lambdakit.resource("dynamodb")


def _without_injector(self: Any, name: str, value: Any) -> None:
    object.__setattr__(self, name, value if name != "_injector" else SimpleNamespace(**methods_of(value)))


def methods_of(injector: Any) -> dict[str, Any]:
    return {name: getattr(injector, name) for name in dir(injector) if name.startswith("inject")}


def test_what_is_primed_in_init_serves_every_thread() -> None:
    """`preload` runs in a thread of its own; the first request of any other finds the connection."""
    with serving(ANSWER) as server:
        url = f"http://127.0.0.1:{server.port}/"

        def resource() -> Any:
            return lambdakit.resource("dynamodb", endpoint_url=url)

        lambdakit.environment().preload(lambda: lambdakit.prime(resource()))
        end_s = time.monotonic() + 30
        while server.connections == 0 and time.monotonic() < end_s:
            time.sleep(0.01)  # it is there; the server has to take it
        assert server.connections == 1
        assert resource().meta.client.list_tables()["TableNames"] == []
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(resource).result(30)
            assert pool.submit(other.meta.client.list_tables).result(30)["TableNames"] == []
        assert server.connections == 1
        lambdakit.environment().close()
        assert resource().meta.client is not None


def test_past_32_resources_the_oldest_are_made_anew(caplog: pytest.LogCaptureFixture) -> None:
    """As clients: an endpoint that is another one at each call would fill the memory."""
    first = lambdakit.resource("sqs", endpoint_url="http://127.0.0.1:1/0")
    for number in range(1, 33):
        lambdakit.resource("sqs", endpoint_url=f"http://127.0.0.1:1/{number}")
    assert ["more than 32 SDK clients" in message for message in caplog.messages] == [True]
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambdakit.resource, "sqs", endpoint_url="http://127.0.0.1:1/0").result(30)
    assert other.meta.client is not first.meta.client
