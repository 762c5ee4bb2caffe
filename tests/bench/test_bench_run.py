"""`lambdakit bench` with real functions: what is measured, what is traced, what is found, how it fails."""

from __future__ import annotations

import contextlib
import http.server
import io
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
from lambdakit._bench.failures import refusal
from lambdakit.cli import main

WARM = 3
DOCS = "https://github.com/lambdakit/lambdakit/blob/main/docs/"

FUNCTIONS = {
    "plain": "def handler(event, context):\n    return event\n",
    "other": "def handler(event, context):\n    return 'another answer'\n",
    "raises": "raise LookupError('nothing there')\n",
    "needs": "import no_such_module_at_all\n",
    "fails": "def handler(event, context):\n    print('last words')\n    return event['id']\n",
    "fails_later": "calls = []\ndef handler(event, context):\n    calls.append(1)\n    assert len(calls) < 3\n",
    "leaves": "import os\ndef handler(event, context):\n    os._exit(3)\n",
    "slow_at_128": (
        "import os, time\ndef handler(event, context):\n"
        "    if os.environ['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'] == '128':\n        time.sleep(60)\n"
    ),
    "troubled": (
        "held = bytearray(200_000_000)\ndef handler(event, context):\n    return {'statusCode': 503, 'body': ''}\n"
    ),
    "ours": """
import lambdakit.http

session = lambdakit.http.requests_session()

@lambdakit.handler
def handler(event, context):
    lambdakit.http.get(f"http://127.0.0.1:{event['http']}")
    session.get(f"http://127.0.0.1:{event['closing']}", headers={"Connection": "close"})
""",
    "slow": "import time\ndef handler(event, context):\n    time.sleep(60)\n",
    "traced": """
import json, os, socket, sys, time
import own

with open(__file__ + '.runs', 'ab') as runs:
    runs.write(b'.')
    if runs.tell() == 5:
        import once

def handler(event, context):
    traced = 'lambdakit_bench_tracer' in sys.modules
    if traced and 'MARK' in os.environ:
        with open(os.environ['MARK'], 'w') as file:
            file.write(str(os.getpid()))
        time.sleep(600)
    if 'OUT' in os.environ:
        with open(os.environ['OUT'], 'a') as file:
            print(json.dumps([traced, about()]), file=file)

def about():
    return {'path': os.environ.get('PYTHONPATH'), 'found': own.__spec__.loader is own.__loader__,
            'loader': type(socket.__loader__).__module__, 'site': os.environ.get('SITE')}
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


class Traced(NamedTuple):
    """What a run says of a function: its part of the JSON, and everything that was written."""

    function: dict[str, Any]
    everything: str

    def counts(self, what: str, *keys: str) -> dict[Any, tuple[int, int, int]]:
        """How often, in INIT, in the first invocation and in all warm ones, by some details."""
        return {
            entry[keys[0]] if len(keys) == 1 else tuple(entry[key] for key in keys): _count(entry)
            for entry in self.function[what]
        }

    @property
    def findings(self) -> list[tuple[str, str, str]]:
        """The page, what was traced, and the code that changes it."""
        return [(one["docs"].removeprefix(DOCS), one["seen"], one["change"]) for one in self.function["findings"]]


def _count(entry: dict[str, int]) -> tuple[int, int, int]:
    return entry["init"], entry["first"], entry["warm"]


@pytest.fixture(scope="module")
def trace(root: Path, servers: Servers, moto_url: str) -> Any:
    """Measures one of the functions; moto has a secret for it."""
    account = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    secrets = boto3.client("secretsmanager", endpoint_url=moto_url, **account)
    secrets.create_secret(Name="shop/partner", SecretString="planted-value")
    secrets.close()
    (root / "event.json").write_text(json.dumps(servers._asdict()))
    variables = {
        "AWS_ENDPOINT_URL": moto_url,
        "CA": str(root / "ca.pem"),
        "HTTP": str(servers.http),
        "AWS_EC2_METADATA_DISABLED": "1",
    }

    def trace(handler: str) -> Traced:
        written, shown = root / f"{handler}.json", io.StringIO()
        given = [f"--env={name}={value}" for name, value in variables.items()]
        given += ["--event", str(root / "event.json"), "--json", str(written), "--cold", "1", "--warm", str(WARM)]
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            assert main(["bench", handler, "--task-root", str(root), *given]) == 0
        text = written.read_text()
        (function,) = json.loads(text)["functions"]
        return Traced(function, text + shown.getvalue())

    return trace


@pytest.fixture(scope="module")
def again(trace: Any) -> Traced:
    """A function that does everything in every invocation."""
    traced: Traced = trace("again.handler")
    return traced


@pytest.fixture(scope="module")
def kept(trace: Any) -> Traced:
    """A function that keeps what it has."""
    traced: Traced = trace("kept.handler")
    return traced


EACH = (0, 1, WARM)
ONCE = (0, 1, 0)


def test_connections_are_traced_whoever_opens_them(again: Traced, servers: Servers, moto_url: str) -> None:
    """By http.client, the SDK, asyncio, libpq, over TLS or not; no datagram, no forked child's, not the runtime's."""
    assert again.counts("connections", "host", "port") == {
        ("127.0.0.1", int(moto_url.rpartition(":")[2])): EACH,
        ("localhost", servers.http): (0, 2, 2 * WARM),
        ("localhost", servers.https): EACH,
        ("localhost", servers.raw): EACH,  # the name by which the address was looked up before
        ("127.0.0.1", servers.postgres): EACH,
    }


def test_requests_and_handshakes_are_traced(again: Traced, servers: Servers) -> None:
    """A request to AWS by its operation, another by its method and host."""
    assert again.counts("requests", "what") == {
        "secretsmanager.GetSecretValue": EACH,
        f"GET localhost:{servers.http}": EACH,
        f"POST localhost:{servers.http}": EACH,
        f"GET localhost:{servers.https}": EACH,
    }
    assert _count(again.function["handshakes"]) == EACH


def test_what_is_traced_says_where_it_comes_from(again: Traced) -> None:
    """The line of the user's own code."""
    line = {text.strip(): number for number, text in enumerate(FUNCTIONS["again"].splitlines(), 1)}
    assert again.counts("clients", "service") == {"secretsmanager": EACH}
    (client,) = again.function["clients"]
    assert client["places"] == [f"again.py:{line['client = boto3.client(' + repr('secretsmanager') + ')']}"]
    assert again.counts("calls", "service", "operation", "name") == {
        ("secretsmanager", "GetSecretValue", "shop/partner"): EACH
    }
    assert _count(again.function["loops"]) == EACH
    (loop,) = (text for page, text, _ in again.findings if page == "async.md")
    assert f"again.py:{line['asyncio.run(talk(event[' + repr('raw') + ']))']}" in loop
    assert again.function["unseen"] == []


def test_no_value_is_written_down(again: Traced) -> None:
    """Neither of a secret nor of a body."""
    assert "shop/partner" in again.everything
    assert "planted-value" not in again.everything
    assert "client_credentials" not in again.everything


def test_imports_are_told_by_package_and_invocation(again: Traced) -> None:
    """Also those that the handler makes; not what the runtime has imported before; the slowest first."""
    packages = {package["package"]: package for package in again.function["imports"]}
    assert [packages[name]["invocation"] for name in ("again", "boto3", "botocore", "colorsys")] == [0, 0, 0, 1]
    assert packages["again"]["total_ms"] >= packages["boto3"]["total_ms"] >= packages["boto3"]["own_ms"] > 0
    assert packages["botocore"]["modules"] > 10
    assert not {"awslambdaric", "json", "lambdakit", "lambdakit_bench_tracer"} & packages.keys()
    times = [package["total_ms"] for package in again.function["imports"]]
    assert times == sorted(times, reverse=True)


def test_what_is_done_in_every_invocation_is_what_lambdakit_changes(again: Traced, servers: Servers) -> None:
    """Each finding from what was traced, with the code that changes it."""
    found = {page: (text, change) for page, text, change in again.findings}
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
    assert f"localhost:{servers.http} is opened" in " ".join(text for _, text, _ in again.findings)
    assert "INIT imports boto3" in found["backends.md"][0]


def test_what_is_kept_is_no_finding(kept: Traced, servers: Servers) -> None:
    """Nor is a connection that the server closes. That the first caller waits for a kept one is."""
    assert kept.counts("clients", "service") == {"dynamodb": (1, 0, 0)}
    assert kept.counts("connections", "port")[servers.http] == ONCE
    assert kept.counts("connections", "port")[servers.closing] == EACH
    told = [text for _, text, _ in kept.findings]
    assert len(told) == 2
    assert all("is opened while the first caller waits" in line for line in told)
    assert {str(servers.http), str(servers.raw)} == {
        line.partition(" is opened")[0].rpartition(":")[2] for line in told
    }


@pytest.mark.parametrize("has_site", [True, False])
def test_a_traced_function_notices_nothing(has_site: bool, root: Path, tmp_path: Path) -> None:
    """Its path, its variables, its modules' loaders and its own sitecustomize are as they are without the tracer."""
    (tmp_path / "sitecustomize.py").write_text("import os\nos.environ['SITE'] = 'ran'\n")
    given = ["--env", f"OUT={tmp_path / 'out'}", *(["--env", f"PYTHONPATH={tmp_path}"] if has_site else [])]
    assert bench(root, "traced.handler", "--warm", "1", *given) == 0
    path, site = (str(tmp_path), "ran") if has_site else (None, None)
    expected = {"path": path, "found": True, "loader": "_frozen_importlib_external", "site": site}
    invocations = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [seen for _, seen in invocations] == [expected] * 9
    assert sum(traced for traced, _ in invocations) == 5


def test_what_only_one_environment_imports_is_left_out(tmp_path: Path) -> None:
    """Of those whose imports are timed the second has one more."""
    for name in ("traced", "own", "once"):
        (tmp_path / f"{name}.py").write_text(FUNCTIONS[name])
    assert bench(tmp_path, "traced.handler", "--json", str(tmp_path / "bench.json")) == 0
    (function,) = json.loads((tmp_path / "bench.json").read_text())["functions"]
    packages = {package["package"] for package in function["imports"]}
    assert {"traced", "own"} <= packages
    assert "once" not in packages
    assert (tmp_path / "traced.py.runs").stat().st_size == 6


def bench(root: Path, *arguments: str) -> int:
    return main(["bench", "--task-root", str(root), "--cold", "1", "--warm", "2", *arguments])


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
    assert "plain.handler: no findings in 1 cold and 2 warm invocations." in shown.out


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


@pytest.mark.parametrize(
    "against", [[], pytest.param(["--against", "plain.handler"], marks=pytest.mark.soak)], ids=["alone", "against"]
)
def test_a_memory_size_that_is_too_slow_leaves_the_others(
    against: list[str], root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are shown and written; why it is not among them is told, and the code is 1."""
    file = tmp_path / "bench.json"
    given = ["--memory", "128,1769", "--timeout", "1", "--json", str(file), *against]
    assert bench(root, "slow_at_128.handler", *given) == 1
    shown, content = capsys.readouterr().out, json.loads(file.read_text())
    assert "at 1769 MB" in shown
    assert "Not measured at 128 MB: slow_at_128.handler failed in invocation 1 of an environment" in shown
    assert {row["memory_mb"] for row in content["rows"]} == {1769}
    assert [failure["memory_mb"] for failure in content["failures"]] == [128]


def test_what_lambda_would_not_have_shown_so_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More memory than there is, which Lambda ends; answers that are no errors, and tell of a failure all the same."""
    assert bench(root, "troubled.handler", "--memory", "128") == 0
    lines = capsys.readouterr().out.splitlines()
    (memory,) = (line for line in lines if "more than it has" in line)
    assert memory.startswith("At 128 MB troubled.handler used 2")
    assert any(line.startswith("troubled.handler answered with statusCode 503, 3 times: ") for line in lines)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"statusCode": 500}, "statusCode 500"),
        ({"statusCode": "404", "body": "x"}, "statusCode 404"),
        ({"batchItemFailures": [{"itemIdentifier": "1"}] * 2}, "2 batchItemFailures"),
        ({"statusCode": 302}, None),
        ({"statusCode": None}, None),
        ({"statusCode": 4040}, None),
        ({"batchItemFailures": []}, None),
        ({"batchItemFailures": None}, None),
        ({"body": '"statusCode": 500'}, None),
        ([{"statusCode": 500}], None),
    ],
)
def test_an_answer_may_tell_of_a_failure(answer: object, said: str | None) -> None:
    """An HTTP status from 400 on, items of a batch that are to come again; of the answer, not of what is in it."""
    assert refusal(json.dumps(answer).encode()) == said


