"""Real servers on loopback, fault by fault: the right value or the right error, in bounded time, sent once."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults import OK, PATIENCE_S, Behaviour, Certificates, FaultServer, Peer, answering, certificates, serving
from lambdakit._aws.transport import (
    ConnectError,
    ConnectionLostError,
    ExchangeError,
    ProtocolError,
    ReadTimeoutError,
    Response,
    TlsError,
    Transport,
    Trust,
    build_request,
)
from lambdakit._clock import Clock
from lambdakit.exceptions import ConfigurationError
from lambdakit.testing import ManualClock

SECRET = "planted-secret"
SHORT_S = 0.2
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n"
REQUEST = build_request("POST", "/", {"Host": "h", "Authorization": SECRET}, SECRET.encode())


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of an authority of this test's own."""
    return certificates(tmp_path_factory.mktemp("certificates"))


class Setting:
    """A transport, and servers with or without TLS that it trusts."""

    def __init__(self, certs: Certificates, *, tls: bool) -> None:
        self.clock = ManualClock()
        self.transport = Transport(clock=Clock(), trust=Trust(environ={}, roots=str(certs.root)))
        self._context = certs.valid if tls else None
        self._stack = contextlib.ExitStack()

    def serve(self, behave: Behaviour) -> FaultServer:
        """A server for the length of the test."""
        return self._stack.enter_context(serving(behave, self._context))

    def with_clock(self, certs: Certificates) -> Transport:
        """A transport whose clock is this one's."""
        self.transport = Transport(clock=self.clock, trust=Trust(environ={}, roots=str(certs.root)))
        return self.transport

    def close(self) -> None:
        """End all of it."""
        self.transport.close()
        self._stack.close()


@pytest.fixture(params=["http", "https"])
def setting(request: pytest.FixtureRequest, certs: Certificates) -> Iterator[Setting]:
    """Every fault happens without TLS and with it."""
    setting = Setting(certs, tls=request.param == "https")
    yield setting
    setting.close()


@pytest.fixture
def plain(certs: Certificates) -> Iterator[Setting]:
    """Without TLS: for laws that have nothing to do with it."""
    setting = Setting(certs, tls=False)
    yield setting
    setting.close()


def raising(kind: type[ExchangeError], ask: Callable[[], object]) -> ExchangeError:
    """The error that an exchange ends in: of exactly this kind, without a word of the request in its traceback."""
    with pytest.raises(kind) as caught:
        ask()
    assert type(caught.value) is kind
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return caught.value


def once(answer: Callable[[Peer], object]) -> Behaviour:
    """Take one request, then do this."""

    def behave(peer: Peer) -> None:
        peer.request()
        answer(peer)

    return behave


def second(answer: Callable[[Peer], object]) -> Behaviour:
    """Answer the first request of the first connection, then do this; later connections answer everything."""

    def behave(peer: Peer) -> None:
        if peer.number == 1:
            peer.request()
            peer.send(OK)
            answer(peer)
        else:
            answering(OK)(peer)

    return behave


def slowly(peer: Peer) -> None:
    """A byte every 20 ms, for longer than anybody waits."""
    ended = threading.Event()
    while not ended.wait(0.02):
        peer.send(b"x")


# --- answers


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [
        (OK, 200, b"hi"),
        (CHUNKED, 200, b"hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"hi"),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", 500, b"no"),
        (b"HTTP/1.1 503 Oh\r\nContent-Length: 2\r\n\r\nno", 503, b"no"),
        (b"HTTP/1.1 429 Oh\r\nx-amz-retry-after: 9\r\nContent-Length: 2\r\n\r\nno", 429, b"no"),
        (b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 307, b""),
    ],
)
def test_an_answer_is_returned_whatever_it_says(setting: Setting, raw: bytes, status: int, body: bytes) -> None:
    """No status is an error here, and no redirect is followed; one connection carries them all, each request once."""
    server = setting.serve(answering(raw))
    found = [setting.transport.exchange(server.origin(), REQUEST) for _ in range(3)]
    assert [(one.status, one.body) for one in found] == [(status, body)] * 3
    assert (server.requests, server.connections) == ([REQUEST] * 3, 1)


