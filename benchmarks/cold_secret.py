"""One fresh process of a first secret: what it adds to a process that has the runtime client already."""

import json
import os
import sys
import time
from typing import Any

import awslambdaric.bootstrap  # noqa: F401 - what Lambda's own process has loaded before the handler's module

NAME = "bench/secret"


def lambdakit() -> Any:
    """As a user writes it."""
    import lambdakit

    return lambdakit.get_secret(NAME)


def with_roots(roots: str | None) -> Any:
    """As in production, where no variable names a bundle: the roots file first, here the benchmark's issuer."""
    import lambdakit
    from lambdakit.backends.direct import DirectBackend
    from lambdakit.backends.trust import AMAZON_ROOTS, Trust

    env = lambdakit.environment()
    # Without the variable; OpenSSL itself reads SSL_CERT_FILE for its full store.
    environ = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
    trust = Trust(environ=environ, roots=roots or AMAZON_ROOTS)
    backend = DirectBackend(settings=env.settings, clock=env.clock, budget=env.budget_s, trust=trust)
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
    """The floor: the same one POST on socket, ssl and hmac, with nothing checked, kept or told."""
    import hashlib
    import hmac
    import socket
    import ssl

    host, port = os.environ["AWS_ENDPOINT_URL"].removeprefix("https://").split(":")
    key, region = os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["AWS_REGION"]
    body = json.dumps({"SecretId": NAME}).encode()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{stamp[:8]}/{region}/secretsmanager/aws4_request"
    target = "secretsmanager.GetSecretValue"
    names = "content-type;host;x-amz-date;x-amz-target"
    canonical = (
        f"POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:{host}:{port}\nx-amz-date:{stamp}\n"
        f"x-amz-target:{target}\n\n{names}\n{hashlib.sha256(body).hexdigest()}"
    )
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    derived = f"AWS4{key}".encode()
    for part in (*scope.split("/"), to_sign):
        derived = hmac.digest(derived, part.encode(), "sha256")
    request = (
        f"POST / HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Date: {stamp}\r\n"
        f"X-Amz-Target: {target}\r\nAuthorization: AWS4-HMAC-SHA256 "
        f"Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
        f"SignedHeaders={names}, Signature={derived.hex()}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
    with (
        socket.create_connection((host, int(port))) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        secured.sendall(request)
        answer = b""
        while True:
            piece = secured.recv(65536)
            answer += piece
            head, end, rest = answer.partition(b"\r\n\r\n")
            length = next((int(x[15:]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length:")), 0)
            if (end and len(rest) >= length) or not piece:
                return json.loads(rest)["SecretString"]


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


def rss_kb() -> int:
    """The memory of this process that is in RAM now."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - pathlib would be an import of its own
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def main() -> None:
    """Fetch it, and tell what that took."""
    way = WAYS[sys.argv[1]]
    sys.stdin.read()
    memory = rss_kb()
    cpu_ns, wall_ns = time.process_time_ns(), time.perf_counter_ns()
    value = way()
    wall_ns, cpu_ns = time.perf_counter_ns() - wall_ns, time.process_time_ns() - cpu_ns
    figures = {"wall_ms": wall_ns / 1e6, "cpu_ms": cpu_ns / 1e6, "rss_mb": (rss_kb() - memory) / 1024}
    sdk = any(name in sys.modules for name in ("boto3", "botocore"))
    print(json.dumps({"value": value, "sdk": sdk, **figures}))


if __name__ == "__main__":
    main()
