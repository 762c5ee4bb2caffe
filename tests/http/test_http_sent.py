"""What lambdakit.http sends is what it was given, or an error: bodies, fields, headers; and what it reads."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import tempfile
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from running import RunningClock

import lambdakit
from faults import OK, answering, serving
from http_server import KeepingServer, keeping, response
from lambdakit import ConfigurationError, Environment, http


@pytest.fixture
def env() -> Iterator[Environment]:  # type: ignore[override]
    """With a clock that does not wait."""
    env = Environment(clock=RunningClock())
    with lambdakit.use_environment(env):
        yield env
    env.close()


@pytest.fixture
def server() -> Iterator[KeepingServer]:
    with keeping() as server:
        yield server


def sent(server: KeepingServer) -> tuple[str, bytes]:
    """Head, in lower case, and body of the last request."""
    head, body = server.requests[-1]
    return head.decode("latin-1").lower(), body


# -- bodies


class Sized:
    """A pipe that knows its length."""

    def __init__(self, data: bytes, length: int) -> None:
        self._inner = io.BytesIO(data)
        self._length = length

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(size)

    def __len__(self) -> int:
        return self._length


def _file(path: Path) -> Any:
    path.write_bytes(b"content")
    return path.open("rb")


def _temporary(path: Path) -> Any:
    file = tempfile.NamedTemporaryFile(dir=path.parent)  # noqa: SIM115 - the test sends it
    file.write(b"content")
    file.seek(0)
    return file


def _gzipped(path: Path) -> Any:
    with gzip.open(path, "wb") as file:
        file.write(b"content")
    return gzip.open(path)


LENGTH_KNOWN: dict[str, Callable[[Path], Any]] = {
    "file": _file,
    "temporary file": _temporary,
    "compressed file": _gzipped,  # whose descriptor has another size
    "bytes in memory": lambda _: io.BytesIO(b"content"),
    "list": lambda _: [b"con", b"tent"],
    "tuple": lambda _: (b"content",),
    "sized": lambda _: Sized(b"content", 7),
    "bytearray": lambda _: bytearray(b"content"),
    "memoryview": lambda _: memoryview(b"content"),
}
LENGTH_UNKNOWN: dict[str, Callable[[Path], Any]] = {
    "pieces": lambda _: iter([b"con", b"", b"tent"]),
    "text": lambda _: io.StringIO("content"),
    "list of text": lambda _: ["con", "tent"],
}


@pytest.mark.parametrize("method", ["http", "pool"])
@pytest.mark.parametrize("kind", [*LENGTH_KNOWN, *LENGTH_UNKNOWN])
def test_a_body_is_sent_with_its_length_where_it_is_known(
    kind: str, method: str, server: KeepingServer, tmp_path: Path
) -> None:
    """In chunks elsewhere, which S3 refuses; the same after a loss."""
    known = kind in LENGTH_KNOWN
    body = {**LENGTH_KNOWN, **LENGTH_UNKNOWN}[kind](tmp_path / "file")
    (http.put if method == "http" else lambda url, body: http.pool().request("PUT", url, body=body))(
        server.url, body=body
    )
    if hasattr(body, "close"):
        body.close()
    head, got = sent(server)
    assert ("content-length: 7" in head, "transfer-encoding: chunked" in head) == (known, not known)
    assert (got == b"content") is known
    assert b"content" in got.replace(b"\r\n4\r\n", b"") or known


def test_an_empty_file_has_no_bytes_and_a_file_of_the_system_no_length(server: KeepingServer, tmp_path: Path) -> None:
    """The size of the latter is none."""
    empty = tmp_path / "empty"
    empty.touch()
    with empty.open("rb") as file:
        http.put(server.url, body=file)
    assert "content-length: 0" in sent(server)[0]
    with Path("/proc/self/status").open("rb") as file:
        http.put(server.url, body=file)
    head, body = sent(server)
    assert "chunked" in head
    assert b"VmPeak" in body

    class Device(io.BytesIO):
        """One that can be sought and has no end."""

        def seek(self, to: int, whence: int = 0, /) -> int:
            return super().seek(0 if whence else to)

    http.put(server.url, body=Device(b"content"))
    assert sent(server)[1] == b"7\r\ncontent\r\n0\r\n\r\n"


WRONG_LENGTHS: list[tuple[Any, str]] = [
    (b"content", "8"),
    (b"content", "6"),
    ("content", "6"),
    (b"content", "0"),
    (iter([b"con", b"tent"]), "6"),
    (iter([b"con", b"tent"]), "8"),
    (io.BytesIO(b"content"), "6"),
    (bytearray(b"content"), "6"),
    (memoryview(b"content"), "8"),
    (array("B", b"content"), "6"),
]


@pytest.mark.parametrize(("body", "length"), WRONG_LENGTHS)
def test_a_body_of_another_length_than_was_said_is_an_error(body: Any, length: str) -> None:
    """What is more would be the next request; what is less is waited for. The connection is not used again."""
    with serving(answering(OK)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        http.get(url)
        with pytest.raises(ConfigurationError, match=rf"(fewer|more) bytes than its Content-Length says, {length}"):
            http.put(url, body=body, headers={"content-length": length})
        assert http.get(url).data == b"hi"
        assert server.connections == 2


def test_a_length_that_is_right_is_sent(server: KeepingServer) -> None:
    """By hand, for what has none; chunks by hand as well."""
    http.put(server.url, body=iter([b"con", b"tent"]), headers={"Content-Length": "7"})
    assert sent(server)[1] == b"content"
    http.put(server.url, body=b"content", headers={"Transfer-Encoding": "chunked"})
    assert sent(server)[1] == b"7\r\ncontent\r\n0\r\n\r\n"
    for length in ("many", "-1", "1.5", ""):
        with pytest.raises(ConfigurationError, match="Content-Length is no number"):
            http.put(server.url, body=iter([b"x"]), headers={"Content-Length": length})
    with pytest.raises(ConfigurationError, match="does not go with chunks"):
        http.put(server.url, body=b"x", headers={"Content-Length": "1", "Transfer-Encoding": "chunked"})
    with pytest.raises(ConfigurationError, match="does not go with chunks"):
        http.pool().request("PUT", server.url, body=iter([b"x"]), headers={"Content-Length": "1"}, chunked=True)
    assert len(server.requests) == 2


def test_a_file_that_grows_while_it_is_sent(server: KeepingServer, tmp_path: Path) -> None:
    """Is an error: nobody knows what the other bytes would be taken for."""

    class Growing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(size) + (b"more" if size else b"")

    with pytest.raises(ConfigurationError, match="more bytes"):
        http.put(server.url, body=Growing(b"content"))


@pytest.mark.parametrize("body", [{"a": 1}, 1, True, 1.5, object(), lambda: b""])
def test_what_is_no_body_is_refused(body: Any, server: KeepingServer) -> None:
    """Of a dictionary its keys would be sent."""
    with pytest.raises(ConfigurationError, match=f"body: give bytes.*not {type(body).__name__}"):
        http.post(server.url, body=body)
    assert server.requests == []


def test_a_generator_that_was_read_is_refused(server: KeepingServer) -> None:
    """On each front: nothing would be sent."""
    spent = (piece for piece in (b"x",))
    assert [*spent] == [b"x"]
    with pytest.raises(ConfigurationError, match="this generator was read already"):
        http.put(server.url, body=spent)
    with pytest.raises(urllib3.exceptions.UnrewindableBodyError):
        http.pool().request("PUT", server.url, body=spent)
    with pytest.raises(urllib3.exceptions.UnrewindableBodyError):
        http.requests_session().put(server.url, data=spent)
    assert server.requests == []


def test_digest_authorization_of_requests_does_not_send_an_empty_body() -> None:
    """It sends the request again after a 401, with what is left of the body."""
    challenge = response(401, WWW_Authenticate='Digest realm="r", nonce="n", qop="auth"')
    with keeping(answer=lambda head, body: challenge) as server:
        auth = requests.auth.HTTPDigestAuth("user", "password")
        with pytest.raises(urllib3.exceptions.UnrewindableBodyError):
            http.requests_session().put(server.url, data=(piece for piece in (b"x",)), auth=auth)
        assert len(server.requests) == 1


def test_the_retries_of_a_users_own_do_not_send_a_body_twice() -> None:
    """Neither by a status, nor by Retry-After, nor after a loss."""
    own = urllib3.Retry(3, status_forcelist=[500], allowed_methods=None)
    with keeping(answer=lambda head, body: response(500 if b"/500" in head else 413, Retry_After="0")) as server:
        for path in ("/500", "/413"):
            assert http.pool().request("PUT", server.url + path, body=iter([b"x"]), retries=own).status in {500, 413}
        assert http.pool().request("PUT", server.url, body=iter([b"x"]), retries=3).status == 413
        assert len(server.requests) == 3
        server.answer = lambda head, body: None
        with pytest.raises(urllib3.exceptions.ProtocolError):
            http.pool().request("PUT", server.url, body=iter([b"x"]), retries=own)
        assert len(server.requests) == 4


# -- fields


QUERIES: list[tuple[Any, str]] = [
    ({"id": [1, 2]}, "id=1&id=2"),
    ({"id": (1, "b")}, "id=1&id=b"),
    ({"a": None, "b": 1}, "b=1"),
    ({"a": [None, 1]}, "a=1"),
    ({"a": []}, ""),
    ({"a": True, "b": 1.5, "c": "x y", "d": b"\xff", "e": bytearray(b"z")}, "a=True&b=1.5&c=x+y&d=%FF&e=z"),
    ([("a", 1), ("a", 2), ["b", "c"]], "a=1&a=2&b=c"),
    ((("a", 1),), "a=1"),
    ({}, ""),
]


@pytest.mark.parametrize(("fields", "query"), QUERIES)
@pytest.mark.parametrize(
    ("url", "target"), [("/p", "/p?{}"), ("/p#part?x", "/p?{}"), ("/p?q=1", "/p?q=1&{}"), ("/p?q=1#part", "/p?q=1&{}")]
)
def test_fields_of_a_query(url: str, target: str, fields: Any, query: str, server: KeepingServer) -> None:
    """Each of a list is one, None is left out, a fragment does not take the query with it."""
    http.get(server.url + url, fields=fields)
    wanted = target.format(query) if query else target.format("").rstrip("?&")
    assert sent(server)[0].split()[1] == wanted.lower()


def test_fields_of_a_form(server: KeepingServer) -> None:
    """The same; a tuple is a file."""
    fields = {
        "n": [1, "two"],
        "none": None,
        "f": ("a.txt", b"data"),
        "fs": [("b.txt", b"1"), ("c.txt", b"2")],
        "b": b"\xff",
    }
    http.post(server.url, fields=fields)
    _, body = sent(server)
    assert body.count(b'name="n"\r\n\r\n') == 2
    assert b'name="none"' not in body
    assert b'name="f"; filename="a.txt"' in body
    assert body.count(b'name="fs"; filename=') == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"a": {"b": 1}}, "the value of 'a' is dict"),
        ({"a": [[1]]}, "the value of 'a' is list"),
        ({"a": iter([1])}, "the value of 'a' is list_iterator"),
        ({"a": io.BytesIO(b"x")}, "the value of 'a' is BytesIO"),
        ("a=b", "give a dictionary, or a list of pairs, not str"),
        ([("a",)], "give a dictionary, or a list of pairs, not list"),
        (1, "give a dictionary, or a list of pairs, not int"),
    ],
)
def test_fields_that_would_be_sent_as_python_shows_them(
    fields: Any, message: str, method: str, server: KeepingServer
) -> None:
    """Are refused."""
    with pytest.raises(ConfigurationError, match=message):
        http.request(method, server.url, fields=fields)
    assert server.requests == []


# -- names of other libraries


def test_names_of_other_libraries_are_told_by_ours(server: KeepingServer) -> None:
    """Those of requests, httpx and urllib3; any other is refused with what is close."""
    wanted = {"params": "fields=", "data": "body=", "files": "fields=", "allow_redirects": "redirect=", "verify": "ca="}
    wanted |= {"stream": "pool", "proxies": "HTTPS_PROXY", "cookies": "Cookie", "content": "body=", "retries": "retry="}
    for name, ours in wanted.items():
        with pytest.raises(ConfigurationError, match=f"{name}= is an argument of another library; here it is .*{ours}"):
            http.get(server.url, **{name: True})  # type: ignore[arg-type] # what is tested
    with pytest.raises(ConfigurationError, match=r"header= is no argument .* Did you mean 'headers'"):
        http.get(server.url, header={})  # type: ignore[call-arg] # what is tested
    assert server.requests == []


# -- headers


BAD_VALUES = ["a\r\n X-Injected: 1", "a\n\tX-Injected: 1", "a\r\nX-Injected: 1", "a\n", "\ra", "a\0b"]
BAD_NAMES = [" X", "X Y", "X\r\nX-Injected", "X:", "", "X\t", "\xe4"]


@pytest.mark.parametrize("header", [*(("X", value) for value in BAD_VALUES), *((name, "a") for name in BAD_NAMES)])
def test_a_header_is_one_line(header: tuple[str, str], server: KeepingServer) -> None:
    """On each front that stands on urllib3, before anything is sent; the error does not quote it."""
    name, value = header
    with pytest.raises(ConfigurationError, match="headers: "):
        http.get(server.url, headers={name: value})
    with pytest.raises((ValueError, UnicodeError)) as caught:
        http.pool().request("GET", server.url, headers={name: value})
    assert "Injected: 1" not in str(caught.value)
    with pytest.raises((ValueError, UnicodeError)):
        http.pool().request("GET", server.url, headers={name: value.encode()})

    class Auth(requests.auth.AuthBase):
        def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
            r.headers[name] = value  # after requests has looked at its headers
            return r

    with pytest.raises((ValueError, UnicodeError)):
        http.requests_session().get(server.url, auth=Auth())
    assert server.requests == []


def test_headers_that_are_right(server: KeepingServer) -> None:
    """Bytes, latin-1 and tabs within."""
    http.get(server.url, headers={"X-Bytes": b"a\xe4", "X_Text!": "\xe4\tb"})
    head, _ = sent(server)
    assert "x-bytes: a\xe4" in head
    assert "x_text!: \xe4\tb" in head


# -- compression


def test_compression_is_asked_for_and_undone() -> None:
    """Unless the caller asks for something else, or for a part: half a gzip cannot be decoded."""
    packed = response(body=gzip.compress(b"packed"), Content_Encoding="gzip")
    plain = response(body=b"plain")
    with keeping(answer=lambda head, body: packed if b"accept-encoding: gzip" in head.lower() else plain) as server:
        assert http.get(server.url).data == b"packed"
        assert http.get(server.url, headers={"X": "y"}, max_bytes=6).data == b"packed"
        assert http.get(server.url, headers={"accept-encoding": "identity"}).data == b"plain"
        assert http.get(server.url, headers={"Range": "bytes=0-1"}).data == b"plain"


# -- JSON


TEXT = json.dumps({"a": "ü"}, ensure_ascii=False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("options", [{}, {"max_bytes": 100}])
def test_json_is_read_as_it_may_be_written(encoding: str, options: dict[str, Any]) -> None:
    """With a byte order mark or without; httpx does the same."""
    body = TEXT.encode(encoding)
    with serving(answering(response(body=body, Content_Type="application/json"))) as server:
        url = f"http://127.0.0.1:{server.port}/"
        got = http.get(url, **options)
        assert got.json() == {"a": "ü"}
        assert isinstance(got, urllib3.HTTPResponse)
        assert http.httpx_client().get(url).json() == {"a": "ü"}
    assert codecs.BOM_UTF8 not in TEXT.encode()


def test_a_response_of_somebody_elses_class_stays_one() -> None:
    """Such as that of a tool which has put its own answers in the place of urllib3's."""

    class Own(urllib3.HTTPResponse):
        pass

    manager: Any = http.pool()
    manager.urlopen = lambda *_, **__: Own(b"{}", status=200)
    assert type(http.get("http://partner.invalid")) is Own
