"""Other libraries' functions over what the environment keeps; real libraries, real servers."""

import functools
import importlib
import inspect
import json
import logging
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import botocore.exceptions
import botocore.session
import httpx
import pytest
import requests
import wrapt
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from reprs import clients_of
from running import invocation

import lambdakit
from faults import FaultServer, Peer, certificates, serving
from lambdakit import ConfigurationError, DeadlineExceededError, Environment, patch, unpatch
from lambdakit._patch import SimpleCall
from lambdakit.testing import FakeContext

FUNCTIONS = {
    "boto3.client": boto3.client,
    "boto3.resource": boto3.resource,
    "requests.request": requests.request,
    "requests.api.request": requests.api.request,
    "httpx.request": httpx.request,
    "httpx._api.request": sys.modules["httpx._api"].__dict__["request"],
}
LIBRARIES = {"boto3", "requests", "httpx"}


def now(path: str) -> Any:
    """What stands there now, such as ``"boto3.client"``."""
    module, _, name = path.rpartition(".")
    return vars(sys.modules[module])[name]


@pytest.fixture(autouse=True)
def _originals() -> Iterator[None]:
    """Every test finds the libraries as they are, also after one that failed."""
    yield
    unpatch()
    boto3.DEFAULT_SESSION = None
    for path, original in FUNCTIONS.items():
        module, _, name = path.rpartition(".")
        setattr(sys.modules[module], name, original)


def python(code: str) -> Any:
    """What `code` prints, as JSON, in a fresh interpreter in which patch and unpatch are imported."""
    script = f"import json, sys\nfrom lambdakit import patch, unpatch\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_what_is_patched_and_what_is_put_back() -> None:
    """By name: these functions; `requests.get` and the like are themselves. All are the originals afterwards."""
    kept = requests.get, requests.post, requests.Session, httpx.get, httpx.stream, httpx.Client, boto3.Session
    patch()
    for path, original in FUNCTIONS.items():
        assert now(path) is not original
    assert kept == (requests.get, requests.post, requests.Session, httpx.get, httpx.stream, httpx.Client, boto3.Session)
    unpatch()
    for path, original in FUNCTIONS.items():
        assert now(path) is original


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_only_what_is_named(name: str) -> None:
    """One library, and one of several undone."""
    patch(name)
    changed = {path for path, original in FUNCTIONS.items() if now(path) is not original}
    assert changed == {path for path in FUNCTIONS if path.startswith(name)}
    patch()
    unpatch(name)
    changed = {path for path, original in FUNCTIONS.items() if now(path) is not original}
    assert changed == {path for path in FUNCTIONS if not path.startswith(name)}


def test_twice_is_once() -> None:
    """Both ways, and on and off again gives the same wrapper."""
    patch("boto3")
    client = boto3.client
    patch("boto3", "boto3")
    assert boto3.client is client
    unpatch()
    unpatch()
    patch()
    assert boto3.client is client


BAD: list[tuple[tuple[Any, ...], str]] = [
    (("urllib3",), "'urllib3' is none of 'boto3', 'requests', 'httpx'"),
    (("boto",), "Did you mean 'boto3'"),
    (("boto3", ""), "'' is none of"),
    ((["boto3"],), "names of libraries, such as 'boto3', not list"),
    ((boto3,), "not module"),
]


@pytest.mark.parametrize("function", [patch, unpatch])
@pytest.mark.parametrize(("names", "said"), BAD)
def test_bad_names(function: Callable[..., None], names: tuple[Any, ...], said: str) -> None:
    """Refused with what is allowed, before anything is done."""
    with pytest.raises(ConfigurationError, match=f"{function.__name__}: .*{said}"):
        function(*names)
    assert boto3.client is FUNCTIONS["boto3.client"]


