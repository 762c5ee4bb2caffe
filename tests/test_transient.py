"""The same fault is judged alike, whatever library met it."""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import errno
import functools
import http.client
import importlib
import json
import socket
import ssl
import struct
import subprocess
import sys
import types
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import botocore.config
import botocore.exceptions
import botocore.session
import httpx
import psycopg
import pytest
import redis
import requests
import requests.adapters
import urllib3
import urllib3.util
from hypothesis import given
from hypothesis import strategies as st

import lambdakit
from faults import Behaviour, Certificates, Peer, answering, certificates, serving
from lambdakit import _errors
from lambdakit._errors import is_transient

SILENCE_S = 0.3  # how long a client waits for what never comes


def by_urllib(url: str, root: Path) -> None:
    trust = ssl.create_default_context(cafile=root)
    urllib.request.urlopen(url, timeout=SILENCE_S, context=trust).read()  # noqa: S310 - its own server


def by_urllib3(url: str, root: Path) -> None:
    with urllib3.PoolManager(ca_certs=str(root), timeout=SILENCE_S, retries=False) as pool:
        checked(pool.request("GET", url).status)


def by_urllib3_with_retries(url: str, root: Path) -> None:
    retries = urllib3.util.Retry(1, backoff_factor=0, status_forcelist=[400, 403, 404, 429, 500, 503])
    with urllib3.PoolManager(ca_certs=str(root), timeout=SILENCE_S, retries=retries) as pool:
        pool.request("GET", url)


def by_requests(url: str, root: Path) -> None:
    with requests.Session() as session:
        session.get(url, timeout=SILENCE_S, verify=str(root)).raise_for_status()


def by_requests_with_retries(url: str, root: Path) -> None:
    retries = urllib3.util.Retry(1, backoff_factor=0, status_forcelist=[400, 403, 404, 429, 500, 503])
    with requests.Session() as session:
        session.mount(url, requests.adapters.HTTPAdapter(max_retries=retries))
        session.get(url, timeout=SILENCE_S, verify=str(root))


def by_httpx(url: str, root: Path) -> None:
    httpx.get(url, timeout=SILENCE_S, verify=ssl.create_default_context(cafile=root)).raise_for_status()


def by_async_httpx(url: str, root: Path) -> None:
    async def get() -> None:
        async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=root), timeout=SILENCE_S) as client:
            (await client.get(url)).raise_for_status()

    asyncio.run(get())


def by_aiohttp(url: str, root: Path) -> None:
    async def get() -> None:
        trust = ssl.create_default_context(cafile=root)
        timeout = aiohttp.ClientTimeout(sock_connect=SILENCE_S, sock_read=SILENCE_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, ssl=trust) as response:
            response.raise_for_status()
            await response.read()

    asyncio.run(get())


@functools.cache
def sdk() -> botocore.session.Session:
    return botocore.session.get_session()


def by_botocore(url: str, root: Path) -> None:
    config = botocore.config.Config(
        connect_timeout=SILENCE_S, read_timeout=SILENCE_S, retries={"total_max_attempts": 1}
    )
    client = sdk().create_client("secretsmanager", endpoint_url=url, verify=str(root), config=config)
    try:
        client.get_secret_value(SecretId="s")
    finally:
        client.close()


def checked(status: int) -> None:
    """urllib3 leaves this to its callers."""
    if status >= 400:
        response = types.SimpleNamespace(status=status)
        raise type("StatusError", (Exception,), {"response": response})


LIBRARIES = [
    by_urllib,
    by_urllib3,
    by_urllib3_with_retries,
    by_requests,
    by_requests_with_retries,
    by_httpx,
    by_async_httpx,
    by_aiohttp,
    by_botocore,
]
each_library = pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.__name__)

Library = Callable[[str, Path], None]


