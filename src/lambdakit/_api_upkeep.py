"""The public functions that prepare, renew and watch what is kept: each finds the environment and asks it."""

from __future__ import annotations

from ._current import environment
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, ParamSpec, TypeVar

    from ._declared import Declared
    from ._rotation import Attempt
    from ._stats import Stats

    P = ParamSpec("P")
    R = TypeVar("R")
    F = TypeVar("F", bound=Callable[..., Any])
    Errors = type[Exception] | tuple[type[Exception], ...]


def prime(client: Any) -> bool:
    """Have a client's first request find its connection ready: credentials, endpoint, TCP and TLS, without a request.

    Nothing billable is sent. For INIT: ``@handler(preload=[lambda: lambdakit.prime(lambdakit.client("dynamodb"))])``.

    Args:
        client: an SDK client of any service, of lambdakit's or not, or a resource.

    Returns:
        True if a connection stands ready, False where this botocore or a proxy leaves no way to open one.

    Raises:
        ConfigurationError: `client` is no SDK client.
        NetworkError, AccessDeniedError: no connection, no credentials.
        DeadlineExceededError: the invocation, or `preload`, leaves no time for it.

    Thread-safe. Since 0.1.
    """
    from ._prime import prime as open_connection  # only where a client is primed

    return open_connection(client, budget=environment().budget_s)


def on_restore(fn: F) -> F:
    """Call a function of yours after each SnapStart restore: ``@lambdakit.on_restore``.

    It is called without arguments, before the first invocation, once lambdakit has renewed its clients, credentials and
    connections; several in the order of registration. One that raises is logged, and the others are called all the
    same. Elsewhere than under SnapStart it is never called.

    Raises:
        ConfigurationError: `fn` cannot be called.

    Since 0.1.
    """
    if not callable(fn):
        raise ConfigurationError(f"on_restore: give a function without arguments, not {type(fn).__name__}")
    environment().on_restore(fn)
    return fn


def stats() -> Stats:
    """What the caches of this environment did, as a dictionary of numbers.

    ``hits`` (answered from memory), ``fetches``, ``stale`` (old values served because a fetch failed), ``errors``
    (fetches that failed), ``waits`` (readers who shared another's fetch), ``entries`` and ``bytes`` (kept now; bytes of
    values, not of cached functions' results), and ``keys``: the first five for each value by kind and name, such as
    ``"secret 'prod/db'"`` (items of DynamoDB by their table), and for each cached function. Names, never values or
    arguments. Counting is always on.

    Thread-safe. Since 0.1.
    """
    from ._stats import stats as counted  # 0.2 ms, paid by who asks

    return counted(environment().memory)


def rotation_attempts(*values: str | Declared, errors: Errors) -> Iterator[Attempt]:
    """Try a block of code again after a rotation.

    ``for attempt in rotation_attempts("prod/db", errors=OperationalError):``, and within it ``with attempt:`` and the
    block. If the block raises one of `errors`, the values are fetched anew, from the service itself, at most once
    every 10 s for each; if one of them has another version than before, the block runs once more. Otherwise, and after
    the second time, the error is raised unchanged. Nothing sleeps.

    Args:
        values: names of secrets, or `secret` and `parameter` declarations.
        errors: an exception class or a tuple of them, such as ``psycopg.OperationalError``: what is raised for a
            password that is no longer valid.

    Raises:
        ConfigurationError: no value, something else than a value, or `errors` are not exception classes.

    Thread-safe; right in coroutines too, where the fetch takes the loop for as long as it takes. Since 0.1.
    """
    from ._rotation import attempts, checked_errors, checked_values  # 0.3 ms, paid by who uses it

    checked_values(values)
    memory = environment().memory
    return attempts(memory.rotations, memory.keys(values), checked_errors(errors))


def retry_on_rotation(*values: str | Declared, errors: Errors) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Call a function again after a rotation, as `rotation_attempts` does for a block; coroutine functions too.

    ``@retry_on_rotation("prod/db", errors=psycopg.OperationalError)``. The function has to read the value by itself,
    and what it does before the error is done twice.

    Raises:
        ConfigurationError: as `rotation_attempts`.

    Since 0.1.
    """
    from ._rotation import checked_errors, checked_values, retrying

    checked_errors(errors)
    checked_values(values)
    return retrying(lambda: rotation_attempts(*values, errors=errors))
