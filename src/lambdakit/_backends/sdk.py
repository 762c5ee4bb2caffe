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
        try:
            answer: Any = getattr(client, botocore.xform_name(operation.name))(**request)
            # What a test has put in botocore's place may be less than an answer, and the same one each time.
            members: dict[str, Any] = {**answer} if isinstance(answer, dict) else {}
            stream = operation.stream
            if stream in members and not isinstance(members[stream], (bytes, str)):
                members[stream] = members[stream].read()
        except botocore.exceptions.ClientError as error:
            body, http = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
            raise service_error(
                **context,
                code=body.get("Code"),
                status=http.get("HTTPStatusCode"),
                message="" if redact else body.get("Message", ""),
                request_id=http.get("RequestId"),
            ) from (None if redact or body.get("Code") in REDACTED_CODES else error)
        except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError) as error:
            raise NetworkError(
                f"{what}: no answer came ({type(error).__name__}). "
                "Check the network, the endpoint and, in a VPC, the route to it.",
                **context,
            ) from (None if redact else error)
        except (
            botocore.exceptions.NoCredentialsError,
            botocore.exceptions.PartialCredentialsError,
            botocore.exceptions.CredentialRetrievalError,
        ) as error:
            raise AccessDeniedError(
                f"{what}: no usable credentials ({type(error).__name__}). "
                "Give the function a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
                **context,
            ) from error
        except botocore.exceptions.BotoCoreError as error:
            raise FetchError(
                f"{what}: the SDK did not send it or could not read the answer ({type(error).__name__}). "
                f"{'Check the request.' if redact else 'The exception behind this one says why.'}",
                **context,
            ) from (None if redact else error)
        http = members.get("ResponseMetadata") or {}
        return Answer(members, context | {"status": http.get("HTTPStatusCode"), "request_id": http.get("RequestId")})
