"""What those see who report an error with the variables of its frames: nothing of a value, a key or a token."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import pickle
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import urllib3
from running import RunningClock, RunningContext, invocation
from tools.frames import BACKENDS, FRONTS, REQUESTS, VALUES, YOURS, shown

import lambdakit
from answering import aws_json
from faults import Peer, serving
from http_server import response
from lambdakit import Environment, http
from lambdakit._diagnostics import hide_locals
from lambdakit._oauth import TokenRequest
from lambdakit.testing import MemoryBackend

PLANTED = "pLaNtEd"
VALUE = json.dumps({"password": f"{PLANTED}-value"})
PLAIN = f"{PLANTED}-no-json!"
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": f"{PLANTED}-secret-key",
    "AWS_SESSION_TOKEN": f"{PLANTED}-session-token",
}
SHORT_S = 0.5  # of an invocation that runs out of time


def errors_of(error: BaseException) -> Iterator[BaseException]:
    """It, and all behind it."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, one.__context__]
        if isinstance(one, lambdakit.BatchError):
            todo += one.errors.values()


def found(error: BaseException) -> set[str]:
    """Where something planted is shown: module, function and variable, or an error that says it."""
    places: set[str] = set()
    for one in errors_of(error):
        said = [str(one), repr(one), *traceback.format_exception_only(one)]
        if PLANTED in "".join(said):
            places.add(type(one).__name__)
        for frame, _ in traceback.walk_tb(one.__traceback__):
            for name, value in frame.f_locals.items():
                if PLANTED in repr(value):
                    places.add(f"{frame.f_globals['__name__']}.{frame.f_code.co_name}.{name}")
    return places


def places_of_others(error: BaseException) -> set[str]:
    """All that are not of this module."""
    return {place for place in found(error) if not place.startswith(f"{__name__}.")}


def answer(peer: Peer, kind: str, head: bytes) -> bytes | None:
    """What a service says to one request; None where it says nothing."""
    errors = {
        "missing": (400, "ResourceNotFoundException"),
        "denied": (400, "AccessDeniedException"),
        "signature": (400, "InvalidSignatureException"),
        "throttled": (400, "ThrottlingException"),
        "failed": (500, "InternalServiceError"),
        "invalid": (400, "ValidationException"),
    }
    if kind in {"lost", "silent"}:
        (peer.reset if kind == "lost" else peer.silence)()
        return None
    if kind == "malformed":
        return aws_json(200, {"SecretStrings": VALUE, "Parameters": VALUE})
    if kind in errors and not (kind == "missing" and b"Batch" in head):
        status, code = errors[kind]
        body = peer.server.requests[-1]
        said = {"__type": code, "message": "no" if kind != "signature" else f"{code}: {body!r}"}
        return aws_json(status, said)
    if b"BatchGetSecretValue" in head:
        names = {"good": VALUE} if kind == "batch" else {"good": VALUE, "plain": PLAIN}
        found = [{"Name": name, "ARN": f"arn:{name}", "SecretString": text} for name, text in names.items()]
        refused = [{"SecretId": "gone", "ErrorCode": "ResourceNotFoundException", "Message": "no"}]
        return aws_json(200, {"SecretValues": found, "Errors": refused if kind == "batch" else []})
    name = "plain" if b"secretId=plain" in head or b'"plain"' in peer.server.requests[-1] else "good"
    said = {"Name": name, "SecretString": PLAIN if name == "plain" else VALUE, "VersionId": "v1"}
    gone = b"gone" in head  # the extension is asked for one after the other
    return aws_json(400, {"__type": "ResourceNotFoundException"}) if gone else aws_json(200, said)


def parse(_: Any) -> Any:
    """A transform that fails."""
    raise LookupError("mine")


