"""Make AWS Lambda functions start and run fast: values and clients that live as long as the environment."""

from __future__ import annotations

from time import perf_counter as _perf_counter

_began_s = _perf_counter()

from ._settings import Settings, init_type, trace_imports

if trace_imports():  # pragma: no cover - when it is imported: tested in fresh processes
    from . import _import_times

    _import_times.install()  # before anything that it could see

from ._api import client, invocation, is_cold_start, remaining_s, resource
from ._api_values import clear, decrypt_env, get_parameter, get_secret, invalidate
from ._current import environment, use_environment
from ._environment import Environment
from ._handler import handler
from ._invocation import Invocation
from .exceptions import (
    AccessDeniedError,
    BatchError,
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import http as http
    from ._api_batches import get_app_config, get_item, get_parameters, get_parameters_by_path, get_secrets
    from ._api_cached import cached
    from ._api_connections import oauth_token, singleton
    from ._api_telemetry import metric
    from ._api_upkeep import on_restore, prime, retry_on_rotation, rotation_attempts, stats
    from ._api_warmup import fan_out
    from ._declarations import Declaration, State, parameter, parameters, secret
    from ._patch import patch, unpatch
    from ._record import Record
    from ._warmup_options import Warmup

__version__ = "0.1.0"

__all__ = [
    "AccessDeniedError",
    "BatchError",
    "ConfigurationError",
    "DeadlineExceededError",
    "Declaration",
    "Environment",
    "FetchError",
    "Invocation",
    "LambdakitError",
    "MissingDependencyError",
    "NetworkError",
    "NotFoundError",
    "Record",
    "ServiceError",
    "Settings",
    "State",
    "ThrottledError",
    "ValueFormatError",
    "Warmup",
    "cached",
    "clear",
    "client",
    "decrypt_env",
    "environment",
    "fan_out",
    "get_app_config",
    "get_item",
    "get_parameter",
    "get_parameters",
    "get_parameters_by_path",
    "get_secret",
    "get_secrets",
    "handler",
    "invalidate",
    "invocation",
    "is_cold_start",
    "metric",
    "oauth_token",
    "on_restore",
    "parameter",
    "parameters",
    "patch",
    "prime",
    "remaining_s",
    "resource",
    "retry_on_rotation",
    "rotation_attempts",
    "secret",
    "singleton",
    "stats",
    "unpatch",
    "use_environment",
]

# Imported when they are first asked for: each module is 0.2 ms of a cold start, and few functions use them all.
_LATER = {
    "Declaration": "_declarations",
    "Record": "_record",
    "State": "_declarations",
    "Warmup": "_warmup_options",
    "cached": "_api_cached",
    "fan_out": "_api_warmup",
    "get_app_config": "_api_batches",
    "get_item": "_api_batches",
    "get_parameters": "_api_batches",
    "get_parameters_by_path": "_api_batches",
    "get_secrets": "_api_batches",
    "http": "http",  # a module itself
    "metric": "_api_telemetry",
    "oauth_token": "_api_connections",
    "on_restore": "_api_upkeep",
    "parameter": "_declarations",
    "parameters": "_declarations",
    "patch": "_patch",
    "prime": "_api_upkeep",
    "retry_on_rotation": "_api_upkeep",
    "rotation_attempts": "_api_upkeep",
    "secret": "_declarations",
    "singleton": "_api_connections",
    "stats": "_api_upkeep",
    "unpatch": "_patch",
}

if not TYPE_CHECKING:  # to a type checker it would make every misspelt name right

    def __getattr__(name: str) -> object:
        """What is imported later, then kept here."""
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # loaded in every process

        module = import_module(f".{_LATER[name]}", __name__)
        thing = globals()[name] = module if name == _LATER[name] else getattr(module, name)
        return thing

    def __dir__() -> list[str]:
        """What is imported later too."""
        return sorted({*globals(), *_LATER})


if init_type() == "snap-start":  # pragma: no cover - when it is imported: tested in fresh processes
    from . import _snap_start  # hooks have to be registered before the user's

    _snap_start.register()
del init_type, trace_imports

_import_s = _perf_counter() - _began_s
