"""The exceptions and which answer becomes which."""

import pickle
import traceback

import pytest

import lambdakit
from lambdakit import exceptions
from lambdakit.backends.errors import kind_of, service_error


def test_every_exception_is_a_lambdakit_error_and_exported() -> None:
    """One base to catch; `__all__` is exact."""
    defined = {
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == exceptions.__name__
    }
    assert set(exceptions.__all__) == defined
    assert all(issubclass(getattr(exceptions, name), exceptions.LambdakitError) for name in defined)
    assert defined <= set(lambdakit.__all__)


def test_builtin_kinds() -> None:
    """Code that knows nothing of lambdakit can catch them by what they are."""
    assert issubclass(exceptions.ConfigurationError, ValueError)
    assert issubclass(exceptions.MissingDependencyError, ImportError)
    assert issubclass(exceptions.DeadlineExceededError, TimeoutError)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ResourceNotFoundException", 400, exceptions.NotFoundError),
        ("ParameterNotFound", 400, exceptions.NotFoundError),
        ("ParameterVersionNotFound", 400, exceptions.NotFoundError),
        ("AccessDeniedException", 400, exceptions.AccessDeniedError),
        ("ExpiredTokenException", 400, exceptions.AccessDeniedError),
        ("ThrottlingException", 400, exceptions.ThrottledError),
        ("KMSThrottlingException", 400, exceptions.ThrottledError),
        (None, 429, exceptions.ThrottledError),
        ("InternalServiceError", 500, exceptions.ServiceError),
        (None, 503, exceptions.ServiceError),
        ("ThrottlingException", 503, exceptions.ThrottledError),
        ("InvalidParameterException", 400, exceptions.FetchError),
        (None, None, exceptions.FetchError),
    ],
)
def test_kind_of_an_answer(code: str | None, status: int | None, kind: type) -> None:
    """Code before status, so that a throttle answered as 503 is a throttle."""
    assert kind_of(code, status) is kind


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        (exceptions.ThrottledError, True),
        (exceptions.ServiceError, True),
        (exceptions.NetworkError, True),
        (exceptions.NotFoundError, False),
        (exceptions.AccessDeniedError, False),
        (exceptions.FetchError, False),
    ],
)
def test_retryable(kind: type[exceptions.FetchError], retryable: bool) -> None:
    """Throttling, a server's fault and the network pass; the rest does not."""
    assert kind.retryable is retryable


def error(code: str = "ResourceNotFoundException", message: str = "no such thing") -> exceptions.FetchError:
    return service_error(
        service="secretsmanager",
        operation="GetSecretValue",
        name="prod/db",
        region="eu-west-1",
        code=code,
        status=400,
        message=message,
        request_id="r-1",
    )


def test_a_message_says_what_was_asked_what_happened_and_what_to_do() -> None:
    """And the attributes say it to code."""
    failure = error()
    assert str(failure) == (
        "secretsmanager GetSecretValue of 'prod/db' in eu-west-1: ResourceNotFoundException (status 400): "
        "no such thing. Check the name, the region and the version."
    )
    assert (failure.service, failure.operation, failure.name) == ("secretsmanager", "GetSecretValue", "prod/db")
    assert (failure.region, failure.code, failure.status, failure.request_id) == (
        "eu-west-1",
        "ResourceNotFoundException",
        400,
        "r-1",
    )


def test_a_signature_error_does_not_quote_the_request() -> None:
    """AWS answers with the canonical request, session token included."""
    failure = error("InvalidSignatureException", "The Canonical String ... x-amz-security-token:planted")
    assert "planted" not in "".join(traceback.format_exception(failure))


def test_an_error_survives_pickling() -> None:
    """A process pool carries the whole error."""
    copy = pickle.loads(pickle.dumps(error()))  # noqa: S301 - our own object
    assert type(copy) is exceptions.NotFoundError
    assert str(copy) == str(error())
    assert vars(copy) == vars(error())
