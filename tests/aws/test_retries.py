"""botocore's standard mode, with botocore as the oracle."""

from __future__ import annotations

import functools
import threading
from typing import Any, NamedTuple

import botocore.exceptions
import botocore.model
import botocore.session
import pytest
from botocore.retries import quota, standard
from hypothesis import given
from hypothesis import strategies as st

from lambdakit._aws import MAX_ATTEMPTS, RETRY_AFTER, Attempts, RetryQuota, backoff_s
from lambdakit._errors import THROTTLED_CODES, THROTTLED_STATUS, is_retryable, is_throttling

CODES = [
    None,
    *standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES,
    *standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES,
    "AccessDeniedException",
    "ExpiredTokenException",
    "throttling",
    "",
]
OPERATIONS = {
    "secretsmanager": ("GetSecretValue", "BatchGetSecretValue"),
    "ssm": ("GetParameter", "GetParameters", "GetParametersByPath"),
    "kms": ("Decrypt",),
    "lambda": ("Invoke",),
    "appconfigdata": ("StartConfigurationSession", "GetLatestConfiguration"),
    "dynamodb": ("GetItem",),
}
RETRY_AFTERS = st.one_of(
    st.none(),
    st.integers(-10, 30_000).map(str),
    st.sampled_from(["", "soon", "1.5", " 700 ", "1_000", "+20", "9" * 400, "9" * 5000]),
    st.text(max_size=5),
)


class Answer(NamedTuple):
    """As much of botocore's response as its retries look at."""

    status_code: int
    headers: dict[str, str]


@functools.cache
def service_model(service: str) -> botocore.model.ServiceModel:
    """botocore's; 60 ms to load."""
    return botocore.session.get_session().get_service_model(service)


def oracle_context(
    attempt: int, *, code: str | None, status: int | None, retry_after: str | None = None, request: Any = None
) -> standard.RetryContext:
    """What botocore makes of the same outcome; without a status, of a lost connection."""
    lost = status is None and code is None
    return standard.RetryContext(
        attempt,
        operation_model=service_model("secretsmanager").operation_model("GetSecretValue"),
        parsed_response=None if lost else {"Error": {} if code is None else {"Code": code}},
        http_response=None if lost else Answer(status or 0, {} if retry_after is None else {RETRY_AFTER: retry_after}),
        caught_exception=botocore.exceptions.ConnectionClosedError(endpoint_url="x") if lost else None,
        request_context=request,
    )


def is_oracle_throttled(context: standard.RetryContext) -> bool:
    """botocore's own answer."""
    return standard.ThrottlingErrorDetector(standard.RetryEventAdapter()).is_throttling_error_from_context(context)


@pytest.mark.parametrize("code", CODES)
def test_every_code_with_every_status_is_judged_as_botocore_does(code: str | None) -> None:
    """Retryable or not, throttling or not."""
    statuses = [status for status in (None, *range(200, 600)) if code or status]
    contexts = [oracle_context(1, code=code, status=status) for status in statuses]
    expected = [(standard.StandardRetryConditions().is_retryable(c), is_oracle_throttled(c)) for c in contexts]
    assert expected == [(is_retryable(code, status), is_throttling(code, status)) for status in statuses]


@pytest.mark.parametrize("code", ["InternalServiceError", "ResourceNotFoundException"])
def test_codes_of_the_model_are_judged_as_botocore_does_but_for_429(code: str) -> None:
    """That status does not come with them."""
    statuses = [status for status in range(200, 600) if status != 429]
    contexts = [oracle_context(1, code=code, status=status) for status in statuses]
    expected = [(standard.StandardRetryConditions().is_retryable(c), is_oracle_throttled(c)) for c in contexts]
    assert expected == [(is_retryable(code, status), is_throttling(code, status)) for status in statuses]


@pytest.mark.parametrize("service", OPERATIONS)
def test_no_operation_models_an_error_that_would_change_the_rule(service: str) -> None:
    """None is marked as retryable, and none has the status 429 unless its code means throttling."""
    model = service_model(service)
    shapes = [shape for name in OPERATIONS[service] for shape in model.operation_model(name).error_shapes]
    assert [shape.name for shape in shapes if shape.metadata.get("retryable")] == []
    throttling = {
        shape.name for shape in shapes if (shape.metadata.get("error") or {}).get("httpStatusCode") == THROTTLED_STATUS
    }
    assert throttling <= THROTTLED_CODES


