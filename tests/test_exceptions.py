"""The exceptions: what they are, and what they carry."""

import pickle

import pytest

import lambdakit
from lambdakit import exceptions


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


def test_an_error_survives_pickling() -> None:
    """A process pool carries the whole error."""
    error = exceptions.NotFoundError(
        "no such thing",
        service="secretsmanager",
        operation="GetSecretValue",
        name="prod/db",
        region="eu-west-1",
        code="ResourceNotFoundException",
        status=400,
        request_id="r-1",
    )
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own object
    assert type(copy) is exceptions.NotFoundError
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def missing(name: str) -> exceptions.FetchError:
    return exceptions.NotFoundError("gone", service="ssm", operation="GetParameter", name=name)


def test_an_error_of_several_survives_pickling() -> None:
    """With the errors, and without the values: they are secrets, and who reads a pickle is not known."""
    error = exceptions.BatchError({"a": missing("a")}, {"b": "2"})
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - as above
    assert (type(copy), str(copy), copy.values) == (exceptions.BatchError, str(error), {})
    assert vars(copy.errors["a"]) == vars(error.errors["a"])


@pytest.mark.parametrize(
    ("count", "named"), [(1, "'0'"), (5, "'0', '1', '2', '3', '4'"), (7, "'0', '1', '2', '3', '4' and 2 more")]
)
def test_an_error_of_several_names_some(count: int, named: str) -> None:
    """What failed with its type, five of them; never a value."""
    error = exceptions.BatchError({str(one): missing(str(one)) for one in range(count)}, {"b": "planted"})
    names = str(error).replace(" (NotFoundError)", "")
    assert names.startswith(f"{count} of {count + 1} values could not be fetched: {named}. ")
    assert "planted" not in str(error)


@pytest.mark.parametrize(
    ("errors", "retryable"),
    [
        ([exceptions.DeadlineExceededError("late")], True),
        ([exceptions.ThrottledError("m", service="s", operation="o", name="n"), TimeoutError()], False),
        ([missing("n"), exceptions.DeadlineExceededError("late")], False),
    ],
)
def test_an_error_of_several_is_retryable_if_each_is(errors: list[Exception], retryable: bool) -> None:
    """Too little time too: there is more in the next invocation. Of foreign errors nothing is known."""
    assert exceptions.BatchError(dict(zip("ab", errors, strict=False)), {}).retryable is retryable
