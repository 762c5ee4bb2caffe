"""A function that keeps a connection, by the library that a variable names."""

import os
import time

WAY = os.environ["BENCH_WAY"]


def no_decorator(handler):
    return handler


decorate = no_decorator
if WAY == "lambdakit.http":
    import lambdakit

    decorate = lambdakit.handler

    def send(method, url):
        return lambdakit.http.request(method, url, body=b"order" if method == "POST" else None).data.decode()

elif WAY == "urllib3's pool":
    import urllib3

    pool = urllib3.PoolManager()

    def send(method, url):
        return pool.request(method, url, body=b"order" if method == "POST" else None).data.decode()

elif WAY == "requests.Session":
    import requests

    session = requests.Session()

    def send(method, url):
        return session.request(method, url, data=b"order" if method == "POST" else None).text

else:
    import httpx

    client = httpx.Client()

    def send(method, url):
        return client.request(method, url, content=b"order" if method == "POST" else None).text


@decorate
def handler(event, context):
    began = time.perf_counter()
    try:
        answer, error = send(event["method"], event["url"]), None
    except Exception as raised:  # noqa: BLE001 - is the answer
        answer, error = None, type(raised).__name__
    return {"answer": answer, "error": error, "ms": (time.perf_counter() - began) * 1e3}