def test_functions_keep_what_they_are() -> None:
    """Name, docstring, signature, module, and that they pickle as their name."""
    patch()
    for path, original in FUNCTIONS.items():
        fn = now(path)
        assert inspect.isfunction(fn)
        assert (fn.__name__, fn.__qualname__, fn.__module__, fn.__doc__) == (
            original.__name__,
            original.__qualname__,
            original.__module__,
            original.__doc__,
        )
        assert inspect.signature(fn) == inspect.signature(original)
        assert pickle.loads(pickle.dumps(fn)) is fn  # noqa: S301 - our own bytes


# The order of imports.


def test_patching_imports_none_of_them_and_each_is_patched_when_it_is_imported() -> None:
    """Before the import: wrapt waits for it. Nothing is missed of what is never imported."""
    code = """
sys.modules["httpx"] = None
patch()
loaded = [name for name in ("boto3", "requests", "wrapt") if name in sys.modules]
import boto3, requests
try:
    import httpx
except ImportError:
    loaded.append("no httpx")
print(json.dumps([loaded, *(hasattr(fn, "__wrapped__") for fn in (boto3.client, boto3.resource, requests.request))]))
"""
    assert python(code) == [["wrapt", "no httpx"], True, True, True]


def test_what_is_imported_is_patched_without_wrapt() -> None:
    """Waiting costs its 48 ms; nothing waits here."""
    code = """
import boto3, requests, httpx
patch()
functions = boto3.client, requests.request, httpx.request
print(json.dumps(["wrapt" in sys.modules, *(hasattr(fn, "__wrapped__") for fn in functions)]))
"""
    assert python(code) == [False, True, True, True]


def test_undone_before_the_import() -> None:
    """Nothing is patched when it comes, and it can be patched afterwards; only one hook waits."""
    code = """
patch("requests"); patch("requests"); patch()
import wrapt.importer
hooks = len(wrapt.importer._post_import_hooks["requests"])
unpatch()
import requests
before = hasattr(requests.request, "__wrapped__")
patch()
print(json.dumps([hooks, before, hasattr(requests.request, "__wrapped__")]))
"""
    assert python(code) == [1, False, True]


def test_patched_when_the_import_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: the module that is imported, each time that it is imported anew; not after `unpatch`."""
    for _ in range(2):
        monkeypatch.delitem(sys.modules, "httpx")
        patch("httpx")
        anew = importlib.import_module("httpx")
        assert anew.request is not FUNCTIONS["httpx.request"]
        unpatch("httpx")
        assert anew.request is FUNCTIONS["httpx.request"]
    monkeypatch.delitem(sys.modules, "httpx")
    patch("httpx")
    unpatch("httpx")
    assert importlib.import_module("httpx").request is FUNCTIONS["httpx.request"]


def test_an_import_that_another_thread_is_in_the_middle_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module is there but has no function yet: `patch` waits until it has."""
    # A stand-in for boto3 that is slow to import.
    (tmp_path / "boto3.py").write_text(
        "import gate\ngate.begun.set()\ngate.go.wait(10)\ndef client(): pass\nresource = client\n"
    )
    gate: Any = ModuleType("gate")
    gate.begun, gate.go = threading.Event(), threading.Event()
    monkeypatch.setitem(sys.modules, "gate", gate)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "boto3")
    with ThreadPoolExecutor(2) as pool:
        importing = pool.submit(importlib.import_module, "boto3")
        assert gate.begun.wait(10)
        patching = pool.submit(patch, "boto3")
        with pytest.raises(TimeoutError):
            patching.result(0.1)
        gate.go.set()
        patching.result(10)
        assert hasattr(importing.result(10).client, "__wrapped__")
    unpatch()


