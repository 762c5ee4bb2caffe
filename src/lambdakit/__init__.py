"""Make AWS Lambda functions start and run fast: values and clients that live as long as the environment."""

from __future__ import annotations

from time import perf_counter as _perf_counter

_began_s = _perf_counter()

from ._settings import Settings, init_type, trace_imports

if trace_imports():  # pragma: no cover - when it is imported: tested in fresh processes
    from . import _import_times

    _import_times.install()  # before anything that it could see

from ._environment import (
    Environment,
    Invocation,
    environment,
    invocation,
    is_cold_start,
    remaining_s,
    use_environment,
)
from ._handler import handler
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
    from ._cached import cached
    from ._clients import client, resource
    from ._clients.prime import prime
    from ._oauth import oauth_token
    from ._patch import patch, unpatch
    from ._singletons import singleton
    from ._snap_start import on_restore
    from ._telemetry import metric
    from ._telemetry.record import Record
    from ._values import clear, decrypt_env, get_parameter, get_secret, invalidate
    from ._values.app_config import get_app_config
    from ._values.batches import get_parameters, get_parameters_by_path, get_secrets
    from ._values.declarations import Declaration, State, parameter, parameters, secret
    from ._values.dynamodb import get_item
    from ._values.rotation import retry_on_rotation, rotation_attempts
    from ._values.stats import stats
    from ._values.writes import set_parameter, set_secret
    from ._warmup.options import Warmup
    from ._warmup.ping import fan_out

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
    "set_parameter",
    "set_secret",
    "singleton",
    "stats",
    "unpatch",
    "use_environment",
]

# Imported when they are first asked for: each module is 0.2 ms of a cold start, and few functions use them all. Under a
# Lambda runtime, before INIT ends: see `_warm_imports`.
_LATER = {
    "Declaration": "_values.declarations",
    "Record": "_telemetry.record",
    "State": "_values.declarations",
    "Warmup": "_warmup.options",
    "cached": "_cached",
    "clear": "_values",
    "client": "_clients",
    "decrypt_env": "_values",
    "fan_out": "_warmup.ping",
    "get_app_config": "_values.app_config",
    "get_item": "_values.dynamodb",
    "get_parameter": "_values",
    "get_parameters": "_values.batches",
    "get_parameters_by_path": "_values.batches",
    "get_secret": "_values",
    "get_secrets": "_values.batches",
    "http": "http",  # a module itself
    "invalidate": "_values",
    "metric": "_telemetry",
    "oauth_token": "_oauth",
    "on_restore": "_snap_start",
    "parameter": "_values.declarations",
    "parameters": "_values.declarations",
    "patch": "_patch",
    "prime": "_clients.prime",
    "resource": "_clients",
    "retry_on_rotation": "_values.rotation",
    "rotation_attempts": "_values.rotation",
    "secret": "_values.declarations",
    "set_parameter": "_values.writes",
    "set_secret": "_values.writes",
    "singleton": "_singletons",
    "stats": "_values.stats",
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
