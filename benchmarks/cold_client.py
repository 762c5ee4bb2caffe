"""One fresh process of a first SDK client: what it adds to a process that has the runtime client already."""

import json
import os
import sys
import time
from typing import Any

import awslambdaric.bootstrap  # noqa: F401 - what Lambda's own process has loaded before the handler's module

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


def rss_kb() -> int:
    """The memory of this process that is in RAM now."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - pathlib would be an import of its own
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def main() -> None:
    """Make one, tell what that took, then use it."""
    make = WAYS[sys.argv[1]]
    sys.stdin.read()
    memory = rss_kb()
    cpu_ns, wall_ns = time.process_time_ns(), time.perf_counter_ns()
    client = make()
    wall_ns, cpu_ns = time.perf_counter_ns() - wall_ns, time.process_time_ns() - cpu_ns
    figures = {"wall_ms": wall_ns / 1e6, "cpu_ms": cpu_ns / 1e6, "rss_mb": (rss_kb() - memory) / 1024}
    config = client.meta.config
    limits = [config.connect_timeout, config.read_timeout, config.retries.get("total_max_attempts")]
    print(json.dumps({"tables": client.list_tables()["TableNames"], "limits": limits, **figures}))


if __name__ == "__main__":
    main()
