"""Redirects of lambdakit.http and its pools, in what the table of the docs does not show."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import urllib3
from urllib3.exceptions import HostChangedError, MaxRetryError, ProtocolError

from http_server import KeepingServer, keeping, response
from lambdakit import http

Send = Callable[..., Any]


@pytest.fixture
def server() -> Iterator[KeepingServer]:
    with keeping() as server:
        yield server


def redirecting(server: KeepingServer, status: int, location: str, *more: str) -> None:
    """Answer the first request, and as many more, with a redirect."""
    locations = [location, *more]

    def answer(head: bytes, body: bytes) -> bytes:
        if not locations:
            return response(body=b"end")
        raw = locations.pop(0).encode()
        return response(status, Location="L").replace(b"Location: L", b"Location: " + raw)

    server.answer = answer


def heads(server: KeepingServer) -> list[str]:
    """The first lines."""
    return [head.decode("latin-1").splitlines()[0].removesuffix(" HTTP/1.1") for head, _ in server.requests]


METHODS = {
    (301, "POST"): "GET",
    (301, "PUT"): "PUT",
    (301, "DELETE"): "DELETE",
    (302, "PUT"): "GET",
    (302, "DELETE"): "GET",
    (302, "PATCH"): "GET",
    (303, "PUT"): "GET",
    **{(status, "HEAD"): "HEAD" for status in (301, 302, 303, 307, 308)},
    **{(status, method): method for status in (307, 308) for method in ("PUT", "PATCH", "DELETE", "OPTIONS")},
}


@pytest.mark.parametrize(("status", "method"), METHODS)
def test_what_a_redirect_makes_of_a_method(status: int, method: str, server: KeepingServer) -> None:
    """As requests and httpx have it, where they agree."""
    redirecting(server, status, "/end")
    http.request(method, f"{server.url}/start")
    assert heads(server) == [f"{method} /start", f"{METHODS[status, method]} /end"]
    del server.requests[:]
    for client in (requests.request, lambda *args: http.httpx_client(follow_redirects=True).request(*args)):
        redirecting(server, status, "/end")
        client(method, f"{server.url}/start")
        assert heads(server)[-1] == f"{METHODS[status, method]} /end"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/münchen?q=ü", "/m%C3%BCnchen?q=%C3%BC"),
        ("next", "/a/next"),
        ("../up", "/up"),
        ("?q=1", "/a/start?q=1"),
        ("/x#part", "/x"),
        ("/a b", "/a%20b"),
        ("//127.0.0.1:{port}/x", "/x"),
    ],
)
@pytest.mark.parametrize("front", ["http", "pool of a host"])
def test_where_a_location_leads(location: str, target: str, front: str, server: KeepingServer) -> None:
    """UTF-8 as it was sent, relative ones, and nothing of a fragment."""
    redirecting(server, 302, location.format(port=server.port))
    send: Send = http.get
    if front != "http":
        pool = http.pool().connection_from_url(server.url)

        def send(url: str) -> Any:
            return pool.request("GET", url.removeprefix(server.url))

    assert send(f"{server.url}/a/start").data == b"end"
    assert heads(server) == ["GET /a/start", f"GET {target}"]


def test_a_location_that_is_latin_1(server: KeepingServer) -> None:
    """And no UTF-8 is taken as it is."""
    server.answer = lambda head, body: (
        response() if b"/end" in head else b"HTTP/1.1 302 X\r\nLocation: /end\xfc\r\nContent-Length: 0\r\n\r\n"
    )
    assert http.get(server.url).status == 200
    assert heads(server)[-1] == "GET /end%C3%BC"


@pytest.mark.parametrize(
    "location",
    ["ftp://127.0.0.1/x", "mailto:a@b.example", "http://[::1", "http://host:99999/", "javascript:1"],
)
@pytest.mark.parametrize("options", [{}, {"max_bytes": 10}])
def test_a_redirect_to_nowhere_is_the_servers_error(
    location: str, options: dict[str, Any], server: KeepingServer
) -> None:
    """And not the caller's."""
    redirecting(server, 302, location)
    with pytest.raises(ProtocolError, match=r"127\.0\.0\.1 redirects to what is no URL of http or https"):
        http.get(f"{server.url}/start", **options)
    assert http.get(server.url).data == b"end"
    assert server.connections == 1