def test_an_answer_that_cannot_be_read_tells_nothing() -> None:
    """Neither what is no JSON, nor what is too deep."""
    assert refusal(b'"statusCode" 500') is None
    assert refusal(b'{"statusCode": ' + b"[" * 100_000) is None


def test_a_package_that_is_missing_comes_with_where_it_is_looked_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the first line."""
    assert bench(root, "needs.handler") == 1
    first = capsys.readouterr().err.splitlines()[0]
    assert f"looked for in {root}" in first
    assert "--env PYTHONPATH=DIR" in first


@pytest.mark.soak
def test_who_opens_a_connection_decides_what_helps(root: Path, tmp_path: Path, servers: Servers) -> None:
    """A request of lambdakit.http finds the connection of `origin`; an adapter has a pool of its own."""
    (tmp_path / "event.json").write_text(json.dumps(servers._asdict()))
    given = ["--event", str(tmp_path / "event.json"), "--json", str(tmp_path / "bench.json")]
    assert bench(root, "ours.handler", *given) == 0
    (function,) = json.loads((tmp_path / "bench.json").read_text())["functions"]
    changes = {found["seen"].partition(" is opened")[0][-5:]: found["change"] for found in function["findings"]}
    assert "lambdakit.http.origin(url)" in changes[str(servers.http)[-5:]]
    assert "lambdakit.http.origin(url)" not in str([c for port, c in changes.items() if port != str(servers.http)[-5:]])


ENDS = {
    signal.SIGINT: (130, "interrupted"),
    signal.SIGTERM: (143, "SIGTERM"),
    signal.SIGHUP: (129, "SIGHUP"),
    signal.SIGKILL: (-signal.SIGKILL, None),
}


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.soak),
        pytest.param(signal.SIGKILL, marks=pytest.mark.soak),
    ],
)
def test_nothing_is_left_after_a_signal(number: signal.Signals, root: Path, tmp_path: Path) -> None:
    """Neither a process nor a file; after one that can be heard not even for a moment."""
    code, name = ENDS[number]
    mark, temporary = tmp_path / "mark", tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "lambdakit", "bench", "traced.handler", "--task-root", str(root), "--cold", "1"]
    command += ["--warm", "1", "--timeout", "900", "--env", f"MARK={mark}"]
    environ = os.environ | {"TMPDIR": str(temporary)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, text=True)
    try:
        assert eventually(lambda: mark.exists() and mark.read_text() != "", 40)  # it is being traced
        assert [*temporary.iterdir()] != []
        process.send_signal(number)
        _, said = process.communicate(timeout=40)
        left = [*temporary.iterdir()]
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == code
    assert name is None or said.endswith(f"lambdakit: {name}; everything that was started has ended\n")
    assert name is None or left == []
    pid = int(mark.read_text())
    assert eventually(lambda: process_state(pid) in ("", "Z"))
    assert eventually(lambda: [*temporary.iterdir()] == [])


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_at_any_moment(number: signal.Signals, root: Path, tmp_path: Path) -> None:
    """From the start of the interpreter to the end of the run, every 70 ms; two signals each."""
    command = [sys.executable, "-m", "lambdakit", "bench", "plain.handler", "--task-root", str(root), "--cold", "1"]
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    for moment in range(1, 200):
        process = subprocess.Popen(
            [*command, "--warm", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ
        )
        try:
            process.wait(moment * 0.07)
            break
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            process.send_signal(number)
            process.wait(40)
        assert eventually(lambda: [*tmp_path.iterdir()] == []), moment
    assert moment > 5