def test_slow_bytes_within_the_time_are_an_answer(setting: Setting) -> None:
    """The response may come byte by byte."""

    def behave(peer: Peer) -> None:
        peer.request()
        for byte in OK:
            peer.send(bytes([byte]))

    server = setting.serve(behave)
    assert setting.transport.exchange(server.origin(), REQUEST).body == b"hi"


def test_a_large_request_and_a_large_response_arrive_whole(setting: Setting) -> None:
    """Many pieces each way, over one connection."""
    body = bytes(range(256)) * 16384
    server = setting.serve(answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)))
    request = build_request("POST", "/", {"Host": "h"}, body)
    assert [setting.transport.exchange(server.origin(), request).body == body for _ in range(2)] == [True, True]
    assert (server.requests == [request] * 2, server.connections) == (True, 1)


def test_the_answer_to_a_head_has_no_body(setting: Setting) -> None:
    """The request itself says what to expect; the connection is used again."""
    server = setting.serve(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"))
    head = build_request("HEAD", "/", {"Host": "h"})
    assert [setting.transport.exchange(server.origin(), head).body for _ in range(2)] == [b"", b""]
    assert server.connections == 1


def test_a_body_may_end_with_the_connection(setting: Setting) -> None:
    """If it is ended properly; the next exchange has a connection of its own."""

    def answer(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhi")
        peer.finish()

    server = setting.serve(once(answer))
    found = [setting.transport.exchange(server.origin(), REQUEST).body for _ in range(2)]
    assert (found, server.connections) == ([b"hi", b"hi"], 2)


def test_a_body_that_somebody_cut_is_an_error(certs: Certificates) -> None:
    """Over TLS an end without TLS's own proves nothing: whoever is in between could have made it."""

    def answer(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhi")
        peer.sock.shutdown(socket.SHUT_RDWR)

    transport = Transport(clock=Clock(), trust=Trust(environ={}, roots=str(certs.root)))
    with serving(once(answer), certs.valid) as server:
        error = raising(ConnectionLostError, lambda: transport.exchange(server.origin(), REQUEST))
    assert (error.sent, len(server.requests)) == (True, 1)


def test_connection_close_is_honoured(setting: Setting) -> None:
    """The next exchange has a connection of its own, also if the server leaves this one open."""
    server = setting.serve(answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"))
    found = [setting.transport.exchange(server.origin(), REQUEST).body for _ in range(2)]
    assert (found, server.connections) == ([b"hi", b"hi"], 2)


# --- faults on a new connection


@pytest.mark.parametrize("resend", [True, False])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda peer: peer.reset(), ConnectionLostError),
        (lambda peer: peer.finish(), ConnectionLostError),
        (lambda peer: (peer.send(OK[:30]), peer.reset()), ConnectionLostError),
        (lambda peer: (peer.send(OK[:-1]), peer.reset()), ConnectionLostError),
        (lambda peer: (peer.send(OK[:-1]), peer.finish()), ConnectionLostError),
        (lambda peer: (peer.send(CHUNKED[:-2]), peer.finish()), ConnectionLostError),
        (lambda peer: (peer.send(b"SSH-2.0-OpenSSH_9.9\r\n"), peer.silence()), ProtocolError),
        (lambda peer: (peer.send(b"HTTP/1.1 200 OK\r\n" + b"A: 1\r\n" * 200), peer.silence()), ProtocolError),
        (lambda peer: (peer.send(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000), peer.silence()), ProtocolError),
    ],
    ids=[
        "RST",
        "FIN",
        "RST-in-head",
        "RST-in-body",
        "FIN-in-body",
        "FIN-in-chunks",
        "not-http",
        "many-headers",
        "long",
    ],
)
def test_a_fault_on_a_new_connection_is_an_error_and_nothing_is_sent_twice(
    setting: Setting, answer: Callable[[Peer], object], kind: type[ExchangeError], *, resend: bool
) -> None:
    """The server may have executed the request; whether to send it again is for the caller to say."""
    server = setting.serve(once(answer))
    error = raising(kind, lambda: setting.transport.exchange(server.origin(), REQUEST, resend=resend))
    assert (error.sent, server.requests, server.connections) == (True, [REQUEST], 1)
    assert repr(setting.transport) == "Transport()"


@pytest.mark.parametrize("answer", [Peer.silence, slowly], ids=["silence", "slow-bytes"])
@pytest.mark.parametrize("bound", ["read_timeout_s", "deadline"])
def test_an_exchange_ends_in_time(setting: Setting, answer: Callable[[Peer], object], bound: str) -> None:
    """Silence and slow bytes alike: the time is for the whole response, and for the resend there would be none."""
    server = setting.serve(once(answer))
    value = SHORT_S if bound == "read_timeout_s" else time.monotonic() + SHORT_S
    error = raising(
        ReadTimeoutError, lambda: setting.transport.exchange(server.origin(), REQUEST, resend=True, **{bound: value})
    )
    assert (error.sent, server.requests, isinstance(error, TimeoutError)) == (True, [REQUEST], True)


def test_a_server_that_does_not_read_is_not_waited_for(setting: Setting) -> None:
    """Sending is bounded by the same time."""
    done = threading.Event()
    server = setting.serve(lambda _: done.wait(PATIENCE_S))
    request = build_request("POST", "/", {"Host": "h"}, bytes(16 * 1024 * 1024))
    timeouts = {"connect_timeout_s": 2 * PATIENCE_S, "read_timeout_s": SHORT_S}
    error = raising(ReadTimeoutError, lambda: setting.transport.exchange(server.origin(), request, **timeouts))
    done.set()
    assert error.sent is True


def test_a_response_that_is_too_large_is_an_error(setting: Setting) -> None:
    """The limit is the caller's."""
    server = setting.serve(answering(OK))
    assert setting.transport.exchange(server.origin(), REQUEST, max_body=2).body == b"hi"
    raising(ProtocolError, lambda: setting.transport.exchange(server.origin(), REQUEST, max_body=1))
    assert len(server.requests) == 2


# --- faults on a kept connection


def lost_on_arrival(peer: Peer) -> None:
    """Take the second request, then reset."""
    peer.request()
    peer.reset()


def ended_on_arrival(peer: Peer) -> None:
    """Take the second request, then end the connection."""
    peer.request()
    peer.finish()


@pytest.mark.parametrize("answer", [lost_on_arrival, ended_on_arrival], ids=["RST", "FIN"])
def test_a_request_lost_on_a_kept_connection_is_sent_once_more_if_it_may_be(
    setting: Setting, answer: Callable[[Peer], object]
) -> None:
    """Over a new connection, at once."""
    server = setting.serve(second(answer))
    found = [setting.transport.exchange(server.origin(), REQUEST, resend=True).body for _ in range(2)]
    assert (found, server.requests, server.connections) == ([b"hi", b"hi"], [REQUEST] * 3, 2)


@pytest.mark.parametrize("answer", [lost_on_arrival, ended_on_arrival], ids=["RST", "FIN"])
def test_a_request_lost_on_a_kept_connection_is_not_sent_again_unasked(
    setting: Setting, answer: Callable[[Peer], object]
) -> None:
    """It may have been executed."""
    server = setting.serve(second(answer))
    setting.transport.exchange(server.origin(), REQUEST)
    error = raising(ConnectionLostError, lambda: setting.transport.exchange(server.origin(), REQUEST))
    assert (error.sent, server.requests, server.connections) == (True, [REQUEST] * 2, 1)


def test_the_second_loss_is_an_error(setting: Setting) -> None:
    """The resend has a new connection, on which nothing is sent twice."""

    def behave(peer: Peer) -> None:
        peer.request()
        if peer.number == 1:
            peer.send(OK)
            peer.request()
        peer.reset()

    server = setting.serve(behave)
    setting.transport.exchange(server.origin(), REQUEST, resend=True)
    raising(ConnectionLostError, lambda: setting.transport.exchange(server.origin(), REQUEST, resend=True))
    assert (server.requests, server.connections) == ([REQUEST] * 3, 2)


def test_a_response_that_began_is_not_asked_for_again(setting: Setting) -> None:
    """A byte of it proves that the request was executed."""

    def answer(peer: Peer) -> None:
        peer.request()
        peer.send(b"H")
        peer.reset()

    server = setting.serve(second(answer))
    setting.transport.exchange(server.origin(), REQUEST, resend=True)
    raising(ConnectionLostError, lambda: setting.transport.exchange(server.origin(), REQUEST, resend=True))
    assert (server.requests, server.connections) == ([REQUEST] * 2, 1)


def test_after_a_time_out_on_a_kept_connection_nothing_is_sent_again(setting: Setting) -> None:
    """The server may be at work on it."""

    def answer(peer: Peer) -> None:
        peer.request()
        peer.silence()

    server = setting.serve(second(answer))
    setting.transport.exchange(server.origin(), REQUEST, resend=True)
    raising(
        ReadTimeoutError,
        lambda: setting.transport.exchange(server.origin(), REQUEST, resend=True, read_timeout_s=SHORT_S),
    )
    assert (server.requests, server.connections) == ([REQUEST] * 2, 1)


@pytest.mark.parametrize(
    "answer",
    [Peer.reset, Peer.finish, lambda peer: (peer.send(b"HTTP/1.1 408 Late\r\n\r\n"), peer.finish())],
    ids=["RST", "FIN", "unasked-bytes"],
)
def test_a_kept_connection_that_ended_meanwhile_is_not_used(setting: Setting, answer: Callable[[Peer], object]) -> None:
    """It is seen before anything is sent, so that no opt-in is needed; each request is sent once."""
    server = setting.serve(second(answer))
    setting.transport.exchange(server.origin(), REQUEST)
    assert server.ended.acquire(timeout=PATIENCE_S)
    assert setting.transport.exchange(server.origin(), REQUEST).body == b"hi"
    assert (server.requests, server.connections) == ([REQUEST] * 2, 2)


# --- connecting


def test_a_connection_made_ahead_carries_the_next_exchange(setting: Setting) -> None:
    """Also over TLS, whose session tickets wait unread in it; made ahead twice, it is one."""
    server = setting.serve(answering(OK))
    for _ in range(2):
        setting.transport.connect(server.origin())
    assert (server.requests, repr(setting.transport)) == ([], f"Transport(127.0.0.1:{server.port}: 1)")
    assert setting.transport.exchange(server.origin(), REQUEST).body == b"hi"
    assert (server.requests, server.connections) == ([REQUEST], 1)


def test_a_refused_connection_sent_nothing(plain: Setting) -> None:
    """The request can be sent again safely."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    error = raising(ConnectError, lambda: plain.transport.exchange(("http", "127.0.0.1", port), REQUEST))
    assert (error.sent, isinstance(error.__cause__, ConnectionRefusedError)) == (False, True)


def test_a_name_that_is_not_known_is_a_failed_connection(plain: Setting) -> None:
    """Without a server there is nothing to send to."""
    error = raising(ConnectError, lambda: plain.transport.connect(("http", "name.invalid", 80)))
    assert (error.sent, isinstance(error.__cause__, socket.gaierror)) == (False, True)


def test_every_address_of_a_host_is_tried(plain: Setting) -> None:
    """In the order of the resolver: the server listens on the last one only."""
    addresses = socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)
    family, address = addresses[-1][0], addresses[-1][4][0]
    with serving(answering(OK), None, (family, str(address))) as server:
        assert plain.transport.exchange(("http", "localhost", server.port), REQUEST).body == b"hi"
        plain.transport.close()


def test_a_connection_that_is_not_accepted_ends_in_time(plain: Setting) -> None:
    """A full backlog drops what comes, as a security group does."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        origin = ("http", "127.0.0.1", int(listener.getsockname()[1]))
        error = raising(ConnectError, lambda: plain.transport.connect(origin, connect_timeout_s=SHORT_S))
        assert (error.sent, isinstance(error.__cause__, TimeoutError)) == (False, True)


@pytest.mark.parametrize("bound", ["connect_timeout_s", "deadline"])
def test_a_handshake_that_is_not_answered_ends_in_time(certs: Certificates, bound: str) -> None:
    """Nothing was sent but the handshake."""
    transport = Transport(clock=Clock(), trust=Trust(environ={}, roots=str(certs.root)))
    value = SHORT_S if bound == "connect_timeout_s" else time.monotonic() + SHORT_S
    with serving(Peer.silence) as server:
        origin = ("https", "127.0.0.1", server.port)
        error = raising(ConnectError, lambda: transport.exchange(origin, REQUEST, **{bound: value}))
    assert (error.sent, isinstance(error.__cause__, TimeoutError)) == (False, True)


def test_after_the_deadline_nothing_is_sent(plain: Setting) -> None:
    """Not even a connection is made."""
    server = plain.serve(answering(OK))
    now = time.monotonic()
    error = raising(ConnectError, lambda: plain.transport.exchange(server.origin(), REQUEST, deadline=now))
    assert (error.sent, server.connections) == (False, 0)
    error = raising(ConnectError, lambda: plain.transport.connect(server.origin(), deadline=now))
    assert (error.sent, server.connections) == (False, 0)
    plain.transport.connect(server.origin())
    error = raising(ConnectError, lambda: plain.transport.exchange(server.origin(), REQUEST, deadline=now))
    assert (error.sent, server.requests) == (False, [])


class SteppingClock(Clock):
    """A second passes with every look at it."""

    __slots__ = ("_seconds",)

    def __init__(self) -> None:
        self._seconds = 0.0

    def now(self) -> tuple[float, float]:
        """Both readings."""
        self._seconds += 1.0
        return self._seconds, self._seconds


def test_whatever_step_the_deadline_falls_into_no_connection_is_left_open(certs: Certificates) -> None:
    """Each look at the clock is one such step; a socket that is not closed would be a warning, thus an error."""
    ends: list[str] = []
    with serving(answering(OK), certs.valid) as server:
        for deadline in range(1, 16):
            trust = Trust(environ={}, roots=str(certs.root))
            transport = Transport(clock=SteppingClock(), trust=trust)
            try:
                transport.exchange(server.origin(), REQUEST, deadline=float(deadline), connect_timeout_s=PATIENCE_S)
            except ExchangeError as error:
                ends.append(f"{type(error).__name__}, sent: {error.sent}")
            else:
                ends.append("answer")
            transport.close()
            gc.collect()
    assert list(dict.fromkeys(ends)) == ["ConnectError, sent: False", "ReadTimeoutError, sent: True", "answer"]


def test_connections_are_alive_and_without_delay(plain: Setting) -> None:
    """TCP_NODELAY, and probes that keep a silent flow from being dropped."""
    server = plain.serve(answering(OK))
    plain.transport.connect(server.origin())
    sockets = [one for one in gc.get_objects() if issubclass(type(one), socket.socket) and one.fileno() >= 0]
    [ours] = [one for one in sockets if _remote(one) == ("127.0.0.1", server.port)]
    idle = getattr(socket, "TCP_KEEPIDLE", None) or socket.TCP_KEEPALIVE  # type: ignore[attr-defined, unused-ignore]
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
    assert ours.getsockopt(socket.IPPROTO_TCP, idle) == 20


def _remote(sock: socket.socket) -> object:
    try:
        return sock.getpeername()
    except OSError:
        return None


# --- TLS


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("wrong_host", "mismatch"),
        ("expired", "expired"),
        ("unknown", "local issuer"),
        ("self_signed", "self-signed"),
    ],
)
def test_a_certificate_that_is_not_trusted_ends_the_handshake(certs: Certificates, kind: str, message: str) -> None:
    """The message says what is wrong with it, and nothing was sent."""
    transport = Transport(clock=Clock(), trust=Trust(environ={}, roots=str(certs.root)))
    with serving(answering(OK), getattr(certs, kind)) as server:
        error = raising(TlsError, lambda: transport.exchange(server.origin(), REQUEST))
    assert (error.sent, server.requests, isinstance(error.__cause__, ssl.SSLCertVerificationError)) == (False, [], True)
    assert message in str(error)
    assert server.connections == (2 if kind in {"unknown", "self_signed"} else 1)


