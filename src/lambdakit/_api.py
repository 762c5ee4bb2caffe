"""The public functions: each finds the environment and asks it."""

from __future__ import annotations

from ._environment import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, TypeVar, overload

    from ._invocation import Invocation

    T = TypeVar("T")


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


if TYPE_CHECKING:

    @overload
    def get_secret(
        name: str,
        *,
        field: str | None = None,
        transform: Callable[[Any], T],
        ttl: float | None = None,
        version_id: str | None = None,
        version_stage: str | None = None,
        region: str | None = None,
        force_fetch: bool = False,
    ) -> T: ...
    @overload
    def get_secret(
        name: str,
        *,
        field: str | None = None,
        transform: Literal["binary"],
        ttl: float | None = None,
        version_id: str | None = None,
        version_stage: str | None = None,
        region: str | None = None,
        force_fetch: bool = False,
    ) -> bytes: ...
    @overload
    def get_secret(
        name: str,
        *,
        field: str | None = None,
        transform: Literal["json"] | None = None,
        ttl: float | None = None,
        version_id: str | None = None,
        version_stage: str | None = None,
        region: str | None = None,
        force_fetch: bool = False,
    ) -> Any: ...


def get_secret(
    name: str,
    *,
    field: str | None = None,
    transform: Any = None,
    ttl: float | None = None,
    version_id: str | None = None,
    version_stage: str | None = None,
    region: str | None = None,
    force_fetch: bool = False,
) -> Any:
    """A secret of AWS Secrets Manager, from memory while it is fresh.

    Args:
        name: the secret's name or ARN.
        field: take this entry of the secret, which has to be a JSON object.
        transform: None: the text as it is stored (bytes for a binary secret). ``"json"``: parsed, a new object for each
            call. ``"binary"``: decoded from base64. A callable: what it returns for the stored value; it runs once per
            stored version, so its result is shared by all callers. With `field`, all of these are applied to the entry,
            and ``"json"`` adds nothing.
        ttl: how old, in seconds, the value may be for this call. Default: 300, or ``LAMBDAKIT_TTL``. 0 fetches always,
            but shares a fetch that is under way. Time in which the environment was frozen counts.
        version_id: that version; default: what `version_stage` says.
        version_stage: default: ``AWSCURRENT``.
        region: default: as in `client`.
        force_fetch: fetch now, and never share a fetch that began before this call.

    Returns:
        The text, the bytes, or what the transform makes of it.

    Raises:
        ConfigurationError: an argument is wrong.
        NotFoundError, AccessDeniedError, ThrottledError, ServiceError, NetworkError, FetchError: it could not be
            fetched; nothing of an error is cached.
        ValueFormatError: it is not JSON, not base64, or has no such field. The message has nothing of the value in it.
        DeadlineExceededError: less than 0.25 s is left of the invocation, or a fetch took too long for it.

    Thread-safe: threads that ask at once share one fetch. Since 0.1.
    """
    return environment().values.get_secret(name, field, transform, ttl, version_id, version_stage, region, force_fetch)


if TYPE_CHECKING:

    @overload
    def get_parameter(
        name: str,
        *,
        field: str | None = None,
        transform: Callable[[Any], T],
        ttl: float | None = None,
        decrypt: bool = True,
        region: str | None = None,
        force_fetch: bool = False,
    ) -> T: ...
    @overload
    def get_parameter(
        name: str,
        *,
        field: str,
        transform: Literal["json"] | None = None,
        ttl: float | None = None,
        decrypt: bool = True,
        region: str | None = None,
        force_fetch: bool = False,
    ) -> Any: ...
    @overload
    def get_parameter(
        name: str,
        *,
        field: str | None = None,
        transform: Literal["json"],
        ttl: float | None = None,
        decrypt: bool = True,
        region: str | None = None,
        force_fetch: bool = False,
    ) -> Any: ...
    @overload
    def get_parameter(
        name: str,
        *,
        field: str | None = None,
        transform: Literal["binary"],
        ttl: float | None = None,
        decrypt: bool = True,
        region: str | None = None,
        force_fetch: bool = False,
    ) -> bytes: ...
    @overload
    def get_parameter(
        name: str,
        *,
        field: None = None,
        transform: None = None,
        ttl: float | None = None,
        decrypt: bool = True,
        region: str | None = None,
        force_fetch: bool = False,
    ) -> str: ...


def get_parameter(
    name: str,
    *,
    field: str | None = None,
    transform: Any = None,
    ttl: float | None = None,
    decrypt: bool = True,
    region: str | None = None,
    force_fetch: bool = False,
) -> Any:
    """A parameter of AWS Systems Manager's Parameter Store, from memory while it is fresh.

    Args:
        name: the parameter's name or ARN, with ``:version`` or ``:label`` where one is wanted.
        field: as in `get_secret`.
        transform: as in `get_secret`.
        ttl: as in `get_secret`.
        decrypt: True decrypts a SecureString, and changes nothing for others; False returns it encrypted.
        region: default: as in `client`.
        force_fetch: as in `get_secret`.

    Returns:
        The text (a StringList with its commas), or what the transform makes of it.

    Raises:
        LambdakitError: its kinds are those of `get_secret`.

    Thread-safe, as `get_secret` is. Since 0.1.
    """
    return environment().values.get_parameter(name, field, transform, ttl, decrypt, region, force_fetch)


def decrypt_env(name: str, *, context: dict[str, str] | None = None) -> str:
    """The plaintext of an environment variable that is encrypted with KMS, decrypted once per environment.

    Args:
        name: of the variable; it holds the ciphertext in base64, as Lambda's console and ``aws kms encrypt`` write it.
        context: the encryption context. None: ``{"LambdaFunctionName": <this function>}``, as the console's encryption
            helpers have it; ``{}`` for a variable that was encrypted without one.

    Raises:
        ConfigurationError: no such variable, or a wrong argument.
        ValueFormatError: it is not base64, or the plaintext is not UTF-8.
        FetchError: its kinds are those of `get_secret`.

    Thread-safe. Since 0.1.
    """
    return environment().values.decrypt_env(name, context)


def invalidate(name: str) -> None:
    """Forget every value fetched under this name: secret or parameter, every version and region.

    What is being fetched at this moment reaches those who wait for it, and is not kept.

    Raises:
        ConfigurationError: `name` is empty or not a string.

    Thread-safe. Since 0.1.
    """
    environment().values.invalidate(name)


def clear() -> None:
    """Forget every value, as `invalidate` does. Clients and connections stay. Thread-safe. Since 0.1."""
    environment().values.clear()
