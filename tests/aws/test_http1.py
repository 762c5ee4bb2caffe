"""Bytes in, a response or an error out; http.client is the oracle."""

from __future__ import annotations

import io
import itertools
import socket
from collections.abc import Callable
from http.client import HTTPResponse
from typing import NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdakit._aws.transport import (
    ConnectionLostError,
    ExchangeError,
    ProtocolError,
    Response,
    build_request,
    read_response,
)
from lambdakit.exceptions import ConfigurationError

TOKENS = st.text("abcXYZ0129-_.!", min_size=1, max_size=12)
TEXTS = st.text([chr(code) for code in (*range(0x21, 0x7F), *range(0xA1, 0x100))], max_size=20)
FRAMING = {"content-length", "transfer-encoding", "connection"}
HEADERS = st.lists(
    st.tuples(TOKENS.filter(lambda name: name.lower() not in FRAMING), TEXTS),
    max_size=5,
    unique_by=lambda p: p[0].lower(),
)
BODIES = st.binary(max_size=300)


class Valid(NamedTuple):
    """A well-formed response."""

    raw: bytes
    status: int
    body: bytes
    head: bool


def parse(raw: bytes, *, head: bool = False, max_body: int = 1000, piece: int = 65536) -> tuple[Response, bool]:
    """Read a response that comes `piece` bytes at a time and then ends."""
    return read_response(
        pieces([raw[at : at + piece] for at in range(0, len(raw), piece)]), head=head, max_body=max_body
    )


def pieces(parts: list[bytes]) -> Callable[[], bytes]:
    """A `receive` that returns these, then the end for ever."""
    left = iter([part for part in parts if part])
    return lambda: next(left, b"")


def parts_of(response: Response) -> tuple[int, dict[str, str], bytes]:
    """Everything in a response, to compare."""
    return response.status, response.headers, response.body


def chunked(parts: list[bytes]) -> bytes:
    """A body in chunks, with an extension and a trailer."""
    chunks = [b"%x;note=1\r\n%b\r\n" % (len(part), part) for part in parts if part]
    return b"".join(chunks) + b"0\r\nX-Trailer: 1\r\n\r\n"


@st.composite
def valid_responses(draw: st.DrawFn) -> Valid:
    """Any status, any headers, every framing."""
    status = draw(st.sampled_from([200, 201, 204, 304, 307, 400, 404, 429, 500, 503]))
    head = draw(st.booleans())
    body = draw(BODIES)
    framing = draw(st.sampled_from(["length", "end"] if status in {204, 304} else ["length", "chunked", "end"]))
    lines = [b"HTTP/1.1 %d" % status + draw(st.sampled_from([b"", b" ", b" Some Reason"]))]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in draw(HEADERS)]
    empty = head or status in {204, 304}
    if framing == "length":
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
    cut = draw(st.integers(0, len(body)))
    payload = chunked([body[:cut], body[cut:]]) if framing == "chunked" else body
    return Valid(b"\r\n".join([*lines, b"", b"" if empty else payload]), status, b"" if empty else body, head)


@given(valid_responses(), st.data())
def test_any_split_of_a_response_parses_to_the_same(valid: Valid, data: st.DataObject) -> None:
    """Where the network cuts the bytes changes nothing."""
    whole, kept = parse(valid.raw, head=valid.head)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(valid.raw)), max_size=20)))
    bounds = [0, *cuts, len(valid.raw)]
    split = pieces([valid.raw[a:b] for a, b in itertools.pairwise(bounds)])
    response, kept_split = read_response(split, head=valid.head)
    assert (parts_of(whole), kept) == (parts_of(response), kept_split)


@given(valid_responses())
def test_a_valid_response_is_what_http_client_reads(valid: Valid) -> None:
    """Status, headers and body are those of the standard library."""

    class Wire:
        def makefile(self, _mode: str) -> io.BytesIO:
            return io.BytesIO(valid.raw)

    oracle = HTTPResponse(cast("socket.socket", Wire()), method="HEAD" if valid.head else "GET")
    oracle.begin()
    expected = (oracle.status, {name.lower(): value.strip() for name, value in oracle.getheaders()}, oracle.read())
    response, _ = parse(valid.raw, head=valid.head)
    assert expected == parts_of(response)
    assert (valid.status, valid.body) == (response.status, response.body)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail)))
