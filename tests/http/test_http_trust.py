"""Certificates given by path, read again when their files have changed: on each front that takes them."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from proc import resident_kb, sockets

import lambdakit
from faults import FaultServer, Peer, serving
from http_server import keeping, response
from lambdakit import ConfigurationError, http
from lambdakit._http.pools import Pools
from lambdakit._http.tls import Contexts


class Issuer:
    """An authority, the files that it writes, and a server that says whose certificate a client has."""

    def __init__(self, directory: Path) -> None:
        self.authority = trustme.CA()
        self.root, self.own = directory / "root.pem", directory / "own.pem"
        self.key, self.chain = directory / "key.pem", directory / "chain.pem"
        self.trust()
        self.issue("first")

    def trust(self, authority: trustme.CA | None = None) -> None:
        """Write the certificate of this authority, or of another one."""
        (authority or self.authority).cert_pem.write_to_path(self.root)

    def issue(self, name: str) -> None:
        """Write a certificate of the client's."""
        issued = self.authority.issue_cert(f"{name}@example.com", common_name=name)
        key, chain = issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes()
        self.own.write_bytes(key + chain)
        self.key.write_bytes(key)
        self.chain.write_bytes(chain)

    def context(self) -> ssl.SSLContext:
        """The server's side: it asks clients for a certificate, and takes none for an answer."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        self.authority.configure_trust(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


def _behave(peer: Peer) -> None:
    """Say who the client is, and end the connection."""
    if peer.request() is not None:
        assert isinstance(peer.sock, ssl.SSLSocket)
        found: Any = peer.sock.getpeercert()
        names = dict(pair[0] for pair in found["subject"]) if found else {}
        peer.send(response(body=names.get("commonName", "nobody").encode(), Connection="close"))
        peer.finish()


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
def server(issuer: Issuer) -> Iterator[FaultServer]:
    with serving(_behave, issuer.context()) as server:
        yield server


def _httpx_async(url: str, ca: Any, cert: Any) -> str:
    async def get() -> str:
        async with http.httpx_async_client(verify=ca, cert=cert) as client:
            return (await client.get(url)).text

    return asyncio.run(get())


FRONTS: dict[str, Callable[[str, Any, Any], str]] = {
    "http": lambda url, ca, cert: http.get(url, ca=ca, cert=cert).data.decode(),
    "requests": lambda url, ca, cert: http.requests_session().get(url, verify=str(ca), cert=cert).text,
    "httpx": lambda url, ca, cert: http.httpx_client(verify=ca, cert=cert).get(url).text,
    "httpx async": _httpx_async,
}


def url_of(server: FaultServer) -> str:
    return f"https://localhost:{server.port}/"


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("form", ["file", "tuple"])
def test_a_certificate_that_is_renewed_in_its_file(form: str, front: str, issuer: Issuer, server: FaultServer) -> None:
    """New connections have the new one; while it is being written, or gone, the old one."""
    cert = str(issuer.own) if form == "file" else (str(issuer.chain), str(issuer.key))
    get = FRONTS[front]
    assert get(url_of(server), issuer.root, cert) == "first"
    issuer.issue("second")
    assert get(url_of(server), issuer.root, cert) == "second"
    file = issuer.own if form == "file" else issuer.chain
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    assert get(url_of(server), issuer.root, cert) == "second"
    issuer.issue("third")
    assert get(url_of(server), issuer.root, cert) == "third"


@pytest.mark.parametrize("front", FRONTS)
def test_a_bundle_that_changes(front: str, issuer: Issuer, server: FaultServer) -> None:
    """Who is not in it any more is not trusted by new connections, and is when it is in there again."""
    get = FRONTS[front]
    assert get(url_of(server), issuer.root, None) == "nobody"
    issuer.trust(trustme.CA())
    with pytest.raises(Exception, match=r"(?i)certificate"):
        get(url_of(server), issuer.root, None)
    issuer.trust()
    assert get(url_of(server), issuer.root, None) == "nobody"


@pytest.mark.parametrize("front", ["http", "pool", "httpx", "httpx async"])
def test_the_bundle_that_the_environment_names(
    front: str, issuer: Issuer, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE is read again too; for one that is gone the last is good."""
    monkeypatch.setenv("SSL_CERT_FILE", str(issuer.root))
    gets: dict[str, Callable[[str], str]] = {
        "http": lambda url: http.get(url).data.decode(),
        "pool": lambda url: http.pool().request("GET", url).data.decode(),
        "httpx": lambda url: http.httpx_client().get(url).text,
        "httpx async": lambda url: _httpx_async(url, True, None),
    }
    get = gets[front]
    issuer.trust(trustme.CA())
    with pytest.raises(Exception, match=r"(?i)certificate"):
        get(url_of(server))
    issuer.trust()
    assert get(url_of(server)) == "nobody"
    if "httpx" in front:
        issuer.root.unlink()
        assert get(url_of(server)) == "nobody"
        monkeypatch.setenv("SSL_CERT_FILE", str(issuer.root))
        issuer.trust()
        with_own = http.httpx_client(cert=str(issuer.own))
        assert with_own.get(url_of(server)).text == "first"


def test_a_context_of_ones_own(issuer: Issuer, server: FaultServer) -> None:
    """Is taken as it is by httpx."""
    context = ssl.create_default_context(cafile=issuer.root)
    assert http.httpx_client(verify=context).get(url_of(server)).text == "nobody"
    with pytest.raises(ConfigurationError, match="load it there"):
        http.httpx_client(verify=context, cert=str(issuer.own))