@pytest.mark.parametrize(
    "error",
    [
        botocore.exceptions.ConnectTimeoutError(endpoint_url="x"),
        botocore.exceptions.EndpointConnectionError(endpoint_url="x"),
        botocore.exceptions.ReadTimeoutError(endpoint_url="x"),
        botocore.exceptions.SSLError(endpoint_url="x", error="x"),
        botocore.exceptions.ConnectionClosedError(endpoint_url="x"),
        botocore.exceptions.HTTPClientError(error="x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_without_an_answer_a_request_is_sent_again(error: Exception) -> None:
    """Whatever happened to the connection, the certificate included: so does botocore."""
    context = oracle_context(1, code=None, status=None)
    context.caught_exception = error
    assert is_retryable(None, None) is standard.StandardRetryConditions().is_retryable(context) is True


@given(
    st.integers(1, 12),
    st.sampled_from([("ThrottlingException", 400), (None, 500), (None, 429), (None, None)]),
    st.floats(0, 1, exclude_max=True),
    RETRY_AFTERS,
)
def test_the_wait_is_botocores(
    attempt: int, outcome: tuple[str | None, int | None], fraction: float, retry_after: str | None
) -> None:
    """For every attempt, kind of error, draw, and header, well formed or not."""
    code, status = outcome
    if status is None:
        retry_after = None  # no answer, no header
    detector = standard.ThrottlingErrorDetector(standard.RetryEventAdapter())
    oracle = standard.ExponentialBackoff(random=lambda: fraction, throttling_detector=detector)
    context = oracle_context(attempt, code=code, status=status, retry_after=retry_after)
    throttled = is_throttling(code, status)
    expected = oracle.delay_amount(context)
    assert expected == backoff_s(attempt, throttled=throttled, random=fraction, retry_after=retry_after)


@given(
    st.lists(
        st.lists(st.sampled_from([("SlowDown", 503), (None, 500), (None, None), ("AccessDenied", 403)]), max_size=4),
        max_size=60,
    )
)
def test_the_quota_is_botocores(calls: list[list[tuple[str | None, int | None]]]) -> None:
    """After any course of requests there is as much left of it, and the same retries were made."""
    ours, theirs = RetryQuota(), quota.RetryQuota()
    checker = standard.RetryQuotaChecker(theirs, standard.ThrottlingErrorDetector(standard.RetryEventAdapter()))
    conditions = standard.StandardRetryConditions()
    for outcomes in calls:
        attempts, request = begin(ours), dict[str, Any]()
        for number, (code, status) in enumerate(outcomes, 1):
            context = oracle_context(number, code=code, status=status, request=request)
            expected = conditions.is_retryable(context) and checker.acquire_retry_quota(context)
            assert expected == (attempts.failed(code=code, status=status) is not None)
            if not expected:
                break
        else:
            attempts.succeeded()
            checker.release_retry_quota(request, Answer(200, {}))
    assert repr(ours) == f"RetryQuota({theirs.available_capacity})"


def begin(quota: RetryQuota, *, random: float = 0.0, **options: Any) -> Attempts:
    """A request is about to be sent, with this number drawn for every back-off."""
    return Attempts(quota, random=lambda: random, **options)


def waits(attempts: Attempts, **outcome: Any) -> list[float | None]:
    """What comes of the same failure again and again, up to the end."""
    found: list[float | None] = []
    while not found or found[-1] is not None:
        found.append(attempts.failed(**outcome))
    return found


@pytest.mark.parametrize(("most", "expected"), [(1, [None]), (2, [0.05, None]), (3, [0.05, 0.1, None])])
def test_a_request_is_sent_so_often_at_most(most: int, expected: list[float | None]) -> None:
    """Three times by default; once where a time-out must not run the callee again."""
    assert expected == waits(begin(RetryQuota(), random=1.0, max_attempts=most), status=500)


def test_three_attempts_are_the_default() -> None:
    """As botocore's."""
    assert len(waits(begin(RetryQuota()), status=500)) == MAX_ATTEMPTS == standard.DEFAULT_MAX_ATTEMPTS == 3


@pytest.mark.parametrize(("left_s", "expected"), [(None, 1.0), (1.5, 1.0), (1.0, None), (0.5, None), (-1.0, None)])
def test_no_wait_lasts_until_the_deadline(left_s: float | None, expected: float | None) -> None:
    """A retry that could only begin at the deadline is not made, and takes nothing from the quota."""
    ours = RetryQuota()
    assert expected == begin(ours, random=1.0).failed(code="Throttling", status=400, left_s=left_s)
    assert repr(ours) == f"RetryQuota({500 if expected is None else 495})"


def test_the_quota_ends_retries_until_requests_succeed() -> None:
    """35 retries at 14 each fit in 500; every success without a retry gives 1 back, never more than there was."""
    ours = RetryQuota()
    assert [begin(ours).failed(status=500) for _ in range(40)].count(0.0) == 35
    assert begin(ours).failed(status=500) is None
    for _ in range(4):
        begin(ours).succeeded()
    assert begin(ours).failed(status=500) == 0.0
    for _ in range(600):
        begin(ours).succeeded()
    assert repr(ours) == "RetryQuota(500)"


def test_threads_share_the_quota() -> None:
    """Nothing of it is lost between them."""
    ours = RetryQuota()
    barrier = threading.Barrier(16)

    def work() -> None:
        barrier.wait()
        for _ in range(200):
            attempts = begin(ours)
            if attempts.failed(status=500) is not None:
                attempts.succeeded()

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert repr(ours) == "RetryQuota(500)"


def test_an_attempt_tells_its_number() -> None:
    """From 1."""
    attempts = begin(RetryQuota())
    assert repr(attempts) == "Attempts(number=1)"
    attempts.failed(status=503)
    assert repr(attempts) == "Attempts(number=2)"