def test_a_version_without_the_function_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With a warning that names it; what it has is patched."""
    other: Any = ModuleType("boto3")
    other.client = lambda: None
    monkeypatch.setitem(sys.modules, "boto3", other)
    with caplog.at_level(logging.WARNING, logger="lambdakit"):
        patch("boto3")
    assert [record.getMessage() for record in caplog.records] == [
        "patch: this version of boto3 has no boto3.resource; it is left alone"
    ]
    assert vars(other).keys() >= {"client"}
    assert hasattr(other.client, "__wrapped__")
    assert not hasattr(other, "resource")


def test_a_get_of_others_is_not_followed_out_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `requests.get` was replaced by a function of another module, that module's names are not ours."""
    monkeypatch.setattr(requests, "get", python)
    monkeypatch.setitem(globals(), "request", len)
    patch("requests")
    assert globals()["request"] is len
    assert requests.request is not FUNCTIONS["requests.request"]
    unpatch()
    # It was patched in the package only.
    assert requests.request is FUNCTIONS["requests.request"]


def test_threads_patch_once() -> None:
    """Behind a barrier: one wrapper in all places, not wrapped in another."""
    barrier = threading.Barrier(16)

    def both(_: int) -> None:
        barrier.wait(10)
        patch()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(both, range(16)))
    assert requests.request is requests.api.request
    for path, original in FUNCTIONS.items():
        assert now(path).__wrapped__ is original


# Others who wrap.


