"""One fresh process of a first SDK client: what it adds to a process that has the runtime client already."""

import json
import os
import sys
from typing import Any

import awslambdaric.bootstrap  # noqa: F401 - what Lambda's own process has loaded before the handler's module

sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120 - pathlib would be an import of its own
from spent import spent

SERVICE = "dynamodb"


def session() -> Any:
    """A session of its own, as a library makes one that wants to depend on nobody."""
    import boto3

    return boto3.session.Session().client(SERVICE)


def default() -> Any:
    """As it is mostly written."""
    import boto3

    return boto3.client(SERVICE)


def lambdakit() -> Any:
    """As a user writes it."""
    import lambdakit

    return lambdakit.client(SERVICE)


WAYS = {
    "boto3, a new session": session,
    "boto3.client": default,
    "lambdakit.client": lambdakit,
}


def main() -> None:
    """Make one, tell what that took, then use it."""
    sys.stdin.read()
    client, figures = spent(WAYS[sys.argv[1]])
    config = client.meta.config
    limits = [config.connect_timeout, config.read_timeout, config.retries.get("total_max_attempts")]
    print(json.dumps({"tables": client.list_tables()["TableNames"], "limits": limits, **figures}))


if __name__ == "__main__":
    main()
