"""How one operation stands on the wire: what botocore's ``service-2.json`` says of it."""

from __future__ import annotations

import json

from .answers import base64, document
from .signing import quote
from .transport import READ_TIMEOUT_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    from .http1 import Response

    # The path, percent-encoded; the query, not encoded; the headers beside those of every request; the body.
    Written: TypeAlias = tuple[str, list[tuple[str, str]], dict[str, str], bytes]


class Operation:
    """An operation whose request and answer are JSON documents.

    Attributes:
        service: the prefix of the service's endpoints, and botocore's name of it.
        name: the operation.
        method: the HTTP method.
        path: where it is sent to.
        signed_as: the service's name in a signature.
        headers: what identifies it, and its media type.
        stream: the member of the answer that is its body as it stands; None if the body is a document of all members.
        hidden: True if what identifies the thing asked for is a secret itself: errors must not quote it.
        repeatable: False if a request that was lost may have done something that a second one would do again.
        timeout_s: how long an answer may take.
    """

    __slots__ = (
        "headers",
        "hidden",
        "method",
        "name",
        "path",
        "repeatable",
        "service",
        "signed_as",
        "stream",
        "timeout_s",
    )

    def __init__(
        self,
        service: str,
        name: str,
        headers: Mapping[str, str],
        *,
        method: str = "POST",
        path: str = "/",
        signed_as: str | None = None,
        stream: str | None = None,
        hidden: bool = False,
        repeatable: bool = True,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self.service = service
        self.name = name
        self.headers = headers
        self.method = method
        self.path = path
        self.signed_as = signed_as or service
        self.stream = stream
        self.hidden = hidden
        self.repeatable = repeatable
        self.timeout_s = timeout_s

    def __repr__(self) -> str:
        """Service and name."""
        return f"<Operation {self.service} {self.name}>"

    def write(self, request: dict[str, Any]) -> Written:
        """A request as it is sent."""
        return self.path, [], {**self.headers}, json.dumps(request, default=base64).encode()

    def members(self, response: Response) -> dict[str, Any]:
        """The members of a successful response."""
        return document(response.body)


class RestOperation(Operation):
    """An operation whose members stand in path, query, headers and body, each where the model puts it.

    Args:
        service: as an `Operation`'s.
        name: the same.
        stream: the same.
        labels: members of the request that stand in the path, where it has their names in braces.
        query: members of the request that stand in the query, by their names there.
        fields: members of the request that are headers, by their names.
        body: the member of the request that is its body; None for an empty one.
        told: headers of the answer that are members, by their names there, in lower case.
        options: of an `Operation`.
    """

    __slots__ = ("_body", "_fields", "_labels", "_query", "_told")

    def __init__(
        self,
        service: str,
        name: str,
        *,
        stream: str,
        labels: tuple[str, ...] = (),
        query: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        body: str | None = None,
        told: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(service, name, {}, stream=stream, **options)
        self._labels = labels
        self._query = query or {}
        self._fields = fields or {}
        self._body = body
        self._told = told or {}

    def write(self, request: dict[str, Any]) -> Written:
        """A request as it is sent; members that are not given are not there."""
        path = self.path.format(**{member: quote(request[member]) for member in self._labels})
        query = [(name, request[member]) for member, name in self._query.items() if member in request]
        headers = {name: request[member] for member, name in self._fields.items() if member in request}
        return path, query, headers, b"" if self._body is None else request[self._body]

    def members(self, response: Response) -> dict[str, Any]:
        """The members of a successful response, and its status as ``StatusCode``."""
        told = {member: response.headers[name] for member, name in self._told.items() if name in response.headers}
        return {"StatusCode": response.status, str(self.stream): response.body, **told}