def failure(call: Callable[..., object], *args: Any) -> Exception:
    """The error that the call ends with."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one it is differs by library
        call(*args)
    error = caught.value
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it is the response too
    return error


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def refused() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else is given meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def closed(peer: Peer) -> None:
    peer.request()
    peer.finish()


def reset(peer: Peer) -> None:
    peer.request()
    peer.reset()


def silent(peer: Peer) -> None:
    peer.silence()


def cut(peer: Peer) -> None:
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    peer.finish()


def garbled(peer: Peer) -> None:
    peer.request()
    peer.send(b"220 mail.example ESMTP\r\n\r\n")
    peer.finish()


@pytest.mark.parametrize(
    ("library", "fault"),
    [
        (library, fault)
        for library in LIBRARIES
        for fault in (closed, reset, silent, cut, garbled)
        # botocore takes half a body for a whole one; aiohttp says of nonsense that it was answered with a status of 400
        if (library, fault) not in {(by_botocore, cut), (by_aiohttp, garbled)}
    ],
    ids=lambda part: part.__name__,
)
def test_a_connection_that_fails_may_be_better_later(library: Library, fault: Behaviour, certs: Certificates) -> None:
    """Ended, reset, silent for too long, cut off in the body, spoken nonsense on."""
    with serving(fault) as server:
        assert is_transient(failure(library, f"http://127.0.0.1:{server.port}/", certs.root))


@each_library
def test_a_refused_connection_may_be_taken_later(library: Library, refused: int, certs: Certificates) -> None:
    """The server starts again."""
    assert is_transient(failure(library, f"http://127.0.0.1:{refused}/", certs.root))


def answer(status: int) -> Behaviour:
    return answering(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 2\r\n\r\n{{}}".encode())


@each_library
@pytest.mark.parametrize(
    ("status", "expected"), [(400, False), (403, False), (404, False), (429, True), (500, True), (503, True)]
)
def test_an_answer_is_judged_by_its_status(library: Library, status: int, expected: bool, certs: Certificates) -> None:
    """Throttling and a server's fault pass; a caller's fault stays."""
    with serving(answer(status)) as server:
        assert is_transient(failure(library, f"http://127.0.0.1:{server.port}/", certs.root)) is expected


@each_library
@pytest.mark.parametrize("kind", ["wrong_host", "expired", "unknown", "self_signed"])
def test_a_certificate_that_cannot_be_verified_stays_so(library: Library, kind: str, certs: Certificates) -> None:
    """Whoever presents it may be anyone: an old value must not hide that."""
    with serving(answer(503), getattr(certs, kind)) as server:
        assert not is_transient(failure(library, f"https://127.0.0.1:{server.port}/", certs.root))


def plain(peer: Peer) -> None:
    peer.sock.recv(4096)
    peer.send(b"HTTP/1.1 400 Speak up\r\nContent-Length: 0\r\n\r\n")
    peer.silence()


@each_library
def test_tls_that_fails_otherwise_may_be_better_later(library: Library, certs: Certificates) -> None:
    """The handshake ended, or answered with anything else; what comes after a good one is judged as without TLS."""
    with serving(lambda peer: peer.sock.recv(10)) as server:
        assert is_transient(failure(library, f"https://127.0.0.1:{server.port}/", certs.root))
    with serving(plain) as server:
        assert is_transient(failure(library, f"https://127.0.0.1:{server.port}/", certs.root))
    with serving(answer(503), certs.valid) as server:
        assert is_transient(failure(library, f"https://127.0.0.1:{server.port}/", certs.root))


def test_a_pinned_certificate_that_is_another_stays_so(certs: Certificates) -> None:
    """urllib3 checks it itself, also for requests; OpenSSL has no word for it."""
    with serving(answer(503), certs.valid) as server:
        url = f"https://127.0.0.1:{server.port}/"

        def by_pinning_urllib3(*, retries: bool) -> None:
            with urllib3.PoolManager(ca_certs=str(certs.root), assert_fingerprint="01" * 32, retries=retries) as pool:
                pool.request("GET", url)

        def by_pinning_requests() -> None:
            with requests.Session() as session:
                adapter = requests.adapters.HTTPAdapter()
                adapter.init_poolmanager(1, 1, assert_fingerprint="01" * 32)
                session.mount(url, adapter)
                session.get(url, verify=str(certs.root))

        assert not is_transient(failure(functools.partial(by_pinning_urllib3, retries=False)))
        assert not is_transient(failure(functools.partial(by_pinning_urllib3, retries=True)))
        assert not is_transient(failure(by_pinning_requests))


@each_library
def test_a_call_that_is_wrong_itself_stays_so(library: Library, certs: Certificates) -> None:
    """No such protocol."""
    assert not is_transient(failure(library, "gopher://127.0.0.1/", certs.root))


def test_too_many_redirects_stay_so(certs: Certificates) -> None:
    """urllib3's and requests' ends of retries say so in words only."""
    round_and_round = answering(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
    with serving(round_and_round) as server:
        for library in (by_urllib3_with_retries, by_requests):
            assert not is_transient(failure(library, f"http://127.0.0.1:{server.port}/", certs.root))


@pytest.mark.parametrize("status", [302, 400, 428, 429, 430, 499, 500, 501, 599, 600, 1062])
@pytest.mark.parametrize("where", ["status", "status_code", "response.status", "response.status_code"])
def test_a_status_counts_wherever_libraries_put_it(where: str, status: int) -> None:
    """429 and 500 to 599; a number that is no HTTP status of an error says nothing."""

    class StatusError(Exception):
        pass

    error: Any = StatusError()
    holder = error
    if where.startswith("response."):
        holder = error.response = types.SimpleNamespace()
    setattr(holder, where.rpartition(".")[2], status)
    assert is_transient(error) is (status in {429, 500, 501, 599})


def sdk_error(code: str | None, status: int | None) -> Exception:
    response: Any = {}
    if code is not None:
        response["Error"] = {"Code": code, "Message": "m"}
    if status is not None:
        response["ResponseMetadata"] = {"HTTPStatusCode": status}
    return botocore.exceptions.ClientError(response, "GetItem")


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("ThrottlingException", 400, True),
        ("ProvisionedThroughputExceededException", 400, True),
        ("KMSThrottlingException", 400, True),
        ("SlowDown", 503, True),
        ("SlowDown", None, True),
        ("RequestTimeout", 400, True),
        ("429", 429, True),
        ("503", 503, True),
        (None, 500, True),
        ("AccessDeniedException", 400, False),
        ("ResourceNotFoundException", 400, False),
        ("ConditionalCheckFailedException", 400, False),
        ("ExpiredTokenException", 403, False),
        (None, 404, False),
        (None, None, False),
    ],
)
def test_an_error_of_the_sdk_is_judged_by_code_and_status(code: str | None, status: int | None, expected: bool) -> None:
    """As our own backends judge the same answer; with neither it says nothing."""
    assert is_transient(sdk_error(code, status)) is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", True),
        (b"-ERR max number of clients reached\r\n", True),
        (b"-WRONGPASS invalid username-password pair or user is disabled.\r\n", False),
        (b"-NOPERM this user has no permissions\r\n", False),
        (b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", False),
    ],
)
def test_redis_by_what_it_answers(line: bytes, expected: bool) -> None:
    """A wrong password is an error of the connection there, and no matter of time."""

    def behave(peer: Peer) -> None:
        while peer.sock.recv(4096):
            peer.send(line)

    with serving(behave) as server:
        assert is_transient(failure(by_redis, server.port)) is expected


def by_redis(port: int, **options: Any) -> None:
    once = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    with redis.Redis(port=port, socket_timeout=SILENCE_S, retry=once, **options) as client:
        client.get("key")


@pytest.mark.parametrize("fault", [lambda peer: peer.reset(), silent, lambda peer: peer.finish()])
def test_redis_that_cannot_be_reached(fault: Behaviour, refused: int, certs: Certificates) -> None:
    """Refused, lost, silent; but not one whose certificate is another's."""
    with serving(fault) as server:
        assert is_transient(failure(by_redis, server.port))
    assert is_transient(failure(by_redis, refused))
    with serving(fault, certs.wrong_host) as server:
        tls = functools.partial(by_redis, server.port, ssl=True, ssl_ca_certs=str(certs.root))
        assert not is_transient(failure(tls))


