"""The backend `sdk`: botocore's clients, wherever they know something that the direct path does not."""

from __future__ import annotations

from ..exceptions import AccessDeniedError, FetchError, NetworkError
from .errors import UNSPEAKABLE, service_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._clients import Clients


class SdkBackend:
    """Fetches through the environment's own SDK clients, so that there is one connection pool per service."""

    __slots__ = ("_clients",)

    name = "sdk"

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def get_secret(
        self, name: str, *, region: str | None, version_id: str | None, version_stage: str | None
    ) -> tuple[str | bytes, str | None]:
        """GetSecretValue; what is None is not sent."""
        request = {"SecretId": name, "VersionId": version_id, "VersionStage": version_stage}
        request = {key: value for key, value in request.items() if value is not None}
        answer = self._call(
            "secretsmanager", "GetSecretValue", name, region, lambda client: client.get_secret_value(**request)
        )
        value = answer.get("SecretString")
        return (answer["SecretBinary"] if value is None else value), answer.get("VersionId")

    def get_parameter(self, name: str, *, region: str | None, decrypt: bool) -> tuple[str, str | None]:
        """GetParameter."""
        answer = self._call(
            "ssm", "GetParameter", name, region, lambda client: client.get_parameter(Name=name, WithDecryption=decrypt)
        )
        return answer["Parameter"]["Value"], str(answer["Parameter"]["Version"])

    def decrypt(self, name: str, *, ciphertext: str, context: dict[str, str]) -> bytes:
        """Decrypt, with KMS."""
        from binascii import a2b_base64  # a C module without imports of its own

        request = {"CiphertextBlob": a2b_base64(ciphertext), "EncryptionContext": context}
        answer = self._call("kms", "Decrypt", name, None, lambda client: client.decrypt(**request))
        plain: bytes = answer["Plaintext"]
        return plain

    def close(self) -> None:
        """Nothing of its own: the clients belong to the environment."""

    def _call(
        self, service: str, operation: str, name: str, region: str | None, call: Callable[[Any], dict[str, Any]]
    ) -> dict[str, Any]:
        client = self._clients.client(service, region, None, None)
        import botocore.exceptions  # loaded with the client already

        about: dict[str, Any] = {
            "service": service,
            "operation": operation,
            "name": name,
            "region": client.meta.region_name,
        }
        what = f"{service} {operation} of {name!r} in {about['region']}"
        try:
            return call(client)
        except botocore.exceptions.ClientError as error:
            said, http = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
            raise service_error(
                **about,
                code=said.get("Code"),
                status=http.get("HTTPStatusCode"),
                message=said.get("Message", ""),
                request_id=http.get("RequestId"),
            ) from (None if said.get("Code") in UNSPEAKABLE else error)
        except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError) as error:
            raise NetworkError(
                f"{what}: no answer came ({type(error).__name__}). "
                "Check the network, the endpoint and, in a VPC, the route to it.",
                **about,
            ) from error
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
                "The exception behind this one says why.",
                **about,
            ) from error