def test_an_issuer_that_only_the_machine_knows_is_trusted_and_remembered(
    certs: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One failed handshake for the host, then its full store."""
    trust = Trust(environ={}, roots=str(certs.unknown_root))
    monkeypatch.setenv("SSL_CERT_FILE", str(certs.root))  # where OpenSSL finds the machine's store, not our variable
    transport = Transport(clock=Clock(), trust=trust)
    with serving(answering(OK), certs.valid) as server:
        assert transport.exchange(server.origin(), REQUEST).body == b"hi"
        assert server.connections == 2
        transport.close()
        assert transport.exchange(server.origin(), REQUEST).body == b"hi"
        transport.close()
    assert (len(server.requests), server.connections) == (2, 3)


def test_a_bundle_that_the_environment_names_is_the_only_one(certs: Certificates) -> None:
    """A host that it does not cover is refused, after one connection."""
    transport = Transport(clock=Clock(), trust=Trust(environ={"AWS_CA_BUNDLE": str(certs.unknown_root)}))
    with serving(answering(OK), certs.valid) as server:
        raising(TlsError, lambda: transport.exchange(server.origin(), REQUEST))
    assert server.connections == 1


def test_a_bundle_that_is_missing_is_told_before_anything_is_connected(tmp_path: Path) -> None:
    """It is the configuration that is wrong."""
    transport = Transport(clock=Clock(), trust=Trust(environ={"AWS_CA_BUNDLE": str(tmp_path / "none.pem")}))
    with serving(answering(OK)) as server, pytest.raises(ConfigurationError, match="AWS_CA_BUNDLE"):
        transport.exchange(("https", "127.0.0.1", server.port), REQUEST)
    assert server.connections == 0


def test_a_host_name_is_verified_as_a_name(certs: Certificates) -> None:
    """The certificate is valid for localhost, and asked for by that name."""
    asked: list[str | None] = []
    context = certs.valid
    context.sni_callback = lambda _sock, name, _context: asked.append(name)
    transport = Transport(clock=Clock(), trust=Trust(environ={}, roots=str(certs.root)))
    with serving(answering(OK), context) as server:
        assert transport.exchange(("https", "localhost", server.port), REQUEST).body == b"hi"
        transport.close()
    context.sni_callback = None
    assert asked == ["localhost"]


def test_a_server_that_does_not_speak_tls_is_an_error_of_tls(certs: Certificates) -> None:
    """The reason is OpenSSL's; nothing was sent."""

    def behave(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 400 Plain\r\n\r\n")
        peer.silence()

    transport = Transport(clock=Clock(), trust=Trust(environ={}, roots=str(certs.root)))
    with serving(behave) as server:
        error = raising(TlsError, lambda: transport.exchange(("https", "127.0.0.1", server.port), REQUEST))
    assert (error.sent, "WRONG_VERSION_NUMBER" in str(error)) == (False, True)


def test_a_reset_within_the_handshake_is_a_failed_connection(certs: Certificates) -> None:
    """Nothing was sent."""

    def behave(peer: Peer) -> None:
        peer.sock.recv(1)
        peer.reset()

    transport = Transport(clock=Clock(), trust=Trust(environ={}, roots=str(certs.root)))
    with serving(behave) as server:
        error = raising(ConnectError, lambda: transport.exchange(("https", "127.0.0.1", server.port), REQUEST))
    assert error.sent is False


# --- idleness


def test_idle_connections_are_used_up_to_max_idle_and_no_longer(setting: Setting, certs: Certificates) -> None:
    """20 s by the larger of both clocks; each exchange begins anew."""
    transport = setting.with_clock(certs)
    server = setting.serve(answering(OK))
    connections: list[int] = []
    for pass_time in (setting.clock.tick, setting.clock.suspend):
        for seconds in (0.0, 20.0, 20.0, 20.001):
            pass_time(seconds)
            transport.exchange(server.origin(), REQUEST)
            connections.append(server.connections)
    assert connections == [1, 1, 1, 2, 2, 2, 2, 3]


def test_a_wall_clock_that_ran_backwards_makes_a_connection_old(setting: Setting, certs: Certificates) -> None:
    """Nothing is known of how long it was idle."""
    transport = setting.with_clock(certs)
    server = setting.serve(answering(OK))
    transport.exchange(server.origin(), REQUEST)
    setting.clock.set_wall(0.0)
    transport.exchange(server.origin(), REQUEST)
    assert server.connections == 2


def test_a_connection_looked_at_is_not_a_connection_used(plain: Setting, certs: Certificates) -> None:
    """Making ahead what is there already does not make it younger."""
    transport = plain.with_clock(certs)
    server = plain.serve(answering(OK))
    transport.connect(server.origin())
    plain.clock.tick(15)
    transport.connect(server.origin())
    plain.clock.tick(15)
    transport.exchange(server.origin(), REQUEST)
    assert server.connections == 2


def test_close_idle_closes_what_is_old_and_keeps_what_is_not(plain: Setting, certs: Certificates) -> None:
    """The servers see the end of one connection."""
    transport = plain.with_clock(certs)
    old, young = plain.serve(answering(OK)), plain.serve(answering(OK))
    transport.exchange(old.origin(), REQUEST)
    plain.clock.tick(15)
    transport.exchange(young.origin(), REQUEST)
    plain.clock.suspend(6)
    transport.close_idle(plain.clock.now())
    assert old.ended.acquire(timeout=PATIENCE_S)
    assert repr(transport) == f"Transport(127.0.0.1:{young.port}: 1)"
    transport.exchange(young.origin(), REQUEST)
    assert (old.connections, young.connections) == (1, 1)


def test_after_close_new_connections_are_made(setting: Setting) -> None:
    """What was idle is closed."""
    server = setting.serve(answering(OK))
    setting.transport.exchange(server.origin(), REQUEST)
    setting.transport.close()
    assert server.ended.acquire(timeout=PATIENCE_S)
    assert repr(setting.transport) == "Transport()"
    assert setting.transport.exchange(server.origin(), REQUEST).body == b"hi"
    assert server.connections == 2


def test_a_child_closes_its_descriptors_of_what_is_idle(plain: Setting) -> None:
    """Whatever lock a thread of the parent holds. The connection stands: the parent goes on with it."""
    server = plain.serve(answering(OK))
    plain.transport.exchange(server.origin(), REQUEST)
    [[connection]] = plain.transport._idle.values()
    with socket.socket(fileno=os.dup(connection.sock.fileno())) as parents:
        with plain.transport._lock:
            plain.transport.after_fork_in_child()
        assert connection.sock.fileno() == -1
        parents.settimeout(PATIENCE_S)
        parents.sendall(REQUEST)
        assert parents.recv(65536) == OK
    assert (server.requests, server.connections) == ([REQUEST] * 2, 1)


def test_a_connection_in_use_at_close_is_not_kept(plain: Setting) -> None:
    """Its exchange ends well; a snapshot taken after `close` has no connection in it."""
    arrived, proceed = threading.Event(), threading.Event()

    def behave(peer: Peer) -> None:
        peer.request()
        arrived.set()
        proceed.wait(PATIENCE_S)
        peer.send(OK)
        peer.silence()

    server = plain.serve(behave)
    found: list[Response] = []
    thread = threading.Thread(target=lambda: found.append(plain.transport.exchange(server.origin(), REQUEST)))
    thread.start()
    assert arrived.wait(PATIENCE_S)
    plain.transport.close()
    proceed.set()
    thread.join(PATIENCE_S)
    assert ([one.body for one in found], repr(plain.transport)) == ([b"hi"], "Transport()")
    assert server.ended.acquire(timeout=PATIENCE_S)


# --- threads


def at_once(count: int, work: Callable[[], object]) -> None:
    """The same in so many threads, begun together."""
    barrier = threading.Barrier(count)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            barrier.wait(PATIENCE_S)
            work()
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_threads_share_one_pool(setting: Setting) -> None:
    """32 threads with 20 exchanges each: every answer is that of its own question, and at most 10 are kept."""

    def behave(peer: Peer) -> None:
        while (head := peer.request()) is not None:
            name = head.split(b" ", 2)[1]
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name))

    server = setting.serve(behave)
    right: list[bool] = []

    def work() -> None:
        for number in range(20):
            path = f"/{threading.get_ident()}/{number}"
            request = build_request("GET", path, {"Host": "h"})
            response = setting.transport.exchange(server.origin(), request, connect_timeout_s=PATIENCE_S)
            right.append(response.body == path.encode())

    at_once(32, work)
    assert (right, len(server.requests)) == ([True] * 640, 640)
    assert repr(setting.transport) in {f"Transport(127.0.0.1:{server.port}: {kept})" for kept in range(1, 11)}