def test_arbitrary_bytes_end_in_a_response_or_in_an_exchange_error(raw: bytes) -> None:
    """No other exception, and no wait for more than there is."""
    try:
        response, _ = parse(raw)
    except (ProtocolError, ConnectionLostError):
        return
    assert 200 <= response.status <= 599


@given(valid_responses(), st.data())
def test_a_response_with_one_byte_changed_ends_in_a_response_or_in_an_exchange_error(
    valid: Valid, data: st.DataObject
) -> None:
    """Almost valid is where parsers break."""
    raw = bytearray(valid.raw)
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        response, _ = parse(bytes(raw), head=valid.head)
    except (ProtocolError, ConnectionLostError):
        return
    assert 200 <= response.status <= 599


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("raw", "body", "kept"),
    [
        (OK + b"Content-Length: 2\r\n\r\nhi", b"hi", True),
        (OK + b"content-length:\t 2 \r\n\r\nhi", b"hi", True),
        (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
        (OK + b"Content-Length: 2, 2\r\n\r\nhi", b"hi", True),
        (OK + b"Content-Length: 0\r\n\r\n", b"", True),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n1\r\nh\r\n01 \r\ni\r\n000\r\n\r\n", b"hi", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: 1\r\n\r\n", b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", b"hi", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 8 + OK + b"Content-Length: 2\r\n\r\nhi", b"hi", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"", True),
        (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (OK + b"Connection: x, CLOSE\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (OK + b"Connection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (OK + b"\r\nhi", b"hi", False),
        (OK + b"\r\n", b"", False),
    ],
)
@pytest.mark.parametrize("piece", [1, 65536])
def test_framing(raw: bytes, body: bytes, kept: bool, piece: int) -> None:
    """Where a body ends, and whether the connection can carry another exchange after it."""
    response, keep = parse(raw, piece=piece)
    assert (body, kept) == (response.body, keep)


@pytest.mark.parametrize("raw", [b"HTTP/1.1 204 No Content\r\n\r\nhi", OK + b"Content-Length: 2\r\n\r\nhi!"])
def test_a_connection_with_bytes_left_over_is_not_used_again(raw: bytes) -> None:
    """Whatever they are, they are not the response to the next request."""
    _, keep = parse(raw)
    assert keep is False


def test_the_response_to_a_head_has_no_body() -> None:
    """Its Content-Length tells of a body that is not sent."""
    response, keep = parse(OK + b"Content-Length: 5\r\n\r\n", head=True)
    assert (response.body, response.headers["content-length"], keep) == (b"", "5", True)


def test_headers_are_lower_case_and_joined() -> None:
    """A header that comes twice is one, in the order of the lines."""
    response, _ = parse(OK + b"X-A: 1\r\nx-b: \xe9\r\nX-a: 2\r\nContent-Length: 0\r\n\r\n")
    assert response.headers == {"x-a": "1, 2", "x-b": "\xe9", "content-length": "0"}


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/2.0 200 OK\r\n",
        b"HTTP/1.1\r\n",
        b"HTTP/1.1200 OK\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 2000\r\n",
        b"HTTP/1.1 999 No\r\n",
        b"HTTP/1.1 099 No\r\n",
        b"HTTP/1.1 200 O\x00K\r\n",
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
        OK + b"No colon\r\n",
        OK + b": no name\r\n",
        OK + b"Space : before\r\n",
        OK + b"A: 1\r\n folded\r\n",
        OK + b"A: 1\n",
        OK + b"A: 1\rB: 2\r\n",
        OK + b"A: \x00\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
        OK + b"Content-Length: 2, 3\r\n\r\nhi",
        OK + b"Content-Length: +2\r\n\r\nhi",
        OK + b"Content-Length: -2\r\n\r\nhi",
        OK + b"Content-Length: 2_0\r\n\r\nhi",
        OK + b"Content-Length: \xb2\r\n\r\nhi",
        OK + b"Content-Length:\r\n\r\nhi",
        OK + b"Content-Length: 0000000000000002\r\n\r\nhi",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n 1\r\nh\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0000000000000001\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1;\x00\r\nh\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nhi\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\nh\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nNo colon\r\n\r\n",
    ],
)
@pytest.mark.parametrize("piece", [1, 65536])
def test_what_is_not_well_formed_is_an_error(raw: bytes, piece: int) -> None:
    """It is one at once: what would come after it is not waited for."""

    def nothing_more() -> bytes:
        pytest.fail("more was asked for")

    parts = [raw[at : at + piece] for at in range(0, len(raw), piece)]
    left = iter(parts)
    with pytest.raises(ProtocolError):
        read_response(lambda: next(left, None) or nothing_more())


