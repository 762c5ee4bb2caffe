"""This machine's clock is wrong: services refuse the time of a signature, and their answers say what time it is."""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest

import lambdakit
from answering import Answering, aws_json
from lambdakit import AccessDeniedError, Environment, FetchError
from lambdakit._errors import clock_skew_s
from lambdakit.testing import ManualClock

GOOD = aws_json(200, {"Name": "x", "ARN": "x", "SecretString": "v", "VersionId": "1"})
EXPIRED = "Signature expired: 20260101T000000Z is now earlier than 20260101T000300Z (20260101T000800Z - 5 min.)"
EARLY = "Signature not yet current: 20260101T000800Z is still later than 20260101T000500Z"


NOW_S = 1_800_000_000.0  # what time it is


def refusal(code: str = "InvalidSignatureException", message: str = EXPIRED, date: str | None = "now") -> bytes:
    headers = {} if date is None else {"Date": formatdate(NOW_S, usegmt=True) if date == "now" else date}
    return aws_json(400, {"__type": code, "message": message}, **headers)


def signed_s(request: bytes) -> float:
    """The time in a signature."""
    line = next(line for line in request.decode("latin-1").split("\r\n") if line.lower().startswith("x-amz-date"))
    text = line.partition(": ")[2]
    return calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_s=NOW_S)


@pytest.fixture(params=["direct", "auto"])
def env(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[Environment]:
    env = Environment(backend=request.param, clock=clock)
    with lambdakit.use_environment(env):
        yield env
    env.close()


CODES = [
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "RequestTimeTooSkewed",
    "RequestExpired",
    "RequestInTheFuture",
]


@pytest.mark.parametrize("off_s", [-480.0, 480.0, -1e6])
@pytest.mark.parametrize("code", CODES)
def test_it_is_corrected_for_the_next_attempt(
    code: str,
    off_s: float,
    clock: ManualClock,
    env: Environment,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At once, and for every request after it, with one warning; of every service, in one step of the quota's."""
    clock.set_wall(NOW_S + off_s)
    with Answering(refusal(code), GOOD) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        assert lambdakit.get_secret("x") == "v"
        assert lambdakit.get_secret("y") == "v"
    assert [signed_s(request) for request in server.received] == [NOW_S + off_s, NOW_S, NOW_S]
    late = "late" if off_s < 0 else "early"
    assert [message for message in caplog.messages if "clock" in message] == [
        f"the clock of this machine is {abs(off_s):.0f} s {late}: requests are signed with the service's time"
    ]


def test_a_clock_that_is_set_right_is_found_right_again(
    clock: ManualClock, env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next refusal says so."""
    clock.set_wall(NOW_S - 480)
    with Answering(refusal(), GOOD, refusal(message=EARLY), GOOD) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        lambdakit.get_secret("x")
        clock.set_wall(NOW_S)
        lambdakit.get_secret("x", force_fetch=True)
    assert [signed_s(request) - NOW_S for request in server.received] == [-480, 0, 480, 0]


@pytest.mark.parametrize(
    "answers",
    [
        (refusal(date=None),),
        (refusal(message=EARLY, date=None),),
        (refusal(date="nonsense"),),
        (refusal("RequestExpired", "", None),),
        (refusal(date="Thu, 01 Jan 1970 00:00:00 GMT"), refusal()),
    ],
)
@pytest.mark.parametrize("backend", ["direct", "sdk"])
def test_otherwise_the_error_speaks_of_the_clock(
    answers: tuple[bytes, ...], backend: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It passes by itself: a value that is stale is served meanwhile."""
    with Answering(GOOD, *answers) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        env = Environment(backend=backend, clock=clock)
        with lambdakit.use_environment(env):
            assert lambdakit.get_secret("x") == "v"
            with pytest.raises(AccessDeniedError, match="The clock of this machine is wrong: set it") as caught:
                lambdakit.get_secret("x", force_fetch=True)
            assert caught.value.retryable
            clock.tick(3_000)
            assert lambdakit.get_secret("x") == "v"  # stale
        env.close()


def test_a_signature_that_is_wrong_for_another_reason(
    clock: ManualClock, env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a secret key with a typing error: nothing is corrected, asked again, or said of the clock."""
    with Answering(refusal(message="The request signature we calculated does not match")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(AccessDeniedError) as caught:
            lambdakit.get_secret("x")
        assert (server.requests, caught.value.retryable, "clock" in str(caught.value)) == (1, False, False)


def test_a_correction_that_does_not_help_is_made_once(
    clock: ManualClock, env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a call; a server that goes on refusing is not asked for ever."""
    clock.set_wall(NOW_S - 480)
    with Answering(refusal()) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(FetchError):
            lambdakit.get_secret("x")
        assert server.requests == 2


def test_a_closed_environment_starts_with_its_clock(
    clock: ManualClock, env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does one after a restore: it is on another machine."""
    clock.set_wall(NOW_S - 480)
    with Answering(refusal(), GOOD) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        lambdakit.get_secret("x")
        env.close()
        lambdakit.get_secret("x")
    assert [signed_s(request) - NOW_S for request in server.received] == [-480, 0, -480]


@pytest.mark.parametrize(
    ("code", "date", "off_s"),
    [
        ("RequestExpired", "Thu, 01 Jan 1970 00:16:40 GMT", 1_000.0),
        ("RequestExpired", "Thu, 01 Jan 1970 00:04:00 GMT", 240.0),
        ("RequestExpired", "Thu, 01 Jan 1970 00:03:59 GMT", None),
        ("RequestExpired", None, None),
        ("RequestExpired", "soon", None),
        ("RequestExpired", f"Thu, 01 Jan {10**20} 00:16:40 GMT", None),
        ("AccessDeniedException", "Thu, 01 Jan 1970 00:16:40 GMT", None),
        (None, "Thu, 01 Jan 1970 00:16:40 GMT", None),
    ],
)
def test_what_an_answer_says_of_the_time(code: str | None, date: Any, off_s: float | None) -> None:
    """Four minutes at least, since services allow five."""
    assert clock_skew_s(code, date, 0.0) == off_s
