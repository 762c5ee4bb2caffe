"""Which answer becomes which error, and what it says."""

import traceback

import pytest

from lambdakit import exceptions
from lambdakit._errors import error_class, service_error


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
    assert error_class(code, status) is kind


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
