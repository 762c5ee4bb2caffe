"""What is wrong with the SDK's configuration or credentials on this machine, and what to do about it."""

from __future__ import annotations

import os

from ..exceptions import AccessDeniedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# By the names of botocore's exceptions: older versions have fewer of them. The first that fits counts.
_LOGIN = {
    "SSOError": "aws sso login",
    "TokenRetrievalError": "aws sso login",
    "LoginError": "aws login",
}
_CREDENTIALS = {
    "ProfileNotFound": "Correct AWS_PROFILE or unset it; `aws configure list-profiles` lists those that there are.",
    "PartialCredentialsError": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY both, or neither.",
    "InfiniteLoopConfigError": "Correct the profile: its source_profile leads back to it.",
    "InvalidConfigError": "Correct the profile, in the configuration file of AWS or in the variables.",
    "CredentialRetrievalError": "Try what the profile or the variables name as the source of the credentials by hand.",
    "RefreshWithMFAUnsupportedError": "Log in again: a new code of the MFA device is needed.",
    "UnknownCredentialError": "Correct the credential_source of the profile.",
    "NoCredentialsError": "Give the function a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    "OSError": "Check that what the profile or the variables name as the source of the credentials is there.",
    "RuntimeError": "What came had expired. Check the source of the credentials, and the clock.",
    "JSONDecodeError": "The credential_process of the profile has to print a JSON document.",
}
_CONFIGURATION = {
    "ConfigParseError": "Correct the file.",
    "ConfigNotFound": "Correct AWS_CONFIG_FILE or unset it.",
    "InvalidRetryModeError": "Correct AWS_RETRY_MODE, or retry_mode in the profile.",
    "InvalidMaxRetryAttemptsError": "Correct AWS_MAX_ATTEMPTS, or max_attempts in the profile.",
    "InvalidDefaultsMode": "Correct AWS_DEFAULTS_MODE, or defaults_mode in the profile.",
}
# Of these the text is botocore's own, made of names; that of the others may quote what a process has printed.
_TOLD = ("ProfileNotFound", "PartialCredentialsError", "InvalidConfigError", "InfiniteLoopConfigError", *_CONFIGURATION)


def is_of_credentials(error: BaseException) -> bool:
    """Whether it says that credentials are missing, incomplete, expired or not to be had."""
    return not _names(error).isdisjoint({*_LOGIN, *_CREDENTIALS})


def explain(error: BaseException, environ: Mapping[str, str] = os.environ) -> str:
    """What is wrong and what to do, in sentences."""
    names = _names(error)
    kind = type(error).__name__
    told = f"{kind}: {str(error).rstrip('.')}" if names.intersection(_TOLD) else kind
    profile = next((environ[name] for name in ("AWS_DEFAULT_PROFILE", "AWS_PROFILE") if name in environ), None)
    advice = next((todo for name, todo in {**_CREDENTIALS, **_CONFIGURATION}.items() if name in names), None)
    for name, command in _LOGIN.items():
        if name in names:
            advice = f"Log in: {command}{f' --profile {profile}' if profile else ''}"
    if "ProfileNotFound" in names and profile is not None and not profile.strip():
        advice = "AWS_PROFILE is set and empty: unset it."
    return f"({told}). {advice or 'The exception behind this one says why.'}"


def as_access_denied(error: Exception, *, service: str, operation: str) -> AccessDeniedError:
    """What a client's request raises: code around it may catch the SDK's exception, or lambdakit's."""
    kind = ValueError if type(error).__name__ == "JSONDecodeError" else type(error)
    both: Any = type(kind.__name__, (AccessDeniedError, kind), {"__str__": _message, "__reduce__": _plain})
    made: AccessDeniedError = both.__new__(both)
    message = f"{service} {operation}: no usable credentials {explain(error)}"
    denied = AccessDeniedError(message, service=service, operation=operation, name=operation)
    # Not by `__init__`, which would go on to the SDK's. What that has put there is `kwargs`, for one.
    made.__dict__.update({} if kind is ValueError else vars(error), **vars(denied))
    made.args = denied.args
    return made


def _message(error: AccessDeniedError) -> str:
    return str(error.args[0])


def _plain(error: AccessDeniedError) -> tuple[Any, ...]:
    """Pickled without the SDK's class: where it is read there may be another SDK."""
    return AccessDeniedError(
        _message(error), service=error.service, operation=error.operation, name=error.name
    ).__reduce__()


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}
