"""One fresh process of a first secret: what it adds to a process that has the runtime client already."""

import json
import os
import sys
from typing import Any

import awslambdaric.bootstrap  # noqa: F401 - what Lambda's own process has loaded before the handler's module

HERE = os.path.dirname(__file__)  # noqa: PTH120 - pathlib would be an import of its own
sys.path[:0] = [HERE, f"{HERE}/../functions"]
from spent import spent  # noqa: E402 - found there, as the floor is

NAME = "bench/secret"


def lambdakit() -> Any:
    """As a user writes it."""
    import lambdakit

    return lambdakit.get_secret(NAME)


def with_roots(roots: str | None) -> Any:
    """As in production, where no variable names a bundle: the roots file first, here the benchmark's issuer."""
    import lambdakit
    from lambdakit._aws import Aws
    from lambdakit._aws.transport import AMAZON_ROOTS, Trust
    from lambdakit._backends.direct import DirectBackend

    env = lambdakit.environment()
    # Without the variable; OpenSSL itself reads SSL_CERT_FILE for its full store.
    environ = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
    trust = Trust(environ=environ, roots=roots or AMAZON_ROOTS)
    backend = DirectBackend(Aws(settings=env.settings, clock=env.clock, budget=lambda: None, trust=trust))
    with lambdakit.use_environment(lambdakit.Environment(backend=backend)):
        return lambdakit.get_secret(NAME)


def boto3() -> Any:
    """As a user writes it."""
    import boto3

    return boto3.client("secretsmanager").get_secret_value(SecretId=NAME)["SecretString"]


def powertools() -> Any:
    """As a user writes it."""
    from aws_lambda_powertools.utilities import parameters

    return parameters.get_secret(NAME)


def caching() -> Any:
    """As a user writes it."""
    import aws_secretsmanager_caching
    import botocore.session

    client = botocore.session.get_session().create_client("secretsmanager")
    return aws_secretsmanager_caching.SecretCache(client=client).get_secret_string(NAME)


def bare() -> Any:
    """The floor: the same one POST on socket, ssl and hmac, with nothing checked or kept."""
    import by_hand

    return by_hand.get_secret(NAME)


WAYS = {
    "lambdakit": lambdakit,
    "lambdakit, roots first": lambda: with_roots(os.environ["BENCH_ROOTS"]),
    "lambdakit, full store": lambda: with_roots(None),
    "boto3": boto3,
    "boto3, its own bundle": boto3,
    "Powertools": powertools,
    "aws_secretsmanager_caching": caching,
    "bare": bare,
}


def main() -> None:
    """Fetch it, and tell what that took."""
    sys.stdin.read()
    value, figures = spent(WAYS[sys.argv[1]])
    sdk = any(name in sys.modules for name in ("boto3", "botocore"))
    print(json.dumps({"value": value, "sdk": sdk, **figures}))


if __name__ == "__main__":
    main()