@pytest.mark.parametrize(("most", "kept"), [(1, 1), (3, 3), (5, 4)])
def test_so_many_connections_are_kept_for_a_host(certs: Certificates, most: int, kept: int) -> None:
    """Four exchanges at once have four connections; what is above the limit is closed after use."""
    together = threading.Barrier(4)

    def behave(peer: Peer) -> None:
        peer.request()
        together.wait(PATIENCE_S)
        peer.send(OK)
        peer.silence()

    transport = Transport(clock=Clock(), trust=Trust(environ={}, roots=str(certs.root)), max_idle_per_host=most)
    with serving(behave) as server:
        at_once(4, lambda: transport.exchange(server.origin(), REQUEST))
        assert (server.connections, repr(transport)) == (4, f"Transport(127.0.0.1:{server.port}: {kept})")
        transport.close()


# --- the price


@pytest.mark.parametrize(
    ("scheme", "never"),
    [
        ("http", {"ssl", "email", "http", "urllib", "typing", "random"}),
        ("https", {"email", "http", "urllib", "random"}),
    ],
)
def test_an_exchange_imports_no_more_than_it_needs(certs: Certificates, scheme: str, never: set[str]) -> None:
    """Importing the module loads no socket; plain HTTP never loads ssl; a host name never loads the codec idna."""
    script = f"""
import sys
from lambdakit._clock import Clock
from lambdakit._aws.transport import Transport, Trust, build_request
assert not {{"socket", "ssl", "_socket", "_ssl"}} & sys.modules.keys()
transport = Transport(clock=Clock(), trust=Trust(environ={{}}, roots={str(certs.root)!r}))
origin = ({scheme!r}, "localhost", int(sys.argv[1]))
assert transport.exchange(origin, build_request("GET", "/", {{"Host": "h"}})).body == b"hi"
transport.close()
print(*sorted(sys.modules))
"""
    with serving(answering(OK), certs.valid if scheme == "https" else None) as server:
        command = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path[:0] = {sys.path!r}\n{script}",
            str(server.port),
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert {*done.stdout.split()} & (never | {"encodings.idna"}) == set()
