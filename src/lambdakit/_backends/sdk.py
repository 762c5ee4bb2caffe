"""The backend `sdk`: botocore's clients, wherever they know something that the direct path does not."""

from __future__ import annotations

from .._aws import Answer
from .._clients import Clients
from .._errors import REDACTED_CODES, service_error
from ..exceptions import AccessDeniedError, FetchError, NetworkError
from .operations import Operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._aws import Operation
    from .._environment import Environment


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

    def _call(self, operation: Operation, name: str, region: str | None, request: dict[str, Any]) -> Answer:
        client = self._clients.client(operation.service, region, None, None)
        import botocore  # loaded with the client already
        import botocore.exceptions

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
        cause: Exception | None
        try:
            answer: dict[str, Any] = getattr(client, botocore.xform_name(operation.name))(**request)
            if operation.stream is not None:
                answer[operation.stream] = answer[operation.stream].read()
            http = answer["ResponseMetadata"]
            return Answer(answer, context | {"status": http.get("HTTPStatusCode"), "request_id": http.get("RequestId")})
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
        except (
            botocore.exceptions.NoCredentialsError,
            botocore.exceptions.PartialCredentialsError,
            botocore.exceptions.CredentialRetrievalError,
        ) as error:
            cause = error
            failure = AccessDeniedError(
                f"{what}: no usable credentials ({type(error).__name__}). "
                "Give the function a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
                **context,
            )
        except botocore.exceptions.BotoCoreError as error:
            cause = None if redact else error
            failure = FetchError(
                f"{what}: the SDK did not send it or could not read the answer ({type(error).__name__}). "
                f"{'Check the request.' if redact else 'The exception behind this one says why.'}",
                **context,
            )
        # Out here, so that what is not its cause is not its context either: that is shown, too.
        raise failure from cause
