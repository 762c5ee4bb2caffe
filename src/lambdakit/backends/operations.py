"""The operations: what each one sends, and what is read from its answer, whoever carries it."""

from __future__ import annotations

from ..exceptions import NotFoundError
from .answers import blob, configuration, first_token, invoked, item, parameter, plaintext, secret_value
from .wire import Operation, RestOperation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..exceptions import FetchError
    from . import Configuration, Parameter, Secret
    from .answers import Answer

_JSON_1_0, _JSON_1_1 = "application/x-amz-json-1.0", "application/x-amz-json-1.1"
_MAX_PAGE = 10  # of GetParametersByPath: the service allows no more, and has no less by default
_LAMBDA_LIMIT_S = 900.0  # no function runs longer


def _aws_json(service: str, name: str, prefix: str, media_type: str = _JSON_1_1) -> Operation:
    return Operation(service, name, {"Content-Type": media_type, "X-Amz-Target": f"{prefix}.{name}"})


_GET_SECRET_VALUE = _aws_json("secretsmanager", "GetSecretValue", "secretsmanager")
_BATCH_GET_SECRET_VALUE = _aws_json("secretsmanager", "BatchGetSecretValue", "secretsmanager")
_GET_PARAMETER = _aws_json("ssm", "GetParameter", "AmazonSSM")
_GET_PARAMETERS = _aws_json("ssm", "GetParameters", "AmazonSSM")
_GET_PARAMETERS_BY_PATH = _aws_json("ssm", "GetParametersByPath", "AmazonSSM")
_DECRYPT = _aws_json("kms", "Decrypt", "TrentService")
_GET_ITEM = _aws_json("dynamodb", "GetItem", "DynamoDB_20120810", _JSON_1_0)
_START_CONFIGURATION_SESSION = Operation(
    "appconfigdata",
    "StartConfigurationSession",
    {"Content-Type": "application/json"},
    path="/configurationsessions",
    signed_as="appconfig",
)
_GET_LATEST_CONFIGURATION = RestOperation(
    "appconfigdata",
    "GetLatestConfiguration",
    method="GET",
    path="/configuration",
    signed_as="appconfig",
    query={"ConfigurationToken": "configuration_token"},
    hidden=True,  # the token
    stream="Configuration",
    told={
        "NextPollConfigurationToken": "next-poll-configuration-token",
        "NextPollIntervalInSeconds": "next-poll-interval-in-seconds",
        "VersionLabel": "version-label",
    },
)
_INVOKE = RestOperation(
    "lambda",
    "Invoke",
    path="/2015-03-31/functions/{FunctionName}/invocations",
    labels=("FunctionName",),
    query={"Qualifier": "Qualifier"},
    fields={"InvocationType": "X-Amz-Invocation-Type"},
    body="Payload",
    stream="Payload",
    told={"FunctionError": "x-amz-function-error"},
    repeatable=False,
    timeout_s=_LAMBDA_LIMIT_S,
)


