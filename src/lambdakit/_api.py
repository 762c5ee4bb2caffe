"""The public functions that nearly every function uses: each finds the environment and asks it."""

from __future__ import annotations

from ._current import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._invocation import Invocation


def invocation() -> Invocation:
    """The invocation that this code runs in: its number, start kind, request id and remaining time.

    Raises:
        LambdakitError: no invocation is running here, such as at import or after the handler has returned.

    Right in threads that the handler starts too, as long as one invocation runs at a time. Since 0.1.
    """
    return environment().invocation()


def is_cold_start() -> bool:
    """True if a user waited for the INIT of this environment: the start kind of this invocation is ``cold``.

    False for warm invocations, provisioned concurrency, and the first invocation after a ping; False outside an
    invocation. Never raises. Since 0.1.
    """
    running = environment().current()
    return running is not None and running.is_cold_start


def remaining_s() -> float | None:
    """Seconds until Lambda ends this invocation, never below 0.

    None outside an invocation, and where the context does not know, as in a test that passes None. Since 0.1.
    """
    running = environment().current()
    return None if running is None else running.remaining_s()


def client(service: str, *, region: str | None = None, endpoint_url: str | None = None, config: Any = None) -> Any:
    """The environment's SDK client for a service: made at the first call, the same object afterwards.

    Args:
        service: as in ``boto3.client``, such as ``"dynamodb"``.
        region: default: ``AWS_DEFAULT_REGION`` or ``AWS_REGION``, which Lambda sets, then what botocore's configuration
            says.
        endpoint_url: default: the service's own, or ``AWS_ENDPOINT_URL``.
        config: a ``botocore.config.Config``. It overrides the defaults that lambdakit sets, option by option: connect
            time-out 2 s; read time-out 10 s (``sqs`` 25 s and ``stepfunctions`` 70 s, which wait on purpose;
            ``lambda``, ``bedrock-runtime`` and ``sagemaker-runtime`` the remaining time of the invocation, in one
            attempt, because a time-out there would run the callee again); retry mode ``standard`` with 3 attempts
            (unless ``AWS_RETRY_MODE``, ``AWS_MAX_ATTEMPTS`` or ``AWS_DEFAULTS_MODE`` is set); TCP keep-alive on. Two
            configs with equal options mean the same client.

    Every request ends 0.25 s before the invocation does, or raises `DeadlineExceededError`. Resolving a host name is
    not bounded.

    Raises:
        ConfigurationError: an unknown service, an unknown region, no region, or an argument of the wrong kind.
        MissingDependencyError: botocore (or, for ``"s3"``, boto3) is not installed.

    Thread-safe, as the client itself is. At most 32 clients are kept. Since 0.1.
    """
    return environment().clients.client(service, region, endpoint_url, config)


def resource(service: str, *, region: str | None = None, endpoint_url: str | None = None, config: Any = None) -> Any:
    """A boto3 resource, such as ``resource("dynamodb")``, kept for the thread that asks: resources are not thread-safe.

    Arguments, defaults and errors are those of `client`. Since 0.1.
    """
    return environment().clients.resource(service, region, endpoint_url, config)
