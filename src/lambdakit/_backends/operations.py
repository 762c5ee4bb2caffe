"""The operations of values: what each one sends, and what is read from its answer, whoever carries it."""

from __future__ import annotations

import json

from .._aws import Operation, RestOperation, base64
from ..exceptions import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from .._aws import Answer
    from ..backends import Configuration, Parameter, Secret
    from ..exceptions import FetchError

_JSON_1_0, _JSON_1_1 = "application/x-amz-json-1.0", "application/x-amz-json-1.1"
_INVOKED = (200, 202)  # waited for, taken
_MAX_PAGE = 10  # of GetParametersByPath: the service allows no more, and has no less by default
_LAMBDA_LIMIT_S = 900.0  # no function runs longer
_MAX_SHOWN = 200  # characters of all the names in one message
_REFERENCE = "/aws/reference/secretsmanager/"  # and the name of a secret: a parameter that is the secret
_LONGEST_POLL_S = 86_400.0  # the service says so itself: a token is good for a day
_SUFFIX = len("-") + 6  # what Secrets Manager adds to a name in an ARN, and users may leave out


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
    redact=True,  # the token
    stream="Configuration",
    response_headers={
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
    request_headers={"InvocationType": "X-Amz-Invocation-Type"},
    body="Payload",
    stream="Payload",
    response_headers={"FunctionError": "x-amz-function-error"},
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
        label, request = joined(names), {"SecretIdList": [*names]}
        return secrets(pages(lambda more: self._call(_BATCH_GET_SECRET_VALUE, label, region, request | more)), names)

    def get_parameter(self, name: str, *, region: str | None, decrypt: bool) -> Parameter:
        """GetParameter."""
        return self._call(_GET_PARAMETER, name, region, {"Name": name, "WithDecryption": decrypt}).read(parameter)

    def get_parameters(
        self, names: Sequence[str], *, region: str | None, decrypt: bool
    ) -> dict[str, Parameter | FetchError]:
        """GetParameters."""
        request = {"Names": [*names], "WithDecryption": decrypt}
        return parameters(self._call(_GET_PARAMETERS, joined(names), region, request), names)

    def get_parameters_by_path(
        self, path: str, *, region: str | None, recursive: bool, decrypt: bool
    ) -> dict[str, Parameter]:
        """GetParametersByPath."""
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
            region = answer.error_context["region"]
            raise NotFoundError(
                f"dynamodb GetItem of {table!r} in {region}: no item has this key ({', '.join(key)}). "
                "Check the key and the region.",
                **answer.error_context,
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


def secret_value(members: dict[str, Any]) -> Secret:
    """Value and version of a GetSecretValue answer, or of one entry of a batch."""
    text, version = members.get("SecretString"), members.get("VersionId")
    return blob(members["SecretBinary"]) if text is None else _text(text), None if version is None else _text(version)


def parameter(members: dict[str, Any]) -> Parameter:
    """Value and version of a GetParameter answer."""
    return parameter_value(members["Parameter"])


def parameter_value(entry: dict[str, Any]) -> Parameter:
    """Value and version of one parameter."""
    return _text(entry["Value"]), _parameter_version(entry)


def _parameter_version(entry: dict[str, Any]) -> str | None:
    """The number of a parameter's version; of a reference to a secret, which has none, the secret's.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html
    """
    if _text(entry.get("Name") or "").startswith(_REFERENCE):
        try:
            source = json.loads(entry["SourceResult"])
            return _text(source.get("versionId") or source.get("VersionId"))
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
            return None  # its number is always 0: nothing tells whether it has changed
    version = entry.get("Version")
    return None if version is None else str(int(version))


def _text(value: Any) -> str:
    """`value`, if it is text: nothing else is what the service stores."""
    if not isinstance(value, str):
        raise TypeError  # without the value
    return value


def plaintext(members: dict[str, Any]) -> bytes:
    """What a Decrypt answer holds."""
    return blob(members["Plaintext"])


def first_token(members: dict[str, Any]) -> str:
    """The token of a StartConfigurationSession answer."""
    return _text(members["InitialConfigurationToken"])


def configuration(members: dict[str, Any]) -> Configuration:
    """Body, version label, next token and seconds until the next poll of a GetLatestConfiguration answer."""
    interval_s = float(members["NextPollIntervalInSeconds"])
    if not 0.0 <= interval_s <= _LONGEST_POLL_S:
        raise ValueError(interval_s)
    return (
        members["Configuration"],
        members.get("VersionLabel") or None,
        _text(members["NextPollConfigurationToken"]),
        interval_s,
    )


def invoked(members: dict[str, Any]) -> str | None:
    """How the function of an Invoke answer failed, or None."""
    if members["StatusCode"] not in _INVOKED:
        raise ValueError(members["StatusCode"])
    return members.get("FunctionError")


def item(members: dict[str, Any]) -> str | None:
    """The JSON of the item of a GetItem answer, or None if there is none."""
    found = members.get("Item")
    if not (found is None or isinstance(found, dict)):
        raise TypeError  # without the item
    return None if found is None else json.dumps(found, default=base64)


def blob(value: str | bytes) -> bytes:
    """Bytes of an answer or for a request: the SDK has them as they are, JSON has them in base64."""
    import binascii  # a C module without imports of its own, unlike base64

    return value if isinstance(value, bytes) else binascii.a2b_base64(value, strict_mode=True)


def joined(names: Iterable[str]) -> str:
    """The names of a batch, for messages."""
    text = ", ".join(names)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def pages(fetch: Callable[[dict[str, str]], Answer]) -> Iterator[Answer]:
    """All pages of an answer; `fetch` takes what is to be added to the request."""
    last: str | None = None
    while True:
        answer = fetch({} if last is None else {"NextToken": last})
        yield answer
        following = answer.read(lambda members: _text(members.get("NextToken") or ""))
        if not following:
            return
        if following == last:
            raise answer.malformed_response()  # it would go on for ever
        last = following


def secrets(answers: Iterable[Answer], names: Sequence[str]) -> dict[str, Secret | FetchError]:
    """The answers to BatchGetSecretValue, by name."""
    exact: dict[str, Secret] = {}
    partial: dict[str, Secret] = {}
    errors: dict[str, tuple[Answer, dict[str, Any]]] = {}

    def sort(members: dict[str, Any]) -> None:
        for entry in members.get("SecretValues") or ():
            value = secret_value(entry)
            exact[entry["Name"]] = value
            if (arn := entry.get("ARN")) is not None:  # a test's own answer may have none
                exact[arn] = value
                partial[arn[:-_SUFFIX]] = value
        for entry in members.get("Errors") or ():
            code = _text(entry.get("ErrorCode") or "") or None
            errors.update(dict.fromkeys(_identities(_text(entry["SecretId"])), (answer, entry | {"ErrorCode": code})))

    for answer in answers:
        answer.read(sort)
    found: dict[str, Secret | FetchError] = {}
    for name in names:
        # A secret's whole ARN can look like another's partial one: what is exact goes first.
        value = exact.get(name) or partial.get(name)
        if value is not None:
            found[name] = value
        elif name in errors:
            found[name] = _refused(name, *errors[name])
    return found


def _identities(identifier: str) -> tuple[str, ...]:
    """What may have been asked for where an error names `identifier`: this, a partial ARN, a name."""
    if not identifier.startswith("arn:"):
        return (identifier,)
    partial = identifier[:-_SUFFIX]
    return partial.partition(":secret:")[2], partial, identifier


def _refused(name: str, answer: Answer, entry: dict[str, Any]) -> FetchError:
    context: dict[str, Any] = answer.error_context | {"name": name}
    from .._errors import service_error  # only on the way to an error

    return service_error(**context, code=entry.get("ErrorCode"), message=str(entry.get("Message") or ""))


def parameters(answer: Answer, names: Sequence[str]) -> dict[str, Parameter | FetchError]:
    """The answer to GetParameters, by name."""
    known = answer.read(_parameters_by_identity)
    missing = answer.read(_invalid)
    found: dict[str, Parameter | FetchError] = {}
    for name in names:
        if name in known:
            found[name] = known[name]
        elif name in missing:
            # The code that the service has for the same name in GetParameter; here it has none.
            found[name] = _refused(name, answer, {"ErrorCode": "ParameterNotFound"})
    return found


def _invalid(members: dict[str, Any]) -> frozenset[str]:
    return frozenset(members.get("InvalidParameters") or ())


def _parameters_by_identity(members: dict[str, Any]) -> dict[str, Parameter]:
    """By everything that identifies one: name or ARN, with the selector that was asked for or the version."""
    versions: dict[str, Parameter] = {}
    chosen: dict[str, Parameter] = {}
    newest: dict[str, int] = {}
    for entry in members["Parameters"]:
        value, version = parameter_value(entry), int(entry.get("Version") or 0)
        for identity in (entry["Name"], entry.get("ARN") or entry["Name"]):
            versions[f"{identity}:{version}"] = value
            key = f"{identity}{entry.get('Selector') or ''}"
            # Of several without a selector, from a server that does not repeat it, the newest is that of the name.
            if version >= newest.get(key, version):
                chosen[key], newest[key] = value, version
    return versions | chosen


def parameters_by_name(members: dict[str, Any]) -> dict[str, Parameter]:
    """One page of GetParametersByPath, by full name."""
    return {_text(entry["Name"]): parameter_value(entry) for entry in members["Parameters"]}
