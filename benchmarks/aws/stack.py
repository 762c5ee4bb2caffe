"""The target that is a CloudFormation stack, driven through the APIs of AWS."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ..framework import orders
from ..framework.deployed import TIMEOUT_S, report
from ..framework.orders import FAST, NAIVE
from ..framework.processes import ProcessFailedError
from .target import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

OUTPUTS = {NAIVE: "NaiveFunction", FAST: "FastFunction"}  # the functions' names, as the template has them
SECRET = "PartnerSecret"  # noqa: S105 - the name of an output
MARK = "BENCH_ENVIRONMENT"  # a variable of another value makes another environment
_POLL_S = 1  # between two looks at an update, which takes some seconds
_POLLS = 180
_GUIDE = "benchmarks/aws/README.md"


class TargetError(ProcessFailedError):
    """The stack cannot be used, or a function of it failed."""


class Stack:
    """The functions of a stack of ``template.yaml``. Its ``with`` block ends with what it changed of them put back.

    Credentials, region and endpoints are those that boto3 finds.

    Args:
        name: of the stack.

    Attributes:
        functions: their names, by the version of the example.
        event: an order, signed with the key of the stack.
        described: where and what they are, for the document.

    Raises:
        TargetError: there is no such stack, it is another one, or AWS does not let us.
    """

    def __init__(self, name: str) -> None:
        import boto3
        from botocore.config import Config

        # An invocation is never sent again: the second would be a warm one.
        once = Config(retries={"total_max_attempts": 1}, read_timeout=TIMEOUT_S + 10)
        with _told(f"use the stack {name!r}"):
            session = boto3.Session()
            self._invoker = session.client("lambda", config=once)
            self._lambda = session.client("lambda")
            outputs = _outputs(session, name)
            missing = {*OUTPUTS.values(), SECRET} - outputs.keys()
            if missing:
                raise TargetError(
                    f"The stack {name!r} has no output {', '.join(sorted(missing))}: it is not one of "
                    f"benchmarks/aws/template.yaml. How to deploy that: {_GUIDE}"
                )
            self.functions = {version: outputs[output] for version, output in OUTPUTS.items()}
            self._deployed = {function: self._configuration(function) for function in self.functions.values()}
            self.event = _signed(session, outputs[SECRET])
        self.described = {"stack": name, "region": session.region_name} | {
            version: {
                "memory_mb": self._deployed[function]["MemorySize"],
                "runtime": self._deployed[function]["Runtime"],
                "architecture": self._deployed[function]["Architectures"][0],
            }
            for version, function in self.functions.items()
        }
        self._changed: set[str] = set()

    def invoke(self, function: str) -> Reply:
        """Invoke it with the event, and wait for the answer.

        Raises:
            TargetError: Lambda refused, or did not answer.
        """
        with _told(f"invoke {function}"):
            reply = self._invoker.invoke(FunctionName=function, LogType="Tail", Payload=self.event)
            answer = json.loads(reply["Payload"].read())
        log = base64.b64decode(reply["LogResult"]).decode(errors="replace")
        return Reply(answer=answer, error=reply.get("FunctionError"), log=log, **report(log))

    def renew(self, function: str, *, memory_mb: int | None = None, variables: Mapping[str, str] | None = None) -> None:
        """Change its configuration and wait until that is in force: environments of the old one get no more events.

        Raises:
            TargetError: AWS does not let us, or the update failed.
        """
        self._changed.add(function)
        self._update(function, memory_mb, {**(variables or {}), MARK: secrets.token_hex(4)})

    def __enter__(self) -> Stack:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Put back what was changed.

        Raises:
            TargetError: AWS does not let us.
        """
        with ExitStack() as all_of_them:
            for function in self._changed:
                all_of_them.callback(self._update, function)

    def _configuration(self, function: str) -> dict[str, Any]:
        found: dict[str, Any] = self._lambda.get_function_configuration(FunctionName=function)
        if MARK in found.get("Environment", {}).get("Variables", {}):
            raise TargetError(
                f"{function} has the variable {MARK}: another run measures it, or was killed before it could put back "
                "what it had changed. If so, correct its variables and memory size by hand, or deploy the stack anew"
            )
        return found

    def _update(self, function: str, memory_mb: int | None = None, variables: Mapping[str, str] | None = None) -> None:
        deployed = self._deployed[function]
        given = deployed.get("Environment", {}).get("Variables", {})
        with _told(f"update {function}"):
            self._lambda.update_function_configuration(
                FunctionName=function,
                MemorySize=memory_mb or deployed["MemorySize"],
                Environment={"Variables": given | (variables or {})},
            )
            wait = self._lambda.get_waiter("function_updated").wait
            wait(FunctionName=function, WaiterConfig={"Delay": _POLL_S, "MaxAttempts": _POLLS})


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Raise errors of the SDK as one that names the attempt and the remedy."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        NoRegionError,
        PartialCredentialsError,
        ProfileNotFound,
    )

    try:
        yield
    except (NoCredentialsError, PartialCredentialsError, NoRegionError, ProfileNotFound) as error:
        raise TargetError(
            f"Could not {what}: {error}. boto3 finds no credentials or region: set AWS_PROFILE and AWS_REGION"
        ) from error
    except ClientError as error:
        raise TargetError(f"Could not {what}: {error}. Permissions that a run needs: {_GUIDE}") from error
    except BotoCoreError as error:
        raise TargetError(f"Could not {what}: {error}") from error


def _outputs(session: Any, stack: str) -> dict[str, str]:
    from botocore.exceptions import ClientError

    try:
        (found,) = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":  # which is how it says that there is none
            raise
        raise TargetError(
            f"There is no stack {stack!r} in {session.region_name}: {error}. Give another --stack or AWS_REGION, or "
            f"deploy it: {_GUIDE}"
        ) from error
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def _signed(session: Any, secret: str) -> bytes:
    """The example's event with a signature of this stack's partner, whose key is another in each stack."""
    text = session.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    event = orders.event()
    key = json.loads(text)["signing_key"]
    event["headers"]["x-signature"] = hmac.new(key.encode(), event["body"].encode(), hashlib.sha256).hexdigest()
    return json.dumps(event).encode()