@given(valid_responses().filter(lambda valid: valid.body and b"\r\n\r\n" in valid.raw), st.data())
def test_a_truncated_response_is_a_lost_connection(valid: Valid, data: st.DataObject) -> None:
    """Unless the end of the connection is what ends it."""
    if b"Content-Length: " in valid.raw or b"Transfer-Encoding: chunked" in valid.raw:
        cut = data.draw(st.integers(0, len(valid.raw) - 1))
    else:
        cut = data.draw(st.integers(0, valid.raw.index(b"\r\n\r\n") + 3))
    with pytest.raises(ConnectionLostError):
        parse(valid.raw[:cut])


LONGEST = 16 * 1024 - 1  # without the line feed


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        (OK + b"A: 1\r\n" * 99 + b"Content-Length: 0\r\n\r\n", OK + b"A: 1\r\n" * 100 + b"Content-Length: 0\r\n\r\n"),
        (OK + b"Content-Length: 1000\r\n\r\n" + bytes(1000), OK + b"Content-Length: 1001\r\n\r\n"),
        (
            OK
            + b"Transfer-Encoding: chunked\r\n\r\n1f4\r\n"
            + bytes(500)
            + b"\r\n1F4\r\n"
            + bytes(500)
            + b"\r\n0\r\n\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\n1f4\r\n" + bytes(500) + b"\r\n1F5\r\n",
        ),
        (OK + b"\r\n" + bytes(1000), OK + b"\r\n" + bytes(1001)),
        (
            (OK + b"Content-Length: 0\r\n" + (b"A: " + b"x" * 9997 + b"\r\n") * 6 + b"B: " + b"x" * 5516 + b"\r\n\r\n"),
            (OK + b"Content-Length: 0\r\n" + (b"A: " + b"x" * 9997 + b"\r\n") * 6 + b"B: " + b"x" * 5517 + b"\r\n\r\n"),
        ),
        (
            OK + b"A: " + b"x" * (LONGEST - 4) + b"\r\nContent-Length: 0\r\n\r\n",
            OK + b"A: " + b"x" * (LONGEST - 1) + b"\r\nContent-Length: 0\r\n\r\n",
        ),
        (OK + b"Content-Length: 0\r\n\r\n", b"x" * (16 * 1024 + 1)),
    ],
)
def test_limits(allowed: bytes, refused: bytes) -> None:
    """So much, and not a byte more: line, headers, their number, body by length, by chunks, by the connection's end."""
    response, _ = parse(allowed)
    assert response.status == 200
    with pytest.raises(ProtocolError, match="more than"):
        parse(refused)


def test_a_line_without_end_is_refused_while_it_comes() -> None:
    """It is not collected until the connection ends."""
    with pytest.raises(ProtocolError, match="line of more than"):
        read_response(lambda: b"x" * 100)


def test_a_body_without_length_is_refused_while_it_comes() -> None:
    """It is not collected until the connection ends."""
    left = iter([OK + b"\r\n"])
    with pytest.raises(ProtocolError, match="body of more than 1000"):
        read_response(lambda: next(left, b"x" * 100), max_body=1000)


def test_what_receive_raises_passes_through() -> None:
    """A time-out is for the transport to tell."""

    def receive() -> bytes:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        read_response(receive)


