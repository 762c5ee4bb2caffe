"""Secrets and parameters that are written: the service gets them first, then memory."""

from __future__ import annotations

import json
import os

from .._aws import Operation
from .._backends import Backends
from .._cache import Entry
from .._diagnostics import flag, optional_text, text
from .._environment import part
from ..exceptions import ConfigurationError
from . import Values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Literal, TypeVar

    T = TypeVar("T")
    ParameterType = Literal["String", "StringList", "SecureString"]

_CURRENT = "AWSCURRENT"
_TYPES = ("String", "StringList", "SecureString")
_JSON_1_1 = "application/x-amz-json-1.1"


def _operation(service: str, name: str, prefix: str, *, repeatable: bool = True) -> Operation:
    headers = {"Content-Type": _JSON_1_1, "X-Amz-Target": f"{prefix}.{name}"}
    return Operation(service, name, headers, repeatable=repeatable)


# The token of the request makes a second one the same version.
_PUT_SECRET_VALUE = _operation("secretsmanager", "PutSecretValue", "secretsmanager")
# A second one writes the same value again; where nothing may be overwritten, it would refuse what the first one wrote.
_OVERWRITE_PARAMETER = _operation("ssm", "PutParameter", "AmazonSSM")
_PUT_PARAMETER = _operation("ssm", "PutParameter", "AmazonSSM", repeatable=False)


def set_secret(
    name: str,
    value: str | bytes | dict[str, Any],
    *,
    version_stages: Sequence[str] | None = None,
    region: str | None = None,
) -> str | None:
    """Write a new version of a secret of AWS Secrets Manager, and have `get_secret` find it in memory.

    Needs the permission ``secretsmanager:PutSecretValue``. Other environments see it after their ttl, or after
    `retry_on_rotation`; so does the cache of the backend ``extension``.

    Args:
        name: of a secret that exists, or its ARN.
        value: text, bytes (a binary secret), or a dictionary, which is written as JSON.
        version_stages: labels of the version; None for ``AWSCURRENT``. Without that one memory keeps what it has.
        region: as in `get_secret`.

    Returns:
        The id of the version.

    Raises:
        ConfigurationError: an argument is wrong, or the backend is an object that has no ``put_secret``.
        NotFoundError: there is no such secret: create it where its key and its tags are said, such as in a template.
        FetchError: it was not written, or nobody knows, as after a `NetworkError`; its kinds are those of
            `get_secret`. Memory forgets the name then.
        DeadlineExceededError: the invocation has too little time left.

    Thread-safe. Since 0.1.
    """
    values = part(Values)
    key = values.secret_key(name, region=region)
    stored = value if isinstance(value, (str, bytes)) else _json(value)
    stages = None if version_stages is None else _stages(version_stages)
    writer: Any = part(Backends).writer("put_secret")

    def put() -> tuple[str | None, tuple[str, ...]]:
        if hasattr(type(writer), "put_secret"):
            return writer.put_secret(name, stored, region=key[2], version_stages=stages), ()
        request: dict[str, Any] = {"SecretId": name, "ClientRequestToken": os.urandom(16).hex()}
        request |= {"SecretString": stored} if isinstance(stored, str) else {"SecretBinary": stored}
        request |= {} if stages is None else {"VersionStages": stages}
        answer = writer._call(_PUT_SECRET_VALUE, name, key[2], request)  # noqa: SLF001 - of lambdakit's own
        told: tuple[str, str, str] = answer.read(_version_and_names)
        return told[0], told[1:]

    version, names = _written(values, name, put)
    for other in names:
        values.invalidate(other)
    if stages is None or _CURRENT in stages:
        values.cache.store(key, Entry(stored, version))
    return version


def set_parameter(
    name: str,
    value: str,
    *,
    parameter_type: ParameterType | None = None,
    overwrite: bool = False,
    kms_key_id: str | None = None,
    region: str | None = None,
) -> int:
    """Write a parameter of Parameter Store, and have `get_parameter` find it in memory.

    Needs the permission ``ssm:PutParameter``. Other environments see it after their ttl.

    Args:
        name: without a version or a label.
        value: text; of a StringList with its commas.
        parameter_type: ``"String"``, ``"StringList"`` or ``"SecureString"``. None: as it is where it is overwritten,
            else ``"String"``.
        overwrite: True writes a new version of a parameter that exists. False: that is an error
            (``ParameterAlreadyExists``), and the request is made once, since a second one could not tell.
        kms_key_id: the key of a SecureString; None for the account's own.
        region: as in `get_secret`.

    Returns:
        The number of the version.

    Raises:
        LambdakitError: its kinds are those of `set_secret`.

    Thread-safe. Since 0.1.
    """
    values = part(Values)
    key = values.parameter_key(name, region=region)
    if not isinstance(value, str):
        raise ConfigurationError(f"value: give a string, not {type(value).__name__}")
    if not (parameter_type is None or parameter_type in _TYPES):
        raise ConfigurationError(f"parameter_type={parameter_type!r}: give one of {', '.join(_TYPES)}, or None")
    flag("overwrite", overwrite)
    key_id = optional_text("kms_key_id", kms_key_id)
    writer: Any = part(Backends).writer("put_parameter")

    def put() -> int:
        if hasattr(type(writer), "put_parameter"):
            options = {"parameter_type": parameter_type, "overwrite": overwrite, "kms_key_id": key_id}
            return int(writer.put_parameter(name, value, region=key[2], **options))
        request: dict[str, Any] = {"Name": name, "Value": value, "Overwrite": overwrite}
        if (kind := parameter_type or (None if overwrite else _TYPES[0])) is not None:
            request["Type"] = kind
        if key_id is not None:
            request["KeyId"] = key_id
        operation = _OVERWRITE_PARAMETER if overwrite else _PUT_PARAMETER
        answer = writer._call(operation, name, key[2], request)  # noqa: SLF001 - as above
        number: int = answer.read(_number)
        return number

    version = _written(values, name, put)
    values.cache.store(key, Entry(value, str(version)))
    return version


def _written(values: Values, name: str, put: Callable[[], T]) -> T:
    """What `put` returns. Whatever came of it, what is in memory under this name may be old, lists included."""
    try:
        return put()
    finally:
        values.invalidate(name)


def _version_and_names(members: dict[str, Any]) -> tuple[str, str, str]:
    told = members["VersionId"], members["Name"], members["ARN"]
    if not all(isinstance(one, str) for one in told):
        raise TypeError
    return told


def _number(members: dict[str, Any]) -> int:
    return int(members["Version"])


def _json(value: Any) -> str:
    if not isinstance(value, dict):
        raise ConfigurationError(f"value: give a string, bytes or a dictionary, not {type(value).__name__}")
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        error = ConfigurationError("value: the dictionary has something in it that JSON has not")
    raise error  # without the cause, which may quote it


def _stages(given: Any) -> list[str]:
    if not isinstance(given, (list, tuple)) or not given:
        raise ConfigurationError("version_stages: give a list of labels, such as ['AWSCURRENT'], or None")
    return [text("version_stages", stage) for stage in given]
