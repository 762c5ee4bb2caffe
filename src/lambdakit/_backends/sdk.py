"""The backend `sdk`: botocore's clients, wherever they know something that the direct path does not."""

from __future__ import annotations

from .._aws import Answer
from .._clients import Clients, CredentialsError
from .._errors import REDACTED_CODES, service_error
from ..exceptions import AccessDeniedError, FetchError, LambdakitError, NetworkError
from .operations import Operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._aws import Operation
    from .._environment import Environment

_NO_MEMBERS = range(2, 9)  # bytes of a document without members: two braces, with blanks perhaps


class SdkBackend(Operations):
    """Fetches through the environment's own SDK clients, so that there is one connection pool per service."""

    __slots__ = ("_clients",)

    name = "sdk"

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @classmethod
    def of(cls, env: Environment) -> SdkBackend:
        """That of an environment."""
        return cls(env._parts[Clients])

    @property
    def origin(self) -> SdkBackend:
        """Itself: it has no cache."""
        return self

    def warm_imports(self) -> None:
        """Import in INIT what the first client needs."""
        self._clients.warm_imports()

    def _client(self, operation: Operation, name: str, region: str | None) -> Any:
        try:
            return self._clients.client(operation.service, region, None, None)
        except CredentialsError as error:
            raise AccessDeniedError(
                f"{operation.service} {operation.name} of {name!r}: {str(error).partition(': ')[2]}",
                service=operation.service,
                operation=operation.name,
                name=name,
                region=region,
            ) from error.__cause__

    def _call(self, operation: Operation, name: str, region: str | None, request: dict[str, Any]) -> Answer:
        client = self._client(operation, name, region)
        import botocore  # loaded with the client already
        import botocore.exceptions
        import botocore.parsers

        context: dict[str, Any] = {
            "service": operation.service,
            "operation": operation.name,
            "name": name,
            "region": client.meta.region_name,
        }
        what = f"{operation.service} {operation.name} of {name!r} in {context['region']}"
        # What stands in a URL is quoted by many of botocore's errors; a token among it is nobody's business.
        redact = operation.redact
        failure: FetchError
        cause: BaseException | None
        try:
            answer: Any = getattr(client, botocore.xform_name(operation.name))(**request)
            # What a test has put in botocore's place may be less than an answer, and the same one each time.
            members: dict[str, Any] = {**answer} if isinstance(answer, dict) else {}
            stream = operation.stream
            if stream in members and not isinstance(members[stream], (bytes, str)):
                members[stream] = members[stream].read()
        except botocore.exceptions.ClientError as error:
            body, http = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
            cause = None if redact or body.get("Code") in REDACTED_CODES else error
            failure = service_error(
                **context,
                code=body.get("Code"),
                status=http.get("HTTPStatusCode"),
                message="" if redact else body.get("Message", ""),
                request_id=http.get("RequestId"),
            )
        except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError) as error:
            cause = None if redact else error
            failure = NetworkError(
                f"{what}: no answer came ({type(error).__name__}). "
                "Check the network, the endpoint and, in a VPC, the route to it.",
                **context,
            )
        except AccessDeniedError as error:  # of `_resolve_credentials`
            cause = error.__cause__
            failure = AccessDeniedError(f"{what}: {str(error).partition(': ')[2]}", **context)
        except LambdakitError:
            raise
        except (AttributeError, LookupError, RecursionError, TypeError, botocore.parsers.ResponseParserError):
            # What its parsers raise for JSON that is no document of members; they may quote it.
            cause = None
            failure = Answer({}, context).malformed_response()
        except botocore.exceptions.BotoCoreError as error:
            cause = None if redact else error
            failure = FetchError(
                f"{what}: the SDK did not send it or could not read the answer ({type(error).__name__}). "
                f"{'Check the request.' if redact else 'The exception behind this one says why.'}",
                **context,
            )
        else:
            http = members.get("ResponseMetadata") or {}
            told = Answer(
                members, context | {"status": http.get("HTTPStatusCode"), "request_id": http.get("RequestId")}
            )
            # To botocore an empty body, or a page of HTML, is an answer without members: that there is no item.
            length = (http.get("HTTPHeaders") or {}).get("content-length", "")
            if len(members) == 1 and length.isdecimal() and int(length) not in _NO_MEMBERS:
                raise told.malformed_response()
            return told
        # Out here, so that what is not its cause is not its context either: that is shown, too.
        raise failure from cause
