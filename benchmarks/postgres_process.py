"""The process that looks after a PostgreSQL: an empty cluster, started, and stopped when standard input ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

_LIMIT_S = 30.0
_END_S = 5.0
_NOBODY = 65534  # PostgreSQL does not run as root
PASSWORD = "benchmark"  # noqa: S105 - of a cluster that lives for seconds, on loopback


def _port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def run(programs: Path, directory: Path) -> None:
    """Make a cluster in `directory`, and serve it."""
    options: dict[str, Any] = {"cwd": directory, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    if os.geteuid() == 0:
        os.chown(directory, _NOBODY, _NOBODY)
        options |= {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    data, password, port = directory / "data", directory / "password", _port()
    password.write_text(PASSWORD)
    # As a server of PostgreSQL 14 and later is set up: a password, never sent in clear.
    how = ["-U", "app", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run([programs / "initdb", "-D", data, *how], check=True, timeout=_LIMIT_S, **options)
    settings = ("-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=20")
    where = ("-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", "")
    process = subprocess.Popen([programs / "postgres", *where, *settings], stderr=subprocess.DEVNULL, **options)
    try:
        dsn = f"host=127.0.0.1 port={port} user=app password={PASSWORD} dbname=postgres connect_timeout=5"
        _await(dsn, process)
        print(json.dumps(dsn), flush=True)
        sys.stdin.buffer.read()
    finally:
        process.send_signal(signal.SIGINT)  # ends sessions, too
        try:
            process.wait(_END_S)
        finally:
            process.kill()


def _await(dsn: str, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + _LIMIT_S
    while True:
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError:
            if time.monotonic() > until_s or process.poll() is not None:
                raise
            time.sleep(0.02)
        else:
            return


def main() -> None:
    """See `Server`."""
    directory = Path(tempfile.mkdtemp(prefix="lambdakit-benchmarks-"))
    try:
        run(Path(sys.argv[1]), directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