class Operations:
    """What a backend does that asks the services themselves; how it asks is its `_call`."""

    __slots__ = ()

    if TYPE_CHECKING:

        def _call(self, operation: Operation, name: str, region: str | None, request: dict[str, Any]) -> Answer: ...

    def get_secret(self, name: str, *, region: str | None, version_id: str | None, version_stage: str | None) -> Secret:
        """GetSecretValue; what is None is not sent."""
        request = {"SecretId": name}
        if version_id is not None:
            request["VersionId"] = version_id
        if version_stage is not None:
            request["VersionStage"] = version_stage
        return self._call(_GET_SECRET_VALUE, name, region, request).read(secret_value)

    def get_secrets(self, names: Sequence[str], *, region: str | None) -> dict[str, Secret | FetchError]:
        """BatchGetSecretValue."""
        from .batches import joined, pages, secrets  # 0.2 ms; not paid for a single value

        about, request = joined(names), {"SecretIdList": [*names]}
        return secrets(pages(lambda more: self._call(_BATCH_GET_SECRET_VALUE, about, region, request | more)), names)

    def get_parameter(self, name: str, *, region: str | None, decrypt: bool) -> Parameter:
        """GetParameter."""
        return self._call(_GET_PARAMETER, name, region, {"Name": name, "WithDecryption": decrypt}).read(parameter)

    def get_parameters(
        self, names: Sequence[str], *, region: str | None, decrypt: bool
    ) -> dict[str, Parameter | FetchError]:
        """GetParameters."""
        from .batches import joined, parameters  # as above

        request = {"Names": [*names], "WithDecryption": decrypt}
        return parameters(self._call(_GET_PARAMETERS, joined(names), region, request), names)

    def get_parameters_by_path(
        self, path: str, *, region: str | None, recursive: bool, decrypt: bool
    ) -> dict[str, Parameter]:
        """GetParametersByPath."""
        from .batches import pages, parameters_by_name  # as above

        request = {"Path": path, "Recursive": recursive, "WithDecryption": decrypt, "MaxResults": _MAX_PAGE}
        found: dict[str, Parameter] = {}
        for answer in pages(lambda more: self._call(_GET_PARAMETERS_BY_PATH, path, region, request | more)):
            found.update(answer.read(parameters_by_name))
        return found

    def start_configuration_session(
        self, application: str, environment: str, profile: str, *, region: str | None
    ) -> str:
        """StartConfigurationSession."""
        request = {
            "ApplicationIdentifier": application,
            "EnvironmentIdentifier": environment,
            "ConfigurationProfileIdentifier": profile,
        }
        name = f"{application}/{environment}/{profile}"
        return self._call(_START_CONFIGURATION_SESSION, name, region, request).read(first_token)

    def get_latest_configuration(self, token: str, *, name: str, region: str | None) -> Configuration:
        """GetLatestConfiguration."""
        request = {"ConfigurationToken": token}
        return self._call(_GET_LATEST_CONFIGURATION, name, region, request).read(configuration)

    def get_item(self, table: str, key: dict[str, Any], *, region: str | None, consistent: bool) -> str:
        """GetItem."""
        typed = {
            name: {kind: blob(part) if kind == "B" else part for kind, part in value.items()}
            for name, value in key.items()
        }
        answer = self._call(_GET_ITEM, table, region, {"TableName": table, "Key": typed, "ConsistentRead": consistent})
        found = answer.read(item)
        if found is None:
            # What a key holds may be anybody's name or address: only its attributes are told.
            raise NotFoundError(
                f"dynamodb GetItem of {table!r} in {answer.about['region']}: no item has this key ({', '.join(key)}). "
                "Check the key and the region.",
                **answer.about,
            )
        return found

    def decrypt(self, name: str, *, ciphertext: str, context: dict[str, str]) -> bytes:
        """Decrypt, with KMS."""
        request = {"CiphertextBlob": blob(ciphertext), "EncryptionContext": context}
        return self._call(_DECRYPT, name, None, request).read(plaintext)

    def invoke(
        self, function: str, payload: bytes, *, region: str | None, qualifier: str | None, wait: bool
    ) -> str | None:
        """Invoke of Lambda: at most one attempt.

        Args:
            function: its name.
            payload: JSON.
            region: where it is.
            qualifier: the version or alias; None for the function as it is now.
            wait: for the end of the invocation; False: Lambda has taken it, and may begin it a little later.

        Returns:
            Lambda's word for how the function failed, such as ``Unhandled``; None if it did not, or nobody waited.
        """
        request: dict[str, Any] = {
            "FunctionName": function,
            "InvocationType": "RequestResponse" if wait else "Event",
            "Payload": payload,
        }
        if qualifier is not None:
            request["Qualifier"] = qualifier
        answer = self._call(_INVOKE, f"{function}:{qualifier}" if qualifier else function, region, request)
        return answer.read(invoked)