def wraps(fn: Callable[..., Any]) -> Callable[..., Any]:
    """As most tools do it."""

    @functools.wraps(fn)
    def outer(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return outer


def proxies(fn: Callable[..., Any]) -> Callable[..., Any]:
    """As tracing tools do it: a proxy, which equals what it wraps."""
    return wrapt.FunctionWrapper(fn, lambda wrapped, _, args, kwargs: wrapped(*args, **kwargs))


@pytest.mark.parametrize("wrap", [wraps, proxies])
def test_a_wrapper_round_ours_stays(wrap: Callable[..., Any]) -> None:
    """Patching again adds no layer below or above it; undone, what is below it does nothing."""
    patch("boto3")
    outer = wrap(boto3.client)
    boto3.client = outer
    patch("boto3")
    assert boto3.client is outer
    assert boto3.client("sqs") is lambdakit.client("sqs")
    unpatch("boto3")
    assert boto3.client is outer
    assert boto3.client("sqs") is not lambdakit.client("sqs")
    patch("boto3")
    assert boto3.client is outer
    assert boto3.client("sqs") is lambdakit.client("sqs")


@pytest.mark.parametrize("wrap", [wraps, proxies])
def test_a_wrapper_below_ours_goes_on(wrap: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """It was there first: it is what is put back, and `requests.get` is followed through it."""
    outer = wrap(requests.get)
    monkeypatch.setattr(requests, "get", outer)
    patch("requests")
    assert requests.api.request is not FUNCTIONS["requests.api.request"]
    below = wrap(FUNCTIONS["boto3.client"])
    monkeypatch.setattr(boto3, "client", below)
    patch("boto3")
    assert boto3.client("sqs") is lambdakit.client("sqs")
    unpatch()
    assert boto3.client is below


def test_a_circle_of_wrappers_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that says that it wraps itself is patched like any other."""

    def client() -> None: ...

    client.__wrapped__ = client  # type: ignore[attr-defined] # that is what is wrong with it
    monkeypatch.setattr(boto3, "client", client)
    patch("boto3")
    assert boto3.client is not client
    unpatch()
    assert boto3.client is client


def test_a_name_that_somebody_took_while_patched_is_inert_afterwards() -> None:
    """`from boto3 import client` between `patch` and `unpatch`."""
    patch()
    held = boto3.client
    assert held("sqs") is held("sqs")
    unpatch()
    assert held("sqs") is not held("sqs")


# Which calls are plain.


SIMPLE_CALL = SimpleCall("a", "b", names="c d", ignored_defaults={"e": (None, False)})
CALLS: list[tuple[tuple[Any, ...], dict[str, Any], dict[str, Any] | None]] = [
    ((), {}, {}),
    ((1,), {}, {"a": 1}),
    ((1, 2), {"c": 3}, {"a": 1, "b": 2, "c": 3}),
    ((), {"b": 2, "a": 1, "d": None}, {"a": 1, "b": 2, "d": None}),
    ((1,), {"e": None}, {"a": 1}),
    ((1,), {"e": False}, {"a": 1}),
    ((1,), {"e": 0}, None),
    ((1,), {"e": True}, None),
    ((1, 2, 3), {}, None),
    ((1,), {"a": 1}, None),
    ((1,), {"f": None}, None),
]


@pytest.mark.parametrize(("args", "kwargs", "bound"), CALLS)
def test_the_arguments_of_a_simple_call(
    args: tuple[Any, ...], kwargs: dict[str, Any], bound: dict[str, Any] | None
) -> None:
    """By name, without those that are ignored for being the very default; None for any other call."""
    assert SIMPLE_CALL.bind(args, kwargs) == bound


# boto3


SAID: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("sqs",), {}),
    (("sqs", "eu-west-1"), {}),
    ((), {"service_name": "sqs"}),
    (("sqs",), {"region_name": None, "endpoint_url": None, "config": None}),
    (("sqs",), {"api_version": None, "use_ssl": True, "verify": None, "aws_account_id": None}),
    (("sqs",), {"aws_access_key_id": None, "aws_secret_access_key": None, "aws_session_token": None}),
]


@pytest.mark.parametrize(("args", "kwargs"), SAID)
def test_a_plain_call_returns_the_client_of_the_environment(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Each way to say the same is the same client."""
    patch("boto3")
    assert boto3.client(*args, **kwargs) is lambdakit.client("sqs")
    assert clients_of(lambdakit.environment()) == 1


def test_region_endpoint_and_config_are_the_clients() -> None:
    """They are passed on, and a key of their own."""
    patch("boto3")
    config = Config(read_timeout=3)
    assert boto3.client("sqs", "us-east-1") is lambdakit.client("sqs", region="us-east-1")
    client = boto3.client("sqs", region_name="us-east-2", endpoint_url="http://127.0.0.1:1", config=config)
    assert client is lambdakit.client("sqs", region="us-east-2", endpoint_url="http://127.0.0.1:1", config=config)
    assert (client.meta.region_name, client.meta.endpoint_url) == ("us-east-2", "http://127.0.0.1:1")
    assert client.meta.config.read_timeout == 3


NOT_PLAIN: list[dict[str, Any]] = [
    {"aws_access_key_id": "AKIDOTHER", "aws_secret_access_key": "made-up"},
    {"verify": False},
    {"use_ssl": False},
    {"api_version": "2012-11-05"},
    {"aws_account_id": "123456789012"},
]


@pytest.mark.parametrize("kwargs", NOT_PLAIN)
def test_any_other_call_is_boto3s_own(kwargs: dict[str, Any]) -> None:
    """A new client, as it was asked for."""
    patch("boto3")
    one, other = boto3.client("sqs", **kwargs), boto3.client("sqs", **kwargs)
    assert one is not other
    assert clients_of(lambdakit.environment()) == 0
    assert one.meta.endpoint_url.startswith("http:" if kwargs.get("use_ssl") is False else "https:")
    assert one._request_signer._credentials.access_key == kwargs.get("aws_access_key_id", "AKIDEXAMPLE")


ERRORS: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception]]] = [
    (("dynamodbb",), {}, botocore.exceptions.UnknownServiceError),
    (("sqs",), {"endpoint_url": "no url"}, ValueError),
    ((), {}, TypeError),
    (("sqs",), {"service_name": "sqs"}, TypeError),
    (("sqs",), {"regoin_name": "eu-west-1"}, TypeError),
]


@pytest.mark.parametrize(("args", "kwargs", "error"), ERRORS)
def test_errors_are_boto3s(args: tuple[Any, ...], kwargs: dict[str, Any], error: type[Exception]) -> None:
    """The same class and the same words as without the patch, and nothing of ours behind it."""
    with pytest.raises(error) as without:
        boto3.client(*args, **kwargs)
    patch("boto3")
    with pytest.raises(error) as caught:
        boto3.client(*args, **kwargs)
    assert str(caught.value) == str(without.value)
    assert not isinstance(caught.value, lambdakit.LambdakitError)
    assert not isinstance(caught.value.__context__, lambdakit.LambdakitError)


