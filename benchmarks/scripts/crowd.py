"""One fresh process in which many threads ask at once for a secret that is not in memory yet."""

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

NAME = "bench/secret"


def lambdakit() -> Callable[[], Any]:
    """As a user writes it."""
    import lambdakit

    return lambda: lambdakit.get_secret(NAME)


def boto3() -> Callable[[], Any]:
    """One client for all threads, which it is safe to share; no cache."""
    import boto3

    client = boto3.client("secretsmanager")
    return lambda: client.get_secret_value(SecretId=NAME)["SecretString"]


def powertools() -> Callable[[], Any]:
    """One provider for all threads, made before: `parameters.get_secret` makes one at its first use, unguarded."""
    from aws_lambda_powertools.utilities import parameters

    provider = parameters.SecretsProvider()
    return lambda: provider.get(NAME)


def caching() -> Callable[[], Any]:
    """One cache for all threads."""
    import aws_secretsmanager_caching
    import botocore.session

    client = botocore.session.get_session().create_client("secretsmanager")
    cache = aws_secretsmanager_caching.SecretCache(client=client)
    return lambda: cache.get_secret_string(NAME)


WAYS = {
    "lambdakit": lambdakit,
    "boto3": boto3,
    "Powertools": powertools,
    "aws_secretsmanager_caching": caching,
}


def crowd(get: Callable[[], Any], size: int) -> dict[str, Any]:
    """What each of the threads got, or how it failed, and how long they took together."""
    barrier, began, ended = threading.Barrier(size), [0] * size, [0] * size
    values: list[Any] = [None] * size

    def run(number: int) -> None:
        barrier.wait(60.0)
        began[number] = time.perf_counter_ns()
        try:
            values[number] = get()
        except Exception as error:  # noqa: BLE001 - is the answer of this thread
            values[number] = f"{type(error).__name__}: {error}"
        ended[number] = time.perf_counter_ns()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # How many were waiting when the first answer came: those after it would find any cache filled.
    at_once = sum(one < min(ended) for one in began)
    return {"values": values, "at_once": at_once, "wall_ms": (max(ended) - min(began)) / 1e6}


if __name__ == "__main__":
    print(json.dumps(crowd(WAYS[sys.argv[1]](), int(sys.argv[2]))))