def by_psycopg(port: int) -> None:
    with psycopg.connect(host="127.0.0.1", port=port, user="u", sslmode="disable", gssencmode="disable") as database:
        database.execute("select 1")


def postgres(code: bytes, *, connected: bool) -> Behaviour:
    """A server that fails with this SQLSTATE, when it is connected to or when it is asked something."""
    fields = b"SFATAL\0VFATAL\0C" + code + b"\0Mno\0\0"
    error = b"E" + struct.pack("!i", len(fields) + 4) + fields
    welcome = b"R" + struct.pack("!ii", 8, 0) + b"Z" + struct.pack("!ic", 5, b"I")

    def behave(peer: Peer) -> None:
        peer.sock.recv(4096)
        if connected:
            peer.send(welcome)
            peer.sock.recv(4096)
        peer.send(error)

    return behave


@pytest.mark.parametrize("code", [b"57P01", b"57P02", b"57P03"])
def test_postgres_that_shuts_down_or_starts_up(code: bytes) -> None:
    """It says so, once connected to."""
    with serving(postgres(code, connected=True)) as server:
        assert is_transient(failure(by_psycopg, server.port))


@pytest.mark.parametrize(
    ("code", "connected"), [(b"28P01", False), (b"57P03", False), (b"42501", True), (b"53100", True)]
)
def test_postgres_otherwise(code: bytes, connected: bool) -> None:
    """A wrong password, and whatever looks like one: psycopg keeps no code of a connection that was never made."""
    with serving(postgres(code, connected=connected)) as server:
        assert not is_transient(failure(by_psycopg, server.port))


