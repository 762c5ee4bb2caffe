"""Proxies of the environment, on every front: who goes by them, who does not, and what they are told."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from running import invocation

import lambdakit
from faults import OK, Peer, answering, serving
from http_server import Keys, keeping, keys, response
from lambdakit import ConfigurationError, http
from lambdakit._http.httpx_clients import HttpxClients
from lambdakit._http.pools import Pools
from lambdakit._http.proxies import proxy_for

ANSWER = response(body=b'{"access_token": "by-proxy", "expires_in": 300}', Content_Type="application/json")


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return keys(tmp_path_factory.mktemp("keys"))


def _async(url: str) -> str:
    async def get() -> str:
        return (await http.httpx_async_client().get(url)).text

    return asyncio.run(get())


def _patched(get: Callable[[str], Any]) -> Callable[[str], str]:
    def ask(url: str) -> str:
        lambdakit.patch("requests", "httpx")
        try:
            answer: str = get(url).text
            return answer
        finally:
            lambdakit.unpatch()

    return ask


FRONTS: dict[str, Callable[[str], str]] = {
    "http": lambda url: http.get(url).data.decode(),
    "pool": lambda url: http.pool().request("GET", url).data.decode(),
    "requests": lambda url: http.requests_session().get(url).text,
    "httpx": lambda url: http.httpx_client().get(url).text,
    "httpx async": _async,
    "patched requests": _patched(requests.get),
    "patched httpx": _patched(httpx.get),
    "oauth": lambda url: json.dumps(
        {"access_token": str(lambdakit.oauth_token(url, client_id="c", client_secret="s")), "expires_in": 300}
    ),
}


@pytest.mark.parametrize("front", FRONTS)
def test_the_proxy_of_the_environment_is_used(front: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over kept connections, with its user and password; a host in NO_PROXY is not asked for there."""
    with keeping(answer=lambda head, body: ANSWER) as proxy, keeping(answer=lambda head, body: ANSWER) as direct:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", "://us%40er:pass@"))
        monkeypatch.setenv("NO_PROXY", "example.org, 127.0.0.1")
        assert "by-proxy" in FRONTS[front]("http://only-by-the-proxy.invalid/x")
        assert "by-proxy" in FRONTS[front](f"{direct.url}/x")
        ((head, _),) = proxy.requests
        text = head.decode().lower()
        assert text.split()[1] == "http://only-by-the-proxy.invalid/x"
        assert "proxy-authorization: basic dxnaZXI6cGFzcw==".lower() in text
        assert b"proxy-authorization" not in direct.requests[0][0].lower()


def tunnelling(peer: Peer) -> None:
    """A proxy that opens tunnels to this machine, whatever host it is asked for."""
    head = peer.request()
    if head is None:
        return
    target = head.split()[1].decode()
    with socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2]))) as other:
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

        def back() -> None:
            with contextlib.suppress(OSError):
                while data := other.recv(65536):
                    peer.send(data)

        thread = threading.Thread(target=back)
        thread.start()
        with contextlib.suppress(OSError):
            while data := peer.sock.recv(65536):
                other.sendall(data)
        other.shutdown(socket.SHUT_RDWR)
        thread.join(20)


