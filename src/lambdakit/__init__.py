"""Make AWS Lambda functions start and run fast: values and clients that live as long as the environment."""

from __future__ import annotations

from ._api import (
    clear,
    client,
    decrypt_env,
    get_parameter,
    get_secret,
    invalidate,
    invocation,
    is_cold_start,
    remaining_s,
    resource,
)
from ._environment import Environment, environment, use_environment
from ._handler import handler
from ._invocation import Invocation
from ._settings import Settings
from .exceptions import (
    AccessDeniedError,
    ConfigurationError,
    DeadlineExceededError,
    FetchError,
    LambdakitError,
    MissingDependencyError,
    NetworkError,
    NotFoundError,
    ServiceError,
    ThrottledError,
    ValueFormatError,
)

__version__ = "0.1.0"

__all__ = [
    "AccessDeniedError",
    "ConfigurationError",
    "DeadlineExceededError",
    "Environment",
    "FetchError",
    "Invocation",
    "LambdakitError",
    "MissingDependencyError",
    "NetworkError",
    "NotFoundError",
    "ServiceError",
    "Settings",
    "ThrottledError",
    "ValueFormatError",
    "clear",
    "client",
    "decrypt_env",
    "environment",
    "get_parameter",
    "get_secret",
    "handler",
    "invalidate",
    "invocation",
    "is_cold_start",
    "remaining_s",
    "resource",
    "use_environment",
]
