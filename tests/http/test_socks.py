"""Requests through a SOCKS proxy are kept, bounded and sent again as all others are."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import urllib3
from running import RunningContext, invocation

import lambdakit
from faults import OK, PATIENCE_S, Certificates, Peer, certificates, serving
from http_server import KeepingServer, keeping
from lambdakit import DeadlineExceededError, http

Ask = Callable[..., Any]


class Proxy:
    """A SOCKS5 proxy on loopback, which counts what it connects; it is silent where it is told so."""

    def __init__(self) -> None:
        self.connected: list[str] = []
        self.is_silent = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"socks5h://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.settimeout(PATIENCE_S)
                self._open.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            _, methods = sock.recv(2)
            sock.recv(methods)
            if self.is_silent:
                return
            sock.sendall(b"\5\0")
            _, _, _, kind = sock.recv(4)
            host = sock.recv(sock.recv(1)[0]).decode() if kind == 3 else socket.inet_ntoa(sock.recv(4))
            (port,) = struct.unpack(">H", sock.recv(2))
            self.connected.append(f"{host}:{port}")
            peer = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
            self._open.append(peer)
            sock.sendall(b"\5\0\0\1" + bytes(6))
            other = threading.Thread(target=self._pass_on, args=(peer, sock), daemon=True)
            other.start()
            self._pass_on(sock, peer)
            other.join()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def stop(self) -> None:
        """With all that is open."""
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """One that the variables name, for all schemes."""
    proxy = Proxy()
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    yield proxy
    lambdakit.environment().close()
    proxy.stop()


@pytest.fixture
def server() -> Iterator[KeepingServer]:
    """Behind the proxy."""
    with keeping() as server:
        yield server


def ask_session(url: str) -> int:
    """Ask by the session."""
    return http.requests_session().get(url).status_code


def ask_patched(url: str) -> int:
    """Ask by a function of requests."""
    lambdakit.patch("requests")
    try:
        return requests.get(url, timeout=PATIENCE_S).status_code
    finally:
        lambdakit.unpatch("requests")


ASK = pytest.mark.parametrize("ask", [ask_session, ask_patched])


@ASK
def test_the_proxy_is_used_over_a_kept_connection(ask: Ask, proxy: Proxy, server: KeepingServer) -> None:
    """It resolves the name, and is asked once."""
    url = f"http://shop.example:{server.port}/"
    assert [ask(url), ask(url)] == [200, 200]
    assert proxy.connected == [f"shop.example:{server.port}"]
    assert server.connections == 1


@ASK
def test_one_that_was_lost_while_idle_is_opened_again(ask: Ask, proxy: Proxy, server: KeepingServer) -> None:
    """Within the request that finds it."""
    url = f"http://127.0.0.1:{server.port}/"
    assert ask(url) == 200
    server.hurt("closed")
    assert ask(url) == 200
    assert server.connections == 2


def test_tls_is_with_the_host_behind_it(proxy: Proxy, tmp_path: Any) -> None:
    """Whose certificate is verified."""
    tls: Certificates = certificates(tmp_path)

    def behave(peer: Peer) -> None:
        while peer.request() is not None:
            peer.send(OK)

    with serving(behave, tls.valid) as server:
        session = http.requests_session()
        url = f"https://127.0.0.1:{server.port}/"
        assert [session.get(url, verify=str(tls.root)).status_code for _ in range(2)] == [200, 200]
        assert len(proxy.connected) == 1
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url)


def test_the_invocation_bounds_the_proxy_too(proxy: Proxy) -> None:
    """One that does not answer takes no longer than there is."""
    proxy.is_silent = True
    with invocation(RunningContext(remaining_s=0.4)), pytest.raises(DeadlineExceededError):
        http.requests_session().get("http://shop.example/")


def test_a_time_out_that_was_asked_for_is_one_of_requests(proxy: Proxy) -> None:
    """Outside an invocation, and where it is the shorter one."""
    proxy.is_silent = True
    with pytest.raises(requests.exceptions.ConnectTimeout):
        http.requests_session().get("http://shop.example/", timeout=0.05)


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the one of requests."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{port}")
    with pytest.raises(requests.exceptions.ConnectionError) as caught:
        http.requests_session().get("http://127.0.0.1:1/")
    assert isinstance(caught.value.args[0], urllib3.exceptions.MaxRetryError)
