"""What is read from an answer, whoever brought it."""

from __future__ import annotations

import json

from ..exceptions import ServiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from . import Configuration, Parameter, Secret

    T = TypeVar("T")

_INVOKED = (200, 202)  # waited for, taken


class Answer:
    """A successful answer. Immutable by convention.

    Attributes:
        members: its members, by the names that the API gives them. Bytes are bytes, or text in base64.
        about: what an error about it tells: service, operation, name, region, status and request id.
    """

    __slots__ = ("about", "members")

    def __init__(self, members: dict[str, Any], about: dict[str, Any]) -> None:
        self.members = members
        self.about = about

    def __repr__(self) -> str:
        """What was asked; the members may be secrets."""
        return f"<Answer {self.about['operation']} of {self.about['name']!r}>"

    def read(self, reader: Callable[[dict[str, Any]], T]) -> T:
        """What `reader` makes of the members.

        Raises:
            ServiceError: it is not an answer of this service.
        """
        try:
            return reader(self.members)
        except (AttributeError, LookupError, TypeError, ValueError):
            # The answer may hold the value in a form that is not understood: nothing of it goes into the error.
            failure = self.foreign()
        raise failure

    def foreign(self) -> ServiceError:
        """The error of an answer that is not what this service answers."""
        return ServiceError(
            f"{self.about['service']} {self.about['operation']} of {self.about['name']!r}: the answer is not one of "
            "this service's. Is there a proxy, or a wrong endpoint?",
            **self.about,
        )


def document(body: bytes) -> dict[str, Any]:
    """The JSON object that `body` is; an empty one if it is none."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def secret_value(members: dict[str, Any]) -> Secret:
    """Value and version of a GetSecretValue answer, or of one entry of a batch."""
    text = members.get("SecretString")
    return (blob(members["SecretBinary"]) if text is None else text), members.get("VersionId")


def parameter(members: dict[str, Any]) -> Parameter:
    """Value and version of a GetParameter answer."""
    return parameter_value(members["Parameter"])


def parameter_value(entry: dict[str, Any]) -> Parameter:
    """Value and version of one parameter."""
    return entry["Value"], str(entry["Version"])


def plaintext(members: dict[str, Any]) -> bytes:
    """What a Decrypt answer holds."""
    return blob(members["Plaintext"])


def first_token(members: dict[str, Any]) -> str:
    """The token of a StartConfigurationSession answer."""
    return str(members["InitialConfigurationToken"])


def configuration(members: dict[str, Any]) -> Configuration:
    """Body, version label, next token and seconds until the next poll of a GetLatestConfiguration answer."""
    return (
        members["Configuration"],
        members.get("VersionLabel") or None,
        str(members["NextPollConfigurationToken"]),
        float(members["NextPollIntervalInSeconds"]),
    )


def invoked(members: dict[str, Any]) -> str | None:
    """How the function of an Invoke answer failed, or None."""
    if members["StatusCode"] not in _INVOKED:
        raise ValueError(members["StatusCode"])
    return members.get("FunctionError")


def item(members: dict[str, Any]) -> str | None:
    """The JSON of the item of a GetItem answer, or None if there is none."""
    found = members.get("Item")
    return None if found is None else json.dumps(dict(found), default=base64)


def blob(value: str | bytes) -> bytes:
    """Bytes of an answer or for a request: the SDK has them as they are, JSON has them in base64."""
    import binascii  # a C module without imports of its own, unlike base64

    return value if isinstance(value, bytes) else binascii.a2b_base64(value, strict_mode=True)


def base64(value: bytes) -> str:
    """Bytes as JSON has them."""
    import binascii  # as above

    return binascii.b2a_base64(value, newline=False).decode()
