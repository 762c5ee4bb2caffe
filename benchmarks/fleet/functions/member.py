"""One environment of a real fleet: it waits until all are there, then asks until it has its values."""

from __future__ import annotations

import os
import random
import socket
import time
from typing import Any

NAME = f"MEMBER{os.getpid()}"
os.environ["AWS_ACCESS_KEY_ID"] = NAME  # every call is signed with it, so the server can tell whose it is

import lambdakit  # noqa: E402 - it reads the variables


def single(parameters: list[str], secrets: list[str]) -> list[str]:
    """Each value by a call of its own."""
    return [*map(lambdakit.get_parameter, parameters), *map(lambdakit.get_secret, secrets)]


def batches(parameters: list[str], secrets: list[str]) -> list[str]:
    """All values of a service by one call."""
    return [*lambdakit.get_parameters(parameters).values(), *lambdakit.get_secrets(secrets).values()]


def preload(parameters: list[str], secrets: list[str]) -> None:
    """What ``@handler(preload=...)`` does in INIT."""
    declared = [*map(lambdakit.parameter, parameters), *map(lambdakit.secret, secrets)]
    lambdakit.environment().preload(*declared)


@lambdakit.handler
def turn(event: dict[str, Any], _context: Any) -> list[str]:
    """An invocation: it begins with what could not be preloaded."""
    return (batches if event["batches"] else single)(event["parameters"], event["secrets"])


def is_throttled(error: Exception) -> bool:
    """Whether another invocation may succeed: of a batch, whether it may for each value."""
    errors = error.errors.values() if isinstance(error, lambdakit.BatchError) else [error]
    return all(isinstance(one, lambdakit.ThrottledError) for one in errors)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Its loop makes the invocations; on Lambda nothing says which environment gets the next."""
    with socket.create_connection(("127.0.0.1", event["port"])) as gate:
        gate.recv(1)
    began_s, failed = time.monotonic(), 0
    if event["preload"]:
        preload(event["parameters"], event["secrets"])
    while True:
        try:
            values = turn(event, context)
            break
        except lambdakit.LambdakitError as error:
            if not is_throttled(error) or time.monotonic() > began_s + event["limit_s"]:
                raise
            failed += 1
            time.sleep(random.uniform(0.0, 2.0 * event["between_s"]))  # noqa: S311 - no secret depends on it
    return {
        "name": NAME,
        "values": values,
        "failed": failed,
        "began_s": began_s,
        "warm_s": time.monotonic(),
        "cpu_ms": 1e3 * time.process_time(),
    }
