"""What `boto3.client` and `boto3.resource` return where they are patched."""

from __future__ import annotations

from .._clients import Clients
from .._clients import client as kept_client
from .._clients import resource as kept_resource
from .._environment import part
from ..exceptions import ConfigurationError
from . import SimpleCall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SIMPLE_CALL = SimpleCall(
    "service_name",
    "region_name",
    names="endpoint_url config",
    ignored_defaults={
        "api_version": (None,),
        "use_ssl": (True,),
        "verify": (None,),
        "aws_access_key_id": (None,),
        "aws_secret_access_key": (None,),
        "aws_session_token": (None,),
        "aws_account_id": (None,),
    },
)
_LAMBDAS = frozenset(("container-role", "env"))  # where a function has its credentials from


def client(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`boto3.client`: the environment's, where the call is plain."""
    return _answer(kept_client, original, args, kwargs)


def resource(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`boto3.resource`: this thread's, where the call is plain."""
    return _answer(kept_resource, original, args, kwargs)


def _answer(
    kept: Callable[..., Any], original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    bound = _SIMPLE_CALL.bind(args, kwargs)
    if bound is not None and "service_name" in bound and _default_session_is_plain():
        try:
            return kept(
                bound["service_name"],
                region=bound.get("region_name"),
                endpoint_url=bound.get("endpoint_url"),
                config=bound.get("config"),
            )
        except ConfigurationError:
            pass  # boto3 has an error of its own for it, or none
    return original(*args, **kwargs)


def _default_session_is_plain() -> bool:
    """Whether boto3's default session, if there is one, is as boto3 makes it by itself, and nobody listens to it.

    What cannot be seen: a botocore session of one's own in it.
    """
    import boto3  # loaded: it is what was patched

    session = boto3.DEFAULT_SESSION
    if session is None:
        return True
    try:
        inner = session._session  # noqa: SLF001 - nothing public tells what a session was given
        credentials = inner._credentials  # noqa: SLF001 - `get_credentials` would fetch them
        if inner.instance_variables() or not (credentials is None or credentials.method in _LAMBDAS):
            return False
        return not part(Clients).has_listeners(inner.get_component("event_emitter"))
    except AttributeError:
        return False
