"""`lambdakit bench`: real functions in the lab, what is measured of them, what is seen, what is said."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
import trustme

from lab_parts import eventually, process_state
from lambdakit._bench.advice import findings
from lambdakit._bench.caller import Caller, Reply
from lambdakit._bench.observe import observe
from lambdakit._bench.options import checked
from lambdakit._bench.trace import Count, Seen
from lambdakit.cli import main
from lambdakit.lab import Lab

WARM = 3

FUNCTIONS = {
    "plain": "def handler(event, context):\n    return event\n",
    "other": "def handler(event, context):\n    return 'another answer'\n",
    "raises": "raise LookupError('nothing there')\n",
    "needs": "import no_such_module_at_all\n",
    "fails": "def handler(event, context):\n    print('last words')\n    return event['id']\n",
    "fails_later": "calls = []\ndef handler(event, context):\n    calls.append(1)\n    assert len(calls) < 3\n",
    "leaves": "import os\ndef handler(event, context):\n    os._exit(3)\n",
    "slow": "import time\ndef handler(event, context):\n    time.sleep(60)\n",
    "watched": """
import json, os, socket, sys, time
import own

with open(__file__ + '.runs', 'ab') as runs:
    runs.write(b'.')
    if runs.tell() == 2:
        import once

def handler(event, context):
    time.sleep(600 if 'lambdakit_bench_tracer' in sys.modules and 'MARK' in os.environ and note() else 0)
    return {'path': os.environ.get('PYTHONPATH'), 'found': own.__spec__.loader is own.__loader__,
            'loader': type(socket.__loader__).__module__, 'site': os.environ.get('SITE')}

def note():
    with open(os.environ['MARK'], 'w') as file:
        file.write(str(os.getpid()))
    return True
""",
    "own": "",
    "once": "",
    "again": """
import asyncio, http.client, os, socket, ssl
import boto3, psycopg

def handler(event, context):
    import colorsys
    client = boto3.client('secretsmanager')
    client.get_secret_value(SecretId='shop/partner')
    for method, body in (('GET', None), ('POST', 'grant_type=client_credentials')):
        connection = http.client.HTTPConnection('localhost', event['http'])
        connection.request(method, '/token', body)
        connection.getresponse().read()
        connection.close()
    context = ssl.create_default_context(cafile=os.environ['CA'])
    connection = http.client.HTTPSConnection('localhost', event['https'], context=context)
    connection.request('GET', '/')
    connection.getresponse().read()
    connection.close()
    asyncio.run(talk(event['raw']))
    psycopg.connect(host='127.0.0.1', port=event['postgres'], sslmode='disable', gssencmode='disable', user='u').close()
    if os.fork() == 0:
        socket.create_connection(('127.0.0.1', event['raw'])).close()
        os._exit(0)
    os.wait()

async def talk(port):
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    writer.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect(('127.0.0.1', port))
""",
    "kept": """
import http.client, os, socket
import botocore.session

client = botocore.session.get_session().create_client('dynamodb')
raw = None
kept = http.client.HTTPConnection('127.0.0.1', int(os.environ['HTTP']))

def handler(event, context):
    global raw
    raw = raw or socket.create_connection(('127.0.0.1', event['raw']))
    client.list_tables()
    for connection in (kept, http.client.HTTPConnection('127.0.0.1', event['closing'])):
        connection.request('GET', '/')
        connection.getresponse().read()