ASKED: dict[str, Callable[[], object]] = {
    "field": lambda: lambdakit.get_secret("good", field="pasword"),
    "json": lambda: lambdakit.get_secret("plain", transform="json"),
    "binary": lambda: lambdakit.get_secret("plain", transform="binary"),
    "option": lambda: (lambdakit.get_secret("good"), lambdakit.get_secret("good", transform="jsn")),
    "batch": lambda: lambdakit.get_secrets(["good", "gone"]),
    "batch_json": lambda: lambdakit.get_secrets(["good", "plain"], transform="json"),
    "missing": lambda: lambdakit.get_secret("gone"),
    "transform": lambda: lambdakit.get_secret("good", transform=parse),
}


@contextlib.contextmanager
def environment_of(backend: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    """One whose service answers so."""

    def behave(peer: Peer) -> None:
        while (head := peer.request()) is not None:
            said = answer(peer, kind, head)
            if said is None:
                return
            peer.send(said)
            peer.finish()

    for name, value in (KEYS | {"AWS_MAX_ATTEMPTS": "1"}).items():
        monkeypatch.setenv(name, value)
    with serving(behave) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(server.port))
        chosen = MemoryBackend(secrets={"good": VALUE, "plain": PLAIN}) if backend == "memory" else backend
        env = Environment(backend=chosen, clock=RunningClock(chance=0.0))
        with lambdakit.use_environment(env):
            yield env
        env.close()


CASES = [(kind, backend) for kind, (_, raised) in VALUES.items() for backend in BACKENDS if raised[backend]]


