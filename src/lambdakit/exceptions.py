"""The exceptions that lambdakit raises."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    _Dict: TypeAlias = dict[str, Any]
else:
    _Dict = dict  # a base in brackets costs each import 10 µs

__all__ = [
    "AccessDeniedError",
    "BatchError",
    "ConfigurationError",
    "DeadlineExceededError",
    "FetchError",
    "LambdakitError",
    "MissingDependencyError",
    "NetworkError",
    "NotFoundError",
    "ServiceError",
    "ThrottledError",
    "ValueFormatError",
]


_SHOWN = 5  # names in a message


class _Values(_Dict):
    """Values by name, which are in no repr and in no pickle."""

    def __repr__(self) -> str:
        """How many there are."""
        return f"<{len(self)} values>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled it is empty: a queue, a file or a log is no place for secrets."""
        return (_Values, ())


class LambdakitError(Exception):
    """Base of every exception that lambdakit raises of its own accord."""


class ConfigurationError(LambdakitError, ValueError):
    """An argument or a setting is wrong; the message names it and what is allowed."""


class MissingDependencyError(LambdakitError, ImportError):
    """A package that an optional feature needs is not installed; the message names the extra that brings it."""


class DeadlineExceededError(LambdakitError, TimeoutError):
    """The invocation has too little time left to begin or to finish this; raised before Lambda ends the environment."""


class ValueFormatError(LambdakitError, ValueError):
    """A fetched value is not what the transform expects: not JSON, not base64, without such a field.

    The message names the value and what was expected of it, never its content.
    """


class FetchError(LambdakitError):
    """A value could not be fetched.

    Attributes:
        service: the service that was asked, by its endpoint prefix, such as ``"secretsmanager"``.
        operation: the API operation, such as ``"GetSecretValue"``.
        name: the name or ARN that was asked for; never a value.
        region: the region that was asked, or None if none was known.
        code: the service's own error code, such as ``"ResourceNotFoundException"``, or None if no answer came.
        status: the HTTP status of the answer, or None if no answer came.
        request_id: the service's id of the request, or None.
        retryable: True if the same request may succeed later: throttling, a server's fault, the network.
    """

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        service: str,
        operation: str,
        name: str,
        region: str | None = None,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.service = service
        self.operation = operation
        self.name = name
        self.region = region
        self.code = code
        self.status = status
        self.request_id = request_id

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by attributes: a process pool carries the whole error, not only its message."""
        return (_rebuild, (type(self), self.args[0], self.__dict__.copy()))


class NotFoundError(FetchError):
    """The secret, the parameter, or the version asked for does not exist."""


class AccessDeniedError(FetchError):
    """The credentials are missing, not valid, or not allowed to do this."""


class ThrottledError(FetchError):
    """The service asked for fewer requests, also after the retries."""

    retryable = True


class ServiceError(FetchError):
    """The service failed (a status of 500 or above), also after the retries."""

    retryable = True


class NetworkError(FetchError):
    """No answer came: the connection could not be made, was lost, or timed out."""

    retryable = True


class BatchError(LambdakitError):
    """Some of several values could not be fetched.

    Attributes:
        errors: the exception of each name that failed.
        values: the value of each name that did not: nothing that arrived is lost. Its repr hides them, and they are not
            pickled: an error that another process raised has none.
        retryable: True if the same call may succeed later, for every name that failed.
    """

    def __init__(self, errors: dict[str, Exception], values: dict[str, Any]) -> None:
        shown = ", ".join(f"{name!r} ({type(error).__name__})" for name, error in list(errors.items())[:_SHOWN])
        more = f" and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        super().__init__(
            f"{len(errors)} of {len(errors) + len(values)} values could not be fetched: {shown}{more}. "
            "`errors` says why, `values` has the others; on_error='omit' leaves out what fails"
        )
        self.errors = errors
        self.values: dict[str, Any] = _Values(values)

    @property
    def retryable(self) -> bool:
        """Whether every error is."""
        return all(
            isinstance(error, DeadlineExceededError) or getattr(error, "retryable", False)
            for error in self.errors.values()
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by attributes, without the values."""
        return (_rebuild, (type(self), self.args[0], self.__dict__.copy()))


def _rebuild(cls: type[LambdakitError], message: str, attributes: dict[str, Any]) -> LambdakitError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(attributes)
    return error