def every_kind_of(base: type[BaseException]) -> set[type[BaseException]]:
    return {base}.union(*(every_kind_of(kind) for kind in base.__subclasses__()))


def test_of_pythons_own_only_time_outs_and_lost_connections() -> None:
    """No KeyError, no missing file, no interrupt; a group is of several minds."""
    kinds = {kind for kind in vars(builtins).values() if isinstance(kind, type) and issubclass(kind, BaseException)}
    expected = {
        TimeoutError,
        ConnectionError,
        ConnectionResetError,
        ConnectionAbortedError,
        ConnectionRefusedError,
        BrokenPipeError,
    }
    groups = {BaseExceptionGroup, ExceptionGroup}
    errors = [kind.__new__(kind) for kind in kinds - groups] + [kind("m", [TimeoutError()]) for kind in groups]
    assert expected == {type(error) for error in errors if is_transient(error)}


def test_of_the_errors_of_the_system_only_the_networks() -> None:
    """By number, with or without a class of its own."""
    expected = {
        "EADDRNOTAVAIL",
        "ECONNABORTED",
        "ECONNREFUSED",
        "ECONNRESET",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETDOWN",
        "ENETRESET",
        "ENETUNREACH",
        "ENOTCONN",
        "EPIPE",
        "ESHUTDOWN",
        "ETIMEDOUT",
    }
    assert expected == {name for number, name in errno.errorcode.items() if is_transient(OSError(number, "it failed"))}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (failure(socket.getaddrinfo, "a name", 80, 0, 0, 0, socket.AI_NUMERICHOST), True),
        (socket.herror(2, "Host name lookup failure"), True),
        (failure(concurrent.futures.Future().result, 0), True),
        (asyncio.IncompleteReadError(b"half", 10), True),
        (http.client.RemoteDisconnected("closed"), True),
        (http.client.IncompleteRead(b"half"), True),
        (http.client.BadStatusLine("220"), True),
        (http.client.InvalidURL("no"), False),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), True),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), False),
        (urllib.error.URLError(TimeoutError()), True),
        (urllib.error.URLError(FileNotFoundError(2, "No such file")), False),
        (urllib.error.URLError("unknown url type: gopher"), False),
        (asyncio.CancelledError(), False),
        (concurrent.futures.CancelledError(), False),
        (failure(json.loads, "<html>"), False),
        (failure(open, "/nowhere/at/all"), False),
        (failure(b"\xff".decode), False),
    ],
    ids=repr,
)
def test_errors_of_the_standard_library(error: BaseException, expected: bool) -> None:
    """What a network does is transient; what a program does is not."""
    assert is_transient(error) is expected


@pytest.mark.parametrize("kind", sorted(every_kind_of(lambdakit.FetchError), key=repr), ids=lambda kind: kind.__name__)
def test_an_error_of_ours_says_it_itself(kind: type[lambdakit.FetchError]) -> None:
    """The attribute decides, the status does not."""
    error = kind("m", service="ssm", operation="GetParameter", name="n", status=503)
    assert is_transient(error) is error.retryable


def test_a_batch_is_transient_if_all_that_failed_in_it_is() -> None:
    """One name that does not exist fails the same call again."""
    throttled, missing = (
        kind("m", service="ssm", operation="GetParameters", name="n")
        for kind in (lambdakit.ThrottledError, lambdakit.NotFoundError)
    )
    assert is_transient(lambdakit.exceptions.BatchError({"a": throttled}, {}))
    assert not is_transient(lambdakit.exceptions.BatchError({"a": throttled, "b": missing}, {}))


def test_too_little_time_is_transient() -> None:
    """The next invocation has more; a wrong argument is wrong again."""
    assert is_transient(lambdakit.DeadlineExceededError("m"))
    assert not is_transient(lambdakit.ConfigurationError("m"))
    assert not is_transient(lambdakit.LambdakitError("m"))


