"""The backend `sdk`: botocore's clients, wherever they know something that the direct path does not."""

from __future__ import annotations

from ..exceptions import AccessDeniedError, FetchError, NetworkError
from .answers import Answer
from .errors import UNSPEAKABLE, service_error
from .operations import Operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._clients import Clients
    from .._clock import Instant
    from .wire import Operation


class SdkBackend(Operations):
    """Fetches through the environment's own SDK clients, so that there is one connection pool per service."""

    __slots__ = ("_clients",)

    name = "sdk"

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @property
    def origin(self) -> SdkBackend:
        """Itself."""
        return self

    def close(self) -> None:
        """Nothing of its own: the clients belong to the environment."""

    def drop_idle(self, now: Instant) -> None:
        """Nothing of its own is open."""

    def abandon(self) -> None:
        """Nothing of its own, as above."""

    def _call(self, operation: Operation, name: str, region: str | None, request: dict[str, Any]) -> Answer:
        client = self._clients.client(operation.service, region, None, None)
        import botocore  # loaded with the client already
        import botocore.exceptions

        about: dict[str, Any] = {
            "service": operation.service,
            "operation": operation.name,
            "name": name,
            "region": client.meta.region_name,
        }
        what = f"{operation.service} {operation.name} of {name!r} in {about['region']}"
        # What stands in a URL is quoted by many of botocore's errors; a token among it is nobody's business.
        quoted = operation.hidden
        try:
            answer: dict[str, Any] = getattr(client, botocore.xform_name(operation.name))(**request)
            if operation.stream is not None:
                answer[operation.stream] = answer[operation.stream].read()
        except botocore.exceptions.ClientError as error:
            said, http = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
            raise service_error(
                **about,
                code=said.get("Code"),
                status=http.get("HTTPStatusCode"),
                message="" if quoted else said.get("Message", ""),
                request_id=http.get("RequestId"),
            ) from (None if quoted or said.get("Code") in UNSPEAKABLE else error)
        except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError) as error:
            raise NetworkError(
                f"{what}: no answer came ({type(error).__name__}). "
                "Check the network, the endpoint and, in a VPC, the route to it.",
                **about,
            ) from (None if quoted else error)
        except (
            botocore.exceptions.NoCredentialsError,
            botocore.exceptions.PartialCredentialsError,
            botocore.exceptions.CredentialRetrievalError,
        ) as error:
            raise AccessDeniedError(
                f"{what}: no usable credentials ({type(error).__name__}). "
                "Give the function a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
                **about,
            ) from error
        except botocore.exceptions.BotoCoreError as error:
            raise FetchError(
                f"{what}: the SDK did not send it or could not read the answer ({type(error).__name__}). "
                f"{'Check the request.' if quoted else 'The exception behind this one says why.'}",
                **about,
            ) from (None if quoted else error)
        http = answer["ResponseMetadata"]
        return Answer(answer, about | {"status": http.get("HTTPStatusCode"), "request_id": http.get("RequestId")})