def test_a_region_that_only_boto3_takes() -> None:
    """What lambdakit would refuse is left to boto3, which asks nobody whether a region exists."""
    patch("boto3")
    assert boto3.client("sqs", "eu-west-99").meta.region_name == "eu-west-99"


def test_resources_belong_to_their_thread() -> None:
    """One per thread; with credentials of its own a new one each time."""
    patch("boto3")
    assert boto3.resource("sqs") is lambdakit.resource("sqs")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(boto3.resource, "sqs").result(10) is not boto3.resource("sqs")
    keys = {"aws_access_key_id": "AKIDOTHER", "aws_secret_access_key": "made-up"}
    assert boto3.resource("sqs", **keys) is not boto3.resource("sqs", **keys)


def _own_session(**_: Any) -> botocore.session.Session:
    """What code that assumes a role by itself makes."""
    session = botocore.session.Session()
    session._credentials = RefreshableCredentials("a", "b", "c", None, dict, method="sts-assume-role")
    return session


SESSIONS: list[Callable[[], Any]] = [
    lambda: boto3.Session(region_name="us-west-2"),
    lambda: boto3.Session(aws_access_key_id="AKIDOTHER", aws_secret_access_key="made-up"),
    lambda: boto3.Session(botocore_session=_own_session()),
]


@pytest.mark.parametrize("make", SESSIONS)
def test_a_default_session_of_ones_own_holds(make: Callable[[], Any]) -> None:
    """What it was set up with is not passed over, whether it was set up before or after."""
    boto3.DEFAULT_SESSION = make()
    patch("boto3")
    assert boto3.client("sqs") is not boto3.client("sqs")
    boto3.DEFAULT_SESSION = None
    assert boto3.client("sqs") is boto3.client("sqs")
    boto3.DEFAULT_SESSION = make()
    assert boto3.client("sqs") is not boto3.client("sqs")


def test_setup_default_session() -> None:
    """With arguments it counts; without any it says nothing."""
    patch("boto3")
    boto3.setup_default_session()
    assert boto3.client("sqs") is boto3.client("sqs")
    boto3.setup_default_session(region_name="us-west-2")
    assert boto3.client("sqs").meta.region_name == "us-west-2"


def test_the_default_session_that_boto3_makes_for_itself_says_nothing(aws: boto3.session.Session) -> None:
    """Neither before nor after it has looked up its credentials."""
    boto3.client("sqs").list_queues()
    assert boto3.DEFAULT_SESSION is not None
    patch("boto3")
    assert boto3.client("sqs") is lambdakit.client("sqs")


def test_a_default_session_that_is_none_of_boto3s_is_left_to_it() -> None:
    """A stand-in of a test's: its own method is called."""

    class Stand:
        def client(self, service: str) -> str:
            return f"a stand-in for {service}"

    boto3.DEFAULT_SESSION = Stand()
    patch("boto3")
    assert boto3.client("sqs") == "a stand-in for sqs"


def test_sessions_of_ones_own_are_not_touched() -> None:
    """`boto3.Session().client` makes a client each time."""
    patch("boto3")
    session = boto3.Session()
    assert session.client("sqs") is not session.client("sqs")


def test_in_a_handler(aws: boto3.session.Session) -> None:
    """A function as it is found: the client of the environment that is there when it runs, bounded by the deadline."""
    patch("boto3")

    @lambdakit.handler
    def handler(event: Any, context: Any) -> Any:
        client = boto3.client("sqs")
        client.list_queues()
        return client

    first = handler({}, FakeContext(remaining_s=5))
    assert handler({}, FakeContext(remaining_s=5)) is first
    with lambdakit.use_environment(Environment()) as other:
        assert handler({}, FakeContext(remaining_s=5)) is not first
        other.close()
    with pytest.raises(DeadlineExceededError):
        handler({}, FakeContext(remaining_s=0.2))


