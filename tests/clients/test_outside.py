"""SDK clients follow what a session takes from outside when it begins: credentials, handlers of botocore's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import boto3
import botocore
import botocore.awsrequest
import botocore.handlers
import pytest
from botocore.handlers import BUILTIN_HANDLERS, REGISTER_FIRST, REGISTER_LAST
from botocore.stub import Stubber

import lambdakit
from http_server import KeepingServer, keeping, response
from lambdakit import Environment
from lambdakit._clients import Clients

KEY = re.compile(rb"Credential=([^/]+)/")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeepingServer]:
    """A service that answers every call of SQS, and of Secrets Manager."""
    body = b'{"QueueUrls": [], "SecretString": "v", "VersionId": "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"}'
    with keeping(answer=lambda *_: response(200, body, Content_Type="application/x-amz-json-1.0")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield server


@pytest.fixture
def env(server: KeepingServer) -> Iterator[Environment]:
    """Of the SDK, whose clients connect to the server."""
    env = Environment()
    with lambdakit.use_environment(env):
        yield env
    for one in (env, *ENVIRONMENTS.values()):
        one.close()
    ENVIRONMENTS.clear()


def signers(server: KeepingServer) -> list[str]:
    """The access key of each request."""
    return [found[1].decode() for head, _ in server.requests if (found := KEY.search(head))]


def fetch(backend: str) -> None:
    """A secret, by the environment of that backend."""
    with lambdakit.use_environment(ENVIRONMENTS.setdefault(backend, Environment(backend=backend))):
        lambdakit.get_secret("s", ttl=0)


ENVIRONMENTS: dict[str, Environment] = {}
CALLERS: dict[str, Callable[[], Callable[[], Any]]] = {
    **{backend: partial(partial, fetch, backend) for backend in ("direct", "sdk", "auto")},
    "a client that a user holds": lambda: lambdakit.client("sqs").list_queues,
    "a resource": lambda: lambdakit.resource("sqs").meta.client.list_queues,
}


@pytest.mark.parametrize("caller", CALLERS)
def test_credentials_of_variables_are_read_again_when_these_change(
    caller: str, env: Environment, server: KeepingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a mock of AWS changes them, and changes them back: its fakes are not sent to AWS, nor real ones to it."""
    call = CALLERS[caller]()
    for key in ("AKIDREAL", "AKIDREAL", "FOOBARKEY", "AKIDREAL"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        call()
    assert signers(server) == ["AKIDREAL", "AKIDREAL", "FOOBARKEY", "AKIDREAL"]


def test_what_is_made_later_begins_with_what_is_outside_now(
    env: Environment, server: KeepingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although its session is older."""
    lambdakit.client("sns")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDLATER")
    lambdakit.client("sqs").list_queues()
    assert signers(server) == ["AKIDLATER"]


def test_without_a_change_nothing_is_renewed(env: Environment, server: KeepingServer) -> None:
    """The connection stays, and so do the credentials."""
    client = lambdakit.client("sqs")
    credentials = client._request_signer._credentials
    for _ in range(3):
        client.list_queues()
    assert client._request_signer._credentials is credentials
    assert server.connections == 1


# -- botocore's own handlers


def answering(event_name: str, **_: Any) -> Any:
    """Answer a call in the place of the service."""
    del event_name
    return botocore.awsrequest.AWSResponse("http://stub", 200, {}, None), {"QueueUrls": ["stubbed"]}


@pytest.mark.parametrize("order", [(), (REGISTER_FIRST,), (REGISTER_LAST,)])
def test_a_handler_that_joins_botocores_is_asked_by_what_was_made_before(
    order: tuple[Any, ...], env: Environment, server: KeepingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As moto's does when it is imported: kept clients, held ones, those of resources; when it leaves, by none."""
    clients = [lambdakit.client("sqs"), lambdakit.resource("sqs").meta.client]
    with monkeypatch.context() as patch:
        joined = [*BUILTIN_HANDLERS, ("before-call", answering, *order)]
        patch.setattr(botocore.handlers, "BUILTIN_HANDLERS", joined)
        clients.append(lambdakit.client("sqs", region="us-east-1"))
        assert [client.list_queues().get("QueueUrls") for client in clients] == [["stubbed"]] * 3
        assert server.requests == []
    assert [client.list_queues().get("QueueUrls", []) for client in clients] == [[]] * 3
    assert len(server.requests) == 3


def test_a_restore_is_such_a_change(env: Environment, server: KeepingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After it nothing is left to be renewed: what was connected since then stays connected."""
    client = lambdakit.client("sqs")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDRESTORED")
    env._renew()
    assert lambdakit.prime(client)
    client.list_queues()
    assert (signers(server), server.connections) == (["AKIDRESTORED"], 1)


# -- who listens to a client


def other(**_: Any) -> None:
    """A handler of somebody's."""


def test_who_listens_to_a_kept_client_is_seen(env: Environment) -> None:
    """Until it leaves; a client that is not there has none, and one of another service, or region, says nothing."""
    clients = env._parts[Clients]
    assert not clients.listened_to("sqs", None)
    client = lambdakit.client("sqs")
    assert not clients.listened_to("sqs", None)
    client.meta.events.register("before-call.sqs", other)
    assert clients.listened_to("sqs", None)
    assert clients.listened_to("sqs", "eu-west-1")
    assert not clients.listened_to("sqs", "us-east-1")
    assert not clients.listened_to("sns", None)
    client.meta.events.unregister("before-call.sqs", other)
    assert not clients.listened_to("sqs", None)
    with Stubber(client):
        assert clients.listened_to("sqs", None)
    assert not clients.listened_to("sqs", None)


def test_who_listens_to_every_session_listens_to_none(env: Environment) -> None:
    """As Powertools does, which adds itself to the user agent."""

    def initialise(session: Any) -> None:
        session.register("before-call", other)

    botocore.register_initializer(initialise)
    try:
        lambdakit.client("sqs")
    finally:
        botocore.unregister_initializer(initialise)
    assert not env._parts[Clients].listened_to("sqs", None)


def test_a_botocore_that_keeps_its_handlers_elsewhere_may_have_any(env: Environment) -> None:
    """Nobody knows: the SDK is asked, which is slower, and never wrong."""
    clients, client = env._parts[Clients], lambdakit.client("sqs")
    for events in (client.meta.events, clients._session.get_component("event_emitter")):
        events._emitter.__dict__ = {}
    assert clients.listened_to("sqs", None)


def test_a_default_session_that_somebody_listens_to_is_boto3s_own(
    env: Environment, server: KeepingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where boto3 is patched: what was registered there answers, as it would without the patch."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    lambdakit.patch("boto3")
    try:
        boto3.setup_default_session()
        assert boto3.client("sqs") is lambdakit.client("sqs")
        boto3.DEFAULT_SESSION.events.register("before-call", answering)  # type: ignore[attr-defined] # there is one
        assert boto3.client("sqs").list_queues()["QueueUrls"] == ["stubbed"]
    finally:
        lambdakit.unpatch("boto3")
    assert server.requests == []
