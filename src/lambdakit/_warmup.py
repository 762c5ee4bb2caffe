"""Recognise a warm-up ping in any event with any client context."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PLUGIN = "serverless-plugin-warmup"


def recognise(event: Any, context: Any = None) -> str | None:
    """The dialect of the ping that `event` is, or None for an event that is the handler's to answer.

    Total: any event and any context are fine, and nothing is ever raised. Plain schedules and empty events are real
    work, since many functions are run by nothing else.

    Args:
        event: what the runtime passes: any JSON value.
        context: the Lambda context; its client context can carry a ping too. None where there is none.
    """
    try:
        return _of_event(event) or _of_client_context(context)
    except Exception:  # noqa: BLE001 - a recogniser that raises would take the user's traffic down with it
        return None


def _of_event(event: Any) -> str | None:
    if isinstance(event, dict):
        source = event.get("source")
        if event.get("warmer"):
            return "lambda-warmer"
        if source == "aws.events" and _is_zappa(event.get("resources")):
            return "zappa"
        return _PLUGIN if source == _PLUGIN else None
    if isinstance(event, list):
        # lambda-warmer accepts an array of its objects; an array with anything else in it is not a ping.
        pings = bool(event) and all(isinstance(item, dict) and item.get("warmer") for item in event)
        return "lambda-warmer" if pings else None
    return "thundra" if isinstance(event, str) and event.startswith("#warmup") else None


def _is_zappa(resources: Any) -> bool:
    return isinstance(resources, list) and any(
        isinstance(arn, str) and arn.endswith("-handler.keep_warm_callback") for arn in resources
    )


def _of_client_context(context: Any) -> str | None:
    client_context = getattr(context, "client_context", None)
    if client_context is None:
        return None
    custom = getattr(client_context, "custom", None)
    if isinstance(custom, dict) and custom.get("source") == _PLUGIN:
        return _PLUGIN
    return None