# requests and httpx


def _shop(peer: Peer) -> None:
    """A server with sessions: every answer sets a cookie, and says what was sent."""
    cookie = b"Set-Cookie: session=of-one; Path=/"
    while (head := peer.request()) is not None:
        method, path, _ = head.split(b"\r\n", 1)[0].split()
        if path == b"/login":
            peer.send(b"HTTP/1.1 302 Found\r\nLocation: /home\r\n%s\r\nContent-Length: 0\r\n\r\n" % cookie)
            continue
        with peer.server.lock:
            sent = next(request for request in reversed(peer.server.requests) if request.startswith(head))
        body = b"" if method == b"HEAD" else sent
        peer.send(b"HTTP/1.1 200 OK\r\n%s\r\nContent-Length: %d\r\n\r\n%s" % (cookie, len(body), body))


@pytest.fixture
def shop() -> Iterator[FaultServer]:
    with serving(_shop) as server:
        yield server


def at(server: FaultServer, path: str = "/") -> str:
    return f"http://127.0.0.1:{server.port}{path}"


BOTH = pytest.mark.parametrize("library", [requests, httpx])
VERBS = ["get", "options", "head", "post", "put", "patch", "delete"]


@BOTH
def test_all_calls_share_a_connection(library: Any, shop: FaultServer) -> None:
    """Every verb and `request`, within an invocation and in the next one; without the patch each has its own."""
    library.get(at(shop))
    library.get(at(shop))
    assert shop.connections == 2
    patch()
    handler = lambdakit.handler(
        lambda event, context: (
            [getattr(library, verb)(at(shop)).status_code for verb in VERBS]
            + [library.request("GET", url=at(shop)).status_code]
        )
    )
    for _ in range(2):
        assert handler({}, FakeContext(remaining_s=20)) == [200] * 8
    assert shop.connections == 3
    methods = [request.split()[0].decode() for request in shop.requests]
    assert methods[2:] == 2 * [*map(str.upper, VERBS), "GET"]
    unpatch()
    library.get(at(shop))
    assert shop.connections == 4


def test_names_that_were_imported_before(shop: FaultServer) -> None:
    """`from requests import get` in a module that was there first."""
    held: list[Callable[..., Any]] = [requests.get, httpx.get]
    patch()
    for get in held:
        for _ in range(3):
            get(at(shop))
    assert shop.connections == 2


@BOTH
def test_arguments_arrive(library: Any, shop: FaultServer) -> None:
    """What a plain call may have, at the server as it is without the patch."""

    def sent() -> list[str]:
        library.get(at(shop), params={"a": "1"}, headers={"X-Id": "7"}, auth=("me", "word"), timeout=5)
        library.post(at(shop), json={"a": 1}, timeout=None)
        library.post(at(shop), data={"a": "1"})
        library.post(at(shop), files={"a": ("a.txt", b"abc")}, headers={"Content-Type": "multipart/x; boundary=b"})
        return [request.decode().partition("\r\n--")[0] for request in shop.requests[-4:]]

    without = sent()
    patch()
    assert [_lines(request) for request in sent()] == [_lines(request) for request in without]
    assert shop.connections == 5


def _lines(request: str) -> set[str]:
    return {line.lower() for line in request.split("\r\n")}


@BOTH
def test_no_cookie_is_kept(library: Any, shop: FaultServer) -> None:
    """The answer shows its cookie; the next call does not send it, over the same connection."""
    patch()
    for _ in range(3):
        assert library.get(at(shop)).cookies["session"] == "of-one"
    assert not any(b"ookie" in request for request in shop.requests)
    assert shop.connections == 1


def test_a_cookie_of_a_redirect_is_for_that_call(shop: FaultServer) -> None:
    """As without the patch: a login that answers with a redirect works, and the next call starts without a session."""
    patch()
    followed: list[tuple[Any, dict[str, bool]]] = [(requests, {}), (httpx, {"follow_redirects": True})]
    for library, options in followed:
        assert "Cookie: session=of-one" in library.get(at(shop, "/login"), **options).text
        assert "ookie" not in library.get(at(shop)).text
    assert not requests.get(at(shop, "/login"), allow_redirects=False, timeout=5).text
    assert shop.connections == 2


