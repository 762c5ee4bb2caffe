"""GetSecretValue on socket, ssl and hmac alone."""

import encodings.idna  # noqa: F401 - else the first connection loads it
import hashlib
import hmac
import json
import os
import socket
import ssl
import time


def get_secret(name):
    scheme, _, place = os.environ["AWS_ENDPOINT_URL"].partition("://")
    host, _, port = place.partition(":")
    request = signed(name, place)
    with socket.create_connection((host, int(port))) as connection:
        if scheme == "https":
            context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
            with context.wrap_socket(connection, server_hostname=host) as secured:
                return exchange(secured, request)
        return exchange(connection, request)


def signed(name, place):
    key, region = os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["AWS_REGION"]
    body = json.dumps({"SecretId": name}).encode()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{stamp[:8]}/{region}/secretsmanager/aws4_request"
    target = "secretsmanager.GetSecretValue"
    names = "content-type;host;x-amz-date;x-amz-target"
    canonical = (
        f"POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:{place}\nx-amz-date:{stamp}\n"
        f"x-amz-target:{target}\n\n{names}\n{hashlib.sha256(body).hexdigest()}"
    )
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    derived = f"AWS4{key}".encode()
    for part in (*scope.split("/"), to_sign):
        derived = hmac.digest(derived, part.encode(), "sha256")
    head = (
        f"POST / HTTP/1.1\r\nHost: {place}\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Date: {stamp}\r\n"
        f"X-Amz-Target: {target}\r\nAuthorization: AWS4-HMAC-SHA256 "
        f"Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
        f"SignedHeaders={names}, Signature={derived.hex()}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def exchange(connection, request):
    connection.sendall(request)
    answer = b""
    while True:
        piece = connection.recv(65536)
        answer += piece
        head, end, rest = answer.partition(b"\r\n\r\n")
        length = next((int(x[15:]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length:")), 0)
        if (end and len(rest) >= length) or not piece:
            return json.loads(rest)["SecretString"]