def test_how_many_are_followed(server: KeepingServer) -> None:
    """Ten, or what the caller's own retries say; with False, or without raising, the last one is the answer."""
    pool = http.pool()
    for count, retries, followed in ((11, None, 10), (3, 2, 2), (3, urllib3.Retry(redirect=1), 1)):
        redirecting(server, 302, *[f"/{number}" for number in range(count + 1)])
        before = len(server.requests)
        with pytest.raises(MaxRetryError):
            pool.request("GET", server.url, **({} if retries is None else {"retries": retries}))
        assert len(server.requests) - before == 1 + followed
    for retries in (False, urllib3.Retry(redirect=0, raise_on_redirect=False)):
        redirecting(server, 302, "/1")
        assert pool.request("GET", server.url, retries=retries).status == 302
    redirecting(server, 302, "/1")
    assert pool.request("GET", server.url, redirect=False).status == 302
    redirecting(server, 302, "/1")
    assert pool.connection_from_url(server.url).request("GET", "/", retries=False).status == 302


def test_the_pool_of_a_host_goes_to_no_other(server: KeepingServer) -> None:
    """As urllib3 has it; it sends a body on as a whole, or returns the redirect."""
    pool = http.pool().connection_from_url(server.url)
    redirecting(server, 302, f"http://localhost:{server.port}/x")
    with pytest.raises(HostChangedError):
        pool.request("GET", "/")
    redirecting(server, 307, "/end")
    assert pool.request("PUT", "/", body=io.BytesIO(b"whole")).data == b"end"
    assert [body for _, body in server.requests][-2:] == [b"whole"] * 2
    redirecting(server, 307, "/end")
    assert pool.request("PUT", "/", body=iter([b"once"])).status == 307
    redirecting(server, 303, "/end")
    assert pool.request("PUT", "/", body=iter([b"once"]), chunked=True).data == b"end"
    assert server.requests[-1][1] == b""


def test_a_redirect_of_a_request_in_chunks(server: KeepingServer) -> None:
    """Its GET has none."""
    redirecting(server, 302, "/end")
    assert http.pool().request("PUT", server.url, body=b"x", chunked=True).data == b"end"
    assert b"chunked" not in server.requests[-1][0].lower()


def test_the_same_host_over_tls_is_no_other() -> None:
    """Nor is it with another spelling; another port is."""
    from urllib3.util import parse_url

    from lambdakit._http.redirects import _is_same_host

    same = [
        ("http://a/", "https://a/"),
        ("http://a:80/", "https://a:443/"),
        ("http://A/", "http://a:80/x"),
        ("https://a:1/", "https://a:1/x"),
    ]
    others = [
        ("https://a/", "http://a/"),
        ("http://a/", "http://a:81/"),
        ("http://a:1/", "https://a/"),
        ("http://a/", "http://b/"),
    ]
    assert all(_is_same_host(parse_url(one), parse_url(other)) for one, other in same)
    assert not any(_is_same_host(parse_url(one), parse_url(other)) for one, other in others)


@pytest.mark.parametrize(
    "name", ["Authorization", "Cookie", "X-Api-Key", "X-Amz-Security-Token", "X-Session-Id", "Host"]
)
def test_headers_on_the_way(name: str, server: KeepingServer) -> None:
    """What may be a credential stays on its host; on the same one it goes along."""
    for host, stays in (("127.0.0.1", True), ("localhost", False)):
        redirecting(server, 302, f"http://{host}:{server.port}/end")
        http.get(server.url, headers={name: "planted", "X-Trace": "kept"})
        head = server.requests[-1][0].lower()
        assert (b"planted" in head) is stays
        assert b"kept" in head


def test_an_oauth_token_follows_no_redirect(server: KeepingServer) -> None:
    """With the client's secret in its body."""
    import lambdakit

    redirecting(server, 307, "/end")
    with pytest.raises(lambdakit.FetchError):
        str(lambdakit.oauth_token(server.url, client_id="c", client_secret="s"))
    assert len(server.requests) == 1