OTHERS: list[tuple[Any, dict[str, Any]]] = [
    (requests, {"cookies": {"mine": "1"}}),
    (requests, {"verify": False}),
    (requests, {"stream": True}),
    (requests, {"proxies": {}}),
    (requests, {"hooks": {}}),
    (requests, {"cert": ""}),
    (httpx, {"cookies": {"mine": "1"}}),
    (httpx, {"verify": False}),
    (httpx, {"trust_env": False}),
]


@pytest.mark.parametrize(("library", "options"), OTHERS)
def test_any_other_call_is_the_librarys_own(library: Any, options: dict[str, Any], shop: FaultServer) -> None:
    """A connection of its own, and what was asked for."""
    patch()
    for _ in range(2):
        response = library.get(at(shop), **options)
        assert ("Cookie: mine=1" in response.text) == ("cookies" in options)
        response.close()
    assert shop.connections == 2


@BOTH
def test_arguments_that_say_nothing(library: Any, shop: FaultServer) -> None:
    """The defaults, spelled out, are plain."""
    patch()
    options = {"stream": False, "cert": None} if library is requests else {"trust_env": True, "proxy": None}
    for _ in range(3):
        library.get(at(shop), verify=True, cookies=None, **options)
    assert shop.connections == 1


@BOTH
def test_sessions_and_clients_of_ones_own_are_untouched(library: Any, shop: FaultServer) -> None:
    """They have their connections and keep their cookies."""
    patch()
    library.get(at(shop))
    with requests.Session() if library is requests else httpx.Client() as own:
        own.get(at(shop))
        own.get(at(shop))
        assert own.cookies["session"] == "of-one"
    assert shop.connections == 2


def test_a_stream_of_httpx_is_untouched(shop: FaultServer) -> None:
    """It has a connection of its own, which ends with it."""
    patch()
    for _ in range(2):
        with httpx.stream("GET", at(shop)) as response:
            assert response.read()
    assert shop.connections == 2


def test_nothing_that_users_set_on_the_shared_ones_reaches_a_patched_call(shop: FaultServer) -> None:
    """A header on `lambdakit.http.requests_session()` is for those who use that."""
    from lambdakit import http

    patch()
    for kept in (http.requests_session(), http.httpx_client()):
        kept.headers["Authorization"] = "Bearer planted"
    for library in (requests, httpx):
        assert "planted" not in library.get(at(shop)).text


def test_environments_do_not_share(shop: FaultServer) -> None:
    """A call belongs to the environment that is there when it is made."""
    patch()
    for library in (requests, httpx):
        library.get(at(shop))
        with lambdakit.use_environment(Environment()) as other:
            library.get(at(shop))
            other.close()
        library.get(at(shop))
    assert shop.connections == 4


FAILURES: list[tuple[Any, str, dict[str, Any], type[Exception]]] = [
    (requests, "http://127.0.0.1:1", {}, requests.ConnectionError),
    (requests, "nonsense", {}, requests.exceptions.MissingSchema),
    (requests, "ftp://127.0.0.1", {}, requests.exceptions.InvalidSchema),
    (requests, "{silent}", {"timeout": 0.1}, requests.Timeout),
    (requests, "{silent}", {"tiemout": 0.1}, TypeError),
    (httpx, "http://127.0.0.1:1", {}, httpx.ConnectError),
    (httpx, "nonsense", {}, httpx.UnsupportedProtocol),
    (httpx, "{silent}", {"timeout": 0.1}, httpx.ReadTimeout),
    (httpx, "{silent}", {"tiemout": 0.1}, TypeError),
]