@pytest.mark.parametrize(("kind", "backend"), CASES)
def test_no_frame_shows_a_value(kind: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a key, nor a token: of every error of every backend, in any variable, our frames' and others'."""
    with (
        environment_of(backend, kind, monkeypatch),
        invocation(RunningContext(remaining_s=SHORT_S if kind == "silent" else 30.0)),
        pytest.raises(Exception) as caught,  # noqa: PT011 - which one is said below
    ):
        ASKED.get(kind, lambda: lambdakit.get_secret("x"))()
    error = caught.value
    assert type(error).__name__ == VALUES[kind][1][backend]
    assert places_of_others(error) == set()
    assert bool(found(error)) is (shown(kind) == YOURS)  # what is passed to a function of the user's is the user's
    assert all(one.__traceback__ is None or one.__traceback__.tb_lineno for one in errors_of(error))


GETTERS: dict[str, Callable[[], object]] = {
    "get_parameter": lambda: lambdakit.get_parameter("/p/plain", transform="json"),
    "a field of a parameter": lambda: lambdakit.get_parameter("/p/good", field="pasword"),
    "get_parameters": lambda: lambdakit.get_parameters(["/p/plain", "/p/gone"], transform="json"),
    "get_parameters_by_path": lambda: lambdakit.get_parameters_by_path("/p", transform="json"),
    "get_app_config": lambda: lambdakit.get_app_config("a", "b", "c", field="pasword"),
    "get_item": lambda: lambdakit.get_item("t", {"id": 1}, field="pasword"),
    "decrypt_env": lambda: lambdakit.decrypt_env("VARIABLE"),
    "a declaration": lambda: lambdakit.secret("good", field="pasword").get(),
    "declared parameters": lambda: lambdakit.parameters("/p", transform="json").get(),
    "a cached function": lambda: lambdakit.cached(ask)(PLAIN),
    "a cached function, of a wrong argument": lambda: lambdakit.cached(ask)([PLAIN]),
    "a cached coroutine function": lambda: asyncio.run(lambdakit.cached(ask_later)(PLAIN)),
    "a cached coroutine function, of a wrong argument": lambda: asyncio.run(lambdakit.cached(ask_later)([PLAIN])),
    "a singleton": lambdakit.singleton(lambda: lambdakit.get_secret("good", field="pasword")),
    "an async singleton": lambda: asyncio.run(lambdakit.singleton(connect)()),
    "a rotation": lambdakit.retry_on_rotation("good", errors=OSError)(lambda: ask(PLAIN)),
    "a wrong client secret": lambda: lambdakit.oauth_token("no URL", client_id="i", client_secret=PLAIN),
}


def ask(_: Any) -> object:
    """A function that fails as lambdakit does."""
    return lambdakit.get_secret("good", field="pasword")


async def ask_later(_: Any) -> object:
    """The same, awaited."""
    await asyncio.sleep(0)
    return lambdakit.get_secret("good", field="pasword")


async def connect() -> object:
    """What builds a singleton."""
    return await ask_later(None)


@pytest.mark.parametrize("name", GETTERS)
def test_no_function_shows_a_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is that is asked; arguments of cached functions are not shown by us either."""
    monkeypatch.setenv("VARIABLE", "bm90aGluZw==")
    backend = MemoryBackend(
        secrets={"good": VALUE},
        parameters={"/p/good": VALUE, "/p/plain": PLAIN},
        app_configs={"a/b/c": VALUE},
        items={("t", 1): {"password": PLAIN}},
        ciphertexts={"bm90aGluZw==": f"{PLANTED}\udcff"},
    )
    with lambdakit.use_environment(Environment(backend=backend)), pytest.raises(Exception) as caught:  # noqa: PT011
        GETTERS[name]()
    assert places_of_others(caught.value) == set()


class Bearer:
    """A token."""

    def __str__(self) -> str:
        return f"{PLANTED}-token"

    def forget(self) -> None:
        """Keeps it."""


def sender(front: str, url: str) -> Callable[[str], object]:
    """What sends a request with a token in it."""
    bearer = {"Authorization": f"Bearer {PLANTED}-token"}
    if front == FRONTS[0]:
        return lambda kind: http.post(url, auth=Bearer(), body=PLAIN, max_bytes=3 if kind == "large" else None)
    if front == FRONTS[1]:
        return lambda _: http.pool().urlopen("GET", url, headers=bearer)
    if front == FRONTS[2]:
        prepared = requests.Request("POST", url, headers=bearer, data=PLAIN).prepare()
        return lambda _: http.requests_session().send(prepared)
    if front == FRONTS[3]:
        request = http.httpx_client().build_request("POST", url, headers=bearer, content=PLAIN)
        return lambda _: http.httpx_client().send(request)
    if front == FRONTS[4]:
        request = http.httpx_async_client().build_request("POST", url, headers=bearer, content=PLAIN)

        async def send() -> object:
            return await http.httpx_async_client().send(request)

        return lambda _: asyncio.run(send())
    token = lambdakit.oauth_token(url, client_id="i", client_secret=f"{PLANTED}-client-secret")
    return lambda _: str(token)


REQUESTED = [(kind, front) for kind, (_, raised) in REQUESTS.items() for front in FRONTS if raised[front]]


@pytest.mark.parametrize(("kind", "front"), REQUESTED)
def test_no_frame_shows_a_token(kind: str, front: str) -> None:
    """Nor what was sent, nor what came; a client secret neither."""
    answers = {
        "large": response(body=PLAIN.encode()),
        "refused": response(401, json.dumps({"error": "invalid_client", "error_description": PLAIN}).encode()),
        "malformed": response(body=json.dumps({"token": PLAIN}).encode()),
    }

    def behave(peer: Peer) -> None:
        while peer.request() is not None:
            if kind not in answers:
                (peer.silence if kind == "silent" else peer.reset)()
                return
            peer.send(answers[kind])

    with (
        serving(behave) as server,
        invocation(RunningContext(remaining_s=SHORT_S if kind == "silent" else 30.0)),
        pytest.raises(Exception) as caught,  # noqa: PT011 - which one is said below
    ):
        sender(front, f"http://127.0.0.1:{server.port}/")(kind)
    assert type(caught.value).__name__ == REQUESTS[kind][1][front]
    # What was given to a library's own function, above ours, is the caller's.
    assert places_of_others(caught.value) == set()


def test_an_origin_shows_nothing_either() -> None:
    """Of what was tried to open it."""
    with pytest.raises(urllib3.exceptions.HTTPError) as caught:
        http.origin("http://127.0.0.1:1")()
    assert all("lambdakit" not in place for place in frames_with_locals(caught.value))


def frames_with_locals(error: BaseException) -> set[str]:
    """The modules of the frames that show anything, but for the one that the error leaves lambdakit by."""
    frames = [frame for one in errors_of(error) for frame, _ in traceback.walk_tb(one.__traceback__)]
    return {frame.f_globals["__name__"] for frame in frames if frame.f_locals and frame.f_code.co_name != "__call__"}


def test_a_client_secret_is_no_part_of_a_key() -> None:
    """Equal ones are one token all the same, others are others."""
    others: dict[str, Any] = dict.fromkeys(
        ("auth_method", "client_assertion", "scope", "audience", "resource", "extra")
    )
    keys = [
        TokenRequest("https://x", client_id="i", client_secret=secret, **others).key
        for secret in (f"{PLANTED}-1", f"{PLANTED}-1", f"{PLANTED}-2")
    ]
    assert keys[0] == keys[1] != keys[2]
    assert PLANTED not in repr(keys)


def test_values_of_an_error_are_not_written_anywhere() -> None:
    """By name they are there; in no repr, and in no pickle."""
    error = lambdakit.BatchError({"gone": KeyError("gone")}, {"good": f"{PLANTED}-value"})
    assert error.values == {"good": f"{PLANTED}-value"}
    assert {**error.values} == error.values
    assert (repr(error.values), f"{error.values}") == ("<1 values>", "<1 values>")
    assert PLANTED not in repr(vars(error))
    for pickled in (pickle.dumps(error), pickle.dumps(error.values), pickle.dumps(copy.deepcopy(error.values))):
        assert PLANTED.encode() not in pickled
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own object
    assert (str(again), again.values, repr(again.errors)) == (str(error), {}, repr(error.errors))


def test_frames_of_users_are_theirs() -> None:
    """Those of a function that lambdakit calls, and those of what it calls, where libraries are left alone."""
    seen = "of the user"

    @lambdakit.cached
    def mine() -> object:
        local = seen
        return json.loads(local)

    with pytest.raises(json.JSONDecodeError) as caught:
        mine()
    shown = {frame.f_code.co_name: {*frame.f_locals} for frame, _ in traceback.walk_tb(caught.value.__traceback__)}
    assert shown["mine"] == {"local", "seen"}
    assert shown["raw_decode"] >= {"s"}
    assert shown["call"] == set()


def test_an_error_that_another_task_shares_ends_nobody() -> None:
    """A coroutine that waits, and has the error, is left out; a function that runs keeps its variables."""
    events: list[str] = []

    async def main() -> None:
        waits, go = asyncio.Event(), asyncio.Event()

        async def waiting(error: Exception) -> None:
            try:
                raise error
            except LookupError:
                waits.set()
                await go.wait()
                events.append("went on")

        error = LookupError()
        task = asyncio.ensure_future(of_lambdakit(waiting)(error))
        await waits.wait()
        hide_locals(caused_by(error))
        assert error.__traceback__ is None
        go.set()
        await task

    def running(error: Exception) -> None:
        mine = "mine"
        try:
            raise error
        except LookupError:
            hide_locals(caused_by(error))
            events.append(mine)

    asyncio.run(main())
    of_lambdakit(running)(LookupError())
    assert events == ["went on", "mine"]


def caused_by(error: BaseException) -> BaseException:
    """An error that was raised from it."""
    made = KeyError()
    made.__cause__ = error
    return made


def of_lambdakit(fn: Any) -> Any:
    """The function, as one of a module of lambdakit's."""
    module = {**globals(), "__name__": "lambdakit.made"}
    return types.FunctionType(fn.__code__, module, fn.__name__, fn.__defaults__, fn.__closure__)
