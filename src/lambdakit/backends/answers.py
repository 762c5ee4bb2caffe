"""What is read from the JSON of an answer."""

from __future__ import annotations

import json

from ..exceptions import ServiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .http1 import Response

_OK = 200


def document(body: bytes) -> dict[str, Any]:
    """The JSON object that `body` is; an empty one if it is none."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def read(answer: dict[str, Any], response: Response, about: dict[str, Any], reader: Callable[[Any], Any]) -> Any:
    """What `reader` makes of a successful answer.

    Raises:
        ServiceError: it is not an answer of this service.
    """
    try:
        return reader(answer)
    except (LookupError, TypeError, ValueError):
        # The answer may hold the value in a form that is not understood: nothing of it goes into the error.
        failure = ServiceError(
            f"{about['service']} {about['operation']} of {about['name']!r}: the answer is not one of this service's. "
            "Is there a proxy, or a wrong endpoint?",
            **about,
            status=response.status,
            request_id=response.headers.get("x-amzn-requestid"),
        )
    raise failure


def secret_value(answer: dict[str, Any]) -> tuple[str | bytes, str | None]:
    """Value and version of a GetSecretValue answer."""
    text = answer.get("SecretString")
    return (_from_base64(answer["SecretBinary"]) if text is None else text), answer.get("VersionId")


def parameter_value(answer: dict[str, Any]) -> tuple[str, str | None]:
    """Value and version of a GetParameter answer."""
    parameter = answer["Parameter"]
    return parameter["Value"], str(parameter["Version"])


def plaintext(answer: dict[str, Any]) -> bytes:
    """What a Decrypt answer holds."""
    return _from_base64(answer["Plaintext"])


def _from_base64(text: str) -> bytes:
    import binascii  # a C module without imports of its own, unlike base64

    return binascii.a2b_base64(text, strict_mode=True)