@pytest.mark.parametrize("front", [front for front in FRONTS if not front.startswith("patched")])
def test_a_tunnel_of_tls(front: str, certs: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is kept, and carries one answer for each request; the certificate is that of the host."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(certs.root))
    with serving(tunnelling) as proxy, serving(answering(ANSWER), certs.valid) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        url = f"https://localhost:{server.port}/"
        for _ in range(2):
            assert "by-proxy" in FRONTS[front](url)
            lambdakit.clear()
        assert server.connections == len(proxy.requests) == (2 if front == "httpx async" else 1)
        assert proxy.requests[0].startswith(f"CONNECT localhost:{server.port} HTTP/1".encode())
        lambdakit.environment().close()


def test_an_origin_behind_a_proxy(certs: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tunnel, with TLS in it, or the connection to the proxy, stands when the first request comes."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certs.root))
    with (
        serving(tunnelling) as proxy,
        serving(answering(OK), certs.valid) as server,
        keeping() as forwarding,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("HTTP_PROXY", forwarding.url)
        for url, told in ((f"https://localhost:{server.port}", proxy), ("http://partner.invalid", forwarding)):
            http.origin(url)()
            assert ": 1" in repr(lambdakit.environment()._parts[Pools])
            assert http.get(url).data == b"hi"
            assert told.connections == 1
        lambdakit.environment().close()


def test_a_proxy_is_chosen_for_each_step_of_a_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that is excepted redirects to one that is not."""
    with (
        keeping() as proxy,
        keeping(answer=lambda head, body: response(302, Location="http://partner.invalid/end")) as direct,
    ):
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert http.get(direct.url).data == b"hi"
        assert proxy.requests[0][0].startswith(b"GET http://partner.invalid/end ")


def test_a_proxy_that_is_named_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is used from the next invocation on."""
    with keeping() as proxy, keeping() as direct:
        with invocation():
            http.get(direct.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with invocation():
            http.get(direct.url)
        assert (len(proxy.requests), len(direct.requests)) == (1, 1)


def test_httpx_without_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says so goes by no proxy."""
    with keeping() as proxy, keeping() as direct:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        http.httpx_client(trust_env=False).get(direct.url)
        assert (len(proxy.requests), len(direct.requests)) == (0, 1)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of what a child forgets, in the same process here
def test_connections_by_a_proxy_are_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """They end with it, and a forked child has none of them."""
    with keeping() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        env = lambdakit.environment()
        runner = asyncio.Runner()
        fronts: list[Callable[[], object]] = [
            lambda: http.get("http://partner.invalid"),
            lambda: http.httpx_client().get("http://partner.invalid"),
            lambda: runner.run(_get("http://partner.invalid")),
        ]
        for expected, end in ((1, lambda: None), (1, lambda: None), (2, env.close), (3, env._after_fork_in_child)):
            end()
            for ask in fronts:
                ask()
            assert proxy.connections == expected * len(fronts)
        runner.close()
        env.close()
        gc.collect()


async def _get(url: str) -> None:
    await http.httpx_async_client().get(url)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "ftp://127.0.0.1", "http://", "http://[::1"])
def test_a_proxy_of_another_kind_is_an_error(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not passed by: it may be the only way that is allowed."""
    monkeypatch.setenv("ALL_PROXY", proxy.replace("://", "://user:s3cr3t@"))
    for front in ("http", "pool", "httpx", "httpx async"):
        with pytest.raises(ConfigurationError, match="names a proxy that is no URL of http or https") as caught:
            FRONTS[front]("http://partner.invalid")
        assert "s3cr3t" not in str(caught.value)


BY = {"http_proxy": "small:1", "HTTP_PROXY": "capital:1", "HTTPS_PROXY": "https://tls:1", "ALL_PROXY": "http://all:1"}
CHOICES: list[tuple[dict[str, str], str, str | None]] = [
    ({}, "http://host/", None),
    ({"HTTP_PROXY": "http://p:1"}, "https://host/", None),
    ({"HTTP_PROXY": "http://p:1"}, "http://host/", "http://p:1"),
    ({"HTTP_PROXY": "p:1"}, "HTTP://host/", "http://p:1"),
    ({"HTTP_PROXY": " http://p:1 "}, "http://host/", "http://p:1"),
    (BY, "http://host/", "http://small:1"),
    (BY, "https://host/", "https://tls:1"),
    ({"ALL_PROXY": "http://all:1"}, "https://host/", "http://all:1"),
    ({"all_proxy": "http://all:1", "https_proxy": ""}, "https://host/", None),
    ({"http_proxy": "", "HTTP_PROXY": "http://p:1"}, "http://host/", None),
    ({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, "http://host/", None),
    ({"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"}, "http://host/", "http://p:1"),
    ({"HTTP_PROXY": "http://p:1"}, "http://[::1", None),
]


@pytest.mark.parametrize(("variables", "url", "proxy"), CHOICES)
def test_which_variable_counts(variables: dict[str, str], url: str, proxy: str | None) -> None:
    """Small letters before capitals, one for the scheme before one for all; none that a request could set."""
    assert proxy_for(variables, url) == proxy


EXCEPTED = {
    "*": "http://any.example/",
    "example.com": "http://example.com/",
    ".example.com": "http://sub.example.com/",
    "example.com ": "http://sub.EXAMPLE.com/",
    "*.example.com": "http://sub.example.com/",
    "a,b example.com": "http://example.com/",
    "example.com:8080": "http://example.com:8080/",
    "example.com:80": "http://example.com/",
    "example.com:443": "https://example.com/",
    "169.254.0.0/16": "http://169.254.170.2/",
    "127.0.0.1": "http://127.0.0.1:9001/",
    "::1": "http://[::1]/",
    "[::1]": "http://[::1]:80/",
    "fe80::/10": "http://[fe80::1]/",
}
NOT_EXCEPTED = {
    "": "http://example.com/",
    "example.com": "http://notexample.com/",
    "example.com:81": "http://example.com/",
    "sub.example.com": "http://example.com/",
    "10.0.0.0/8": "http://169.254.170.2/",
    "10.0.0.0/99": "http://10.0.0.1/",
    "10.0.0.0/8 ": "http://host/",
    ",": "http://example.com/",
    ".": "http://example.com/",
}


@pytest.mark.parametrize("entry", EXCEPTED)
def test_what_no_proxy_names(entry: str) -> None:
    """A host with those below it, one with a port, an address, a range, everything."""
    variables = {"ALL_PROXY": "http://p:1", "NO_PROXY": entry}
    assert proxy_for(variables, EXCEPTED[entry]) is None


@pytest.mark.parametrize("entry", NOT_EXCEPTED)
def test_what_no_proxy_does_not_name(entry: str) -> None:
    """Nothing else."""
    variables = {"ALL_PROXY": "http://p:1", "NO_PROXY": entry}
    assert proxy_for(variables, NOT_EXCEPTED[entry]) == "http://p:1"


def test_many_pairs_of_certificates_do_not_fill_the_memory(certs: Keys, tmp_path: Path) -> None:
    """The managers of those that were used before are given up."""
    pools = lambdakit.environment()._parts[Pools]
    for number in range(40):
        path = tmp_path / str(number)
        path.write_bytes(certs.root.read_bytes())
        with pytest.raises(lambdakit.DeadlineExceededError), lambdakit.environment()._budget.within(0.0):
            http.get("https://partner.invalid", ca=path)
        http.httpx_client(verify=path)
    assert len(pools._others) <= 32
    assert len(lambdakit.environment()._parts[HttpxClients]._transports) <= 32
    assert len(pools.contexts._made) <= 34
