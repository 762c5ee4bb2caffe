"""One fresh process of a function that needs many values, from its start to the answer of its first invocation."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import awslambdaric.bootstrap  # noqa: F401 - what Lambda's own process has loaded before the handler's module

WAY = sys.argv[1]
PARAMETERS, SECRETS = json.loads(sys.argv[2])


def single() -> Callable[..., Any]:
    """The control: each value with a call of its own, by lambdakit too."""
    import lambdakit

    @lambdakit.handler
    def handler(event: Any, context: Any) -> Any:  # noqa: ARG001 - the shape of a handler
        return [lambdakit.get_parameter(n) for n in PARAMETERS] + [lambdakit.get_secret(n) for n in SECRETS]

    return handler


def preload() -> Callable[..., Any]:
    """The treatment: the same handler, with what it needs declared."""
    import lambdakit

    declared = [*map(lambdakit.parameter, PARAMETERS), *map(lambdakit.secret, SECRETS)]
    return lambdakit.handler(preload=declared)(single())


def boto3() -> Callable[..., Any]:
    """The services' own batch calls, with as many names as each takes."""
    import boto3

    ssm, secretsmanager = boto3.client("ssm"), boto3.client("secretsmanager")
    values = {}
    for names in chunks(PARAMETERS, 10):
        answer = ssm.get_parameters(Names=names, WithDecryption=True)
        values.update({one["Name"]: one["Value"] for one in answer["Parameters"]})
    for names in chunks(SECRETS, 20):
        answer = secretsmanager.batch_get_secret_value(SecretIdList=names)
        values.update({one["Name"]: one["SecretString"] for one in answer["SecretValues"]})
    return lambda event, context: [values[name] for name in PARAMETERS + SECRETS]  # noqa: ARG005 - as above


def powertools() -> Callable[..., Any]:
    """Its batch functions. That for secrets asks by a filter, which takes 10 names; it does not split them itself."""
    from aws_lambda_powertools.utilities import parameters

    values = dict(parameters.get_parameters_by_name({name: {} for name in PARAMETERS}, decrypt=True))
    for names in chunks(SECRETS, 10):
        values.update(parameters.get_secrets_by_name(names))
    return lambda event, context: [values[name] for name in PARAMETERS + SECRETS]  # noqa: ARG005 - as above


def chunks(names: list[str], size: int) -> list[list[str]]:
    """`size` names at a time."""
    return [names[at : at + size] for at in range(0, len(names), size)]


def main() -> None:
    """INIT, the first invocation, and what both took."""
    loaded_ns = time.monotonic_ns()
    handler = {"single": single, "preload": preload, "boto3": boto3, "Powertools": powertools}[WAY]()
    values = handler({"first": True}, None)
    ended_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns()
    figures = {
        "wall_ms": (ended_ns - int(os.environ["BENCH_STARTED_NS"])) / 1e6,
        "after_ms": (ended_ns - loaded_ns) / 1e6,
        "cpu_ms": cpu_ns / 1e6,
    }
    sdk = any(name in sys.modules for name in ("boto3", "botocore"))
    print(json.dumps({"values": values, "sdk": sdk, **figures}))


main()
