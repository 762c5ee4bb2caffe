"""What becomes of a request whose kept connection suffered a fault since the last one, through each front.

`python tests/http/test_http_faults.py` writes the table of these outcomes into docs/connections.md.
"""

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

import lambdakit
from http_server import KeepingServer, Keys, RunningClock, RunningContext, keeping, keys, response
from lambdakit import Environment, http

PAGE = Path(__file__).parents[2] / "docs" / "connections.md"
BEGIN, END = "<!-- begin: python tests/http/test_http_faults.py -->", "<!-- end -->"
METHODS = ("GET", "POST")

# Since the last request, the server, or what is in between, has ...
FAULTS = {
    "fin": "closed the connection (FIN)",
    "rst": "reset the connection (RST)",
    "closed": "not closed it yet, but does when the next request arrives",
    "silent": "dropped the flow: nothing comes any more",
    "frozen": "dropped the flow while the environment was frozen for a minute",
    "restart": "restarted on the same port",
    "certificate": "changed its certificate, and closed the connection",
}
OURS = ("`lambdakit.http`", "`requests_session`", "`httpx_client`", "`httpx_async_client`")
SDK = "`lambdakit.client`"
CONTROLS = ("plain `requests`", "plain `boto3`")
FRONTS = (*OURS, SDK, *CONTROLS)

VALUE, RESENT, ERROR = "value", "value, sent twice", "error"
# What comes of it, by method: on our fronts, on SDK clients, on plain requests, on plain boto3. And how often the
# server is sent the request: once with a value, twice where it says so; with an error once, or not at all.
LAWS: dict[str, dict[str, tuple[str, str, str, str]]] = {
    "fin": dict.fromkeys(METHODS, (VALUE,) * 4),
    "rst": dict.fromkeys(METHODS, (VALUE,) * 4),
    "closed": {"GET": (RESENT, RESENT, ERROR, RESENT), "POST": (ERROR, RESENT, ERROR, RESENT)},
    "silent": dict.fromkeys(METHODS, (ERROR, VALUE, ERROR, VALUE)),
    "frozen": dict.fromkeys(METHODS, (VALUE, VALUE, ERROR, VALUE)),
    "restart": dict.fromkeys(METHODS, (VALUE,) * 4),
    "certificate": dict.fromkeys(METHODS, (VALUE,) * 4),
}
# Where a value comes only after a time-out: a minute of waiting, or for ever, with the defaults of those that wait.
WAITS = {
    ("silent", OURS[0]): "after 10 s",
    ("silent", SDK): "after 10 s",
    ("silent", CONTROLS[0]): "hangs for ever",
    ("frozen", CONTROLS[0]): "hangs for ever",
    ("silent", CONTROLS[1]): "after 60 s",
    ("frozen", CONTROLS[1]): "after 60 s",
}
WAIT_S = 0.3  # what they are told to wait here where nothing comes
BOUND_S = 5.0  # for one request, whatever happens

ERRORS = (urllib3.exceptions.HTTPError, requests.RequestException, httpx.HTTPError, botocore.exceptions.BotoCoreError)


def law(fault: str, method: str, front: str) -> str:
    """The outcome."""
    ours, sdk, plain_requests, plain_boto3 = LAWS[fault][method]
    return {SDK: sdk, CONTROLS[0]: plain_requests, CONTROLS[1]: plain_boto3}.get(front, ours)


def table() -> str:
    """The laws, as the page shows them."""
    shown = {", ".join(OURS): OURS[0], **{front: front for front in (SDK, *CONTROLS)}}
    lines = [
        f"| since the last request, the server has | method | {' | '.join(shown)} |",
        "|---" * (2 + len(shown)) + "|",
    ]
    for fault, words in FAULTS.items():
        told = {method: [_told(fault, method, front) for front in shown.values()] for method in METHODS}
        if told["GET"] == told["POST"]:
            told = {"any": told["GET"]}
        lines += [f"| {words} | {method} | {' | '.join(cells)} |" for method, cells in told.items()]
    return "\n".join(lines)


def _told(fault: str, method: str, front: str) -> str:
    outcome, wait = law(fault, method, front), WAITS.get((fault, front))
    return outcome if wait is None else wait if wait.startswith("hangs") else f"{outcome}, {wait}"


def written(page: str) -> str:
    """The page with the table of now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


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
            lambdakit.environment().pools.close()
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


def _round(
    env: Environment, server: KeepingServer, send: Send, method: str, wait_s: float = BOUND_S
) -> tuple[str, float]:
    """One invocation that sends one request: what came of it, and after how many seconds."""
    before, began_s = len(server.requests), time.monotonic()
    invocation = env.begin(RunningContext(remaining_s=60))
    try:
        send(method, wait_s)
    except ERRORS:
        outcome = ERROR
    else:
        outcome = VALUE
    finally:
        env.end(invocation)
    took_s = time.monotonic() - began_s
    assert took_s < BOUND_S
    sent = len(server.requests) - before
    assert sent <= 2 if outcome == VALUE else sent <= 1
    return RESENT if sent == 2 else outcome, took_s


def _rounds(
    count: int,
    fault: str,
    front: str,
    env: Environment,
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
            assert _round(env, server, send, method)[0] == VALUE
            kept = server.connections
            assert _round(env, server, send, method)[0] == VALUE
            assert server.connections == kept  # it was kept: what follows is about a kept connection
            server.hurt("silent" if fault == "frozen" else fault, certificates[server.context is certs.valid])
            clock.suspend(60.0 if fault == "frozen" else 0.0)
            outcome, seconds = _round(env, server, send, method, WAIT_S if waits else BOUND_S)
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
    _rounds(3, fault, front, env, clock, certs, server, WAIT_S)


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
    _rounds(100, fault, front, env, clock, certs, server, 1.0)


def test_post_is_sent_once_on_our_fronts() -> None:
    """The table itself keeps the promise."""
    assert all(law(fault, "POST", front) != RESENT for fault in FAULTS for front in OURS)
    assert all(law(fault, "GET", front) != ERROR for fault in FAULTS for front in OURS if fault != "silent")


def test_the_page_has_the_table() -> None:
    """The committed page is what these laws write."""
    page = PAGE.read_text("utf-8")
    assert page == written(page), "run: python tests/http/test_http_faults.py"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