def test_equal_certificates_share_connections(issuer: Issuer) -> None:
    """Whoever gives them; others have their own."""
    with keeping(issuer.context()) as server:
        for _ in range(2):
            http.get(server.url, ca=issuer.root)
            http.httpx_client(verify=str(issuer.root)).get(server.url)
        assert server.connections == 2
        http.get(server.url, ca=issuer.root, cert=issuer.own)
        http.httpx_client(verify=issuer.root, cert=[issuer.chain, issuer.key]).get(server.url)
        assert server.connections == 4
        lambdakit.environment().close()


def test_the_certificate_is_not_shown_to_another_host(issuer: Issuer) -> None:
    """Where a redirect leads there; on the same host it is."""
    whole = issuer.context()
    with serving(_behave, whole) as other:
        for host, name in (("127.0.0.1", "nobody"), ("localhost", "first")):

            def redirect(peer: Peer, host: str = host) -> None:
                head = peer.request()
                if head is not None and b"/start" in head:
                    peer.send(response(302, Location=f"https://{host}:{other.port}/", Connection="close"))
                    peer.finish()

            with serving(redirect, whole) as server:
                # A port of its own is another host, too.
                got = http.get(f"{url_of(server)}start", ca=issuer.root, cert=issuer.own)
                assert got.data.decode() == "nobody", name


def test_a_directory_of_certificates(issuer: Issuer, server: FaultServer, tmp_path: Path) -> None:
    """As OpenSSL has it: an empty one trusts nobody."""
    (tmp_path / "none").mkdir()
    with pytest.raises(Exception, match=r"(?i)certificate"):
        http.get(url_of(server), ca=tmp_path / "none")


@pytest.mark.parametrize("kind", ["missing", "no certificate", "half a tuple", "number", "empty", "bytes"])
def test_certificates_that_cannot_be_read(kind: str, issuer: Issuer, tmp_path: Path) -> None:
    """ConfigurationError that names the argument, before anything is sent."""
    (tmp_path / "text").write_text("no certificate")
    wrong: Any = {
        "missing": tmp_path / "missing",
        "no certificate": str(tmp_path / "text"),
        "half a tuple": (str(issuer.own),),
        "number": 1,
        "empty": "",
        "bytes": b"x",
    }[kind]
    with pytest.raises(ConfigurationError, match="cert: "):
        http.get("https://nowhere.invalid", cert=wrong)
    if kind != "half a tuple":
        with pytest.raises(ConfigurationError, match="ca: "):
            http.get("https://nowhere.invalid", ca=wrong)
    if kind in {"missing", "no certificate"}:
        with pytest.raises(ConfigurationError, match="verify or cert"):
            http.httpx_client(verify=str(wrong))
    with pytest.raises(ConfigurationError, match="verify: give a file"):
        http.httpx_client(verify=False)


def test_a_key_with_a_password(issuer: Issuer, server: FaultServer) -> None:
    """Is the third of a tuple; one that is not encrypted needs none."""
    cert = (str(issuer.chain), str(issuer.key), "password")
    assert http.get(url_of(server), ca=issuer.root, cert=cert).data == b"first"


def test_contexts_are_made_once_while_nothing_changes(issuer: Issuer) -> None:
    """Of threads that come at once the first one's is everybody's."""
    contexts = Contexts()
    first = contexts.context(ca=str(issuer.root))
    assert contexts.context(ca=str(issuer.root)) is first
    os.utime(issuer.root, (1, 1))
    second = contexts.context(ca=str(issuer.root))
    assert second is not first
    assert contexts.context(ca=str(issuer.root)) is second


class Socket:
    """What `remember` asks of one."""

    def __init__(self, *, reused: bool) -> None:
        self.session_reused = reused
        self.server_hostname = "host"
        self.reads = 0

    def getpeername(self) -> tuple[str, int]:
        return "127.0.0.1", 443

    @property
    def session(self) -> Any:
        self.reads += 1
        return type("Session", (), {"has_ticket": True, "id": b""})()


def test_a_session_is_read_once() -> None:
    """Python leaks a copy at each reading: none of what was resumed, few of a host that resumes none or only some."""

    def reads(*reused: bool) -> int:
        context = lambdakit.environment()._parts[Pools].contexts.context()
        context.sessions.clear()
        context.read.clear()
        socks = [Socket(reused=one) for one in reused]
        for sock in socks:
            context.remember(sock)  # type: ignore[arg-type] # what it asks for
        return sum(sock.reads for sock in socks)

    assert reads(False, *[True] * 1_000) == 1
    assert reads(*[False] * 1_000) == 3
    assert reads(*[False, True] * 1_000) == 50
    assert reads(True) == 0


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_ten_thousand_connections_over_tls(issuer: Issuer) -> None:
    """Memory does not grow with them, nor do open files."""
    with serving(_behave, issuer.context()) as server:
        for number in range(11_000):
            http.get(url_of(server), ca=issuer.root)
            if number % 500 == 0:
                server.forget()
            if number == 1_000:
                before_kb = resident_kb()
        assert len(sockets(server.port)) <= 1
        assert resident_kb() - before_kb < 10_000  # a copy of a session each would be 60 MB