@pytest.mark.parametrize(
    "error",
    [
        requests.JSONDecodeError("m", "d", 0),
        requests.exceptions.InvalidURL("m"),
        requests.exceptions.MissingSchema("m"),
        httpx.DecodingError("m"),
        httpx.LocalProtocolError("m"),
        httpx.InvalidURL("m"),
        httpx.ResponseNotRead(),
        urllib3.exceptions.LocationParseError("m"),
        urllib3.exceptions.DecodeError("m"),
        urllib3.exceptions.HTTPError("m"),
        aiohttp.InvalidURL("m"),
        aiohttp.ServerFingerprintMismatch(b"expected", b"got", "h", 443),
        redis.exceptions.AuthorizationError("m"),
        redis.DataError("m"),
        redis.exceptions.ExternalAuthProviderError("m"),
        psycopg.OperationalError("m"),
        psycopg.errors.UniqueViolation("m"),
        botocore.exceptions.NoCredentialsError(),
        botocore.exceptions.NoRegionError(),
        botocore.exceptions.ParamValidationError(report="m"),
    ],
    ids=repr,
)
def test_whatever_a_library_refuses_by_itself_stays_so(error: Exception) -> None:
    """Nothing was wrong with the network."""
    assert not is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        aiohttp.ServerTimeoutError("m"),
        aiohttp.ClientPayloadError("m"),
        aiohttp.ServerDisconnectedError(),
        botocore.exceptions.ConnectionClosedError(endpoint_url="m"),
        botocore.exceptions.EndpointConnectionError(endpoint_url="m"),
        botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        httpx.PoolTimeout("m"),
        psycopg.errors.ConnectionTimeout("m"),
        redis.exceptions.MaxConnectionsError("m"),
        requests.exceptions.ProxyError("m"),
        requests.exceptions.SSLError(),
        urllib3.exceptions.ProxyError("m", OSError()),
    ],
    ids=repr,
)
def test_whatever_a_library_calls_a_failure_of_the_connection_is_transient(error: Exception) -> None:
    """Those that no test above brings about."""
    assert is_transient(error)


def test_what_is_derived_from_a_known_class_is_judged_as_it() -> None:
    """Users wrap and extend."""

    class OursError(requests.ConnectionError):
        pass

    class TheirsError(redis.AuthenticationError):
        pass

    assert is_transient(OursError("m"))
    assert not is_transient(TheirsError("m"))


def test_the_cause_plays_no_part() -> None:
    """Who raised another error from it has judged already."""
    error = ValueError("not there")
    error.__cause__ = TimeoutError()
    assert not is_transient(error)


@pytest.mark.parametrize("name", sorted(_errors._TRANSIENT | _errors._PERMANENT | _errors._WRAPPERS.keys()))
def test_every_name_is_a_class_that_exists(name: str) -> None:
    """A name misspelt, or moved by its library, would never match."""
    module, _, kind = name.rpartition(".")
    found = getattr(importlib.import_module(module), kind)
    assert name == f"{found.__module__}.{found.__qualname__}"
    assert issubclass(found, Exception)


@given(
    st.sampled_from([Exception, OSError, ConnectionError, urllib.error.URLError, botocore.exceptions.ClientError]),
    st.dictionaries(
        st.sampled_from(["args", "errno", "reason", "response", "status", "status_code", "__str__"]),
        st.sampled_from([None, "503", (), [], {}, {"Error": None}, KeyError(), types.SimpleNamespace(status_code="")]),
    ),
    st.sampled_from([False, True]),
)
def test_no_error_makes_it_raise(kind: type[Exception], attributes: dict[str, Any], raises: bool) -> None:
    """Attributes of any kind, or that raise when they are read."""

    def read(self: object) -> None:
        raise RuntimeError("the request has not been sent")

    members = {name: property(read) if raises else value for name, value in attributes.items()}
    odd = type("OddError", (kind,), members)
    assert is_transient(odd.__new__(odd)) in {True, False}


def test_an_error_that_wraps_itself_is_judged() -> None:
    """Without an end in sight there is no sign of the network."""
    error = urllib.error.URLError("")
    error.reason = error  # type: ignore[assignment]
    assert not is_transient(error)


def test_judging_loads_nothing() -> None:
    """Neither the libraries that it knows nor what is heavy; the SDK's codes only for an error of the SDK."""
    code = (
        "import json, sys\nfrom lambdakit._errors import is_transient\nbefore = set(sys.modules)\n"
        "print(is_transient(TimeoutError()), is_transient(OSError(2, 'm')), is_transient(KeyError('k')))\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["True False False", "[]"]
