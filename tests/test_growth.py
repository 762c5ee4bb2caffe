"""Nothing grows with the number of invocations."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# A process of its own: what it counts is not what other tests have left. It prints what it had after the first tenth of
# the invocations, and at the end: memory blocks, objects, descriptors, threads, and kilobytes in memory.
SCRIPT = r"""
import contextlib, gc, json, os, random, socket, sys, threading, lambdakit
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")
    def log_message(self, *_): pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"

clock = ManualClock(chance=0.5)
backend = MemoryBackend(
    secrets={f"s{n}": json.dumps({"k": "v" * n, "n": n}) for n in range(40)},
    parameters={f"/p/{n}": f"{n}" for n in range(20)},
    items={("t", n): {"id": n} for n in range(20)},
    app_configs={"a/b/c": "{}"},
)
used = lambdakit.use_environment(lambdakit.Environment(
    backend=backend, clock=clock, settings=lambdakit.Settings(max_entries=70, max_bytes=20_000)
))
used.__enter__()
draw = random.Random(1)

@lambdakit.cached(max_size=50)
def cached(n): return [n]
@lambdakit.cached(ttl=60, stale_ttl=600)
async def cached_later(n): return {n: n}
@lambdakit.singleton(max_age=1_000, check=lambda one: True)
def thing(): return object()
@lambdakit.singleton
async def thing_of_loop(): return object()

def fails():
    with contextlib.suppress(lambdakit.LambdakitError):
        lambdakit.get_secret("none")
def wrong():
    with contextlib.suppress(lambdakit.LambdakitError):
        lambdakit.get_secret(f"s{draw.randrange(40)}", field="none")
def some():
    with contextlib.suppress(lambdakit.BatchError):
        lambdakit.get_secrets([f"s{draw.randrange(40)}", "none"])
def local():
    @lambdakit.cached
    def one(n): return n
    @lambdakit.singleton
    def two(): return []
    return one(1), two()
def closure():
    n = draw.random()
    return lambdakit.get_secret(f"s{draw.randrange(40)}", transform=lambda text: (n, json.loads(text)))
def outage():
    if draw.random() < 0.95: return  # all that is kept is too old after it
    backend.secrets["s1"] = lambdakit.ThrottledError("no", service="s", operation="o", name="s1")
    clock.tick(400)
    with contextlib.suppress(lambdakit.LambdakitError):
        lambdakit.get_secret("s1")
    backend.secrets["s1"] = '{"n": 1}'
def breaks(): raise LookupError
async def later():
    await thing_of_loop()
    return await cached_later(draw.randrange(80))

WORK = [
    lambda: lambdakit.get_secret("s3"),
    lambda: lambdakit.get_secret(f"s{draw.randrange(40)}", field="n"),
    lambda: lambdakit.get_secret(f"s{draw.randrange(40)}", transform="json"),
    lambda: lambdakit.get_secret(f"s{draw.randrange(40)}", transform=lambda text: json.loads(text)),
    lambda: lambdakit.get_parameter(f"/p/{draw.randrange(20)}"),
    lambda: lambdakit.get_parameters_by_path("/p", transform=int),
    lambda: lambdakit.get_item("t", {"id": draw.randrange(20)}),
    lambda: lambdakit.get_app_config("a", "b", "c", transform="json"),
    lambda: cached(draw.randrange(100)),
    lambda: lambdakit.metric("Orders", 1),
    lambda: lambdakit.stats(),
    lambda: clock.tick(1),
    lambda: clock.suspend(5),
    thing, fails, wrong, some, local, closure, outage, breaks,
]
def slow():
    lambdakit.http.get(url)
    lambdakit.environment().close()

plain = lambdakit.handler(lambda event, context: event() if callable(event) else None)
counting = lambdakit.handler(metrics="Shop")(lambda event, context: event())
@lambdakit.handler
async def coroutine(event, context): return await later()

def invoke(number):
    kind = number % 20
    backend.calls.clear()
    if number % 500 == 0: backend._sessions.clear()  # those that were given up are the service's to end
    context = FakeContext(aws_request_id=f"r-{number}")
    with contextlib.suppress(LookupError):
        if number % 200 == 0: plain(lambda: lambdakit.http.get(url), context)
        elif number % 5_000 == 1: plain(slow, context)
        elif kind == 1: plain({"warmer": True}, context)
        elif kind == 2: coroutine({}, context)
        elif kind in (3, 4): counting(draw.choice(WORK), context)
        else: plain(draw.choice(WORK), context)

def held():
    gc.collect()
    with open("/proc/self/statm") as file: pages = int(file.read().split()[1])
    return {
        "blocks": sys.getallocatedblocks(),
        "objects": len(gc.get_objects()),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "kilobytes": pages * os.sysconf("SC_PAGESIZE") // 1024,
    }

import logging
logging.getLogger("lambdakit").setLevel(logging.CRITICAL)
told, sys.stdout = sys.stdout, open(os.devnull, "w")
count = int(sys.argv[1])
for number in range(count // 10): invoke(number)
first = held()
for number in range(count // 10, count): invoke(number)
print(json.dumps([first, held()]), file=told)
"""
# What may differ: a cache that happens to be fuller, a free list, a page.
MOST = {"blocks": 3_000, "objects": 1_000, "files": 3, "threads": 2, "kilobytes": 6_000}


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.timeout(900)
@pytest.mark.soak
@pytest.mark.parametrize("count", [300_000])
def test_warm_invocations_leave_nothing(count: int) -> None:
    """Of every kind: hits, misses, refreshes, errors, pings, metrics, coroutines, requests, functions made in them."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(count)], capture_output=True, text=True, timeout=800, check=False
    )
    assert done.returncode == 0, done.stderr
    first, last = json.loads(done.stdout)
    assert {name: last[name] - first[name] for name in MOST if last[name] - first[name] > MOST[name]} == {}