@pytest.mark.parametrize(("library", "url", "options", "error"), FAILURES)
def test_errors_are_the_librarys(library: Any, url: str, options: dict[str, Any], error: type[Exception]) -> None:
    """The class that callers catch, with and without the patch, and not one of ours."""
    with serving(lambda peer: (peer.request(), peer.silence())) as silent:
        url = url.format(silent=at(silent))
        for patched in (False, True):
            if patched:
                patch()
            begun = time.monotonic()
            with pytest.raises(error) as caught:
                library.get(url, **options)
            assert time.monotonic() - begun < 4  # the library's own time-out is 5 s
            assert not isinstance(caught.value, lambdakit.LambdakitError)


@BOTH
def test_missing_arguments(library: Any) -> None:
    """The library complains, of `request` too."""
    patch()
    with pytest.raises(TypeError, match="url"):
        library.request("GET")
    with pytest.raises(TypeError, match="method"):
        library.request(url="http://127.0.0.1:1")


@pytest.mark.parametrize(("library", "error"), [(requests, requests.Timeout), (httpx, httpx.TimeoutException)])
def test_the_deadline_is_both_errors(library: Any, error: type[Exception]) -> None:
    """Who catches a time-out of the library catches it, so does who catches ours; before it is sent, and while."""
    patch()
    with serving(lambda peer: (peer.request(), peer.silence())) as silent:
        for remaining_s, sent in ((0.2, 0), (0.6, 1)):
            with (
                invocation(FakeContext(remaining_s=remaining_s)),
                pytest.raises(error, match="too little time") as caught,
            ):
                library.post(at(silent), timeout=30)
                assert isinstance(caught.value, DeadlineExceededError)
                assert isinstance(caught.value.__cause__, DeadlineExceededError)
                assert str(caught.value.request.url).rstrip("/") == at(silent).rstrip("/")  # type: ignore[attr-defined] # both have it
                assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own bytes
                assert len(silent.requests) == sent


@BOTH
def test_without_a_time_out_there_is_one(library: Any) -> None:
    """A call that would wait for ever is bounded by the invocation."""
    patch()
    with (
        serving(lambda peer: (peer.request(), peer.silence())) as silent,
        invocation(FakeContext(remaining_s=0.5)),
        pytest.raises(DeadlineExceededError),
    ):
        library.get(at(silent), timeout=None)


@BOTH
def test_proxies_of_the_environment_are_used(library: Any, shop: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As without the patch: the proxy gets the request, with the whole URL."""
    monkeypatch.setenv("HTTP_PROXY", at(shop))
    monkeypatch.setenv("http_proxy", at(shop))
    patch()
    for _ in range(2):
        assert library.get("http://partner.example/stock").text.startswith("GET http://partner.example/stock ")


TLS = pytest.mark.parametrize(
    ("library", "variable", "error"),
    [
        (requests, "REQUESTS_CA_BUNDLE", requests.exceptions.SSLError),
        (httpx, "SSL_CERT_FILE", httpx.ConnectError),
    ],
)


@TLS
def test_who_is_trusted_stays_the_same(
    library: Any, variable: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables that the library reads hold; a certificate of nobody known is refused in the library's words."""
    patch()
    made = certificates(tmp_path)
    with serving(_shop, made.valid) as server:
        url = f"https://127.0.0.1:{server.port}"
        with lambdakit.use_environment(Environment()) as other:
            with pytest.raises(error, match=r"(?i)certificate"):
                library.get(url)
            other.close()
        monkeypatch.setenv(variable, str(made.root))
        for _ in range(3):
            assert library.get(url).status_code == 200
        assert len(server.requests) == 3
        assert server.connections <= 3


@BOTH
def test_64_threads(library: Any, shop: FaultServer) -> None:
    """Each gets its own answer, and afterwards a connection is there for the next call."""
    patch()

    def ask(number: int) -> bool:
        return f"GET /{number} " in library.get(at(shop, f"/{number}")).text

    with ThreadPoolExecutor(64) as pool:
        assert all(pool.map(ask, range(256)))
    opened = shop.connections
    assert ask(256)
    assert shop.connections == opened