def test_a_request_is_its_line_headers_and_body() -> None:
    """Headers as given, the length added."""
    expected = b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nX-A: \xe9\t1\r\nContent-Length: 2\r\n\r\nhi"
    assert expected == build_request("POST", "/a?b=c", {"Host": "h", "X-A": "\xe9\t1"}, b"hi")


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [("GET", b"", None), ("HEAD", b"", None), ("GET", b"x", b"1"), ("POST", b"", b"0"), ("DELETE", b"", b"0")],
)
def test_a_request_has_a_length_unless_no_body_is_expected(method: str, body: bytes, length: bytes | None) -> None:
    """A server must never wait for a body that does not come."""
    head = build_request(method, "/", {"host": "h"}, body).partition(b"\r\n\r\n")[0]
    _, mark, told = head.partition(b"Content-Length: ")
    assert length == (told if mark else None)


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("", "/", {"host": "h"}),
        ("GET /", "/", {"host": "h"}),
        ("G\u00c9T", "/", {"host": "h"}),
        ("GET\r\n", "/", {"host": "h"}),
        ("GET", "", {"host": "h"}),
        ("GET", "/ x", {"host": "h"}),
        ("GET", "/\r\nA: 1", {"host": "h"}),
        ("GET", "/\u00e9", {"host": "h"}),
        ("GET", "/", {}),
        ("GET", "/", {"host": "h", "Host": "i"}),
        ("GET", "/", {"host": "h", "Content-length": "1"}),
        ("GET", "/", {"host": "h", "Transfer-Encoding": "chunked"}),
        ("GET", "/", {"host": "h", "": "1"}),
        ("GET", "/", {"host": "h", "A:": "1"}),
        ("GET", "/", {"host": "h", "A\r\nB": "1"}),
        ("GET", "/", {"host": "h", "\u00e9": "1"}),
        ("GET", "/", {"host": "h", "\ud800": "1"}),
    ],
)
def test_a_malformed_request_is_refused(method: str, target: str, headers: dict[str, str]) -> None:
    """What HTTP does not allow there is an error, not an injection."""
    with pytest.raises(ConfigurationError):
        build_request(method, target, headers)


@given(TEXTS, st.sampled_from(["\r", "\n", "\0", "\x7f", "\u0100", "\u2028", "\ud800"]), TEXTS)
def test_a_value_that_no_header_can_carry_is_refused_and_not_repeated(before: str, bad: str, after: str) -> None:
    """The message names the header; the value, which may be a secret, is in no exception of the chain."""
    value = f"planted-{before}{bad}{after}"
    with pytest.raises(ConfigurationError, match="X-Token") as caught:
        build_request("GET", "/", {"host": "h", "X-Token": value})
    assert caught.value.__cause__ is None
    assert "planted" not in str(caught.value)


@given(
    st.dictionaries(TOKENS.filter(lambda name: name.lower() not in {*FRAMING, "host"}), TEXTS, max_size=5),
    BODIES,
)
def test_headers_of_a_request_arrive_as_they_were_given(headers: dict[str, str], body: bytes) -> None:
    """Nothing that is accepted changes the shape of the request."""
    head, _, rest = build_request("POST", "/", {"host": "h", **headers}, body).partition(b"\r\n\r\n")
    lines = [f"{name}: {value}".encode("latin-1") for name, value in {"host": "h", **headers}.items()]
    assert ([b"POST / HTTP/1.1", *lines, b"Content-Length: %d" % len(body)], body) == (head.split(b"\r\n"), rest)


def test_a_repr_tells_how_much_and_not_what() -> None:
    """A body or a header may be a secret."""
    assert repr(Response(200, {"x": "planted"}, b"planted")) == "Response(200, 1 headers, 7 bytes)"


def test_errors_are_os_errors_of_a_request_that_may_have_been_executed() -> None:
    """A response, or a part of one, came."""
    assert all(issubclass(kind, ExchangeError) and kind.sent for kind in (ProtocolError, ConnectionLostError))
    assert issubclass(ExchangeError, OSError)
