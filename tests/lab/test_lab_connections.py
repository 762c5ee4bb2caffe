"""Connections of an environment that was really stopped, for longer than the servers keep idle ones."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from http_server import KeepingServer, keeping, keys, response
from lab_parts import eventually, process_state, read

if TYPE_CHECKING:
    from lambdakit.lab import Lab

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

IDLE_S = 1.0  # after which a server gives up on a connection
MAX_IDLE_S = 0.5  # after which the function does; a busy machine may take that long for one invocation
WAIT_S = 0.3  # what plain clients are told to wait where nothing will come
METHODS = ("GET", "POST")
FRONTS = {"send": ("http", "requests", "httpx", "sdk"), "send_async": ("httpx_async",)}
PLAIN = {"send": "plain_requests", "send_async": "plain_httpx_async"}
# What the server does with an idle connection, and what a plain client gets then. A connection that is closed at once
# is noticed by it; one that is closed when the next request comes, or that nothing comes over any more, is not.
KINDS = {
    "fin": {"plain_requests": "value", "plain_httpx_async": "value"},
    "closed": {"plain_requests": "ConnectionError", "plain_httpx_async": "RemoteProtocolError"},
    "silent": {"plain_requests": "ReadTimeout", "plain_httpx_async": "ReadTimeout"},
}

CODE = """
import httpx, requests
import lambdakit
from botocore.config import Config
from lambdakit import http

session, client = requests.Session(), httpx.AsyncClient()
once = Config(read_timeout=5, retries={"total_max_attempts": 1})  # else botocore hides a loss behind a second attempt

def sdk(method, url, wait_s):
    client = lambdakit.client("apigateway", endpoint_url=url, config=once)
    return client.get_account() if method == "GET" else client.create_api_key()

WAYS = {
    "http": lambda method, url, wait_s: http.request(method, url),
    "requests": lambda method, url, wait_s: http.requests_session().request(method, url),
    "httpx": lambda method, url, wait_s: http.httpx_client().request(method, url),
    "httpx_async": lambda method, url, wait_s: http.httpx_async_client().request(method, url),
    "sdk": sdk,
    "plain_requests": lambda method, url, wait_s: session.request(method, url, timeout=wait_s),
    "plain_httpx_async": lambda method, url, wait_s: client.request(method, url, timeout=wait_s),
}

@lambdakit.handler
def send(event, context):
    outcomes = []
    for way, *request in event["requests"]:
        try:
            WAYS[way](*request)
            outcomes.append("value")
        except Exception as error:
            outcomes.append(type(error).__name__)
    return outcomes

@lambdakit.handler
async def send_async(event, context):
    outcomes = []
    for way, *request in event["requests"]:
        try:
            await WAYS[way](*request)
            outcomes.append("value")
        except Exception as error:
            outcomes.append(type(error).__name__)
    return outcomes
"""


class Cell(NamedTuple):
    """What sends which request to which server: one for each kind and method, so that each has to be a connection."""

    kind: str
    method: str
    way: str


class Frozen(NamedTuple):
    """What came of each request before the freeze and after it, and what the servers saw: path and connection."""

    before: dict[Cell, str]
    after: dict[Cell, str]
    seen_before: dict[tuple[str, str], list[tuple[str, int]]]
    seen_after: dict[tuple[str, str], list[tuple[str, int]]]


Servers = dict[tuple[str, str], KeepingServer]


def _seen(server: KeepingServer) -> list[tuple[str, int]]:
    """The first part of each path, and the number of the connection."""
    heads = [head.split()[1].decode().split("/")[1] for head, _ in server.requests]
    return [*zip(heads, server.numbers, strict=True)]


def _invoked(client: Any, servers: Servers, handler: str, **waits: float) -> dict[Cell, str]:
    """One invocation that sends a request of each kind, method and way."""
    cells = [Cell(*place, way) for place in servers for way in (*FRONTS[handler], PLAIN[handler])]
    requests = [
        (cell.way, cell.method, f"{servers[cell[:2]].url}/{cell.way}", waits.get(cell.kind, 10)) for cell in cells
    ]
    reply = read(client.invoke(FunctionName=handler, Payload=json.dumps({"requests": requests}), LogType="Tail"))
    assert reply.error is None, reply.value
    return dict(zip(cells, reply.value, strict=True))


@pytest.fixture(scope="module")
def frozen(lab: Lab, client: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frozen]:
    """Two functions, invoked, stopped until all servers have given up on all connections, and invoked again."""
    root = tmp_path_factory.mktemp("connections")
    (root / "connections_app.py").write_text(CODE, encoding="utf-8")
    certs = keys(root)
    trusted = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"), str(certs.root))
    with contextlib.ExitStack() as stack:
        servers: Servers = {}
        for kind in KINDS:
            for method in METHODS:
                servers[kind, method] = stack.enter_context(
                    keeping(
                        certs.valid,
                        lambda head, body: response(body=b"{}", Content_Type="application/json"),
                        idle_s=IDLE_S,
                        idle_kind=kind,
                    )
                )
        for handler in FRONTS:
            environment = {**trusted, "LAMBDAKIT_MAX_IDLE": str(MAX_IDLE_S)}
            options: dict[str, Any] = {"environment": environment, "timeout_s": 60, "provisioned": 1}
            lab.deploy(handler, f"connections_app.{handler}", task_root=root, **options)
            stack.callback(lab.remove, handler)
        before = {cell: told for handler in FRONTS for cell, told in _invoked(client, servers, handler).items()}
        began_s = time.monotonic()
        seen_before = {place: _seen(server) for place, server in servers.items()}
        pids = [record.pid or 0 for handler in FRONTS for record in lab.environments(handler)]
        assert eventually(lambda: all(process_state(pid) == "T" for pid in pids))
        assert eventually(
            lambda: time.monotonic() > began_s + IDLE_S and all(server.has_given_up for server in servers.values())
        )
        assert [process_state(pid) for pid in pids] == ["T", "T"]
        after = {
            cell: told for handler in FRONTS for cell, told in _invoked(client, servers, handler, silent=WAIT_S).items()
        }
        seen_after = {place: _seen(server)[len(seen_before[place]) :] for place, server in servers.items()}
        yield Frozen(before, after, seen_before, seen_after)


def _of(way: str, seen: list[tuple[str, int]]) -> list[int]:
    return [number for name, number in seen if name == way]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("front", [front for fronts in FRONTS.values() for front in fronts])
def test_a_request_after_a_freeze_is_answered(frozen: Frozen, kind: str, method: str, front: str) -> None:
    """Whatever became of the connection, and whatever the method: sent once, over another connection."""
    assert (frozen.before[kind, method, front], frozen.after[kind, method, front]) == ("value", "value")
    (kept,) = _of(front, frozen.seen_before[kind, method])
    (new,) = _of(front, frozen.seen_after[kind, method])
    assert kept not in {number for _, number in frozen.seen_after[kind, method]}
    assert new not in {number for _, number in frozen.seen_before[kind, method]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("plain", PLAIN.values())
def test_a_plain_client_beside_them_fails(frozen: Frozen, kind: str, method: str, plain: str) -> None:
    """Or waits for nothing: the freeze was one, and a connection that is only kept does not survive it."""
    assert frozen.before[kind, method, plain] == "value"
    assert frozen.after[kind, method, plain] == KINDS[kind][plain]
