"""What becomes of a request whose kept connection suffered a fault since the last one, through each front."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import httpx
import pytest
import requests
import urllib3
from botocore.config import Config
from running import RunningClock, RunningContext, invocation
from tools.connections import CONTROLS, ERROR, FAULTS, FRONTS, METHODS, OURS, RESENT, SDK, VALUE, WAITS, law

import lambdakit
from http_server import KeepingServer, Keys, keeping, keys, response
from lambdakit import Environment, http

WAIT_S = 0.3  # what they are told to wait here where nothing comes
BOUND_S = 5.0  # what they are told to wait elsewhere: longer than any answer takes
HANGS_S = 60.0  # who waits for so long would wait for ever: a machine that does much else may be slow

ERRORS = (urllib3.exceptions.HTTPError, requests.RequestException, httpx.HTTPError, botocore.exceptions.BotoCoreError)


Send = Callable[[str, float], object]


@contextlib.contextmanager
def _sender(front: str, url: str, root: Path, sdk_wait_s: float) -> Iterator[Send]:
    """What sends a request of a method, waits so many seconds, and raises if there is no value.

    SDK clients wait `sdk_wait_s`, for each response: they are told when they are made.
    """
    options: Any = {"endpoint_url": url, "config": Config(read_timeout=sdk_wait_s)}
    if front == OURS[0]:
        yield lambda method, wait_s: http.request(method, url, timeout=wait_s).data
    elif front == OURS[1]:
        yield lambda method, wait_s: http.requests_session().request(method, url, timeout=wait_s).content
    elif front == OURS[2]:
        yield lambda method, wait_s: http.httpx_client().request(method, url, timeout=wait_s).content
    elif front == OURS[3]:
        with contextlib.closing(asyncio.new_event_loop()) as loop:
            yield (
                lambda method, wait_s: (
                    loop.run_until_complete(
                        lambdakit.http.httpx_async_client().request(method, url, timeout=wait_s)
                    ).content
                )
            )
            lambdakit.environment().close()
    elif front == SDK:
        client = lambdakit.client("apigateway", **options)
        yield lambda method, _: client.get_account() if method == "GET" else client.create_api_key()
    elif front == CONTROLS[0]:
        with requests.Session() as session:
            yield lambda method, wait_s: session.request(method, url, timeout=wait_s).content
    else:
        plain = boto3.session.Session().client("apigateway", **options, verify=str(root))
        yield lambda method, _: plain.get_account() if method == "GET" else plain.create_api_key()
        plain.close()


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def clock() -> RunningClock:
    return RunningClock()


@pytest.fixture
def env(clock: RunningClock) -> Iterator[Environment]:  # type: ignore[override]
    """With a clock that can be moved."""
    env = Environment(clock=clock)
    with lambdakit.use_environment(env):
        yield env
    env.close()


def _round(server: KeepingServer, send: Send, method: str, wait_s: float = BOUND_S) -> tuple[str, float]:
    """One invocation that sends one request: what came of it, and after how many seconds."""
    before, began_s = len(server.requests), time.monotonic()
    with invocation(RunningContext(remaining_s=60)):
        try:
            send(method, wait_s)
        except ERRORS:
            outcome = ERROR
        else:
            outcome = VALUE
    took_s = time.monotonic() - began_s
    assert took_s < HANGS_S
    sent = len(server.requests) - before
    assert sent <= 2 if outcome == VALUE else sent <= 1
    return RESENT if sent == 2 else outcome, took_s


def _rounds(
    count: int,
    fault: str,
    front: str,
    clock: RunningClock,
    certs: Keys,
    server: KeepingServer,
    sdk_wait_s: float,
) -> None:
    certificates = certs.valid, certs.other
    waits = (fault, OURS[0] if front in OURS else front) in WAITS
    took_s: list[float] = []
    # Nobody is impatient where an answer comes: the machine may be slow, and what came late would be sent again.
    with _sender(front, server.url, certs.root, sdk_wait_s if waits else BOUND_S) as send:
        for method in METHODS * count:
            assert _round(server, send, method)[0] == VALUE
            kept = server.connections
            assert _round(server, send, method)[0] == VALUE
            assert server.connections == kept  # it was kept: what follows is about a kept connection
            server.hurt("silent" if fault == "frozen" else fault, certificates[server.context is certs.valid])
            clock.suspend(60.0 if fault == "frozen" else 0.0)
            outcome, seconds = _round(server, send, method, WAIT_S if waits else BOUND_S)
            assert outcome == law(fault, method, front), method
            took_s.append(seconds)
    # Elsewhere nobody has waited for what does not come: that takes `BOUND_S`, which is too long for a round.
    assert not waits or min(took_s) >= WAIT_S


@pytest.fixture
def server(certs: Keys, scheme: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeepingServer]:
    """Answers with what each front takes, an SDK client too."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(certs.root))
    with keeping(
        certs.valid if scheme == "https" else None,
        lambda head, body: response(body=b"{}", Content_Type="application/json"),
    ) as server:
        yield server


CASES = [
    pytest.param(fault, scheme, front, id=f"{fault}-{scheme}-{front.replace('`', '').replace(' ', '-')}")
    for fault in FAULTS
    for scheme in ("http", "https")
    for front in FRONTS
    if (fault, scheme) != ("certificate", "http")
]


@pytest.mark.parametrize(("fault", "scheme", "front"), CASES)
def test_a_fault_between_two_requests(
    fault: str,
    scheme: str,
    front: str,
    env: Environment,
    clock: RunningClock,
    certs: Keys,
    server: KeepingServer,
) -> None:
    """As the table has it, GET and POST, time after time; a POST never reaches the server twice on our fronts."""
    _rounds(3, fault, front, clock, certs, server, WAIT_S)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("fault", "scheme", "front"), CASES)
def test_a_hundred_faults(
    fault: str,
    scheme: str,
    front: str,
    env: Environment,
    clock: RunningClock,
    certs: Keys,
    server: KeepingServer,
) -> None:
    """The same a hundred times, on a machine that may do much else meanwhile."""
    _rounds(100, fault, front, clock, certs, server, 1.0)


def test_post_is_sent_once_on_our_fronts() -> None:
    """The table itself keeps the promise."""
    assert all(law(fault, "POST", front) != RESENT for fault in FAULTS for front in OURS)
    assert all(law(fault, "GET", front) != ERROR for fault in FAULTS for front in OURS if fault != "silent")
