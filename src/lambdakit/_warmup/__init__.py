"""Recognise a warm-up ping in any event with any client context."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

WARMER, PLUGIN, THUNDRA, ZAPPA = "lambda-warmer", "serverless-plugin-warmup", "thundra", "zappa"
SCHEDULE, EMPTY = "schedule", "empty"

DIALECTS = (WARMER, PLUGIN, THUNDRA, ZAPPA)  # what nobody sends but warmers
GREEDY = (SCHEDULE, EMPTY)  # what many functions are run by


def recognise(event: Any, context: Any = None, dialects: Sequence[str] = DIALECTS) -> str | None:
    """The dialect of the ping that `event` is, or None for an event that is the handler's to answer.

    Total: any event and any context are fine, and nothing is ever raised. Plain schedules and empty events are real
    work unless `dialects` says otherwise, since many functions are run by nothing else.

    Args:
        event: what the runtime passes: any JSON value.
        context: the Lambda context; its client context can carry a ping too. None where there is none.
        dialects: those that count.
    """
    try:
        if type(event) is dict and event:
            if "warmer" not in event and "source" not in event:
                if context.client_context is None:
                    return None  # as nearly always: a quarter of what all the rest takes
            elif event.get("warmer") and WARMER in dialects:
                return WARMER
        return next((dialect for dialect in _marks(event, context) if dialect in dialects), None)
    except Exception:  # noqa: BLE001 - a recogniser that raises would take the user's traffic down with it
        return None  # such as a context without a client context, which can carry no ping


def _marks(event: Any, context: Any) -> Iterator[str]:
    """Every dialect that `event` could be of, the surest first."""
    if isinstance(event, dict):
        if event.get("warmer"):
            yield WARMER
        source = event.get("source")
        if source is not None:
            yield from _of_source(source, event)
    elif isinstance(event, list):
        # lambda-warmer accepts an array of its objects; an array with anything else in it is not a ping.
        if event and all(isinstance(item, dict) and item.get("warmer") for item in event):
            yield WARMER
    elif isinstance(event, str) and event.startswith("#warmup"):
        yield THUNDRA
    client_context = getattr(context, "client_context", None)
    if client_context is not None:
        custom = getattr(client_context, "custom", None)
        if isinstance(custom, dict) and custom.get("source") == PLUGIN:
            yield PLUGIN
    if not event:
        yield EMPTY  # as Thundra sends it


def _of_source(source: Any, event: dict[str, Any]) -> Iterator[str]:
    if source == PLUGIN:
        yield PLUGIN
    if source == "aws.events" and _is_zappa(event.get("resources")):
        yield ZAPPA
    # A rule has an object there, a schedule of EventBridge Scheduler a string.
    plain = event.get("detail-type") == "Scheduled Event" and event.get("detail") in ({}, "{}")
    if plain and source in ("aws.events", "aws.scheduler"):
        yield SCHEDULE


def _is_zappa(resources: Any) -> bool:
    return isinstance(resources, list) and any(
        isinstance(arn, str) and arn.endswith("-handler.keep_warm_callback") for arn in resources
    )