""",
}


class Servers(NamedTuple):
    """The ports of servers that a function talks to."""

    http: int
    https: int
    closing: int
    raw: int
    postgres: int


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815 - its name there

    def log_message(self, *arguments: Any) -> None:
        pass


class Closing(Answers):
    protocol_version = "HTTP/1.0"


@pytest.fixture(scope="module")
def servers(authority: trustme.CA) -> Iterator[Servers]:
    """Over HTTP, over TLS, one that closes after each answer, one that accepts, one that begins as PostgreSQL does."""
    serving = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) for kind in (Answers, Answers, Closing)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    serving[1].socket = context.wrap_socket(serving[1].socket, server_side=True)
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in serving]
    with socket.create_server(("127.0.0.1", 0)) as raw, socket.create_server(("127.0.0.1", 0)) as postgres:
        threads.append(threading.Thread(target=welcome, args=(postgres,)))
        for thread in threads:
            thread.start()
        yield Servers(*(server.server_port for server in serving), raw.getsockname()[1], postgres.getsockname()[1])
        for server in serving:
            server.shutdown()
            server.server_close()
        postgres.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)


def welcome(server: socket.socket) -> None:
    """As a PostgreSQL that asks for no password, until there are no more callers."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.recv(4096)
            connection.sendall(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I")
            connection.recv(4096)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the certificate of the server with TLS."""
    return trustme.CA()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Path:
    """The directory of the functions."""
    root = tmp_path_factory.mktemp("bench")
    for name, code in FUNCTIONS.items():
        (root / f"{name}.py").write_text(code, encoding="utf-8")
    authority.cert_pem.write_to_path(str(root / "ca.pem"))
    return root


@pytest.fixture(scope="module")
def watch(root: Path, servers: Servers, moto_url: str) -> Iterator[Any]:
    """Watches one of the functions in a lab; moto has a secret for it."""
    account = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    secrets = boto3.client("secretsmanager", endpoint_url=moto_url, **account)
    secrets.create_secret(Name="shop/partner", SecretString="planted-value")
    secrets.close()
    event = root / "event.json"
    event.write_text(json.dumps(servers._asdict()))
    env = [
        f"AWS_ENDPOINT_URL={moto_url}",
        f"CA={root / 'ca.pem'}",
        f"HTTP={servers.http}",
        "AWS_EC2_METADATA_DISABLED=1",
    ]
    with Lab() as lab, Caller(lab.url, limit_s=60) as caller:

        def watch(handler: str) -> Seen:
            options = checked(handler, task_root=str(root), event=str(event), warm=str(WARM), env=env)
            return observe(lab, caller, options, options.sides[0], tick=lambda _: None, timed=1)

        yield watch


@pytest.fixture(scope="module")
def again(watch: Any) -> Seen:
    """What a function does that does everything again and again."""
    seen: Seen = watch("again.handler")
    return seen


@pytest.fixture(scope="module")
def kept(watch: Any) -> Seen:
    """What a function does that keeps what it has."""
    seen: Seen = watch("kept.handler")
    return seen


def times(seen: Seen, kind: str, *keys: str) -> dict[Any, Count]:
    return {group.key if len(keys) > 1 else group.key[0]: group.times for group in seen.grouped(kind, *keys)}


EACH = Count(0, 1, WARM)
ONCE = Count(0, 1, 0)


def test_connections_are_seen_whoever_opens_them(again: Seen, servers: Servers, moto_url: str) -> None:
    """By http.client, the SDK, asyncio, libpq, over TLS or not; no datagram, no forked child's, not the runtime's."""
    assert times(again, "connection", "host", "port") == {
        ("127.0.0.1", int(moto_url.rpartition(":")[2])): EACH,
        ("localhost", servers.http): Count(0, 2, 2 * WARM),
        ("localhost", servers.https): EACH,
        ("localhost", servers.raw): EACH,  # the name by which the address was looked up before
        ("127.0.0.1", servers.postgres): EACH,
    }


def test_requests_and_handshakes_are_seen(again: Seen, servers: Servers) -> None:
    """A request to AWS by its operation, another by its method and host."""
    assert times(again, "request", "what") == {
        "secretsmanager.GetSecretValue": EACH,
        f"GET localhost:{servers.http}": EACH,
        f"POST localhost:{servers.http}": EACH,
        f"GET localhost:{servers.https}": EACH,
    }
    assert {group.times for group in again.grouped("handshake")} == {EACH}


def test_what_is_seen_says_where_it_comes_from(again: Seen) -> None:
    """The line of the user's own code."""
    line = {text.strip(): number for number, text in enumerate(FUNCTIONS["again"].splitlines(), 1)}
    (client,) = again.grouped("client", "service")
    assert (client.key, client.times) == (("secretsmanager",), EACH)
    assert client.places == [f"again.py:{line['client = boto3.client(' + repr('secretsmanager') + ')']}"]
    assert times(again, "call", "service", "operation", "name") == {
        ("secretsmanager", "GetSecretValue", "shop/partner"): EACH
    }
    (loop,) = again.grouped("loop")
    assert loop.places == [f"again.py:{line['asyncio.run(talk(event[' + repr('raw') + ']))']}"]
    assert times(again, "unseen", "module") == {}


def test_no_value_is_written_down(again: Seen) -> None:
    """Neither of a secret nor of a body."""
    kinds = ("client", "call", "request", "connection", "token", "handshake", "loop", "closing", "end")
    everything = json.dumps([again.of(kind) for kind in kinds])
    assert "shop/partner" in everything
    assert "planted-value" not in everything
    assert "client_credentials" not in everything


def test_imports_are_told_by_package_and_invocation(again: Seen) -> None:
    """Also those that the handler makes; not what the runtime has imported before; the dearest first."""
    packages = {package.name: package for package in again.packages}
    assert [packages[name].invocation for name in ("again", "boto3", "botocore", "colorsys")] == [0, 0, 0, 1]
    assert packages["again"].total_ms >= packages["boto3"].total_ms >= packages["boto3"].own_ms > 0
    assert packages["botocore"].modules > 10
    assert not {"awslambdaric", "json", "lambdakit", "lambdakit_bench_tracer"} & packages.keys()
    assert again.packages == sorted(again.packages, key=lambda package: -package.total_ms)


def test_what_is_done_again_is_what_lambdakit_changes(again: Seen, servers: Servers) -> None:
    """Each finding from what was seen, with the line that changes it."""
    found = {finding.docs: (finding.seen, finding.change) for finding in findings(again)}
    assert set(found) == {
        "values.md",
        "clients.md",
        "connections.md",
        "databases.md",
        "oauth.md",
        "async.md",
        "backends.md",
        "handler.md#what-is-ready-before-the-first-invocation",
    }
    assert found["values.md"][0].startswith("The same secret, 'shop/partner', is fetched once per warm invocation")
    assert found["values.md"][1] == "lambdakit.get_secret('shop/partner')"
    assert f"127.0.0.1:{servers.postgres} is opened once per warm" in found["databases.md"][0]
    assert f"localhost:{servers.http} is opened" in " ".join(finding.seen for finding in findings(again))
    assert "INIT imports boto3" in found["backends.md"][0]


def test_what_is_kept_is_not_told(kept: Seen, servers: Servers) -> None:
    """Nor a connection that the server closes; that the first caller waits for what lasts, is."""
    assert times(kept, "client", "service") == {"dynamodb": Count(1, 0, 0)}
    assert times(kept, "connection", "port")[servers.http] == ONCE
    assert times(kept, "connection", "port")[servers.closing] == EACH
    told = [finding.seen for finding in findings(kept)]
    assert len(told) == 2
    assert all("is opened while the first caller waits" in line for line in told)
    assert {str(servers.http), str(servers.raw)} == {
        line.partition(" is opened")[0].rpartition(":")[2] for line in told
    }


class Recording(Caller):
    """Keeps the answers."""

    def __init__(self, url: str) -> None:
        super().__init__(url, limit_s=60)
        self.answers: list[Any] = []

    def invoke(self, name: str, event: bytes) -> Reply:
        reply = super().invoke(name, event)
        self.answers.append(json.loads(reply.payload))
        return reply


@pytest.mark.parametrize("has_site", [True, False])
def test_the_watched_function_notices_nothing(has_site: bool, root: Path, tmp_path: Path) -> None:
    """Its path, its variables, its modules' loaders and its own sitecustomize are as they are without."""
    (tmp_path / "sitecustomize.py").write_text("import os\nos.environ['SITE'] = 'ran'\n")
    env = [f"PYTHONPATH={tmp_path}"] if has_site else []
    with Lab() as lab, Recording(lab.url) as caller:
        options = checked("watched.handler", task_root=str(root), env=env, warm="1")
        observe(lab, caller, options, options.sides[0], tick=lambda _: None)
    path, site = (str(tmp_path), "ran") if has_site else (None, None)
    expected = {"path": path, "found": True, "loader": "_frozen_importlib_external", "site": site}
    assert caller.answers == [expected] * 5


def test_what_only_one_environment_imports_is_left_out(root: Path, tmp_path: Path) -> None:
    """Each is watched apart: the first whose imports are timed has one more."""
    for name in ("watched", "own", "once"):
        (tmp_path / f"{name}.py").write_text(FUNCTIONS[name])
    with Lab() as lab, Caller(lab.url, limit_s=60) as caller:
        options = checked("watched.handler", task_root=str(tmp_path), warm="1")
        seen = observe(lab, caller, options, options.sides[0], tick=lambda _: None)
    assert {"watched", "own"} <= {event["name"] for event in seen.imports}
    assert "once" not in {event["name"] for event in seen.imports}


def bench(root: Path, *arguments: str) -> int:
    return main(["bench", *arguments, "--task-root", str(root), "--cold", "1", "--warm", "2"])


def test_a_run_shows_and_writes_what_it_found(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table for each memory size, both functions side by side; the JSON has every value, and no variable's."""
    (tmp_path / "event.json").write_text('{"say": "hello"}')
    monkeypatch.setenv("TAKEN", "planted-value")
    given = ["--event", str(tmp_path / "event.json"), "--memory", "1769,3538", "--json", str(tmp_path / "bench.json")]
    given += ["--env", "TAKEN", "--env", "GIVEN=planted-value", "--against", "other.handler"]
    assert bench(root, "plain.handler", *given) == 0
    shown = capsys.readouterr()
    written = (tmp_path / "bench.json").read_text()
    assert "planted-value" not in written + shown.out + shown.err
    content = json.loads(written)
    assert content["schema"] == 1
    assert content["options"]["environment"] == ["GIVEN", "TAKEN"]
    assert content["answers_equal"] is False
    assert [(point["side"], point["memory_mb"]) for point in content["figures"]["memory"]] == [
        (f"{name}.handler", size) for size in (1769, 3538) for name in ("plain", "other")
    ]
    assert len(content["series"]) == 4 * 6
    warm = content["series"]["plain.handler, 1769 MB, warm"]["processes"]
    assert [len(values) for values in warm] == [2]
    row = next(row for row in content["rows"] if row["what"] == "warm p50")
    assert (row["control"], row["treatment"], row["memory_mb"]) == ("plain.handler", "other.handler", 1769)
    assert row["without"] == pytest.approx(sum(warm[0]) / 2)
    assert row["ratio"] == pytest.approx(row["without"] / row["with"])
    assert (row["verdict"], row["interval_without"], row["stable"]) == (None, None, False)
    cold = next(row for row in content["rows"] if row["what"].startswith("cold start"))
    first, init = (
        content["series"][f"plain.handler, 1769 MB, {name}"]["processes"][0][0] for name in ("first", "INIT")
    )
    assert cold["without"] == pytest.approx(first + init)
    for said in ("at 1769 MB", "at 3538 MB", "other.handler takes", "gave different answers", "Give --cold 5 or more"):
        assert said in shown.out
    assert "plain.handler: nothing was seen in 1 cold and 2 warm invocations that lambdakit would change." in shown.out


def test_one_directory_against_another(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same name in both is told apart by the directory."""
    (tmp_path / "plain.py").write_text(FUNCTIONS["plain"])
    given = ["--against", "plain.handler", "--against-task-root", str(tmp_path)]
    assert bench(root, "plain.handler", *given) == 0
    shown = capsys.readouterr().out
    assert f"plain.handler in {tmp_path}" in shown.replace("\n", "")
    assert "different answers" not in shown


FAILURES: list[tuple[str, list[str], int, list[str]]] = [
    ("no_such.handler", [], 2, ["no_such.handler is not allowed: there is no module no_such in "]),
    ("no.such.handler", [], 2, ["no.such.handler is not allowed: there is no module no.such in "]),
    ("plain.handle", [], 2, ["plain.handle is not allowed: module plain has no handle"]),
    ("plain", [], 2, ["handler='plain' is not allowed; allowed: 'module.function'"]),
    ("plain.handler", ["--env", "_HANDLER=x"], 2, ["environment='_HANDLER' is not allowed"]),
    ("needs.handler", [], 1, ["needs.handler failed in INIT, at 1769 MB", "No module named 'no_such_module_at_all'"]),
    ("raises.handler", [], 1, ["failed in INIT, at 1769 MB: LookupError: nothing there\nThe end of its log:\n"]),
    (
        "fails.handler",
        [],
        1,
        ["failed in invocation 1 of an environment, at 1769 MB: KeyError: 'id'", "\n  last words\n"],
    ),
    ("fails_later.handler", [], 1, ["failed in invocation 3 of an environment, at 1769 MB: AssertionError"]),
    ("leaves.handler", [], 1, ["failed in invocation 1 of an environment, at 1769 MB: Runtime.ExitError"]),
    ("slow.handler", ["--timeout", "0.2"], 1, ["Task timed out after 0.20 seconds; --timeout allows for more"]),
]


@pytest.mark.parametrize(("handler", "options", "code", "said"), FAILURES)
def test_a_function_that_fails_is_told(
    handler: str, options: list[str], code: int, said: list[str], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 2 where it does not exist, 1 where it does: with the type of its error and the end of its log."""
    assert bench(root, handler, *options) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("lambdakit: ")
    assert all(text in shown.err for text in said)


def test_nothing_is_left_after_ctrl_c(root: Path, tmp_path: Path) -> None:
    """Neither a process nor a file; code 130."""
    mark, temporary = tmp_path / "mark", tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "lambdakit", "bench", "watched.handler", "--task-root", str(root), "--cold", "1"]
    command += ["--warm", "1", "--timeout", "900", "--env", f"MARK={mark}"]
    environ = os.environ | {"TMPDIR": str(temporary)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, text=True)
    try:
        assert eventually(lambda: mark.exists() and mark.read_text() != "", 40)  # it is being watched
        assert [*temporary.iterdir()] != []
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=40)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert said.endswith("lambdakit: interrupted; everything that was started has ended\n")
    assert process_state(int(mark.read_text())) in ("", "Z")
    assert [*temporary.iterdir()] == []
